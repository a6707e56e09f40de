"""The mean of blocks, exact for integers and rounded once, half to even; in one go or level by level."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from chunkvol.kernels.rounding import Divider, divides_long, real_for
from chunkvol.kernels.sums import check_summable, sum_dtype, sums_of_carried, sums_of_voxels
from chunkvol.kernels.tiles import (
    SLACK,
    Block,
    Buffer,
    coarse_shape,
    largest_tile,
    product,
    result_of,
    source_of,
    tile_bytes,
    tiles,
)
from chunkvol.regions import Shape, voxels

_WIDEST = 8
"""Bytes of the widest sum."""

__all__ = [
    "MeanLevel",
    "mean",
    "mean_cascade",
    "mean_cascade_scratch",
    "mean_scratch",
    "mean_steps",
    "mean_steps_scratch",
]


def mean(block: Block, factors: Shape, out: Block | None = None) -> Block:
    """The mean of each block of `factors` voxels, in the block's type; leftover voxels are dropped.

    Integers are bit-equal to the exact sum divided and rounded half to even. Floats are added in float64 in one fixed
    order (rows, then columns, then planes), divided once and rounded once, so tiles never show; NaN spreads.

    Raises
    ------
    InputError
        For 64-bit integers and for types without a mean.
    """
    check_summable("mean", block.dtype)
    result = result_of(block, factors, out)
    MeanLevel(block.dtype, block.dtype, factors, voxels(factors), result.shape, carried=False).run(block, result)
    return result


def mean_cascade(block: Block, steps: Sequence[Shape]) -> Iterator[Block]:
    """The mean of `block` after each of `steps`: every level is the mean of level 0, rounded once.

    Exact sums are carried from level to level. A level without voxels is yielded as an empty block.
    """
    check_summable("mean", block.dtype)
    return _chain(block, steps, every=True)


def mean_steps(block: Block, steps: Sequence[Shape], out: Block | None = None) -> Block:
    """The last level of `mean_cascade`, bit for bit, without the levels before."""
    check_summable("mean", block.dtype)
    factors = product(steps)
    if block.dtype.kind != "f" or not steps:
        return mean(block, factors, out)  # integers are exact in any order
    (last,) = _chain(block, steps, every=False, out=result_of(block, factors, out))
    return last


def _chain(block: Block, steps: Sequence[Shape], *, every: bool, out: Block | None = None) -> Iterator[Block]:
    """The rounded levels, or only the last of them (into `out`)."""
    source, count, dtype = block, 1, block.dtype
    for number, step in enumerate(steps, start=1):
        count *= voxels(step)
        shape = coarse_shape(source.shape, step)
        level = MeanLevel(source.dtype, dtype, step, count, shape, carried=number > 1)
        sums = np.empty(shape, sum_dtype(dtype, count)) if number < len(steps) else None
        result = np.empty(shape, dtype) if every else (out if sums is None else None)
        level.run(source, result, sums)
        # Nothing but the sums may stay alive while the caller holds the level.
        del level
        if sums is not None:
            source = sums
        if result is not None:
            yield result
        del result


def mean_scratch(shape: Shape, dtype: np.dtype[Any], factors: Shape) -> int:
    """Most bytes that `mean` holds besides block and result."""
    # Floats: rows, and rows loaded. Integers: low, high, spare and loaded words, and lanes side by side.
    summing = 2 if dtype.kind == "f" else 4 + 2 * (factors[2] % 2)
    # Two pairs of quotients and remainders where sums are beyond double precision.
    long = 4 if divides_long(dtype, voxels(factors)) else 0
    # Whole and partial sums, and real quotients.
    return (summing + long + 3) * tile_bytes((factors[2] + 1) * _WIDEST) + SLACK


def mean_steps_scratch(shape: Shape, dtype: np.dtype[Any], steps: Sequence[Shape]) -> int:
    """Most bytes that `mean_steps` holds besides block and result: for floats, the sums of two levels."""
    sums = _level_bytes(shape, dtype, steps)[0][:-1] if dtype.kind == "f" else []
    return _largest_pair(sums) + _steps_work(shape, dtype, steps)


def mean_cascade_scratch(shape: Shape, dtype: np.dtype[Any], steps: Sequence[Shape]) -> int:
    """Most bytes that `mean_cascade` holds besides the block: the sums of two levels, and two levels themselves.

    The sums are about a quarter of a block of 16-bit voxels that is halved along all axes.
    """
    check_summable("mean", dtype)
    sums, results = _level_bytes(shape, dtype, steps)
    return _largest_pair(sums[:-1]) + _largest_pair(results) + _steps_work(shape, dtype, steps)


def _steps_work(shape: Shape, dtype: np.dtype[Any], steps: Sequence[Shape]) -> int:
    """The most that the buffers of any step take, and those of all steps at once."""
    return max(mean_scratch(shape, dtype, step) for step in (product(steps), *steps))


def _level_bytes(shape: Shape, dtype: np.dtype[Any], steps: Sequence[Shape]) -> tuple[list[int], list[int]]:
    """Bytes of the sums of each level, and of the level."""
    cumulative = [product(steps[:number]) for number in range(1, len(steps) + 1)]
    sizes = [math.prod(coarse_shape(shape, factors)) for factors in cumulative]
    sums = [size * sum_dtype(dtype, voxels(f)).itemsize for size, f in zip(sizes, cumulative, strict=True)]
    return sums, [size * dtype.itemsize for size in sizes]


def _largest_pair(sizes: Sequence[int]) -> int:
    """The most that one level and the next take together."""
    return max((sum(sizes[n : n + 2]) for n in range(len(sizes))), default=0)


class MeanLevel:
    """One reduction, with buffers for its tiles: sums are divided while they are in cache.

    Parameters
    ----------
    source
        Type of what is summed: voxels, or the sums of the level before (`carried`).
    dtype
        Type of the voxels of level 0 and of the result.
    factors
        The block (k, j, i).
    count
        Voxels of level 0 in one voxel of the result.
    shape
        Shape of the result.
    """

    __slots__ = ("_buffer", "_column_bytes", "_divider", "_factors", "_shape", "_sums")

    def __init__(
        self,
        source: np.dtype[Any],
        dtype: np.dtype[Any],
        factors: Shape,
        count: int,
        shape: Sequence[int],
        *,
        carried: bool,
    ) -> None:
        k, j, i = shape
        self._shape, self._factors = (k, j, i), factors
        total = sum_dtype(dtype, count)
        summed = total if carried or source.kind == "f" else source
        self._column_bytes = max(factors[2] * summed.itemsize, total.itemsize, real_for(dtype, count).itemsize)
        tile = largest_tile(self._shape, self._column_bytes)
        make = sums_of_carried if carried else sums_of_voxels
        self._sums = make(source, total, tile, factors[2])
        self._buffer = Buffer(math.prod(tile), total)
        self._divider = Divider(dtype, count, math.prod(tile))

    def run(self, block: Block, out: Block | None, sums: Block | None = None) -> None:
        """Fill `out` with rounded means and `sums` with what they come from, where they are given."""
        with _quiet():
            for tile in tiles(self._shape, self._column_bytes):
                source = source_of(block, tile, self._factors)
                shape = coarse_shape(source.shape, self._factors)
                total = self._buffer.shaped(shape) if sums is None else sums[tile]
                self._sums.add(source, self._factors, total)
                if out is not None:
                    self._divider.divide(total, out[tile])

    def add(self, planes: Block, sums: Block, *, first: bool) -> None:
        """Add some planes, fewer than a block has, to the sums of one plane of the result."""
        factors = (len(planes), *self._factors[1:])
        with _quiet():
            for tile in tiles(self._shape, self._column_bytes):
                self._sums.add(source_of(planes, tile, factors), factors, sums[tile], first=first)

    def divide(self, sums: Block, out: Block) -> None:
        """Fill `out` with the rounded means of finished sums."""
        with _quiet():
            for tile in tiles(self._shape, self._column_bytes):
                self._divider.divide(sums[tile], out[tile])


def _quiet() -> np.errstate:
    """Infinities and NaN among the voxels are data, not mistakes."""
    return np.errstate(over="ignore", under="ignore", invalid="ignore")
