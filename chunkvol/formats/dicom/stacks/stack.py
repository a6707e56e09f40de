"""From the images of one volume to a regular stack of planes, as the caller decided, or a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from chunkvol.errors import GeometryError, InputError
from chunkvol.formats.dicom.headers.header import Header
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.stacks.assumed import locations_told, positions_told, with_assumed_places
from chunkvol.formats.dicom.stacks.checks import PIXEL_CHECKS, file_name, one_orientation
from chunkvol.formats.dicom.stacks.duplicates import without_duplicates
from chunkvol.formats.dicom.stacks.gaps import cuts
from chunkvol.formats.dicom.stacks.line import Line
from chunkvol.formats.dicom.stacks.notes import Notes
from chunkvol.formats.dicom.stacks.oddities import disagreements, inverted
from chunkvol.formats.dicom.stacks.places import Places, are_placed, sorted_places
from chunkvol.formats.dicom.stacks.spacing import line_of
from chunkvol.formats.dicom.stacks.stated import agree, between_planes, in_plane
from chunkvol.formats.dicom.stacks.tilt import grid_of
from chunkvol.formats.dicom.stacks.unplaced import assumed_grid, in_order
from chunkvol.geometry import Geometry
from chunkvol.ops.planes import PlaneBlend, PlaneShift

_LEAST_PLANES = 3
_LISTED = 12

__all__ = ["Run", "Stack", "runs", "stacked"]


@dataclass(frozen=True, slots=True)
class Stack:
    """Planes in order, and how the result is made of them."""

    images: tuple[Header, ...]
    """The planes to read, ascending along the normal."""
    geometry: Geometry
    """Grid of the result."""
    blend: PlaneBlend | None = None
    """How the result's planes are made of those read; None where they are the same."""
    shift: PlaneShift | None = None
    """How the planes are then moved within themselves; None where they stay."""
    assumed: bool = False
    """Whether the geometry is not what the files state."""
    problems: tuple[str, ...] = ()
    """What a user should know although the series is accepted."""
    history: tuple[str, ...] = ()
    """Decisions that determined the voxels, for the record."""
    record: dict[str, Any] = field(default_factory=dict)
    """Facts worth keeping, JSON values: planes that were filled, copies that were dropped ..."""


@dataclass(frozen=True, slots=True)
class Run:
    """Planes without a gap between them, in ascending order, after duplicates were dropped."""

    first: int
    """Index of the first."""
    last: int
    """Index of the last."""

    @property
    def count(self) -> int:
        """How many planes."""
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"planes {self.first} to {self.last}" if self.count > 1 else f"plane {self.first}"


def stacked(images: Sequence[Header], options: ReadOptions, run: int | None = None) -> Stack:
    """The stack that these images make; `run` (from 1) is the one to take where `gaps` splits them.

    Planes are in the order of their positions along the slice normal, row x column (PS3.3 C.7.6.2.1.1); their step
    is (last - first) / (steps between them). Each must be within 1 % of the median gap of where that has it.

    Raises
    ------
    GeometryError
        When the images are no regular grid, and `options` do not say what to do about it.
    InputError
        When an image is damaged or of a kind that is not read, or `options` do not fit what the files say.
    """
    for check in PIXEL_CHECKS:
        check(images)
    images, assumed = with_assumed_places(images, options)
    if are_placed(images):
        try:
            return _placed(images, options, run, assumed)
        except GeometryError as error:
            raise GeometryError("; ".join([str(error), *assumed.problems])) from None
    _only_run(run, 1)
    ordered, notes = in_order(images)
    notes += _enough(ordered, options)
    geometry, more = assumed_grid(ordered, options)
    step = geometry.spacing[0]
    notes = more + assumed + notes + locations_told(ordered, step) + positions_told(ordered, step)
    return _stack(ordered, geometry, notes + inverted(ordered, options))


def runs(images: Sequence[Header], options: ReadOptions) -> tuple[Run, ...]:
    """The volumes that `stacked` can choose from: one, or where `options.gaps` is "split" one a run without a gap.

    Raises
    ------
    GeometryError, InputError
        As `stacked`, where the planes cannot even be put in order.
    """
    images, _ = with_assumed_places(images, options)
    if options.gaps != "split" or not are_placed(images):
        return (Run(0, len(images) - 1),)
    return _runs_of(_distinct(images, options)[0])


