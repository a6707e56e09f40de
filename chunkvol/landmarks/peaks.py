"""Where the bright spot in a crop is, to a fraction of a voxel: numpy in, numbers out.

Places are fractional indices (k, j, i) of the crop; windows are spheres in mm, whatever the spacing, tilt or shear.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import numpy.typing as npt

from chunkvol.regions import Region

Floats = npt.NDArray[np.float64]

FLAT = "flat: nothing stands out from the values around it"
DRIFTS = "drifts away: the peak lies on the window's border or beyond"
LEAVES = "the window leaves the volume"
NO_NUMBER = "the window holds values that are no finite numbers"
RESTLESS = "does not settle"
SETTLED = 1e-3
"""Voxels; a step below which a centroid has come to rest."""
_UNSETTLED = 0.1
"""Voxels; a last step from which a centroid is not taken for a place."""
_CORE = 0.5
"""Of the radius; what lies within is the window's core, which has to stand out."""
_SIGNIFICANT = 4.0
"""Standard errors of the core's mean by which it has to."""
_RIM = 2 / 3
"""Of the radius; what lies beyond is the window's shell, whose median is the background."""

__all__ = ["DRIFTS", "FLAT", "LEAVES", "NO_NUMBER", "RESTLESS", "Sphere", "centroid", "extremum"]


@dataclass(frozen=True)
class Sphere:
    """Windows of a radius in mm on a grid of any spacing and shear."""

    steps: Floats
    """Columns are the world steps (x, y, z) of the axes k, j, i, mm, shape (3, 3)."""
    radius: float
    """mm."""

    @cached_property
    def half(self) -> Floats:
        """How far it reaches along each axis (k, j, i), in voxels."""
        return np.asarray(self.radius * np.linalg.norm(np.linalg.inv(self.steps), axis=1))

    @property
    def limits(self) -> Floats:
        """How far a top may lie from the largest voxel along each axis (k, j, i), in voxels: half a voxel.

        In a sheared grid that is half a voxel of its own, and what half a voxel of the others leads along it.
        """
        squares = self.steps.T @ self.steps
        return np.asarray(np.minimum(np.abs(squares).sum(axis=1) / np.diag(squares) / 2, 1.0))

    def length(self, difference: Floats) -> float:
        """mm of a difference of indices."""
        return float(np.linalg.norm(self.steps @ difference))

    def around(self, place: Floats, shape: tuple[int, ...]) -> Window | None:
        """The box of voxels around a place; None where it leaves the crop."""
        low = np.ceil(place - self.half).astype(int)
        stop = np.floor(place + self.half).astype(int) + 1
        if (low < 0).any() or (stop > shape).any():
            return None
        offsets = [np.arange(a, b) - p for a, b, p in zip(low, stop, place, strict=True)]
        k, j, i = offsets[0][:, None, None], offsets[1][:, None], offsets[2]
        x, y, z = (((k * row[0] + j * row[1]) + i * row[2]) ** 2 for row in self.steps)
        k_slice, j_slice, i_slice = (slice(a, b) for a, b in zip(low, stop, strict=True))
        return Window((k_slice, j_slice, i_slice), (k, j, i), (x + y + z) / self.radius**2)


@dataclass(frozen=True, slots=True)
class Window:
    """The voxels of a box around a sphere."""

    box: Region
    """Where in the crop."""
    offsets: tuple[Floats, Floats, Floats]
    """From the sphere's middle along k, j and i, in voxels; they broadcast to the box."""
    squared: Floats
    """Distances from the middle in radii, squared; at most 1 inside the sphere."""


