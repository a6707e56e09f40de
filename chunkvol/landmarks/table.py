"""Plain CSV and TSV: `label, x, y, z` and what else is said of points, with or without a header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.errors import FormatError
from chunkvol.landmarks.lists import MarkupLists, lists_of
from chunkvol.landmarks.points import Landmarks
from chunkvol.landmarks.rows import SEPARATORS, Rows, decoded, flags, is_number, separated, text_of
from chunkvol.landmarks.systems import UNITS, Asked, signs_of
from chunkvol.markups.markup import KINDS

_UNIT = "|".join(sorted(UNITS, key=len, reverse=True))
_PLACE = re.compile(rf"^([xyzijk])(?:[\W_]+(lps|ras|ijk))?(?:[\W_]+({_UNIT})s?)?[\W_]*$", re.IGNORECASE)
"""Names of columns of coordinates: `x`, `x_lps_mm`, `y (um)`, `k`, `i_voxel`."""
_COMMENT = re.compile(r"#\s*(frame|coordinate ?system|units?)\s*[=:]\s*(\S+)", re.IGNORECASE)
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
_FLAGS = {"visibility": True, "selected": True, "locked": False}
_UNSAID = {"associatedNodeID": "", **_FLAGS}
"""Columns that are not written where they say this of all points."""
_UNTOLD = ("orientation", "positionStatus", "autoCreated", "list")
"""Columns that only Slicer needs, and `list`, which is written by its name."""

__all__ = ["is_table", "read_table", "table_bytes"]


def is_table(path: Path, head: bytes) -> bool:
    """Whether a file may be text."""
    return b"\0" not in head


@dataclass(frozen=True, slots=True)
class _Header:
    """Which column is what."""

    places: tuple[int, int, int]
    """Those of x, y, z, or i, j, k."""
    frame: str | None
    """What they state."""
    units: str | None
    """What they state."""
    roles: dict[str, int]
    """By `_ROLES`."""
    further: dict[str, int]
    """All others, by name."""
    width: int
    """How many columns there are."""


# ------------------------------------------------------------------------------------------------------ reading


def read_table(path: Path, data: bytes, asked: Asked) -> Landmarks:
    """Points one a row; a row with empty cells for its place is a point that is not placed.

    Raises
    ------
    InputError
        Neither the file nor the caller says the frame and the units, a row is short or no number, labels are empty or
        repeated and no column `id` tells points apart, or a file mixes frames.
    """
    text = decoded(path, data)
    said, body, first = _comments(path, text)
    separator = _separator(path, body)
    rows = separated(path, body, separator, first=first)
    if not rows.cells:
        raise FormatError(f"{path} holds no points; each is a row of label, x, y, z")
    header, rows = _header(path, rows, asked)
    rows.check_lengths(max(header.places) + 1, header.width)
    cells = {name: rows.column(index) for name, index in header.roles.items()}
    frame = _one(path, "frame", [said.get("frame"), header.frame, *_words(rows, cells, "frame")])
    units = _one(path, "units", [said.get("units"), header.units, *_words(rows, cells, "units")])
    system = asked.system(str(path), frame, units)
    points = system.points(rows.points(header.places))
    if "defined" in cells:
        points[~np.array(flags(rows, "defined", cells["defined"], True), bool)] = np.nan
    further = {name: rows.column(index) for name, index in header.further.items()}
    columns: dict[str, tuple[Any, ...]] = {
        name: flags(rows, name, values, _FLAGS[name]) if name in _FLAGS else tuple(values)
        for name, values in further.items()
    }
    lists, of = _lists(rows, cells)
    labels = cells.get("label") or columns.get("id") or [str(number) for number in range(1, len(points) + 1)]
    if not ("id" in columns and _distinct(columns["id"], of)):
        rows.check_names(labels, of)
    return Landmarks(
        points,
        tuple(labels),
        tuple(cells.get("description", ())),
        lists[0]["type"] if lists else "Fiducial",
        system.frame,
        MarkupLists(lists) if lists else None,
        columns | ({"list": of} if len(lists) > 1 else {}),
    )


def _comments(path: Path, text: str) -> tuple[dict[str, str], str, int]:
    """What lines in front that begin with # state, the text after them, and the line on which that begins."""
    said: dict[str, str] = {}
    line = 1
    while text.startswith("#"):
        first, _, text = text.partition("\n")
        if match := _COMMENT.match(first):
            name = "units" if match[1].lower().startswith("unit") else "frame"
            said[name] = _word(path, line, name, match[2])
        line += 1
    return said, text, line


