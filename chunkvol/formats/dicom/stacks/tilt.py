"""Planes stacked at a slant, as a tilted gantry does: kept as a sheared grid, or moved onto an upright one."""

from __future__ import annotations

import math

import numpy as np

from chunkvol.errors import GeometryError
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.stacks.checks import TOLERANCE, Vectors, mm
from chunkvol.formats.dicom.stacks.line import Line
from chunkvol.formats.dicom.stacks.notes import Notes
from chunkvol.formats.dicom.stacks.places import Places
from chunkvol.geometry import Geometry
from chunkvol.ops.planes import PlaneShift

_STILL = 1e-4
"""Pixels: an axis along which all planes together move less is left alone."""

__all__ = ["grid_of"]


def grid_of(
    places: Places, line: Line, pixel_spacing: tuple[float, float], options: ReadOptions
) -> tuple[Geometry, PlaneShift | None, Notes]:
    """The grid of a line of planes, and how they are moved within themselves onto it.

    `pixel_spacing` is between rows, then between columns, mm. A slant below 1 % of the step is kept in the
    geometry without a word; none is ever dropped.

    Raises
    ------
    GeometryError
        When the planes are stacked at a slant and `options.tilt` does not say what to do.
    """
    along = float(line.step @ places.normal)
    aside = line.step - along * places.normal
    length, offset = float(np.linalg.norm(line.step)), float(np.linalg.norm(aside))
    rows, columns = places.images[0].rows or 0, places.images[0].columns or 0
    as_it_is = _grid(places, line.first, line.step, (line.count, rows, columns), pixel_spacing)
    if line.count < 2 or offset <= TOLERANCE * length:
        return as_it_is, None, Notes()
    angle = math.degrees(math.asin(min(1.0, offset / length)))
    if options.tilt == "keep":
        problem = f"tilted gantry: a slant of {angle:.2f} degrees is kept as a sheared grid (--tilt keep)"
        return as_it_is, None, Notes((problem,), record={"tilt": "keep", "tilt_degrees": angle})
    if options.tilt == "resample":
        return _upright(places, line, pixel_spacing, angle)
    raise GeometryError(
        f"the planes are stacked at a slant of {angle:.2f} degrees: {places.name(1)} lies {mm(offset)} aside of where "
        f"plane 0 has it, expected at most {mm(TOLERANCE * length)}: tilted gantry; choose --tilt keep (a sheared "
        "grid, voxels untouched) or --tilt resample (an upright one)"
    )


def _grid(
    places: Places, origin: Vectors, step: Vectors, shape: tuple[int, int, int], pixel_spacing: tuple[float, float]
) -> Geometry:
    length = float(np.linalg.norm(step))
    direction = np.column_stack([step / length, places.column, places.row]) + 0.0  # no -0
    return Geometry(shape, tuple(origin), (length, *pixel_spacing), tuple(map(tuple, direction)))  # type: ignore[arg-type]  # 3 x 3


def _upright(
    places: Places, line: Line, pixel_spacing: tuple[float, float], angle: float
) -> tuple[Geometry, PlaneShift, Notes]:
    """An upright grid that holds all voxels of the slanted one.

    Plane k lies `k * slant` pixels along (j, i) beside where an upright stack would have it, so there its content
    moves by as much. Where the slant is negative the grid begins whole pixels earlier: plane 0 is never blurred.
    """
    axes = np.array([places.column, places.row])
    parts = np.linalg.solve(np.column_stack([places.normal, *axes]), line.step)
    slant = parts[1:] / pixel_spacing
    slant[np.abs(slant) * (line.count - 1) < _STILL] = 0.0
    total = slant * (line.count - 1)
    before = np.ceil(np.maximum(0.0, -total) - 1e-9)
    after = np.ceil(np.maximum(0.0, total) - 1e-9)
    offsets = before + np.arange(line.count)[:, None] * slant
    offsets = np.where(np.abs(offsets - np.rint(offsets)) < 1e-9, np.rint(offsets), offsets)
    first = places.images[0]
    rows, columns = (np.array([first.rows or 0, first.columns or 0]) + before + after).astype(int).tolist()
    origin = line.first - (before * pixel_spacing) @ axes
    geometry = _grid(places, origin, parts[0] * places.normal, (line.count, rows, columns), pixel_spacing)
    text = f"a slant of {angle:.2f} degrees"
    notes = Notes(
        (
            f"tilted gantry: {text} is resampled to an upright grid (--tilt resample), planes of {first.rows} x "
            f"{first.columns} pixels (rows x columns) grow to {rows} x {columns}",
        ),
        (f"tilt resample: {text}",),
        {"tilt": "resample", "tilt_degrees": angle},
    )
    return geometry, PlaneShift(offsets, rows, columns), notes
