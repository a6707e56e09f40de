"""Making a volume smaller by whole factors."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from chunkvol import kernels
from chunkvol.errors import InputError
from chunkvol.ops.factors import resolve_factors
from chunkvol.pyramid import reduction_step, steps_to
from chunkvol.regions import Region, Shape, ceil_div, region_shape, scaled, spans, voxels, wide_block
from chunkvol.segments import method_for
from chunkvol.sources import Block, DerivedSource, Source
from chunkvol.volume import Volume, check_volume

_STEP_BYTES = 4 << 20
"""Source bytes reduced at a time: large reads, and still near the processor's caches."""

_WIDE_STEP_BYTES = 64 << 20
"""The same where the source repeats what lies around it."""

__all__ = ["ReducedSource", "downsample"]


def downsample(
    volume: Volume,
    factors: int | tuple[int, int, int],
    *,
    method: str | None = None,
    ignore: tuple[float, float] | None = None,
) -> Volume:
    """The volume whose voxels are blocks of `factors` voxels; lazy.

    Parameters
    ----------
    volume
        Stored values are reduced; slope and intercept stay as they are. min and max are those of the real values.
    factors
        One whole number, or three in array order (k, j, i). An axis shorter than its factor becomes one voxel.
    method
        mean (integers: exact sums, rounded half to even), gaussian (sigma half the factor), stride (the first voxel),
        median, mode (ties: the smallest stored value), min or max. The origin moves to the block's centre, except for
        stride. By default mean, or mode where the volume's pyramid is made so, as of labels; of a
        segmentation mode, and else only stride, since labels are never mixed.
    ignore
        Smallest and largest stored value of padding, which the mean leaves out, as it then does NaN; a block of
        nothing but padding becomes the smallest. Only for the mean.

    Raises
    ------
    InputError
        Unknown method, or none for this type, or for labels; a factor below 1, or factors that no axis of the volume
        has room for; padding that is no range of two numbers, or that the method does not leave out.
    """
    check_volume(volume)
    method = method_for(volume.metadata.extra, method, "mode" if volume.metadata.pyramid == "mode" else "mean")
    row = _reducer(method, volume.dtype)
    wanted = resolve_factors(volume.shape, factors)
    padding = None if ignore is None else _padding(method, ignore)
    steps = steps_to(volume.geometry, wanted) if row.nested and padding is None else (wanted,)
    kernel = kernels.for_stored(method, volume.metadata.rescale.slope)
    source = ReducedSource(volume.source, wanted, kernel, steps, padding)
    geometry = volume.geometry.coarsened(wanted, row.anchor)
    metadata = volume.metadata.with_step(reduction_step(wanted, method) + _said(padding))
    pyramid = method if row.nested else metadata.pyramid
    problems = (*metadata.problems, *_shortened(factors, wanted))
    return Volume(source, geometry, replace(metadata, pyramid=pyramid, problems=problems))


def _shortened(asked: int | tuple[int, int, int], taken: Shape) -> list[str]:
    """What became of factors that are longer than their axes."""
    given = tuple(asked) if isinstance(asked, Iterable) else (asked,) * 3
    named = zip("zyx", given, taken, strict=True)
    return [f"factor {a} along {axis} became {t}, the length of that axis" for axis, a, t in named if a != t]


def _padding(method: str, ignore: Any) -> tuple[float, float]:
    """The checked range of padding."""
    if method != "mean":
        raise InputError(
            f"padding is left out by the method mean, not by {method}; take mean, or do not ignore padding"
        )
    given = tuple(ignore) if isinstance(ignore, Iterable) else (ignore,)
    if len(given) != 2 or not all(isinstance(v, int | float | np.number) and math.isfinite(v) for v in given):
        raise InputError(f"padding to ignore is two finite numbers, the smallest and the largest, found {ignore!r}")
    if given[0] > given[1]:
        raise InputError(f"padding to ignore begins at {given[0]}, above its end {given[1]}; turn them round")
    low, high = (int(v) if v == int(v) else float(v) for v in given)
    return low, high


def _said(padding: tuple[float, float] | None) -> str:
    """How a history tells of padding that was left out."""
    if padding is None:
        return ""
    low, high = padding
    return f" ignoring {low}" if low == high else f" ignoring {low} to {high}"


def _reducer(method: str, dtype: np.dtype[Any]) -> kernels.Reducer:
    """The row of the table, tried on one voxel, so that a type it cannot take is refused before work starts."""
    if method not in kernels.REDUCERS:
        raise InputError(f"unknown method {method!r}; use one of {', '.join(kernels.REDUCERS)}")
    kernels.REDUCERS[method].reduce(np.zeros((1, 1, 1), dtype), (1, 1, 1))
    return kernels.REDUCERS[method]


