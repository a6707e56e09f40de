"""Images without positions, as many micro-CT exports: ordered by their numbers or names, on an assumed grid."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from chunkvol.formats.dicom.headers.header import Header
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.stacks.checks import TOLERANCE, file_name, one_orientation
from chunkvol.formats.dicom.stacks.notes import Notes
from chunkvol.formats.dicom.stacks.places import axes_of
from chunkvol.formats.dicom.stacks.stated import between_planes, in_plane
from chunkvol.geometry import Geometry
from chunkvol.names import natural_parts

__all__ = ["assumed_grid", "in_order", "natural_key"]


def in_order(images: Sequence[Header]) -> tuple[tuple[Header, ...], Notes]:
    """The images by Instance Number where all have one and none repeats, else by natural file name and frame."""
    numbers = [image.instance_number for image in images]
    if None not in numbers and len(set(numbers)) == len(numbers):
        ordered = sorted(images, key=lambda image: image.instance_number or 0)
        return tuple(ordered), Notes(_jumps(ordered), ("order InstanceNumber",), {"order": "InstanceNumber"})
    ordered = sorted(images, key=natural_key)
    return tuple(ordered), Notes(_repeats(ordered), ("order file names",), {"order": "file names"})


def natural_key(image: Header) -> tuple[list[tuple[int, int, str]], str, int]:
    """Sorts paths as people count, 2 before 10, folder by folder, and the frames of one file by their number."""
    folder, name = os.path.split(image.path)
    return [*_of_folder(folder), *natural_parts(name)], image.path, image.frame


@lru_cache(64)
def _of_folder(folder: str) -> list[tuple[int, int, str]]:
    return natural_parts(os.path.join(folder, ""))  # noqa: PTH118  # ends in a separator where there is a folder


def _jumps(ordered: Sequence[Header]) -> tuple[str, ...]:
    """A number left out may be a plane that is missing, which nothing else would show."""
    numbers = np.array([image.instance_number for image in ordered])
    long = np.flatnonzero(np.diff(numbers) > 1)
    steps = set(np.diff(numbers).tolist())
    if not len(long) or len(steps) == 1:
        return ()
    at = int(long[0])
    return (
        f"InstanceNumber goes from {numbers[at]} ({file_name(ordered[at])}) to {numbers[at + 1]} "
        f"({file_name(ordered[at + 1])}): planes may be missing",
    )


def _repeats(ordered: Sequence[Header]) -> tuple[str, ...]:
    """Numbers that mostly run, but repeat, may be copies of a plane."""
    seen: dict[int, Header] = {}
    for image in ordered:
        number = image.instance_number
        if number is None or (image.frames or 1) > 1:
            continue
        if number in seen:
            first = file_name(seen[number])
            return (f"InstanceNumber {number} repeats ({first}, {file_name(image)}): the order is that of the names",)
        seen[number] = image
    return ()


def assumed_grid(images: Sequence[Header], options: ReadOptions) -> tuple[Geometry, Notes]:
    """A grid for images in order: origin 0, axes those of the files or the world's, spacing as stated or given.

    Between planes that is SpacingBetweenSlices, else SliceThickness; within them PixelSpacing, else the one at the
    detector; `options.spacing` (k, j, i) overrides all of them.

    Raises
    ------
    GeometryError
        When no spacing is stated, or it is not the same for all.
    """
    row, column, normal = np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), np.array([0, 0, 1.0])
    turned = all(image.orientation is not None for image in images)
    rounded = Notes()
    if turned:
        rounded = one_orientation(images)
        row, column, normal = axes_of(images[0])
    spacing, source, notes = _spacing(images, options)
    first = images[0]
    direction = np.column_stack([normal, column, row])
    geometry = Geometry(
        (len(images), first.rows or 0, first.columns or 0),
        spacing=spacing,
        direction=tuple(map(tuple, direction)),  # type: ignore[arg-type]  # 3 x 3
    )
    missing = "position" if all(image.position is None for image in images) else "orientation"
    text = " x ".join(f"{value:.6g}" for value in spacing[::-1])
    problem = (
        f"the files state no {missing}: the geometry is assumed, origin 0, spacing {text} mm (x, y, z; {source}), "
        f"{'axes from ImageOrientationPatient' if turned else 'axes along those of the world (LPS)'}"
    )
    return geometry, Notes((problem,), assumed=True) + rounded + notes + _film(images)


def _film(images: Sequence[Header]) -> Notes:
    """A word where the frames of a file are one plane at several times, as it says; some exports always say so."""
    times = {image.temporal_position for image in images}
    if (images[0].frames or 1) == 1 or None in times or len(times) < len(images):
        return Notes()
    text = (
        f"{file_name(images[0])} and the frames after it follow each other in time (FrameTime), as those of a film do: "
        "they are planes of a volume only where an export wrote that for want of something better"
    )
    return Notes((text,))


def _spacing(images: Sequence[Header], options: ReadOptions) -> tuple[tuple[float, float, float], str, Notes]:
    if options.spacing is not None:
        return options.spacing, "from --spacing", _overridden(images[0], options.spacing)
    notes = Notes()
    if all(image.pixel_spacing is None and image.imager_spacing is not None for image in images):
        different = {image.imager_spacing: image for image in images}
        stand_ins = [replace(image, pixel_spacing=spacing) for spacing, image in different.items()]
        (rows, columns), _ = in_plane(stand_ins, options)
        text = (
            "ImagerPixelSpacing or NominalScannedPixelSpacing is used, which is at the detector: in the object it is "
            "smaller by the magnification"
        )
        notes = Notes((text,))
    else:
        (rows, columns), _ = in_plane(images, options)
    fields = ("spacing_between", "slice_thickness")
    between, keyword = between_planes(images, options, fields, "the series states no positions")
    return (between, rows, columns), f"from {keyword}", notes


def _overridden(image: Header, spacing: tuple[float, float, float]) -> Notes:
    """A word where `spacing` (k, j, i) is not what the files state of their pixels."""
    if image.pixel_spacing is None:
        return Notes()
    rows, columns = image.pixel_spacing
    if np.allclose((rows, columns), spacing[1:], rtol=TOLERANCE, atol=0):
        return Notes()
    given = f"{spacing[2]:g} x {spacing[1]:g} mm"
    return Notes((f"PixelSpacing says {columns:g} x {rows:g} mm, --spacing says {given} (x, y): --spacing is used",))
