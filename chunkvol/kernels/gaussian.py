"""Gaussian reduction: a separable filter sampled at the block centres, fed plane by plane."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from chunkvol.kernels.rounding import to_dtype
from chunkvol.kernels.sums import check_summable
from chunkvol.kernels.tiles import SLACK, Block, result_of, tile_bytes
from chunkvol.regions import Region, Shape, ceil_div, spans

BAND = 256 << 10
"""Bytes of the rows that are filtered at once, in float64."""

__all__ = [
    "Filter",
    "GaussianPlanes",
    "apply_along",
    "gaussian",
    "gaussian_filter",
    "gaussian_planes_scratch",
    "gaussian_region",
    "gaussian_scratch",
    "gaussian_weights",
]


@dataclass(frozen=True, slots=True, eq=False)
class Filter:
    """The weights of one axis: output o is the sum over t of weights[o, t] * source[o * factor + start + t]."""

    source: int
    """Voxels of the source along the axis."""
    factor: int
    """Source voxels for one output."""
    start: int
    """Source index of the first tap of output 0; may lie before the volume."""
    weights: Block
    """float64, axes (output, tap); 0 for taps outside the volume, each row sums to 1."""

    @property
    def outputs(self) -> int:
        """Voxels of the result along the axis."""
        return int(self.weights.shape[0])

    @property
    def taps(self) -> int:
        """Weights of one output."""
        return int(self.weights.shape[1])

    def inside(self, tap: int) -> tuple[int, int]:
        """The outputs [low, high) whose tap lies within the volume."""
        low = max(0, ceil_div(-(self.start + tap), self.factor))
        high = min(self.outputs, (self.source - 1 - self.start - tap) // self.factor + 1)
        return low, max(low, high)

    def needs(self, outputs: slice) -> slice:
        """The source voxels that some outputs are made of."""
        low = self.factor * outputs.start + self.start
        high = self.factor * (outputs.stop - 1) + self.start + self.taps
        return slice(max(0, low), min(self.source, high))


def gaussian_weights(source: int, factor: int) -> tuple[Block, Block]:
    """First tap (source index, may be negative) of each output, and the weights (output, tap) in float64.

    Sigma is factor / 2, taps are the source voxels within 4 sigma of the block centre factor * o + (factor - 1) / 2.
    Taps outside the volume weigh 0 and the others are renormalised. Factor 1 leaves the axis alone.
    """
    outputs = source // factor
    centre = (factor - 1) / 2
    start = math.ceil(centre - 2 * factor) if factor > 1 else 0
    taps = math.floor(centre + 2 * factor) - start + 1 if factor > 1 else 1
    first = factor * np.arange(outputs) + start
    # One exponential a tap, from the scalar library: numpy's own differ in the last bit with the vector width.
    bell = [math.exp(-0.5 * ((start + tap - centre) / (0.5 * factor)) ** 2) for tap in range(taps)]
    at = first[:, None] + np.arange(taps)
    weights = np.where((at >= 0) & (at < source), bell, 0.0)
    total = np.zeros(outputs)
    for tap in range(taps):
        total += weights[:, tap]
    weights /= total[:, None]
    return first, weights


@lru_cache(maxsize=32)
def gaussian_filter(source: int, factor: int) -> Filter:
    """The Gaussian along an axis of `source` voxels."""
    first, weights = gaussian_weights(source, factor)
    weights.setflags(write=False)
    return Filter(source, factor, int(first[0]) if len(first) else 0, weights)


def gaussian_region(shape: Shape, factors: Shape, region: Region) -> Region:
    """The source region, halo included and cut at the volume, that a region of the result is made of."""
    k, j, i = (gaussian_filter(n, f).needs(s) for n, f, s in zip(shape, factors, region, strict=True))
    return k, j, i


def apply_along(block: Block, axis: int, along: Filter, outputs: slice, start: int, out: Block, spare: Block) -> None:
    """Filter a float64 block along one axis, adding taps in ascending order (so that any banding gives equal bits).

    Parameters
    ----------
    outputs
        The outputs to make, of all that the axis has.
    start
        Source index of the block's first voxel along the axis; the block covers `along.needs(outputs)`.
    out, spare
        float64 arrays of the result's shape; `spare` is overwritten.
    """
    out[...] = 0.0
    head = (slice(None),) * axis
    across = (-1,) + (1,) * (block.ndim - 1 - axis)
    for tap in range(along.taps):
        low, high = along.inside(tap)
        low, high = max(low, outputs.start), min(high, outputs.stop)
        if low >= high:
            continue
        first = along.factor * low + along.start + tap - start
        source = block[(*head, slice(first, first + along.factor * (high - low - 1) + 1, along.factor))]
        made = (*head, slice(low - outputs.start, high - outputs.start))
        np.multiply(source, along.weights[low:high, tap].reshape(across), out=spare[made])
        np.add(out[made], spare[made], out=out[made])


class GaussianPlanes:
    """Gaussian reduction of a volume of which planes come one by one, or a few at a time, in order.

    The voxels are the same for any choice of planes and rows. Held are about 5 planes of the result in float64.

    Parameters
    ----------
    shape
        The whole source volume (k, j, i).
    dtype
        Type of the voxels.
    factors
        Source voxels for one output along (k, j, i).
    planes, rows
        Planes and rows of the result to make; all when left out. `source` says which part of the volume they need.
    """

    def __init__(
        self,
        shape: Shape,
        dtype: np.dtype[Any],
        factors: Shape,
        *,
        planes: slice | None = None,
        rows: slice | None = None,
    ) -> None:
        check_summable("gaussian", dtype)
        self._dtype = dtype
        self._filters = tuple(gaussian_filter(n, f) for n, f in zip(shape, factors, strict=True))
        along, down, across = self._filters
        self._planes = planes or slice(0, along.outputs)
        self._rows = rows or slice(0, down.outputs)
        self.source: Region = (along.needs(self._planes), down.needs(self._rows), slice(0, across.source))
        """The part of the volume that `add` is to be given, plane after plane."""
        self._at = self.source[0].start
        self._open: dict[int, Block] = {}
        self._band = _Band(self._filters, self._rows, self.source[1].start)

    def add(self, block: Block) -> Iterator[Block]:
        """Take the next planes (m, rows, columns) of `source`; yield each finished plane (1, rows, columns)."""
        with np.errstate(under="ignore", over="ignore", invalid="ignore"):
            for plane in block:
                self._add_plane(plane)
                self._at += 1
                yield from self._finished()

    def _add_plane(self, plane: Block) -> None:
        along = self._filters[0]
        shares = [(p, float(along.weights[p, tap])) for p, tap in self._fed()]
        shape = (self._rows.stop - self._rows.start, self._filters[2].outputs)
        for p, _ in shares:
            if p not in self._open:
                self._open[p] = np.zeros(shape)
        for rows, values, spare in self._band.filtered(plane):
            for p, weight in shares:
                np.multiply(values, weight, out=spare)
                total = self._open[p][rows]
                np.add(total, spare, out=total)

    def _fed(self) -> Iterator[tuple[int, int]]:
        """The planes of the result that the current source plane is a part of, and as which tap."""
        along = self._filters[0]
        last = (self._at - along.start) // along.factor
        for p in range(max(self._planes.start, last - ceil_div(along.taps, along.factor)), last + 1):
            tap = self._at - along.start - p * along.factor
            if p < self._planes.stop and tap < along.taps:
                yield p, tap

    def _finished(self) -> Iterator[Block]:
        for p in sorted(self._open):
            if self._filters[0].needs(slice(p, p + 1)).stop <= self._at:
                yield _converted(self._open.pop(p), self._dtype)


class _Band:
    """Filters one plane along rows and columns, some rows at a time."""

    def __init__(self, filters: tuple[Filter, ...], rows: slice, start: int) -> None:
        _, self._down, self._across = filters
        self._rows, self._start = rows, start
        wide = self._across.source * 8
        self._step = max(1, min(rows.stop - rows.start, BAND // max(1, wide)))
        high = self._down.factor * (self._step - 1) + self._down.taps
        self._loaded = np.empty((high, self._across.source))
        self._tall, self._tall_spare = (np.empty((self._step, self._across.source)) for _ in range(2))
        self._done, self._done_spare = (np.empty((self._step, self._across.outputs)) for _ in range(2))

    def filtered(self, plane: Block) -> Iterator[tuple[slice, Block, Block]]:
        """Rows (counted within the band), their values in float64, and a spare array of that shape."""
        for rows in spans(self._rows.stop, self._step, self._rows.start):
            count = rows.stop - rows.start
            needed = self._down.needs(rows)
            loaded = self._loaded[: needed.stop - needed.start]
            np.copyto(loaded, plane[needed.start - self._start : needed.stop - self._start])
            tall = self._along_rows(loaded, rows, needed.start)
            done = self._along_columns(tall)
            yield slice(rows.start - self._rows.start, rows.stop - self._rows.start), done, self._done_spare[:count]

    def _along_rows(self, loaded: Block, rows: slice, start: int) -> Block:
        if self._down.factor == 1:
            return loaded
        tall, spare = (b[: rows.stop - rows.start] for b in (self._tall, self._tall_spare))
        apply_along(loaded, 0, self._down, rows, start, tall, spare)
        return tall

    def _along_columns(self, tall: Block) -> Block:
        if self._across.factor == 1:
            return tall
        done, spare = self._done[: len(tall)], self._done_spare[: len(tall)]
        apply_along(tall, 1, self._across, slice(0, self._across.outputs), 0, done, spare)
        return done


def _converted(plane: Block, dtype: np.dtype[Any]) -> Block:
    """The plane in the voxels' type, a few rows at a time."""
    result = np.empty((1, *plane.shape), dtype)
    for rows in spans(len(plane), max(1, BAND // max(1, plane[:1].nbytes))):
        to_dtype(plane[rows], dtype, result[0, rows])
    return result


def gaussian(block: Block, factors: Shape, out: Block | None = None) -> Block:
    """Gaussian reduction of a whole volume (not of a piece: the filter reaches beyond each block)."""
    result = result_of(block, factors, out)
    if not result.size:
        return result
    k, j, i = block.shape
    maker = GaussianPlanes((k, j, i), block.dtype, factors)
    for p, plane in enumerate(maker.add(block)):
        result[p] = plane[0]
    return result


def gaussian_planes_scratch(shape: Shape, dtype: np.dtype[Any], factors: Shape, rows: int | None = None) -> int:
    """Most bytes that `GaussianPlanes` holds for a band of so many rows of the result (all when left out).

    Counted are open planes in float64, buffers and the plane being handed out; not the planes that are fed.
    """
    along, down, across = (gaussian_filter(n, f) for n, f in zip(shape, factors, strict=True))
    count = down.outputs if rows is None else rows
    plane = count * across.outputs
    step = max(1, min(count, BAND // max(1, 8 * across.source)))
    loaded = (down.factor * (step - 1) + down.taps) * across.source * 8
    opened = min(along.outputs, ceil_div(along.taps, along.factor) + 1) * plane * 8
    weights = 2 * sum(f.outputs * f.taps * 8 * 3 for f in (along, down, across))
    bands = 2 * step * (across.source + across.outputs) * 8 + 3 * tile_bytes(8 * across.outputs, BAND)
    return opened + plane * dtype.itemsize + loaded + bands + weights + SLACK


def gaussian_scratch(shape: Shape, dtype: np.dtype[Any], factors: Shape) -> int:
    """Most bytes that `gaussian` holds besides block and result."""
    return gaussian_planes_scratch(shape, dtype, factors)
