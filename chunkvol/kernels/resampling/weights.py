"""The filters that go before interpolation, and places and ends of an axis.

Exponentials come from the scalar library: numpy's own differ in the last bit with the width of the processor's vectors.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from chunkvol.kernels.resampling.loops import NEARLY

POLE = math.sqrt(3) - 2
"""Of the filter that turns values into coefficients of cubic B-splines (Unser et al., IEEE TSP 41 (1993) 834)."""

PREFILTER_RADIUS = 12
"""Taps on either side; what is cut off amounts to 1e-7 of a value."""

Real = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

__all__ = [
    "PREFILTER_RADIUS",
    "gaussian_fir",
    "mirrored",
    "prefilter_fir",
    "settled",
    "total_of",
]


def settled(places: Real) -> tuple[Real, Real]:
    """The voxel at or before each place and how far it is to the place, 0 <= rest < 1; nearly at a voxel is at it."""
    before = np.floor(places + NEARLY)
    rest = places - before
    rest[rest <= NEARLY] = 0
    return before, rest


def mirrored(index: Whole, length: int) -> Whole:
    """Indices beyond the ends reflected at the end voxels, which are not repeated: -1 is 1, `length` is length - 2."""
    period = max(1, 2 * (length - 1))
    inside = index % period
    return np.minimum(inside, period - inside) if length > 1 else np.zeros_like(index)


def prefilter_fir() -> Real:
    """Values to coefficients of cubic B-splines, symmetric about the middle tap, sum 1."""
    side = [POLE ** abs(tap) for tap in range(-PREFILTER_RADIUS, PREFILTER_RADIUS + 1)]
    return np.array(side) / math.fsum(side)


def gaussian_fir(width: float) -> Real:
    """What smooths before a result of `width` source voxels is interpolated, symmetric about the middle tap, sum 1.

    Sigma is 0.5 sqrt(width^2 - 1) source voxels, 0 where the width is 1: a reduction by f has sigma 0.5 f, of which
    the voxels themselves (0.5) are taken as done. Taps reach to 4 sigma; those that vanish are left out.
    """
    sigma = 0.5 * math.sqrt(max(0.0, width * width - 1))
    radius = math.ceil(4 * sigma)
    side = [math.exp(-0.5 * (tap / sigma) ** 2) for tap in range(1, radius + 1)]
    side = [one for one in side if one]
    bell = [*reversed(side), 1.0, *side]
    return np.array(bell) / math.fsum(bell)


def total_of(weights: Real) -> Real:
    """Sums of rows, tap after tap."""
    total = np.zeros(len(weights))
    for tap in range(weights.shape[1]):
        total += weights[:, tap]
    return total
