"""Which levels a pyramid has, and by which factors each is made."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from chunkvol.geometry import Geometry
from chunkvol.regions import Shape

COARSEST = 256
"""Levels are added until the longest side has at most this many voxels."""

LARGEST = 512
"""No level takes more voxels than this along an axis: blocks must fit the rows of a shard."""

__all__ = ["COARSEST", "LARGEST", "level_factors", "reduction_step", "steps_between", "steps_to"]


def level_factors(geometry: Geometry, coarsest: int = COARSEST) -> tuple[Shape, ...]:
    """Factors of each level from level 0, in array order; the first is (1, 1, 1).

    An axis is halved only while it is longer than 1 and its spacing is below twice the finest such axis's, so that
    anisotropic voxels become isotropic before all axes go on together.
    """
    levels: list[Shape] = [(1, 1, 1)]
    shape, spacing = list(geometry.shape), list(geometry.spacing)
    factors = [1, 1, 1]
    while max(shape) > coarsest and max(factors) < LARGEST:
        finest = min(s for s, n in zip(spacing, shape, strict=True) if n > 1)
        for axis in range(3):
            # The small tolerance keeps 0.02 and 0.01 from parting by rounding.
            if shape[axis] > 1 and spacing[axis] < 2 * finest * (1 - 1e-9):
                shape[axis] //= 2
                spacing[axis] *= 2
                factors[axis] *= 2
        levels.append((factors[0], factors[1], factors[2]))
    return tuple(levels)


def steps_between(levels: Sequence[Shape]) -> tuple[Shape, ...]:
    """The factors that lead from each level to the next."""
    return tuple((b[0] // a[0], b[1] // a[1], b[2] // a[2]) for a, b in pairwise(levels))


def steps_to(geometry: Geometry, factors: Shape) -> tuple[Shape, ...]:
    """The steps by which `factors` are reached: a level's own halvings where they are one, else a single step.

    Sums of floating-point numbers depend on their order; taking the pyramid's steps makes a direct reduction equal
    the level bit for bit.
    """
    levels = level_factors(geometry, coarsest=1)
    if factors in levels:
        return steps_between(levels[: levels.index(factors) + 1])
    return (factors,)


def reduction_step(factors: Shape, method: str) -> str:
    """How a history tells of a reduction: the same for a level as for the downsampling that equals it."""
    return f"downsample {','.join(map(str, factors))} (k,j,i) {method}"
