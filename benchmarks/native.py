"""The least that a peer without a DICOM reader needs: where the pixels of each slice start (explicit VR little endian).

The offset differs from file to file, because strings in the header do.
"""

from __future__ import annotations

import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_WINDOW = 8192
"""More than any header of the series that are measured."""

__all__ = ["Series", "Slice", "files", "frame", "read_slice", "report", "series"]


@dataclass(frozen=True, slots=True)
class Slice:
    """One file."""

    path: str
    """Its name."""
    offset: int
    """Byte at which the pixel data starts."""
    elements: dict[int, bytes]
    """The values before it, by tag."""

    def number(self, tag: int) -> int:
        """An unsigned short."""
        return int.from_bytes(self.elements[tag], "little")


@dataclass(frozen=True, slots=True)
class Series:
    """Uncompressed slices in the order of their names."""

    slices: tuple[Slice, ...]
    """One a plane."""
    shape: tuple[int, int, int]
    """Planes, rows, columns."""
    dtype: np.dtype[Any]
    """Of the stored values."""

    def read_into(self, k: int, plane: np.ndarray) -> None:
        """Fill a C-contiguous plane with slice k."""
        one = self.slices[k]
        fd = os.open(one.path, os.O_RDONLY)
        try:
            os.preadv(fd, [plane.data.cast("B")], one.offset)
        finally:
            os.close(fd)


def files(folder: str) -> list[str]:
    """The slices' names, sorted."""
    return sorted(map(str, Path(folder).glob("*.dcm")))


def series(folder: str) -> Series:
    """Walk every header of a folder."""
    slices = tuple(map(read_slice, files(folder)))
    first = slices[0]
    kind = {0: "u", 1: "i"}[first.number(0x00280103)]
    shape = (len(slices), first.number(0x00280010), first.number(0x00280011))
    return Series(slices, shape, np.dtype(f"<{kind}{first.number(0x00280100) // 8}"))


def read_slice(path: str) -> Slice:
    """Walk one header (PS3.5 section 7.1.2)."""
    with open(path, "rb", buffering=0) as file:
        data = file.read(_WINDOW)
    elements: dict[int, bytes] = {}
    at = 132
    while True:
        group, element, vr, length = struct.unpack_from("<HH2sH", data, at)
        at += 8
        if vr in _LONG:
            (length,) = struct.unpack_from("<I", data, at)
            at += 4
        if group == 0x7FE0:
            return Slice(path, at, elements)
        elements[group << 16 | element] = data[at : at + length]
        at += length


def frame(one: Slice) -> bytes:
    """The compressed frame of a slice: all fragments after the offset table (PS3.5 section A.4)."""
    with open(one.path, "rb", buffering=0) as file:
        file.seek(one.offset)
        data = file.read()
    parts, at = [], 0
    while data[at : at + 4] == b"\xfe\xff\x00\xe0":
        (length,) = struct.unpack_from("<I", data, at + 4)
        parts.append(data[at + 8 : at + 8 + length])
        at += 8 + length
    return b"".join(parts[1:])


def report(seconds: float, **facts: Any) -> None:
    """Tell the harness, as the last thing before the end, how long the work took and how much memory."""
    status = Path("/proc/self/status").read_text().split()
    peak = int(status[status.index("VmHWM:") + 1]) * 1024
    print(json.dumps({"seconds": seconds, "peak_measured": peak, **facts}))
