"""Which node of a store is meant: the image of a group, the only one within it, or the one that an array is part of."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from chunkvol.errors import FormatError, InputError
from chunkvol.formats.ome_zarr.nodes import Node, children, holds_node, node_at

_SHOWN = 10
_MOST = 1000
"""Children of a group that are looked at."""
_DEEP = 4
"""Groups within groups, and folders between an image and its arrays."""

__all__ = ["image_within", "is_image", "owner_of"]


def is_image(node: Node) -> bool:
    """Whether a group has an image of its own."""
    return not node.is_array and ("multiscales" in node.ome or isinstance(node.attributes.get("chunkvol"), dict))


def image_within(node: Node, depth: int = 0) -> Node:
    """The image or array that a node is, or the only one that it holds.

    Raises
    ------
    InputError
        It holds several; the message lists them.
    FormatError
        It holds none.
    """
    if node.is_array or is_image(node):
        return node
    paths = _listed(node)
    if paths is None:
        paths = [child.folder.name for child in islice(children(node), _MOST) if _is_candidate(child)]
    if len(paths) > 1:
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        raise InputError(
            f"{node.folder} holds {len(paths)} images: {', '.join(paths[:_SHOWN])}{more}; name one of them, such as "
            f"{node.folder / paths[0]}"
        )
    if not paths or depth == _DEEP:
        raise FormatError(
            f"{node.folder} is a zarr version {node.zarr} group without OME-Zarr multiscales, and no single array or "
            "image lies in it"
        )
    return image_within(node_at(node.folder / paths[0], node.folder), depth + 1)


def _is_candidate(node: Node) -> bool:
    return len(node.shape) > 1 if node.is_array else node.folder.name != "OME"


def _listed(node: Node) -> list[str] | None:
    """The images that a collection names; None where it is none.

    The layout of bioformats2raw (0.4 and 0.5, "bioformats2raw.layout"): the series are listed in the group OME, or
    numbered from 0. Labels (0.4 and 0.5, "labels") are listed by their group.
    """
    ome = node.ome
    if "plate" in ome or "well" in ome:
        kind = "plate" if "plate" in ome else "well"
        raise FormatError(f"{node.folder} is a {kind} of a screen with many images; name one, such as A/1/0 of a plate")
    found = ome.get("labels")
    if "bioformats2raw.layout" in ome:
        inner = node.folder / "OME"
        found = node_at(inner, node.folder).ome.get("series") if holds_node(inner) else None
        if found is None:
            return _numbered(node.folder)
    return [str(path) for path in found if _is_inside(path)] if isinstance(found, list) else None


def _is_inside(path: object) -> bool:
    return isinstance(path, str) and not path.startswith("/") and ".." not in path.split("/")


def _numbered(folder: Path) -> list[str]:
    names: list[str] = []
    while holds_node(folder / str(len(names))):
        names.append(str(len(names)))
    return names


def owner_of(array: Node) -> tuple[Node, str] | None:
    """The image that an array is a level of, and its path there; None where it stands alone."""
    parts: Sequence[Path] = array.folder.parents[:_DEEP]
    for folder in parts:
        if not holds_node(folder):
            continue
        node, path = node_at(folder, folder), array.folder.relative_to(folder).as_posix()
        multiscales = node.ome.get("multiscales")
        first = multiscales[0] if isinstance(multiscales, list) and multiscales else None
        datasets = first.get("datasets") if isinstance(first, dict) else None
        if isinstance(datasets, list) and any(isinstance(one, dict) and one.get("path") == path for one in datasets):
            return node, path
    return None
