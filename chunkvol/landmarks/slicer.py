"""Slicer's `.mrk.json`, schema 1.0: the whole document is kept, and only what was changed is written differently."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.errors import FormatError, InputError
from chunkvol.landmarks.lists import GEOMETRY, List, MarkupLists, in_frame, lists_of
from chunkvol.landmarks.points import Landmarks, Points
from chunkvol.landmarks.systems import Asked, System, signs_of
from chunkvol.markups.fields import MarkupFields
from chunkvol.markups.markup import KINDS

_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
"""The name that Slicer itself writes."""
_KNOWN = re.compile(r".*markups-schema-v1\.[0-9]+\.[0-9]+\.json#*$")
"""Names, in small letters, of schemas that Slicer reads."""
_FLAGS = {"selected": True, "locked": False, "visibility": True}
"""What a point is that does not say."""
_OWN = ("label", "description", "position")
"""Fields of a point that `Landmarks` have themselves."""
_USUAL = {
    "locked": False,
    "fixedNumberOfControlPoints": False,
    "labelFormat": "%N-%d",
    "controlPoints": None,
    "measurements": [],
}
"""What is written of lists that no document of Slicer had."""
_CLOSE = 1e-6
"""Millimetres by which control points may differ from those that a plane or region was read with."""

__all__ = ["is_slicer", "read_slicer", "slicer_bytes"]


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
    document = _document(path, data)
    markups = document["markups"]
    fields = [_fields(path, number, one) for number, one in enumerate(markups, 1)]
    systems = [_system(one, asked) for one in fields]
    for one, system in zip(fields, systems, strict=True):
        if system.frame != systems[0].frame:
            raise FormatError(
                f"{one.where} is in {system.frame} and those before it in {systems[0].frame}: one file has points in "
                "one frame; save each markup in a file of its own"
            )
    listed = [_points(one) for one in fields]
    places = [_positions(one, rows, system) for one, rows, system in zip(fields, listed, systems, strict=True)]
    points = np.concatenate(places)
    rows = [row for one in listed for row in one]
    columns = _columns(rows)
    _check_flags(path, columns)
    if "orientation" in columns:
        columns["orientation"] = _orientations(path, columns["orientation"], signs_of(systems[0].frame))
    if len(markups) > 1:
        columns["list"] = [n for n, one in enumerate(listed) for _ in one]
    lists = tuple(_list(one, system) for one, system in zip(fields, systems, strict=True))
    return Landmarks(
        points,
        tuple(_worded(row.get("label")) for row in rows),
        tuple(_worded(row.get("description")) for row in rows),
        lists[0]["type"],
        systems[0].frame,
        MarkupLists(lists, {**document, "markups": None}, points),
        {name: tuple(values) for name, values in columns.items()},
    )


def _worded(value: Any) -> str:
    return "" if value is None else str(value)


def _document(path: Path, data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is no JSON ({str(error)[:80]}); give a .mrk.json that Slicer saved") from error
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


def _points(fields: MarkupFields) -> list[dict[str, Any]]:
    listed = fields.data.get("controlPoints") or []
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise FormatError(f"{fields.where}: controlPoints is no list of objects")
    return listed


def _positions(fields: MarkupFields, rows: list[dict[str, Any]], system: System) -> Points:
    """LPS mm, shape (n, 3): all at once, and one by one only to say which one is wrong."""
    values = np.full((len(rows), 3), np.nan)
    placed = [
        n for n, row in enumerate(rows) if row.get("positionStatus", "defined") == "defined" and row.get("position")
    ]
    stated = [rows[n]["position"] for n in placed]
    if all(type(one) is list and len(one) == 3 and set(map(type, one)) <= {int, float} for one in stated):
        with contextlib.suppress(OverflowError):  # an integer that no float holds: refused below
            values[placed] = np.array(stated, float).reshape(-1, 3)
    if not np.isfinite(values[placed]).all():
        for n in placed:
            MarkupFields(f"{fields.where}, point {n + 1}", rows[n], fields.signs, fields.unit).numbers("position", 3)
    return system.points(values)


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for row in rows for name in row if name not in _OWN)
    return {name: [row.get(name) for row in rows] for name in names}


def _check_flags(path: Path, columns: dict[str, list[Any]]) -> None:
    for name in set(_FLAGS) & set(columns):
        for number, value in enumerate(columns[name], 1):
            if value is not None and not isinstance(value, bool):
                raise FormatError(f"{path}, point {number}: {name} is true or false, found {str(value)[:40]!r}")


def _orientations(path: Path, stated: list[Any], signs: Points) -> list[Any]:
    """Nine numbers each, row by row, rows LPS; None where a point has none."""
    for number, one in enumerate(stated, 1):
        MarkupFields(f"{path}, point {number}", {"orientation": one}, (1.0, 1.0, 1.0), 1.0).numbers("orientation", 9)
    turn = np.repeat(signs, 3)
    return [tuple((np.array(one, float) * turn).tolist()) if one else None for one in stated]


def _list(fields: MarkupFields, system: System) -> List:
    """A markup without its points, its geometry in LPS mm."""
    for name, count in GEOMETRY.items():
        stated = fields.data.get(name)
        two = name == "size" and isinstance(stated, list) and len(stated) == 2
        fields.numbers(name, 2 if two else count)
    return {**in_frame(fields.data, signs_of(system.frame), system.unit), "controlPoints": None}


# ------------------------------------------------------------------------------------------------------ writing


def slicer_bytes(landmarks: Landmarks, path: Path, frame: str) -> Iterable[bytes]:
    """A `.mrk.json`, always in millimetres.

    Points that are not placed have no `position`, and the `positionStatus` "undefined": so the schema allows it, which
    forbids the empty text that Slicer writes there, and Slicer reads either.

    Raises
    ------
    InputError
        Indices, points of a list that are not together, or of a plane or region that were moved without it.
    """
    if frame == "IJK":
        raise InputError(f"{path} holds places, and the landmarks are voxel indices; map them into the world first")
    lists, of = lists_of(landmarks)
    if (np.diff(of) < 0).any():
        raise InputError(f"the points of one list are not together, as {path} needs them; sort them by list")
    _check_geometry(landmarks, lists, of)
    rows = list(_rows(landmarks, frame))
    ends = np.searchsorted(of, np.arange(len(lists) + 1))
    texts = [
        _list_text(in_frame(fields, signs_of(frame)), frame, rows[start:stop])
        for fields, start, stop in zip(lists, ends, ends[1:], strict=False)
    ]
    return [(_document_text(landmarks.original, texts) + "\n").encode()]


def _check_geometry(landmarks: Landmarks, lists: tuple[List, ...], of: Any) -> None:
    original = landmarks.original if isinstance(landmarks.original, MarkupLists) else None
    for number, fields in enumerate(lists):
        if fields["type"] not in ("Plane", "ROI"):
            continue
        own = of == number
        name = f"the {fields['type']} {fields.get('name', '')}".strip()
        now = landmarks.points[own]
        if not any(fields.get(one) for one in GEOMETRY):
            if fields["type"] == "ROI" or len(now) < 3:
                raise InputError(f"{name} has points only, and no center, axes and size; write it from its .mrk.json")
        elif original is not None and original.points is not None:
            before = original.points[own] if len(original.points) == len(own) else now[:0]
            if before.shape != now.shape or not np.allclose(before, now, rtol=0, atol=_CLOSE, equal_nan=True):
                raise InputError(
                    f"the points of {name} were moved without its axes and size, which moved() takes along"
                )


def _rows(landmarks: Landmarks, frame: str) -> Iterator[dict[str, Any]]:
    """The control points as Slicer's JSON has them."""
    signs = signs_of(frame)
    turn = np.repeat(signs, 3)
    further = {name: values for name, values in landmarks.columns.items() if name not in ("list", "autoCreated", *_OWN)}
    places = (landmarks.points * signs + 0.0).tolist()
    for number, placed in enumerate(landmarks.placed.tolist()):
        said = {name: values[number] for name, values in further.items() if _says(values[number])}
        row = {
            "id": str(said.pop("id", "") or number + 1),
            "label": landmarks.labels[number],
            "description": landmarks.descriptions[number],
            "associatedNodeID": said.pop("associatedNodeID", ""),
            "position": places[number] if placed else None,
        }
        if not placed:
            del row["position"]
        if "orientation" in said:
            row["orientation"] = (np.array(said.pop("orientation")) * turn).tolist()
        row |= {name: said.pop(name, usual) for name, usual in _FLAGS.items()}
        status = said.pop("positionStatus", "undefined")
        row["positionStatus"] = "defined" if placed else "preview" if status == "preview" else "undefined"
        yield row | said


