"""Real values from stored ones: slope, intercept, and the type that holds the result."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import DamagedError, InputError
from chunkvol.kernels.tiles import SLACK, TILE, Buffer, largest_tile, tiles
from chunkvol.metadata import Metadata, Rescale
from chunkvol.regions import Region, Shape, region_shape, spans, voxels
from chunkvol.sources import Block, PointwiseSource, Source

_INTEGERS = ("uint8", "int8", "int16", "uint16", "int32", "uint32", "int64")
_TILE = 1 << 18
"""Voxels converted at a time, so that the double precision temporary stays in the cache."""

__all__ = ["InvertedSource", "PlaneRescaledSource", "RescaledSource", "real_dtype"]


def real_dtype(dtype: np.dtype[Any], metadata: Metadata) -> np.dtype[Any]:
    """The type that holds real values: an integer type where that is exact for every possible stored value
    (the stored type itself where it does), float32 otherwise, and float64 where float32 could not tell them apart;
    floating point stays as it is."""
    scale = metadata.rescale
    if scale.is_identity or dtype.kind == "f":
        return dtype
    low, high = metadata.stored_range or (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    if not (float(scale.slope).is_integer() and float(scale.intercept).is_integer()):
        return _floating(scale, low, high)
    ends = sorted(int(scale.slope) * v + int(scale.intercept) for v in (low, high))
    for name in (dtype.name, *_INTEGERS):
        bounds = np.iinfo(name)
        if bounds.min <= ends[0] and ends[1] <= bounds.max:
            return np.dtype(name)
    return _floating(scale, low, high)


def _floating(scale: Rescale, low: int, high: int) -> np.dtype[Any]:
    """float32, unless real values leave its range, or lie so far from 0 that its steps there are too coarse.

    Steps are fine enough when they are not larger than the slope, or than a millionth of the span from end to end.
    """
    single, slope = np.finfo(np.float32), abs(scale.slope)
    largest = max(abs(scale.slope * value + scale.intercept) for value in (low, high))
    fine = largest * float(single.eps) <= max(slope, 1e-6 * slope * (high - low))
    fits = float(single.tiny) <= slope and largest <= float(single.max)
    return np.dtype("float32" if fits and fine else "float64")


@dataclass(frozen=True)
class RescaledSource(PointwiseSource):
    """The real values of another source."""

    source: Source
    """Stored values."""
    rescale: Rescale
    """Slope and intercept."""
    dtype: np.dtype[Any]
    """Type of the real values."""

    def scratch(self, shape: Shape) -> int:
        stored = voxels(shape) * self.source.dtype.itemsize
        return self.source.scratch(shape) + stored + 3 * 8 * min(_TILE, voxels(shape))

    def read(self, region: Region, out: Block | None = None) -> Block:
        stored = self.source.read(region).reshape(-1)
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        target = block if block.flags.c_contiguous else np.empty(block.shape, self.dtype)
        flat = target.reshape(-1)
        exact = np.int64 if self.dtype.kind in "iu" else np.float64
        # Floats may be stored as NaN or infinite, or become so. Integers, which do not, are checked.
        with np.errstate(over="ignore", under="ignore", invalid="ignore") if exact is np.float64 else nullcontext():
            for start in range(0, stored.size, _TILE):
                part = stored[start : start + _TILE].astype(exact)
                part *= exact(self.rescale.slope)  # type: ignore[arg-type]  # one of two types, the same as the part's
                part += exact(self.rescale.intercept)  # type: ignore[arg-type]  # as above
                self._check(part)
                flat[start : start + _TILE] = part
        if target is not block:
            np.copyto(block, target)
        return block

    def _check(self, real: Block) -> None:
        """Integers must not wrap round (measured: 15 % of the time of the conversion)."""
        if self.dtype.kind not in "iu" or self.dtype.itemsize == real.dtype.itemsize:
            return
        bounds, low, high = np.iinfo(self.dtype), int(real.min()), int(real.max())
        if low < bounds.min or high > bounds.max:
            raise InputError(
                f"real values from {low} to {high} do not fit {self.dtype.name}: the metadata's stored range is "
                "narrower than the voxels; leave stored_range out where voxels were computed"
            )


@dataclass(frozen=True, eq=False)
class PlaneRescaledSource(PointwiseSource):
    """The real values of a source whose planes have slopes and intercepts of their own, in floating point.

    A value is `float64(stored) * slope + intercept`, each operation rounded, as in pydicom's `apply_modality_lut`
    (PS3.3 C.11.1.1.2); float32 is that value rounded once more.

    Raises
    ------
    InputError
        When there is not one slope and intercept for each plane, or the type is not float32 or float64.
    """

    source: Source
    """Stored values."""
    slopes: npt.NDArray[np.float64]
    """Real units per stored unit, shape (planes,)."""
    intercepts: npt.NDArray[np.float64]
    """Real value of stored 0, shape (planes,)."""
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.float64))
    """Type of the real values: float64 or float32."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", np.dtype(self.dtype))
        planes = (self.source.shape[0],)
        if self.slopes.shape != planes or self.intercepts.shape != planes:
            raise InputError(
                f"{planes[0]} planes need as many slopes and intercepts, found arrays of shape {self.slopes.shape} and "
                f"{self.intercepts.shape}"
            )
        if self.dtype not in (np.float32, np.float64):
            raise InputError(f"real values of slopes that change from plane to plane are floats, not {self.dtype}")

    def _planes(self, shape: tuple[int, ...]) -> int:
        """Planes of stored values to hold at a time."""
        return shape[0] if self.prefers_deep else min(shape[0], self.grain[0])

    def scratch(self, shape: Shape) -> int:
        stored: Shape = (self._planes(shape), *shape[1:])
        return self.source.scratch(stored) + voxels(stored) * self.source.dtype.itemsize + TILE + SLACK

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        held = np.empty((self._planes(block.shape), *block.shape[1:]), self.source.dtype)
        for planes in spans(region[0].stop, len(held), region[0].start):
            stored = self.source.read((planes, *region[1:]), held[: planes.stop - planes.start])
            first = planes.start - region[0].start
            self._convert(stored, planes, block[first : first + len(stored)])
        return block

    def _convert(self, stored: Block, planes: slice, real: Block) -> None:
        """Tile by tile, in place where the result has double precision."""
        slopes, intercepts = (one[planes, np.newaxis, np.newaxis] for one in (self.slopes, self.intercepts))
        rows, columns = largest_tile(real.shape, 8)
        buffer = Buffer(rows * columns, np.float64)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for tile in tiles(real.shape, 8):
                target = real[tile]
                part = target if self.dtype == np.float64 else buffer.shaped(target.shape)
                np.copyto(part, stored[tile])
                np.multiply(part, slopes[tile[0]], out=part)
                np.add(part, intercepts[tile[0]], out=part)
                if part is not target:
                    np.copyto(target, part, casting="same_kind")


