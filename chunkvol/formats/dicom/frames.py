"""Compressed frames: taking them out of their fragments, checking them, decoding them."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from chunkvol.errors import DamagedError, DecoderError
from chunkvol.formats.dicom.layout import PixelLayout, keep_stored_bits
from chunkvol.formats.dicom.transfer import SYNTAXES, Decode
from chunkvol.sources import Block

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}

__all__ = ["CodestreamFacts", "codestream_facts", "decode_frame", "read_frame"]


@dataclass(frozen=True, slots=True)
class CodestreamFacts:
    """What a compressed frame says of itself, read before a decoder allocates anything for it."""

    rows: int
    """Height."""
    columns: int
    """Width."""
    samples: int
    """Components."""
    precision: int
    """Bits of a sample."""
    signed: bool
    """Whether the decoder extends the sign itself (JPEG 2000 only)."""


def read_frame(fd: int, offset: int, length: int) -> bytes:
    """The one frame of the encapsulated pixel data at `offset` (PS3.5 section A.4): all fragments, joined.

    `length` bytes lie between the offset and the end of the file; nothing larger is ever allocated. A frame in one
    fragment, the usual case, is read without a copy (decoders want `bytes`, which positioned reads do not give).
    """
    with io.FileIO(fd, closefd=False) as file:
        parts = list(_fragments(file, offset, offset + length))[1:]
    if not parts:
        raise DamagedError("its compressed pixel data has no fragment")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _fragments(file: io.FileIO, at: int, end: int) -> Iterator[bytes]:
    """The offset table, then the fragments."""
    while True:
        file.seek(at)
        head = file.read(8)
        mark, length = head[:4], int.from_bytes(head[4:], "little")
        if len(head) < 8:
            raise DamagedError("its compressed pixel data is cut short: the end mark is missing")
        if mark == _END:
            return
        if mark != _ITEM or at + 8 + length > end:
            raise DamagedError(f"its compressed pixel data is broken at byte {at}")
        fragment = file.read(length)
        if len(fragment) < length:
            raise DamagedError(f"its compressed pixel data ends {length - len(fragment)} bytes early")
        yield fragment
        at += 8 + length


def codestream_facts(frame: bytes) -> CodestreamFacts:
    """Facts of a JPEG, JPEG-LS or JPEG 2000 codestream (T.81 B.2.2, T.87 C.2.2, T.800 A.5.1)."""
    try:
        if frame[:4] == b"\xff\x4f\xff\x51":
            return _jpeg_2000_facts(frame, 6)
        if frame[4:8] == b"jP  ":  # the JP2 file format around the codestream, which some writers leave
            return _jpeg_2000_facts(frame, frame.index(b"\xff\x4f\xff\x51") + 6)
        return _jpeg_facts(frame)
    except (struct.error, IndexError, ValueError):
        raise DamagedError("its compressed frame has no readable header") from None


def _jpeg_2000_facts(frame: bytes, at: int) -> CodestreamFacts:
    right, bottom, left, top = struct.unpack_from(">4I", frame, at + 2)
    samples, size = struct.unpack_from(">HB", frame, at + 34)
    return CodestreamFacts(bottom - top, right - left, samples, (size & 0x7F) + 1, bool(size & 0x80))


def _jpeg_facts(frame: bytes) -> CodestreamFacts:
    if frame[:2] != b"\xff\xd8":
        raise ValueError
    at = 2
    while frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _FRAME_MARKERS:
            precision, rows, columns, samples = struct.unpack_from(">BHHB", frame, at + 4)
            return CodestreamFacts(rows, columns, samples, precision, False)
        else:
            at += 2 + struct.unpack_from(">H", frame, at + 2)[0]
    raise ValueError


def decode_frame(frame: bytes, layout: PixelLayout, decode: Decode) -> Block:
    """The pixels of one compressed frame, shape (rows, columns), in the layout's type.

    Raises
    ------
    DamagedError
        When the frame is broken, or is not what the header promises.
    """
    if SYNTAXES[layout.transfer_syntax].family == "RLE":
        pixels = _called(frame, layout, decode, layout.dtype.itemsize).view(layout.dtype)
        keep_stored_bits(pixels, layout.bits, layout.high_bit)
        return pixels.reshape(layout.rows, layout.columns)
    facts = codestream_facts(frame)
    _compare(facts, layout)
    if not frame[-16:].rstrip(b"\0").endswith(b"\xff\xd9"):  # JPEG 2000 decoders fill in what is missing
        raise DamagedError("its compressed frame is cut short: the end mark is missing")
    container = 1 if facts.precision <= 8 else 2 if facts.precision <= 16 else 4
    pixels = _called(frame, layout, decode, container)
    pixels = pixels.view(f"{'i' if facts.signed else 'u'}{container}")
    pixels = pixels.view(layout.dtype) if container == layout.dtype.itemsize else pixels.astype(layout.dtype)
    # A codestream without a sign carries signed values in its own number of bits.
    bits = layout.bits if facts.signed else min(layout.bits, facts.precision)
    keep_stored_bits(pixels, bits, bits - 1)
    return pixels.reshape(layout.rows, layout.columns)


def _compare(facts: CodestreamFacts, layout: PixelLayout) -> None:
    found = facts.columns, facts.rows, facts.samples
    if found != (layout.columns, layout.rows, 1) or facts.precision > 8 * layout.dtype.itemsize:
        raise DamagedError(
            f"its compressed frame is {facts.columns} x {facts.rows} x {facts.samples} of {facts.precision} bits, "
            f"its header says {layout.columns} x {layout.rows} x 1 of {8 * layout.dtype.itemsize}"
        )


def _called(frame: bytes, layout: PixelLayout, decode: Decode, itemsize: int) -> Block:
    try:
        buffer = decode(frame, layout)
    except (MemoryError, DecoderError):
        raise
    except BaseException as error:
        # Each decoder has its own kinds; those of pylibjpeg-rle are Rust panics, which are not Exceptions.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = (str(error).splitlines() or [""])[0]
        raise DamagedError(f"its compressed frame cannot be decoded ({type(error).__name__}: {reason})") from error
    expected = layout.rows * layout.columns * itemsize
    if len(buffer) != expected:
        raise DamagedError(f"its compressed frame decodes to {len(buffer)} bytes, expected {expected}")
    pixels = np.frombuffer(buffer, np.uint8)
    return pixels if pixels.flags.writeable else pixels.copy()
