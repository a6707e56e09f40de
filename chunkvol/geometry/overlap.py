"""Which voxels of a source a box of target voxels needs: its bounding box, and the cells that it really meets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from chunkvol.geometry.grid import Triple
from chunkvol.geometry.mapping import Mapping
from chunkvol.regions import Region, Shape, ceil_div, region_shape, voxels, whole

Real = npt.NDArray[np.float64]
Runs = npt.NDArray[np.int64]
"""Shape (n, 4): neighbouring cells along i, as cell k, cell j, first cell i, and the cell i after the last."""

_SLACK = 1e-6
"""Voxels within which a place may be taken for another one."""
_MIRRORED = 0.5
"""Voxels that a mirrored neighbour may lie farther than the reach: a place half a voxel beyond the last centre."""
_SHIFTS = 4
"""Positions within a cell, along each axis, at which a box is tried to find the most cells that it meets."""
_MOST_ROWS = 2000
"""Rows of cells up to which they are counted; beyond, the volume around the box is near enough."""
_LINES = 192
"""Lines along two axes by which a volume is measured."""

__all__ = ["Cells", "Runs", "count_cells", "met", "most_met", "needed", "overlap_voxels", "source_box"]


@dataclass(frozen=True, slots=True)
class Cells:
    """A volume cut into boxes of one shape, that are read whole; those at its ends may be smaller."""

    volume: Shape
    """Voxels along (k, j, i)."""
    cell: Shape
    """Voxels of a box."""
    before: Shape = (0, 0, 0)
    """Voxels that the first box lacks: those that lie before the volume, where it is cropped from what was cut."""

    @property
    def counts(self) -> Shape:
        """Boxes along (k, j, i)."""
        k, j, i = (ceil_div(n + b, c) for n, b, c in zip(self.volume, self.before, self.cell, strict=True))
        return k, j, i

    def span(self, axis: int, first: int, stop: int) -> slice:
        """The voxels of some neighbouring boxes along an axis."""
        size, before = self.cell[axis], self.before[axis]
        return slice(max(0, first * size - before), min(self.volume[axis], stop * size - before))

    def holding(self, axis: int, part: slice) -> range:
        """The boxes that hold some voxels of an axis."""
        size, before = self.cell[axis], self.before[axis]
        return range((part.start + before) // size, (part.stop - 1 + before) // size + 1)


def source_box(mapping: Mapping, region: Region, shape: Shape, reach: Sequence[float]) -> Region | None:
    """The source voxels that the values of a target region are made of, as one box.

    Parameters
    ----------
    mapping
        From target voxels to source voxels.
    region
        Target voxels.
    shape
        Of the source, by which the box is clipped.
    reach
        Source voxels along (k, j, i) that a value needs on either side of its place.

    Returns
    -------
    None where the region lies wholly outside the outer faces of the source.
    """
    low, high = mapping.bounds(region)
    parts = []
    crosses = False
    for least, most, far, n in zip(low, high, reach, shape, strict=True):
        if most < -0.5 - _SLACK or least > n - 0.5 + _SLACK:
            return None
        crosses = crosses or least < -0.5 or most > n - 0.5
        first, last = max(least, -0.5) - far, min(most, n - 0.5) + far
        parts.append(slice(max(0, math.floor(first)), min(n, math.ceil(last) + 1)))
    if crosses and not len(_runs(mapping, region, _halves(shape, (0, 0, 0)), Cells(shape, shape), whole((1, 1, 1)))):
        return None
    k, j, i = parts
    return k, j, i


def needed(mapping: Mapping, region: Region, shape: Shape, reach: Sequence[float], cells: Cells) -> Runs:
    """As `met`, none where the region lies outside the source."""
    box = source_box(mapping, region, shape, reach)
    return np.empty((0, 4), np.int64) if box is None else met(mapping, region, reach, cells, box)


def met(mapping: Mapping, region: Region, reach: Sequence[float], cells: Cells, box: Region) -> Runs:
    """The cells that hold a voxel which a target region may need: those that the region, grown by the reach, meets.

    No cell that is needed is left out. Two convex bodies lie apart exactly where an axis separates them: one of the
    normals of either, or a cross product of their edges (Gottschalk, Lin and Manocha, SIGGRAPH 1996). For a row of
    cells each axis leaves an interval.

    Parameters
    ----------
    mapping, region, reach
        As for `source_box`.
    cells
        How the source is cut.
    box
        Of `source_box`: no other cells are looked at.
    """
    ranges = [cells.holding(axis, part) for axis, part in enumerate(box)]
    candidates = (
        slice(ranges[0].start, ranges[0].stop),
        slice(ranges[1].start, ranges[1].stop),
        slice(ranges[2].start, ranges[2].stop),
    )
    return _runs(mapping, region, _halves(cells.cell, reach, _MIRRORED), cells, candidates)


def count_cells(runs: Runs) -> int:
    """How many cells some runs have."""
    return int((runs[:, 3] - runs[:, 2]).sum())


def _halves(cell: Shape, reach: Sequence[float], more: float = 0.5) -> Triple:
    """Half the width within which the centre of a region's voxel meets a box of voxels, from its centre."""
    k, j, i = ((n - 1) / 2 + far + more + _SLACK for n, far in zip(cell, reach, strict=True))
    return k, j, i


