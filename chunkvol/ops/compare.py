"""Comparing two volumes: the same voxels in the same place, however they are stored?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chunkvol import memory
from chunkvol.errors import InputError
from chunkvol.geometry.difference import GridDifference, difference
from chunkvol.ops.reorient import reordered
from chunkvol.ops.value_difference import ValueDifference, value_difference
from chunkvol.progress import Progress, Silent
from chunkvol.segments import KEY, Segmentation
from chunkvol.volume import Volume

_SINGLE = 0.01
"""Voxels by which single precision hardly ever moves a corner: 6e-8 of the distance from the world's origin."""
_MOST_SEGMENTS = 5
"""Segments that notes tell apart one by one."""

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare` found out about volumes `a` and `b`; as text it is a short report."""

    grid: GridDifference
    """Whether and how the grids differ."""
    values: ValueDifference | None
    """How real values differ; None where they were not compared."""
    value_tolerance: float
    """Difference of real values that is none."""
    types: tuple[str, str]
    """Stored types, with slope and intercept where there are any."""
    notes: tuple[str, ...]
    """What a user should know, one sentence each; none of it changes `same`."""

    @property
    def same(self) -> bool:
        """Whether the voxel centres are the same, and no real value differs by more than `value_tolerance`.

        Where values were left out on request, whether the voxel centres are the same.
        """
        return self.grid.same_space and (self.values is None or self.values.within(self.value_tolerance))

    @property
    def verdict(self) -> str:
        """The answer in a few words, one of six."""
        if not self.grid.same_space:
            return "different space"
        if self.values is None:
            return "same space, values not compared"
        if not self.same:
            return "same space, different values"
        if self.values.differing:
            return "same space, values within tolerance"
        if self.grid.stored_alike and self.types[0] == self.types[1]:
            return "identical storage"
        return "same space, different storage"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; sizes, spacings, axes and indices in x, y, z order, world points LPS mm."""
        return {
            "same": self.same,
            "verdict": self.verdict,
            "geometry": self.grid.to_json(),
            "values": None if self.values is None else self.values.to_json(),
            "value_tolerance": self.value_tolerance,
            "types": list(self.types),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        rows = [*_grid_rows(self.grid), *self._value_rows(), *(("note", note) for note in self.notes)]
        return "\n".join([self.verdict, *(f"  {name:<9} {text}" for name, text in rows)])

    def _value_rows(self) -> Iterator[tuple[str, str]]:
        if self.types[0] != self.types[1]:
            yield "stored", f"{self.types[0]} in A, {self.types[1]} in B"
        if self.values is not None:
            yield from _found_rows(self.values, self.value_tolerance)
        elif self.grid.order is None:
            yield "values", "not compared, since no storage order makes the sizes equal"
        else:
            yield "values", "not compared"


def compare(
    a: Volume,
    b: Volume,
    *,
    tolerance: float = 0.01,
    value_tolerance: float = 0.0,
    geometry_only: bool = False,
    budget: str | float | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Whether two volumes hold the same values at the same places, and if not, how far they are apart.

    The corner from which voxels are stored and the order of the axes do not matter, nor do stored types, slopes and
    intercepts. Values are compared wherever an order of the axes makes the shapes equal, in another space too: then
    voxel by voxel in that order. Of pyramids the finest levels are compared.

    What the metadata says of the meaning of places and values becomes a note, and does not change the answer: that
    frames of reference differ (anonymisers and exports renew their UIDs), that a grid is assumed (then agreement is
    no proof), that units or names of segments differ (the voxels are what they are).

    Parameters
    ----------
    a, b
        Read lazily, in blocks.
    tolerance
        Distance between corner voxels that is none, in voxels along a's finest axis; by default what the float32 of
        NIfTI headers can be off by, and no one can see.
    value_tolerance
        Difference of real values that is none. NaN differs from all but NaN, whatever the tolerance.
    geometry_only
        Read no voxels.
    budget
        Bytes that the process may hold ("2GiB"); by default the smaller of 4 GiB and half of what is available.
    progress
        Told about stages and bytes.

    Raises
    ------
    InputError
        A tolerance is negative or no number, or what is given is no volume.
    BudgetError
        Nothing fits the budget.
    DiskError
        The temporary folder has no room for what has to be unpacked first.
    """
    _check(a, b, value_tolerance)
    grid = difference(a.geometry, b.geometry, tolerance)
    values = None
    if grid.order is not None and not geometry_only:
        limit = memory.default_budget() if budget is None else memory.parse_bytes(budget)
        turned = reordered(b, *grid.order)
        values = value_difference(a, turned, budget=limit, progress=progress or Silent())
    return Comparison(grid, values, value_tolerance, (_stored(a), _stored(b)), tuple(_notes(a, b, grid)))


def _check(a: Volume, b: Volume, value_tolerance: float) -> None:
    for one in (a, b):
        if not isinstance(one, Volume):
            found = type(one).__name__
            raise InputError(
                f"volumes are compared, not {found}: open it, or give an array its place, Volume(array, geometry)"
            )
    if not (math.isfinite(value_tolerance) and value_tolerance >= 0):
        raise InputError(f"the tolerance of values is a number, 0 or more, found {value_tolerance}")


def _stored(volume: Volume) -> str:
    """The stored type, and what makes real values of it."""
    scale = volume.metadata.rescale
    if scale.is_identity:
        return volume.dtype.name
    return f"{volume.dtype.name} * {scale.slope!r} {'-' if scale.intercept < 0 else '+'} {abs(scale.intercept)!r}"


# ----------------------------------------------------------------------------------------------------------- notes


def _notes(a: Volume, b: Volume, grid: GridDifference) -> Iterator[str]:
    if not grid.same_space and grid.order is not None and grid.worst_voxels <= _SINGLE:
        yield f"single precision, as in NIfTI headers, moves corners so little: a tolerance of {_SINGLE} bears it"
    if a.metadata.assumed or b.metadata.assumed:
        whose = " and ".join(name for name, one in (("A", a), ("B", b)) if one.metadata.assumed)
        yield f"the grid of {whose} is assumed, not stated: whether both lie at one place is not known"
    frames = a.metadata.frame_of_reference, b.metadata.frame_of_reference
    if all(frames) and frames[0] != frames[1]:
        yield "the frames of reference differ: the same coordinates need not be the same place"
    axes = zip(grid.spacing, a.geometry.spacing, a.geometry.shape, strict=True)
    if grid.same_space and any(n == 1 and abs(step) > 1e-6 * s for step, s, n in axes):
        yield "the spacing differs along an axis of a single voxel, whose thickness is not compared"
    units = a.metadata.rescale.unit, b.metadata.rescale.unit
    if all(units) and units[0] != units[1]:
        yield f"the values of A are in {units[0]}, those of B in {units[1]}"
    if len(a.levels) > 1 and len(b.levels) > 1:
        yield "of the pyramids one level was compared, not the coarser ones"
    yield from _segment_notes(_segments(a), _segments(b))


def _segment_notes(a: Segmentation | None, b: Segmentation | None) -> Iterator[str]:
    """What differs between two tables of segments."""
    if a == b:
        return
    if a is None or b is None:
        yield f"{'B' if a is None else 'A'} names its segments, {'A' if a is None else 'B'} does not"
        return
    if a.weights != b.weights:
        yield "the layers of the segments differ, so that the same labels may have other numbers"
    mine, theirs = ({(one.layer, one.value): one.name for one in table.segments} for table in (a, b))
    other = [label for label in sorted(mine.keys() | theirs.keys()) if mine.get(label) != theirs.get(label)]
    for label in other[:_MOST_SEGMENTS]:
        names = [repr(table[label]) if label in table else "nothing" for table in (mine, theirs)]
        layer = f" of layer {label[0]}" if label[0] else ""
        yield f"label {label[1]}{layer} is {names[0]} in A and {names[1]} in B"
    if len(other) > _MOST_SEGMENTS:
        yield f"{len(other) - _MOST_SEGMENTS} more labels are other segments in A than in B"
    if not other and a.weights == b.weights:
        yield "ids, colours or tags of the segments differ"


def _segments(volume: Volume) -> Segmentation | None:
    """The table of segments, None where there is none that can be understood."""
    try:
        return Segmentation.from_json(volume.metadata.extra[KEY])
    except (KeyError, TypeError, ValueError):
        return None


# ---------------------------------------------------------------------------------------------------------- report


def _grid_rows(grid: GridDifference) -> Iterator[tuple[str, str]]:
    if not grid.same_space:
        yield from _space_rows(grid)
    elif grid.worst_voxels > 1e-9:
        yield "corners", f"up to {grid.worst_mm:.4g} mm apart, {grid.worst_voxels:.2g} voxels of A: the same"
    if grid.order is not None and not grid.stored_alike:
        yield "order", f"the axes x, y, z of A are {grid.order_text} of B"


def _space_rows(grid: GridDifference) -> Iterator[tuple[str, str]]:
    what = "" if grid.order is not None else "of the outer faces "
    yield "corners", f"{what}up to {grid.worst_mm:.6g} mm apart, {grid.worst_voxels:.6g} voxels of A"
    if grid.order is None:
        a, b = (" x ".join(map(str, shape[::-1])) for shape in grid.shapes)
        yield "size", f"{a} voxels (x, y, z) in A, {b} in B"
    if grid.angle > 1e-6:
        yield "turned", f"by {grid.angle:.6g} degrees"
    if any(abs(step) > 1e-9 for step in grid.spacing):
        yield "spacing", f"differs by {_triple(grid.spacing[::-1])} mm along x, y, z of A"
    yield "origin", f"of B lies {_triple(grid.shift)} mm (x, y, z, LPS) from that of A"
    if grid.right_handed[0] != grid.right_handed[1]:
        sides = ["right" if right else "left" for right in grid.right_handed]
        yield "axes", f"of A are {sides[0]}-handed, those of B {sides[1]}-handed"
    yield "overlap", f"{grid.overlap.of_a:.4%} of A's field of view, {grid.overlap.of_b:.4%} of B's"


def _found_rows(found: ValueDifference, tolerance: float) -> Iterator[tuple[str, str]]:
    if not found.differing and not found.nonfinite:
        yield "values", f"all {found.voxels} are equal"
        return
    if found.differing:
        most = f", and by no more than {tolerance:g}" if tolerance and found.within(tolerance) else ""
        yield "values", f"{found.differing} of {found.voxels} differ{most}"
        yield "mean", f"{found.mean:.6g} (absolute difference of all voxels)"
    if found.nonfinite:
        yield (
            "values",
            f"{found.nonfinite} of {found.voxels} are NaN or infinite in one and something else in the other",
        )
    if found.index is not None and found.point is not None and found.values is not None:
        at = ", ".join(map(str, found.index[::-1]))
        yield "largest", f"{found.largest:.9g} at voxel ({at}), {_triple(found.point)} mm"
        yield "there", f"{found.values[0]:.9g} in A, {found.values[1]:.9g} in B"


def _triple(values: tuple[float, float, float]) -> str:
    return f"({', '.join(f'{value + 0.0:.6g}' for value in values)})"
