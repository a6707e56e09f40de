"""What may have been done to each axis of a volume that has another size now."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chunkvol.geometry.relation import Relation
from chunkvol.regions import Shape

_LARGEST = 32
"""Of the factors that are tried."""
_ALL_STARTS = 4
"""The largest factor of which every start is tried; of larger ones the first, the middle and the last."""
_FEW = 3
"""Whole factors of one axis that are tried: a short axis allows many."""

ORDERS: tuple[Shape, ...] = tuple((k, j, i) for k, j, i in itertools.permutations(range(3)))
"""All orders of three axes, the plain one first."""

__all__ = ["ORDERS", "Axis", "Guess", "Orientation", "axis_guesses", "guesses", "orientations", "say_size", "zoomed"]


@dataclass(frozen=True, slots=True)
class Axis:
    """What may have been done to one axis of B."""

    word: str
    """same, stride, mean, resize or zoom."""
    factor: int = 1
    """Of strides and means."""
    first: int = 0
    """Of strides, and of means whose first blocks begin later."""
    size: int = 0
    """Voxels after a resize; of other methods before them."""
    plain: bool = True
    """Whether it is what comes first to mind: numpy's every n-th voxel, means of whole blocks, and a resize only where
    neither is possible."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """In what order A stores B's axes, and which it mirrors."""

    axes: Shape = (0, 1, 2)
    """B's axis of each of A's (k, j, i)."""
    flips: tuple[bool, bool, bool] = (False, False, False)
    """Which of A's axes (k, j, i) run backwards."""

    @property
    def steps(self) -> list[str]:
        """As steps of a relation."""
        turn = "axes:" + "".join("zyx"[axis] for axis in reversed(self.axes))
        names = "".join(name for name, flip in zip("xyz", reversed(self.flips), strict=True) if flip)
        return [turn] * (self.axes != (0, 1, 2)) + [f"flip:{names}"] * any(self.flips)


@dataclass(frozen=True, slots=True)
class Guess:
    """A relation, by what was done to each axis."""

    axes: tuple[Axis, Axis, Axis]
    """Of B's axes (k, j, i)."""
    way: Orientation
    """What was done next."""

    @property
    def plain(self) -> bool:
        """Whether every axis is."""
        return all(axis.plain for axis in self.axes)

    @property
    def resized(self) -> bool:
        """Whether an axis was resized by what is no whole factor."""
        return any(axis.word == "resize" for axis in self.axes)

    @property
    def unlikely(self) -> tuple[int, int, int]:
        """Less likely are, in this order: what does not come to mind, several methods, several factors."""
        done = [axis for axis in self.axes if axis.word != "same"]
        return (
            sum(not axis.plain for axis in done),
            len({axis.word for axis in done}),
            len({axis.factor for axis in done}),
        )

    @property
    def relation(self) -> Relation:
        """As it is typed, in the fewest steps."""
        words = {axis.word for axis in self.axes}
        late = [axis.first if axis.word == "mean" else 0 for axis in self.axes]
        steps: list[str] = [word for word in ("resize", "zoom") if word in words]
        if steps and words & {"stride", "mean"}:  # without numbers it would also make up for what they leave over
            steps = ["resize:" + _text([axis.size - first for axis, first in zip(self.axes, late, strict=True)])]
        if any(late):
            steps.insert(0, "crop:" + ",".join(f"{first or ''}:" for first in reversed(late)))
        if any(axis.word == "stride" for axis in self.axes):
            starts = [axis.first if axis.word == "stride" else 0 for axis in self.axes]
            steps.append("stride:" + self._factors("stride") + (f"@{_text(starts)}" if any(starts) else ""))
        if any(axis.word == "mean" for axis in self.axes):
            steps.append("mean:" + self._factors("mean"))
        return Relation("+".join([*steps, *self.way.steps]) or "same")

    def _factors(self, word: str) -> str:
        return _text([axis.factor if axis.word == word else 1 for axis in self.axes])


def axis_guesses(made: int, source: int, *, starts: bool = False) -> list[Axis]:
    """What may have been done to an axis of `source` voxels that has `made` now, likeliest first.

    Parameters
    ----------
    made, source
        Voxels of A and of B.
    starts
        Whether strides and means may start elsewhere than at the first voxel: only voxels can tell.
    """
    if made == source:
        return [Axis("same", size=source)]
    out: list[Axis] = []
    whole = [f for f in range(2, _LARGEST + 1) if made in (source // f, -(-source // f))]
    for factor in sorted(whole, key=lambda f: abs(source / f - made))[:_FEW]:
        out.append(Axis("stride", factor, size=source, plain=made == -(-source // factor)))
        out.append(Axis("mean", factor, size=source, plain=made == source // factor))
        if starts:
            out += [Axis("stride", factor, first, source, plain=False) for first in _starts(factor, made, source)]
            if source % factor and made == source // factor:  # turned round first, so that what is left over is there
                out.append(Axis("mean", factor, source % factor, source, plain=False))
    if all(made * factor != source for factor in whole):  # else it is the mean
        out.append(Axis("resize", size=made, plain=not whole))
    return out


def zoomed(made: Sequence[int], source: Sequence[int]) -> list[list[Axis]]:
    """One more way for axes of these lengths: all that changed were zoomed, which sizes alone never tell."""
    return [[Axis("same" if m == n else "zoom", plain=False)] for m, n in zip(made, source, strict=True)]


def guesses(made: Shape, source: Shape, way: Orientation, *, starts: bool = False) -> Iterator[Guess]:
    """Every way from B's shape to A's by strides, means and resizing of each axis, then turned; likeliest first."""
    lengths = [made[way.axes.index(axis)] for axis in range(3)]
    options = [axis_guesses(m, n, starts=starts) for m, n in zip(lengths, source, strict=True)]
    found = [(k, j, i) for k, j, i in itertools.product(*options)]
    yield from sorted((Guess(axes, way) for axes in found), key=lambda guess: guess.unlikely)


def orientations(*, ordered: bool) -> Iterator[Orientation]:
    """All mirror images with the axes in order, the plain one first; or all with the axes in another order."""
    for axes in ORDERS:
        if (axes == ORDERS[0]) == ordered:
            for k, j, i in itertools.product((False, True), repeat=3):
                yield Orientation(axes, (k, j, i))


def say_size(shape: Shape) -> str:
    """Voxels along x, y, z, for people."""
    return " x ".join(map(str, reversed(shape)))


def _starts(factor: int, made: int, source: int) -> Sequence[int]:
    """From which voxel but the first such a stride may start to leave `made`: with or without what is left over."""
    every = range(1, factor) if factor <= _ALL_STARTS else (factor // 2, factor - 1)
    return [n for n in every if n < source and made in (-(-(source - n) // factor), max(1, (source - n) // factor))]


def _text(values: Sequence[int]) -> str:
    return ",".join(map(str, reversed(values)))
