"""What tells the volumes of one series apart: a table of facts, how they are compared and how they are named."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.formats.dicom.headers.header import Header

_GREY = ("", "MONOCHROME1", "MONOCHROME2")
_CLOSE = 1.5e-4  # one more or less in the fourth decimal, as scanners write orientations, and some room for binary
_TINY = 1e-99
_SHARED = 4096
_ENDING = 12
_PLANES = ("sagittal", "coronal", "axial")  # by the axis that their normal is nearest to: x, y, z

Numbers = npt.NDArray[np.float64]

DERIVED_OBJECTS = {
    "DOC": "document",
    "KO": "key object",
    "PR": "presentation state",
    "REG": "registration",
    "RTDOSE": "dose grid",
    "RTIMAGE": "radiotherapy image",
    "RTPLAN": "radiotherapy plan",
    "RTSTRUCT": "structure set",
    "SEG": "segmentation",
    "SR": "report",
}
"""Modalities of what is made from images, and what it is."""

__all__ = [
    "ALWAYS",
    "DERIVED_OBJECTS",
    "LABELS",
    "ONE_A_SERIES",
    "TIME",
    "WITHIN",
    "Fact",
    "clusters",
    "is_colour",
    "values_of",
]


@dataclass(frozen=True, slots=True)
class Fact:
    """One row of a table of facts."""

    name: str
    """By which it enters a volume's short id."""
    of: Callable[[Header], Any]
    """Its value: something hashable."""
    text: Callable[[Any], str]
    """What people read; empty where there is nothing to say."""
    digits: Callable[[float], float] | None = None
    """For vectors of measured numbers: rounds one; numbers that differ by no more than 1.5e-4 are then the same."""
    relative: bool = False
    """Whether that difference is a part of the number."""
    steady: bool = True
    """Whether all planes of a volume have one value; where not, it may also vary within a volume."""


def is_colour(header: Header) -> bool:
    """Whether pixels are no grey values: several samples a pixel, or a palette."""
    return (header.samples or 1) != 1 or header.photometric not in _GREY


def values_of(fact: Fact, images: Sequence[Header]) -> list[Hashable]:
    """The value of each image, whatever their order; measured numbers that only noise tells apart are made equal."""
    found = [fact.of(image) for image in images]
    if fact.digits is None:
        return found
    same = _without_noise(set(found), fact)
    return [same[value] for value in found]


def _without_noise(kinds: set[Any], fact: Fact) -> dict[Any, Hashable]:
    """For each vector the smallest of the neighbours of each of its numbers, rounded."""
    out: dict[Any, Hashable] = {None: None}
    vectors = sorted(kinds - {None})
    columns = [np.array(column) for column in zip(*vectors, strict=True)]
    if len(vectors) > 1:
        columns = [_lowest_neighbours(column, fact.relative) for column in columns]
    for vector, numbers in zip(vectors, zip(*(column.tolist() for column in columns), strict=True), strict=True):
        out[vector] = tuple(map(fact.digits or float, numbers))
    return out


def _lowest_neighbours(numbers: Numbers, relative: bool) -> Numbers:
    which = clusters(np.log(np.maximum(np.abs(numbers), _TINY)) if relative else numbers, _CLOSE)
    lowest = np.full(which.max() + 1, np.inf)
    np.minimum.at(lowest, which, numbers)
    return np.asarray(lowest[which])


def clusters(numbers: Numbers, tolerance: float) -> npt.NDArray[np.intp]:
    """The cluster of each number, from 0 upwards; numbers that are neighbours within `tolerance` share one."""
    order = np.argsort(numbers, kind="stable")
    out = np.empty(len(order), np.intp)
    out[order[:1]] = 0
    out[order[1:]] = np.cumsum(np.diff(numbers[order]) > tolerance)
    return out


def _floats(vector: tuple[float, ...] | None) -> tuple[float, ...] | None:
    return None if vector is None else tuple(map(float, vector))


def _direction(numbers: Any) -> str:
    return "(" + ", ".join(f"{number:.3g}" for number in numbers) + ")"


def _normal(orientation: Any) -> Numbers:
    return np.asarray(np.cross(orientation[:3], orientation[3:]))


def _plane(orientation: Any) -> str:
    if orientation is None:
        return "no orientation"
    return _PLANES[int(np.abs(_normal(orientation)).argmax())]


def _axes(orientation: Any) -> str:
    if orientation is None:
        return ""
    return f"normal {_direction(_normal(orientation))}, rows along {_direction(orientation[:3])}"


