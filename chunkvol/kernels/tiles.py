"""Tiles: how a block is walked so that temporaries stay in cache, and the two folds every reduction is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.regions import Region, Shape, scaled, spans

Block = npt.NDArray[Any]
"""A block of voxels, axes (k, j, i)."""

TILE = 512 << 10
"""Bytes of one temporary buffer, of which a reduction holds five or six.

One thread is as fast with 128 KiB, but two then take turns: operations of 5 us are too short for the interpreter's
lock to change hands meanwhile. Two threads against one, mean of uint16 by 2 x 2 x 2: 0.96 at 128 KiB and 1.4 at 256
(one run each), 1.4 to 1.7 at 512 (three runs).
"""

SLACK = 256 << 10
"""Bytes that numpy itself may hold while it casts or buffers, and small arrays that are not counted one by one."""

__all__ = [
    "SLACK",
    "TILE",
    "Block",
    "Buffer",
    "coarse_shape",
    "fold_columns",
    "largest_tile",
    "product",
    "result_of",
    "row_sets",
    "settle",
    "source_of",
    "tile_bytes",
    "tiles",
]


def coarse_shape(shape: Sequence[int], factors: Sequence[int]) -> Shape:
    """The shape after a reduction: floor(n / f) along each axis, leftover voxels are dropped."""
    k, j, i = (n // f for n, f in zip(shape, factors, strict=True))
    return k, j, i


def product(steps: Sequence[Shape]) -> Shape:
    """The factors that several steps make together."""
    k, j, i = (math.prod(axis) for axis in zip((1, 1, 1), *steps, strict=True))
    return k, j, i


def result_of(block: Block, factors: Sequence[int], out: Block | None) -> Block:
    """The array that a reduction of `block` fills: `out`, or a new one of its type."""
    assert block.dtype.isnative, "sources deliver native byte order"
    shape = coarse_shape(block.shape, factors)
    assert out is None or (out.shape == shape and out.dtype == block.dtype), "out has the reduced shape and the type"
    return np.empty(shape, block.dtype) if out is None else out


def tiles(shape: Shape, column_bytes: int, limit: int = TILE) -> Iterator[Region]:
    """Regions of a result of this shape, in order, each with at most `limit` bytes at `column_bytes` a voxel.

    A tile is whole rows of one plane where a row fits, whole planes where a plane fits, and at least one voxel.
    """
    if not all(shape):
        return
    planes, rows, columns = _tile_shape(shape, column_bytes, limit)
    for k in spans(shape[0], planes):
        for j in spans(shape[1], rows):
            for i in spans(shape[2], columns):
                yield k, j, i


def largest_tile(shape: Shape, column_bytes: int, limit: int = TILE) -> tuple[int, int]:
    """Rows (of all planes together) and columns of the largest tile of `tiles`."""
    planes, rows, columns = _tile_shape(shape, column_bytes, limit)
    return planes * rows, columns


def _tile_shape(shape: Shape, column_bytes: int, limit: int) -> Shape:
    fitting = max(1, limit // max(1, column_bytes))
    if fitting < shape[2]:
        return 1, 1, max(1, fitting // 64 * 64)  # full cache lines
    rows = min(fitting // max(1, shape[2]), max(1, shape[0] * shape[1]))
    if rows < shape[1]:
        return 1, rows, shape[2]
    return rows // max(1, shape[1]), shape[1], shape[2]


def tile_bytes(column_bytes: int, limit: int = TILE) -> int:
    """The most bytes of one buffer of a tile."""
    return max(limit, column_bytes)


def source_of(block: Block, tile: Region, factors: Sequence[int]) -> Block:
    """The voxels of `block` that fill a tile of the result."""
    return block[scaled(tile, factors)]


class Buffer:
    """Memory for the temporaries of one tile after another, made at its first use."""

    __slots__ = ("_dtype", "_flat", "_size")

    def __init__(self, size: int, dtype: npt.DTypeLike) -> None:
        self._size, self._dtype = size, np.dtype(dtype)
        self._flat: Block | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers."""
        return self._dtype

    def shaped(self, shape: Sequence[int]) -> Block:
        """A contiguous array of this shape in the first bytes."""
        if self._flat is None:
            self._flat = np.empty(self._size, self._dtype)
        return self._flat[: math.prod(shape)].reshape(shape)


def row_sets(source: Block, factors: Sequence[int]) -> Iterator[Block]:
    """For each row within a block, in order (plane, row), that row of all blocks at once."""
    for z in range(factors[0]):
        for y in range(factors[1]):
            yield source[z :: factors[0], y :: factors[1]]


def fold_columns(ufunc: np.ufunc, rows: Block, factor: int, out: Block) -> None:
    """Combine each `factor` neighbouring columns, in order, into `out`, computing in its type."""
    if rows is out:
        return
    rows = rows[..., : out.shape[-1] * factor]
    if factor == 1:
        np.copyto(out, rows)
        return
    ufunc(rows[..., 0::factor], rows[..., 1::factor], out=out, dtype=out.dtype)
    for x in range(2, factor):
        ufunc(out, rows[..., x::factor], out=out)


def settle(out: Block, zeros: bool = True) -> None:
    """Give all NaNs the same bits, and all zeros a plus sign.

    Which of two NaNs, or of 0.0 and -0.0, survives an operation depends on how the processor's vectors are cut; with
    this the bytes of a result never depend on the shape of a block. Integers are left alone.
    """
    if out.dtype.kind != "f":
        return
    if zeros:
        np.add(out, 0, out=out)
    unknown = np.isnan(out)
    if unknown.any():
        np.copyto(out, np.nan, where=unknown)
