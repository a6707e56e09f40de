"""Runs: neighbouring planes of a source that are fetched together, since they are decoded together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from chunkvol.regions import Region, region_shape, voxels
from chunkvol.sources import Block, Source

_BAND_BYTES = 4 << 20
"""Source bytes of a run to hold where rows can be read in bands: large reads, still near the processor's caches."""

_DEEP = 4
"""Planes of a run where the source itself fetches planes beyond those it is asked for."""

__all__ = ["HeldRuns", "band_rows", "run_of", "runs"]


def run_of(source: Source) -> int:
    """Planes to fetch at a time, so that what is decoded together is decoded once."""
    return max(source.grain[0], _DEEP) if source.prefers_deep else source.grain[0]


def runs(planes: slice, step: int) -> Iterator[slice]:
    """The planes cut at multiples of `step`, where the runs of the source begin."""
    low = planes.start
    while low < planes.stop:
        high = min(planes.stop, (low // step + 1) * step)
        yield slice(low, high)
        low = high


def band_rows(source: Source, columns: int) -> int:
    """Rows of a run to hold at a time: all where planes are decoded whole."""
    if source.whole_planes:
        return source.shape[1]
    return max(1, source.grain[1], _BAND_BYTES // (run_of(source) * columns * source.dtype.itemsize))


class HeldRuns:
    """A band of some planes by their number; at most two runs are held, each fetched once while it is needed.

    Parameters
    ----------
    rows, columns
        The band.
    ready
        Planes (rows, columns) of it that are already there.
    """

    __slots__ = ("_band", "_memory", "_ready", "_run", "_runs", "_source")

    def __init__(self, source: Source, rows: slice, columns: slice, ready: Mapping[int, Block]) -> None:
        self._source, self._band, self._ready = source, (rows, columns), ready
        self._run = run_of(source)
        self._runs: dict[int, Block] = {}
        self._memory: dict[int, Block] = {}

    def plane(self, k: int, *, beside: int) -> Block:
        """Plane k (rows, columns); the one that is needed beside it stays held."""
        if k in self._ready:
            return self._ready[k]
        run = k // self._run
        if run not in self._runs:
            self._fetch(run, keep=beside // self._run)
        plane: Block = self._runs[run][k - run * self._run]
        return plane

    def _fetch(self, run: int, keep: int) -> None:
        region: Region = (slice(run * self._run, min((run + 1) * self._run, self._source.shape[0])), *self._band)
        shape = region_shape(region)
        if len(self._runs) < 2:
            memory = np.empty(min(self._run, self._source.shape[0]) * shape[1] * shape[2], self._source.dtype)
        else:
            old = next(other for other in self._runs if other != keep)
            del self._runs[old]
            memory = self._memory.pop(old)
        self._memory[run] = memory
        self._runs[run] = self._source.read(region, memory[: voxels(shape)].reshape(shape))
