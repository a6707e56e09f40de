"""Median and mode of blocks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from chunkvol.errors import InputError
from chunkvol.kernels.extremes import fold_block
from chunkvol.kernels.networks import sort_rows
from chunkvol.kernels.tiles import SLACK, Block, result_of, settle, source_of, tile_bytes, tiles
from chunkvol.regions import Shape, voxels

LISTS = 512 << 10
"""Bytes of the voxels that are sorted at once."""

LONGEST_NETWORK = 64
"""Voxels of the largest block for which a sorting network beats numpy's sort or partition."""

__all__ = ["median", "median_scratch", "mode", "mode_scratch"]


def median(block: Block, factors: Shape, out: Block | None = None) -> Block:
    """The middle voxel of each block; of an even number, the mean of the middle two.

    That mean is rounded half to even for integers, and computed in float64 for floats. NaN spreads, zeros of floats
    come out positive.
    """
    result = result_of(block, factors, out)
    source, target = _plain("median", block), _plain("median", result)
    places = _middle(voxels(factors))
    for tile in tiles(target.shape, _row_bytes(block.shape, block.dtype, factors), LISTS):
        piece = source_of(source, tile, factors, target.shape[2])
        if voxels(factors) <= LONGEST_NETWORK:
            chosen = sort_rows(_lists(piece, factors), places)
            low, high = chosen[places[0]], chosen[places[-1]]
        else:
            low, high = _partitioned(piece, factors, places)
        target[tile] = _between(low, high).reshape(target[tile].shape)
        settle(target[tile])
    return result


def mode(block: Block, factors: Shape, out: Block | None = None) -> Block:
    """The most frequent voxel of each block; of several, the smallest.

    NaNs of floats count as one value, above all others; zeros come out positive.
    """
    result = result_of(block, factors, out)
    source, target = _plain("mode", block), _plain("mode", result)
    columns = target.shape[2]
    for tile in tiles(target.shape, _row_bytes(block.shape, block.dtype, factors), LISTS):
        _mode_of_tile(source_of(source, tile, factors, columns), factors, target[tile])
        settle(target[tile])
    return result


def median_scratch(shape: Shape, dtype: np.dtype[Any], factors: Shape) -> int:
    """Most bytes that `median` holds besides block and result."""
    lists = tile_bytes(_row_bytes(shape, dtype, factors), LISTS)
    results = lists // voxels(factors)
    # The lists and a spare row; then the means in double precision, and a mask.
    return lists + results + results // dtype.itemsize * 33 + SLACK


def mode_scratch(shape: Shape, dtype: np.dtype[Any], factors: Shape) -> int:
    """Most bytes that `mode` holds besides block and result."""
    lists = tile_bytes(_row_bytes(shape, dtype, factors), LISTS)
    results = lists // voxels(factors) // dtype.itemsize
    # Two sets of lists (sorted, and as keys), and a spare row or counts; indices of three axes while gathering.
    return 3 * lists + results * (4 * dtype.itemsize + 48) + SLACK


