"""Regions: tuples of three slices in array order (k, j, i), and the arithmetic of chunk layouts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

Region = tuple[slice, slice, slice]
"""One slice with explicit start and stop, and step 1, for each array axis."""

Shape = tuple[int, int, int]
"""Lengths in array order (k, j, i)."""

Extent = tuple[int, int]
"""Planes and rows."""

__all__ = [
    "Extent",
    "Region",
    "Shape",
    "ceil_div",
    "intersection",
    "normalise",
    "region_shape",
    "scaled",
    "shifted",
    "spans",
    "voxels",
    "whole",
    "wide_block",
]


def whole(shape: Sequence[int]) -> Region:
    """The region that covers an array of this shape."""
    k, j, i = shape
    return slice(0, k), slice(0, j), slice(0, i)


def region_shape(region: Region) -> Shape:
    """The shape of the block that a region cuts out."""
    k, j, i = (s.stop - s.start for s in region)
    return k, j, i


def voxels(shape: Sequence[int]) -> int:
    """The number of voxels, as a Python integer that cannot overflow."""
    return math.prod(int(n) for n in shape)


def ceil_div(a: int, b: int) -> int:
    """The quotient rounded up."""
    return -(-a // b)


def spans(length: int, step: int, start: int = 0) -> Iterator[slice]:
    """Neighbouring slices of at most `step` that cover `start..length` exactly once, in order."""
    for low in range(start, length, step):
        yield slice(low, min(low + step, length))


def scaled(region: Region, factors: Sequence[int]) -> Region:
    """The source region whose blocks of `factors` fill `region`."""
    k, j, i = (slice(s.start * f, s.stop * f) for s, f in zip(region, factors, strict=True))
    return k, j, i


def shifted(region: Region, offset: Sequence[int]) -> Region:
    """The region moved by `offset` voxels."""
    k, j, i = (slice(s.start + o, s.stop + o) for s, o in zip(region, offset, strict=True))
    return k, j, i


def intersection(a: Region, b: Region) -> Region:
    """The voxels in both regions; an axis without any has stop == start."""

    def cut(p: slice, q: slice) -> slice:
        low = max(p.start, q.start)
        return slice(low, max(low, min(p.stop, q.stop)))

    k, j, i = (cut(p, q) for p, q in zip(a, b, strict=True))
    return k, j, i


def normalise(key: object, shape: Sequence[int]) -> Region:
    """A numpy-style key made of slices and `...` (step 1 only), as a full region.

    Raises
    ------
    IndexError
        For integers, steps other than 1, empty results and surplus axes: a volume keeps its three axes.
    """
    parts = list(key) if isinstance(key, tuple) else [key]
    whole_axes = [at for at, part in enumerate(parts) if part is Ellipsis]
    if whole_axes:
        at = whole_axes[0]
        parts[at : at + 1] = [slice(None)] * (len(shape) - len(parts) + 1)
    parts += [slice(None)] * (len(shape) - len(parts))
    if len(parts) != len(shape):
        raise IndexError(f"a volume has {len(shape)} axes (k, j, i), the key {key!r} has {len(parts)}")
    out = []
    for part, n in zip(parts, shape, strict=True):
        if not isinstance(part, slice):
            found = " ".join(repr(part).split())
            raise IndexError(f"a volume is cut by slices, which keep its three axes; found {found}")
        low, high, step = part.indices(n)
        if step != 1:
            raise IndexError(f"a volume is cut with step 1, found {part!r}; use downsample(method='stride')")
        if high <= low:
            ends = ":".join("" if end is None else str(end) for end in (part.start, part.stop))
            raise IndexError(f"{ends} selects nothing of an axis of {n} voxel{'s' * (n != 1)}")
        out.append(slice(low, high))
    k, j, i = out
    return k, j, i


def wide_block(rim: Extent, step: Extent, most: Extent, row: int, size: int) -> Extent:
    """The block of at most `size` bytes that repeats least of its neighbours' work; at least one step.

    Parameters
    ----------
    rim
        Planes and rows that a block needs beyond its own.
    step, most
        Planes and rows of which a block has whole numbers, and how many there are.
    row
        Bytes of a row.
    """
    best, least = (min(step[0], most[0]), min(step[1], most[1])), math.inf
    for deep in range(step[0], most[0] + step[0], step[0]):
        planes = min(deep, most[0])
        rows = min(most[1], size // (planes * row) // step[1] * step[1])
        if rows < 1:
            break
        repeated = (1 + rim[0] / planes) * (1 + rim[1] / rows)
        if repeated < least:
            best, least = (planes, rows), repeated
    return best
