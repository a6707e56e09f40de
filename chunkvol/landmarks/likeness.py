"""How like a volume's voxels are to what another one's would have become by each of many relations."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.landmarks.guesses import Axis, Guess, Orientation, axis_guesses, zoomed
from chunkvol.regions import Region, Shape, voxels
from chunkvol.sources import Source

_WINDOW = (4, 32, 32)
"""Voxels of A (k, j, i) in a window."""
_UNDER = 1 << 21
"""Voxels of B under a window, at most: 8 MiB, and as much again while they are mixed."""
_SLABS = 3
"""Depths at which windows are sought."""
_SLAB_BYTES = 64 << 20
"""Of A that is read at each."""
_PER_SLAB = 2
"""Windows at each."""
_CUT = 0.2
"""Share of voxels that must be left for values at the ends of the scale to be left out."""
_BEST = 20
"""Relations that are returned of each orientation."""

Values = npt.NDArray[np.float32]
Weights = npt.NDArray[np.float32]
"""Shares of B's voxels along an axis, the columns, in each of A's, the rows."""

__all__ = ["Sample", "Weights", "cover", "likenesses", "samples_of", "span_of", "tent"]


@dataclass(frozen=True, eq=False)
class Sample:
    """A window of A."""

    region: Region
    """Where it lies."""
    values: npt.NDArray[np.float64]
    """Its voxels."""
    counted: npt.NDArray[np.bool_]
    """Which of them are compared: not those at the ends of the scale, where other values may have been cut off."""


# ----------------------------------------------------------------------------------------------------------- samples


def samples_of(made: Source, source: Shape) -> list[Sample]:
    """Windows of A with much contrast, at a few depths.

    Raises
    ------
    InputError
        All voxels that were read are equal.
    """
    size = _window(made.shape, source)
    found = [found for slab in _slabs(made.shape, size, made.dtype.itemsize) for found in _busiest(made, slab, size)]
    if not found:
        raise InputError(
            "the voxels of the volume that was made are all equal where they were read: nothing to compare"
        )
    low = min(values.min() for _, values in found)
    high = max(values.max() for _, values in found)
    between = [(values > low) & (values < high) for _, values in found]
    enough = sum(int(mask.sum()) for mask in between) >= _CUT * sum(mask.size for mask in between)
    every = [mask if enough else np.ones_like(mask) for mask in between]
    return [Sample(region, values, mask) for (region, values), mask in zip(found, every, strict=True) if mask.any()]


def _window(made: Shape, source: Shape) -> Shape:
    """Voxels of a window, under which B has not too many."""
    size = [min(m, w) for m, w in zip(made, _WINDOW, strict=True)]
    ratios = [max(1.0, n / m) for m, n in zip(sorted(made), sorted(source), strict=True)]
    while np.prod(ratios) * voxels(size) > _UNDER and max(size) > 2:
        size[int(np.argmax(size))] //= 2
    k, j, i = size
    return k, j, i


def _slabs(made: Shape, size: Shape, itemsize: int) -> Iterator[Region]:
    """Parts of A at a few depths, the middle of its planes where they are large."""
    rows, columns = made[1:]
    while size[0] * rows * columns * itemsize > _SLAB_BYTES and rows * columns > size[1] * size[2]:
        rows, columns = max(size[1], rows // 2), max(size[2], columns // 2)
    j, i = (made[1] - rows) // 2, (made[2] - columns) // 2
    starts = {round((made[0] - size[0]) * (n + 1) / (_SLABS + 1)) for n in range(_SLABS)}
    for k in sorted(starts):
        yield slice(k, k + size[0]), slice(j, j + rows), slice(i, i + columns)


def _busiest(made: Source, slab: Region, size: Shape) -> list[tuple[Region, npt.NDArray[np.float64]]]:
    """The windows of a slab whose voxels vary most."""
    block = np.nan_to_num(made.read(slab).astype(np.float64))
    corners = itertools.product(
        range(0, block.shape[1] - size[1] + 1, size[1]), range(0, block.shape[2] - size[2] + 1, size[2])
    )
    windows = [(slice(0, size[0]), slice(j, j + size[1]), slice(i, i + size[2])) for j, i in corners]
    ranked = sorted(windows, key=lambda window: -float(block[window].std()))[:_PER_SLAB]
    starts = [part.start for part in slab]
    return [
        (_moved(window, starts), block[window].copy()) for window in ranked if block[window].min() < block[window].max()
    ]


def _moved(region: Region, by: Sequence[int]) -> Region:
    k, j, i = (slice(part.start + start, part.stop + start) for part, start in zip(region, by, strict=True))
    return k, j, i


# -------------------------------------------------------------------------------------------------------- likenesses


def likenesses(
    made: Shape, source: Source, samples: Sequence[Sample], way: Orientation, *, quick: bool = False
) -> list[tuple[Guess, float]]:
    """The relations of an orientation whose voxels correlate best with A's, and the correlation of each, best first.

    What a relation makes of B is a weighted sum along each axis by itself, so that all of them share their parts.

    Parameters
    ----------
    made
        Shape of A.
    source
        B, which is read under the samples only.
    samples
        Of A.
    way
        The order of the axes, and which are mirrored.
    quick
        Only the usual ones, which is enough to tell one orientation from another.
    """
    lengths = [made[way.axes.index(axis)] for axis in range(3)]
    best: dict[Guess, float] = {}
    plain = [axis_guesses(m, n, starts=not quick) for m, n in zip(lengths, source.shape, strict=True)]
    for options in (plain,) if quick else (plain, zoomed(lengths, source.shape)):
        most = 1 if quick else None
        rows = [[(option, kernel) for option in axis for kernel in _KERNELS[option.word][:most]] for axis in options]
        scores = _correlations(made, source, samples, way, rows)
        for index in np.ndindex(scores.shape):
            k, j, i = (row[n][0] for row, n in zip(rows, index, strict=True))
            guess = Guess((k, j, i), way)
            best[guess] = max(best.get(guess, -1.0), float(scores[index]))
    # Of those that explain as much the likeliest: every 3rd of 40 voxels may be had by zooming to 14, too.
    return sorted(best.items(), key=lambda item: (-round(item[1], 6), item[0].unlikely))[:_BEST]


_Rows = Sequence[Sequence[tuple[Axis, "_Kernel"]]]


def _correlations(
    made: Shape, source: Source, samples: Sequence[Sample], way: Orientation, rows: _Rows
) -> npt.NDArray[np.float64]:
    """Correlation by the number of the row along k, j and i; means are taken off window by window."""
    products = np.zeros([len(row) for row in rows])
    squares, own = np.zeros_like(products), 0.0
    turned = [way.axes.index(axis) for axis in range(3)]
    for sample in samples:
        counted = sample.counted.transpose(turned).ravel()
        mine = sample.values.transpose(turned).ravel()[counted]
        mine = mine - mine.mean()
        own += float(mine @ mine)
        at = [_positions(sample.region[axis], made[axis], way.flips[axis]) for axis in turned]
        weights = [
            [kernel(option, where, made[axis], n) for option, kernel in row]
            for row, where, axis, n in zip(rows, at, turned, source.shape, strict=True)
        ]
        for index, theirs in _mixed(source, weights, counted):
            products[:, *index] += theirs @ mine
            squares[:, *index] += (theirs * theirs).sum(axis=1)
    scale = np.sqrt(squares * own)
    return np.divide(products, scale, out=np.full_like(products, -1.0), where=scale > 0)


def _positions(part: slice, count: int, flip: bool) -> npt.NDArray[np.int64]:
    """Indices along an axis of A, of the same voxels before the axis was turned round."""
    at = np.arange(part.start, part.stop)
    return count - 1 - at if flip else at


def _mixed(
    source: Source, weights: Sequence[Sequence[Weights]], counted: npt.NDArray[np.bool_]
) -> Iterator[tuple[tuple[int, int], npt.NDArray[np.float64]]]:
    """For each pair of rows along j and i what all rows along k make of B: shape (rows, voxels), means taken off."""
    spans = [span_of(row) for row in weights]
    region: Region = (spans[0], spans[1], spans[2])
    block = np.nan_to_num(source.read(region).astype(np.float64))
    under = (block - block.mean()).astype(np.float32)  # differences alone count, and are not rounded off
    ks, js, is_ = ([one[:, span] for one in row] for row, span in zip(weights, spans, strict=True))
    deep = np.concatenate(ks)
    for i, along_i in enumerate(is_):
        narrow = under @ along_i.T
        for j, along_j in enumerate(js):
            flat = (along_j @ narrow).reshape(len(under), -1)
            theirs = (deep @ flat).reshape(len(ks), -1)[:, counted].astype(np.float64)
            yield (j, i), theirs - theirs.mean(axis=1, keepdims=True)


def span_of(rows: Sequence[Weights]) -> slice:
    """The columns that any of the rows needs."""
    used = np.flatnonzero(np.any([one.any(axis=0) for one in rows], axis=0))
    return slice(int(used[0]), int(used[-1]) + 1)


# ----------------------------------------------------------------------------------------------------------- kernels

_Kernel = Callable[[Axis, Any, int, int], Weights]


def _one(option: Axis, at: Any, made: int, source: int) -> Weights:
    """The voxel that a stride keeps."""
    return _hot(np.minimum(option.first + option.factor * at, source - 1), source)


def _box(option: Axis, at: Any, made: int, source: int) -> Weights:
    """The mean of a block; of what there is of the last one."""
    block = (np.arange(source) - option.first) // option.factor
    return _shares(block == np.minimum(at, block[-1])[:, None])


def _area(option: Axis, at: Any, made: int, source: int) -> Weights:
    """The mean of what the new voxel covers."""
    ratio = source / made
    return cover((at + 0.5) * ratio - 0.5, ratio, source)


def _linear(option: Axis, at: Any, made: int, source: int) -> Weights:
    """The value at the new voxel's centre, between the two voxels beside it."""
    return tent(_centres(option, at, made, source), 1.0, source)


