"""Uncompressed planes: from the bytes of a file, or of its inflated stream, to grey values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chunkvol import system
from chunkvol.errors import DamagedError
from chunkvol.formats.dicom.headers.after import check_tag
from chunkvol.formats.dicom.headers.inflate import Inflater
from chunkvol.formats.dicom.headers.walker import OddLayoutError, Walker
from chunkvol.formats.dicom.pixels.layout import PixelLayout, keep_stored_bits, take_grey
from chunkvol.formats.dicom.pixels.transfer import SYNTAXES
from chunkvol.sources import Block

PIECE = 1 << 16
"""Bytes that are inflated at a time."""
_MOST_BESIDE = Inflater.LARGEST_HEADER  # before the pixels as after them

__all__ = ["PIECE", "InflatedPixels", "grey_plane", "pixels_at", "pixels_scratch"]


def grey_plane(fill: Callable[[Block], None], layout: PixelLayout, plane: Block) -> None:
    """Fill `plane`, shape (rows, columns) and in one piece, with what `fill` puts into a block of the stored shape.

    Raises
    ------
    FormatError
        When there are three channels that differ.
    """
    stored = plane if layout.samples == 1 else np.empty(layout.stored_shape, layout.dtype)
    fill(stored)
    keep_stored_bits(stored, layout.bits, layout.high_bit)
    if stored is not plane:
        take_grey(stored, plane, by_plane=layout.planar == 1)


def pixels_at(fd: int, offset: int, layout: PixelLayout, block: Block) -> None:
    """Fill `block`, in one piece, with the pixels from a byte of the file on, in native byte order.

    Raises
    ------
    DamagedError
        When the file ends before.
    """
    if layout.paired:
        # The value starts at an even byte (`layout_of` sees to it), so words do too, where rows and frames may not.
        words = np.empty((offset + block.size + 1) // 2 - offset // 2, np.uint16)
        _read(fd, words, offset // 2 * 2)
        words.byteswap(inplace=True)
        block.reshape(-1)[...] = words.view(block.dtype)[offset % 2 :][: block.size]
        return
    _read(fd, block, offset)
    if SYNTAXES[layout.transfer_syntax].family == "big endian":
        block.byteswap(inplace=True)


def pixels_scratch(layout: PixelLayout, pixels: int) -> int:
    """Most bytes that `pixels_at` holds beside its block of so many pixels."""
    return pixels + 3 if layout.paired else 0


def _read(fd: int, block: Block, offset: int) -> None:
    view = block.data.cast("B")
    got = system.pread_into(fd, view, offset)
    if got < len(view):
        raise DamagedError(f"its pixel data ends {len(view) - got} bytes early: the file became shorter")


class InflatedPixels:
    """The pixels of a deflated file; those of frames in ascending order are inflated once.

    Until `finish`, never more is inflated than the header and the pixels up to those asked for.
    """

    __slots__ = ("_at", "_fd", "_start", "_stream")

    def __init__(self, fd: int, start: int) -> None:
        self._fd, self._start = fd, start
        self._stream, self._at = Inflater(fd, start), 0

    def fill(self, offset: int, block: Block) -> None:
        """Fill `block`, in one piece, with the bytes from `offset` of the inflated stream on.

        Raises
        ------
        DamagedError
            When the stream ends before, or is broken.
        """
        if offset < self._at:
            self._stream, self._at = Inflater(self._fd, self._start), 0
        view, end = block.data.cast("B"), offset + block.nbytes
        while self._at < end:
            border = offset if self._at < offset else end
            piece = self._stream.next(min(border - self._at, PIECE))
            if not piece:
                raise DamagedError(f"its deflated pixel data ends {end - max(offset, self._at)} bytes early")
            if border == end:
                view[self._at - offset : self._at - offset + len(piece)] = piece
            self._at += len(piece)

    def finish(self) -> None:
        """Inflate what is left: a stream that does not end as it should may have given wrong pixels.

        Of other frames all is passed over, of what follows the pixel data at most 64 MiB.

        Raises
        ------
        DamagedError
            When the stream breaks, is cut short, or goes on.
        FormatError
            When elements follow that belong before the pixel data.
        """
        end = self._pixels_end()
        self._skip(end - self._at)
        if self._at < end:
            raise DamagedError(f"its deflated pixel data ends {end - self._at} bytes early")
        head = b"".join(self._skip(1) for _ in range(8))
        if len(head) == 8 and any(head):
            check_tag(head)
        self._skip(_MOST_BESIDE)
        if not self._stream.ended:
            raise DamagedError("its deflated data set does not end as it should, so that its pixels cannot be trusted")

    def _skip(self, length: int) -> bytes:
        """Pass over so many bytes, or all that are left; returns the last piece."""
        border, last = self._at + length, b""
        while self._at < border and (piece := self._stream.next(min(border - self._at, PIECE))):
            self._at += len(piece)
            last = piece
        return last

    def _pixels_end(self) -> int:
        """The byte after the pixel data, told by the data set itself."""
        stream = type(self._stream)(self._fd, self._start)
        try:
            pixels = Walker(stream.look, _MOST_BESIDE).walk(0, False, {}, {})
        except OddLayoutError:
            pixels = None
        if pixels is None:
            raise DamagedError("its deflated data set has no pixel data: the file changed")
        return pixels[1] + pixels[2]
