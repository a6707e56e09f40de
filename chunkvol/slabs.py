"""Filling a byte range of a file with a source's voxels in C order, by units that run in any order.

A unit is a range of planes, or of rows of some planes. It owns its bytes alone and writes the same ones each time, so
it may be run twice. Inside, it goes from block to block; the block is what is held in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chunkvol import memory, system
from chunkvol.errors import BudgetError
from chunkvol.memory import MIB
from chunkvol.regions import Extent, Region, Shape, ceil_div, region_shape, spans, voxels, wide_block
from chunkvol.sources import Block, Source

BLOCK_BYTES = 4 * MIB
"""Preferred block: large enough for the disk, small enough for the processor's last cache."""
DEEP_BYTES = 64 * MIB
"""Preferred block of sources that read a rim of planes around each block."""
UNIT_BYTES = 64 * MIB
"""Preferred unit, in bytes of the input or of the output, whichever is more."""
MOST_UNITS = 20_000
"""A graph of more tasks costs more than it brings."""

WIDE_BYTES = 192 * MIB
"""Largest block of sources that repeat planes and rows around it: 250 planes by 250 rows of 1600 columns, 16 bits."""

_DEEP_PLANES = 16
_UNITS_A_WORKER = 4
_WRITE_BACK = MIB

Unit = tuple[slice, slice]
"""Planes and rows; all columns."""
__all__ = [
    "WIDE_BYTES",
    "Cut",
    "Fill",
    "Unit",
    "cut_volume",
    "fill_unit",
    "read_blocks",
    "write_block",
]


@dataclass(frozen=True, slots=True)
class Cut:
    """How a volume is cut into units, and units into blocks."""

    block: Extent
    """Planes and rows held at once."""
    unit: Extent
    """Planes and rows of a unit, multiples of the block's."""

    def units(self, shape: Shape) -> Iterator[Unit]:
        """All units, in C order."""
        for k in spans(shape[0], self.unit[0]):
            for j in spans(shape[1], self.unit[1]):
                yield k, j

    def count(self, shape: Shape) -> int:
        """How many units there are."""
        return ceil_div(shape[0], self.unit[0]) * ceil_div(shape[1], self.unit[1])

    def fetched_bytes(self, source: Source) -> int:
        """Bytes that reading all blocks of a source fetches, or of its copy where it has to be unpacked first."""
        return source.fetched_bytes((*self.block, source.shape[2]))

    def __str__(self) -> str:
        return f"{self.block[0]} planes x {self.block[1]} rows"


@dataclass(frozen=True, slots=True)
class Fill:
    """What all units of a raw file share."""

    source: Source
    """Where the voxels come from."""
    path: Path
    """A file that is long enough already."""
    offset: int
    """Byte of voxel (0, 0, 0)."""
    cut: Cut
    """Units and blocks."""

    @property
    def total(self) -> int:
        """Bytes that all units process together."""
        return voxels(self.source.shape) * self.source.dtype.itemsize


def fill_unit(job: Fill, unit: Unit) -> int:
    """Write the voxels of one unit, little endian; returns their bytes."""
    done = 0
    with system.opened(job.path, write=True) as fd:
        for region, block in read_blocks(job.source, job.cut, unit):
            little = block.astype(block.dtype.newbyteorder("<"), copy=False)
            write_block(fd, little, region, job.source.shape, job.offset, soon=True)
            done += block.nbytes
    return done


def read_blocks(source: Source, cut: Cut, unit: Unit) -> Iterator[tuple[Region, Block]]:
    """The blocks of a unit in C order, all in the same memory: each is valid until the next is asked for."""
    planes, rows = unit
    columns = slice(0, source.shape[2])
    deepest, tallest = (min(b, s.stop - s.start) for b, s in zip(cut.block, unit, strict=True))
    buffer = np.empty(deepest * tallest * columns.stop, source.dtype)
    for k in spans(planes.stop, cut.block[0], planes.start):
        for j in spans(rows.stop, cut.block[1], rows.start):
            region = (k, j, columns)
            shape = region_shape(region)
            yield region, source.read(region, buffer[: voxels(shape)].reshape(shape))


def write_block(fd: int, block: Block, region: Region, shape: Shape, offset: int, *, soon: bool = False) -> None:
    """Write a block at its place in a C-order volume of `shape` that starts at byte `offset`.

    With `soon` the disk starts on large pieces at once, so that the sync at the end has little left (measured: 600
    MB in 1.1 s instead of 1.9 s); scratch files are better left to the page cache.
    """
    block = np.ascontiguousarray(block)
    _, rows, columns = shape
    for at, (k, j, i) in _runs(region, shape):
        data = block[at].reshape(-1).view(np.uint8).data
        start = offset + ((k * rows + j) * columns + i) * block.itemsize
        system.pwrite(fd, data, start)
        if soon and len(data) >= _WRITE_BACK:
            system.write_back_soon(fd, start, len(data))


def _runs(region: Region, shape: Shape) -> Iterator[tuple[tuple[int, ...], Shape]]:
    """The parts of a block that are contiguous in the volume: index in the block, first voxel in the volume."""
    first = (region[0].start, region[1].start, region[2].start)
    planes, rows, columns = region_shape(region)
    if (rows, columns) == shape[1:]:
        yield (), first
    elif columns == shape[2]:
        for k in range(planes):
            yield (k,), (first[0] + k, first[1], first[2])
    else:
        for k in range(planes):
            for j in range(rows):
                yield (k, j), (first[0] + k, first[1] + j, first[2])


