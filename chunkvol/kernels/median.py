"""The median of blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from chunkvol.kernels.lists import LISTS, LONGEST_NETWORK, check_ordered, list_bytes, lists_of, long_lists_of, plain
from chunkvol.kernels.networks import sort_rows
from chunkvol.kernels.tiles import SLACK, Block, result_of, settle, source_of, tile_bytes, tiles
from chunkvol.regions import Shape, voxels

__all__ = ["median", "median_scratch"]


def median(block: Block, factors: Shape, out: Block | None = None) -> Block:
    """The middle voxel of each block; of an even number, the mean of the middle two.

    That mean is rounded half to even for integers, and computed in float64 for floats. NaN spreads, zeros of floats
    come out positive.

    Raises
    ------
    InputError
        For types without an order.
    """
    check_ordered("median", block.dtype)
    result = result_of(block, factors, out)
    source, target, count = plain(block), plain(result), voxels(factors)
    middle = (count // 2,) if count % 2 else (count // 2 - 1, count // 2)
    k, j, i = target.shape
    for tile in tiles((k, j, i), list_bytes(block.dtype, factors), LISTS):
        _median_of_tile(source_of(source, tile, factors), factors, middle, target[tile])
    return result


def median_scratch(shape: Shape, dtype: np.dtype[Any], factors: Shape) -> int:
    """Most bytes that `median` holds besides block and result."""
    lists = tile_bytes(list_bytes(dtype, factors), LISTS)
    results = lists // list_bytes(dtype, factors)
    # Lists, or for long ones whether they are NaN; a spare row, the middle two and their mean in double precision.
    unknown = lists // dtype.itemsize if dtype.kind == "f" and voxels(factors) > LONGEST_NETWORK else 0
    return lists + unknown + results * (5 * dtype.itemsize + 24) + SLACK


def _median_of_tile(source: Block, factors: Shape, middle: tuple[int, ...], out: Block) -> None:
    choose = _sorted_middle if voxels(factors) <= LONGEST_NETWORK else _partitioned_middle
    low, high = choose(source, factors, middle)
    out[...] = _between(low, high).reshape(out.shape)
    settle(out)


def _sorted_middle(source: Block, factors: Shape, middle: tuple[int, ...]) -> tuple[Block, Block]:
    """The voxels at the middle places of short lists."""
    rows = sort_rows(lists_of(source, factors), middle)
    return rows[middle[0]], rows[middle[-1]]


def _partitioned_middle(source: Block, factors: Shape, middle: tuple[int, ...]) -> tuple[Block, Block]:
    """The voxels at the middle places of long lists."""
    lists = long_lists_of(source, factors)
    lists.partition(middle, axis=1)
    low, high = lists[:, middle[0]], lists[:, middle[-1]]
    if lists.dtype.kind == "f":
        # numpy sorts NaN to the end, where it would hide.
        unknown = np.isnan(lists[:, middle[-1] :]).any(axis=1)
        low = np.where(unknown, lists.dtype.type(np.nan), low)
    return low, low if len(middle) == 1 else high


def _between(low: Block, high: Block) -> Block:
    """The mean of two: for integers without overflow and half to even, for floats in float64."""
    if low is high:
        return low
    if low.dtype.kind == "f":
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return ((low.astype(np.float64) + high) / 2).astype(low.dtype)
    differing = low ^ high
    floor = (low & high) + (differing >> 1)
    # A half is left over where they differ in the last bit; it goes to the even neighbour.
    floor += differing & floor & 1
    return floor
