"""Filters along one axis: for each result the first source voxel it is made of, and the weights of the voxels there.

Everything that resamples parallel axes is such a table: nearest, linear, B-spline, Lanczos, and what smooths before a
grid becomes coarser. Tables know the whole axis, so that the bytes never depend on the part of it that is made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chunkvol.kernels.tiles import Block

__all__ = ["Taps", "filter_axis", "smoothing_taps", "taps_for"]


@dataclass(frozen=True, eq=False, slots=True)
class Taps:
    """`result[n] = sum(weights[n, t] * source[first[n] + t])`, in the order of t; a weight of 0 takes no part."""

    first: npt.NDArray[np.int64]
    """Source voxel of the first tap, shape (n,); all taps lie inside the source."""
    weights: npt.NDArray[np.float64]
    """Shape (n, taps); each row sums to 1."""
    inside: npt.NDArray[np.bool_]
    """Whether the result's centre lies within the outer faces of the source, shape (n,)."""
    length: int
    """Source voxels along the axis."""

    def part(self, outputs: slice) -> Taps:
        """The rows of some results."""
        raise NotImplementedError

    def needed(self, outputs: slice) -> slice:
        """The source voxels that some results are made of, without those of weight 0 at the ends."""
        raise NotImplementedError


def taps_for(method: str, *, scale: float, offset: float, count: int, length: int, antialias: bool) -> Taps:
    """The filter that finds values at `scale * n + offset`, n = 0 .. count - 1, along an axis of `length` voxels.

    Parameters
    ----------
    method
        Of `METHODS`: nearest, linear, cubic (B-spline), lanczos.
    scale
        Source voxels for each step, above 0.
    antialias
        Where scale > 1, average before: linear by area (each voxel by its share of the result's width), cubic and
        lanczos by a Gaussian before the interpolation. Not for nearest.
    """
    raise NotImplementedError


def smoothing_taps(method: str, *, width: float, length: int, antialias: bool) -> Taps | None:
    """The filter along one source axis that goes before `sample`: Gaussian where width > 1, B-spline prefilter for
    cubic, both in one; None where there is nothing to do. As many results as the axis is long."""
    raise NotImplementedError


def filter_axis(block: Block, taps: Taps, axis: int, *, start: int = 0, out: Block | None = None) -> Block:
    """The block filtered along one axis, in double precision.

    Parameters
    ----------
    block
        Axes (k, j, i), any type of at most 32-bit integers or floats.
    taps
        Rows of the results that are wanted.
    axis
        0, 1 or 2.
    start
        Source index of the block's first voxel along the axis; the block holds all of `taps.needed`.
    out
        float32 or float64, as long as the taps along the axis; float64 when left out.
    """
    raise NotImplementedError
