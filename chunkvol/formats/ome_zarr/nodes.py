"""Nodes of a zarr hierarchy by their metadata files: `zarr.json` in version 3; `.zgroup`, `.zarray`, `.zattrs` in 2."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chunkvol.errors import DamagedError, FormatError

_MARKS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")

__all__ = ["Node", "children", "holds_node", "node_at"]


@dataclass(frozen=True, slots=True)
class Node:
    """A group or an array."""

    folder: Path
    """Where it lies."""
    zarr: int
    """Version of zarr."""
    is_array: bool
    """Else it is a group."""
    document: dict[str, Any]
    """Its own metadata: `zarr.json`, `.zgroup` or `.zarray`."""
    attributes: dict[str, Any]
    """Of the user."""

    @property
    def ome(self) -> dict[str, Any]:
        """The NGFF attributes: a namespace of their own from 0.5 on."""
        found = self.attributes.get("ome")
        return found if isinstance(found, dict) else self.attributes

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an array.

        Raises
        ------
        FormatError
            The node is none, or its shape is no list of lengths.
        """
        found = self.document.get("shape")
        if not self.is_array or not isinstance(found, list) or not all(type(n) is int and n >= 0 for n in found):
            raise FormatError(f"{self.folder} is no zarr array with a shape: {found!r}")
        return tuple(found)

    @property
    def fingerprint(self) -> str:
        """Changes with any of the metadata."""
        content = self.document if self.zarr == 3 else {**self.document, "attributes": self.attributes}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def holds_node(folder: Path) -> bool:
    """Whether a folder holds metadata of zarr."""
    return any((folder / name).is_file() for name in _MARKS)


def node_at(folder: Path, store: Path) -> Node:
    """The node in a folder of a store.

    Raises
    ------
    DamagedError
        Its metadata is missing or no JSON.
    FormatError
        It is no zarr of version 2 or 3.
    """
    if (folder / "zarr.json").is_file():
        return _node_3(folder)
    attributes = _json(folder / ".zattrs") if (folder / ".zattrs").is_file() else {}
    for name, is_array in ((".zarray", True), (".zgroup", False)):
        if (folder / name).is_file():
            return Node(folder, 2, is_array, _json(folder / name), attributes)
    if (folder / ".zattrs").is_file():  # some programs leave .zgroup out
        return Node(folder, 2, False, {}, attributes)
    missing = ".zarray" if (store / ".zgroup").is_file() or (store / ".zattrs").is_file() else "zarr.json"
    raise DamagedError(f"{folder / missing} is missing: {store} is no finished store")


def _node_3(folder: Path) -> Node:
    document = _json(folder / "zarr.json")
    kind, version = document.get("node_type"), document.get("zarr_format")
    if version != 3 or kind not in ("group", "array"):
        raise FormatError(f"{folder / 'zarr.json'} is no group or array of zarr 3: it is {kind!r} of {version!r}")
    attributes = document.get("attributes")
    return Node(folder, 3, kind == "array", document, attributes if isinstance(attributes, dict) else {})


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"{path} is not valid JSON ({error}): the store is damaged") from error
    if not isinstance(data, dict):
        raise DamagedError(f"{path} is not a JSON object: the store is damaged")
    return data


def children(node: Node) -> Iterator[Node]:
    """The nodes right within a group, in the order of their names."""
    for folder in sorted(path for path in node.folder.iterdir() if path.is_dir()):
        if holds_node(folder):
            yield node_at(folder, node.folder)
