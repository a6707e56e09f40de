"""Columns of values as texts, and the rows that they make: what all points share is made once."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice, repeat
from operator import is_
from typing import Any, overload

import numpy as np

from chunkvol.landmarks.points import Points

_BLOCK = 1 << 14
"""Rows that are one piece of a file."""

Texts = Sequence[str]
"""One for each point."""

__all__ = ["Texts", "all_one", "cells_of", "numbers_of", "rows_of", "separated_rows", "text_of"]


def all_one(values: Sequence[Any]) -> bool:
    """Whether a column holds one and the same object, as columns do that were made of one value."""
    return len(values) > 0 and all(map(is_, values, repeat(values[0])))


# ----------------------------------------------------------------------------------------------------------- columns


@dataclass(frozen=True, eq=False)
class Numbers(Sequence[str]):
    """Floats as short as they can be read back exactly, texts only while they are asked for."""

    values: list[float]
    """Of each point."""

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[str]:
        return map(repr, self.values)

    @overload
    def __getitem__(self, number: int) -> str: ...
    @overload
    def __getitem__(self, number: slice) -> Numbers: ...
    def __getitem__(self, number: int | slice) -> str | Numbers:
        return Numbers(self.values[number]) if isinstance(number, slice) else repr(self.values[number])


def numbers_of(points: Points) -> list[Texts]:
    """x, y, z, exactly; empty where there is no x."""
    missing = np.isnan(points[:, 0])
    columns = [Numbers(column) for column in points.T.tolist()]
    if not missing.any():
        return [*columns]
    return [["" if none else text for none, text in zip(missing.tolist(), column, strict=True)] for column in columns]


def cells_of(values: Sequence[Any], usual: Any = "") -> Texts:
    """Plain values as cells: truth values as 0 and 1, empty ones for numbers that are not finite, None as usual."""
    if all_one(values):
        return [_cell(values[0], usual)] * len(values)
    kinds = set(map(type, values))
    if kinds == {str}:
        return values
    if kinds == {int}:
        return list(map(str, values))
    if kinds == {float} and all(map(math.isfinite, values)):
        return list(map(repr, values))
    return [_cell(value, usual) for value in values]


def _cell(value: Any, usual: Any) -> str:
    value = usual if value is None else value
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return repr(float(value)) if np.isfinite(value) else ""
    return str(value)


# -------------------------------------------------------------------------------------------------------------- rows


def rows_of(parts: Iterable[str | Texts], count: int) -> Iterator[bytes]:
    """Pieces of a file that hold rows, each its parts one behind the other; one text is a part of all rows."""
    single = [part[0] if not isinstance(part, str) and all_one(part) else part for part in parts]
    fewer: list[Iterable[str]] = []
    for shared, some in groupby(single, lambda part: isinstance(part, str)):
        run = [*some]
        fewer += [repeat("".join(map(str, run)), count)] if shared else run
    rows = map("".join, zip(*fewer, strict=True))
    while block := "".join(islice(rows, _BLOCK)):
        yield block.encode()


def separated_rows(columns: Iterable[Texts], separator: str, count: int) -> Iterator[bytes]:
    """Rows of cells, those between quotes that need them."""
    parts = [part for column in columns for part in (separator, _quoted(column, separator))]
    return rows_of([*parts[1:], "\n"], count)


def _quoted(cells: Texts, separator: str) -> Texts:
    """Cells as the module csv writes them, which is asked where any of them may need quotes."""
    if isinstance(cells, Numbers):
        return cells
    joined = "".join(cells)
    if not any(one in joined for one in (separator, '"', "\n", "\r")):
        return cells
    written = _Written()
    distinct = dict.fromkeys(cells)
    csv.writer(written, delimiter=separator, lineterminator="\n").writerows((cell, "") for cell in distinct)
    known = {cell: row[:-2] for cell, row in zip(distinct, written, strict=True)}
    return list(map(known.__getitem__, cells))


class _Written(list[str]):
    """Rows as they are written, one by one."""

    def write(self, row: str) -> None:
        """Keep a row."""
        self.append(row)


def text_of(rows: Iterable[Sequence[object]], separator: str) -> bytes:
    """Any rows as text, cells between quotes where they need them."""
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=separator, lineterminator="\n").writerows(rows)
    return stream.getvalue().encode()
