"""A table of taps applied along one axis of a block: in tiles of neighbouring lines, in double precision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from chunkvol.kernels.resampling import compiled
from chunkvol.kernels.resampling.taps import Taps
from chunkvol.kernels.resampling.weights import Real, Whole
from chunkvol.kernels.tiles import SLACK, Block, Buffer, settle
from chunkvol.regions import spans

__all__ = ["filter_axis", "filter_scratch"]

_LINES = 128
"""Lines that are filtered at once, side by side in memory: a tile is then a few hundred KiB."""
_FEWEST = 16
_SPAN = 512
"""Source voxels of a line in a tile, but for filters that are wider."""


class _Tile(NamedTuple):
    """What a tile's buffers hold at most."""

    outputs: int
    span: int
    lines: int


def filter_axis(block: Block, taps: Taps, axis: int, *, start: int = 0, out: Block | None = None) -> Block:
    """The block filtered along one axis, in double precision.

    Each result is summed in the order of its taps, and no voxel of weight 0 is looked at, so that neither NaN nor
    voxels that were never filled spread. The bits are the same for any part of the results, and any block.

    Parameters
    ----------
    block
        Axes (k, j, i), any type of at most 32-bit integers or floats, any strides.
    taps
        Rows of the results that are wanted.
    axis
        0, 1 or 2.
    start
        Source index of the block's first voxel along the axis; the block holds all of `taps.needed`.
    out
        float32 or float64, as long as the taps along the axis, any strides; float64 when left out.
    """
    shape = [len(taps.first) if one == axis else n for one, n in enumerate(block.shape)]
    result = np.empty(shape) if out is None else out
    if not result.size:
        return result
    source, target = np.moveaxis(block, axis, 0), np.moveaxis(result, axis, 0)
    tile = _largest(taps)
    apply = compiled.kernel_for("filter") or _filter_lines
    lines, made = Buffer(tile.span * tile.lines, float), Buffer(tile.outputs * tile.lines, float)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for outputs in spans(len(taps.first), tile.outputs):
            needed = taps.needed(outputs)
            first = taps.first[outputs].astype(np.int64) - needed.start
            weights = np.ascontiguousarray(taps.weights[outputs])
            for a, b in _line_sets(target.shape[1], target.shape[2], tile.lines):
                chosen = source[needed.start - start : needed.stop - start, a, b]
                held = lines.shaped((len(chosen), chosen[0].size))
                np.copyto(held.reshape(chosen.shape), chosen)
                sums = made.shaped((len(first), chosen[0].size))
                apply(held, first, weights, sums)
                settle(sums, zeros=False)
                target[outputs, a, b] = sums.reshape(len(first), *chosen.shape[1:])
    return result


def filter_scratch(taps: Taps) -> int:
    """Most bytes that `filter_axis` holds besides block and result."""
    tile = _largest(taps)
    table = 12 * int(taps.weights.shape[1]) * tile.outputs
    return 8 * tile.lines * (tile.span + 4 * tile.outputs) + table + SLACK


def _largest(taps: Taps) -> _Tile:
    count = len(taps.first)
    if not count:
        return _Tile(0, 0, 0)
    step = (int(taps.first[-1]) - int(taps.first[0])) / max(1, count - 1)
    outputs = int(max(1, min(count, _SPAN, (_SPAN - taps.weights.shape[1]) // max(step, 1))))
    needs = [taps.needed(some) for some in spans(count, outputs)]
    span = max(int(need.stop) - int(need.start) for need in needs)
    return _Tile(outputs, span, max(_FEWEST, _LINES * _SPAN // max(span, outputs)))


def _line_sets(rows: int, columns: int, lines: int) -> Iterator[tuple[slice, slice]]:
    width = min(columns, lines)
    for a in spans(rows, max(1, lines // width)):
        for b in spans(columns, width):
            yield a, b


def _filter_lines(lines: Real, first: Whole, weights: Real, out: Real) -> None:
    """Filter lines that lie side by side, axes (voxel, line)."""
    out[...] = -0.0  # to which anything can be added without a change, -0.0 included
    for tap in range(weights.shape[1]):
        some = np.flatnonzero(weights[:, tap])
        if len(some) == len(first):
            out += lines[first + tap] * weights[:, tap, None]
        elif len(some):
            out[some] += lines[first[some] + tap] * weights[some, tap, None]
