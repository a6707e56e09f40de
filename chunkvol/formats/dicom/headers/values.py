"""Turn the bytes of DICOM elements into checked Python values.

The same few byte strings come back in each slice of a series, so parsers of shared elements are cached: one object
serves all slices, which keeps the headers of 20,000 slices small.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

Parser = Callable[[bytes, bytes], Any]
"""From an element's bytes and VR to its value; raises ValueError with the reason."""

__all__ = [
    "Parser",
    "decimals",
    "decoded",
    "doubles",
    "exact",
    "first_whole",
    "integer",
    "one_decimal",
    "one_double",
    "own_decimal",
    "own_decimals",
    "plain",
    "present",
    "text",
    "uid",
    "whole_text",
    "words",
]

_SHARED = 512
_LONGEST = 64
_MOST_PARTS = 64
_LARGEST = 1e30
_AS_TEXT = frozenset((b"DS", b"IS", b"LO", b"SH"))


def uid(raw: bytes, _vr: bytes) -> str:
    """A UID that is different in each slice."""
    return plain(raw.rstrip(b"\0 ").decode("ascii", "replace"))


@lru_cache(_SHARED)
def exact(said: str) -> str:
    """A UID that decides how a file is read: what cannot be printed is spelt out, lest it pass for another UID."""
    return plain(said if said.isprintable() else ascii(said))


@lru_cache(_SHARED)
def text(raw: bytes, _vr: bytes) -> str:
    """Text for people: one line of at most 64 characters."""
    return plain(decoded(raw))


@lru_cache(_SHARED)
def words(raw: bytes, _vr: bytes) -> tuple[str, ...]:
    """The parts of a multi-valued text."""
    return tuple(plain(part.strip()) for part in decoded(raw).split("\\", _MOST_PARTS)[:_MOST_PARTS])


def decoded(raw: bytes) -> str:
    """All of a text; UTF-8, or Latin-1 where it is not valid UTF-8."""
    raw = raw.strip(b"\0 ")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def plain(said: str, longest: int = _LONGEST) -> str:
    """One printable line, not too long: damaged files say kilobytes of noise, and it ends in messages.

    What is cut ends in a checksum of all of it, so that different texts stay different.
    """
    if len(said) <= longest and said.isprintable():
        return said
    line = " ".join("".join(c if c.isprintable() else " " for c in said).split())
    if len(line) <= longest:
        return line
    return f"{line[: longest - 9]}~{zlib.crc32(line.encode('utf-8', 'replace')):08x}"


@lru_cache(_SHARED)
def integer(raw: bytes, vr: bytes) -> int | None:
    """One whole number, binary (US, SS, UL, SL) or text (IS)."""
    if vr in _AS_TEXT:
        return _whole(raw)
    if not raw:
        return None
    if len(raw) not in (2, 4):
        raise ValueError(f"has {len(raw)} bytes, expected one number of 2")
    return int.from_bytes(raw, "little", signed=vr in (b"SS", b"SL"))


@lru_cache(_SHARED)
def whole_text(raw: bytes, _vr: bytes) -> int | None:
    """One whole number written as text, whatever the VR says."""
    return _whole(raw)


@lru_cache(_SHARED)
def first_whole(raw: bytes, _vr: bytes) -> int | None:
    """The first of several whole numbers written as text."""
    return _whole(raw.split(b"\\")[0])


def _whole(raw: bytes) -> int | None:
    raw = raw.strip(b"\0 ")
    if not raw:
        return None
    value = _number(raw)
    if not value.is_integer():
        raise ValueError(f"is {_shown(raw)}, expected a whole number")
    return int(value)


def own_decimals(raw: bytes, _vr: bytes) -> tuple[float, ...] | None:
    """Decimal numbers that are different in each slice."""
    raw = raw.strip(b"\0 ")
    return tuple(map(_number, raw.split(b"\\"))) if raw else None


decimals = lru_cache(_SHARED)(own_decimals)
"""Decimal numbers that slices share."""


def own_decimal(raw: bytes, vr: bytes) -> float | None:
    """One decimal number that is different in each slice."""
    values = own_decimals(raw, vr)
    if values is None:
        return None
    if len(values) > 1:
        raise ValueError(f"has {len(values)} values, expected 1")
    return values[0]


one_decimal = lru_cache(_SHARED)(own_decimal)
"""One decimal number that slices share."""


@lru_cache(_SHARED)
def doubles(raw: bytes, vr: bytes) -> tuple[float, ...] | None:
    """Numbers of eight bytes (FD), or decimal text where the VR says so."""
    if vr in _AS_TEXT:
        return own_decimals(raw, vr)
    if len(raw) % 8:
        raise ValueError(f"has {len(raw)} bytes, expected numbers of 8")
    values = struct.unpack(f"<{len(raw) // 8}d", raw)
    if not all(map(math.isfinite, values)):
        raise ValueError(f"is {plain(str(values))}, expected finite numbers")
    if any(abs(value) >= _LARGEST for value in values):
        raise ValueError(f"is {plain(str(values))}, expected numbers below 1e30")
    return values or None


def one_double(raw: bytes, vr: bytes) -> float | None:
    """One number of eight bytes."""
    values = doubles(raw, vr)
    if values is not None and len(values) > 1:
        raise ValueError(f"has {len(values)} values, expected 1")
    return None if values is None else values[0]


def present(raw: bytes, _vr: bytes) -> bool:
    """Whether there is anything."""
    return bool(raw)


def _number(raw: bytes) -> float:
    try:
        value = float(raw)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or b"_" in raw:  # Python reads 1_000, DICOM does not
        raise ValueError(f"is {_shown(raw)}, expected a finite decimal number")
    if abs(value) >= _LARGEST:  # products of a few such numbers overflow
        raise ValueError(f"is {_shown(raw)}, expected a number below 1e30")
    return value


def _shown(raw: bytes) -> str:
    return repr(plain(raw.decode("latin-1").strip()))
