"""The mode of blocks: the most frequent voxel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chunkvol.kernels.extremes import fold_block
from chunkvol.kernels.lists import (
    LISTS,
    LONGEST_NETWORK,
    check_ordered,
    list_bytes,
    lists_of,
    lists_of_some,
    long_lists_of,
    plain,
)
from chunkvol.kernels.networks import sort_rows
from chunkvol.kernels.tiles import SLACK, Block, Buffer, largest_tile, result_of, settle, source_of, tile_bytes, tiles
from chunkvol.regions import Shape, spans, voxels

COUNTED = 32 << 10
"""Voxels of long lists that are counted at once, with up to 56 bytes each."""

__all__ = ["mode", "mode_scratch"]


def mode(block: Block, factors: Shape, out: Block | None = None) -> Block:
    """The most frequent voxel of each block; of several, the smallest.

    NaNs of floats count as one value, above all others; zeros come out positive.

    Raises
    ------
    InputError
        For types without an order.
    """
    check_ordered("mode", block.dtype)
    result = result_of(block, factors, out)
    source, target = plain(block), plain(result)
    k, j, i = target.shape
    size, shape = list_bytes(source.dtype, factors), (k, j, i)
    buffer = Buffer(math.prod(largest_tile(shape, size, LISTS)) * factors[2], source.dtype)
    for tile in tiles(shape, size, LISTS):
        _mode_of_tile(source_of(source, tile, factors), factors, target[tile], buffer)
        settle(target[tile])
    return result


def mode_scratch(shape: Shape, dtype: np.dtype[Any], factors: Shape) -> int:
    """Most bytes that `mode` holds besides block and result."""
    lists = tile_bytes(list_bytes(dtype, factors), LISTS)
    results = lists // list_bytes(dtype, factors)
    # Lists, keys of floats and which are NaN; a buffer, extremes, a spare row and runs; indices; counting.
    counting = 56 * max(COUNTED, voxels(factors)) if voxels(factors) > LONGEST_NETWORK else 0
    keys = lists + lists // dtype.itemsize if dtype.kind == "f" else 0
    return lists + keys + results * ((5 + factors[2]) * dtype.itemsize + 24) + counting + SLACK


def _mode_of_tile(source: Block, factors: Shape, out: Block, buffer: Buffer) -> None:
    """Labels are mostly uniform: only blocks with different extremes are sorted or counted."""
    highest = np.empty(out.shape, out.dtype)
    fold_block(np.minimum, source, factors, out, buffer)
    fold_block(np.maximum, source, factors, highest, buffer)
    mixed = out != highest
    count = np.count_nonzero(mixed)
    if 4 * count > mixed.size:
        np.copyto(out, _most_frequent(source, factors, None).reshape(out.shape))
    elif count:
        out[mixed] = _most_frequent(source, factors, np.nonzero(mixed))


def _most_frequent(source: Block, factors: Shape, where: tuple[Block, ...] | None) -> Block:
    """The most frequent voxel of all blocks, or of those at some indices."""
    if voxels(factors) <= LONGEST_NETWORK:
        keys = _keys(lists_of(source, factors) if where is None else lists_of_some(source, factors, where))
        return _values(_longest_run(keys), source.dtype)
    keys = _keys(long_lists_of(source, factors, where))
    best = np.empty(len(keys), keys.dtype)
    for some in spans(len(keys), max(1, COUNTED // keys.shape[1])):
        low, high = int(keys[some].min()), int(keys[some].max())
        # Labels are few and near each other: counting them beats sorting.
        few = high - low < 2 * keys.shape[1]
        best[some] = _most_counted(keys[some], low, high - low + 1) if few else _longest_stretch(keys[some])
    return _values(best, source.dtype)


def _longest_run(keys: Block) -> Block:
    """The first of the longest runs of each sorted column, all columns in step."""
    rows = sort_rows(keys, tuple(range(len(keys))))
    run, longest = (np.ones(keys.shape[1], np.min_scalar_type(len(keys))) for _ in range(2))
    best = rows[0].copy()
    for place in range(1, len(keys)):
        np.multiply(run, rows[place - 1] == rows[place], out=run)
        np.add(run, 1, out=run)
        longer = run > longest
        np.copyto(longest, run, where=longer)
        np.copyto(best, rows[place], where=longer)
    return best


def _most_counted(keys: Block, low: int, bins: int) -> Block:
    """The most frequent of few values of each row, by a histogram of each."""
    # Unsigned differences wrap to the right value even between numbers of both signs.
    unsigned = np.dtype(f"u{keys.itemsize}").type
    start = unsigned(low % (1 << 8 * keys.itemsize))
    places = (keys.view(unsigned) - start).astype(np.intp)
    places += bins * np.arange(len(keys))[:, None]
    counts = np.bincount(places.ravel(), minlength=bins * len(keys)).reshape(-1, bins)
    best: Block = counts.argmax(axis=1).astype(unsigned) + start
    return best.view(keys.dtype)


def _longest_stretch(keys: Block) -> Block:
    """The first of the longest runs of each sorted row, from the places where the value changes."""
    keys.sort(axis=1)
    changes = np.ones(keys.shape, bool)
    np.not_equal(keys[:, 1:], keys[:, :-1], out=changes[:, 1:])
    starts = np.flatnonzero(changes)
    lengths = np.diff(starts, append=keys.size)
    row = starts // keys.shape[1]
    longest = np.maximum.reduceat(lengths, np.flatnonzero(np.diff(row, prepend=-1)))
    chosen = np.flatnonzero(lengths == longest[row])
    first = np.diff(row[chosen], prepend=-1) > 0
    best: Block = keys.ravel()[starts[chosen[first]]]
    return best


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
    mirrored: Block = bits >> (8 * bits.itemsize - 1)
    mirrored &= np.iinfo(bits.dtype).max
    mirrored ^= bits
    return mirrored
