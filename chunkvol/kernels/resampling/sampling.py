"""Values at any place of a grid: for each voxel of an oblique target."""

from __future__ import annotations

from collections.abc import Sequence

from chunkvol.geometry.mapping import Mapping
from chunkvol.kernels.tiles import Block
from chunkvol.regions import Region, Shape

METHODS = ("nearest", "linear", "cubic", "lanczos")
"""How a value between voxels is found: the nearest voxel, trilinear, cubic B-spline, windowed sinc of radius 3."""

__all__ = ["METHODS", "sample", "sample_reach"]


def sample_reach(method: str) -> int:
    """Source voxels that a value needs on either side of its place: ceil of the kernel's radius."""
    raise NotImplementedError


def sample(
    box: Block,
    start: Sequence[int],
    mapping: Mapping,
    region: Region,
    *,
    method: str,
    shape: Shape,
    outside: float,
    out: Block,
) -> None:
    """Fill `out` with the values of a target region.

    Parameters
    ----------
    box
        Part of the source (already smoothed, for cubic with its B-spline coefficients), axes (k, j, i).
    start
        Source index (k, j, i) of the box's first voxel. Whatever a value needs lies in the box.
    mapping
        From target voxels to source voxels.
    region
        Target voxels to make; `out` has its shape.
    method
        Of `METHODS`.
    shape
        Of the whole source: beyond its outer faces (half a voxel past the last centres) is `outside`.
    outside
        In stored units.
    out
        Integers are rounded once, half to even, and clipped; any strides.
    """
    raise NotImplementedError
