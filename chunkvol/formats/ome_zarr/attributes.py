"""Geometry to and from the attributes of an OME-Zarr 0.5 group.

The geometry of record is the `chunkvol` attribute beside `ome`: shape, origin, spacing and direction of every level in
double precision. The `ome` attribute says as much of it as NGFF 0.5 can: scale and translation, and the RFC-4
orientation where the axes are cardinal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chunkvol.errors import DamagedError, FormatError
from chunkvol.geometry import Geometry, axis_codes, cardinal_axes
from chunkvol.geometry.grid import Matrix, Triple
from chunkvol.metadata import Metadata
from chunkvol.regions import Shape

AXES = ("z", "y", "x")
"""NGFF names of the array axes k, j, i."""

_WORLD = {"x": 0, "y": 1, "z": 2}
_ORIENTATIONS = (
    ("left-to-right", "right-to-left"),
    ("posterior-to-anterior", "anterior-to-posterior"),
    ("superior-to-inferior", "inferior-to-superior"),
)
"""RFC-4 values for each LPS world axis, for falling and rising world coordinate."""
_MILLIMETRES = {
    "angstrom": 1e-7,
    "nanometer": 1e-6,
    "micrometer": 1e-3,
    "millimeter": 1.0,
    "centimeter": 10.0,
    "meter": 1e3,
}
_DESCRIPTIONS = {
    "mean": "mean of each block of level 0, rounded once, half to even",
    "stride": "first voxel of each block of level 0",
    "mode": "most frequent value of each block of level 0, the smallest of equals",
    "min": "smallest value of each block of level 0",
    "max": "largest value of each block of level 0",
}

__all__ = ["Image", "Level", "group_json", "image_from_attributes", "viewer_warning"]


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a pyramid."""

    path: str
    """The array's name in the group."""
    geometry: Geometry
    """Its grid."""
    factors: Shape
    """Voxels of level 0 in one voxel, (k, j, i); (0, 0, 0) when the store does not say."""


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


def group_json(image: Image, version: str) -> dict[str, Any]:
    """The `zarr.json` of the group."""
    return {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {"ome": _ome(image), "chunkvol": _chunkvol(image, version)},
    }


def _chunkvol(image: Image, version: str) -> dict[str, Any]:
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


def _ome(image: Image) -> dict[str, Any]:
    method = image.method or "none"
    return {
        "version": "0.5",
        "multiscales": [
            {
                "name": "image",
                "axes": _axes(image.levels[0].geometry),
                "datasets": [_dataset(level, image.levels[0].geometry) for level in image.levels],
                "type": method,
                "metadata": {"method": method, "description": _DESCRIPTIONS.get(method, "")},
            }
        ],
    }


def _axes(geometry: Geometry) -> list[dict[str, Any]]:
    axes: list[dict[str, Any]] = [{"name": name, "type": "space", "unit": "millimeter"} for name in AXES]
    for axis, (world, sign) in zip(axes, cardinal_axes(geometry) or (), strict=False):
        axis["orientation"] = {"type": "anatomical", "value": _ORIENTATIONS[world][sign > 0]}
    return axes


def _dataset(level: Level, base: Geometry) -> dict[str, Any]:
    grid = level.geometry
    if cardinal_axes(base) is not None:
        translation = list(grid.origin[::-1])
    else:
        # Without a direction, levels can only be kept in step along their own axes.
        shift = (base.world_to_index(grid.origin) * base.spacing).tolist()
        translation = [o + s for o, s in zip(base.origin[::-1], shift, strict=True)]
    return {
        "path": level.path,
        "coordinateTransformations": [
            {"type": "scale", "scale": list(grid.spacing)},
            {"type": "translation", "translation": translation},
        ],
    }


def viewer_warning(geometry: Geometry) -> str:
    """What other viewers will do with this direction; empty when they will do right."""
    cardinal = cardinal_axes(geometry)
    if cardinal is None:
        return (
            "the direction is oblique, which OME-Zarr 0.5 cannot hold: chunkvol keeps it in its own attribute, other "
            "viewers (Slicer, neuroglancer, napari) show the volume unrotated"
        )
    if cardinal == ((2, 1), (1, 1), (0, 1)):
        return ""
    return (
        f"the axes x, y, z of this volume run towards {', '.join(axis_codes(geometry))} instead of L, P, S: viewers "
        "that ignore the RFC-4 orientation (neuroglancer, napari) show it unrotated and misplace coarser levels; "
        "--canonical stores it in the order L, P, S"
    )


