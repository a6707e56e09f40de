"""How the pixels of a series are stored: shared by all of its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chunkvol.errors import FormatError
from chunkvol.formats.dicom.header import Header
from chunkvol.sources import Block

__all__ = ["PixelLayout", "keep_stored_bits", "layout_of"]


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """Size, type and bits of one plane."""

    transfer_syntax: str
    """Transfer Syntax UID."""
    rows: int
    """Pixels along j."""
    columns: int
    """Pixels along i."""
    dtype: np.dtype[Any]
    """Type of the pixels, native byte order."""
    bits: int
    """Bits that carry the value."""
    high_bit: int
    """Uppermost of them."""
    photometric: str
    """MONOCHROME1, MONOCHROME2 or empty."""

    @property
    def plane_bytes(self) -> int:
        """Bytes of one decoded plane."""
        return self.rows * self.columns * self.dtype.itemsize

    @property
    def stored_range(self) -> tuple[int, int] | None:
        """Smallest and largest value of the bits; None when they fill the type."""
        if self.dtype.kind == "f" or self.bits == 8 * self.dtype.itemsize:
            return None
        if self.dtype.kind == "i":
            return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        return 0, (1 << self.bits) - 1


def layout_of(header: Header) -> PixelLayout:
    """The layout that a header states.

    Raises
    ------
    FormatError
        When the pixels are of a kind that is not read.
    """
    rows, columns = header.rows or 0, header.columns or 0
    if header.pixel_tag != 0x7FE00010:
        dtype = np.dtype("float32" if header.pixel_tag == 0x7FE00008 else "float64")
        bits = 8 * dtype.itemsize
        return PixelLayout(header.transfer_syntax, rows, columns, dtype, bits, bits - 1, header.photometric)
    allocated = header.bits_allocated
    if allocated not in (8, 16, 32):
        raise FormatError(f"{header.path} has BitsAllocated {allocated}; 8, 16 and 32 are read")
    bits = allocated if header.bits_stored is None else header.bits_stored
    high = bits - 1 if header.high_bit is None else header.high_bit
    if not 1 <= bits <= high + 1 <= allocated:
        raise FormatError(
            f"{header.path} has BitsStored {bits} below HighBit {high} of BitsAllocated {allocated}; export it again"
        )
    if header.pixel_representation not in (0, 1):
        raise FormatError(f"{header.path} has PixelRepresentation {header.pixel_representation}, expected 0 or 1")
    dtype = np.dtype(f"{'i' if header.pixel_representation else 'u'}{allocated // 8}")
    return PixelLayout(header.transfer_syntax, rows, columns, dtype, bits, high, header.photometric)


def keep_stored_bits(block: Block, bits: int, high_bit: int) -> None:
    """Clear what lies beside the value's bits, or extend its sign, in place (PS3.5 section 8.1.1)."""
    width = 8 * block.dtype.itemsize
    if block.dtype.kind == "f" or bits == width:
        return
    if block.dtype.kind == "u" and high_bit == bits - 1:
        np.bitwise_and(block, (1 << bits) - 1, out=block)
        return
    if high_bit < width - 1:
        np.left_shift(block, width - 1 - high_bit, out=block)
    np.right_shift(block, width - bits, out=block)
