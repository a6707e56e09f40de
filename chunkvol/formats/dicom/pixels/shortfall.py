"""Whether a decoder makes up pixels of a JPEG frame: coded ones that end too early, or codes that are none.

Decoders of JPEG take a marker too early for an end too early, fill in what is missing, and say nothing. Bytes put in
front of the marker tell: a decoder that still wants some makes pixels of them, one that has had enough skips them.
Bits that are no code of their table they take for a zero; a table that has a code for them tells as well.
"""

from __future__ import annotations

import re

from chunkvol.errors import DamagedError
from chunkvol.formats.dicom.pixels.segments import filled_tables

_MARKER = re.compile(rb"\xff[^\x00\xff]")  # a byte FF of coded pixels is followed by 00 (T.81 B.1.1.5)
_NOISE = bytes.fromhex(
    "be42b3ddf35a26c00965c7380e89f61ad17c53a4e82b964f70dc1b857e3aa1f4"
    "5d93276ecb18e04cb63fd24a9e57816ff2a50d79c4346be81f96da435228bd77"
)
"""Neither 00 nor FF; enough for the longest codes of a block to be among them."""
_START, _END, _INTERVAL, _TABLES, _FIRST, _LAST = 0xDA, 0xD9, 0xDD, 0xC4, 0xD0, 0xD7
_MOST = 256
"""Parts of coded pixels and tables that are looked at: not more than 32 KiB of noise. The last one always is."""

__all__ = ["with_noise"]


def with_noise(frame: bytes) -> bytes:
    """The frame, with noise before each marker that ends coded pixels (T.81 B.2), and all codes in its tables.

    It decodes the same where nothing lacks. Where the decoder waits for a restart before it goes on (T.81 E.2.4), that
    one comes too, and noise after it.

    Raises
    ------
    DamagedError
        When its markers do not lead to an end mark.
    """
    view = memoryview(frame)
    parts: list[bytes | memoryview] = []
    done, at, coded, restarts, awaited = 0, 2, False, False, _FIRST
    while match := _MARKER.search(frame, at):
        start, at = match.span()
        marker = frame[at - 1]
        while frame[start - 1] == 0xFF and start > done:  # fill bytes, any number of which may precede a marker
            start -= 1
        if coded and (marker == _END or len(parts) < 2 * _MOST):
            missed = restarts and marker != awaited
            parts += [view[done:start], _NOISE + bytes([0xFF, awaited]) + _NOISE if missed else _NOISE]
            done = start
        if marker == _END:
            return b"".join([*parts, view[done:]])
        if _FIRST <= marker <= _LAST:
            awaited = _FIRST + (marker + 1) % 8
            continue
        coded, restarts, awaited = marker == _START, restarts or marker == _INTERVAL, _FIRST
        end = at + int.from_bytes(frame[at : at + 2], "big")
        if marker == _TABLES and at + 2 < end and len(parts) < 2 * _MOST:
            tables = filled_tables(frame[at + 2 : end])
            parts += [view[done:at], (len(tables) + 2).to_bytes(2, "big") + tables]
            done = end
        at = end
    raise DamagedError("its compressed frame is cut short: the end mark is missing")
