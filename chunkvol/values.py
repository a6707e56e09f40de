"""Real values from stored ones: slope, intercept, and the type that holds the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chunkvol.errors import InputError
from chunkvol.metadata import Metadata, Rescale
from chunkvol.regions import Region, Shape, region_shape, voxels
from chunkvol.sources import Block, DerivedSource, Source

_INTEGERS = ("uint8", "int8", "int16", "uint16", "int32", "uint32", "int64")
_TILE = 1 << 18
"""Voxels converted at a time, so that the double precision temporary stays in the cache."""

__all__ = ["RescaledSource", "real_dtype"]


def real_dtype(dtype: np.dtype[Any], metadata: Metadata) -> np.dtype[Any]:
    """The type that holds real values: an integer type where that is exact for every possible stored value
    (the stored type itself where it does), float32 otherwise; floating point stays as it is."""
    scale = metadata.rescale
    if scale.is_identity or dtype.kind == "f":
        return dtype
    if not (float(scale.slope).is_integer() and float(scale.intercept).is_integer()):
        return np.dtype("float32")
    low, high = metadata.stored_range or (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    ends = sorted(int(scale.slope) * v + int(scale.intercept) for v in (low, high))
    for name in (dtype.name, *_INTEGERS):
        bounds = np.iinfo(name)
        if bounds.min <= ends[0] and ends[1] <= bounds.max:
            return np.dtype(name)
    return np.dtype("float32")


@dataclass(frozen=True)
class RescaledSource(DerivedSource):
    """The real values of another source."""

    source: Source
    """Stored values."""
    rescale: Rescale
    """Slope and intercept."""
    dtype: np.dtype[Any]
    """Type of the real values."""
    shape: Shape = field(init=False)
    """Voxels along (k, j, i)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", self.source.shape)

    @property
    def grain(self) -> Shape:
        return self.source.grain

    @property
    def prefers_deep(self) -> bool:
        return self.source.prefers_deep

    @property
    def leftover(self) -> Shape:
        return self.source.leftover

    def scratch(self, shape: Shape) -> int:
        stored = voxels(shape) * self.source.dtype.itemsize
        return self.source.scratch(shape) + stored + 3 * 8 * min(_TILE, voxels(shape))

    def read(self, region: Region, out: Block | None = None) -> Block:
        stored = self.source.read(region).reshape(-1)
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        target = block if block.flags.c_contiguous else np.empty(block.shape, self.dtype)
        flat = target.reshape(-1)
        exact = np.int64 if self.dtype.kind in "iu" else np.float64
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
