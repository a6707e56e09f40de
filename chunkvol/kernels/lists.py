"""The voxels of blocks as lists, for the reductions that sort them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chunkvol.errors import InputError
from chunkvol.kernels.tiles import Block
from chunkvol.regions import Shape, voxels

LISTS = 1 << 20
"""Bytes of the voxels that are sorted at once; with less, two threads wait for each other (see `TILE`)."""

LONGEST_NETWORK = 64
"""Voxels of the largest block for which a sorting network beats numpy's sort or partition."""

__all__ = [
    "LISTS",
    "LONGEST_NETWORK",
    "check_ordered",
    "list_bytes",
    "lists_of",
    "lists_of_some",
    "long_lists_of",
    "plain",
]


def check_ordered(name: str, dtype: np.dtype[Any]) -> None:
    """Refuse types whose values have no order.

    Raises
    ------
    InputError
        For anything but booleans, integers and real numbers of at most 64 bits.
    """
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise InputError(f"{name} of {dtype} voxels is not supported; integers and real numbers are")


def plain(block: Block) -> Block:
    """Booleans as bytes, others as they are."""
    return block.view(np.uint8) if block.dtype.kind == "b" else block


def list_bytes(dtype: np.dtype[Any], factors: Shape) -> int:
    """Bytes by which a voxel of the result counts in a tile: its list, or where that is short what is made of it."""
    return max(16, voxels(factors) * dtype.itemsize)


def lists_of(source: Block, factors: Shape) -> Block:
    """The voxels of each block as one column: axes (voxel of the block, block)."""
    fk, fj, fi = factors
    k, j, i = (n // f for n, f in zip(source.shape, factors, strict=True))
    lists = np.empty((fk, fj, fi, k, j, i), source.dtype)
    for z in range(fk):
        for y in range(fj):
            for x in range(fi):
                np.copyto(lists[z, y, x], source[z::fk, y::fj, x::fi])
    return lists.reshape(fk * fj * fi, k * j * i)


def lists_of_some(source: Block, factors: Shape, where: Sequence[Block]) -> Block:
    """`lists_of` the blocks at some indices (one array an axis) alone."""
    fk, fj, fi = factors
    lists = np.empty((fk, fj, fi, where[0].size), source.dtype)
    for z in range(fk):
        for y in range(fj):
            for x in range(fi):
                lists[z, y, x] = source[z::fk, y::fj, x::fi][tuple(where)]
    return lists.reshape(fk * fj * fi, -1)


def long_lists_of(source: Block, factors: Shape, where: Sequence[Block] | None = None) -> Block:
    """The voxels of each block (or of those at some indices) as one row: axes (block, voxel of the block)."""
    fk, fj, fi = factors
    k, j, i = (n // f for n, f in zip(source.shape, factors, strict=True))
    blocks = source.reshape(k, fk, j, fj, i, fi).transpose(0, 2, 4, 1, 3, 5)
    chosen = np.array(blocks, order="C") if where is None else blocks[tuple(where)]
    return chosen.reshape(-1, fk * fj * fi)
