"""How much each voxel around a place counts: the curves of all methods, and the filters that go before them.

Only additions, multiplications and divisions in one fixed order, or the scalar library: numpy's own exponentials and
sines differ in the last bit with the width of the processor's vectors, and compiled ones differ from both.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

NEARLY = 1e-6
"""Voxels by which a place may miss a voxel and still be that voxel."""

POLE = math.sqrt(3) - 2
"""Of the filter that turns values into coefficients of cubic B-splines (Unser et al., IEEE TSP 41 (1993) 834)."""

PREFILTER_RADIUS = 12
"""Taps on either side; what is cut off amounts to 1e-7 of a value."""

LANCZOS_RADIUS = 3

Real = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

__all__ = [
    "LANCZOS_RADIUS",
    "NEARLY",
    "PREFILTER_RADIUS",
    "bspline",
    "gaussian_fir",
    "lanczos",
    "mirrored",
    "prefilter_fir",
    "settled",
    "total_of",
]


def settled(places: Real) -> tuple[Real, Real]:
    """The voxel at or before each place and how far it is to the place, 0 <= rest < 1; nearly at a voxel is at it."""
    before = np.floor(places)
    rest = places - before
    up = rest >= 1 - NEARLY
    before += up
    rest[up | (rest <= NEARLY)] = 0
    return before, rest


def bspline(rest: Any) -> tuple[Any, Any, Any, Any]:
    """Cubic B-spline at -1, 0, 1 and 2 voxels from the one before a place; the last is 0 just where `rest` is.

    For arrays and for single numbers alike.
    """
    left = 1.0 - rest
    return (
        left * left * left / 6.0,
        (4.0 - 3.0 * rest * rest * (2.0 - rest)) / 6.0,
        (4.0 - 3.0 * left * left * (2.0 - left)) / 6.0,
        rest * rest * rest / 6.0,
    )


def lanczos(near: Any) -> tuple[Any, Any, Any, Any, Any, Any]:
    """Lanczos window of radius 3 at -2 .. 3 voxels from one that lies `near` before a place, 0 < near <= 0.5.

    But for a factor, which is lost when the weights are made to sum to 1: sin(pi x) is the same for all taps but for
    its sign. With sin and cos of pi near / 3 as series, to the last bit or two. Places nearer to the voxel after it
    take the same weights from the other end. For arrays and for single numbers alike.
    """
    a = 1.0471975511965976 * near
    q = a * a
    sine = 1.0 - q / 210.0 * (1.0 - q / 272.0)
    sine = 1.0 - q / 110.0 * (1.0 - q / 156.0 * sine)
    sine = a * (1.0 - q / 6.0 * (1.0 - q / 20.0 * (1.0 - q / 42.0 * (1.0 - q / 72.0 * sine))))
    cosine = 1.0 - q / 132.0 * (1.0 - q / 182.0 * (1.0 - q / 240.0))
    cosine = 1.0 - q / 30.0 * (1.0 - q / 56.0 * (1.0 - q / 90.0 * cosine))
    cosine = 1.0 - q / 2.0 * (1.0 - q / 12.0 * cosine)
    low = 0.5 * sine
    high = 0.8660254037844386 * cosine
    return (
        (high - low) / ((near + 2.0) * (near + 2.0)),
        -(high + low) / ((near + 1.0) * (near + 1.0)),
        sine / (near * near),
        (high - low) / ((near - 1.0) * (near - 1.0)),
        -(high + low) / ((near - 2.0) * (near - 2.0)),
        sine / ((near - 3.0) * (near - 3.0)),
    )


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
