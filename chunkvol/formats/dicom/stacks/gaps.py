"""Missing planes: found as whole steps that are too long, filled, or taken as the end of a volume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from chunkvol.errors import GeometryError
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.stacks.checks import Vectors, file_name, mm
from chunkvol.formats.dicom.stacks.line import Line
from chunkvol.formats.dicom.stacks.notes import Notes, ranges
from chunkvol.formats.dicom.stacks.places import Places, low_median
from chunkvol.ops.planes import PlaneBlend

MOST_PLANES = 1 << 20
"""Of a result that is made, not read: beyond it a stray plane far away is the likelier explanation."""

__all__ = ["MOST_PLANES", "cuts", "filled", "too_many", "whole_steps"]


def whole_steps(heights: Vectors) -> npt.NDArray[np.int64]:
    """How many steps each gap between ascending heights is, at least 1; shape (n - 1,).

    A step is the median gap, then the mean of those gaps that are one step: that of long gaps is known better so.
    """
    gaps = np.diff(heights)
    single = gaps[np.rint(gaps / low_median(gaps)) == 1]
    return np.asarray(np.maximum(1, np.rint(gaps / single.mean())), np.int64)


def cuts(heights: Vectors) -> npt.NDArray[np.int64]:
    """The index of the first plane after each gap of more than one and a half steps."""
    if len(heights) < 3:
        return np.empty(0, np.int64)
    return np.flatnonzero(whole_steps(heights) > 1) + 1


def filled(places: Places, line: Line, index: npt.NDArray[np.int64], options: ReadOptions) -> Line:
    """The line with its missing planes made, where `options.gaps` is "fill"; place n is plane `index[n]` of it.

    They are interpolated linearly between the planes next to them, or hold `options.fill_value`.

    Raises
    ------
    GeometryError
        When nobody decided about the gaps, or filling them would make a giant of it.
    """
    if options.gaps != "fill":
        raise _refusal(places, index)
    if line.count > MOST_PLANES:
        raise too_many(places, line.count)
    missing = np.setdiff1d(np.arange(line.count), index)
    constant = options.fill_value is not None
    how = f"with the value {options.fill_value:g}" if constant else "by linear interpolation"
    text = f"{'plane' if len(missing) == 1 else 'planes'} {ranges(missing)}"
    after = file_name(places.images[int(np.searchsorted(index, missing[0])) - 1])
    notes = Notes(
        (f"{len(missing)} missing of {line.count} planes made {how} (--gaps fill): {text}, the first after {after}",),
        (f"gaps fill {how}: {text}",),
        {"filled_planes": missing.tolist(), "fill_value": options.fill_value},
    )
    return replace(line, blend=_blend(index, line.count, constant=constant), notes=line.notes + notes)


def _blend(index: npt.NDArray[np.int64], count: int, *, constant: bool) -> PlaneBlend:
    planes = np.arange(count)
    lower = np.searchsorted(index, planes, side="right") - 1
    beyond = planes - index[lower]
    upper = np.minimum(lower + 1, len(index) - 1)
    weight = beyond / np.maximum(1, index[upper] - index[lower])
    if constant:
        lower, weight = np.where(beyond > 0, -1, lower), np.zeros(count)
    return PlaneBlend(lower.astype(np.int64), weight)


def _refusal(places: Places, index: npt.NDArray[np.int64]) -> GeometryError:
    steps, gaps = np.diff(index), np.diff(places.heights)
    long = np.flatnonzero(steps > 1)
    at, missing = int(long[0]), int(steps[long[0]]) - 1
    more = f" ({int(steps.sum()) - len(steps)} in all, in {len(long)} gaps)" if len(long) > 1 else ""
    return GeometryError(
        f"{places.name(at + 1)} lies {mm(gaps[at])} after plane {at}, expected {mm(low_median(gaps))}: "
        f"{'one plane' if missing == 1 else f'{missing} planes'} may be missing{more}; copy or export the whole "
        "series again, or choose --gaps fill (made of their neighbours) or --gaps split (a volume of each run)"
    )


def too_many(places: Places, count: int) -> GeometryError:
    """That an even grid over these places would be absurdly long."""
    gaps = np.diff(places.heights)
    at = int(gaps.argmax())
    return GeometryError(
        f"{places.name(at + 1)} lies {mm(gaps[at])} after plane {at}, expected {mm(low_median(gaps))}: an even grid "
        f"would have {count} planes, more than {MOST_PLANES}; take away what does not belong"
    )
