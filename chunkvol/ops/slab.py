"""Several planes of one place that become one: means and projections of what lies within the field of view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.geometry import Mapping
from chunkvol.kernels import to_dtype
from chunkvol.kernels.resampling import is_inside, places
from chunkvol.kernels.tiles import SLACK, settle
from chunkvol.regions import Region, Shape, ceil_div, region_shape, spans, voxels
from chunkvol.sources import Block, DerivedSource, Source

_BAND_BYTES = 16 << 20
"""Bytes of planes that are held at a time."""

__all__ = ["SlabSource"]


@dataclass(frozen=True)
class SlabSource(DerivedSource):
    """The mean, the largest or the smallest of the planes of another source; planes beyond the volume take no part."""

    source: Source
    """The planes, shape (n, rows, columns), each already on the grid of the result."""
    mapping: Mapping
    """Index in the volume of each of their voxels."""
    volume: Shape
    """Voxels of the volume."""
    combine: str
    """mean, max or min, of stored values."""
    outside: float
    """Stored value of pixels where no plane lies within the volume's outer faces."""
    dtype: np.dtype[Any]
    """Of the result; planes of a mean may be real numbers, which are rounded once."""

    @property
    def shape(self) -> Shape:  # type: ignore[override]  # derived here, a field elsewhere
        return 1, *self.source.shape[1:]

    @property
    def rim(self) -> tuple[int, int]:
        planes, rows = self.source.rim
        return ceil_div(planes, self.source.shape[0]), rows

    @property
    def region_bytes(self) -> int:
        return self.source.region_bytes

    def fetched_bytes(self, block: Shape) -> int:
        return self.source.fetched_bytes((self.source.shape[0], *block[1:]))

    def scratch(self, shape: Shape) -> int:
        band = self._band(shape)
        plane = band[1] * band[2]
        return voxels(band) * self.source.dtype.itemsize + self.source.scratch(band) + 8 * 8 * plane + SLACK

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        _, js, is_ = region
        for rows in spans(js.stop, self._band(region_shape(region))[1], js.start):
            planes = self.source.read((slice(0, self.source.shape[0]), rows, is_))
            block[0, rows.start - js.start : rows.stop - js.start] = self._joined(planes, rows, is_)
        return block

    def _band(self, shape: Shape) -> Shape:
        """Planes, rows and columns held at a time."""
        planes, columns = self.source.shape[0], shape[2]
        return planes, min(shape[1], max(1, _BAND_BYTES // (planes * columns * self.source.dtype.itemsize))), columns

    def _joined(self, planes: Block, rows: slice, columns: slice) -> Block:
        count = np.zeros(planes.shape[1:], np.int64)
        total: Block = np.zeros(planes.shape[1:], np.float64 if self.combine == "mean" else planes.dtype)
        for k, plane in enumerate(planes):
            inside = self._inside(k, rows, columns)
            if self.combine == "mean":
                np.add(total, plane, out=total, where=inside)
            else:
                better = np.maximum if self.combine == "max" else np.minimum
                np.copyto(total, np.where(count > 0, better(total, plane), plane), where=inside)
            count += inside
        none = count == 0
        if self.combine == "mean":
            total = to_dtype(total / np.maximum(count, 1), self.dtype)
        np.copyto(total, to_dtype(np.array([self.outside], float), self.dtype)[0], where=none)
        settle(total, zeros=False)
        return total

    def _inside(self, k: int, rows: slice, columns: slice) -> npt.NDArray[np.bool_]:
        """Which pixels of a plane lie within the volume's outer faces."""
        shape = 1, rows.stop - rows.start, columns.stop - columns.start
        inside = is_inside(places(self.mapping, (k, rows.start, columns.start), shape), self.volume)
        return inside.reshape(shape[1:])
