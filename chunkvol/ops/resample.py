"""Resampling onto any grid: parallel axes by a filter along each, oblique ones voxel by voxel; labels by vote."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from chunkvol import kernels
from chunkvol.errors import GeometryError, InputError
from chunkvol.geometry import Affine, Geometry, mapping_between, moved
from chunkvol.geometry.fields import overlap
from chunkvol.geometry.grid import Triple
from chunkvol.geometry.targets import target_grid
from chunkvol.kernels.resampling import METHODS, taps_for
from chunkvol.ops.downsample import downsample
from chunkvol.ops.oblique import ObliqueSource
from chunkvol.ops.reorient import ReorderedSource
from chunkvol.ops.separable import SeparableSource
from chunkvol.regions import Shape
from chunkvol.segments import KEY
from chunkvol.sources import Source
from chunkvol.volume import Volume, check_volume

LABEL = "label"
"""The method that chooses labels and computes none."""
RESAMPLERS = (*METHODS, LABEL)
"""How voxels of another grid get their values."""

_AIR = -1000.0
"""Hounsfield units of what lies outside a body."""
_FINEST_VOTE = 16
"""Places along an axis at which a vote looks at most."""

__all__ = ["LABEL", "RESAMPLERS", "outside_value", "resample"]


def resample(
    volume: Volume,
    like: Geometry | Volume | None = None,
    *,
    spacing: float | Triple | None = None,
    size: int | Shape | None = None,
    percent: float | Triple | None = None,
    fit: int | None = None,
    itemsize: int | None = None,
    bounds: tuple[Triple, Triple] | None = None,
    upright: bool = False,
    method: str | None = None,
    antialias: bool = True,
    outside: float | None = None,
    transform: Affine | None = None,
) -> Volume:
    """The volume on another grid; lazy.

    Parameters
    ----------
    volume
        Stored values are interpolated; slope and intercept stay as they are.
    like
        The grid, or a volume that has it: of any direction, spacing and size, oblique, sheared or left-handed. By
        default the volume's own, changed by what follows; so is the one that is given.
    spacing, size, percent, fit
        At most one of them. Spacing in mm, numbers of voxels, or percent of them, one for all axes or three along
        (k, j, i), with the outer faces kept; or the most bytes that the voxels may take.
    itemsize
        Bytes of a voxel, for `fit`, where it is to be written as another type; by default the volume's.
    bounds
        Smallest and largest (x, y, z), LPS mm: only voxels of the grid whose centres lie in this box, which may reach
        beyond the volume.
    upright
        Turn the grid so that i, j, k run along L, P, S, and cover all of it.
    method
        linear, cubic (B-spline), lanczos (radius 3), nearest, or label: the most frequent label within each voxel
        (ties: the smallest), the nearest one where the grid is not coarser. By default linear, and label for
        segmentations, whose labels are never mixed.
    antialias
        Where the grid is coarser, average what a voxel covers: linear on parallel axes by area (with whole factors the
        mean), all else by a Gaussian of sigma `sqrt(width^2 - 1) / 2` source voxels. Not for nearest and label.
    outside
        Real value of voxels whose centre lies beyond the outer faces of `volume`; by default what the volume says is
        padding, else -1000 where values are HU, else 0.
    transform
        4 x 4, LPS mm: from a world point of the result to the point of `volume` that is shown there, as transforms of
        ITK go.

    Raises
    ------
    InputError
        Unknown method, one that would mix labels, labels asked of real numbers, a type that cannot be interpolated,
        or a value outside that the type does not hold.
    GeometryError
        The grid and the volume have no point in common, or the transform is singular.
    """
    check_volume(volume)
    base = volume if like is None else like
    if not isinstance(base, Volume | Geometry):
        raise InputError(f"the grid is that of a Volume or a Geometry, not of {type(base).__name__}: see open_volume")
    target = target_grid(
        base.geometry if isinstance(base, Volume) else base,
        itemsize or volume.dtype.itemsize,
        spacing=spacing,
        size=size,
        percent=percent,
        fit=fit,
        bounds=bounds,
        upright=upright,
    )
    chosen, value = _method(volume, method), outside_value(volume, outside)
    seen = target if transform is None else moved(target, transform)
    problems = _seen_part(volume, seen, value)
    if chosen == LABEL and not antialias:
        problems = [*problems, "--no-antialias changes nothing of a vote on labels; the method nearest takes none"]
    source = _voted(volume, seen, value) if chosen == LABEL else _found(volume, seen, chosen, antialias, value)
    # The list of a series' images is one of planes, of which none is left.
    extra = {name: fact for name, fact in volume.metadata.extra.items() if name != "instances"}
    metadata = replace(volume.metadata, extra=extra).with_step(_said(chosen, antialias, value, transform))
    if transform is not None:
        frame = like.metadata.frame_of_reference if isinstance(like, Volume) else ""
        metadata = replace(metadata, frame_of_reference=frame)
    pyramid = "mode" if chosen == LABEL else metadata.pyramid
    metadata = replace(metadata, pyramid=pyramid, problems=(*metadata.problems, *problems))
    return Volume(source, target, metadata)


def _method(volume: Volume, asked: str | None) -> str:
    """As asked, else what suits the values."""
    labels = KEY in volume.metadata.extra
    if asked is None:
        return LABEL if labels else "linear"
    if asked not in RESAMPLERS:
        raise InputError(f"unknown method {asked!r}; use one of {', '.join(RESAMPLERS)}")
    if labels and asked not in (LABEL, "nearest"):
        raise InputError(
            f"the volume is a segmentation: {asked} would make labels that mean nothing; "
            "take nearest, or leave the method out"
        )
    if asked == LABEL and volume.dtype.kind not in "iu":
        raise InputError(
            f"labels are integers, and the volume holds {volume.dtype.name}: take the method linear for an image, or "
            "nearest for labels that somebody stored as real numbers"
        )
    if asked not in (LABEL, "nearest"):
        kernels.check_interpolable(volume.dtype)
    return asked


def _said(method: str, antialias: bool, value: float, transform: Affine | None) -> str:
    """How a history tells of it: all that determines the voxels, besides the grid."""
    plain = "" if antialias or method in (LABEL, "nearest") else " without antialias"
    through = "" if transform is None else f" through {np.asarray(transform, float)[:3].tolist()}"
    return f"resample {method}{plain} outside {value:g}{through}"


def _found(volume: Volume, seen: Geometry, method: str, antialias: bool, value: float) -> Source:
    """Parallel axes are filtered one by one; for all else each voxel finds its own neighbours."""
    source, mapping = volume.source, mapping_between(seen, volume.geometry)
    order = mapping.axes(seen.shape)
    if order is None:
        return ObliqueSource(source, mapping, seen.shape, method, antialias, value)
    axes, backwards = order
    turned = source if axes == (0, 1, 2) and not any(backwards) else ReorderedSource(source, axes, backwards)
    taps = []
    for axis, (of, back) in enumerate(zip(axes, backwards, strict=True)):
        scale, offset, length = mapping.matrix[of][axis], mapping.offset[of], source.shape[of]
        if back:
            scale, offset = -scale, length - 1 - offset
        line: dict[str, Any] = {"scale": scale, "offset": offset, "count": seen.shape[axis], "length": length}
        taps.append(taps_for(method, **line, antialias=antialias, backwards=back))
    return SeparableSource(turned, (taps[0], taps[1], taps[2]), value)


def _voted(volume: Volume, seen: Geometry, value: float) -> Source:
    """The nearest labels at several places within each voxel, of which the most frequent wins."""
    strides = mapping_between(seen, volume.geometry).strides
    k, j, i = (min(_FINEST_VOTE, max(1, math.ceil(step - 1e-6))) for step in strides)
    fine = seen.refined((k, j, i))
    nearest = _found(volume, fine, "nearest", False, value)
    return downsample(Volume(nearest, fine), (k, j, i), method="mode").source if fine != seen else nearest


# ------------------------------------------------------------------------------------------------------- outside


def outside_value(volume: Volume, real: float | None) -> float:
    """The stored value of what lies outside a volume.

    Parameters
    ----------
    real
        The real value, or None for what suits the volume.

    Raises
    ------
    InputError
        The type of the voxels does not hold it.
    """
    scale, dtype = volume.metadata.rescale, volume.dtype
    if real is None:
        return _usual_outside(volume)
    stored = (real - scale.intercept) / scale.slope
    if dtype.kind == "f":
        return stored
    whole = round(stored) if math.isfinite(stored) else None
    limits = (0, 0) if dtype.kind not in "iu" else _limits(dtype)
    if whole is None or abs(whole - stored) > 1e-6 * max(1.0, abs(stored)) or not limits[0] <= whole <= limits[1]:
        raise InputError(
            f"the value outside, {real:g}, is no voxel of type {dtype.name} with slope {scale.slope:g} and intercept "
            f"{scale.intercept:g}; choose another --outside, or read the volume's real values as float32"
        )
    return whole


def _usual_outside(volume: Volume) -> float:
    padding = volume.metadata.extra.get("padding")
    if padding:
        return float(padding[0])
    if KEY in volume.metadata.extra:
        return 0
    scale, dtype = volume.metadata.rescale, volume.dtype
    stored = ((_AIR if scale.unit == "HU" else 0.0) - scale.intercept) / scale.slope
    if dtype.kind == "f":
        return stored
    low, high = volume.metadata.stored_range or _limits(dtype)
    return min(max(round(stored), low), high)


def _limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


def _seen_part(volume: Volume, seen: Geometry, value: float) -> list[str]:
    """What is to be said of a grid that reaches beyond the volume."""
    inside = overlap(seen, volume.geometry).of_a
    if inside <= 0:
        raise GeometryError(
            f"the grid and the volume have no point in common: the grid covers {_extent(seen)}, the volume "
            f"{_extent(volume.geometry)}; are they of one scan, and both in LPS mm?"
        )
    if inside > 1 - 1e-6:
        return []
    scale = volume.metadata.rescale
    real = scale.slope * value + scale.intercept
    unit = f" {scale.unit}" if scale.unit else ""
    return [
        f"{1 - inside:.1%} of the grid lies outside the field of view: its voxels get {real:g}{unit}; --outside "
        "sets another value"
    ]


def _extent(geometry: Geometry) -> str:
    """The box of the world around the outer faces, for people."""
    corners = geometry.corners_of_faces
    low, high = corners.min(axis=0), corners.max(axis=0)
    return ", ".join(f"{name} {a:.6g} to {b:.6g}" for name, a, b in zip("xyz", low, high, strict=True)) + " mm"
