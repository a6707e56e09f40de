"""How the pixels of a plane are stored in its file, and the grey values in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import FormatError
from chunkvol.sources import Block

PALETTE_PIXELS = 1 << 16
"""Pixels that are looked up at a time, a row at least."""
WAY_OUT = "make it grey first, as with Image > Type > 8-bit in Fiji"

__all__ = ["PALETTE_PIXELS", "WAY_OUT", "FilePlanes", "Layout", "grey_palette", "take_grey"]


@dataclass(frozen=True, slots=True)
class Layout:
    """Size, type and encoding of one plane."""

    rows: int
    """Pixels along j."""
    columns: int
    """Pixels along i."""
    dtype: np.dtype[Any]
    """Type of a sample, native byte order."""
    samples: int = 1
    """1 grey; 2 grey and alpha; 3 colour; 4 colour and one more. Colours must be equal in every pixel."""
    codec: str = ""
    """TIFF, PNG or JPEG, which are decoded whole; empty where rows of pixels lie at an offset."""
    big: bool = False
    """Whether the samples of such rows are big endian."""
    row_bytes: int = 0
    """From one row to the next."""
    upward: bool = False
    """Whether the last row is stored first."""
    alpha: bool = False
    """Whether the last sample is opacity, which must be full; else a fourth sample is not used."""
    palette: bytes = b""
    """Grey value of each stored one; empty where they are the same."""
    bilevel: bool = False
    """Whether a pixel is one bit: eight share a byte of such rows, the first in its highest bit; of TIFF 1 becomes 255,
    as Fiji and ITK have it."""
    needs_codecs: bool = False
    """Whether imagecodecs must be there to decode it."""

    @property
    def plane_bytes(self) -> int:
        """Bytes of one plane of grey values."""
        return self.rows * self.columns * self.dtype.itemsize

    @property
    def plain(self) -> bool:
        """Whether the stored bytes are those of the grey plane, but for the byte order."""
        same = self.row_bytes == self.columns * self.dtype.itemsize
        turned = self.upward or bool(self.palette) or self.bilevel
        return not self.codec and self.samples == 1 and not turned and same

    @property
    def kind(self) -> tuple[int, int, np.dtype[Any]]:
        """What all planes of a stack must share."""
        return self.rows, self.columns, self.dtype

    @property
    def text(self) -> str:
        """The kind, for messages."""
        return f"{self.columns} x {self.rows} {self.dtype.name}"


@dataclass(frozen=True, slots=True)
class FilePlanes:
    """The planes of one file, in their order."""

    layouts: tuple[Layout, ...]
    """One a plane."""
    offsets: tuple[int, ...]
    """Byte where its rows start, or where what describes it to a decoder does."""
    lengths: tuple[int, ...]
    """Bytes of its stored pixels."""
    notes: tuple[str, ...] = ()
    """What a user should know, a sentence each, true of many files at once."""


def grey_palette(colours: npt.NDArray[np.uint8]) -> bytes | None:
    """Grey values by stored value, from a palette of shape (entries, 3): empty where they are the same, None for
    colours. Values beyond a short palette are black, as in image viewers."""
    if (colours != colours[:, :1]).any():
        return None
    table = np.zeros(256, np.uint8)
    table[: len(colours)] = colours[:256, 0]
    same = np.array_equal(table[: len(colours)], np.arange(len(colours)))
    return b"" if same else table.tobytes()


def take_grey(stored: Block, layout: Layout, out: Block) -> None:
    """Fill `out`, shape (rows, columns), with grey values; of several samples a map of one byte a pixel is held.

    `stored` has shape (rows, columns) or (rows, columns, samples).

    Raises
    ------
    FormatError
        When colours differ or a pixel is transparent.
    """
    if stored.ndim == 2:
        grey = stored
    else:
        samples = stored.shape[2]
        grey = stored[..., 0]
        for channel in range(1, 3 if samples > 2 else 1):
            _refuse(int(np.count_nonzero(grey != stored[..., channel])), "is a colour image: its channels differ")
        if samples in (2, 4) and layout.alpha:
            opaque = np.iinfo(stored.dtype).max if stored.dtype.kind in "iu" else 1
            _refuse(int(np.count_nonzero(stored[..., -1] != opaque)), "is not opaque: its alpha channel counts")
    if layout.palette:
        _take_palette(grey, np.frombuffer(layout.palette, np.uint8), out)
    else:
        np.copyto(out, grey)


def _take_palette(stored: Block, palette: Block, out: Block) -> None:
    """Some rows at a time: numpy makes indices of eight bytes first."""
    deep = max(1, PALETTE_PIXELS // stored.shape[1])
    for start in range(0, len(stored), deep):
        out[start : start + deep] = palette[stored[start : start + deep]]


def _refuse(differing: int, what: str) -> None:
    if differing:
        raise FormatError(f"{what} in {differing} pixels; chunkvol reads grey values: {WAY_OUT}")
