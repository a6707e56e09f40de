"""Compressed frames: taking them out of their fragments, checking them, decoding them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from chunkvol.errors import DamagedError, DecoderError
from chunkvol.formats.dicom.headers.after import check_after
from chunkvol.formats.dicom.pixels.decoders import Decoder
from chunkvol.formats.dicom.pixels.layout import PixelLayout, keep_stored_bits, take_grey
from chunkvol.formats.dicom.pixels.segments import FRAME_MARKERS, check_tables, segments
from chunkvol.formats.dicom.pixels.shortfall import with_noise
from chunkvol.formats.dicom.pixels.transfer import SYNTAXES
from chunkvol.sources import Block

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_CODESTREAM = b"\xff\x4f\xff\x51"
_END_MARK, _MOST_BEHIND = b"\xff\xd9", 16
"""Some encoders pad a frame with what their buffer held, a few bytes. Coded pixels never hold the mark (a byte FF is
followed by a small one there, as in T.81 B.1.1.5), so that it is the end wherever it stands."""

__all__ = ["CodestreamFacts", "codestream_facts", "decode_frame", "read_fragments", "read_frame"]


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

    Raises
    ------
    DamagedError
        When the fragments are broken or do not end.
    FormatError
        When elements follow that belong before the pixel data, or pixel data once more.
    """
    with io.FileIO(fd, closefd=False) as file:
        return _joined(list(_fragments(file, offset, offset + length))[1:])


def read_fragments(fd: int, offset: int, length: int) -> bytes:
    """The frame whose fragments, items and all, fill `length` bytes from `offset`: one of several in its file."""
    with io.FileIO(fd, closefd=False) as file:
        return _joined(list(_fragments(file, offset, offset + length, closed=True)))


def _joined(parts: list[bytes]) -> bytes:
    if not parts:
        raise DamagedError("its compressed pixel data has no fragment")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _fragments(file: io.FileIO, at: int, end: int, *, closed: bool = False) -> Iterator[bytes]:
    """All items, the offset table too, up to the end mark; where `closed`, up to `end`, which is the end of one."""
    while not (closed and at == end):
        file.seek(at)
        head = file.read(8)
        mark, length = head[:4], int.from_bytes(head[4:], "little")
        if len(head) < 8:
            raise DamagedError("its compressed pixel data is cut short: the end mark is missing")
        if mark == _END and not closed:
            if at + 8 < end:
                check_after(file.fileno(), at + 8, end, implicit=False)
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
        if frame[:4] == _CODESTREAM:
            return _jpeg_2000_facts(frame, 6)
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
    for marker, content in segments(frame):
        if marker in FRAME_MARKERS:
            precision, rows, columns, samples = struct.unpack_from(">BHHB", content)
            return CodestreamFacts(rows, columns, samples, precision, False)
    raise ValueError


def decode_frame(frame: bytes, layout: PixelLayout, decoder: Decoder, out: Block) -> None:
    """Fill `out`, shape (rows, columns), of the layout's type and in one piece, with one compressed frame.

    Raises
    ------
    DamagedError
        When the frame is broken, or is not what the header promises.
    FormatError
        When its three channels differ.
    """
    if layout.samples == 1:
        _decode(frame, layout, decoder, out)
        return
    by_plane = decoder.colour == "by plane"
    size = layout.rows, layout.columns
    colour = np.empty((3, *size) if by_plane else (*size, 3), layout.dtype)
    _decode(frame, layout, decoder, colour)
    take_grey(colour, out, by_plane=by_plane)


