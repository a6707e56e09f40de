"""The text of a `.mrk.json`, schema 1.0: a document that was read is kept, but for what was changed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.errors import InputError
from chunkvol.landmarks.columns import Texts, all_one, numbers_of, rows_of
from chunkvol.landmarks.lists import GEOMETRY, List, MarkupLists, in_frame, lists_of
from chunkvol.landmarks.points import Landmarks, Points
from chunkvol.landmarks.slicer import FLAGS
from chunkvol.landmarks.systems import signs_of

_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
"""The name that Slicer itself writes."""
_KNOWN = re.compile(r".*markups-schema-v1\.[0-9]+\.[0-9]+\.json#*$")
"""Names, in small letters, of schemas that Slicer reads."""
_USUAL = {
    "locked": False,
    "fixedNumberOfControlPoints": False,
    "labelFormat": "%N-%d",
    "controlPoints": None,
    "measurements": [],
}
"""What is written of lists that no document of Slicer had."""
_LEFT_OUT = ("list", "autoCreated", "label", "description", "position")
"""Columns that are no further fields of a point."""
_CLOSE = 1e-6
"""Millimetres by which control points may differ from those that a plane or region was read with."""

__all__ = ["slicer_bytes"]


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
    parts = _point(landmarks, frame)
    ends = np.searchsorted(of, np.arange(len(lists) + 1)).tolist()
    texts = (
        chain([b",\n        "], _list(in_frame(fields, signs_of(frame)), frame, parts, slice(start, stop)))
        for fields, start, stop in zip(lists, ends, ends[1:], strict=False)
    )
    return chain(_document(landmarks.original, chain.from_iterable(texts)), [b"\n"])


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


# ------------------------------------------------------------------------------------------------------------ points


def _point(landmarks: Landmarks, frame: str) -> list[str | Texts]:
    """The parts of a control point's line: texts that all points share, and those of each."""
    count, placed = len(landmarks), landmarks.placed
    further = {name: values for name, values in landmarks.columns.items() if name not in _LEFT_OUT}
    ids = enumerate(_told(further.pop("id", None), "", count), 1)
    parts = [",\n" + " " * 16 + '{"id": ', _texts([str(one or number) for number, one in ids])]
    parts += _field("label", landmarks.labels)
    parts += _field("description", landmarks.descriptions)
    parts += _field("associatedNodeID", _told(further.pop("associatedNodeID", None), "", count))
    x, y, z = numbers_of(landmarks.points * signs_of(frame) + 0.0)
    place: list[str | Texts] = [', "position": [', x, ", ", y, ", ", z, "]"]
    parts += place if placed.all() else [_where(placed.tolist(), place)]
    if "orientation" in further:
        parts += _field("orientation", _turned(further.pop("orientation"), np.repeat(signs_of(frame), 3)))
    for name, usual in FLAGS.items():
        parts += _field(name, _told(further.pop(name, None), usual, count))
    parts += _field("positionStatus", _status(further.pop("positionStatus", None), placed.tolist()))
    for name, values in further.items():
        parts += _field(name, values)
    return [*parts, "}"]


def _field(name: str, values: Sequence[Any]) -> list[str | Texts]:
    """A field of each point that says it."""
    field: list[str | Texts] = [f", {_text(name)}: ", _texts(values)]
    said = list(map(_says, values)) if _any_silent(values) else []
    return field if all(said) else [_where(said, field)]


def _where(there: Sequence[bool], parts: Sequence[str | Texts]) -> Texts:
    """The parts of each point as one text, which is empty where they are not there."""
    each = [[part] * len(there) if isinstance(part, str) else part for part in parts]
    return [text if one else "" for one, text in zip(there, map("".join, zip(*each, strict=True)), strict=True)]


def _told(values: Sequence[Any] | None, usual: Any, count: int) -> Sequence[Any]:
    """Values, those that say nothing as usual."""
    if values is None:
        return [usual] * count
    return [value if _says(value) else usual for value in values] if _any_silent(values) else values


def _turned(orientations: Sequence[Any], turn: Points) -> Sequence[Any]:
    if all_one(orientations) and _says(orientations[0]):
        return [(np.array(orientations[0]) * turn).tolist()] * len(orientations)
    turned = iter((np.array([one for one in orientations if _says(one)], float).reshape(-1, 9) * turn).tolist())
    return [next(turned) if _says(one) else None for one in orientations]


def _status(stated: Sequence[Any] | None, placed: Sequence[bool]) -> Sequence[str]:
    if all(placed):
        return ["defined"] * len(placed)
    return [
        "defined" if there else "preview" if one == "preview" else "undefined"
        for there, one in zip(placed, stated or [None] * len(placed), strict=True)
    ]


def _any_silent(values: Sequence[Any]) -> bool:
    """Whether a value may say nothing."""
    kinds = set(map(type, values[:1] if all_one(values) else values))
    return not kinds <= {str, bool, int, list, tuple}


def _says(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _texts(values: Sequence[Any]) -> Texts:
    """Values as JSON."""
    if all_one(values):
        return [_text(values[0])] * len(values)
    if set(map(type, values)) == {str}:
        return list(map(encode_basestring, values))
    return list(map(_text, values))


# ----------------------------------------------------------------------------------------------- lists and documents


def _list(fields: List, frame: str, parts: Iterable[str | Texts], own: slice) -> Iterator[bytes]:
    """A markup: a field a line, and a point a line."""
    stated = fields.get("coordinateUnits")
    unit = stated if isinstance(stated, list) and len(stated) == 3 and stated[0] == "mm" else "mm"
    system = {"type": fields["type"], "coordinateSystem": frame, "coordinateUnits": unit}
    named = {**system, **(fields if "controlPoints" in fields else {**_USUAL, **fields}), **system}
    points = rows_of([part if isinstance(part, str) else part[own] for part in parts], own.stop - own.start)
    return _object(named, "controlPoints", _array(points, 12), 12)


def _document(original: Any, lists: Iterator[bytes]) -> Iterator[bytes]:
    top = original.top if isinstance(original, MarkupLists) else {}
    schema = str(top.get("@schema", ""))
    named = {"@schema": _SCHEMA, "markups": None, **top}
    named["@schema"] = schema if _KNOWN.match(schema.lower()) else _SCHEMA
    return _object(named, "markups", _array(lists, 4), 4)


def _object(named: dict[str, Any], long: str, pieces: Iterable[bytes], indent: int) -> Iterator[bytes]:
    """An object, a field a line; one field, a long one, is in pieces."""
    lines = [f"{' ' * indent}{_text(name)}: {'' if name == long else _text(value)}" for name, value in named.items()]
    end = list(named).index(long) + 1
    after = "".join(f",\n{line}" for line in lines[end:]) + f"\n{' ' * (indent - 4)}}}"
    return chain([("{\n" + ",\n".join(lines[:end])).encode()], pieces, [after.encode()])


def _array(items: Iterator[bytes], indent: int) -> Iterator[bytes]:
    """An array, an item a line; each begins with the comma behind the one before."""
    first = next(items, b"")
    if not first:
        return iter([b"[]"])
    return chain([b"[", first[1:]], items, [f"\n{' ' * indent}]".encode()])


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
