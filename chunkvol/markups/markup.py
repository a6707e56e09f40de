"""What somebody drew: points, and where they make one a plane or a region."""

from __future__ import annotations

from dataclasses import dataclass

from chunkvol.geometry import Box
from chunkvol.geometry.grid import Triple

KINDS = ("Fiducial", "Line", "Angle", "Curve", "ClosedCurve", "Plane", "ROI")
"""As the schema of Slicer's markups has them."""

__all__ = ["KINDS", "Markup", "MarkupPoint"]


@dataclass(frozen=True, slots=True)
class MarkupPoint:
    """A control point."""

    position: Triple | None
    """World point (x, y, z), LPS mm; None where it is named and not placed yet."""
    label: str = ""
    """For people."""
    id: str = ""
    """Unique within the markup."""
    description: str = ""
    """For people."""
    visible: bool = True
    """Whether it is shown; a hidden point counts all the same."""


@dataclass(frozen=True, slots=True)
class Markup:
    """One markup of a file, whatever its coordinate system and unit, in LPS mm."""

    kind: str
    """One of `KINDS`."""
    name: str
    """For people."""
    points: tuple[MarkupPoint, ...] = ()
    """In the order of the file."""
    box: Box | None = None
    """Of a plane its origin, axes (the third is the normal) and bounds, 0 where it states none; of a region of interest
    its centre, axes and faces; None of other kinds."""
    inside_out: bool = False
    """Of a region of interest: what lies outside it is meant."""
    visible: bool = True
    """Whether it is shown."""
