"""Which files of a folder are slices, in which order, and whether one is missing: by their names alone."""

from __future__ import annotations

import fnmatch
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from chunkvol.errors import InputError
from chunkvol.names import natural_parts

KINDS = {".tif": "TIFF", ".tiff": "TIFF", ".png": "PNG", ".bmp": "BMP", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""By the end of a name."""
_NUMBER = re.compile(r"(\d+)")
_SHADOW = re.compile(r"_spr\.[a-z]+$", re.IGNORECASE)
"""SkyScan's overview beside the sections."""

__all__ = ["KINDS", "Listing", "few", "holds_slices", "listed"]


@dataclass(frozen=True, slots=True)
class Listing:
    """The slices of a folder by name, in order."""

    names: tuple[str, ...]
    """Files that are numbered alike, or all where none are."""
    numbers: tuple[int, ...] | None
    """Of each file, ascending; None where their names do not count."""
    odd: tuple[str, ...]
    """Images whose names do not fit the others."""
    problems: tuple[str, ...]
    """What was skipped, a sentence each."""
    leap: int = 1
    """A pattern took every how many of the files that are numbered like these."""


def few(count: int) -> int:
    """How many files may be something else beside so many slices: 2, or 2 %."""
    return max(2, count // 50)


def holds_slices(folder: Path) -> bool:
    """Whether the top of a folder holds a file named like an image; stops at the first."""
    return any(True for _ in _images(folder))


def _images(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            visible = not entry.name.startswith(".")
            named = visible and os.path.splitext(entry.name)[1].lower() in KINDS  # noqa: PTH122  # names
            # A link to nowhere is told of when it is read; left out, the stack would be shorter without a word.
            if named and (entry.is_file() or (entry.is_symlink() and not entry.is_dir())):
                yield entry.name


def listed(folder: Path, pattern: str | None = None) -> Listing:
    """The slices of a folder: images of the most frequent kind, in the order in which people count.

    Parameters
    ----------
    folder
        Its top level is looked at.
    pattern
        Which of them are meant, as in a shell: `rec_*.tif`.

    Raises
    ------
    InputError
        There are none, or it is not clear which are slices, or a number is there twice.
    """
    names = all_names = sorted(_images(folder))
    if pattern is not None:
        names = [name for name in all_names if fnmatch.fnmatchcase(name, pattern)]
        if not names:
            there = f"it holds {len(all_names)}, such as {all_names[0]}" if all_names else "it holds none"
            raise InputError(f"no image in {folder} is named like {pattern!r}: {there}")
    kept, problems = _one_kind(folder, names)
    kept, beside = _without_extras(kept)
    problems += beside
    if not kept:
        raise InputError(f"{folder} holds no slices ({'; '.join(problems) or 'no image'}); name another folder")
    main, odd = _alike(folder, kept)
    numbers = _numbers(folder, main)
    if numbers is None:
        ordered = sorted(main, key=lambda name: (natural_parts(name), name))
        if len(main) > 1:
            problems.append(
                f"the names carry no running number: their order is that of the alphabet ({ordered[0]} first)"
            )
        return Listing(tuple(ordered), None, tuple(odd), tuple(problems))
    order = sorted(range(len(main)), key=numbers.__getitem__)
    slices = tuple(main[n] for n in order)
    leap = 1 if pattern is None else _leap(slices, all_names)
    return Listing(slices, tuple(numbers[n] for n in order), tuple(odd), tuple(problems), leap)


def _kind(name: str) -> str:
    return KINDS[os.path.splitext(name)[1].lower()]  # noqa: PTH122  # a name, thousands of times


def _one_kind(folder: Path, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names of the most frequent kind, and what is said of the others."""
    counts = Counter(map(_kind, names)).most_common()
    if len(counts) > 1 and counts[0][1] == counts[1][1]:
        each = " and ".join(f"{count} {kind}" for kind, count in counts)
        raise InputError(f"{folder} holds {each} files: --pattern says which are the slices, as in --pattern '*.tif'")
    problems = []
    for kind, count in counts[1:]:
        first = next(name for name in names if _kind(name) == kind)
        problems.append(
            f"{count} {kind} file{'s' * (count > 1)} skipped beside {counts[0][1]} {counts[0][0]} ({first})"
        )
    return [name for name in names if _kind(name) == counts[0][0]], problems


def _without_extras(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Without backups (~) and SkyScan's overviews."""
    extra = [name for name in names if name.startswith("~") or _SHADOW.search(name) or _stem(name).endswith("~")]
    if not extra or len(extra) == len(names):
        return list(names), []
    left = set(extra)
    more = f" and {len(extra) - 1} more" * (len(extra) > 1)
    return [name for name in names if name not in left], [f"{extra[0]}{more} skipped: no slice by its name"]


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]  # noqa: PTH122  # as above


def _skeleton(name: str) -> tuple[str, ...]:
    """The parts of a name between its numbers; case is not looked at."""
    return tuple(part.lower() for part in _NUMBER.split(_stem(name))[::2])


def _alike(folder: Path, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names that differ in their numbers alone, and the others; all where no two do."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        groups.setdefault(_skeleton(name), []).append(name)
    sizes = sorted(groups.values(), key=len, reverse=True)
    largest = sizes[0]
    if len(largest) == 1:
        return list(names), []
    if len(names) - len(largest) > few(len(names)):
        each = ", ".join(f"{len(group)} like {group[0]}" for group in sizes[:3])
        raise InputError(f"{folder} holds files of different names ({each}): --pattern says which are the slices")
    return largest, [name for group in sizes[1:] for name in group]


def _numbers(folder: Path, names: Sequence[str]) -> list[int] | None:
    """The running number of each name: of the numbers that are not the same for all the last, or the last even one."""
    found = [[int(part) for part in _NUMBER.findall(_stem(name))] for name in names]
    if len({len(each) for each in found}) > 1 or not found[0]:
        return None
    _refuse_twins(folder, names, found)
    running = [n for n in range(len(found[0])) if len({each[n] for each in found}) > 1]
    if not running:
        return [each[-1] for each in found]
    last = [each[running[-1]] for each in found]
    seen: dict[int, str] = {}
    for name, number in zip(names, last, strict=True):
        if number in seen:
            raise InputError(
                f"{folder} holds more than one stack: {seen[number]} and {name} have the same number; "
                "--pattern says which are the slices"
            )
        seen[number] = name
    _refuse_contradiction(folder, names, found, last)
    return next((column for n in reversed(running) if _is_even(column := [each[n] for each in found])), last)


def _is_even(numbers: Sequence[int]) -> bool:
    """Whether numbers that go up do so in equal steps."""
    ordered = sorted(numbers)
    return len({high - low for low, high in pairwise(ordered)} - {0}) == 1 and len(set(ordered)) == len(ordered)


def _refuse_contradiction(
    folder: Path, names: Sequence[str], found: Sequence[Sequence[int]], last: Sequence[int]
) -> None:
    """Refuse names of several numbers that do not go up together, as with the time of day past midnight."""
    order = sorted(range(len(last)), key=last.__getitem__)
    for one, other in pairwise(order):
        if tuple(found[one]) > tuple(found[other]):
            raise InputError(
                f"the numbers in the names of {folder} do not say which of {names[one]} and {names[other]} comes "
                "first: rename the files so that one number counts the slices, or --pattern says which are meant"
            )


def _leap(names: Sequence[str], all_names: Sequence[str]) -> int:
    """Every how many of the files that are named like these, of names that lie between the first and the last."""
    alike, at = _skeleton(names[0]), {name: n for n, name in enumerate(names)}
    keys = [natural_parts(names[0]), natural_parts(names[-1])]
    between = [name for name in all_names if _skeleton(name) == alike and keys[0] <= natural_parts(name) <= keys[1]]
    between.sort(key=natural_parts)
    kept = [n for n, name in enumerate(between) if name in at]
    return min((high - low for low, high in pairwise(kept)), default=1)


def _refuse_twins(folder: Path, names: Sequence[str], found: Sequence[Sequence[int]]) -> None:
    seen: dict[tuple[int, ...], str] = {}
    for name, numbers in zip(names, found, strict=True):
        twin = seen.setdefault(tuple(numbers), name)
        if twin != name:
            raise InputError(
                f"{folder} holds {twin} and {name}, which are the same number: take one away, or --pattern says which "
                "are the slices"
            )
