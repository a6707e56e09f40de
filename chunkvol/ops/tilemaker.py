"""Making the values of one tile after the other: a box of the source is put together, smoothed, and sampled."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from chunkvol.geometry import Mapping
from chunkvol.geometry.grid import Triple
from chunkvol.geometry.overlap import Cells, met, source_box
from chunkvol.kernels.resampling import (
    Taps,
    filter_axis,
    filter_scratch,
    sample,
    sample_reach,
    sample_scratch,
    smoothing_taps,
)
from chunkvol.kernels.rounding import to_dtype
from chunkvol.kernels.tiles import SLACK, Buffer
from chunkvol.ops.cells import HeldCells
from chunkvol.ops.tiling import Tiling
from chunkvol.regions import Region, Shape, intersection, region_shape, voxels
from chunkvol.sources import Block

_COLUMN = (16, 32, 8)
"""Voxels of the columns, the last along themselves, in which a box is smoothed where it is needed."""

Smoothing = tuple[Taps | None, Taps | None, Taps | None]
"""What goes before `sample` along each source axis."""

__all__ = ["Smoothing", "TileMaker", "making_bytes", "reach_of", "smoothing_of", "working_type"]


def smoothing_of(method: str, mapping: Mapping, shape: Shape, *, antialias: bool) -> Smoothing:
    """The filters along (k, j, i) of a source of some shape; made once, since every read needs them."""
    widths = zip(mapping.widths, shape, strict=True)
    k, j, i = (_table(method, width=width, length=length, antialias=antialias) for width, length in widths)
    return k, j, i


_table = lru_cache(maxsize=16)(smoothing_taps)


def reach_of(method: str, smoothing: Smoothing) -> Triple:
    """Source voxels that a value needs on either side of its place, those of the smoothing included."""
    near = sample_reach(method)
    k, j, i = (float(near + (0 if taps is None else _radius(taps))) for taps in smoothing)
    return k, j, i


def working_type(dtype: np.dtype[Any], smoothing: Smoothing) -> np.dtype[Any]:
    """The type of the boxes that are sampled: single precision, once smoothed, where voxels have no more than that."""
    if not any(smoothing):
        return dtype
    return np.dtype(np.float32 if dtype.itemsize <= 2 or dtype == np.float32 else np.float64)


def making_bytes(tiling: Tiling, smoothing: Smoothing, method: str, dtype: np.dtype[Any], tile: Shape) -> int:
    """Most bytes that a `TileMaker` holds, the kernels included."""
    box = voxels(tiling.box(tile)) * dtype.itemsize
    turns = sum(_turns(tiling, smoothing, tile)) * working_type(dtype, smoothing).itemsize
    kernels = [sample_scratch(method, tile), *(filter_scratch(taps) for taps in smoothing if taps)]
    return box + turns + max(kernels) + SLACK


class TileMaker:
    """Makes tiles, one after the other in the same memory.

    Parameters
    ----------
    tiling
        Between the grids.
    smoothing
        Of `smoothing_of`.
    method, outside
        As for `sample`.
    dtype
        Of source and result.
    tile
        The largest one that will be made.
    """

    __slots__ = ("_box", "_method", "_other", "_outside", "_seen", "_smoothing", "_tiling", "_turns")

    def __init__(
        self, tiling: Tiling, smoothing: Smoothing, *, method: str, outside: float, dtype: np.dtype[Any], tile: Shape
    ) -> None:
        self._tiling, self._smoothing, self._method, self._outside = tiling, smoothing, method, outside
        self._other = to_dtype(np.array([outside], float), dtype)[0]
        self._box = Buffer(voxels(tiling.box(tile)), dtype)
        self._turns = [Buffer(size, working_type(dtype, smoothing)) for size in _turns(tiling, smoothing, tile)]
        self._seen = [_permuted(tiling.mapping, _order(axis)) for axis in range(3)]

    def make(self, held: HeldCells, tile: Region, out: Block) -> None:
        """Fill `out` with the values of a tile, whose cells are read where they are not held."""
        tiling = self._tiling
        mapping, shape = tiling.mapping, tiling.cells.volume
        box = source_box(mapping, tile, shape, (tiling.near,) * 3)
        if box is None:
            out[...] = self._other
            return
        wide = self._widened(box)
        runs = met(mapping, tile, tiling.reach, tiling.cells, wide)
        held.fetch(runs)
        block = self._box.shaped(region_shape(wide))
        held.fill(block, wide, runs)
        block = self._smoothed(tile, block, wide, box)
        start = [part.start for part in box]
        sample(block, start, mapping, tile, method=self._method, shape=shape, outside=self._outside, out=out)

    def _widened(self, box: Region) -> Region:
        """The voxels that a box is smoothed from."""
        parts = zip(box, self._smoothing, strict=True)
        k, j, i = (part if taps is None else taps.needed(part) for part, taps in parts)
        return k, j, i

    def _smoothed(self, tile: Region, block: Block, wide: Region, box: Region) -> Block:
        """The block of `wide` voxels smoothed along each axis that asks for it, and cut to the box.

        Only columns that the tile comes near are filtered, which are about half of them.
        """
        turn, now = 0, wide
        for axis, taps in enumerate(self._smoothing):
            if taps is None:
                continue
            first, now = now[axis].start, _replaced(now, axis, box[axis])
            result = self._turns[turn].shaped(region_shape(now))
            for part in self._columns(tile, now, axis):
                k, j, i = (slice(s.start - n.start, s.stop - n.start) for s, n in zip(part, now, strict=True))
                column = block[_replaced((k, j, i), axis, slice(None))]
                filter_axis(column, taps.part(part[axis]), axis, start=first, out=result[k, j, i])
            block, turn = result, 1 - turn
        return block

    def _columns(self, tile: Region, box: Region, axis: int) -> Iterator[Region]:
        """The parts of a box that may be needed once it is smoothed along an axis, and along those before it."""
        tiling, order = self._tiling, _order(axis)
        reach = [tiling.near if other <= axis else tiling.reach[other] for other in order]
        turned = (box[order[0]], box[order[1]], box[order[2]])
        a, b, c = (-part.start % size for part, size in zip(turned, _COLUMN, strict=True))
        volume = tiling.cells.volume
        cells = Cells((volume[order[0]], volume[order[1]], volume[order[2]]), _COLUMN, (a, b, c))
        for row, column, first, stop in met(self._seen[axis], tile, reach, cells, turned).tolist():
            spans = cells.span(0, row, row + 1), cells.span(1, column, column + 1), cells.span(2, first, stop)
            found = intersection(spans, turned)
            k, j, i = (found[order.index(other)] for other in range(3))
            yield k, j, i


def _turns(tiling: Tiling, smoothing: Smoothing, tile: Shape) -> tuple[int, int]:
    """Voxels of the two buffers that take turns while the axes of a box are smoothed."""
    sizes = [voxels(tiling.box(tile, smoothed=axis + 1)) for axis, taps in enumerate(smoothing) if taps]
    first, second = (*sizes, 0, 0)[:2]
    return first, second


def _order(axis: int) -> Shape:
    """The axes with one of them moved to the end."""
    a, b = (other for other in range(3) if other != axis)
    return a, b, axis


def _permuted(mapping: Mapping, order: Shape) -> Mapping:
    """The mapping to a source whose axes are stored in another order."""
    a, b, c = order
    rows, offset = mapping.matrix, mapping.offset
    return Mapping((rows[a], rows[b], rows[c]), (offset[a], offset[b], offset[c]))


def _replaced(region: Region, axis: int, part: slice) -> Region:
    k, j, i = (part if other == axis else old for other, old in enumerate(region))
    return k, j, i


def _radius(taps: Taps) -> int:
    """Voxels that a smoothed one is made of on either side of it, at most."""
    some = taps.weights != 0
    here = np.arange(len(taps.first))
    first = taps.first + some.argmax(axis=1)
    last = taps.first + some.shape[1] - 1 - some[:, ::-1].argmax(axis=1)
    return int(max((here - first).max(), (last - here).max()))
