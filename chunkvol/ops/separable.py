"""Resampling onto parallel axes: a filter along each axis by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chunkvol.kernels.resampling import Taps
from chunkvol.regions import Region, Shape
from chunkvol.sources import Block, DerivedSource, Source

__all__ = ["SeparableSource"]


@dataclass(frozen=True)
class SeparableSource(DerivedSource):
    """Voxels of another source, filtered along k, j and i, each axis by its own table."""

    source: Source
    """The voxels there are; its axes run along those of the result."""
    taps: tuple[Taps, Taps, Taps]
    """For (k, j, i)."""
    outside: float
    """Value, in stored units, of results whose centre lies beyond the outer faces of the source."""

    @property
    def shape(self) -> Shape:  # type: ignore[override]  # derived here, a field elsewhere
        k, j, i = (len(one.first) for one in self.taps)
        return k, j, i

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # as above
        return self.source.dtype

    def read(self, region: Region, out: Block | None = None) -> Block:
        raise NotImplementedError
