"""Points as an array of numpy, `.npy`, shape (n, 3): the file says neither frame nor units."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterable
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import FormatError
from chunkvol.landmarks.points import Landmarks
from chunkvol.landmarks.systems import Asked, signs_of

_BROKEN = (ValueError, TypeError, KeyError, EOFError, SyntaxError, TokenError, RecursionError, OverflowError)
"""What numpy raises of files that are cut or broken."""

__all__ = ["array_bytes", "is_array", "read_array"]


def is_array(path: Path, head: bytes) -> bool:
    """Whether a file begins as numpy writes them."""
    return head.startswith(b"\x93NUMPY")


def read_array(path: Path, data: bytes, asked: Asked) -> Landmarks:
    """Points named 1, 2, 3 ...; a row of NaN is a point that is not placed.

    Raises
    ------
    InputError
        The frame or the units are not said, or the array is not (n, 3) of finite numbers.
    """
    values = _array(path, data)
    if values.ndim != 2 or values.shape[1] != 3 or values.dtype.kind not in "fiu":
        raise FormatError(f"{path} holds {values.dtype} of shape {values.shape}; points are numbers of shape (n, 3)")
    values = values.astype(float)
    bad = ~np.isfinite(values).all(axis=1) & ~np.isnan(values).all(axis=1)
    for row in np.flatnonzero(bad)[:1].tolist():
        raise FormatError(
            f"{path}, row {row}: a point has three finite coordinates, found {values[row].tolist()}; a point that is "
            "not placed is a row of NaN"
        )
    system = asked.system(str(path))
    return Landmarks(system.points(values), tuple(map(str, range(1, len(values) + 1))), frame=system.frame)


def _array(path: Path, data: bytes) -> npt.NDArray[Any]:
    """The array in a file's bytes; nothing is allocated that is not there."""
    stream = io.BytesIO(data)
    try:
        with warnings.catch_warnings(action="ignore"):  # of headers that Python 2 wrote
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, by_columns, dtype = read(stream)
        values = np.frombuffer(data, dtype, math.prod(shape), stream.tell())
    except _BROKEN as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FormatError(f"{path} is no array of numpy that is whole: {reason[:80]}") from error
    return values.reshape(shape, order="F" if by_columns else "C")


def array_bytes(landmarks: Landmarks, path: Path, frame: str) -> Iterable[bytes]:
    """Float64 of shape (n, 3), in mm, or indices; names and all else are not kept."""
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(landmarks.points * signs_of(frame) + 0.0))
    return [stream.getvalue()]
