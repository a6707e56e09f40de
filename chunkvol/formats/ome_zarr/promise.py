"""What writing a store will cost: bands that fit the budget, memory, bytes and disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from chunkvol import kernels, memory
from chunkvol.errors import BudgetError
from chunkvol.formats.ome_zarr.ngff import viewer_warning
from chunkvol.formats.ome_zarr.target import StoreTarget
from chunkvol.memory import Phase, Plan, Result, Terms
from chunkvol.packing.unpack import unpack_phases
from chunkvol.pyramid import steps_between
from chunkvol.regions import Shape, ceil_div, voxels, wide_block
from chunkvol.slabs import WIDE_BYTES

_BAND_BYTES = 8 << 20
"""Preferred size of a band: large reads, and still near the processor's caches."""

_ZSTD_BYTES = 4 << 20
"""Tables and window of plain zstd at its level, a worker."""

Workers = tuple[int, int]
"""Units at work in each of the two stages."""
Step = tuple[int, int, bool]
"""Slabs that are made as one, rows of a band, whether planes are spooled."""

__all__ = ["Workers", "fitted", "plan_for"]


def fitted(target: StoreTarget, terms: Terms) -> tuple[StoreTarget, Workers]:
    """The target with the largest preferred bands that fit the budget, and how many units may work at a time.

    Raises
    ------
    BudgetError
        When even the smallest units do not fit; the message names the smallest budget that would do.
    """
    room = terms.room
    try:
        first, (layers, band, spool) = memory.fit(
            _slab_steps(target, terms.workers), lambda step: _slab_cost(target, *step), workers=terms.workers, room=room
        )
        # Not more than before: glibc keeps what an ended thread held for the next one, so that threads would add up
        # (measured: 20 MiB over the plan).
        second, coarse = memory.fit(
            _level_steps(target), lambda rows: _level_cost(target, rows), workers=first, room=room
        )
    except BudgetError as error:
        raise memory.too_small(terms.budget, error) from None
    return replace(target, bands=(band, coarse), spool=spool, layers=layers), (first, second)


def _slab_steps(target: StoreTarget, workers: int) -> list[Step]:
    """From large to small: slabs that are made as one, rows of a band, whether planes are spooled, which comes last."""
    layout, source = target.layout(0), target.source
    unit = max(layout.chunk[1], target.image.levels[-1].factors[1])
    row = source.shape[2] * source.dtype.itemsize
    bands = _bands(unit, target.depth * row, layout.shard[1])
    spooled = [(1, band, True) for band in bands] if source.whole_planes else []
    wide = list(_wide_steps(target, unit, row, workers)) if all(source.rim) else []
    return [*wide, *((1, band, False) for band in bands), *spooled]