# ------------------------------------------------------------------------------------------------ how to cut


def cut_volume(
    source: Source, *, workers: int, room: int, cell: Extent = (1, 1), extra: int = 0
) -> tuple[int, int, Cut]:
    """Workers, bytes that each holds, and the cut that fits `room` bytes.

    Parameters
    ----------
    source
        What will be read; its grain decides along what blocks are cut.
    workers
        Most units at a time.
    room
        Bytes that all of them may hold.
    cell
        Planes and rows that a block holds whole numbers of.
    extra
        Bytes that a unit holds besides its block and the source's scratch.

    Raises
    ------
    BudgetError
        Nothing fits; see `memory.fit`.
    """

    def cost(block: Extent) -> int:
        held: Shape = (*block, source.shape[2])
        return voxels(held) * source.dtype.itemsize + source.scratch(held) + extra

    share = _unit_bytes(source, workers)
    whole, parts = _block_steps(source, share, workers, cell)
    if all(source.rim):  # parts of a grain repeat so much that fewer workers are the better way to save memory
        try:
            count, block = memory.fit(whole, cost, workers=workers, room=room)
        except BudgetError:
            count, block = memory.fit([*whole, *parts], cost, workers=1, room=room)
    else:
        count, block = memory.fit([*whole, *parts], cost, workers=workers, room=room)
    return count, cost(block), Cut(block, _unit(source, block, share))


def _unit_bytes(source: Source, workers: int) -> int:
    """Output bytes of a unit: few enough that all workers have several, enough that a unit is worth its task."""
    out = voxels(source.shape) * source.dtype.itemsize
    work = max(out, source.stored_bytes)
    unit = max(min(UNIT_BYTES, work // (_UNITS_A_WORKER * workers)), MIB, work // MOST_UNITS)
    return max(1, out * unit // work)


def _unit(source: Source, block: Extent, share: int) -> Extent:
    """Whole blocks of about `share` bytes: all rows of some planes, or some rows where planes are larger."""
    planes, rows, columns = source.shape
    row = columns * source.dtype.itemsize
    slab = block[0] * rows * row
    if share >= slab or block[1] >= rows:
        return min(planes, max(1, share // slab) * block[0]), rows
    return block[0], min(rows, max(1, share // (block[0] * block[1] * row)) * block[1])


def _block_steps(source: Source, share: int, workers: int, cell: Extent) -> tuple[list[Extent], list[Extent]]:
    """Blocks from preferred to small: of whole grains, and of parts of a grain."""
    steps: list[Extent] = []
    if all(source.rim):
        steps += _wide_steps(source, workers, cell)
    elif source.prefers_deep:
        out = voxels(source.shape) * source.dtype.itemsize
        steps += _deep_steps(source, min(DEEP_BYTES, out // (2 * workers)), cell)
    grain = _grain(source, cell)
    size = max(1, min(BLOCK_BYTES, share))
    while not steps or steps[-1] != grain:
        steps.append(_grains(source, grain, size))
        if size == 1:
            break
        size //= 2
    return list(dict.fromkeys(steps)), list(_broken(source, grain, cell))


def _grain(source: Source, cell: Extent) -> Extent:
    """The source's grain as planes and rows, in whole cells."""
    planes, rows, _ = source.shape
    high = rows if source.whole_planes else _up(source.grain[1], cell[1])
    return min(planes, _up(source.grain[0], cell[0])), min(rows, high)


def _grains(source: Source, grain: Extent, size: int) -> Extent:
    """Whole grains of at most `size` bytes, at least one: more rows first, then more planes."""
    planes, rows, columns = source.shape
    row = columns * source.dtype.itemsize
    slab = grain[0] * rows * row
    if grain[1] == rows or slab <= size:
        return min(planes, max(1, size // slab) * grain[0]), rows
    return grain[0], min(rows, max(1, size // (grain[0] * grain[1] * row)) * grain[1])


def _wide_steps(source: Source, workers: int, cell: Extent) -> Iterator[Extent]:
    """Blocks of about as many planes as rows, so that little is repeated on any side."""
    planes, rows, columns = source.shape
    row = columns * source.dtype.itemsize
    step = _grain(source, cell)
    size = min(WIDE_BYTES, planes * rows * row // workers)
    while size >= BLOCK_BYTES:
        yield wide_block(source.rim, step, (planes, rows), row, size)
        size //= 2


def _deep_steps(source: Source, size: int, cell: Extent) -> Iterator[Extent]:
    """Blocks of many planes, so that a rim of planes is small beside them; rows are cut to keep them deep."""
    planes, rows, columns = source.shape
    row = columns * source.dtype.itemsize
    least, high = _up(min(planes, _DEEP_PLANES), cell[0]), _grain(source, cell)[1]
    while size >= BLOCK_BYTES:
        if size >= least * rows * row or high == rows:
            yield min(planes, max(1, size // (rows * row * cell[0])) * cell[0]), rows
        else:
            yield min(planes, least), min(rows, max(1, size // (least * high * row)) * high)
        size //= 2


def _broken(source: Source, grain: Extent, cell: Extent) -> Iterator[Extent]:
    """Parts of a grain, which touch some data twice: fewer rows, then fewer planes."""
    planes, rows = grain
    while rows > cell[1] and not source.whole_planes:
        rows = max(1, rows // 2 // cell[1]) * cell[1]
        yield planes, rows
    while planes > cell[0]:
        planes = max(1, planes // 2 // cell[0]) * cell[0]
        yield planes, rows


def _up(n: int, step: int) -> int:
    return ceil_div(n, step) * step