@dataclass(frozen=True)
class InvertedSource(PointwiseSource):
    """Stored integers turned over within their range: `low + high - stored`, so that what was dark is bright.

    This shows MONOCHROME1 (PS3.3 C.7.6.3.1.2: the minimum sample is displayed as white) the way of MONOCHROME2.

    Raises
    ------
    InputError
        For floating point, and for a range that the type does not hold.
    DamagedError
        At reading, when a voxel lies outside the range.
    """

    source: Source
    """Stored values, integers."""
    low: int
    """Lowest stored value there can be, such as 0."""
    high: int
    """Highest stored value there can be, such as 4095."""

    def __post_init__(self) -> None:
        if self.dtype.kind not in "iu":
            raise InputError(f"only integers can be inverted, found {self.dtype}: leave the inversion out")
        bounds = np.iinfo(self.dtype)
        if not bounds.min <= self.low <= self.high <= bounds.max:
            raise InputError(f"the stored range {self.low} to {self.high} is no range of {self.dtype} voxels")

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # as above
        return self.source.dtype

    def scratch(self, shape: Shape) -> int:
        return self.source.scratch(shape) + SLACK

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        self.source.read(region, block)  # into memory of our own: a source may hand out the user's array
        lowest, highest = int(block.min()), int(block.max())
        if lowest < self.low or self.high < highest:
            raise DamagedError(
                f"stored values from {lowest} to {highest} lie outside the range {self.low} to {self.high} in which "
                "they were to be inverted: the voxels or their bits stored are damaged; leave the inversion out"
            )
        # The sum may exceed the type, the difference cannot: arithmetic that wraps round is exact here.
        unsigned = block.view(f"u{block.itemsize}")
        np.subtract(
            np.array((self.low + self.high) % (1 << 8 * block.itemsize), unsigned.dtype), unsigned, out=unsigned
        )
        return block