@lru_cache(_SHARED)
def _image_type(image_type: tuple[str, ...]) -> tuple[str, ...]:
    """In capitals, without empty values at the end."""
    parts = [part.upper() for part in image_type]
    while parts and not parts[-1]:
        parts.pop()
    return tuple(parts)


def _pixels(header: Header) -> Hashable:
    stored = header.bits_allocated if header.bits_stored is None else header.bits_stored
    photometric = "" if header.photometric == "MONOCHROME2" else header.photometric
    sign = header.pixel_representation or 0
    return header.pixel_tag, header.bits_allocated, stored, sign, header.samples or 1, photometric


def _pixels_text(value: Any) -> str:
    tag, allocated, stored, signed, samples, photometric = value
    if tag != 0x7FE00010:
        return f"{'double' if tag == 0x7FE00009 else 'float'} pixels"
    bits = f"{'signed' if signed else 'unsigned'} {stored} of {allocated} bits"
    return ", ".join(filter(None, (bits, f"{samples} samples" if samples > 1 else "", photometric)))


def _numbered(name: str, unit: str = "") -> Callable[[Any], str]:
    return lambda value: f"no {name}" if value is None else f"{name} {value:.6g}{unit}"


def _ending(name: str) -> Callable[[Any], str]:
    return lambda uid: f"{name} ending {uid[-_ENDING:]}" if uid else f"no {name}"


@lru_cache(_SHARED)
def _rounded(number: float | None) -> float | None:
    """A number without the noise of its last digits."""
    return None if number is None else float(f"{number:.5g}")


def _gradient(header: Header) -> tuple[float, ...] | None:
    """None where there is no weighting, whatever direction the scanner writes there."""
    if header.gradient is None or header.b_value == 0 or not any(header.gradient):
        return None
    return tuple(round(float(number), 3) + 0.0 for number in header.gradient)


# Adding 0.0 turns -0.0 into 0.0.
ORIENTATION = Fact(
    "orientation", lambda image: _floats(image.orientation), _plane, lambda number: round(number, 4) + 0.0
)
EXACT = Fact("orientation", ORIENTATION.of, _axes)  # for labels, where the plane alone says too little

ALWAYS: tuple[Fact, ...] = (
    ORIENTATION,
    Fact("size", lambda image: (image.columns, image.rows), lambda value: f"{value[0]} x {value[1]}"),
    Fact("image_type", lambda image: _image_type(image.image_type), lambda value: "/".join(value) or "no image type"),
    Fact("stack", lambda image: image.stack, lambda value: f"stack {value}" if value else "no stack"),
    Fact(
        "pixel_spacing",
        lambda image: _floats(image.pixel_spacing),
        lambda value: "no pixel spacing" if value is None else f"pixels of {value[1]:.6g} x {value[0]:.6g} mm",
        lambda number: float(f"{number:.5g}"),
        relative=True,
    ),
    Fact("pixels", _pixels, _pixels_text),
    Fact("modality", lambda image: image.modality, lambda value: value or "no modality"),
)
"""Images that differ in one of these are never in one volume."""

ONE_A_SERIES: tuple[Fact, ...] = (
    Fact("study", lambda image: image.study, _ending("study")),
    Fact("frame_of_reference", lambda image: image.frame_of_reference, _ending("frame of reference")),
)
"""A series has one of each (PS3.3 A.1.2, C.7.4.1.1.1). Where it has several, scans were given one UID by mistake, as
some anonymizers do to several patients: positions in different frames of reference say nothing of each other."""

WITHIN: tuple[Fact, ...] = (
    Fact("echo_number", lambda image: image.echo_number, _numbered("echo")),
    Fact("echo_time", lambda image: _rounded(image.echo_time), _numbered("echo time", " ms")),
    Fact("temporal_position", lambda image: image.temporal_position, _numbered("time")),
    Fact("b_value", lambda image: _rounded(image.b_value), _numbered("b")),
    Fact("gradient", _gradient, lambda value: "" if value is None else f"direction {_direction(value)}"),
    Fact("trigger_time", lambda image: _rounded(image.trigger_time), _numbered("trigger", " ms"), steady=False),
    Fact("acquisition_number", lambda image: image.acquisition_number, _numbered("acquisition"), steady=False),
)
"""These tell volumes apart where images share a position, and only there: some vary from plane to plane."""

TIME = Fact("time", lambda _image: None, _numbered("time"))
"""Which turn through all positions, where only the order of the instance numbers tells."""

LABELS: tuple[Fact, ...] = (*ALWAYS[:4], EXACT, *WITHIN, TIME, *ALWAYS[4:], *ONE_A_SERIES)
"""The facts in the order in which labels take them: what people look for first."""
