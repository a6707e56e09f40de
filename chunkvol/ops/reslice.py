"""One slice of a volume along any plane, thin or as a slab (multi-planar reformat)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol import kernels
from chunkvol.errors import InputError
from chunkvol.geometry import Geometry, mapping_between
from chunkvol.geometry.fields import overlap
from chunkvol.geometry.planes import VIEWS, SlicePlane
from chunkvol.geometry.slices import Pair, slab_planes, slice_grid
from chunkvol.metadata import Metadata, Rescale
from chunkvol.ops.resample import outside_value, resample
from chunkvol.ops.slab import SlabSource
from chunkvol.segments import KEY, Segmentation
from chunkvol.values import RescaledSource
from chunkvol.volume import Volume, check_volume

COMBINED = ("mean", "max", "min")
"""How the planes of a slab become one; max is a maximum intensity projection, min a minimum one."""

_THIN = 1e-3
"""Part of a voxel that is as good as none."""

__all__ = ["COMBINED", "reslice"]


def reslice(
    volume: Volume,
    plane: SlicePlane,
    *,
    spacing: float | Pair | None = None,
    fov: Pair | None = None,
    centre: npt.ArrayLike | None = None,
    size: tuple[int, int] | None = None,
    slab: float = 0.0,
    combine: str = "mean",
    method: str | None = None,
    outside: float | None = None,
) -> Volume:
    """The slice of a volume along a plane, of shape (1, rows, columns), where it lies in the world; lazy.

    A plane along two axes of the volume has its pixels on voxels, unless `spacing` says otherwise; through centres of
    voxels it copies them bit for bit.

    Parameters
    ----------
    volume
        What is cut. Stored values are interpolated; slope and intercept stay as they are.
    plane
        `SlicePlane.anatomical("axial", 12.5)`, `.facing(point, normal)`, `.through(points)` or `.framed(matrix)`.
    spacing, fov, centre, size
        Pixels and field of view, (j, i); see `slice_grid`.
    slab
        Thickness in mm, centred on the plane; 0 is a thin slice. A slab is made of as many planes as there are voxels
        across, evenly spread.
    combine
        Of the real values across a slab: mean, max or min of those planes that lie within the volume. Of labels only
        max: the largest one.
    method
        See `resample`; by default linear, and nearest for segmentations. Nothing is averaged where pixels are coarse.
    outside
        Real value of pixels beyond the outer faces of the volume; see `resample`.

    Raises
    ------
    GeometryError
        The plane or the field of view has no point in common with the volume.
    InputError
        A length, the method or the way to combine makes no sense for this volume.
    """
    check_volume(volume)
    if not isinstance(plane, SlicePlane):
        raise InputError(f"the plane is a SlicePlane, such as SlicePlane.anatomical('axial', 12.5), not {plane!r}")
    _check_combine(volume, combine, slab)
    flat = slice_grid(plane, volume.geometry, spacing=spacing, fov=fov, centre=centre, size=size, slab=slab)
    count = slab_planes(plane, volume.geometry, slab) if slab else 1
    how: dict[str, Any] = {
        "method": method or ("nearest" if KEY in volume.metadata.extra else "linear"),
        "antialias": False,
        "outside": outside,
    }
    planes = flat.refined((count, 1, 1))
    mixed = count > 1 and combine == "mean" and volume.dtype.kind in "iu"
    found = resample(_as_real(volume) if mixed else volume, planes, **how)
    if count == 1:
        # Of a thin slice only the plane itself has to lie inside.
        told = found if slab else resample(volume, _thinned(flat), **how)
        metadata = _metadata(told.metadata, volume, plane, _said(plane, slab, count, combine))
        return Volume(found.source, flat, metadata)
    problems = (*volume.metadata.problems, *_missing(flat, volume))
    metadata = replace(found.metadata, problems=problems)
    kernel = kernels.for_stored(combine, volume.metadata.rescale.slope)
    source = SlabSource(
        found.source,
        mapping_between(planes, volume.geometry),
        volume.shape,
        kernel,
        outside_value(volume, outside),
        volume.dtype,
    )
    return Volume(source, flat, _metadata(metadata, volume, plane, _said(plane, slab, count, combine)))


def _as_real(volume: Volume) -> Volume:
    """The same stored values as real numbers, so that their mean is rounded once."""
    return replace(volume, data=RescaledSource(volume.source, Rescale(), np.dtype(np.float64)), coarser=())


def _missing(slab: Geometry, volume: Volume) -> list[str]:
    """What there is to say of a slab that is not all there."""
    inside = overlap(slab, volume.geometry).of_a
    if inside > 1 - 1e-6:
        return []
    return [f"{1 - inside:.1%} of the slab lies outside the field of view and takes no part in its pixels"]


def _check_combine(volume: Volume, combine: str, slab: float) -> None:
    if combine not in COMBINED:
        raise InputError(f"planes of a slab are combined by {', '.join(COMBINED)}, not {combine!r}")
    if not slab or KEY not in volume.metadata.extra:
        return
    if combine != "max":
        raise InputError(
            f"the volume is a segmentation: the {combine} across a slab would make labels that mean nothing; take a "
            "thin slice, or --combine max for the largest label"
        )
    if len(Segmentation.from_json(volume.metadata.extra[KEY]).counts) > 1:
        raise InputError(
            "the segmentation has layers that overlap, of which no label is the largest: take a thin slice, or one "
            "segment by --segment"
        )


def _thinned(flat: Geometry) -> Geometry:
    """The same pixels, hardly thick."""
    thick, down, along = flat.spacing
    return replace(flat, spacing=(_THIN * thick, down, along))


def _metadata(found: Metadata, volume: Volume, plane: SlicePlane, step: str) -> Metadata:
    """What is known of the slice, from what is known of the resampled planes."""
    problems = (*found.problems, *plane.notes)
    return replace(found.with_step(step), pyramid=volume.metadata.pyramid, problems=problems)


def _said(plane: SlicePlane, slab: float, count: int, combine: str) -> str:
    """How a history tells of it; the plane itself is the grid of the result."""
    exact = bool(abs(plane.normal @ VIEWS[plane.view].normal) > 1 - 1e-9)
    what = f"slice {plane.view}" if exact else f"slice askew, nearest to {plane.view}"
    return f"{what}, slab of {slab:g} mm, {combine} of {count}" if slab else what
