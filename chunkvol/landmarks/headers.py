"""What the columns of a plain table are: by the names in its first row, or by the numbers there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chunkvol.errors import FormatError
from chunkvol.landmarks.rows import SEPARATORS, Rows, is_number, separated
from chunkvol.landmarks.systems import UNITS, Asked

_UNIT = "|".join(sorted(UNITS, key=len, reverse=True))
_PLACE = re.compile(rf"^([xyzijk])(?:[\W_]+(lps|ras|ijk))?(?:[\W_]+({_UNIT})s?)?[\W_]*$", re.IGNORECASE)
"""Names of columns of coordinates: `x`, `x_lps_mm`, `y (um)`, `k`, `i_voxel`."""
_ROLES = {
    "label": ("label", "name", "landmark", "point"),
    "description": ("description", "desc"),
    "type": ("type",),
    "list": ("list",),
    "defined": ("defined",),
    "frame": ("frame",),
    "units": ("units", "unit"),
}
"""Columns with a meaning, by the names that they may have, the most usual first."""
_NAMED = {"visibility": "visibility", "visible": "visibility", "selected": "selected", "locked": "locked", "id": "id"}
"""Further columns that Slicer knows too, by what they may be called."""
UNTOLD = ("orientation", "positionStatus", "autoCreated", "list")
"""Columns that only Slicer needs, and `list`, which is written by its name."""

__all__ = ["UNTOLD", "Header", "header_of", "separator_of", "stated_once", "word_of"]


@dataclass(frozen=True, slots=True)
class Header:
    """Which column is what."""

    places: tuple[int, int, int]
    """Those of x, y, z, or i, j, k."""
    frame: str | None
    """What they state."""
    units: str | None
    """What they state."""
    roles: dict[str, int]
    """By label, description, type, list, defined, frame and units."""
    further: dict[str, int]
    """All others, by name."""
    width: int
    """How many columns there are."""


def separator_of(path: Path, text: str) -> str:
    """The one by which the first line names columns or holds a point; tabs where a file is named so."""
    text = text.lstrip("\r\n")
    line = text[: text.find("\n") if "\n" in text else len(text)].rstrip("\r")
    if path.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    for one in SEPARATORS:
        if any(_is_named(row) or _is_point(row) or _is_place(row) for row in separated(path, line, one).cells):
            return one
    return max(SEPARATORS, key=line.count)


def header_of(path: Path, rows: Rows, asked: Asked) -> tuple[Header, Rows]:
    """What the columns are, by the first row when it names them, and the rows of points."""
    first = rows.cells[0]
    names = _plain_names([cell.strip() for cell in first])
    if _is_named(first):
        return _named(path, names, asked), rows.after_first()
    if _is_place(first):
        return Header((0, 1, 2), None, None, {}, {}, 3), rows
    if _is_point(first):
        width = rows.width
        further = {f"column {number + 1}": number for number in range(5, width)}
        roles = {"label": 0, **({"description": 4} if width > 4 else {})}
        return Header((1, 2, 3), None, None, roles, further, width), rows
    raise FormatError(
        f"{path}, line {rows.lines[0]}: neither names of columns (label, x, y, z) nor a label and three numbers, found "
        f"{', '.join(first)[:60]!r}"
    )


def _is_named(row: Sequence[str]) -> bool:
    """Whether a row names at least two of three coordinates."""
    names = _plain_names([cell.strip() for cell in row])
    return len({match[1].lower() for name in names if (match := _PLACE.match(name))}) >= 2 and not _is_point(row)


def _is_place(row: Sequence[str]) -> bool:
    return len(row) == 3 and all(map(is_number, row))


def _is_point(row: Sequence[str]) -> bool:
    cells = [cell.strip() for cell in row[1:4]]
    return len(cells) == 3 and (all(map(is_number, cells)) or not any(cells))


def _plain_names(names: list[str]) -> list[str]:
    """Names of columns, those of a table of Slicer (label, l, p, s ... or r, a, s) as ours."""
    small = [name.lower() for name in names]
    for letters in ("lps", "ras"):
        if set(letters) <= set(small) and "x" not in small:
            axes = {letter: f"{axis}_{letters}_mm" for letter, axis in zip(letters, "xyz", strict=True)}
            return [axes.get(one, name) for one, name in zip(small, names, strict=True)]
    return names


def _named(path: Path, names: list[str], asked: Asked) -> Header:
    frame, units, places = _places(path, names, asked)
    rest = {name: index for index, name in enumerate(_unique(names)) if name and index not in places}
    small = {name.lower(): name for name in reversed(rest)}
    roles = {
        role: rest.pop(small[next(word for word in words if word in small)])
        for role, words in _ROLES.items()
        if any(word in small for word in words)
    }
    further = {_NAMED.get(name.lower(), name): index for name, index in rest.items() if name not in UNTOLD}
    return Header(places, frame, units, roles, further, len(names))


def _unique(names: list[str]) -> list[str]:
    """Names, those that were there before with their number."""
    return [
        f"{name} {number}" if name in names[: number - 1] and name else name for number, name in enumerate(names, 1)
    ]


def _places(path: Path, names: list[str], asked: Asked) -> tuple[str | None, str | None, tuple[int, int, int]]:
    """The frame and units that names state, and the columns of the three coordinates: of places where there are any."""
    found = [(match, index) for index, name in enumerate(names) if (match := _PLACE.match(name))]
    worlds = [one for one in found if one[0][1].lower() in "xyz"]
    indices = [one for one in found if one not in worlds]
    as_indices = len(indices) >= 3 and (asked.frame == "ijk" or not worlds)
    chosen = indices if as_indices else worlds
    stated = [one for one in chosen if (one[0][2] or "").lower() == asked.frame]
    chosen = stated if len(stated) >= 3 else chosen
    frame = stated_once(path, "frame", [one[2] and one[2].lower() for one, _ in chosen])
    units = stated_once(path, "units", [one[3] and one[3].lower() for one, _ in chosen])
    columns = []
    for letter in "ijk" if as_indices else "xyz":
        own = [index for match, index in chosen if match[1].lower() == letter]
        if len(own) != 1:
            from_fiji = "slice" in (name.lower() for name in names)
            remedy = "; a list of results of ImageJ is read with --frame fiji-pixels" if from_fiji else ""
            raise FormatError(
                f"{path}: {len(own)} columns are {letter}, and a point has one; found {', '.join(names)[:80]!r}{remedy}"
            )
        columns += own
    if as_indices:
        frame, units = frame or "ijk", units or "voxel"
    return frame, units, (columns[0], columns[1], columns[2])


def word_of(path: Path, line: int, role: str, word: str) -> str:
    known = ("lps", "ras", "ijk") if role == "frame" else tuple(UNITS)
    if word.lower() not in known:
        raise FormatError(f"{path}, line {line}: {role} is {' or '.join(known)}, found {word[:20]!r}")
    return word.lower()


def stated_once(path: Path, role: str, words: Sequence[str | None]) -> str | None:
    stated = list(dict.fromkeys(one for one in words if one is not None))
    if len(stated) > 1:
        raise FormatError(f"{path} states {role} {' and '.join(stated)}; one file has points in one {role}: split it")
    return stated[0] if stated else None
