"""How the pixels of a series are stored: shared by all of its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chunkvol.errors import FormatError
from chunkvol.formats.dicom.headers.header import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Header
from chunkvol.formats.dicom.headers.walker import tag_name
from chunkvol.sources import Block

_GREY = ("", "MONOCHROME1", "MONOCHROME2")
_FLOATS = {0x7FE00008: ("Float Pixel Data", "float32"), 0x7FE00009: ("Double Float Pixel Data", "float64")}
_NATIVE = (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED)
_JPEG_2000 = ("1.2.840.10008.1.2.4.9", "1.2.840.10008.1.2.4.20")  # how their UIDs begin
WAY_OUT = "convert it first, e.g. write one channel of pydicom's pixel_array as MONOCHROME2"

__all__ = ["WAY_OUT", "PixelLayout", "keep_stored_bits", "layout_of", "take_grey"]


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
    """MONOCHROME1, MONOCHROME2, empty, or of three samples RGB, YBR_RCT or YBR_ICT."""
    samples: int = 1
    """1, or 3: colour channels, which must be equal in every pixel."""
    planar: int = 0
    """How uncompressed channels follow each other: 0 by pixel, 1 by plane."""
    paired: bool = False
    """Whether pixels of 8 bits are stored as big endian words of two."""

    @property
    def plane_bytes(self) -> int:
        """Bytes of one plane of grey values."""
        return self.rows * self.columns * self.dtype.itemsize

    @property
    def stored_bytes(self) -> int:
        """Bytes of one plane in an uncompressed file."""
        return self.plane_bytes * self.samples

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Shape of one plane in an uncompressed file."""
        if self.samples == 1:
            return self.rows, self.columns
        return (3, self.rows, self.columns) if self.planar else (self.rows, self.columns, 3)

    @property
    def stored_range(self) -> tuple[int, int] | None:
        """Smallest and largest value of the bits; None when they fill the type."""
        if self.dtype.kind == "f" or self.bits == 8 * self.dtype.itemsize:
            return None
        if self.dtype.kind == "i":
            return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        return 0, (1 << self.bits) - 1

    @property
    def kind(self) -> str:
        """What all planes of a series must share, for messages."""
        colour = f", {'by plane' if self.planar else 'by pixel'}" if self.samples > 1 else ""
        words = ", in words" if self.paired else ""
        return f"{self.dtype.name} ({self.bits} bits up to bit {self.high_bit}, {self.photometric}{colour}{words})"


def layout_of(header: Header) -> PixelLayout:
    """The layout that a header states.

    Raises
    ------
    FormatError
        When the pixels are of a kind that is not read.
    """
    rows, columns = header.rows or 0, header.columns or 0
    samples = _samples(header)
    if header.pixel_tag != 0x7FE00010:
        dtype = _float_type(header)
        bits = 8 * dtype.itemsize
        if header.bits_allocated != bits:  # PS3.3 C.7.6.24 and C.7.6.25
            stated = "no BitsAllocated" if header.bits_allocated is None else f"BitsAllocated {header.bits_allocated}"
            raise FormatError(f"{header.path} has {dtype.name} pixels and {stated}, expected {bits}; export it again")
        return PixelLayout(header.transfer_syntax, rows, columns, dtype, bits, bits - 1, header.photometric)
    dtype, bits, high = _bits(header)
    planar = (header.planar or 0) if samples == 3 else 0
    if planar not in (0, 1):
        raise FormatError(f"{header.path} has PlanarConfiguration {planar}, expected 0 or 1; export it again")
    return PixelLayout(
        header.transfer_syntax, rows, columns, dtype, bits, high, header.photometric, samples, planar, _paired(header)
    )


def _samples(header: Header) -> int:
    """1 for grey, 3 for colour whose channels can be compared; the others are refused by name."""
    samples, photometric = 1 if header.samples is None else header.samples, header.photometric
    if samples < 1:
        raise FormatError(f"{header.path} has SamplesPerPixel {samples}, expected 1 or 3; export it again")
    if samples == 1 and photometric in _GREY:
        return 1
    # JPEG 2000 turns its own two colour spaces back into RGB (PS3.5 section 8.2.4).
    decoded = photometric in ("YBR_RCT", "YBR_ICT") and header.transfer_syntax.startswith(_JPEG_2000)
    if samples == 3 and header.pixel_tag == 0x7FE00010 and (photometric == "RGB" or decoded):
        return 3
    raise FormatError(
        f"{header.path} is a colour image ({samples} sample{'s' * (samples > 1)}, {photometric}); "
        f"chunkvol reads grey values (MONOCHROME1, MONOCHROME2, or RGB of equal channels): {WAY_OUT}"
    )


def _float_type(header: Header) -> np.dtype[Any]:
    """Type of floating point pixels, which no codec of the standard takes (PS3.5 sections 8.2 and A.4)."""
    name, kind = _FLOATS[header.pixel_tag]
    if header.transfer_syntax not in _NATIVE:
        raise FormatError(
            f"{header.path} has {name} {tag_name(header.pixel_tag)} in transfer syntax {header.transfer_syntax}, "
            "but floats are read uncompressed only; export it as Explicit VR Little Endian"
        )
    return np.dtype(kind)


def _bits(header: Header) -> tuple[np.dtype[Any], int, int]:
    """Type, bits and uppermost bit of integer pixels."""
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
    return np.dtype(f"{'i' if header.pixel_representation else 'u'}{allocated // 8}"), bits, high


def _paired(header: Header) -> bool:
    """Whether words of two pixels are to be turned round: 8 bit pixels of VR OW (PS3.5 sections 6.2 and 7.3)."""
    if header.transfer_syntax != EXPLICIT_BIG or header.bits_allocated != 8:
        return False
    if header.pixel_vr not in ("OB", "OW"):
        raise FormatError(
            f"{header.path} has 8 bit big endian pixels of VR {header.pixel_vr or 'unknown'}, expected OB or OW; "
            "convert it to Explicit VR Little Endian"
        )
    if header.pixel_vr == "OW" and header.frame == 0 and header.offset % 2:
        raise FormatError(f"{header.path} has words of pixels at the odd byte {header.offset}; export it again")
    return header.pixel_vr == "OW"


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


def take_grey(colour: Block, out: Block, *, by_plane: bool) -> None:
    """Fill `out`, shape (rows, columns), with one of three equal channels; a map of one byte a pixel is held.

    `colour` has shape (3, rows, columns) where the channels are stored by plane, else (rows, columns, 3).

    Raises
    ------
    FormatError
        When the channels differ anywhere.
    """
    red, green, blue = colour if by_plane else np.moveaxis(colour, -1, 0)
    for other in (green, blue):
        differing = int(np.count_nonzero(red != other))
        if differing:
            raise FormatError(
                f"is a colour image: its channels differ in {differing} pixels; chunkvol reads grey values: {WAY_OUT}"
            )
    np.copyto(out, red)
