"""Places that files state by half: what is missing is assumed from the rest, and told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from chunkvol.formats.dicom.headers.header import Header
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.stacks.checks import TOLERANCE, Vectors, file_name, mm
from chunkvol.formats.dicom.stacks.notes import Notes

_AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_LEAST_PLANES = 3

__all__ = ["locations_told", "one_position", "positions_told", "with_assumed_places"]


def with_assumed_places(images: Sequence[Header], options: ReadOptions) -> tuple[Sequence[Header], Notes]:
    """The images, with positions and orientations as far as they can be assumed.

    Positions along z without an orientation are those of axial planes. Slice Location, where positions are missing or
    all the same, is taken along the normal: PS3.3 C.7.6.2.1.2 has it relative, so where it begins means nothing.
    `options.spacing` leaves it aside, and positions that are all the same.
    """
    turned = [image.orientation is not None for image in images]
    if any(turned) != all(turned):
        return images, Notes()
    if _along_z(images) and not any(turned):
        text = "the files state no orientation: axial planes, rows along x, are assumed in their positions"
        return [replace(image, orientation=_AXIAL) for image in images], Notes((text,), assumed=True)
    same = one_position(images) and not options.duplicates
    if any(image.position is not None for image in images) and not same:
        return images, Notes()
    if options.spacing is None:
        return _by_location(images, "the same position for all planes" if same else "no position")
    if not same:
        return images, Notes()
    text = f"all {len(images)} images state the same position, which is left aside (--spacing)"
    return [replace(image, position=None) for image in images], Notes((text,))


def one_position(images: Sequence[Header]) -> bool:
    """Whether images that should be planes of a volume all state the same position, as some exports do."""
    first = images[0].position
    return len(images) >= _LEAST_PLANES and first is not None and all(image.position == first for image in images)


def _along_z(images: Sequence[Header]) -> bool:
    if len(images) < _LEAST_PLANES or any(image.position is None for image in images):
        return False
    extent = np.ptp(np.array([image.position for image in images], float), axis=0)
    return bool(extent[2] > 0 and extent[:2].max() <= TOLERANCE * extent[2] / (len(images) - 1))


def _locations(images: Sequence[Header]) -> Vectors | None:
    """Slice Location of each image; None where one has none, or two have the same."""
    found = [image.slice_location for image in images]
    if len(found) < _LEAST_PLANES or None in found or len(set(found)) < len(found):
        return None
    return np.array(found, float)


def _by_location(images: Sequence[Header], what: str) -> tuple[Sequence[Header], Notes]:
    locations = _locations(images)
    if locations is None:
        return images, Notes()
    placed = []
    for image, location in zip(images, locations.tolist(), strict=True):
        orientation = image.orientation or _AXIAL
        normal = np.cross(orientation[:3], orientation[3:])
        position = tuple((location * normal / (np.linalg.norm(normal) or 1) + 0.0).tolist())  # no -0
        placed.append(replace(image, position=position, orientation=orientation))
    axes = "ImageOrientationPatient" if images[0].orientation else "those of the world (LPS)"
    text = (
        f"the files state {what}: SliceLocation along the normal is assumed to be the place of each plane, axes from "
        f"{axes}; --spacing leaves it aside"
    )
    return placed, Notes((text,), ("order SliceLocation",), {"order": "SliceLocation"}, assumed=True)


def locations_told(ordered: Sequence[Header], step: float) -> Notes:
    """A word where planes that are taken to lie `step` mm apart have another Slice Location."""
    locations = _locations(ordered)
    if locations is None:
        return Notes()
    wrong = np.flatnonzero(np.abs(np.diff(locations) - step) > TOLERANCE * step)
    if not len(wrong):
        return Notes()
    at = int(wrong[0])
    text = (
        f"SliceLocation goes from {locations[at]:.6g} ({file_name(ordered[at])}) to {locations[at + 1]:.6g} mm "
        f"({file_name(ordered[at + 1])}), the planes are taken to lie {mm(step)} apart: it is left aside (--spacing)"
    )
    return Notes((text,))


def positions_told(ordered: Sequence[Header], step: float) -> Notes:
    """A word where planes that are taken to lie `step` mm apart state positions, but in another order or distance."""
    if len(ordered) < _LEAST_PLANES or any(image.position is None for image in ordered):
        return Notes()
    steps = np.diff(np.array([image.position for image in ordered], float), axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    wrong = np.flatnonzero((np.abs(lengths - step) > TOLERANCE * step) | (steps @ steps[0] <= 0))
    if not len(wrong) or one_position(ordered):
        return Notes()
    at = int(wrong[0])
    back = "back " if steps[at] @ steps[0] < 0 else ""
    text = (
        f"ImagePositionPatient goes {back}{mm(float(lengths[at]))} from {file_name(ordered[at])} to "
        f"{file_name(ordered[at + 1])}, the planes are taken to lie {mm(step)} apart: it is left aside"
    )
    return Notes((text,))
