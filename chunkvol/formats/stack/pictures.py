"""PNG, BMP and JPEG files: size, type and place of their pixels, from their first bytes."""

from __future__ import annotations

import struct

import numpy as np

from chunkvol import system
from chunkvol.errors import DamagedError, FormatError
from chunkvol.formats.dicom.pixels.frames import codestream_facts
from chunkvol.formats.stack.layout import WAY_OUT, FilePlanes, Layout, grey_palette

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_BMP_HEADERS = (40, 52, 56, 64, 108, 124)
_MOST = 1 << 20
"""Bytes in which a JPEG file must say how large it is; profiles and small pictures may come before."""
_SAMPLES = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
"""By PNG's colour type (grey, RGB, palette, with alpha); of a palette the decoder makes RGB."""

__all__ = ["bmp_planes", "jpeg_planes", "picture_kind", "png_planes"]


def picture_kind(head: bytes) -> str:
    """PNG, BMP or JPEG by the first bytes of a file; empty for anything else."""
    if head.startswith(_PNG):
        return "PNG"
    if head.startswith(_JPEG):
        return "JPEG"
    # Two letters prove little, so the header that follows must be one that there is.
    is_bmp = head[:2] == b"BM" and len(head) >= 54 and int.from_bytes(head[14:18], "little") in _BMP_HEADERS
    return "BMP" if is_bmp else ""


def png_planes(fd: int, size: int, head: bytes) -> FilePlanes:
    """The plane of a PNG file (ISO/IEC 15948 section 11.2.2); a missing end is told at once.

    Raises
    ------
    FormatError
        It has pixels of a kind that there is not.
    DamagedError
        It is cut short.
    """
    if len(head) < 33 or head[12:16] != b"IHDR":
        raise DamagedError("it has no readable header")
    columns, rows, bits, colour = struct.unpack_from(">IIBB", head, 16)
    if bits not in (1, 2, 4, 8, 16) or colour not in _SAMPLES:
        raise FormatError(f"has pixels of {bits} bits of colour type {colour}, which PNG has not: export it again")
    if b"IEND" not in system.pread(fd, 4096, max(0, size - 4096)):  # some writers leave bytes after it
        raise DamagedError("it is cut short: its end mark is missing")
    alpha = colour in (4, 6) or b"tRNS" in head
    samples = _SAMPLES[colour] + (colour not in (4, 6) and alpha)
    # The decoder spreads fewer bits over all eight, so that white is 255 in slices that a program made smaller.
    layout = Layout(
        rows, columns, np.dtype("u2" if bits == 16 else "u1"), samples, "PNG", alpha=alpha, needs_codecs=True
    )
    spread = "grey values of fewer than 8 bits are spread over 0 to 255, as the PNG standard says"
    return _one(layout, 0, size, *[spread] * (bits < 8), most_ratio=1032 * 8 // min(bits, 8))


def jpeg_planes(fd: int, size: int, head: bytes) -> FilePlanes:
    """The plane of a JPEG file (T.81 B.2.2).

    Raises
    ------
    FormatError
        It has other pixels than 8 bits, or CMYK.
    DamagedError
        It has no frame header, or no end.
    """
    try:
        facts = codestream_facts(head)
    except DamagedError:
        facts = codestream_facts(system.pread(fd, min(size, _MOST), 0))
    if facts.precision != 8 or facts.samples not in (1, 3):
        raise FormatError(
            f"has {facts.samples} samples of {facts.precision} bits a pixel; JPEG of 8 bits, grey or RGB, is read: "
            "convert it first"
        )
    if not system.pread(fd, 64, max(0, size - 64)).rstrip(b"\0\xff").endswith(b"\xff\xd9"):
        raise DamagedError("it is cut short: its end mark is missing")
    layout = Layout(facts.rows, facts.columns, np.dtype("u1"), facts.samples, "JPEG", needs_codecs=True)
    note = "JPEG is lossy: the values are near those that were scanned, not the same"
    return _one(layout, 0, size, note, most_ratio=4096)


def bmp_planes(fd: int, size: int, head: bytes) -> FilePlanes:
    """The plane of an uncompressed BMP file: 1 or 8 bits with a palette of greys, 24 or 32.

    Source: BITMAPINFOHEADER, learn.microsoft.com/windows/win32/api/wingdi; rows are padded to four bytes and stored
    from the last to the first unless the height is negative.

    Raises
    ------
    FormatError
        It is compressed, of other bits, or has a palette of colours.
    DamagedError
        It is cut short.
    """
    start, header, columns, rows = struct.unpack_from("<IIii", head, 10)
    bits, packing, _, _, _, used = struct.unpack_from("<HIIiiI", head, 28)
    # Masks (3) that only spell out the usual order of the bytes are those of 32 bits.
    usual = packing == 0 or (packing == 3 and bits == 32 and head[54:66] == bytes.fromhex("0000ff0000ff0000ff000000"))
    if bits not in (1, 8, 24, 32) or not usual:
        raise FormatError(
            f"is BMP of {bits} bits, compression {packing}; uncompressed BMP of 1, 8, 24 and 32 bits is read: "
            "convert it"
        )
    if columns < 1 or rows == 0:
        raise DamagedError(f"its header says {columns} x {rows} pixels")
    samples, row_bytes = max(1, bits // 8), (columns * bits + 31) // 32 * 4
    end = start + abs(rows) * row_bytes
    if end > size:
        raise DamagedError(f"it is cut short: its header promises pixels up to byte {end}, and it has {size} bytes")
    palette = _bmp_palette(head, 14 + header, used or 1 << bits, start) if bits <= 8 else b""
    layout = Layout(
        abs(rows),
        columns,
        np.dtype("u1"),
        samples,
        row_bytes=row_bytes,
        upward=rows > 0,
        palette=palette,
        bilevel=bits == 1,
    )
    notes = ("the grey values are those of the files' palettes",) if palette else ()
    return _one(layout, start, abs(rows) * row_bytes, *notes, most_ratio=8 if bits == 1 else 1)


def _bmp_palette(head: bytes, at: int, entries: int, start: int) -> bytes:
    colours = np.frombuffer(head[at : min(at + 4 * min(entries, 256), start)], np.uint8)
    palette = grey_palette(colours[: len(colours) // 4 * 4].reshape(-1, 4)[:, :3]) if len(colours) >= 4 else None
    if palette is None:
        raise FormatError(f"has a palette of colours; chunkvol reads grey values: {WAY_OUT}")
    return palette


def _one(layout: Layout, offset: int, length: int, *notes: str, most_ratio: int = 1) -> FilePlanes:
    if layout.rows < 1 or layout.columns < 1:
        raise DamagedError(f"its header says {layout.columns} x {layout.rows} pixels")
    # Of a palette a byte a pixel is stored, of other samples all.
    if layout.rows * layout.columns * layout.dtype.itemsize > length * most_ratio:
        raise DamagedError(f"its header promises {layout.text} pixels, and {length} bytes cannot hold them")
    return FilePlanes((layout,), (offset,), (length,), notes)
