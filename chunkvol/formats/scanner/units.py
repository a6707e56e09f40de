"""Names of lengths in scanners' files."""

from __future__ import annotations

_MILLIMETRES = {
    "mm": (1.0, 1.0),
    "millimeter": (1.0, 1.0),
    "millimetre": (1.0, 1.0),
    "cm": (10.0, 1.0),
    "m": (1000.0, 1.0),
    "um": (1.0, 1000.0),
    "\N{GREEK SMALL LETTER MU}m": (1.0, 1000.0),
    "micron": (1.0, 1000.0),
    "nm": (1.0, 1e6),
    "inch": (25.4, 1.0),
}
"""In lower case (that of the micro sign is the Greek letter): what to multiply with, and then to divide by, since
0.001 is no number of base 2."""

__all__ = ["in_millimetres"]


def in_millimetres(length: float, unit: str) -> float | None:
    """A length of this unit in mm, rounded once; None where the unit is not known."""
    found = _MILLIMETRES.get(unit.strip().casefold())
    return None if found is None else length * found[0] / found[1]
