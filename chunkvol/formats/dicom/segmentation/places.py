"""The grid that the frames of a segmentation lie on, and the plane of each frame.

Frames without any voxel are usually left out, so planes between frames are background, not gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chunkvol.errors import GeometryError
from chunkvol.formats.dicom.headers.header import Header
from chunkvol.formats.dicom.segmentation.steps import (
    TOLERANCE,
    Index,
    Numbers,
    levels_of,
    whole_steps,
)
from chunkvol.geometry import Geometry

_MOST_PLANES = 1 << 20
_SAME_AXIS = 1e-4
_UNIT = 1e-3
"""How far the length of a direction, or the product of two, may be from 1 and 0."""

__all__ = ["Placed", "placed"]


@dataclass(frozen=True, eq=False, slots=True)
class Placed:
    """Where the frames lie."""

    geometry: Geometry
    """The grid, planes in ascending order along the normal (row direction x column direction)."""
    planes: Index
    """The plane of each frame, shape (frames,)."""
    problems: tuple[str, ...] = ()
    """What was decided."""
    assumed: bool = False
    """Whether the distance of planes is stated nowhere."""


def placed(frames: Sequence[Header]) -> Placed:
    """The grid of these frames.

    The step between planes is the largest of which all distances between frames are whole multiples, or where Spacing
    Between Slices states a whole fraction of it, that one. It leads from the first plane to the last one, so that the
    planes of a tilted gantry make a shear. One plane has the step that the file states.

    Raises
    ------
    GeometryError
        A frame does not say where it lies, differs in orientation or pixel spacing, or is off the grid.
    """
    axes, spacing = _checked(frames)
    positions = np.array([frame.position for frame in frames], dtype=float)
    normal = np.cross(axes[0], axes[1])
    heights = (positions - positions[0]) @ (normal / np.linalg.norm(normal))
    first = frames[0]
    stated = [length for length in (first.spacing_between, first.slice_thickness) if length and length > 0]
    which, levels = levels_of(heights, TOLERANCE * min(*spacing, *stated))
    if len(levels) == 1:
        length, problems, assumed = _single_step(first, spacing[0])
        planes, step = which, normal / np.linalg.norm(normal) * length
    else:
        index, problems, assumed = *_indices(frames, which, levels), False
        planes = index[which]
        step = (positions[heights.argmax()] - positions[heights.argmin()]) / index[-1]
    origin = positions[planes.argmin()]
    _check_within(frames, positions - origin - planes[:, None] * step, max(spacing[0], float(np.linalg.norm(step))))
    shape = int(planes.max()) + 1, first.rows or 0, first.columns or 0
    geometry = Geometry.from_steps(shape, tuple(origin), [step, axes[1] * spacing[0], axes[0] * spacing[1]])
    return Placed(geometry, planes, problems, assumed)


def _checked(frames: Sequence[Header]) -> tuple[Numbers, tuple[float, float]]:
    """Directions of growing i and of growing j, and the distances of rows and of columns, shared by all frames."""
    first = frames[0]
    for frame in frames:
        missing = _missing(frame)
        if missing:
            raise GeometryError(
                f"{frame.path} (frame {frame.frame}) has no {missing} in its functional groups, so that its place is "
                "not known; chunkvol reads segmentations of volumes: export it again, with places"
            )
        if not np.allclose(frame.orientation or (), first.orientation or (), rtol=0, atol=_SAME_AXIS):
            raise GeometryError(
                f"{frame.path} (frame {frame.frame}) is turned against frame 0: no single grid has both"
            )
        if not np.allclose(frame.pixel_spacing or (), first.pixel_spacing or (), rtol=_SAME_AXIS, atol=0):
            raise GeometryError(
                f"{frame.path} (frame {frame.frame}) has PixelSpacing {frame.pixel_spacing}, frame 0 "
                f"{first.pixel_spacing}: no single grid has both"
            )
    axes = np.array(first.orientation, dtype=float).reshape(2, 3)
    lengths = np.linalg.norm(axes, axis=1)
    if abs(lengths - 1).max() > _UNIT or abs(axes[0] @ axes[1]) > _UNIT:
        raise GeometryError(
            f"{first.path} has ImageOrientationPatient {first.orientation}, expected two unit vectors at right angles; "
            "export it again"
        )
    rows, columns = (float(length) for length in first.pixel_spacing or (0, 0))
    if rows <= 0 or columns <= 0:
        raise GeometryError(f"{first.path} has PixelSpacing {first.pixel_spacing}, expected lengths above 0 mm")
    return axes / lengths[:, None], (rows, columns)


def _missing(frame: Header) -> str:
    stated = {
        "ImagePositionPatient": frame.position,
        "ImageOrientationPatient": frame.orientation,
        "PixelSpacing": frame.pixel_spacing,
    }
    return next((name for name, value in stated.items() if value is None), "")


def _single_step(frame: Header, rows: float) -> tuple[float, tuple[str, ...], bool]:
    """The step of one plane, what to say of it, and whether it is an assumption."""
    if frame.spacing_between and frame.spacing_between > 0:
        return frame.spacing_between, (), False
    assumed = not frame.slice_thickness or frame.slice_thickness <= 0
    length = rows if assumed else frame.slice_thickness or 0.0
    what = "the distance of its rows (assumed)" if assumed else "SliceThickness"
    text = f"it has one plane and no SpacingBetweenSlices: {what}, {length:g} mm, stands for the distance of planes"
    return length, (text,), assumed


def _indices(frames: Sequence[Header], which: Index, levels: Numbers) -> tuple[Index, tuple[str, ...]]:
    """The plane of each level, and what to say of the step."""
    stated = frames[0].spacing_between
    stated = stated if stated and stated > 0 else None
    index = whole_steps(levels, stated)
    if index is None:
        raise _off_grid(frames, which, levels)
    step = float(levels[-1] - levels[0]) / int(index[-1])
    problems = []
    parts = int(np.gcd.reduce(index))
    if parts > 1 and stated is not None:
        problems.append(
            f"its frames lie multiples of {parts * step:g} mm apart and SpacingBetweenSlices is {stated:g} mm: "
            "planes between them are background"
        )
    elif stated is not None and abs(step / stated - 1) > TOLERANCE:
        problems.append(f"its planes lie {step:g} mm apart, though SpacingBetweenSlices says {stated:g} mm")
    elif stated is None and int(np.diff(index).min()) > 1:
        problems.append(f"no two of its frames are neighbours: {step:g} mm is the largest step that has them all")
    if index[-1] >= _MOST_PLANES:
        raise GeometryError(
            f"{frames[0].path} has frames {levels[-1] - levels[0]:g} mm apart on a grid of {step:g} mm, which "
            f"is {index[-1] + 1} planes, and at most {_MOST_PLANES} are read; one of its positions is wrong"
        )
    return index, tuple(problems)


def _off_grid(frames: Sequence[Header], which: Index, levels: Numbers) -> GeometryError:
    """Names the frame that is farthest off the grid of most of its neighbours."""
    step = float(np.median(np.diff(levels)))
    off = (levels - levels[0]) / step
    worst = int(np.abs(off - np.rint(off)).argmax())
    frame = frames[int(np.flatnonzero(which == worst)[0])]
    distance = float(levels[worst] - levels[worst - 1]) if worst else float(levels[1] - levels[0])
    return GeometryError(
        f"{frame.path} (frame {frame.frame}) lies {distance:.6g} mm from its neighbour, and most frames lie multiples "
        f"of {step:.6g} mm apart: frames lie on no regular grid; export the segmentation on the grid of its images"
    )


def _check_within(frames: Sequence[Header], off: Numbers, length: float) -> None:
    """Across the planes the larger one of step and pixel is the measure: rounded positions count for less there."""
    distance = np.linalg.norm(off, axis=1)
    worst = int(distance.argmax())
    if distance[worst] > TOLERANCE * length:
        raise GeometryError(
            f"{frames[worst].path} (frame {frames[worst].frame}) lies {distance[worst]:.6g} mm beside the line through "
            "the first pixels of the other frames: frames lie on no regular grid; a tiled segmentation is not read"
        )
