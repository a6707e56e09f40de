"""From places to an even line of planes: accepted within a tolerance, made even, assumed, or refused."""

from __future__ import annotations

import numpy as np

from chunkvol.errors import GeometryError
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.stacks.checks import TOLERANCE, Vectors, mm
from chunkvol.formats.dicom.stacks.gaps import MOST_PLANES, cuts, filled, too_many, whole_steps
from chunkvol.formats.dicom.stacks.line import Line, off_the_line, straight
from chunkvol.formats.dicom.stacks.notes import Notes
from chunkvol.formats.dicom.stacks.places import Places, low_median
from chunkvol.ops.planes import PlaneBlend

_EXACT = 1e-6
"""Of a step: planes this near to the grid are not interpolated, nor are they worth a word."""
_MOST_DECIMALS, _WHOLE = 7, 1e-3
"""Positions of more decimals are exact enough, and how near to a whole number six digits of a position come."""

__all__ = ["line_of"]


def line_of(places: Places, options: ReadOptions) -> Line:
    """The even line of at least two places, step = (last - first) / (steps between them).

    Each place is judged by its distance from where the line has it: at most 1 % of the median gap.

    Raises
    ------
    GeometryError
        When planes are missing, uneven or aside, and `options` do not say what to do.
    """
    index = np.append(0, np.cumsum(whole_steps(places.heights)))
    line = straight(places, index)
    distance = off_the_line(places, line, index)
    if distance.max() > TOLERANCE * low_median(np.diff(places.heights)):
        rounding = _rounding(places)
        if not rounding:
            _none_aside(places)
        return _evened(places, options, rounding)
    notes = _jitter(places, distance, float(np.linalg.norm(line.step)))
    line = Line(line.first, line.step, line.count, notes=notes)
    return filled(places, line, index, options) if line.count > len(index) else line


def _jitter(places: Places, distance: Vectors, step: float) -> Notes:
    worst = int(distance.argmax())
    if distance[worst] <= _EXACT * step:
        return Notes()
    text = f"planes lie up to {distance[worst]:.2g} mm off an even grid of {step:.6g} mm ({places.name(worst)})"
    return Notes((text,), record={"jitter_mm": float(distance[worst])})


def _none_aside(places: Places) -> None:
    """Uneven steps along one straight line can be made even; planes beside it are not of one volume."""
    heights, positions = places.heights, places.positions
    share = (heights - heights[0]) / (heights[-1] - heights[0])
    aside = np.linalg.norm(positions - positions[0] - share[:, None] * (positions[-1] - positions[0]), axis=1)
    worst, median = int(aside.argmax()), low_median(np.diff(heights))
    if aside[worst] > TOLERANCE * median:
        raise GeometryError(
            f"{places.name(worst)} lies {mm(aside[worst])} aside of the straight line through the planes, expected "
            f"at most {mm(TOLERANCE * median)} ({TOLERANCE:.0%} of their spacing of {mm(median)}); "
            "take away what does not belong"
        )


def _evened(places: Places, options: ReadOptions, rounding: str) -> Line:
    if options.uneven == "resample":
        return _resampled(places)
    if options.uneven == "mean":
        return _mean(places)
    way_out = "choose --uneven resample (an even grid, interpolated) or --uneven mean (even steps, assumed)"
    if len(cuts(places.heights)):
        way_out += " (--gaps split makes volumes of its parts)"
    raise GeometryError(f"{_complaint(places)}: uneven spacing{rounding}; {way_out}")


def _rounding(places: Places) -> str:
    """A word where even steps, rounded to the decimals of the positions, explain all there is."""
    # Seen from the first place: scanners round the distance along the table, and add where it begins.
    apart = places.positions - places.positions[0]
    unit = next((10.0**-n for n in range(_MOST_DECIMALS) if _are_whole(apart * 10**n)), 0.0)
    index = np.arange(len(places.images))
    off = off_the_line(places, straight(places, index), index).max()
    # Half a unit along each axis, of the place and of those at the ends of the line.
    if off > np.sqrt(3) * unit or 2 * unit > low_median(np.diff(places.heights)):
        return ""
    return (
        f", as rounding positions to {unit:g} mm makes of an even one: if that is all, --uneven mean is right "
        "and loses nothing"
    )


def _are_whole(numbers: Vectors) -> bool:
    return bool(np.abs(numbers - np.rint(numbers)).max() < _WHOLE)


def _complaint(places: Places) -> str:
    """The first gap that is no whole number of steps; where each is one, the plane that drifted furthest."""
    gaps = np.diff(places.heights)
    median = low_median(gaps)
    odd = np.flatnonzero(np.abs(gaps - whole_steps(places.heights) * median) > TOLERANCE * median)
    if len(odd):
        at = int(odd[0])
        return f"{places.name(at + 1)} lies {mm(gaps[at])} after plane {at}, expected {mm(median)}"
    index = np.append(0, np.cumsum(whole_steps(places.heights)))
    distance = off_the_line(places, straight(places, index), index)
    worst = int(distance.argmax())
    return (
        f"{places.name(worst)} lies {mm(distance[worst])} off the straight line of even steps through the planes, "
        f"expected at most {mm(TOLERANCE * median)} ({TOLERANCE:.0%} of their spacing of {mm(median)})"
    )


def _resampled(places: Places) -> Line:
    """An even line from the first to the last place, in the number of steps that is nearest to the median gap."""
    heights = places.heights
    extent = heights[-1] - heights[0]
    steps = max(1, round(extent / low_median(np.diff(heights))))
    if steps >= MOST_PLANES:
        raise too_many(places, steps + 1)
    line = straight(places, np.array([0, steps]))
    blend = _blend(heights, steps)
    made = int(np.count_nonzero(blend.weight))
    text = (
        f"uneven spacing: {len(heights)} planes made into {line.count} on an even grid of {_step(line):.6g} mm, "
        f"{made} of them interpolated"
    )
    notes = Notes(
        (f"{text} (--uneven resample)",),
        (f"uneven resample: {len(heights)} planes to {line.count}",),
        {"uneven": "resample", "interpolated_planes": made},
    )
    return Line(line.first, line.step, line.count, blend, notes)


def _blend(heights: Vectors, steps: int) -> PlaneBlend:
    step = (heights[-1] - heights[0]) / steps
    wanted = heights[0] + np.arange(steps + 1) * step
    lower = np.clip(np.searchsorted(heights, wanted + _EXACT * step, side="right") - 1, 0, len(heights) - 1)
    upper = np.minimum(lower + 1, len(heights) - 1)
    beyond = wanted - heights[lower]
    inside = (beyond > _EXACT * step) & (upper > lower)
    weight = np.where(inside, beyond / np.where(inside, heights[upper] - heights[lower], 1.0), 0.0)
    return PlaneBlend(lower.astype(np.int64), weight)


def _mean(places: Places) -> Line:
    index = np.arange(len(places.images))
    line = straight(places, index)
    distance = off_the_line(places, line, index)
    worst = int(distance.argmax())
    text = (
        f"uneven spacing taken as even steps of {_step(line):.6g} mm (--uneven mean): planes lie up to "
        f"{mm(distance[worst])} from where they belong ({places.name(worst)})"
    )
    notes = Notes(
        (text,), ("uneven mean",), {"uneven": "mean", "worst_displacement_mm": float(distance[worst])}, assumed=True
    )  # fmt: skip  # as one call
    return Line(line.first, line.step, line.count, notes=notes)


def _step(line: Line) -> float:
    return float(np.linalg.norm(line.step))
