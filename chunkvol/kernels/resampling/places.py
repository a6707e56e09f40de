"""Values at the places of one tile, in plain numpy: what the compiled loops have to equal bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chunkvol.geometry.mapping import Mapping
from chunkvol.kernels.resampling.loops import NEARLY
from chunkvol.kernels.resampling.sums import bspline
from chunkvol.kernels.resampling.taps import lanczos_rows
from chunkvol.kernels.resampling.weights import Real, Whole, mirrored, settled
from chunkvol.kernels.tiles import Block
from chunkvol.regions import Shape

__all__ = ["Window", "fill", "is_inside", "places", "take"]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """What is known of the source: a box of its voxels."""

    box: Block
    """Voxels, axes (k, j, i)."""
    start: Shape
    """Source index of the box's first voxel."""
    shape: Shape
    """Of the whole source."""

    def voxels(self, axis: int, index: Whole) -> Whole:
        """Source indices along an axis as indices in the box; what is not held counts nothing, so any voxel will do."""
        return np.clip(index - self.start[axis], 0, self.box.shape[axis] - 1)


def places(mapping: Mapping, corner: Shape, shape: Shape) -> list[Real]:
    """Source indices (k, j, i) of a target tile's voxels, from global indices in one order of arithmetic."""
    k, j, i = (
        (np.arange(n) + low).reshape([-1 if one == axis else 1 for one in range(3)])
        for axis, (low, n) in enumerate(zip(corner, shape, strict=True))
    )
    rows = zip(mapping.matrix, mapping.offset, strict=True)
    return [((offset + row[0] * k) + row[1] * j) + row[2] * i for row, offset in rows]


def is_inside(where: list[Real], shape: Shape) -> npt.NDArray[np.bool_]:
    """Whether places lie within the outer faces."""
    k, j, i = ((at >= -0.5 - NEARLY) & (at <= n - 0.5 + NEARLY) for at, n in zip(where, shape, strict=True))
    return k & j & i


def take(window: Window, mapping: Mapping, corner: Shape, outside: Block, out: Block) -> None:
    """Fill a tile with the nearest voxels, as they are; `outside` is a voxel of their type."""
    where = places(mapping, corner, out.shape)
    held = is_inside(where, window.shape)
    at = []
    for axis, (place, n) in enumerate(zip(where, window.shape, strict=True)):
        whole = np.clip(np.floor(np.clip(place, -1, n) + (0.5 + NEARLY)), 0, n - 1)
        at.append(window.voxels(axis, whole.astype(np.int64)))
    np.copyto(out, window.box[at[0], at[1], at[2]])
    np.copyto(out, outside, where=~held)


def fill(method: str, window: Window, mapping: Mapping, corner: Shape, outside: float, out: Real) -> None:
    """Fill a float64 tile with values found by interpolation."""
    where = places(mapping, corner, out.shape)
    held = is_inside(where, window.shape)
    for place, n in zip(where, window.shape, strict=True):
        np.clip(place, -1, n, out=place)  # so that any place can be an index
    _FILLS[method](window, where, out)
    np.copyto(out, outside, where=~held)


def _linear(window: Window, where: list[Real], out: Real) -> None:
    at, rests = [], []
    for axis, (place, n) in enumerate(zip(where, window.shape, strict=True)):
        before, rest = settled(np.clip(place, 0, n - 1))
        index = before.astype(np.int64)
        at.append((window.voxels(axis, index), window.voxels(axis, index + 1)))
        rests.append(rest)
    (k0, k1), (j0, j1), (i0, i1) = at

    def row(k: Whole, j: Whole) -> Real:
        return _mixed(window.box[k, j, i0].astype(float), window.box[k, j, i1].astype(float), rests[2])

    low = _mixed(row(k0, j0), row(k0, j1), rests[1])
    high = _mixed(row(k1, j0), row(k1, j1), rests[1])
    np.copyto(out, _mixed(low, high, rests[0]))


def _mixed(low: Real, high: Real, rest: Real) -> Real:
    same = (low == high) & np.isinf(low)
    high -= low
    high *= rest
    high += low
    np.copyto(high, low, where=(rest == 0) | same)
    return high


def _cubic(window: Window, where: list[Real], out: Real) -> None:
    at, weights = [], []
    for axis, (place, n) in enumerate(zip(where, window.shape, strict=True)):
        before, rest = settled(place)
        index = before.astype(np.int64)
        at.append([window.voxels(axis, mirrored(index + tap, n)) for tap in range(-1, 3)])
        weights.append(list(bspline(rest)))
    _sum_columns(window.box, at, weights, out)


def _lanczos(window: Window, where: list[Real], out: Real) -> None:
    at, weights = [], []
    for axis, (place, n) in enumerate(zip(where, window.shape, strict=True)):
        before, rest = settled(np.clip(place, -0.5 - NEARLY, n - 0.5 + NEARLY))
        voxels = before.astype(np.int64)[..., None] + np.arange(-2, 4)
        rows = lanczos_rows(voxels.reshape(-1, 6), rest.reshape(-1), n).reshape(voxels.shape)
        at.append([window.voxels(axis, voxels[..., tap]) for tap in range(6)])
        weights.append([rows[..., tap] for tap in range(6)])
    _sum(window.box, at, weights, out)


def _sum(box: Block, at: list[list[Whole]], weights: list[list[Real]], out: Real) -> None:
    """Sums along i, then j, then k, each in order; a weight of 0 takes no part."""
    out[...] = -0.0
    for k, along_k in zip(at[0], weights[0], strict=True):
        plane = np.full(out.shape, -0.0)
        for j, along_j in zip(at[1], weights[1], strict=True):
            row = np.full(out.shape, -0.0)
            for i, along_i in zip(at[2], weights[2], strict=True):
                _add(row, box[k, j, i] * along_i, along_i)
            row *= along_j
            _add(plane, row, along_j)
        plane *= along_k
        _add(out, plane, along_k)


def _sum_columns(box: Block, at: list[list[Whole]], weights: list[list[Real]], out: Real) -> None:
    """Sums over k and j for each i, then along i, each in order; a weight of 0 takes no part."""
    out[...] = -0.0
    for i, along_i in zip(at[2], weights[2], strict=True):
        column = np.full(out.shape, -0.0)
        for k, along_k in zip(at[0], weights[0], strict=True):
            for j, along_j in zip(at[1], weights[1], strict=True):
                weight = along_k * along_j
                _add(column, box[k, j, i] * weight, weight)
        column *= along_i
        _add(out, column, along_i)


def _add(total: Real, product: Real, weight: Real) -> None:
    product[weight == 0] = -0.0  # changes nothing
    total += product


_FILLS: dict[str, Callable[[Window, list[Real], Real], None]] = {
    "linear": _linear,
    "cubic": _cubic,
    "lanczos": _lanczos,
}
