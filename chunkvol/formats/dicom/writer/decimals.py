"""Decimal texts of at most 16 characters, as DICOM has numbers (VR DS, PS3.5 table 6.2-1)."""

from __future__ import annotations

import decimal
import math
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache

from chunkvol.errors import InputError

LONGEST = 16
"""Characters of one number."""

_FAR = decimal.Context(prec=1200)
"""Any double, and its multiples of any power of ten there is, without rounding."""

__all__ = ["LONGEST", "ds", "ds_above", "ds_below"]


def ds(value: float) -> str:
    """The decimal text of at most 16 characters that is nearest to `value`.

    No other such text is nearer: fixed point, with or without a leading zero, and exponents are tried. Of texts for
    the same number the plainest is taken.

    Raises
    ------
    InputError
        For NaN and infinity, which decimal text has no word for.
    """
    return _text(float(value), decimal.ROUND_HALF_EVEN)


def ds_above(value: float) -> str:
    """The smallest decimal text of at most 16 characters that is not below `value`."""
    return _text(float(value), decimal.ROUND_CEILING)


def ds_below(value: float) -> str:
    """The largest decimal text of at most 16 characters that is not above `value`."""
    return _text(float(value), decimal.ROUND_FLOOR)


@lru_cache(64)
def _text(value: float, rounding: str) -> str:
    if not math.isfinite(value):
        raise InputError(f"DICOM has no decimal text for {value}; replace it")
    shortest = Decimal(repr(value))
    digits = shortest.as_tuple().exponent
    assert isinstance(digits, int), "finite"
    if plain := _written(shortest, digits):
        return plain  # which reads back as this very double
    exact = Decimal(value)
    for exponent in range(digits, 400):
        rounded = exact.quantize(Decimal((0, (1,), exponent)), rounding, _FAR)
        if found := _written(rounded, exponent):
            return found
    raise AssertionError("a number of one digit has a short text")


def _written(number: Decimal, exponent: int) -> str:
    """The plainest short text of a multiple of 10 ** exponent; empty where all are too long."""
    sign, digits, _ = number.as_tuple()
    said = "".join(map(str, digits)).lstrip("0")
    whole = said.rstrip("0")
    if not whole:
        return "0"
    for body in _bodies(whole, exponent + len(said) - len(whole)):
        if sign + len(body) <= LONGEST:
            return "-" * sign + body
    return ""


def _bodies(whole: str, power: int) -> Iterator[str]:
    """Texts of the digits `whole` times 10 ** power: fixed point, bare fixed point, scientific, whole with exponent."""
    before = len(whole) + power
    if power >= 0:
        if before <= LONGEST:
            yield whole + "0" * power
    elif before > 0:
        yield f"{whole[:before]}.{whole[before:]}"
    elif -before < LONGEST:
        yield f"0.{'0' * -before}{whole}"
        yield f".{'0' * -before}{whole}"
    point = "." if len(whole) > 1 else ""
    yield f"{whole[0]}{point}{whole[1:]}e{before - 1}"
    yield f"{whole}e{power}"
