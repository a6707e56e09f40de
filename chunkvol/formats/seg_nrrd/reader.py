"""Opening a .seg.nrrd file: a label volume on its own, often cropped grid, with its segments in the metadata."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from chunkvol.errors import FormatError, InputError
from chunkvol.formats.nrrd.header import NrrdHeader, read_fields
from chunkvol.formats.nrrd.reader import is_nrrd, volume_of
from chunkvol.formats.seg_nrrd.keys import is_segmentation, segmentation_of
from chunkvol.formats.seg_nrrd.layers import ComposedSource, LayerSource, SegmentSource
from chunkvol.geometry import Geometry
from chunkvol.metadata import Metadata
from chunkvol.progress import Progress
from chunkvol.segments import KEY, Segment, Segmentation
from chunkvol.sources import Source
from chunkvol.volume import Volume

__all__ = ["is_seg_nrrd", "open_seg_nrrd", "segment_volume"]


def is_seg_nrrd(path: Path) -> bool:
    """Whether a file is NRRD whose header speaks of segments."""
    if not is_nrrd(path):
        return False
    try:
        return is_segmentation(read_fields(path)[1])
    except FormatError:
        return False  # the reader of NRRD says best what is wrong


def open_seg_nrrd(path: Path, progress: Progress, *, segment: str = "") -> Volume:
    """A lazy label volume of a segmentation, or with `segment` the mask of one.

    Axes (k, j, i). With one layer voxels are the labels of the file; with several, whose segments may overlap, they
    are composite labels (`chunkvol.segments`). The segments stand in `metadata.extra["segmentation"]`.

    Raises
    ------
    FormatError
        The header is broken, or speaks of layers that are not there.
    InputError
        There is no such segment, or so many layers that only one segment can be read at a time.
    """
    fields, keys, text = read_fields(path)
    fields, layers = _without_list(fields, path)
    volume = volume_of(NrrdHeader(path, fields, keys, text))
    segmentation = segmentation_of(keys, layers, str(path))
    if volume.dtype.kind not in "iu":
        raise FormatError(f"{path} holds {volume.dtype.name}; labels are whole numbers: export the segmentation again")
    metadata = replace(volume.metadata, pyramid="mode")
    if layers == 1:
        return segment_volume(volume.source, volume.geometry, metadata, segmentation, segment)
    grid = volume.geometry
    planes, rows, wide = grid.shape
    spacing = (grid.spacing[0], grid.spacing[1], grid.spacing[2])
    geometry = Geometry((planes, rows, wide // layers), grid.origin, spacing, grid.direction)
    if segment:
        # Its own layer alone: whatever the others hold, and however many there are.
        one = segmentation.found(segment)
        layer = LayerSource(volume.source, layers, one.layer)
        return _mask(layer, geometry, metadata, Segmentation((one,)), one)
    if not segmentation.fits:
        raise InputError(
            f"{path} has {len(segmentation.segments)} segments in {layers} layers, too many for one label a voxel; "
            "--segment NAME gives one of them"
        )
    source = ComposedSource(volume.source, segmentation)
    return segment_volume(source, geometry, metadata, segmentation, segment)


def segment_volume(
    source: Source, geometry: Geometry, metadata: Metadata, segmentation: Segmentation, wanted: str
) -> Volume:
    """The labels with their segments, or the mask of the wanted one."""
    if wanted:
        return _mask(source, geometry, metadata, segmentation, segmentation.found(wanted))
    problems = metadata.problems
    if len(segmentation.counts) > 1:
        weights = " + ".join(f"{weight} * layer {n}" for n, weight in enumerate(segmentation.weights))
        problems += (
            f"its segments overlap, so it has {len(segmentation.counts)} layers: a voxel is {weights}; "
            "--segment NAME gives one segment as a mask",
        )
    extra = {**metadata.extra, KEY: segmentation.to_json()}
    return Volume(source, geometry, replace(metadata, extra=extra, problems=problems))


def _mask(source: Source, geometry: Geometry, metadata: Metadata, segmentation: Segmentation, one: Segment) -> Volume:
    """One segment as label 1, which keeps its name and colour and is no more interpolated than all of them."""
    alone = Segmentation((replace(one, layer=0, value=1),))
    step = metadata.with_step(f"segment {one.id} ({one.name})")
    made = replace(step, stored_range=(0, 1), extra={**metadata.extra, KEY: alone.to_json()})
    return Volume(SegmentSource(source, segmentation, one.layer, one.value), geometry, made)


def _without_list(fields: dict[str, str], path: Path) -> tuple[dict[str, str], int]:
    """The fields of a volume whose rows hold all layers of each voxel, and how many layers there are.

    Slicer puts layers on the fastest axis, of kind list, without a space direction.
    """
    if fields.get("dimension") != "4":
        return fields, 1
    sizes, kinds = fields.get("sizes", "").split(), fields.get("kinds", "").split()
    directions = fields.get("spacedirections", "")
    if len(sizes) != 4 or not all(n.isdecimal() for n in sizes) or not directions.lower().startswith("none"):
        raise FormatError(f"{path} has 4 axes, and the first is no list of layers: export the segmentation again")
    layers, columns, *rest = (int(n) for n in sizes)
    if layers < 1:
        raise FormatError(f"{path} has no layer: export the segmentation again")
    changed = {
        "dimension": "3",
        "sizes": " ".join(map(str, (layers * columns, *rest))),
        "spacedirections": directions[4:].strip(),
        "kinds": " ".join(kinds[1:]),
    }
    gone = ("centers", "thicknesses", "axismins", "axismaxs", "labels", "units", "spacings")
    return {name: value for name, value in {**fields, **changed}.items() if name not in gone}, layers
