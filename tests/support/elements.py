"""A DICOM file as a list of elements that may say anything: taken apart and put together without checking.

Apart from the package and from pydicom on purpose: it must be able to write what neither would.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

UNDEFINED = 0xFFFFFFFF
PIXEL_DATA = 0x7FE00010
TRANSFER_SYNTAX = 0x00020010
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
IMPLICIT = "1.2.840.10008.1.2"
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())

__all__ = [
    "BIG_ENDIAN",
    "DEFLATED",
    "IMPLICIT",
    "PIXEL_DATA",
    "TRANSFER_SYNTAX",
    "UNDEFINED",
    "DicomFile",
    "Element",
    "parse",
]


@dataclass(frozen=True, slots=True)
class Element:
    """One element of the top level, with all that it holds as bytes."""

    tag: int
    """Group in the upper half, element in the lower."""
    vr: bytes
    """Two letters; empty where they are not written."""
    value: bytes
    """What follows the length; items and delimiters included."""
    length: int | None = None
    """The length to write where it is not that of the value."""

    def encoded(self, order: Literal["little", "big"]) -> bytes:
        """The bytes of the element; a length that does not fit its field is cut off."""
        length = len(self.value) if self.length is None else self.length
        head = (self.tag >> 16).to_bytes(2, order) + (self.tag & 0xFFFF).to_bytes(2, order) + self.vr
        if self.vr and self.vr not in _LONG:
            return head + (length & 0xFFFF).to_bytes(2, order) + self.value
        return head + (b"\0\0" if self.vr else b"") + (length & UNDEFINED).to_bytes(4, order) + self.value


@dataclass(frozen=True)
class DicomFile:
    """Preamble, file meta group, data set."""

    meta: tuple[Element, ...]
    """Group 0002."""
    body: tuple[Element, ...]
    """All others."""
    syntax: str
    """How the data set is written, whatever the meta group says."""
    tail: bytes = b""
    """Bytes after the last element."""

    @cached_property
    def order(self) -> Literal["little", "big"]:
        """Byte order of the data set."""
        return "big" if self.syntax == BIG_ENDIAN else "little"

    def at(self, tag: int) -> int | None:
        """Where the first element of this tag stands in the data set."""
        return next((n for n, element in enumerate(self.body) if element.tag == tag), None)

    def get(self, tag: int) -> Element | None:
        """The first element of this tag in the data set."""
        n = self.at(tag)
        return None if n is None else self.body[n]

    def with_body(self, n: int, *elements: Element) -> DicomFile:
        """The file with these in the place of element n."""
        return replace(self, body=(*self.body[:n], *elements, *self.body[n + 1 :]))

    def with_element(self, element: Element) -> DicomFile:
        """The file with this element in the place of the one of its tag, or where its tag belongs."""
        n = self.at(element.tag)
        if n is not None:
            return self.with_body(n, element)
        n = sum(other.tag < element.tag for other in self.body)
        return replace(self, body=(*self.body[:n], element, *self.body[n:]))

    def data_set(self) -> bytes:
        """The bytes of the data set, not deflated."""
        return b"".join(element.encoded(self.order) for element in self.body) + self.tail

    def encoded(self) -> bytes:
        """The bytes of the file."""
        head = bytes(128) + b"DICM" + b"".join(element.encoded("little") for element in self.meta)
        body = self.data_set()
        if self.syntax == DEFLATED:
            coder = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
            body = coder.compress(body) + coder.flush()
        return head + body


def parse(data: bytes) -> DicomFile | None:
    """The elements of a file's top level; None where its bytes cannot be followed."""
    try:
        return _parse(data)
    except (ValueError, IndexError, StopIteration, zlib.error, RecursionError):
        return None


def _parse(data: bytes) -> DicomFile:
    if data[128:132] != b"DICM":
        raise ValueError("no mark")
    meta, start = [], 132
    while data[start : start + 2] == b"\x02\0":  # what follows may be big endian, or deflated
        element, start = next(_elements(data, start, True, "little"))
        meta.append(element)
    syntax = next((e.value.rstrip(b"\0 ").decode("ascii") for e in meta if e.tag == TRANSFER_SYNTAX), None)
    if syntax is None:
        raise ValueError("no transfer syntax")
    body = data[start:]
    if syntax == DEFLATED:
        body = zlib.decompressobj(-zlib.MAX_WBITS).decompress(body, 16 << 20)
    order: Literal["little", "big"] = "big" if syntax == BIG_ENDIAN else "little"
    elements, at = [], 0
    for element, end in _elements(body, 0, syntax != IMPLICIT, order):
        elements.append(element)
        at = end
    return DicomFile(tuple(meta), tuple(elements), syntax, body[at:])


def _elements(data: bytes, at: int, explicit: bool, order: Literal["little", "big"]) -> Iterator[tuple[Element, int]]:
    while at + 8 <= len(data):
        tag, vr, length, value = _head(data, at, explicit, order)
        if value > len(data):
            return
        end = _past_items(data, value, explicit and vr != b"UN", order) if length == UNDEFINED else value + length
        if end > len(data):
            raise ValueError("too long")
        stated = length if length == UNDEFINED else None
        yield Element(tag, vr, data[value:end], stated), end
        at = end


def _head(data: bytes, at: int, explicit: bool, order: Literal["little", "big"]) -> tuple[int, bytes, int, int]:
    tag = int.from_bytes(data[at : at + 2], order) << 16 | int.from_bytes(data[at + 2 : at + 4], order)
    if not explicit or tag >> 16 == 0xFFFE:
        return tag, b"", int.from_bytes(data[at + 4 : at + 8], order), at + 8
    vr = data[at + 4 : at + 6]
    if not vr.isalpha():
        raise ValueError("no VR")
    if vr in _LONG:
        return tag, vr, int.from_bytes(data[at + 8 : at + 12], order), at + 12
    return tag, vr, int.from_bytes(data[at + 6 : at + 8], order), at + 8


def _past_items(data: bytes, at: int, explicit: bool, order: Literal["little", "big"]) -> int:
    while True:
        if at + 8 > len(data):
            raise ValueError("no end of items")
        tag, _, length, value = _head(data, at, explicit, order)
        if tag == _SEQUENCE_END:
            return value
        if tag != _ITEM:
            raise ValueError("no item")
        at = value + length
        if length == UNDEFINED:
            at = _past_item(data, value, explicit, order)


def _past_item(data: bytes, at: int, explicit: bool, order: Literal["little", "big"]) -> int:
    while True:
        if at + 8 > len(data):
            raise ValueError("no end of item")
        tag, vr, length, value = _head(data, at, explicit, order)
        if tag == _ITEM_END:
            return value
        at = value + length
        if length == UNDEFINED:
            at = _past_items(data, value, explicit and vr != b"UN", order)
