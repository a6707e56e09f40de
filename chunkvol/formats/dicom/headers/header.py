"""The facts of one DICOM file that matter for a volume, read from its first few kilobytes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from chunkvol import system
from chunkvol.errors import DamagedError, FormatError, GeometryError, InputError
from chunkvol.formats.dicom.headers import values
from chunkvol.formats.dicom.headers.after import check_after
from chunkvol.formats.dicom.headers.fallback import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, read_odd
from chunkvol.formats.dicom.headers.inflate import Inflater, pread
from chunkvol.formats.dicom.headers.walker import (
    FIRST_BYTES,
    UNDEFINED,
    Found,
    OddLayoutError,
    Walker,
    swapped,
    tag_name,
)

DEFLATED = "1.2.840.10008.1.2.1.99"

__all__ = [
    "DEFLATED",
    "EXPLICIT_BIG",
    "EXPLICIT_LITTLE",
    "FIELDS",
    "IMPLICIT_LITTLE",
    "TAGS",
    "Header",
    "Inflater",
    "checked",
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


# Field, tag, keyword (the one pydicom knows), parser.
FIELDS: tuple[tuple[str, int, str, values.Parser], ...] = (
    ("image_type", 0x00080008, "ImageType", values.words),
    ("sop_class", 0x00080016, "SOPClassUID", values.text),
    ("sop_instance", 0x00080018, "SOPInstanceUID", values.uid),
    ("modality", 0x00080060, "Modality", values.text),
    ("slice_thickness", 0x00180050, "SliceThickness", values.one_decimal),
    ("echo_time", 0x00180081, "EchoTime", values.one_decimal),
    ("echo_number", 0x00180086, "EchoNumbers", values.first_whole),
    ("spacing_between", 0x00180088, "SpacingBetweenSlices", values.one_decimal),
    ("trigger_time", 0x00181060, "TriggerTime", values.one_decimal),
    ("imager_spacing", 0x00181164, "ImagerPixelSpacing", values.decimals),
    ("b_value", 0x00189087, "DiffusionBValue", values.one_double),
    ("gradient", 0x00189089, "DiffusionGradientOrientation", values.doubles),
    ("study", 0x0020000D, "StudyInstanceUID", values.text),
    ("series", 0x0020000E, "SeriesInstanceUID", values.text),
    ("series_number", 0x00200011, "SeriesNumber", values.whole_text),
    ("acquisition_number", 0x00200012, "AcquisitionNumber", values.whole_text),
    ("instance_number", 0x00200013, "InstanceNumber", values.whole_text),
    ("position", 0x00200032, "ImagePositionPatient", values.own_decimals),
    ("orientation", 0x00200037, "ImageOrientationPatient", values.decimals),
    ("frame_of_reference", 0x00200052, "FrameOfReferenceUID", values.text),
    ("temporal_position", 0x00200100, "TemporalPositionIdentifier", values.whole_text),
    ("slice_location", 0x00201041, "SliceLocation", values.own_decimal),
    ("samples", 0x00280002, "SamplesPerPixel", values.integer),
    ("photometric", 0x00280004, "PhotometricInterpretation", values.text),
    ("planar", 0x00280006, "PlanarConfiguration", values.integer),
    ("frames", 0x00280008, "NumberOfFrames", values.whole_text),
    ("rows", 0x00280010, "Rows", values.integer),
    ("columns", 0x00280011, "Columns", values.integer),
    ("pixel_spacing", 0x00280030, "PixelSpacing", values.decimals),
    ("bits_allocated", 0x00280100, "BitsAllocated", values.integer),
    ("bits_stored", 0x00280101, "BitsStored", values.integer),
    ("high_bit", 0x00280102, "HighBit", values.integer),
    ("pixel_representation", 0x00280103, "PixelRepresentation", values.integer),
    ("padding", 0x00280120, "PixelPaddingValue", values.integer),
    ("padding_limit", 0x00280121, "PixelPaddingRangeLimit", values.integer),
    ("intercept", 0x00281052, "RescaleIntercept", values.one_decimal),
    ("slope", 0x00281053, "RescaleSlope", values.one_decimal),
    ("rescale_type", 0x00281054, "RescaleType", values.text),
    ("has_modality_lut", 0x00283000, "ModalityLUTSequence", values.present),
)
# Elements that stand in for a field where its own element is absent; the same columns.
_STAND_INS: tuple[tuple[str, int, str, values.Parser], ...] = (
    ("imager_spacing", 0x00182010, "NominalScannedPixelSpacing", values.decimals),
    ("b_value", 0x0019100C, "Siemens B_value", values.one_decimal),
    ("gradient", 0x0019100E, "Siemens DiffusionGradientDirection", values.doubles),
)
_SIEMENS_CREATOR, _SIEMENS = 0x00190010, b"SIEMENS MR HEADER"
_COUNTS = {"pixel_spacing": 2, "position": 3, "orientation": 6, "imager_spacing": 2, "gradient": 3}
_OPTIONAL = frozenset((
    "padding_limit", "series_number", "acquisition_number", "temporal_position", "trigger_time", "echo_time",
    "echo_number", "b_value", "gradient", "planar", "has_modality_lut", "slice_location",
))  # fmt: skip  # one name a line would fill the screen
"""Nonsense in these is as good as nothing: they tell volumes apart, or refine what is known without them."""

_ROWS = {tag: (field, keyword, parser) for field, tag, keyword, parser in (*FIELDS, *_STAND_INS)}
_WANTED = {swapped(tag): tag for tag in (*_ROWS, _SIEMENS_CREATOR)}
_JUMPED = frozenset(tag for tag, row in _ROWS.items() if row[0] in _OPTIONAL) | {_SIEMENS_CREATOR}
TAGS = {field: tag for field, tag, _, _ in FIELDS}
"""The element of each field."""
_PRIVATE = frozenset(tag for tag in _ROWS if tag >> 16 & 1)
_SYNTAX = 0x00020010
_NOTHING: Found = b"", b""


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
        syntax = values.text(*found.pop(_SYNTAX))
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
        pixels = walker.walk(at, syntax == IMPLICIT_LITTLE, _WANTED, found, _JUMPED)
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
        pixels = walker.walk(0, False, _WANTED, found, _JUMPED)
    except OddLayoutError as error:  # pydicom would inflate all of it, however much that is
        raise DamagedError(f"its deflated data set cannot be followed ({error})") from None
    if pixels is None and not stream.ended:
        raise DamagedError("its deflated data set is cut short")
    return pixels


def _read_with_pydicom(name: str, size: int) -> Header:
    """The header of a file that the walker does not follow: big endian, no transfer syntax, unknown VRs."""
    with open(name, "rb") as file:
        odd = read_odd(file, _WANTED.values())
    length = None if odd.length == UNDEFINED else odd.length
    facts = checked(name, odd.found)
    return Header(
        name, size, odd.transfer_syntax, None, odd.pixel_tag, odd.offset, length, pixel_vr=odd.pixel_vr, **facts
    )


def checked(name: str, found: dict[int, Found]) -> dict[str, Any]:
    """Fields of a header from raw elements by tag; `name` stands in the messages.

    Raises
    ------
    FormatError, GeometryError
        When an element that matters holds nonsense.
    """
    if not found.pop(_SIEMENS_CREATOR, _NOTHING)[0].startswith(_SIEMENS):
        for tag in _PRIVATE:
            found.pop(tag, None)
    out: dict[str, Any] = {}
    for tag, raw in found.items():
        field, keyword, parser = _ROWS[tag]
        try:
            value = parser(*raw)
            if field in _COUNTS and value is not None and len(value) != _COUNTS[field]:
                raise ValueError(f"has {len(value)} values, expected {_COUNTS[field]}")
        except ValueError as error:
            if field in _OPTIONAL:
                continue
            kind = GeometryError if field in _COUNTS else FormatError
            raise kind(f"{name}: {keyword} {tag_name(tag)} {error}; export the file again") from None
        if out.get(field) is None:  # an element comes before its stand-in
            out[field] = value
    if out.get("pixel_representation") == 1:
        for field in ("padding", "padding_limit"):
            _make_signed(out, field, found)
    return out


def _make_signed(out: dict[str, Any], field: str, found: dict[int, Found]) -> None:
    """Implicit files do not say US or SS; the pixels do."""
    if (out.get(field) or 0) > 0x7FFF and found[TAGS[field]][1] == b"":
        out[field] -= 0x10000
