"""DICOM data elements as bytes (PS3.5 chapter 7), for the few value representations that a CT slice needs."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Element", "encapsulated", "encoded", "pixel_element", "preamble"]

_LONG = frozenset({"OB", "OW", "OF"})
"""Representations whose length takes four bytes (PS3.5 7.1.2)."""
_UNDEFINED = 0xFFFFFFFF


class Element(NamedTuple):
    """A tag, its representation and its value."""

    tag: int
    """Group in the upper 16 bits, element in the lower."""
    vr: str
    """Value representation."""
    value: str | int | bytes
    """Text, a 16 or 32-bit number (US, UL), or bytes as they are."""


def encoded(elements: Iterable[Element], *, explicit: bool = True, little: bool = True) -> bytes:
    """The elements one after the other."""
    return b"".join(
        _head(element.tag, element.vr, len(body), explicit=explicit, little=little) + body
        for element in elements
        for body in [_body(element, little=little)]
    )


def preamble(meta: list[Element]) -> bytes:
    """The start of a file: 128 zeros, the mark, and the file meta group, which is always explicit little endian."""
    group = encoded(meta)
    return b"\0" * 128 + b"DICM" + encoded([Element(0x00020000, "UL", len(group))]) + group


def pixel_element(tag: int, vr: str, length: int, *, explicit: bool, little: bool) -> bytes:
    """What stands before native pixels of so many bytes."""
    return _head(tag, vr, length + length % 2, explicit=explicit, little=little)


def encapsulated(frame: bytes) -> bytes:
    """The pixel data element of one compressed frame in one fragment, without offsets (PS3.5 A.4)."""
    frame += b"\0" * (len(frame) % 2)
    head = _head(0x7FE00010, "OB", _UNDEFINED, explicit=True, little=True)
    return head + _item(0xE000, 0) + _item(0xE000, len(frame)) + frame + _item(0xE0DD, 0)


def _item(element: int, length: int) -> bytes:
    return struct.pack("<HHI", 0xFFFE, element, length)


def _head(tag: int, vr: str, length: int, *, explicit: bool, little: bool) -> bytes:
    order = "<" if little else ">"
    numbers = (tag >> 16, tag & 0xFFFF)
    if not explicit:
        return struct.pack(order + "HHI", *numbers, length)
    if vr in _LONG:
        return struct.pack(order + "HH2s2xI", *numbers, vr.encode(), length)
    return struct.pack(order + "HH2sH", *numbers, vr.encode(), length)


def _body(element: Element, *, little: bool) -> bytes:
    if isinstance(element.value, int):
        return struct.pack(("<" if little else ">") + ("I" if element.vr == "UL" else "H"), element.value)
    raw = element.value.encode("ascii") if isinstance(element.value, str) else element.value
    return raw + (b" " if isinstance(element.value, str) and element.vr != "UI" else b"\0") * (len(raw) % 2)
