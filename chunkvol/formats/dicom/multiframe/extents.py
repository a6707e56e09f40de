"""Where the bytes of each frame lie in a multi-frame file; found without reading a pixel."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from chunkvol.errors import DamagedError, FormatError
from chunkvol.formats.dicom.headers.after import check_after
from chunkvol.formats.dicom.headers.header import Header
from chunkvol.formats.dicom.headers.inflate import pread

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")
"""How JPEG and JPEG-LS, JPEG 2000, and JPEG 2000 in its own file format begin."""
_RLE = "1.2.840.10008.1.2.5"
_FLOAT_BITS = {0x7FE00008: 32, 0x7FE00009: 64}

Vector = npt.NDArray[np.int64]
Extents = npt.NDArray[np.int64]
"""Offset and length of each frame, shape (frames, 2)."""

__all__ = ["Extents", "encapsulated_extents", "native_extents", "pixel_bits"]


def pixel_bits(header: Header) -> int:
    """Bits of one pixel of one frame as stored, all samples together; 0 where the header does not say."""
    bits = _FLOAT_BITS.get(header.pixel_tag, header.bits_allocated or 0)
    halved = header.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422")  # two pixels share their colours
    return bits * (2 if halved else header.samples or 1)


def native_extents(header: Header, frames: int) -> Extents:
    """The frames of uncompressed pixel data: one after the other, without gaps.

    Raises
    ------
    DamagedError
        When the file does not hold exactly these frames (one pad byte allowed).
    """
    plane = (header.rows or 0) * (header.columns or 0) * pixel_bits(header) // 8
    if header.length is None:
        raise DamagedError(f"{header.path} has pixel data without a length, although it is not compressed")
    if not plane:
        raise FormatError(f"{header.path} has frames without pixels; export it again")
    present = header.length
    if header.deflated_at is None:
        present = min(present, header.file_size - header.offset)
    promised = f"{frames} frames of {header.columns} x {header.rows} pixels"
    if present < frames * plane:
        raise DamagedError(
            f"{header.path} is truncated: {present} bytes of pixel data, expected {frames * plane} ({promised}); "
            "copy or export it again"
        )
    if header.length > frames * plane + 1:
        raise DamagedError(
            f"{header.path} has over-long pixel data: {header.length} bytes, expected {frames * plane} ({promised}); "
            "export it again"
        )
    return np.column_stack([header.offset + plane * np.arange(frames), np.full(frames, plane)])


def encapsulated_extents(fd: int, header: Header, frames: int, extended: bytes) -> Extents:
    """The fragments of each frame of compressed pixel data (PS3.5 section A.4), item heads included.

    `extended` is the Extended Offset Table (7FE0,0001), empty where there is none. Of each item only the head is read,
    and the first bytes of fragments where no table says which of them start a frame.

    Raises
    ------
    DamagedError
        When the items are broken, or do not show where each frame starts.
    FormatError
        When elements follow that belong before the pixel data, or pixel data once more.
    """
    basic, bounds = _items(fd, header, frames)
    count = len(bounds) - 1
    if count == frames:  # frames never share a fragment, so there is no other way, whatever a table says
        first = np.arange(count)
    elif count < frames or header.transfer_syntax == _RLE:
        raise DamagedError(f"it has {count} compressed fragments for {frames} frames")
    else:
        wide = np.frombuffer(extended[: len(extended) // 8 * 8], "<i8")
        first = _first_fragments(fd, bounds, frames, (wide, basic))
    starts = bounds[first]
    return np.column_stack([starts, np.append(starts[1:], bounds[-1]) - starts])


def _items(fd: int, header: Header, frames: int) -> tuple[Vector, Vector]:
    """The offsets of the Basic Offset Table; and the byte where each fragment starts, then the one after the last."""
    table, bounds = np.empty(0, np.int64), array("q")
    position = header.offset
    while True:
        head = pread(fd, position, 8)
        if len(head) < 8:
            raise DamagedError("its compressed pixel data is cut short: the end mark is missing")
        is_table = position == header.offset
        if not is_table:
            bounds.append(position)
        length = int.from_bytes(head[4:], "little")
        if head[:4] == _END and not is_table:
            _check_after(fd, header, position + 8)
            return table, np.array(bounds)
        if head[:4] != _ITEM or position + 8 + length > header.file_size:
            raise DamagedError(f"its compressed pixel data is broken at byte {position}")
        if is_table and length == 4 * frames:
            table = _unwrapped(pread(fd, position + 8, length))
        position += 8 + length


def _check_after(fd: int, header: Header, position: int) -> None:
    try:
        check_after(fd, position, header.file_size, implicit=False)
    except FormatError as error:
        raise FormatError(f"{header.path} {error}") from None


def _unwrapped(raw: bytes) -> Vector:
    """The Basic Offset Table; its 32 bits start anew after 4 GiB."""
    offsets = np.frombuffer(raw, "<u4").astype(np.int64)
    return offsets + (np.cumsum(np.diff(offsets, prepend=0) < 0) << 32)


def _first_fragments(fd: int, bounds: Vector, frames: int, tables: Iterable[Vector]) -> Vector:
    """Index of the first fragment of each frame."""
    places = bounds[:-1] - bounds[0]
    for table in tables:
        first = np.flatnonzero(np.isin(places, table))
        if len(table) == frames == len(first) and first[0] == 0:
            return first
    first = np.flatnonzero([_starts_frame(fd, int(item)) for item in bounds[:-1]])
    if len(first) == frames and first[0] == 0:
        return first
    raise DamagedError(
        f"it has {len(places)} compressed fragments for {frames} frames, and no offset table that fits them"
    )


def _starts_frame(fd: int, item: int) -> bool:
    return pread(fd, item + 8, 8).startswith(_STARTS)
