"""Bricks: a scratch copy of a volume that can be read in small boxes, made in one pass over its planes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol import system
from chunkvol.errors import DamagedError
from chunkvol.geometry.overlap import Cells, Runs
from chunkvol.regions import Region, Shape, ceil_div, intersection, region_shape, spans, voxels
from chunkvol.sources import Block, Source

_SIDE = 64
"""Rows and columns of a brick."""
_FEWEST = 16
"""Planes of a brick at least: thinner ones would be reads of a few KiB."""
_SLAB_BYTES = 64 << 20
"""Planes that are held while the copy is made."""

__all__ = ["BrickedSource", "brick_cells", "bricked", "bricks_bytes", "bricks_held", "bricks_scratch"]


def brick_cells(source: Source) -> Cells:
    """How the copy of a source is cut."""
    planes, rows, columns = source.shape
    return Cells(source.shape, (min(planes, max(_FEWEST, _step(source)), _SIDE), min(rows, _SIDE), min(columns, _SIDE)))


def bricks_held(source: Source) -> int:
    """Bytes that `bricked` holds while it copies a source."""
    planes = _step(source)
    slab = (planes, *source.shape[1:])
    brick = (planes, *brick_cells(source).cell[1:])
    return (voxels(slab) + 2 * voxels(brick)) * source.dtype.itemsize + source.scratch(slab)


def bricks_scratch(source: Source, shape: Shape) -> int:
    """Bytes that reading a block from the copy of a source holds besides the block."""
    return BrickedSource(Path(), source.shape, source.dtype, brick_cells(source).cell).scratch(shape)


def bricks_bytes(source: Source, runs: Runs | None = None) -> tuple[int, int]:
    """Bytes that making a copy of some bricks, or of all, writes, and those that it reads from the source."""
    cells, item = brick_cells(source), source.dtype.itemsize
    written = fetched = 0
    for part in _slabs(cells, _all(cells) if runs is None else runs):
        planes = _length(cells.span(0, part.k, part.k + 1))
        rows = _length(cells.span(1, part.first, part.stop))
        fetched += planes * (source.shape[1] if source.whole_planes else rows) * source.shape[2] * item
        for j, first, stop in part.rows:
            written += planes * _length(cells.span(1, j, j + 1)) * _length(cells.span(2, first, stop)) * item
    return written, fetched


def bricked(source: Source, folder: Path, runs: Runs | None = None) -> BrickedSource:
    """A copy in bricks, made in one pass over the planes with at most `bricks_held` bytes.

    Parameters
    ----------
    source
        What is copied.
    folder
        Where the file is made; it needs `bricks_bytes`.
    runs
        The bricks that will be read (cells of `brick_cells`, in the order of k); all of them when left out. The others
        are holes, and reading them is an error.
    """
    from dask.base import tokenize

    cells = brick_cells(source)
    copy = BrickedSource(
        folder / f"bricks-{tokenize(source)[:16]}.raw", source.shape, source.dtype, cells.cell, source.fingerprint
    )
    with open(copy.path, "wb") as file:
        file.truncate(voxels(source.shape) * source.dtype.itemsize)
    memory = np.empty(_step(source) * source.shape[1] * source.shape[2], source.dtype)
    with system.opened(copy.path, write=True) as fd:
        for part in _slabs(cells, _all(cells) if runs is None else runs):
            _copy_slab(source, copy, part, fd, memory)
    return copy


@dataclass(frozen=True, slots=True)
class _Slab:
    """The bricks of one layer along k that are copied."""

    k: int
    """Brick along k."""
    rows: tuple[tuple[int, int, int], ...]
    """Brick along j, the first along i, and the one after the last."""

    @property
    def first(self) -> int:
        """The first brick along j."""
        return min(j for j, _, _ in self.rows)

    @property
    def stop(self) -> int:
        """The brick along j after the last."""
        return max(j for j, _, _ in self.rows) + 1


def _all(cells: Cells) -> Runs:
    k, j, i = cells.counts
    at = np.indices((k, j)).reshape(2, -1)
    return np.stack([at[0], at[1], np.zeros(k * j, int), np.full(k * j, i)], axis=1)


def _slabs(cells: Cells, runs: Runs) -> Iterator[_Slab]:
    edges = np.searchsorted(runs[:, 0], np.arange(cells.counts[0] + 1))
    for k, (low, high) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        if high > low:
            rows = runs[low:high, 1:].tolist()
            yield _Slab(k, tuple((j, first, stop) for j, first, stop in rows))


def _copy_slab(source: Source, copy: BrickedSource, part: _Slab, fd: int, memory: Block) -> None:
    """Read some planes at a time, into the same memory; those of one brick lie together in the file."""
    cells, size = copy.cells, source.dtype.itemsize
    slab, rows = cells.span(0, part.k, part.k + 1), cells.span(1, part.first, part.stop)
    for planes in spans(slab.stop, _step(source), slab.start):
        region = (planes, rows, slice(0, source.shape[2]))
        block = source.read(region, memory[: voxels(region_shape(region))].reshape(region_shape(region)))
        for j, first, stop in part.rows:
            js = cells.span(1, j, j + 1)
            band = block[:, js.start - rows.start : js.stop - rows.start]
            for i in range(first, stop):
                data = np.ascontiguousarray(band[:, :, cells.span(2, i, i + 1)])
                inside = (planes.start - slab.start) * data[0].size
                system.pwrite(fd, data.reshape(-1).view(np.uint8).data, copy.first((part.k, j, i)) + inside * size)


def _step(source: Source) -> int:
    """Planes to read at a time."""
    plane = source.shape[1] * source.shape[2] * source.dtype.itemsize
    return max(1, min(_SIDE, source.shape[0], _SLAB_BYTES // plane))


def _length(part: slice) -> int:
    return int(part.stop - part.start)


@dataclass(frozen=True)
class BrickedSource(Source):
    """Voxels in a file of bricks, one after the other along i, then j, then k; those at the ends are cut off."""

    path: Path
    """The file."""
    shape: Shape
    """Voxels along (k, j, i)."""
    dtype: np.dtype[Any]
    """Type of the voxels, native byte order."""
    brick: Shape
    """Voxels of a brick."""
    identity: str = ""
    """Fingerprint of what was copied."""

    @property
    def grain(self) -> Shape:
        return self.brick

    @property
    def whole_planes(self) -> bool:
        return False

    @property
    def cells(self) -> Cells:
        """The bricks."""
        return Cells(self.shape, self.brick)

    @property
    def fingerprint(self) -> str:
        return self.identity

    def first(self, brick: Shape) -> int:
        """The byte of the file at which a brick starts."""
        _, rows, columns = self.shape
        k, j, i = (self.cells.span(axis, n, n + 1) for axis, n in enumerate(brick))
        planes, high = k.stop - k.start, j.stop - j.start
        before = k.start * rows * columns + planes * (j.start * columns + high * i.start)
        return int(before) * self.dtype.itemsize

    def scratch(self, shape: Shape) -> int:
        across = min(self.shape[2], (ceil_div(shape[2], self.brick[2]) + 1) * self.brick[2])
        return self.brick[0] * self.brick[1] * across * self.dtype.itemsize

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        ks, js, is_ = (self.cells.holding(axis, part) for axis, part in enumerate(region))
        with system.opened(self.path) as fd:
            for k in ks:
                for j in js:
                    self._read_row(fd, (k, j), is_, region, block)
        return block

    def _read_row(self, fd: int, row: tuple[int, int], along: range, region: Region, block: Block) -> None:
        """Neighbouring bricks along i lie one after the other: they are one read."""
        span = self.cells.span
        k, j, i = span(0, row[0], row[0] + 1), span(1, row[1], row[1] + 1), span(2, along.start, along.stop)
        shape = region_shape((k, j, i))
        direct = block.flags.c_contiguous and (k, j, i) == region and len(along) == 1
        flat = block.reshape(-1) if direct else np.empty(voxels(shape), self.dtype)
        view = memoryview(flat.view(np.uint8).data)
        if system.pread_into(fd, view, self.first((*row, along.start))) < len(view):
            raise DamagedError(f"{self.path} is cut short: somebody changed this scratch file; run the job again")
        if direct:
            return
        at = 0
        for number in along:
            part = (k, j, span(2, number, number + 1))
            size = math.prod(region_shape(part))
            common = intersection(part, region)
            there = tuple(slice(s.start - r.start, s.stop - r.start) for s, r in zip(common, region, strict=True))
            here = tuple(slice(s.start - r.start, s.stop - r.start) for s, r in zip(common, part, strict=True))
            block[there] = flat[at : at + size].reshape(region_shape(part))[here]
            at += size
