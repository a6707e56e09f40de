"""Spacing as TIFF says it: pixels per centimetre or micrometre, as a fraction of 32-bit numbers."""

from __future__ import annotations

from fractions import Fraction

from chunkvol.errors import InputError
from chunkvol.formats.tiff.tags import Tag

_LARGEST = (1 << 32) - 1
_UNITS = {"cm": (3, Fraction(10)), "micron": (1, Fraction(1, 1000))}
"""ResolutionUnit, and millimetres."""

__all__ = ["per_unit", "resolution_tags"]


def resolution_tags(spacing: tuple[float, float], unit: str = "cm") -> list[Tag]:
    """XResolution, YResolution and ResolutionUnit (TIFF 6.0, section 8) of a spacing along (j, i), mm.

    Parameters
    ----------
    spacing
        Along (j, i), mm.
    unit
        "cm", which all readers know; "micron" is that of ImageJ, which says so in the description (ResolutionUnit 1).
    """
    code, length = _UNITS[unit]
    rows, columns = (per_unit(one, length) for one in spacing)
    return [Tag(282, "rational", columns), Tag(283, "rational", rows), Tag(296, "short", [code])]


def per_unit(spacing: float, unit: Fraction) -> tuple[int, int]:
    """The fraction of two 32-bit numbers that is nearest to the pixels of this spacing in a length, both in mm.

    Raises
    ------
    InputError
        The fraction would be 0 or beyond 32 bits.
    """
    # The shortest decimal is what was meant: 0.3 is three tenths.
    wanted = unit / Fraction(repr(spacing))
    if not Fraction(1, _LARGEST) <= wanted <= _LARGEST:
        raise InputError(f"a spacing of {spacing:g} mm has no place in a TIFF file: is its unit the millimetre?")
    if wanted <= 1:
        found = wanted.limit_denominator(_LARGEST)
        return found.numerator, found.denominator
    found = (1 / wanted).limit_denominator(_LARGEST)
    return found.denominator, found.numerator
