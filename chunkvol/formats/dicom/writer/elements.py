"""Data elements as bytes: explicit VR, little endian (PS3.5 7.1.2), and the head of a file (PS3.10 7.1)."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from itertools import pairwise

from chunkvol._version import __version__

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"

_NUMBERS = {"US": "<H", "SS": "<h"}
_LONG = frozenset(("OB", "OW"))
_PADDING = {"UI": b"\0"}

__all__ = ["element", "file_head", "pieces", "pixel_head", "uid_of"]


def element(tag: int, vr: str, value: str | int | bytes) -> bytes:
    """One element; text is UTF-8 and padded to even length, with NUL where it is a UID."""
    if isinstance(value, int):
        raw = struct.pack(_NUMBERS[vr], value)
    else:
        raw = value.encode() if isinstance(value, str) else value
    raw += _PADDING.get(vr, b" ") * (len(raw) % 2)
    return _head(tag, vr, len(raw)) + raw


def pixel_head(length: int) -> bytes:
    """What stands before the pixels, which are 16-bit words."""
    return _head(0x7FE00010, "OW", length)


def _head(tag: int, vr: str, length: int) -> bytes:
    name = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    return name + (struct.pack("<2xI", length) if vr in _LONG else struct.pack("<H", length))


def file_head(sop_class: str, instance: str) -> bytes:
    """The preamble and the file meta information of one object."""
    body = b"".join(
        (
            element(0x00020001, "OB", b"\0\1"),
            element(0x00020002, "UI", sop_class),
            element(0x00020003, "UI", instance),
            element(0x00020010, "UI", EXPLICIT_LITTLE),
            element(0x00020012, "UI", uid_of("chunkvol")),
            element(0x00020013, "SH", f"CHUNKVOL_{__version__}"[:16]),
        )
    )
    return bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(body))) + body


def pieces(elements: Mapping[int, bytes], own: Sequence[int]) -> tuple[bytes, ...]:
    """The elements in the order of their tags, cut where each tag of `own`, ascending, has its place."""
    tags = sorted(elements)
    edges = [0, *own, 1 << 32]
    return tuple(b"".join(elements[tag] for tag in tags if low < tag < high) for low, high in pairwise(edges))


def uid_of(*facts: object) -> str:
    """The UID that belongs to these facts, always the same (PS3.5 B.2: 2.25. and a UUID as a number)."""
    return f"2.25.{int.from_bytes(hashlib.blake2b(repr(facts).encode(), digest_size=16).digest())}"
