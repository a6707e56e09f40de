"""The step of which distances are whole multiples: planes that are there tell where the absent ones belong."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_MOST_PARTS = 4
"""The smallest distance has at most so many steps: with more of them any heights would fit some grid."""

TOLERANCE = 0.01
"""Part of the step by which a plane may be off the grid."""

Index = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]

__all__ = ["TOLERANCE", "Index", "Numbers", "levels_of", "whole_steps"]


def levels_of(heights: Numbers, tolerance: float) -> tuple[Index, Numbers]:
    """The level of each height, and the levels in ascending order; neighbours within `tolerance` share one."""
    order = np.argsort(heights, kind="stable")
    which = np.empty(len(order), np.int64)
    which[order] = np.cumsum(np.diff(heights[order], prepend=heights[order[0]]) > tolerance)
    return which, np.array([heights[which == n].mean() for n in range(which.max() + 1)])


def whole_steps(levels: Numbers, stated: float | None = None) -> Index | None:
    """Where each of at least two levels lies in steps from the first one; None where no step fits.

    The step is the stated one where all distances are whole multiples of it, up to `TOLERANCE` of it, or else the
    largest of which they are.
    """
    smallest = float(np.diff(levels).min())
    if stated is not None:
        direct = np.asarray(np.rint((levels - levels[0]) / stated), np.int64)
        for index in (direct, _counted(levels, stated)):
            if _fits(levels, index) and abs((levels[-1] - levels[0]) / index[-1] / stated - 1) <= TOLERANCE:
                return index
    for parts in range(1, _MOST_PARTS + 1):
        index = _counted(levels, smallest / parts)
        if _fits(levels, index):
            return index
    return None


def _fits(levels: Numbers, index: Index) -> bool:
    """Whether each level is near its whole multiple of the step from the first level to the last, and of no other's."""
    if len(np.unique(index)) < len(index):
        return False
    step = (levels[-1] - levels[0]) / index[-1]
    return bool(np.abs((levels - levels[0]) / step - index).max() <= TOLERANCE)


def _counted(levels: Numbers, step: float) -> Index:
    """Each level in steps; the step, known roughly, is refined from short distances to long ones."""
    length, count = 0.0, 0
    for gap in np.sort(np.diff(levels)).tolist():
        length += gap
        count += max(1, round(gap / step))
        step = length / count
    return np.asarray(np.rint((levels - levels[0]) / step), np.int64)