def _separator(path: Path, text: str) -> str:
    """The one by which the first line names columns or holds a point; tabs where a file is named so."""
    line = text.lstrip("\r\n").partition("\n")[0].rstrip("\r")
    if path.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    for one in SEPARATORS:
        if any(_is_named(row) or _is_point(row) or _is_place(row) for row in separated(path, line, one).cells):
            return one
    return max(SEPARATORS, key=line.count)


def _header(path: Path, rows: Rows, asked: Asked) -> tuple[_Header, Rows]:
    """What the columns are, by the first row when it names them, and the rows of points."""
    first = rows.cells[0]
    names = _plain_names([cell.strip() for cell in first])
    if _is_named(first):
        return _named(path, names, asked), Rows(path, rows.cells[1:], rows.lines[1:])
    if _is_place(first):
        return _Header((0, 1, 2), None, None, {}, {}, 3), rows
    if _is_point(first):
        width = max(map(len, rows.cells))
        further = {f"column {number + 1}": number for number in range(5, width)}
        roles = {"label": 0, **({"description": 4} if width > 4 else {})}
        return _Header((1, 2, 3), None, None, roles, further, width), rows
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


def _named(path: Path, names: list[str], asked: Asked) -> _Header:
    frames, units, places = _places(path, names, asked)
    rest = {name: index for index, name in reversed(list(enumerate(names))) if name and index not in places}
    small = {name.lower(): name for name in reversed(list(rest))}
    roles = {
        role: rest.pop(small[next(word for word in words if word in small)])
        for role, words in _ROLES.items()
        if any(word in small for word in words)
    }
    flags_of = {**{name: name for name in _FLAGS}, "visible": "visibility", "id": "id"}
    kept = sorted((name for name in rest if name not in _UNTOLD), key=lambda name: rest[name])
    further = {flags_of.get(name.lower(), name): rest[name] for name in kept}
    return _Header(places, frames, units, roles, further, len(names))


def _places(path: Path, names: list[str], asked: Asked) -> tuple[str | None, str | None, tuple[int, int, int]]:
    """The frame and units that names state, and the columns of the three coordinates: of places where there are any."""
    found = [(match, index) for index, name in enumerate(names) if (match := _PLACE.match(name))]
    worlds = [(match, index) for match, index in found if match[1].lower() in "xyz"]
    chosen = worlds
    indices = [one for one in found if one not in worlds]
    if len(indices) >= 3 and (asked.frame == "ijk" or not worlds):
        chosen = indices
    stated = [one for one in chosen if (one[0][2] or "").lower() == asked.frame]
    chosen = stated if len(stated) >= 3 else chosen
    letters = "ijk" if chosen is indices or (chosen and chosen[0][0][1].lower() in "ijk") else "xyz"
    frame = _one(path, "frame", [None if one[2] is None else one[2].lower() for one, _ in chosen])
    units = _one(path, "units", [None if one[3] is None else one[3].lower() for one, _ in chosen])
    columns = []
    for letter in letters:
        own = [index for match, index in chosen if match[1].lower() == letter]
        if len(own) != 1:
            raise FormatError(
                f"{path}: {len(own)} columns are {letter}, and a point has one; found {', '.join(names)[:80]}"
            )
        columns += own
    if letters == "ijk":
        frame, units = frame or "ijk", units or "voxel"
    return frame, units, (columns[0], columns[1], columns[2])


def _words(rows: Rows, cells: dict[str, list[str]], role: str) -> list[str | None]:
    """What a column of frames or units says, which is to be the same in all rows."""
    stated = dict.fromkeys(one.strip().lower() for one in cells.get(role, ()))
    for word in list(stated)[1:2]:
        line = next(line for one, line in zip(cells[role], rows.lines, strict=True) if one.strip().lower() == word)
        raise FormatError(
            f"{rows.path}, line {line}: {role} is {word!r} and {next(iter(stated))!r} before; one file has points in "
            f"one {role}: split it"
        )
    return [_word(rows.path, rows.lines[0], role, one) for one in stated if one]


def _word(path: Path, line: int, role: str, word: str) -> str:
    known = ("lps", "ras", "ijk") if role == "frame" else tuple(UNITS)
    if word.lower() not in known:
        raise FormatError(f"{path}, line {line}: {role} is {' or '.join(known)}, found {word[:20]!r}")
    return word.lower()


