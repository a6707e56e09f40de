"""Lies inside compressed pixel data: fragments, RLE tables, and the headers of JPEG, JPEG-LS and JPEG 2000 frames."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from random import Random

from tests.support.elements import PIXEL_DATA, UNDEFINED, DicomFile

Mutator = Callable[[DicomFile, Random], "DicomFile | None"]
"""A changed file, or None where the lie has no place in it."""

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
HUGE = (0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)

__all__ = ["FRAME_MUTATORS", "HUGE", "Mutator", "lie"]


def lie(rng: Random, true: int) -> int:
    """Another number than the true one: near it, far from it, or at an edge of its type."""
    near = [true - 2, true - 1, true + 1, true + 2, true // 2, true * 2, true ^ 1 << rng.randrange(16)]
    far = [0, 1, 3, 7, 255, 0x7FFF, 0xFFFE, 0xFFFF, 0x10000, rng.randrange(1 << 16), *HUGE]
    return abs(rng.choice([*near, *far]))


def _fragments(value: bytes) -> list[bytes]:
    """The offset table, then the fragments."""
    at, out = 0, []
    while value[at : at + 4] == _ITEM:
        length = int.from_bytes(value[at + 4 : at + 8], "little")
        out.append(value[at + 8 : at + 8 + length])
        at += 8 + length
    return out


def _joined(fragments: list[bytes], lengths: dict[int, int] | None = None, end: bytes = _END + bytes(4)) -> bytes:
    lengths = lengths or {}
    parts = [
        _ITEM + (lengths.get(n, len(item)) & UNDEFINED).to_bytes(4, "little") + item for n, item in enumerate(fragments)
    ]
    return b"".join(parts) + end


def _frames(file: DicomFile) -> list[bytes] | None:
    pixels = file.get(PIXEL_DATA)
    if pixels is None or pixels.length != UNDEFINED:
        return None
    found = _fragments(pixels.value)
    return found if len(found) > 1 and found[-1] else None


def _with_fragments(file: DicomFile, value: bytes) -> DicomFile:
    n = file.at(PIXEL_DATA)
    assert n is not None  # its fragments were found
    return file.with_body(n, replace(file.body[n], value=value))


def fragment_length(file: DicomFile, rng: Random) -> DicomFile | None:
    """One fragment, or the offset table, claims another length."""
    found = _frames(file)
    if found is None:
        return None
    n = rng.randrange(len(found))
    return _with_fragments(file, _joined(found, {n: lie(rng, len(found[n]))}))


def fragment_order(file: DicomFile, rng: Random) -> DicomFile | None:
    """Fragments are split, repeated, left out, empty, or lack their end."""
    found = _frames(file)
    if found is None:
        return None
    table, *frames = found
    whole = frames[0]
    cut = rng.randrange(len(whole))
    stray = struct.pack("<I", lie(rng, 0) & UNDEFINED)
    values = [
        _joined([table, whole[:cut], whole[cut:], *frames[1:]]),
        _joined([table, *frames, rng.choice(frames)]),
        _joined([table, *frames], end=b""),
        _joined([table, *frames], end=_END + b"\xff" * 4),
        _joined([table]),
        _joined([table, b"", *frames, b""]),
        _joined(frames),
        _joined([stray, *frames]),
        _joined([table, whole[: cut & ~1], *frames[1:]]),
        _joined([table, whole + rng.randbytes(2 * rng.randrange(1, 40)), *frames[1:]]),
    ]
    return _with_fragments(file, rng.choice(values))


def rle_table(file: DicomFile, rng: Random) -> DicomFile | None:
    """The segments of an RLE frame are counted wrong, or lie elsewhere (PS3.5 G.5)."""
    if not file.syntax.endswith(".1.2.5"):
        return None
    return _in_frame(file, rng, lambda frame: _at(frame, 4 * rng.randrange(4), 4, "<I", rng))


def jpeg_sizes(file: DicomFile, rng: Random) -> DicomFile | None:
    """SOF of JPEG or JPEG-LS says another precision, height, width or count (T.81 B.2.2, T.87 C.2.2)."""

    def change(frame: bytes) -> bytes | None:
        at = next((n for n in range(2, len(frame) - 12) if frame[n] == 0xFF and _is_sof(frame[n + 1])), None)
        if frame[:2] != b"\xff\xd8" or at is None:
            return None
        place, kind = rng.choice([(2, ">H"), (4, ">B"), (5, ">H"), (7, ">H"), (9, ">B"), (11, ">B")])
        return _at(frame, at + place, struct.calcsize(kind), kind, rng)

    return _in_frame(file, rng, change)


def _is_sof(marker: int) -> bool:
    return (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7


def jpeg_segment(file: DicomFile, rng: Random) -> DicomFile | None:
    """A byte of one of the marker segments before the scan changes: tables, predictor, NEAR, interleave, lengths."""

    def change(frame: bytes) -> bytes | None:
        scan = frame.find(b"\xff\xda")
        if frame[:2] != b"\xff\xd8" or scan < 0:
            return None
        at = rng.randrange(2, min(scan + 14, len(frame)))
        return frame[:at] + bytes([rng.randrange(256)]) + frame[at + 1 :]

    return _in_frame(file, rng, change)


def j2k_size(file: DicomFile, rng: Random) -> DicomFile | None:
    """SIZ says another size, offset, tile, count, precision or subsampling (T.800 A.5.1)."""

    def change(frame: bytes) -> bytes | None:
        at = frame.find(b"\xff\x4f\xff\x51")
        if at < 0:
            return None
        fields = [(4, ">H"), (6, ">H"), *((8 + 4 * n, ">I") for n in range(8)), (40, ">H")]
        place, kind = rng.choice([*fields, (42, ">B"), (43, ">B"), (44, ">B")])
        return _at(frame, at + place, struct.calcsize(kind), kind, rng)

    return _in_frame(file, rng, change)


def j2k_segment(file: DicomFile, rng: Random) -> DicomFile | None:
    """A byte of the main header or of the first tile's changes: COD, QCD, CAP, SOT ..."""

    def change(frame: bytes) -> bytes | None:
        start, data = frame.find(b"\xff\x4f\xff\x51"), frame.find(b"\xff\x93")
        if start < 0 or data < 0:
            return None
        at = rng.randrange(start + 4, data + 2)
        return frame[:at] + bytes([rng.randrange(256)]) + frame[at + 1 :]

    return _in_frame(file, rng, change)