def _says(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _list_text(fields: List, frame: str, rows: list[dict[str, Any]]) -> str:
    """A markup: a field a line, and a point a line."""
    stated = fields.get("coordinateUnits")
    unit = stated if isinstance(stated, list) and len(stated) == 3 and stated[0] == "mm" else "mm"
    system = {"type": fields["type"], "coordinateSystem": frame, "coordinateUnits": unit}
    named = {**system, **(fields if "controlPoints" in fields else {**_USUAL, **fields}), **system}
    points = _block((_text(row) for row in rows), 16)
    lines = (f"{_text(name)}: {points if name == 'controlPoints' else _text(value)}" for name, value in named.items())
    return "{\n" + ",\n".join(" " * 12 + line for line in lines) + "\n        }"


def _block(lines: Iterable[str], indent: int) -> str:
    inside = ",\n".join(" " * indent + line for line in lines)
    return f"[\n{inside}\n{' ' * (indent - 4)}]" if inside else "[]"


def _document_text(original: Any, texts: list[str]) -> str:
    top = original.top if isinstance(original, MarkupLists) else {}
    schema = str(top.get("@schema", ""))
    named = {"@schema": _SCHEMA, "markups": None, **top}
    named["@schema"] = schema if _KNOWN.match(schema.lower()) else _SCHEMA
    lists = _block(texts, 8)
    lines = (f"{_text(name)}: {lists if name == 'markups' else _text(value)}" for name, value in named.items())
    return "{\n" + ",\n".join("    " + line for line in lines) + "\n}"


def _text(value: Any) -> str:
    try:
        return _ENCODER.encode(value)
    except ValueError:  # NaN, in a measurement or a display: JSON has none
        return _ENCODER.encode(_finite(value))


def _finite(value: Any) -> Any:
    """The same without numbers that JSON does not know; null instead."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value if _says(value) else None


def _plain(value: Any) -> Any:
    """What numpy made, as JSON has it."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise InputError(f"a value of {type(value).__name__} cannot be written to JSON")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_plain)