def _one(path: Path, role: str, words: Sequence[str | None]) -> str | None:
    stated = list(dict.fromkeys(one for one in words if one is not None))
    if len(stated) > 1:
        raise FormatError(f"{path} states {role} {' and '.join(stated)}; one file has points in one {role}: split it")
    return stated[0] if stated else None


def _lists(rows: Rows, cells: dict[str, list[str]]) -> tuple[tuple[dict[str, Any], ...], tuple[int, ...]]:
    """The lists that columns `type` and `list` make up, and to which one each point belongs."""
    types = [one.strip() or "Fiducial" for one in cells.get("type", ["Fiducial"] * len(rows.cells))]
    names = cells.get("list", [""] * len(rows.cells))
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    made: dict[str, str] = {}
    for name, kind, line in zip(names, types, rows.lines, strict=True):
        if kind not in KINDS:
            raise FormatError(f"{rows.path}, line {line}: type is {', '.join(KINDS)}, found {kind[:40]!r}")
        if made.setdefault(name, kind) != kind:
            raise FormatError(
                f"{rows.path}, line {line}: type is {kind} and {made[name]} before in one list; a column list, with "
                "the name of each, tells them apart"
            )
    if not {"type", "list"} & set(cells):
        return (), ()
    lists = tuple({"type": kind, **({"name": name} if name else {})} for name, kind in made.items())
    return lists, tuple(order[name] for name in names)


# ------------------------------------------------------------------------------------------------------ writing


def table_bytes(landmarks: Landmarks, path: Path, frame: str) -> bytes:
    """A CSV or TSV whose names of columns state the frame and the unit, mm, so that it can be read without being told.

    Empty cells are points that are not placed. The further columns are written as they are, without those that say
    nothing; `id` too where labels do not tell points apart. The axes and sizes of planes and regions are not kept.
    """
    separator = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    places = ("i", "j", "k") if frame == "IJK" else tuple(f"{axis}_{frame.lower()}_mm" for axis in "xyz")
    numbers = (landmarks.points * signs_of(frame) + 0.0).tolist()
    cells = [[repr(one) for one in row] if row[0] == row[0] else ["", "", ""] for row in numbers]
    named: dict[str, Sequence[Any]] = {"label": landmarks.labels}
    named |= dict(zip(places, zip(*cells, strict=True), strict=False))
    named |= {name: () for name in places if name not in named}
    named["description"] = landmarks.descriptions
    named |= _types(landmarks)
    named |= {name: values for name, values in _further(landmarks).items() if name not in named}
    return text_of([tuple(named), *zip(*named.values(), strict=True)], separator)


def _types(landmarks: Landmarks) -> dict[str, Sequence[Any]]:
    lists, of = lists_of(landmarks)
    if len(lists) == 1 and lists[0]["type"] == "Fiducial":
        return {}
    found: dict[str, Sequence[Any]] = {"type": [lists[one]["type"] for one in of.tolist()]}
    if len(lists) > 1:
        names = [str(one.get("name") or number) for number, one in enumerate(lists, 1)]
        unique = len(set(names)) == len(names)
        found["list"] = [names[one] if unique else str(one + 1) for one in of.tolist()]
    return found


def _further(landmarks: Landmarks) -> dict[str, Sequence[Any]]:
    columns: dict[str, Sequence[Any]] = {
        name: [_cell(value, _UNSAID.get(name, "")) for value in values]
        for name, values in landmarks.columns.items()
        if name not in _UNTOLD and set(values) - {None, _UNSAID.get(name, "")}
    }
    of = landmarks.columns.get("list", ())
    if not _distinct(landmarks.labels, of) and not _distinct([str(one) for one in columns.get("id", ())], of):
        columns["id"] = [str(number) for number in range(1, len(landmarks) + 1)]
    return columns


def _distinct(names: Sequence[str], of: Sequence[int]) -> bool:
    """Whether names tell points apart, within the list that each is of."""
    found = set(zip(of, names, strict=True)) if of and names else set(names)
    return len(found) == len(names) > 0 and all(one.strip() for one in names)


def _cell(value: Any, usual: Any) -> Any:
    value = usual if value is None else value
    if isinstance(value, bool | np.bool_):
        return int(value)
    if isinstance(value, float | np.floating):
        return repr(float(value)) if np.isfinite(value) else ""
    return value
