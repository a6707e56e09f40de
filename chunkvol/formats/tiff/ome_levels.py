"""The reduced images of an OME-TIFF: which there are, how they are tiled, and how they are made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chunkvol import kernels
from chunkvol.formats.tiff.layout import Level
from chunkvol.geometry import Geometry
from chunkvol.pyramid import steps_between, steps_to
from chunkvol.regions import Shape, ceil_div, spans, voxels
from chunkvol.sources import Block

TILE = 512
"""Longest side of a tile, and of the coarsest image: what a viewer fetches at a time."""

_STEP = 16
"""Tile sides are multiples of it (TIFF 6.0, section 15)."""
_PIECE_BYTES = 1 << 21
"""Voxels that are reduced at a time."""

__all__ = ["TILE", "Pyramid", "plane_levels"]


def plane_levels(size: tuple[int, int], dtype: np.dtype[Any]) -> tuple[Level, ...]:
    """The images of a plane: halved in both directions until the longer side has at most 512 voxels.

    OME keeps the number of planes, so they are never joined. A side of 1 is not halved; leftover voxels are dropped.
    """
    levels: list[Level] = []
    factors, start = (1, 1), 0
    while True:
        rows, columns = (n // f for n, f in zip(size, factors, strict=True))
        levels.append(Level(factors, (rows, columns), _tile(rows, columns), start, dtype.itemsize))
        if max(rows, columns) <= TILE:
            return tuple(levels)
        start += levels[-1].bytes
        factors = (factors[0] * (2 if rows > 1 else 1), factors[1] * (2 if columns > 1 else 1))


def _tile(rows: int, columns: int) -> tuple[int, int]:
    """Tiles of about the same size, so that little is filled up; a small image is whole."""
    if max(rows, columns) <= TILE:
        return rows, columns
    return _side(rows), _side(columns)


def _side(length: int) -> int:
    return ceil_div(ceil_div(length, ceil_div(length, TILE)), _STEP) * _STEP


@dataclass(frozen=True)
class Pyramid:
    """How the images of planes are made from their voxels: each is the reduction of the plane itself."""

    geometry: Geometry
    """Of the volume."""
    dtype: np.dtype[Any]
    """Of the voxels."""
    method: str
    """Key of `REDUCERS`."""
    levels: tuple[Level, ...]
    """The images of a plane, finest first."""
    factors: tuple[Shape, ...] = field(init=False)
    """Those of the levels, along (k, j, i)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "factors", tuple((1, *level.factors) for level in self.levels))

    @property
    def rows(self) -> int:
        """Rows of a plane that the coarsest image makes one of: pieces hold a multiple of them."""
        return self.levels[-1].factors[0]

    def pieces(self, rows: slice) -> Iterator[slice]:
        """The rows of a block, some at a time."""
        return spans(rows.stop, self._piece, rows.start)

    def reduced(self, piece: Block) -> Iterator[Block]:
        """The images of some rows of a plane, which begin at a multiple of `rows`, from the second level on.

        They are those of `downsample` by the same factors, bit for bit.
        """
        if not self._in_order:
            yield from kernels.cascade(self.method, piece, steps_between(self.factors))
            return
        for factors in self.factors[1:]:
            shape = tuple(n // f for n, f in zip(piece.shape, factors, strict=True))
            yield kernels.reduce_steps(
                self.method, piece, steps_to(self.geometry, factors), np.empty(shape, self.dtype)
            )

    @property
    def scratch(self) -> int:
        """Most bytes that `reduced` holds, its images included, and that storing them takes."""
        piece = (1, self._piece, self.geometry.shape[2])
        stored = voxels(piece) * self.dtype.itemsize
        if not self._in_order:
            return stored + kernels.cascade_scratch(self.method, piece, self.dtype, steps_between(self.factors))
        work = (
            kernels.steps_scratch(self.method, piece, self.dtype, steps_to(self.geometry, factors))
            for factors in self.factors[1:]
        )
        return 2 * stored + max(work, default=0)

    @property
    def _in_order(self) -> bool:
        """Sums of floating-point numbers depend on their order, which must be that of `downsample`."""
        return self.method == "mean" and self.dtype.kind == "f"

    @property
    def _piece(self) -> int:
        rows, columns = self.geometry.shape[1:]
        fit = _PIECE_BYTES // (columns * self.dtype.itemsize) // self.rows * self.rows
        return min(rows, max(self.rows, fit))


def tile_parts(level: Level, rows: slice) -> Sequence[tuple[slice, slice, int]]:
    """The tiles that some rows of an image meet: rows and columns of the image, and the byte within the plane.

    A part holds the tile's whole width; what lies beyond the image is to be filled up.
    """
    (high, wide), parts = level.tile, []
    for down in range(rows.start // high, ceil_div(rows.stop, high)):
        part = slice(max(rows.start, down * high), min(rows.stop, (down + 1) * high))
        for across in range(level.tiles[1]):
            tile = level.start + (down * level.tiles[1] + across) * level.tile_bytes
            first = tile + (part.start - down * high) * wide * level.itemsize
            parts.append((part, slice(across * wide, min(level.size[1], (across + 1) * wide)), first))
    return parts
