"""How one volume was made from another one, found out from their sizes and, to be sure, from their voxels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import CheckError, InputError
from chunkvol.geometry.relation import Relation
from chunkvol.landmarks.crops import any_order
from chunkvol.landmarks.drift import drift
from chunkvol.landmarks.guesses import ORDERS, Guess, Orientation, guesses, orientations, say_size
from chunkvol.landmarks.likeness import Sample, likenesses, samples_of
from chunkvol.progress import Progress, Silent
from chunkvol.regions import Shape, region_shape
from chunkvol.sources import Source
from chunkvol.volume import Volume

_SAME = 0.1
"""Voxels of B: relations that put all of A's voxels within this of each other are one, as far as points go."""
_FITS = 0.8
"""Correlation below which nothing fits."""
_SURE = 0.999
"""Correlation from which the axes need not be tried in another order."""
_PROMISING = 0.5
"""Share of the best correlation from which an orientation is looked at closely."""
_LEAST = 1e-4
"""By how much less the second best must correlate, at least."""
_TIMES = 1.5
"""How many times what the best leaves unexplained the second best must leave, at least."""
_SPELLED = 6
"""Relations that a message lists."""

__all__ = ["Found", "Scored", "find_relation", "infer_relation", "verify_relation"]


@dataclass(frozen=True, slots=True)
class Scored:
    """A relation and how well it explains A's voxels."""

    relation: Relation
    """How A may have been made from B."""
    score: float
    """Correlation, at most 1, of A's voxels with what B's give by the relation; NaN where none were read."""


@dataclass(frozen=True, slots=True)
class Found:
    """The relation between two volumes, and what speaks for it."""

    relation: Relation
    """How A was made from B."""
    because: str
    """What speaks for it, a sentence."""
    score: float | None = None
    """Correlation of A's voxels with what it gives; None where voxels were not looked at."""
    runner_up: Scored | None = None
    """The best of those that put points elsewhere; None where there is none."""
    voxels: int = 0
    """Voxels of A that were looked at."""

    def __str__(self) -> str:
        return f"A was made from B by {self.relation}: {self.because}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        second = (
            None
            if self.runner_up is None
            else {
                "relation": self.runner_up.relation.text,
                "score": self.runner_up.score,
            }
        )
        return {
            "relation": self.relation.text,
            "because": self.because,
            "score": self.score,
            "runner_up": second,
            "voxels": self.voxels,
        }


# ------------------------------------------------------------------------------------------------------- from shapes


def infer_relation(made: Shape, source: Shape) -> Found:
    """How A was made from B, where their sizes alone leave one answer.

    They do where A is as large as B; where on every axis that is smaller numpy's every n-th voxel and means of whole
    blocks give different sizes and one of them gives A's (51 of 101 voxels: every 2nd; 50: means of two); and where no
    whole factor does, but all axes shrink or grow alike: resized.

    Parameters
    ----------
    made, source
        Shapes of A and B in order (k, j, i).

    Raises
    ------
    InputError
        Several relations make A's size of B's and put points elsewhere; the message names them and the remedy.
    """
    turned = _demanded(made, source)
    if made == source:
        return Found(
            Relation("same"),
            f"both have {say_size(made)} voxels (x, y, z); whether it was mirrored only --verify-pixels tells",
        )
    plain = [guess for guess in guesses(made, source, Orientation(turned)) if guess.plain]
    distinct = _distinct(plain, made, source)
    if len(distinct) == 1 and turned == ORDERS[0] and not (distinct[0].resized and not _alike(made, source)):
        return Found(distinct[0].relation, _by_size(distinct[0], made, source))
    raise InputError(_undecided(distinct or list(guesses(made, source, Orientation(turned))), made, source))


def _demanded(made: Shape, source: Shape) -> Shape:
    """B's axis of each of A's: in order, unless only another order explains all sizes by whole factors."""
    for axes in ORDERS:
        options = list(guesses(made, source, Orientation(axes)))
        if any(guess.plain and not guess.resized for guess in options):
            return axes
    return ORDERS[0]


