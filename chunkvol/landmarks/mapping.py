"""Points of one volume in another one: their indices, whether it sees them, and how sharply they were placed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chunkvol.geometry import Affine, Geometry
from chunkvol.geometry.grid import Triple
from chunkvol.geometry.relation import Relation
from chunkvol.landmarks.indices import SPREAD, Flags, Indices, flag_column, index_points, place_points, where_placed
from chunkvol.landmarks.moving import moved
from chunkvol.landmarks.points import Landmarks, Points

_SIGN = "+-"
"""How a description starts that this module wrote."""
_OUTSIDE = "; outside the field of view"

__all__ = [
    "MappedLandmarks",
    "Uncertainty",
    "localisation",
    "map_landmarks",
]


# ------------------------------------------------------------------------------------------------------- uncertainty


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """How far a point may lie from where it was put: half a voxel, since nobody sees where in a voxel a thing is."""

    axes: Triple
    """Half the spacing along the axes i, j, k, mm."""
    world: Triple
    """Half of a voxel's extent along world x, y, z, mm: 1/2 sum over a of |step of axis a along it|. On an oblique grid
    that is more than along any axis, and never less than the truth."""

    def __str__(self) -> str:
        return f"{_SIGN}{_listed(self.world)} mm (x, y, z)"


def localisation(grid: Geometry) -> Uncertainty:
    """The uncertainty of points that were put on the voxels of a grid."""
    k, j, i = (length / 2 for length in grid.spacing)
    x, y, z = (np.abs(grid.affine[:3, :3]).sum(axis=1) / 2).tolist()
    return Uncertainty((i, j, k), (x, y, z))


def _listed(values: Triple) -> str:
    return ",".join(f"{value:.4g}" for value in values)


# ----------------------------------------------------------------------------------------------------------- mapping


@dataclass(frozen=True, eq=False)
class MappedLandmarks:
    """Points of a volume A in the world of a volume B, with what there is to know of them."""

    landmarks: Landmarks
    """In B's world. Points without a description have their uncertainty there, and whether B does not see them; the
    descriptions of others are kept to the letter, for programs go by them ("Semi" in SlicerMorph)."""
    index_from: Indices
    """In A."""
    index_to: Indices
    """In B."""
    uncertainty: Uncertainty
    """Half a voxel of A, of the size that it has in B's world."""
    affine: Affine
    """From A's world, as its file has it, to B's, LPS mm: what planes and regions are moved by."""
    proof: float
    """Largest distance between a point and what comes of going there and back through the indices of both, mm in B's
    world: those in B on its own grid, those in A on its own, or, with a relation, on the grid that it should have
    had."""
    relation: Relation | None = None
    """How A was made from B; None where both know where they lie."""

    @property
    def lost(self) -> Flags:
        """Which points have a place that B does not see."""
        return np.asarray(self.landmarks.placed & ~self.index_to.inside, bool)

    @property
    def tabled(self) -> Landmarks:
        """The landmarks with columns for a table: the uncertainty along x, y, z, and whether B sees the point."""
        placed = self.landmarks.placed
        spread = {
            name: where_placed((value,) * len(placed), placed)
            for name, value in zip(SPREAD, self.uncertainty.world, strict=True)
        }
        columns = {**self.landmarks.columns, **spread, "inside": flag_column(self.index_to.inside, placed)}
        return replace(self.landmarks, columns=columns)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: the report, and a row for each point; indices in order i, j, k, None where not placed."""
        placed = self.landmarks.placed
        columns = zip(
            self.landmarks.labels,
            placed.tolist(),
            self.index_from.fractional.tolist(),
            self.index_to.fractional.tolist(),
            self.index_from.inside.tolist(),
            self.index_to.inside.tolist(),
            self.landmarks.points.tolist(),
            strict=True,
        )
        return {
            "points": len(self.landmarks),
            "placed": int(placed.sum()),
            "inside_from": int(self.index_from.inside.sum()),
            "inside_to": int(self.index_to.inside.sum()),
            "proof_mm": self.proof,
            "uncertainty_mm": {"ijk": list(self.uncertainty.axes), "xyz": list(self.uncertainty.world)},
            "relation": None if self.relation is None else self.relation.text,
            "affine_lps": self.affine.tolist(),
            "landmarks": [
                {
                    "label": label,
                    "position": position if there else None,
                    "index_from": source if there else None,
                    "index_to": target if there else None,
                    "inside_from": seen,
                    "inside_to": sees,
                }
                for label, there, source, target, seen, sees, position in columns
            ],
        }

    def __str__(self) -> str:
        placed = int(self.landmarks.placed.sum())
        missing = len(self.landmarks) - placed
        stood = "the points stand still" if self.relation is None else f"made by {self.relation}"
        lines = [
            f"{placed} points{f', {missing} more not placed yet' if missing else ''}; {stood}",
            f"there and back: at most {self.proof:.3g} mm off",
            f"in the field of view: of A {int(self.index_from.inside.sum())}, of B {int(self.index_to.inside.sum())}",
            f"uncertainty: {self.uncertainty}; along i, j, k +-{_listed(self.uncertainty.axes)} mm, half a voxel of A",
        ]
        return "\n".join(lines)


def map_landmarks(
    landmarks: Landmarks, from_: Geometry, to: Geometry, relation: Relation | None = None
) -> MappedLandmarks:
    """Points that were put on a volume A, in the world of a volume B.

    Parameters
    ----------
    landmarks
        In A's world, LPS mm: that of its header, or, of a volume that has none, the one in which it was opened
        (spacing 1, origin 0).
    from_
        A's grid, as it opens.
    to
        B's grid.
    relation
        How A was made from B, where A has lost its header: a point's index in A then says its place. None where both
        lie in one world, in which points stand still.

    Raises
    ------
    InputError
        The points are indices, or B's shape does not become A's by the relation.
    """
    index_from = index_points(landmarks, from_)
    if relation is None:
        true, affine, found = from_, np.eye(4), landmarks
    else:
        true = relation.geometry(from_.shape, to)
        affine = true.affine @ np.linalg.inv(from_.affine)
        index = relation.mapping(from_.shape, to.shape).indices(index_from.fractional[:, ::-1])
        found = moved(landmarks, affine).at(to.index_to_world(index))
    index_to = index_points(found, to)
    uncertainty = localisation(true)
    ways = (true.index_to_world(index_from.fractional[:, ::-1]), place_points(index_to.fractional, to))
    described = found.described(_described(found, index_to.inside, uncertainty))
    return MappedLandmarks(described, index_from, index_to, uncertainty, affine, _proof(found.points, ways), relation)


def _proof(points: Points, ways: Sequence[Points]) -> float:
    """The largest distance of points from places at which others put them, mm."""
    squares = [np.square(way - points) @ np.ones(3) for way in ways]
    return float(np.sqrt(max(np.nanmax(one, initial=0.0) for one in squares)))


def _described(landmarks: Landmarks, inside: Flags, uncertainty: Uncertainty) -> list[str]:
    """Descriptions, where there is room for them."""
    texts = ("", f"{uncertainty}{_OUTSIDE}", str(uncertainty))
    which = (landmarks.placed * (1 + inside)).tolist()
    if not any(landmarks.descriptions):
        return list(map(texts.__getitem__, which))
    rows = zip(landmarks.descriptions, which, strict=True)
    return [old if not one or (old and not old.startswith(_SIGN)) else texts[one] for old, one in rows]
