"""The tags of TIFF files: image file directories, classic and BigTIFF, in either byte order.

Source: TIFF 6.0 (Adobe, 1992) section 2; BigTIFF, libtiff.gitlab.io/libtiff/specification/bigtiff.html.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol import system
from chunkvol.errors import DamagedError, FormatError

WINDOW = 4096
"""Bytes read at a time: most headers are in the first ones or, with their values, in the last."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value by its type."""
_INTEGERS = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
_MOST_TAGS = 4096

__all__ = ["WINDOW", "Ifd", "TiffBytes", "starts_like_tiff"]


def starts_like_tiff(head: bytes) -> bool:
    """Whether these first bytes are those of a TIFF file."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class TiffBytes:
    """A TIFF file's bytes, read by windows."""

    __slots__ = ("_at", "_window", "big", "fd", "first", "order", "size")

    def __init__(self, fd: int, size: int, head: bytes) -> None:
        self.fd, self.size, self._at, self._window = fd, size, 0, head
        self.order = "<" if head[:2] == b"II" else ">"
        self.big = head[2:4] in (b"+\0", b"\0+")
        start = self.at(8, 8) if self.big else self.at(4, 4)
        self.first: int = struct.unpack(self.order + ("Q" if self.big else "I"), start)[0]
        """Byte of the first directory."""

    def at(self, offset: int, length: int) -> bytes:
        """So many bytes from an offset; DamagedError where the file ends before."""
        low = offset - self._at
        if low < 0 or low + length > len(self._window):
            if offset + length > self.size:
                raise DamagedError(f"its header points to byte {offset + length}, beyond its end at {self.size}")
            self._window, self._at = system.pread(self.fd, max(length, WINDOW), offset), offset
            low = 0
        return self._window[low : low + length]

    def ifd(self, at: int) -> Ifd:
        """The directory at a byte."""
        count: int = struct.unpack(self.order + ("Q" if self.big else "H"), self.at(at, 8 if self.big else 2))[0]
        if not 0 < count <= _MOST_TAGS:
            raise DamagedError(f"its directory at byte {at} has {count} tags")
        head, size = (8, 20) if self.big else (2, 12)
        table = self.at(at + head, count * size + (8 if self.big else 4))
        entries = struct.iter_unpack(self.order + ("HHQ8s" if self.big else "HHI4s"), table[: count * size])
        tags = {tag: (kind, number, raw) for tag, kind, number, raw in entries}
        following = struct.unpack(self.order + ("Q" if self.big else "I"), table[count * size :])[0]
        return Ifd(self, at, tags, following)


@dataclass(frozen=True, slots=True)
class Ifd:
    """One directory; values are fetched when they are asked for."""

    data: TiffBytes
    """The file."""
    at: int
    """Byte where it starts."""
    tags: dict[int, tuple[int, int, bytes]]
    """Type, number of values, and their bytes or where they are, by tag."""
    following: int
    """Byte of the next directory; 0 after the last."""

    def _raw(self, tag: int) -> tuple[int, int, bytes]:
        kind, count, raw = self.tags[tag]
        if kind not in _SIZES:
            raise FormatError(f"has a tag {tag} of the unknown type {kind}; save it again as plain TIFF")
        length = count * _SIZES[kind]
        if length > len(raw):
            where: int = struct.unpack(self.data.order + ("Q" if self.data.big else "I"), raw)[0]
            raw = self.data.at(where, length)
        return kind, count, raw[:length]

    def numbers(self, tag: int) -> npt.NDArray[np.int64]:
        """The integers of a tag; none where it is absent."""
        if tag not in self.tags:
            return np.empty(0, np.int64)
        kind, _, raw = self._raw(tag)
        if kind not in _INTEGERS:
            raise FormatError(f"has no integers in tag {tag}; save it again as plain TIFF")
        return np.frombuffer(raw, self.data.order + _INTEGERS[kind]).astype(np.int64)

    def number(self, tag: int, default: int) -> int:
        """The first integer of a tag."""
        entry = self.tags.get(tag)
        if entry is None:
            return default
        kind, count, raw = entry
        if count == 1 and kind in (3, 4):  # nearly all of them; numpy takes ten times as long
            return int.from_bytes(raw[: 2 * kind - 4], "little" if self.data.order == "<" else "big")
        found = self.numbers(tag)
        return int(found[0]) if len(found) else default

    def text(self, tag: int) -> str:
        """The text of a tag; empty where it is absent."""
        if tag not in self.tags:
            return ""
        raw = self._raw(tag)[2].split(b"\0", 1)[0]
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    def ratio(self, tag: int) -> float:
        """The number of a tag that holds a fraction; 0 where it is absent or says nothing."""
        if tag not in self.tags:
            return 0.0
        kind, _, raw = self._raw(tag)
        order: Any = self.data.order
        if kind == 5 and len(raw) >= 8:
            above, below = struct.unpack(order + "II", raw[:8])
            return above / below if below else 0.0
        if kind in (11, 12) and raw:
            return float(np.frombuffer(raw, f"{order}f{4 if kind == 11 else 8}")[0])
        return 0.0
