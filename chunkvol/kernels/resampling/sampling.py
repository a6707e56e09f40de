"""Values at any place of a grid: for each voxel of an oblique target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from chunkvol.geometry.mapping import Mapping
from chunkvol.kernels.resampling.places import Window, fill, take
from chunkvol.kernels.rounding import to_dtype
from chunkvol.kernels.tiles import SLACK, Block, Buffer, settle
from chunkvol.regions import Region, Shape, region_shape, spans, voxels

METHODS = ("nearest", "linear", "cubic", "lanczos")
"""How a value between voxels is found: the nearest voxel, trilinear, cubic B-spline, windowed sinc of radius 3."""

_REACH = {"nearest": 1, "linear": 1, "cubic": 2, "lanczos": 3}
_TILE = (8, 8, 128)
"""Voxels made at once: near to each other, so that what they need stays in cache."""
_HELD = {"nearest": 12, "linear": 24, "cubic": 40, "lanczos": 60}
"""Temporaries of 8 bytes for each voxel of a tile."""

__all__ = ["METHODS", "sample", "sample_reach", "sample_scratch"]


def sample_reach(method: str) -> int:
    """Source voxels that a value needs on either side of its place: ceil of the kernel's radius.

    A box that covers floor(low - reach) to ceil(high + reach) of all places, cut at the source, holds whatever the
    values need, reflections at the ends included.
    """
    return _REACH[method]


def sample(
    box: Block,
    start: Sequence[int],
    mapping: Mapping,
    region: Region,
    *,
    method: str,
    shape: Shape,
    outside: float,
    out: Block,
) -> None:
    """Fill `out` with the values of a target region.

    The bits are the same for any region, and any box that holds what the values need. Places within 1e-6 of a voxel
    are at it; a voxel of weight 0 takes no part, whatever it holds.

    Parameters
    ----------
    box
        Part of the source (already smoothed, for cubic with its B-spline coefficients), axes (k, j, i), any strides.
    start
        Source index (k, j, i) of the box's first voxel. Whatever a value needs lies in the box.
    mapping
        From target voxels to source voxels.
    region
        Target voxels to make; `out` has its shape.
    method
        Of `METHODS`. Nearest takes voxels of the box as they are, so `out` has its type.
    shape
        Of the whole source: beyond its outer faces (half a voxel past the last centres) is `outside`. Up to them
        nearest and linear take the last voxel, cubic mirrors, and Lanczos leaves out what lies beyond.
    outside
        In stored units.
    out
        Integers are rounded once, half to even, and clipped; any strides.
    """
    k, j, i = (int(one) for one in start)
    window = Window(box, (k, j, i), shape)
    limits = _tile_shape(region_shape(region))
    values = Buffer(voxels(limits), box.dtype if method == "nearest" else float)
    other = to_dtype(np.array([outside], float), out.dtype)[0]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for tile in _tiles(out.shape, limits):
            corner = tuple(part.start + s.start for part, s in zip(region, tile, strict=True))
            made = values.shaped(region_shape(tile))
            if method == "nearest":
                take(window, mapping, corner, other, made)
                settle(made, zeros=False)
                out[tile] = made
            else:
                fill(method, window, mapping, corner, outside, made)
                to_dtype(made, out.dtype, out[tile])


def sample_scratch(method: str, shape: Shape, dtype: np.dtype[Any]) -> int:
    """Most bytes that `sample` holds besides box and out, for a region of some shape."""
    return 8 * _HELD[method] * voxels(_tile_shape(shape)) + SLACK


def _tile_shape(shape: Shape) -> Shape:
    """As many voxels as `_TILE` has, or all; more along the axes of a region that is thin along others."""
    i = min(shape[2], _TILE[2])
    k = min(shape[0], _TILE[0])
    j = max(1, min(shape[1], voxels(_TILE) // max(1, i * k)))
    k = max(1, min(shape[0], voxels(_TILE) // max(1, i * j)))
    return k, j, max(1, min(shape[2], voxels(_TILE) // (k * j)))


def _tiles(shape: Sequence[int], limits: Shape) -> Iterator[Region]:
    for k in spans(shape[0], limits[0]):
        for j in spans(shape[1], limits[1]):
            for i in spans(shape[2], limits[2]):
                yield k, j, i
