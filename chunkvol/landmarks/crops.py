"""Small boxes of a volume around many points, read so that no chunk is decoded again and again."""

from __future__ import annotations

import contextlib
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np

from chunkvol.regions import Region, Shape, intersection, region_shape, shifted, voxels
from chunkvol.sources import Block, Source

HELD = 64 << 20
"""Bytes of boxes that are held at a time, or one box."""
_DEEP = 8
"""Planes to read at a time where a read fetches or makes planes beyond its own."""

__all__ = ["HELD", "any_order", "read_crops"]


def read_crops(source: Source, boxes: Sequence[Region], *, held: int = HELD) -> Iterator[tuple[int, Block]]:
    """The number of each box and its voxels, axes (k, j, i), box after box in an order of the reader's own.

    Boxes are gathered along the chunks (or planes that are decoded whole) that they lie in, as many at a time as
    `held` bytes hold. For each such batch every chunk is read once, and of it only what the boxes need. Rows that are
    stored as they are cost nothing to read again: there each box is read by itself.

    Parameters
    ----------
    source
        One that can be read in any order; see `any_order`.
    boxes
        Within the source's shape, none empty.
    """
    cell = _cell(source)
    order = sorted(range(len(boxes)), key=lambda n: (*_along(boxes[n], cell), n))
    for batch in _batches(order, boxes, source.dtype.itemsize, held):
        if cell is None:
            for n in batch:
                yield n, source.read(boxes[n])
            continue
        yield from _gathered(source, boxes, batch, cell)


@contextlib.contextmanager
def any_order(source: Source) -> Iterator[Source]:
    """The source itself, or a raw copy in a temporary folder where it is one compressed stream."""
    if not source.staging_bytes:
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="chunkvol-") as folder:
        yield source.staged(Path(folder))


def _cell(source: Source) -> Shape | None:
    """What is best read at once; None where rows are stored as they are."""
    planes, rows, columns = source.grain
    deep = source.prefers_deep or any(source.rim)
    if (planes, rows) == (1, 1) and not deep:
        return None
    return (max(planes, _DEEP) if deep else planes), max(rows, 1), max(columns, 1)


def _along(box: Region, cell: Shape | None) -> tuple[int, ...]:
    """A key by which boxes of neighbouring cells follow each other: the bits of the cell of the middle, interleaved."""
    middle = [(part.start + part.stop - 1) // 2 for part in box]
    if cell is None:
        return tuple(middle)
    at = [place // size for place, size in zip(middle, cell, strict=True)]
    bits = max(at).bit_length()
    return (sum((at[axis] >> bit & 1) << (3 * bit + 2 - axis) for bit in range(bits) for axis in range(3)),)


def _batches(order: Sequence[int], boxes: Sequence[Region], itemsize: int, held: int) -> Iterator[list[int]]:
    """Runs of boxes that fit, one at least."""
    batch: list[int] = []
    size = 0
    for n in order:
        more = voxels(region_shape(boxes[n])) * itemsize
        if batch and size + more > held:
            yield batch
            batch, size = [], 0
        batch.append(n)
        size += more
    if batch:
        yield batch


def _gathered(source: Source, boxes: Sequence[Region], batch: list[int], cell: Shape) -> Iterator[tuple[int, Block]]:
    """The boxes of a batch, filled cell by cell."""
    wanted: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for n in batch:
        ranges = (range(p.start // c, (p.stop - 1) // c + 1) for p, c in zip(boxes[n], cell, strict=True))
        for at in product(*ranges):
            wanted[at].append(n)
    blocks = {n: np.empty(region_shape(boxes[n]), source.dtype) for n in batch}
    for at in sorted(wanted):
        k, j, i = (slice(a * c, (a + 1) * c) for a, c in zip(at, cell, strict=True))
        parts = {n: intersection(boxes[n], (k, j, i)) for n in wanted[at]}
        whole = _hull(list(parts.values()))
        found = source.read(whole)
        for n, part in parts.items():
            inside = shifted(part, [-s.start for s in boxes[n]])
            blocks[n][inside] = found[shifted(part, [-s.start for s in whole])]
    for n in batch:
        yield n, blocks.pop(n)


def _hull(parts: Sequence[Region]) -> Region:
    """The smallest region that holds all others."""
    k, j, i = (
        slice(min(part[axis].start for part in parts), max(part[axis].stop for part in parts)) for axis in range(3)
    )
    return k, j, i