def _smooth(option: Axis, at: Any, made: int, source: int) -> Weights:
    """The same over as many voxels as the new one is wide: no finer structure folds in."""
    width = option.factor if option.word in ("mean", "stride") else source / made
    return tent(_centres(option, at, made, source), max(1.0, width), source)


def _centres(option: Axis, at: Any, made: int, source: int) -> Any:
    if option.word == "zoom":
        return at * ((source - 1) / max(made - 1, 1))
    if option.word == "mean":
        return at * option.factor + option.first + (option.factor - 1) / 2
    if option.word == "stride":
        return at * option.factor + option.first
    return (at + 0.5) * (source / made) - 0.5


def _hot(at: Any, source: int) -> Weights:
    return np.asarray(np.arange(source) == at[:, None], np.float32)


def cover(centres: Any, width: float, source: int) -> Weights:
    """Shares of the voxels that lie within half a width of each centre, as far as they do."""
    middle, left = np.asarray(centres)[:, None] + 0.5, np.arange(source)
    within = np.minimum(middle + width / 2, left + 1) - np.maximum(middle - width / 2, left)
    return _shares(np.clip(within, 0, None))


def tent(centres: Any, width: float, source: int) -> Weights:
    """Linear shares of the voxels up to a width from each centre; centres beyond the ends are at them."""
    away = np.abs(np.clip(centres, 0, source - 1)[:, None] - np.arange(source))
    return _shares(np.clip(1 - away / width, 0, None))


def _shares(weights: Any) -> Weights:
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


_KERNELS: dict[str, tuple[_Kernel, ...]] = {
    "same": (_one,),
    "stride": (_one, _smooth),
    "mean": (_box, _linear, _smooth),
    "resize": (_area, _linear, _smooth),
    "zoom": (_linear, _smooth),
}
"""What a method may have done with the voxels around; where these lie is the same for all of them."""
