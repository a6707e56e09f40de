"""DICOM's run-length coding (PS3.5 annex G) with numpy: byte planes, each row by the PackBits scheme."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["packed_rows", "rle_frame"]

_SHORTEST = 3
"""Equal bytes that are worth a run of their own."""
_LONGEST = 128
"""Bytes that one control byte can stand for."""


def rle_frame(plane: npt.NDArray[Any]) -> bytes:
    """A plane as an RLE frame: a header of 64 bytes, then a segment for each byte of a pixel, highest first."""
    size = plane.dtype.itemsize
    pixels = np.ascontiguousarray(plane, dtype=plane.dtype.newbyteorder(">")).view(np.uint8).reshape(*plane.shape, size)
    segments = [packed_rows(pixels[..., byte]) for byte in range(size)]
    segments = [segment + b"\0" * (len(segment) % 2) for segment in segments]
    header = np.zeros(16, "<u4")
    header[0] = size
    header[1 : size + 1] = 64 + np.cumsum([0, *map(len, segments[:-1])])
    return header.tobytes() + b"".join(segments)


def packed_rows(rows: npt.NDArray[np.uint8]) -> bytes:
    """PackBits of every row by itself, one after the other."""
    flat = rows.ravel()
    starts = _piece_starts(flat, rows.shape[1])
    lengths = np.diff(starts, append=len(flat))
    # Inside a piece all bytes are equal, or it is literal: its first two bytes tell, as runs have three or more.
    second = np.minimum(starts + 1, len(flat) - 1)
    third = np.minimum(starts + 2, len(flat) - 1)
    is_run = (lengths >= _SHORTEST) & (flat[starts] == flat[second]) & (flat[starts] == flat[third])
    control = np.where(is_run, 257 - lengths, lengths - 1).astype(np.uint8)
    stored = np.where(is_run, 1, lengths)
    return _written(flat, starts, stored, control)


def _piece_starts(flat: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.intp]:
    """Where each run or literal begins: at changes of kind, at row starts, and after every 128 bytes."""
    fresh = np.empty(len(flat), bool)
    fresh[0] = True
    np.not_equal(flat[1:], flat[:-1], out=fresh[1:])
    fresh[::width] = True
    starts = np.flatnonzero(fresh)
    lengths = np.diff(starts, append=len(flat))
    literal = lengths < _SHORTEST
    # A literal goes on through short stretches of equal bytes, but not into the next row.
    goes_on = literal & np.concatenate(([False], literal[:-1])) & (starts % width != 0)
    starts = starts[~goes_on]
    return _divided(starts, np.diff(starts, append=len(flat)))


def _divided(starts: npt.NDArray[np.intp], lengths: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """The starts of the same pieces, cut after every 128 bytes."""
    parts = -(-lengths // _LONGEST)
    number = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
    return np.asarray(np.repeat(starts, parts) + number * _LONGEST)


def _written(
    flat: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.intp],
    stored: npt.NDArray[np.intp],
    control: npt.NDArray[np.uint8],
) -> bytes:
    """Each piece's control byte, then the `stored` first bytes of the piece."""
    places = np.cumsum(stored + 1) - (stored + 1)
    out = np.empty(int((stored + 1).sum()), np.uint8)
    is_data = np.ones(len(out), bool)
    is_data[places] = False
    out[places] = control
    # The k-th data byte comes from its piece's start plus its number within the piece.
    begun = np.cumsum(stored) - stored
    out[is_data] = flat[np.arange(stored.sum()) + np.repeat(starts - begun, stored)]
    return out.tobytes()
