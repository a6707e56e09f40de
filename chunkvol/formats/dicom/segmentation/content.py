"""A segmentation object as it is described: its kind, its segments, and what is said of each frame."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from chunkvol import system
from chunkvol.errors import DamagedError, FormatError
from chunkvol.formats.dicom.headers.fallback import Bounded, by_pydicom
from chunkvol.formats.dicom.headers.header import Header, Inflater, read_header
from chunkvol.formats.dicom.multiframe.functional import NEEDED, facts_of_frames
from chunkvol.formats.dicom.segmentation.described import PALETTE, described
from chunkvol.formats.dicom.segmentation.find import LABEL_MAP
from chunkvol.segments import Segment

_TYPE, _SEGMENTS, _LARGEST, _OVERLAP = 0x00620001, 0x00620002, 0x0062000E, 0x00620013
_IDENTIFICATION, _NUMBER = 0x0062000A, 0x0062000B
_SHARED, _PER_FRAME, _OFFSETS = 0x52009229, 0x52009230, 0x7FE00001
_KINDS = ("BINARY", "FRACTIONAL", "LABELMAP")
_MOST_FRAMES = 1 << 20
_MOST_HEADER, _MOST_A_FRAME = 64 << 20, 1 << 17

__all__ = ["Content", "read_content"]


@dataclass(frozen=True, slots=True)
class Content:
    """What a segmentation object says of itself; no pixel was read."""

    header: Header
    """Of the file."""
    kind: str
    """BINARY, FRACTIONAL or LABELMAP."""
    segments: tuple[Segment, ...]
    """As described; values are Segment Numbers."""
    frames: tuple[Header, ...]
    """What is said of each frame, in the order in which they are stored."""
    numbers: tuple[int, ...]
    """The segment of each frame; 0 in label maps, whose frames hold them all."""
    largest: int = 1
    """Maximum Fractional Value: what is wholly within the segment."""
    apart: bool = False
    """Whether Segments Overlap says that no voxel is in two segments."""
    offsets: bytes = b""
    """The Extended Offset Table, empty where there is none."""


def read_content(path: str) -> Content:
    """Read all but the pixels of a segmentation object.

    Raises
    ------
    DamagedError
        The file is cut short or cannot be read as DICOM.
    FormatError
        It is no segmentation, or contradicts itself.
    """
    header = read_header(path)
    if header is None:
        raise FormatError(f"{path} is not DICOM; name a DICOM segmentation")
    if header.pixel_tag != 0x7FE00010:
        raise DamagedError(f"{path} is a segmentation without pixel data: copy or export it again")
    if not header.rows or not header.columns:
        raise DamagedError(f"{path} has pixel data but no Rows and Columns: copy or export it again")
    frames = 1 if header.frames is None else header.frames
    if not 1 <= frames <= _MOST_FRAMES:
        raise FormatError(f"{path} has NumberOfFrames {frames}, expected 1 to {_MOST_FRAMES}; export it again")
    try:
        with by_pydicom():
            return _content(_dataset(header, frames), header, frames)
    except DamagedError as error:
        raise DamagedError(f"{path} is damaged: {error}; copy or export it again") from None


def _content(dataset: Any, header: Header, frames: int) -> Content:
    kind = _kind(dataset, header)
    segments = described(dataset, _SEGMENTS, header.path)
    numbers = _numbers(dataset, header, frames) if kind != "LABELMAP" else (0,) * frames
    if kind != "LABELMAP":
        _check_numbers(numbers, segments, header)
    facts = facts_of_frames(dataset, header, frames)
    offsets = dataset.get(_OFFSETS)
    return Content(
        header,
        kind,
        segments,
        tuple(replace(header, frame=n, **each) for n, each in enumerate(facts)),
        numbers,
        _largest(dataset, header) if kind == "FRACTIONAL" else 1,
        _text(dataset, _OVERLAP) == "NO",
        b"" if offsets is None else bytes(offsets.value or b""),
    )


def _dataset(header: Header, frames: int) -> Any:
    """The needed part of the data set, as pydicom reads it."""
    import pydicom

    wanted = [*NEEDED, *PALETTE, _TYPE, _SEGMENTS, _LARGEST, _OVERLAP, _OFFSETS]
    with contextlib.ExitStack() as stack:
        if header.deflated_at is None:
            file: BinaryIO = stack.enter_context(open(header.path, "rb"))
        else:  # pydicom would inflate the pixels too
            fd = stack.enter_context(system.opened(header.path))
            file = io.BytesIO(Inflater(fd, header.deflated_at).peek(0, header.offset))
        bounded = Bounded(file, _MOST_HEADER + frames * _MOST_A_FRAME)
        return pydicom.dcmread(bounded, stop_before_pixels=True, force=True, specific_tags=wanted)


def _kind(dataset: Any, header: Header) -> str:
    kind = "LABELMAP" if header.sop_class == LABEL_MAP else _text(dataset, _TYPE)
    if kind not in _KINDS:
        raise FormatError(f"{header.path} has SegmentationType {kind!r}; {', '.join(_KINDS)} are read: export it again")
    bits = header.bits_allocated
    right = {"BINARY": (1,), "FRACTIONAL": (8,), "LABELMAP": (8, 16)}[kind]
    if bits not in right:
        wanted = " or ".join(map(str, right))
        raise FormatError(f"{header.path} is a {kind} segmentation with BitsAllocated {bits}, expected {wanted}")
    return kind


def _largest(dataset: Any, header: Header) -> int:
    element = dataset.get(_LARGEST)
    value = 0 if element is None or element.value is None else int(element.value)
    if not 1 <= value <= 255:
        raise FormatError(f"{header.path} has MaximumFractionalValue {value}, expected 1 to 255; export it again")
    return value


def _numbers(dataset: Any, header: Header, frames: int) -> tuple[int, ...]:
    """The segment of each frame, from its own functional groups or from the shared ones (PS3.3 C.8.20.3.1)."""
    shared = _items(dataset, _SHARED)
    common = _number(shared[0]) if shared else None
    own = [_number(item) for item in _items(dataset, _PER_FRAME)] or [None] * frames
    found = [common if number is None else number for number in own]
    for n, number in enumerate(found):
        if number is None:
            raise FormatError(
                f"{header.path} (frame {n}) does not say which segment it shows (no ReferencedSegmentNumber); "
                "export it again"
            )
    return tuple(number or 0 for number in found)


def _number(item: Any) -> int | None:
    """The Referenced Segment Number; the sequence is let go: pydicom holds kilobytes a frame."""
    inner = _items(item, _IDENTIFICATION)
    element = inner[0].get(_NUMBER) if inner else None
    if _IDENTIFICATION in item:
        del item[_IDENTIFICATION]
    return None if element is None or element.value is None else int(element.value)


def _check_numbers(numbers: Sequence[int], segments: Sequence[Segment], header: Header) -> None:
    there = {one.value for one in segments}
    if 0 in there:
        raise FormatError(f"{header.path} describes a segment of number 0, which is background; export it again")
    for n, number in enumerate(numbers):
        if number not in there:
            known = ", ".join(str(one) for one in sorted(there)[:12])
            raise FormatError(
                f"{header.path} (frame {n}) shows segment {number}, which is not described (there are {known}); "
                "export it again"
            )


def _text(dataset: Any, tag: int) -> str:
    element = dataset.get(tag)
    return "" if element is None else str(element.value or "").strip().upper()


def _items(dataset: Any, tag: int) -> Sequence[Any]:
    element = dataset.get(tag)
    return element.value if element is not None and element.VR == "SQ" else ()
