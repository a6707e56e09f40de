"""Images that cannot be planes of one volume of grey values are refused by name, with a way out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chunkvol.errors import ChunkvolError, DamagedError, FormatError, GeometryError
from chunkvol.formats.dicom.headers.header import EXPLICIT_BIG, IMPLICIT_LITTLE, Header
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.stacks.checks import file_name, mm
from chunkvol.formats.dicom.stacks.stack import stacked
from tests.support.stacks import headers, plain

JPEG_2000 = "1.2.840.10008.1.2.4.90"
COLOUR = {"samples": 3, "photometric": "RGB", "bits_allocated": 8, "bits_stored": 8, "high_bit": 7, "file_size": 2000}


def changed(**facts: Any) -> list[Header]:
    images = headers(range(5))
    images[3] = replace(images[3], **facts)
    return images


def changed_all(**facts: Any) -> list[Header]:
    return headers(range(5), **facts)


REFUSED: dict[str, tuple[list[Header], type[ChunkvolError], str]] = {
    "colour": (
        changed(samples=3, photometric="YBR_FULL"), FormatError,
        r"IM0003\.dcm is a colour image \(3 samples, YBR_FULL\); .*: convert it first"),
    "palette": (changed(photometric="PALETTE COLOR"), FormatError, r"colour image \(1 sample, PALETTE COLOR\)"),
    "grey of three samples": (changed(samples=3), FormatError, r"colour image \(3 samples, MONOCHROME2\)"),
    "some colour": (changed(**COLOUR, length=84), GeometryError, r"mixed pixel formats .* IM0003\.dcm"),
    "bits": (changed_all(bits_allocated=1), FormatError, r"IM0000\.dcm has pixels of 1 bit: .*with BitsAllocated 8"),
    "labels": (
        changed_all(bits_allocated=1, modality="SEG"), FormatError,
        r"IM0000\.dcm is a segmentation, not a plain volume: name this file to read its labels"),
    "odd bits": (changed_all(bits_allocated=12), FormatError, "BitsAllocated 12; 8, 16 and 32 are read"),
    "mosaic": (
        changed(image_type=("ORIGINAL", "PRIMARY", "M", "MOSAIC")), FormatError,
        r"IM0003\.dcm is a Siemens mosaic, .*dcm2niix"),
    "table": (changed(has_modality_lut=True), FormatError, r"IM0003\.dcm has a ModalityLUTSequence: .*export it with"),
    "no slope": (changed(slope=0.0), FormatError, r"IM0003\.dcm has RescaleSlope 0: its values are lost"),
    "rows": (changed(rows=5), GeometryError, r"mixed sizes in one series: 7 x 4 in IM0000\.dcm, 7 x 5 in IM0003\.dcm"),
    "columns": (changed(columns=5), GeometryError, r"7 x 4 in IM0000\.dcm, 5 x 4 in IM0003\.dcm"),
    "sign": (changed(pixel_representation=1), GeometryError, r"mixed pixel formats .* uint16 .* int16"),
    "stored bits": (changed(bits_stored=12, high_bit=11), GeometryError, r"12 bits up to bit 11, MONOCHROME2"),
    "turned grey": (changed(photometric="MONOCHROME1"), GeometryError, r"mixed pixel formats .*MONOCHROME1"),
    "compression": (
        changed(transfer_syntax=JPEG_2000, length=None), GeometryError,
        r"mixed transfer syntaxes in one series: little endian in IM0000\.dcm, JPEG 2000 in IM0003\.dcm"),
    "byte order": (changed(transfer_syntax=EXPLICIT_BIG), GeometryError, "little endian in IM0000.dcm, big endian"),
    "unknown": (changed(transfer_syntax="1.2.3"), FormatError, r"IM0003\.dcm has transfer syntax 1\.2\.3"),
    "short": (
        changed(length=54), DamagedError,
        r"IM0003\.dcm is truncated: 54 bytes of pixel data, expected 56 \(7 x 4 pixels\); copy or export it again"),
    "cut": (changed(file_size=1030), DamagedError, r"IM0003\.dcm is truncated: 30 bytes of pixel data, expected 56"),
    "cut in its header": (changed(file_size=900), DamagedError, r"IM0003\.dcm is truncated: 0 bytes of pixel data"),
    "long": (changed(length=58), DamagedError, r"IM0003\.dcm has over-long pixel data: 58 bytes, expected 56"),
    "no length": (changed(length=None), DamagedError, r"IM0003\.dcm has pixel data without a length"),
    "short frame": (
        changed(frames=9, frame=4, length=54), DamagedError, r"IM0003\.dcm, frame 5 is truncated: 54 bytes"),
    "short colour": (changed_all(**COLOUR, length=80), DamagedError, r"80 bytes of pixel data, expected 84"),
    "no frame": (
        changed_all(transfer_syntax=JPEG_2000, length=None, offset=1056), DamagedError,
        r"IM0000\.dcm has no compressed frame after its header"),
    "native frame": (
        changed_all(transfer_syntax=JPEG_2000), DamagedError, r"IM0000\.dcm has no compressed frame after its header"),
    "empty frame": (
        changed_all(transfer_syntax=JPEG_2000, frames=9, frame=2, length=0), DamagedError,
        r"IM0000\.dcm, frame 3 has no compressed frame"),
}  # fmt: skip  # one case a line reads as a table


@pytest.mark.parametrize("case", REFUSED)
def test_images_that_are_no_planes_of_one_volume_are_refused(case: str) -> None:
    images, kind, message = REFUSED[case]
    with pytest.raises(kind, match=message):
        stacked(images, ReadOptions())


@pytest.mark.parametrize(
    "images",
    [
        changed(transfer_syntax=IMPLICIT_LITTLE),
        changed(length=57),
        changed(slope=2.0, intercept=-7.0),
        changed_all(photometric=""),
        changed_all(**COLOUR, length=84),
        changed_all(transfer_syntax=JPEG_2000, length=None),
        changed_all(transfer_syntax=JPEG_2000, frames=9, length=33),
    ],
    ids=["implicit", "pad byte", "slopes", "unsaid", "RGB", "compressed", "compressed frames"],
)
def test_what_can_be_read_together_is_accepted(images: list[Header]) -> None:
    assert len(stacked(images, ReadOptions()).images) == 5


def test_a_damaged_plane_is_an_error_even_where_the_others_would_do() -> None:
    images = [*headers(range(5)), replace(headers([2])[0], length=3)]
    with pytest.raises(DamagedError, match="truncated"):
        stacked(images, ReadOptions(duplicates="first"))


def test_monochrome1_is_explained_unless_it_is_turned() -> None:
    images = changed_all(photometric="MONOCHROME1")
    assert "MONOCHROME1: small values are bright" in stacked(images, ReadOptions()).problems[0]
    assert stacked(images, ReadOptions(invert=True)).problems == ()


def test_names_tell_the_frame_and_lengths_the_difference() -> None:
    assert file_name(plain()) == "IM0000.dcm"
    assert file_name(plain(frames=1)) == "IM0000.dcm"
    assert file_name(plain(frames=40, frame=7)) == "IM0000.dcm, frame 8"
    assert [mm(value) for value in (0, 5e-8, 0.005, 0.00505, 0.6, 0.101, 1.0, 12.345)] == [
        "0.00 mm", "5.00e-08 mm", "0.00500 mm", "0.00505 mm", "0.600 mm", "0.101 mm", "1.00 mm", "12.35 mm"
    ]  # fmt: skip  # a line of inputs, a line of outputs
