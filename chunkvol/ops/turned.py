"""A copy of voxels in another axis order, written in one pass over the planes as they are stored."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.ops.runs import run_of, runs
from chunkvol.regions import Region, Shape, region_shape, spans, voxels, whole
from chunkvol.sources import Block, RawSource, Source

_SLAB_BYTES = 8 << 20
"""Bytes of the planes that are turned at a time: each plane of the copy is then read in few long pieces."""
_PIECE_BYTES = 2 << 20
"""Bytes of a slab that are put in their new order at a time."""

__all__ = ["TurnedCopy", "slab_planes", "turned_copy", "turning_bytes"]


@dataclass(frozen=True)
class TurnedCopy(Source):
    """Voxels in a scratch file, one slab of the original's planes after the other, each in the new order.

    A slab holds all of two new axes, but only `depth` voxels along `axis`, which ran from plane to plane in the
    original. So the file is written front to back as planes are decoded, and a block of new planes is one piece of
    each slab.
    """

    path: Path
    """The scratch file."""
    shape: Shape
    """Voxels along the new (k, j, i)."""
    dtype: np.dtype[Any]
    """Of the voxels, native byte order."""
    axis: int
    """New axis along which the slabs follow each other: 1 or 2."""
    depth: int
    """Voxels of a slab along it; the last slab has the rest."""
    identity: str = ""
    """Fingerprint of the original."""

    @property
    def fingerprint(self) -> str:
        return self.identity

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        wanted = region[self.axis]
        for part in runs(wanted, self.depth):
            first = part.start // self.depth * self.depth
            place = slice(part.start - wanted.start, part.stop - wanted.start)
            inner = _along(region, self.axis, slice(part.start - first, part.stop - first))
            self._slab(first).read(inner, block[_along(whole(block.shape), self.axis, place)])
        return block

    def _slab(self, first: int) -> RawSource:
        shape = list(self.shape)
        shape[self.axis] = min(self.depth, self.shape[self.axis] - first)
        offset = first * (voxels(self.shape) // self.shape[self.axis]) * self.dtype.itemsize
        return RawSource(self.path, (shape[0], shape[1], shape[2]), self.dtype, offset)

    def scratch(self, shape: Shape) -> int:
        part = list(shape)
        part[self.axis] = min(self.depth, shape[self.axis])
        block: Shape = (part[0], part[1], part[2])
        return voxels(block) * self.dtype.itemsize + self._slab(0).scratch(block)


def _along(region: Region, axis: int, part: slice) -> Region:
    """The region with another range along one axis."""
    parts = list(region)
    parts[axis] = part
    return parts[0], parts[1], parts[2]


def slab_planes(source: Source) -> int:
    """Planes of the original that are turned at a time."""
    plane = source.shape[1] * source.shape[2] * source.dtype.itemsize
    return min(source.shape[0], max(run_of(source), _SLAB_BYTES // plane, 1))


def turning_bytes(source: Source) -> int:
    """Most bytes that `turned_copy` holds: a slab, what reading it takes, and a piece of it in the new order."""
    slab: Shape = (slab_planes(source), *source.shape[1:])
    held = voxels(slab) * source.dtype.itemsize
    return held + source.scratch(slab) + min(held, max(_PIECE_BYTES, held // min(source.shape[1:])))


def turned_copy(source: Source, folder: Path, axes: Shape, flips: tuple[bool, bool, bool]) -> TurnedCopy:
    """The voxels of `source` in a file in `folder`; new axis `a` is old axis `axes[a]`, backwards where `flips[a]`.

    The original's planes are read once, in slabs, in their order or backwards; the slowest new axis is another one.
    """
    k, j, i = (source.shape[axis] for axis in axes)
    axis, depth = axes.index(0), slab_planes(source)
    path = next(path for n in itertools.count() if not (path := folder / f"turned{n}.raw").exists())
    copy = TurnedCopy(path, (k, j, i), source.dtype, axis, depth, source.fingerprint)
    with open(path, "xb") as file:
        for part in spans(source.shape[0], depth):
            for piece in _turned(source, part, axes, flips):
                file.write(piece.data.cast("B"))
    return copy


def _turned(source: Source, part: slice, axes: Shape, flips: tuple[bool, bool, bool]) -> Iterator[Block]:
    """New planes of one slab, some at a time; `part` is along the new axis."""
    planes = source.shape[0]
    backwards = flips[axes.index(0)]
    old = slice(planes - part.stop, planes - part.start) if backwards else part
    block = source.read((old, slice(0, source.shape[1]), slice(0, source.shape[2]))).transpose(axes)
    turned = block[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]
    step = max(1, _PIECE_BYTES // (turned[0].size * turned.itemsize))
    for some in spans(len(turned), step):
        yield np.ascontiguousarray(turned[some])
