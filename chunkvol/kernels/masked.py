"""The mean of the voxels that are not padding, exact for integers and rounded once, half to even."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chunkvol.kernels.rounding import divides_long
from chunkvol.kernels.sums import check_summable, sum_dtype, sums_of_voxels
from chunkvol.kernels.tiles import (
    SLACK,
    TILE,
    Block,
    Buffer,
    largest_tile,
    result_of,
    settle,
    source_of,
    tile_bytes,
    tiles,
)
from chunkvol.regions import Shape, voxels

_BYTE = np.dtype(np.uint8)

__all__ = ["MaskedPlanes", "masked_mean", "masked_scratch"]


def masked_mean(block: Block, factors: Shape, ignore: tuple[float, float], out: Block | None = None) -> Block:
    """The mean of those voxels of each block of `factors` that are not padding; leftover voxels are dropped.

    Values in the closed range `ignore` are padding, and so is NaN. A block of nothing else becomes ``ignore[0]``.
    Without padding in it, a block's mean is bit for bit that of `mean`.

    Raises
    ------
    InputError
        For types that `mean` refuses.
    """
    result = result_of(block, factors, out)
    planes = MaskedPlanes((result.shape[1], result.shape[2]), block.dtype, factors, ignore)
    for k in range(len(result)):
        planes.add(block[k * factors[0] : (k + 1) * factors[0]])
        planes.finish(result[k : k + 1])
    return result


class MaskedPlanes:
    """The masked mean of planes added in order, one plane of the result after the other.

    Parameters
    ----------
    shape
        Rows and columns of the result.
    dtype
        Type of the voxels.
    factors
        The block (k, j, i); k planes make one plane of the result.
    ignore
        Smallest and largest value of padding, taken in the voxels' type.

    Raises
    ------
    InputError
        For types that `mean` refuses.
    """

    __slots__ = (
        "_added", "_any", "_count", "_counts", "_dtype", "_factors", "_fill", "_kept", "_limits", "_map", "_shape",
        "_sum", "_sums",
    )  # fmt: skip  # one name a line would be a page

    def __init__(
        self, shape: tuple[int, int], dtype: np.dtype[Any], factors: Shape, ignore: tuple[float, float]
    ) -> None:
        check_summable("mean", dtype)
        self._shape, self._dtype, self._factors, self._added = (1, *shape), dtype, factors, 0
        self._limits, self._fill = _limits(dtype, ignore), _fill(dtype, ignore)
        tile = largest_tile(self._shape, _column_bytes(dtype, factors))
        size = math.prod(tile) * factors[1] * factors[2]
        self._kept, self._map, self._any = Buffer(size, dtype), Buffer(size, np.bool_), Buffer(size, np.bool_)
        total, counted = sum_dtype(dtype, voxels(factors)), sum_dtype(_BYTE, voxels(factors))
        self._sums = sums_of_voxels(dtype, total, tile, factors[2])
        self._counts = sums_of_voxels(_BYTE, counted, tile, factors[2])
        self._sum, self._count = np.empty(self._shape, total), np.empty(self._shape, counted)

    def add(self, planes: Block) -> None:
        """Take the next planes (m, rows, columns) of the block; leftover rows and columns are dropped."""
        assert self._added + len(planes) <= self._factors[0], "more planes than the block has were added"
        once = (1, *self._factors[1:])
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for k in range(len(planes)):
                first = self._added == 0
                for tile in tiles(self._shape, _column_bytes(self._dtype, self._factors)):
                    kept, valid = self._masked(source_of(planes[k : k + 1], tile, once))
                    self._sums.add(kept, once, self._sum[tile], first=first)
                    self._counts.add(valid.view(_BYTE), once, self._count[tile], first=first)
                self._added += 1

    def finish(self, out: Block) -> None:
        """Fill the plane of the result (1, rows, columns); the next plane that is added begins a new one."""
        assert self._added == self._factors[0], "a plane of the result needs all planes of the block"
        self._added = 0
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for tile in tiles(self._shape, 8):
                self._divide(self._sum[tile], self._count[tile], out[tile])

    def _masked(self, source: Block) -> tuple[Block, Block]:
        """The voxels, padding replaced by what adds nothing to a sum, and where there is none."""
        kept, valid, other = (buffer.shaped(source.shape) for buffer in (self._kept, self._map, self._any))
        if self._limits is not None:
            np.less(source, self._limits[0], out=valid)
            np.greater(source, self._limits[1], out=other)
            np.logical_or(valid, other, out=valid)  # neither holds for NaN
        else:
            np.equal(source, source, out=valid)
        # Sums of integers are those of the voxels minus the lowest value of their type.
        np.copyto(kept, np.iinfo(self._dtype).min if self._dtype.kind in "iu" else 0)
        np.copyto(kept, source, where=valid)
        return kept, valid

    def _divide(self, sums: Block, counts: Block, out: Block) -> None:
        empty = counts == 0
        divisors = np.maximum(counts, 1)
        if self._dtype.kind == "f":
            np.copyto(out, np.divide(sums, divisors, dtype=np.float64), casting="unsafe")
            settle(out, zeros=False)
        else:
            self._divide_integers(sums, divisors, out)
        np.copyto(out, self._fill, where=empty)

    def _divide_integers(self, sums: Block, divisors: Block, out: Block) -> None:
        # Exact for any divisor, as `rounding.Divider` explains; its ties need an even lowest value, which all have.
        unsigned = out.view(f"u{out.itemsize}")
        if divides_long(self._dtype, voxels(self._factors)):
            wide = divisors.astype(sums.dtype)
            quotient, rest = np.divmod(sums, wide)
            rest *= 2
            rest += quotient & 1
            quotient += rest > wide
            np.copyto(unsigned, quotient, casting="unsafe")
        else:
            real = np.divide(sums, divisors, dtype=np.float64)
            np.copyto(unsigned, np.rint(real, out=real), casting="unsafe")
        if self._dtype.kind == "i":
            np.bitwise_xor(out, np.iinfo(self._dtype).min, out=out)


def _limits(dtype: np.dtype[Any], ignore: tuple[float, float]) -> tuple[Any, Any] | None:
    """The range in the voxels' type; None where it holds none of its numbers."""
    low, high = ignore
    if dtype.kind != "f":
        low, high = math.ceil(low), math.floor(high)
    lowest, highest = _range(dtype)
    if low > high or low > highest or high < lowest:
        return None
    return dtype.type(max(low, lowest)), dtype.type(min(high, highest))


