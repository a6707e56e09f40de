"""The conditions under which images can be the planes of one volume; one function each."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from chunkvol.errors import DamagedError, FormatError, GeometryError
from chunkvol.formats.dicom.headers.header import Header, read_header
from chunkvol.formats.dicom.multiframe.expand import is_mosaic
from chunkvol.formats.dicom.multiframe.functional import NUCLEAR_MEDICINE
from chunkvol.formats.dicom.pixels.layout import layout_of
from chunkvol.formats.dicom.pixels.transfer import syntax_of
from chunkvol.formats.dicom.stacks.notes import Notes

TOLERANCE = 0.01
"""Of the median spacing (highdicom's): relative, so that 5 um scans are judged as strictly as 5 mm ones."""
_CLOSE = 1.5e-4
"""One more or less in the fourth decimal of a direction, or 1.5e-4 of a pixel's size: noise between planes."""
_ROUNDED, _SKEW = 2e-4, 2e-3
"""What four and three decimals make of a unit vector's length, and of the cosine of a right angle."""
_AGAIN = "copy or export it again"

Vectors = npt.NDArray[np.float64]
Check = Callable[[Sequence[Header]], None]

__all__ = ["PIXEL_CHECKS", "TOLERANCE", "Vectors", "file_name", "mm", "one_orientation", "positive_spacing"]


def file_name(header: Header) -> str:
    """The last part of the file's path, and the frame (from 1, PS3.3 C.7.6.16) where it has several; for messages."""
    name = PurePath(header.path).name
    return f"{name}, frame {header.frame + 1}" if (header.frames or 1) > 1 else name


def mm(value: float) -> str:
    """Millimetres with enough digits to see a difference of one per cent."""
    return f"{value:.2f} mm" if value >= 1 or value == 0 else f"{value:#.3g} mm"


def whole_bytes(images: Sequence[Header]) -> None:
    """Bit masks are refused by name; other pixels that are not read are refused where their layout is made."""
    for image in images:
        if image.bits_allocated == 1:
            if image.modality == "SEG":
                raise FormatError(
                    f"{image.path} is a segmentation, not a plain volume: name this file to read its labels"
                )
            raise FormatError(
                f"{image.path} has pixels of 1 bit: 8, 16 and 32 bits are read; convert it first, e.g. write pydicom's "
                "pixel_array with BitsAllocated 8"
            )


def no_mosaic(images: Sequence[Header]) -> None:
    """One plane an image: the mosaics of Siemens MR hold many, side by side."""
    for image in images:
        if is_mosaic(image):
            raise FormatError(
                f"{image.path} is a Siemens mosaic, many planes side by side in one image; "
                "export single images or enhanced MR, or convert it with dcm2niix"
            )


def frames_are_slices(images: Sequence[Header]) -> None:
    """Frames without a place are taken as slices only where their file does not state a place for something else:
    the frames of a nuclear medicine object may be views, phases or detectors."""
    image = images[0]
    if (image.frames or 1) == 1 or image.position is not None:
        return
    if image.sop_class == NUCLEAR_MEDICINE or _stated_place(image):
        raise GeometryError(
            f"{image.path} does not say where each of its {image.frames} frames lies, nor that they are slices "
            f"(ImageType {_type_of(image)}); export them as a reconstruction, or as single images"
        )


def _stated_place(image: Header) -> bool:
    """Whether the file as a whole states a position, which is then true of one frame at most."""
    header = read_header(image.path)
    return header is not None and header.position is not None


def _type_of(image: Header) -> str:
    return "\\".join(image.image_type) or "absent"


def linear_values(images: Sequence[Header]) -> None:
    """Real values are a slope and an intercept away from stored ones, and the slope is not 0."""
    for image in images:
        if image.has_modality_lut:
            raise FormatError(
                f"{image.path} has a ModalityLUTSequence: its values are a table's, not a slope's, and tables are not "
                "read; export it with RescaleSlope and RescaleIntercept"
            )
        if image.slope == 0:
            raise FormatError(f"{image.path} has RescaleSlope 0: its values are lost; export it again")


def one_size(images: Sequence[Header]) -> None:
    """Rows and Columns are the same everywhere."""
    _all_same(
        images, "sizes", lambda image: (image.columns, image.rows), lambda image: f"{image.columns} x {image.rows}"
    )


def one_pixel_format(images: Sequence[Header]) -> None:
    """Bits, sign and meaning of the pixels are the same everywhere, and so is the kind of transfer syntax."""
    _all_same(images, "pixel formats", _format_facts, lambda image: layout_of(image).kind)
    _all_same(images, "transfer syntaxes", lambda image: image.transfer_syntax, lambda image: syntax_of(image).family)


def _format_facts(image: Header) -> Hashable:
    """All that `layout_of` looks at but the size."""
    bits = image.bits_allocated, image.bits_stored, image.high_bit, image.pixel_representation
    words = image.pixel_vr, image.offset % 2, image.frame == 0
    return image.transfer_syntax, image.pixel_tag, bits, image.photometric, image.samples, image.planar, words


def positive_spacing(images: Sequence[Header]) -> None:
    """PixelSpacing is above zero and the same everywhere."""
    first = images[0].pixel_spacing
    for image in images:
        here = image.pixel_spacing
        if here is None or min(here) <= 0:
            nowhere = all(min(other.pixel_spacing or (0.0,)) <= 0 for other in images)
            remedy = "state the spacing, as in --spacing 50um, or " * nowhere + "export the series with its geometry"
            raise GeometryError(
                f"{file_name(image)} has PixelSpacing {here}, expected two numbers above 0 mm: {remedy}"
            )
        if first is not None and here != first and np.abs(np.subtract(here, first)).max() > _CLOSE * min(first):
            raise GeometryError(
                f"mixed pixel spacings: {first} mm in {file_name(images[0])}, {here} mm in {file_name(image)}; "
                "separate them into folders"
            )


def one_orientation(images: Sequence[Header]) -> Notes:
    """The row and column directions are unit vectors at right angles, and the same everywhere.

    Directions of three decimals are not quite that, and no export makes them better: they are accepted with a word.
    """
    first = images[0].orientation or ()
    notes = _right_angled(images[0])
    for image in images[1:]:
        here = image.orientation or ()
        if here != first and np.abs(np.subtract(here, first)).max() > _CLOSE:
            raise GeometryError(
                f"mixed orientations: {list(first)} in {file_name(images[0])}, {list(here)} in {file_name(image)}; "
                "separate them into folders"
            )
    return notes


def _right_angled(image: Header) -> Notes:
    row, column = np.reshape(np.array(image.orientation), (2, 3))
    lengths = float(np.linalg.norm(row)), float(np.linalg.norm(column))
    off = max(abs(length - 1) for length in lengths)
    if off > _SKEW:
        raise GeometryError(
            f"ImageOrientationPatient of {file_name(image)} must be two unit vectors, found lengths "
            f"{lengths[0]:.6g} and {lengths[1]:.6g}; export the series again"
        )
    cosine = float(row @ column)
    angle = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    if abs(cosine) > _SKEW:
        raise GeometryError(
            f"ImageOrientationPatient of {file_name(image)} must be two directions at right angles, found "
            f"{angle:.3f} degrees; export the series again"
        )
    if max(off, abs(cosine)) <= _ROUNDED:
        return Notes()
    text = (
        f"ImageOrientationPatient has few decimals (lengths {lengths[0]:.6g} and {lengths[1]:.6g}, {angle:.3f} degrees "
        f"between them): places are as exact as {max(off, abs(cosine)):.1g} of their distance from the first pixel"
    )
    return Notes((text,))


def whole_pixels(images: Sequence[Header]) -> None:
    """Each image has exactly the pixels that its header promises (one pad byte allowed).

    A compressed image has a frame at least; what is in it shows when it is decoded. The frames of a multi-frame file
    state the length of their own bytes, compressed or not.
    """
    layout, compressed = layout_of(images[0]), syntax_of(images[0]).encapsulated
    for image in images:
        if compressed:
            stray = image.length is not None and (image.frames or 1) == 1
            if stray or image.length == 0 or image.offset >= image.file_size:
                raise DamagedError(f"{_whole_name(image)} has no compressed frame after its header: {_AGAIN}")
        else:
            _check_length(image, layout.stored_bytes)


def _check_length(image: Header, expected: int) -> None:
    size = f"expected {expected} ({image.columns} x {image.rows} pixels)"
    if image.length is None:
        raise DamagedError(f"{image.path} has pixel data without a length, although it is not compressed; {_AGAIN}")
    present = image.length
    if image.deflated_at is None:
        present = max(0, min(present, image.file_size - image.offset))
    if present < expected:
        raise DamagedError(f"{_whole_name(image)} is truncated: {present} bytes of pixel data, {size}; {_AGAIN}")
    if image.length > expected + 1:
        raise DamagedError(
            f"{_whole_name(image)} has over-long pixel data: {image.length} bytes, {size}; export it again"
        )


def _whole_name(image: Header) -> str:
    return f"{image.path}, frame {image.frame + 1}" if (image.frames or 1) > 1 else image.path


def _all_same(
    images: Sequence[Header], what: str, fact: Callable[[Header], Hashable], text: Callable[[Header], str]
) -> None:
    """Images may differ in `fact` as long as its `text`, which is slower to make, is the same."""
    first = text(images[0])
    good = {fact(images[0])}
    for image in images:
        here = fact(image)
        if here in good:
            continue
        if text(image) != first:
            raise GeometryError(
                f"mixed {what} in one series: {first} in {file_name(images[0])}, {text(image)} in {file_name(image)}; "
                "separate them into folders"
            )
        good.add(here)


PIXEL_CHECKS: tuple[Check, ...] = (
    whole_bytes,
    no_mosaic,
    frames_are_slices,
    one_size,
    one_pixel_format,
    linear_values,
    whole_pixels,
)
"""In the order in which they are made; each may rely on those before it."""
