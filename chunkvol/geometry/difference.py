"""How two grids differ: whether they hold the same voxel centres, and if not, by how much."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.geometry.fields import Overlap, overlap
from chunkvol.geometry.grid import Geometry, Triple
from chunkvol.regions import Shape

Order = tuple[Shape, tuple[bool, bool, bool]]
"""Axes and flips, as `Geometry.reordered` takes them."""

_NOISE = 1e-6
"""Voxels by which one order must bring corners nearer than another to be the better one."""
_IDENTITY: Order = ((0, 1, 2), (False, False, False))

__all__ = ["GridDifference", "Order", "difference"]


@dataclass(frozen=True, slots=True)
class GridDifference:
    """What tells a grid `b` from a grid `a`: axes are compared after `nearest`, and differences are b minus a."""

    same_space: bool
    """Whether both hold the same voxel centres, in whatever order they are stored."""
    nearest: Order
    """The order of b's storage that brings its corners nearest to those of a."""
    shapes: tuple[Shape, Shape]
    """Voxels along (k, j, i) of a, and of b as it is stored."""
    worst_mm: float
    """Largest distance between corners: of the corner voxel centres, or of the outer faces where shapes differ."""
    worst_voxels: float
    """The same in voxels of a, along its finest axis."""
    angle: float
    """Degrees by which b's axes are turned."""
    spacing: Triple
    """Difference of the spacings along a's (k, j, i), mm."""
    shift: Triple
    """World vector (x, y, z) from a's first voxel to the voxel of b that is the first in a's order, mm."""
    right_handed: tuple[bool, bool]
    """Whether the axes i, j, k of a, and those of b as it is stored, are right-handed."""
    overlap: Overlap
    """The part of each field of view that lies in the other one."""

    @property
    def order(self) -> Order | None:
        """Axes and flips that turn b's storage into a's; None where no order gives it a's shape."""
        return self.nearest if self.reordered_shape == self.shapes[0] else None

    @property
    def reordered_shape(self) -> Shape:
        """Voxels of b along a's axes (k, j, i)."""
        k, j, i = (self.shapes[1][axis] for axis in self.nearest[0])
        return k, j, i

    @property
    def stored_alike(self) -> bool:
        """Whether arrays of both lie in memory alike: axes of a single voxel can be turned without moving any."""
        axes, flips = self.nearest
        long = [n for n, axis in enumerate(axes) if self.shapes[1][axis] > 1]
        return self.shapes[0] == self.shapes[1] and all(axes[n] == n and not flips[n] for n in long)

    @property
    def order_text(self) -> str:
        """The axes of b that are a's x, y, z, with a minus sign where they run backwards: "-y, x, z"."""
        axes, flips = self.nearest
        return ", ".join(("-" if flips[n] else "") + "zyx"[axes[n]] for n in (2, 1, 0))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; sizes, spacings and axes in x, y, z order."""
        return {
            "same_space": self.same_space,
            "sizes": [list(shape[::-1]) for shape in self.shapes],
            "order": None if self.order is None else self.order_text.split(", "),
            "worst_corner_mm": self.worst_mm,
            "worst_corner_voxels": self.worst_voxels,
            "angle_degrees": self.angle,
            "spacing_difference": list(self.spacing[::-1]),
            "origin_shift": list(self.shift),
            "right_handed": list(self.right_handed),
            "overlap": [self.overlap.of_a, self.overlap.of_b],
        }


def difference(a: Geometry, b: Geometry, tolerance: float = 1e-4) -> GridDifference:
    """Compare two grids, whatever corner their storage starts from and in whatever order its axes are.

    All 48 orders of b's axes are considered, of which the 24 remain that give it a's handedness: no other one can
    bring all voxels to their places, but where an axis has a single voxel, and there one of these does the same. Of
    orders that bring the corners equally near, as all do for a single voxel, the one wins whose directions agree best.

    Parameters
    ----------
    a, b
        Of any direction, sheared and left-handed ones included.
    tolerance
        Largest distance between corner voxels at which they are the same place, in voxels along a's finest axis.
        Grids are affine, so that no voxel in between is further off than the worst corner. A single voxel has no
        neighbours: its spacing and direction differ without being another place.

    Raises
    ------
    InputError
        The tolerance is negative or no number.
    """
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise InputError(f"the tolerance is a number of voxels, 0 or more, found {tolerance}")
    nearest, worst = _nearest_order(a, b)
    turned, finest = b.reordered(*nearest), min(a.spacing)
    dk, dj, di = (mine - theirs for mine, theirs in zip(turned.spacing, a.spacing, strict=True))
    x, y, z = (mine - theirs for mine, theirs in zip(turned.origin, a.origin, strict=True))
    return GridDifference(
        turned.shape == a.shape and worst <= tolerance * finest,
        nearest,
        (a.shape, b.shape),
        worst,
        worst / finest,
        _angle(a, turned),
        (dk, dj, di),
        (x, y, z),
        (_right_handed(a), _right_handed(b)),
        overlap(a, b),
    )


def _nearest_order(a: Geometry, b: Geometry) -> tuple[Order, float]:
    """The order whose worst corner is nearest, and the distance of that corner, mm."""
    turned = [(order, b.reordered(*order)) for order in _orders(_right_handed(a) == _right_handed(b))]
    fitting = [(order, grid) for order, grid in turned if grid.shape == a.shape]
    if fitting:
        found = [(_worst(a.corners, grid.corners), order, grid) for order, grid in fitting]
    else:
        found = [(_worst(a.corners_of_faces, grid.corners_of_faces), order, grid) for order, grid in turned]
    least = min(distance for distance, _, _ in found) + _NOISE * min(a.spacing)
    ties = [row for row in found if row[0] <= least]
    distance, order, _ = max(ties, key=lambda row: round(_agreement(a, row[2]), 9))
    return order, distance


def _orders(proper: bool) -> Iterator[Order]:
    """The 24 orders that keep the handedness, the identity first, or the 24 that change it."""
    for axes in itertools.permutations(range(3)):
        odd = sum(axes[n] > axes[m] for n, m in ((0, 1), (0, 2), (1, 2)))
        for flips in itertools.product((False, True), repeat=3):
            if ((odd + sum(flips)) % 2 == 0) == proper:
                yield (axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2])


def _worst(mine: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64]) -> float:
    return float(np.linalg.norm(mine - theirs, axis=1).max())


def _agreement(a: Geometry, b: Geometry) -> float:
    """Sum of the cosines between axes; 3 where all are parallel."""
    return float((np.array(a.direction) * np.array(b.direction)).sum())


def _right_handed(geometry: Geometry) -> bool:
    """Of the axes i, j, k, which are the columns in reverse."""
    return bool(np.linalg.det(np.array(geometry.direction)) < 0)


def _angle(a: Geometry, b: Geometry) -> float:
    """Degrees of the rotation that is nearest to what takes a's axes to b's (its polar decomposition: either may be
    sheared)."""
    change = np.array(b.direction) @ np.linalg.inv(np.array(a.direction))
    left, _, right = np.linalg.svd(change)
    turn = left @ right
    sine = math.hypot(turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1])
    return math.degrees(math.atan2(sine, np.trace(turn) - 1))
