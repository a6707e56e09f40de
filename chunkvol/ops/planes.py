"""Planes made of other planes: blended between neighbours, and moved within themselves, both out of core."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol import kernels
from chunkvol.errors import InputError
from chunkvol.kernels.tiles import SLACK
from chunkvol.ops.runs import HeldRuns, band_rows, run_of, runs
from chunkvol.regions import Region, Shape, region_shape, spans, voxels
from chunkvol.sources import Block, DerivedSource, Source

_SMALL = 512
"""Bytes of numbers, slices and views that are held for each plane of a block."""

__all__ = ["BlendedPlanes", "PlaneBlend", "PlaneShift", "ShiftedPlanes"]


@dataclass(frozen=True, eq=False, slots=True)
class PlaneBlend:
    """Each plane of the result as `(1 - weight) * planes[lower] + weight * planes[lower + 1]`."""

    lower: npt.NDArray[np.int64]
    """The lower plane, shape (n,); -1 for a plane of the fill value alone."""
    weight: npt.NDArray[np.float64]
    """Share of the plane above, 0 <= weight < 1, shape (n,); where it is 0 the lower plane comes through untouched."""

    def __post_init__(self) -> None:
        if self.lower.ndim != 1 or not self.lower.size or self.lower.shape != self.weight.shape:
            raise InputError(
                f"a blend has one lower plane and one weight for each plane of the result, at least one; found arrays "
                f"of shape {self.lower.shape} and {self.weight.shape}"
            )
        if not np.all((self.weight >= 0) & (self.weight < 1)):
            raise InputError(
                f"weights of a blend lie in 0 <= weight < 1, found {self.weight.min()} to {self.weight.max()}; "
                "a plane that is there has weight 0"
            )

    @property
    def mixed(self) -> npt.NDArray[np.bool_]:
        """Where two planes are needed."""
        return (self.lower >= 0) & (self.weight > 0)

    def __dask_tokenize__(self) -> Any:
        return (type(self).__name__, *map(_digest, (self.lower, self.weight)))


@dataclass(frozen=True, eq=False, slots=True)
class PlaneShift:
    """Each plane moved along (j, i) by linear interpolation onto planes of another size."""

    offsets: npt.NDArray[np.float64]
    """Pixels by which the content of each plane moves along (j, i): result[j, i] = plane[j - offset_j, i - offset_i];
    shape (n, 2). Nearly integer offsets (1e-9) move without interpolation."""
    rows: int
    """Of the result."""
    columns: int
    """Of the result."""

    def __post_init__(self) -> None:
        shape = self.offsets.shape
        if len(shape) != 2 or shape[0] < 1 or shape[1] != 2 or self.rows < 1 or self.columns < 1:
            raise InputError(
                f"a shift has an offset (j, i) for each plane and at least one row and column; found offsets of shape "
                f"{shape} and planes of {self.rows} rows and {self.columns} columns"
            )
        if not np.isfinite(self.offsets).all():
            raise InputError("the offset of a plane is not a finite number: its position or spacing is damaged")

    def __dask_tokenize__(self) -> Any:
        return (type(self).__name__, _digest(self.offsets), self.rows, self.columns)


def _digest(values: npt.NDArray[Any]) -> Any:
    from dask.base import normalize_token

    return normalize_token(np.ascontiguousarray(values))


# ------------------------------------------------------------------------------------------------------ blend


@dataclass(frozen=True)
class BlendedPlanes(DerivedSource):
    """Planes of another source, some of them mixed of two neighbours, some of a fill value alone.

    Each source plane is fetched once for a block, however many planes of the result are made of it.

    Raises
    ------
    InputError
        When the blend names planes that the source has not, when its type cannot be interpolated or does not hold
        the fill value.
    """

    source: Source
    """The planes that are there."""
    blend: PlaneBlend
    """How each plane of the result is made of them."""
    fill: float
    """Value of planes that are made of none, in the source's type and units."""

    def __post_init__(self) -> None:
        lower, planes = self.blend.lower, self.source.shape[0]
        highest = lower + self.blend.mixed
        if lower.min() < -1 or highest.max() >= planes:
            raise InputError(
                f"the blend needs planes {lower.min()} to {highest.max()}, the source has 0 to {planes - 1} "
                "(-1 is the fill value)"
            )
        if self.blend.mixed.any():
            kernels.check_interpolable(self.source.dtype)
        _check_fill(self.fill, self.source.dtype)

    @property
    def shape(self) -> Shape:  # type: ignore[override]  # derived here, a field elsewhere
        return len(self.blend.lower), *self.source.shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # as above
        return self.source.dtype

    @property
    def grain(self) -> Shape:
        k, j, i = self.source.grain
        return min(k, self.shape[0]), j, i

    @property
    def prefers_deep(self) -> bool:
        """Where many planes are mixed: a block reads one plane more than it has."""
        return self.source.prefers_deep or 8 * int(self.blend.mixed.sum()) > len(self.blend.lower)

    @property
    def leftover(self) -> Shape:
        return self.source.leftover

    @property
    def stored_bytes(self) -> int:
        used = np.zeros(self.source.shape[0] + 1, bool)
        used[self.blend.lower] = True  # -1 is the one behind the last
        used[self.blend.lower[self.blend.mixed] + 1] = True
        return math.ceil(self.source.stored_bytes * int(used[:-1].sum()) / self.source.shape[0])

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        self._mix(region, block, self._copy(region, block))
        return block

    def _copy(self, region: Region, block: Block) -> dict[int, int]:
        """Make what needs no mixing; returns where in the block each source plane then is."""
        lower, weight = self.blend.lower[region[0]], self.blend.weight[region[0]]
        block[lower < 0] = self.fill
        made: dict[int, int] = {}
        whole = np.flatnonzero((lower >= 0) & (weight == 0))
        planes, first = np.unique(lower[whole], return_index=True)
        at = whole[first]
        breaks = np.flatnonzero((np.diff(planes) != 1) | (np.diff(at) != 1)) + 1
        for stretch in np.split(np.arange(len(planes)), breaks):
            if len(stretch) >= run_of(self.source):  # of fewer planes, a run that is decoded whole is kept instead
                k, n = int(planes[stretch[0]]), int(at[stretch[0]])
                self.source.read((slice(k, k + len(stretch)), *region[1:]), block[n : n + len(stretch)])
                made |= {k + step: n + step for step in range(len(stretch))}
        for n in whole.tolist():
            original = made.get(int(lower[n]), n)
            if original != n:
                block[n] = block[original]
        return made

    def _mix(self, region: Region, block: Block, made: dict[int, int]) -> None:
        """Make the planes that `_copy` left, in bands of rows where the source has any."""
        lower, weight = (one[region[0]].tolist() for one in (self.blend.lower, self.blend.weight))
        left = [n for n, k in enumerate(lower) if k >= 0 and (weight[n] > 0 or k not in made)]
        if not left:
            return
        for rows in spans(region[1].stop, self._rows(block.shape), region[1].start):
            band = block[:, rows.start - region[1].start : rows.stop - region[1].start]
            held = HeldRuns(self.source, rows, region[2], {k: band[n] for k, n in made.items()})
            for n in left:
                k, share = lower[n], weight[n]
                low = held.plane(k, beside=k + 1)
                if share:
                    kernels.blend(low, held.plane(k + 1, beside=k), share, band[n])
                else:
                    np.copyto(band[n], low)

    def _rows(self, shape: tuple[int, ...]) -> int:
        return min(shape[1], band_rows(self.source, shape[2]))

    def scratch(self, shape: Shape) -> int:
        run = min(run_of(self.source), self.source.shape[0])
        small = SLACK + _SMALL * shape[0]
        if run == 1 and not self.blend.mixed.any():
            return self.source.scratch(shape) + small
        part: Shape = (run, self._rows(shape), shape[2])
        held = 2 * voxels(part) * self.dtype.itemsize
        return small + max(self.source.scratch(shape), held + max(self.source.scratch(part), kernels.blend_scratch()))


