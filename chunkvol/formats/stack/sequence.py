"""Where planes lie along the stack: their numbers, what is left out on purpose, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from chunkvol.errors import GeometryError, InputError
from chunkvol.geometry import Geometry

_NAMED = 3

__all__ = ["Kept", "along", "check_complete", "kept_planes", "positions_of", "step_of"]


@dataclass(frozen=True, slots=True)
class Kept:
    """Planes in the order in which they are read."""

    planes: npt.NDArray[np.int64]
    """Indices among all planes, in the order of their names."""
    backwards: bool
    """Whether the last name is the first plane."""


def kept_planes(count: int, slices: slice | None, reverse: bool) -> Kept:
    """The planes that `slices` selects of so many, in the order of their names; then turned round where `reverse`.

    Raises
    ------
    InputError
        It selects nothing.
    """
    if slices is not None and slices.step == 0:
        raise InputError(f"{_text(slices)} has step 0; a step is at least 1")
    planes = np.arange(count)[slices or slice(None)]
    if not len(planes):
        raise InputError(f"--slices {_text(slices)} selects none of the {count} slices (they count from 0)")
    return Kept(planes[::-1] if reverse else planes, reverse)


def _text(part: slice | None) -> str:
    if part is None:
        return ":"
    step = "" if part.step is None else f":{part.step}"
    return f"{'' if part.start is None else part.start}:{'' if part.stop is None else part.stop}{step}"


def positions_of(names: Sequence[str], numbers: Sequence[int] | None) -> npt.NDArray[np.float64]:
    """Index of each file in the stack as its number says it, from 0; whole numbers unless the numbers are uneven.

    The step between numbers is that of `step_of`.
    """
    if numbers is None or len(names) < 2:
        return np.arange(len(names), dtype=np.float64)
    found = np.array(numbers, np.float64)
    return np.asarray((found - found[0]) / step_of(numbers))


def step_of(numbers: Sequence[int] | None) -> int:
    """The most frequent step between ascending numbers, the smallest of several; 1 where there is none."""
    counts = Counter(high - low for low, high in pairwise(numbers or ()))
    most = max(counts.values(), default=0)
    return min((step for step, times in counts.items() if times == most), default=1)


def check_complete(names: Sequence[str], numbers: Sequence[int] | None, where: str) -> None:
    """Refuse files among whose numbers one is left out; a constant step is fine.

    Raises
    ------
    GeometryError
        A number is missing; the message names it and its neighbours.
    """
    at = positions_of(names, numbers)
    jumps = np.flatnonzero(np.diff(at) != 1)
    if numbers is None or not len(jumps):
        return
    n = int(jumps[0])
    low, high = numbers[n], numbers[n + 1]
    step = (numbers[-1] - numbers[0]) / at[-1]
    what = _missing(low, high, step)
    more = f"; and {len(jumps) - 1} more such places" * (len(jumps) > 1)
    raise GeometryError(
        f"{where}: {what} between {names[n]} and {names[n + 1]}{more}: find the file, or --pattern or --slices says "
        "which slices are meant"
    )


def _missing(low: int, high: int, step: float) -> str:
    if (high - low) % step:
        return f"the numbers go from {low} to {high} where others go on by {step:g}"
    missing = range(int(low + step), high, int(step))
    if len(missing) == 1:
        return f"slice {missing[0]} is missing"
    if len(missing) <= _NAMED:
        return f"slices {', '.join(map(str, missing))} are missing"
    return f"slices {missing[0]} to {missing[-1]} ({len(missing)}) are missing"


def along(full: Geometry, places: npt.NDArray[np.int64]) -> Geometry:
    """The grid of planes at these places of a whole stack, evenly spaced, in either direction.

    Every plane keeps its place in the world, so the origin moves by the first one, the spacing along k grows by the
    step, and the axis turns round where they descend.
    """
    step = int(places[1] - places[0]) if len(places) > 1 else 1
    start = full.index_to_world((int(places[0]), 0, 0)) if places[0] else full.origin
    shape = (len(places), full.shape[1], full.shape[2])
    dk, dj, di = full.spacing
    signs = np.array([np.sign(step), 1, 1])
    direction = full.direction if step > 0 else tuple(map(tuple, np.array(full.direction) * signs + 0.0))
    return Geometry(shape, tuple(start), (dk * abs(step), dj, di), direction)  # type: ignore[arg-type]  # three of each
