"""Image file directories (IFDs) as bytes: classic TIFF (TIFF 6.0, section 2) and BigTIFF, little endian.

The IFDs of a stack differ from page to page only in offsets, which grow by the same number each time. So one page is
packed, with a list of what moves, and all others are copies of it: 20,000 pages take milliseconds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chunkvol.regions import ceil_div, spans

_ALIGN = 8
"""Where IFDs and arrays begin, bytes; TIFF asks for 2."""
_CHUNK = 1 << 20
"""Bytes of IFDs that are made at a time."""
_FIXED = {"ascii": (2, "<u1"), "short": (3, "<u2"), "long": (4, "<u4"), "rational": (5, "<u4")}
"""Field types of one size: code and numbers."""

_SUB_IFDS = 330

Numbers = Sequence[int] | npt.NDArray[np.int64]
"""Values of a tag."""

__all__ = ["BIG", "CLASSIC", "Form", "Page", "Tag", "pack_page", "repeated"]


@dataclass(frozen=True, slots=True)
class Form:
    """One of the two forms of TIFF."""

    header: bytes
    """The first bytes of the file; the offset of the first IFD, which follows at once, included."""
    count: str
    """numpy type of the number of entries of an IFD."""
    offset: str
    """numpy type of offsets and counts."""
    offset_code: int
    """Field type of offsets of data: LONG or LONG8."""
    ifd_code: int
    """Field type of offsets of IFDs: IFD or IFD8."""

    @property
    def width(self) -> int:
        """Bytes of an offset, which are also those of a value that stands in its entry."""
        return np.dtype(self.offset).itemsize

    def kind(self, name: str) -> tuple[int, str]:
        """Code and numbers of a field type."""
        if name in _FIXED:
            return _FIXED[name]
        return (self.ifd_code if name == "ifd" else self.offset_code), self.offset


CLASSIC = Form(b"II*\0" + struct.pack("<I", 8), "<u2", "<u4", 4, 13)
"""Offsets of 32 bits: files below 4 GiB, which every reader opens."""
BIG = Form(b"II+\0" + struct.pack("<HHQ", 8, 0, 16), "<u8", "<u8", 16, 18)
"""Offsets of 64 bits."""


@dataclass(frozen=True, slots=True)
class Tag:
    """One entry of an IFD."""

    code: int
    """The tag's number."""
    kind: str
    """"ascii", "short", "long", "rational" (pairs of numbers), "offset" or "ifd"."""
    values: Numbers
    """Its numbers."""
    step: int = 0
    """By how much they grow from page to page."""


@dataclass(frozen=True, slots=True)
class _Moving:
    """Offsets that differ from page to page."""

    at: int
    """Byte within the page."""
    values: npt.NDArray[np.int64]
    """Their values for the page that was packed."""
    step: int | None
    """By how much they grow; None for offsets into the page itself, which grow by its length."""


@dataclass(frozen=True, slots=True)
class Page:
    """The IFD of a page, those of its reduced images, and the arrays that do not fit into them."""

    form: Form
    """Classic or big."""
    start: int
    """Byte of the file at which it begins."""
    data: bytes
    """Its bytes; it is followed by none."""
    moving: tuple[_Moving, ...]
    """What differs in the pages after it."""
    following: int
    """Byte within the page of the offset of the next page's IFD."""


def pack_page(ifds: Sequence[Sequence[Tag]], start: int, form: Form) -> Page:
    """The bytes of a page: the first IFD is its own, and links to the others (SubIFDs, Adobe PageMaker 6 TechNote 1).

    Parameters
    ----------
    ifds
        The entries of each IFD; the first needs no tag 330 for the others.
    start
        Byte of the file at which the page begins, a multiple of 8.
    form
        Classic or big.
    """
    links = [Tag(_SUB_IFDS, "ifd", [0] * (len(ifds) - 1))] if len(ifds) > 1 else []
    tables = [sorted(tags, key=lambda tag: tag.code) for tags in ([*ifds[0], *links], *ifds[1:])]
    packing = _Packing(form, start)
    places = [packing.append(_ifd_size(len(tags), form)) for tags in tables]
    for at, tags in zip(places, tables, strict=True):
        packing.put(at, form.count, [len(tags)])
        for number, tag in enumerate(tags):
            entry = at + np.dtype(form.count).itemsize + number * _entry_size(form)
            packing.put_tag(entry, tag, [start + place for place in places[1:]])
    following = places[0] + _ifd_size(len(tables[0]), form) - form.width
    return Page(form, start, bytes(packing.data), tuple(packing.moving), following)


class _Packing:
    """A page that is being put together."""

    __slots__ = ("data", "form", "moving", "start")

    def __init__(self, form: Form, start: int) -> None:
        self.form, self.start = form, start
        self.data, self.moving = bytearray(), list[_Moving]()

    def append(self, size: int) -> int:
        """Room for so many bytes at the end; returns where it is."""
        at = len(self.data)
        self.data += bytes(ceil_div(size, _ALIGN) * _ALIGN)
        return at

    def put(self, at: int, numbers: str, values: Numbers, step: int | None = 0) -> None:
        """Write numbers at a byte of the page, and note whether they move."""
        array = np.asarray(values, np.int64)
        data = array.astype(numbers).tobytes()
        self.data[at : at + len(data)] = data
        if step != 0:
            self.moving.append(_Moving(at, array, step))

    def put_tag(self, entry: int, tag: Tag, links: Sequence[int]) -> None:
        """Write an entry, and its values where they have room."""
        code, numbers = self.form.kind(tag.kind)
        self.put(entry, "<u2", [tag.code, code])
        self.put(entry + 4, self.form.offset, [len(tag.values) // (2 if tag.kind == "rational" else 1)])
        at, size = entry + 4 + self.form.width, len(tag.values) * np.dtype(numbers).itemsize
        if size > self.form.width:
            outside = self.append(size)
            self.put(at, self.form.offset, [self.start + outside], None)
            at = outside
        if tag.code == _SUB_IFDS:
            self.put(at, numbers, links, None)
        else:
            self.put(at, numbers, tag.values, tag.step)


def _entry_size(form: Form) -> int:
    return 4 + 2 * form.width


def _ifd_size(entries: int, form: Form) -> int:
    return np.dtype(form.count).itemsize + entries * _entry_size(form) + form.width


def repeated(page: Page, pages: int, *, linked: bool = False) -> Iterator[bytes]:
    """The bytes of a page and its successors, some at a time; where `linked`, the last is followed by another one."""
    size, width = len(page.data), page.form.width
    following = _Moving(page.following, np.array([page.start + size]), None)
    for span in spans(pages, max(1, _CHUNK // size)):
        numbers = np.arange(span.start, span.stop)[:, None]
        block = np.tile(np.frombuffer(page.data, np.uint8), (len(numbers), 1))
        for part in (*page.moving, following):
            values = part.values + numbers * (size if part.step is None else part.step)
            if part is following and span.stop == pages and not linked:
                values[-1] = 0
            block[:, part.at : part.at + part.values.size * width] = values.astype(page.form.offset).view(np.uint8)
        yield block.tobytes()
