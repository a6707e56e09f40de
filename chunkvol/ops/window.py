"""A window on planes that pass: those that are still needed."""

from __future__ import annotations

from typing import Any

import numpy as np

from chunkvol.regions import Shape
from chunkvol.sources import Block

__all__ = ["Window"]


class Window:
    """Neighbouring planes: the newest are added behind, the oldest make room."""

    __slots__ = ("_first", "_memory", "_offset", "_stop")

    def __init__(self, shape: Shape, dtype: np.dtype[Any]) -> None:
        self._memory = np.empty(shape, dtype)
        self._first = self._stop = self._offset = 0

    def room(self, planes: slice, *, keep: int) -> Block:
        """Where to put the next planes; of those before, the ones from `keep` on stay."""
        keep = max(keep, self._first)
        if planes.start != self._stop or keep >= self._stop:
            self._first, self._stop, self._offset = planes.start, planes.start, 0
        elif self._offset + planes.stop - self._first > len(self._memory):
            for n, k in enumerate(range(keep, self._stop)):  # by planes: numpy copies all where both ends overlap
                self._memory[n] = self._memory[self._offset + k - self._first]
            self._first, self._offset = keep, 0
        self._stop = planes.stop
        return self._at(planes)

    def planes(self, planes: slice) -> Block:
        """Planes that are held."""
        assert self._first <= planes.start and planes.stop <= self._stop, "what is needed is held"
        return self._at(planes)

    def _at(self, planes: slice) -> Block:
        at = slice(planes.start + self._offset - self._first, planes.stop + self._offset - self._first)
        assert at.stop <= len(self._memory), "the window has room for what comes in"
        return self._memory[at]
