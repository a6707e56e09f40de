"""The lists that control points belong to: their type, name, display, and the geometry of planes and regions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.landmarks.points import Landmarks, Points

GEOMETRY = {
    "center": 3,
    "normal": 3,
    "orientation": 9,
    "size": 3,
    "planeBounds": 4,
    "objectToBase": 16,
    "baseToNode": 16,
}
"""Fields of planes and regions that say where they lie, and how many numbers each has."""

List = dict[str, Any]

__all__ = ["GEOMETRY", "List", "MarkupLists", "in_frame", "lists_of"]


@dataclass(frozen=True, eq=False)
class MarkupLists:
    """A document of markups without its control points."""

    lists: tuple[List, ...]
    """Each as Slicer's JSON has it, `controlPoints` empty, its `GEOMETRY` in LPS mm."""
    top: dict[str, Any] = field(default_factory=dict)
    """The document around them."""
    points: Points | None = None
    """Control points, LPS mm, shape (n, 3), that the `GEOMETRY` belongs to; None where there is none."""


def lists_of(landmarks: Landmarks) -> tuple[tuple[List, ...], npt.NDArray[np.intp]]:
    """The lists of landmarks, and to which one each point belongs, shape (n,)."""
    original = landmarks.original
    lists: tuple[List, ...] = original.lists if isinstance(original, MarkupLists) else ()
    lists = lists or ({"type": landmarks.kind},)
    if len(lists) == 1 and lists[0]["type"] != landmarks.kind:
        lists = ({**lists[0], "type": landmarks.kind},)
    of = np.array(landmarks.columns.get("list", (0,) * len(landmarks)), np.intp)
    if len(of) and not 0 <= of.min() <= of.max() < len(lists):
        raise InputError(f"points belong to list {of.max() + 1} of {len(lists)}; say which lists there are")
    return lists, of


def in_frame(fields: List, signs: Points, unit: float = 1.0) -> List:
    """The fields of a list with its geometry in another frame: into LPS mm, or, with unit 1, out of it.

    Slicer turns the first two rows of any matrix, also of `objectToBase`.
    """
    turned = {name: _turned(name, fields[name], signs, unit) for name in GEOMETRY if fields.get(name)}
    return {**fields, **turned}


def _turned(name: str, values: Any, signs: Points, unit: float) -> list[float]:
    numbers = np.array(values, float)
    if name in ("size", "planeBounds"):
        return [*(numbers * unit).tolist(), *[0.0] * (GEOMETRY[name] - len(numbers))]
    if name in ("center", "normal"):
        return list((numbers * signs * (unit if name == "center" else 1.0)).tolist())
    width = 3 if name == "orientation" else 4
    matrix = numbers.reshape(-1, width).copy()
    matrix[:3] *= signs[:, None]
    matrix[:3, 3:] *= unit
    return list(matrix.ravel().tolist())
