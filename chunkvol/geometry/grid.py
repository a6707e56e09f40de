"""The grid of a volume: shape, origin, spacing and direction, in double precision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from chunkvol.errors import GeometryError, InputError
from chunkvol.regions import Region, Shape

Triple = tuple[float, float, float]
Matrix = tuple[Triple, Triple, Triple]
Anchor = Literal["centre", "first"]
"""Where the voxel of a reduced grid sits: on its block's centre, or on the block's first voxel."""

_LEAST = 1e-100
"""Millimetres of a spacing: the squares of smaller ones, and of those as much larger, are no numbers any more."""

__all__ = ["Anchor", "Geometry", "Matrix", "Triple"]


@dataclass(frozen=True, slots=True)
class Geometry:
    """Shape, origin, spacing and direction of a regular grid; the affine is derived from them.

    Index tuples are in array order (k, j, i); world points are LPS millimetres (x, y, z), as in DICOM, ITK and
    NRRD. An integer index is a voxel *centre*. Direction columns are unit vectors, not necessarily orthogonal (a
    tilted gantry is a shear), and of either handedness. `numpy.eye(3)` is not the usual direction: it has k, from
    slice to slice, run along x.

    Raises
    ------
    GeometryError
        A number is missing or not finite, a length or spacing is not above 0, or the direction's columns are no unit
        vectors or parallel.

    Notes
    -----
    Other programs have the same grid as follows (files are better opened with `open_volume`).

    - SimpleITK: `steps = (np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()).T[::-1]`, then
      `Geometry.from_steps(image.GetSize()[::-1], image.GetOrigin(), steps)`; its arrays have axes (k, j, i) as here.
      The way back: `SetOrigin(grid.origin)`, `SetSpacing(grid.spacing[::-1])` and
      `SetDirection(np.array(grid.direction)[:, ::-1].ravel())`.
    - nibabel, in RAS and with axes (i, j, k): `lps = np.diag([-1, -1, 1, 1]) @ image.affine`, then
      `Geometry.from_steps(image.shape[::-1], lps[:3, 3], lps[:3, 2::-1].T)`, and the array's `.T`.
    """

    shape: Shape
    """Voxels along (k, j, i)."""
    origin: Triple = (0.0, 0.0, 0.0)
    """World point (x, y, z) of voxel (0, 0, 0), mm."""
    spacing: Triple = (1.0, 1.0, 1.0)
    """Distance between neighbours along (k, j, i), mm."""
    direction: Matrix = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    """Rows are world x, y, z; columns are the unit vectors of the array axes k, j, i."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _lengths(self.shape))
        object.__setattr__(self, "origin", _numbers(self.origin, "origin", "in mm"))
        object.__setattr__(self, "spacing", _numbers(self.spacing, "spacing", "above 0 mm"))
        object.__setattr__(self, "direction", _rows(self.direction))
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise GeometryError(f"a grid needs three lengths of at least 1, found {self.shape}")
        if len(self.origin) != 3 or not all(map(math.isfinite, self.origin)):
            raise GeometryError(f"the origin must be three finite numbers in mm, found {self.origin}")
        if len(self.spacing) != 3 or not all(math.isfinite(s) and s > 0 for s in self.spacing):
            raise GeometryError(f"the spacing must be three finite numbers above 0 mm, found {self.spacing}")
        if not all(_LEAST <= s <= 1 / _LEAST for s in self.spacing):
            raise GeometryError(f"a spacing of {self.spacing} mm (k, j, i) is that of no voxel: is a digit damaged?")
        matrix = np.array(self.direction)
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
            raise GeometryError(f"the direction must be a finite 3 x 3 matrix, found {self.direction}")
        lengths = np.linalg.norm(matrix, axis=0)
        if np.abs(lengths - 1).max() > 1e-6:
            raise GeometryError(f"direction columns must be unit vectors, found lengths {lengths.tolist()}")
        if abs(np.linalg.det(matrix)) < 1e-6:
            raise GeometryError(f"the direction is singular: two axes are parallel in {self.direction}")

    @classmethod
    def from_steps(cls, shape: Sequence[int], origin: Sequence[float], steps: npt.ArrayLike) -> Geometry:
        """A grid from the world step of each array axis: `steps[a]` leads from one voxel to the next along axis a."""
        vectors = np.array(steps, dtype=float)
        if vectors.shape != (3, 3) or not np.isfinite(vectors).all():
            raise GeometryError(f"axis steps must be three finite world vectors, found {vectors.tolist()}")
        spacing = np.sqrt((vectors**2).sum(axis=1))
        if not (spacing > 0).all():
            raise GeometryError(f"the spacing must be above 0 mm on every axis, found {spacing.tolist()} (k, j, i)")
        return cls(tuple(shape), tuple(origin), tuple(spacing), tuple(map(tuple, (vectors / spacing[:, None]).T)))  # type: ignore[arg-type]  # __post_init__ checks the lengths

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """4 x 4 matrix from (k, j, i, 1) to LPS (x, y, z, 1), mm."""
        out = np.eye(4)
        out[:3, :3] = np.array(self.direction) * np.array(self.spacing)
        out[:3, 3] = self.origin
        return out

    @property
    def corners(self) -> npt.NDArray[np.float64]:
        """World points of the eight corner voxel *centres*, shape (8, 3)."""
        last = np.array(self.shape) - 1
        bits = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
        return self.index_to_world(bits * last)

    @property
    def corners_of_faces(self) -> npt.NDArray[np.float64]:
        """World points of the eight corners of the outer faces, half a voxel beyond the centres, shape (8, 3)."""
        bits = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
        return self.index_to_world(bits * np.array(self.shape) - 0.5)

    def index_to_world(self, index: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """World points (..., 3), (x, y, z) in LPS mm, of (fractional) indices (..., 3) in array order (k, j, i).

        A point's bits depend on its index alone. A matrix product would not do: it adds in another order for one point
        than for many (measured: a component in thirty is off by its last bit).

        Raises
        ------
        InputError
            The last axis is not of length 3.
        """
        k, j, i = np.moveaxis(_triples(index, "indices (k, j, i)"), -1, 0)[..., np.newaxis]
        to_k, to_j, to_i, origin = self.affine[:3].T
        return np.asarray(k * to_k + j * to_j + i * to_i + origin)

    def world_to_index(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Fractional indices (..., 3) in array order (k, j, i) of world points (..., 3), (x, y, z) in LPS mm.

        Raises
        ------
        InputError
            The last axis is not of length 3.
        """
        affine = self.affine
        offset = _triples(points, "points (x, y, z)") - affine[:3, 3]
        index = np.linalg.solve(affine[:3, :3], offset.reshape(-1, 3).T).T
        return np.asarray(index, dtype=np.float64).reshape(offset.shape)

    def cropped(self, region: Region) -> Geometry:
        """The grid of the voxels that `region` cuts out: three slices, in array order (k, j, i).

        The lattice goes on beyond the grid: a start below 0 lies before it and does not count from the end.

        Raises
        ------
        InputError
            They are not three slices with a start, a stop and no step.
        GeometryError
            They hold no voxel.
        """
        if len(region) != 3 or not all(_is_plain(part) for part in region):
            raise InputError(f"a grid is cut by three slices with start, stop and no step, found {region!r}")
        start = [s.start for s in region]
        return replace(self, shape=tuple(s.stop - s.start for s in region), origin=tuple(self.index_to_world(start)))

    def coarsened(self, factors: Sequence[int], anchor: Anchor = "centre") -> Geometry:
        """The grid whose voxels are blocks of `factors` voxels, in array order.

        The shape is floor(n / f), as ITK's BinShrink has it: a partial block has no voxel centre on the grid. With
        anchor "centre" the origin moves by (f - 1) / 2 voxels along each axis, with "first" it stays.

        Raises
        ------
        InputError
            There is no such anchor, or the factors are not three whole numbers from 1 to the length of their axis.
        """
        if anchor not in get_args(Anchor):
            raise InputError(f"the anchor is {' or '.join(get_args(Anchor))}, not {anchor!r}")
        if len(_whole(factors)) != 3 or any(f > n for f, n in zip(factors, self.shape, strict=True)):
            raise InputError(f"factors {tuple(factors)} (k, j, i) do not fit a grid of {self.shape}")
        shift = [(f - 1) / 2 if anchor == "centre" else 0.0 for f in factors]
        k, j, i = (n // f for n, f in zip(self.shape, factors, strict=True))
        dk, dj, di = (s * f for s, f in zip(self.spacing, factors, strict=True))
        origin = tuple(self.index_to_world(shift)) if any(shift) else self.origin
        return replace(self, shape=(k, j, i), origin=origin, spacing=(dk, dj, di))

    def refined(self, factors: Sequence[int]) -> Geometry:
        """The grid with `factors` voxels along (k, j, i) where one was; `coarsened` by them it is this one again."""
        _whole(factors)
        k, j, i = (n * f for n, f in zip(self.shape, factors, strict=True))
        dk, dj, di = (s / f for s, f in zip(self.spacing, factors, strict=True))
        first = [-(f - 1) / (2 * f) for f in factors]
        origin = tuple(self.index_to_world(first)) if any(first) else self.origin
        return replace(self, shape=(k, j, i), origin=origin, spacing=(dk, dj, di))

    def reordered(self, axes: Sequence[int], flips: Sequence[bool]) -> Geometry:
        """The grid of the same voxels stored in another order.

        New axis `a` is old axis `axes[a]`, walked backwards where `flips[a]`. Every voxel keeps its world place.
        """
        matrix = np.array(self.direction)[:, list(axes)] * np.where(flips, -1.0, 1.0)
        start = np.zeros(3)
        for axis, flip in zip(axes, flips, strict=True):
            start[axis] = self.shape[axis] - 1 if flip else 0
        return Geometry(
            tuple(self.shape[a] for a in axes),  # type: ignore[arg-type]  # __post_init__ checks the length
            tuple(self.index_to_world(start)),
            tuple(self.spacing[a] for a in axes),  # type: ignore[arg-type]  # as above
            tuple(map(tuple, matrix)),  # type: ignore[arg-type]  # as above
        )

    def is_close(self, other: Geometry, tolerance: float = 1e-4) -> bool:
        """Same shape, and no corner further away than `tolerance` of the finest spacing."""
        if self.shape != other.shape:
            return False
        distance = np.abs(self.corners - other.corners).max()
        return bool(distance <= tolerance * min(self.spacing))


def _lengths(values: Any) -> tuple[int, ...]:
    """Whole numbers, from whatever holds them."""
    try:
        lengths = tuple(int(n) for n in values)
        if lengths == tuple(values):
            return lengths
    except (TypeError, ValueError):
        pass
    raise GeometryError(f"the shape of a grid is three whole numbers (k, j, i), found {_said(values)}")


def _numbers(values: Any, noun: str, which: str) -> tuple[float, ...]:
    try:
        return tuple(float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise GeometryError(f"the {noun} must be three finite numbers {which}, found {_said(values)}") from error


def _rows(values: Any) -> tuple[tuple[float, ...], ...]:
    try:
        return tuple(tuple(float(value) for value in row) for row in values)
    except (TypeError, ValueError) as error:
        raise GeometryError(f"the direction must be a finite 3 x 3 matrix, found {_said(values)}") from error


def _triples(values: npt.ArrayLike, noun: str) -> npt.NDArray[np.float64]:
    """Numbers that come in threes; one number alone would else stand for all three."""
    found = np.asarray(values, dtype=float)
    if found.shape[-1:] != (3,):
        raise InputError(f"{noun} have three numbers along their last axis, found an array of shape {found.shape}")
    return found


def _whole(factors: Sequence[int]) -> Sequence[int]:
    if not isinstance(factors, Sequence | np.ndarray) or any(f != int(f) or f < 1 for f in factors):
        raise InputError(f"factors are whole numbers of at least 1 along (k, j, i), found {factors!r}")
    return factors


def _said(values: object) -> str:
    """In one line."""
    return " ".join(repr(values).split())


def _is_plain(part: object) -> bool:
    return isinstance(part, slice) and None not in (part.start, part.stop) and part.step in (None, 1)
