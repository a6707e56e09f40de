"""The conditions under which images can be the planes of one volume; one function each."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from chunkvol.errors import DamagedError, FormatError, GeometryError
from chunkvol.formats.dicom.header import Header
from chunkvol.formats.dicom.layout import layout_of
from chunkvol.formats.dicom.transfer import syntax_of

TOLERANCE = 0.01
"""Of the median spacing (highdicom's): relative, so that 5 um scans are judged as strictly as 5 mm ones."""
_ANGLE = 1e-4
_LEAST_PLANES = 3
_READ = {(1, ""), (1, "MONOCHROME1"), (1, "MONOCHROME2"), (3, "RGB")}

Vectors = npt.NDArray[np.float64]
Check = Callable[[Sequence[Header]], None]

__all__ = [
    "IMAGE_CHECKS", "PIXEL_CHECKS", "TOLERANCE", "Vectors", "check_step", "file_name", "mm", "off_the_line",
    "one_orientation", "positive_spacing",
]  # fmt: skip  # one name a line would be a page


def file_name(header: Header) -> str:
    """The last part of the file's path, and the frame (from 1, PS3.3 C.7.6.16) where it has several; for messages."""
    name = PurePath(header.path).name
    return f"{name}, frame {header.frame + 1}" if (header.frames or 1) > 1 else name


def mm(value: float) -> str:
    """Millimetres with enough digits to see a difference of one per cent."""
    return f"{value:.2f} mm" if value >= 1 or value == 0 else f"{value:#.3g} mm"


def grey(images: Sequence[Header]) -> None:
    """Grey values, or RGB that may be grey in three equal channels; other colour and bit masks are refused by name."""
    for image in images:
        if image.bits_allocated == 1:
            raise FormatError(
                f"{image.path} has pixels of 1 bit, a segmentation: 8, 16 and 32 bits are read; "
                "convert it first (segimage2itkimage of dcmqi makes NRRD of it)"
            )
        samples = image.samples or 1
        if (samples, image.photometric) not in _READ:
            raise FormatError(
                f"{image.path} is a colour image ({samples} sample{'s' * (samples > 1)}, {image.photometric}); grey "
                "values (MONOCHROME1, MONOCHROME2) and RGB of three equal channels are read: convert it first "
                "(dcmdjpeg of DCMTK makes RGB of colour JPEG)"
            )


def no_mosaic(images: Sequence[Header]) -> None:
    """One plane an image: the mosaics of Siemens MR hold many, side by side."""
    for image in images:
        if "MOSAIC" in image.image_type:
            raise FormatError(
                f"{image.path} is a Siemens mosaic, many planes side by side in one image; "
                "export single images or enhanced MR, or convert it with dcm2niix"
            )


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
    _all_same(images, "pixel formats", _format_facts, _pixel_format)
    _all_same(images, "transfer syntaxes", lambda image: image.transfer_syntax, lambda image: syntax_of(image).family)


def _format_facts(image: Header) -> Hashable:
    bits = image.bits_allocated, image.bits_stored, image.high_bit, image.pixel_representation
    return image.pixel_tag, bits, image.photometric, image.samples, image.planar


def _pixel_format(image: Header) -> str:
    layout = layout_of(image)
    colour = f", {image.samples} samples, planar {image.planar or 0}" if (image.samples or 1) > 1 else ""
    return f"{layout.dtype.name} ({layout.bits} bits up to bit {layout.high_bit}, {layout.photometric}{colour})"


def positive_spacing(images: Sequence[Header]) -> None:
    """PixelSpacing is above zero and the same everywhere."""
    first = images[0].pixel_spacing
    for image in images:
        here = image.pixel_spacing
        if here is None or min(here) <= 0:
            raise GeometryError(f"{file_name(image)} has PixelSpacing {here}, expected two numbers above 0 mm")
        if first is not None and here != first and np.abs(np.subtract(here, first)).max() > _ANGLE * min(first):
            raise GeometryError(
                f"mixed pixel spacings: {first} mm in {file_name(images[0])}, {here} mm in {file_name(image)}; "
                "separate them into folders"
            )


def one_orientation(images: Sequence[Header]) -> None:
    """The row and column directions are unit vectors at right angles, and the same everywhere."""
    first = images[0].orientation or ()
    _right_angled(images[0])
    for image in images[1:]:
        here = image.orientation or ()
        if here != first and np.abs(np.subtract(here, first)).max() > _ANGLE:
            raise GeometryError(
                f"mixed orientations: {list(first)} in {file_name(images[0])}, {list(here)} in {file_name(image)}; "
                "separate them into folders"
            )


def _right_angled(image: Header) -> None:
    row, column = np.reshape(np.array(image.orientation), (2, 3))
    lengths = float(np.linalg.norm(row)), float(np.linalg.norm(column))
    if max(abs(length - 1) for length in lengths) > _ANGLE:
        raise GeometryError(
            f"ImageOrientationPatient of {file_name(image)} must be two unit vectors, found lengths "
            f"{lengths[0]:.6g} and {lengths[1]:.6g}; export the series again"
        )
    cosine = float(row @ column)
    if abs(cosine) > _ANGLE:
        raise GeometryError(
            f"ImageOrientationPatient of {file_name(image)} must be two directions at right angles, found "
            f"{np.degrees(np.arccos(np.clip(cosine, -1, 1))):.3f} degrees; export the series again"
        )


def whole_pixels(images: Sequence[Header]) -> None:
    """Each image has exactly the pixels that its header promises (one pad byte allowed).

    A compressed image has a frame at least; what is in it shows when it is decoded. The frames of a multi-frame file
    state the length of their own bytes, compressed or not.
    """
    layout, compressed = layout_of(images[0]), syntax_of(images[0]).encapsulated
    expected = layout.rows * layout.columns * layout.dtype.itemsize * (images[0].samples or 1)
    for image in images:
        if compressed:
            stray = image.length is not None and (image.frames or 1) == 1
            if stray or image.length == 0 or image.offset >= image.file_size:
                raise DamagedError(f"{_whole_name(image)} has no compressed frame after its header: {_AGAIN}")
        else:
            _check_length(image, expected)


_AGAIN = "copy or export it again"


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


PIXEL_CHECKS: tuple[Check, ...] = (grey, no_mosaic, one_size, one_pixel_format, linear_values, whole_pixels)
"""In the order in which they are made; each may rely on those before it."""


# From here to the end: for series.py as it is, until it calls `stacked`.


def one_frame_grey(images: Sequence[Header]) -> None:
    """One grey frame a file; colour and multi-frame objects are refused by name."""
    for image in images:
        if (image.frames or 1) > 1:
            raise FormatError(
                f"{image.path} is a multi-frame image ({image.frames} frames); only one image a file is read: "
                "convert it to single-frame DICOM"
            )
        if (image.samples or 1) != 1 or image.photometric not in ("", "MONOCHROME1", "MONOCHROME2"):
            raise FormatError(
                f"{image.path} is a colour image ({image.samples} samples, {image.photometric}); "
                "only grey values (MONOCHROME1, MONOCHROME2) are read"
            )


def placed(images: Sequence[Header]) -> None:
    """Each image says where it lies."""
    keywords = (
        ("position", "ImagePositionPatient"),
        ("orientation", "ImageOrientationPatient"),
        ("pixel_spacing", "PixelSpacing"),
    )
    for field, keyword in keywords:
        missing = [image for image in images if getattr(image, field) is None]
        if missing:
            raise GeometryError(
                f"no {keyword} in {len(missing)} of {len(images)} images, first {file_name(missing[0])}: "
                "the images cannot be placed; export the series with its geometry"
            )


def enough_planes(images: Sequence[Header]) -> None:
    """Fewer than three planes cannot show that they are regular."""
    if len(images) < _LEAST_PLANES:
        raise GeometryError(
            f"the series has {len(images)} plane{'s' * (len(images) > 1)}; a volume needs at least {_LEAST_PLANES}, "
            "else its spacing cannot be checked"
        )


def one_rescale(images: Sequence[Header]) -> None:
    """One slope and intercept for all: stored values of different planes are comparable."""
    first = _rescale(images[0])
    for image in images[1:]:
        if _rescale(image) != first:
            raise FormatError(
                f"mixed rescale slopes and intercepts in one series: {first} in {file_name(images[0])}, "
                f"{_rescale(image)} in {file_name(image)}; separate them into folders"
            )
    if images[0].slope == 0:
        raise FormatError(f"{images[0].path} has RescaleSlope 0: its values are lost; export it again")


def _rescale(image: Header) -> str:
    slope, intercept = image.slope, image.intercept
    return f"slope {1.0 if slope is None else slope:g}, intercept {intercept or 0.0:g}"


IMAGE_CHECKS: tuple[Check, ...] = (
    one_frame_grey,
    one_size,
    one_pixel_format,
    placed,
    positive_spacing,
    one_orientation,
    enough_planes,
    one_rescale,
    whole_pixels,
)
"""In the order in which they are made; each may rely on those before it."""


def off_the_line(positions: Vectors) -> Vectors:
    """Distance in mm of each plane's position from the straight, even line from the first to the last, shape (n,)."""
    steps = np.arange(len(positions))[:, None] / (len(positions) - 1)
    return np.asarray(np.linalg.norm(positions - (positions[0] + steps * (positions[-1] - positions[0])), axis=1))


def check_step(images: Sequence[Header], positions: Vectors, heights: Vectors) -> None:
    """Planes in ascending order lie on one straight line, evenly, and along their normal.

    `positions` (n, 3) and their `heights` (n,) along the normal, mm, in the order of `images`.
    """
    gaps = np.diff(heights)
    median = float(np.median(gaps))
    _no_duplicates(images, gaps, median)
    distance = off_the_line(positions)
    if distance.max() > TOLERANCE * median:
        _complain_of_gaps(images, gaps, median)
        worst = int(distance.argmax())
        raise GeometryError(
            f"plane {worst} ({file_name(images[worst])}) lies {mm(distance[worst])} off the straight line through the "
            f"planes, more than {TOLERANCE:.0%} of their spacing of {mm(median)}; take away what does not belong"
        )
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    along = float(heights[-1] - heights[0]) / (len(heights) - 1)
    length = float(np.linalg.norm(step))
    aside = float(np.sqrt(max(0.0, length**2 - along**2)))
    if aside > TOLERANCE * length:
        angle = np.degrees(np.arcsin(min(1.0, aside / length)))
        raise GeometryError(
            f"the planes are stacked at a slant of {angle:.2f} degrees ({mm(aside)} aside in each step of "
            f"{mm(length)}): tilted gantry, which is not read yet; export the series resampled upright"
        )


def _no_duplicates(images: Sequence[Header], gaps: Vectors, median: float) -> None:
    close = np.flatnonzero(gaps <= TOLERANCE * median)
    if len(close):
        at = int(close[0])
        raise GeometryError(
            f"{len(close) + 1 if median == 0 else len(close)} planes share a position, first {file_name(images[at])} "
            f"and {file_name(images[at + 1])}: duplicates, or several volumes in one series; "
            "separate them into folders"
        )


def _complain_of_gaps(images: Sequence[Header], gaps: Vectors, median: float) -> None:
    odd = np.flatnonzero(np.abs(gaps - median) > TOLERANCE * median)
    if not len(odd):
        return
    at, gap = int(odd[0]), float(gaps[odd[0]])
    missing = round(gap / median) - 1
    guess = "uneven spacing"
    if missing >= 1 and abs(gap - (missing + 1) * median) <= 0.1 * median:
        guess = "one plane may be missing" if missing == 1 else f"{missing} planes may be missing"
    raise GeometryError(
        f"plane {at + 1} ({file_name(images[at + 1])}) lies {mm(gap)} after plane {at}, expected {mm(median)}: "
        f"{guess}; copy or export the whole series again"
    )