def image_from_attributes(attributes: dict[str, Any], shapes: Any, where: str) -> Image:
    """What a group says of itself.

    Parameters
    ----------
    attributes
        The group's attributes.
    shapes
        `shapes(path)` gives the shape of an array of the group.
    where
        The store, for messages.

    Raises
    ------
    FormatError
        It is no OME-Zarr 0.5 image with three space axes.
    DamagedError
        Its own attributes contradict each other.
    """
    own = attributes.get("chunkvol")
    if isinstance(own, dict):
        return _own_image(own, shapes, where)
    ome = attributes.get("ome")
    if not isinstance(ome, dict) or not ome.get("multiscales"):
        raise FormatError(f"{where} is a zarr group without OME-Zarr 0.5 multiscales; chunkvol reads OME-Zarr 0.5")
    if ome.get("version") != "0.5":
        raise FormatError(f"{where} is OME-Zarr {ome.get('version')!r}; chunkvol reads version 0.5")
    return _foreign_image(ome["multiscales"][0], shapes, where)


def _own_image(own: dict[str, Any], shapes: Any, where: str) -> Image:
    try:
        levels = tuple(
            Level(
                str(entry["path"]),
                Geometry(
                    tuple(entry["shape"]),
                    tuple(entry["origin"]),
                    tuple(entry["spacing"]),
                    tuple(map(tuple, entry["direction"])),  # type: ignore[arg-type]  # Geometry checks the lengths
                ),
                tuple(entry["factors"]),
            )
            for entry in own["levels"]
        )
        complete = own.get("empty_chunks") == "written"
        image = Image(levels, Metadata.from_json(own["metadata"]), str(own["method"]), complete)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"the chunkvol attribute of {where} is damaged: {error!r}") from error
    for level in image.levels:
        if tuple(shapes(level.path)) != level.geometry.shape:
            raise DamagedError(
                f"array {level.path} of {where} has shape {tuple(shapes(level.path))}, the store's attribute says "
                f"{level.geometry.shape}: the store was changed by another program"
            )
    return image


def _foreign_image(multiscale: dict[str, Any], shapes: Any, where: str) -> Image:
    try:
        axes = multiscale["axes"]
        names = [axis["name"] for axis in axes]
        if sorted(names) != sorted(AXES):
            raise FormatError(f"{where} has axes {', '.join(names)}; chunkvol reads images with axes z, y, x alone")
        direction, stated = _direction(axes)
        unit = [_MILLIMETRES.get(axis.get("unit", ""), math.nan) for axis in axes]
        problems = []
        if any(map(math.isnan, unit)):
            problems.append("the store states no unit of length that is known: millimetres are assumed")
        scale = [1.0 if math.isnan(u) else u for u in unit]
        levels = tuple(
            _foreign_level(entry, multiscale, shapes(entry["path"]), names, scale, direction)
            for entry in multiscale["datasets"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"the multiscales of {where} are not valid OME-Zarr 0.5: {error!r}") from error
    if not stated:
        problems.append("the store states no orientation: axes x, y, z are taken as L, P, S")
    metadata = Metadata(assumed=not stated or any(map(math.isnan, unit)), problems=tuple(problems))
    return Image(levels, metadata, str(multiscale.get("type", "")), complete=False)


def _direction(axes: Sequence[dict[str, Any]]) -> tuple[Matrix, bool]:
    """Direction columns from RFC-4 orientations, or from the axis names; and whether it was stated."""
    matrix = np.zeros((3, 3))
    values = [axis.get("orientation", {}).get("value", "") for axis in axes]
    stated = [
        (world, pair.index(value)) for value in values for world, pair in enumerate(_ORIENTATIONS) if value in pair
    ]
    if len(stated) == 3 and len({world for world, _ in stated}) == 3:
        for column, (world, rising) in enumerate(stated):
            matrix[world, column] = 1.0 if rising else -1.0
    else:
        for column, axis in enumerate(axes):
            matrix[_WORLD[axis["name"]], column] = 1.0
    rows = tuple((float(r[0]), float(r[1]), float(r[2])) for r in matrix)
    return (rows[0], rows[1], rows[2]), len(stated) == 3


def _foreign_level(
    entry: dict[str, Any],
    multiscale: dict[str, Any],
    shape: Sequence[int],
    names: Sequence[str],
    unit: Sequence[float],
    direction: Matrix,
) -> Level:
    scale, translation = np.ones(3), np.zeros(3)
    for transform in [*entry["coordinateTransformations"], *multiscale.get("coordinateTransformations", [])]:
        if transform["type"] == "scale":
            scale *= np.array(transform["scale"], dtype=float)
            translation *= np.array(transform["scale"], dtype=float)
        elif transform["type"] == "translation":
            translation += np.array(transform["translation"], dtype=float)
    origin = np.zeros(3)
    for name, value, mm in zip(names, translation, unit, strict=True):
        origin[_WORLD[name]] = value * mm
    spacing: Triple = tuple(float(v) for v in scale * unit)  # type: ignore[assignment]  # three axes
    return Level(str(entry["path"]), Geometry(tuple(shape), tuple(origin), spacing, direction), (0, 0, 0))  # type: ignore[arg-type]  # Geometry checks the lengths
