"""Sorting networks: many short lists are sorted at once, by minimum and maximum of whole arrays."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from chunkvol.kernels.tiles import Block

__all__ = ["comparators", "network", "sort_rows"]

Exchange = tuple[int, int, bool, bool]
"""Two rows, and whether the smaller (for the first) and the larger (for the second) are needed."""


def comparators(length: int) -> Iterator[tuple[int, int]]:
    """The pairs that Batcher's odd-even merge sort compares, in order, for lists of any length.

    Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M.
    """
    p = 1
    while p < length:
        k = p
        while k >= 1:
            for j in range(k % p, length - k, 2 * k):
                for i in range(j, min(j + k, length - k)):
                    if i // (2 * p) == (i + k) // (2 * p):
                        yield i, i + k
            k //= 2
        p *= 2


@lru_cache(maxsize=64)
def network(length: int, wanted: tuple[int, ...]) -> tuple[Exchange, ...]:
    """The exchanges that put the right values at the `wanted` places; those that cannot matter are left out."""
    live = set(wanted)
    kept: list[Exchange] = []
    for a, b in reversed(list(comparators(length))):
        if a in live or b in live:
            kept.append((a, b, a in live, b in live))
            live |= {a, b}
    return tuple(reversed(kept))


def sort_rows(lists: Block, wanted: tuple[int, ...]) -> dict[int, Block]:
    """The rows of the sorted `lists` (axes: place in the list, list) at the `wanted` places.

    The lists are overwritten. A NaN spreads to all places.
    """
    rows, spare = list(lists), np.empty_like(lists[0])
    for a, b, smaller, larger in network(len(rows), wanted):
        if smaller and larger:
            np.minimum(rows[a], rows[b], out=spare)
            np.maximum(rows[a], rows[b], out=rows[b])
            rows[a], spare = spare, rows[a]
        elif smaller:
            np.minimum(rows[a], rows[b], out=rows[a])
        else:
            np.maximum(rows[a], rows[b], out=rows[b])
    return {place: rows[place] for place in wanted}
