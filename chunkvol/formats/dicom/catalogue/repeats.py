"""Images that share a position: the echoes, times or weightings that make several volumes of one series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from chunkvol.formats.dicom.catalogue.facts import TIME, WITHIN, Fact, clusters, values_of
from chunkvol.formats.dicom.headers.header import Header

_SHARED = 0.01
_LARGEST_SET = 3
_COVERED = 0.6
_ROUGH = 1e-3

Codes = npt.NDArray[np.intp]
"""One small whole number an image, shape (n,)."""
Column = tuple[Fact, list[Hashable]]
"""A fact and the value of each image."""

__all__ = ["Part", "count_planes", "median_step", "split_repeats"]


@dataclass(frozen=True, slots=True)
class Part:
    """Images that make one volume, as far as their headers tell."""

    images: tuple[Header, ...]
    """In the order in which they were given."""
    facts: tuple[tuple[Fact, Hashable], ...] = ()
    """What told them from the other parts, and its value here."""


def split_repeats(images: Sequence[Header]) -> tuple[Part, ...]:
    """Split images where several share a position, by the smallest set of facts that leaves none shared.

    Where no set does, the one that leaves the fewest is taken, and instance numbers that run through all positions
    again and again tell what is left. Images that nothing tells apart stay together. Takes time in proportion to the
    number of images; the result does not depend on their order.
    """
    columns = _columns(images) if len(images) > 1 else []
    places = _places(images, columns)
    if places is None or not _repeats(places):
        return (Part(tuple(images)),)
    chosen = [columns[n] for n in _best(columns, places)]
    out = []
    for key, members in _by_value([values for _, values in chosen], len(images)):
        facts = tuple(zip((fact for fact, _ in chosen), key, strict=True))
        out += _in_turns(Part(tuple(images[n] for n in members), facts), places[members])
    return tuple(out)


def count_planes(images: Sequence[Header]) -> int:
    """How many different planes the images lie in; as many as there are images where they do not say."""
    places = _places(images)
    return len(images) if places is None else int(places.max()) + 1


def median_step(images: Sequence[Header]) -> float | None:
    """The usual distance from plane to plane along the normal, mm; None where there is one plane, or they do not say.

    Positions that differ by less than a thousandth of a pixel count as one: they differ by the noise of their digits.
    """
    heights = _heights(images)
    if heights is None:
        return None
    steps = np.diff(np.sort(heights))
    steps = steps[steps > _ROUGH * max(min(images[0].pixel_spacing or (1.0,)), 0.0)]
    return float(np.median(steps)) if len(steps) else None


def _heights(images: Sequence[Header]) -> npt.NDArray[np.float64] | None:
    orientation = images[0].orientation
    if orientation is None or any(image.position is None for image in images):
        return None
    normal = np.cross(orientation[:3], orientation[3:])
    return np.asarray(np.array([image.position for image in images], float) @ (normal / (np.linalg.norm(normal) or 1)))


def _places(images: Sequence[Header], columns: Sequence[Column] = ()) -> Codes | None:
    """Which plane each image lies in, counted upwards from 0; None where one does not say.

    Images within 1 % of the median step lie in one plane. Where volumes lie beside each other by less than that, it is
    the step within the images that share a fact: among all of them, tiny steps are the usual ones.
    """
    heights = _heights(images)
    if heights is None:
        return None
    steps = [median_step(images)]
    for fact, values in columns:
        if fact.steady:
            usual = Counter(values).most_common(1)[0][0]
            steps.append(median_step([image for image, value in zip(images, values, strict=True) if value == usual]))
    return clusters(heights, _SHARED * max((step for step in steps if step is not None), default=np.inf))


def _columns(images: Sequence[Header]) -> list[Column]:
    """The facts that are not the same in all images, with the value of each image."""
    found = [(fact, values_of(fact, images)) for fact in WITHIN]
    return [(fact, values) for fact, values in found if len(set(values)) > 1]


def _best(columns: Sequence[Column], places: Codes) -> tuple[int, ...]:
    """Which columns to split by; none where nothing helps."""
    codes = [_coded(values) for _, values in columns]
    best: tuple[int, ...] = ()
    fewest = _repeats(places)
    for chosen in _sets(len(columns)):
        together = _joined([codes[n] for n in chosen])
        left = _repeats(_joined([together, places]))
        steady = all(columns[n][0].steady for n in chosen)
        if left < fewest and _plausible(together, places, steady):
            best, fewest = chosen, left
            if not left:
                break
    return best


def _sets(count: int) -> Iterator[tuple[int, ...]]:
    """Sets of so many columns, the smaller ones first."""
    for size in range(1, 1 + min(_LARGEST_SET, count)):
        yield from combinations(range(count), size)


def _plausible(parts: Codes, places: Codes, steady: bool) -> bool:
    """Whether these look like volumes, not like one volume cut to shreds by a fact that changes from plane to plane.

    Parts of a fact that may do so must cover most of the positions: where scans of neighbouring stretches overlap by a
    few planes, those are duplicates within one volume.
    """
    count = int(parts.max()) + 1
    if steady:
        return count <= 2 * int(np.bincount(places).max())
    planes = int(places.max()) + 1
    sizes = np.bincount(parts)
    return planes > 1 and sizes.mean() >= _COVERED * planes and sizes.min() >= min(3, planes)


def _in_turns(part: Part, places: Codes) -> list[Part]:
    """The part, or its turns, where instance numbers run through all positions once, then once more, and so on.

    They may also run through all turns at one position, then at the next. Numbers that come twice tell nothing.
    """
    numbers = [(image.instance_number, image.frame) for image in part.images]
    planes = len(np.unique(places))
    turns, left = divmod(len(numbers), planes)
    if left or turns < 2 or planes < 2 or len(set(numbers)) < len(numbers) or (None, 0) in numbers:
        return [part]
    order = np.lexsort(np.array([(number or 0, frame) for number, frame in numbers]).T[::-1])
    table = places[order].reshape(turns, planes)
    if not (np.sort(table, axis=1) == np.unique(places)).all():
        table = places[order].reshape(planes, turns)
        if (table != table[:, :1]).any():
            return [part]
        order = order.reshape(planes, turns).T.ravel()
    return [
        Part(tuple(part.images[n] for n in sorted(members)), (*part.facts, (TIME, turn + 1)))
        for turn, members in enumerate(order.reshape(turns, planes).tolist())
    ]


def _by_value(columns: list[list[Hashable]], count: int) -> list[tuple[tuple[Hashable, ...], list[int]]]:
    """The images of each combination of values, in the order of the values; all of them where there is no column."""
    found: dict[tuple[Hashable, ...], list[int]] = {}
    for n, key in enumerate(zip(*columns, strict=True) if columns else [()] * count):
        found.setdefault(key, []).append(n)
    return sorted(found.items(), key=lambda item: [(value is not None, value or 0) for value in item[0]])


def _coded(values: list[Hashable]) -> Codes:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], np.intp)


def _joined(columns: list[Codes]) -> Codes:
    """One number for each combination."""
    out = columns[0]
    for column in columns[1:]:
        out = np.unique(out * (int(column.max()) + 1) + column, return_inverse=True)[1]
    return out


def _repeats(places: Codes) -> int:
    """How many images lie where another one lies already."""
    return len(places) - len(np.unique(places))
