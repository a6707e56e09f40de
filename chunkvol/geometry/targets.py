"""Grids made from another one: of other spacing, size or direction, or a part of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from chunkvol.errors import GeometryError, InputError
from chunkvol.geometry.box import Box, region_of, say_extent
from chunkvol.geometry.grid import Geometry, Triple
from chunkvol.geometry.orientation import canonical_order, cardinal_axes, nearest_axes
from chunkvol.regions import Shape, voxels

_NOISE = 1e-6
"""Voxels that may be missing at the far end of an axis and the last one is still there."""
_WHOLE = 1e-9
"""What a ratio of spacings may be off a whole number and be meant as one."""
_MOST = 1 << 20
"""Voxels along an axis beyond which somebody mistook the unit: tables of each axis are held in memory."""

__all__ = ["bounded", "closed_box", "ends_of", "fitted", "resized", "respaced", "target_grid", "upright"]


def target_grid(
    geometry: Geometry,
    itemsize: int,
    *,
    spacing: float | Sequence[float] | None = None,
    size: int | Sequence[int] | None = None,
    percent: float | Sequence[float] | None = None,
    fit: int | None = None,
    bounds: tuple[Sequence[float], Sequence[float]] | None = None,
    upright: bool = False,
) -> Geometry:
    """The grid that somebody asks for in words: `upright` first, then the rest.

    Parameters
    ----------
    geometry
        What is changed.
    itemsize
        Bytes of a voxel, for `fit`.
    spacing, size, percent, fit
        At most one: see `respaced`, `resized`, `fitted`. Triples are in order (k, j, i).
    bounds
        Smallest and largest (x, y, z), LPS mm, see `bounded`: a part of the grid of that spacing or percent; size and
        fit are those of the part.
    upright
        Whether the grid is turned to run along the axes of the world, see `upright`.

    Raises
    ------
    InputError
        More than one of the four, or one of them cannot be had.
    GeometryError
        No voxel lies within the bounds.
    """
    asked = {"spacing": spacing, "size": size, "percent": percent, "fit": fit}
    given = [name for name, value in asked.items() if value is not None]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} each choose the grid; give one of them")
    if upright:
        geometry = _upright(geometry, spacing)
    if spacing is not None and not upright:
        geometry = respaced(geometry, spacing)
    if percent is not None:
        geometry = resized(geometry, percent=percent)
    if bounds is not None:
        geometry = bounded(geometry, *ends_of(bounds))
    if size is not None:
        geometry = resized(geometry, size)
    return geometry if fit is None else fitted(geometry, itemsize, fit)


# ---------------------------------------------------------------------------------------------------- spacing, size


def respaced(geometry: Geometry, spacing: float | Sequence[float]) -> Geometry:
    """The grid of other spacing on the same field of view: the first outer faces stay where they are.

    The origin moves by (new - old) / 2 along each axis, and there are floor(n * old / new + 1e-6) voxels, so that
    `respaced(g, f * old)` is `g.coarsened(f)`. An axis that is shorter than its new spacing becomes one voxel as long
    as the axis, as an axis shorter than its factor does.

    Parameters
    ----------
    geometry
        Any grid.
    spacing
        One or three in order (k, j, i), mm.

    Raises
    ------
    InputError
        A spacing that is not finite and above 0, or so small that an axis has more than a million (2^20) voxels.
    """
    wanted = _three(spacing, "spacing", lambda value: math.isfinite(value) and value > 0, "finite and above 0 mm")
    triples = zip(geometry.shape, geometry.spacing, wanted, strict=True)
    return _cut_anew(geometry, [min(_whole(new / old), float(n)) for n, old, new in triples])


def resized(
    geometry: Geometry,
    size: int | Sequence[int] | None = None,
    *,
    percent: float | Sequence[float] | None = None,
) -> Geometry:
    """The grid of so many voxels on the same field of view.

    Parameters
    ----------
    geometry
        Any grid.
    size
        One or three numbers of voxels in order (k, j, i): all outer faces stay where they are.
    percent
        Instead of the size, what share of the voxels there are to be along each axis: 50 doubles the spacing, see
        `respaced`.

    Raises
    ------
    InputError
        Neither or both; no whole number of at least 1 and at most 2^20; a share that is not finite and above 0.
    """
    if (size is None) == (percent is None):
        raise InputError("a size is given in voxels, or in percent of them; give one of the two")
    if percent is not None:
        share = _three(percent, "share", lambda value: math.isfinite(value) and value > 0, "finite and above 0 percent")
        k, j, i = (old * (100 / part) for old, part in zip(geometry.spacing, share, strict=True))
        return respaced(geometry, (k, j, i))
    counts = _three(
        size, "size", lambda value: value == math.floor(value) and value >= 1, "a whole number of at least 1"
    )
    return _cut_anew(geometry, [n / new for n, new in zip(geometry.shape, counts, strict=True)])


def fitted(geometry: Geometry, itemsize: int, limit: int) -> Geometry:
    """The finest grid on the same field of view whose voxels take at most `limit` bytes; the same one where it fits.

    One spacing is looked for that all axes share, but for those that are coarser already, which keep theirs. Of the
    spacings that make as many voxels the one is taken that leaves least of the field of view over.

    Parameters
    ----------
    geometry
        Any grid.
    itemsize
        Bytes of a voxel.
    limit
        Bytes of all voxels, without a pyramid.

    Raises
    ------
    InputError
        Not even one voxel fits.
    """
    if itemsize > limit:
        raise InputError(f"not even one voxel of {itemsize} bytes fits {limit} bytes")
    if voxels(geometry.shape) * itemsize <= limit:
        return geometry

    def at(common: float) -> Geometry:
        return respaced(geometry, [max(common, old) for old in geometry.spacing])

    fine, coarse = 0.0, max(n * s for n, s in zip(geometry.shape, geometry.spacing, strict=True))
    while fine < (middle := (fine + coarse) / 2) < coarse:
        if voxels(at(middle).shape) * itemsize <= limit:
            coarse = middle
        else:
            fine = middle
    return at(_fullest(geometry, at(coarse).shape, coarse))


def _fullest(geometry: Geometry, shape: Shape, common: float) -> float:
    """The largest common spacing that still makes a grid of this shape."""
    ends = [
        n * old / new if old <= common else old
        for n, old, new in zip(geometry.shape, geometry.spacing, shape, strict=True)
        if new > 1
    ]
    return max(common, min(ends, default=common))


def _cut_anew(geometry: Geometry, ratios: Sequence[float]) -> Geometry:
    """The grid with voxels of so many old ones along (k, j, i), the first outer faces kept."""
    counts = [n / ratio for n, ratio in zip(geometry.shape, ratios, strict=True)]
    _check_counts(counts, geometry.shape)
    k, j, i = (max(1, math.floor(count + _NOISE)) for count in counts)
    dk, dj, di = (old * ratio for old, ratio in zip(geometry.spacing, ratios, strict=True))
    shift = [(ratio - 1) / 2 for ratio in ratios]
    origin = tuple(geometry.index_to_world(shift).tolist()) if any(shift) else geometry.origin
    return replace(geometry, shape=(k, j, i), origin=origin, spacing=(dk, dj, di))


def _check_counts(counts: Sequence[float], shape: Shape) -> None:
    """Refuse axes that nobody can mean; one that is as long as the longest there is already may stay so."""
    if not all(count <= max(_MOST, *shape) for count in counts):
        found = " x ".join(f"{max(1.0, count):.4g}" for count in reversed(counts))
        raise InputError(
            f"the grid would have {found} voxels (x, y, z), more than a million along an axis: take a larger spacing "
            "(50um is 0.05 mm), a smaller size, or a part of the scan"
        )


def _whole(ratio: float) -> float:
    """The whole number that a ratio is but for rounding, or itself."""
    near = float(round(ratio)) if ratio < _MOST else ratio
    return near if near and abs(ratio - near) <= _WHOLE * near else ratio


def _three(given: Any, noun: str, good: Callable[[float], bool], said: str) -> Triple:
    """One or three checked numbers, as three in order (k, j, i)."""
    values = tuple(given) if isinstance(given, Iterable) else (given,) * 3
    numbers = all(isinstance(value, int | float | np.number) for value in values)
    if len(values) != 3 or not numbers or not all(math.isfinite(value) and good(value) for value in values):
        raise InputError(f"a {noun} must be {said}, one or three in order (k, j, i), found {given!r}")
    k, j, i = map(float, values)
    return k, j, i


# -------------------------------------------------------------------------------------------------- upright, bounds


def upright(geometry: Geometry, spacing: float | Sequence[float] | None = None) -> Geometry:
    """The grid along the axes of the world (i, j, k grow to L, P, S) that covers the outer faces of another one.

    Parameters
    ----------
    geometry
        Any grid. One that is upright but for its order keeps its voxels where they are.
    spacing
        One or three in order (k, j, i) of the result, mm; by default those of the axes that run nearest.

    Raises
    ------
    InputError
        As `respaced`.
    """
    if spacing is None:
        order = canonical_order(geometry) if cardinal_axes(geometry, 0.0) else None
        if order is not None:
            return geometry.reordered(*order)
        own = {world: geometry.spacing[axis] for axis, (world, _) in enumerate(nearest_axes(geometry))}
        spacing = (own[2], own[1], own[0])
    steps = _three(spacing, "spacing", lambda value: math.isfinite(value) and value > 0, "finite and above 0 mm")
    corners = geometry.corners_of_faces
    low, high = corners.min(axis=0)[::-1].tolist(), corners.max(axis=0)[::-1].tolist()
    counts = [(b - a) / s - _NOISE for a, b, s in zip(low, high, steps, strict=True)]
    _check_counts(counts, geometry.shape)
    k, j, i = (max(1, math.ceil(count)) for count in counts)
    z, y, x = (a + s / 2 for a, s in zip(low, steps, strict=True))
    return Geometry((k, j, i), (x, y, z), steps)


_upright = upright


def bounded(geometry: Geometry, low: Sequence[float], high: Sequence[float]) -> Geometry:
    """The voxels of a grid, whole ones on the same lattice, whose centres lie in a box of the world.

    The box may reach beyond the grid, which then grows. Where grid and box are at an angle, the bounding box in the
    grid's index is taken.

    Parameters
    ----------
    geometry
        Any grid.
    low, high
        Smallest and largest (x, y, z), LPS mm; an infinite one is where the grid ends.

    Raises
    ------
    InputError
        A smallest number lies above its largest, or the box is more than 2^31 voxels away or 2^20 voxels long.
    GeometryError
        No centre lies in the box.
    """
    region = region_of(geometry, closed_box(geometry, low, high))
    if any(part.stop <= part.start for part in region):
        raise GeometryError(
            f"no voxel centre lies in the box from {_said(low)} to {_said(high)} mm (x, y, z): its voxels are "
            f"{_said(geometry.spacing[::-1])} mm apart; the grid lies at {say_extent(geometry)}"
        )
    _check_counts([float(part.stop - part.start) for part in region], geometry.shape)
    return geometry.cropped(region)


def closed_box(geometry: Geometry, low: Sequence[float], high: Sequence[float]) -> Box:
    """The box of the world between two points (x, y, z), LPS mm; where one is infinite it ends with the grid.

    Raises
    ------
    InputError
        They are no three numbers each, or a smallest number lies above its largest.
    """
    corners = geometry.corners_of_faces
    ends = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    if len(low) != 3 or len(high) != 3:
        raise InputError(f"bounds are three smallest and three largest numbers (x, y, z), found {low!r} and {high!r}")
    first = [min(own, b) if a == -math.inf else a for a, b, own in zip(low, high, ends[0], strict=True)]
    last = [max(own, a) if b == math.inf else b for a, b, own in zip(low, high, ends[1], strict=True)]
    return Box.between(first, last)


def ends_of(bounds: Any) -> tuple[Sequence[float], Sequence[float]]:
    """The two points of bounds, checked to be two of three numbers each.

    Raises
    ------
    InputError
        They are anything else.
    """
    if np.shape(bounds) != (2, 3):
        raise InputError(
            "bounds are three smallest and three largest numbers, ((x, y, z), (x, y, z)) in LPS mm, found "
            + " ".join(repr(bounds).split())
        )
    low, high = bounds
    return low, high


def _said(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
