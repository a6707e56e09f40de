"""The header of a NIfTI file as it is found, known by its magic: dimensions, type of the voxels, and their start."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chunkvol.errors import FormatError
from chunkvol.formats.nifti.layout import DATATYPES, LAYOUTS, PAIR, SINGLE
from chunkvol.metadata import Rescale
from chunkvol.packing.packed import PACKINGS
from chunkvol.regions import Shape, voxels

_NAMES = {code: name for name, code in DATATYPES.items()}
_REFUSED = {
    1: "single bits",
    32: "complex numbers of 64 bits",
    128: "RGB colours",
    1536: "floats of 128 bits",
    1792: "complex numbers of 128 bits",
    2048: "complex numbers of 256 bits",
    2304: "RGBA colours",
}
_MAGIC_AT = {1: 344, 2: 4}
_START = 1 << 16
"""Compressed bytes in which the header is looked for."""

Order = Literal["<", ">"]
"""Byte order as numpy has it."""

__all__ = ["NiftiHeader", "first_bytes", "header_path", "is_nifti", "parse_header"]


@dataclass(frozen=True, slots=True)
class NiftiHeader:
    """A header as it stands in the file, its basic fields checked."""

    path: Path
    """The file, for messages."""
    version: int
    """1 or 2."""
    attached: bool
    """Whether the voxels follow in the same file."""
    order: Order
    """Byte order of header and voxels, "<" or ">"."""
    fields: Mapping[str, Any]
    """Python values by the names in `LAYOUTS`; floats as stored, widened to double."""
    raw: bytes
    """The bytes of the record."""
    dims: tuple[int, ...] = field(init=False)
    """Lengths of the axes i, j, k, t ... as stated; 1s beyond the third axis are dropped."""
    stored: np.dtype[Any] = field(init=False)
    """Type in the file, with its byte order."""
    offset: int = field(init=False)
    """Byte at which the voxels start, after decompression."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "dims", _dims(self))
        object.__setattr__(self, "stored", _stored(self))
        object.__setattr__(self, "offset", _offset(self))

    @property
    def shape(self) -> Shape:
        """Voxels of one volume along (k, j, i); an image of two dimensions is one plane."""
        i, j, k = (*self.dims, 1)[:3]
        return k, j, i

    @property
    def times(self) -> int:
        """Volumes in the file."""
        return self.dims[3] if len(self.dims) > 3 else 1

    @property
    def volume_bytes(self) -> int:
        """Bytes of one volume, as a Python integer that cannot overflow."""
        return voxels(self.shape) * self.stored.itemsize

    @property
    def rescale(self) -> tuple[Rescale, list[str]]:
        """Slope and intercept, none where the slope is 0 or not finite, and what to tell."""
        slope, intercept = self.fields["scl_slope"], self.fields["scl_inter"]
        if slope == 0 or not np.isfinite(slope):
            return Rescale(), []
        if not np.isfinite(intercept):
            return Rescale(slope), [f"scl_inter is {intercept}: 0 is used, as ITK does"]
        return Rescale(slope, intercept), []


# ----------------------------------------------------------------------------------------------- what a file is


def first_bytes(path: Path, length: int = LAYOUTS[2].itemsize) -> bytes:
    """The first bytes of a file, inflated where it is gzip; fewer where there are no more."""
    with open(path, "rb") as file:
        start = file.read(length)
        if not start.startswith(PACKINGS["gzip"].magic):
            return start
        start += file.read(_START)
    try:
        inflated: bytes = PACKINGS["gzip"].engine().decompress(start, length)
    except zlib.error:
        return b""
    return inflated


def is_nifti(path: Path) -> bool:
    """True for a NIfTI file or either file of a pair, and for an Analyze 7.5 one, which is then refused by name."""
    return path.is_file() and header_path(path) is not None


def header_path(path: Path) -> Path | None:
    """The file that holds the header: the path itself, or for the `.img` of a pair the `.hdr` beside it."""
    start = first_bytes(path)
    if _kind(start) is not None or _is_analyze(start):
        return path
    for name in _beside(path.name):
        other = path.with_name(name)
        if other.is_file():
            start = first_bytes(other)
            kind = _kind(start)
            if _is_analyze(start) or (kind is not None and not kind[1]):
                return other
    return None


def _beside(name: str) -> list[str]:
    """Names that the header of this `.img` or `.img.gz` may have."""
    for end in (".img", ".img.gz"):
        if name.lower().endswith(end):
            stem = name[: -len(end)]
            return [stem + header for header in (".hdr", ".hdr.gz", ".HDR", ".HDR.GZ")]
    return []


