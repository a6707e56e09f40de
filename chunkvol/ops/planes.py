"""Planes made of other planes: blended between neighbours, and moved within themselves, both out of core."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["PlaneBlend", "PlaneShift"]


@dataclass(frozen=True, eq=False, slots=True)
class PlaneBlend:
    """Each plane of the result as `(1 - weight) * planes[lower] + weight * planes[lower + 1]`."""

    lower: npt.NDArray[np.int64]
    """The lower plane, shape (n,); -1 for a plane of the fill value alone."""
    weight: npt.NDArray[np.float64]
    """Share of the plane above, 0 <= weight < 1, shape (n,); where it is 0 the lower plane comes through untouched."""


@dataclass(frozen=True, eq=False, slots=True)
class PlaneShift:
    """Each plane moved along (j, i) by linear interpolation onto planes of another size."""

    offsets: npt.NDArray[np.float64]
    """Pixels by which the content of each plane moves along (j, i): result[j, i] = plane[j - offset_j, i - offset_i];
    shape (n, 2). Nearly integer offsets (1e-9) move without interpolation."""
    rows: int
    """Of the result."""
    columns: int
    """Of the result."""
