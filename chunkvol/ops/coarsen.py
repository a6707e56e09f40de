"""Making a volume smaller to a spacing or a size: by whole factors where these are whole, by shares where not."""

from __future__ import annotations

from typing import Any

from chunkvol.errors import InputError
from chunkvol.geometry import Geometry
from chunkvol.geometry.targets import target_grid
from chunkvol.ops.downsample import downsample
from chunkvol.ops.resample import resample
from chunkvol.regions import Shape
from chunkvol.segments import method_for
from chunkvol.volume import Volume

_RESAMPLERS = {"mean": "linear", "mode": "label", "stride": "nearest"}
"""What a method of whole factors is where they are not whole."""
_WHOLE = 1e-9
"""What a ratio of spacings may be off a whole number and be meant as one."""

__all__ = ["coarsened"]


def coarsened(
    volume: Volume, *, method: str | None = None, ignore: tuple[float, float] | None = None, **grid: Any
) -> Volume:
    """The volume on a coarser grid of its own direction; lazy.

    Parameters
    ----------
    volume
        As for `downsample`, which makes it where the factors are whole.
    method
        As for `downsample`; where factors are not whole, mean (each voxel by its share), mode or stride (the nearest).
    ignore
        As for `downsample`: only with whole factors.
    grid
        One of `spacing`, `size`, `percent`, as in `target_grid`.

    Raises
    ------
    InputError
        The grid is finer on some axis, or the method needs whole factors.
    """
    target = target_grid(volume.geometry, volume.dtype.itemsize, **grid)
    factors = [new / old for new, old in zip(target.spacing, volume.geometry.spacing, strict=True)]
    if min(factors) < 1 - _WHOLE:
        said = ", ".join(f"{s:g}" for s in volume.geometry.spacing[::-1])
        raise InputError(
            f"the output would be finer than the input's spacing of {said} mm (x, y, z): resample does that"
        )
    whole = _whole_factors(volume.geometry, target, factors)
    if whole is not None:
        return downsample(volume, whole, method=method, ignore=ignore)
    chosen = method_for(volume.metadata.extra, method, "mode" if volume.metadata.pyramid == "mode" else "mean")
    if chosen not in _RESAMPLERS or ignore is not None:
        what = "leaving padding out" if ignore is not None else f"the method {chosen}"
        said = ", ".join(f"{f:.6g}" for f in factors[::-1])
        raise InputError(
            f"{what} needs whole factors, and these are {said} (x, y, z): give --factor, or the method mean, mode or "
            "stride"
        )
    return resample(volume, target, method=_RESAMPLERS[chosen])


def _whole_factors(geometry: Geometry, target: Geometry, factors: list[float]) -> Shape | None:
    k, j, i = (max(1, round(factor)) for factor in factors)
    near = all(abs(f - w) <= _WHOLE * w for f, w in zip(factors, (k, j, i), strict=True))
    same = target.shape == tuple(n // f for n, f in zip(geometry.shape, (k, j, i), strict=True))
    return (k, j, i) if near and same else None
