"""The steps by which an array is made from another one: how they are typed, and what they do to an axis."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from chunkvol.errors import InputError

_NUMBER = r"\s*\d{1,9}\s*"
_RANGE = r"\s*(?:-?\d{1,9})?\s*:\s*(?:-?\d{1,9})?\s*"

WORDS = {
    "same": "same",
    "stride": "stride:2,2,2 (every 2nd voxel from the first one; stride:2,2,2@1,1,1 from the second)",
    "mean": "mean:2,2,2 (of blocks)",
    "resize": "resize, or resize:256,256,100 (outer faces kept)",
    "zoom": "zoom (first and last voxel centres kept, as scipy's zoom does)",
    "crop": "crop:10:200,:,5:-5 (from voxel A up to, not including, B)",
    "flip": "flip:z",
    "axes": "axes:yxz (its x, y, z were y, x, z)",
}
"""The steps, and how each is typed; one number stands for all axes."""

__all__ = ["WORDS", "Piece", "Step", "parse_step", "pieces"]


# ------------------------------------------------------------------------------------------------------------ axes


@dataclass(frozen=True, slots=True)
class Piece:
    """One step along one axis: new voxel i is old index start + step * i."""

    count: int
    """Voxels that are there after it."""
    step: Fraction = Fraction(1)
    start: Fraction = Fraction(0)


def pieces(step: Step, axis: int, n: int, end: int) -> list[Piece]:
    """What a step may make of an axis of n voxels, likeliest first; `end` is the axis's length in A."""
    try:
        return _MAKES[step.word](step.values[axis], n, end)
    except InputError as error:
        raise InputError(f"{step.text!r}: along {'zyx'[axis]} {error}") from None


def _kept(_: Any, n: int, __: int) -> list[Piece]:
    return [Piece(n)]


def _strided(value: tuple[int, int], n: int, _: int) -> list[Piece]:
    factor, first = value
    if first >= n:
        raise InputError(f"it starts at voxel {first}, and there are {n}")
    step, rest = Fraction(min(factor, n)), n - first
    counts = (-(-rest // factor), max(1, rest // factor))
    return [Piece(count, step, Fraction(first)) for count in counts]


def _averaged(factor: int, n: int, _: int) -> list[Piece]:
    factor = min(factor, n)
    middle = Fraction(factor - 1, 2)
    return [Piece(count, Fraction(factor), middle) for count in (n // factor, -(-n // factor))]


def _resized(size: int | None, n: int, end: int) -> list[Piece]:
    step = Fraction(n, size or end)
    return [Piece(size or end, step, (step - 1) / 2)]


def _zoomed(size: int | None, n: int, end: int) -> list[Piece]:
    count = size or end
    return [Piece(count, Fraction(n - 1, count - 1) if count > 1 < n else Fraction(n))]


def _cropped(part: slice, n: int, _: int) -> list[Piece]:
    low, high, _ = part.indices(n)
    if high <= low:
        raise InputError(f"nothing is left of {n} voxels")
    return [Piece(high - low, start=Fraction(low))]


def _flipped(flip: bool, n: int, _: int) -> list[Piece]:
    return [Piece(n, Fraction(-1), Fraction(n - 1)) if flip else Piece(n)]


_MAKES: dict[str, Callable[[Any, int, int], list[Piece]]] = {
    "same": _kept,
    "stride": _strided,
    "mean": _averaged,
    "resize": _resized,
    "zoom": _zoomed,
    "crop": _cropped,
    "flip": _flipped,
}
"""Of an axis: the step's value for it, its voxels before, and those of A."""


# ------------------------------------------------------------------------------------------------------------ text


@dataclass(frozen=True, slots=True)
class Step:
    """One checked step."""

    text: str
    """As it was typed."""
    word: str
    """Of `WORDS`."""
    values: tuple[Any, Any, Any]
    """What it does to the axes k, j, i."""


def parse_step(text: str) -> Step:
    word, colon, rest = text.strip().partition(":")
    parse = _PARSERS.get(word.lower())
    values = parse(rest if colon else None) if parse else None
    if values is None:
        what = f"{text.strip()!r} is no step from one volume to another"
        raise InputError(f"{what}; write {'; '.join(WORDS.values())}; several joined by +")
    return Step(text.strip(), word.lower(), (values[2], values[1], values[0]))


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
    "zoom": _resize_of,
    "crop": _crop_of,
    "flip": _flip_of,
    "axes": _axes_of,
}
"""Values along x, y, z of what stands after the colon (None without one); None where it cannot be read."""
