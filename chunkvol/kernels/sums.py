"""Block sums: exact for integers, in one fixed order of additions for floating-point numbers."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np

from chunkvol.errors import InputError
from chunkvol.kernels.tiles import Block, Buffer, fold_columns, row_sets
from chunkvol.regions import ceil_div

__all__ = ["BlockSums", "check_summable", "sum_dtype", "sums_of_carried", "sums_of_voxels"]

_LOW = 0 if sys.byteorder == "little" else 1
"""Which of two neighbours lies in the low lane of a word."""


def check_summable(name: str, dtype: np.dtype[Any]) -> None:
    """Refuse types that have no exact mean here.

    Raises
    ------
    InputError
        For 64-bit integers, whose sums do not fit, and for types that are not numbers.
    """
    if dtype.kind in "iu" and dtype.itemsize == 8:
        raise InputError(f"{name} of 64-bit integers is not supported; labels want --method mode or stride")
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise InputError(f"{name} of {dtype} voxels is not supported; labels want --method mode or stride")


def sum_dtype(dtype: np.dtype[Any], voxels: int) -> np.dtype[Any]:
    """The type that holds the sum of `voxels` voxels of this type without overflow; float64 for floats."""
    if dtype.kind == "f":
        return np.dtype(np.float64)
    largest = voxels * ((1 << 8 * dtype.itemsize) - 1)
    for unsigned in (np.uint16, np.uint32, np.uint64):
        if largest <= np.iinfo(unsigned).max:
            return np.dtype(unsigned)
    raise InputError(f"blocks of {voxels} voxels of type {dtype} are too large to be summed; reduce in two steps")


class BlockSums(ABC):
    """Adds the blocks of one tile after another to sums, with buffers that are made once.

    Sums of integers are those of the voxels minus the lowest value of their type, so they are unsigned.
    """

    __slots__ = ("_partial", "_planewise")

    def __init__(self, total: np.dtype[Any], size: int, planewise: bool) -> None:
        self._partial = Buffer(size, total)
        self._planewise = planewise

    def add(self, source: Block, factors: Sequence[int], total: Block, first: bool = True) -> None:
        """Add each block of `source` to its voxel of `total`; `first` overwrites what stands there.

        In each plane the rows are added in order, then the columns in order; planes are then added in order. Integers
        are exact in any order, so there all rows of a block come before the columns.
        """
        sets = row_sets(source, factors)
        step = min(self._limit, factors[1] if self._planewise else factors[0] * factors[1])
        while group := list(islice(sets, step)):
            target = total if first else self._partial.shaped(total.shape)
            rows, columns = self._add_rows(group, factors[2], target)
            fold_columns(np.add, rows, columns, target)
            if not first:
                np.add(total, target, out=total)
            first = False

    @property
    @abstractmethod
    def _limit(self) -> int:
        """How many rows can be added before a buffer overflows."""

    @abstractmethod
    def _add_rows(self, group: Sequence[Block], factor: int, out: Block) -> tuple[Block, int]:
        """The sum of the rows, and how many of its columns make a block; `out` itself where they are all added."""


class PlainSums(BlockSums):
    """Sums of floats, in float64, and of sums carried from the level before."""

    __slots__ = ("_cast", "_loaded", "_rows")

    def __init__(self, dtype: np.dtype[Any], total: np.dtype[Any], tile: tuple[int, int], factor: int) -> None:
        super().__init__(total, math.prod(tile), planewise=total.kind == "f")
        size = math.prod(tile) * factor
        self._rows, self._loaded = Buffer(size, total), Buffer(size, total)
        self._cast = dtype != total

    @property
    def _limit(self) -> int:
        return 1 << 62

    def _add_rows(self, group: Sequence[Block], factor: int, out: Block) -> tuple[Block, int]:
        if len(group) == 1 and not self._cast:
            return group[0], factor
        rows = self._rows.shaped(group[0].shape)
        np.copyto(rows, group[0]) if self._cast else np.add(group[0], group[1], out=rows)
        for other in group[1 if self._cast else 2 :]:
            np.add(rows, self._load(other), out=rows)
        return rows, factor

    def _load(self, rows: Block) -> Block:
        # A cast of its own is three times as fast as one inside the addition.
        if not self._cast:
            return rows
        loaded = self._loaded.shaped(rows.shape)
        np.copyto(loaded, rows)
        return loaded


class LaneSums(BlockSums):
    """Exact sums of 8, 16 and 32-bit integers, two neighbours to a machine word.

    With words w = high * 2**b + low, the sum T of the words wraps, but the sum H of the high lanes does not, and
    T - H * 2**b (again wrapping) is the sum of the low lanes: three operations a word for two voxels.
    """

    __slots__ = ("_bits", "_both", "_high", "_loaded", "_low", "_narrow", "_sign", "_spare")

    def __init__(self, dtype: np.dtype[Any], total: np.dtype[Any], tile: tuple[int, int], factor: int) -> None:
        super().__init__(total, math.prod(tile), planewise=False)
        self._bits = 8 * dtype.itemsize
        self._narrow = np.dtype(f"u{dtype.itemsize}")
        self._sign = 1 << (self._bits - 1) if dtype.kind == "i" else 0
        wide, words = np.dtype(f"u{2 * dtype.itemsize}"), tile[0] * ceil_div(tile[1] * factor, 2)
        self._low, self._high, self._spare, self._loaded = (Buffer(words, wide) for _ in range(4))
        self._both = Buffer(2 * words, wide)

    @property
    def _limit(self) -> int:
        return 1 << (self._bits - 1)  # so that a lane can also hold the sum of two

    def _add_rows(self, group: Sequence[Block], factor: int, out: Block) -> tuple[Block, int]:
        low, high = self._add_words(group)
        spare = self._spare.shaped(high.shape)
        if factor % 2 == 0:
            # low + high = T - H * (2**b - 1)
            np.multiply(high, (1 << self._bits) - 1, out=spare)
            target = out if factor == 2 and out.dtype == spare.dtype else spare
            np.subtract(low, spare, out=target)
            return target, factor // 2
        np.left_shift(high, self._bits, out=spare)
        np.subtract(low, spare, out=spare)
        both = self._both.shaped((*high.shape[:2], 2 * high.shape[2]))
        both[..., _LOW::2] = spare
        both[..., 1 - _LOW :: 2] = high
        return both, factor

    def _add_words(self, group: Sequence[Block]) -> tuple[Block, Block]:
        """The wrapped sum of the words, and the sum of their high lanes."""
        shape = (*group[0].shape[:2], -(-group[0].shape[2] // 2))
        low, high, spare = (buffer.shaped(shape) for buffer in (self._low, self._high, self._spare))
        total = self._words(group[0], self._low, shape)
        np.right_shift(total, self._bits, out=high)
        for rows in group[1:]:
            words = self._words(rows, self._loaded, shape)
            np.add(total, words, out=low)
            np.right_shift(words, self._bits, out=spare)
            np.add(high, spare, out=high)
            total = low
        return total, high

    def _words(self, rows: Block, buffer: Buffer, shape: Sequence[int]) -> Block:
        """The rows two voxels to a word: a view where their memory allows it, else a copy in `buffer`."""
        if not self._sign and _is_words(rows, buffer.dtype.itemsize):
            return rows.view(buffer.dtype)
        words = buffer.shaped(shape)
        narrow = words.view(self._narrow)[..., : rows.shape[2]]
        if self._sign:
            # Flipping the sign bit subtracts the lowest value; each lane needs its own, so addition will not do.
            np.bitwise_xor(rows.view(self._narrow), self._narrow.type(self._sign), out=narrow)
        else:
            np.copyto(narrow, rows)
        return words


def _is_words(rows: Block, size: int) -> bool:
    """Whether pairs of neighbours are aligned machine words, low lane first."""
    strides = rows.strides
    return (
        rows.shape[2] % 2 == 0
        and strides[2] == rows.itemsize
        and strides[0] % size == 0
        and strides[1] % size == 0
        and rows.ctypes.data % size == 0
    )


def sums_of_voxels(dtype: np.dtype[Any], total: np.dtype[Any], tile: tuple[int, int], factor: int) -> BlockSums:
    """The sums of voxels of this type, for results in tiles of at most so many (rows, columns)."""
    kind = PlainSums if dtype.kind == "f" else LaneSums
    return kind(dtype, total, tile, factor)


def sums_of_carried(dtype: np.dtype[Any], total: np.dtype[Any], tile: tuple[int, int], factor: int) -> BlockSums:
    """The sums of sums of the level before."""
    return PlainSums(dtype, total, tile, factor)
