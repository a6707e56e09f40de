"""Sweeps: planes of a source passed over once, in order, while results are made of those that are held.

The three filters go in one order for the whole source. Those before the one along k are applied to each source plane
once, when it comes in; what they make of it, or the plane as it is stored, is held until no result needs it any more.
The others are applied to tiles of results, each when its last plane has come in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chunkvol import kernels
from chunkvol.kernels.resampling import Taps, filter_axis, filter_scratch
from chunkvol.kernels.tiles import SLACK, TILE
from chunkvol.ops.order import REAL, Order, Reaches, held_itemsize
from chunkvol.ops.reach import Reach
from chunkvol.ops.runs import run_of, runs
from chunkvol.ops.window import Window
from chunkvol.regions import Region, Shape, region_shape, spans, voxels
from chunkvol.sources import Block, Source

_BAND_BYTES = 4 << 20
"""Bytes of planes to hold where rows can be read in bands: large reads, still near the processor's caches."""
_CHUNKS_BYTES = 32 << 20
"""The same where bands are cut at chunks, since the last chunks of a band are decoded again for the next."""
_RUN_BYTES = 1 << 20
"""Bytes to read at a time where planes are small."""

Tables = tuple[Taps, Taps, Taps]

__all__ = ["Sweep", "sweep_bands", "sweep_scratch"]


@dataclass(frozen=True, slots=True)
class _Sizes:
    """How much a sweep takes at a time; depends on the block that is asked for, and results do not."""

    band: int
    """Source rows to which a band of rows is cut."""
    rows: int
    """Most rows of results in a band."""
    wide: tuple[int, int]
    """Most rows and columns of the source that a band needs."""
    run: int
    """Most source planes to read at a time; runs begin at its multiples."""
    needed: int
    """Most source planes that are needed at all."""
    step: int
    """Source planes to take in at a time, of those that were read."""
    held: Shape
    """Planes, rows and columns that are held."""
    tile: tuple[int, int]
    """Planes and rows of results to make at a time."""
    strip: int
    """Rows to make of a plane that comes in at a time: of results where it is filtered along j, else of the source."""


