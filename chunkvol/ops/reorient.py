"""Storing the same voxels in another axis order; every voxel keeps its place in the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.errors import GeometryError
from chunkvol.geometry import canonical_order, order_for
from chunkvol.ops.turned import turned_copy, turning_bytes
from chunkvol.regions import Region, Shape, voxels
from chunkvol.sources import Block, DerivedSource, Source, deliver
from chunkvol.volume import Volume, check_volume

__all__ = ["ReorderedSource", "canonical", "reordered", "reorient"]


def canonical(volume: Volume) -> Volume:
    """The volume stored in the order L+, P+, S+ along i, j, k, without interpolation.

    Raises
    ------
    GeometryError
        When the direction is oblique: then no order of storage is canonical.
    """
    check_volume(volume)
    order = canonical_order(volume.geometry)
    if order is None:
        raise GeometryError(
            "the direction is oblique, so no storage order is L, P, S: leave out --canonical, or resample first"
        )
    return reordered(volume, *order)


def reorient(volume: Volume, letters: str) -> Volume:
    """The same voxels stored in another axis order, each at its place in the world; lazy, without the pyramid.

    Axes are permuted and reversed, nothing is interpolated, so that the way back restores every byte.

    Parameters
    ----------
    volume
        Of any direction; on an oblique one the axes run as near to the letters as they did before.
    letters
        Where the axes i, j, k (x, y, z of most files) grow *to*, such as "LPS" or "RAS", any of 48 orders. ITK's codes
        name the opposite ends: their "RAI" is "LPS" here.

    Raises
    ------
    InputError
        The letters are not one of R and L, one of A and P, one of I and S.
    """
    check_volume(volume)
    return replace(reordered(volume, *order_for(volume.geometry, letters)), coarser=())


def reordered(volume: Volume, axes: Sequence[int], flips: Sequence[bool]) -> Volume:
    """New axis `a` is old axis `axes[a]`, walked backwards where `flips[a]`."""
    if list(axes) == [0, 1, 2] and not any(flips):
        return volume
    source = _in_one(volume.source, (axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2]))
    text = "".join(("-" if flip else "") + "kji"[axis] for axis, flip in zip(axes, flips, strict=True))
    return Volume(source, volume.geometry.reordered(axes, flips), volume.metadata.with_step(f"reorder {text}"))


def _in_one(source: Source, axes: Shape, flips: tuple[bool, bool, bool]) -> Source:
    """The source in another order; what was in another order already is turned once, or not at all."""
    if isinstance(source, ReorderedSource):
        first, backwards = source.axes, source.flips
        k, j, i = (flip != backwards[axis] for axis, flip in zip(axes, flips, strict=True))
        axes, flips = (first[axes[0]], first[axes[1]], first[axes[2]]), (k, j, i)
        source = source.source
    return source if axes == (0, 1, 2) and not any(flips) else ReorderedSource(source, axes, flips)


@dataclass(frozen=True)
class ReorderedSource(DerivedSource):
    """Another source's voxels, axes permuted and reversed."""

    source: Source
    """The voxels as they are stored."""
    axes: Shape
    """Old axis of each new one."""
    flips: tuple[bool, bool, bool]
    """New axes that run backwards along the old one."""
    shape: Shape = field(init=False)
    """Voxels along the new (k, j, i)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.source.shape[a] for a in self.axes))

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # derived here, a field elsewhere
        return self.source.dtype

    @property
    def grain(self) -> Shape:
        k, j, i = (self.source.grain[a] for a in self.axes)
        if self._scattered:
            return (1, 1, self.shape[2])  # of the copy
        if self._has_rows_whole and self.axes[1] == 2:
            return (k, *self.shape[1:])  # what was a row is a column now: some rows of a plane would touch them all
        return k, j, i

    @property
    def _has_rows_whole(self) -> bool:
        return self.source.grain[2] >= self.source.shape[2] > 1

    @property
    def _scattered(self) -> bool:
        """A slab of new planes would touch all that is stored: every old plane, each decoded whole, or a part of each
        old row; so that a copy has to be made that is read in the new order."""
        if not self.source.stored_bytes:
            return False  # in memory
        return self.axes[0] != 0 and (self.source.whole_planes or (self.axes[0] == 2 and self._has_rows_whole))

    @property
    def leftover(self) -> Shape:
        k, j, i = (self.source.leftover[a] for a in self.axes)
        return k, j, i

    @property
    def prefers_deep(self) -> bool:
        return self.source.prefers_deep and self.axes[0] == 0

    def fetched_bytes(self, block: Shape) -> int:
        if self._scattered:
            return voxels(self.shape) * self.dtype.itemsize
        return self.source.fetched_bytes(self._old_shape(block))

    @property
    def staging_bytes(self) -> int:
        if self._scattered:
            return voxels(self.shape) * self.dtype.itemsize + self.source.staging_bytes
        return self.source.staging_bytes

    @property
    def staging_note(self) -> str:
        if not self._scattered:
            return self.source.staging_note
        return "the planes are copied in their new order first, since each of the new ones is made of all of the old"

    @property
    def staging_scratch(self) -> int:
        held = self.source.staging_scratch
        return max(held, turning_bytes(self.source)) if self._scattered else held

    def staged(self, folder: Path) -> Source:
        source = self.source.staged(folder)
        if self._scattered:
            return turned_copy(source, folder, self.axes, self.flips)
        return replace(self, source=source)

    def scratch(self, shape: Shape) -> int:
        old = self._old_shape(shape)
        return self.source.scratch(old) + voxels(shape) * self.dtype.itemsize

    def _old_shape(self, shape: Shape) -> Shape:
        old = [0, 0, 0]
        for axis, n in zip(self.axes, shape, strict=True):
            old[axis] = n
        return old[0], old[1], old[2]

    def read(self, region: Region, out: Block | None = None) -> Block:
        old = [slice(0, 0)] * 3
        for new, (axis, flip) in enumerate(zip(self.axes, self.flips, strict=True)):
            low, high = region[new].start, region[new].stop
            n = self.shape[new]
            old[axis] = slice(n - high, n - low) if flip else slice(low, high)
        block = self.source.read((old[0], old[1], old[2])).transpose(self.axes)
        backwards = tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips)
        return deliver(block[backwards], out)