def _alike(made: Shape, source: Shape) -> bool:
    """Whether all axes were resized by one ratio, to the nearest voxel: cropping would hardly do that."""
    low = max((m - 1) / n for m, n in zip(made, source, strict=True))
    high = min((m + 1) / n for m, n in zip(made, source, strict=True))
    return low < high


def _distinct(found: Sequence[Guess], made: Shape, source: Shape) -> list[Guess]:
    """The first of each group that puts points at the same places."""
    out: list[tuple[Guess, npt.NDArray[np.float64]]] = []
    for guess in found:
        ends = _ends(guess.relation, made, source)
        if not any(np.abs(ends - other).max() <= _SAME for _, other in out):
            out.append((guess, ends))
    return [guess for guess, _ in out]


def apart(a: Relation, b: Relation, made: Shape, source: Shape) -> float:
    """The largest distance along an axis between where two relations put voxels of A, in voxels of B."""
    return float(np.abs(_ends(a, made, source) - _ends(b, made, source)).max())


def _ends(relation: Relation, made: Shape, source: Shape) -> npt.NDArray[np.float64]:
    """Indices in B of A's corners, shape (8, 3): what lies between is no further apart."""
    corners = np.array(list(itertools.product(*[(0, n - 1) for n in made])))
    return relation.mapping(made, source).indices(corners)


def _by_size(guess: Guess, made: Shape, source: Shape) -> str:
    sizes = f"{say_size(source)} voxels (x, y, z) became {say_size(made)}"
    if guess.resized:
        return f"{sizes}, by one ratio that is no whole number; voxels were not compared"
    far = apart(guess.relation, Relation("resize"), made, source) if guess.way == Orientation() else 0.0
    resized = f"; had it been resized, as Fiji and PIL do, points would lie up to {far:.2g} voxels elsewhere"
    return (
        f"{sizes}, which neither means nor every n-th voxel would both give; voxels were not compared, "
        f"--verify-pixels does{resized if far > _SAME else ''}"
    )


def _undecided(found: Sequence[Guess], made: Shape, source: Shape) -> str:
    names = [str(guess.relation) for guess in found[:_SPELLED]]
    more = f" or {len(found) - len(names)} others" if len(found) > len(names) else ""
    far = max((apart(found[0].relation, guess.relation, made, source) for guess in found[1:]), default=0.0)
    differ = f", which puts points up to {far:.3g} voxels apart" if far else ""
    return (
        f"{say_size(source)} voxels (x, y, z) become {say_size(made)} by {' or '.join(names)}{more}, or by cropping"
        f"{differ}: sizes alone do not tell; let --verify-pixels look, or say it with --relation"
    )


# ------------------------------------------------------------------------------------------------------- from voxels


def find_relation(made: Volume, source: Volume, *, progress: Progress | None = None) -> Found:
    """How A was made from B, found by comparing some of A's voxels with what each relation says that they are.

    Tried are every n-th voxel from any start, means of n and resizing, for each axis by itself, in all mirror images;
    and where nothing explains A well, in all orders of the axes. Of A some windows with most contrast are read, of B
    what lies under them. The correlation does not depend on how values were scaled, and leaves out where they were cut
    off.

    Parameters
    ----------
    made, source
        A and B.
    progress
        Told how many orientations there are.

    Raises
    ------
    InputError
        A has no contrast, nothing fits, what fits best lies beside A's voxels, or two relations that put points
        elsewhere fit about equally well; the message has their scores.
    """
    progress = progress or Silent()
    samples = samples_of(made.values.source, source.shape)
    with any_order(source.values.source) as voxels:
        best = _scored(made.shape, voxels, samples, list(orientations(ordered=True)), progress)
        if best[0].score < _SURE:
            turned = [way for way in orientations(ordered=False) if _explains(made.shape, source.shape, way)]
            best = sorted([*best, *_scored(made.shape, voxels, samples, turned, progress)], key=_rank)
        found = _decided(best, made.shape, source.shape, sum(int(sample.counted.sum()) for sample in samples))
        _check_drift(found, made.shape, voxels, samples)
    return found


