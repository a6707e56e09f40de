"""What follows the pixel data of a file: nothing, padding, or elements of higher tags.

Elements ascend (PS3.5 section 7.1). Readers part ways where they do not: some stop at the first pixel data, others let
what comes later count, be it a slope or other pixels.
"""

from __future__ import annotations

import struct

from chunkvol.errors import FormatError
from chunkvol.formats.dicom.headers.inflate import pread
from chunkvol.formats.dicom.headers.walker import LONG, UNDEFINED, only_zeros, tag_name

_PIXEL_DATA = 0x7FE00010
_MOST = 64  # signatures and padding are a handful

__all__ = ["check_after", "check_tag"]


def check_after(fd: int, position: int, size: int, *, implicit: bool, big_endian: bool = False) -> None:
    """Refuse elements behind the pixel data that belong before it; `position` is the byte after its value.

    Elements are followed as far as they can be: what is cut short or no element is no part of the image either.

    Raises
    ------
    FormatError
        When there is one of a tag up to that of the pixel data, which then would be there twice.
    """
    order = ">" if big_endian else "<"
    for _ in range(_MOST):
        if size - position < 8 or len(head := pread(fd, position, 12)) < 8:
            return
        if not any(head[:8]) and only_zeros(lambda at, length: pread(fd, at, length), position, size):
            return
        check_tag(head, big_endian=big_endian)
        vr = b"" if implicit else head[4:6]
        if vr in LONG and len(head) == 12:
            value, length = 12, struct.unpack_from(order + "I", head, 8)[0]
        elif vr:
            value, length = 8, struct.unpack_from(order + "H", head, 6)[0]
        else:
            value, length = 8, struct.unpack_from(order + "I", head, 4)[0]
        if length == UNDEFINED or not (vr.isalpha() or implicit):
            return
        position += value + length


def check_tag(head: bytes, *, big_endian: bool = False) -> None:
    """Refuse an element that starts with these bytes behind the pixel data; as `check_after`."""
    group, number = struct.unpack_from(">HH" if big_endian else "<HH", head)
    tag = group << 16 | number
    if tag == _PIXEL_DATA:
        raise FormatError(
            "has pixel data (7FE0,0010) more than once, and readers differ in which one counts; export it again"
        )
    if tag < _PIXEL_DATA:
        raise FormatError(
            f"has {tag_name(tag)} after its pixel data, where some readers heed it and others do not; export it again"
        )
