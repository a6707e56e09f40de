"""Marker segments of JPEG frames, and the Huffman tables in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chunkvol.errors import DamagedError

FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Start of a frame, of whatever process; F7 is that of JPEG-LS."""
_TABLES, _SCAN = 0xC4, 0xDA
_BASELINE, _EXTENDED, _LOSSLESS = 0xC0, 0xC1, 0xC3
_MOST_SYMBOLS, _MOST_TABLES = 256, 8

__all__ = ["FRAME_MARKERS", "check_tables", "filled_tables", "segments"]


@dataclass(frozen=True, slots=True)
class _Table:
    """A Huffman table (T.81 B.2.4.2)."""

    head: int
    """Class in the upper half (0 for DC and lossless, 1 for AC), destination in the lower."""
    counts: bytes
    """Codes of each length, 1 to 16 bits."""
    symbols: bytes
    """What they stand for, in ascending order of the codes."""

    @property
    def encoded(self) -> bytes:
        return bytes([self.head]) + self.counts + self.symbols


def segments(frame: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment up to the first scan, whose head is the last (T.81 B.1.1.4)."""
    at, marker = 2, 0
    while marker != _SCAN and frame[at : at + 1] == b"\xff" and at + 4 <= len(frame):
        marker = frame[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
        yield marker, frame[at + 4 : end]
        at = end


def check_tables(frame: bytes) -> None:
    """Refuse Huffman tables that no encoder can have used: decoders do not look, and make up pixels by them.

    Raises
    ------
    DamagedError
        When a table before the first scan holds a symbol twice, or one that the process does not have (T.81 F.1.2).
    """
    process, precision, tables = 0, 0, list[_Table]()
    for marker, content in segments(frame):
        if marker == _TABLES:
            tables += _tables(content)
        elif marker in FRAME_MARKERS and content:
            process, precision = marker, content[0]
    for table in tables:
        if len(set(table.symbols)) < len(table.symbols):
            raise DamagedError("its compressed frame has a Huffman table with a symbol twice")
        odd = set(table.symbols) - _known(table, process, precision)
        if odd:
            raise DamagedError(f"its compressed frame has a Huffman table with a symbol that is none ({min(odd):02X})")


def filled_tables(content: bytes) -> bytes:
    """A segment of Huffman tables in which codes that stood for nothing stand for a symbol, as far as there is room.

    None can for the longest one, of ones alone (T.81 annex C). What is no table stays as it is.
    """
    tables = list(_tables(content))
    if len(tables) > _MOST_TABLES or sum(17 + sum(table.counts) for table in tables) != len(content):
        return content
    return b"".join(_filled(table).encoded for table in tables)


def _tables(content: bytes) -> Iterator[_Table]:
    at = 0
    while at + 17 <= len(content):
        counts = content[at + 1 : at + 17]
        end = at + 17 + sum(counts)
        yield _Table(content[at], counts, content[at + 17 : end])
        at = end


def _known(table: _Table, process: int, precision: int) -> set[int]:
    """What it may hold: sizes of differences, or sizes of coefficients and the count of zeros before them."""
    if process == _LOSSLESS:
        return set(range(17))
    if process not in (_BASELINE, _EXTENDED):
        return set(range(256))  # progressive, which DICOM has no more: it depends on the scan
    largest = 10 if precision == 8 else 14
    if table.head < 16:
        return set(range(largest + 2))
    return {0x00, 0xF0} | {zeros << 4 | size for zeros in range(16) for size in range(1, largest + 1)}


def _filled(table: _Table) -> _Table:
    """With codes for the symbol 1, which no decoder takes for the 0 that it makes of unknown ones."""
    free, counts = 1, list(table.counts)
    longest = max((n for n, count in enumerate(counts) if count), default=0)
    for count in counts[: longest + 1]:
        free = 2 * free - count
    room = _MOST_SYMBOLS - sum(counts) - (len(counts) - 1 - longest)
    if free < 1 or room < 0:
        return table
    counts[longest] += min(free - 1, room, 255 - counts[longest])
    counts[longest + 1 :] = [1] * (len(counts) - 1 - longest)  # one code is left of each length for those after it
    return _Table(table.head, bytes(counts), table.symbols + b"\1" * (sum(counts) - len(table.symbols)))