def verify_relation(made: Volume, source: Volume, relation: Relation, *, progress: Progress | None = None) -> Found:
    """Whether A's voxels say so too, of a relation that is known.

    Parameters
    ----------
    made, source
        A and B.
    relation
        How A was made from B; where it was cropped, that came first.
    progress
        As `find_relation`.

    Raises
    ------
    CheckError
        Voxels say that it was made in another way.
    InputError
        As `find_relation`, or B's shape does not become A's by the relation.
    """
    region, _ = relation.after_crop(source.shape)
    ends = _ends(relation, made.shape, source.shape)
    found = find_relation(made, source[region], progress=progress)
    starts = [part.start for part in region]
    far = float(np.abs(_ends(found.relation, made.shape, region_shape(region)) + starts - ends).max())
    if far > _SAME:
        raise CheckError(
            f"{relation} was said, but voxels are explained by {found.relation} (correlation {found.score:.5f})"
            f"{' of what was cropped' if any(starts) else ''}, which puts points up to {far:.3g} voxels elsewhere"
        )
    return replace(found, relation=relation)


def _check_drift(found: Found, made: Shape, voxels: Source, samples: Sequence[Sample]) -> None:
    """The best of what was tried is not the truth where that was not among it: voxels then look shifted."""
    off = [one for one in drift(made, voxels, samples, found.relation) if one.plain]
    if off:
        worst = max(off, key=lambda one: one.voxels)
        raise InputError(
            f"of the relations that were tried {found.relation} explains the voxels best (correlation "
            f"{found.score:.5f}), but along {'zyx'[worst.axis]} they lie about {worst.voxels:.2g} voxels elsewhere: it "
            "was made in another way, in several steps perhaps; say them with --relation, as in flip:x+mean:2"
        )


def _explains(made: Shape, source: Shape, way: Orientation) -> bool:
    """Whether sizes fit by whole factors in this order of the axes: a resize fits any, and would never be refused."""
    return made == source or any(not guess.resized for guess in guesses(made, source, way))


def _scored(
    made: Shape, source: Source, samples: Sequence[Sample], ways: Sequence[Orientation], progress: Progress
) -> list[Scored]:
    """Relations of these orientations, best first: the usual ones of all, and all of those that are like A at all."""
    progress.stage("compare voxels", len(ways), "orientations")
    usual = {}
    for way in ways:
        usual[way] = likenesses(made, source, samples, way, quick=True)
        progress.advance(1)
    enough = _PROMISING * max((found[0][1] for found in usual.values()), default=0.0)
    every = [likenesses(made, source, samples, way) if found[0][1] >= enough else found for way, found in usual.items()]
    return sorted((Scored(guess.relation, score) for found in every for guess, score in found), key=_rank)


def _rank(one: Scored) -> float:
    """Best first, but for the noise of the sums."""
    return -round(one.score, 6)


def _decided(found: Sequence[Scored], made: Shape, source: Shape, count: int) -> Found:
    best = found[0]
    others = (one for one in found[1:] if apart(best.relation, one.relation, made, source) > _SAME)
    second = next(others, None)
    if best.score < _FITS:
        raise InputError(
            f"nothing tried explains how {say_size(source)} voxels (x, y, z) became {say_size(made)}: {best.relation} "
            f"comes nearest, with a correlation of {best.score:.3f}; if it was cropped say where, as in "
            "--relation crop:10:200,:,:+mean:2, and check that both show the same scan"
        )
    because = f"of {count} voxels compared the correlation is {best.score:.5f}"
    if second is None:
        return Found(best.relation, because, best.score, None, count)
    rest, other = 1 - best.score, 1 - second.score
    if other - rest < _LEAST or other < _TIMES * rest:
        far = apart(best.relation, second.relation, made, source)
        raise InputError(
            f"{best.relation} (correlation {best.score:.5f}) and {second.relation} ({second.score:.5f}) explain the "
            f"voxels about equally well, and put points up to {far:.3g} voxels apart: say which with --relation"
        )
    because = f"{because}; the next best, {second.relation}, has {second.score:.5f}"
    return Found(best.relation, because, best.score, second, count)
