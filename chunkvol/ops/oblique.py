"""Resampling onto a grid that lies askew in the source: each block reads only what it meets of the source.

A read goes through its region in layers, and through each layer in tiles. A tile needs a box of the source, which is
put together from cells (chunks, bricks, or boxes of rows), smoothed along each axis where the method asks for it, and
sampled. Cells are read when the first tile needs them and dropped when the rest of the region is past them: a read
fetches each cell once, and holds those that one layer meets. Nothing of this shows in the bytes, since every value is
made of the same voxels in the same order, whatever lies around them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.geometry import Mapping
from chunkvol.geometry.grid import Triple
from chunkvol.geometry.overlap import Cells, Runs, met, needed, overlap_voxels, source_box
from chunkvol.kernels.resampling import (
    Taps,
    filter_axis,
    filter_scratch,
    load_kernels,
    sample,
    sample_reach,
    sample_scratch,
    smoothing_taps,
)
from chunkvol.kernels.rounding import to_dtype
from chunkvol.kernels.tiles import SLACK, Buffer
from chunkvol.ops.bricks import BrickedSource, brick_cells, bricked, bricks_bytes
from chunkvol.ops.cells import HeldCells, cells_of, reads_rows
from chunkvol.ops.tiling import Tiling
from chunkvol.regions import Region, Shape, ceil_div, intersection, region_shape, voxels, whole
from chunkvol.sources import Block, DerivedSource, Source

_COLUMN = (16, 32, 8)
"""Voxels of the columns, the last along themselves, in which a box is smoothed where it is needed."""
_USUAL = (192, 192)
"""Planes and rows of a block, for judging how often a source would be read."""
_OFTEN = 3
"""Times that a source may be read before it is copied first."""
_CACHED = 256 << 20
"""Bytes of a file that the system keeps in memory, however often it is read."""

__all__ = ["ObliqueSource"]

_smoothing = lru_cache(maxsize=16)(smoothing_taps)
"""Tables are made once, since every read needs them."""


@dataclass(frozen=True)
class ObliqueSource(DerivedSource):
    """Values of another source at the voxels of any grid."""

    source: Source
    """The voxels there are."""
    mapping: Mapping
    """From voxels of the result to those of the source."""
    shape: Shape
    """Voxels of the result."""
    method: str
    """Of `kernels.resampling.METHODS`."""
    antialias: bool
    """Whether a coarser result is made of smoothed voxels (not for nearest)."""
    outside: float
    """Value, in stored units, of results whose centre lies beyond the outer faces of the source."""

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # derived here, a field elsewhere
        return self.source.dtype

    @property
    def grain(self) -> Shape:
        """A tile: blocks of whole tiles have least work between them."""
        return self._tiling.tile

    @property
    def whole_planes(self) -> bool:
        return False

    @property
    def rim(self) -> tuple[int, int]:
        """Planes and rows by which the cells that a block meets reach beyond it: the width of a cell from there."""
        width = [size + 2 * far for size, far in zip(self._tiling.cells.cell, self._reach, strict=True)]
        k, j, _ = np.abs(np.linalg.inv(np.array(self.mapping.matrix))) @ width
        return math.ceil(k), math.ceil(j)

    @property
    def region_bytes(self) -> int:
        """Bytes of the source's voxels within the outer faces of the result: what has to be read at least."""
        return math.ceil(overlap_voxels(self.mapping, self.shape, self.source.shape)) * self.dtype.itemsize

    @property
    def stored_bytes(self) -> int:
        share = self.region_bytes / (voxels(self.source.shape) * self.dtype.itemsize)
        return math.ceil(self.source.stored_bytes * min(1.0, share))

    def fetched_bytes(self, block: Shape) -> int:
        """Bytes of all cells that reading all voxels in blocks of this shape fetches: of bricks, where there will be a
        copy. Counted for up to 96 blocks, which are spread over all."""
        return self._tiling.fetched_bytes(block, self.dtype.itemsize)

    def preload(self) -> None:
        self.source.preload()
        smooth = [taps for taps in self._taps if taps is not None]  # made now: they count as part of the program
        load_kernels(self._working if smooth else self.dtype, self.method)

    # ------------------------------------------------------------------------------------------------- reading

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        tiling = self._tiling
        held, work = HeldCells(self.source, tiling.cells), _Work(self, tiling.clipped(block.shape))
        for layer in tiling.layers(region):
            held.keep(needed(self.mapping, layer, self.source.shape, self._reach, tiling.cells))
            for tile in tiling.tiles(layer):
                k, j, i = (slice(s.start - r.start, s.stop - r.start) for s, r in zip(tile, region, strict=True))
                work.make(held, tile, block[k, j, i])
        return block

    # ------------------------------------------------------------------------------------------------- staging

    @property
    def staging_bytes(self) -> int:
        if self._bricks is None:
            return self.source.staging_bytes
        return self.source.staging_bytes + bricks_bytes(self.source, self._bricks)[0]

    def staged(self, folder: Path) -> Source:
        source = self.source.staged(folder)
        if self._bricks is not None:
            source = bricked(source, folder, self._bricks)
        return replace(self, source=source)

    @cached_property
    def _bricks(self) -> Runs | None:
        """The bricks that are copied first; None where the source is read as it is."""
        source = self.source
        if isinstance(source, BrickedSource) or not self._reads_too_often:
            return None
        runs = needed(self.mapping, whole(self.shape), source.shape, self._reach, brick_cells(source))
        written, copied = bricks_bytes(source, runs)
        worth = source.whole_planes or self._touched > copied + 2 * written
        return runs if worth and len(runs) else None

    @property
    def _reads_too_often(self) -> bool:
        source = self.source
        if source.whole_planes:
            return True
        if reads_rows(source) and (not source.stored_bytes or voxels(source.shape) * self.dtype.itemsize <= _CACHED):
            return False
        return self._touched > _OFTEN * self.region_bytes

    @property
    def _touched(self) -> int:
        """Bytes that blocks of usual size fetch from disk without a copy; a part of a row costs the row, or nearly."""
        cells = cells_of(self.source)
        planes, rows, columns = self.shape
        block = (min(planes, _USUAL[0]), min(rows, _USUAL[1]), columns)
        found = self._tiling_of(cells).fetched_bytes(block, self.dtype.itemsize)
        return found * ceil_div(self.source.shape[2], cells.cell[2]) if reads_rows(self.source) else found

    # ------------------------------------------------------------------------------------------ what is needed

    @cached_property
    def _tiling(self) -> Tiling:
        return self._tiling_of(cells_of(self.source) if self._bricks is None else brick_cells(self.source))

    def _tiling_of(self, cells: Cells) -> Tiling:
        return Tiling(self.mapping, self.shape, sample_reach(self.method), self._reach, cells)

    @property
    def _taps(self) -> tuple[Taps | None, Taps | None, Taps | None]:
        """What goes before `sample` along each source axis."""
        k, j, i = (
            _smoothing(self.method, width=width, length=length, antialias=self.antialias)
            for width, length in zip(self.mapping.widths, self.source.shape, strict=True)
        )
        return k, j, i

    @cached_property
    def _reach(self) -> Triple:
        """Source voxels that a value needs on either side, those of the smoothing included."""
        near = sample_reach(self.method)
        k, j, i = (float(near + (0 if taps is None else _radius(taps))) for taps in self._taps)
        return k, j, i

    @property
    def _working(self) -> np.dtype[Any]:
        """Type of smoothed voxels: the rounding of single precision is small beside that of 16 bits."""
        small = self.dtype.itemsize <= 2 or self.dtype == np.float32
        return np.dtype(np.float32 if small else np.float64)

    # -------------------------------------------------------------------------------------------------- memory

    def scratch(self, shape: Shape) -> int:
        tiling, item = self._tiling, self.dtype.itemsize
        tile = tiling.clipped(shape)
        k, j, i = tiling.cells.cell
        run = (k, j, i * tiling.run(tile))
        held = tiling.held(shape) * voxels((k, j, i)) * item
        reading = voxels(run) * item + self.source.scratch(run)
        box = voxels(tiling.box(tile)) * item
        making = max([sample_scratch(self.method, tile), *map(filter_scratch, filter(None, self._taps))])
        return held + box + sum(self._smoothed(tile)) * self._working.itemsize + max(reading, making) + SLACK

    def _smoothed(self, tile: Shape) -> tuple[int, int]:
        """Voxels of the two buffers that take turns while the axes of a box are smoothed."""
        sizes = [voxels(self._tiling.box(tile, smoothed=axis + 1)) for axis, taps in enumerate(self._taps) if taps]
        first, second = (*sizes, 0, 0)[:2]
        return first, second


