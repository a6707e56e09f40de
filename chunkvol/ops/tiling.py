"""How a region of an oblique result is walked, and what that holds and fetches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from chunkvol.geometry import Mapping
from chunkvol.geometry.grid import Triple
from chunkvol.geometry.overlap import Cells, most_met, needed
from chunkvol.ops.cells import cells_bytes
from chunkvol.regions import Region, Shape, ceil_div, region_shape, spans, voxels

_SIDES = (256, 192, 128, 96, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)
"""Source voxels that the edges of a tile may have, largest first."""
_TILE_VOXELS = 64**3
"""Most voxels of a tile: with more the box leaves the processor's caches, with fewer the work between tiles shows."""
_SMOOTHED_VOXELS = 96**3
"""The same where the box is smoothed before, for its rim has to be smoothed for each tile: half the time of 64^3."""
_BOX_VOXELS = 8 << 20
"""Most voxels of the box of the source that a tile needs, but where the rim that smoothing needs is large beside it."""
_MOST_BOX_VOXELS = 64 << 20
_TRIED = 96
"""Blocks that are looked at to know what all of them fetch."""
_GOLDEN = 0.6180339887498949
"""Its multiples, without their whole part, are spread evenly."""

__all__ = ["Tiling"]


@dataclass(frozen=True, slots=True)
class Tiling:
    """Regions are cut into layers along one axis, and layers into tiles."""

    mapping: Mapping
    """From voxels of the result to those of the source."""
    shape: Shape
    """Voxels of the result."""
    near: int
    """Source voxels that `sample` needs on either side of a place."""
    reach: Triple
    """The same with what the smoothing before needs."""
    cells: Cells
    """How the source is cut."""

    @property
    def tile(self) -> Shape:
        """Voxels of a tile: about as many source voxels along each edge, so that its box is small."""
        strides = self.mapping.strides
        limit = _TILE_VOXELS if max(self.reach) == self.near else _SMOOTHED_VOXELS
        most = max(_BOX_VOXELS, min(_MOST_BOX_VOXELS, 8 * voxels(self.box((1, 1, 1)))))
        for side in _SIDES:
            k, j, i = (min(n, max(1, round(side / step))) for n, step in zip(self.shape, strides, strict=True))
            if voxels((k, j, i)) <= limit and voxels(self.box((k, j, i))) <= most:
                break
        return k, j, i

    def clipped(self, shape: Shape) -> Shape:
        """The largest tile of a region of some shape."""
        k, j, i = (min(a, b) for a, b in zip(self.tile, shape, strict=True))
        return k, j, i

    def layers(self, region: Region) -> Iterator[Region]:
        """The region cut along the axis for which layers meet fewest cells."""
        shape = region_shape(region)
        axis, _ = self._walk(shape)
        for part in spans(region[axis].stop, self.tile[axis], region[axis].start):
            k, j, i = (part if other == axis else region[other] for other in range(3))
            yield k, j, i

    def tiles(self, layer: Region) -> Iterator[Region]:
        """The tiles of a layer."""
        ks, js, is_ = (spans(part.stop, step, part.start) for part, step in zip(layer, self.tile, strict=True))
        rows = list(js)
        columns = list(is_)
        for k in ks:
            for j in rows:
                for i in columns:
                    yield k, j, i

    # ------------------------------------------------------------------------------------------------ promises

    def box(self, tile: Shape, *, smoothed: int = 0) -> Shape:
        """The largest box that any tile of a shape needs, with the smoothing of so many axes (k first) done."""
        extent = np.abs(np.array(self.mapping.matrix)) @ (np.array(tile) - 1)
        k, j, i = (
            min(n, math.floor(wide + 2 * (self.near if axis < smoothed else far)) + 3)
            for axis, (wide, far, n) in enumerate(zip(extent.tolist(), self.reach, self.cells.volume, strict=True))
        )
        return k, j, i

    def held(self, shape: Shape) -> int:
        """Most cells that are held while a region of some shape is read."""
        return self._walk(shape)[1]

    def run(self, tile: Shape) -> int:
        """Most neighbouring cells along i that one tile needs."""
        return min(self.cells.counts[2], (self.box(tile)[2] - 2) // self.cells.cell[2] + 2)

    def fetched_bytes(self, block: Shape, itemsize: int) -> int:
        """Bytes of the cells that all blocks of a shape fetch, each block by itself; counted for some of them."""
        counts = [ceil_div(n, b) for n, b in zip(self.shape, block, strict=True)]
        total = voxels(counts)
        tried = range(total) if total <= _TRIED else [int(n * _GOLDEN % 1 * total) for n in range(_TRIED)]
        found = 0
        for number in tried:
            at = [int(n) for n in np.unravel_index(number, counts)]
            k, j, i = (slice(a * b, min(n, (a + 1) * b)) for a, b, n in zip(at, block, self.shape, strict=True))
            runs = needed(self.mapping, (k, j, i), self.cells.volume, self.reach, self.cells)
            found += cells_bytes(self.cells, runs, itemsize)
        return math.ceil(found * total / len(tried))

    def _walk(self, shape: Shape) -> tuple[int, int]:
        """The axis along which a region is cut into layers, and the most cells that one of them meets."""
        tile, found = self.tile, []
        for axis in range(3):
            k, j, i = (min(tile[axis], n) if other == axis else n for other, n in enumerate(shape))
            found.append((most_met(self.mapping, (k, j, i), self.reach, self.cells.cell), -shape[axis], axis))
        most, _, axis = min(found)
        return axis, min(most, voxels(self.cells.counts))
