"""Slicer's `.fcsv`, of all versions: points one a row, of Slicer 3 in RAS, later ones in the system they state."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import FormatError, InputError
from chunkvol.landmarks.points import Landmarks, Points
from chunkvol.landmarks.rows import Rows, decoded, flags, separated
from chunkvol.landmarks.systems import Asked, signs_of

_COLUMNS = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"
_BEYOND = ",positionStatus,autoCreated"
"""Which rows of today have and the header never names."""
_OLD = "label,x,y,z,sel,vis"
"""Rows of Slicer 3."""
_SYSTEMS = {"0": "ras", "1": "lps", "RAS": "ras", "LPS": "lps"}
_HEADER = re.compile(r"#\s*([^=]*?)\s*=\s*(.*?)\s*$")
_REMARK = re.compile(r"^#.*$", re.MULTILINE)
_VERSION = "5.6"
"""Written since rows have a status and the system is a word."""
_FLAGS = {"vis": ("visibility", True), "sel": ("selected", True), "lock": ("locked", False)}
_RIGHT = 0.01
"""By which the volume that three axes span may differ from 1: others are no rotation, and are left out."""
_DEFINED = "2"
"""positionStatus of points that are placed; 0 is undefined, 1 a preview."""

__all__ = ["fcsv_bytes", "is_fcsv", "read_fcsv"]


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
    if not text.strip():
        raise FormatError(f"{path} is empty; save the points again")
    header, problems = _header(path, text), []
    version, columns = header.get("version"), header.get("columns")
    frame = header.get("system")
    if frame is None and version is not None and asked.frame is None:
        problems.append("no CoordinateSystem is stated; LPS is assumed, as Slicer 5 does")
    frame = frame or (asked.frame or "lps" if version is not None else "ras")
    system = asked.system(str(path), frame, "mm")
    names = (columns or (_OLD if version is None else _COLUMNS)).replace(" ", "").split(",")
    names += (_COLUMNS + _BEYOND).split(",")[len(names) :] if ",".join(names) == _COLUMNS else []
    if missing := {"x", "y", "z"} - set(names):
        raise FormatError(f"{path}: the columns have no {', '.join(sorted(missing))}, found {','.join(names)[:80]!r}")
    place = {name: names.index(name) for name in names}
    rows = separated(path, _REMARK.sub("", text), ",", one_line=True)
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
    for one, line in zip(status, rows.lines, strict=True) if set(status) - {"", "0", "1", _DEFINED} else ():
        if one.strip() not in ("", "0", "1", _DEFINED):
            raise FormatError(f"{rows.path}, line {line}: positionStatus is 0, 1 or 2, found {one[:40]!r}")
    if unplaced := [n for n, one in enumerate(status) if one.strip() not in ("", _DEFINED)]:
        points[unplaced] = np.nan
    return points


def _further(rows: Rows, cells: dict[str, Sequence[str]]) -> dict[str, tuple[Any, ...]]:
    """What Slicer's JSON says of points too, by its names there, and the columns of other programs."""
    columns: dict[str, tuple[Any, ...]] = {}
    for name in ("id", "associatedNodeID"):
        if any(cells.get(name, ())):
            columns[name] = tuple(cells[name])
    for name, (named, usual) in _FLAGS.items():
        if name in cells:
            columns[named] = flags(rows, name, cells[name], usual)
    if all(name in cells for name in ("ow", "ox", "oy", "oz")):
        turns = _turns(rows, [cells[name] for name in ("ow", "ox", "oy", "oz")])
        if turns is not None:
            columns["orientation"] = turns
    if any(one.strip() == "1" for one in cells.get("positionStatus", ())):
        columns["positionStatus"] = tuple("preview" if one.strip() == "1" else "" for one in cells["positionStatus"])
    if any(one.strip() not in ("", "0") for one in cells.get("autoCreated", ())):
        columns["autoCreated"] = tuple(cells["autoCreated"])
    known = {*(_COLUMNS + _BEYOND).split(","), ""}
    return columns | {name: tuple(values) for name, values in cells.items() if name not in known}


