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
        if options.spacing is not None and all(min(image.pixel_spacing or (0.0,)) <= 0 for image in images):
            return _given(options.spacing, "PixelSpacing of 0 mm")
        positive_spacing(images)
        rows, columns = images[0].pixel_spacing or ()
        return (rows, columns), Notes()
    if len(without) < len(images) or options.spacing is None:
        remedy = _REMEDY if len(without) == len(images) else "export the series with its geometry"
        raise GeometryError(
            f"no PixelSpacing in {len(without)} of {len(images)} images, first {file_name(without[0])}: {remedy}"
        )
    return _given(options.spacing, "no PixelSpacing")


def _given(spacing: tuple[float, float, float], stated: str) -> tuple[tuple[float, float], Notes]:
    _, rows, columns = spacing
    text = f"the files state {stated}: {rows:g} x {columns:g} mm (rows x columns) are from --spacing"
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
        f"{file_name(images[0])}: state the spacing with --spacing{_example(images[0])}"
    )


def _example(image: Header) -> str:
    """How to state the distance between planes beside what a file states within them; empty where that is nothing."""
    if image.pixel_spacing is None or min(image.pixel_spacing) <= 0:
        return ""
    rows, columns = image.pixel_spacing
    return f" {columns:.6g},{rows:.6g},Z with Z in mm"


def agree(spacing: Sequence[float], options: ReadOptions, *, planes: int, pixels: bool) -> None:
    """Raise InputError where `options.spacing` is more than 1 % from the spacing (k, j, i) that the files state.

    One of several `planes` has a step to the next; that of a single one may be from the option itself, as is that of
    rows and columns where the files state none of their `pixels`.
    """
    if options.spacing is None:
        return
    found: Vectors = np.array(spacing)
    if (np.abs(np.array(options.spacing) - found) > TOLERANCE * found).any():
        if planes == 1 and spacing[0] == options.spacing[0]:
            within = [f"{values[2]:.6g} x {values[1]:.6g}" for values in (spacing, options.spacing)]
            given = ",".join(f"{value:.6g}" for value in spacing[::-1])
            raise InputError(
                f"the files state pixels of {within[0]} mm (x, y), --spacing says {within[1]} mm; "
                f"give --spacing {given}"
            )
        if not pixels:
            given = ",".join(f"{value:.6g}" for value in spacing[::-1])
            raise InputError(
                f"the planes lie {spacing[0]:.6g} mm apart, --spacing says {options.spacing[0]:.6g} mm of them; "
                f"give --spacing {given}"
            )
        text = [" x ".join(f"{value:.6g}" for value in values[::-1]) for values in (spacing, options.spacing)]
        raise InputError(
            f"the files state their spacing, {text[0]} mm (x, y, z), --spacing says {text[1]} mm; leave --spacing out"
        )
