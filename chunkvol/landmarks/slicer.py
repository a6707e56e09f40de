"""Slicer's `.mrk.json`, schema 1.0: points by column, and the whole document around them."""

from __future__ import annotations

import json
import re
from itertools import chain, compress, repeat
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.errors import FormatError
from chunkvol.landmarks.control_points import ControlPoints, numbers_at_once, read_apart
from chunkvol.landmarks.lists import GEOMETRY, List, MarkupLists, in_frame
from chunkvol.landmarks.points import Landmarks, Points
from chunkvol.landmarks.systems import Asked, System, signs_of
from chunkvol.markups.fields import MarkupFields
from chunkvol.markups.markup import KINDS

FLAGS = {"selected": True, "locked": False, "visibility": True}
"""What a point is that does not say."""
_ANY = (1.0, 1.0, 1.0)
"""Signs of axes that are checked only."""

__all__ = ["FLAGS", "is_slicer", "read_slicer"]


def is_slicer(path: Path, head: bytes) -> bool:
    """Whether a file is JSON."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")


# ------------------------------------------------------------------------------------------------------ reading


def read_slicer(path: Path, data: bytes, asked: Asked) -> Landmarks:
    """The control points of all markups in a file, in its order.

    A point without a position, with an empty one, or whose positionStatus is not "defined" is not placed: a row of NaN.

    Raises
    ------
    InputError
        The file is no JSON of markups, a field is not what the schema says, or its markups are in several systems.
    """
    apart = read_apart(data)
    document = _checked(path, apart[0] if apart else _parsed(path, data))
    fields = [_fields(path, number, one) for number, one in enumerate(document["markups"], 1)]
    systems = [_system(one, asked) for one in fields]
    for one, system in zip(fields, systems, strict=True):
        if system.frame != systems[0].frame:
            raise FormatError(
                f"{one.where} is in {system.frame} and those before it in {systems[0].frame}: one file has points in "
                "one frame; save each markup in a file of its own"
            )
    listed = apart[1] if apart else [_points(one) for one in fields]
    points = np.concatenate([_positions(*three) for three in zip(fields, listed, systems, strict=True)])
    columns = _columns(listed)
    _check_flags(path, columns)
    if "orientation" in columns:
        columns["orientation"] = _orientations(path, columns["orientation"], signs_of(systems[0].frame))
    if len(listed) > 1:
        columns["list"] = [n for n, one in enumerate(listed) for _ in range(one.count)]
    lists = tuple(_list(one, system) for one, system in zip(fields, systems, strict=True))
    return Landmarks(
        points,
        tuple(chain.from_iterable(one.texts("label") for one in listed)),
        tuple(chain.from_iterable(one.texts("description") for one in listed)),
        lists[0]["type"],
        systems[0].frame,
        MarkupLists(lists, {**document, "markups": None}, points),
        {name: tuple(values) for name, values in columns.items()},
    )


def _parsed(path: Path, data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is no JSON ({str(error)[:80]}); give a .mrk.json that Slicer saved") from error


def _checked(path: Path, document: Any) -> dict[str, Any]:
    markups = document.get("markups") if isinstance(document, dict) else None
    if not isinstance(markups, list) or not markups:
        raise FormatError(f"{path} holds no markups: it is JSON, and not a .mrk.json of Slicer")
    schema = re.search(r"markups-schema-v(\d+)\.", str(document.get("@schema", "")).lower())
    if schema and schema[1] != "1":
        raise FormatError(f"{path} follows version {schema[1]} of the markups schema; version 1 is known")
    return dict(document)


def _fields(path: Path, number: int, data: Any) -> MarkupFields:
    where = f"{path}, markup {number}"
    if not isinstance(data, dict):
        raise FormatError(f"{where} is no object; save it again in Slicer")
    if data.get("type") not in KINDS:
        raise FormatError(f"{where} is of type {str(data.get('type'))[:40]!r}; known are {', '.join(KINDS)}")
    if _unit(data) in ("voxel", "pixel"):
        return MarkupFields(where, data, (1.0, 1.0, 1.0), 1.0)
    return MarkupFields.of(where, data)


def _unit(data: dict[str, Any]) -> Any:
    stated = data.get("coordinateUnits", "mm")
    return stated[0] if isinstance(stated, list) and stated else stated


def _system(fields: MarkupFields, asked: Asked) -> System:
    if _unit(fields.data) in ("voxel", "pixel"):
        return asked.system(fields.where, "ijk", "voxel")
    return asked.system(fields.where, "ras" if fields.signs[0] < 0 else "lps", _unit(fields.data))


def _points(fields: MarkupFields) -> ControlPoints:
    listed = fields.data.get("controlPoints") or []
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise FormatError(f"{fields.where}: controlPoints is no list of objects")
    return ControlPoints(listed)


def _positions(fields: MarkupFields, points: ControlPoints, system: System) -> Points:
    """LPS mm, shape (n, 3)."""
    if points.odd is not None:
        number, stated = points.odd
        MarkupFields(f"{fields.where}, point {number + 1}", {"position": stated}, fields.signs, fields.unit).point(
            "position"
        )
    return system.points(points.positions)


def _columns(listed: list[ControlPoints]) -> dict[str, list[Any]]:
    """What else points have, those of all lists behind each other."""
    columns = [(one.columns, [None] * one.count) for one in listed]
    names = dict.fromkeys(name for own, _ in columns for name in own)
    return {name: list(chain.from_iterable(own.get(name, none) for own, none in columns)) for name in names}


def _check_flags(path: Path, columns: dict[str, list[Any]]) -> None:
    for name in (one for one in FLAGS if one in columns):
        plain = set(map(type, columns[name])) <= {bool, type(None)}
        for number, value in () if plain else enumerate(columns[name], 1):
            if value is not None and not isinstance(value, bool):
                raise FormatError(f"{path}, point {number}: {name} is true or false, found {str(value)[:40]!r}")


def _orientations(path: Path, stated: list[Any], signs: Points) -> list[Any]:
    """Nine numbers each, row by row, rows LPS, one object where all are the same; None where a point has none."""
    there = [one not in (None, "", []) for one in stated]
    numbers = numbers_at_once(list(compress(stated, there)), 9)
    if numbers is None:
        for number, one in enumerate(stated, 1):
            MarkupFields(f"{path}, point {number}", {"orientation": one}, _ANY, 1.0).numbers("orientation", 9)
        numbers = np.full((sum(there), 9), np.nan)
    turned = numbers * np.repeat(signs, 3)
    bits = turned.view(np.int64)  # minus zeros are other zeros
    shared = len(bits) > 0 and bool((bits == bits[0]).all())
    rows = repeat(tuple(turned[0].tolist())) if shared else map(tuple, turned.tolist())
    return [next(rows) if one else None for one in there]


def _list(fields: MarkupFields, system: System) -> List:
    """A markup without its points, its geometry in LPS mm."""
    for name, count in GEOMETRY.items():
        stated = fields.data.get(name)
        two = name == "size" and isinstance(stated, list) and len(stated) == 2
        fields.numbers(name, 2 if two else count)
    return {**in_frame(fields.data, signs_of(system.frame), system.unit), "controlPoints": None}
