"""Planes in the world, and how they are turned for viewers.

Viewers show axial planes with rows (the direction of growing column index i) towards L and columns (of growing row
index j) towards P, coronal ones with rows towards L and columns towards I, sagittal ones with rows towards P and
columns towards I. All of these, and every plane here, have row x column = normal: a plane is turned, never mirrored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import GeometryError, InputError
from chunkvol.geometry.grid import Triple

Vector = npt.NDArray[np.float64]
"""A world point or direction (x, y, z), LPS mm."""

_TIE = 1e-6
"""Cosines that nobody can tell apart."""
_NOTHING = 1e-15
"""A cosine that is rounding."""
_SQUARE = 1e-4
"""By which axes of a matrix may be off from unit length and right angles: four decimals of text."""

__all__ = ["VIEWS", "SlicePlane", "Vector", "nearest_view", "triple_of", "vector_of"]


@dataclass(frozen=True, slots=True)
class View:
    """How viewers show planes that lie nearest to one of the world's."""

    row: Triple
    """Where columns grow."""
    column: Triple
    """Where rows grow."""
    names: tuple[str, str, str]
    """Letters of row, column and normal."""
    world: int
    """The world axis along the normal: 0 for x, 1 for y, 2 for z."""

    @property
    def normal(self) -> Vector:
        """row x column."""
        return np.cross(self.row, self.column)


VIEWS = {
    "axial": View((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), ("L", "P", "S"), 2),
    "coronal": View((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), ("L", "I", "P"), 1),
    "sagittal": View((0.0, 1.0, 0.0), (0.0, 0.0, -1.0), ("P", "I", "R"), 0),
}
"""By name, in the order in which ties are decided."""


@dataclass(frozen=True, slots=True)
class SlicePlane:
    """A plane in the world, and which way is right and down in its image; `row x column` is its normal."""

    origin: Triple
    """A point of it, LPS mm."""
    row: Triple
    """Unit vector along the rows: where the column index i grows."""
    column: Triple
    """Unit vector along the columns: where the row index j grows; at right angles to `row`."""
    notes: tuple[str, ...] = ()
    """What was done to the plane as it was given, a sentence each."""

    def __post_init__(self) -> None:
        for name in ("origin", "row", "column"):
            object.__setattr__(self, name, triple_of(_three(getattr(self, name), name)))
        if not np.isfinite(self.origin).all():
            raise GeometryError(f"a point of a plane is three finite numbers (x, y, z), found {self.origin}")
        square = np.array([self.row, self.column])
        if not np.abs(square @ square.T - np.eye(2)).max() <= _TIE:
            raise GeometryError(f"row {self.row} and column {self.column} of a plane must be unit and at right angles")

    @property
    def normal(self) -> Vector:
        """Unit vector row x column, shape (3,)."""
        return _unit(np.cross(self.row, self.column))

    @property
    def view(self) -> str:
        """The nearest of `VIEWS`, by the angle between the normals."""
        return nearest_view(self.normal)

    @classmethod
    def anatomical(cls, view: str, mm: float) -> SlicePlane:
        """The axial plane at world z, the coronal one at y, or the sagittal one at x, in LPS mm.

        Raises
        ------
        InputError
            There is no such view, or the place is not finite.
        """
        if view not in VIEWS:
            raise InputError(f"unknown plane {view!r}; use one of {', '.join(VIEWS)}")
        shown = VIEWS[view]
        if not math.isfinite(mm):
            raise InputError(f"the {view} plane lies at a finite place in mm, found {mm}")
        x, y, z = (mm if axis == shown.world else 0.0 for axis in range(3))
        return cls((x, y, z), shown.row, shown.column)

    @classmethod
    def facing(cls, point: npt.ArrayLike, normal: npt.ArrayLike) -> SlicePlane:
        """The plane through a point (LPS mm) at right angles to a direction, turned as viewers show the nearest view.

        Rows run along the projection of the view's into the plane, and columns along normal x row. A normal that points
        against the view's is turned over.

        Raises
        ------
        GeometryError
            The normal has no length, or a number is not finite.
        """
        given = vector_of(normal, "normal")
        if not given.any():
            raise GeometryError("the normal of a plane is 0,0,0, which points nowhere")
        axis = _unit(given)
        view = VIEWS[nearest_view(axis)]
        turned = bool(axis @ view.normal < 0)
        axis = -axis if turned else axis
        row = _unit(np.array(view.row) - axis * (axis @ np.array(view.row)))
        notes = _turned_note(nearest_view(axis)) if turned else ()
        return cls(triple_of(vector_of(point, "point")), triple_of(row), triple_of(_unit(np.cross(axis, row))), notes)

    @classmethod
    def through(cls, points: Sequence[npt.ArrayLike]) -> SlicePlane:
        """The plane through three points (LPS mm), turned as `facing` does, whatever their order.

        Raises
        ------
        GeometryError
            They are not three, or lie on one line.
        """
        if len(points) != 3:
            raise GeometryError(f"a plane goes through three points, found {len(points)}")
        first, second, third = (vector_of(point, "point") for point in points)
        sides = [second - first, third - first, third - second]
        longest = max(float(np.linalg.norm(side)) for side in sides)
        normal = np.cross(sides[0], sides[1])
        # The height of the triangle over its longest side.
        if not longest or np.linalg.norm(normal) <= _TIE * longest**2:
            raise GeometryError(
                f"the three points lie on one line, which many planes go through: {_said(first, second, third)}"
            )
        normal = normal if normal @ VIEWS[nearest_view(_unit(normal))].normal > 0 else -normal
        return cls.facing(triple_of((first + second + third) / 3), triple_of(normal))

    @classmethod
    def framed(cls, matrix: npt.ArrayLike, *, keep_axes: bool = False) -> SlicePlane:
        """The plane of a frame, turned by quarters and over, so that it is nearest to what viewers show.

        Grid lines stay where they are: of the eight right-handed ways to name two axes at right angles, that is taken
        whose normal is on the view's side and whose rows and columns run most as the view's do.

        Parameters
        ----------
        matrix
            4 x 4, LPS mm; columns are the x axis (along rows), the y axis (along columns), the normal and the origin.
        keep_axes
            Take the axes as they are.

        Raises
        ------
        GeometryError
            It is no frame of unit vectors at right angles, or with `keep_axes` it is left-handed.
        """
        x, y, normal, origin = _frame(matrix)
        if keep_axes:
            if np.cross(x, y) @ normal < 0:
                raise GeometryError(
                    "the frame is left-handed (x axis x y axis points against the normal), and an image with these "
                    "axes would be a mirror: turn one of them round, or leave --keep-axes out"
                )
            return cls(triple_of(origin), triple_of(x), triple_of(y))
        view = nearest_view(normal)
        variants = [(row, column) for row, column in _variants(x, y) if np.cross(row, column) @ VIEWS[view].normal > 0]
        likeness = [float(row @ VIEWS[view].row + column @ VIEWS[view].column) for row, column in variants]
        row, column = variants[next(n for n, like in enumerate(likeness) if like >= max(likeness) - _TIE)]
        notes = _turned_note(view) if normal @ VIEWS[view].normal < 0 else ()
        return cls(triple_of(origin), triple_of(row), triple_of(column), notes)


