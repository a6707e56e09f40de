"""Distances, angles and curve lengths of landmarks, with what follows from how well the points are known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.landmarks.choosing import names_of, numbers
from chunkvol.landmarks.lists import lists_of
from chunkvol.landmarks.points import Landmarks
from chunkvol.landmarks.uncertainty import Covariances, Localisation, covariances, largest_deviation, propagated

MOST = 200
"""Points whose distances are all measured: 19900 of them."""
CURVES = ("Curve", "ClosedCurve")
_NEAR = 2.0
"""Standard deviations: of points that are closer, the direction from one to the other is not known."""

UNPLACED = "a point is not placed"
TOGETHER = "points coincide"
BOUND = "closer than the points are known: sd is an upper bound"
STRAIGHT = "nearly straight for what is known of the points: sd is an upper bound"
POLYLINE = "straight from one control point to the next; a spline through them is longer"

Vector = npt.NDArray[np.float64]

__all__ = ["MOST", "Measure", "Measured", "measure"]


@dataclass(frozen=True, slots=True)
class Measure:
    """A distance, an angle or a length between points."""

    points: tuple[int, ...]
    """Their numbers, from 0: two of a distance, three of an angle with its corner in the middle, all of a curve."""
    value: float
    """mm, or degrees of an angle; NaN where a point is missing."""
    deviation: float
    """One standard deviation of it, in the same unit; NaN where nothing is known of the points."""
    note: str = ""
    """What a reader should know of it."""


@dataclass(frozen=True)
class Measured:
    """What was measured on landmarks."""

    names: tuple[str, ...]
    """What each point is called: its label where no other has it, else with its number behind it."""
    distances: tuple[Measure, ...]
    """Between two points, mm."""
    angles: tuple[Measure, ...]
    """At the second of three points, degrees."""
    lengths: tuple[Measure, ...]
    """Of curves along their control points, mm."""

    def rows(self) -> list[dict[str, str]]:
        """A row for each measure, under the names of the columns; deviations are one standard deviation."""
        lengths = [self._row(one, "mm") for one in (*self.lengths, *self.distances)]
        return [*lengths, *(self._row(one, "degrees") for one in self.angles)]

    def _row(self, one: Measure, unit: str) -> dict[str, str]:
        first, *between, last = (self.names[n] for n in one.points)
        if unit == "mm":
            between = [f"{len(between)} points"] if between else []
        row = {"from": first, "to": last, "mm": "", "sd_mm": "", "via": "", "degrees": "", "sd_degrees": "", "note": ""}
        told = {unit: f"{one.value:.9g}", f"sd_{unit}": f"{one.deviation:.4g}"}
        row |= {column: text for column, text in told.items() if text != "nan"}
        return row | {"via": "".join(between), "note": one.note}


def measure(
    landmarks: Landmarks,
    *,
    uncertainty: Localisation | None = None,
    pairs: Iterable[Sequence[int | str]] | None = None,
    angles: Iterable[Sequence[int | str]] = (),
) -> Measured:
    """Distances and angles between points, and the length of a curve, each with its standard deviation.

    Parameters
    ----------
    landmarks
        LPS mm.
    uncertainty
        How well each point is known: the grid that points were placed on (half a voxel along each of its axes), three
        half widths along world x, y, z in mm, or covariances in mm^2 of shape (3, 3) or (n, 3, 3).
    pairs
        Points of each distance, by label ("#1" is the first one) or by number from 0. By default all pairs of at most
        200 points, or none where angles or a curve are measured on more.
    angles
        Three points of each angle, the corner in the middle; of a markup of type Angle its own by default.

    Raises
    ------
    InputError
        There are too many points for all pairs, a label is missing or not the only one, or a point is named twice.
    """
    if landmarks.frame == "IJK":
        raise InputError("the points are voxel indices (ijk), between which there are no lengths: name their volume")
    spread = None if uncertainty is None else covariances(uncertainty, len(landmarks))
    lists = _lists(landmarks)
    corners = [numbers(landmarks, one, 3) for one in angles]
    if not corners and pairs is None:
        corners = [own for kind, own in lists if kind == "Angle" and len(own) == 3]
    curves = [(kind, own) for kind, own in lists if kind in CURVES and len(own) > 1]
    measured = bool(corners or curves)
    ends = _all_pairs(landmarks, measured) if pairs is None else [numbers(landmarks, one, 2) for one in pairs]
    return Measured(
        names_of(landmarks),
        tuple(_distance(landmarks, one, spread) for one in ends),
        tuple(_angle(landmarks, one, spread) for one in corners),
        tuple(_length(landmarks, own, kind == "ClosedCurve", spread) for kind, own in curves),
    )


# ------------------------------------------------------------------------------------------------------- which points


def _lists(landmarks: Landmarks) -> list[tuple[str, tuple[int, ...]]]:
    """The kind of each list, and the numbers of its points."""
    lists, of = lists_of(landmarks)
    return [(str(fields["type"]), tuple(np.flatnonzero(of == n).tolist())) for n, fields in enumerate(lists)]


def _all_pairs(landmarks: Landmarks, measured: bool) -> list[tuple[int, ...]]:
    count = len(landmarks)
    if count <= MOST:
        return list(combinations(range(count), 2))
    if measured:
        return []
    raise InputError(
        f"{count} points have {count * (count - 1) // 2} distances; all are measured of at most {MOST} points: say "
        "which by --pairs A-B,C-D"
    )


# ----------------------------------------------------------------------------------------------------------- measures


def _distance(landmarks: Landmarks, ends: tuple[int, ...], spread: Covariances | None) -> Measure:
    """|b - a|, with the deviation sqrt(u^T (Ca + Cb) u) along the line u from a to b."""
    a, b = landmarks.points[list(ends)]
    if not landmarks.placed[list(ends)].all():
        return Measure(ends, np.nan, np.nan, UNPLACED)
    length = float(np.linalg.norm(b - a))
    if spread is None:
        return Measure(ends, length, np.nan)
    both = spread[list(ends)]
    most = largest_deviation(both.sum(axis=0))
    if length <= _NEAR * most or not length:
        return Measure(ends, length, most, BOUND)
    along = (b - a) / length
    return Measure(ends, length, propagated(np.array([-along, along]), both))


def _angle(landmarks: Landmarks, corners: tuple[int, ...], spread: Covariances | None) -> Measure:
    """The angle at the second point, in degrees."""
    if not landmarks.placed[list(corners)].all():
        return Measure(corners, np.nan, np.nan, UNPLACED)
    a, corner, c = landmarks.points[list(corners)]
    one, other = a - corner, c - corner
    sides = np.linalg.norm(one), np.linalg.norm(other)
    if not min(sides) > 0:
        return Measure(corners, np.nan, np.nan, TOGETHER)
    normal = np.cross(one, other)
    angle = float(np.arctan2(np.linalg.norm(normal), one @ other))
    if spread is None:
        return Measure(corners, np.degrees(angle), np.nan)
    own = spread[list(corners)]
    most = _most_of_angle(own, float(sides[0]), float(sides[1]))
    if any(side <= _NEAR * largest_deviation(own[n] + own[1]) for n, side in zip((0, 2), sides, strict=True)):
        return Measure(corners, np.degrees(angle), min(np.degrees(most), 180.0), BOUND)
    if min(angle, np.pi - angle) <= _NEAR * most:
        return Measure(corners, np.degrees(angle), np.degrees(most), STRAIGHT)
    return Measure(corners, np.degrees(angle), np.degrees(propagated(_slopes(one, other, normal), own)))


def _slopes(one: Vector, other: Vector, normal: Vector) -> Vector:
    """By which the angle grows when each of the three points moves: across its side, in their plane; radians per mm."""
    axis = normal / np.linalg.norm(normal)
    first = -np.cross(axis, one) / (one @ one)
    last = np.cross(axis, other) / (other @ other)
    return np.array([first, -first - last, last])


def _most_of_angle(spread: Covariances, one: float, other: float) -> float:
    """Radians: the deviation were each point known as badly in all directions as in its worst, and slopes aligned."""
    slopes = (1 / one, 1 / one + 1 / other, 1 / other)
    return float(np.sqrt(sum((largest_deviation(own) * s) ** 2 for own, s in zip(spread, slopes, strict=True))))


def _length(landmarks: Landmarks, own: tuple[int, ...], closed: bool, spread: Covariances | None) -> Measure:
    """From control point to control point, and back to the first where the curve is closed."""
    placed = [n for n in own if landmarks.placed[n]]
    if len(placed) < 2:
        return Measure(own, np.nan, np.nan, UNPLACED)
    told = POLYLINE if len(placed) == len(own) else f"{len(own) - len(placed)} points are not placed; {POLYLINE}"
    points = landmarks.points[placed]
    ahead = np.roll(points, -1, axis=0) - points
    if not closed:
        ahead[-1] = 0
    lengths = np.linalg.norm(ahead, axis=1)
    total = float(lengths.sum())
    if spread is None:
        return Measure(own, total, np.nan, told)
    ways = np.divide(ahead, lengths[:, None], out=np.zeros_like(ahead), where=lengths[:, None] > 0)
    return Measure(own, total, propagated(np.roll(ways, 1, axis=0) - ways, spread[placed]), told)
