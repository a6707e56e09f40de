"""Where voxels lie that no header places, or only in part: what a caller says, what a file says, what is assumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np

from chunkvol.errors import GeometryError, InputError
from chunkvol.geometry import Geometry
from chunkvol.geometry.grid import Triple
from chunkvol.regions import Shape

_LETTERS = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}
"""World axis and sign in LPS."""

__all__ = ["Place", "Placing", "Stated"]


@dataclass(frozen=True, slots=True)
class Stated:
    """What a file says of its grid; None where it says nothing."""

    spacing: Triple | None = None
    """Spacing along (k, j, i), mm."""
    origin: Triple | None = None
    """World point (x, y, z) of voxel (0, 0, 0), LPS mm."""
    steps: Sequence[Triple] | None = None
    """World directions of the array axes k, j, i, unit vectors."""
    by: str = ""
    """Who says so, for people: "the ImageJ tags"."""
    guess: str = ""
    """What of the spacing is assumed nevertheless, a sentence; empty where all of it is stated."""


@dataclass(frozen=True, slots=True)
class Placing:
    """A geometry, and how far it was stated."""

    geometry: Geometry
    """Where the voxels lie."""
    assumed: bool
    """True when nobody stated all of the spacing."""
    problems: tuple[str, ...] = ()
    """What a user should know, a sentence each."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a caller says of a grid; it overrules what the file says."""

    spacing: Triple | None = None
    """Spacing along (k, j, i), mm."""
    origin: Triple | None = None
    """World point (x, y, z) of voxel (0, 0, 0), LPS mm."""
    orientation: str = ""
    """Anatomical directions in which i, j and k grow: "LPS" is the identity."""
    geometry: Geometry | None = None
    """A whole grid, of the same shape; nothing else may be said then."""

    def __post_init__(self) -> None:
        if self.spacing is not None and not (
            isinstance(self.spacing, tuple | list)
            and len(self.spacing) == 3
            and all(0 < length < float("inf") for length in self.spacing)
        ):
            raise InputError(f"the spacing must be three numbers (k, j, i) above 0 mm, found {self.spacing!r}")
        if self.origin is not None and (len(self.origin) != 3 or not np.isfinite(self.origin).all()):
            raise InputError(f"the origin must be three numbers (x, y, z) in mm, found {self.origin!r}")
        if self.orientation:
            _steps_of(self.orientation)
        if self.geometry is not None and (self.spacing or self.origin or self.orientation):
            raise InputError("--geometry gives the whole grid: leave out --spacing, --origin and --orientation")

    @classmethod
    def names(cls) -> frozenset[str]:
        """The options by name."""
        return frozenset(field.name for field in fields(cls))

    def placed(self, shape: Shape, stated: Stated, what: str) -> Placing:
        """The grid of voxels of this shape: what the caller says, else what is stated, else 1 mm, origin 0 and LPS.

        Parameters
        ----------
        shape
            Voxels along (k, j, i).
        stated
            What the file says.
        what
            The input, for messages.

        Raises
        ------
        GeometryError
            The template has another shape.
        """
        if self.geometry is not None:
            return Placing(self._template(shape, what), assumed=False)
        spacing = self.spacing or stated.spacing
        steps = _steps_of(self.orientation) if self.orientation else stated.steps
        vectors = np.eye(3)[::-1] if steps is None else np.array(steps, float)
        lengths = spacing or (1.0, 1.0, 1.0)
        grid = Geometry.from_steps(
            shape, self.origin or stated.origin or (0.0, 0.0, 0.0), vectors * np.array(lengths)[:, None]
        )
        problems = []
        if spacing is None:
            problems.append("nothing states the spacing: 1 mm is assumed; --spacing says what it is")
        elif self.spacing is None and stated.guess:
            problems.append(stated.guess)
        if self.spacing and stated.spacing and not np.allclose(self.spacing, stated.spacing, rtol=1e-6):
            found = " x ".join(f"{length:.6g}" for length in stated.spacing[::-1])
            problems.append(f"{stated.by or 'the file'} says {found} mm (x, y, z): --spacing is used")
        assumed = spacing is None or (self.spacing is None and bool(stated.guess))
        return Placing(grid, assumed, tuple(problems))

    def overruled(self, grid: Geometry, by: str) -> Iterator[str]:
        """What a file that places all of its voxels says and nobody heeds; spacing is told by `placed`."""
        if self.geometry is not None and not self.geometry.is_close(grid):
            yield f"{by} says where the voxels lie: --geometry is used"
        if self.origin is not None and not np.allclose(self.origin, grid.origin, rtol=1e-6):
            x, y, z = grid.origin
            yield f"{by} says that the first voxel lies at {x:.6g}, {y:.6g}, {z:.6g} mm: --origin is used"
        if self.orientation:
            yield f"{by} says in which directions the axes run: --orientation is used"

    def _template(self, shape: Shape, what: str) -> Geometry:
        grid = self.geometry
        if grid is None or grid.shape != shape:
            found = " x ".join(map(str, shape[::-1]))
            there = "nothing" if grid is None else " x ".join(map(str, grid.shape[::-1]))
            turned = grid is not None and grid.shape == shape[::-1]
            hint = "its axes may stand the other way round: save array.T; else " if turned else ""
            raise GeometryError(
                f"{what} has {found} voxels (x, y, z) and the grid of --geometry has {there}: they must be the same; "
                f"{hint}name the volume that it was made from, or give --spacing"
            )
        return grid


def _steps_of(orientation: str) -> list[Triple]:
    """Unit vectors of k, j, i from the letters of i, j, k."""
    letters = [_LETTERS.get(letter) for letter in orientation.upper()]
    if len(letters) != 3 or None in letters or len({found[0] for found in letters if found}) != 3:
        raise InputError(
            f"the orientation must be three letters that say where x, y and z of the file grow, such as LPS or RAI; "
            f"found {orientation!r}"
        )
    steps = np.zeros((3, 3))
    for row, found in enumerate(reversed(letters)):
        if found is not None:
            steps[row, found[0]] = found[1]
    return [(float(a), float(b), float(c)) for a, b, c in steps]
