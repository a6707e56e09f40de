"""Which anatomical way the array axes run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.geometry.grid import Geometry

CARDINAL_TOLERANCE = 1e-4
"""A direction column is cardinal when its other two components are below this (about 0.006 degrees)."""

_LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))
_NUDGE = (3e-9, 5e-9, 7e-9)
"""Angles, in radians about x, y and z, by which the world is turned before axes are compared: far less than anybody
measures, far more than rounding, so that of axes that run just between two ways always the same one is taken."""

Order = tuple[tuple[int, int, int], tuple[bool, bool, bool]]
"""For `Geometry.reordered`: the old axis of each new one, and whether it is walked backwards."""

__all__ = [
    "CARDINAL_TOLERANCE",
    "axis_codes",
    "canonical_order",
    "cardinal_axes",
    "nearest_axes",
    "order_for",
]


def cardinal_axes(geometry: Geometry, tolerance: float = CARDINAL_TOLERANCE) -> tuple[tuple[int, int], ...] | None:
    """For each array axis (world axis 0..2, sign), or None when the grid is oblique."""
    matrix = np.array(geometry.direction)
    world = np.abs(matrix).argmax(axis=0)
    rest = np.abs(matrix).copy()
    rest[world, range(3)] = 0
    if rest.max() > tolerance or sorted(world) != [0, 1, 2]:
        return None
    return tuple((int(w), 1 if matrix[w, a] > 0 else -1) for a, w in enumerate(world))


def nearest_axes(geometry: Geometry) -> tuple[tuple[int, int], ...]:
    """For each array axis (k, j, i) the world axis 0..2 that it runs along best, and with which sign.

    No two share a world axis: of all six assignments the one with the largest sum of cosines is taken, oblique and
    sheared grids included. It depends on the grid's lines alone, not on the order in which they are stored, also where
    axes lie at 45 degrees.
    """
    matrix = _nudged(np.array(geometry.direction))
    cosines = np.abs(matrix)
    best = max(permutations(range(3)), key=lambda world: float(np.sort(cosines[world, range(3)]).sum()))
    return tuple((w, 1 if matrix[w, a] > 0 else -1) for a, w in enumerate(best))


def _nudged(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The directions in a world that is turned by next to nothing."""
    x, y, z = _NUDGE
    turn = np.array([[1.0, -z, y], [z, 1.0, -x], [-y, x, 1.0]])
    rows = [turn[w, 0] * matrix[0] + turn[w, 1] * matrix[1] + turn[w, 2] * matrix[2] for w in range(3)]
    return np.array(rows)


def axis_codes(geometry: Geometry) -> str:
    """The nearest anatomical direction in which each of the axes i, j, k grows: "LPS" is the identity."""
    return "".join(_LETTERS[w][int(sign > 0)] for w, sign in nearest_axes(geometry))[::-1]


def order_for(geometry: Geometry, letters: str) -> Order:
    """Axes and flips for `Geometry.reordered` that make i, j, k grow nearest to three anatomical directions.

    Parameters
    ----------
    geometry
        Any grid; on an oblique one the axes run as near to the letters as they do already.
    letters
        One of R and L, one of A and P, one of I and S, in the order i, j, k: where each axis grows *to*, as in nibabel
        and Slicer's "LPS". ITK's names of orientations, and Slicer's of slice orders, say where axes come *from*: their
        "RAI" is "LPS" here.

    Raises
    ------
    InputError
        The letters are no such three.
    """
    wanted = _wanted(letters)
    where = {world: (axis, sign) for axis, (world, sign) in enumerate(nearest_axes(geometry))}
    (k, to_k), (j, to_j), (i, to_i) = (where[world] for world, _ in wanted)
    k_sign, j_sign, i_sign = (sign for _, sign in wanted)
    return (k, j, i), (to_k != k_sign, to_j != j_sign, to_i != i_sign)


def _wanted(letters: str) -> Sequence[tuple[int, int]]:
    """World axis and sign of the new k, j, i."""
    pairs = {letter: (world, sign) for world, pair in enumerate(_LETTERS) for letter, sign in zip(pair, (-1, 1))}  # noqa: B905  # two of two
    found = [pairs.get(letter) for letter in letters.upper()] if isinstance(letters, str) else []
    known = [one for one in found if one is not None]
    if len(found) != 3 or sorted(world for world, _ in known) != [0, 1, 2]:
        raise InputError(
            f"{letters!r} is no order of axes: give one of R and L, one of A and P, one of I and S, "
            "such as LPS or RAS, for where x, y, z of the file grow to"
        )
    return known[::-1]


def canonical_order(geometry: Geometry) -> tuple[tuple[int, ...], tuple[bool, ...]] | None:
    """Axes and flips that make a cardinal grid L+, P+, S+ along i, j, k; None when the grid is oblique."""
    cardinal = cardinal_axes(geometry)
    if cardinal is None:
        return None
    where = {world: (axis, sign < 0) for axis, (world, sign) in enumerate(cardinal)}
    axes, flips = zip(*(where[world] for world in (2, 1, 0)), strict=True)
    return axes, flips
