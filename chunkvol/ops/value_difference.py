"""How the real values of two volumes of one shape differ, voxel by voxel, in bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol import memory, system
from chunkvol.errors import BudgetError
from chunkvol.geometry.grid import Triple
from chunkvol.kernels.tiles import SLACK, TILE, Buffer, tiles
from chunkvol.memory import Terms
from chunkvol.ops.pairs import Pair, block_for, read_pairs, readable
from chunkvol.progress import Progress
from chunkvol.regions import Shape, voxels
from chunkvol.sources import Block
from chunkvol.volume import Volume

_SCRATCH = 8 * TILE + SLACK
"""Bytes of the temporaries of one tile."""
_EXACT = 2.0**62
"""Below it the distance of two 64-bit integers is found without rounding."""
_DIGITS = 12
"""Of the mean: more of them would depend on the order in which blocks are added up."""

Reals = npt.NDArray[np.float64]

__all__ = ["ValueDifference", "value_difference"]


@dataclass(frozen=True, slots=True)
class ValueDifference:
    """How far real values are apart; NaN equals NaN, and an infinite value equals itself."""

    voxels: int
    """How many were compared: all of them."""
    differing: int
    """Voxels whose values differ by a finite number."""
    nonfinite: int
    """Voxels whose difference is no finite number: one is NaN or infinite and the other something else, or they are
    further apart than double precision reaches; the other figures leave them out."""
    largest: float
    """Largest absolute difference, 0 where there is none."""
    mean: float
    """Mean absolute difference of all voxels but the `nonfinite`, to 12 digits."""
    index: Shape | None
    """The first voxel (k, j, i) of a with the largest difference; None where nothing differs."""
    point: Triple | None
    """Its place in a's world, LPS mm (x, y, z)."""
    values: tuple[float, float] | None
    """What a and b hold there."""

    def within(self, tolerance: float) -> bool:
        """Whether no voxel differs by more."""
        return not self.nonfinite and self.largest <= tolerance

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; the index in x, y, z order. A mean that leaves double precision is null."""
        return {
            "voxels": self.voxels,
            "differing": self.differing,
            "nonfinite_differing": self.nonfinite,
            "largest": self.largest,
            "mean": self.mean if math.isfinite(self.mean) else None,
            "index": None if self.index is None else list(self.index[::-1]),
            "point": None if self.point is None else list(self.point),
            "values": None if self.values is None else list(self.values),
        }


def value_difference(a: Volume, b: Volume, *, budget: int, progress: Progress) -> ValueDifference:
    """Compare the real values of two volumes of one shape, each voxel with the one of the same index.

    Values are `slope * stored + intercept` in double precision, whatever the stored types; 64-bit integers without a
    slope are compared exactly. What cannot be read in any order, or would be decoded many times over, is first copied
    to the system's temporary folder (TMPDIR sets another).

    Parameters
    ----------
    a, b
        Of one shape; where their grids differ, the world is a's.
    budget
        Bytes that the process may hold.
    progress
        Told about stages and bytes.

    Raises
    ------
    BudgetError
        Nothing fits the budget; the message names the smallest that would.
    DiskError
        The temporary folder does not hold the copies.
    """
    for one in (a, b):
        one.source.preload()
    room = Terms(1, budget, system.resident_memory()).room
    tally = _Tally(a, b)
    try:
        with readable((a.source, b.source), room, _SCRATCH, progress) as pair:
            _compare(pair, block_for(pair, room, _SCRATCH), tally, progress)
    except BudgetError as error:
        raise memory.too_small(budget, error) from error
    return tally.result()


def _compare(pair: Pair, block: Shape, tally: _Tally, progress: Progress) -> None:
    progress.stage("comparing", sum(voxels(one.shape) * one.dtype.itemsize for one in pair))
    for region, mine, theirs in read_pairs(pair, block):
        for tile in tiles(mine.shape, 8):
            tally.add(mine[tile], theirs[tile], [s.start + t.start for s, t in zip(region, tile, strict=True)])
        progress.advance(mine.nbytes + theirs.nbytes)


class _Tally:
    """What is known of the difference so far; tiles may come in any order."""

    def __init__(self, a: Volume, b: Volume) -> None:
        self._a = a
        self._scales = a.metadata.rescale, b.metadata.rescale
        slopes = [(scale.slope, scale.intercept) for scale in self._scales]
        self._alike = slopes[0] == slopes[1]
        integers = a.dtype.kind in "iu" and b.dtype.kind in "iu" and max(a.dtype.itemsize, b.dtype.itemsize) == 8
        self._exact = integers and all(scale.is_identity for scale in self._scales)
        self._buffers: tuple[Buffer, ...] = ()
        self._differing = self._nonfinite = 0
        self._total = self._largest = 0.0
        self._index: Shape | None = None
        self._values: tuple[float, float] | None = None

    def add(self, mine: Block, theirs: Block, first: list[int]) -> None:
        """Take in the stored values of a tile whose first voxel is `first`."""
        if self._alike and np.array_equal(mine, theirs):
            return
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            unequal, distance = self._distance(mine, theirs)
            strange = ~np.isfinite(distance)
            strange &= unequal
            np.copyto(distance, 0, where=~unequal | strange)
            count = int(np.count_nonzero(strange))
            self._nonfinite += count
            self._differing += int(np.count_nonzero(unequal)) - count
            self._total += float(distance.sum())
        self._place(mine, theirs, distance, first)

    def _distance(self, mine: Block, theirs: Block) -> tuple[npt.NDArray[np.bool_], Reals]:
        """Which real values differ, and by how much."""
        a, b = self._real(0, mine), self._real(1, theirs)
        if self._exact:
            unequal = mine != theirs  # numpy compares signed with unsigned integers exactly
            rounded = np.abs(np.subtract(a, b, out=a), out=a)
            return unequal, np.where(rounded < _EXACT, _exact_distance(mine, theirs), rounded)
        unequal = a != b
        unequal &= ~(np.isnan(a) & np.isnan(b))
        return unequal, np.abs(np.subtract(a, b, out=a), out=a)

    def _real(self, n: int, stored: Block) -> Reals:
        """Real values in one of two buffers."""
        if not self._buffers:
            self._buffers = (Buffer(TILE // 8, np.float64), Buffer(TILE // 8, np.float64))
        real: Reals = self._buffers[n].shaped(stored.shape)
        np.copyto(real, stored)
        if not self._scales[n].is_identity:
            real *= self._scales[n].slope
            real += self._scales[n].intercept
        return real

    def _place(self, mine: Block, theirs: Block, distance: Reals, first: list[int]) -> None:
        """Remember the largest difference, and of several the first in C order."""
        at = np.unravel_index(int(distance.argmax()), distance.shape)
        found = float(distance[at])
        k, j, i = (int(start + n) for start, n in zip(first, at, strict=True))
        if found == 0 or found < self._largest:
            return
        if found == self._largest and self._index is not None and self._index < (k, j, i):
            return
        self._largest, self._index = found, (k, j, i)
        a, b = (
            scale.slope * float(one[at]) + scale.intercept
            for scale, one in zip(self._scales, (mine, theirs), strict=True)
        )
        self._values = (a, b)

    def result(self) -> ValueDifference:
        """The figures, when all tiles are in."""
        size = voxels(self._a.shape)
        mean = self._total / max(1, size - self._nonfinite)
        point = None if self._index is None else self._a.geometry.index_to_world(self._index).tolist()
        return ValueDifference(
            size,
            self._differing,
            self._nonfinite,
            self._largest,
            float(f"{mean:.{_DIGITS}g}"),
            self._index,
            None if point is None else (point[0], point[1], point[2]),
            self._values,
        )


def _exact_distance(a: Block, b: Block) -> Reals:
    """Distances of integers, exact where they fit 64 bits: arithmetic that wraps round is exact there."""
    wide = a.astype(np.uint64), b.astype(np.uint64)
    return np.where(a > b, wide[0] - wide[1], wide[1] - wide[0]).astype(np.float64)