def _wide_steps(target: StoreTarget, unit: int, row: int, workers: int) -> Iterator[Step]:
    """Several slabs at once in high bands, for sources that repeat what lies around a block."""
    planes, rows, _ = target.source.shape
    size = min(WIDE_BYTES, planes * rows * row // workers)
    while size > _BAND_BYTES:
        deep, high = wide_block(target.source.rim, (target.depth, unit), (planes, min(rows, target.rows)), row, size)
        yield ceil_div(deep, target.depth), high, False
        size //= 2


def _level_steps(target: StoreTarget) -> list[int]:
    if len(target.image.levels) == 1:
        return [64]
    layout = target.layout(1)
    row = layout.chunk[0] * layout.shape[2] * target.source.dtype.itemsize
    return _bands(layout.chunk[1], row, layout.shard[1])


def _bands(unit: int, row_bytes: int, most: int) -> list[int]:
    """Whole units of rows: the preferred size, half of it, one unit."""
    preferred = max(unit, _BAND_BYTES // row_bytes // unit * unit)
    steps = {preferred, max(unit, preferred // 2 // unit * unit), unit}
    return sorted({min(step, max(unit, most)) for step in steps}, reverse=True)


def _slab_cost(target: StoreTarget, layers: int, band: int, spool: bool) -> int:
    source = target.source
    planes, rows, columns = source.shape
    depth = min(replace(target, layers=layers).depth, planes)
    item = source.dtype.itemsize
    block = (depth, min(band, rows), columns)
    work = _chunk_cost(target, 0) + _cascade_cost(target, block)
    if not source.whole_planes:
        return voxels(block) * item + source.scratch(block) + work
    if spool:
        plane = (1, rows, columns)
        return max(voxels(plane) * item + source.scratch(plane), voxels(block) * item + work)
    slab = (depth, rows, columns)
    return voxels(slab) * item + max(source.scratch(slab), work)


def _level_cost(target: StoreTarget, band: int) -> int:
    if len(target.image.levels) == 1:
        return 0
    layout = target.layout(1)
    block = (layout.chunk[0], min(band, layout.shape[1]), layout.shape[2])
    return voxels(block) * target.source.dtype.itemsize + _chunk_cost(target, 1)


def _chunk_cost(target: StoreTarget, level: int) -> int:
    """A chunk in one piece, compressed, and the compressor's own copy or tables."""
    layout = target.layout(level)
    return 4 * layout.chunk_bytes + (_ZSTD_BYTES if layout.zarr == 2 and layout.codec == "zstd" else 0)


def _cascade_cost(target: StoreTarget, block: Shape) -> int:
    """Sums, reduced values and temporaries of the coarser levels of one band."""
    levels = target.image.levels
    if len(levels) == 1:
        return 0
    steps = steps_between([level.factors for level in levels])
    return kernels.cascade_scratch(target.reduction, block, target.source.dtype, steps)


def plan_for(target: StoreTarget, workers: Workers, terms: Terms) -> Plan:
    """The promise for a fitted target."""
    source, levels = target.source, target.image.levels
    sizes = [voxels(level.geometry.shape) * source.dtype.itemsize for level in levels]
    slab = voxels((min(target.depth, source.shape[0]), *source.shape[1:])) * source.dtype.itemsize
    spooled = slab * workers[0] if target.spool else 0
    finest = levels[0].geometry
    return Plan(
        terms.action,
        tuple(_phases(target, workers, sizes)),
        Result(
            finest.shape[::-1], finest.spacing[::-1], source.dtype.name, sum(sizes), len(sizes), source.leftover[::-1]
        ),
        terms.baseline,
        terms.budget,
        sum(sizes[1:]) + spooled + source.staging_bytes,
        tuple(_notes(target)),
    )


def _notes(target: StoreTarget) -> Iterator[str]:
    warning = viewer_warning(target.image.levels[0].geometry, target.ngff)
    if warning:
        yield warning
    if not target.layout(0).checksums:
        yield (
            f"chunks of OME-Zarr {target.ngff} have no checksum with the codec {target.codec}: a damaged one may go "
            "unnoticed; --codec zstd has one"
        )


def _phases(target: StoreTarget, workers: Workers, sizes: Sequence[int]) -> list[Phase]:
    source, (band, coarse) = target.source, target.bands
    phases = [*unpack_phases(source)]
    through = sizes[0] if target.spool else 0
    text = f"{target.depth} planes x {band} rows" + (", spooled" if target.spool else "")
    cost = _slab_cost(target, target.layers, band, target.spool)
    fetched = source.fetched_bytes((target.depth, band, source.shape[2]))
    read, wrote = fetched + through, sum(sizes) + through
    phases.append(Phase("slabs", len(list(target.units(0))), workers[0], text, cost, read, wrote))
    coarser = sum(sizes[1:])
    if coarser:
        text, cost = f"{target.layout(1).chunk[0]} planes x {coarse} rows", _level_cost(target, coarse)
        phases.append(Phase("levels", len(list(target.units(1))), workers[1], text, cost, coarser, coarser))
    return phases