@dataclass(frozen=True)
class ReducedSource(DerivedSource):
    """Blocks of another source, reduced to one voxel each."""

    source: Source
    """The fine voxels."""
    factors: Shape
    """Fine voxels in a block along (k, j, i)."""
    method: str
    """Key of `REDUCERS`."""
    steps: tuple[Shape, ...]
    """Factors one after the other whose product is `factors`; sums are carried, so only their order depends on it."""
    ignore: tuple[float, float] | None = None
    """Smallest and largest value of padding that the mean leaves out."""
    shape: Shape = field(init=False)
    """Blocks along (k, j, i)."""

    def __post_init__(self) -> None:
        sizes = zip(self.source.shape, self.factors, strict=True)
        object.__setattr__(self, "shape", tuple(n // f for n, f in sizes))

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # derived here, a field elsewhere
        return self.source.dtype

    @property
    def grain(self) -> Shape:
        if self.source.whole_planes:
            return (1, *self.shape[1:])
        if self.source.grain[2] >= self.source.shape[2]:
            return (1, 1, self.shape[2])
        k, j, i = (min(n, ceil_div(g, f)) for n, g, f in zip(self.shape, self.source.grain, self.factors, strict=True))
        return k, j, i

    @property
    def prefers_deep(self) -> bool:
        """Blocks of many planes: each block reads a rim of planes beyond its own."""
        return self.method == "gaussian"

    @property
    def rim(self) -> tuple[int, int]:
        planes, rows = (ceil_div(n, f) for n, f in zip(self.source.rim, self.factors, strict=False))
        return planes, rows

    @property
    def stored_bytes(self) -> int:
        if self._skips_planes:
            return self.source.stored_bytes // self.factors[0]
        return self.source.stored_bytes

    def fetched_bytes(self, block: Shape) -> int:
        if not any(self.source.rim):
            return super().fetched_bytes(block)
        k, j, i = (min(n, s * f) for n, s, f in zip(self.source.shape, block, self.factors, strict=True))
        return self.source.fetched_bytes((k, j, i))

    @property
    def region_bytes(self) -> int:
        return self.source.region_bytes

    @property
    def leftover(self) -> Shape:
        k, j, i = (n % f for n, f in zip(self.source.shape, self.factors, strict=True))
        return k, j, i

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        if self.method == "gaussian":
            self._smooth(region, block)
        elif self._skips_planes:
            self._pick(region, block)
        elif self._by_plane:
            self._run(region, block)
        else:
            self._reduce(region, block)
        return block

    # ------------------------------------------------------------------------------------------- block methods

    @property
    def _skips_planes(self) -> bool:
        return self.method == "stride" and self.source.grain[0] == 1

    @property
    def _by_plane(self) -> bool:
        """Decoded planes are too large to hold a block of them: each is added to running results."""
        exact = len(self.steps) == 1 or self.dtype.kind != "f"
        return self.source.whole_planes and kernels.REDUCERS[self.method].planewise and exact

    def _parts(self, region: Region) -> Any:
        """Regions of the output to make at a time, with their place in the block."""
        dk, dj = self._step(region_shape(region))
        ks, js, is_ = region
        for k in spans(ks.stop, dk, ks.start):
            for j in spans(js.stop, dj, js.start):
                place = (slice(k.start - ks.start, k.stop - ks.start), slice(j.start - js.start, j.stop - js.start))
                yield (k, j, is_), place

    def _step(self, shape: Shape) -> tuple[int, int]:
        """Planes and rows of output to make at a time, whole chunks of the source where it has any."""
        planes = max(1, self.source.grain[0] // self.factors[0])
        if self.source.whole_planes:
            return planes, shape[1]
        if all(self.source.rim):
            return self._wide_step(shape)
        row = self.factors[1] * self.source.shape[2] * self.dtype.itemsize
        deep = 1 if self._skips_planes else self.factors[0]
        rows = max(1, _STEP_BYTES // (row * deep * planes), self.source.grain[1] // self.factors[1])
        return min(planes, shape[0]), min(rows, shape[1])

    def _wide_step(self, shape: Shape) -> tuple[int, int]:
        """Large parts of sources that repeat what lies around each."""
        row = voxels(self.factors) * shape[2] * self.dtype.itemsize
        rim = (ceil_div(self.source.rim[0], self.factors[0]), ceil_div(self.source.rim[1], self.factors[1]))
        return wide_block(rim, (1, 1), (shape[0], shape[1]), row, _WIDE_STEP_BYTES)

    def _reduce(self, region: Region, out: Block) -> None:
        """Blocks of the source, one after the other in the same memory."""
        held = np.empty(0, self.dtype)
        for part, place in self._parts(region):
            fine = scaled(part, self.factors)
            shape = region_shape(fine)
            held = held if held.size >= voxels(shape) else np.empty(voxels(shape), self.dtype)
            block = self.source.read(fine, held[: voxels(shape)].reshape(shape))
            if self.ignore is None:
                kernels.reduce_steps(self.method, block, self.steps, out=out[place])
            else:
                kernels.masked_mean(block, self.factors, self.ignore, out[place])

    def _pick(self, region: Region, out: Block) -> None:
        """The first plane of each block, of which the first rows and columns are kept."""
        for part, place in self._parts(region):
            _, rows, columns = scaled(part, self.factors)
            target = out[place]
            for n, k in enumerate(range(part[0].start, part[0].stop)):
                first = slice(k * self.factors[0], k * self.factors[0] + 1)
                plane = self.source.read((first, rows, columns))[0]
                target[n] = plane[:: self.factors[1], :: self.factors[2]]

    def _run(self, region: Region, out: Block) -> None:
        """Planes of output from planes of the source, of which one is held at a time."""
        fine = scaled(region, self.factors)
        size = out.shape[1], out.shape[2]
        reducer: kernels.PlaneReduction | kernels.MaskedPlanes
        if self.ignore is None:
            reducer = kernels.PlaneReduction(self.method, size, self.dtype, self.factors)
        else:
            reducer = kernels.MaskedPlanes(size, self.dtype, self.factors, self.ignore)
        plane = np.empty((1, *region_shape(fine)[1:]), self.dtype)
        for n in range(len(out)):
            first = fine[0].start + n * self.factors[0]
            for k in range(first, first + self.factors[0]):
                reducer.add(self.source.read((slice(k, k + 1), *fine[1:]), plane))
            reducer.finish(out[n : n + 1])

    # ------------------------------------------------------------------------------------------------- gaussian

    def _smooth(self, region: Region, out: Block) -> None:
        """Planes of output from all source planes that the filter reaches, fed in order."""
        ks, js, is_ = region
        for rows in spans(js.stop, self._smooth_rows(js.stop - js.start), js.start):
            maker = kernels.GaussianPlanes(self.source.shape, self.dtype, self.factors, planes=ks, rows=rows)
            needed, made = maker.source, 0
            for planes in spans(needed[0].stop, max(1, self.source.grain[0]), needed[0].start):
                for plane in maker.add(self.source.read((planes, *needed[1:]))):
                    out[made, rows.start - js.start : rows.stop - js.start] = plane[0, :, is_]
                    made += 1

    def _smooth_rows(self, rows: int) -> int:
        """Rows of output to make at a time: all where planes are decoded whole."""
        if self.source.whole_planes:
            return rows
        grain = self.source.grain
        row = self.factors[1] * self.source.shape[2] * self.dtype.itemsize * grain[0]
        return min(rows, max(1, 4 * _STEP_BYTES // row, ceil_div(grain[1], self.factors[1])))

    # ------------------------------------------------------------------------------------------------- promise

    def scratch(self, shape: Shape) -> int:
        if self.method == "gaussian":
            return self._smooth_scratch(shape)
        dk, dj = self._step(shape)
        fine: Shape = (dk * self.factors[0], dj * self.factors[1], shape[2] * self.factors[2])
        if self._skips_planes:
            plane = (1, *fine[1:])
            return voxels(plane) * self.dtype.itemsize + self.source.scratch(plane)
        if self._by_plane:
            plane = (1, *fine[1:])
            kept = self._kept((dj, shape[2]))
            return voxels(plane) * self.dtype.itemsize + self.source.scratch(plane) + kept
        if self.ignore is None:
            work = kernels.steps_scratch(self.method, fine, self.dtype, self.steps)
        else:
            work = self._kept((dj, shape[2]))
        return voxels(fine) * self.dtype.itemsize + max(self.source.scratch(fine), work)

    def _kept(self, size: tuple[int, int]) -> int:
        """Bytes of running results of so many rows and columns."""
        if self.ignore is not None:
            return kernels.masked_scratch(size, self.dtype, self.factors)
        return kernels.plane_scratch(self.method, size, self.dtype, self.factors)

    def _smooth_scratch(self, shape: Shape) -> int:
        rows = self._smooth_rows(shape[1])
        taps = 5 * self.factors[1] + 1
        block = (self.source.grain[0], min(self.source.shape[1], rows * self.factors[1] + taps), self.source.shape[2])
        made = kernels.gaussian_planes_scratch(self.source.shape, self.dtype, self.factors, rows)
        return 2 * voxels(block) * self.dtype.itemsize + self.source.scratch(block) + made
