"""Which points are meant: by labels, by numbers, and as they are typed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import combinations, pairwise

from chunkvol.errors import InputError
from chunkvol.landmarks.points import Landmarks

__all__ = ["named", "names_of", "numbers"]


def names_of(landmarks: Landmarks) -> tuple[str, ...]:
    """What each point is called: its label where no other has it, else with its number behind it."""
    labels, counts = landmarks.labels, Counter(landmarks.labels)
    return tuple(one if one and counts[one] == 1 else f"{one} #{n}".strip() for n, one in enumerate(labels, 1))


def named(landmarks: Landmarks, text: str, count: int) -> tuple[int, ...]:
    """The numbers, from 0, of so many points that are typed as A-B or A-B-C: labels, or #1 for the first point.

    A hyphen may be part of a label, as long as there is one way only to read the text.

    Raises
    ------
    InputError
        There is no such label, or there are several ways.
    """
    parts = text.split("-")
    cuts = combinations(range(1, len(parts)), count - 1)
    ways = [["-".join(parts[a:b]) for a, b in pairwise((0, *cut, len(parts)))] for cut in cuts]
    known = {*landmarks.labels, *(f"#{n}" for n in range(1, len(landmarks) + 1))}
    fitting = [way for way in ways if known.issuperset(way)]
    if len(fitting) > 1:
        raise InputError(f"{text!r} can be read in {len(fitting)} ways, as labels hold hyphens: write numbers, #1-#2")
    if not ways:
        raise InputError(f"{text!r} does not name {count} points; write {'-'.join('ABC'[:count])}")
    return numbers(landmarks, (fitting or ways)[0], count)


def numbers(landmarks: Landmarks, asked: Sequence[int | str], count: int) -> tuple[int, ...]:
    """The numbers, from 0, of so many different points by label ("#1" is the first one) or by number from 0.

    Raises
    ------
    InputError
        A label is missing or not the only one, or there are other than so many different points.
    """
    found = tuple(_number(landmarks, one) for one in asked)
    if len(found) != count or len(set(found)) != count:
        what = "a distance is between two points" if count == 2 else "an angle has three points"
        raise InputError(f"{what}, each another one; found {', '.join(map(str, asked))}")
    return found


def _number(landmarks: Landmarks, asked: int | str) -> int:
    if isinstance(asked, str):
        return _labelled(landmarks, asked)
    if not 0 <= asked < len(landmarks):
        raise InputError(f"there are points 0 to {len(landmarks) - 1}, not {asked}")
    return asked


def _labelled(landmarks: Landmarks, label: str) -> int:
    found = [n for n, one in enumerate(landmarks.labels) if one == label]
    if len(found) == 1:
        return found[0]
    if found:
        numbers = ", ".join(f"#{n + 1}" for n in found[:8])
        raise InputError(f"{len(found)} points are labelled {label!r}: name one by its number ({numbers})")
    if re.fullmatch(r"#\d+", label):
        if not 1 <= int(label[1:]) <= len(landmarks):
            raise InputError(f"there are points #1 to #{len(landmarks)}, not {label}")
        return int(label[1:]) - 1
    there = ", ".join(landmarks.labels[:8]) + ", ..." * (len(landmarks) > 8)
    raise InputError(f"no point is labelled {label!r}; there are {there or 'none'}, or numbers such as #1")