def _fill(dtype: np.dtype[Any], ignore: tuple[float, float]) -> Any:
    """What a block of padding becomes: the start of the range, or what the type has next to it."""
    limits = _limits(dtype, ignore)
    lowest, highest = _range(dtype)
    return limits[0] if limits is not None else dtype.type(min(max(ignore[0], lowest), highest))


def _range(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    if dtype.kind == "f":
        return float(np.finfo(dtype).min), float(np.finfo(dtype).max)
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def _column_bytes(dtype: np.dtype[Any], factors: Shape) -> int:
    """Bytes of one plane of the voxels that make one voxel of the result."""
    return max(8, factors[1] * factors[2] * dtype.itemsize)


def masked_scratch(shape: tuple[int, int], dtype: np.dtype[Any], factors: Shape) -> int:
    """Most bytes that `MaskedPlanes` for a result of `shape` (rows, columns) holds, the planes it is fed not."""
    sizes = sum_dtype(dtype, voxels(factors)).itemsize + sum_dtype(_BYTE, voxels(factors)).itemsize
    column = _column_bytes(dtype, factors)
    tile = tile_bytes(column) // column
    row = tile * (factors[2] + 1)
    # Floats: rows, and rows loaded, in float64. Integers: words of two lanes, and the lanes side by side.
    summing = 16 if dtype.kind == "f" else 6 * dtype.itemsize
    held = tile * factors[1] * factors[2] * (dtype.itemsize + 2) + row * (summing + 6) + 2 * 8 * tile
    return math.prod(shape) * sizes + held + min(math.prod(shape), TILE // 8) * 48 + SLACK
