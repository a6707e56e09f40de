"""Sources made of another source."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.regions import Region, Shape, region_shape, shifted, voxels
from chunkvol.sources.contract import Block, Source

__all__ = ["CroppedSource", "DerivedSource", "PointwiseSource"]


class DerivedSource(Source):
    """A source made of another one, whose facts it passes on where they are its own as well."""

    source: Source
    """The other one."""

    @property
    def fingerprint(self) -> str:
        return self.source.fingerprint

    @property
    def stored_bytes(self) -> int:
        return self.source.stored_bytes

    @property
    def staging_bytes(self) -> int:
        return self.source.staging_bytes

    @property
    def staging_scratch(self) -> int:
        return self.source.staging_scratch

    @property
    def staging_note(self) -> str:
        return self.source.staging_note

    def staged(self, folder: Path) -> Source:
        staged: Source = replace(self, source=self.source.staged(folder))  # type: ignore[type-var]  # all are dataclasses
        return staged

    def preload(self) -> None:
        self.source.preload()

    def read_ahead(self) -> None:
        self.source.read_ahead()


class PointwiseSource(DerivedSource):
    """A source whose voxels are those of another one with other values: everything but the type is shared."""

    @property
    def shape(self) -> Shape:  # type: ignore[override]  # derived here, a field elsewhere
        return self.source.shape

    @property
    def grain(self) -> Shape:
        return self.source.grain

    @property
    def prefers_deep(self) -> bool:
        return self.source.prefers_deep

    @property
    def rim(self) -> tuple[int, int]:
        return self.source.rim

    def fetched_bytes(self, block: Shape) -> int:
        return self.source.fetched_bytes(block)

    @property
    def region_bytes(self) -> int:
        return self.source.region_bytes

    @property
    def leftover(self) -> Shape:
        return self.source.leftover


@dataclass(frozen=True)
class CroppedSource(DerivedSource):
    """A region of another source."""

    source: Source
    """The whole."""
    region: Region
    """What is seen of it."""

    @property
    def shape(self) -> Shape:  # type: ignore[override]  # derived here, a field elsewhere
        return region_shape(self.region)

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # as above
        return self.source.dtype

    @property
    def grain(self) -> Shape:
        k, j, i = (min(g, n) for g, n in zip(self.source.grain, self.shape, strict=True))
        return k, j, i

    @property
    def stored_bytes(self) -> int:
        share = voxels(self.shape) / voxels(self.source.shape)
        return math.ceil(self.source.stored_bytes * share)

    def scratch(self, shape: Shape) -> int:
        return self.source.scratch(shape)

    def read_ahead(self) -> None:
        if self.region[0].start == 0:
            self.source.read_ahead()

    def read(self, region: Region, out: Block | None = None) -> Block:
        return self.source.read(shifted(region, [s.start for s in self.region]), out)
