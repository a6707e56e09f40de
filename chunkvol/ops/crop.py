"""Cutting out a part: by voxels, by a box of the world, or by a region that somebody drew."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from chunkvol.errors import GeometryError, InputError
from chunkvol.geometry import Box, Geometry
from chunkvol.geometry.box import region_of, say_extent
from chunkvol.geometry.targets import closed_box, ends_of
from chunkvol.regions import Region, intersection, normalise, whole
from chunkvol.volume import Volume, check_volume

__all__ = ["crop"]


def crop(
    volume: Volume,
    *,
    voxels: object = None,
    bounds: tuple[Sequence[float], Sequence[float]] | None = None,
    roi: Box | None = None,
    margin: float = 0.0,
) -> Volume:
    """A part of a volume: its voxels and their places as they are; lazy, without the pyramid.

    Exactly one of `voxels`, `bounds` and `roi` says which part. Boxes of the world take the voxels whose centres lie in
    them, and where box and grid are at an angle the bounding box of these in the grid, so that voxels beside the box
    come along; what of a box lies beyond the volume is left out, and `metadata.problems` says so.

    Parameters
    ----------
    volume
        What is cut.
    voxels
        Slices in array order (k, j, i), as `volume[...]` takes them; negative ones count from the end.
    bounds
        Smallest and largest (x, y, z), LPS mm; an infinite one is where the volume ends.
    roi
        A box of any direction: `read_markups(path)[0].box` of a region of interest of Slicer.
    margin
        Millimetres by which the part is larger on all sides, where the volume has them; with `voxels` rounded up.

    Raises
    ------
    InputError
        None or several of the three; voxels that are not there; a box or a margin that is none.
    GeometryError
        No voxel centre lies in the box.
    """
    check_volume(volume)
    asked = {"voxels": voxels, "bounds": bounds, "roi": roi}
    given = [name for name, value in asked.items() if value is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise InputError(f"a part is named by one of voxels, bounds and roi; found {found}")
    if voxels is not None:
        return volume[_grown(_checked(voxels, volume), volume.geometry, margin)]
    box = roi if bounds is None else closed_box(volume.geometry, *ends_of(bounds))
    if not isinstance(box, Box):
        raise InputError(f"a roi is a box of the world, found {type(box).__name__}; see read_markups(path)[0].box")
    part = _in_box(volume, box, margin)
    ended = bounds is None or all(math.isfinite(end) for point in bounds for end in point)
    said = _missing(volume.geometry, box) if ended else []
    return replace(part, metadata=replace(part.metadata, problems=(*part.metadata.problems, *said)))


def _in_box(volume: Volume, box: Box, margin: float) -> Volume:
    grid = volume.geometry
    region = intersection(region_of(grid, box.grown(margin)), whole(grid.shape))
    if any(part.stop <= part.start for part in region):
        corners = box.grown(margin).corners
        low, high = corners.min(axis=0), corners.max(axis=0)
        asked = ", ".join(f"{name} {a:.6g} to {b:.6g}" for name, a, b in zip("xyz", low, high, strict=True))
        raise GeometryError(
            f"no voxel centre lies in the box ({asked} mm, LPS): the volume lies at {say_extent(grid)}, its voxels "
            f"{' x '.join(f'{s:.6g}' for s in grid.spacing[::-1])} mm apart"
        )
    return volume[region]


def _missing(grid: Geometry, box: Box) -> list[str]:
    """What there is to say of a box that reaches beyond the volume by a voxel or more."""
    asked = region_of(grid, box)
    ends = zip("zyx", asked, grid.shape, strict=True)
    beyond = [name for name, part, n in ends if part.start < 0 or part.stop > n]
    if not beyond:
        return []
    axes = " and ".join(reversed(beyond))
    return [f"the box reaches beyond the volume along its {axes}; the part ends where the volume does"]


def _checked(key: object, volume: Volume) -> Region:
    """Slices that ask for no voxel that is not there, which numpy would pass over."""
    parts = key if isinstance(key, tuple) else (key,)
    if Ellipsis not in parts:
        for name, part, n in zip("zyx", parts, volume.shape, strict=False):
            ends = [end for end in (part.start, part.stop) if end is not None] if isinstance(part, slice) else []
            if any(not isinstance(end, int | np.integer) or not -n <= end <= n for end in ends):
                raise InputError(f"voxels {part.start}:{part.stop} along {name} are not all there: it has 0:{n}")
    try:
        return normalise(key, volume.shape)
    except IndexError as error:
        raise InputError(f"{error}; the volume has {volume.shape[::-1]} voxels (x, y, z)") from error


def _grown(region: Region, grid: Geometry, margin: float) -> Region:
    """The region with a margin of whole voxels, as far as the volume has them."""
    if not (math.isfinite(margin) and margin >= 0):
        raise InputError(f"a margin must be finite and at least 0 mm, found {margin!r}")
    most = max(grid.shape)
    extra = [min(most, math.ceil(min(margin / s, most) - 1e-6)) for s in grid.spacing]
    k, j, i = (slice(part.start - more, part.stop + more) for part, more in zip(region, extra, strict=True))
    return intersection((k, j, i), whole(grid.shape))
