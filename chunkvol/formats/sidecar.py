"""A small JSON file beside images that cannot say where they lie: the whole geometry, which chunkvol reads back.

Beside a file its name and `.json`; in a folder of slices `geometry.json`.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from chunkvol._version import __version__
from chunkvol.errors import DamagedError
from chunkvol.geometry import Geometry
from chunkvol.metadata import Metadata
from chunkvol.segments import KEY

FOLDER_SIDECAR = "geometry.json"
"""Its name within a folder of slices."""

_SLICE = re.compile(r".+_\d{4,}\.(tif|png)")

__all__ = ["FOLDER_SIDECAR", "is_own_stack", "read_sidecar", "sidecar_json", "sidecar_of"]


def sidecar_of(path: Path) -> Path:
    """The sidecar that belongs to a file or to a folder of slices; it need not exist."""
    return path / FOLDER_SIDECAR if path.is_dir() else path.with_name(path.name + ".json")


def is_own_stack(folder: Path) -> bool:
    """True for a folder of slices as they are written here, with their sidecar and nothing that others put there."""
    names = {entry.name for entry in folder.iterdir()} - {FOLDER_SIDECAR, ".DS_Store"}
    return (folder / FOLDER_SIDECAR).is_file() and all(map(_SLICE.fullmatch, names))


def sidecar_json(geometry: Geometry, metadata: Metadata) -> bytes:
    """The content of a sidecar."""
    content = {
        "chunkvol": {
            "schema": 1,
            "version": __version__,
            "axes": "shape, spacing and direction columns in order k, j, i; origin and direction rows in LPS "
            "millimetres x, y, z; an integer index is a voxel centre",
            "shape": list(geometry.shape),
            "origin": list(geometry.origin),
            "spacing": list(geometry.spacing),
            "direction": [list(row) for row in geometry.direction],
            "metadata": metadata.deidentified().to_json(),
        }
    }
    return (json.dumps(content, indent=1) + "\n").encode()


def read_sidecar(path: Path) -> tuple[Geometry, Metadata] | None:
    """What a sidecar says; None where there is none, or a JSON file of another program.

    Raises
    ------
    DamagedError
        It is ours and broken.
    """
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None
    own = found.get("chunkvol") if isinstance(found, dict) else None
    return None if not isinstance(own, dict) else _of(own, path)


def _of(own: dict[str, Any], path: Path) -> tuple[Geometry, Metadata]:
    try:
        grid = Geometry(
            tuple(own["shape"]),
            tuple(own["origin"]),
            tuple(own["spacing"]),
            tuple(map(tuple, own["direction"])),  # type: ignore[arg-type]  # Geometry checks the lengths
        )
        metadata = Metadata.from_json(own["metadata"]).deidentified()
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"{path} is damaged ({error!r}): write it again, or take it away") from error
    return grid, replace(metadata, pyramid="mode") if KEY in metadata.extra else metadata
