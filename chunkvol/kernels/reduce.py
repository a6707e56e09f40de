"""The table of reductions: how blocks of voxels become one voxel, and what each way promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from chunkvol.kernels.extremes import extreme_scratch, maximum, minimum, no_scratch, stride
from chunkvol.kernels.gaussian import gaussian, gaussian_scratch
from chunkvol.kernels.means import (
    mean,
    mean_cascade,
    mean_cascade_scratch,
    mean_scratch,
    mean_steps,
    mean_steps_scratch,
)
from chunkvol.kernels.median import median, median_scratch
from chunkvol.kernels.mode import mode, mode_scratch
from chunkvol.kernels.tiles import Block, coarse_shape, product
from chunkvol.regions import Shape, voxels

__all__ = ["REDUCERS", "Reduce", "Reducer", "cascade", "cascade_scratch", "reduce_steps", "steps_scratch"]


class Reduce(Protocol):
    """A block and factors (k, j, i) to the reduced block, of the same type; leftover voxels are dropped."""

    def __call__(self, block: Block, factors: Shape, out: Block | None = None) -> Block: ...


@dataclass(frozen=True, slots=True)
class Reducer:
    """One way to reduce."""

    name: str
    """What users call it."""
    anchor: Literal["centre", "first"]
    """Where the reduced voxel sits, for `Geometry.coarsened`."""
    nested: bool
    """Whether pyramids may be built by it."""
    reduce: Reduce
    """The reduction of a block; of a whole volume for "gaussian", which looks beyond its block."""
    planewise: bool
    """Whether `PlaneReduction` offers it plane by plane."""
    scratch: Callable[[Shape, np.dtype[Any], Shape], int]
    """Most bytes held besides block and result, for a block's shape, type and factors."""
    chained: bool = False
    """Whether reducing a reduced block equals one reduction by the product of the factors."""


REDUCERS: dict[str, Reducer] = {
    row.name: row
    for row in (
        Reducer("mean", "centre", True, mean, True, mean_scratch),
        Reducer("gaussian", "centre", False, gaussian, False, gaussian_scratch),
        Reducer("stride", "first", True, stride, False, no_scratch, chained=True),
        Reducer("median", "centre", False, median, False, median_scratch),
        Reducer("mode", "centre", True, mode, False, mode_scratch),
        Reducer("min", "centre", True, minimum, True, extreme_scratch, chained=True),
        Reducer("max", "centre", True, maximum, True, extreme_scratch, chained=True),
    )
}
"""All reductions by name."""


_TURNED = {"min": "max", "max": "min"}


def for_stored(name: str, slope: float) -> str:
    """The reduction of stored values that makes `name` of real ones: a negative slope turns the least into the most."""
    return _TURNED.get(name, name) if slope < 0 else name


def cascade(name: str, block: Block, steps: Sequence[Shape]) -> Iterator[Block]:
    """The block after each of `steps` (factors from one level to the next), each level reduced from level 0.

    Floors nest, so leftover voxels are dropped as a direct reduction drops them. A level that has no voxels is
    yielded as an empty block.
    """
    return mean_cascade(block, steps) if name == "mean" else _cascade(REDUCERS[name], block, steps)


def _cascade(reducer: Reducer, block: Block, steps: Sequence[Shape]) -> Iterator[Block]:
    level = block
    for number, step in enumerate(steps, start=1):
        level = reducer.reduce(level, step) if reducer.chained else reducer.reduce(block, product(steps[:number]))
        yield level


def reduce_steps(name: str, block: Block, steps: Sequence[Shape], out: Block | None = None) -> Block:
    """The block after all of `steps`: bit for bit the last level of `cascade`."""
    return mean_steps(block, steps, out) if name == "mean" else REDUCERS[name].reduce(block, product(steps), out)


def cascade_scratch(name: str, shape: Shape, dtype: np.dtype[Any], steps: Sequence[Shape]) -> int:
    """Most bytes that `cascade` holds besides the block, for a caller that drops each level before the next but one."""
    if name == "mean":
        return mean_cascade_scratch(shape, dtype, steps)
    reducer = REDUCERS[name]
    levels = [product(steps[:number]) for number in range(1, len(steps) + 1)]
    sizes = [voxels(coarse_shape(shape, factors)) * dtype.itemsize for factors in levels]
    work = [
        reducer.scratch(shape, dtype, step if reducer.chained else f) for step, f in zip(steps, levels, strict=True)
    ]
    return sum(sizes[:2]) + max(work, default=0)


def steps_scratch(name: str, shape: Shape, dtype: np.dtype[Any], steps: Sequence[Shape]) -> int:
    """Most bytes that `reduce_steps` holds besides block and result."""
    if name == "mean":
        return mean_steps_scratch(shape, dtype, steps)
    return REDUCERS[name].scratch(shape, dtype, product(steps))
