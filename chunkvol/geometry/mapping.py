"""From the voxels of one grid to places between the voxels of another: what every resampling is told by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import GeometryError
from chunkvol.geometry.grid import Geometry, Matrix, Triple
from chunkvol.regions import Region

_NOISE = 1e-6
"""Voxels that nobody can tell apart: what double precision and decimal text are off by, at the far end of a grid."""
_ALIGNED = 1e-4
"""Voxels by which axes may drift over a whole grid and still be parallel, as in `Geometry.is_close`."""

Affine = npt.NDArray[np.float64]
"""A 4 x 4 matrix on LPS points (x, y, z, 1), mm."""

__all__ = ["Affine", "Mapping", "mapping_between", "moved"]


@dataclass(frozen=True, slots=True)
class Mapping:
    """Index in a source grid of a target grid's voxels: `source = matrix @ target + offset`, all in order (k, j, i)."""

    matrix: Matrix
    """Rows are source axes, columns are target axes; source voxels for each step of a target voxel."""
    offset: Triple
    """Source index of target voxel (0, 0, 0)."""

    def indices(self, target: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Source indices (..., 3) of target indices (..., 3)."""
        out: npt.NDArray[np.float64] = np.asarray(target, dtype=float) @ np.array(self.matrix).T + np.array(self.offset)
        return out

    def bounds(self, region: Region) -> tuple[Triple, Triple]:
        """The smallest and the largest source index of the voxel centres in a target region, along each axis."""
        low, high = list(self.offset), list(self.offset)
        for axis, row in enumerate(self.matrix):
            for step, part in zip(row, region, strict=True):
                ends = (step * part.start, step * (part.stop - 1))
                low[axis] += min(ends)
                high[axis] += max(ends)
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])

    @property
    def widths(self) -> Triple:
        """Source voxels along each source axis that one step of the target covers: above 1 the target is coarser."""
        k, j, i = (float(np.linalg.norm(row)) for row in self.matrix)
        return k, j, i

    @property
    def strides(self) -> Triple:
        """Source voxels that one step along each target axis leads on."""
        k, j, i = (float(np.linalg.norm(column)) for column in np.array(self.matrix).T)
        return k, j, i

    def axes(self, shape: tuple[int, int, int]) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]] | None:
        """The source axis of each target axis, and whether it is walked backwards; None where the grids are oblique.

        Parameters
        ----------
        shape
            Voxels of the target: axes that are off by less than a ten-thousandth of a voxel at its end are parallel.
        """
        matrix = np.array(self.matrix)
        chosen = np.abs(matrix).argmax(axis=0)
        if sorted(chosen) != [0, 1, 2]:
            return None
        rest = np.abs(matrix)
        rest[chosen, range(3)] = 0
        if (rest * (np.array(shape) - 1)).sum(axis=1).max() > _ALIGNED:
            return None
        k, j, i = (int(axis) for axis in chosen)
        backwards = (bool(matrix[k, 0] < 0), bool(matrix[j, 1] < 0), bool(matrix[i, 2] < 0))
        return (k, j, i), backwards


def mapping_between(target: Geometry, source: Geometry) -> Mapping:
    """The mapping from the voxels of `target` to those of `source`, grids in the same world.

    Entries that are half or whole numbers but for the noise of the inversion become it: else a voxel that is hit
    exactly would be a mix of two.
    """
    whole = np.linalg.solve(source.affine, target.affine)
    ends = np.maximum(np.array(target.shape) - 1, 1)
    matrix = _settled(whole[:3, :3], _NOISE / ends)
    offset = _settled(whole[:3, 3], _NOISE)
    rows = [tuple(map(float, row)) for row in matrix]
    return Mapping((rows[0], rows[1], rows[2]), tuple(map(float, offset)))  # type: ignore[arg-type]  # three of three


def moved(geometry: Geometry, transform: Affine) -> Geometry:
    """The grid whose voxels lie where `transform` takes those of `geometry`, in the same order.

    Raises
    ------
    GeometryError
        `transform` is no affine transform of world points (LPS mm), or is singular.
    """
    affine = _checked(transform) @ geometry.affine
    return Geometry.from_steps(geometry.shape, affine[:3, 3].tolist(), affine[:3, :3].T)


def _settled(values: npt.NDArray[Any], noise: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Values that are a half or a whole number but for noise become it."""
    halves = np.rint(2 * values) / 2
    return np.where(np.abs(values - halves) <= noise, halves + 0.0, values)


def _checked(pull: Affine) -> Affine:
    matrix = np.asarray(pull, dtype=float)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise GeometryError(f"a transform is a finite 4 x 4 matrix, found {matrix.tolist()}")
    if not np.allclose(matrix[3], (0, 0, 0, 1), rtol=0, atol=1e-12):
        raise GeometryError(f"the last row of a transform must be 0 0 0 1, found {matrix[3].tolist()}")
    scale = np.linalg.norm(matrix[:3, :3], axis=0)
    if not scale.all() or abs(np.linalg.det(matrix[:3, :3] / scale)) < 1e-9:
        raise GeometryError("the transform is singular: it flattens space, so that nothing can be resampled through it")
    return matrix
