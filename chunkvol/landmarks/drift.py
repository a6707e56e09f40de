"""Whether voxels lie where a relation says: by how much what it gives has to be shifted to look like them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.geometry.relation import Relation
from chunkvol.landmarks.likeness import Sample, Weights, cover, span_of, tent
from chunkvol.regions import Region, Shape
from chunkvol.sources import Source

_STEP = 0.25
"""Of the width of a kernel: by how much it is shifted to see how values change."""
_ALIKE = 8.0
"""Neighbouring voxels whose noise is as one: what a kernel leaves unexplained is smooth."""
_LEAST, _SHARE, _ERRORS = 0.25, 0.15, 5.0
"""What is no drift yet: voxels of B, voxels of A, and standard deviations."""
_AXES = 3

Matrix = npt.NDArray[np.float64]
_Kernel = Callable[[Any, float, int], Weights]
"""Shares of voxels around centres, by its width."""

__all__ = ["Drift", "drift"]


@dataclass(frozen=True, slots=True)
class Drift:
    """By how much A's voxels lie elsewhere than a relation says, along an axis of B at one end of it."""

    voxels: float
    """In voxels of B."""
    error: float
    """One standard deviation of that."""
    axis: int
    """Of B, (k, j, i)."""
    step: float
    """Voxels of B in one of A along it."""

    @property
    def plain(self) -> bool:
        """Whether it is more than noise, and than kernels that were not those of A may seem to shift."""
        return self.voxels > max(_LEAST, _SHARE * self.step, _ERRORS * self.error)


def drift(made: Shape, source: Source, samples: Sequence[Sample], relation: Relation) -> list[Drift]:
    """How far a relation is off, to first order: what it gives is shifted and stretched until it is most like A.

    The values of A are explained by those that the relation gives and by how these change along each axis, evenly and
    growing from the middle of A to its ends; least squares over all windows, means taken off each. Kernels that were
    not those of A are as wrong to either side, and shift nothing.

    Parameters
    ----------
    made
        Shape of A.
    source
        B, which is read under the samples only.
    samples
        Of A.
    relation
        What is to be checked; it explains A at least roughly.
    """
    found = [_fitted(made, source, samples, relation, kernel) for kernel in (_linear, cover, tent)]
    _, shifts, spread = min(found, key=lambda one: one[0])
    steps = np.abs(np.array(relation.mapping(made, source.shape).matrix)).sum(axis=1)
    return [
        Drift(abs(float(way @ shifts[[axis, axis + _AXES]])), _deviation(spread, way, axis), axis, float(steps[axis]))
        for axis in range(_AXES)
        for way in (np.array([1.0, 1.0]), np.array([1.0, -1.0]))
    ]


def _deviation(spread: Matrix, way: Matrix, axis: int) -> float:
    both = [axis, axis + _AXES]
    return float(np.sqrt(np.maximum(0.0, way @ spread[np.ix_(both, both)] @ way)))


def _fitted(
    made: Shape, source: Source, samples: Sequence[Sample], relation: Relation, kernel: _Kernel
) -> tuple[float, Matrix, Matrix]:
    """What is left unexplained, the shifts (k, j, i, and as much more at the ends), and their covariance."""
    mapping = relation.mapping(made, source.shape)
    matrix, starts = np.array(mapping.matrix), np.array(mapping.offset)
    turned = [int(np.abs(row).argmax()) for row in matrix]  # A's axis along each of B's
    steps = np.array([row[axis] for row, axis in zip(matrix, turned, strict=True)])
    widths = np.maximum(1.0, np.abs(steps))
    gram, own = np.zeros((7, 7)), np.zeros(7)
    total, count = 0.0, 0
    for sample in samples:
        at = [np.arange(sample.region[axis].start, sample.region[axis].stop) for axis in turned]
        centres = [start + step * here for start, step, here in zip(starts, steps, at, strict=True)]
        far = [2 * here / max(made[axis] - 1, 1) - 1 for here, axis in zip(at, turned, strict=True)]
        counted = sample.counted.transpose(turned).ravel()
        rows = _columns(source, kernel, centres, widths, far)[:, counted]
        mine = sample.values.transpose(turned).ravel()[counted]
        rows, mine = rows - rows.mean(axis=1, keepdims=True), mine - mine.mean()
        gram, own = gram + rows @ rows.T, own + rows @ mine
        total, count = total + float(mine @ mine), count + mine.size
    inverse: Matrix = np.asarray(np.linalg.pinv(gram, rcond=1e-10, hermitian=True), float)
    found = inverse @ own
    left = max(0.0, total - float(found @ own))
    gain = found[0] or 1.0
    spread = inverse * (_ALIKE * left / max(1, count - len(own)) / gain**2)
    return left, found[1:] / gain, spread[1:, 1:]


def _columns(
    source: Source, kernel: _Kernel, centres: Sequence[Matrix], widths: Matrix, far: Sequence[Matrix]
) -> Matrix:
    """What the relation gives, its change along k, j and i, and the same grown with the distance from the middle."""
    plain = [kernel(centre, width, n) for centre, width, n in zip(centres, widths, source.shape, strict=True)]
    aside = [
        [kernel(centre + way * _STEP * width, width, n) for way in (1.0, -1.0)]
        for centre, width, n in zip(centres, widths, source.shape, strict=True)
    ]
    spans = [span_of([one, *two]) for one, two in zip(plain, aside, strict=True)]
    region: Region = (spans[0], spans[1], spans[2])
    block = np.nan_to_num(source.read(region).astype(np.float64))
    block -= block.mean()

    def given(weights: Sequence[Weights]) -> Any:
        ks, js, is_ = (one[:, span].astype(np.float64) for one, span in zip(weights, spans, strict=True))
        narrow = block @ is_.T
        flat = (js @ narrow).reshape(len(block), -1)
        return (ks @ flat).reshape(len(ks), len(js), len(is_))

    rows = [given(plain)]
    for axis in range(_AXES):
        up, down = (given([*plain[:axis], one, *plain[axis + 1 :]]) for one in aside[axis])
        rows.append((up - down) / (2 * _STEP * widths[axis]))
    for axis in range(_AXES):
        rows.append(rows[1 + axis] * far[axis].reshape([-1 if other == axis else 1 for other in range(_AXES)]))
    return np.stack([row.ravel() for row in rows])


def _linear(centres: Any, _: float, source: int) -> Weights:
    """The two voxels beside each centre."""
    return tent(centres, 1.0, source)
