"""Reading `.mrk.json` files: schema 1.0 of Slicer's markups."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from chunkvol.errors import FormatError, InputError
from chunkvol.markups.fields import Array, MarkupFields, triple_of
from chunkvol.markups.markup import KINDS, Markup, MarkupPoint
from chunkvol.markups.places import plane_box, region_box

_LARGEST = 64 << 20
"""Bytes of a file that is still read: a hundred thousand points."""
_SCHEMA = re.compile(r"markups-schema-v(\d+)\.")

_PLACES = {"Plane": plane_box, "ROI": region_box}

__all__ = ["read_markup", "read_markups"]


def read_markups(path: str | Path) -> tuple[Markup, ...]:
    """All markups of a Slicer file, in its order, in LPS mm whatever the file's own coordinate system and unit.

    A markup that was under a transform in Slicer's scene is stored without it.

    Raises
    ------
    InputError
        The file is not there, larger than 64 MiB, no JSON, without markups, or a plane or region has no place.
    """
    file = Path(path)
    data = _document(file)
    listed = data.get("markups") if isinstance(data, dict) else None
    if not isinstance(listed, list):
        raise FormatError(f"{file} holds no markups: it is JSON, and not a .mrk.json of Slicer")
    schema = _SCHEMA.search(str(data.get("@schema", "")).lower())
    if schema and schema[1] != "1":
        raise FormatError(f"{file} follows version {schema[1]} of the markups schema; version 1 is known")
    return tuple(_markup(f"{file}, markup {n}", one) for n, one in enumerate(listed, 1))


def read_markup(path: str | Path, kind: str) -> Markup:
    """The one markup of a kind ("Plane", "ROI" ...) in a file.

    Raises
    ------
    InputError
        There is none or several, or the file cannot be read.
    """
    found = read_markups(path)
    fitting = [one for one in found if one.kind == kind]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(one.name or "without a name" for one in fitting[:8])
        raise InputError(f"{path} holds {len(fitting)} markups of type {kind} ({names}); save the one that is meant")
    there = ", ".join(sorted({one.kind for one in found})) or "nothing"
    raise InputError(f"{path} holds no markup of type {kind}, but {there}; draw one in Slicer's module Markups")


def _document(file: Path) -> Any:
    try:
        with open(file, "rb") as stream:
            text = stream.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"the markups {file} cannot be read: {error.strerror or error}") from error
    if len(text) > _LARGEST:
        raise InputError(f"{file} has more than {_LARGEST >> 20} MiB, too many for markups; is it another file?")
    try:
        return json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{file} is no JSON ({str(error)[:80]}); give a .mrk.json that Slicer saved") from error


def _markup(where: str, data: Any) -> Markup:
    if not isinstance(data, dict):
        raise FormatError(f"{where} is no object; save it again in Slicer")
    kind = data.get("type")
    if kind not in KINDS:
        raise FormatError(f"{where} is of type {str(kind)[:40]!r}; known are {', '.join(KINDS)}")
    name = str(data.get("name") or "")
    fields = MarkupFields.of(f"{where} ({name[:40] or kind})", data)
    points = _points(fields)
    placed: list[Array] = [position for position, _ in points if position is not None]
    return Markup(
        kind,
        name,
        tuple(point for _, point in points),
        _PLACES[kind](fields, placed) if kind in _PLACES else None,
        fields.flag("insideOut", False),
        _shown(data.get("display")),
    )


def _shown(display: Any) -> bool:
    return not isinstance(display, dict) or display.get("visibility", True) is not False


def _points(fields: MarkupFields) -> list[tuple[Array | None, MarkupPoint]]:
    """Control points and their places, which those have that are placed for good."""
    listed = fields.data.get("controlPoints") or []
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise FormatError(f"{fields.where}: controlPoints is no list of objects")
    return [_point(fields, n, one) for n, one in enumerate(listed, 1)]


def _point(fields: MarkupFields, number: int, data: dict[str, Any]) -> tuple[Array | None, MarkupPoint]:
    own = MarkupFields(f"{fields.where}, point {number}", data, fields.signs, fields.unit)
    placed = data.get("positionStatus", "defined") == "defined"
    position = own.point("position") if placed else None
    point = MarkupPoint(
        None if position is None else triple_of(position),
        own.text("label"),
        own.text("id"),
        own.text("description"),
        own.flag("visibility", True),
    )
    return position, point
