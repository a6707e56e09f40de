"""Reach: which source voxels the results along one axis are made of, so that work is cut well and promised right."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chunkvol.kernels.resampling import Taps
from chunkvol.regions import ceil_div, spans

_NOISE = 1e-6
"""By which a quotient may exceed a whole number and still be it."""

__all__ = ["Reach", "reach_of"]


@dataclass(frozen=True, eq=False, slots=True)
class Reach:
    """What each result along an axis needs of the source; both ends ascend from result to result."""

    low: npt.NDArray[np.int64]
    """First source voxel that this result or a later one is made of, shape (n,)."""
    high: npt.NDArray[np.int64]
    """One behind the last source voxel that this result or an earlier one is made of, shape (n,)."""
    length: int
    """Source voxels along the axis."""
    made: slice
    """The results between the first and the last one inside the source; empty where none is."""
    taps: float
    """Source voxels that a result is made of, on average."""
    step: float
    """Source voxels from result to result, on average."""
    picks: npt.NDArray[np.int64] | None
    """The source voxel that each result is a copy of, shape (n,); None where any is computed."""

    @property
    def count(self) -> int:
        """Results that are made."""
        return int(self.made.stop - self.made.start)

    @property
    def span(self) -> int:
        """Most neighbouring source voxels that are needed at once for one result; at least 1."""
        return self.widest(1)

    @property
    def rim(self) -> int:
        """Results whose source voxels a block needs besides those that are its own share."""
        return 0 if self.span == 1 else max(0, math.ceil(self.span / self.step - 1 - _NOISE))

    @property
    def used(self) -> int:
        """Source voxels from the first to the last that anything is made of."""
        part = self.needed(self.made)
        return int(part.stop - part.start)

    def inside(self, results: slice) -> slice:
        """The results among these that are made at all; empty where none is."""
        low = max(results.start, self.made.start)
        return slice(low, max(low, min(results.stop, self.made.stop)))

    def needed(self, results: slice) -> slice:
        """The source voxels that some results, all of them made, need; empty where there are none."""
        if results.start >= results.stop:
            return slice(0, 0)
        return slice(int(self.low[results.start]), int(self.high[results.stop - 1]))

    def widest(self, results: int) -> int:
        """Most source voxels that so many neighbouring results need, wherever they are; at least 1."""
        low, high = self.low[self.made], self.high[self.made]
        n = min(results, len(low))
        return max(1, int((high[n - 1 :] - low[: len(low) - n + 1]).max())) if n else 1

    def grains(self, grain: int) -> int:
        """Results in a grain of source voxels, rounded up, at most all."""
        return min(len(self.low), max(1, math.ceil(grain / self.step - _NOISE)))

    def stretches(self, results: slice, grain: int) -> Iterator[slice]:
        """The source voxels that some results need, without whole grains between them that none needs."""
        if results.start >= results.stop:
            return
        low, high = self.low[results], self.high[results]
        cuts = np.flatnonzero(low[1:] // grain > (high[:-1] - 1) // grain) + 1
        for a, b in zip([0, *cuts.tolist()], [*cuts.tolist(), len(low)], strict=True):
            yield slice(int(low[a]), int(high[b - 1]))

    def bands(self, results: slice, size: int) -> Iterator[slice]:
        """Neighbouring results whose first source voxels lie between two multiples of `size`."""
        cuts = (np.flatnonzero(np.diff(self.low[results] // size)) + 1 + results.start).tolist()
        for a, b in zip([results.start, *cuts], [*cuts, results.stop], strict=True):
            yield slice(a, b)

    def longest_band(self, size: int) -> int:
        """Most results of one of `bands`."""
        return int(np.bincount(self.low[self.made] // size, minlength=1).max())

    def fetched(self, grain: int, results: int, *, skips: bool) -> int:
        """Source voxels that are fetched in whole grains while all results are made, so many at a time.

        Parameters
        ----------
        skips
            Whether grains that no result needs are left out, or read with those around them.
        """
        wanted = np.zeros(ceil_div(self.length, grain), bool)
        for part in self.stretches(self.made, grain if skips else self.length):
            wanted[part.start // grain : ceil_div(part.stop, grain)] = True
        sizes = np.full(len(wanted), grain)
        sizes[-1] = self.length - grain * (len(wanted) - 1)
        sums = np.concatenate([[0], np.cumsum(wanted * sizes)])
        parts = [self.needed(self.inside(part)) for part in spans(len(self.low), results)]
        return sum(int(sums[ceil_div(p.stop, grain)] - sums[p.start // grain]) for p in parts)


def reach_of(taps: Taps) -> Reach:
    """The reach of a table of taps."""
    at_all = taps.weights != 0
    first = taps.first + at_all.argmax(axis=1)
    behind = taps.first + at_all.shape[1] - at_all[:, ::-1].argmax(axis=1)
    places = np.flatnonzero(taps.inside)
    made = slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)
    low, high = np.full(len(first), taps.length), np.zeros(len(first), np.int64)
    low[made], high[made] = first[made], behind[made]
    counts = at_all[made].sum(axis=1)
    single = bool(np.all(counts == 1)) and bool(np.all(taps.weights[made].sum(axis=1) == 1))
    return Reach(
        np.minimum.accumulate(low[::-1])[::-1],
        np.maximum.accumulate(high),
        taps.length,
        made,
        float(counts.mean()) if len(counts) else 1.0,
        _step((taps.first + taps.weights @ np.arange(taps.weights.shape[1]))[made], taps.length),
        first if single else None,
    )


def _step(centres: npt.NDArray[np.float64], length: int) -> float:
    """The mean distance of results, without those at the ends, which are held inside the source."""
    n = len(centres)
    if n < 2:
        return float(length)
    skipped = n // 10
    step = float(centres[n - 1 - skipped] - centres[skipped]) / (n - 1 - 2 * skipped)
    return max(step, 1 / n)
