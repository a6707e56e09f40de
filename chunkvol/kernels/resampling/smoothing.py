"""Interpolation and the filters before it, folded into one table for each place."""

from __future__ import annotations

import numpy as np

from chunkvol.kernels.resampling.weights import Real, Whole, mirrored, total_of

__all__ = ["smoothed"]


def smoothed(voxels: Whole, weights: Real, before: Real, bell: Real, length: int) -> tuple[Whole, Real]:
    """First voxel and weights of results that are sums of filtered voxels.

    Parameters
    ----------
    voxels
        Filtered voxels that each result is made of, axes (result, part), within the axis; a row spans no more voxels
        than it has parts.
    weights
        Of the parts; a part of weight 0 takes no part.
    before
        Symmetric filter that mirrors the axis at the centres of its last voxels (the B-spline prefilter), or [1].
    bell
        Symmetric filter before it, made to sum to 1 again where it is cut at the ends, or [1].
    length
        Voxels along the axis.
    """
    both = np.zeros(len(before) + len(bell) - 1)
    for tap, weight in enumerate(before):
        both[tap : tap + len(bell)] += weight * bell
    radius = len(both) // 2
    parts = voxels.shape[1]
    taps = min(parts + 2 * radius, length)
    low = voxels.min(axis=1)
    first = np.clip(low - radius, 0, length - taps)
    table = np.zeros((len(first), taps))
    inner = (voxels == low[:, None] + np.arange(parts)).all(axis=1)
    inner &= (low >= radius) & (low + parts - 1 + radius < length)
    if inner.all():
        _fold_inner(table, weights, both)
    else:
        folded = table[inner]
        _fold_inner(folded, weights[inner], both)
        table[inner] = folded
        _fold_outer(table, np.flatnonzero(~inner), first, voxels, weights, before, bell, length)
    table /= total_of(table)[:, None]
    return first, table


def _fold_inner(table: Real, weights: Real, both: Real) -> None:
    """Where nothing reaches beyond the ends, all voxels are filtered alike."""
    if not len(table):
        return
    for part in range(weights.shape[1]):
        table[:, part : part + len(both)] += weights[:, part, None] * both


def _fold_outer(
    table: Real, rows: Whole, first: Whole, voxels: Whole, weights: Real, before: Real, bell: Real, length: int
) -> None:
    centres, which = np.unique(voxels[rows], return_inverse=True)
    which = which.reshape(len(rows), -1)
    starts, filtered = _filters(centres, before, bell, length)
    taps = np.arange(filtered.shape[1])
    for part in range(voxels.shape[1]):
        chosen = which[:, part]
        columns = (starts[chosen] - first[rows])[:, None] + taps
        table[rows[:, None], columns] += weights[rows, part, None] * filtered[chosen]


def _filters(centres: Whole, before: Real, bell: Real, length: int) -> tuple[Whole, Real]:
    """First voxel and weights of both filters at some voxels, with what happens at the ends."""
    reach, radius = len(before) // 2, len(bell) // 2
    taps = min(2 * (reach + radius) + 1, length)
    starts = np.clip(centres - reach - radius, 0, length - taps)
    columns = starts[:, None] + np.arange(taps)
    sums = np.concatenate([[0.0], np.cumsum(bell)])
    result = np.zeros(columns.shape)
    for tap, weight in enumerate(before):
        middle = mirrored(centres + tap - reach, length)
        at = columns - middle[:, None] + radius
        cut = sums[np.minimum(radius, length - 1 - middle) + radius + 1] - sums[np.maximum(radius - middle, 0)]
        value = np.where((at >= 0) & (at < len(bell)), bell[np.clip(at, 0, len(bell) - 1)], 0)
        result += (weight / cut)[:, None] * value
    return starts, result
