"""Affine transforms from files: ITK's text, as Slicer, ANTs and elastix write it, and plain 4 x 4 matrices."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.geometry import Affine

MAPS = ("output-to-input", "input-to-output")
"""Which way a matrix leads: from points of the output to those of the input (pull), or the other way (push)."""
Maps = Literal["output-to-input", "input-to-output"]

_HEADER = "#Insight Transform File"
_LARGEST = 1 << 20
"""Bytes: an affine transform has 25 numbers, a composite of some hundreds of them still fits."""
_SINGULAR = 1e-9
"""Volume, of a cube of 1, below which what is left of it is flat."""

_BINARY = {
    ".mat": "a binary ITK transform",
    ".h5": "an HDF5 transform",
    ".hdf5": "an HDF5 transform",
    ".xfm": "an MNI transform",
    ".lta": "a FreeSurfer transform",
}

Matrix = npt.NDArray[np.float64]

__all__ = ["MAPS", "Maps", "read_transform"]


def read_transform(path: str | Path, maps: Maps | str | None = None) -> Affine:
    """The affine transform in a file, as a matrix from points of the output to points of the input (a pull).

    Parameters
    ----------
    path
        An ITK text transform (`.tfm`, `.txt`), which leads from output to input as all ITK transforms do: also those
        that Slicer saves, whose own matrix view shows the inverse. Or 16 numbers, row by row, in a text or `.npy`.
    maps
        Which way 16 numbers lead, "output-to-input" or "input-to-output": nobody can tell from them. Not for an ITK
        transform, which says it itself.

    Returns
    -------
    4 x 4, on LPS points (x, y, z, 1), mm.

    Raises
    ------
    InputError
        No affine transform of three dimensions, not finite, singular, or of a direction that is not known.
    """
    file = Path(path)
    if maps is not None and maps not in MAPS:
        raise InputError(f"a transform maps {' or '.join(MAPS)}, not {maps!r}")
    if file.suffix.lower() in _BINARY:
        raise InputError(
            f"{file} is {_BINARY[file.suffix.lower()]}, which is not read: save it as .tfm (in Slicer: Save as type "
            "Text; in Python: SimpleITK.WriteTransform(SimpleITK.ReadTransform(path), 'a.tfm'))"
        )
    data = _bytes(file)
    if data.startswith(_HEADER.encode()):
        if maps == "input-to-output":
            raise InputError(f"{file} is an ITK transform, which always maps output-to-input: leave the direction out")
        return _checked(_itk(file, _text(file, data)), file)
    matrix = _checked(_plain(file, data), file)
    if maps is None:
        raise InputError(
            f"{file} is a plain 4 x 4 matrix, which does not say which way it leads: say that it maps "
            f"{' or '.join(MAPS)} (--affine-maps)"
        )
    return matrix if maps == "output-to-input" else np.asarray(np.linalg.inv(matrix))


def _bytes(file: Path) -> bytes:
    try:
        with open(file, "rb") as stream:
            data = stream.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"the transform {file} cannot be read: {error.strerror or error}") from error
    if len(data) > _LARGEST:
        raise InputError(f"{file} has more than {_LARGEST} bytes, too many for an affine transform; export that alone")
    return data


def _text(file: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is no text: give an ITK text transform, or 16 numbers") from error


def _checked(matrix: Matrix, file: Path) -> Affine:
    """A matrix that has an inverse."""
    if not np.isfinite(matrix).all():
        raise InputError(f"the transform {file} has numbers that are not finite")
    if np.abs(matrix[3] - (0, 0, 0, 1)).max() > 1e-12:
        raise InputError(
            f"the last row of the transform {file} must be 0 0 0 1, found {' '.join(f'{v:g}' for v in matrix[3])}: "
            "is it written column by column?"
        )
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if not lengths.all() or abs(np.linalg.det(matrix[:3, :3] / lengths)) < _SINGULAR:
        raise InputError(f"the transform {file} is singular: it flattens space, so nothing can be resampled through it")
    return matrix


def _plain(file: Path, data: bytes) -> Matrix:
    """Sixteen numbers, row by row."""
    if data.startswith(b"\x93NUMPY"):
        try:
            values = np.load(io.BytesIO(data), allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise InputError(f"{file} is no array that numpy reads: {error}") from error
        if values.shape != (4, 4) or values.dtype.kind not in "iuf":
            raise InputError(f"a transform is a 4 x 4 matrix of numbers, {file} holds {values.shape} of {values.dtype}")
        return np.asarray(values, dtype=np.float64)
    lines = [line.split("#")[0] for line in _text(file, data).splitlines()]
    words = re.split(r"[\s,;\[\]]+", " ".join(lines).strip(" ,;[]\t"))
    numbers = _numbers(file, [word for word in words if word])
    if len(numbers) != 16:
        raise InputError(
            f"{file} holds {len(numbers)} numbers; a transform is a 4 x 4 matrix of 16, or an ITK text that begins "
            f"with {_HEADER!r}"
        )
    return np.array(numbers).reshape(4, 4)


def _numbers(file: Path, words: Sequence[str]) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        word = str(error).rpartition(":")[2].strip()
        raise InputError(f"{file} is no transform: {word[:40]} is no number") from error
    if not all(map(math.isfinite, numbers)):
        raise InputError(f"the transform {file} has numbers that are not finite")
    return numbers


# -------------------------------------------------------------------------------------------------------- ITK's text


@dataclass(frozen=True, slots=True)
class _Entry:
    """One transform of a file."""

    file: Path
    """Where it stands, for messages."""
    kind: str
    """Its class, without precision and dimensions."""
    parameters: tuple[float, ...]
    """What registration changes."""
    fixed: tuple[float, ...]
    """What it leaves: the centre first."""

    def first(self, count: int) -> list[float]:
        """The parameters, of which there must be `count`."""
        if len(self.parameters) != count:
            raise InputError(f"{self.file}: {self.kind} has {count} parameters, found {len(self.parameters)}")
        return list(self.parameters)


def _itk(file: Path, text: str) -> Matrix:
    """The product of a file's transforms.

    ITK writes a composite as an entry without parameters, followed by its parts; the last part is applied first.
    """
    entries = _entries(file, text)
    if not entries:
        raise InputError(f"{file} is an ITK transform file without a transform")
    composite = entries[0].kind == "CompositeTransform"
    parts = entries[1:] if composite else entries
    if len(parts) > 1 and not composite:
        raise InputError(f"{file} holds {len(parts)} transforms that are not one composite; save the one that is meant")
    whole = np.eye(4)
    for part in parts:
        whole = whole @ _matrix(part)
    return whole


def _entries(file: Path, text: str) -> list[_Entry]:
    found: list[dict[str, str]] = []
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if line.lstrip().startswith("#") or not colon:
            continue
        if key.strip() == "Transform":
            found.append({})
        if not found:
            raise InputError(f"{file}: {key.strip()[:40]!r} stands before any transform")
        found[-1][key.strip()] = value.strip()
    return [_entry(file, one) for one in found]


def _entry(file: Path, lines: dict[str, str]) -> _Entry:
    match = re.fullmatch(r"(\w+?)_(double|float)_(\d+)_(\d+)", lines["Transform"])
    if not match:
        raise InputError(f"{file}: {lines['Transform'][:60]!r} is no transform of ITK")
    if (match[3], match[4]) != ("3", "3"):
        raise InputError(f"{file} is a transform of {match[3]} dimensions; volumes have 3")
    if match[1] not in _KINDS and match[1] != "CompositeTransform":
        raise InputError(f"{file} is a {match[1]}, which is not affine; only affine transforms move grids")
    if match[1] != "CompositeTransform" and "Parameters" not in lines:
        raise InputError(f"{file} is cut short: {match[1]} has no parameters")
    values = [tuple(_numbers(file, lines.get(key, "").split())) for key in ("Parameters", "FixedParameters")]
    return _Entry(file, match[1], *values)


def _matrix(entry: _Entry) -> Matrix:
    """The matrix of one transform."""
    linear, shift, centre = _KINDS[entry.kind](entry)
    out = np.eye(4)
    out[:3, :3] = linear
    out[:3, 3] = np.array(shift) + centre - linear @ np.array(centre)
    return out


_Parts = tuple[Matrix, Sequence[float], Sequence[float]]
"""Linear part, translation, and the centre that the linear part leaves in place."""


def _centre(entry: _Entry) -> Sequence[float]:
    if len(entry.fixed) not in (0, 3, 4):
        raise InputError(f"{entry.file}: {entry.kind} has a centre of 3 numbers, found {len(entry.fixed)}")
    return entry.fixed[:3] or (0.0, 0.0, 0.0)


def _affine(entry: _Entry) -> _Parts:
    values = entry.first(12)
    return np.array(values[:9]).reshape(3, 3), values[9:], _centre(entry)


def _translation(entry: _Entry) -> _Parts:
    return np.eye(3), entry.first(3), (0.0, 0.0, 0.0)


def _identity(entry: _Entry) -> _Parts:
    return np.eye(3), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)


def _euler(entry: _Entry) -> _Parts:
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


def _versor(entry: _Entry) -> _Parts:
    return _rotation(entry, entry.first(3)), (0.0, 0.0, 0.0), _centre(entry)


def _versor_rigid(entry: _Entry) -> _Parts:
    values = entry.first(6)
    return _rotation(entry, values[:3]), values[3:], _centre(entry)


def _similarity(entry: _Entry) -> _Parts:
    values = entry.first(7)
    return values[6] * _rotation(entry, values[:3]), values[3:6], _centre(entry)


def _scale_versor(entry: _Entry) -> _Parts:
    values = entry.first(9)
    # ITK adds the scales to the rotation, less 1 each: its documentation says multiply, its code does this.
    return _rotation(entry, values[:3]) + np.diag(values[6:9]) - np.eye(3), values[3:6], _centre(entry)


def _scale_skew_versor(entry: _Entry) -> _Parts:
    values = entry.first(15)
    linear = _rotation(entry, values[:3]) + np.diag(values[6:9]) - np.eye(3)
    linear[(0, 0, 1, 1, 2, 2), (1, 2, 0, 2, 0, 1)] += values[9:15]
    return linear, values[3:6], _centre(entry)


def _composed_scale_skew_versor(entry: _Entry) -> _Parts:
    values = entry.first(12)
    skew = np.eye(3)
    skew[(0, 0, 1), (1, 2, 2)] = values[9:12]
    return _rotation(entry, values[:3]) @ np.diag(values[6:9]) @ skew, values[3:6], _centre(entry)


def _quaternion(entry: _Entry) -> _Parts:
    values = entry.first(7)
    x, y, z, w = values[:4]
    norm = math.sqrt(x * x + y * y + z * z + w * w)
    if not norm > 0:
        raise InputError(f"{entry.file}: the quaternion of {entry.kind} is 0")
    return _from_quaternion(x / norm, y / norm, z / norm, w / norm), values[4:], _centre(entry)


def _scale(entry: _Entry) -> _Parts:
    return np.diag(entry.first(3)), (0.0, 0.0, 0.0), _centre(entry)


def _rotation(entry: _Entry, versor: Sequence[float]) -> Matrix:
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


_KINDS: dict[str, Callable[[_Entry], Any]] = {
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
