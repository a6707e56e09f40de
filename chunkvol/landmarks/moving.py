"""Landmarks taken elsewhere with all their geometry: control points, and the axes and sizes of planes and regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.landmarks.lists import List, MarkupLists
from chunkvol.landmarks.points import Landmarks, Points

_SQUARE = 1e-6
"""Cosine between moved axes up to which they still are at right angles."""
_TURN = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Between LPS and RAS."""

Matrix = npt.NDArray[np.float64]

__all__ = ["moved"]


def moved(landmarks: Landmarks, affine: npt.ArrayLike) -> Landmarks:
    """The landmarks at other places, with the orientations of points and the geometry of planes and regions.

    Points, and curves of them, go through any affine. Orientations take its rotation; a mirror leaves them
    right-handed, their third axis turned round. Centres go as points do, axes keep their length of 1, and sizes grow
    with them. Measurements lose their values where lengths change; Slicer makes them again.

    Parameters
    ----------
    landmarks
        In LPS mm.
    affine
        4 x 4, from LPS mm (x, y, z, 1) to LPS mm.

    Raises
    ------
    InputError
        A plane or region would be mirrored, or sheared so that its axes are no longer at right angles; or no affine.
    """
    matrix = np.asarray(affine, float)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not np.array_equal(matrix[3], [0, 0, 0, 1]):
        raise InputError(
            f"points are moved by 4 x 4 finite numbers whose last row is 0 0 0 1, found shape {matrix.shape}"
        )
    if not abs(np.linalg.det(matrix[:3, :3])) > 0:
        raise InputError("the affine is singular: it makes points of a space that lie in one plane")
    points = _applied(matrix, landmarks.points)
    columns = dict(landmarks.columns)
    if "orientation" in columns:
        columns["orientation"] = _all_turned(_rotation(matrix[:3, :3]), columns["orientation"])
    original = landmarks.original
    if isinstance(original, MarkupLists):
        before = None if original.points is None else _applied(matrix, original.points)
        original = replace(original, lists=tuple(_list(matrix, one) for one in original.lists), points=before)
    return replace(landmarks, points=points, columns=columns, original=original)


def _applied(matrix: Matrix, points: Points) -> Points:
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3], float)


def _rotation(linear: Matrix) -> Matrix:
    """The orthogonal matrix nearest to it; a mirror where it mirrors."""
    left, _, right = np.linalg.svd(linear)
    return np.asarray(left @ right)


def _all_turned(turn: Matrix, orientations: Sequence[Any]) -> tuple[Any, ...]:
    """Each turned once, though many points share one."""
    keys = list(map(id, orientations))
    turned = {
        key: None if one is None else _turned(turn, one)
        for key, one in dict(zip(keys, orientations, strict=True)).items()
    }
    return tuple(map(turned.__getitem__, keys))


def _turned(turn: Matrix, orientation: Any) -> tuple[float, ...]:
    axes = turn @ np.reshape(orientation, (3, 3))
    if np.linalg.det(turn) < 0:
        axes[:, 2] *= -1
    return tuple(axes.ravel().tolist())


# ------------------------------------------------------------------------------------------- planes and regions


def _list(matrix: Matrix, fields: List) -> List:
    found = dict(fields)
    if fields.get("center"):
        found["center"] = _applied(matrix, np.array(fields["center"], float)).tolist()
    if fields["type"] in ("Plane", "ROI"):
        found |= _geometry(matrix, fields)
    rigid = np.allclose(matrix[:3, :3].T @ matrix[:3, :3], np.eye(3), rtol=0, atol=1e-9)
    if not rigid and isinstance(fields.get("measurements"), list):
        found["measurements"] = [_unmeasured(one) for one in fields["measurements"]]
    return found


def _unmeasured(measurement: Any) -> Any:
    if not isinstance(measurement, dict):
        return measurement
    return {name: value for name, value in measurement.items() if name not in ("value", "controlPointValues")}


