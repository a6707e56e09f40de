"""Lies of elements: lengths, numbers, texts, sequences, transfer syntaxes, and deflate bombs."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from random import Random

from tests.support.elements import (
    BIG_ENDIAN,
    DEFLATED,
    IMPLICIT,
    PIXEL_DATA,
    TRANSFER_SYNTAX,
    UNDEFINED,
    DicomFile,
    Element,
)
from tests.support.mutate_bytes import flipped
from tests.support.mutate_frames import HUGE, lie

_BOMB = 192 << 20

__all__ = ["ELEMENT_MUTATORS"]


def _any(file: DicomFile, rng: Random) -> int | None:
    return rng.randrange(len(file.body)) if file.body else None


def element_length(file: DicomFile, rng: Random) -> DicomFile | None:
    """An element claims another length."""
    n = file.at(PIXEL_DATA) if rng.random() < 0.3 else _any(file, rng)
    if n is None:
        return None
    return file.with_body(n, replace(file.body[n], length=lie(rng, len(file.body[n].value))))


def meta_length(file: DicomFile, rng: Random) -> DicomFile | None:
    """The group length, or another length of group 0002, lies."""
    if not file.meta:
        return None
    n = rng.randrange(len(file.meta))
    old = file.meta[n]
    group = n == 0 and len(old.value) == 4
    new = (
        replace(old, value=struct.pack("<I", lie(rng, int.from_bytes(old.value, "little")) & UNDEFINED))
        if group
        else replace(old, length=lie(rng, len(old.value)))
    )
    return replace(file, meta=(*file.meta[:n], new, *file.meta[n + 1 :]))


def group_length(file: DicomFile, rng: Random) -> DicomFile:
    """Retired group lengths (gggg,0000) that lie."""
    group = rng.choice([0x0008, 0x0020, 0x0028, 0x7FE0])
    return file.with_element(Element(group << 16, _vr(file, b"UL"), lie(rng, 100).to_bytes(8, file.order)[:4]))


_NUMBERS = {
    0x00280002: (b"US", (0, 1, 2, 3, 4, 0xFFFF)),
    0x00280008: (b"IS", (b"0", b"1", b"2", b"4", b"-1", b"99999999", b"2147483648", b"1.0", b"1e3", b"")),
    0x00280010: (b"US", (0, 1, 19, 21, 40, 0x7FFF, 0xFFFF)),
    0x00280011: (b"US", (0, 1, 23, 25, 48, 0x7FFF, 0xFFFF)),
    0x00280100: (b"US", (0, 1, 7, 8, 12, 16, 24, 32, 64, 128, 0xFFFF)),
    0x00280101: (b"US", (0, 1, 7, 8, 10, 12, 15, 16, 17, 32, 0xFFFF)),
    0x00280102: (b"US", (0, 7, 11, 12, 15, 16, 31, 0xFFFF)),
    0x00280103: (b"US", (0, 1, 2, 0xFFFF)),
    0x00280006: (b"US", (0, 1, 2)),
    0x00280120: (b"US", (0, 1, 0x8000, 0xFFFF)),
}


def number(file: DicomFile, rng: Random) -> DicomFile:
    """Rows, Columns, bits, samples, frames: other and extreme, one or several at a time."""
    for tag in rng.sample(list(_NUMBERS), rng.choice([1, 1, 1, 2, 3])):
        vr, choices = _NUMBERS[tag]
        value = rng.choice(choices)
        raw = value if isinstance(value, bytes) else value.to_bytes(2, file.order)
        file = file.with_element(Element(tag, _vr(file, vr), raw + b" " * (len(raw) % 2)))
    return file


def odd_number(file: DicomFile, rng: Random) -> DicomFile:
    """A binary number of no, one, three or many bytes."""
    tag = rng.choice([tag for tag, (vr, _) in _NUMBERS.items() if vr == b"US"])
    return file.with_element(Element(tag, _vr(file, b"US"), rng.randbytes(rng.choice([0, 1, 3, 4, 6, 8, 200]))))


_DECIMALS = (0x00180050, 0x00180088, 0x00200032, 0x00200037, 0x00280030, 0x00281052, 0x00281053, 0x00280008, 0x00200013)
_WORDS = b"nan inf -inf 1e400 -1e400 1e308 1e-320 0 -0 -1 1_0 0x10 1,5 1.5.2 ++1 1e \xff\xfe None 1/2".split()
_TEXTS = (*_WORDS, b"", b" ", b"\0", b"\\", b"\\\\\\", b"1\0" + b"2", "\u0661".encode(), b"9" * 70000, b"1\\" * 9999)


def decimal(file: DicomFile, rng: Random) -> DicomFile:
    """A number written as text is none, not finite, or hides NULs and backslashes."""
    tag = rng.choice(_DECIMALS)
    old = file.get(tag)
    parts = old.value.split(b"\\") if old else [b"1"]
    parts[rng.randrange(len(parts))] = rng.choice(_TEXTS)
    return file.with_element(Element(tag, _vr(file, b"DS"), b"\\".join(parts)))


def decimal_count(file: DicomFile, rng: Random) -> DicomFile:
    """Positions, orientations and spacings with too few or too many values, or moved a little."""
    tag = rng.choice([0x00200032, 0x00200037, 0x00280030])
    old = file.get(tag)
    parts = old.value.strip().split(b"\\") if old else []
    if rng.random() < 0.4 and parts:
        n = rng.randrange(len(parts))
        try:
            moved = float(parts[n]) * rng.choice([1 + 1e-9, 1.001, 1.1, -1]) + rng.choice([0, 1e-6, 0.01, 5])
            parts[n] = str(moved).encode()
        except ValueError:
            return file
    else:
        parts = (parts * 3)[: rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 9, 18])]
    return file.with_element(Element(tag, _vr(file, b"DS"), b"\\".join(parts)))


_STRINGS = (0x00080005, 0x00080008, 0x00080016, 0x00080018, 0x00080060, 0x0008103E, 0x0020000D, 0x0020000E, 0x00280004)


def string(file: DicomFile, rng: Random) -> DicomFile:
    """Character sets, UIDs and names that are none."""
    tag = rng.choice(_STRINGS)
    text = rng.choice([b"", b"\0\0", b"\\", b"ISO 2022 IR 87", b"RGB", b"PALETTE COLOR", b"MONOCHROME1", b"\x1b$B" * 9,
                       b"1.2." * 40, b"\xff" * 64, b"A" * 65000, b"%s%n{0}", b"../../x"])  # fmt: skip  # a list
    return file.with_element(Element(tag, _vr(file, b"CS"), text))


_SYNTAXES = (
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", BIG_ENDIAN, DEFLATED, "1.2.840.10008.1.2.5",
    *(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81, 90, 91, 100, 110, 201, 202, 203)),
    "", "1.2.3", "1.2.840.10008.1.2.1\0\0\0", "1.2.840.10008.1.2.1 ", "9" * 300,
)  # fmt: skip  # a list


def syntax(file: DicomFile, rng: Random) -> DicomFile:
    """The transfer syntax says something else than what was written, or nothing."""
    uid = rng.choice(_SYNTAXES).encode()
    kept = tuple(element for element in file.meta if element.tag != TRANSFER_SYNTAX)
    if rng.random() < 0.1:
        return replace(file, meta=kept)
    return replace(file, meta=(*kept, Element(TRANSFER_SYNTAX, b"UI", uid + b"\0" * (len(uid) % 2))))


def delete(file: DicomFile, rng: Random) -> DicomFile | None:
    """Elements are missing."""
    for _ in range(rng.choice([1, 1, 2, 5])):
        n = _any(file, rng)
        if n is None:
            return None
        file = file.with_body(n)
    return file


def duplicate(file: DicomFile, rng: Random) -> DicomFile | None:
    """An element comes twice, the second time changed or elsewhere."""
    n = _any(file, rng)
    if n is None:
        return None
    old = file.body[n]
    value = bytes(rng.choice([v, v ^ 1 << rng.randrange(8)]) for v in old.value[:64]) + old.value[64:]
    new = replace(old, value=value)
    if rng.random() < 0.5:
        return file.with_body(n, old, new)
    return file.with_body(rng.randrange(len(file.body)), new)


def shuffle(file: DicomFile, rng: Random) -> DicomFile:
    """Elements in another order than that of their tags."""
    body = list(file.body)
    rng.shuffle(body)
    return replace(file, body=tuple(body))


def deep(file: DicomFile, rng: Random) -> DicomFile:
    """Sequences in sequences, up to ten thousand deep, ended or not, with lengths or without."""
    levels = rng.choice([10, 63, 64, 65, 500, 10_000])
    order = file.order
    tag, item = b"\x08\0\x40\x11" if order == "little" else b"\0\x08\x11\x40", _mark(order, 0xE000)
    head = tag + (b"SQ\0\0" if _vr(file, b"SQ") else b"")
    if levels <= 500 and rng.random() < 0.5:
        value = b""
        for _ in range(levels):
            inner = item + len(value).to_bytes(4, order) + value
            value = head + len(inner).to_bytes(4, order) + inner
        return file.with_element(Element(0x00081115, _vr(file, b"SQ"), item + len(value).to_bytes(4, order) + value))
    open_, endless = item + b"\xff" * 4 + head + b"\xff" * 4, rng.random() < 0.3
    close = _mark(order, 0xE0DD) + bytes(4) + _mark(order, 0xE00D) + bytes(4)
    value = open_ * levels if endless else open_ * levels + close * levels + _mark(order, 0xE0DD) + bytes(4)
    return file.with_element(Element(0x00081115, _vr(file, b"SQ"), value, UNDEFINED))


def endless(file: DicomFile, rng: Random) -> DicomFile:
    """A sequence or an unknown of undefined length whose items never end, or that holds no items."""
    order, item = file.order, _mark(file.order, 0xE000)
    value = rng.choice([
        b"", item + b"\xff" * 4, (item + bytes(4)) * 5000, item + b"\xff\xff\xff\x7f", rng.randbytes(40),
        item + struct.pack("<I" if order == "little" else ">I", rng.choice(HUGE)) + bytes(16),
    ])  # fmt: skip  # a list
    tag = rng.choice([0x00081140, 0x00091001, 0x00400275, 0x7FDF1001])
    return file.with_element(Element(tag, _vr(file, rng.choice([b"SQ", b"UN", b"OB", b"LO"])), value, UNDEFINED))


def foreign(file: DicomFile, rng: Random) -> DicomFile | None:
    """A value representation that is private, wrong, or of another kind of length."""
    if file.syntax == IMPLICIT:
        return None
    vr = rng.choice([b"ZZ", b"??", b"\0\0", b"  ", *b"OB UN SQ US SS UL FD DS LT OV".split()])
    if rng.random() < 0.3:
        return file.with_element(Element(0x00091001, vr, rng.randbytes(2 * rng.randrange(20))))
    n = rng.randrange(len(file.body))
    return file.with_body(n, replace(file.body[n], vr=vr))


def other_pixels(file: DicomFile, rng: Random) -> DicomFile | None:
    """Pixel data under another tag, as floats, twice, native where compressed was said, or of another length."""
    n = file.at(PIXEL_DATA)
    if n is None:
        return None
    old = file.body[n]
    bare = replace(old, value=rng.randbytes(rng.choice([0, 1, 480, 960, 961, 962, 1920])), length=None)
    item = replace(old, value=_mark("little", 0xE000) + bytes(4) + _mark("little", 0xE0DD) + bytes(4), length=UNDEFINED)
    choices = [bare, item, replace(old, tag=0x7FE00008), replace(old, tag=0x7FE00009), replace(old, length=0)]
    return file.with_body(n, *rng.choice([(new,) for new in choices] + [(old, old), (bare, old), (old, bare)]))


def inner_length(file: DicomFile, rng: Random) -> DicomFile | None:
    """A bit inside a sequence: tags, VRs and lengths of what it holds."""
    places = [n for n, e in enumerate(file.body) if e.value[:4] == _mark(file.order, 0xE000) and e.tag != PIXEL_DATA]
    if not places:
        return None
    n = rng.choice(places)
    value = file.body[n].value
    return file.with_body(n, replace(file.body[n], value=flipped(value, rng, 0, min(64, len(value)))))


def bomb(file: DicomFile, rng: Random) -> bytes | None:
    """A deflated data set that grows to hundreds of megabytes, before its pixels, within them or after."""
    if file.syntax != DEFLATED:
        return None
    head = bytes(128) + b"DICM" + b"".join(element.encoded("little") for element in file.meta)
    claimed = rng.choice([_BOMB, _BOMB - 1, 0x7FFFFFFE, 0xFFFFFFFE, 1000])
    body = file.data_set()
    hole = Element(0x00091001, b"OB", b"", claimed).encoded("little")
    at = rng.choice([0, (n if (n := body.rfind(b"\xe0\x7f\x10\x00")) > 0 else 0), len(body)])
    coder = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    first = coder.compress(body[:at] + hole) + coder.flush(zlib.Z_FULL_FLUSH)
    coder = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return head + first + _zeros() + coder.compress(body[at:]) + coder.flush()


@lru_cache(1)
def _zeros() -> bytes:
    """Deflated zeros that other deflated bytes may stand before and after."""
    coder = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    out = [coder.compress(bytes(1 << 20)) for _ in range(_BOMB >> 20)]
    return b"".join(out) + coder.flush(zlib.Z_FULL_FLUSH)


def _mark(order: str, element: int) -> bytes:
    return struct.pack("<HH" if order == "little" else ">HH", 0xFFFE, element)


def _vr(file: DicomFile, vr: bytes) -> bytes:
    """The VR where VRs are written."""
    return b"" if file.syntax == IMPLICIT else vr


ELEMENT_MUTATORS: tuple[Callable[[DicomFile, Random], DicomFile | bytes | None], ...] = (
    element_length,
    meta_length,
    group_length,
    number,
    odd_number,
    decimal,
    decimal_count,
    string,
    syntax,
    delete,
    duplicate,
    shuffle,
    deep,
    endless,
    foreign,
    other_pixels,
    inner_length,
    bomb,
)
