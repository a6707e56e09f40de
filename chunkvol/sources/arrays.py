"""Voxels in an array that the user holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chunkvol.errors import InputError
from chunkvol.regions import Region, Shape, ceil_div, region_shape, voxels
from chunkvol.sources.contract import Block, Source, deliver

_WIDER: dict[str, np.dtype[Any]] = {"bool": np.dtype(np.uint8), "float16": np.dtype(np.float32)}
"""What holds values of types that hardly any file has, as they are: truth values as 0 and 1."""

__all__ = ["ArraySource"]


@dataclass(frozen=True)
class ArraySource(Source):
    """A numpy or dask array of the user's; a dask block is computed inside the task that needs it.

    Raises
    ------
    InputError
        At reading, when dask's blocks are not what its array promised: of another shape, of values that its type does
        not hold, or masked.
    """

    array: Any
    """Anything with shape, dtype and slicing."""

    @property
    def shape(self) -> Shape:  # type: ignore[override]  # derived here, a field elsewhere
        k, j, i = (int(n) for n in self.array.shape)
        return k, j, i

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # as above
        dtype: np.dtype[Any] = np.dtype(self.array.dtype)
        return _WIDER.get(dtype.name, dtype.newbyteorder("="))

    @property
    def grain(self) -> Shape:
        chunks = getattr(self.array, "chunks", None)
        if chunks is None:
            return (1, 1, self.shape[2])
        k, j, i = (int(np.max(axis)) for axis in chunks)  # zarr and h5py have a length for all chunks of an axis
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
            part = self._held(part.compute(scheduler="synchronous"), region)
        block = np.asarray(part)
        return deliver(block if out is not None else block.astype(self.dtype, copy=False), out)

    def _held(self, part: Any, region: Region) -> Block:
        """A computed block, which dask hands over as the user's function made it."""
        if isinstance(part, np.ma.MaskedArray):
            raise InputError("a block of the dask array is masked, and would lose its mask: give it .filled(value)")
        block = np.asarray(part)
        if block.shape != region_shape(region):
            raise InputError(
                f"the dask array promises a block of shape {region_shape(region)} and computes one of {block.shape}: "
                "say how a function changes shapes, as map_blocks(..., chunks=...) does"
            )
        if np.can_cast(block.dtype, self.dtype, "same_kind" if self.dtype.kind == "f" else "safe"):
            return block
        with np.errstate(invalid="ignore"):
            cast = block.astype(self.dtype)
        if not (cast == block).all():
            raise InputError(
                f"the dask array promises {self.dtype.name} and computes {block.dtype.name} values that it does not "
                "hold: say the type where it is made, as map_blocks(..., dtype=...) does, or cast with .astype(...)"
            )
        return cast
