"""How much of each other's field of view two grids see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chunkvol.geometry.grid import Geometry

_NOTHING = 1e-12
"""Shares of the smaller field of view below which two of them only touch."""
_ALL = 1e-9
"""Shares of a field of view that rounding loses where one lies within another."""

Points = npt.NDArray[np.float64]
"""Corners, shape (n, 3)."""

__all__ = ["Overlap", "overlap"]


@dataclass(frozen=True, slots=True)
class Overlap:
    """What two fields of view have in common, as shares of each."""

    of_a: float
    """Of the first, 0 to 1."""
    of_b: float
    """Of the second, 0 to 1."""


def overlap(a: Geometry, b: Geometry) -> Overlap:
    """The shares of the fields of view (within the outer faces) of two grids that lie within the other one.

    Exact but for rounding, for oblique, sheared and mirrored grids: b is cut into tetrahedra, and these by the faces
    of a. Both are 0 where the grids do not meet, or only touch.
    """
    sizes = np.array(a.shape)
    corners = (a.world_to_index(b.corners_of_faces) + 0.5) / sizes
    whole = _volume(_tetrahedra(corners))
    common = _volume(_within(_tetrahedra(corners)))
    if max(common, common / whole) < _NOTHING:
        return Overlap(0.0, 0.0)
    return Overlap(_settled(common), _settled(common / whole))


def _settled(share: float) -> float:
    """A share that is all but for rounding becomes it."""
    return 1.0 if share > 1 - _ALL else share


def _tetrahedra(corners: Points) -> list[Points]:
    """A parallelepiped, its corners in order of the bits (k, j, i), as six tetrahedra."""
    paths = ((1, 3), (1, 5), (2, 3), (2, 6), (4, 5), (4, 6))
    return [corners[[0, first, second, 7]] for first, second in paths]


def _within(parts: list[Points]) -> list[Points]:
    """What of tetrahedra lies in the unit cube, as tetrahedra."""
    for axis in range(3):
        parts = [piece for part in parts for piece in _above(part, part[:, axis])]
        parts = [piece for part in parts for piece in _above(part, 1 - part[:, axis])]
    return parts


def _above(points: Points, height: Points) -> Iterator[Points]:
    """What of a tetrahedron has heights above 0, as tetrahedra; `height` is linear, given at its four corners."""
    inside, outside = np.flatnonzero(height > 0).tolist(), np.flatnonzero(height <= 0).tolist()

    def cut(p: int, q: int) -> Points:
        share = height[p] / (height[p] - height[q])
        return np.asarray(points[p] + share * (points[q] - points[p]))

    if len(inside) == 4:
        yield points
    elif len(inside) == 1:
        (p,) = inside
        yield np.array([points[p], *(cut(p, q) for q in outside)])
    elif len(inside) == 3:
        (q,) = outside
        yield from _prism(points[inside], np.array([cut(p, q) for p in inside]))
    elif len(inside) == 2:
        one, other = (np.array([points[p], *(cut(p, q) for q in outside)]) for p in inside)
        yield from _prism(one, other)


def _prism(one: Points, other: Points) -> Iterator[Points]:
    """A solid between two triangles, whose corners belong together one by one, as three tetrahedra."""
    yield np.array([one[0], one[1], one[2], other[2]])
    yield np.array([one[0], one[1], other[1], other[2]])
    yield np.array([one[0], other[0], other[1], other[2]])


def _volume(parts: list[Points]) -> float:
    """Of tetrahedra that do not overlap."""
    if not parts:
        return 0.0
    edges = np.array(parts)
    return float(np.abs(np.linalg.det(edges[:, 1:] - edges[:, :1])).sum() / 6)
