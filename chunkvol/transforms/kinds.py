"""What the parameters of each of ITK's affine transforms mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.transforms.entry import Entry

Matrix = npt.NDArray[np.float64]

__all__ = ["KINDS", "Matrix"]

_Parts = tuple[Matrix, Sequence[float], Sequence[float]]
"""Linear part, translation, and the centre that the linear part leaves in place."""


def _centre(entry: Entry) -> Sequence[float]:
    if len(entry.fixed) not in (0, 3, 4):
        raise InputError(f"{entry.file}: {entry.kind} has a centre of 3 numbers, found {len(entry.fixed)}")
    return entry.fixed[:3] or (0.0, 0.0, 0.0)


def _affine(entry: Entry) -> _Parts:
    values = entry.first(12)
    return np.array(values[:9]).reshape(3, 3), values[9:], _centre(entry)


def _translation(entry: Entry) -> _Parts:
    return np.eye(3), entry.first(3), (0.0, 0.0, 0.0)


def _identity(entry: Entry) -> _Parts:
    return np.eye(3), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)


def _euler(entry: Entry) -> _Parts:
    values = entry.first(6)
    return _turned(values[:3], entry.fixed), values[3:], _centre(entry)


def _turned(angles: Sequence[float], fixed: Sequence[float]) -> Matrix:
    """Rotations about x, y, z in radians: in the order y, x, z, or x, y, z where the fourth fixed number says so."""
    (cx, cy, cz), (sx, sy, sz) = ([function(angle) for angle in angles] for function in (math.cos, math.sin))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    zyx = len(fixed) == 4 and fixed[3] != 0
    return np.asarray(about_z @ about_y @ about_x if zyx else about_z @ about_x @ about_y)


def _versor(entry: Entry) -> _Parts:
    return _rotation(entry, entry.first(3)), (0.0, 0.0, 0.0), _centre(entry)


def _versor_rigid(entry: Entry) -> _Parts:
    values = entry.first(6)
    return _rotation(entry, values[:3]), values[3:], _centre(entry)


def _similarity(entry: Entry) -> _Parts:
    values = entry.first(7)
    return values[6] * _rotation(entry, values[:3]), values[3:6], _centre(entry)


def _scale_versor(entry: Entry) -> _Parts:
    values = entry.first(9)
    # ITK adds the scales to the rotation, less 1 each: its documentation says multiply, its code does this.
    return _rotation(entry, values[:3]) + np.diag(values[6:9]) - np.eye(3), values[3:6], _centre(entry)


def _scale_skew_versor(entry: Entry) -> _Parts:
    values = entry.first(15)
    linear = _rotation(entry, values[:3]) + np.diag(values[6:9]) - np.eye(3)
    linear[(0, 0, 1, 1, 2, 2), (1, 2, 0, 2, 0, 1)] += values[9:15]
    return linear, values[3:6], _centre(entry)


def _composed_scale_skew_versor(entry: Entry) -> _Parts:
    values = entry.first(12)
    skew = np.eye(3)
    skew[(0, 0, 1), (1, 2, 2)] = values[9:12]
    return _rotation(entry, values[:3]) @ np.diag(values[6:9]) @ skew, values[3:6], _centre(entry)


def _quaternion(entry: Entry) -> _Parts:
    values = entry.first(7)
    x, y, z, w = values[:4]
    norm = math.sqrt(x * x + y * y + z * z + w * w)
    if not norm > 0:
        raise InputError(f"{entry.file}: the quaternion of {entry.kind} is 0")
    return _from_quaternion(x / norm, y / norm, z / norm, w / norm), values[4:], _centre(entry)


def _scale(entry: Entry) -> _Parts:
    return np.diag(entry.first(3)), (0.0, 0.0, 0.0), _centre(entry)


def _rotation(entry: Entry, versor: Sequence[float]) -> Matrix:
    """The rotation whose unit quaternion has these first three numbers."""
    x, y, z = versor
    rest = 1 - (x * x + y * y + z * z)
    if not rest >= -1e-9:
        raise InputError(f"{entry.file}: the versor of {entry.kind} is longer than 1")
    return _from_quaternion(x, y, z, math.sqrt(max(0.0, rest)))


def _from_quaternion(x: float, y: float, z: float, w: float) -> Matrix:
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


KINDS: dict[str, Callable[[Entry], Any]] = {
    "AffineTransform": _affine,
    "CenteredAffineTransform": lambda entry: (
        np.array(entry.first(15)[:9]).reshape(3, 3),
        entry.parameters[12:],
        entry.parameters[9:12],
    ),
    "ComposeScaleSkewVersor3DTransform": _composed_scale_skew_versor,
    "Euler3DTransform": _euler,
    "IdentityTransform": _identity,
    "MatrixOffsetTransformBase": _affine,
    "QuaternionRigidTransform": _quaternion,
    "Rigid3DTransform": _affine,
    "ScalableAffineTransform": _affine,
    "ScaleSkewVersor3DTransform": _scale_skew_versor,
    "ScaleTransform": _scale,
    "ScaleVersor3DTransform": _scale_versor,
    "Similarity3DTransform": _similarity,
    "TranslationTransform": _translation,
    "VersorRigid3DTransform": _versor_rigid,
    "VersorTransform": _versor,
}
"""The affine ones: what each makes of its numbers."""
