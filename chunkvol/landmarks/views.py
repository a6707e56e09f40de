"""What the three planes of a volume through a point look like, as viewers show them: numbers, not yet a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.geometry import Geometry
from chunkvol.geometry.planes import VIEWS, SlicePlane, Vector
from chunkvol.landmarks.crops import read_crops
from chunkvol.regions import Region
from chunkvol.sources import Source

Floats = npt.NDArray[np.float64]

SIDE = 193
"""Pixels along an image; odd, so that the point lies in the middle of one."""
_VOXELS = 48.0
"""Of mean size, that are seen where nothing is said: four pixels each."""
_LETTERS = (("L", "R"), ("P", "A"), ("S", "I"))

__all__ = ["SIDE", "Field", "PointView", "fields", "mean_spacing", "point_views", "usual_size"]


@dataclass(frozen=True)
class Field:
    """A plane along two axes of an array, and which way is right and down where it is shown."""

    axis: int
    """The array axis that leads out of the plane: 0 for k, 1 for j, 2 for i."""
    plane: SlicePlane
    """Rows and columns along the other two axes, turned as viewers show the nearest anatomical plane, no mirror."""

    @property
    def letters(self) -> tuple[str, str]:
        """Where right and down lead to, nearest: L, R, P, A, S or I."""
        return _letter(np.array(self.plane.row)), _letter(np.array(self.plane.column))


@dataclass(frozen=True)
class PointView:
    """One plane through a point."""

    field: Field
    """How it lies."""
    index: int
    """Of the plane of voxels, along the field's axis: the one nearest to the point."""
    image: npt.NDArray[np.float32]
    """Real values, shape (SIDE, SIDE), the point in the middle; NaN outside the volume."""


def fields(grid: Geometry) -> tuple[Field, Field, Field]:
    """The planes along a grid's own axes, axial first where there is one.

    Pixels are square and at right angles: a sheared grid looks as it is.
    """
    steps = grid.affine[:3, :3].T
    found = []
    for axis in range(3):
        down, along = (steps[other] for other in range(3) if other != axis)
        x = along / np.linalg.norm(along)
        y = down - x * (x @ down)
        y = y / np.linalg.norm(y)
        frame = np.eye(4)
        frame[:3, :3] = np.column_stack([x, y, np.cross(x, y)])
        found.append(Field(axis, SlicePlane.framed(frame)))
    first, second, third = sorted(found, key=lambda one: list(VIEWS).index(one.plane.view))
    return first, second, third


def mean_spacing(grid: Geometry) -> float:
    """Side of a cube that is as large as a voxel would be at right angles, mm."""
    return float(math.prod(grid.spacing) ** (1 / 3))


def usual_size(grid: Geometry) -> float:
    """Width of a field where none is said, mm: 48 voxels of mean size."""
    return _VOXELS * mean_spacing(grid)


def point_views(
    source: Source, grid: Geometry, points: Sequence[Vector], size: float
) -> list[tuple[PointView, PointView, PointView]]:
    """The three planes through each point, in the order of `fields`.

    A pixel has the value of the voxel that it lies in. Only these voxels are read, chunk by chunk for all points.

    Parameters
    ----------
    source
        Real values, to be read in any order.
    grid
        Where they lie.
    points
        World points (x, y, z) within the outer faces, LPS mm.
    size
        Width and height of what is seen, mm.

    Raises
    ------
    InputError
        The size is none.
    """
    if not (math.isfinite(size) and size > 0):
        raise InputError(f"the field around a point is a length above 0 mm, found {size}")
    samplings = [_sampling(field, grid, point, size) for point in points for field in fields(grid)]
    seen: list[PointView | None] = [None] * len(samplings)
    for n, block in read_crops(source, [one.box for one in samplings]):
        seen[n] = samplings[n].view(block)
    views = [one for one in seen if one is not None]
    return [(views[n], views[n + 1], views[n + 2]) for n in range(0, len(views), 3)]


@dataclass(frozen=True)
class _Sampling:
    """Which voxel each pixel of a view lies in."""

    field: Field
    corner: Floats
    """Index of the middle of the first pixel, (k, j, i)."""
    right: Floats
    """Index step from a pixel to the next along a row."""
    down: Floats
    """The same along a column."""
    box: Region
    """The voxels, cut to the volume."""

    def view(self, block: npt.NDArray[np.generic]) -> PointView:
        """The image, from the voxels of the box."""
        axis = self.field.axis
        inside = np.ones((SIDE, SIDE), bool)
        at = []
        for other in (other for other in range(3) if other != axis):
            place = _nearest(self._along(other)) - self.box[other].start
            inside &= (place >= 0) & (place < block.shape[other])
            at.append(np.clip(place, 0, block.shape[other] - 1))
        values = np.take(block, 0, axis=axis)[at[0], at[1]]
        image = np.where(inside, values.astype(np.float32), np.float32(np.nan))
        return PointView(self.field, self.box[axis].start, image)

    def _along(self, axis: int) -> Floats:
        """Indices of all pixels along an array axis, shape (SIDE, SIDE)."""
        number = np.arange(SIDE)
        return np.asarray(self.corner[axis] + number[:, None] * self.down[axis] + number * self.right[axis])


def _sampling(field: Field, grid: Geometry, point: Vector, size: float) -> _Sampling:
    index = grid.world_to_index(point)
    plane = min(max(int(_nearest(index)[field.axis]), 0), grid.shape[field.axis] - 1)
    inverse = np.linalg.inv(grid.affine[:3, :3])
    right, down, out = (inverse @ np.array(way) for way in (field.plane.row, field.plane.column, field.plane.normal))
    # Seen at right angles: the point's foot in the plane of voxels.
    foot = index + out * (plane - index[field.axis]) / out[field.axis]
    right, down = right * size / SIDE, down * size / SIDE
    corner = foot - (SIDE // 2) * (right + down)
    ends = np.array([corner + a * right + b * down for a in (0, SIDE - 1) for b in (0, SIDE - 1)])
    low, high = _nearest(ends.min(axis=0)), _nearest(ends.max(axis=0))
    ranges = zip(low.tolist(), high.tolist(), grid.shape, strict=True)
    parts = [slice(min(max(a, 0), n - 1), max(min(b + 1, n), 1)) for a, b, n in ranges]
    parts[field.axis] = slice(plane, plane + 1)
    return _Sampling(field, corner, right, down, (parts[0], parts[1], parts[2]))


def _nearest(index: Floats) -> npt.NDArray[np.intp]:
    """The voxel that an index lies in."""
    return np.floor(index + 0.5).astype(np.intp)


def _letter(way: Vector) -> str:
    axis = int(np.abs(way).argmax())
    return _LETTERS[axis][0 if way[axis] > 0 else 1]
