"""The stored frames of a segmentation: single bits, bytes or words, as they are or compressed."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from chunkvol import system
from chunkvol.errors import DamagedError, FormatError, InputError
from chunkvol.formats.dicom.headers.header import Header
from chunkvol.formats.dicom.multiframe.extents import Extents, encapsulated_extents, native_extents
from chunkvol.formats.dicom.pixels.frames import decode_frame, read_fragments
from chunkvol.formats.dicom.pixels.layout import PixelLayout, keep_stored_bits, layout_of
from chunkvol.formats.dicom.pixels.native import InflatedPixels, pixels_at
from chunkvol.formats.dicom.pixels.transfer import SYNTAXES, find_decoder, syntax_of
from chunkvol.sources import Block

_DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
"""Deflated Image Frame Compression: each frame a deflated stream of its own (PS3.5 section A.4.13)."""
_MOST_HELD = 256 << 20
"""Bytes of frames of a deflated file that are kept, deflated one by one."""

__all__ = ["StoredFrames", "stored_frames"]


@dataclass(frozen=True, eq=False)
class StoredFrames:
    """Frames of one file, each of which can be had alone."""

    path: str
    """The file."""
    layout: PixelLayout
    """Of a frame, single bits as bytes of 0 and 1; of packed bytes where `packed`."""
    packed: bool
    """Whether a pixel is one bit of a byte, the lowest bit first."""
    extents: Extents
    """Offset and length of each frame in bytes, shape (frames, 2); of packed bits those of all frames, shape (1, 2)."""
    inflated: bool = False
    """Whether the bytes of a frame are a deflated stream."""
    held: tuple[bytes, ...] = ()
    """The deflated streams of all frames where the whole file is one stream; else they are read from the file."""

    @property
    def by_rows(self) -> bool:
        """Whether some rows can be read without the others."""
        return not self.inflated and not self._encapsulated

    def bytes_of(self, stored: npt.NDArray[np.int64]) -> int:
        """Bytes that hold these frames."""
        if self.held:
            return sum(len(self.held[n]) for n in stored.tolist())
        if self.packed and not self.inflated:
            return -(-len(stored) * self._pixels // 8)
        return int(self.extents[stored, 1].sum())

    def scratch(self, pixels: int) -> int:
        """Bytes held while so many pixels of a frame (all of it where not `by_rows`) are made, with them."""
        size = self.layout.dtype.itemsize
        held = pixels * (size + 1) + pixels // 8 + 4096
        if self.inflated or self._encapsulated:
            held += 2 * max(map(len, self.held), default=int(self.extents[:, 1].max())) + pixels * size
        if self._encapsulated:
            held += int(find_decoder(self.layout.transfer_syntax).pixel_bytes * pixels)
        return held

    def preload(self) -> None:
        """Import what reading needs."""
        if self._encapsulated:
            find_decoder(self.layout.transfer_syntax).preload()

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """The file, for `values`."""
        try:
            with system.opened(self.path) as fd:
                yield fd
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror or error}") from error

    def values(self, fd: int, n: int, rows: slice) -> Block:
        """The stored values of these rows of frame n, shape (rows, columns)."""
        try:
            return self._values(fd, n, rows)
        except DamagedError as error:
            raise DamagedError(f"{self.path} (frame {n}): {error}; copy or export it again") from error

    @property
    def _encapsulated(self) -> bool:
        return not self.inflated and SYNTAXES[self.layout.transfer_syntax].encapsulated

    @property
    def _pixels(self) -> int:
        return self.layout.rows * self.layout.columns

    def _values(self, fd: int, n: int, rows: slice) -> Block:
        layout = self.layout
        size = rows.stop - rows.start, layout.columns
        if self.inflated:
            return self._inflated(fd, n)[rows]
        if self._encapsulated:
            plane = np.empty((layout.rows, layout.columns), layout.dtype)
            offset, length = (int(part) for part in self.extents[n])
            decode_frame(read_fragments(fd, offset, length), layout, find_decoder(layout.transfer_syntax), plane)
            return plane[rows]
        before = rows.start * layout.columns
        if self.packed:
            return self._bits(fd, n * self._pixels + before, size[0] * size[1]).reshape(size)
        block = np.empty(size, layout.dtype)
        pixels_at(fd, int(self.extents[n, 0]) + before * layout.dtype.itemsize, layout, block)
        keep_stored_bits(block, layout.bits, layout.high_bit)
        return block

    def _bits(self, fd: int, first: int, count: int) -> Block:
        """Bits from the first one of the pixel data on: frames follow each other without padding (PS3.5 8.1.1)."""
        raw = np.empty((first % 8 + count + 7) // 8, np.uint8)
        pixels_at(fd, int(self.extents[0, 0]) + first // 8, self.layout, raw)
        return _unpacked(raw, first % 8, count)

    def _inflated(self, fd: int, n: int) -> Block:
        layout = self.layout
        shift = n * self._pixels % 8 if self.packed and self.held else 0
        length = (shift + self._pixels + 7) // 8 if self.packed else layout.plane_bytes
        stream = self.held[n] if self.held else read_fragments(fd, *(int(part) for part in self.extents[n]))
        raw = _inflate(stream, length)
        if self.packed:
            return _unpacked(np.frombuffer(raw, np.uint8), shift, self._pixels).reshape(layout.rows, layout.columns)
        plane = np.frombuffer(raw, layout.dtype.newbyteorder("<")).astype(layout.dtype)
        keep_stored_bits(plane, layout.bits, layout.high_bit)
        return plane.reshape(layout.rows, layout.columns)


def _unpacked(raw: npt.NDArray[np.uint8], shift: int, count: int) -> Block:
    return np.unpackbits(raw, count=shift + count, bitorder="little")[shift:]


def _inflate(stream: bytes, length: int) -> bytes:
    """A deflated stream of so many bytes, and perhaps one that makes them even."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        raw = inflater.decompress(stream, length + 2)
    except zlib.error as error:
        raise DamagedError(f"its deflated frame is broken ({error})") from None
    if not length <= len(raw) <= length + 1:
        raise DamagedError(f"its deflated frame has {len(raw)} bytes, expected {length}")
    return raw[:length]


