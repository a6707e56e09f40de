"""Where a NIfTI header puts the voxels: sform, qform or pixdim as a Geometry, and back. RAS outside, LPS mm inside.

Source: "Orientation and location in space" in nifti1.h, methods 1 to 3; nibabel and ITK where it leaves a choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import GeometryError
from chunkvol.formats.place import Placing
from chunkvol.geometry import Geometry
from chunkvol.regions import Shape

Matrix = npt.NDArray[np.float64]

_UNITS = {
    0: ("", 1, 1),
    1: ("m", 1000, 1),
    2: ("mm", 1, 1),
    3: ("um", 1, 1000),
}
"""Name and millimetres of each code, as a fraction: a division by 1000 is exactly rounded."""

_RAS = np.array([-1.0, -1.0, 1.0])
"""Signs between RAS and LPS, either way."""
_SCALED = " (programs built on ITK scale by pixdim)"
_ROTATION = 0.01
"""How far the squares of a quaternion may exceed 1 and still be taken for rounding."""
_HALF_TURN = 1e-7
"""How far the squares of a quaternion in single precision may stay below 1 for half a turn, as nifti1_io has it."""

NOTICEABLE = 1e-3
"""Voxels (of the finest axis) by which two grids may differ at their corners before it is said."""

__all__ = ["NOTICEABLE", "displacement", "geometry_fields", "geometry_from_header", "itk_refuses"]


@np.errstate(over="ignore", under="ignore", invalid="ignore")  # the grid checks what comes out
def geometry_from_header(fields: Mapping[str, Any], shape: Shape, *, epsilon: float = 0.0) -> Placing:
    """Where the fields (by their names in `LAYOUTS`) put a volume of this shape (k, j, i).

    The sform is used where its code is above 0, else the qform where its code is, else pixdim alone, which states no
    direction and no origin.

    Parameters
    ----------
    fields
        Of a header, as Python values.
    shape
        Voxels along (k, j, i).
    epsilon
        Relative rounding of the header's numbers, which is no disagreement of sform and qform.

    Raises
    ------
    GeometryError
        What is used is not finite or zero.
    """
    noted: list[str] = []
    code, assumed = fields["xyzt_units"] & 7, False
    name, numerator, denominator = _UNITS.get(code, ("", 1, 1))
    if code not in _UNITS:
        noted.append(f"xyzt_units has the unknown code {code} for lengths: mm is assumed")
    elif numerator != denominator:
        noted.append(f"lengths are in {name}: converted to mm")
    if fields["sform_code"] > 0:
        affine = _sform(fields)
        noted += _contradictions(fields, affine, shape, epsilon)
    elif fields["qform_code"] > 0:
        affine = _qform(fields, epsilon)
    else:
        assumed = True
        noted.append("the header states pixdim alone: origin 0, 0, 0 and left-posterior-superior are assumed")
        affine = np.diag([*_RAS * _pixdim(fields), 1.0])
    affine, guessed = _with_thickness(affine, fields["dim"][0])
    # Adding 0 turns -0 into 0.
    world = affine[:3] * _RAS[:, None] * numerator / denominator + 0.0
    grid = Geometry.from_steps(shape, world[:, 3], world[:, 2::-1].T)
    return Placing(grid, assumed or bool(guessed), (*noted, *guessed))


def _sform(fields: Mapping[str, Any]) -> Matrix:
    """From (i, j, k, 1) to RAS in the header's unit: method 3."""
    affine = np.eye(4)
    affine[:3] = np.reshape(fields["srow"], (3, 4))
    if not np.isfinite(affine).all():
        raise GeometryError(f"srow must hold 12 finite numbers, found {fields['srow']}")
    steps = affine[:3, : min(3, fields["dim"][0])]
    lengths = np.abs(steps).max(axis=0)
    if not lengths.min() > 0 or np.linalg.matrix_rank(steps / lengths) < steps.shape[1]:
        raise GeometryError(
            f"the steps of the sform, which its code {fields['sform_code']} says to use, are zero or parallel: srow "
            f"holds {np.reshape(fields['srow'], (3, 4)).tolist()}; set sform_code to 0 to use the qform"
        )
    return affine


