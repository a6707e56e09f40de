"""Affine transforms from files: ITK's text, as Slicer, ANTs and elastix write it, and plain 4 x 4 matrices."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Literal

import numpy as np

from chunkvol.errors import InputError
from chunkvol.geometry import Affine
from chunkvol.transforms.entry import numbers_of
from chunkvol.transforms.itk import itk_matrix
from chunkvol.transforms.kinds import Matrix

MAPS = ("output-to-input", "input-to-output")
"""Which way a matrix leads: from points of the output to those of the input (pull), or the other way (push)."""
Maps = Literal["output-to-input", "input-to-output"]

_HEADER = "#Insight Transform File"
_LARGEST = 1 << 20
"""Bytes: an affine transform has 25 numbers, a composite of some hundreds of them still fits."""
_SINGULAR = 1e-9
"""Volume, of a cube of 1, below which what is left of it is flat."""

_ONES = 1e-6
"""How far the last number may be from 1: programs that compute in single precision write 1.00000012."""

_AS_TEXT = (
    "save it as .tfm (in Slicer: Save as type Text; in Python: "
    "SimpleITK.WriteTransform(SimpleITK.ReadTransform(path), 'a.tfm'))"
)
_OTHERS = {
    ".mat": ("a binary ITK transform", _AS_TEXT),
    ".h5": ("an HDF5 transform", _AS_TEXT),
    ".hdf5": ("an HDF5 transform", _AS_TEXT),
    ".xfm": ("an MNI transform", _AS_TEXT),
    # SimpleITK reads neither of these.
    ".lta": ("a FreeSurfer transform", "write it for ITK: lta_convert --inlta a.lta --outitk a.tfm"),
    "text .mat": (
        "a matrix of FSL, between the coordinates of two images",
        "write it for ITK: c3d_affine_tool -ref FIXED.nii -src MOVING.nii a.mat -fsl2ras -oitk a.tfm",
    ),
}
"""What is not read, by the end of its name, and what to do."""

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
    _check_kind(file)
    data = _bytes(file)
    if data.startswith(_HEADER.encode()):
        if maps == "input-to-output":
            raise InputError(f"{file} is an ITK transform, which always maps output-to-input: leave the direction out")
        return _checked(itk_matrix(file, _text(file, data)), file)
    matrix = _checked(_plain(file, data), file)
    if maps is None:
        raise InputError(
            f"{file} is a plain 4 x 4 matrix, which does not say which way it leads: say that it maps "
            f"{' or '.join(MAPS)} (--affine-maps)"
        )
    return matrix if maps == "output-to-input" else np.asarray(np.linalg.inv(matrix))


def _check_kind(file: Path) -> None:
    kind = file.suffix.lower()
    if kind == ".mat" and re.fullmatch(rb"[-+.\deE\s]+", _bytes(file)):
        kind = "text .mat"
    if kind in _OTHERS:
        what, way_out = _OTHERS[kind]
        raise InputError(f"{file} is {what}, which is not read: {way_out}")


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
    """A matrix that has an inverse, its last row exactly 0 0 0 1."""
    if not np.isfinite(matrix).all():
        raise InputError(f"the transform {file} has numbers that are not finite")
    if (np.abs(matrix[3] - (0, 0, 0, 1)) > (1e-12, 1e-12, 1e-12, _ONES)).any():
        raise InputError(
            f"the last row of the transform {file} must be 0 0 0 1, found {' '.join(f'{v:.9g}' for v in matrix[3])}: "
            "is it written column by column?"
        )
    matrix[3] = (0, 0, 0, 1)
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
    numbers = numbers_of(file, [word for word in words if word])
    if len(numbers) != 16:
        raise InputError(
            f"{file} holds {len(numbers)} numbers; a transform is a 4 x 4 matrix of 16, or an ITK text that begins "
            f"with {_HEADER!r}"
        )
    return np.array(numbers).reshape(4, 4)
