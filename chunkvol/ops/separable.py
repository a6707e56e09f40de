"""Resampling onto parallel axes: a filter along each axis by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chunkvol import kernels
from chunkvol.errors import InputError
from chunkvol.kernels.resampling import Taps, load_kernels
from chunkvol.ops.order import Order, best_order
from chunkvol.ops.reach import Reach, reach_of
from chunkvol.ops.sweep import Sweep, sweep_bands, sweep_scratch
from chunkvol.regions import Region, Shape, region_shape, voxels
from chunkvol.sources import Block, DerivedSource, Source

_SMALL = 64
"""Bytes of numbers and views that are held for each plane, row and column of a block."""

__all__ = ["SeparableSource"]


@dataclass(frozen=True)
class SeparableSource(DerivedSource):
    """Voxels of another source, filtered along k, j and i, each axis by its own table.

    Sums are made in double precision, each in the order of its taps, and rounded once. Where all taps along all axes
    are single voxels these come through bit for bit, whatever their type.

    Raises
    ------
    InputError
        When a table is not of the source's length, when the type cannot be interpolated, or does not hold the value
        outside.
    """

    source: Source
    """The voxels there are; its axes run along those of the result."""
    taps: tuple[Taps, Taps, Taps]
    """For (k, j, i)."""
    outside: float
    """Value, in stored units, of results whose centre lies beyond the outer faces of the source."""
    reach: tuple[Reach, Reach, Reach] = field(init=False, repr=False, compare=False)
    """What the results need of the source along (k, j, i)."""
    order: Order = field(init=False, repr=False, compare=False)
    """In which order the filters go."""

    def __post_init__(self) -> None:
        lengths = tuple(one.length for one in self.taps)
        if lengths != self.source.shape:
            raise InputError(f"the taps are for a source of shape {lengths}, the source has {self.source.shape}")
        reach = tuple(map(reach_of, self.taps))
        if any(one.picks is None for one in reach):
            kernels.check_interpolable(self.source.dtype)
        _stored(self.outside, self.source.dtype)
        object.__setattr__(self, "reach", reach)
        object.__setattr__(self, "order", best_order((reach[0], reach[1], reach[2]), self.source.dtype.itemsize))

    @property
    def shape(self) -> Shape:  # type: ignore[override]  # derived here, a field elsewhere
        k, j, i = (len(one.first) for one in self.taps)
        return k, j, i

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # as above
        return self.source.dtype

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        made = tuple(one.inside(part) for one, part in zip(self.reach, region, strict=True))
        fill = _stored(self.outside, self.dtype)
        if any(part.start == part.stop for part in made):
            block[...] = fill
            return block
        place = tuple(slice(m.start - r.start, m.stop - r.start) for m, r in zip(made, region, strict=True))
        sweep = Sweep(self.source, self.taps, self.reach, self.order, region_shape(region))
        sweep.make((made[0], made[1], made[2]), block[place])
        beyond = [np.flatnonzero(~taps.inside[part]) for taps, part in zip(self.taps, region, strict=True)]
        for axis, places in enumerate(beyond):
            np.moveaxis(block, axis, 0)[places] = fill
        return block

    # --------------------------------------------------------------------------------------------------- facts

    @property
    def grain(self) -> Shape:
        grain = self.source.grain
        k, j, i = (
            one.grains(g) if g > 1 or not axis else 1
            for axis, (one, g) in enumerate(zip(self.reach, grain, strict=True))
        )
        if self.source.whole_planes:
            return k, *self.shape[1:]
        return k, j, self.shape[2] if self._wide else i

    @property
    def _wide(self) -> bool:
        """Rows of the source are had whole."""
        return self.source.grain[2] >= self.source.shape[2]

    @property
    def whole_planes(self) -> bool:
        return self.source.whole_planes and self.shape[1] > 1

    @property
    def rim(self) -> tuple[int, int]:
        if not all(one.count for one in self.reach):
            return (0, 0)  # nothing is read
        return self.reach[0].rim, 0 if self.source.whole_planes else self.reach[1].rim

    @property
    def prefers_deep(self) -> bool:
        """Where a block reads planes beyond its own share."""
        return self.source.prefers_deep or self.rim[0] > 0

    @property
    def leftover(self) -> Shape:
        return (0, 0, 0)

    @property
    def region_bytes(self) -> int:
        parts = enumerate(zip(self.reach, self.shape, strict=True))
        used = [one.fetched(1, count, skips=axis == 0) for axis, (one, count) in parts]
        return voxels(used) * self.dtype.itemsize

    @property
    def stored_bytes(self) -> int:
        return math.ceil(self.source.stored_bytes * self._share(self.shape))

    def fetched_bytes(self, block: Shape) -> int:
        k, j, i = (min(n, one.widest(b)) for n, b, one in zip(self.source.shape, block, self.reach, strict=True))
        bands = sweep_bands(self.source, self.reach, self.order, block)
        return math.ceil(self.source.fetched_bytes((k, j, i)) * self._share((block[0], max(1, bands), block[2])))

    def _share(self, block: Shape) -> float:
        """How much of the source is fetched while all results are made in such blocks: 1 is all of it, once."""
        share = 1.0
        for axis, one in enumerate(self.reach):
            grain = self.source.grain[axis]
            if axis and self.source.whole_planes:
                grain = one.length
            share *= one.fetched(grain, block[axis], skips=axis == 0) / one.length
        return share

    def scratch(self, shape: Shape) -> int:
        return sweep_scratch(self.source, self.taps, self.reach, self.order, shape) + _SMALL * sum(shape)

    def preload(self) -> None:
        self.source.preload()
        if any(one.picks is None for one in self.reach):
            load_kernels()

    def read_ahead(self) -> None:
        if self.reach[0].needed(self.reach[0].made).start == 0:
            self.source.read_ahead()


def _stored(value: float, dtype: np.dtype[Any]) -> Any:
    """A value in the voxels' type, rounded."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if math.isfinite(value) and limits.min <= round(value) <= limits.max:
            return dtype.type(round(value))
    elif dtype.kind == "f":
        with np.errstate(over="ignore"):
            stored = dtype.type(value)
        if np.isfinite(stored) or not math.isfinite(value):
            return stored
    raise InputError(
        f"the value outside, {value}, does not fit voxels of type {dtype}; choose one that this type holds"
    )
