"""Cells: the boxes in which a source is read, held while the next part of a read may need them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chunkvol.geometry.overlap import Cells, Runs
from chunkvol.ops.reorient import ReorderedSource
from chunkvol.regions import Region, Shape, ceil_div, region_shape, voxels
from chunkvol.sources import Block, CroppedSource, PointwiseSource, Source

_BOX = (16, 16, 256)
"""Voxels of a cell where rows can be read by byte range: small beside a tile, and still runs of 512 bytes."""
_THINNEST = 8
"""Voxels along an axis below which cells are joined, for there would be too many."""

__all__ = ["HeldCells", "cells_bytes", "cells_of", "reads_rows"]


def reads_rows(source: Source) -> bool:
    """Whether any row can be read by itself, as of uncompressed planes and raw files."""
    return source.grain[:2] == (1, 1) and source.grain[2] >= source.shape[2]


def cells_of(source: Source) -> Cells:
    """The boxes in which a source is best read: its chunks, or small boxes where it is read row by row."""
    grain, before = ((1, 1, 1), (0, 0, 0)) if reads_rows(source) else _cut(source)
    least = _BOX if reads_rows(source) else (_THINNEST,) * 3
    k, j, i = (
        min(n + b, ceil_div(most, g) * g) for n, b, g, most in zip(source.shape, before, grain, least, strict=True)
    )
    return Cells(source.shape, (k, j, i), before)


def cells_bytes(cells: Cells, runs: Runs, itemsize: int) -> int:
    """Bytes of the voxels in some cells."""
    size = np.ones(len(runs), np.int64)
    for axis, (first, stop) in enumerate(((0, None), (1, None), (2, 3))):
        low = runs[:, first]
        high = low + 1 if stop is None else runs[:, stop]
        cell, before = cells.cell[axis], cells.before[axis]
        size *= np.minimum(high * cell - before, cells.volume[axis]) - np.maximum(low * cell - before, 0)
    return int(size.sum()) * itemsize


def _cut(source: Source) -> tuple[Shape, Shape]:
    """Voxels that are read together, and how many of the first of them lie before the source."""
    if isinstance(source, PointwiseSource):
        return _cut(source.source)
    if isinstance(source, CroppedSource):
        grain, before = _cut(source.source)
        k, j, i = ((s.start + b) % g for s, b, g in zip(source.region, before, grain, strict=True))
        return grain, (k, j, i)
    if isinstance(source, ReorderedSource):
        grain, before = _cut(source.source)
        cuts = [
            (grain[axis], -(source.source.shape[axis] + before[axis]) % grain[axis] if flip else before[axis])
            for axis, flip in zip(source.axes, source.flips, strict=True)
        ]
        (a, p), (b, q), (c, r) = cuts
        return (a, b, c), (p, q, r)
    return source.grain, (0, 0, 0)


class HeldCells:
    """Cells of a source by their number, each read once while it is needed.

    Parameters
    ----------
    source, cells
        What is read, in which boxes.
    """

    __slots__ = ("_cells", "_free", "_held", "_source")

    def __init__(self, source: Source, cells: Cells) -> None:
        self._source, self._cells = source, cells
        self._held: dict[tuple[int, int, int], Block] = {}
        self._free: list[Block] = []

    def keep(self, runs: Runs) -> None:
        """Drop all cells but these; their memory takes the next ones."""
        kept = {(k, j): (first, stop) for k, j, first, stop in runs.tolist()}
        for key in list(self._held):
            first, stop = kept.get(key[:2], (0, 0))
            if not first <= key[2] < stop:
                self._free.append(_flat(self._held.pop(key)))

    def fetch(self, runs: Runs) -> None:
        """Read those of the cells that are not held, neighbours along i together."""
        for k, j, first, stop in self._missing(runs):
            keys = [(k, j, i) for i in range(first, stop)]
            if len(keys) == 1:
                self._source.read(self._region(*keys[0]), self._new(keys[0]))
                continue
            row = self._region(k, j, first)
            whole = self._source.read((row[0], row[1], self._cells.span(2, first, stop)))
            for key in keys:
                part = self._cells.span(2, key[2], key[2] + 1)
                offset = row[2].start
                np.copyto(self._new(key), whole[:, :, part.start - offset : part.stop - offset])

    def fill(self, block: Block, box: Region, runs: Runs) -> None:
        """Put what the cells hold of a box of the source into a block of its shape; the rest is left as it is."""
        k_at, j_at, i_at = (self._places(axis, part) for axis, part in enumerate(box))
        for k, j, first, stop in runs.tolist():
            to_k, from_k = k_at[k]
            to_j, from_j = j_at[j]
            for i in range(first, stop):
                to_i, from_i = i_at[i]
                block[to_k, to_j, to_i] = self._held[k, j, i][from_k, from_j, from_i]

    def _missing(self, runs: Runs) -> Iterator[tuple[int, int, int, int]]:
        for k, j, first, stop in runs.tolist():
            start = -1
            for i in range(first, stop + 1):
                absent = i < stop and (k, j, i) not in self._held
                if absent and start < 0:
                    start = i
                elif not absent and start >= 0:
                    yield k, j, start, i
                    start = -1

    def _region(self, k: int, j: int, i: int) -> Region:
        span = self._cells.span
        return span(0, k, k + 1), span(1, j, j + 1), span(2, i, i + 1)

    def _new(self, key: tuple[int, int, int]) -> Block:
        """Memory for a cell, which from now on is held."""
        shape = region_shape(self._region(*key))
        flat = self._free.pop() if self._free else np.empty(voxels(self._cells.cell), self._source.dtype)
        self._held[key] = flat[: voxels(shape)].reshape(shape)
        return self._held[key]

    def _places(self, axis: int, part: slice) -> dict[int, tuple[slice, slice]]:
        """For each cell along an axis: where its voxels go in the box, and which of its voxels they are."""
        found = {}
        for number in self._cells.holding(axis, part):
            span = self._cells.span(axis, number, number + 1)
            low, high = max(span.start, part.start), min(span.stop, part.stop)
            found[number] = (slice(low - part.start, high - part.start), slice(low - span.start, high - span.start))
        return found


def _flat(cell: Block) -> Block:
    """All memory of a cell that is not needed any more."""
    base = cell.base
    assert base is not None, "cells are views of flat memory"
    return base
