"""The fields of one markup in a file: checked numbers, in LPS mm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import FormatError
from chunkvol.geometry.grid import Triple

_LPS = (1.0, 1.0, 1.0)
_RAS = (-1.0, -1.0, 1.0)
_SYSTEMS = {"LPS": _LPS, "RAS": _RAS, "0": _RAS, "1": _LPS}
"""Signs that make a system LPS; 0 and 1 are from old versions."""
_UNITS = {"mm": 1.0, "um": 1e-3, "µm": 1e-3, "nm": 1e-6, "cm": 10.0, "m": 1e3}
"""Millimetres; the schema has mm and um, as UCUM writes them."""

Array = npt.NDArray[np.float64]

__all__ = ["Array", "MarkupFields", "triple_of"]


@dataclass(frozen=True)
class MarkupFields:
    """One object of `markups`, and how its numbers become LPS mm."""

    where: str
    """The file and the markup, for messages."""
    data: dict[str, Any]
    """As the JSON has it."""
    signs: Triple
    """By which its x, y, z become LPS."""
    unit: float
    """Millimetres of its lengths."""

    @classmethod
    def of(cls, where: str, data: dict[str, Any]) -> MarkupFields:
        """The fields of a markup, its coordinate system and unit understood."""
        system = str(data.get("coordinateSystem", "LPS"))
        if system not in _SYSTEMS:
            raise FormatError(f"{where} is in the coordinate system {system[:20]!r}; LPS and RAS are known")
        stated = data.get("coordinateUnits", "mm")
        unit = stated[0] if isinstance(stated, list) and stated else stated
        if not isinstance(unit, str) or unit not in _UNITS:
            raise FormatError(f"{where} has lengths in {str(unit)[:20]!r}; use one of {', '.join(_UNITS)}")
        return cls(where, data, _SYSTEMS[system], _UNITS[unit])

    def text(self, name: str) -> str:
        """A text, or none."""
        value = self.data.get(name, "")
        return value if isinstance(value, str) else str(value)

    def flag(self, name: str, usual: bool) -> bool:
        """A truth value."""
        value = self.data.get(name, usual)
        if not isinstance(value, bool):
            raise FormatError(f"{self.where}: {name} is true or false, found {str(value)[:40]!r}")
        return value

    def numbers(self, name: str, count: int) -> Array | None:
        """So many finite numbers, as they are; None where the field is missing or empty."""
        return _numbers(self.where, name, self.data.get(name), count)

    def point(self, name: str) -> Array | None:
        """A world point, LPS mm, shape (3,)."""
        values = self.numbers(name, 3)
        return None if values is None else self.to_world(values)

    def to_world(self, values: Array) -> Array:
        """LPS mm of a point in the markup's own system and unit."""
        return values * self.signs * self.unit

    def direction(self, name: str) -> Array | None:
        """A unit vector in LPS, shape (3,)."""
        values = self.numbers(name, 3)
        return None if values is None else self.unit_of(values * self.signs, name)

    def axes(self, name: str) -> Array | None:
        """Unit vectors in columns, rows LPS, shape (3, 3), from nine numbers row by row."""
        values = self.numbers(name, 9)
        return None if values is None else self.unit_of(values.reshape(3, 3) * np.array(self.signs)[:, None], name)

    def matrix(self, name: str) -> Array | None:
        """A 4 x 4 matrix into RAS mm, from sixteen numbers row by row.

        Slicer turns the first two rows of any matrix into LPS when it writes, also of `objectToBase`, whose result is
        no world point: so the rows are turned back before matrices are multiplied.
        """
        values = self.numbers(name, 16)
        if values is None:
            return None
        matrix = values.reshape(4, 4).copy()
        matrix[:3] *= (np.array(self.signs) * _RAS)[:, None]
        matrix[:3, 3] *= self.unit
        return matrix

    def lengths(self, name: str, count: int) -> Array | None:
        """So many lengths, mm."""
        values = self.numbers(name, count)
        return None if values is None else values * self.unit

    def unit_of(self, vectors: Array, name: str) -> Array:
        """Columns, or one vector, of length 1; axes that make a box."""
        lengths = np.linalg.norm(vectors, axis=0)
        if not np.all(lengths > 0):
            raise FormatError(f"{self.where}: {name} has an axis of no length")
        units = np.asarray(vectors / lengths)
        if units.ndim == 2 and abs(np.linalg.det(units)) < 1e-6:
            raise FormatError(f"{self.where}: {name} has axes that lie in one plane")
        return units


def _numbers(where: str, name: str, value: Any, count: int) -> Array | None:
    if value is None or value in ("", []):
        return None
    good = isinstance(value, list) and len(value) == count
    if not good or not all(isinstance(one, int | float) and not isinstance(one, bool) for one in value):
        raise FormatError(f"{where}: {name} must be {count} numbers, found {str(value)[:60]}")
    try:
        numbers = [float(one) for one in value]
    except OverflowError:
        numbers = [math.inf]
    if not all(map(math.isfinite, numbers)):
        raise FormatError(f"{where}: {name} has numbers that are not finite")
    return np.array(numbers)


def triple_of(values: Array) -> Triple:
    """Three numbers as a tuple, without minus zeros."""
    x, y, z = (values + 0.0).tolist()
    return x, y, z
