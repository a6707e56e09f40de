"""Voxels in an array that the user holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chunkvol.regions import Region, Shape, ceil_div, voxels
from chunkvol.sources.contract import Block, Source, deliver

__all__ = ["ArraySource"]


@dataclass(frozen=True)
class ArraySource(Source):
    """A numpy or dask array of the user's; a dask block is computed inside the task that needs it."""

    array: Any
    """Anything with shape, dtype and slicing."""

    @property
    def shape(self) -> Shape:  # type: ignore[override]  # derived here, a field elsewhere
        k, j, i = (int(n) for n in self.array.shape)
        return k, j, i

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # as above
        dtype: np.dtype[Any] = np.dtype(self.array.dtype)
        return dtype.newbyteorder("=")

    @property
    def grain(self) -> Shape:
        chunks = getattr(self.array, "chunks", None)
        if chunks is None:
            return (1, 1, self.shape[2])
        k, j, i = (max(axis) for axis in chunks)
        return k, j, i

    @property
    def stored_bytes(self) -> int:
        return 0

    @property
    def fingerprint(self) -> str:
        name = getattr(self.array, "name", None)
        return "" if name is None else str(name)

    def scratch(self, shape: Shape) -> int:
        if not hasattr(self.array, "dask"):
            return 0
        # All dask blocks that the region meets are computed whole, then joined; what a deeper graph holds in between
        # is not known here, and taken to be as much again in double precision.
        met = [min(n, (ceil_div(s, g) + 1) * g) for n, s, g in zip(self.shape, shape, self.grain, strict=True)]
        return voxels(met) * (2 * self.dtype.itemsize + 8)

    def read(self, region: Region, out: Block | None = None) -> Block:
        part = self.array[region]
        if hasattr(part, "compute"):
            part = part.compute(scheduler="synchronous")
        return deliver(np.asarray(part, dtype=self.dtype), out)
