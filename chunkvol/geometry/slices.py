"""The grid of one slice through another grid: where its pixels lie, how large and how many they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import GeometryError, InputError
from chunkvol.geometry.grid import Geometry
from chunkvol.geometry.planes import VIEWS, SlicePlane, Vector, triple_of, vector_of

Pair = tuple[float, float]
"""Two lengths in mm, along (j, i): down the columns, then along the rows."""

_DRIFT = 1e-4
"""Voxels by which axes may drift over a whole grid and still be parallel, as in `Mapping.axes`."""
_NOISE = 1e-6
"""Voxels that nobody can tell apart."""
_SAME = 1e-9
"""Part of a length that is rounding."""
_MOST_PIXELS = 1 << 20
"""Of a row or a column: beyond it somebody mistook a unit."""

__all__ = ["Pair", "slab_planes", "slice_grid"]


def slice_grid(
    plane: SlicePlane,
    grid: Geometry,
    *,
    spacing: float | Pair | None = None,
    fov: Pair | None = None,
    centre: npt.ArrayLike | None = None,
    size: tuple[int, int] | None = None,
    slab: float = 0.0,
) -> Geometry:
    """The grid of one slice through another grid: shape (1, rows, columns), right-handed.

    Its array axes k, j and i run along the normal, the columns and the rows of the plane; its spacing along k is the
    thickness of the slice. Of a thin slice that is the extent of a voxel of `grid` along the normal,
    `sum(|spacing[a] * direction[a] . normal|)`, which for a plane along two of the axes is the spacing along the third.

    Parameters
    ----------
    plane
        Where, and which way round.
    grid
        What is cut.
    spacing
        Of pixels, mm: one, or (j, i). By default that of `grid` where rows and columns are parallel to two of its axes:
        then the centres of pixels are those of its voxels. Else the finest of `grid`, isotropic.
    fov
        Height and width (j, i) in mm, made whole pixels upwards. By default the rectangle around what the plane has in
        common with `grid`, out to its outer faces.
    centre
        Point (LPS mm) whose nearest point of the plane is the middle of the slice; by default that of the rectangle.
    size
        Rows and columns (j, i), which set the spacing where `fov` is given, and the field of view where it is not.
    slab
        Thickness in mm, centred on the plane; 0 is a thin slice.

    Raises
    ------
    GeometryError
        The plane or the field of view has no point in common with `grid`.
    InputError
        A length is not above 0, or spacing, fov and size contradict each other.
    """
    axes = _parallel(plane, grid)
    plane = plane if axes is None else _along(plane, grid, axes)
    low, high = _rectangle(plane, grid)
    pixel, own = _pixel(grid, axes, spacing, fov, size)
    middle = (low + high) / 2 if centre is None else _in_plane(plane, vector_of(centre, "centre"))
    extent = high - low if fov is None else np.array(_lengths(fov, "field of view"))
    counts = _counts(extent, pixel) if size is None else size
    _check_met(plane, middle, np.array(counts) * pixel / 2, (low, high))
    steps = np.array([plane.column, plane.row]) * pixel[:, None]
    first = _on_plane(plane, middle) - (np.array(counts) - 1) / 2 @ steps
    if own and axes is not None:
        first = _on_voxels(grid, axes, first)
    thick = _thickness(plane, grid, axes) if not slab else _lengths((slab, slab), "slab")[0]
    columns = np.column_stack([plane.normal, plane.column, plane.row])
    return Geometry(
        (1, *counts),
        triple_of(first),
        (thick, float(pixel[0]), float(pixel[1])),
        tuple(map(tuple, columns)),  # type: ignore[arg-type]  # 3 x 3
    )


def slab_planes(plane: SlicePlane, grid: Geometry, slab: float) -> int:
    """How many planes a slab of this thickness (mm) is made of, at least one: a plane for each voxel along the normal.

    One voxel is the way along which the index in `grid` changes by 1: for planes along two of its axes the spacing
    along the third.
    """
    step = 1 / float(np.linalg.norm(np.linalg.solve(grid.affine[:3, :3], plane.normal)))
    return max(1, math.floor(slab / step + 0.5 + _NOISE))


def _rectangle(plane: SlicePlane, grid: Geometry) -> tuple[Vector, Vector]:
    """The ends, in mm along (column, row) from the plane's origin, of what it has in common with the outer faces."""
    corners = grid.corners_of_faces
    heights = (corners - plane.origin) @ plane.normal
    beyond = float(np.clip(0, heights.min(), heights.max()))
    if abs(beyond) > _NOISE * _thickness(plane, grid, None):
        raise GeometryError(_missed(plane, heights))
    heights = heights - beyond
    edges = [(a, a | bit) for a in range(8) for bit in (1, 2, 4) if not a & bit]
    points = [corners[n] for n in range(8) if abs(heights[n]) <= _SAME * np.ptp(heights)]
    for a, b in edges:
        if heights[a] * heights[b] < 0:
            points.append(corners[a] + (corners[b] - corners[a]) * heights[a] / (heights[a] - heights[b]))
    flat = _in_plane(plane, np.array(points))
    return flat.min(axis=0), flat.max(axis=0)


def _missed(plane: SlicePlane, heights: Vector) -> str:
    """Where the volume lies, for a plane that misses it."""
    view = VIEWS[plane.view]
    if np.abs(plane.normal - view.normal).max() <= _NOISE:
        place = plane.origin[view.world]
        low, high = sorted(float(end * view.normal[view.world] + place) for end in (heights.min(), heights.max()))
        where = f"{plane.view} plane at {'xyz'[view.world]} = {place:.6g} mm"
        return f"the {where} misses the volume, which lies from {low:.6g} to {high:.6g} mm there (LPS)"
    at = float(plane.normal @ plane.origin)
    normal = ",".join(f"{value:.4g}" for value in triple_of(plane.normal.round(4)))
    return (
        f"the plane misses the volume: along its normal ({normal}) it lies at {at:.6g} mm, the volume from "
        f"{heights.min() + at:.6g} to {heights.max() + at:.6g} mm (LPS)"
    )


