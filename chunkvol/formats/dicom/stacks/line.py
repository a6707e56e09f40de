"""A straight line of evenly spaced planes, and how they come from the planes that are read."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from chunkvol.formats.dicom.stacks.checks import Vectors
from chunkvol.formats.dicom.stacks.notes import Notes
from chunkvol.formats.dicom.stacks.places import Places
from chunkvol.ops.planes import PlaneBlend

__all__ = ["Line", "off_the_line", "straight"]


@dataclass(frozen=True, eq=False, slots=True)
class Line:
    """Planes whose first pixels lie at `first + k * step`, LPS mm."""

    first: Vectors
    """Position of plane 0, shape (3,)."""
    step: Vectors
    """From one plane to the next, shape (3,); not along the normal where the gantry was tilted."""
    count: int
    """How many planes the result has."""
    blend: PlaneBlend | None = None
    """How they are made of the planes read; None where they are the same."""
    notes: Notes = field(default_factory=Notes)
    """What was decided."""


def straight(places: Places, index: npt.NDArray[np.int64]) -> Line:
    """The line from the first to the last of at least two places; place n is plane `index[n]` of the result."""
    last = int(index[-1])
    return Line(places.positions[0], (places.positions[-1] - places.positions[0]) / last, last + 1)


def off_the_line(places: Places, line: Line, index: npt.NDArray[np.int64]) -> Vectors:
    """Distance in mm of each place from where the line has plane `index[n]`, shape (n,)."""
    expected = line.first + index[:, None] * line.step
    return np.asarray(np.linalg.norm(places.positions - expected, axis=1))
