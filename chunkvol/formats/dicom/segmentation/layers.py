"""Which segments overlap, and the layers that keep them apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.formats.dicom.segmentation.frames import StoredFrames
from chunkvol.progress import Progress
from chunkvol.segments import Segment, Segmentation

_COMFORTABLE = 1 << 32
"""Composite labels that keep the segments' own numbers are below this."""
_LARGEST = 1 << 64

Index = npt.NDArray[np.int64]
Pairs = set[frozenset[int]]

__all__ = ["Masks", "layered", "overlaps"]


@dataclass(frozen=True, eq=False, slots=True)
class Masks:
    """Frames that are masks of one segment each, in the order of their planes."""

    frames: StoredFrames
    """The stored frames."""
    above: int
    """Stored values above this one are within the segment."""
    stored: Index
    """Which stored frame each one is."""
    planes: Index
    """Its plane, ascending."""
    numbers: Index
    """Its Segment Number."""

    def only(self, number: int) -> Masks:
        """Those of one segment."""
        own = self.numbers == number
        return replace(self, stored=self.stored[own], planes=self.planes[own], numbers=self.numbers[own])


def overlaps(masks: Masks, progress: Progress) -> Pairs:
    """Pairs of Segment Numbers that share a voxel: every frame of a plane with several is read once, as packed bits.

    Held are the bits of the frames of one plane, an eighth of a byte a pixel each.
    """
    bounds = np.append(np.flatnonzero(np.diff(masks.planes, prepend=-1)), len(masks.planes))
    progress.stage("overlaps of segments", len(masks.planes), "frames")
    pairs: Pairs = set()
    with masks.frames.opened() as fd:
        for start, stop in pairwise(bounds.tolist()):
            if stop - start > 1:
                _compare(masks, fd, range(start, stop), pairs)
            progress.advance(stop - start)
    return pairs


def _compare(masks: Masks, fd: int, plane: range, pairs: Pairs) -> None:
    """Add the pairs of one plane; a frame that meets nothing seen before in it is not compared with each of them."""
    rows = slice(0, masks.frames.layout.rows)
    seen: list[tuple[int, npt.NDArray[np.uint8]]] = []
    anything: npt.NDArray[np.uint8] | None = None
    for n in plane:
        number = int(masks.numbers[n])
        bits = np.packbits(masks.frames.values(fd, int(masks.stored[n]), rows) > masks.above)
        if anything is None:
            anything = bits.copy()
        else:
            if (anything & bits).any():
                pairs |= {
                    pair
                    for other, its in seen
                    if (pair := frozenset((number, other))) not in pairs and (its & bits).any()
                }
            anything |= bits
        seen.append((number, bits))


def layered(segments: Sequence[Segment], pairs: Pairs, where: str) -> tuple[Segmentation, tuple[str, ...]]:
    """The segments in layers within which none overlap, and what to say of it.

    Each goes into the first layer that has nothing it overlaps with, in the order of the file, as in Slicer. Labels
    are Segment Numbers; where those of many layers make too large composite labels, they count from 1 in each layer.

    Raises
    ------
    InputError
        Even those are too large.
    """
    layers: list[list[Segment]] = []
    for one in segments:
        at = next(
            (
                n
                for n, there in enumerate(layers)
                if not any(frozenset((one.value, other.value)) in pairs for other in there)
            ),
            len(layers),
        )
        if at == len(layers):
            layers.append([])
        layers[at].append(one)
    if len(layers) == 1:
        return Segmentation(tuple(segments)), ()
    counts = tuple(1 + max(one.value for one in layer) for layer in layers)
    placed = {one.id: (n, one.value) for n, layer in enumerate(layers) for one in layer}
    problems: tuple[str, ...] = ()
    if math.prod(counts) > _COMFORTABLE:
        counts = tuple(1 + len(layer) for layer in layers)
        placed = {one.id: (n, m) for n, layer in enumerate(layers) for m, one in enumerate(layer, start=1)}
        problems = ("its labels count from 1 in each layer: with its own segment numbers they would be too large",)
    if math.prod(counts) > _LARGEST:
        raise InputError(
            f"{where} has {len(segments)} segments that overlap in {len(layers)} layers, too many for "
            "one label a voxel; --segment NAME gives one of them"
        )
    moved = tuple(replace(one, layer=placed[one.id][0], value=placed[one.id][1]) for one in segments)
    return Segmentation(moved, counts), problems
