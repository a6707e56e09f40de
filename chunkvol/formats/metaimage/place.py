"""Where a MetaImage header puts the voxels: its keys as a Geometry, and back. LPS millimetres inside, as in ITK."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from chunkvol.errors import GeometryError
from chunkvol.formats.place import Placing
from chunkvol.geometry import Geometry
from chunkvol.regions import Shape

Numbers = npt.NDArray[np.float64]

_UNITS = {"mm": (1, 1), "um": (1, 1000), "cm": (10, 1)}
"""Millimetres in a unit, as a fraction; the units that MetaIO knows."""
_UNSTATED = ("", "?")
_EXACT = 1e-9
_UNIT_LENGTH = 1e-4

__all__ = ["geometry_from_header", "geometry_lines"]


def geometry_from_header(fields: Mapping[str, str], shape: Shape, path: Path) -> Placing:
    """Where the keys put a volume of this shape.

    The rows of TransformMatrix are the directions of the axes i, j, k (ITK's direction matrix transposed); a voxel
    lies at Offset + sum of index * spacing * row, whatever the rows are. Of more axes than three those beyond k are
    left out, of two a plane is made.

    Raises
    ------
    GeometryError
        A number is missing or not finite, the axes do not span space, or the unit is not known.
    """
    axes = int(fields["NDims"])
    spacing, problems = _spacing(fields, axes, path)
    offset = _numbers(fields, "Offset", axes, path)
    matrix = _numbers(fields, "TransformMatrix", axes * axes, path)
    if offset is None:
        problems.append("the header states no Offset: 0, 0, 0 is assumed")
    if matrix is None:
        problems.append("the header states no TransformMatrix: axes along x, y, z are assumed")
    rows = _rows(np.eye(axes) if matrix is None else matrix.reshape(axes, axes), path)
    if axes == 2:
        problems.append("the header has two axes: one plane, to which 1 mm is assumed as the third spacing")
    numerator, denominator = _unit(fields, path)
    spacing = _three(spacing, 0.0) * numerator / denominator
    if axes == 2:
        spacing[2] = 1.0
    origin = _three(np.zeros(axes) if offset is None else offset, 0.0) * numerator / denominator
    try:
        grid = _grid(shape, origin, spacing, rows)
    except GeometryError as error:
        raise GeometryError(f"{path}: {error}") from error
    noted = _oddities(rows)
    if numerator != denominator:
        noted.append("DistanceUnits are not mm: converted (programs built on ITK take the numbers as mm)")
    return Placing(grid, bool(problems), (*problems, *noted))


def _spacing(fields: Mapping[str, str], axes: int, path: Path) -> tuple[Numbers, list[str]]:
    """Along i, j, k ..., and what is assumed; ElementSize stands in for it as in MetaIO."""
    for key in ("ElementSpacing", "ElementSize"):
        found = _numbers(fields, key, axes, path)
        if found is not None:
            return found, []
    return np.ones(axes), ["the header states no ElementSpacing: 1 mm is assumed"]


def _numbers(fields: Mapping[str, str], key: str, count: int, path: Path) -> Numbers | None:
    """Finite numbers; None where the key is missing."""
    text = fields.get(key, "")
    if not text:
        return None
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError:
        values = np.empty(0)
    if len(values) != count or not np.isfinite(values).all():
        raise GeometryError(f"{path}: {key} must be {count} finite numbers, found {text[:80]!r}")
    return values


def _rows(matrix: Numbers, path: Path) -> Numbers:
    """Directions of the axes i, j, k in space, one a row."""
    if len(matrix) > 3:
        if matrix[3:, :3].any() or matrix[:3, 3:].any():
            raise GeometryError(f"{path}: TransformMatrix mixes the axes of space with another one: {matrix.tolist()}")
        return matrix[:3, :3]
    if len(matrix) == 3:
        return matrix
    rows = np.zeros((3, 3))
    rows[:2, :2] = matrix
    rows[2, 2] = 1.0 if np.linalg.det(matrix) >= 0 else -1.0  # right-handed
    return rows


def _three(values: Numbers, fill: float) -> Numbers:
    return np.array([*values[:3], *[fill] * (3 - len(values))])


def _grid(shape: Shape, origin: Numbers, spacing: Numbers, rows: Numbers) -> Geometry:
    """Exactly the header's numbers where rows are unit vectors; else their lengths and signs go to the steps."""
    start = tuple((origin + 0.0).tolist())
    if np.abs(np.linalg.norm(rows, axis=1) - 1).max() <= _EXACT and spacing.min() > 0:
        columns = tuple(map(tuple, (rows[::-1].T + 0.0).tolist()))
        return Geometry(shape, start, tuple(spacing[::-1].tolist()), columns)  # type: ignore[arg-type]  # it checks
    return Geometry.from_steps(shape, start, (rows * spacing[:, None])[::-1] + 0.0)


def _oddities(rows: Numbers) -> list[str]:
    if np.abs(np.linalg.norm(rows, axis=1) - 1).max() <= _UNIT_LENGTH:
        return []
    return ["the rows of TransformMatrix are no unit vectors: their lengths multiply the spacing, as in ITK"]


def _unit(fields: Mapping[str, str], path: Path) -> tuple[int, int]:
    text = fields.get("DistanceUnits", "")
    if text in _UNSTATED:
        return 1, 1
    if text not in _UNITS:
        raise GeometryError(f"{path}: DistanceUnits {text[:40]!r} are not known; they must be {', '.join(_UNITS)}")
    return _UNITS[text]


# ---------------------------------------------------------------------------------------------------- writing


def geometry_lines(geometry: Geometry) -> list[str]:
    """The lines that place a volume, as ITK writes them: LPS, mm, every number to the last bit."""
    rows = np.array(geometry.direction)[:, ::-1].T
    return [
        f"TransformMatrix = {_words(rows.ravel().tolist())}",
        f"Offset = {_words(geometry.origin)}",
        "CenterOfRotation = 0 0 0",
        f"ElementSpacing = {_words(geometry.spacing[::-1])}",
        f"DimSize = {' '.join(map(str, geometry.shape[::-1]))}",
    ]


def _words(values: tuple[float, ...] | list[float]) -> str:
    """The shortest texts that read back as the same doubles; no negative zero."""
    return " ".join(repr(value + 0.0).removesuffix(".0") for value in values)
