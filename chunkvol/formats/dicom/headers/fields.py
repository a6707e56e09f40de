"""The elements that matter, and their values, checked."""

from __future__ import annotations

from typing import Any

from chunkvol.errors import FormatError, GeometryError
from chunkvol.formats.dicom.headers import values
from chunkvol.formats.dicom.headers.walker import Found, swapped, tag_name

__all__ = ["FIELDS", "JUMPED", "TAGS", "WANTED", "checked"]

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
WANTED = {swapped(tag): tag for tag in (*_ROWS, _SIEMENS_CREATOR)}
"""Tags to look for, by what a walker compares."""
JUMPED = frozenset(tag for tag, row in _ROWS.items() if row[0] in _OPTIONAL) | {_SIEMENS_CREATOR}
"""Those of them that are passed over where they are too long."""
TAGS = {field: tag for field, tag, _, _ in FIELDS}
"""The element of each field."""
_PRIVATE = frozenset(tag for tag in _ROWS if tag >> 16 & 1)
_NOTHING: Found = b"", b""


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
            if raw[1] == b"SQ" and parser is not values.present:
                raise ValueError("is a sequence, expected a value")
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
