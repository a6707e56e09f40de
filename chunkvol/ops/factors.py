"""How many voxels become one: as asked, or as few as make a volume fit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from math import ceil
from typing import Any

import numpy as np

from chunkvol.errors import InputError
from chunkvol.regions import Shape, voxels
from chunkvol.volume import Volume

__all__ = ["fit_factors", "resolve_factors"]


def resolve_factors(shape: Shape, factors: int | tuple[int, int, int]) -> Shape:
    """Three checked factors in array order, none longer than its axis."""
    given: tuple[Any, ...] = tuple(factors) if isinstance(factors, Iterable) else (factors,) * 3
    if len(given) != 3 or not all(
        isinstance(f, int | float | np.number) and 1 <= f < math.inf and f == int(f) for f in given
    ):
        raise InputError(f"factors are one or three whole numbers of at least 1, found {factors!r}")
    if all(f > n for f, n in zip(given, shape, strict=True)):
        raise InputError(
            f"factors {given[::-1]} are larger than the volume of {shape[::-1]} voxels (x, y, z); take smaller ones"
        )
    k, j, i = (min(int(f), n) for f, n in zip(given, shape, strict=True))
    return k, j, i


def fit_factors(volume: Volume, limit: int, *, itemsize: int | None = None) -> Shape:
    """The smallest factors whose output has at most `limit` bytes, as isotropic in mm as whole numbers allow.

    Voxels of the output have `itemsize` bytes, by default those of the volume.

    Raises
    ------
    InputError
        Not even a single voxel fits.
    """
    axes = list(zip(volume.shape, volume.geometry.spacing, strict=True))
    long = [(size, spacing) for size, spacing in axes if size > 1]
    finest = min((spacing for _, spacing in long), default=1.0)
    reach = max((size * spacing for size, spacing in long), default=1.0)
    item = itemsize or volume.dtype.itemsize
    for n in range(1, ceil(reach / finest) + 1):
        factors = tuple(min(size, max(1, int(n * finest / spacing + 0.5 + 1e-9))) for size, spacing in axes)
        if voxels([size // f for size, f in zip(volume.shape, factors, strict=True)]) * item <= limit:
            return factors[0], factors[1], factors[2]
    raise InputError(f"no whole factors make {volume.shape[::-1]} voxels (x, y, z) fit {limit} bytes")