def _runs(mapping: Mapping, region: Region, halves: Triple, cells: Cells, candidates: Region) -> Runs:
    """The candidates (cells along each axis) within `halves` of a voxel centre of the region, or between two."""
    axes, radii = _tests(mapping, region_shape(region), halves)
    middle = mapping.indices([(part.start + part.stop - 1) / 2 for part in region])
    first = [(n - 1) / 2 - b for n, b in zip(cells.cell, cells.before, strict=True)]
    k, j = np.arange(candidates[0].start, candidates[0].stop), np.arange(candidates[1].start, candidates[1].stop)
    away_k = axes[:, 0, None] * (k * cells.cell[0] + (first[0] - middle[0]))
    away_j = axes[:, 1, None] * (j * cells.cell[1] + (first[1] - middle[1]))
    away = away_k[:, :, None] + away_j[:, None, :] + (axes[:, 2] * (first[2] - middle[2]))[:, None, None]
    low, high = _intervals(away, axes[:, 2] * cells.cell[2], radii)
    low = np.maximum(low, candidates[2].start).astype(np.int64)
    high = np.minimum(high, candidates[2].stop).astype(np.int64)
    rows, columns = np.nonzero(high > low)
    return np.stack([k[rows], j[columns], low[rows, columns], high[rows, columns]], axis=1)


def _intervals(away: Real, step: Real, radii: Real) -> tuple[Real, Real]:
    """First whole number i, and the one after the last, for which `abs(away + step * i) <= radii` for all tests.

    `away` has axes (test, ...), the others (test,).
    """
    flat = np.abs(step) < 1e-12
    slope, radius = step[~flat].reshape(-1, *[1] * (away.ndim - 1)), radii[~flat].reshape(-1, *[1] * (away.ndim - 1))
    centre, extent = -away[~flat] / slope, radius / np.abs(slope)
    low = np.ceil((centre - extent).max(axis=0))
    high = np.floor((centre + extent).min(axis=0)) + 1
    if flat.any():
        apart = (np.abs(away[flat]) > radii[flat].reshape(-1, *[1] * (away.ndim - 1))).any(axis=0)
        high = np.where(apart, low, high)
    return low, high