def _distinct(images: Sequence[Header], options: ReadOptions) -> tuple[Places, tuple[float, float], Notes]:
    """Places without duplicates, spacing of rows and columns in mm, and what there is to say of both."""
    turned = one_orientation(images)
    pixel_spacing, notes = in_plane(images, options)
    places, more = without_duplicates(sorted_places(images), options, min(pixel_spacing))
    return places, pixel_spacing, turned + notes + more


def _placed(images: Sequence[Header], options: ReadOptions, run: int | None, assumed: Notes) -> Stack:
    places, pixel_spacing, notes = _distinct(images, options)
    notes = assumed + notes
    places, more = _taken(places, options, run)
    notes += more + _enough(places.images, options)
    line = line_of(places, options) if len(places.images) > 1 else _one_plane(places, options)
    geometry, shift, more = grid_of(places, line, pixel_spacing, options)
    pixels = min(places.images[0].pixel_spacing or (0.0,)) > 0
    agree(geometry.spacing, options, planes=len(places.images), pixels=pixels)
    notes += line.notes + more + inverted(places.images, options)
    if len(places.images) > 1:
        notes += disagreements(places, line)
    return _stack(places.images, geometry, notes, line.blend, shift)


def _stack(
    images: tuple[Header, ...],
    geometry: Geometry,
    notes: Notes,
    blend: PlaneBlend | None = None,
    shift: PlaneShift | None = None,
) -> Stack:
    return Stack(images, geometry, blend, shift, notes.assumed, notes.problems, notes.history, notes.record)


def _runs_of(places: Places) -> tuple[Run, ...]:
    edges = [0, *cuts(places.heights).tolist(), len(places.images)]
    return tuple(Run(first, end - 1) for first, end in pairwise(edges))


def _taken(places: Places, options: ReadOptions, run: int | None) -> tuple[Places, Notes]:
    """The places of one run, where gaps split them."""
    if options.gaps != "split":
        _only_run(run, 1)
        return places, Notes()
    found = _runs_of(places)
    if run is None and len(found) > 1:
        listing = ", ".join(f"{n} ({part})" for n, part in enumerate(found[:_LISTED], 1))
        more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        raise InputError(
            f"--gaps split makes {len(found)} volumes: {listing}{more}; choose one with --series ID.1 "
            "(ID is what info lists)"
        )
    _only_run(run, len(found))
    if len(found) == 1:
        return places, Notes()
    part = found[(run or 1) - 1]
    text = f"run {run} of {len(found)}, {part} of {len(places.images)}"
    notes = Notes((f"{text} (--gaps split)",), (f"gaps split: {text}",), {"run": run, "runs": len(found)})
    return places.taken(np.arange(part.first, part.last + 1)), notes


def _only_run(run: int | None, count: int) -> None:
    if run is not None and not 1 <= run <= count:
        there = "there is one volume" if count == 1 else f"there are {count}"
        raise InputError(f"volume {run} of the series was asked for, {there}; leave out .{run}, or choose another")


def _enough(images: Sequence[Header], options: ReadOptions) -> Notes:
    """Fewer than three planes cannot show that they are regular."""
    count = len(images)
    if count >= _LEAST_PLANES:
        return Notes()
    planes = "1 plane" if count == 1 else f"{count} planes"
    if not options.few:
        raise GeometryError(
            f"the series has {planes}; a volume needs at least {_LEAST_PLANES}, else its spacing cannot be checked "
            f"(first {file_name(images[0])}); name the folder of all its slices, or --few takes it as it is"
        )
    return Notes((f"{planes}: the spacing between planes cannot be checked",), record={"few": True})


def _one_plane(places: Places, options: ReadOptions) -> Line:
    """A line of one plane: its step is as long as the plane is thick, along the normal."""
    fields = ("slice_thickness", "spacing_between")
    thickness, source = between_planes(places.images, options, fields, "one plane has no step to the next")
    text = f"one plane: its spacing of {thickness:.6g} mm along the normal is from {source}"
    notes = Notes((text,), assumed=source == "--spacing")
    return Line(places.positions[0], thickness * places.normal, 1, notes=notes)
