"""How values become the 16-bit integers of an image: as they are, or with a slope chosen for the least error.

Real value = RescaleSlope * stored + RescaleIntercept (PS3.3 C.11.1.1.2), with both as decimal text. Errors are those of
a reader that computes in double precision with the numbers that the text says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chunkvol.errors import InputError
from chunkvol.formats.dicom.writer.decimals import ds, ds_above, ds_below
from chunkvol.metadata import Rescale
from chunkvol.sources import Block

TILE = 1 << 16
"""Pixels that are worked on at a time, so that double precision temporaries stay small."""

_STEPS = (1 << 16) - 1
_LARGEST = 1e30
"""Beyond it products of a few numbers of a header overflow in readers."""
_LEAST_SLOPE = 1e-290
"""Below it values are as good as the same: doubles come to their end."""
_EPS = float(np.finfo(np.float64).eps)
_NUDGE = 1 + 1e-13
"""Turns an integer into the nearest larger one that is none, as a text of 16 characters, also where it is negative."""

__all__ = ["TILE", "Coding", "Range", "coding_of", "fits", "kept", "range_of", "united"]


@dataclass(frozen=True, slots=True)
class Range:
    """What values there are."""

    low: float
    """The smallest; an int of an integer type, of any size."""
    high: float
    """The largest; likewise."""
    whole: bool
    """Whether all are integers."""


@dataclass(frozen=True, slots=True)
class Coding:
    """How values are stored in an image."""

    signed: bool
    """Whether stored values are int16; else they are uint16."""
    slope: str
    """RescaleSlope."""
    intercept: str
    """RescaleIntercept."""
    error: float
    """No decoded value is further from the real one: a bound, 0 where all are exact."""
    shift: float = 0
    """What is subtracted from exact values; an int of integer types."""
    times: int = 1
    """Stored steps of the slope in a step of exact values."""
    scale: Rescale | None = None
    """From values to real ones, where these are rounded to steps of the slope; None where values are stored exactly."""

    @property
    def exact(self) -> bool:
        """Whether stored values are the values themselves, up to the shift."""
        return self.scale is None

    @property
    def plain(self) -> bool:
        """Whether stored values are the real ones."""
        return self.slope == "1" and self.intercept == "0"

    def stored(self, plane: Block) -> Block:
        """The pixels, little endian, of values within the range that the coding was made for."""
        kind = np.dtype("<i2" if self.signed else "<u2")
        if self.exact and self.shift == 0 and self.times == 1:
            return plane.astype(kind)
        out = np.empty(plane.shape, kind)
        flat, target = plane.reshape(-1), out.reshape(-1)
        for start in range(0, flat.size, TILE):
            part = flat[start : start + TILE]
            target[start : start + TILE] = (self._moved(part) if self.exact else self._steps(part)).astype(kind)
        return out

    def _moved(self, part: Block) -> Block:
        # Integers stay what they are: 64 bits are more than a double holds.
        wide = part if part.dtype.kind in "iu" else part.astype(np.float64)
        moved: Block = wide - np.array(self.shift, wide.dtype)
        moved *= moved.dtype.type(self.times)
        return moved

    def _steps(self, part: Block) -> Block:
        real = _real(part, self.scale or Rescale())
        real -= float(self.intercept)
        real /= float(self.slope)
        np.rint(real, out=real)
        return np.clip(real, 0, _STEPS, out=real)


def fits(dtype: np.dtype[Any]) -> bool:
    """Whether any value of a type is one of 16 bits."""
    return dtype.kind in "iu" and dtype.itemsize <= 2


def kept(dtype: np.dtype[Any], scale: Rescale) -> Coding:
    """Stored values as they are, of a type that `fits`, with the slope and intercept that they have."""
    bounds = np.iinfo(dtype)
    return _exact(int(bounds.min), int(bounds.max), 0, scale, signed=dtype.kind == "i")


def coding_of(found: Range, scale: Rescale, *, alike: bool = False) -> Coding:
    """The coding of values in a range with the least error.

    Integers that span no more than 16 bits are stored exactly, all else as the steps of a slope that covers the range:
    slope >= (high - low) / 65535, both ends as stored decimal text.

    Parameters
    ----------
    found
        The values.
    scale
        From them to real values.
    alike
        This is one of several codings in a series: unsigned numbers whatever the range, so that all planes have one
        pixel format; and never an integer slope with an integer intercept, for which ITK takes integers as the type of
        the series where the first image has them, and wraps what other images hold.

    Raises
    ------
    InputError
        Real values are larger than decimal text in headers is read.
    """
    if found.whole and found.high - found.low <= _STEPS:
        low, high = int(found.low), int(found.high)
        if alike:
            return _exact_alike(low, high, scale)
        if -(1 << 15) <= low < 0 and high < 1 << 15:
            return _exact(low, high, 0, scale, signed=True)
        return _exact(low, high, 0 if low >= 0 and high <= _STEPS else low, scale, signed=False)
    return _rounded(found, scale, alike=alike)


def _exact(low: int, high: int, shift: int, scale: Rescale, *, signed: bool) -> Coding:
    real = _checked(sorted(scale.slope * end + scale.intercept for end in (low, high)))
    first = scale.slope * shift + scale.intercept
    slope, intercept = ds(scale.slope), ds(first)
    off_slope, off = abs(float(slope) - scale.slope), abs(float(intercept) - first)
    if off_slope == 0 and off == 0 and _sums_are_exact(scale, shift):
        return Coding(signed, slope, intercept, 0.0, shift)
    farthest = max(abs(low - shift), abs(high - shift))
    error = off + off_slope * farthest + 4 * _EPS * max(map(abs, (*real, first)))
    return Coding(signed, slope, intercept, error, shift)


def _exact_alike(low: int, high: int, scale: Rescale) -> Coding:
    """Half steps keep integers where there is room for them; else the slope is off by what 16 characters can say."""
    plain = _exact(low, high, low, scale, signed=False)
    if not _is_whole(plain.slope, plain.intercept):
        return plain
    half = ds(scale.slope / 2)
    if 2 * (high - low) <= _STEPS and not _is_whole(half, "0"):
        return replace(plain, slope=half, times=2)
    slope = ds(float(plain.slope) * _NUDGE)
    off = abs(float(slope) - float(plain.slope)) * (high - low)
    return replace(plain, slope=slope, error=plain.error + off * (1 + 1e-6) + 4 * _EPS * _size(low, high, scale))


def _is_whole(slope: str, intercept: str) -> bool:
    return float(slope).is_integer() and float(intercept).is_integer()


def _size(low: int, high: int, scale: Rescale) -> float:
    return max(abs(scale.slope * end + scale.intercept) for end in (low, high))


def _sums_are_exact(scale: Rescale, shift: int) -> bool:
    """Without a shift a reader computes what the values meant; with one only integers come out the same."""
    return shift == 0 or (float(scale.slope).is_integer() and float(scale.intercept).is_integer())


def _rounded(found: Range, scale: Rescale, *, alike: bool) -> Coding:
    low, high = _checked(sorted(scale.slope * float(end) + scale.intercept for end in (found.low, found.high)))
    blur = 4 * _EPS * max(abs(low), abs(high), abs(scale.intercept))
    start = ds_below(low)
    wanted = (high - float(start)) / _STEPS
    if low == high or wanted < _LEAST_SLOPE:
        middle = ds(low)
        one = "0.5" if alike else "1"
        return Coding(False, one, middle, max(abs(float(middle) - low), high - low) + blur * (low != high), scale=scale)
    slope = ds_above(wanted)
    if alike and _is_whole(slope, start):
        slope = ds_above(wanted * _NUDGE)
    # Half a step, and what is lost when a reader multiplies and adds.
    return Coding(False, slope, start, float(slope) / 2 * (1 + 1e-9) + blur, scale=scale)


def _checked(ends: list[float]) -> list[float]:
    if not all(abs(end) <= _LARGEST for end in ends):
        raise InputError(
            f"real values from {ends[0]:g} to {ends[1]:g} are larger than programs read from DICOM headers "
            f"({_LARGEST:g}): divide them by a constant first, or write NRRD"
        )
    return ends


# ------------------------------------------------------------------------------------------------- what there is


def range_of(plane: Block, name: str) -> Range:
    """The range of a plane's values; `name` says which plane it is.

    Raises
    ------
    InputError
        Some are NaN or infinite.
    """
    low, high = plane.min(), plane.max()
    if plane.dtype.kind in "iu":
        return Range(int(low), int(high), True)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(
            f"{name} holds {'NaN' if np.isnan(low) or np.isnan(high) else 'infinite values'}, which the integers of "
            "DICOM cannot say: write NRRD, or --dtype uint16 --window LO,HI puts NaN at the low end, and keeps no "
            "real values"
        )
    return Range(float(low), float(high), _whole(plane))


def united(ranges: Iterable[Range]) -> Range:
    """The range of all values together."""
    found = list(ranges)
    return Range(min(r.low for r in found), max(r.high for r in found), all(r.whole for r in found))


def _whole(plane: Block) -> bool:
    """Whether all values are integers; of values that are not, the first tile mostly tells."""
    flat = plane.reshape(-1)
    return all(
        bool(np.array_equal(part, np.rint(part))) for part in (flat[at : at + TILE] for at in range(0, flat.size, TILE))
    )


def _real(part: Block, scale: Rescale) -> Block:
    real: Block = part.astype(np.float64)
    if not scale.is_identity:
        real *= scale.slope
        real += scale.intercept
    return real
