"""Which anatomical way the array axes run."""

from __future__ import annotations

import numpy as np

from chunkvol.geometry.grid import Geometry

CARDINAL_TOLERANCE = 1e-4
"""A direction column is cardinal when its other two components are below this (about 0.006 degrees)."""

_LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))

__all__ = ["CARDINAL_TOLERANCE", "axis_codes", "canonical_order", "cardinal_axes"]


def cardinal_axes(geometry: Geometry, tolerance: float = CARDINAL_TOLERANCE) -> tuple[tuple[int, int], ...] | None:
    """For each array axis (world axis 0..2, sign), or None when the grid is oblique."""
    matrix = np.array(geometry.direction)
    world = np.abs(matrix).argmax(axis=0)
    rest = np.abs(matrix).copy()
    rest[world, range(3)] = 0
    if rest.max() > tolerance or sorted(world) != [0, 1, 2]:
        return None
    return tuple((int(w), 1 if matrix[w, a] > 0 else -1) for a, w in enumerate(world))


def axis_codes(geometry: Geometry) -> str:
    """The nearest anatomical direction in which each of the axes i, j, k grows: "LPS" is the identity."""
    matrix = np.array(geometry.direction)
    world = np.abs(matrix).argmax(axis=0)
    return "".join(_LETTERS[w][int(matrix[w, a] > 0)] for a, w in enumerate(world))[::-1]


def canonical_order(geometry: Geometry) -> tuple[tuple[int, ...], tuple[bool, ...]] | None:
    """Axes and flips that make a cardinal grid L+, P+, S+ along i, j, k; None when the grid is oblique."""
    cardinal = cardinal_axes(geometry)
    if cardinal is None:
        return None
    where = {world: (axis, sign < 0) for axis, (world, sign) in enumerate(cardinal)}
    axes, flips = zip(*(where[world] for world in (2, 1, 0)), strict=True)
    return axes, flips
