"""How well points are known: from half widths of voxels to covariances, and through lengths and angles.

A point that was put on a voxel lies anywhere in it with equal probability: along each axis of the array a uniform
distribution whose standard deviation is half its width / sqrt(3) (GUM, JCGM 100:2008, 4.3.7). What follows from
several points is propagated to first order (5.1.2), points being independent of each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.geometry import Geometry

Covariances = npt.NDArray[np.float64]
"""mm^2, shape (n, 3, 3), axes x, y, z: one for each point."""
Localisation = Geometry | Sequence[float] | Covariances
"""A grid, whose voxels points were put on; half widths along world x, y, z, mm; or covariances, (3, 3) or (n, 3, 3)."""

__all__ = ["Covariances", "Localisation", "covariances", "largest_deviation", "propagated"]


def covariances(uncertainty: Localisation, count: int) -> Covariances:
    """The covariance of each of `count` points.

    Raises
    ------
    InputError
        Half widths are no three lengths, or the covariances are none, or not of so many points.
    """
    if isinstance(uncertainty, Geometry):
        halves = uncertainty.affine[:3, :3] / 2
        return np.broadcast_to(halves @ halves.T / 3, (count, 3, 3))
    given = np.asarray(uncertainty, dtype=float)
    if given.shape == (3,) and np.isfinite(given).all() and (given >= 0).all():
        return np.broadcast_to(np.diag(given**2 / 3), (count, 3, 3))
    if given.shape not in ((3, 3), (count, 3, 3)):
        raise InputError(
            "an uncertainty is a grid, three half widths (x, y, z) of at least 0 mm, or covariances of shape (3, 3) or "
            f"({count}, 3, 3) in mm^2, found {given.shape if given.ndim > 1 else given.tolist()}"
        )
    every = np.broadcast_to(given, (count, 3, 3))
    unequal = np.abs(every - np.swapaxes(every, 1, 2)).max(initial=0)
    if not np.isfinite(every).all() or unequal > 1e-9 * np.abs(every).max(initial=0):
        raise InputError("covariances are finite and symmetric")
    return every


def propagated(gradients: npt.NDArray[np.float64], spread: Covariances) -> float:
    """Standard deviation of a value with these gradients by its points, shape (m, 3): sqrt(sum of g^T C g)."""
    return float(np.sqrt(max(np.einsum("na,nab,nb->", gradients, spread, gradients), 0.0)))


def largest_deviation(spread: npt.NDArray[np.float64]) -> float:
    """Standard deviation along the direction in which it is largest, of a covariance (3, 3)."""
    return float(np.sqrt(max(np.linalg.eigvalsh(spread)[-1], 0.0)))
