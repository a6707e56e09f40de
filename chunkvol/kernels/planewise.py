"""Reductions of planes that come one by one, so that no block of them is ever held."""

from __future__ import annotations

from typing import Any

import numpy as np

from chunkvol.errors import InputError
from chunkvol.kernels.extremes import extreme, extreme_scratch
from chunkvol.kernels.means import MeanLevel, mean_scratch
from chunkvol.kernels.sums import check_summable, sum_dtype
from chunkvol.kernels.tiles import Block
from chunkvol.regions import Shape, voxels

__all__ = ["PLANEWISE", "PlaneReduction", "plane_scratch"]

PLANEWISE = ("mean", "min", "max")
"""Methods whose running result needs no more than one value a voxel."""


class PlaneReduction:
    """The mean, minimum or maximum of planes added in order, bit for bit that of the planes stacked.

    Parameters
    ----------
    method
        One of `PLANEWISE`.
    shape
        Rows and columns of the result.
    dtype
        Type of the voxels.
    factors
        The block (k, j, i); k planes make one plane of the result.

    Raises
    ------
    InputError
        For methods that need all voxels of a block at once, and for types that the method refuses.
    """

    __slots__ = ("_added", "_factors", "_running")

    def __init__(self, method: str, shape: tuple[int, int], dtype: np.dtype[Any], factors: Shape) -> None:
        if method not in PLANEWISE:
            raise InputError(f"{method} cannot be made plane by plane; {', '.join(PLANEWISE)} can")
        self._factors, self._added = factors, 0
        self._running: _RunningMean | _RunningExtreme
        if method == "mean":
            self._running = _RunningMean((1, *shape), dtype, factors)
        else:
            self._running = _RunningExtreme(method, (1, *shape), dtype, factors)

    def add(self, planes: Block) -> None:
        """Take the next plane (rows, columns) or planes (m, rows, columns); leftover rows and columns are dropped."""
        block = planes[np.newaxis] if planes.ndim == 2 else planes
        assert self._added + len(block) <= self._factors[0], "more planes than the block has were added"
        self._running.add(block, first=self._added == 0)
        self._added += len(block)

    def finish(self, out: Block | None = None) -> Block:
        """The plane of the result (1, rows, columns); the next plane that is added begins a new one."""
        assert self._added == self._factors[0], "a plane of the result needs all planes of the block"
        self._added = 0
        return self._running.finish(out)


class _RunningMean:
    __slots__ = ("_dtype", "_level", "_sums")

    def __init__(self, shape: Shape, dtype: np.dtype[Any], factors: Shape) -> None:
        check_summable("mean", dtype)
        self._dtype = dtype
        self._level = MeanLevel(dtype, dtype, factors, voxels(factors), shape, carried=False)
        self._sums = np.empty(shape, sum_dtype(dtype, voxels(factors)))

    def add(self, block: Block, *, first: bool) -> None:
        self._level.add(block, self._sums, first=first)

    def finish(self, out: Block | None) -> Block:
        result = np.empty(self._sums.shape, self._dtype) if out is None else out
        self._level.divide(self._sums, result)
        return result


class _RunningExtreme:
    __slots__ = ("_factors", "_partial", "_running", "_ufunc")

    def __init__(self, method: str, shape: Shape, dtype: np.dtype[Any], factors: Shape) -> None:
        self._ufunc = np.minimum if method == "min" else np.maximum
        self._factors = factors
        self._running, self._partial = (np.empty(shape, dtype) for _ in range(2))

    def add(self, block: Block, *, first: bool) -> None:
        factors = (len(block), *self._factors[1:])
        used = block[:, : self._running.shape[1] * factors[1], : self._running.shape[2] * factors[2]]
        extreme(self._ufunc, used, factors, self._running if first else self._partial)
        if not first:
            self._ufunc(self._running, self._partial, out=self._running)

    def finish(self, out: Block | None) -> Block:
        if out is None:
            return self._running.copy()
        np.copyto(out, self._running)
        return out


def plane_scratch(method: str, shape: tuple[int, int], dtype: np.dtype[Any], factors: Shape) -> int:
    """Most bytes that a `PlaneReduction` holds, the plane it finally makes included, the planes it is fed not."""
    rows, columns = shape
    held = sum_dtype(dtype, voxels(factors)).itemsize if method == "mean" else 2 * dtype.itemsize
    source = (1, rows * factors[1], columns * factors[2])
    scratch = mean_scratch if method == "mean" else extreme_scratch
    return rows * columns * (held + dtype.itemsize) + scratch(source, dtype, factors)