def frame_cut(file: DicomFile, rng: Random) -> DicomFile | None:
    """The coded data ends early, and an honest end mark follows, or a middle part is missing."""

    def change(frame: bytes) -> bytes | None:
        at = rng.randrange(len(frame) // 2, len(frame))
        if rng.random() < 0.5:
            return frame[:at] + b"\xff\xd9"
        return frame[: len(frame) // 2] + frame[at:]

    return _in_frame(file, rng, change)


def _in_frame(file: DicomFile, rng: Random, change: Callable[[bytes], bytes | None]) -> DicomFile | None:
    found = _frames(file)
    if found is None:
        return None
    n = rng.randrange(1, len(found))
    frame = change(found[n])
    if frame is None:
        return None
    found[n] = frame + b"\0" * (len(frame) % 2)
    return _with_fragments(file, _joined(found))


def _at(frame: bytes, place: int, size: int, kind: str, rng: Random) -> bytes | None:
    if place + size > len(frame):
        return None
    (true,) = struct.unpack_from(kind, frame, place)
    number = lie(rng, true) & ((1 << 8 * size) - 1)
    return frame[:place] + struct.pack(kind, number) + frame[place + size :]


FRAME_MUTATORS: tuple[Mutator, ...] = (
    fragment_length,
    fragment_order,
    rle_table,
    jpeg_sizes,
    jpeg_segment,
    j2k_size,
    j2k_segment,
    frame_cut,
)
