"""Bytes of a file at a position, and of a deflated data set."""

from __future__ import annotations

import zlib

from chunkvol import system
from chunkvol.errors import DamagedError

_PIECE = 1 << 16

__all__ = ["Inflater", "pread"]


def pread(fd: int, position: int, length: int) -> bytes:
    """Bytes from a position; fewer where the file ends."""
    return system.pread(fd, max(0, length), position)


class Inflater:
    """A deflated data set, inflated only as far as asked (a small file can hide gigabytes)."""

    __slots__ = ("_at", "_fd", "_first", "_stream", "data")

    LARGEST_HEADER = 64 << 20

    def __init__(self, fd: int, start: int) -> None:
        self._fd, self._at = fd, start
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self.data = bytearray()
        self._first = 0

    @property
    def ended(self) -> bool:
        """Whether the stream was read to its proper end; False at the end of a file that cuts it short."""
        return self._stream.eof

    def peek(self, position: int, length: int) -> bytes:
        """Bytes of the inflated stream; all from its beginning are kept, which suits headers."""
        if position + length > self.LARGEST_HEADER:
            raise DamagedError(f"its header inflates to more than {self.LARGEST_HEADER >> 20} MiB")
        while len(self.data) < position + length:
            piece = self.next(position + length - len(self.data))
            if not piece:
                break
            self.data += piece
        return bytes(self.data[position : position + length])

    def look(self, position: int, length: int) -> bytes:
        """As `peek`, of one who never looks back: what lies before `position` is forgotten."""
        if position + length > self.LARGEST_HEADER:
            raise DamagedError(f"its header inflates to more than {self.LARGEST_HEADER >> 20} MiB")
        while (missing := position + length - self._first - len(self.data)) > 0:
            piece = self.next(min(missing, _PIECE))
            if not piece:
                break
            self.data += piece
            self._forget(position)
        self._forget(position)
        return bytes(self.data[:length])

    def _forget(self, position: int) -> None:
        before = min(position - self._first, len(self.data))
        del self.data[:before]
        self._first += before

    def next(self, most: int) -> bytes:
        """The next inflated bytes, at most so many; empty at the end."""
        while not self._stream.eof:
            source = self._stream.unconsumed_tail
            if not source:
                source = pread(self._fd, self._at, _PIECE)
                self._at += len(source)
            try:
                piece = self._stream.decompress(source, most)  # of nothing too: zlib may hold the last few bytes
            except zlib.error as error:
                raise DamagedError(f"its deflated data set is broken ({error})") from None
            if piece or not source:
                return piece
        return b""