def _decode(frame: bytes, layout: PixelLayout, decoder: Decoder, out: Block) -> None:
    """Fill `out`, of the shape that the decoder gives, with the stored bits of one compressed frame."""
    family = SYNTAXES[layout.transfer_syntax].family
    if family == "RLE":
        _check_segments(frame, layout)
        _call(decoder, frame, layout, out)
        keep_stored_bits(out, layout.bits, layout.high_bit)
        return
    frame = _codestream(frame)
    facts = codestream_facts(frame)
    _compare(facts, layout)
    if _END_MARK not in frame[-_MOST_BEHIND:]:  # decoders fill in what is missing
        raise DamagedError("its compressed frame is cut short: the end mark is missing")
    if family == "JPEG":
        check_tables(frame)
    container = 1 if facts.precision <= 8 else 2 if facts.precision <= 16 else 4
    kind = np.dtype(f"{'i' if facts.signed else 'u'}{container}")
    direct = kind.itemsize == out.itemsize
    pixels = out.view(kind) if direct else np.empty(out.shape, kind)
    (_call_twice if family == "JPEG" else _call)(decoder, frame, layout, pixels)
    if kind.kind == "u" and facts.precision < layout.bits and int(pixels.max()) >> facts.precision:
        raise DamagedError(
            f"its compressed frame holds values up to {int(pixels.max())}, "
            f"more than the {facts.precision} bits that it claims"
        )
    if not direct:
        out[...] = pixels
    # Where the codestream and the header disagree about the sign, the value is in the codestream's own bits.
    agree = facts.signed and layout.dtype.kind == "i"
    bits = layout.bits if agree else min(layout.bits, facts.precision)
    # A codestream that reaches the uppermost bit holds whole words; one that does not, the values themselves.
    keep_stored_bits(out, bits, layout.high_bit if facts.precision > layout.high_bit else bits - 1)


def _check_segments(frame: bytes, layout: PixelLayout) -> None:
    """One segment a byte of the pixel, in order (PS3.5 section G.5); decoders follow the offsets without looking."""
    expected = layout.dtype.itemsize * layout.samples
    if len(frame) < 64:
        raise DamagedError("its compressed frame has no readable header")
    count, *offsets = struct.unpack_from("<16I", frame)
    starts = [*offsets[:count], len(frame)]
    if count != expected or starts[0] != 64 or any(a >= b for a, b in pairwise(starts)):
        raise DamagedError(
            f"its compressed frame has {count} segments that end at {starts[1:]}, "
            f"expected {expected} in ascending order within {len(frame)} bytes"
        )


def _codestream(frame: bytes) -> bytes:
    """The frame without the JP2 file format around it, which some writers leave (PS3.5 section A.4.4)."""
    start = frame.find(_CODESTREAM) if frame[4:8] == b"jP  " else 0
    return frame[max(start, 0) :]


def _compare(facts: CodestreamFacts, layout: PixelLayout) -> None:
    found = facts.columns, facts.rows, facts.samples
    if found != (layout.columns, layout.rows, layout.samples) or facts.precision > 8 * layout.dtype.itemsize:
        raise DamagedError(
            f"its compressed frame is {facts.columns} x {facts.rows} x {facts.samples} of {facts.precision} bits, "
            f"its header says {layout.columns} x {layout.rows} x {layout.samples} of {8 * layout.dtype.itemsize}"
        )


def _call_twice(decoder: Decoder, frame: bytes, layout: PixelLayout, block: Block) -> None:
    """Refuse a frame of which the decoder makes up a part: checksums are compared, lest a second plane be held."""
    _call(decoder, with_noise(frame), layout, block)
    noisy = zlib.crc32(block.data)
    _call(decoder, frame, layout, block)
    if zlib.crc32(block.data) != noisy:
        raise DamagedError(
            "its compressed frame is cut short or broken: its coded pixels end before the plane is full, or are none"
        )


def _call(decoder: Decoder, frame: bytes, layout: PixelLayout, block: Block) -> None:
    try:
        decoder.decode(frame, layout, block)
    except (MemoryError, DamagedError, DecoderError):
        raise
    except BaseException as error:
        # Each decoder has its own kinds; those of pylibjpeg-rle are Rust panics, which are not Exceptions.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = (str(error).splitlines() or [""])[0]
        raise DamagedError(f"its compressed frame cannot be decoded ({type(error).__name__}: {reason})") from error
