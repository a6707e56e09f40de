"""What a store says of an image: its levels, how they were made; and our own attribute, the geometry of record.

The `chunkvol` attribute beside the NGFF metadata holds shape, origin, spacing and direction of every level in double
precision, whatever the version of NGFF can say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chunkvol.errors import DamagedError, GeometryError
from chunkvol.geometry import Geometry
from chunkvol.metadata import Metadata
from chunkvol.regions import Shape

__all__ = ["Image", "Level", "Shapes", "image_of_record", "record"]

Shapes = Callable[[str], Sequence[int]]
"""The shape of an array of the group, by its path."""


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a pyramid."""

    path: str
    """The array's name in the group; empty where the node is the array."""
    geometry: Geometry
    """Its grid."""
    factors: Shape
    """Voxels of level 0 in one voxel, (k, j, i); (0, 0, 0) when the store does not say."""
    problems: tuple[str, ...] = ()
    """What is not known of the place of this level alone, a sentence each."""


@dataclass(frozen=True, slots=True)
class Image:
    """What a group's attributes say."""

    levels: tuple[Level, ...]
    """Finest first."""
    metadata: Metadata
    """Rescale and provenance."""
    method: str
    """How the coarser levels were made, or empty."""
    complete: bool = True
    """True where the store says that chunks are written even when they are empty."""
    picked: tuple[int | None, ...] = (None, None, None)
    """For each axis of the arrays None where it is one of space, else the index that was chosen along it."""
    spaced: bool = True
    """False where nothing is said of the spacing."""
    spacing_problem: str = ""
    """What of the spacing is assumed, a sentence; empty where nothing is."""
    direction_problem: str = ""
    """What of the direction is assumed, a sentence; empty where nothing is."""
    notes: tuple[str, ...] = ()
    """What else a user should know, a sentence each."""


def record(image: Image, version: str) -> dict[str, Any]:
    """The `chunkvol` attribute; `version` is that of the program."""
    return {
        "schema": 1,
        "version": version,
        "axes": "arrays, shape, spacing, factors and direction columns in order k, j, i; origin and "
        "direction rows in LPS millimetres x, y, z; an integer index is a voxel centre",
        "method": image.method,
        "empty_chunks": "written",
        "levels": [_level(level) for level in image.levels],
        "metadata": image.metadata.to_json(),
    }


def _level(level: Level) -> dict[str, Any]:
    grid = level.geometry
    return {
        "path": level.path,
        "shape": list(grid.shape),
        "origin": list(grid.origin),
        "spacing": list(grid.spacing),
        "direction": [list(row) for row in grid.direction],
        "factors": list(level.factors),
    }


def image_of_record(own: dict[str, Any], shapes: Shapes, where: str) -> Image:
    """What a `chunkvol` attribute says; `where` is the store, for messages.

    Raises
    ------
    DamagedError
        It is incomplete, or contradicts the arrays.
    GeometryError
        A grid in it has no meaning.
    """
    try:
        levels = tuple(map(_level_of_record, own["levels"]))
        metadata = Metadata.from_json(own["metadata"])
        image = Image(levels, metadata, str(own["method"]), own.get("empty_chunks") == "written")
        if not levels:
            raise ValueError("no levels")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"the chunkvol attribute of {where} is damaged: {error!r}") from error
    except GeometryError as error:
        raise GeometryError(f"the chunkvol attribute of {where} is damaged: {error}") from error
    for level in image.levels:
        found = tuple(shapes(level.path))
        if found != level.geometry.shape:
            raise DamagedError(
                f"array {level.path} of {where} has shape {found}, the store's attribute says "
                f"{level.geometry.shape}: the store was changed by another program"
            )
    return image


def _level_of_record(entry: dict[str, Any]) -> Level:
    grid = Geometry(
        tuple(entry["shape"]),
        tuple(entry["origin"]),
        tuple(entry["spacing"]),
        tuple(map(tuple, entry["direction"])),  # type: ignore[arg-type]  # Geometry checks the lengths
    )
    return Level(str(entry["path"]), grid, tuple(entry["factors"]))
