"""The spacing that files state of themselves, and that a caller states for those that do not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chunkvol.errors import GeometryError, InputError
from chunkvol.formats.dicom.headers.header import Header
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.stacks.checks import TOLERANCE, Vectors, file_name, positive_spacing
from chunkvol.formats.dicom.stacks.notes import Notes

KEYWORDS = {"slice_thickness": "SliceThickness", "spacing_between": "SpacingBetweenSlices"}
"""What says something of the distance between planes, without being it."""

_REMEDY = "state the spacing, as in --spacing 50um, or export the series with its geometry"

__all__ = ["KEYWORDS", "agree", "between_planes", "in_plane"]


def in_plane(images: Sequence[Header], options: ReadOptions) -> tuple[tuple[float, float], Notes]:
    """Distance between rows, then between columns, in mm: PixelSpacing, else `options.spacing`.

    Raises
    ------
    GeometryError
        When it is stated nowhere, in some of the images only, or differently.
    """
    without = [image for image in images if image.pixel_spacing is None]
    if not without:
        positive_spacing(images)
        rows, columns = images[0].pixel_spacing or ()
        return (rows, columns), Notes()
    if len(without) < len(images) or options.spacing is None:
        remedy = _REMEDY if len(without) == len(images) else "export the series with its geometry"
        raise GeometryError(
            f"no PixelSpacing in {len(without)} of {len(images)} images, first {file_name(without[0])}: {remedy}"
        )
    _, rows, columns = options.spacing
    text = f"the files state no PixelSpacing: {rows:g} x {columns:g} mm (rows x columns) are from --spacing"
    return (rows, columns), Notes((text,), assumed=True)


def between_planes(
    images: Sequence[Header], options: ReadOptions, fields: Sequence[str], reason: str
) -> tuple[float, str]:
    """A distance between planes in mm for images whose positions do not give it, and where it is from.

    The first of `fields` of the header that is above 0 and the same everywhere (1 %), else `options.spacing`.

    Raises
    ------
    GeometryError
        When it is stated nowhere; `reason` says why it is needed.
    """
    for field in fields:
        values = [getattr(image, field) for image in images]
        positive = all(value is not None and value > 0 for value in values)
        if positive and max(values) - min(values) <= TOLERANCE * min(values):
            return float(values[0]), KEYWORDS[field]
    if options.spacing is not None:
        return options.spacing[0], "--spacing"
    names = " nor ".join(KEYWORDS[field] for field in fields)
    raise GeometryError(
        f"{reason}, and its files state neither {names} (the same for all, above 0 mm), first "
        f"{file_name(images[0])}: state the spacing with --spacing"
    )


def agree(spacing: Sequence[float], options: ReadOptions) -> None:
    """Raise InputError where `options.spacing` is more than 1 % from the spacing (k, j, i) that the files state."""
    if options.spacing is None:
        return
    found: Vectors = np.array(spacing)
    if (np.abs(np.array(options.spacing) - found) > TOLERANCE * found).any():
        text = [" x ".join(f"{value:.6g}" for value in values[::-1]) for values in (spacing, options.spacing)]
        raise InputError(
            f"the files state their spacing, {text[0]} mm (x, y, z), --spacing says {text[1]} mm; leave --spacing out"
        )
