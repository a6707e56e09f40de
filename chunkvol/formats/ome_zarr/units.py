"""Units of a store: slabs of level 0 to shards and to scratch, coarser levels from scratch to shards.

A unit is a slab (one chunk deep, or as deep as the coarsest level's block) and one row of shards. It reads its voxels
in bands of rows, encodes the chunks of level 0, and reduces the same voxels to all coarser levels, which it puts at
their place in raw scratch files. The units of the second stage encode those. So each source voxel is read once, no
shard has two writers, and no unit waits for another of its stage. Planes that are decoded whole are spooled to
scratch, slab by slab, when a slab does not fit the memory budget.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from chunkvol import kernels, system
from chunkvol.formats.ome_zarr.chunkfiles import ChunkFileWriter
from chunkvol.formats.ome_zarr.shards import ShardWriter
from chunkvol.formats.ome_zarr.target import StoreTarget, Unit
from chunkvol.pyramid import steps_between
from chunkvol.regions import Region, region_shape, spans, voxels
from chunkvol.slabs import write_block
from chunkvol.sources import Block, RawSource

__all__ = ["write_unit"]


def write_unit(target: StoreTarget, unit: Unit) -> int:
    """Write all shards of one slab and shard row (or of all rows, where planes are decoded whole)."""
    level, planes, rows = unit
    source = target.source if level == 0 else target.scratch(level)
    if level > 0:
        _write_rows(target, unit, source, planes.start, target.bands[1])
    elif not source.whole_planes:
        _write_rows(target, unit, source, planes.start, target.bands[0])
    elif target.spool:
        _write_spooled(target, unit)
    else:
        slab = source.read((planes, rows, slice(0, source.shape[2])))
        _write_rows(target, unit, _Held(slab), 0, target.bands[0])
    return target.unit_bytes(unit)


@dataclass(frozen=True)
class _Held:
    """A slab in memory, cut without copies."""

    slab: Block

    def read(self, region: Region, out: Block | None = None) -> Block:
        return self.slab[region]


def _write_spooled(target: StoreTarget, unit: Unit) -> None:
    """Decode each plane of the slab once, to scratch, and go on from there."""
    _, planes, rows = unit
    columns = target.source.shape[2]
    path = target.folder / "scratch" / f"spool-{planes.start}-{threading.get_native_id()}.raw"
    shape = (planes.stop - planes.start, rows.stop, columns)
    try:
        with open(path, "wb", buffering=0) as file:
            for k in range(planes.start, planes.stop):
                file.write(target.source.read((slice(k, k + 1), rows, slice(0, columns))).data.cast("B"))
        _write_rows(target, unit, RawSource(path, shape, target.source.dtype), 0, target.bands[0])
    finally:
        path.unlink(missing_ok=True)


def _write_rows(target: StoreTarget, unit: Unit, source: Any, first_plane: int, band: int) -> None:
    """Shard rows one after the other, each in bands; `first_plane` is where the slab starts in `source`."""
    level, planes, rows = unit
    layout = target.layout(level)
    folder = target.folder / target.name / target.image.levels[level].path
    depth = planes.stop - planes.start
    columns = slice(0, layout.shape[2])
    held = np.empty(depth * min(band, rows.stop - rows.start) * columns.stop, target.source.dtype)
    for shard in spans(rows.stop, layout.shard[1], rows.start):
        writer = (
            ChunkFileWriter(folder, layout, planes)
            if layout.zarr == 2
            else ShardWriter(folder, layout, planes, shard.start // layout.shard[1])
        )
        try:
            for part in spans(shard.stop, band, shard.start):
                region = (slice(first_plane, first_plane + depth), part, columns)
                block = source.read(region, held[: voxels(region_shape(region))].reshape(region_shape(region)))
                writer.add(block, part.start)
                if level == 0 and len(target.image.levels) > 1:
                    _write_coarser(target, block, planes, part)
            writer.close()
        finally:
            writer.abandon()


def _write_coarser(target: StoreTarget, block: Block, planes: slice, rows: slice) -> None:
    levels = target.image.levels
    steps = steps_between([level.factors for level in levels])
    for number, reduced in enumerate(kernels.cascade(target.reduction, block, steps), start=1):
        if reduced.size == 0:
            continue
        fk, fj, _ = levels[number].factors
        raw = target.scratch(number)
        k, j = planes.start // fk, rows.start // fj
        region = (slice(k, k + reduced.shape[0]), slice(j, j + reduced.shape[1]), slice(0, reduced.shape[2]))
        with system.opened(raw.path, write=True) as fd:
            write_block(fd, reduced, region, raw.shape, 0)
