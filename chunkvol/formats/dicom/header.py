"""The facts of one DICOM file that matter for a volume, read from its first few kilobytes."""

from __future__ import annotations

import os
import sys
import warnings
import zlib
from dataclasses import dataclass
from threading import Lock
from typing import Any

from chunkvol import system
from chunkvol.errors import DamagedError, FormatError, GeometryError, InputError
from chunkvol.formats.dicom import values
from chunkvol.formats.dicom.walker import FIRST_BYTES, UNDEFINED, Found, OddLayoutError, Walker, swapped, tag_name

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

__all__ = ["DEFLATED", "EXPLICIT_BIG", "EXPLICIT_LITTLE", "IMPLICIT_LITTLE", "Header", "Inflater", "read_header"]


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
    series_description: str = ""
    """Free text."""
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
    ("series_description", 0x0008103E, "SeriesDescription", values.text),
    ("slice_thickness", 0x00180050, "SliceThickness", values.one_decimal),
    ("spacing_between", 0x00180088, "SpacingBetweenSlices", values.one_decimal),
    ("study", 0x0020000D, "StudyInstanceUID", values.text),
    ("series", 0x0020000E, "SeriesInstanceUID", values.text),
    ("instance_number", 0x00200013, "InstanceNumber", values.whole_text),
    ("position", 0x00200032, "ImagePositionPatient", values.own_decimals),
    ("orientation", 0x00200037, "ImageOrientationPatient", values.decimals),
    ("frame_of_reference", 0x00200052, "FrameOfReferenceUID", values.text),
    ("samples", 0x00280002, "SamplesPerPixel", values.integer),
    ("photometric", 0x00280004, "PhotometricInterpretation", values.text),
    ("frames", 0x00280008, "NumberOfFrames", values.whole_text),
    ("rows", 0x00280010, "Rows", values.integer),
    ("columns", 0x00280011, "Columns", values.integer),
    ("pixel_spacing", 0x00280030, "PixelSpacing", values.decimals),
    ("bits_allocated", 0x00280100, "BitsAllocated", values.integer),
    ("bits_stored", 0x00280101, "BitsStored", values.integer),
    ("high_bit", 0x00280102, "HighBit", values.integer),
    ("pixel_representation", 0x00280103, "PixelRepresentation", values.integer),
    ("padding", 0x00280120, "PixelPaddingValue", values.integer),
    ("intercept", 0x00281052, "RescaleIntercept", values.one_decimal),
    ("slope", 0x00281053, "RescaleSlope", values.one_decimal),
    ("rescale_type", 0x00281054, "RescaleType", values.text),
)
_COUNTS = {"pixel_spacing": 2, "position": 3, "orientation": 6}
_TAGS = {name: tag for name, tag, _, _ in FIELDS}
_KEYWORDS = {name: keyword for name, _, keyword, _ in FIELDS}
_PARSERS = {name: parser for name, _, _, parser in FIELDS}
_WANTED = {swapped(tag): name for name, tag, _, _ in FIELDS}
_META = {swapped(0x00020010): "transfer_syntax"}

_pydicom_lock = Lock()  # silencing warnings is global in Python


