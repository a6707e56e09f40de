"""Two sources of one shape read side by side: copied where they must be, in blocks that suit both."""

from __future__ import annotations

import contextlib
import errno
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from chunkvol import memory, system
from chunkvol.errors import DiskError
from chunkvol.memory import MIB, format_bytes
from chunkvol.progress import Progress
from chunkvol.regions import Region, Shape, ceil_div, region_shape, spans, voxels
from chunkvol.sources import Block, RawSource, Source

_BLOCK = 16 * MIB
"""Preferred block of either source."""
_DEEP_BLOCK = 64 * MIB
"""The same where a read makes planes beyond its own."""
_OFTEN = 8
"""Times that a source may be read over before a copy of the other is better."""

Pair = tuple[Source, Source]

__all__ = ["Pair", "block_for", "read_pairs", "readable"]


def read_pairs(pair: Pair, block: Shape) -> Iterator[tuple[Region, Block, Block]]:
    """Region after region in C order with the blocks of both, which are read at the same time.

    All are in the same memory: each is valid until the next is asked for.
    """
    held = [np.empty(voxels(block), one.dtype) for one in pair]

    def read(n: int, region: Region) -> Block:
        size = region_shape(region)
        return pair[n].read(region, held[n][: voxels(size)].reshape(size))

    with ThreadPoolExecutor(1) as pool:
        for region in _regions(pair[0].shape, block):
            other = pool.submit(read, 1, region)
            yield region, read(0, region), other.result()


def _regions(shape: Shape, block: Shape) -> Iterator[Region]:
    for k in spans(shape[0], block[0]):
        for j in spans(shape[1], block[1]):
            for i in spans(shape[2], block[2]):
                yield k, j, i


# ---------------------------------------------------------------------------------------------------------- copies


@contextlib.contextmanager
def readable(pair: Pair, room: int, extra: int, progress: Progress) -> Iterator[Pair]:
    """Both sources as `block_for` can cut them, copied to a temporary folder where they have to be unpacked first.

    Planes that are decoded whole are copied as well where the other source runs across them, and the room does not
    hold enough planes to read that one a few times only.

    Raises
    ------
    BudgetError
        No block fits; see `memory.fit`.
    DiskError
        The temporary folder does not hold the copies.
    """
    with contextlib.ExitStack() as stack:
        copies = _Copies(stack, progress)
        for one in pair:
            memory.fit([one], lambda source: source.staging_scratch, workers=1, room=room)
        a, b = (copies.made(one.staging_bytes, one.staged) if one.staging_bytes else one for one in pair)
        if _repeats((a, b), block_for((a, b), room, extra)) > _OFTEN:
            a, b = (copies.made(_size(one), partial(_decoded, one)) if one.whole_planes else one for one in (a, b))
        yield a, b


class _Copies:
    """The temporary folder, made when it is needed and gone with the stack."""

    def __init__(self, stack: contextlib.ExitStack, progress: Progress) -> None:
        self._stack, self._progress = stack, progress
        self._folders = 0

    def made(self, size: int, make: Callable[[Path], Source]) -> Source:
        """What `make` puts into a folder of its own."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="chunkvol-")))
        free = system.free_disk(folder)
        if free < size:
            raise DiskError(
                f"to compare these, {format_bytes(size)} have to be unpacked into {folder.parent}, which has "
                f"{format_bytes(free)} free; set TMPDIR to a folder with room"
            )
        self._progress.stage("unpacking", size)
        try:
            source = make(folder)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise DiskError(f"the disk was filled while unpacking into {folder.parent}: set TMPDIR") from error
        self._progress.advance(size)
        return source


def _decoded(source: Source, folder: Path) -> Source:
    """All planes, each decoded once, in a raw file in `folder`."""
    path = folder / "decoded.raw"
    _, rows, columns = source.shape
    with open(path, "wb") as file:
        for k in range(source.shape[0]):
            plane = source.read((slice(k, k + 1), slice(0, rows), slice(0, columns)))
            file.write(plane.data.cast("B"))
    return RawSource(path, source.shape, source.dtype, identity=source.fingerprint)


def _size(source: Source) -> int:
    return voxels(source.shape) * source.dtype.itemsize


# ---------------------------------------------------------------------------------------------------------- blocks


def block_for(pair: Pair, room: int, extra: int) -> Shape:
    """The block (k, j, i) in which both are best read within `room` bytes, of which `extra` are somebody else's.

    It is made of whole grains of both where they fit, and of planes as they are where either decodes these whole.

    Raises
    ------
    BudgetError
        Nothing fits; see `memory.fit`.
    """

    def cost(block: Shape) -> int:
        return extra + sum(voxels(block) * one.dtype.itemsize + one.scratch(block) for one in pair)

    return memory.fit(list(dict.fromkeys(_steps(pair))), cost, workers=1, room=room)[1]


def _steps(pair: Pair) -> Iterator[Shape]:
    """Blocks from preferred to small: whole grains first, then fewer planes, rows and columns."""
    shape, grain = pair[0].shape, _grain(pair)
    deep = any(one.prefers_deep or any(one.rim) for one in pair)
    size = (_DEEP_BLOCK if deep else _BLOCK) // max(one.dtype.itemsize for one in pair)
    while size:
        yield _grains(shape, grain, size)
        size //= 2
    k, j, i = grain
    while k > 1:
        k //= 2
        yield k, j, i
    whole = any(one.whole_planes for one in pair)
    while not whole and j * i > 1:
        j, i = (j // 2, i) if j > 1 else (1, i // 2)
        yield k, j, i


def _grain(pair: Pair) -> Shape:
    """Whole grains of the first that hold a grain of the other."""
    axes = zip(pair[0].shape, pair[0].grain, pair[1].grain, strict=True)
    k, j, i = (min(n, ceil_div(max(mine, other), mine) * mine) for n, mine, other in axes)
    return k, j, i


def _grains(shape: Shape, grain: Shape, size: int) -> Shape:
    """Whole grains of at most `size` voxels, at least one: more columns first, then rows, then planes."""
    k, j, i = grain
    i = min(shape[2], max(1, size // (k * j * i)) * i)
    j = min(shape[1], max(1, size // (k * j * i)) * j)
    k = min(shape[0], max(1, size // (k * j * i)) * k)
    return k, j, i


def _repeats(pair: Pair, block: Shape) -> float:
    """How often the source that suffers most from this block is read over."""
    often = 1.0
    for one in pair:
        product = 1.0
        for part, grain, n in zip(block, one.grain, one.shape, strict=True):
            product *= max(1.0, min(grain, n) / part)
        often = max(often, product)
    return often
