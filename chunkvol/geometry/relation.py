"""How the voxels of one array were made from another one's: every n-th, means, resized, cropped, flipped, turned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from chunkvol.errors import InputError
from chunkvol.geometry.grid import Geometry, Matrix
from chunkvol.geometry.mapping import Mapping
from chunkvol.geometry.steps import WORDS, Piece, Step, parse_step, pieces
from chunkvol.regions import Region, Shape, whole

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
    _steps: tuple[Step, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        steps = tuple(map(parse_step, self.text.split("+")))
        for number, step in enumerate(steps):
            if step.word in ("resize", "zoom") and step.values[0] is None:
                _check_last(step, steps[number + 1 :])
        object.__setattr__(self, "_steps", steps)

    def __str__(self) -> str:
        return self.text

    def mapping(self, made: Shape, source: Shape) -> Mapping:
        """Index in B of each voxel of A, exact but for the last rounding.

        Every n-th voxel stays where it was; a mean lies in the middle of its block, (f - 1) / 2 further; a resized
        volume keeps its outer faces: i_B = (i_A + 1/2) n_B / n_A - 1/2; a zoomed one the centres of its first and last
        voxels: i_B = i_A (n_B - 1) / (n_A - 1). An axis shorter than its factor f takes
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

    def after_crop(self, source: Shape) -> tuple[Region, Relation]:
        """The region of B that the first steps cut out, all of it where they do not, and what was done to it then."""
        kept = [step for step in self._steps if step.word != "same"]
        region = whole(source)
        while kept and kept[0].word == "crop":
            step = kept.pop(0)
            cuts = [pieces(step, axis, part.stop - part.start, 0)[0] for axis, part in enumerate(region)]
            starts = [part.start + int(piece.start) for part, piece in zip(region, cuts, strict=True)]
            k, j, i = (slice(a, a + piece.count) for a, piece in zip(starts, cuts, strict=True))
            region = k, j, i
        return region, Relation("+".join(step.text for step in kept) or "same")

    def _links(self, made: Shape, source: Shape) -> list[_Link]:
        """What became of B's axes, in A's order."""
        chains = [[_Link(axis, n)] for axis, n in enumerate(source)]
        for number, step in enumerate(self._steps):
            if step.word == "axes":
                chains = [chains[axis] for axis in step.values]
                continue
            ends = _lengths_before(self._steps[number + 1 :], made)
            chains = [
                _after(step, axis, chain, end) for axis, (chain, end) in enumerate(zip(chains, ends, strict=True))
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


@dataclass(frozen=True, slots=True)
class _Link:
    """An axis after some steps: voxel i is index start + step * i along an axis of B."""

    axis: int
    """Of B, in array order."""
    count: int
    """Voxels along it now."""
    step: Fraction = Fraction(1)
    start: Fraction = Fraction(0)

    def then(self, piece: Piece) -> _Link:
        """The axis after one more step."""
        start = self.start + self.step * piece.start
        return replace(self, count=piece.count, step=self.step * piece.step, start=start)


def _after(step: Step, axis: int, chain: Sequence[_Link], end: int) -> list[_Link]:
    """All that an axis may be after one more step; ways that the step cannot follow were not gone."""
    found: dict[_Link, None] = {}
    refused = None
    for link in chain:
        try:
            found |= dict.fromkeys(link.then(piece) for piece in pieces(step, axis, link.count, end))
        except InputError as error:
            refused = refused or error
    if refused and not found:
        raise refused
    return list(found)


def _lengths_before(later: Sequence[Step], made: Shape) -> list[int]:
    """A's lengths in the order of the axes before the later steps."""
    lengths = list(made)
    for step in reversed(later):
        if step.word == "axes":
            lengths = [lengths[step.values.index(axis)] for axis in range(3)]
    return lengths


def _check_last(step: Step, later: Sequence[Step]) -> None:
    """A resize or zoom without numbers makes A's size: what changes the size may not follow."""
    wrong = [other.text for other in later if other.word not in ("same", "flip", "axes")]
    if wrong:
        raise InputError(f"{step.text!r} before {wrong[0]!r} does not say to which size: write {step.word}:256,256,100")


def _size(shape: Shape) -> str:
    return " x ".join(map(str, reversed(shape)))