def centroid(crop: Floats, start: Floats, sphere: Sphere, iterations: int = 20) -> tuple[Floats, str]:
    """The centroid of what is brighter than its surroundings, in a window that follows it; and why there is none.

    The background is the median of the window's shell, the outer third of its radius. Voxels weigh by what they have
    above it, and less towards the border, as 1 - (d / radius)^2: at rest a symmetric spot is weighed symmetrically,
    and no voxel weighs all of a sudden. It ends when a step is below 0.001 voxel along every axis.
    """
    place, step = start, np.inf
    for _ in range(iterations):
        window = sphere.around(place, crop.shape)
        if window is None:
            return start, LEAVES
        values = crop[window.box]
        if not np.isfinite(values[window.squared <= 1]).all():
            return start, NO_NUMBER
        shell = _shell(values, window)
        weights = np.maximum(values - np.median(shell), 0) * np.maximum(1 - window.squared, 0)
        total = weights.sum()
        if not total > 0:
            return start, FLAT
        move = np.array([float((weights * offset).sum() / total) for offset in window.offsets])
        step, place = float(np.abs(move).max()), place + move
        if sphere.length(place - start) > sphere.radius:
            return start, DRIFTS
        if step < SETTLED:
            break
    if step >= _UNSETTLED:
        return start, RESTLESS
    assert window is not None, "there was a step"
    return (place, "") if _stands_out(values[window.squared <= _CORE**2], shell) else (start, FLAT)


def extremum(crop: Floats, start: Floats, sphere: Sphere) -> tuple[Floats, str]:
    """The brightest voxel of the window, moved by at most half a voxel to the top of a parabola; and why there is none.

    Of several equals the nearest to `start`. The quadratic is fitted to the 3 x 3 x 3 voxels by least squares.
    """
    window = sphere.around(start, crop.shape)
    if window is None:
        return start, LEAVES
    inside = window.squared <= 1
    values = crop[window.box]
    if not np.isfinite(values[inside]).all():
        return start, NO_NUMBER
    top = values[inside].max()
    nearest = np.where(inside & (values == top), window.squared, np.inf).argmin()
    peak = np.array(np.unravel_index(nearest, values.shape)) + [part.start for part in window.box]
    around = tuple(slice(p - 1, p + 2) for p in peak)
    block = crop[around]
    if peak.min() < 1 or block.shape != (3, 3, 3):
        return start, LEAVES
    if not np.isfinite(block).all():
        return start, NO_NUMBER
    if block.max() > top:
        return start, DRIFTS
    if not _stands_out(block, _shell(values, window)):
        return start, FLAT
    return peak + _top_of_parabola(block, sphere.limits), ""


def _shell(values: Floats, window: Window) -> Floats:
    """The voxels of the outer third of the radius."""
    return values[(window.squared <= 1) & (window.squared > _RIM**2)]


def _stands_out(core: Floats, shell: Floats) -> bool:
    """Whether the mean of the core lies above the shell by more than noise like the shell's explains.

    The shell's spread is 1.4826 times its median absolute deviation, which a few bright voxels do not raise.
    """
    background = np.median(shell)
    above = float(core.mean() - background)
    spread = 1.4826 * float(np.median(np.abs(shell - background)))
    return above > 1e-9 * float(np.abs(core).max()) and above > _SIGNIFICANT * spread / np.sqrt(core.size)


def _top_of_parabola(block: Floats, limits: Floats) -> Floats:
    """The top of the quadratic that fits 3 x 3 x 3 values best, from the middle one, within limits along each axis."""
    with np.errstate(over="ignore", invalid="ignore"):
        terms = _FIT @ (block.ravel() - block[1, 1, 1])
    if not np.isfinite(terms).all():
        return np.zeros(3)
    slope = terms[1:4]
    hessian = np.empty((3, 3))
    for value, (a, b) in zip(terms[4:], _PRODUCTS, strict=True):
        hessian[a, b] = hessian[b, a] = value * (2 if a == b else 1)
    if np.linalg.eigvalsh(hessian).max() >= 0:  # a ridge or a plateau has no top
        return np.zeros(3)
    return np.asarray(np.clip(-np.linalg.solve(hessian, slope), -limits, limits))


_PRODUCTS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def _fit() -> Floats:
    """The matrix from 27 values to 1, k, j, i and the products of two of them."""
    at = np.array(list(product((-1.0, 0.0, 1.0), repeat=3)))
    columns = [np.ones(27), *at.T, *(at[:, a] * at[:, b] for a, b in _PRODUCTS)]
    return np.asarray(np.linalg.pinv(np.column_stack(columns)))


_FIT = _fit()
