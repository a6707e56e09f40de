"""Where programs that know pixels alone put the centre of a voxel, and what they number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.geometry import Geometry
from chunkvol.landmarks.files import read_landmarks
from chunkvol.landmarks.points import Landmarks
from chunkvol.landmarks.rows import decoded, separated
from chunkvol.landmarks.systems import UNITS

Indices = npt.NDArray[np.float64]
"""Fractional indices, shape (n, 3)."""

__all__ = ["PIXEL_FRAMES", "PixelFrame", "pixel_indices", "read_pixels"]


@dataclass(frozen=True, slots=True)
class PixelFrame:
    """How numbers along x, y, z name a voxel: number = (index + centre) * length, the length 1 but where calibrated."""

    centre: tuple[float, float, float]
    """The numbers (x, y, z) of the centre of voxel (0, 0, 0)."""
    calibrated: tuple[bool, bool, bool]
    """Which of x, y, z are lengths: voxels times their spacing."""
    meaning: str
    """For people."""


_NONE, _PLANE = (False, False, False), (True, True, False)

PIXEL_FRAMES = {
    "ijk": PixelFrame((0.0, 0.0, 0.0), _NONE, "voxel indices: 0,0,0 is the centre of the first voxel"),
    "fiji-pixels": PixelFrame((0.0, 0.0, 1.0), _NONE, "ImageJ 1.52t and later: centre of a pixel, slices from 1"),
    "fiji-calibrated": PixelFrame((0.0, 0.0, 1.0), _PLANE, "the same, x and y times the pixel size, slices from 1"),
    "fiji-pixels-corner": PixelFrame((0.5, 0.5, 1.0), _NONE, "ImageJ before 1.52t: corner of a pixel, slices from 1"),
    "fiji-calibrated-corner": PixelFrame((0.5, 0.5, 1.0), _PLANE, "the same, x and y times the pixel size"),
}
"""Frames of points that were placed on pixels.

ImageJ says of points since 1.52t (2020): "Line and Point Rois: Integer coordinates refer to the center of a pixel", in
`ij/gui/Roi.java`, whatever its options; areas (and the centroids that it measures of them) count from the corner of
the first pixel, as points did before, so that 0.5 is a centre. Analyze > Measure lists a point's
`Calibration.getX(x) = (x - xOrigin) * pixelWidth` and its slice, from 1 and without a length (`savePoints` in
`ij/plugin/filter/Analyzer.java`); XY Coordinates are the same numbers.
"""


_SMALLER = ("um", "nm")
"""Units that ImageJ may have counted in where its numbers are too large for mm."""


def pixel_indices(numbers: npt.ArrayLike, frame: str, spacing: Sequence[float] = (1.0, 1.0, 1.0)) -> Indices:
    """Fractional indices (n, 3) in order (k, j, i) of another program's numbers (n, 3) in order x, y, z.

    Parameters
    ----------
    numbers
        As the program lists them; NaN stays NaN.
    frame
        One of `PIXEL_FRAMES`.
    spacing
        Of the volume that the points were placed on, in order (k, j, i), in the unit of the numbers: for frames that
        are calibrated.

    Raises
    ------
    InputError
        There is no such frame.
    """
    row = PIXEL_FRAMES.get(frame)
    if row is None:
        raise InputError(f"{frame!r} is no frame of pixels; there are {', '.join(PIXEL_FRAMES)}")
    lengths = np.where(row.calibrated, tuple(spacing)[::-1], 1.0)
    indices = np.asarray(numbers, float).reshape(-1, 3) / lengths - row.centre
    return np.ascontiguousarray(indices[:, ::-1])


def read_pixels(path: Path, frame: str, grid: Geometry, *, units: str | None = None) -> Landmarks:
    """Points that were placed on the pixels of a volume, at their places in its world, LPS mm.

    Parameters
    ----------
    path
        A list of results of ImageJ, with columns X, Y and Slice, or any file of points whose x, y, z are those numbers.
    frame
        One of `PIXEL_FRAMES`.
    grid
        Of the volume.
    units
        Of frames that are calibrated, mm by default.

    Raises
    ------
    InputError
        The file cannot be read, states another frame, or has units where its numbers have none; or no unit is given,
        and the points lie in the volume as a smaller one and beside it as mm.
    """
    calibrated = any(PIXEL_FRAMES[frame].calibrated)
    if units is not None and (units not in UNITS or (units == "voxel") == calibrated):
        raise InputError(f"units {units} do not go with frame {frame}: {PIXEL_FRAMES[frame].meaning}")
    found = (None if frame == "ijk" else _results(path)) or read_landmarks(path, frame="ijk", units="voxel")
    index = _in_units(found, frame, grid, units or "mm")
    if calibrated and units is None and found.placed.any() and not _seen(index, grid).any():
        for other in _SMALLER:
            if _seen(_in_units(found, frame, grid, other), grid)[found.placed].all():
                raise InputError(
                    f"{path} does not say in which unit its points are: as mm all lie outside the volume, as {other} "
                    f"all within; say --units {other}, or mm"
                )
    return replace(found, points=grid.index_to_world(index), frame="LPS")


def _in_units(found: Landmarks, frame: str, grid: Geometry, units: str) -> Indices:
    k, j, i = (spacing / UNITS[units] for spacing in grid.spacing)
    return pixel_indices(found.points, frame, (k, j, i))


def _seen(index: Indices, grid: Geometry) -> npt.NDArray[np.bool_]:
    """Which indices lie within the outer faces; NaN does not."""
    return np.asarray(np.all((index >= -0.5) & (index <= np.array(grid.shape) - 0.5), axis=1), bool)


def _results(path: Path) -> Landmarks | None:
    """The points of a list of results of ImageJ; None of another file."""
    try:
        with path.open("rb") as file:
            head = file.read(4096).splitlines()[:1]
    except OSError:
        return None  # the reader of points says why
    line = head[0].decode("utf-8", "replace") if head else ""
    separator = "\t" if "\t" in line else ","
    names = [cell.strip().lower() for cell in line.lstrip("\ufeff").split(separator)]
    if not {"x", "y", "slice"} <= set(names):
        return None
    rows = separated(path, decoded(path, path.read_bytes()), separator)
    body = rows.after_first()
    columns = [names.index("x"), names.index("y"), names.index("slice")]
    body.check_lengths(max(columns) + 1)
    labels = [str(number) for number in range(1, len(body.cells) + 1)]
    return Landmarks(body.points(columns), tuple(labels), frame="IJK")
