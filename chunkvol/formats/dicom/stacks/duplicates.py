"""Several images at one position: copies are dropped, different images are the caller's to choose from."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from chunkvol import system
from chunkvol.errors import GeometryError, InputError
from chunkvol.formats.dicom.headers.header import Header
from chunkvol.formats.dicom.headers.inflate import Inflater
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.pixels.layout import layout_of
from chunkvol.formats.dicom.stacks.assumed import one_position
from chunkvol.formats.dicom.stacks.checks import TOLERANCE, file_name, mm
from chunkvol.formats.dicom.stacks.notes import Notes
from chunkvol.formats.dicom.stacks.places import Places, low_median

_PIECE = 1 << 20

__all__ = ["same_pixels", "without_duplicates"]


def without_duplicates(places: Places, options: ReadOptions, finest: float) -> tuple[Places, Notes]:
    """One image a position; `finest` is the smaller pixel spacing in mm, a yardstick for what is rounding.

    Images are at one position when they are less than 1 % of the median gap apart. Identical copies (the same
    bytes of pixels, stored alike) are dropped and counted; among different images `options.duplicates` chooses.

    Raises
    ------
    GeometryError
        When different images share a position and nobody chose, or lie side by side at one height.
    """
    labels, tolerance = _positions(places, finest)
    if not len(labels) or labels[-1] + 1 == len(labels):
        return places, Notes()
    starts = np.searchsorted(labels, np.arange(labels[-1] + 1))
    _none_aside(places, labels, starts, tolerance)
    sizes = np.diff(np.append(starts, len(labels)))
    keep = starts.copy()
    copies: list[tuple[Header, Header]] = []
    others: list[tuple[Header, Header]] = []
    for n in np.flatnonzero(sizes > 1):
        members = sorted(range(starts[n], starts[n] + sizes[n]), key=lambda at: _order(places.images[at]))
        if options.duplicates == "last":
            members.reverse()
        keep[n] = members[0]
        chosen = places.images[members[0]]
        for at in members[1:]:
            pair = places.images[at], chosen
            same = same_pixels(*pair)
            if not (same or options.duplicates):
                raise _refusal(places, labels, int(n), pair)
            (copies if same else others).append(pair)
    return places.taken(keep), _copies_told(copies) + _others_told(others, options.duplicates)


def _positions(places: Places, finest: float) -> tuple[npt.NDArray[np.int64], float]:
    """The number of each image's position, ascending, and how far apart images of one position may be."""
    gaps = np.diff(places.heights)
    noise = max(1e-9 * float(np.abs(places.positions).max()), 1e-4 * finest)
    real = gaps[gaps > noise]
    tolerance = TOLERANCE * low_median(real) if len(real) else noise
    return np.cumsum(np.append(0, gaps > tolerance)), tolerance


def _order(image: Header) -> tuple[bool, int, str, int]:
    return image.instance_number is None, image.instance_number or 0, image.path, image.frame


def _none_aside(places: Places, labels: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], tolerance: float) -> None:
    aside = np.linalg.norm(places.positions - places.positions[starts[labels]], axis=1)
    if aside.max() > tolerance:
        at = int(aside.argmax())
        one, other = sorted((places.images[starts[labels[at]]], places.images[at]), key=_order)
        raise GeometryError(
            f"{file_name(one)} and {file_name(other)} (plane {labels[at]}) are at one "
            f"height but lie {mm(float(aside[at]))} apart within their plane, expected one position: "
            "several volumes in one series; separate them into folders"
        )


def _refusal(places: Places, labels: npt.NDArray[np.int64], plane: int, pair: tuple[Header, Header]) -> GeometryError:
    count = np.bincount(labels)
    shared = int(count[count > 1].sum())
    one, other = sorted(pair, key=_order)
    apart = float(np.linalg.norm(np.subtract(one.position or 0, other.position or 0)))
    step = np.diff(places.heights[np.searchsorted(labels, np.arange(labels[-1] + 1))])
    expected = f"expected {mm(low_median(step))}" if len(step) else "expected different positions"
    way_out = "--duplicates first or --duplicates last takes one of each, else separate them into folders"
    if one_position(places.images):
        way_out += "; where they are planes of one stack nevertheless, state its spacing, as in --spacing 50um"
    coarse = ", or positions of too few decimals" if 2 * shared > len(labels) and count.min() < count.max() else ""
    return GeometryError(
        f"{shared} planes share a position, first {file_name(one)} and {file_name(other)} (plane {plane}): they lie "
        f"{mm(apart)} apart, {expected}, and their pixels differ: duplicates, or several volumes in one series"
        f"{coarse}; {way_out}"
    )


def _copies_told(copies: list[tuple[Header, Header]]) -> Notes:
    if not copies:
        return Notes()
    copy, kept = copies[0]
    many = f"{len(copies)} identical copies were" if len(copies) > 1 else "1 identical copy was"
    problem = f"{many} left out, first {file_name(copy)} (the same as {file_name(kept)})"
    return Notes((problem,), record={"identical_copies": len(copies)})


def _others_told(others: list[tuple[Header, Header]], choice: str) -> Notes:
    if not others:
        return Notes()
    other, kept = others[0]
    count = f"{len(others)} image{'s' * (len(others) > 1)}"
    problem = (
        f"{count} of another content at the same position left out (--duplicates {choice}), "
        f"first {file_name(other)} in favour of {file_name(kept)}"
    )
    step = f"duplicates {choice}: {count} left out"
    return Notes((problem,), (step,), {"duplicates": choice, "duplicates_left_out": len(others)})


def same_pixels(one: Header, other: Header) -> bool:
    """Whether two images hold the same bytes of pixels, stored alike and with the same meaning; a MiB at a time.

    Raises
    ------
    InputError
        When a file cannot be read.
    """
    if _meaning(one) != _meaning(other):
        return False
    return all(a == b for a, b in zip_longest(_pieces(one), _pieces(other)))


def _meaning(image: Header) -> tuple[object, ...]:
    size = _length(image) if image.deflated_at is None else image.length
    values = image.slope, image.intercept, image.rescale_type
    return layout_of(image), image.pixel_tag, size, *values


def _length(image: Header) -> int:
    return max(0, image.file_size - image.offset) if image.length is None else image.length


def _pieces(image: Header) -> Iterator[bytes]:
    try:
        with system.opened(image.path) as fd:
            yield from _stored(fd, image) if image.deflated_at is None else _inflated(fd, image)
    except OSError as error:
        raise InputError(f"{image.path} cannot be read: {error.strerror or error}") from error


def _stored(fd: int, image: Header) -> Iterator[bytes]:
    length = _length(image)
    for at in range(0, length, _PIECE):
        piece = bytearray(min(_PIECE, length - at))
        got = system.pread_into(fd, memoryview(piece), image.offset + at)
        yield bytes(piece[:got])


def _inflated(fd: int, image: Header) -> Iterator[bytes]:
    stream = Inflater(fd, image.deflated_at or 0)
    for at in range(0, image.offset, _PIECE):
        _take(stream, min(_PIECE, image.offset - at))
    length = image.length or 0
    for at in range(0, length, _PIECE):
        yield _take(stream, min(_PIECE, length - at))


def _take(stream: Inflater, length: int) -> bytes:
    """So many inflated bytes, however the stream cuts its pieces; fewer at its end."""
    data = bytearray()
    while len(data) < length:
        piece = stream.next(length - len(data))
        if not piece:
            break
        data += piece
    return bytes(data)
