"""The facts of one DICOM file that matter for a volume, read from its first few kilobytes."""

from __future__ import annotations

import os
from dataclasses import dataclass

from chunkvol import system
from chunkvol.errors import DamagedError, FormatError, InputError
from chunkvol.formats.dicom.headers import values
from chunkvol.formats.dicom.headers.after import check_after
from chunkvol.formats.dicom.headers.fallback import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, read_odd
from chunkvol.formats.dicom.headers.fields import JUMPED, WANTED, checked
from chunkvol.formats.dicom.headers.inflate import Inflater, pread
from chunkvol.formats.dicom.headers.walker import (
    FIRST_BYTES,
    UNDEFINED,
    Found,
    OddLayoutError,
    Walker,
    swapped,
)

DEFLATED = "1.2.840.10008.1.2.1.99"

__all__ = [
    "DEFLATED",
    "EXPLICIT_BIG",
    "EXPLICIT_LITTLE",
    "IMPLICIT_LITTLE",
    "Header",
    "Inflater",
    "is_dicom",
    "read_header",
]


@dataclass(frozen=True, slots=True)
class Header:
    """What one file says; None (or an empty text) where it says nothing. Numbers are finite."""

    path: str
    """The file."""
    file_size: int
    """Its length in bytes."""
    transfer_syntax: str
    """Transfer Syntax UID."""
    deflated_at: int | None = None
    """Byte where the deflated data set starts; the pixel data's offset is then within the inflated stream."""
    pixel_tag: int = 0
    """Tag of the pixel data: 7FE00010, 7FE00008 (float), 7FE00009 (double), or 0 where there is none."""
    offset: int = 0
    """Byte where the pixel data's value starts."""
    length: int | None = None
    """Declared length of the pixel data; None when it is encapsulated."""
    sop_class: str = ""
    """SOP Class UID."""
    sop_instance: str = ""
    """SOP Instance UID."""
    series: str = ""
    """Series Instance UID."""
    study: str = ""
    """Study Instance UID."""
    frame_of_reference: str = ""
    """Frame of Reference UID."""
    modality: str = ""
    """CT, MR ..."""
    image_type: tuple[str, ...] = ()
    """ORIGINAL, PRIMARY, AXIAL ..."""
    rows: int | None = None
    """Pixels along j."""
    columns: int | None = None
    """Pixels along i."""
    bits_allocated: int | None = None
    """Bits of a stored pixel."""
    bits_stored: int | None = None
    """Bits that carry its value."""
    high_bit: int | None = None
    """Uppermost of them."""
    pixel_representation: int | None = None
    """0 unsigned, 1 two's complement."""
    samples: int | None = None
    """Samples per Pixel."""
    photometric: str = ""
    """Photometric Interpretation."""
    frames: int | None = None
    """Number of Frames."""
    pixel_spacing: tuple[float, ...] | None = None
    """Distance between rows, then between columns, mm."""
    position: tuple[float, ...] | None = None
    """Image Position (Patient): centre of the first pixel, LPS mm."""
    orientation: tuple[float, ...] | None = None
    """Image Orientation (Patient): directions of growing i, then of growing j."""
    slope: float | None = None
    """Rescale Slope."""
    intercept: float | None = None
    """Rescale Intercept."""
    rescale_type: str = ""
    """Unit of the rescaled values."""
    instance_number: int | None = None
    """Instance Number."""
    slice_thickness: float | None = None
    """Slice Thickness, mm."""
    spacing_between: float | None = None
    """Spacing Between Slices, mm."""
    slice_location: float | None = None
    """Slice Location, mm: relative, for images without a position."""
    padding: int | None = None
    """Pixel Padding Value, as stored."""
    padding_limit: int | None = None
    """Pixel Padding Range Limit: the other end of a range of padding, as stored."""
    frame: int = 0
    """Which frame of a multi-frame file this is; its offset and length are the frame's own."""
    series_number: int | None = None
    """Series Number."""
    acquisition_number: int | None = None
    """Acquisition Number."""
    temporal_position: int | None = None
    """Temporal Position Identifier, or Temporal Position Index of a frame."""
    trigger_time: float | None = None
    """Trigger Time, or Nominal Cardiac Trigger Delay Time of a frame, ms."""
    echo_time: float | None = None
    """Echo Time, ms."""
    echo_number: int | None = None
    """Echo Number(s), the first."""
    b_value: float | None = None
    """Diffusion b-value, s/mm2."""
    gradient: tuple[float, ...] | None = None
    """Diffusion Gradient Orientation, LPS."""
    stack: str = ""
    """Stack ID of a frame."""
    imager_spacing: tuple[float, ...] | None = None
    """Imager Pixel Spacing or Nominal Scanned Pixel Spacing: at the detector or film, not in the object; mm."""
    planar: int | None = None
    """Planar Configuration of colour: 0 by pixel, 1 by plane."""
    has_modality_lut: bool = False
    """Whether a Modality LUT Sequence, not a slope, gives the real values."""
    pixel_vr: str = ""
    """VR of the pixel data in a big endian file, where OB and OW lie differently; empty elsewhere."""