def _geometry(matrix: Matrix, fields: List) -> List:
    """Axes, normal, sizes and matrices of a plane or region, moved."""
    found: List = {}
    lengths: Points | None = None
    if fields.get("baseToNode"):
        made, lengths = _matrices(matrix, fields)
        found |= made
    axes = _axes(fields)
    if axes is not None:
        axes, lengths = _moved_axes(matrix, axes, fields)
        if fields.get("orientation") or fields["type"] == "ROI":
            found["orientation"] = axes.ravel().tolist()
        if fields.get("normal"):
            found["normal"] = axes[:, 2].tolist()
    if lengths is not None and fields.get("size"):
        found["size"] = (np.array(fields["size"], float) * lengths).tolist()
    if lengths is not None and fields.get("planeBounds"):
        found["planeBounds"] = (np.array(fields["planeBounds"], float) * np.repeat(lengths[:2], 2)).tolist()
    return found


def _axes(fields: List) -> Matrix | None:
    """Unit vectors in columns, as they are stated; of a region without any those of the world, as Slicer has it."""
    if fields.get("orientation"):
        return np.reshape(np.array(fields["orientation"], float), (3, 3))
    if fields.get("normal"):
        normal = np.array(fields["normal"], float)
        left, _, _ = np.linalg.svd(normal[:, None])
        return np.column_stack([left[:, 1], np.cross(normal / np.linalg.norm(normal), left[:, 1]), normal])
    return np.eye(3) if fields["type"] == "ROI" and fields.get("size") else None


def _moved_axes(matrix: Matrix, axes: Matrix, fields: List) -> tuple[Matrix, Points]:
    """Axes of length 1, and how many times longer the affine makes each."""
    name = f"the {fields['type']} {fields.get('name', '')}".strip()
    with np.errstate(over="ignore"):
        size = np.linalg.norm(axes, axis=0)
    if not (np.isfinite(size) & (size > 0)).all():
        raise InputError(f"{name} has an axis of no length, or of one beyond all numbers; save it again in Slicer")
    before = axes / size
    after = matrix[:3, :3] @ before
    lengths = np.linalg.norm(after, axis=0)
    after = after / lengths
    if np.linalg.det(matrix[:3, :3]) < 0:
        raise InputError(
            f"{name} would be mirrored, and its axes are right-handed; leave it out, or keep its points only"
        )
    if np.abs(after.T @ after - before.T @ before).max() > _SQUARE:
        raise InputError(
            f"{name} would be sheared: its axes would not stay at right angles; leave it out, or keep its points only"
        )
    return after, lengths


def _matrices(matrix: Matrix, fields: List) -> tuple[List, Points]:
    """baseToNode and objectToBase of a moved plane, and how many times longer its axes become.

    Both are stored with two rows turned, from RAS, in which Slicer multiplies them. The base stays where the control
    points put it, so that both matrices have axes of length 1 and their product is the plane's place.
    """
    base = _TURN @ np.reshape(np.array(fields["baseToNode"], float), (4, 4))
    inner = np.eye(4)
    if fields.get("objectToBase"):
        inner = _TURN @ np.reshape(np.array(fields["objectToBase"], float), (4, 4))
    world = _TURN @ matrix @ _TURN
    whole = base @ inner
    axes, lengths = _moved_axes(world, whole[:3, :3], fields)
    new_base = np.eye(4)
    new_base[:3, :3] = axes * np.linalg.norm(whole[:3, :3], axis=0) @ np.linalg.inv(inner[:3, :3])
    new_base[:3, 3] = _applied(world, base[:3, 3])
    new_inner = inner.copy()
    new_inner[:3, 3] = np.linalg.solve(new_base[:3, :3], _applied(world, whole[:3, 3]) - new_base[:3, 3])
    found = {"baseToNode": (_TURN @ new_base).ravel().tolist()}
    if fields.get("objectToBase"):
        found["objectToBase"] = (_TURN @ new_inner).ravel().tolist()
    return found, lengths