def _qform(fields: Mapping[str, Any], epsilon: float) -> Matrix:
    """From (i, j, k, 1) to RAS in the header's unit: method 2."""
    affine = np.eye(4)
    steps = _pixdim(fields)
    steps[2] *= -1 if fields["pixdim"][0] < 0 else 1
    affine[:3, :3] = _rotation(fields["quatern"], epsilon) * steps
    affine[:3, 3] = fields["qoffset"]
    if not np.isfinite(affine).all():
        raise GeometryError(f"qoffset must hold three finite numbers, found {fields['qoffset']}")
    return affine


def _pixdim(fields: Mapping[str, Any]) -> Matrix:
    """Steps along i, j, k; that of an image's third axis may be left out."""
    steps = np.array(fields["pixdim"][1:4], float)
    needed = steps[: 2 if fields["dim"][0] == 2 else 3]
    if not np.isfinite(needed).all() or needed.min() <= 0:
        raise GeometryError(f"pixdim must hold finite lengths above 0, found {steps.tolist()} along x, y, z")
    if len(needed) == 2 and not (np.isfinite(steps[2]) and steps[2] > 0):
        steps[2] = 0.0
    return steps


def _rotation(quatern: list[float], epsilon: float) -> Matrix:
    """The rotation of the quaternion (a, b, c, d) whose a is not stored and not negative.

    Rounding may leave the others longer or shorter than 1, and near half a turn a is its root, up to 3e-4 rad: there a
    is 0, and all are divided by their length, as nifti1_io does.
    """
    squares = float(np.square(quatern).sum()) if np.abs(quatern).max() < 2 else np.inf
    if not squares <= 1 + _ROTATION:
        raise GeometryError(f"the quaternion must be a rotation, found b, c, d = {quatern}")
    half = 1 - squares < min(_HALF_TURN, epsilon)
    a, b, c, d = np.array([0.0 if half else np.sqrt(1 - squares), *quatern]) / (np.sqrt(squares) if half else 1.0)
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )


def _with_thickness(affine: Matrix, dimensions: int) -> tuple[Matrix, list[str]]:
    """An image of two dimensions that states no third step gets one of 1 along its normal."""
    if dimensions > 2 or affine[:3, 2].any():
        return affine, []
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    length = np.linalg.norm(normal)
    if not (np.isfinite(length) and length > 0):
        return affine, []
    out = affine.copy()
    out[:3, 2] = normal / length
    return out, ["the header states no thickness of its plane: 1 in its unit of length is assumed"]


# ------------------------------------------------------------------------------------------------ contradictions


def _contradictions(fields: Mapping[str, Any], sform: Matrix, shape: Shape, epsilon: float) -> list[str]:
    """What else the header says of the grid and does not agree with the sform."""
    lengths = np.linalg.norm(sform[:3, :3], axis=0)
    if not lengths.min() > 0:
        return []  # refused with a clear message later
    if fields["qform_code"] > 0:
        try:
            other, name, habit = _qform(fields, epsilon), "qform", _qform_habit(fields)
        except GeometryError as error:
            return [f"the qform is not usable ({error}): the sform is used"]
        other[:3, :3] = _unrounded(other[:3, :3], fields["quatern"], sform[:3, :3] / lengths, epsilon)
    else:
        try:
            steps = _pixdim(fields)
        except GeometryError as error:
            return [f"pixdim is not usable ({error}): the sform is used{_SCALED}"]
        other, name, habit = sform.copy(), "pixdim", _SCALED
        other[:3, :3] *= steps / lengths
    rounding = 4 * epsilon * (np.abs(other[:3, 3]).max() + np.linalg.norm(other[:3, :3] * shape[::-1]))
    shift = _shift(sform, other, shape)
    if shift <= NOTICEABLE * lengths.min() + rounding:
        return []
    return [
        f"sform and {name} differ by up to {shift / lengths.min():.3g} voxels at the corners: the sform is used{habit}",
    ]


def _qform_habit(fields: Mapping[str, Any]) -> str:
    # Measured with ITK 5.4: with both set, the sform is believed only where its code is 1 (scanner).
    return "" if fields["sform_code"] == 1 else " (programs built on ITK use the qform)"


