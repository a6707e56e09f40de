"""Layers of labels that lie beside each other in a file: one array of composite labels, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chunkvol.errors import DamagedError
from chunkvol.regions import Region, Shape, region_shape, voxels
from chunkvol.segments import Segmentation
from chunkvol.sources import Block, DerivedSource, PointwiseSource, Source, deliver

__all__ = ["ComposedSource", "LayerSource", "LayeredSource", "SegmentSource"]


class _RowsOfLayers(DerivedSource):
    """Made of a source whose rows hold all layers of a voxel, then those of the next."""

    layers: int
    """How many there are."""

    @property
    def shape(self) -> Shape:  # type: ignore[override]  # derived here, a field elsewhere
        planes, rows, columns = self.source.shape
        return planes, rows, columns // self.layers

    @property
    def grain(self) -> Shape:
        planes, rows, _ = self.source.grain
        return planes, rows, self.shape[2]

    def _held(self, shape: Shape) -> int:
        """Bytes that reading all layers of a block of this shape takes."""
        layered = (shape[0], shape[1], shape[2] * self.layers)
        return self.source.scratch(layered) + voxels(layered) * self.source.dtype.itemsize

    def _rows(self, region: Region) -> Block:
        """All layers of a region, shape (planes, rows, columns x layers)."""
        planes, rows, columns = region
        return self.source.read((planes, rows, slice(columns.start * self.layers, columns.stop * self.layers)))


@dataclass(frozen=True)
class ComposedSource(_RowsOfLayers):
    """Composite labels of a source whose rows hold all layers of a voxel, then those of the next."""

    source: Source
    """Labels, shape (planes, rows, columns x layers)."""
    segmentation: Segmentation
    """What the labels mean."""

    @property
    def layers(self) -> int:  # type: ignore[override]  # as above
        return len(self.segmentation.counts)

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # as above
        return self.segmentation.dtype

    def scratch(self, shape: Shape) -> int:
        return self._held(shape) + 3 * voxels(shape) * self.dtype.itemsize

    def read(self, region: Region, out: Block | None = None) -> Block:
        layered = self._rows(region).reshape(*region_shape(region), self.layers)
        return deliver(self.segmentation.composed(layered), out)


@dataclass(frozen=True)
class LayerSource(_RowsOfLayers):
    """The labels of one layer of such a source."""

    source: Source
    """Labels, shape (planes, rows, columns x layers)."""
    layers: int
    """How many there are."""
    layer: int
    """Which one, from 0."""

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # as above
        return self.source.dtype

    def scratch(self, shape: Shape) -> int:
        return self._held(shape)

    def read(self, region: Region, out: Block | None = None) -> Block:
        # A copy, or the block would hold all layers.
        return deliver(self._rows(region)[..., self.layer :: self.layers].copy(), out)


@dataclass(frozen=True)
class LayeredSource(DerivedSource):
    """The other way round: rows that hold all layers of a voxel, then those of the next, from composite labels."""

    source: Source
    """Composite labels."""
    segmentation: Segmentation
    """What the labels mean."""

    @property
    def _layers(self) -> int:
        return len(self.segmentation.counts)

    @property
    def shape(self) -> Shape:  # type: ignore[override]  # derived here, a field elsewhere
        planes, rows, columns = self.source.shape
        return planes, rows, columns * self._layers

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # as above
        return np.min_scalar_type(max(self.segmentation.counts) - 1)

    @property
    def grain(self) -> Shape:
        planes, rows, _ = self.source.grain
        return planes, rows, self.shape[2]

    @property
    def whole_planes(self) -> bool:
        return self.source.whole_planes

    def scratch(self, shape: Shape) -> int:
        single = (shape[0], shape[1], self.source.shape[2])
        return self.source.scratch(single) + voxels(single) * (3 * self.source.dtype.itemsize) + voxels(shape)

    def read(self, region: Region, out: Block | None = None) -> Block:
        planes, rows, columns = region
        first, last = columns.start // self._layers, -(-columns.stop // self._layers)
        labels = self.source.read((planes, rows, slice(first, last)))
        wide = np.empty((*labels.shape, self._layers), self.dtype)
        for n in range(self._layers):
            wide[..., n] = self.segmentation.layer_of(labels, n)
        start = columns.start - first * self._layers
        flat = wide.reshape(*labels.shape[:2], -1)
        return deliver(flat[..., start : start + columns.stop - columns.start], out)


@dataclass(frozen=True)
class SegmentSource(PointwiseSource):
    """One segment as a mask: 1 within it, 0 elsewhere."""

    source: Source
    """Labels, composite where there are several layers."""
    segmentation: Segmentation
    """What they mean."""
    layer: int
    """The segment's layer."""
    value: int
    """Its label there."""

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # derived here, a field elsewhere
        return np.dtype(np.uint8)

    def scratch(self, shape: Shape) -> int:
        return self.source.scratch(shape) + 4 * voxels(shape) * self.source.dtype.itemsize

    def read(self, region: Region, out: Block | None = None) -> Block:
        labels = self.source.read(region)
        if labels.dtype.kind == "f":
            raise DamagedError("labels are whole numbers, found floating point; export the segmentation again")
        mask = self.segmentation.layer_of(labels, self.layer) == self.value
        return deliver(mask.view(np.uint8), out)
