"""In which order the filters along three axes go: it decides how much there is to do, and how much to hold."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from chunkvol.ops.reach import Reach
from chunkvol.regions import voxels

REAL = 8
"""Bytes of a float64."""

_ALONG_ROWS = 2.0
"""What a tap along i costs, where one along k or j costs 1: only those take whole rows at a time."""
_COPY = 0.5
"""What a voxel costs that is a copy of another one."""
_AS_GOOD = 1.25
"""Orders that cost up to so many times what the cheapest one does are as good, if they hold less."""

Reaches = tuple[Reach, Reach, Reach]

__all__ = ["REAL", "Order", "Reaches", "best_order", "held_itemsize"]


@dataclass(frozen=True, slots=True)
class Order:
    """In which order three filters go."""

    before: tuple[int, ...]
    """Axes along which each source plane is filtered when it comes in."""
    after: tuple[int, ...]
    """Axes along which held planes are filtered when all that a result needs are there; k is the first."""


def best_order(reach: Reaches, itemsize: int) -> Order:
    """The order with the least work, or with hardly more and less to hold.

    It decides the last bits of every result, so nothing but the taps and the type of the voxels goes into it.
    """
    every = [_split(axes) for axes in itertools.permutations(range(3))]
    work = {order: _work(reach, order) for order in every}
    good = [order for order in every if work[order] <= _AS_GOOD * min(work.values())]
    return min(good, key=lambda order: (_held(reach, order, itemsize), work[order]))


def held_itemsize(reach: Reaches, order: Order, itemsize: int) -> int:
    """Bytes of a number that is held: of a voxel as it is stored, or of a sum."""
    return itemsize if all(reach[axis].picks is not None for axis in order.before) else REAL


def _split(axes: Sequence[int]) -> Order:
    at = axes.index(0)
    return Order(tuple(axes[:at]), tuple(axes[at:]))


def _work(reach: Reaches, order: Order) -> float:
    """Taps of all results, those between two filters included."""
    sizes, total = [one.used for one in reach], 0.0
    for axis in (*order.before, *order.after):
        sizes[axis] = reach[axis].count
        each = reach[axis].taps if reach[axis].picks is None else _COPY
        total += voxels(sizes) * each * (_ALONG_ROWS if axis == 2 else 1)
    return total


def _held(reach: Reaches, order: Order, itemsize: int) -> int:
    """Bytes of whole planes that are held at a time."""
    sizes = [one.count if axis in order.before else one.used for axis, one in enumerate(reach)]
    return reach[0].span * sizes[1] * sizes[2] * held_itemsize(reach, order, itemsize)
