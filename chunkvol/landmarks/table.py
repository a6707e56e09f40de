"""Plain CSV and TSV: `label, x, y, z` and what else is said of points, with or without a header."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.errors import FormatError
from chunkvol.landmarks.columns import Texts, cells_of, numbers_of, separated_rows, text_of
from chunkvol.landmarks.headers import UNTOLD, header_of, separator_of, stated_once, word_of
from chunkvol.landmarks.lists import MarkupLists, lists_of
from chunkvol.landmarks.points import Landmarks
from chunkvol.landmarks.rows import Rows, decoded, distinct, flags, separated
from chunkvol.landmarks.systems import Asked, signs_of
from chunkvol.markups.markup import KINDS

_COMMENT = re.compile(r"#\s*(frame|coordinate ?system|units?)\s*[=:]\s*(\S+)", re.IGNORECASE)
_FLAGS = {"visibility": True, "selected": True, "locked": False}
_UNSAID = {"associatedNodeID": "", **_FLAGS}
"""Columns that are not written where they say this of all points."""

__all__ = ["is_table", "read_table", "table_bytes"]


def is_table(path: Path, head: bytes) -> bool:
    """Whether a file may be text."""
    return b"\0" not in head


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
    separator = separator_of(path, body)
    rows = separated(path, body, separator, first=first)
    if not rows.cells:
        raise FormatError(f"{path} holds no points; each is a row of label, x, y, z")
    header, rows = header_of(path, rows, asked)
    rows.check_lengths(max(header.places) + 1, header.width)
    cells = {name: rows.column(index) for name, index in header.roles.items()}
    further = {name: rows.column(index) for name, index in header.further.items()}
    if not set(cells.get("type", ())) <= {*KINDS, ""}:  # of landmarks, not of what they make up
        further["type"] = cells.pop("type")
    frame = stated_once(path, "frame", [said.get("frame"), header.frame, *_words(rows, cells, "frame")])
    units = stated_once(path, "units", [said.get("units"), header.units, *_words(rows, cells, "units")])
    system = asked.system(str(path), frame, units)
    points = system.points(rows.points(header.places))
    if "defined" in cells:
        points[~np.array(flags(rows, "defined", cells["defined"], True), bool)] = np.nan
    columns: dict[str, tuple[Any, ...]] = {
        name: flags(rows, name, values, _FLAGS[name]) if name in _FLAGS else tuple(values)
        for name, values in further.items()
    }
    lists, of = _lists(rows, cells)
    labels = cells.get("label") or columns.get("id") or [str(number) for number in range(1, len(points) + 1)]
    if not ("id" in columns and _tell_apart(columns["id"], of)):
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
            said[name] = word_of(path, line, name, match[2])
        line += 1
    return said, text, line


def _words(rows: Rows, cells: dict[str, Sequence[str]], role: str) -> list[str | None]:
    """What a column of frames or units says, which is to be the same in all rows."""
    stated = dict.fromkeys(one.strip().lower() for one in dict.fromkeys(cells.get(role, ())))
    for word in list(stated)[1:2]:
        line = next(line for one, line in zip(cells[role], rows.lines, strict=True) if one.strip().lower() == word)
        raise FormatError(
            f"{rows.path}, line {line}: {role} is {word!r} and {next(iter(stated))!r} before; one file has points in "
            f"one {role}: split it"
        )
    return [word_of(rows.path, rows.lines[0], role, one) for one in stated if one]


def _lists(rows: Rows, cells: dict[str, Sequence[str]]) -> tuple[tuple[dict[str, Any], ...], tuple[int, ...]]:
    """The lists that columns `type` and `list` make up, and to which one each point belongs."""
    if not {"type", "list"} & set(cells):
        return (), ()
    types = cells.get("type", [""] * len(rows.lines))
    names = cells.get("list", [""] * len(rows.lines))
    kinds = [(name, kind or "Fiducial") for name, kind in dict.fromkeys(zip(names, types, strict=True))]
    made = dict(reversed(kinds))
    for name, kind, line in zip(names, types, rows.lines, strict=True) if len(set(kinds)) > len(made) else ():
        if made[name] != (kind or "Fiducial"):
            raise FormatError(
                f"{rows.path}, line {line}: type is {kind or 'Fiducial'} and {made[name]} before in one list; a column "
                "list, with the name of each, tells them apart"
            )
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    lists = tuple({"type": made[name], **({"name": name} if name else {})} for name in order)
    return lists, tuple(map(order.__getitem__, names))


# ------------------------------------------------------------------------------------------------------ writing


def table_bytes(landmarks: Landmarks, path: Path, frame: str) -> Iterable[bytes]:
    """A CSV or TSV whose names of columns state the frame and the unit, mm, so that it can be read without being told.

    Empty cells are points that are not placed. The further columns are written as they are, without those that say
    nothing; `id` too where labels do not tell points apart. The axes and sizes of planes and regions are not kept.
    """
    separator = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    places = ("i", "j", "k") if frame == "IJK" else tuple(f"{axis}_{frame.lower()}_mm" for axis in "xyz")
    named: dict[str, Texts] = {"label": cells_of(landmarks.labels)}
    named |= dict(zip(places, numbers_of(landmarks.points * signs_of(frame) + 0.0), strict=True))
    named["description"] = cells_of(landmarks.descriptions)
    named |= _types(landmarks)
    named |= {name: values for name, values in _further(landmarks).items() if name not in named}
    return chain([text_of([tuple(named)], separator)], separated_rows(named.values(), separator, len(landmarks)))


def _types(landmarks: Landmarks) -> dict[str, Texts]:
    lists, of = lists_of(landmarks)
    if len(lists) == 1 and lists[0]["type"] == "Fiducial":
        return {}
    found: dict[str, Texts] = {"type": [lists[one]["type"] for one in of.tolist()]}
    if len(lists) > 1:
        names = [str(one.get("name") or number) for number, one in enumerate(lists, 1)]
        unique = len(set(names)) == len(names)
        found["list"] = [names[one] if unique else str(one + 1) for one in of.tolist()]
    return found


def _further(landmarks: Landmarks) -> dict[str, Texts]:
    columns = {
        name: cells_of(values, _UNSAID.get(name, ""))
        for name, values in landmarks.columns.items()
        if name not in UNTOLD and _is_plain(values) and set(values) - {None, _UNSAID.get(name, "")}
    }
    of = landmarks.columns.get("list", ())
    if not _tell_apart(landmarks.labels, of) and not _tell_apart(columns.get("id", ()), of):
        columns["id"] = list(map(str, range(1, len(landmarks) + 1)))
    return columns


def _is_plain(values: Sequence[Any]) -> bool:
    """Whether values are texts and numbers, which a cell can hold."""
    return all(issubclass(kind, str | int | float | np.generic | type(None)) for kind in set(map(type, values)))


def _tell_apart(names: Sequence[str], of: Sequence[int]) -> bool:
    """Whether names tell points apart, within the list that each is of."""
    return len(names) > 0 and distinct(names, of) and all(map(str.strip, names))
