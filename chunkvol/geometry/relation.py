"""How the voxels of one array were made from another one's: every n-th, means, resized, cropped, flipped, turned."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from chunkvol.errors import InputError
from chunkvol.geometry.grid import Geometry, Matrix
from chunkvol.geometry.mapping import Mapping
from chunkvol.regions import Shape

_NUMBER = r"\s*\d{1,9}\s*"
_RANGE = r"\s*(?:-?\d{1,9})?\s*:\s*(?:-?\d{1,9})?\s*"

WORDS = {
    "same": "same",
    "stride": "stride:2,2,2 (every 2nd voxel from the first one; stride:2,2,2@1,1,1 from the second)",
    "mean": "mean:2,2,2 (of blocks)",
    "resize": "resize, or resize:256,256,100 (outer faces kept)",
    "crop": "crop:10:200,:,5:-5 (from voxel A up to, not including, B)",
    "flip": "flip:z",
    "axes": "axes:yxz (its x, y, z were y, x, z)",
}
"""The steps, and how each is typed; one number stands for all axes."""

__all__ = ["WORDS", "Relation", "parse_relation"]


@dataclass(frozen=True, slots=True)
class Relation:
    """Steps that made a volume A from a volume B, in the order in which they were done.

    Raises
    ------
    InputError
        The text is no relation; the message lists the words.
    """

    text: str
    """As it is typed: "stride:2,2,2", "mean:2,2,2", "resize", "crop:10:200,:,5:90", "flip:z", "axes:yxz", joined by +;
    numbers in order x, y, z."""
    _steps: tuple[_Step, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        steps = tuple(map(_step, self.text.split("+")))
        for number, step in enumerate(steps):
            if step.word == "resize" and step.values[0] is None:
                _check_last(step, steps[number + 1 :])
        object.__setattr__(self, "_steps", steps)

    def __str__(self) -> str:
        return self.text

    def mapping(self, made: Shape, source: Shape) -> Mapping:
        """Index in B of each voxel of A, exact but for the last rounding.

        Every n-th voxel stays where it was; a mean lies in the middle of its block, (f - 1) / 2 further; a resized
        volume keeps its outer faces: i_B = (i_A + 1/2) n_B / n_A - 1/2. An axis shorter than its factor f takes
        f = n. Where blocks do not fill an axis, a shape with or without the last, partial one is A's; of two ways to
        the same shape numpy's is taken: every n-th voxel with the last one, means without.

        Parameters
        ----------
        made, source
            Shapes of A and B in order (k, j, i).

        Raises
        ------
        InputError
            B's shape does not become A's by these steps; the message says what it becomes.
        """
        links = self._links(made, source)
        rows = [[0.0] * 3 for _ in range(3)]
        starts = [0.0] * 3
        for axis, link in enumerate(links):
            rows[link.axis][axis] = float(link.step)
            starts[link.axis] = float(link.start)
        matrix: Matrix = tuple(map(tuple, rows))  # type: ignore[assignment]  # three rows of three
        return Mapping(matrix, (starts[0], starts[1], starts[2]))

    def geometry(self, made: Shape, source: Geometry) -> Geometry:
        """The grid of A in B's world: what its header should have said.

        Raises
        ------
        InputError
            As `mapping`.
        """
        links = self._links(made, source.shape)
        start = [0.0] * 3
        for link in links:
            start[link.axis] = float(link.start)
        # Not from the affine: spacings and directions that are only scaled or turned keep their last bits.
        rows = [
            tuple(row[link.axis] * (-1 if link.step < 0 else 1) + 0.0 for link in links) for row in source.direction
        ]
        return Geometry(
            made,
            tuple(source.index_to_world(start).tolist()) if any(start) else source.origin,
            tuple(source.spacing[link.axis] * float(abs(link.step)) for link in links),  # type: ignore[arg-type]  # three
            tuple(rows),  # type: ignore[arg-type]  # three of three
        )

    def _links(self, made: Shape, source: Shape) -> list[_Link]:
        """What became of B's axes, in A's order."""
        chains = [[_Link(axis, n)] for axis, n in enumerate(source)]
        for number, step in enumerate(self._steps):
            if step.word == "axes":
                chains = [chains[axis] for axis in step.values]
                continue
            ends = _lengths_before(self._steps[number + 1 :], made)
            chains = [
                _distinct(link.then(piece) for link in chain for piece in _pieces(step, axis, link.count, end))
                for axis, (chain, end) in enumerate(zip(chains, ends, strict=True))
            ]
        fitting = [[link for link in chain if link.count == n] for chain, n in zip(chains, made, strict=True)]
        if not all(fitting):
            raise InputError(self._misfit(chains, made, source))
        return [links[0] for links in fitting]

    def _misfit(self, chains: Sequence[Sequence[_Link]], made: Shape, source: Shape) -> str:
        found = [sorted({link.count for link in chain}, reverse=True) for chain in chains]
        becomes = " x ".join(" or ".join(map(str, counts)) for counts in reversed(found))
        wrong = [name for name, counts, n in zip("zyx", found, made, strict=True) if n not in counts]
        return (
            f"by {self.text!r} {_size(source)} voxels (x, y, z) become {becomes}, but the volume that was made has "
            f"{_size(made)}: {' and '.join(reversed(wrong))} {'differs' if len(wrong) == 1 else 'differ'}; "
            "correct the steps, or their order"
        )


def parse_relation(text: str) -> Relation:
    """The relation of a text, checked.

    Raises
    ------
    InputError
        It is none; the message lists the words.
    """
    return Relation(text.strip())


# ------------------------------------------------------------------------------------------------------------ axes


@dataclass(frozen=True, slots=True)
class _Piece:
    """One step along one axis: new voxel i is old index start + step * i."""

    count: int
    """Voxels that are there after it."""
    step: Fraction = Fraction(1)
    start: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class _Link:
    """An axis after some steps: voxel i is index start + step * i along an axis of B."""

    axis: int
    """Of B, in array order."""
    count: int
    """Voxels along it now."""
    step: Fraction = Fraction(1)
    start: Fraction = Fraction(0)

    def then(self, piece: _Piece) -> _Link:
        """The axis after one more step."""
        start = self.start + self.step * piece.start
        return replace(self, count=piece.count, step=self.step * piece.step, start=start)


def _distinct(links: Iterable[_Link]) -> list[_Link]:
    return list(dict.fromkeys(links))


def _pieces(step: _Step, axis: int, n: int, end: int) -> list[_Piece]:
    """What a step may make of an axis of n voxels, likeliest first; `end` is the axis's length in A."""
    try:
        return _MAKES[step.word](step.values[axis], n, end)
    except InputError as error:
        raise InputError(f"{step.text!r}: along {'zyx'[axis]} {error}") from None


