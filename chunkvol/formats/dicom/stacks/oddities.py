"""Where the headers of an accepted series disagree with its positions, or need a word of explanation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from chunkvol.formats.dicom.headers.header import Header
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.stacks.checks import TOLERANCE
from chunkvol.formats.dicom.stacks.line import Line
from chunkvol.formats.dicom.stacks.notes import Notes
from chunkvol.formats.dicom.stacks.places import Places
from chunkvol.formats.dicom.stacks.stated import KEYWORDS
from chunkvol.formats.dicom.stacks.unplaced import natural_key

_LARGEST_COUNT = 10**6

__all__ = ["disagreements", "inverted"]


def disagreements(places: Places, line: Line) -> Notes:
    """What says otherwise than the positions, which are used: thickness, spacing, numbers and names."""
    return Notes((*_thickness(places, line), *_order(places.images)))


def _thickness(places: Places, line: Line) -> list[str]:
    """SliceThickness and SpacingBetweenSlices of a tilted gantry may be along its step or along the normal."""
    step = float(np.linalg.norm(line.step))
    right = np.array([step, float(line.step @ places.normal)])
    out = []
    for field, keyword in KEYWORDS.items():
        stated = dict.fromkeys(getattr(image, field) for image in places.images)
        # The sign of nuclear medicine's spacing says which way its slices run (PS3.3 C.8.4.15).
        wrong = [n for n in stated if n is not None and (np.abs(abs(n) - right) > TOLERANCE * right).all()]
        if wrong:
            out.append(f"{keyword} says {wrong[0]:g} mm, the positions say {step:.6g} mm: the positions are used")
    return out


def _order(images: Sequence[Header]) -> list[str]:
    numbers = [image.instance_number for image in images]
    numbered = None not in numbers and len(set(numbers)) == len(numbers)
    odd = []
    if numbered and not _runs(numbers):
        odd.append("InstanceNumber")
    names = [natural_key(image) for image in images]
    if _counted([parts for parts, *_ in names]) and not _runs(names):
        odd.append("file names")
    if not odd:
        return []
    run = "runs" if odd == ["InstanceNumber"] else "run"
    return [f"{' and '.join(odd)} {run} in another order than the positions: the positions are used"]


def _runs(keys: Sequence[Any]) -> bool:
    """Whether the keys ascend all the way, or descend."""
    return all(a <= b for a, b in pairwise(keys)) or all(a >= b for a, b in pairwise(keys))


def _counted(names: Sequence[Sequence[tuple[int, int, str]]]) -> bool:
    """Whether file names count: UIDs, hashes and other names without an order are nothing to tell of."""
    first = next((parts for parts in zip(*names, strict=False) if len(set(parts)) > 1), ())
    return bool(first) and all(is_number == 1 and number < _LARGEST_COUNT for is_number, number, _ in first)


def inverted(images: Sequence[Header], options: ReadOptions) -> Notes:
    """A word on MONOCHROME1, where it is kept."""
    if images[0].photometric != "MONOCHROME1" or options.invert:
        return Notes()
    text = "MONOCHROME1: small values are bright; they are kept as stored, viewers of DICOM show them inverted"
    return Notes((text,))