def stored_frames(header: Header, frames: int, offsets: bytes = b"") -> StoredFrames:
    """The frames of a file, none of which is read yet.

    A wholly deflated file is inflated once, and its frames are kept, each deflated again: masks take little.

    Parameters
    ----------
    header
        Of the file: single bits, 8 or 16 bits a pixel.
    frames
        How many there are.
    offsets
        The Extended Offset Table of compressed frames, where there is one.

    Raises
    ------
    DamagedError
        The file does not hold exactly these frames.
    FormatError, DecoderError
        They are encoded in a way that is not read.
    """
    # A label map may say PALETTE COLOR: its values are labels all the same.
    grey = replace(header, samples=1, photometric="MONOCHROME2", planar=None)
    packed = header.bits_allocated == 1
    if packed:
        grey = replace(grey, bits_allocated=8, bits_stored=8, high_bit=7)
    layout = layout_of(grey)
    by_frame = header.transfer_syntax == _DEFLATED_FRAMES
    if by_frame or syntax_of(header).encapsulated:
        return _compressed(header, layout, frames, offsets, packed=packed, inflated=by_frame)
    extents = _packed_extents(header, frames) if packed else native_extents(grey, frames)
    found = StoredFrames(header.path, layout, packed, extents)
    return found if header.deflated_at is None else _held(found, header, frames)


def _compressed(
    header: Header, layout: PixelLayout, frames: int, offsets: bytes, *, packed: bool, inflated: bool
) -> StoredFrames:
    if not inflated:
        find_decoder(header.transfer_syntax)
        if packed:
            if SYNTAXES[header.transfer_syntax].family == "RLE":
                raise FormatError(
                    f"{header.path} has single bits in RLE, which DICOM does not define (PS3.5 annex G); "
                    "convert it to Explicit VR Little Endian"
                )
            layout, packed = replace(layout, bits=1, high_bit=0), False
    try:
        with system.opened(header.path) as fd:
            extents = encapsulated_extents(fd, header, frames, offsets)
    except DamagedError as error:  # a FormatError names the file already
        raise DamagedError(f"{header.path} is damaged: {error}; copy or export it again") from None
    return StoredFrames(header.path, layout, packed, extents, inflated)


def _packed_extents(header: Header, frames: int) -> Extents:
    """Offset and length of all bits of uncompressed pixel data, checked against what the file holds."""
    pixels = (header.rows or 0) * (header.columns or 0)
    expected = (frames * pixels + 7) // 8
    if header.length is None:
        raise DamagedError(f"{header.path} has pixel data without a length, although it is not compressed")
    present = header.length
    if header.deflated_at is None:
        present = min(present, header.file_size - header.offset)
    promised = f"{expected} ({frames} frames of {header.columns} x {header.rows} bits)"
    if present < expected:
        raise DamagedError(
            f"{header.path} is truncated: {present} bytes of pixel data, expected {promised}; copy or export it again"
        )
    if header.length > expected + 1:
        raise DamagedError(
            f"{header.path} has over-long pixel data: {header.length} bytes, expected {promised}: "
            "frames of bits follow each other without padding; export it again"
        )
    return np.array([[header.offset, expected]])


def _held(found: StoredFrames, header: Header, frames: int) -> StoredFrames:
    """The same with each frame deflated alone, since a stream can only be read from its start."""
    held: list[bytes] = []
    total = 0
    for raw in _inflated_frames(found, header, frames):
        packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        held.append(packer.compress(raw) + packer.flush())
        total += len(held[-1])
        if total > _MOST_HELD:
            raise FormatError(
                f"{header.path} is deflated as a whole and has more than {_MOST_HELD >> 20} MiB of frames, which "
                "would have to be held; convert it to Explicit VR Little Endian"
            )
    return replace(found, inflated=True, held=tuple(held))


def _inflated_frames(found: StoredFrames, header: Header, frames: int) -> Iterator[bytes]:
    """The bytes that hold each frame, inflated once; packed frames share some, at their ends."""
    size = header.rows or 0, header.columns or 0, 1 if found.packed else 8 * found.layout.dtype.itemsize
    bits = size[0] * size[1] * size[2]
    last = b""
    with found.opened() as fd, _naming(header.path):
        pixels = InflatedPixels(fd, header.deflated_at or 0)
        for n in range(frames):
            start, stop = n * bits // 8, ((n + 1) * bits + 7) // 8
            shared = last if n * bits % 8 else b""
            fresh = np.empty(stop - start - len(shared), np.uint8)
            if fresh.size:
                pixels.fill(header.offset + start + len(shared), fresh)
            raw = shared + fresh.tobytes()
            last = raw[-1:]
            yield raw
        pixels.finish()


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Errors of those who know no path name the file."""
    try:
        yield
    except DamagedError as error:
        raise DamagedError(f"{path} is damaged: {error}; copy or export it again") from None
    except FormatError as error:
        raise FormatError(f"{path} {error}") from None
