"""Voxels whose values tell where they belong, and the verdict on what a reader made of them.

The real value of a voxel is linear in its indices: 64 units a plane, 7 a row, 1 a column, times `scale`. In a small
grid all values differ, so each value tells which voxel it is; and a reader that interpolates must still meet the line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol import Geometry

_EXACT = 1e-6
_HALF = 0.5001
_NEAR = 0.01

Floats = npt.NDArray[np.float64]

__all__ = ["Result", "Truth", "Verdict", "judge"]


@dataclass(frozen=True, slots=True)
class Truth:
    """One volume as it is in the world."""

    geometry: Geometry
    """Where voxels lie; where planes are missing or uneven, indices along k are those of `planes`."""
    planes: tuple[float, ...]
    """Indices along k of the planes that exist."""
    scale: float = 8.0
    """Of the values."""
    plane_units: float = 64.0
    """Units of value from a plane to the next; all of a plane must stay below."""
    offset: float = 0.0
    """Real value of the first voxel."""
    placed: bool = True
    """Whether the files say where the planes lie; else only order and spacing can be right."""

    def values(self, index: npt.ArrayLike) -> Floats:
        """Real values at indices (..., 3) in array order."""
        return np.asarray(self.offset + self.scale * (np.asarray(index, float) @ (self.plane_units, 7.0, 1.0)))

    def index(self, values: npt.ArrayLike) -> Floats:
        """The existing voxels (..., 3) that have these values; NaN where none has."""
        units = (np.asarray(values, float) - self.offset) / self.scale
        _, rows, columns = self.geometry.shape
        found = np.full((*units.shape, 3), np.nan)
        for k in self.planes:
            rest = units - self.plane_units * k
            j = np.floor((rest + 1e-4) / 7)
            i = rest - 7 * j
            whole = np.abs(i - np.rint(i)) < 1e-3
            inside = whole & (j >= 0) & (j < rows) & (i > -0.5) & (i < columns - 0.5)
            found[inside] = np.stack([np.full_like(j, k), j, np.rint(i)], -1)[inside]
        return found


@dataclass(frozen=True, slots=True)
class Result:
    """One volume as a reader gives it."""

    values: Floats
    """Real values, axes in the reader's order."""
    affine: Floats
    """4 x 4, from indices in the same order to LPS mm."""

    @property
    def index(self) -> Floats:
        """Indices of all voxels, shape (..., 3)."""
        return np.stack(np.meshgrid(*map(np.arange, self.values.shape), indexing="ij"), -1).astype(float)

    @property
    def points(self) -> Floats:
        """Where it says that its voxels lie, LPS mm."""
        return np.asarray(self.index @ self.affine[:3, :3].T + self.affine[:3, 3])


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reader did."""

    kind: str
    """right, refused or wrong."""
    words: str = ""
    """How."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.words}" if self.words and self.kind != "right" else self.words or self.kind


def judge(results: Sequence[Result], truths: Sequence[Truth]) -> Verdict:
    """A verdict on all volumes that a reader gave; each is held against the truth that it resembles most."""
    verdicts, seen = [], set()
    for result in results:
        shares = [float(np.mean(~np.isnan(truth.index(result.values)[..., 0]))) for truth in truths]
        mixed = sorted(shares)[-2:-1] > [0.05]
        best = int(np.argmax(shares)) if max(shares) > 0 else 0
        seen.add(best)
        verdicts.append(Verdict("wrong", "volumes mixed into one") if mixed else _judge(result, truths[best]))
    wrong = [verdict for verdict in verdicts if verdict.kind != "right"]
    if wrong:
        words = dict.fromkeys(verdict.words for verdict in wrong)
        return Verdict("wrong", "; ".join(words))
    words = dict.fromkeys(verdict.words.removeprefix("right, ") for verdict in verdicts if verdict.words)
    if len(truths) > 1:
        words[f"{len(seen)} of {len(truths)} volumes"] = None
    return Verdict("right", ", ".join(["right", *words]) if words else "")


def _judge(result: Result, truth: Truth) -> Verdict:
    if not truth.placed:
        return _judge_unplaced(result, truth)
    index = truth.geometry.world_to_index(result.points)
    error = np.abs(result.values - truth.values(index))
    inside = _inside(index, truth)
    tolerance = np.where(_between(index, truth), _HALF, _tolerance(truth))
    if inside.any() and (error <= tolerance)[inside].all():
        return _right(result, truth, inside)
    if _kept(result, truth) and (away := _away(result, truth).max() / min(truth.geometry.spacing)) <= _NEAR:
        right = _right(result, truth, inside)
        return replace(right, words=f"right, to {away:.1%} of a voxel") if right.kind == "right" else right
    return Verdict("wrong", _misplaced(result, truth) or _misvalued(result, truth, index, inside))


def _between(index: Floats, truth: Truth) -> npt.NDArray[np.bool_]:
    """Points where no voxel of the files lies, so that readers had to interpolate, and may have rounded."""
    planes = np.abs(index[..., :1] - np.array(truth.planes)).min(-1)
    within = np.abs(index[..., 1:] - np.rint(index[..., 1:])).max(-1)
    return np.asarray(np.maximum(planes, within) > _NEAR)


def _tolerance(truth: Truth) -> float:
    largest = truth.values(np.array(truth.geometry.shape) - 1)
    return _EXACT * max(1.0, abs(truth.offset), abs(float(largest)))


