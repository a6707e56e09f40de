"""Frames in which other programs load stacks of slices, so that landmarks placed there still fit."""

from __future__ import annotations

from chunkvol.geometry import Geometry

FRAMES = ("imagestacks", "skyscan")
"""SlicerMorph's ImageStacks and SkyscanReconImport modules."""

__all__ = ["FRAMES", "framed"]


def framed(geometry: Geometry, frame: str) -> Geometry:
    """The grid of the same voxels where the other program puts them; its origin and axes are those of that program."""
    raise NotImplementedError