@lru_cache(maxsize=256)
def _tests(mapping: Mapping, shape: Shape, halves: Triple) -> tuple[Real, Real]:
    """The axes (n, 3) that may lie between a box of source voxels and a target region, and how near both reach."""
    matrix = np.array(mapping.matrix)
    edges = matrix / np.linalg.norm(matrix, axis=0)
    crossed = np.cross(np.eye(3)[:, None, :], edges.T[None, :, :]).reshape(9, 3)
    axes = np.concatenate([np.eye(3), np.linalg.inv(matrix), crossed])
    length = np.linalg.norm(axes, axis=1)
    kept = length > 1e-9 * np.repeat((1.0, length[3:6].max(), 1.0), (3, 3, 9))  # else both edges are parallel
    axes = axes[kept] / length[kept, None]
    own = np.abs(axes @ matrix) @ ((np.array(shape) - 1) / 2)
    return axes, np.abs(axes) @ np.array(halves) + own + _SLACK


@lru_cache(maxsize=256)
def most_met(mapping: Mapping, shape: Shape, reach: Triple, cell: Shape) -> int:
    """Upper bound of the cells that any target region of a shape meets, in a source without end.

    It never falls as the shape grows. The region is tried at some positions within a cell, grown by as much as it can
    lie between two of them; where it is large, the volume around it is taken.
    """
    size = np.array(cell)
    grown = (size / (2 * _SHIFTS)).tolist()
    halves = _halves(cell, [far + more for far, more in zip(reach, grown, strict=True)], _MIRRORED)
    low, high = mapping.bounds(whole(shape))
    start = [math.floor((a - o - h) / n) - 1 for a, o, h, n in zip(low, mapping.offset, halves, cell, strict=True)]
    stop = [math.ceil((b - o + h) / n) + 3 for b, o, h, n in zip(high, mapping.offset, halves, cell, strict=True)]
    if (stop[0] - start[0]) * (stop[1] - start[1]) > _MOST_ROWS:
        return math.ceil(_volume_around(mapping, shape, np.array(halves) + size / 2) / voxels(cell))
    axes, radii = _tests(mapping, shape, halves)
    middle = np.array(mapping.matrix) @ ((np.array(shape) - 1) / 2)
    k, j = (np.arange(start[axis], stop[axis]) * cell[axis] for axis in (0, 1))
    away = axes[:, 0, None, None] * k[:, None] + axes[:, 1, None, None] * j - (axes @ middle)[:, None, None]
    moves = (np.indices((_SHIFTS,) * 3).reshape(3, -1).T + 0.5) * (size / _SHIFTS) @ axes.T
    most = 0
    for move in moves:
        first, after = _intervals(away + move[:, None, None], axes[:, 2] * cell[2], radii)
        most = max(most, int(np.maximum(after - first, 0).sum()))
    return most


def _volume_around(mapping: Mapping, shape: Shape, halves: Real) -> float:
    """Source voxels in a target region that is grown by a box: the sum over all triples of edges of both."""
    edges = np.concatenate([(np.array(mapping.matrix) * (np.array(shape) - 1)).T, np.diag(2 * halves)])
    triples = [(a, b, c) for a in range(6) for b in range(a) for c in range(b)]
    return float(np.abs(np.linalg.det(edges[np.array(triples)])).sum())


def overlap_voxels(mapping: Mapping, target: Shape, source: Shape) -> float:
    """Source voxels within the outer faces of both grids: the volume of the overlap, within about a thousandth."""
    matrix = np.array(mapping.matrix)
    lines = [(np.arange(_LINES) + 0.5) / _LINES * n - 0.5 for n in target[:2]]
    base = (
        matrix[:, 0, None, None] * lines[0][:, None]
        + matrix[:, 1, None, None] * lines[1]
        + np.array(mapping.offset)[:, None, None]
    )
    low, high = np.full(base.shape[1:], -0.5), np.full(base.shape[1:], target[2] - 0.5)
    for at, step, n in zip(base, matrix[:, 2], source, strict=True):
        if abs(step) < 1e-12:
            high = np.where((at < -0.5) | (at > n - 0.5), low, high)
            continue
        ends = (-0.5 - at) / step, (n - 0.5 - at) / step
        low, high = np.maximum(low, np.minimum(*ends)), np.minimum(high, np.maximum(*ends))
    inside = float(np.maximum(high - low, 0).mean()) * target[0] * target[1]
    return inside * abs(float(np.linalg.det(matrix)))
