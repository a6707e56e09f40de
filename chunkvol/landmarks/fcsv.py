"""Slicer's `.fcsv`, of all versions: points one a row, of Slicer 3 in RAS, later ones in the system they state."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.errors import FormatError
from chunkvol.landmarks.points import Landmarks, Points
from chunkvol.landmarks.rows import Rows, decoded, flags, separated
from chunkvol.landmarks.systems import Asked, signs_of

COLUMNS = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"
_BEYOND = ",positionStatus,autoCreated"
"""Which rows of today have and the header never names."""
_OLD = "label,x,y,z,sel,vis"
"""Rows of Slicer 3."""
_SYSTEMS = {"0": "ras", "1": "lps", "RAS": "ras", "LPS": "lps"}
_HEADER = re.compile(r"#\s*([^=]*?)\s*=\s*(.*?)\s*$")
_FRONT = re.compile(r"(?:#.*\n)*")
_REMARK = re.compile(r"^#.*$", re.MULTILINE)
FLAGS = {"vis": ("visibility", True), "sel": ("selected", True), "lock": ("locked", False)}
"""Columns of truth values: their names in Slicer's JSON, and what a point is that does not say."""
DEFINED = "2"
"""positionStatus of points that are placed; 0 is undefined, 1 a preview."""

__all__ = ["COLUMNS", "DEFINED", "FLAGS", "is_fcsv", "read_fcsv"]


def is_fcsv(path: Path, head: bytes) -> bool:
    """Whether a file says so, or, as Slicer 3 says nothing, is named so."""
    return b"# Markups fiducial file" in head or path.suffix.lower() == ".fcsv"


# ------------------------------------------------------------------------------------------------------ reading


def read_fcsv(path: Path, data: bytes, asked: Asked) -> Landmarks:
    """The points of a file, by the order of columns that it states.

    A point whose positionStatus is not 2, or whose cells are empty, is not placed.

    Raises
    ------
    InputError
        A wrong system or number, or a row that is too short.
    """
    text = _lines(decoded(path, data))
    if not text or text.isspace():
        raise FormatError(f"{path} is empty; save the points again")
    header, problems = _header(path, text), []
    version, columns = header.get("version"), header.get("columns")
    frame = header.get("system")
    if frame is None and version is not None and asked.frame is None:
        problems.append("no CoordinateSystem is stated; LPS is assumed, as Slicer 5 does")
    frame = frame or (asked.frame or "lps" if version is not None else "ras")
    system = asked.system(str(path), frame, "mm")
    names = (columns or (_OLD if version is None else COLUMNS)).replace(" ", "").split(",")
    names += (COLUMNS + _BEYOND).split(",")[len(names) :] if ",".join(names) == COLUMNS else []
    if missing := {"x", "y", "z"} - set(names):
        raise FormatError(f"{path}: the columns have no {', '.join(sorted(missing))}, found {','.join(names)[:80]!r}")
    place = {name: names.index(name) for name in names}
    text, first = _body(text)
    rows = separated(path, text, ",", first=first, one_line=True)
    rows.check_lengths(1 + max(place[one] for one in "xyz"), len(names))
    status = rows.column(place["positionStatus"]) if "positionStatus" in place else []
    points = _points(rows, [place[one] for one in "xyz"], status)
    cells = {name: rows.column(index) for name, index in place.items()}
    labels = cells.get("label", [""] * len(points))
    descriptions = cells.get("desc", [""] * len(points))
    return Landmarks(
        system.points(points),
        tuple(labels),
        tuple(descriptions),
        frame=system.frame,
        columns=_further(rows, cells),
        problems=tuple(problems),
    )


def _lines(text: str) -> str:
    """Lines that end with a line feed; Slicer writes carriage returns of its input within rows."""
    return text.replace("\r", "") if "\n" in text else text.replace("\r", "\n")


def _body(text: str) -> tuple[str, int]:
    """What is below the remarks in front, empty lines for further ones, and the line on which it begins."""
    front = _FRONT.match(text)
    end = front.end() if front else 0
    rest = text[end:]
    return _REMARK.sub("", rest) if "#" in rest else rest, text.count("\n", 0, end) + 1


