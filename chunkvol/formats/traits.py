"""What a format can keep of a volume: for the table in the documents, and for what is said of an output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from chunkvol.geometry import Geometry, cardinal_axes

_UPRIGHT = 1e-6

__all__ = ["Traits", "is_sheared", "losses"]


@dataclass(frozen=True, slots=True)
class Traits:
    """One format's abilities."""

    affine: Literal["full", "scaled axes", "sidecar", "none"]
    """Origin and any direction; origin and spacing along axes; only in a file beside it; not at all."""
    shear: bool
    """Whether axes need not be perpendicular."""
    precision: str
    """Of the geometry: "float64 text" ..."""
    limit: str
    """The largest volume; "none" where there is no limit."""
    values: str
    """What becomes of slope and intercept."""
    readers: str
    """Who reads it."""


def losses(traits: Traits, geometry: Geometry, name: str) -> list[str]:
    """What the format cannot keep of a grid, a sentence each; nothing where it keeps all."""
    if traits.affine == "sidecar":
        return [f"{name} holds no origin and no direction: they are in the JSON file beside it, which chunkvol reads"]
    if traits.affine == "scaled axes" and cardinal_axes(geometry) is None:
        return [f"{name} holds no oblique direction: readers show the volume unrotated"]
    if is_sheared(geometry) and not traits.shear:
        return [f"{name} holds no axes that are not perpendicular"]
    return []


def is_sheared(geometry: Geometry) -> bool:
    """Whether two axes are not perpendicular, as after a tilted gantry."""
    matrix = np.array(geometry.direction)
    return bool(np.abs(matrix.T @ matrix - np.eye(3)).max() > _UPRIGHT)
