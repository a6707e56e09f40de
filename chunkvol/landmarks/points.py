"""Named points in the world, with all that their file said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError

Points = npt.NDArray[np.float64]
"""Points, shape (n, 3), (x, y, z)."""

FRAMES = ("LPS", "RAS", "IJK")
"""Coordinates that points may be written in."""

__all__ = ["FRAMES", "Landmarks", "Points"]


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Points with their labels, in the order of their file.

    Raises
    ------
    InputError
        The points are not of shape (n, 3), the frame is none of `FRAMES`, or there are not as many labels, descriptions
        or values of a column as points.
    """

    points: Points
    """LPS mm, shape (n, 3), (x, y, z); a row of NaN is a point that is not placed yet."""
    labels: tuple[str, ...]
    """Names, as they stand in the file."""
    descriptions: tuple[str, ...] = ()
    """What the file says besides, such as "Semi" of semi-landmarks; empty texts where it says nothing."""
    kind: str = "Fiducial"
    """What the points make up, in Slicer's words: Fiducial, Line, Angle, Curve, ClosedCurve, Plane, ROI."""
    frame: str = "LPS"
    """The file's own coordinates, LPS or RAS, in which it is written again; IJK where `points` are indices."""
    original: Any = field(default=None, repr=False)
    """What the file held besides, a `MarkupLists`, to be written again; None of points made elsewhere."""
    columns: Mapping[str, tuple[Any, ...]] = field(default_factory=dict, repr=False)
    """What else is said of each point, None where nothing is: by the names of Slicer's JSON (id, selected, locked,
    visibility, orientation in LPS ...), a table's further columns, and `list`, an index into `original.lists`."""
    problems: tuple[str, ...] = ()
    """What was assumed at reading, and what is odd: a sentence each."""

    def __post_init__(self) -> None:
        points = np.array(self.points, float)
        if points.size and points.shape[-1:] != (3,):  # (3, n) would else be n points, of numbers that were mixed up
            raise InputError(f"points have x, y, z along their last axis, shape (n, 3); found {points.shape}")
        if self.frame not in FRAMES:
            raise InputError(f"points have frame {' or '.join(FRAMES)}, not {self.frame!r}")
        object.__setattr__(self, "points", points.reshape(-1, 3))
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "descriptions", tuple(self.descriptions) or ("",) * len(self.points))
        if not len(self.points) == len(self.labels) == len(self.descriptions):
            raise InputError(
                f"{len(self.points)} points have {len(self.labels)} labels and {len(self.descriptions)} descriptions"
            )
        object.__setattr__(self, "columns", {name: tuple(values) for name, values in self.columns.items()})
        for name, values in self.columns.items():
            if len(values) != len(self.points):
                raise InputError(f"{len(self.points)} points have {len(values)} values of {name!r}")
        self.points.setflags(write=False)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def placed(self) -> npt.NDArray[np.bool_]:
        """Which points have a place, shape (n,)."""
        return np.asarray(np.isfinite(self.points).all(axis=1), bool)

    def at(self, points: npt.ArrayLike) -> Landmarks:
        """The same landmarks at other places, LPS mm, shape (n, 3).

        Control points only: `moved` also takes the axes and sizes of planes and regions along.
        """
        return replace(self, points=np.asarray(points, float))

    def described(self, descriptions: Sequence[str]) -> Landmarks:
        """The same landmarks with other descriptions."""
        return replace(self, descriptions=tuple(descriptions))