def _kind(start: bytes) -> tuple[int, bool] | None:
    """Version, and whether the voxels are attached; None where there is no magic."""
    for version, at in _MAGIC_AT.items():
        magic = start[at : at + 4]
        for attached, known in ((True, SINGLE[version]), (False, PAIR[version])):
            if magic == known[:4] and len(start) >= LAYOUTS[version].itemsize:
                return version, attached
    return None


def _is_analyze(start: bytes) -> bool:
    """Whether these bytes begin as NIfTI-1 does, without its magic: size 348, and 1 to 7 dimensions."""
    if len(start) < LAYOUTS[1].itemsize or _kind(start) is not None:
        return False
    order = _order(start[:4], LAYOUTS[1].itemsize)
    return order is not None and 1 <= int(np.frombuffer(start, f"{order}i2", 1, 40)[0]) <= 7


# ------------------------------------------------------------------------------------------------------ reading


def parse_header(path: Path) -> NiftiHeader:
    """The header of a NIfTI file, or of the `.hdr` beside an `.img`; either version, byte order, plain or gzip.

    Raises
    ------
    FormatError
        It is not NIfTI, or holds something that is not read; the message says what.
    """
    found = header_path(path)
    if found is None:
        raise FormatError(f"{path} has no NIfTI header (n+1, ni1, n+2 or ni2), or is cut short within it")
    start = first_bytes(found)
    kind = _kind(start)
    if kind is None:
        raise FormatError(
            f"{found} is an Analyze 7.5 header, which does not say where left and right are: convert it to NIfTI with "
            f"the program that made it, or numpy.save('a.npy', numpy.squeeze(nibabel.load('{found.name}').dataobj).T) "
            "and open a.npy with the --spacing and --orientation that you know"
        )
    version, attached = kind
    raw = start[: LAYOUTS[version].itemsize]
    order = _order(raw, len(raw))
    if order is None:
        raise FormatError(
            f"{found}: sizeof_hdr must be {len(raw)} in either byte order, found the bytes {raw[:4].hex(' ')}"
        )
    record = np.frombuffer(raw, LAYOUTS[version].newbyteorder(order))[0]
    names = LAYOUTS[version].names or ()
    fields = {name: record[name].tolist() for name in names}
    _check_magic(raw, version, attached, found)
    return NiftiHeader(found, version, attached, order, fields, raw)


def _order(start: bytes, size: int) -> Order | None:
    """The byte order in which a header starts with its own size."""
    orders: tuple[Order, ...] = ("<", ">")
    return next((order for order in orders if int(np.frombuffer(start, f"{order}i4", 1)[0]) == size), None)


def _check_magic(raw: bytes, version: int, attached: bool, path: Path) -> None:
    """The longer magic of NIfTI-2 holds line ends, which show whether the file was copied as text."""
    whole = (SINGLE if attached else PAIR)[version]
    at = _MAGIC_AT[version]
    if raw[at : at + len(whole)] != whole:
        raise FormatError(f"{path}: the line ends in its magic were changed, as by a copy in text mode; copy it again")


def _dims(header: NiftiHeader) -> tuple[int, ...]:
    count, *lengths = header.fields["dim"]
    if not 1 <= count <= 7:
        raise FormatError(f"{header.path}: dim[0] must be 1 to 7, found {count}")
    lengths = lengths[:count]
    text = " x ".join(map(str, lengths))
    if min(lengths) < 1:
        raise FormatError(f"{header.path}: all lengths in dim must be at least 1, found {text}")
    while len(lengths) > 3 and lengths[-1] == 1:
        lengths.pop()
    if len(lengths) not in (2, 3, 4):
        raise FormatError(
            f"{header.path} has {count} dimensions ({text}); images of 2, 3 and 4 dimensions are read: take one "
            "component out first, as with nibabel's slicer or fslroi"
        )
    return tuple(lengths)


def _stored(header: NiftiHeader) -> np.dtype[Any]:
    code = header.fields["datatype"]
    if code not in _NAMES:
        what = _REFUSED.get(code, "an unknown type")
        raise FormatError(
            f"{header.path} holds {what} (datatype {code}); integers of 8 to 64 bits, float32 and float64 are read"
        )
    return np.dtype(_NAMES[code]).newbyteorder(header.order)


def _offset(header: NiftiHeader) -> int:
    value = header.fields["vox_offset"]
    least = LAYOUTS[header.version].itemsize if header.attached else 0
    if not np.isfinite(value) or value != int(value) or value < least:
        raise FormatError(f"{header.path}: vox_offset must be a whole number of at least {least}, found {value:g}")
    return int(value)