_SYNTAX = 0x00020010


def read_header(path: str | os.PathLike[str]) -> Header | None:
    """The header of a DICOM file; None when the file is not DICOM.

    DICOM has its mark at byte 128, or starts with a data set at byte 0 as in old archives.

    Raises
    ------
    DamagedError, FormatError
        When the file is DICOM but cannot be read as such, or an element holds nonsense.
    GeometryError
        When that element says where the image lies.
    InputError
        When the file cannot be opened.
    """
    name = os.fspath(path)
    try:
        with system.opened(name) as fd:
            return _read(name, fd)
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or error}") from error
    except DamagedError as error:
        raise DamagedError(f"{name} is damaged: {error}; copy or export it again") from None


def is_dicom(path: str | os.PathLike[str]) -> bool:
    """Whether a file starts like DICOM; OSError when it cannot be read."""
    with system.opened(os.fspath(path)) as fd:
        return _data_set(_walker(fd)) is not None


def _read(name: str, fd: int) -> Header | None:
    walker = _walker(fd)
    start = _data_set(walker)
    if start is None:
        return None
    try:
        header = _walk(name, fd, walker, start)
    except OddLayoutError:
        header = _read_with_pydicom(name, os.fstat(fd).st_size)
    _check_after(name, fd, header)
    return header


def _walker(fd: int) -> Walker:
    size = os.fstat(fd).st_size
    first = pread(fd, 0, min(FIRST_BYTES, size))
    return Walker(lambda at, length: pread(fd, at, min(length, size - at)), size, first)


def _data_set(walker: Walker) -> int | None:
    """Byte where group 0002 or the data set starts; None where the file is not DICOM."""
    if walker.buffer[128:132] == b"DICM":
        return 132
    return 0 if walker.starts_bare() else None


def _walk(name: str, fd: int, walker: Walker, start: int) -> Header:
    found: dict[int, Found] = {}
    size = walker.size
    at = walker.meta(start, {swapped(_SYNTAX): _SYNTAX}, found)
    if _SYNTAX in found:
        syntax = values.exact(values.decoded(found.pop(_SYNTAX)[0]))
    elif at == 0:
        syntax = EXPLICIT_LITTLE if walker.is_explicit(0) else IMPLICIT_LITTLE
    else:
        raise OddLayoutError("no transfer syntax")
    if syntax == EXPLICIT_BIG:
        raise OddLayoutError("big endian")
    deflated_at = None
    if syntax == DEFLATED:
        deflated_at = at
        pixels = _walk_inflated(fd, deflated_at, size, found)
    else:
        pixels = walker.walk(at, syntax == IMPLICIT_LITTLE, WANTED, found, JUMPED)
    tag, offset, length = pixels or (0, 0, 0)
    return Header(
        name,
        size,
        syntax,
        deflated_at,
        tag,
        offset,
        None if length == UNDEFINED else length,
        **checked(name, found),
    )


def _check_after(name: str, fd: int, header: Header) -> None:
    """One small read, and that only of a file in which something follows uncompressed pixel data."""
    if not header.pixel_tag or header.length is None or header.deflated_at is not None:
        return
    syntax, end = header.transfer_syntax, header.offset + header.length
    try:
        check_after(fd, end, header.file_size, implicit=syntax == IMPLICIT_LITTLE, big_endian=syntax == EXPLICIT_BIG)
    except FormatError as error:
        raise FormatError(f"{name} {error}") from None


def _walk_inflated(fd: int, start: int, size: int, found: dict[int, Found]) -> tuple[int, int, int] | None:
    stream = Inflater(fd, start)
    walker = Walker(stream.look, (size - start) * 1032 + 64)  # no deflate stream grows more than 1032 times
    try:
        pixels = walker.walk(0, False, WANTED, found, JUMPED)
    except OddLayoutError as error:  # pydicom would inflate all of it, however much that is
        raise DamagedError(f"its deflated data set cannot be followed ({error})") from None
    if pixels is None and not stream.ended:
        raise DamagedError("its deflated data set is cut short")
    return pixels


def _read_with_pydicom(name: str, size: int) -> Header:
    """The header of a file that the walker does not follow: big endian, no transfer syntax, unknown VRs."""
    with open(name, "rb") as file:
        odd = read_odd(file, WANTED.values())
    length = None if odd.length == UNDEFINED else odd.length
    facts = checked(name, odd.found)
    return Header(
        name, size, odd.transfer_syntax, None, odd.pixel_tag, odd.offset, length, pixel_vr=odd.pixel_vr, **facts
    )
