"""Blocks for the kernels' tests: any layout in memory, any content, and slow plain oracles."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32")
FLOATS = ("float16", "float32", "float64")
LAYOUTS = ("contiguous", "fortran", "reversed", "cropped", "unaligned")


def filled(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, content: str) -> Any:
    """An array of this type: "full" range, "few" values, or all "lowest" or "highest"."""
    kind = np.dtype(dtype)
    if content == "few":
        return rng.integers(0, 3, shape).astype(kind)
    if kind.kind == "f":
        return (rng.standard_normal(shape) * (1 if content == "full" else 100)).astype(kind)
    limits = np.iinfo(kind)
    if content == "full":
        return rng.integers(limits.min, limits.max, shape, dtype=kind, endpoint=True)
    return np.full(shape, limits.min if content == "lowest" else limits.max, kind)


def laid_out(values: Any, layout: str) -> Any:
    """The same voxels, elsewhere in memory."""
    if layout == "fortran":
        return np.asfortranarray(values)
    if layout == "reversed":
        return np.ascontiguousarray(values[::-1, ::-1, ::-1])[::-1, ::-1, ::-1]
    if layout == "cropped":
        room = np.zeros([n + 3 for n in values.shape], values.dtype)
        room[1:-2, 2:-1, 1:-2] = values
        return room[1:-2, 2:-1, 1:-2]
    if layout == "unaligned":
        room = np.zeros(values.nbytes + 1, np.uint8)
        block = room[1:].view(values.dtype).reshape(values.shape)
        block[...] = values
        return block
    return values


@st.composite
def blocks(draw: st.DrawFn, dtypes: tuple[str, ...], largest: int = 5) -> tuple[Any, tuple[int, int, int]]:
    """A block of 1 to 4 blocks of factors along each axis, with leftover voxels, and the factors."""
    factors = tuple(draw(st.integers(1, largest)) for _ in range(3))
    shape = tuple(f * draw(st.integers(1, 4)) + draw(st.integers(0, f - 1)) for f in factors)
    content = draw(st.sampled_from(("full", "few", "lowest", "highest")))
    values = filled(np.random.default_rng(draw(st.integers(0, 99))), shape, draw(st.sampled_from(dtypes)), content)
    return laid_out(values, draw(st.sampled_from(LAYOUTS))), factors  # type: ignore[return-value]  # three axes


def split(block: Any, factors: tuple[int, int, int]) -> Any:
    """The voxels of each block on the last axis."""
    k, j, i = (n // f for n, f in zip(block.shape, factors, strict=True))
    whole = block[: k * factors[0], : j * factors[1], : i * factors[2]]
    parts = whole.reshape(k, factors[0], j, factors[1], i, factors[2]).transpose(0, 2, 4, 1, 3, 5)
    return parts.reshape(k, j, i, -1)


def exact_mean(block: Any, factors: tuple[int, int, int]) -> Any:
    """Python integers and fractions only; `round` goes half to even."""
    parts = split(block, factors)
    means = [round(Fraction(sum(voxels), len(voxels))) for voxels in parts.reshape(-1, parts.shape[-1]).tolist()]
    return np.array(means, block.dtype).reshape(parts.shape[:3])


def ordered_mean(block: Any, factors: tuple[int, int, int]) -> Any:
    """Floats one at a time in the documented order: rows, then columns, then planes."""
    shape = [n // f for n, f in zip(block.shape, factors, strict=True)]
    out = np.empty(shape, block.dtype)
    for k, j, i in np.ndindex(*shape):
        corner = (k * factors[0], j * factors[1], i * factors[2])
        z, y, x = (slice(c, c + f) for c, f in zip(corner, factors, strict=True))
        planes = [_fold([_fold(column) for column in plane.T]) for plane in block[z, y, x].astype(np.float64)]
        out[k, j, i] = _fold(planes) / math.prod(factors)
    return out


def _fold(values: Any) -> Any:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def plain_mode(block: Any, factors: tuple[int, int, int]) -> Any:
    """A counter for each block; of equals the smallest."""
    parts = split(block, factors)
    out = np.empty(parts.shape[:3], block.dtype)
    for place in np.ndindex(*out.shape):
        counts = Counter(parts[place].tolist())
        most = max(counts.values())
        out[place] = min(value for value, count in counts.items() if count == most)
    return out