def _turns(rows: Rows, cells: Sequence[Sequence[str]]) -> tuple[Any, ...] | None:
    """Orientations as nine numbers, rows LPS, from degrees and an axis in RAS; None when nothing is turned."""
    if {one.strip() for one in cells[0]} <= {"", "0", "0.0"}:
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


# ------------------------------------------------------------------------------------------------------ writing


def fcsv_bytes(landmarks: Landmarks, path: Path, frame: str) -> bytes:
    """A `.fcsv` of exactly three header lines, which is what scripts in R skip; each row ends with its status.

    Points that are not placed have empty cells and status 0: programs that know no status read NA, or 0. The format
    has no types and no sizes: curves, planes and regions become points.

    Raises
    ------
    InputError
        Indices, or a text with a line end.
    """
    if frame == "IJK":
        raise InputError(f"{path} holds places, and the landmarks are voxel indices; map them into the world first")
    count, columns = len(landmarks), landmarks.columns
    numbers = (landmarks.points * signs_of(frame) + 0.0).tolist()
    places = [",".join(map(repr, one)) if one[0] == one[0] else ",," for one in numbers]
    marks = [",".join("01"[bool(value)] for value in row) for row in zip(*_marks(columns, count), strict=True)]
    ids = [str(one or number) for number, one in enumerate(columns.get("id") or [""] * count, 1)]
    texts = [_quoted(path, each) for each in (ids, landmarks.labels, landmarks.descriptions)]
    nodes = _quoted(path, [str(one or "") for one in columns.get("associatedNodeID") or [""] * count])
    status = _status(landmarks)
    automatic = [str(one or 0) for one in columns.get("autoCreated") or ["0"] * count]
    lines = map(
        ",".join,
        zip(texts[0], places, _axes(columns, count), marks, texts[1], texts[2], nodes, status, automatic, strict=True),
    )
    header = f"# Markups fiducial file version = {_VERSION}\n# CoordinateSystem = {frame}\n# columns = {_COLUMNS}\n"
    return (header + "".join(f"{line}\n" for line in lines)).encode()


def _marks(columns: Any, count: int) -> list[list[bool]]:
    return [
        [usual if one is None else one for one in columns.get(name, (usual,) * count)]
        for name, usual in _FLAGS.values()
    ]


def _status(landmarks: Landmarks) -> list[str]:
    stated = landmarks.columns.get("positionStatus") or ("",) * len(landmarks)
    return [
        _DEFINED if placed else "1" if one == "preview" else "0"
        for placed, one in zip(landmarks.placed.tolist(), stated, strict=True)
    ]


def _axes(columns: Any, count: int) -> list[str]:
    """ow, ox, oy, oz: degrees and an axis in RAS, whatever the system of the points, as Slicer has it."""
    if "orientation" not in columns:
        return ["0,0,0,1"] * count
    from scipy.spatial.transform import Rotation

    unturned = signs_of("RAS").tolist()
    plain = np.diag(unturned).ravel()
    matrices = np.array([plain if one is None else one for one in columns["orientation"]], float).reshape(-1, 3, 3)
    matrices = matrices * signs_of("RAS")[:, None]
    with np.errstate(all="ignore"):
        turned = np.abs(np.linalg.det(matrices) - 1) < _RIGHT
    vectors = Rotation.from_matrix(np.where(turned[:, None, None], matrices, np.eye(3))).as_rotvec()
    return [_turn(one) for one in vectors]


def _turn(vector: npt.NDArray[np.float64]) -> str:
    angle = float(np.linalg.norm(vector))
    return "0,0,0,1" if angle == 0 else ",".join(map(repr, [float(np.degrees(angle)), *(vector / angle).tolist()]))


def _quoted(path: Path, texts: Sequence[str]) -> list[str]:
    """Texts as cells: between quotes where Slicer does so, and where a row would begin with #."""
    if any("\n" in one or "\r" in one for one in texts):
        number = next(n for n, one in enumerate(texts, 1) if "\n" in one or "\r" in one)
        raise InputError(f"a text of point {number} has a line end, which {path} cannot hold; write a .mrk.json")
    return [f'"{one.replace(chr(34), chr(34) * 2)}"' if _unsafe(one) else one for one in texts]


def _unsafe(text: str) -> bool:
    return "," in text or '"' in text or text.startswith("#")
