"""Rows of separated values: read as columns, a million in a second or two, and a wrong one named by its line."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from chunkvol.errors import FormatError
from chunkvol.landmarks.cells import Even, even_rows
from chunkvol.landmarks.points import Points

_MISSING = frozenset({"", "NA"})
"""Cells of points that are not placed: empty, or as R writes them."""
_FLAGS = {"1": True, "0": False, "true": True, "false": False, "t": True, "f": False}

SEPARATORS = (",", "\t", ";")
"""Between cells, the most usual first."""

__all__ = ["SEPARATORS", "Rows", "decoded", "distinct", "flags", "is_number", "separated"]


def decoded(path: Path, data: bytes) -> str:
    """The text of a file in UTF-8, with or without a mark in front.

    Raises
    ------
    FormatError
        It is in another encoding.
    """
    if b"\0" in data:
        raise FormatError(f"{path} is no text in UTF-8 (byte {data.index(0)} is 0); save it as CSV UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{path} is no text in UTF-8 (byte {error.start} is {data[error.start]:#04x}); save it as CSV UTF-8"
        ) from error


@dataclass(frozen=True)
class Rows:
    """The rows of a file, which need not be equally long."""

    path: Path
    """For messages."""
    cells: Sequence[list[str]]
    """A list a row; `Even` where there are many."""
    lines: Sequence[int]
    """The line of the file on which each row ends, from 1."""

    def after_first(self) -> Rows:
        """The rows below a header."""
        return Rows(self.path, self.cells[1:], self.lines[1:])

    @property
    def width(self) -> int:
        """Cells of the longest row."""
        return max(map(len, self.cells)) if self._columns is None else len(self._columns)

    def column(self, index: int) -> Sequence[str]:
        """The cells of one column, empty where a row is too short for it."""
        if self._columns is not None and index < len(self._columns):
            return self._columns[index]
        return [row[index] if len(row) > index else "" for row in self.cells]

    @cached_property
    def _columns(self) -> Sequence[Sequence[str]] | None:
        """All columns at once, where rows are equally long: three times faster than one by one."""
        if isinstance(self.cells, Even):
            return self.cells.columns
        return list(zip(*self.cells, strict=True)) if len(set(map(len, self.cells))) == 1 else None

    def check_lengths(self, least: int, most: int | None = None) -> None:
        """Refuse rows with too few cells, or too many.

        Raises
        ------
        FormatError
            The first such row, by its line.
        """
        if self._columns is not None and least <= len(self._columns) <= (most or len(self._columns)):
            return
        for row, line in zip(self.cells, self.lines, strict=True):
            if len(row) < least:
                raise FormatError(f"{self.path}, line {line}: {len(row)} cells, where {least} are needed; complete it")
            if most is not None and len(row) > most and any(cell.strip() for cell in row[most:]):
                raise FormatError(
                    f"{self.path}, line {line}: {len(row)} cells, and there are {most} columns; put texts "
                    "with separators between quotes"
                )

    def points(self, columns: Sequence[int]) -> Points:
        """Numbers of three columns, shape (n, 3); NaN where all three cells of a row are empty or NA.

        Raises
        ------
        FormatError
            A cell is no finite number, or only some of the three are there.
        """
        values = np.stack([self._numbers(one) for one in columns], axis=1)
        bad = ~np.isfinite(values).all(axis=1) & ~np.isnan(values).all(axis=1)
        for number in np.flatnonzero(bad)[:1].tolist():
            said = ", ".join(_cell(self.cells[number], one) or "nothing" for one in columns)
            raise FormatError(
                f"{self.path}, line {self.lines[number]}: a point has three finite coordinates, found {said[:60]}; a "
                "point that is not placed has three empty cells"
            )
        return values

    def _numbers(self, column: int) -> Points:
        cells = self.column(column)
        missing = 0
        try:
            try:
                values = np.array(cells, float)
            except ValueError:  # of empty cells, too
                missing = sum(map(_MISSING.__contains__, cells))
                values = np.array([("nan" if one in _MISSING else one) for one in cells], float)
        except ValueError:
            raise self._bad(column) from None
        if np.count_nonzero(np.isnan(values)) != missing or "_" in "".join(cells):
            raise self._bad(column)
        return values

    def _bad(self, column: int) -> FormatError:
        """Which cell it is: the slow way, to say it."""
        for row, line in zip(self.cells, self.lines, strict=True):
            cell = _cell(row, column)
            if cell not in _MISSING and not is_number(cell):
                comma = "; decimals have a point, not a comma" if is_number(cell.replace(",", ".")) else ""
                return FormatError(
                    f"{self.path}, line {line}: a coordinate is a finite number, found {cell[:40]!r}{comma}; a point "
                    "that is not placed has three empty cells"
                )
        return FormatError(f"{self.path}: a coordinate is no finite number")

    def check_names(self, labels: Sequence[str], of: Sequence[object] = ()) -> None:
        """Refuse empty and repeated names of points, within each list when `of` says to which one they belong.

        Raises
        ------
        FormatError
            The lines of the first such rows.
        """
        for label, line in () if all(map(str.strip, labels)) else zip(labels, self.lines, strict=True):
            if not label.strip():
                raise FormatError(f"{self.path}, line {line}: the point has no label; name it, or add a column id")
        if distinct(labels, of):
            return
        named = list(zip(of or labels, labels, strict=True))
        repeated = next(key for key, times in Counter(named).items() if times > 1)
        lines = [str(line) for key, line in zip(named, self.lines, strict=True) if key == repeated]
        raise FormatError(
            f"{self.path}, lines {', '.join(lines[:8])}: the label {repeated[1][:40]!r} is there {len(lines)} "
            "times; name points differently, or tell them apart by a column id"
        )


def distinct(names: Sequence[str], of: Sequence[object] = ()) -> bool:
    """Whether no name is there twice, within the list that each is of."""
    return len(set(zip(of, names, strict=True) if of else names)) == len(names)


def _cell(row: list[str], column: int) -> str:
    return row[column].strip() if len(row) > column else ""


def is_number(cell: str) -> bool:
    """Whether a cell is a finite number as programs write them."""
    try:
        return "_" not in cell and bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def flags(rows: Rows, name: str, cells: Sequence[str], usual: bool) -> tuple[bool, ...]:
    """Truth values of a column of 0 and 1, true and false, or empty cells, which are as usual.

    Raises
    ------
    FormatError
        Another word, by its line.
    """
    known = {one: usual if not one.strip() else _FLAGS.get(one.strip().lower()) for one in set(cells)}
    for cell, line in zip(cells, rows.lines, strict=True) if None in known.values() else ():
        if known[cell] is None:
            raise FormatError(f"{rows.path}, line {line}: {name} is 0 or 1, found {cell[:40]!r}")
    return tuple(map(bool, map(known.__getitem__, cells)))


def separated(path: Path, text: str, separator: str, *, first: int = 1, one_line: bool = False) -> Rows:
    """The rows of a text; those that are empty are left out.

    Parameters
    ----------
    path
        For messages.
    text
        Quoted cells may hold separators, line ends and doubled quotes.
    separator
        One character.
    first
        The line of the file on which the text begins.
    one_line
        A row never goes on in the next line.

    Raises
    ------
    FormatError
        A cell is longer than 128 KiB, as after a quote that is never closed; or a row goes on where it may not.
    """
    lined = text.replace("\r\n", "\n")
    even = even_rows(lined, separator)
    if even is not None:
        start = first + len(lined) - len(lined.lstrip("\n"))
        return Rows(path, even, range(start, start + len(even)))
    return _one_by_one(path, text, separator, first=first, one_line=one_line)


def _one_by_one(path: Path, text: str, separator: str, *, first: int, one_line: bool) -> Rows:
    """Any rows, and what is wrong with them."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    cells, lines, last = [], [], 0
    try:
        for row in reader:
            if one_line and reader.line_num > last + 1:
                raise csv.Error("a cell goes on in the next line")
            last = reader.line_num
            if row and (len(row) > 1 or row[0].strip()):
                cells.append(row)
                lines.append(reader.line_num + first - 1)
    except csv.Error as error:
        raise FormatError(f"{path}, line {reader.line_num + first - 1}: {error}; is a quote never closed?") from error
    return Rows(path, cells, lines)