def _inside(index: Floats, truth: Truth) -> npt.NDArray[np.bool_]:
    last = np.array([max(truth.planes), *(n - 1 for n in truth.geometry.shape[1:])])
    first = np.array([min(truth.planes), 0, 0])
    return np.asarray(((index >= first - 1e-4) & (index <= last + 1e-4)).all(-1))


def _kept(result: Result, truth: Truth) -> bool:
    """Whether all voxels are those of the files, none made of others."""
    return not bool(np.isnan(truth.index(result.values)).any())


def _right(result: Result, truth: Truth, inside: npt.NDArray[np.bool_]) -> Verdict:
    """All values are right where they are said to be; what is missing, added or made of others is told."""
    planes = len(truth.planes)
    held = np.unique(truth.index(result.values)[..., 0])
    kept = int(np.isfinite(held).sum())
    words = []
    if _kept(result, truth):
        if kept < planes:
            return Verdict("wrong", f"{planes - kept} of {planes} planes left out without a word")
        if result.values.size != planes * np.prod(truth.geometry.shape[1:]):
            return Verdict("wrong", f"{result.values.size} voxels of {planes} planes")
        return Verdict("right")
    ends = truth.geometry.index_to_world([[k, j, i] for k in (min(truth.planes), max(truth.planes))
                                          for j in (0, truth.geometry.shape[1] - 1)
                                          for i in (0, truth.geometry.shape[2] - 1)])  # fmt: skip  # three axes
    homogeneous = np.linalg.solve(result.affine[:3, :3], (ends - result.affine[:3, 3]).T).T
    outside = (homogeneous < -0.51).any() or (homogeneous > np.array(result.values.shape) - 0.49).any()
    if outside:
        return Verdict("wrong", "cuts off part of the scan")
    shape = " x ".join(map(str, result.values.shape))
    words.append(f"interpolated ({shape})" if inside.all() else f"interpolated and padded ({shape})")
    return Verdict("right", ", ".join(words))


def _misplaced(result: Result, truth: Truth) -> str:
    """How far voxels lie from where they belong; empty where the values are not those of the truth."""
    index = truth.index(result.values)
    if np.isnan(index).any():
        return ""
    away = _away(result, truth)
    steps = np.linalg.norm(result.affine[:3, :3], axis=0)
    along = int(np.argmax([np.ptp(index[..., 0], axis=axis).max() for axis in range(3)]))
    step, true = float(steps[along]), float(truth.geometry.spacing[0])
    words = []
    duplicates = result.values.size - len(np.unique(result.values))
    if duplicates:
        words.append(f"{duplicates // int(np.prod(truth.geometry.shape[1:]))} planes twice")
    if abs(step - true) > 1e-4 * true:
        words.append(f"spacing {step:.4g} instead of {true:.4g} mm")
    sheared = abs(_cosine(truth.geometry.affine[:3, :3])) > 1e-3
    if sheared and abs(_cosine(result.affine[:3, :3])) < 1e-3:
        words.append("shear forgotten")
    words.append(f"up to {away.max():.3g} mm off")
    return ", ".join(words)


def _away(result: Result, truth: Truth) -> Floats:
    """Distance of each voxel from where it belongs, mm."""
    belongs = truth.geometry.index_to_world(truth.index(result.values))
    return np.asarray(np.linalg.norm(belongs - result.points, axis=-1))


def _cosine(steps: Floats) -> float:
    """The largest cosine between two axes."""
    unit = steps / np.linalg.norm(steps, axis=0)
    return float(np.abs(unit.T @ unit - np.eye(3)).max())


def _misvalued(result: Result, truth: Truth, index: Floats, inside: npt.NDArray[np.bool_]) -> str:
    """What happened to values that are none of the truth's."""
    if not inside.any():
        return "no voxel lies in the scan"
    found, true = result.values[inside], truth.values(index[inside])
    if any(np.array_equal(found, cut(np.round(true, 6))) for cut in (np.trunc, np.rint)):
        return "values cut to integers"
    slope, intercept = np.polyfit(true, found, 1)
    if np.abs(slope * true + intercept - found).max() <= _HALF:
        return "values inverted" if slope < 0 else f"values times {slope:.4g} plus {intercept:.4g}"
    jumps = np.unique(np.rint(found - true))
    if len(jumps) == 2 and 0 in jumps:
        return f"values {jumps[np.argmax(np.abs(jumps))]:+g} where the sign bit is set"
    return (
        f"values up to {np.abs(found - true).max():.4g} off, in {np.mean(np.abs(found - true) > _HALF):.0%} of voxels"
    )


def _judge_unplaced(result: Result, truth: Truth) -> Verdict:
    """Where nothing says where the planes lie, only their order and their spacing can be right."""
    index = truth.index(result.values)
    if np.isnan(index).any():
        return Verdict("wrong", "values are others")
    spacing = np.linalg.norm(result.affine[:3, :3], axis=0)
    steps: list[Any] = [np.diff(index, axis=axis).reshape(-1, 3) for axis in range(3)]
    for axis, step in enumerate(steps):
        if not (len(step) and (step == step[0]).all() and np.abs(step[0]).sum() == 1):
            return Verdict("wrong", "planes in another order")
        true = truth.geometry.spacing[int(np.abs(step[0]).argmax())]
        if abs(spacing[axis] - true) > 1e-4 * true:
            return Verdict("wrong", f"spacing {spacing[axis]:.4g} instead of {true:.4g} mm, place made up")
    return Verdict("right", "right order and spacing, place assumed")
