"""OME-Zarr of versions 0.1 to 0.6 and plain zarr arrays as volumes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from chunkvol import kernels
from chunkvol.errors import FormatError
from chunkvol.formats.ome_zarr.arrays import array_source, sample_of
from chunkvol.formats.ome_zarr.find import image_within, is_image, owner_of
from chunkvol.formats.ome_zarr.foreign import Chosen, image_of_multiscales, plain_image
from chunkvol.formats.ome_zarr.image import Image, Level, image_of_record
from chunkvol.formats.ome_zarr.nodes import Node, holds_node, node_at
from chunkvol.formats.ome_zarr.placed import placed
from chunkvol.formats.place import Place
from chunkvol.geometry import Geometry
from chunkvol.geometry.grid import Triple
from chunkvol.metadata import Metadata
from chunkvol.pyramid import reduction_step
from chunkvol.segments import KEY
from chunkvol.volume import Volume

_ZIPPED = (".zarr.zip", ".ozx")

__all__ = ["is_store", "open_store"]


def is_store(path: Path) -> bool:
    """True for a folder that holds zarr metadata, or is named as if it did; and for a zipped store, to say so."""
    if path.is_file():
        return path.name.lower().endswith(_ZIPPED)
    return path.is_dir() and (path.suffix == ".zarr" or holds_node(path))


def open_store(
    path: Path,
    *,
    keep_phi: bool = False,
    time: int | None = None,
    channel: int | None = None,
    spacing: Triple | None = None,
    origin: Triple | None = None,
    orientation: str = "",
    geometry: Geometry | None = None,
) -> Volume:
    """The image of an OME-Zarr store, or a plain zarr array, with its levels in `coarser`.

    A group that holds a single image stands for it; an array that is a level of an image has its place there. A
    patient's identity that the store holds goes no further than this, except with `keep_phi`.

    Parameters
    ----------
    path
        A group or an array.
    keep_phi
        Keep what the store tells of the patient.
    time, channel
        The index along such an axis, from 0; needed where it is longer than 1.
    spacing, origin, orientation, geometry
        What the caller says of the grid, as `Place` has it; it overrules the store.

    Raises
    ------
    InputError
        The store has several images, or times or channels of which none was chosen.
    FormatError
        It is nothing that chunkvol reads.
    DamagedError
        An array or its metadata is missing or contradicts the store.
    GeometryError
        Its grid has no meaning, or the caller's has another shape.
    """
    if path.is_file():
        raise FormatError(f"{path} is a zipped store, which chunkvol does not read: unpack it into a folder first")
    place = Place(spacing, origin, orientation, geometry)
    chosen: Chosen = {"time": time, "channel": channel}
    node = image_within(node_at(path, path))
    owner = owner_of(node) if node.is_array else None
    if owner is not None:
        node = owner[0]
    arrays = _Arrays(node)
    image = _image(node, arrays, chosen)
    if owner is not None:
        image = _from_level(image, owner[1])
    image = placed(image, place, str(path))
    return _volume(node, image, arrays, keep_phi=keep_phi)


class _Arrays:
    """The arrays of a group as they are asked for; calling it gives a shape."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._found: dict[str, Node] = {}

    def __call__(self, path: str) -> tuple[int, ...]:
        return self.node(path).shape

    def node(self, path: str) -> Node:
        """The array at a path within the group; the group itself may be one."""
        if path not in self._found:
            folder, inside = self._node.folder, self._node.folder.resolve()
            if path and inside not in (folder / path).resolve().parents:
                raise FormatError(f"{folder} refers to an array outside of itself: {path!r}")
            self._found[path] = node_at(folder / path, folder)
        return self._found[path]


def _image(node: Node, shapes: _Arrays, chosen: Chosen) -> Image:
    where, own = str(node.folder), node.attributes.get("chunkvol")
    if isinstance(own, dict) and not node.is_array:
        given = [name for name, value in chosen.items() if value is not None]
        if given:
            raise FormatError(f"{where} has three axes z, y, x and none of {given[0]}: leave --{given[0]} out")
        return image_of_record(own, shapes, where)
    if is_image(node):
        return image_of_multiscales(node.ome, node.zarr, shapes, chosen, where)
    names = node.document.get("dimension_names") or node.attributes.get("_ARRAY_DIMENSIONS")
    known = names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None
    return plain_image("", node.shape, known, chosen, where)


def _from_level(image: Image, path: str) -> Image:
    """The image without the levels that are finer than the one at a path."""
    at = [level.path for level in image.levels].index(path)
    return replace(image, levels=image.levels[at:])


def _volume(node: Node, image: Image, arrays: _Arrays, *, keep_phi: bool) -> Volume:
    identity = node.fingerprint if image.complete else _fingerprint(node, image, arrays)
    known = image.metadata if keep_phi else image.metadata.deidentified()
    metadata = replace(known, source=image.metadata.source or identity, pyramid=_method(node, image))
    finest, *rest = (
        Volume(
            array_source(arrays.node(level.path), image.picked, identity, strict=image.complete),
            level.geometry,
            _of_level(metadata, level, image.method),
        )
        for level in image.levels
    )
    return replace(finest, coarser=tuple(rest))


def _fingerprint(node: Node, image: Image, arrays: _Arrays) -> str:
    """Of a store that does not say what it was made of: all its metadata, what is picked, and some of its voxels."""
    finest = arrays.node(image.levels[0].path)
    parts = [node.fingerprint, *(arrays.node(level.path).fingerprint for level in image.levels), repr(image.picked)]
    return hashlib.sha256("\n".join([*parts, sample_of(finest.folder)]).encode()).hexdigest()


def _method(node: Node, image: Image) -> str:
    """How the coarser levels were made, where that is a way that chunkvol knows; labels are made by their mode."""
    row = kernels.REDUCERS.get(image.method)
    if row is not None and row.nested:
        return image.method
    return "mode" if "image-label" in node.ome or KEY in image.metadata.extra else ""


def _of_level(metadata: Metadata, level: Level, method: str) -> Metadata:
    """The metadata with the step that made a coarser level, where the store says which, and what is not known of it."""
    if level.problems:
        metadata = replace(metadata, assumed=True, problems=(*metadata.problems, *level.problems))
    return metadata if max(level.factors) <= 1 else metadata.with_step(reduction_step(level.factors, method))