def read_header(path: str | os.PathLike[str]) -> Header | None:
    """The header of a DICOM file; None when the file is not DICOM (no DICM mark at byte 128).

    Raises
    ------
    DamagedError, FormatError
        When the file has the mark but cannot be read as DICOM, or an element holds nonsense.
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


def _read(name: str, fd: int) -> Header | None:
    size = os.fstat(fd).st_size
    first = _pread(fd, 0, min(FIRST_BYTES, size))
    if first[128:132] != b"DICM":
        return None
    try:
        return _walk(name, fd, Walker(lambda at, length: _pread(fd, at, min(length, size - at)), size, first))
    except OddLayoutError:
        return _read_with_pydicom(name, size)


def _pread(fd: int, position: int, length: int) -> bytes:
    data = bytearray(max(0, length))
    got = system.pread_into(fd, memoryview(data), position)
    return bytes(data) if got == length else bytes(data[:got])


def _walk(name: str, fd: int, walker: Walker) -> Header:
    found: dict[str, Found] = {}
    size = walker.size
    start = walker.meta(132, _META, found)
    if "transfer_syntax" not in found:
        raise OddLayoutError("no transfer syntax")
    syntax = values.text(*found.pop("transfer_syntax"))
    if syntax == EXPLICIT_BIG:
        raise OddLayoutError("big endian")
    deflated_at = None
    if syntax == DEFLATED:
        deflated_at, start = start, 0
        # No deflate stream grows more than 1032 times.
        walker = Walker(Inflater(fd, deflated_at).peek, (size - deflated_at) * 1032 + 64)
    pixels = walker.walk(start, syntax == IMPLICIT_LITTLE, _WANTED, found)
    tag, offset, length = pixels or (0, 0, 0)
    return Header(
        name,
        size,
        syntax,
        deflated_at,
        tag,
        offset,
        None if length == UNDEFINED else length,
        **_values(name, found),
    )


def _values(name: str, found: dict[str, Found]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for field, raw in found.items():
        try:
            value = _PARSERS[field](*raw)
            if field in _COUNTS and value is not None and len(value) != _COUNTS[field]:
                raise ValueError(f"has {len(value)} values, expected {_COUNTS[field]}")
        except ValueError as error:
            kind = GeometryError if field in _COUNTS else FormatError
            raise kind(f"{name}: {_KEYWORDS[field]} {tag_name(_TAGS[field])} {error}; export the file again") from None
        out[field] = value
    if (out.get("padding") or 0) > 0x7FFF and out.get("pixel_representation") == 1 and found["padding"][1] == b"":
        out["padding"] -= 0x10000  # implicit files do not say US or SS; the pixels do
    return out


class Inflater:
    """A deflated data set, inflated only as far as asked (a small file can hide gigabytes)."""

    __slots__ = ("_at", "_fd", "_stream", "data")

    LARGEST_HEADER = 64 << 20

    def __init__(self, fd: int, start: int) -> None:
        self._fd, self._at = fd, start
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self.data = bytearray()

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

    def next(self, most: int) -> bytes:
        """The next inflated bytes, at most so many; empty at the end."""
        while True:
            source = self._stream.unconsumed_tail
            if not source and not self._stream.eof:
                source = _pread(self._fd, self._at, 1 << 16)
                self._at += len(source)
            if self._stream.eof or not source:
                return b""
            try:
                piece = self._stream.decompress(source, most)
            except zlib.error as error:
                raise DamagedError(f"its deflated data set is broken ({error})") from None
            if piece:
                return piece


def _read_with_pydicom(name: str, size: int) -> Header:
    """The header of a file that the walker does not follow: big endian, no transfer syntax, unknown VRs."""
    import pydicom

    with _pydicom_lock, warnings.catch_warnings(), open(name, "rb") as file:
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True)
            found = {field: raw for field in _PARSERS if (raw := _element_text(dataset, field)) is not None}
            implicit, little = dataset.original_encoding
        except Exception as error:  # pydicom meets hostile bytes with many kinds of exception, MemoryError among them
            raise DamagedError(f"pydicom cannot read it either ({type(error).__name__}: {error})") from None
        offset = file.tell()
        head = file.read(12)
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", "")) or _native_syntax(implicit, little)
    tag, start, length = _pixel_element(head, bool(implicit), "little" if little else "big")
    vr = "" if little or implicit else head[4:6].decode("latin-1")
    return Header(
        name, size, sys.intern(syntax), None, tag, offset + start, None if length == UNDEFINED else length,
        pixel_vr=vr, **_values(name, found),
    )  # fmt: skip  # one argument a line would hide the parallel with _walk


def _native_syntax(implicit: bool | None, little: bool | None) -> str:
    if implicit:
        return IMPLICIT_LITTLE
    return EXPLICIT_LITTLE if little else EXPLICIT_BIG


def _element_text(dataset: Any, field: str) -> Found | None:
    """What the walker would have found, from a pydicom data set: decimal text, or a little-endian integer."""
    element = dataset.get(_TAGS[field])
    if element is None or element.value is None:
        return None
    value = element.value
    if _PARSERS[field] is values.integer:
        if not isinstance(value, int):
            return str(value).encode(), b"IS"
        signed = value < 0
        return value.to_bytes(4, "little", signed=signed), b"SL" if signed else b"UL"
    parts = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
    return "\\".join(str(part) for part in parts).encode("utf-8", "replace"), str(element.VR).encode()


def _pixel_element(head: bytes, implicit: bool, order: Any) -> tuple[int, int, int]:
    """Tag, header length and declared length of the pixel data element that starts `head`; zeros where it is none."""
    if len(head) < 8:
        return 0, 0, 0
    tag = int.from_bytes(head[:2], order) << 16 | int.from_bytes(head[2:4], order)
    if tag not in (0x7FE00008, 0x7FE00009, 0x7FE00010):
        return 0, 0, 0
    if not implicit and head[4:6] in (b"OB", b"OW", b"OF", b"OD", b"UN"):
        return tag, 12, int.from_bytes(head[8:12], order)
    return tag, 8, int.from_bytes(head[4:8], order)  # some "explicit" files are implicit
