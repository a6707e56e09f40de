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

__all__ = ["TOLERANCE", "Index", "Numbers", "finer", "levels_of", "off_the_steps", "whole_steps"]


def levels_of(heights: Numbers, tolerance: float) -> tuple[Index, Numbers]:
    """The level of each height, and the levels in ascending order; neighbours within `tolerance` share one."""
    order = np.argsort(heights, kind="stable")
    which = np.empty(len(order), np.int64)
    which[order] = np.cumsum(np.diff(heights[order], prepend=heights[order[0]]) > tolerance)
    return which, np.array([heights[which == n].mean() for n in range(which.max() + 1)])


def whole_steps(levels: Numbers) -> Index | None:
    """Where each of at least two levels lies in steps from the first one; None where no step fits.

    The step is the largest of which all distances are whole multiples, up to `TOLERANCE` of it.
    """
    smallest = float(np.diff(levels).min())
    for parts in range(1, _MOST_PARTS + 1):
        index = _counted(levels, smallest / parts)
        if len(np.unique(index)) == len(index) and off_the_steps(levels, index).max() <= TOLERANCE:
            return index
    return None


def off_the_steps(levels: Numbers, index: Index) -> Numbers:
    """How far each level is from its whole multiple, as parts of the step from the first level to the last."""
    step = (levels[-1] - levels[0]) / index[-1]
    return np.asarray(np.abs((levels - levels[0]) / step - index))


def _counted(levels: Numbers, step: float) -> Index:
    """Each level in steps; the step, known from one rounded distance, is refined from short distances to long ones."""
    length, count = 0.0, 0
    for gap in np.sort(np.diff(levels)).tolist():
        length += gap
        count += max(1, round(gap / step))
        step = length / count
    return np.asarray(np.rint((levels - levels[0]) / step), np.int64)


def finer(step: float, stated: float | None) -> int:
    """How many steps of the stated length one step has: 1 where it is no whole number, or nothing is stated."""
    if stated is None:
        return 1
    parts = round(step / stated)
    return parts if parts > 1 and abs(step / stated - parts) <= TOLERANCE * parts else 1