def _row_bytes(shape: Sequence[int], dtype: np.dtype[Any], factors: Shape) -> int:
    """Bytes of the voxels behind one row of the result."""
    return (shape[2] // factors[2]) * voxels(factors) * dtype.itemsize


def _plain(name: str, block: Block) -> Block:
    """Booleans as bytes; anything that has no order is refused."""
    if block.dtype.kind not in "biuf" or block.dtype.itemsize > 8:
        raise InputError(f"{name} of {block.dtype} voxels is not supported; integers and real numbers are")
    return block.view(np.uint8) if block.dtype.kind == "b" else block


def _middle(count: int) -> tuple[int, ...]:
    return (count // 2,) if count % 2 else (count // 2 - 1, count // 2)


def _lists(source: Block, factors: Shape) -> Block:
    """The voxels of each block as one column: axes (voxel of the block, block)."""
    fk, fj, fi = factors
    k, j, i = (n // f for n, f in zip(source.shape, factors, strict=True))
    lists = np.empty((fk, fj, fi, k, j, i), source.dtype)
    for z in range(fk):
        for y in range(fj):
            for x in range(fi):
                np.copyto(lists[z, y, x], source[z::fk, y::fj, x::fi])
    return lists.reshape(fk * fj * fi, k * j * i)


def _partitioned(source: Block, factors: Shape, places: tuple[int, ...]) -> tuple[Block, Block]:
    """The voxels at the middle places of long lists."""
    lists = _lists(source, factors)
    lists = np.ascontiguousarray(lists.T)
    lists.partition(places, axis=1)
    low, high = lists[:, places[0]], lists[:, places[-1]]
    if lists.dtype.kind == "f":
        # numpy sorts NaN to the end, where it would hide.
        unknown = np.isnan(lists[:, places[-1] :]).any(axis=1)
        low = np.where(unknown, np.nan, low).astype(lists.dtype)
    return low, high


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


def _mode_of_tile(source: Block, factors: Shape, out: Block) -> None:
    """Labels are mostly uniform: only blocks with different extremes are sorted."""
    buffer = np.empty(source[:: factors[0], :: factors[1]].size, source.dtype)
    highest = np.empty(out.shape, out.dtype)
    fold_block(np.minimum, source, factors, out, buffer)
    fold_block(np.maximum, source, factors, highest, buffer)
    mixed = out != highest
    del buffer, highest
    count = np.count_nonzero(mixed)
    if 4 * count > mixed.size:
        np.copyto(out, _most_frequent(_lists(source, factors)).reshape(out.shape))
    elif count:
        out[mixed] = _most_frequent(_lists_at(source, factors, np.nonzero(mixed)))


def _lists_at(source: Block, factors: Shape, where: tuple[Block, ...]) -> Block:
    """The voxels of some blocks, one block a column."""
    fk, fj, fi = factors
    lists = np.empty((fk, fj, fi, where[0].size), source.dtype)
    for z in range(fk):
        for y in range(fj):
            for x in range(fi):
                lists[z, y, x] = source[z::fk, y::fj, x::fi][where]
    return lists.reshape(fk * fj * fi, -1)


def _most_frequent(lists: Block) -> Block:
    """The value of the longest run of each sorted list, the first of equals."""
    keys = _keys(lists)
    ordered = _ordered(keys)
    counter = np.min_scalar_type(len(ordered))
    run, longest = (np.ones(ordered[0].shape, counter) for _ in range(2))
    best = ordered[0].copy()
    for before, row in pairwise(ordered):
        np.multiply(run, before == row, out=run)
        np.add(run, 1, out=run)
        longer = run > longest
        np.copyto(longest, run, where=longer)
        np.copyto(best, row, where=longer)
    return _values(best, lists.dtype)


def _ordered(keys: Block) -> list[Block]:
    """The rows of the sorted lists."""
    if len(keys) <= LONGEST_NETWORK:
        rows = sort_rows(keys, tuple(range(len(keys))))
        return [rows[place] for place in range(len(keys))]
    return list(np.sort(np.ascontiguousarray(keys.T), axis=1).T)


def _keys(lists: Block) -> Block:
    """Integers in the order of the values, equal where they are; integers are their own keys."""
    if lists.dtype.kind != "f":
        return lists
    settle(lists)
    bits = lists.view(f"i{lists.itemsize}")
    return _mirrored(bits)


def _values(keys: Block, dtype: np.dtype[Any]) -> Block:
    """The values of keys; the way there and back is the same."""
    return keys if dtype.kind != "f" else _mirrored(keys).view(dtype)


def _mirrored(bits: Block) -> Block:
    """Negative numbers with all but the sign flipped: bits of floats sort as integers, and back again."""
    flip: Block = (bits >> (8 * bits.itemsize - 1)) & np.iinfo(bits.dtype).max
    return bits ^ flip
