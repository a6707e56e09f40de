"""Linear interpolation along one axis: in double precision, rounded once, of pixels alone and never of the block's cut.

A value between two pixels is `lower + weight * (upper - lower)`, so that equal neighbours come back as they are and
integers never leave the range between them. Positions within `NEARLY` of a pixel are that pixel, bit for bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.kernels.tiles import SLACK, TILE, Block, Buffer, largest_tile, settle, tiles
from chunkvol.regions import spans

NEARLY = 1e-9
"""Pixels by which a position may miss a pixel and still be that pixel: what decimal text and its sums are off by."""

_REAL = 8  # bytes of a float64

__all__ = [
    "NEARLY",
    "blend",
    "blend_scratch",
    "check_interpolable",
    "covered",
    "interpolate_axis",
    "interpolate_scratch",
    "shift_axis",
    "shift_plane",
    "shift_scratch",
    "split_offset",
]


def check_interpolable(dtype: np.dtype[Any]) -> None:
    """Refuse types whose values double precision does not hold.

    Raises
    ------
    InputError
        For 64-bit integers, and for types that are not numbers.
    """
    if dtype.kind not in "iuf" or dtype.itemsize > 8 or (dtype.kind in "iu" and dtype.itemsize == 8):
        raise InputError(
            f"linear interpolation of {dtype} voxels is not supported: double precision does not hold all of them; "
            "labels want the nearest voxel, other values a type of at most 32 bits, or float64"
        )


# ------------------------------------------------------------------------------------------------------ blend


def blend(lower: Block, upper: Block, weight: float, out: Block | None = None) -> Block:
    """The mix `lower + weight * (upper - lower)` of two planes or blocks of one shape and type.

    Parameters
    ----------
    lower, upper
        One to three axes, any layout in memory.
    weight
        Share of `upper`, 0 <= weight < 1; with 0 the lower one comes through bit for bit.
    out
        Of their type (integers are rounded once, half to even), or float64 to put the rounding off; where the planes
        are float64, any type that holds their values. May be `lower` or `upper` itself.

    Raises
    ------
    InputError
        See `check_interpolable`; not raised when the weight is 0.
    """
    result = np.empty(lower.shape, lower.dtype) if out is None else out
    if weight == 0 and result.dtype == lower.dtype:
        np.copyto(result, lower)
        return result
    check_interpolable(lower.dtype)
    low, high, mixed = _cube(lower), _cube(upper), _cube(result)
    mixer = _Mixer(mixed)
    for tile in tiles(mixed.shape, _REAL):
        mixer.mix(low[tile], high[tile], weight, mixed[tile])
    return result


def blend_scratch() -> int:
    """Most bytes that `blend` holds besides its planes, of any size and type."""
    return 3 * TILE + TILE // 4 + SLACK


class _Mixer:
    """Mixes one tile after another in buffers that are made once."""

    __slots__ = ("_high", "_low", "_spare")

    def __init__(self, out: Block) -> None:
        rows, columns = largest_tile(out.shape, _REAL) if out.size else (0, 0)
        self._low, self._high, self._spare = (Buffer(rows * columns, np.float64) for _ in range(3))

    def mix(self, lower: Block, upper: Block, weight: float | Block, out: Block) -> None:
        low, high = self._low.shaped(out.shape), self._high.shaped(out.shape)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            np.copyto(low, lower)
            np.copyto(high, upper)
            np.subtract(high, low, out=high)
            np.multiply(high, weight, out=high)
            np.add(low, high, out=low)
            if lower.dtype.kind == "f":
                self._mend(low, lower, upper, weight)
            if out.dtype.kind in "iu":
                np.rint(low, out=low)
            np.copyto(out, low, casting="unsafe")
        settle(out, zeros=False)

    def _mend(self, mixed: Block, lower: Block, upper: Block, weight: float | Block) -> None:
        """Differences of infinities are unknown, and those of the largest numbers infinite, where the mix is not."""
        finite = np.isfinite(mixed)
        if finite.all():
            return
        other, spare = self._high.shaped(mixed.shape), self._spare.shaped(mixed.shape)
        np.copyto(spare, lower)
        np.multiply(spare, 1 - weight, out=spare)
        np.copyto(other, upper)
        np.multiply(other, weight, out=other)
        np.add(spare, other, out=spare)
        np.copyto(spare, lower, where=np.equal(weight, 0))
        np.copyto(mixed, spare, where=np.logical_not(finite, out=finite))


def _cube(block: Block) -> Block:
    """A view with three axes, as tiles have them."""
    return block[(np.newaxis,) * (3 - block.ndim)]


def _at(axis: int, index: Any) -> tuple[Any, ...]:
    """The key of some pixels along one axis, and of all along the others."""
    return (*[slice(None)] * axis, index)


# ------------------------------------------------------------------------------------------------------ shift


def split_offset(offset: float) -> tuple[int, float]:
    """An offset in pixels as `(whole, weight)`: pixel n of the result lies `weight` past pixel n - whole."""
    nearest = round(offset)
    if abs(offset - nearest) <= NEARLY:
        return nearest, 0.0
    whole = math.ceil(offset)
    return whole, whole - offset


def covered(offset: float, length: int, outputs: slice) -> tuple[slice, slice]:
    """The outputs that lie inside a source moved by `offset`, and the source pixels that they are made of.

    Parameters
    ----------
    length
        Pixels of the source.
    outputs
        Pixels of the result that are asked for; may reach beyond the source on either side.

    Both are empty where nothing lies inside.
    """
    whole, weight = split_offset(offset)
    more = 1 if weight else 0
    low, high = max(outputs.start, whole), min(outputs.stop, length - more + whole)
    if low >= high:
        return slice(outputs.start, outputs.start), slice(0, 0)
    return slice(low, high), slice(low - whole, high - whole + more)


def shift_axis(
    block: Block, offset: float, axis: int, *, fill: float, out: Block | None = None, first: int = 0
) -> Block:
    """The block moved along one axis: `result[n] = block[n + first - offset]`, interpolated between neighbours.

    Parameters
    ----------
    offset
        Pixels, any size; within `NEARLY` of a whole number pixels move as they are.
    fill
        Where a pixel that is needed lies outside `block`; the first and the last pixel are inside.
    out
        May be longer or shorter than the block along `axis`; types as in `blend`. Like the block when left out.
    first
        Where the result begins, so that parts of a result are exactly what the whole has there.

    Raises
    ------
    InputError
        See `check_interpolable`; not raised for whole offsets.
    """
    result = np.empty(block.shape, block.dtype) if out is None else out
    axis %= block.ndim
    made, needed = covered(offset, block.shape[axis], slice(first, first + result.shape[axis]))
    inside = slice(made.start - first, made.stop - first)
    result[_at(axis, slice(None, inside.start))] = fill
    result[_at(axis, slice(inside.stop, None))] = fill
    _between(block[_at(axis, needed)], split_offset(offset)[1], axis, result[_at(axis, inside)])
    return result


def _between(block: Block, weight: float, axis: int, out: Block) -> None:
    """Each pixel mixed with the one after it, so that one fewer come out; all as they are where the weight is 0."""
    if not out.size:
        return
    ends = (slice(None, -1), slice(1, None)) if weight else (slice(None), slice(None))
    blend(block[_at(axis, ends[0])], block[_at(axis, ends[1])], weight, out)


def shift_plane(
    plane: Block,
    offsets: tuple[float, float],
    *,
    fill: float,
    out: Block | None = None,
    first: tuple[int, int] = (0, 0),
) -> Block:
    """A plane moved along rows and columns: `result[j, i] = plane[j + first_j - offset_j, i + first_i - offset_i]`.

    `shift_axis` along j, kept in double precision, then along i; integers are rounded once. Axes (j, i).
    """
    result = np.empty(plane.shape, plane.dtype) if out is None else out
    asked = [slice(start, start + n) for start, n in zip(first, result.shape, strict=True)]
    (mj, nj), (mi, ni) = map(covered, offsets, plane.shape, asked)
    inside = result[mj.start - first[0] : mj.stop - first[0], mi.start - first[1] : mi.stop - first[1]]
    if inside.shape != result.shape:
        result[...] = fill
    (_, down), (_, across) = map(split_offset, offsets)
    if inside.size and down and across:
        _between_both(plane[nj, ni], down, across, inside)
    else:
        _between(plane[nj, ni], down or across, 0 if down else 1, inside)
    return result


def _between_both(plane: Block, down: float, across: float, out: Block) -> None:
    """Some rows at a time, so that the double precision between the two passes stays in the cache."""
    columns = plane.shape[1]
    tall = np.empty((min(len(out), max(1, TILE // (_REAL * columns))), columns))
    for rows in spans(len(out), len(tall)):
        part = tall[: rows.stop - rows.start]
        _between(plane[rows.start : rows.stop + 1], down, 0, part)
        _between(part, across, 1, out[rows])


def shift_scratch(columns: int) -> int:
    """Most bytes that `shift_axis` and `shift_plane` hold for a source of so many columns, besides block and result."""
    return blend_scratch() + max(TILE, _REAL * columns)


# ------------------------------------------------------------------------------------------------- interpolate


def interpolate_axis(
    block: Block,
    positions: npt.NDArray[np.float64],
    axis: int,
    *,
    fill: float,
    out: Block | None = None,
    start: int = 0,
) -> Block:
    """The block at any positions along one axis: `result[n] = block[positions[n] - start]`.

    Parameters
    ----------
    positions
        Pixels of the source, shape (n,), in any order; NaN is outside.
    fill
        Where a pixel that is needed lies outside `block`; the first and the last pixel are inside.
    out
        As long as `positions` along `axis`; types as in `blend`.
    start
        Source index of the block's first pixel, so that a part of the source gives exactly what the whole would.

    Raises
    ------
    InputError
        See `check_interpolable`.
    """
    check_interpolable(block.dtype)
    shape = list(block.shape)
    shape[axis] = len(positions)
    result = np.empty(shape, block.dtype) if out is None else out
    if not block.size:
        result[...] = fill
        return result
    source, made = _cube(block), _cube(result)
    axis = axis % block.ndim + 3 - block.ndim
    lower, weight = _taps(positions, start, source.shape[axis])
    last = source.shape[axis] - 1
    outside = (lower < 0) | (lower + (weight > 0) > last)
    mixer = _Mixer(made)
    for tile in tiles(made.shape, _REAL):
        at, target = tile[axis], made[tile]
        low = np.clip(lower[at], 0, last)
        near, far = (source[(*tile[:axis], n, *tile[axis + 1 :])] for n in (low, np.minimum(low + 1, last)))
        mixer.mix(near, far, np.expand_dims(weight[at], [n for n in range(3) if n != axis]), target)
        hit, missed = np.flatnonzero(weight[at] == 0), np.flatnonzero(outside[at])
        if made.dtype == source.dtype:
            target[_at(axis, hit)] = near[_at(axis, hit)]
        target[_at(axis, missed)] = fill
    return result


def _taps(positions: npt.NDArray[np.float64], start: int, length: int) -> tuple[Block, Block]:
    """Pixel of the block at or before each position, and how far past it the position lies; -1 for NaN."""
    near = np.clip(positions, start - 2.0, start + length + 1.0)  # far ones would overflow integers
    near = np.where(np.isnan(near), start - 1.0, near)
    nearest = np.rint(near)
    hit = np.abs(near - nearest) <= NEARLY
    lower = np.where(hit, nearest, np.floor(near))
    return lower.astype(np.int64) - start, np.where(hit, 0.0, near - lower)


def interpolate_scratch(positions: int, dtype: np.dtype[Any]) -> int:
    """Most bytes that `interpolate_axis` holds for so many positions, besides block and result."""
    return blend_scratch() + 4 * TILE * dtype.itemsize // _REAL + 64 * positions
