"""MorphoJ's CSV: one row a specimen, `id, label_X, label_Y, label_Z ...`; the file says neither frame nor units."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from chunkvol.errors import FormatError, InputError
from chunkvol.landmarks.columns import text_of
from chunkvol.landmarks.points import Landmarks
from chunkvol.landmarks.rows import SEPARATORS, Rows, decoded, separated
from chunkvol.landmarks.systems import Asked, signs_of

SUFFIXES = (".morphoj.csv", ".morphoj.txt")
"""Ends of names by which it is told from a table."""
_HEAD = 4096
"""Characters of a header by which its separator is told."""
_AXIS = re.compile(r"^(.*?)[ _.]?([XYZ])$", re.IGNORECASE)
"""`label_X`, as programs write it for people."""
_NUMBERED = re.compile(r"^([XYZ])[ _.]?(\d+)$", re.IGNORECASE)
"""`X1`, as others do."""

__all__ = ["SUFFIXES", "is_morphoj", "morphoj_bytes", "read_morphoj"]


def is_morphoj(path: Path, head: bytes) -> bool:
    """Whether a file is named so, or its first line names a specimen, then three coordinates each of some landmarks."""
    if path.name.lower().endswith(SUFFIXES):
        return True
    line = head.removeprefix(b"\xef\xbb\xbf").split(b"\n")[0].decode(errors="ignore")
    return any(len(names) >= 7 and _labels(names[:7]) is not None for names in _splits(path, line).values())


def _splits(path: Path, line: str) -> dict[str, list[str]]:
    """The first names in a line, by each separator that may be meant."""
    return {one: next(iter(separated(path, line[:_HEAD], one).cells), []) for one in SEPARATORS}


def _labels(names: list[str]) -> list[str] | None:
    """The landmarks that a header names, or None when it is none of this format."""
    if len(names) < 4 or (len(names) - 1) % 3:
        return None
    parts = [_parts(name.strip()) for name in names[1:]]
    labels = []
    for n in range(0, len(parts), 3):
        three = parts[n : n + 3]
        if [axis for _, axis in three] != ["X", "Y", "Z"] or len({label for label, _ in three}) > 1 or not three[0][0]:
            return None
        labels.append(three[0][0])
    return labels


def _parts(name: str) -> tuple[str, str]:
    if match := _NUMBERED.match(name):
        return match[2], match[1].upper()
    match = _AXIS.match(name)
    return (match[1], match[2].upper()) if match else ("", "")


def read_morphoj(path: Path, data: bytes, asked: Asked) -> Landmarks:
    """The landmarks of one specimen; frame and units must be said, as must be which one of several.

    Raises
    ------
    InputError
        They are not, or a row is short or no number.
    """
    text = decoded(path, data)
    splits = _splits(path, text.lstrip("\r\n").partition("\n")[0])
    rows = separated(path, text, next((one for one, names in splits.items() if _labels(names[:4])), ","))
    labels = _labels(rows.cells[0]) if rows.cells else []
    if not labels:
        raise FormatError(f"{path}, line 1: a header of MorphoJ is a name, then label_X, label_Y, label_Z of each")
    if twice := [one for one, times in Counter(labels).items() if times > 1]:
        raise FormatError(
            f"{path}, line {rows.lines[0]}: the landmark {twice[0][:40]!r} is named twice; name it differently"
        )
    body = rows.after_first()
    body.check_lengths(3 * len(labels) + 1, 3 * len(labels) + 1)
    number = _specimen(path, [row[0] for row in body.cells], asked.specimen)
    cells = body.cells[number][1:]
    system = asked.system(str(path))
    one = Rows(path, [cells[n : n + 3] for n in range(0, len(cells), 3)], [body.lines[number]] * len(labels))
    return Landmarks(system.points(one.points((0, 1, 2))), tuple(labels), frame=system.frame)


def _specimen(path: Path, names: list[str], asked: str | int | None) -> int:
    there = repr(", ".join(names[:8])[:80]) + (" ..." if len(names) > 8 else "")
    if not names:
        raise FormatError(f"{path} names landmarks and holds no specimen; each is a row")
    if asked is None:
        if len(names) > 1:
            raise InputError(f"{path} holds {len(names)} specimens ({there}); say which one is meant")
        return 0
    if names.count(str(asked)) == 1:
        return names.index(str(asked))
    if names.count(str(asked)) > 1:
        raise InputError(
            f"{path} holds {names.count(str(asked))} specimens of the name {asked!r}; say its number from 1"
        )
    if str(asked).isdecimal() and 1 <= int(asked) <= len(names):
        return int(asked) - 1
    raise InputError(f"{path} holds no specimen {asked!r}, but {there}")


def morphoj_bytes(landmarks: Landmarks, path: Path, frame: str) -> Iterable[bytes]:
    """One row, named as the file; empty cells are points that are not placed, which MorphoJ itself does not know.

    Raises
    ------
    InputError
        Labels are empty or repeated.
    """
    labels = [label.strip() for label in landmarks.labels]
    if not all(labels) or len(set(labels)) < len(labels):
        raise InputError(
            f"{path} names landmarks by their labels, and some are empty or there twice; name them differently"
        )
    header = [f"{label}_{axis}" for label in labels for axis in "XYZ"]
    values = (landmarks.points * signs_of(frame) + 0.0).ravel().tolist()
    cells = [repr(one) if one == one else "" for one in values]
    return [text_of([["Subject", *header], [path.name.split(".")[0], *cells]], ",")]
