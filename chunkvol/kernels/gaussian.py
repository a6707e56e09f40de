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
from chunkvol.kernels.tiles import SLACK, Block, Buffer, result_of, tile_bytes
from chunkvol.regions import Region, Shape, ceil_div, spans

BAND = 512 << 10
"""Bytes of the rows that are filtered at once, in float64; with less, two threads wait for each other (see `TILE`)."""

__all__ = [
    "Filter",
    "GaussianPlanes",
    "filter_columns",
    "filter_rows",
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
    runs: tuple[tuple[tuple[int, int, float], ...], ...]
    """For each tap the outputs [low, high) that share a weight, and the weight; those without the tap are left out."""

    @property
    def outputs(self) -> int:
        """Voxels of the result along the axis."""
        return int(self.weights.shape[0])

    @property
    def taps(self) -> int:
        """Weights of one output."""
        return int(self.weights.shape[1])

    @property
    def reach(self) -> int:
        """Voxels from the first tap of output 0 to the last tap of the last output, both included."""
        return self.factor * (self.outputs - 1) + self.taps

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
    weights = np.asfortranarray(weights)
    weights.setflags(write=False)
    runs = tuple(tuple(_runs(weights[:, tap])) for tap in range(weights.shape[1]))
    return Filter(source, factor, int(first[0]) if len(first) else 0, weights, runs)


def _runs(weights: Block) -> Iterator[tuple[int, int, float]]:
    """The stretches of equal weights that are not 0: all of the inner outputs, and each one near an edge."""
    ends = [*(np.flatnonzero(np.diff(weights)) + 1).tolist(), len(weights)]
    for low, high in zip([0, *ends], ends, strict=False):
        if low < high and weights[low]:
            yield low, high, float(weights[low])


def gaussian_region(shape: Shape, factors: Shape, region: Region) -> Region:
    """The source region, halo included and cut at the volume, that a region of the result is made of."""
    k, j, i = (gaussian_filter(n, f).needs(s) for n, f, s in zip(shape, factors, region, strict=True))
    return k, j, i


def filter_rows(block: Block, along: Filter, outputs: slice, start: int, out: Block, spare: Block) -> None:
    """Filter a float64 block (rows, columns) along its rows' axis, adding taps in ascending order.

    Parameters
    ----------
    outputs
        The rows of the result to make; any banding gives the same bits.
    start
        Source index of the block's first row; the block covers `along.needs(outputs)`.
    out, spare
        float64 arrays of the result's shape; `spare` is overwritten.
    """
    out[...] = 0.0
    for tap, runs in enumerate(along.runs):
        offset = along.start + tap - start
        for low, high, weight in runs:
            first, last = max(low, outputs.start), min(high, outputs.stop) - 1
            if first > last:
                continue
            made = slice(first - outputs.start, last + 1 - outputs.start)
            source = block[along.factor * first + offset : along.factor * last + offset + 1 : along.factor]
            # A single number multiplies three times as fast as a column of them.
            np.multiply(source, weight, out=spare[made])
            np.add(out[made], spare[made], out=out[made])


def filter_columns(block: Block, along: Filter, out: Block, spare: Block) -> None:
    """Filter a float64 block (rows, columns) along its columns' axis, adding taps in ascending order.

    `block` begins with the first tap of output 0 and is at least `along.reach` wide; columns outside the volume hold
    0, so that each tap is one operation on whole arrays (adding 0 changes nothing).
    """
    out[...] = 0.0
    for tap in range(along.taps):
        source = block[:, tap : tap + along.factor * (along.outputs - 1) + 1 : along.factor]
        np.multiply(source, along.weights[:, tap], out=spare)
        np.add(out, spare, out=out)


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

    __slots__ = ("_across", "_done", "_down", "_loaded", "_padded", "_rows", "_spare", "_start", "_step", "_tall")

    def __init__(self, filters: tuple[Filter, ...], rows: slice, start: int) -> None:
        _, self._down, self._across = filters
        self._rows, self._start = rows, start
        self._step = _band_rows(rows.stop - rows.start, self._across)
        high = self._down.factor * (self._step - 1) + self._down.taps
        self._loaded = np.empty((high, self._across.source))
        self._tall = np.empty((self._step, self._across.source))
        self._padded = np.zeros((self._step, max(self._across.reach, self._across.source - self._across.start)))
        self._spare = Buffer(self._step * self._across.source, np.float64)
        self._done = np.empty((self._step, self._across.outputs))

    def filtered(self, plane: Block) -> Iterator[tuple[slice, Block, Block]]:
        """Rows (counted within the band), their values in float64, and a spare array of that shape."""
        left = -self._across.start
        for rows in spans(self._rows.stop, self._step, self._rows.start):
            count, needed = rows.stop - rows.start, self._down.needs(rows)
            loaded, tall, done = self._loaded[: needed.stop - needed.start], self._tall[:count], self._done[:count]
            np.copyto(loaded, plane[needed.start - self._start : needed.stop - self._start])
            filter_rows(loaded, self._down, rows, needed.start, tall, self._spare.shaped(tall.shape))
            # Sums into rows with gaps between them take half as long again, so the margins are added afterwards.
            padded, spare = self._padded[:count], self._spare.shaped(done.shape)
            np.copyto(padded[:, left : left + self._across.source], tall)
            filter_columns(padded, self._across, done, spare)
            yield slice(rows.start - self._rows.start, rows.stop - self._rows.start), done, spare


def _band_rows(rows: int, across: Filter) -> int:
    return max(1, min(rows, BAND // max(1, 8 * across.source)))


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
    step = _band_rows(count, across)
    loaded = (down.factor * (step - 1) + down.taps) * across.source * 8
    opened = min(along.outputs, ceil_div(along.taps, along.factor) + 1) * plane * 8
    weights = 4 * sum(f.weights.nbytes for f in (along, down, across))
    bands = step * (4 * across.source + across.taps + across.outputs) * 8 + 3 * tile_bytes(8 * across.outputs, BAND)
    return opened + plane * dtype.itemsize + loaded + bands + weights + SLACK


def gaussian_scratch(shape: Shape, dtype: np.dtype[Any], factors: Shape) -> int:
    """Most bytes that `gaussian` holds besides block and result."""
    return gaussian_planes_scratch(shape, dtype, factors)