def nearest_view(normal: Vector) -> str:
    """The name of the view whose normal is nearest to this line; ties go to axial, then coronal."""
    likeness = {name: abs(float(normal @ view.normal)) for name, view in VIEWS.items()}
    return next(name for name, like in likeness.items() if like >= max(likeness.values()) - _TIE)


def _variants(x: Vector, y: Vector) -> list[tuple[Vector, Vector]]:
    """Rows and columns along the lines of x and y: four quarter turns, and the same turned over."""
    quarters = [(x, y), (y, -x), (-x, -y), (-y, x)]
    return [*quarters, *((row, -column) for row, column in quarters)]


def _turned_note(view: str) -> tuple[str, ...]:
    row, column, normal = VIEWS[view].names
    return (
        f"the plane is turned over, so that its normal points towards {normal} as viewers show {view} planes (rows "
        f"towards {row}, columns towards {column}): a rotation, no mirror",
    )


def _frame(matrix: npt.ArrayLike) -> tuple[Vector, Vector, Vector, Vector]:
    """Axes at right angles, normal and origin of a 4 x 4 matrix."""
    frame = np.asarray(matrix, dtype=float)
    if frame.shape != (4, 4) or not np.isfinite(frame).all():
        raise GeometryError(f"the frame of a plane is a finite 4 x 4 matrix, found {frame.tolist()}")
    if np.abs(frame[3] - (0, 0, 0, 1)).max() > 1e-12:
        raise GeometryError(f"the last row of a frame must be 0 0 0 1, found {frame[3].tolist()}")
    axes = frame[:3, :3]
    if np.abs(axes.T @ axes - np.eye(3)).max() > _SQUARE:
        lengths = ", ".join(f"{length:.6g}" for length in np.linalg.norm(axes, axis=0))
        raise GeometryError(
            f"the first three columns of a frame must be unit vectors at right angles, found lengths {lengths}; "
            "spacing is not part of it: --pixel sets that"
        )
    x = _unit(axes[:, 0])
    y = _unit(axes[:, 1] - x * (x @ axes[:, 1]))
    side = 1.0 if np.cross(x, y) @ axes[:, 2] > 0 else -1.0
    return x, y, side * np.cross(x, y), frame[:3, 3]


# --------------------------------------------------------------------------------------------------------- numbers


def vector_of(values: npt.ArrayLike, noun: str) -> Vector:
    """Three checked numbers; GeometryError calls them `noun`."""
    vector = _three(values, noun)
    if not np.isfinite(vector).all():
        raise GeometryError(f"the {noun} of a plane is three finite numbers (x, y, z), found {values!r}")
    return vector


def _three(values: Any, noun: str) -> Vector:
    """Three numbers, finite or not."""
    try:
        vector = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        vector = np.empty(0)
    if vector.shape != (3,):
        raise GeometryError(f"the {noun} of a plane is three finite numbers (x, y, z), found {values!r}")
    return vector


def _said(*points: Vector) -> str:
    return "; ".join(",".join(f"{value:g}" for value in point) for point in points)


def _unit(vector: Vector) -> Vector:
    scaled = vector / np.abs(vector).max()  # squares of tiny or huge numbers are none
    unit: Vector = scaled / np.linalg.norm(scaled)
    unit[np.abs(unit) < _NOTHING] = 0
    return unit


def triple_of(vector: Any) -> Triple:
    """Three plain numbers, without -0.0."""
    x, y, z = (float(value) + 0.0 for value in vector)
    return x, y, z
