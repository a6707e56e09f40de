"""Control points of Slicer's JSON by column, read a few at a time: never an object for each of a million."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np

from chunkvol.landmarks.points import Points

_PIECE = 1 << 16
"""Bytes of JSON that are objects at once: so few that Python does not begin to look for garbage."""
_POINTS = re.compile(rb'"controlPoints"\s*:\s*\[(?=\s*\{)')
"""Before the first point of a list."""
_END = re.compile(rb"\}\s*\]")
"""Behind the last one, and perhaps elsewhere."""
_OWN = ("label", "description", "position")
"""Fields of a point that `Landmarks` have themselves."""

__all__ = ["ControlPoints", "numbers_at_once", "read_apart"]


class ControlPoints:
    """The points of one list."""

    def __init__(self, rows: Sequence[dict[str, Any]] = ()) -> None:
        self.count = 0
        """How many there are."""
        self.odd: tuple[int, Any] | None = None
        """The number, from 0, and the position of the first point whose position is not three numbers."""
        self._columns: dict[str, list[Any]] = {name: [] for name in _OWN[:2]}
        self._places: list[Points] = [np.empty((0, 3))]
        self._shared: dict[str, str] = {}
        if rows:
            self.add(rows)

    @property
    def positions(self) -> Points:
        """As they are stated, shape (n, 3); a row of NaN is a point that is not placed."""
        return np.concatenate(self._places)

    @property
    def columns(self) -> dict[str, list[Any]]:
        """All other fields in the order in which they are first there, None where a point does not have one."""
        return {name: self._padded(name) for name in self._columns if name not in _OWN}

    def texts(self, name: str) -> list[str]:
        """A field as text, empty where there is none."""
        column = self._padded(name)
        return column if set(map(type, column)) == {str} else ["" if one is None else str(one) for one in column]

    def _padded(self, name: str) -> list[Any]:
        column = self._columns[name]
        return column + [None] * (self.count - len(column))

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Take points behind those that there are."""
        orders = dict.fromkeys(map(tuple, rows))
        for name in dict.fromkeys(chain.from_iterable(orders)):
            if name != "position":
                values = map(itemgetter(name), rows) if len(orders) == 1 else (row.get(name) for row in rows)
                column = self._columns.setdefault(name, [])
                column += [None] * (self.count - len(column))
                column += self._compact(name, list(values))
        self._place(
            [row.get("position") if row.get("positionStatus", "defined") == "defined" else None for row in rows]
        )
        self.count += len(rows)

    def _compact(self, name: str, values: list[Any]) -> list[Any]:
        """The values, one object where all are the same text."""
        first = values[0]
        if type(first) is not str or values.count(first) < len(values):
            return values
        if self._shared.get(name) != first:
            self._shared[name] = first
        return [self._shared[name]] * len(values)

    def _place(self, positions: list[Any]) -> None:
        placed = np.fromiter(map(bool, positions), bool, len(positions))
        values = np.full((len(positions), 3), np.nan)
        numbers = numbers_at_once([one for one in positions if one], 3)
        if numbers is not None:
            values[placed] = numbers
        elif self.odd is None:
            number = next(n for n, one in enumerate(positions) if one and numbers_at_once([one], 3) is None)
            self.odd = self.count + number, positions[number]
        self._places.append(values)


def numbers_at_once(stated: Sequence[Any], count: int) -> Points | None:
    """So many finite numbers of each, shape (n, count); None where any has not."""
    if set(map(type, stated)) - {list} or set(map(len, stated)) - {count}:
        return None
    flat = list(chain.from_iterable(stated))
    if set(map(type, flat)) - {int, float}:
        return None
    try:
        values = np.array(flat, float).reshape(-1, count)
    except OverflowError:  # an integer that no float holds
        return None
    return values if np.isfinite(values).all() else None


# ------------------------------------------------------------------------------------------------- a file in pieces


def read_apart(data: bytes) -> tuple[dict[str, Any], list[ControlPoints]] | None:
    """A document without its control points, and those of each of its markups; None where they cannot be told apart.

    A piece that begins with a point and is JSON between brackets holds whole points: a cut within a text or an object
    leaves it open. In the document a mark stands for the points of each list, so that none is taken for another.
    """
    found: list[ControlPoints] = []
    kept: list[bytes] = []
    at = 0
    try:
        while match := _POINTS.search(data, at):
            kept.append(data[at : match.end()])
            points, at = _list(data, match.end())
            found.append(points)
        marks = [f'"{secrets.token_hex(16)}"' for _ in found]
        around = [part for pair in zip(kept, map(str.encode, marks), strict=True) for part in pair]
        document = json.loads(b"".join([*around, data[at:]]).decode("utf-8-sig"))
        stated = [one.get("controlPoints") for one in document["markups"]]
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):  # no such JSON: another reader says why
        return None
    if [one for one in stated if one] != [[mark.strip('"')] for mark in marks]:
        return None
    listed = iter(found)
    return document, [next(listed) if one else ControlPoints() for one in stated]


def _list(data: bytes, at: int) -> tuple[ControlPoints, int]:
    """The points of a list that begins at a byte, and where its closing bracket is."""
    points = ControlPoints()
    while True:
        end = _END.search(data, at, at + _PIECE)
        cut = end.start() + 1 if end else data.rfind(b"},", at, at + _PIECE) + 1
        rows = json.loads(f"[{data[at:cut].decode()}]")
        if set(map(type, rows)) != {dict}:
            raise ValueError("no points are whole here")
        points.add(rows)
        if end:
            return points, end.end() - 1
        at = cut + 1
