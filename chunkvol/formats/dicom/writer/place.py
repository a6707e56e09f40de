"""Where the planes of a grid lie, as the texts of the Image Plane module (PS3.3 C.7.6.2).

The first three numbers of ImageOrientationPatient are the direction of growing i (along a row), the last three that of
growing j; PixelSpacing is the distance between rows (j), then between columns (i). Images are numbered along
row x column, so that a left-handed grid has its last plane first: every voxel keeps its place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chunkvol.errors import GeometryError, InputError
from chunkvol.formats.dicom.writer.decimals import ds
from chunkvol.formats.traits import is_sheared
from chunkvol.geometry import Geometry

_LARGEST = 65535
"""Rows and Columns are 16-bit numbers (VR US)."""
_MOST_BYTES = (1 << 32) - 2
"""Length of pixel data."""
_NOTHING = 1e-9
"""A cosine that is rounding: axes are left as they are."""
_WORTH_A_WORD = 1e-6
"""Of a voxel."""
_ALLOWED = 0.01
"""Of a voxel: as far as planes of a series may lie off an even grid."""

Vector = npt.NDArray[np.float64]
"""A world vector, LPS mm."""

__all__ = ["Placement", "placement_of"]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the planes of a volume lie, in the words of DICOM."""

    geometry: Geometry
    """The grid; one plane is one image."""
    orientation: str
    """ImageOrientationPatient."""
    pixel_spacing: str
    """PixelSpacing: of rows, then of columns."""
    thickness: str
    """Distance between planes along their normal, mm."""
    reverse: bool
    """Whether the last plane is image 1."""
    notes: tuple[str, ...] = ()
    """What a reader will not find as it is, a sentence each."""

    def number(self, k: int) -> int:
        """InstanceNumber of plane k, from 1."""
        return self.geometry.shape[0] - k if self.reverse else k + 1

    def position(self, k: int) -> str:
        """ImagePositionPatient of plane k: the centre of its first pixel, LPS mm."""
        # From the origin each time: steps that are added up would add up their rounding as well.
        steps = zip(self.geometry.origin, self.geometry.direction, strict=True)
        return "\\".join(ds(start + k * self.geometry.spacing[0] * row[0]) for start, row in steps)


def placement_of(geometry: Geometry) -> Placement:
    """The placement of a grid's planes.

    Raises
    ------
    GeometryError
        Rows and columns are not at right angles, which DICOM images cannot say (PS3.3 C.7.6.2.1.1).
    InputError
        A plane is larger than an image can be.
    """
    _check_size(geometry)
    row, column, moved = _right_angles(geometry)
    normal = np.cross(row, column)
    step = np.array(geometry.direction)[:, 0] * geometry.spacing[0]
    along = float(normal @ step)
    return Placement(
        geometry,
        "\\".join(ds(float(value)) for value in (*row, *column)),
        "\\".join(ds(value) for value in geometry.spacing[1:]),
        ds(abs(along) if is_sheared(geometry) else geometry.spacing[0]),
        along < 0,
        tuple(_notes(geometry, moved, along)),
    )


def _check_size(geometry: Geometry) -> None:
    _, rows, columns = geometry.shape
    if max(rows, columns) > _LARGEST or 2 * rows * columns > _MOST_BYTES:
        raise InputError(
            f"planes of {columns} x {rows} pixels do not fit a DICOM image (at most {_LARGEST} each way, 4 GiB); "
            "downsample or crop it, or write NRRD"
        )


def _right_angles(geometry: Geometry) -> tuple[Vector, Vector, float]:
    """Directions of rows and columns, at right angles; and how far that moves a voxel, in voxels."""
    matrix = np.array(geometry.direction)
    row, column = matrix[:, 2], matrix[:, 1]
    cosine = float(row @ column)
    if abs(cosine) <= _NOTHING:
        return row, column, 0.0
    straight = [one - other * cosine / 2 for one, other in ((row, column), (column, row))]
    row2, column2 = (vector / np.linalg.norm(vector) for vector in straight)
    _, dj, di = geometry.spacing
    reach = (np.array(geometry.shape[1:]) - 1) * (dj, di)
    shift = float(np.linalg.norm(column2 - column) * reach[0] + np.linalg.norm(row2 - row) * reach[1])
    moved = shift / min(dj, di)
    if moved > _ALLOWED:
        angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        raise GeometryError(
            f"rows and columns of the grid meet at {angle:.4f} degrees, which moves voxels by up to {shift:.3g} mm: "
            "images of DICOM have right angles; write NRRD instead"
        )
    return row2, column2, moved


def _notes(geometry: Geometry, moved: float, along: float) -> list[str]:
    notes = []
    planes, rows, _ = geometry.shape
    if along < 0 and planes > 1:
        notes.append(
            "the grid is left-handed and series are right-handed: image 1 is the last plane, so that the origin is "
            "found at the other end, and every voxel keeps its place"
        )
    if rows == 1 and planes > 1:
        # Measured with ITK 5.4: images are stacked along the first axis of length 1.
        notes.append("images have one row, which programs built on ITK misplace: reorder the axes, or write NRRD")
    if moved > _WORTH_A_WORD:
        notes.append(f"rows and columns are put at right angles, which moves voxels by up to {moved:.2g} of a voxel")
    if abs(along) < geometry.spacing[0] * (1 - _WORTH_A_WORD):
        if planes == 1:
            notes.append("the planes' step is not perpendicular to them: one image alone does not say so")
        else:
            notes.append(
                "the planes' step is not perpendicular to them (a tilted gantry): positions say so, and many programs "
                "do not heed it; --tilt resample makes them perpendicular when the series is read"
            )
    return notes