def _header(path: Path, text: str) -> dict[str, str]:
    """version, system and columns, as far as the lines that begin with # state them."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        if not line.startswith("#"):
            break
        match = _HEADER.match(line)
        if match and match[1] == "Markups fiducial file version":
            found["version"] = match[2]
        elif match and match[1] == "columns":
            found["columns"] = match[2]
        elif match and match[1] == "CoordinateSystem":
            if match[2].upper() not in _SYSTEMS:
                raise FormatError(
                    f"{path}, line {number}: the CoordinateSystem {match[2][:20]!r} is not known; it is LPS or RAS, or "
                    "0 for RAS and 1 for LPS"
                )
            if found.setdefault("system", _SYSTEMS[match[2].upper()]) != _SYSTEMS[match[2].upper()]:
                raise FormatError(
                    f"{path}, line {number}: a second CoordinateSystem, which differs; leave the right one"
                )
    return found


def _points(rows: Rows, columns: Sequence[int], status: Sequence[str]) -> Points:
    points = rows.points(columns)
    stated = set(status)
    for one, line in zip(status, rows.lines, strict=True) if stated - {"", "0", "1", DEFINED} else ():
        if one.strip() not in ("", "0", "1", DEFINED):
            raise FormatError(f"{rows.path}, line {line}: positionStatus is 0, 1 or 2, found {one[:40]!r}")
    if stated - {"", DEFINED}:
        points[[n for n, one in enumerate(status) if one.strip() not in ("", DEFINED)]] = np.nan
    return points


def _further(rows: Rows, cells: dict[str, Sequence[str]]) -> dict[str, tuple[Any, ...]]:
    """What Slicer's JSON says of points too, by its names there, and the columns of other programs."""
    columns: dict[str, tuple[Any, ...]] = {}
    for name in ("id", "associatedNodeID"):
        if any(cells.get(name, ())):
            columns[name] = tuple(cells[name])
    for name, (named, usual) in FLAGS.items():
        if name in cells:
            columns[named] = flags(rows, name, cells[name], usual)
    if all(name in cells for name in ("ow", "ox", "oy", "oz")):
        turns = _turns(rows, [cells[name] for name in ("ow", "ox", "oy", "oz")])
        if turns is not None:
            columns["orientation"] = turns
    if any(one.strip() == "1" for one in set(cells.get("positionStatus", ()))):
        columns["positionStatus"] = tuple("preview" if one.strip() == "1" else "" for one in cells["positionStatus"])
    if any(one.strip() not in ("", "0") for one in set(cells.get("autoCreated", ()))):
        columns["autoCreated"] = tuple(cells["autoCreated"])
    known = {*(COLUMNS + _BEYOND).split(","), ""}
    return columns | {name: tuple(values) for name, values in cells.items() if name not in known}


def _turns(rows: Rows, cells: Sequence[Sequence[str]]) -> tuple[Any, ...] | None:
    """Orientations as nine numbers, rows LPS, from degrees and an axis in RAS; None when nothing is turned."""
    if {one.strip() for one in set(cells[0])} <= {"", "0", "0.0"}:
        return None
    try:
        numbers = np.array([[one.strip() or "0" for one in column] for column in cells], float).T
    except ValueError as error:
        raise FormatError(f"{rows.path}: ow, ox, oy, oz are degrees and an axis: {str(error)[:60]}") from error
    if not np.isfinite(numbers).all():
        raise FormatError(f"{rows.path}: ow, ox, oy, oz are degrees and an axis, and some are not finite")
    from scipy.spatial.transform import Rotation

    lengths = np.linalg.norm(numbers[:, 1:], axis=1, keepdims=True)
    axes = np.divide(numbers[:, 1:], lengths, out=np.zeros_like(numbers[:, 1:]), where=lengths > 0)
    matrices = Rotation.from_rotvec(np.radians(numbers[:, :1]) * axes).as_matrix() * signs_of("RAS")[:, None]
    return tuple(map(tuple, matrices.reshape(-1, 9).tolist()))