def _sizes(source: Source, reach: Reaches, order: Order, shape: Shape) -> _Sizes:
    along_k, along_j, along_i = reach
    early, item = 1 in order.before, source.dtype.itemsize
    held_item, columns = held_itemsize(reach, order, item), along_i.widest(shape[2])
    held_columns = shape[2] if 2 in order.before else columns
    row = along_k.span * held_columns * held_item / (along_j.step if early else 1) + source.grain[0] * columns * item
    band = _band(source, along_j.span, row)
    rows = min(shape[1], along_j.longest_band(band))
    wide = (along_j.widest(rows), columns)
    run, needed = max(run_of(source), _RUN_BYTES // (wide[0] * columns * item)), along_k.widest(shape[0])
    width = REAL * max(columns, shape[2])
    strip = min(rows, _tile_rows(along_j, width, late=order.before[:1] == (2,))) if early else TILE // width
    strip = max(1, min(strip, wide[0]))
    step = min(run, max(1, TILE // (width * (along_j.widest(strip) if early else strip)))) if order.before else run
    planes = min(needed, along_k.span - 1 + step + along_k.span // 4)
    tall = min(rows, _tile_rows(along_j, width, late=not early))
    deep = min(shape[0], max(1, TILE // (width * along_j.widest(tall)))) if tall == rows else 1
    return _Sizes(
        band=band,
        rows=rows,
        wide=wide,
        run=run,
        needed=needed,
        step=step,
        held=(planes, rows if early else wide[0], held_columns),
        tile=(deep, tall),
        strip=strip,
    )


def _band(source: Source, span: int, row: float) -> int:
    """Source rows to a band: all where planes are decoded whole, else whole grains, and many for each one repeated."""
    if source.whole_planes:
        return source.shape[1]
    grain = source.grain[1]
    size = _BAND_BYTES if grain == 1 else _CHUNKS_BYTES
    rows = max(1, int(size / row), 4 * (span - 1))
    return max(1, rows // grain) * grain


def _tile_rows(reach: Reach, width: int, *, late: bool) -> int:
    """Rows of results to a tile; where the filter along j is not the first, rows around it are filtered twice."""
    rows = max(1, int(TILE / (width * max(1.0, reach.step))))
    return max(rows, math.ceil(4 * (reach.span - 1) / reach.step)) if late else rows


def sweep_bands(source: Source, reach: Reaches, order: Order, shape: Shape) -> int:
    """Rows of results that are made of one pass over the planes of a block of this shape."""
    rows = _sizes(source, reach, order, shape).rows
    return rows if rows < reach[1].count else shape[1]


def sweep_scratch(source: Source, taps: Tables, reach: Reaches, order: Order, shape: Shape) -> int:
    """Most bytes that sweeps hold while they make a block of this shape, besides the block."""
    size, item = _sizes(source, reach, order, shape), source.dtype.itemsize
    held = voxels(size.held) * held_itemsize(reach, order, item)
    read: Shape = (min(size.run, size.needed), *size.wide)
    raw = voxels(read) * item if order.before else 0
    width = max(size.wide[1], shape[2])
    real = item if all(one.picks is not None for one in reach) else REAL
    coming = size.step * width * (reach[1].widest(size.strip) + size.strip) if order.before else 0
    planes, rows = size.tile
    making = planes * (width * (reach[1].widest(rows) + rows) + 3 * rows * shape[2])
    results = (planes, max(rows, size.strip), shape[2])
    filters = max(_filter_scratch(*one) for one in zip(taps, reach, results, strict=True))
    return held + raw + max(source.scratch(read), real * max(coming, making) + filters) + SLACK


def _filter_scratch(taps: Taps, reach: Reach, results: int) -> int:
    """Bytes that a filter of so many results holds; those in the middle need no less than those at the ends."""
    if reach.picks is not None:
        return 0
    some = min(results, reach.count)
    first = reach.made.start + (reach.count - some) // 2
    return filter_scratch(taps.part(slice(first, first + some)))


# -------------------------------------------------------------------------------------------------------- sweep


class Sweep:
    """Makes blocks of results, all of them inside the source.

    Parameters
    ----------
    shape
        The largest block to be made.
    """

    __slots__ = ("_copies", "_order", "_reach", "_sizes", "_source", "_taps")

    def __init__(self, source: Source, taps: Tables, reach: Reaches, order: Order, shape: Shape):
        self._source, self._taps, self._reach, self._order = source, taps, reach, order
        self._sizes = _sizes(source, reach, order, shape)
        self._copies = [one.picks is not None for one in reach]

    def make(self, results: Region, out: Block) -> None:
        """Fill `out` with a region of results."""
        first = results[1].start
        for rows in self._reach[1].bands(results[1], self._sizes.band):
            self._pass_over((results[0], rows, results[2]), out[:, rows.start - first : rows.stop - first])

    def _pass_over(self, results: Region, out: Block) -> None:
        """Make a band of rows, reading each source plane once."""
        low, high = (ends[results[0]] for ends in (self._reach[0].low, self._reach[0].high))
        held, done = self._window(results), 0
        for planes, block in self._incoming(results):
            room = held.room(planes, keep=int(low[done]))
            if block is None:
                self._source.read((planes, *self._band(results)), room)
            else:
                self._filter_early(results, planes, block, room)
            ready = int(np.searchsorted(high, planes.stop, side="right"))
            self._finish(results, slice(results[0].start + done, results[0].start + ready), held, out[done:ready])
            done = ready

    def _band(self, results: Region) -> tuple[slice, slice]:
        """The source rows and columns that results need."""
        return self._reach[1].needed(results[1]), self._reach[2].needed(results[2])

    # ----------------------------------------------------------------------------------------------- coming in

    def _window(self, results: Region) -> Window:
        before, stored = self._order.before, self._band(results)
        rows, columns = (results[axis] if axis in before else stored[axis - 1] for axis in (1, 2))
        copied = all(self._copies[axis] for axis in before)
        shape = (self._sizes.held[0], rows.stop - rows.start, columns.stop - columns.start)
        return Window(shape, self._source.dtype if copied else np.dtype(np.float64))

    def _incoming(self, results: Region) -> Iterator[tuple[slice, Block | None]]:
        """The source planes that results need, in order; None where they can be read to where they are held."""
        band, most = self._band(results), self._reach[0].needed(results[0])
        deepest = min(self._sizes.run, most.stop - most.start) if self._order.before else 0
        memory = np.empty(voxels(region_shape((slice(0, deepest), *band))), self._source.dtype)
        for part in self._reach[0].stretches(results[0], self._source.grain[0]):
            for planes in runs(part, self._sizes.run):
                if not self._order.before:
                    yield planes, None
                    continue
                shape = region_shape((planes, *band))
                block = self._source.read((planes, *band), memory[: voxels(shape)].reshape(shape))
                for few in spans(planes.stop, self._sizes.step, planes.start):
                    yield few, block[few.start - planes.start : few.stop - planes.start]

    def _filter_early(self, results: Region, planes: slice, block: Block, out: Block) -> None:
        """Filter planes that come in along j or i or both, a strip of rows at a time."""
        rows, columns = self._band(results)
        along_j = 1 in self._order.before
        made = results[1] if along_j else rows
        for strip in spans(made.stop, self._sizes.strip, made.start):
            part = self._reach[1].needed(strip) if along_j else strip
            self._filter(
                block[:, part.start - rows.start : part.stop - rows.start],
                (planes.start, part.start, columns.start),
                (planes, strip, results[2]),
                self._order.before,
                out[:, strip.start - made.start : strip.stop - made.start],
            )

    # ----------------------------------------------------------------------------------------------- going out

    def _finish(self, results: Region, planes: slice, held: Window, out: Block) -> None:
        """Make some planes of a band, a tile at a time."""
        deep, tall = self._sizes.tile
        for k in spans(planes.stop, deep, planes.start):
            for j in spans(results[1].stop, tall, results[1].start):
                place = (slice(k.start - planes.start, k.stop - planes.start), _moved(j, -results[1].start))
                values = self._make_tile(results, (k, j, results[2]), held)
                if all(self._copies):
                    np.copyto(out[place], values)
                else:
                    kernels.to_dtype(values, self._source.dtype, out[place])

    def _make_tile(self, results: Region, tile: Region, held: Window) -> Block:
        planes, (rows, columns) = self._reach[0].needed(tile[0]), self._band(results)
        if 1 in self._order.before:
            part = _moved(tile[1], -results[1].start)
        else:
            rows_needed = self._reach[1].needed(tile[1])
            part, rows = _moved(rows_needed, -rows.start), rows_needed
        first = (planes.start, rows.start, columns.start)
        return self._filter(held.planes(planes)[:, part], first, tile, self._order.after)

    def _filter(
        self, block: Block, first: Shape, results: Region, axes: tuple[int, ...], out: Block | None = None
    ) -> Block:
        """Some results along some axes, in their order, of a block that begins at a source voxel."""
        for axis in axes:
            target = out if axis == axes[-1] else None
            picks = self._reach[axis].picks
            if picks is None:
                taps = self._taps[axis].part(results[axis])
                block = filter_axis(block, taps, axis, start=first[axis], out=target)
            else:
                block = _picked(block, picks[results[axis]] - first[axis], axis)
                if target is not None:
                    np.copyto(target, block)
        return block


def _moved(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


def _picked(block: Block, places: npt.NDArray[np.int64], axis: int) -> Block:
    """The voxels at some places along an axis: a view where these are neighbours."""
    low, count = int(places[0]), len(places)
    if np.array_equal(places, np.arange(low, low + count)):
        return block[(*[slice(None)] * axis, slice(low, low + count))]
    return block.take(places, axis)
