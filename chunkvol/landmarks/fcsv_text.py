"""The text of a `.fcsv`, as Slicer 5 writes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.landmarks.columns import Texts, all_one, numbers_of, rows_of
from chunkvol.landmarks.fcsv import COLUMNS, DEFINED, FLAGS
from chunkvol.landmarks.points import Landmarks
from chunkvol.landmarks.systems import signs_of

_VERSION = "5.6"
"""Written since rows have a status and the system is a word."""
_RIGHT = 0.01
"""By which the volume that three axes span may differ from 1: others are no rotation, and are left out."""

__all__ = ["fcsv_bytes"]


def fcsv_bytes(landmarks: Landmarks, path: Path, frame: str) -> Iterable[bytes]:
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
    stated = columns.get("id") or [None] * count
    ids = _quoted(path, [str(one or number) for number, one in enumerate(stated, 1)])
    labels, descriptions = _quoted(path, landmarks.labels), _quoted(path, landmarks.descriptions)
    nodes = _quoted(path, _texts(columns.get("associatedNodeID"), "", count))
    automatic = _texts(columns.get("autoCreated"), "0", count)
    places = numbers_of(landmarks.points * signs_of(frame) + 0.0)
    cells = [ids, *places, _axes(columns, count), *_marks(columns, count), labels, descriptions, nodes]
    cells += [_status(landmarks), automatic]
    header = f"# Markups fiducial file version = {_VERSION}\n# CoordinateSystem = {frame}\n# columns = {COLUMNS}\n"
    between = [part for column in cells for part in (",", column)]
    return chain([header.encode()], rows_of([*between[1:], "\n"], count))


def _texts(values: Sequence[Any] | None, usual: str, count: int) -> Texts:
    """Values as texts, those that say nothing as usual."""
    if not values or all_one(values):
        return [str((values and values[0]) or usual)] * count
    return [str(one or usual) for one in values]


def _marks(columns: Any, count: int) -> list[Texts]:
    """Truth values as 0 and 1."""
    return [
        ["01"[bool(usual if one is None else one)] for one in columns.get(name, (usual,) * count)]
        for name, usual in FLAGS.values()
    ]


def _status(landmarks: Landmarks) -> Texts:
    stated = landmarks.columns.get("positionStatus") or ("",) * len(landmarks)
    return [
        DEFINED if placed else "1" if one == "preview" else "0"
        for placed, one in zip(landmarks.placed.tolist(), stated, strict=True)
    ]


def _axes(columns: Any, count: int) -> list[str]:
    """ow, ox, oy, oz of each point: degrees and an axis in RAS, whatever the system of the points, as Slicer has it."""
    if "orientation" not in columns:
        return ["0,0,0,1"] * count
    if all_one(columns["orientation"]):
        return _turns(columns["orientation"][:1]) * count
    return _turns(columns["orientation"])


def _turns(orientations: Sequence[Any]) -> list[str]:
    from scipy.spatial.transform import Rotation

    unturned = signs_of("RAS").tolist()
    plain = np.diag(unturned).ravel()
    matrices = np.array([plain if one is None else one for one in orientations], float).reshape(-1, 3, 3)
    matrices = matrices * signs_of("RAS")[:, None]
    with np.errstate(all="ignore"):
        turned = np.abs(np.linalg.det(matrices) - 1) < _RIGHT
    vectors = Rotation.from_matrix(np.where(turned[:, None, None], matrices, np.eye(3))).as_rotvec()
    return [_turn(one) for one in vectors]


def _turn(vector: npt.NDArray[np.float64]) -> str:
    angle = float(np.linalg.norm(vector))
    return "0,0,0,1" if angle == 0 else ",".join(map(repr, [float(np.degrees(angle)), *(vector / angle).tolist()]))


def _quoted(path: Path, texts: Texts) -> Texts:
    """Texts as cells: between quotes where Slicer does so, and where a row would begin with #."""
    joined = "".join(texts)
    if "\n" in joined or "\r" in joined:
        number = next(n for n, one in enumerate(texts, 1) if "\n" in one or "\r" in one)
        raise InputError(f"a text of point {number} has a line end, which {path} cannot hold; write a .mrk.json")
    if "#" not in joined and "," not in joined and '"' not in joined:
        return texts
    safe = {one: f'"{one.replace(chr(34), chr(34) * 2)}"' if _unsafe(one) else one for one in dict.fromkeys(texts)}
    return list(map(safe.__getitem__, texts))


def _unsafe(text: str) -> bool:
    return "," in text or '"' in text or text.startswith("#")
