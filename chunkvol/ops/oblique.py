"""Resampling onto a grid that lies askew in the source: each block reads only what it meets of the source.

A read goes through its region in layers, and through each layer in tiles. A tile needs a box of the source, which is
put together from cells (chunks, bricks, or boxes of rows), smoothed along each axis where the method asks for it, and
sampled. Cells are read when the first tile needs them and dropped when the rest of the region is past them: a read
fetches each cell once, and holds those that one layer meets. Nothing of this shows in the bytes, since every value is
made of the same voxels in the same order, whatever lies around them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.geometry import Mapping
from chunkvol.geometry.grid import Triple
from chunkvol.geometry.overlap import Cells, Runs, needed, overlap_voxels
from chunkvol.kernels.resampling import load_kernels, sample_reach
from chunkvol.ops.bricks import BrickedSource, brick_cells, bricked, bricks_bytes, bricks_held, bricks_scratch
from chunkvol.ops.cells import HeldCells, cells_of, reads_rows
from chunkvol.ops.tilemaker import Smoothing, TileMaker, making_bytes, reach_of, smoothing_of, working_type
from chunkvol.ops.tiling import Tiling
from chunkvol.regions import Region, Shape, ceil_div, region_shape, voxels, whole
from chunkvol.sources import Block, DerivedSource, Source

_USUAL = (192, 192)
"""Planes and rows of a block, for judging how often a source would be read."""
_OFTEN = 3
"""Times that a source may be read before it is copied first."""
_CACHED = 256 << 20
"""Bytes of a file that the system keeps in memory, however often it is read."""

__all__ = ["ObliqueSource"]


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
        # The tables of the smoothing are made here too, and count as part of the program.
        load_kernels(working_type(self.dtype, self._smoothing), self.method, made=self.dtype)

    # ------------------------------------------------------------------------------------------------- reading

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        tiling = self._tiling_of(cells_of(self.source))  # where the copy that plans count with was not made
        held, maker = HeldCells(self.source, tiling.cells), self._maker(tiling, block)
        for layer in tiling.layers(region):
            held.keep(needed(self.mapping, layer, self.source.shape, tiling.reach, tiling.cells))
            for tile in tiling.tiles(layer):
                k, j, i = (slice(s.start - r.start, s.stop - r.start) for s, r in zip(tile, region, strict=True))
                maker.make(held, tile, block[k, j, i])
        return block

    def _maker(self, tiling: Tiling, block: Block) -> TileMaker:
        tile = tiling.clipped((block.shape[0], block.shape[1], block.shape[2]))
        return TileMaker(tiling, self._smoothing, method=self.method, outside=self.outside, dtype=self.dtype, tile=tile)

    def scratch(self, shape: Shape) -> int:
        tiling, item = self._tiling, self.dtype.itemsize
        tile = tiling.clipped(shape)
        k, j, i = tiling.cells.cell
        run = (k, j, i * tiling.run(tile))
        held = tiling.held(shape) * voxels((k, j, i)) * item
        inner = self.source.scratch(run) if self._bricks is None else bricks_scratch(self.source, run)
        reading = voxels(run) * item + inner
        return held + reading + making_bytes(tiling, self._smoothing, self.method, self.dtype, tile)

    # ------------------------------------------------------------------------------------------------- staging

    @property
    def staging_bytes(self) -> int:
        if self._bricks is None:
            return self.source.staging_bytes
        return self.source.staging_bytes + bricks_bytes(self.source, self._bricks)[0]

    @property
    def staging_scratch(self) -> int:
        own = 0 if self._bricks is None else bricks_held(self.source)
        return max(self.source.staging_scratch, own)

    @property
    def staging_note(self) -> str:
        if self._bricks is None:
            return self.source.staging_note
        return "what is needed of the input is copied to bricks first: blocks that lie askew read planes many times"

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
    def _smoothing(self) -> Smoothing:
        return smoothing_of(self.method, self.mapping, self.source.shape, antialias=self.antialias)

    @cached_property
    def _reach(self) -> Triple:
        return reach_of(self.method, self._smoothing)