# ------------------------------------------------------------------------------------------------------ shift


@dataclass(frozen=True)
class ShiftedPlanes(DerivedSource):
    """Planes of another source, each moved within itself onto planes of another size.

    A voxel whose place lies outside the centres of its source plane's outer pixels gets the fill value.

    Raises
    ------
    InputError
        When there is not one offset for each plane, when the type cannot be interpolated or does not hold the fill
        value.
    """

    source: Source
    """The planes as they are stored."""
    shift: PlaneShift
    """How each of them moves."""
    fill: float
    """Value of voxels that lie outside their source plane, in the source's type and units."""

    def __post_init__(self) -> None:
        offsets = self.shift.offsets
        if len(offsets) != self.source.shape[0]:
            raise InputError(f"the shift has offsets for {len(offsets)} planes, the source has {self.source.shape[0]}")
        if np.any(np.abs(offsets - np.rint(offsets)) > kernels.NEARLY):
            kernels.check_interpolable(self.source.dtype)
        _check_fill(self.fill, self.source.dtype)

    @property
    def shape(self) -> Shape:  # type: ignore[override]  # derived here, a field elsewhere
        return self.source.shape[0], self.shift.rows, self.shift.columns

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # as above
        return self.source.dtype

    @property
    def grain(self) -> Shape:
        k, j, i = self.source.grain
        _, rows, columns = self.shape
        return k, rows if self.source.whole_planes else min(j, rows), columns if self._wide else min(i, columns)

    @property
    def _wide(self) -> bool:
        """Rows of the source are had whole."""
        return self.source.grain[2] >= self.source.shape[2]

    @property
    def prefers_deep(self) -> bool:
        return self.source.prefers_deep

    @property
    def leftover(self) -> Shape:
        return self.source.leftover

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        ks, js, is_ = region
        held = np.empty(voxels(self._part(region_shape(region))), self.dtype)
        for planes in runs(ks, run_of(self.source)):
            made = block[planes.start - ks.start : planes.stop - ks.start]
            for rows in spans(js.stop, self._rows(block.shape), js.start):
                self._move((planes, rows, is_), made[:, rows.start - js.start : rows.stop - js.start], held)
        return block

    def _move(self, region: Region, out: Block, held: Block) -> None:
        """Make one run of planes and one band of rows."""
        needed = self._needed(region)
        if needed is None:
            out[...] = self.fill
            return
        shape = region_shape(needed)
        stored = self.source.read(needed, held[: voxels(shape)].reshape(shape))
        first = (region[1].start - needed[1].start, region[2].start - needed[2].start)
        for n, (down, across) in enumerate(self.shift.offsets[region[0]].tolist()):
            kernels.shift_plane(stored[n], (down, across), fill=self.fill, out=out[n], first=first)

    def _needed(self, region: Region) -> Region | None:
        """The part of the source that a part of the result is made of; None where that is the fill value alone."""
        planes, *asked = region
        sizes = self.source.shape[1:]
        inside = []
        for offsets in self.shift.offsets[planes].tolist():
            pair = [kernels.covered(o, n, s)[1] for o, n, s in zip(offsets, sizes, asked, strict=True)]
            if all(s.start < s.stop for s in pair):
                inside.append(pair)
        if not inside:
            return None
        rows, columns = (slice(min(s.start for s in a), max(s.stop for s in a)) for a in zip(*inside, strict=True))
        if self.source.whole_planes:
            rows = slice(0, sizes[0])
        return planes, rows, slice(0, sizes[1]) if self._wide else columns

    def _rows(self, shape: tuple[int, ...]) -> int:
        """Rows of the result to make at a time."""
        if self.source.whole_planes:
            return shape[1]
        return min(shape[1], band_rows(self.source, self.source.shape[2] if self._wide else shape[2]))

    def _part(self, shape: Shape) -> Shape:
        """The largest part of the source that is read at once for a block of this shape."""
        _, rows, columns = self.source.shape
        down, across = self._spread()
        high = rows if self.source.whole_planes else min(rows, self._rows(shape) + 1 + down)
        return min(run_of(self.source), shape[0]), high, columns if self._wide else min(columns, shape[2] + 1 + across)

    def _spread(self) -> tuple[int, int]:
        """Pixels (j, i) by which the offsets within a run of planes differ at most."""
        run = run_of(self.source)
        if run == 1:
            return 0, 0
        first = np.arange(0, len(self.shift.offsets), run)
        highest, lowest = (ufunc.reduceat(self.shift.offsets, first, axis=0) for ufunc in (np.maximum, np.minimum))
        down, across = np.ceil(highest - lowest).max(axis=0).tolist()
        return int(down) + 1, int(across) + 1

    def scratch(self, shape: Shape) -> int:
        part = self._part(shape)
        work = max(self.source.scratch(part), kernels.shift_scratch(part[2]))
        return voxels(part) * self.dtype.itemsize + work + SLACK


def _check_fill(fill: float, dtype: np.dtype[Any]) -> None:
    """Refuse a fill value that the voxels' type would change beyond its precision."""
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        fits = math.isfinite(fill) and fill == int(fill) and bounds.min <= fill <= bounds.max
    else:
        with np.errstate(over="ignore"):
            fits = dtype.kind == "f" and not (math.isfinite(fill) and np.isinf(dtype.type(fill)))
    if not fits:
        raise InputError(f"the fill value {fill} does not fit voxels of type {dtype}; choose one that this type holds")
