"""Values at any place of a grid: for each voxel of an oblique target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from chunkvol.geometry.mapping import Mapping
from chunkvol.kernels.resampling import compiled
from chunkvol.kernels.resampling.places import Window, fill, take
from chunkvol.kernels.rounding import to_dtype
from chunkvol.kernels.tiles import SLACK, Block, Buffer, settle
from chunkvol.regions import Region, Shape, region_shape, spans, voxels

METHODS = ("nearest", "linear", "cubic", "lanczos")
"""How a value between voxels is found: the nearest voxel, trilinear, cubic B-spline, windowed sinc of radius 3."""

_REACH = {"nearest": 1, "linear": 1, "cubic": 2, "lanczos": 3}
_COMPILED, _PLAIN = (16, 16, 128), (8, 8, 128)
"""Voxels made at once: near to each other, so that what they need stays in cache."""
_HELD = {"nearest": 12, "linear": 24, "cubic": 40, "lanczos": 60}
"""Temporaries of 8 bytes for each voxel of a tile."""

_Make = Callable[[Shape, Any, Block], None]

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
    if not box.size:
        out[...] = to_dtype(np.array(outside, float), out.dtype)
        return
    k, j, i = (int(one) for one in start)
    window = Window(box, (k, j, i), shape)
    name = compiled.loop_for(method, box.dtype, out.dtype)
    loop = compiled.kernel_for(name, box.dtype)
    direct = name == "nearest" or name == "linear_whole"
    other = to_dtype(np.array([outside], float), box.dtype)[0] if direct else float(outside)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if loop is not None and direct:
            _looped(loop, method, window, mapping)(tuple(part.start for part in region), other, out)
            settle(out, zeros=False)
            return
        limits = _tile_shape(region_shape(region), _PLAIN if loop is None else _COMPILED)
        make = _plain(method, window, mapping) if loop is None else _looped(loop, method, window, mapping)
        values = Buffer(voxels(limits), box.dtype if method == "nearest" else float)
        for tile in _tiles(out.shape, limits):
            corner = tuple(part.start + s.start for part, s in zip(region, tile, strict=True))
            made = values.shaped(region_shape(tile))
            make(corner, other, made)
            if method == "nearest":
                settle(made, zeros=False)
                out[tile] = made
            else:
                to_dtype(made, out.dtype, out[tile])


def sample_scratch(method: str, shape: Shape) -> int:
    """Most bytes that `sample` holds besides box and out, for a region of some shape, compiled or not."""
    plain = 8 * _HELD[method] * voxels(_tile_shape(shape, _PLAIN))
    return max(plain, 8 * 4 * voxels(_tile_shape(shape, _COMPILED))) + SLACK


def _plain(method: str, window: Window, mapping: Mapping) -> _Make:
    """What fills a tile without a compiler."""

    def make(corner: Shape, outside: Any, out: Block) -> None:
        if method == "nearest":
            take(window, mapping, corner, outside, out)
        else:
            fill(method, window, mapping, corner, outside, out)

    return make


def _looped(loop: compiled.Kernel, method: str, window: Window, mapping: Mapping) -> _Make:
    """What fills a tile with a compiled loop."""
    memory, layout = _line_of(window.box)
    limits = np.array([window.start, window.box.shape, window.shape], np.int64).T.copy()
    rows = np.column_stack([mapping.matrix, mapping.offset]).astype(float)
    if method == "nearest":
        memory = memory.view(f"u{memory.itemsize}")

    def make(corner: Shape, outside: Any, out: Block) -> None:
        bits = np.asarray(outside).view(memory.dtype)[()] if method == "nearest" else float(outside)
        loop(
            memory,
            layout,
            limits,
            rows,
            np.array(corner, np.int64),
            bits,
            out.view(memory.dtype) if method == "nearest" else out,
        )

    return make


def _line_of(box: Block) -> tuple[Block, Block]:
    """All memory of a box as one line, and where in it the first voxel is and the steps along k, j and i."""
    if not box.flags.aligned or any(step % box.itemsize for step in box.strides):
        box = np.ascontiguousarray(box)
    steps = [step // box.itemsize if n > 1 else 0 for step, n in zip(box.strides, box.shape, strict=True)]
    ends = [step * (n - 1) for step, n in zip(steps, box.shape, strict=True)]
    upwards = box[tuple(slice(None, None, -1 if step < 0 else 1) for step in steps)]
    line = as_strided(upwards, (sum(map(abs, ends)) + 1,), (box.itemsize,), writeable=False)
    return line, np.array([-sum(end for end in ends if end < 0), *steps], np.int64)


def _tile_shape(shape: Shape, most: Shape) -> Shape:
    """As many voxels as `most` has, or all; more along the axes of a region that is thin along others."""
    i = min(shape[2], most[2])
    k = min(shape[0], most[0])
    j = max(1, min(shape[1], voxels(most) // max(1, i * k)))
    k = max(1, min(shape[0], voxels(most) // max(1, i * j)))
    return k, j, max(1, min(shape[2], voxels(most) // (k * j)))


def _tiles(shape: Sequence[int], limits: Shape) -> Iterator[Region]:
    for k in spans(shape[0], limits[0]):
        for j in spans(shape[1], limits[1]):
            for i in spans(shape[2], limits[2]):
                yield k, j, i
