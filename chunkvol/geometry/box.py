"""Boxes of any direction in the world, and the voxels of a grid that lie in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.geometry.grid import Geometry, Matrix, Triple
from chunkvol.regions import Region

_SLACK = 1e-6
"""Voxels by which a centre may lie outside and still count: what decimal text and double precision are off by."""
_FARTHEST = float(1 << 31)
"""Voxels from a grid's first at which an index still means something."""

__all__ = ["Box", "region_of", "say_extent"]


@dataclass(frozen=True, slots=True)
class Box:
    """A box along axes of its own; a plane is one of no depth along its third axis, the normal.

    Raises
    ------
    InputError
        A number is not finite, an axis has no length, or a smallest number lies above its largest.
    """

    origin: Triple
    """World point (x, y, z), LPS mm, from which the faces are measured; of a region of Slicer its centre."""
    axes: Matrix
    """Rows are world x, y, z; columns are unit vectors of the box's own x, y, z."""
    low: Triple
    """The faces of smallest own x, y, z, mm from the origin."""
    high: Triple
    """The faces of largest own x, y, z, mm from the origin."""

    def __post_init__(self) -> None:
        numbers = np.array([self.origin, self.low, self.high, *self.axes], dtype=float)
        if not np.isfinite(numbers).all():
            raise InputError(f"a box has finite numbers alone, found {numbers.tolist()}")
        if np.abs(np.linalg.norm(numbers[3:], axis=0) - 1).max() > 1e-6:
            raise InputError(f"the axes of a box are unit vectors in columns, found {self.axes}")
        for name, low, high in zip("xyz", self.low, self.high, strict=True):
            if low > high:
                raise InputError(f"a box goes from {low:g} to {high:g} mm along {name}; turn them round")

    @classmethod
    def between(cls, low: Sequence[float], high: Sequence[float]) -> Box:
        """The box along the axes of the world between two points (x, y, z), LPS mm."""
        if len(low) != 3 or len(high) != 3:
            raise InputError(
                f"a box has three smallest and three largest numbers (x, y, z), found {low!r} and {high!r}"
            )
        (x, y, z), (to_x, to_y, to_z) = map(float, low), map(float, high)
        straight = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
        return cls((0.0, 0.0, 0.0), straight, (x, y, z), (to_x, to_y, to_z))

    @property
    def size(self) -> Triple:
        """Lengths along its own x, y, z, mm."""
        x, y, z = (high - low for low, high in zip(self.low, self.high, strict=True))
        return x, y, z

    @property
    def normal(self) -> Triple:
        """Its own z in the world: of a plane, the way it faces."""
        x, y, z = (row[2] for row in self.axes)
        return x, y, z

    @property
    def corners(self) -> npt.NDArray[np.float64]:
        """World points of the eight corners, LPS mm, shape (8, 3)."""
        ends = np.array([self.low, self.high])
        own = np.array([[ends[a, 0], ends[b, 1], ends[c, 2]] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
        return np.asarray(own @ np.array(self.axes).T + np.array(self.origin))

    def grown(self, margin: float) -> Box:
        """The box with every face `margin` mm further out.

        Raises
        ------
        InputError
            The margin is not finite, or below 0.
        """
        if not (math.isfinite(margin) and margin >= 0):
            raise InputError(f"a margin must be finite and at least 0 mm, found {margin!r}")
        x, y, z = (value - margin for value in self.low)
        to_x, to_y, to_z = (value + margin for value in self.high)
        return replace(self, low=(x, y, z), high=(to_x, to_y, to_z))


def region_of(geometry: Geometry, box: Box) -> Region:
    """The smallest region that holds all voxels of a grid whose centres lie in a box; it may reach beyond the grid.

    Where box and grid are at an angle it also holds voxels that lie outside the box: the region is the bounding box of
    the box in the grid's index. An axis without a centre in it has stop <= start.

    Raises
    ------
    InputError
        The box is more than 2^31 voxels away.
    """
    index = geometry.world_to_index(box.corners)
    if np.abs(index).max() > _FARTHEST:
        raise InputError(f"the box reaches more than 2^31 voxels of {geometry.spacing[::-1]} mm (x, y, z) away")
    starts = np.ceil(index.min(axis=0) - _SLACK)
    ends = np.floor(index.max(axis=0) + _SLACK)
    k, j, i = (slice(int(start), int(end) + 1) for start, end in zip(starts, ends, strict=True))
    return k, j, i


def say_extent(geometry: Geometry) -> str:
    """Where a grid's field of view lies in the world, for people."""
    corners = geometry.corners_of_faces
    low, high = corners.min(axis=0), corners.max(axis=0)
    return ", ".join(f"{name} {a:.6g} to {b:.6g}" for name, a, b in zip("xyz", low, high, strict=True)) + " mm (LPS)"
