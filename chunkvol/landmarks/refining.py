"""Landmarks moved to the middle of what they were placed on, on the volume of full resolution."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.geometry import Geometry
from chunkvol.landmarks.crops import any_order, read_crops
from chunkvol.landmarks.lists import lists_of
from chunkvol.landmarks.peaks import Sphere, centroid, extremum
from chunkvol.landmarks.points import Landmarks, Points
from chunkvol.progress import Progress, Silent
from chunkvol.regions import Region, Shape, voxels
from chunkvol.volume import Volume

Method = Literal["centroid", "extremum"]
METHODS: tuple[Method, ...] = get_args(Method)

UNPLACED = "not placed"
OUTSIDE = "out of the field of view"
_VOXELS = 3.0
"""Of the coarsest axis, the radius where nothing else is said."""
_TRAVEL = {"centroid": 2, "extremum": 1}
"""Radii that a crop reaches from the point: a window that follows may move by one."""
_LARGEST = 1 << 24
"""Voxels of a crop that is still read: 128 MiB in double precision."""
_PLANAR = ("Plane", "ROI")

__all__ = ["METHODS", "Method", "Refined", "refine", "usual_radius"]


@dataclass(frozen=True)
class Refined:
    """Landmarks at their new places, and what became of each."""

    landmarks: Landmarks
    """All points in their order; those that were not moved are where they were, bit for bit."""
    moved: npt.NDArray[np.float64]
    """How far each was moved, mm, shape (n,); 0 where it was not, NaN where it has no place."""
    why: tuple[str, ...]
    """Why each was not moved; empty for those that were."""
    radius: float
    """Of the windows, mm: no centroid was moved by more, and no voxel beyond it taken for an extremum."""

    def __str__(self) -> str:
        """One line for people."""
        good = [n for n, word in enumerate(self.why) if not word]
        told = f"{len(good)} of {len(self.why)} points moved"
        if good:
            lengths = self.moved[good]
            far = max(good, key=lambda n: self.moved[n])
            name = self.landmarks.labels[far] or f"#{far + 1}"
            told += f", by {np.median(lengths):.4g} mm (median) and {lengths.max():.4g} mm ({name}) at most"
        return f"{told}; windows of {self.radius:.4g} mm"


def refine(
    landmarks: Landmarks,
    volume: Volume,
    *,
    method: Method = "centroid",
    radius: float | None = None,
    placed_on: Geometry | None = None,
    bright: bool = True,
    iterations: int = 20,
    progress: Progress | None = None,
) -> Refined:
    """Put each point on the middle of the bright (or dark) spot around it, found in the volume's real values.

    Only a small crop around each point is read, in an order in which chunks are decoded once for many points; memory
    does not grow with their number. Windows are spheres in mm, on oblique and sheared grids too. A point that cannot
    be refined stays where it is, and `Refined.why` says why.

    Parameters
    ----------
    landmarks
        LPS mm. Labels, descriptions and all else stay.
    volume
        What the points are refined on: the full resolution.
    method
        "centroid": of what lies above its surroundings, weighed by how much; the window follows. "extremum": the
        largest voxel, and between voxels the top of the parabola through it and its 26 neighbours, by least squares.
    radius
        Of the window, mm, and the most that a centroid is moved; see `usual_radius` for what is taken otherwise.
    placed_on
        The grid that the points were placed on, such as that of the coarser level.
    bright
        False looks for dark spots.
    iterations
        Most steps of a centroid.
    progress
        Told about points.

    Raises
    ------
    InputError
        The radius covers less than a voxel or so many that crops are not small, the method is unknown, or the points
        make a plane or a region, whose place is more than its points.
    """
    _check(landmarks, method, iterations)
    grid = volume.geometry
    reach = _checked_radius(radius, grid) if radius is not None else usual_radius(grid, placed_on)
    sphere = Sphere(grid.affine[:3, :3], reach)
    _check_crop(sphere, _TRAVEL[method], grid)
    points = np.array(landmarks.points)
    why = _reasons(landmarks, grid)
    inside = [n for n, word in enumerate(why) if not word]
    indices = grid.world_to_index(points[inside])
    told = progress or Silent()
    told.stage("refining", len(inside), "points")
    for n, (index, word) in _found(volume, indices, sphere, method, bright, iterations):
        told.advance(1)
        why[inside[n]] = word
        if not word:
            points[inside[n]] = grid.index_to_world(index)
    moved = np.asarray(np.linalg.norm(points - landmarks.points, axis=1))
    return Refined(landmarks.at(points), moved, tuple(why), reach)


def usual_radius(grid: Geometry, placed_on: Geometry | None = None) -> float:
    """The radius that is taken where none is said, mm: three voxels of the coarsest axis.

    It is half the longest diagonal of a voxel of `placed_on` where that is more: what was meant lies in that voxel.
    """
    least = _VOXELS * max(grid.spacing)
    if placed_on is None:
        return least
    steps = placed_on.affine[:3, :3]
    diagonals = [np.linalg.norm(steps @ np.array(signs)) for signs in product((1, -1), repeat=3)]
    return max(least, float(max(diagonals)) / 2)


def _found(
    volume: Volume, indices: Points, sphere: Sphere, method: Method, bright: bool, iterations: int
) -> Iterator[tuple[int, tuple[Points, str]]]:
    """The number of each point, its index in the volume, and why it has none of its own."""
    boxes = [_box(index, sphere, _TRAVEL[method], volume.shape) for index in indices]
    with any_order(volume.values.source) as source:
        for n, block in read_crops(source, boxes):
            crop = block.astype(np.float64) if bright else -block.astype(np.float64)
            first = np.array([part.start for part in boxes[n]])
            start = indices[n] - first
            found = centroid(crop, start, sphere, iterations) if method == "centroid" else extremum(crop, start, sphere)
            yield n, (found[0] + first, found[1])


def _box(index: Points, sphere: Sphere, travel: int, shape: Shape) -> Region:
    """The voxels that a window can meet, with one more on each side for neighbours of the last."""
    reach = travel * sphere.half
    low, high = np.floor(index - reach) - 1, np.ceil(index + reach) + 2
    k, j, i = (
        slice(min(max(int(a), 0), n - 1), max(min(int(b), n), 1)) for a, b, n in zip(low, high, shape, strict=True)
    )
    return k, j, i


def _reasons(landmarks: Landmarks, grid: Geometry) -> list[str]:
    """Why points cannot be refined, from their places alone."""
    placed = landmarks.placed
    index = grid.world_to_index(np.where(placed[:, None], landmarks.points, 0))
    seen = np.all((index >= -0.5) & (index <= np.array(grid.shape) - 0.5), axis=1)
    return [UNPLACED if not p else "" if s else OUTSIDE for p, s in zip(placed, seen, strict=True)]


def _check(landmarks: Landmarks, method: str, iterations: int) -> None:
    if method not in METHODS:
        raise InputError(f"points are refined by {' or '.join(METHODS)}, not {method!r}")
    if iterations < 1:
        raise InputError(f"a centroid takes at least 1 step, found {iterations}")
    if landmarks.frame == "IJK":
        raise InputError("the points are voxel indices (ijk); place them on their volume first")
    planar = [str(one["type"]) for one in lists_of(landmarks)[0] if one["type"] in _PLANAR]
    if planar:
        raise InputError(
            f"the landmarks are a {planar[0]} of Slicer's, whose place is more than its points: only points, lines, "
            "angles and curves are refined"
        )


def _checked_radius(radius: float, grid: Geometry) -> float:
    if not (math.isfinite(radius) and radius > 0):
        raise InputError(f"the radius of a window is a length above 0 mm, found {radius}")
    half = Sphere(grid.affine[:3, :3], radius).half
    if half.min() < 1:
        raise InputError(
            f"a radius of {radius:g} mm covers {half.min():.2g} voxels along {'zyx'[int(half.argmin())]} of the "
            f"volume, less than one on each side; take at least {radius / half.min():.3g} mm"
        )
    return radius


def _check_crop(sphere: Sphere, travel: int, grid: Geometry) -> None:
    """A crop must stay small, whatever the radius; it is never larger than the volume."""
    sides = [min(2 * travel * h + 4, n) for h, n in zip(sphere.half, grid.shape, strict=True)]
    count = voxels([math.ceil(side) for side in sides])
    if count > _LARGEST:
        raise InputError(
            f"a radius of {sphere.radius:.4g} mm needs {count} voxels around each point, more than {_LARGEST}: take a "
            "smaller one, or refine on a coarser level first"
        )
