"""From sums and real numbers to the voxels' type: rounded once, half to even."""

from __future__ import annotations

from typing import Any

import numpy as np

from chunkvol.kernels.tiles import Block, Buffer, settle

__all__ = ["Divider", "to_dtype", "to_integer"]


def to_integer(values: Block, dtype: np.dtype[Any], out: Block | None = None) -> Block:
    """Real numbers rounded half to even and clipped to the range of an integer type; NaN becomes 0.

    `values` is left alone; temporaries of its size are held.
    """
    result = np.empty(values.shape, dtype) if out is None else out
    limits = np.iinfo(dtype)
    high = values.dtype.type(limits.max)
    if int(high) > limits.max:
        high = np.nextafter(high, values.dtype.type(0))  # 2**63 - 1 is no floating-point number, 2**63 does not fit
    rounded = np.rint(values)
    np.clip(rounded, limits.min, high, out=rounded)
    unknown = np.isnan(rounded)
    if unknown.any():
        np.copyto(rounded, 0, where=unknown)
    np.copyto(result, rounded, casting="unsafe")
    return result


def to_dtype(values: Block, dtype: np.dtype[Any], out: Block | None = None) -> Block:
    """Real numbers in the voxels' type: `to_integer`, or rounded to a floating-point type (overflow is infinite)."""
    if dtype.kind in "iu":
        return to_integer(values, dtype, out)
    result = np.empty(values.shape, dtype) if out is None else out
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        np.copyto(result, values, casting="unsafe")
    settle(result, zeros=False)
    return result


class Divider:
    """Divides block sums by the number of voxels and rounds once, half to even.

    Sums of integers are those of the voxels minus the lowest value of their type (so they are unsigned); that lowest
    value is even, so the parity that decides a tie is the same with and without it.
    """

    __slots__ = ("_dtype", "_real", "_sign", "_voxels")

    def __init__(self, dtype: np.dtype[Any], voxels: int, size: int) -> None:
        self._dtype = dtype
        self._voxels = voxels
        self._sign = _lowest(dtype)
        self._real = Buffer(size, real_for(dtype, voxels))

    def divide(self, sums: Block, out: Block) -> None:
        """Write the rounded means of `sums` into `out`; `sums` keep their values."""
        if self._dtype.kind == "f":
            self._divide_floats(sums, out)
            return
        unsigned = out.view(_unsigned(self._dtype))
        if not divides_long(self._dtype, self._voxels):
            self._divide_exactly(sums, unsigned)
        else:
            _divide_long(sums, self._voxels, unsigned)
        if self._sign:
            np.bitwise_xor(out, self._sign, out=out)

    def _divide_floats(self, sums: Block, out: Block) -> None:
        real = out if self._dtype == sums.dtype else self._real.shaped(sums.shape)
        np.divide(sums, self._voxels, out=real)
        if real is not out:
            np.copyto(out, real, casting="unsafe")
        settle(out, zeros=False)

    def _divide_exactly(self, sums: Block, out: Block) -> None:
        # A correctly rounded quotient s / n falls on the right side of (and only where it must, on) every half h: both
        # are real numbers of this type, and |s / n - h| >= 1 / 2n exceeds half a unit in the last place of s / n
        # while s < 2**23 in single and s < 2**52 in double precision.
        real = self._real.shaped(sums.shape)
        # Signed conversions are vectorised where unsigned ones are not; the sums are far from the sign bit.
        np.copyto(real, sums.view(f"i{sums.itemsize}") if sums.itemsize == real.itemsize else sums)
        np.divide(real, self._voxels, out=real)
        np.rint(real, out=real)
        np.copyto(out, real, casting="unsafe")


def real_for(dtype: np.dtype[Any], voxels: int) -> np.dtype[Any]:
    """The narrowest floating-point type in which `Divider` divides exactly."""
    single = dtype.kind != "f" and voxels * _largest(dtype) < 1 << 23
    return np.dtype(np.float32 if single else np.float64)


def divides_long(dtype: np.dtype[Any], voxels: int) -> bool:
    """Whether the sums are beyond double precision, so that `Divider` has to divide integers."""
    return dtype.kind != "f" and voxels * _largest(dtype) >= 1 << 52


def _divide_long(sums: Block, voxels: int, out: Block) -> None:
    """Integer division for sums beyond the reach of double precision."""
    quotient, rest = np.divmod(sums, sums.dtype.type(voxels))
    # Up when 2 r > n, or 2 r == n and the quotient is odd.
    rest *= 2
    rest += quotient & 1
    quotient += rest > voxels
    np.copyto(out, quotient, casting="unsafe")


def _lowest(dtype: np.dtype[Any]) -> int:
    return int(np.iinfo(dtype).min) if dtype.kind == "i" else 0


def _largest(dtype: np.dtype[Any]) -> int:
    return (1 << 8 * dtype.itemsize) - 1


def _unsigned(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(f"u{dtype.itemsize}")
