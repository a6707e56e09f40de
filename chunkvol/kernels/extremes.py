"""Minimum, maximum and first voxel of blocks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chunkvol.kernels.tiles import (
    SLACK,
    Block,
    Buffer,
    fold_columns,
    largest_tile,
    result_of,
    row_sets,
    settle,
    source_of,
    tile_bytes,
    tiles,
)
from chunkvol.regions import Shape

__all__ = ["extreme", "extreme_scratch", "fold_block", "maximum", "minimum", "no_scratch", "stride"]


def minimum(block: Block, factors: Shape, out: Block | None = None) -> Block:
    """The smallest voxel of each block; NaN spreads, zeros of floats come out positive."""
    return extreme(np.minimum, block, factors, out)


def maximum(block: Block, factors: Shape, out: Block | None = None) -> Block:
    """The largest voxel of each block; NaN spreads, zeros of floats come out positive."""
    return extreme(np.maximum, block, factors, out)


def stride(block: Block, factors: Shape, out: Block | None = None) -> Block:
    """The first voxel of each block."""
    result = result_of(block, factors, out)
    k, j, i = result.shape
    np.copyto(result, block[:: factors[0], :: factors[1], :: factors[2]][:k, :j, :i])
    return result


def extreme(ufunc: np.ufunc, block: Block, factors: Shape, out: Block | None = None) -> Block:
    """Each block folded by `np.minimum` or `np.maximum`."""
    result = result_of(block, factors, out)
    k, j, i = result.shape
    column_bytes = factors[2] * block.itemsize
    buffer = Buffer(math.prod(largest_tile((k, j, i), column_bytes)) * factors[2], block.dtype)
    for tile in tiles((k, j, i), column_bytes):
        fold_block(ufunc, source_of(block, tile, factors), factors, result[tile], buffer)
        settle(result[tile])
    return result


def fold_block(ufunc: np.ufunc, source: Block, factors: Shape, out: Block, buffer: Buffer) -> None:
    """Fold the rows of each block, then their columns, into `out`."""
    sets = row_sets(source, factors)
    rows = next(sets)
    for other in sets:
        target = buffer.shaped(rows.shape)
        ufunc(rows, other, out=target)
        rows = target
    fold_columns(ufunc, rows, factors[2], out)


def extreme_scratch(shape: Shape, dtype: np.dtype[Any], factors: Shape) -> int:
    """Most bytes that `minimum` and `maximum` hold besides block and result."""
    return 2 * tile_bytes(factors[2] * dtype.itemsize) + SLACK


def no_scratch(shape: Shape, dtype: np.dtype[Any], factors: Shape) -> int:
    """What a reduction that only copies holds besides block and result."""
    return SLACK
