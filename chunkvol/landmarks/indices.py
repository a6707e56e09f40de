"""Points among the voxels of a grid: where they lie, in which voxel, and whether the grid sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.geometry import Geometry
from chunkvol.landmarks.points import Landmarks, Points
from chunkvol.volume import Volume

_FACE = 1e-9
"""Voxels beyond a face that rounding may take a point that lies on it."""
SPREAD = tuple(f"uncertainty_{name}_mm" for name in "xyz")
"""Columns of how sharp points are."""
_OWN = ("nearest_i", "nearest_j", "nearest_k", "inside", *SPREAD)
"""Columns that belong to one volume, and are left out elsewhere."""

Flags = npt.NDArray[np.bool_]
"""One for each point, shape (n,)."""

__all__ = [
    "SPREAD",
    "Flags",
    "Indices",
    "flag_column",
    "index_points",
    "place_landmarks",
    "place_points",
    "where_placed",
]


@dataclass(frozen=True, eq=False)
class Indices:
    """Where points lie among the voxels of a grid, in order (i, j, k), as people and other programs have it."""

    fractional: Points
    """Shape (n, 3); integers are voxel centres, NaN is a point that is not placed."""
    nearest: npt.NDArray[np.int64]
    """The voxel that a point lies in, shape (n, 3); -1 where it is not placed. May lie outside, see `inside`."""
    inside: Flags
    """Whether a point lies within the outer faces: each index in [-0.5, n - 0.5]."""

    def listed(self, landmarks: Landmarks) -> Landmarks:
        """The points as indices, to be written as a table: columns i, j, k, nearest_i, nearest_j, nearest_k, inside."""
        placed = landmarks.placed
        nearest = {
            f"nearest_{name}": where_placed(column, placed)
            for name, column in zip("ijk", self.nearest.T.tolist(), strict=True)
        }
        columns = {**landmarks.columns, **nearest, "inside": flag_column(self.inside, placed)}
        return replace(landmarks, points=self.fractional, frame="IJK", columns=columns)


def index_points(landmarks: Landmarks, where: Volume | Geometry) -> Indices:
    """Indices of points in a volume, or on any grid.

    Parameters
    ----------
    landmarks
        In world coordinates, LPS mm.
    where
        A level of a pyramid is a volume of its own.

    Raises
    ------
    InputError
        The points are indices already.
    """
    if landmarks.frame == "IJK":
        raise InputError("the points are voxel indices (ijk) already; place them on their volume first")
    return _indices(_grid(where).world_to_index(landmarks.points), _grid(where))


def place_landmarks(landmarks: Landmarks, where: Volume | Geometry) -> Landmarks:
    """Landmarks that are indices (i, j, k), such as `Indices.listed`, at their places in the world, LPS mm.

    Raises
    ------
    InputError
        They are places already.
    """
    if landmarks.frame != "IJK":
        raise InputError(f"the points are places ({landmarks.frame}) already; indices are stated by columns i, j, k")
    columns = {name: values for name, values in landmarks.columns.items() if name not in _OWN}
    return replace(landmarks, points=place_points(landmarks.points, where), frame="LPS", columns=columns)


def place_points(indices: npt.ArrayLike, where: Volume | Geometry) -> Points:
    """World points (n, 3), LPS mm, of fractional indices (n, 3) in order (i, j, k)."""
    return _grid(where).index_to_world(np.asarray(indices, float).reshape(-1, 3)[:, ::-1])


def _indices(index: Points, grid: Geometry) -> Indices:
    """From fractional indices in order (k, j, i)."""
    fractional = np.ascontiguousarray(index[:, ::-1])
    last = np.array(grid.shape[::-1]) - 1
    within = (fractional >= -0.5 - _FACE) & (fractional <= last + 0.5 + _FACE)
    inside = np.asarray(within[:, 0] & within[:, 1] & within[:, 2], bool)
    placed = np.isfinite(fractional @ np.ones(3))
    nearest = np.floor(np.where(placed[:, None], fractional, -1.0) + 0.5)
    nearest = np.where(inside[:, None], np.clip(nearest, 0, last), nearest)  # the last face is the last voxel's
    return Indices(fractional, nearest.astype(np.int64), inside)


def where_placed(values: Sequence[Any], placed: Flags) -> tuple[Any, ...]:
    """A column with values of points that are placed, None of others."""
    if placed.all():
        return tuple(values)
    return tuple(value if there else None for value, there in zip(values, placed.tolist(), strict=True))


def flag_column(inside: Flags, placed: Flags) -> tuple[int | None, ...]:
    """1 or 0 of each point that is placed."""
    return where_placed(inside.astype(int).tolist(), placed)


def _grid(where: Volume | Geometry) -> Geometry:
    return where.geometry if isinstance(where, Volume) else where