def _unrounded(steps: Matrix, quatern: list[float], columns: Matrix, epsilon: float) -> Matrix:
    """The qform's steps, turned as the sform is where its quaternion is the sform's own but for rounding.

    Near half a turn a = sqrt(1 - b*b - c*c - d*d) keeps few digits: single precision turns grids by 3e-4 rad there.
    """
    rotation, sign = _nearest_rotation(columns)
    first, *others = _quaternion(rotation)
    alike = [1.0, -1.0] if first < 2 * np.sqrt(epsilon) else [1.0]
    same = any(np.abs(np.array(others) - one * np.array(quatern)).max() <= 2 * epsilon for one in alike)
    if not same or np.linalg.det(steps) * sign < 0:
        return steps
    out: Matrix = rotation * np.linalg.norm(steps, axis=0) * [1, 1, sign]
    return out


def _shift(one: Matrix, other: Matrix, shape: Shape) -> float:
    """The largest distance between the corners of two affines, both from (i, j, k, 1)."""
    bits = np.array([[a, b, c, 1] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    corners = bits * [*(np.array(shape[::-1]) - 1), 1]
    return float(np.linalg.norm(corners @ (one - other)[:3].T, axis=1).max())


# ------------------------------------------------------------------------------------------------------- writing


def geometry_fields(geometry: Geometry) -> dict[str, Any]:
    """The fields that place a volume, in double precision: sform always, qform where the axes are perpendicular.

    The codes are 1 (scanner), with which ITK believes the sform.
    """
    sform = _ras(geometry)
    spacing = geometry.spacing[::-1]
    rotation, sign = _nearest_rotation(sform[:3, :3] / spacing)
    fields = {
        "pixdim": [sign, *spacing, 0.0, 0.0, 0.0, 0.0],
        "xyzt_units": 2,
        "sform_code": 1,
        "srow": sform[:3].reshape(-1),
    }
    upright = sform.copy()
    upright[:3, :3] = rotation * spacing * [1, 1, sign]
    if _shift(sform, upright, geometry.shape) <= NOTICEABLE * min(spacing):
        fields |= {"qform_code": 1, "quatern": _quaternion(rotation)[1:], "qoffset": sform[:3, 3]}
    return fields


def displacement(geometry: Geometry, srow: npt.NDArray[Any]) -> float:
    """The largest distance in mm between a grid's corners and where a header's `srow`, as it was rounded, puts them."""
    rounded = np.eye(4)
    rounded[:3] = srow.reshape(3, 4)
    return _shift(_ras(geometry), rounded, geometry.shape)


def itk_refuses(geometry: Geometry) -> bool:
    """Whether the axes are so far from perpendicular that ITK 5.4 refuses the file (measured: between 1 and 1.2e-4)."""
    matrix = np.array(geometry.direction)
    return bool(np.abs(matrix.T @ matrix - np.eye(3)).max() > 1e-4)


def _ras(geometry: Geometry) -> Matrix:
    """From (i, j, k, 1) to RAS mm, without negative zeros."""
    out: Matrix = np.diag([*_RAS, 1.0]) @ geometry.affine[:, [2, 1, 0, 3]] + 0.0
    return out


def _nearest_rotation(matrix: Matrix) -> tuple[Matrix, float]:
    """The rotation nearest to unit columns, and -1 where the third one had to be turned round for it."""
    sign = 1.0 if np.linalg.det(matrix) > 0 else -1.0
    columns = matrix * [1, 1, sign]
    if np.array_equal(columns.T @ columns, np.eye(3)):
        return columns, sign  # no rounding of what is exact
    left, _, right = np.linalg.svd(columns)
    return left @ right, sign


def _quaternion(rotation: Matrix) -> Matrix:
    """The unit quaternion (a, b, c, d) of a rotation, a not negative."""
    (a, b, c), (d, e, f), (g, h, i) = rotation.tolist()
    # Four times the outer product of the quaternion with itself: the row of the largest square loses no digits.
    outer = np.array(
        [
            [1 + a + e + i, h - f, c - g, d - b],
            [h - f, 1 + a - e - i, b + d, c + g],
            [c - g, b + d, 1 - a + e - i, f + h],
            [d - b, c + g, f + h, 1 - a - e + i],
        ]
    )
    row: Matrix = outer[np.diag(outer).argmax()]
    unit: Matrix = row / np.linalg.norm(row)
    return (unit if unit[0] >= 0 else -unit) + 0.0