def _kept(_: Any, n: int, __: int) -> list[_Piece]:
    return [_Piece(n)]


def _strided(value: tuple[int, int], n: int, _: int) -> list[_Piece]:
    factor, first = value
    if first >= n:
        raise InputError(f"it starts at voxel {first}, and there are {n}")
    step, rest = Fraction(min(factor, n)), n - first
    counts = (-(-rest // factor), max(1, rest // factor))
    return [_Piece(count, step, Fraction(first)) for count in counts]


def _averaged(factor: int, n: int, _: int) -> list[_Piece]:
    factor = min(factor, n)
    middle = Fraction(factor - 1, 2)
    return [_Piece(count, Fraction(factor), middle) for count in (n // factor, -(-n // factor))]


def _resized(size: int | None, n: int, end: int) -> list[_Piece]:
    step = Fraction(n, size or end)
    return [_Piece(size or end, step, (step - 1) / 2)]


def _cropped(part: slice, n: int, _: int) -> list[_Piece]:
    low, high, _ = part.indices(n)
    if high <= low:
        raise InputError(f"nothing is left of {n} voxels")
    return [_Piece(high - low, start=Fraction(low))]


def _flipped(flip: bool, n: int, _: int) -> list[_Piece]:
    return [_Piece(n, Fraction(-1), Fraction(n - 1)) if flip else _Piece(n)]


_MAKES: dict[str, Callable[[Any, int, int], list[_Piece]]] = {
    "same": _kept,
    "stride": _strided,
    "mean": _averaged,
    "resize": _resized,
    "crop": _cropped,
    "flip": _flipped,
}
"""Of an axis: the step's value for it, its voxels before, and those of A."""


def _lengths_before(later: Sequence[_Step], made: Shape) -> list[int]:
    """A's lengths in the order of the axes before the later steps."""
    lengths = list(made)
    for step in reversed(later):
        if step.word == "axes":
            lengths = [lengths[step.values.index(axis)] for axis in range(3)]
    return lengths


# ------------------------------------------------------------------------------------------------------------ text


@dataclass(frozen=True, slots=True)
class _Step:
    """One checked step."""

    text: str
    """As it was typed."""
    word: str
    """Of `WORDS`."""
    values: tuple[Any, Any, Any]
    """What it does to the axes k, j, i."""


def _step(text: str) -> _Step:
    word, colon, rest = text.strip().partition(":")
    parse = _PARSERS.get(word.lower())
    values = parse(rest if colon else None) if parse else None
    if values is None:
        what = f"{text.strip()!r} is no step from one volume to another"
        raise InputError(f"{what}; write {'; '.join(WORDS.values())}; several joined by +")
    return _Step(text.strip(), word.lower(), (values[2], values[1], values[0]))


def _check_last(step: _Step, later: Sequence[_Step]) -> None:
    """A resize without numbers makes A's size: what changes the size may not follow."""
    wrong = [other.text for other in later if other.word not in ("same", "flip", "axes")]
    if wrong:
        raise InputError(f"{step.text!r} before {wrong[0]!r} does not say to which size: write resize:256,256,100")


def _size(shape: Shape) -> str:
    return " x ".join(map(str, reversed(shape)))


def _same_of(rest: str | None) -> Sequence[Any] | None:
    return (None, None, None) if rest is None else None


def _triple_of(rest: str | None) -> Sequence[int] | None:
    """One or three whole numbers in order x, y, z."""
    if rest is None or not re.fullmatch(rf"{_NUMBER}(,{_NUMBER},{_NUMBER})?", rest):
        return None
    numbers = [int(part) for part in rest.split(",")]
    return numbers * 3 if len(numbers) == 1 else numbers


def _counts_of(rest: str | None) -> Sequence[int] | None:
    numbers = _triple_of(rest)
    return numbers if numbers and min(numbers) >= 1 else None


def _stride_of(rest: str | None) -> Sequence[tuple[int, int]] | None:
    text, at, first = (rest or "").partition("@")
    factors, starts = _counts_of(text), _triple_of(first) if at else (0, 0, 0)
    return list(zip(factors, starts, strict=True)) if factors and starts else None


def _resize_of(rest: str | None) -> Sequence[int | None] | None:
    return (None, None, None) if rest is None else _counts_of(rest)


def _crop_of(rest: str | None) -> Sequence[slice] | None:
    if rest is None or not re.fullmatch(rf"{_RANGE},{_RANGE},{_RANGE}", rest):
        return None
    ends = [part.split(":") for part in rest.split(",")]
    return [slice(*(int(end) if end.strip() else None for end in pair)) for pair in ends]


def _flip_of(rest: str | None) -> Sequence[bool] | None:
    names = (rest or "").strip().lower().replace(",", "")
    good = names and len(set(names)) == len(names) and set(names) <= set("xyz")
    return [name in names for name in "xyz"] if good else None


def _axes_of(rest: str | None) -> Sequence[int] | None:
    names = (rest or "").strip().lower().replace(",", "")
    return ["zyx".index(name) for name in names] if sorted(names) == ["x", "y", "z"] else None


_PARSERS: dict[str, Callable[[str | None], Sequence[Any] | None]] = {
    "same": _same_of,
    "stride": _stride_of,
    "mean": _counts_of,
    "resize": _resize_of,
    "crop": _crop_of,
    "flip": _flip_of,
    "axes": _axes_of,
}
"""Values along x, y, z of what stands after the colon (None without one); None where it cannot be read."""
