"""Resampling onto a grid that lies askew in the source: each block reads only what it meets of the source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chunkvol.geometry import Mapping
from chunkvol.regions import Region, Shape
from chunkvol.sources import Block, DerivedSource, Source

__all__ = ["ObliqueSource"]


@dataclass(frozen=True)
class ObliqueSource(DerivedSource):
    """Values of another source at the voxels of any grid."""

    source: Source
    """The voxels there are."""
    mapping: Mapping
    """From voxels of the result to those of the source."""
    shape: Shape
    """Voxels of the result."""
    method: str
    """Of `kernels.resampling.METHODS`."""
    antialias: bool
    """Whether a coarser result is made of smoothed voxels (not for nearest)."""
    outside: float
    """Value, in stored units, of results whose centre lies beyond the outer faces of the source."""

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # derived here, a field elsewhere
        return self.source.dtype

    def read(self, region: Region, out: Block | None = None) -> Block:
        raise NotImplementedError
