"""Filters along one axis: for each result the first source voxel it is made of, and the weights of the voxels there.

Everything that resamples parallel axes is such a table: nearest, linear, B-spline, Lanczos, and what smooths before a
grid becomes coarser. Tables know the whole axis, so that the bytes never depend on the part of it that is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chunkvol.kernels.resampling.loops import NEARLY
from chunkvol.kernels.resampling.smoothing import smoothed
from chunkvol.kernels.resampling.sums import bspline, lanczos
from chunkvol.kernels.resampling.weights import (
    Real,
    Whole,
    gaussian_fir,
    mirrored,
    prefilter_fir,
    settled,
    total_of,
)

__all__ = ["Taps", "lanczos_rows", "smoothing_taps", "taps_for"]

_NO_FILTER = np.ones(1)


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
        return Taps(self.first[outputs], self.weights[outputs], self.inside[outputs], self.length)

    def needed(self, outputs: slice) -> slice:
        """The source voxels that some results are made of, without those of weight 0 at the ends."""
        first, weights = self.first[outputs], self.weights[outputs]
        if not len(first):
            return slice(0, 0)
        low, high = _ends(weights)
        return slice(int((first + low).min()), int((first + high).max()) + 1)


def taps_for(
    method: str, *, scale: float, offset: float, count: int, length: int, antialias: bool, backwards: bool = False
) -> Taps:
    """The filter that finds values at `scale * n + offset`, n = 0 .. count - 1, along an axis of `length` voxels.

    Places within 1e-6 of a voxel are that voxel, bit for bit. Between the last centres and the outer faces, nearest
    and linear take the last voxel, cubic mirrors the volume at the centre of its last voxel, and Lanczos leaves out
    what lies beyond. Rows of results that are not inside hold the nearest end voxel.

    Parameters
    ----------
    method
        Of `METHODS`: nearest, linear, cubic (B-spline), lanczos.
    scale
        Source voxels for each step, above 0.
    offset
        Source index of result 0, voxels.
    count
        Results along the axis.
    length
        Source voxels along the axis.
    antialias
        Where scale > 1, average before: linear by area (each voxel by its share of the result's width), cubic and
        lanczos by a Gaussian before the interpolation (see `gaussian_fir`). Not for nearest.
    backwards
        Whether the voxels were reversed: of two that are equally near, nearest then takes the lower one, which is the
        upper one as they are stored.
    """
    places = offset + scale * np.arange(count, dtype=float)
    inside = (places >= -0.5 - NEARLY) & (places <= length - 0.5 + NEARLY)
    held = np.where(inside, places, np.clip(places, 0, length - 1))
    coarser = antialias and scale > 1
    if method == "linear" and coarser:
        first, weights = _area(held, scale, length)
    else:
        rows = _nearest_backwards if backwards and method == "nearest" else _ROWS[method]
        first, weights = rows(held, length, gaussian_fir(scale) if coarser else _NO_FILTER)
    _single(first, weights, ~inside, held)
    return _tight(first, weights, inside, length)


def smoothing_taps(method: str, *, width: float, length: int, antialias: bool) -> Taps | None:
    """The filter along one source axis that goes before `sample`: Gaussian where width > 1, B-spline prefilter for
    cubic, both in one; None where there is nothing to do. As many results as the axis is long.

    Parameters
    ----------
    method
        Of `METHODS`; for nearest there is never anything to do.
    width
        Source voxels that a step of the target covers along this axis (`Mapping.widths`).
    length
        Source voxels along the axis.
    antialias
        Whether to smooth at all where width > 1 (see `gaussian_fir`).
    """
    if method == "nearest":
        return None
    bell = gaussian_fir(width) if antialias and width > 1 else _NO_FILTER
    before = prefilter_fir() if method == "cubic" else _NO_FILTER
    if length == 1 or len(bell) == len(before) == 1:
        return None
    voxels = np.arange(length)
    first, weights = smoothed(voxels[:, None], np.ones((length, 1)), before, bell, length)
    return _tight(first, weights, np.ones(length, bool), length)


def _nearest(places: Real, length: int, bell: Real) -> tuple[Whole, Real]:
    first = np.clip(np.floor(places + (0.5 + NEARLY)), 0, length - 1).astype(np.int64)
    return first, np.ones((len(first), 1))


def _nearest_backwards(places: Real, length: int, bell: Real) -> tuple[Whole, Real]:
    first = np.clip(np.ceil(places - (0.5 + NEARLY)), 0, length - 1).astype(np.int64)
    return first, np.ones((len(first), 1))


def _linear(places: Real, length: int, bell: Real) -> tuple[Whole, Real]:
    before, rest = settled(np.clip(places, 0, length - 1))
    return before.astype(np.int64), np.stack([1 - rest, rest], axis=1)


def _area(places: Real, scale: float, length: int) -> tuple[Whole, Real]:
    """Shares of the voxels in the width of each result, cut at the outer faces; faces are counted from 0 to length.

    The part of a voxel that is cut counts at the middle of the part, between the voxel's centre and the next one.
    Without that, results would lie up to an eighth of a voxel beside their place; where nothing is cut they are block
    means, and at scale 1 linear interpolation.
    """
    low, high = places - 0.5 * scale + 0.5, places + 0.5 * scale + 0.5
    for faces in (low, high):
        whole = np.rint(faces)
        np.copyto(faces, whole, where=np.abs(faces - whole) <= NEARLY)
        np.clip(faces, 0, length, out=faces)
    first = np.minimum(np.floor(low), length - 1)
    taps = int((np.ceil(high) - first).max(initial=1))
    voxels = first[:, None] + np.arange(taps)
    shares = np.minimum(voxels + 1, high[:, None]) - np.maximum(voxels, low[:, None])
    np.maximum(shares, 0, out=shares)
    first = first.astype(np.int64)
    last = np.ceil(high).astype(np.int64) - 1 - first
    rows = np.flatnonzero(last > 0)
    ends = ((np.zeros_like(last[rows]), 1), (last[rows], -1))
    cut = [shares[rows, end] for end, _ in ends]
    for (end, inwards), share in zip(ends, cut, strict=True):
        moved = share * (1 - share) / 2
        shares[rows, end] -= moved
        shares[rows, end + inwards] += moved
    return first, shares / total_of(shares)[:, None]


def _cubic(places: Real, length: int, bell: Real) -> tuple[Whole, Real]:
    before, rest = settled(places)
    voxels = mirrored(before.astype(np.int64)[:, None] + np.arange(-1, 3), length)
    first, weights = smoothed(voxels, np.stack(bspline(rest), axis=1), prefilter_fir(), bell, length)
    if len(bell) == 1:  # interpolation gives the voxel back, without the last digits that the cut prefilter costs
        _single(first, weights, rest == 0, before)
    return first, weights


def _lanczos(places: Real, length: int, bell: Real) -> tuple[Whole, Real]:
    before, rest = settled(places)
    voxels = before.astype(np.int64)[:, None] + np.arange(-2, 4)
    weights = lanczos_rows(voxels, rest, length)
    return smoothed(np.clip(voxels, 0, length - 1), weights, _NO_FILTER, bell, length)


def lanczos_rows(voxels: Whole, rest: Real, length: int) -> Real:
    """Weights (n, 6) of the voxels -2 .. 3 from the one before each place; beyond the ends 0, each row sums to 1."""
    rows = np.zeros(voxels.shape)
    near = np.where(rest > 0.5, 1 - rest, rest)
    near[rest == 0] = 0.5
    for tap, weights in enumerate(lanczos(near)):
        rows[:, tap] = weights
    turned = rest > 0.5
    rows[turned] = rows[turned, ::-1]
    rows[rest == 0] = (0, 0, 1, 0, 0, 0)
    rows[(voxels < 0) | (voxels >= length)] = 0
    return rows / total_of(rows)[:, None]


_ROWS: dict[str, Callable[[Real, int, Real], tuple[Whole, Real]]] = {
    "nearest": _nearest,
    "linear": _linear,
    "cubic": _cubic,
    "lanczos": _lanczos,
}
"""First voxel and weights of places, given the length of the axis and the Gaussian that goes before."""


def _single(first: Whole, weights: Real, rows: npt.NDArray[np.bool_], places: Real) -> None:
    """Make some rows the one voxel nearest to a place on the axis."""
    at = np.flatnonzero(rows)
    weights[at] = 0
    taps = np.clip(np.rint(places[at]).astype(np.int64) - first[at], 0, weights.shape[1] - 1)
    weights[at, taps] = 1


def _ends(weights: Real) -> tuple[Whole, Whole]:
    """The first and the last tap of each row that is not 0."""
    some = weights != 0
    return some.argmax(axis=1), weights.shape[1] - 1 - some[:, ::-1].argmax(axis=1)


def _tight(first: Whole, weights: Real, inside: npt.NDArray[np.bool_], length: int) -> Taps:
    """The table with as few taps as its widest row needs, all of them inside the source."""
    low, high = _ends(weights) if weights.size else (first, first)
    taps = int((high - low).max(initial=0)) + 1
    moved = np.minimum(first + low, length - taps)
    column = (moved - first)[:, None] + np.arange(taps)
    held = (column >= 0) & (column < weights.shape[1])
    chosen = np.take_along_axis(weights, np.where(held, column, 0), axis=1) if weights.size else weights[:, :taps]
    chosen[~held] = 0
    return Taps(moved, chosen, inside, length)