def _parallel(plane: SlicePlane, grid: Geometry) -> tuple[int, int] | None:
    """The axes of the grid that columns and rows run along, either way; None where they run along none."""
    matrix, found = np.array(grid.direction), []
    for way in (plane.column, plane.row):
        likeness = np.array(way) @ matrix
        axis = int(np.abs(likeness).argmax())
        off = np.linalg.norm(np.array(way) - np.sign(likeness[axis]) * matrix[:, axis])
        if off * grid.shape[axis] * grid.spacing[axis] > _DRIFT * min(grid.spacing):
            return None
        found.append(axis)
    return None if found[0] == found[1] else (found[0], found[1])


def _along(plane: SlicePlane, grid: Geometry, axes: tuple[int, int]) -> SlicePlane:
    """The plane with the very axes of the grid, so that nothing drifts from its voxels."""
    matrix = np.array(grid.direction)
    column, row = (
        np.sign(np.array(way) @ matrix[:, axis]) * matrix[:, axis]
        for way, axis in zip((plane.column, plane.row), axes, strict=True)
    )
    return replace(plane, column=triple_of(column + 0.0), row=triple_of(row + 0.0))


def _pixel(
    grid: Geometry,
    axes: tuple[int, int] | None,
    spacing: float | Pair | None,
    fov: Pair | None,
    size: tuple[int, int] | None,
) -> tuple[Vector, bool]:
    """Spacing along (j, i), and whether pixels are as large as the voxels of the grid."""
    if size is not None and (np.shape(size) != (2,) or not all(isinstance(n, Integral) and n >= 1 for n in size)):
        raise InputError(f"the size of a slice is two whole numbers of at least 1 (j, i), found {size!r}")
    own = np.full(2, min(grid.spacing)) if axes is None else np.array([grid.spacing[axis] for axis in axes])
    if size is not None and fov is not None:
        if spacing is not None:
            raise InputError("the size of a slice and its field of view make the pixel spacing: leave that one out")
        pixel = np.array(_lengths(fov, "field of view")) / size
    elif spacing is None:
        return own, True
    else:
        pair = tuple(spacing) if isinstance(spacing, Sequence) else (spacing, spacing)
        pixel = np.array(_lengths(pair, "pixel spacing"))
    same = bool((np.abs(pixel - own) <= _SAME * own).all())
    return (own if same else pixel), same


def _counts(extent: Vector, pixel: Vector) -> tuple[int, int]:
    """Pixels that cover an extent."""
    rows, columns = (max(1, math.ceil(n - _NOISE)) for n in (extent / pixel).tolist())
    if max(rows, columns) > _MOST_PIXELS:
        raise InputError(
            f"a slice of {columns} x {rows} pixels is more than anybody can look at: pixels are {pixel[1]:.6g} x "
            f"{pixel[0]:.6g} mm; give a larger --pixel or a smaller --fov"
        )
    return rows, columns


def _check_met(plane: SlicePlane, middle: Vector, half: Vector, ends: tuple[Vector, Vector]) -> None:
    low, high = ends
    if ((middle - half > high) | (middle + half < low)).any():
        there, volume = (
            ",".join(f"{value:.5g}" for value in _on_plane(plane, place)) for place in (middle, (low + high) / 2)
        )
        raise GeometryError(
            f"the field of view of {2 * half[1]:.5g} x {2 * half[0]:.5g} mm around {there} lies beside the volume, "
            f"which the plane meets around {volume} (LPS mm)"
        )


def _on_voxels(grid: Geometry, axes: tuple[int, int], point: Vector) -> Vector:
    """The nearest centre of a voxel along two axes of the grid; along the third the place stays, but for noise."""
    index = grid.world_to_index(point)
    for axis in range(3):
        nearest = math.floor(index[axis] + 0.5 + _NOISE)
        if axis in axes or abs(index[axis] - nearest) <= _NOISE:
            index[axis] = nearest
    return grid.index_to_world(index)


def _thickness(plane: SlicePlane, grid: Geometry, axes: tuple[int, int] | None) -> float:
    """Extent of a voxel along the plane's normal, mm."""
    shares = np.abs(plane.normal @ np.array(grid.direction)) * grid.spacing
    if axes is None:
        return float(shares.sum())
    (across,) = {0, 1, 2} - set(axes)
    spacing = grid.spacing[across]
    return spacing if abs(shares[across] - spacing) <= _SAME * spacing else float(shares[across])


def _in_plane(plane: SlicePlane, points: Vector) -> Vector:
    """Places (..., 2) in mm along (column, row) from the plane's origin."""
    flat: Vector = (points - np.array(plane.origin)) @ np.array([plane.column, plane.row]).T
    return flat


def _on_plane(plane: SlicePlane, place: Vector) -> Vector:
    point: Vector = np.array(plane.origin) + place @ np.array([plane.column, plane.row])
    return point


def _lengths(pair: Any, noun: str) -> Pair:
    given = tuple(pair) if isinstance(pair, Iterable) else (pair,)
    if len(given) != 2 or not all(isinstance(v, int | float | np.number) and math.isfinite(v) and v > 0 for v in given):
        raise InputError(f"the {noun} of a slice must be above 0 mm, found {', '.join(map(str, given))}")
    return float(given[0]), float(given[1])
