"""The cells of a separated text by column, where all rows are equally long: no list a row."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import overload

_BATCH = 256
"""Rows that are lists at once: so few that Python does not begin to look for garbage, three times faster than 4096."""
_BLOCK = 1 << 16
"""Characters that are split at once."""
_WIDEST = 1024
"""Cells of a row: of more, as MorphoJ has in few rows, a list a column is no better than a list a row."""

__all__ = ["Even", "even_rows"]


@dataclass(frozen=True, eq=False)
class Even(Sequence[list[str]]):
    """Equally long rows, each made when it is asked for."""

    columns: list[list[str]]
    """At least two, equally long."""

    def __len__(self) -> int:
        return len(self.columns[0])

    def __iter__(self) -> Iterator[list[str]]:
        return map(list, zip(*self.columns, strict=True))

    @overload
    def __getitem__(self, number: int) -> list[str]: ...
    @overload
    def __getitem__(self, number: slice) -> Even: ...
    def __getitem__(self, number: int | slice) -> list[str] | Even:
        if isinstance(number, slice):
            return Even([column[number] for column in self.columns])
        return [column[number] for column in self.columns]


def even_rows(text: str, separator: str) -> Even | None:
    """The rows of a text, one a line, that all have the same number of cells; None where any row has not.

    Parameters
    ----------
    text
        Empty lines in front and behind are left out. What `csv.reader` refuses, or understands only just, is None, too.
    separator
        One character.
    """
    if "\r" in text:  # a lone one ends a row as well, and is not looked for here
        return None
    columns = _parsed(text, separator) if '"' in text else _split(text, separator)
    return Even(columns) if columns is not None and len(columns) > 1 else None


def _blocks(text: str) -> Iterator[str]:
    """Lines of a text, some at once, without the end of the last one."""
    start = len(text) - len(text.lstrip("\n"))
    tail = text[-_BLOCK:]  # all of a large text would be copied
    stop = len(text) - len(tail) + len(tail.rstrip("\n"))
    while start < stop:
        end = text.find("\n", start + _BLOCK, stop)
        yield text[start : end if end >= 0 else stop]
        start = end + 1 if end >= 0 else stop


def _split(text: str, separator: str) -> list[list[str]] | None:
    """Columns of a text without quotes: what stands between separators."""
    width = next(_blocks(text), "").partition("\n")[0].count(separator) + 1
    if width > _WIDEST:
        return None
    row = (separator * (width - 1) + "\n").encode()
    others = bytes(set(range(256)) - set(row))
    columns: list[list[str]] = [[] for _ in range(width)]
    for block in _blocks(text):
        breaks = block.encode().translate(None, others) + b"\n"
        if breaks != row * (len(breaks) // width) or len(block) > csv.field_size_limit():
            return None
        cells = block.replace("\n", separator).split(separator)
        for number, column in enumerate(columns):
            column += cells[number::width]
    return columns


def _parsed(text: str, separator: str) -> list[list[str]] | None:
    """Columns of a text with quotes."""
    lines = chain.from_iterable(block.split("\n") for block in _blocks(text))
    reader = csv.reader(lines, delimiter=separator, strict=True)
    columns: list[list[str]] = []
    count = 0
    try:
        while batch := list(islice(reader, _BATCH)):
            count += len(batch)
            columns = columns or [[] for _ in batch[0][:_WIDEST]]
            if set(map(len, batch)) != {len(columns)} or reader.line_num != count:  # wider, or longer than a line
                return None
            for column, cells in zip(columns, zip(*batch, strict=True), strict=True):
                column += cells
    except csv.Error:
        return None
    return columns