class _Work:
    """Makes one tile after the other in the same memory.

    Parameters
    ----------
    source
        What is read.
    tile
        The largest one.
    """

    __slots__ = ("_box", "_other", "_smooth", "_source")

    def __init__(self, source: ObliqueSource, tile: Shape) -> None:
        self._source = source
        self._other = to_dtype(np.array([source.outside], float), source.dtype)[0]
        self._box = Buffer(voxels(source._tiling.box(tile)), source.dtype)
        self._smooth = [Buffer(size, source._working) for size in source._smoothed(tile)]

    def make(self, held: HeldCells, tile: Region, out: Block) -> None:
        """Fill `out` with the values of a tile."""
        source = self._source
        near = (source._tiling.near,) * 3
        box = source_box(source.mapping, tile, source.source.shape, near)
        if box is None:
            out[...] = self._other
            return
        wide = self._widened(box)
        runs = met(source.mapping, tile, source._reach, source._tiling.cells, wide)
        held.fetch(runs)
        block = self._box.shaped(region_shape(wide))
        held.fill(block, wide, runs)
        block = self._smoothed(tile, block, wide, box)
        start = [part.start for part in box]
        sample(
            block,
            start,
            source.mapping,
            tile,
            method=source.method,
            shape=source.source.shape,
            outside=source.outside,
            out=out,
        )

    def _widened(self, box: Region) -> Region:
        """The voxels that a box is smoothed from."""
        k, j, i = (
            part if taps is None else taps.needed(part) for part, taps in zip(box, self._source._taps, strict=True)
        )
        return k, j, i

    def _smoothed(self, tile: Region, block: Block, wide: Region, box: Region) -> Block:
        """The block of `wide` voxels smoothed along each axis that asks for it, and cut to the box.

        Only columns that the tile comes near are filtered, which are less than half of them.
        """
        source, turn, now = self._source, 0, list(wide)
        for axis, taps in enumerate(source._taps):
            if taps is None:
                continue
            first, now[axis] = now[axis].start, box[axis]
            result = self._smooth[turn].shaped([part.stop - part.start for part in now])
            for part in self._columns(tile, (now[0], now[1], now[2]), axis):
                here = [slice(s.start - n.start, s.stop - n.start) for s, n in zip(part, now, strict=True)]
                out, here[axis] = result[tuple(here)], slice(None)
                filter_axis(block[tuple(here)], taps.part(part[axis]), axis, start=first, out=out)
            block, turn = result, 1 - turn
        return block

    def _columns(self, tile: Region, box: Region, axis: int) -> Iterator[Region]:
        """The parts of a box that may be needed once it is smoothed along an axis, and along those before it."""
        source = self._source
        near = source._tiling.near
        order = [other for other in range(3) if other != axis] + [axis]
        reach = [near if other <= axis else source._reach[other] for other in order]
        turned = [box[other] for other in order]
        before = [-part.start % size for part, size in zip(turned, _COLUMN, strict=True)]
        volume = [source.source.shape[other] for other in order]
        cells = Cells(tuple(volume), _COLUMN, tuple(before))
        rows, offset = source.mapping.matrix, source.mapping.offset
        seen = Mapping(tuple(rows[other] for other in order), tuple(offset[other] for other in order))
        for a, b, first, stop in met(seen, tile, reach, cells, tuple(turned)).tolist():
            found = cells.span(0, a, a + 1), cells.span(1, b, b + 1), cells.span(2, first, stop)
            cut = intersection(found, tuple(turned))
            k, j, i = (cut[order.index(other)] for other in range(3))
            yield k, j, i


def _radius(taps: Taps) -> int:
    """Voxels that a smoothed one is made of on either side of it, at most."""
    some = taps.weights != 0
    here = np.arange(len(taps.first))
    first = taps.first + some.argmax(axis=1)
    last = taps.first + some.shape[1] - 1 - some[:, ::-1].argmax(axis=1)
    return int(max((here - first).max(), (last - here).max()))
