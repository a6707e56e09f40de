"""NumPy's .npy, read by byte range and written in slabs; a JSON sidecar says where the voxels lie.

Source: the format's definition, numpy.lib.format (NEP 1).
"""

from __future__ import annotations

import struct
import warnings
from dataclasses import replace
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from chunkvol.errors import DamagedError, FormatError, GeometryError, InputError
from chunkvol.flatfile import FlatFile, FlatJob, prepare_flat, values_note
from chunkvol.formats.place import Place, Placing, Stated
from chunkvol.formats.sidecar import read_sidecar, sidecar_json, sidecar_of
from chunkvol.geometry import Geometry
from chunkvol.memory import Terms
from chunkvol.metadata import Metadata
from chunkvol.ops.reorient import ReorderedSource
from chunkvol.progress import Progress
from chunkvol.rawfiles import fingerprint, raw_source
from chunkvol.regions import Shape
from chunkvol.sources import Source
from chunkvol.volume import Volume

_MAGIC = b"\x93NUMPY"
_VERSIONS = ((1, 0), (2, 0), (3, 0))
_ALIGN = 64
_IN_C: Shape = (0, 1, 2)
_BROKEN = (ValueError, TypeError, KeyError, SyntaxError, TokenError, RecursionError, MemoryError)
"""What numpy's parser of headers raises."""

__all__ = ["is_npy", "open_npy", "prepare_npy"]


def is_npy(path: Path) -> bool:
    """True for a file that starts as .npy does."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def open_npy(path: Path, progress: Progress, **place: Any) -> Volume:
    """A lazy volume from an array with axes (k, j, i), or (j, i) for one plane; stored values.

    An array in Fortran order (a transposed one, saved) has the shape and the voxels that numpy shows of it.

    Parameters
    ----------
    path
        The file. Where a JSON sidecar of chunkvol's lies beside it, that says where the voxels are.
    progress
        Not told anything: only the header is read.
    place
        The fields of `Place`, which overrule the sidecar; what nobody says is assumed.

    Raises
    ------
    FormatError
        The array is of other dimensions, or of values that are no numbers.
    DamagedError
        The header is broken, or the file is shorter than it says.
    GeometryError
        The sidecar or the given grid is of another shape.
    """
    given = Place(**place)
    shape, stored, start, order = _header(path)
    noted = []
    if stored.kind == "b":
        stored = np.dtype("u1")
        noted.append("the array is of truth values: they are read as 0 and 1, uint8")
    sizes = np.array([path.stat().st_size])
    with open(path, "rb") as file:
        identity = fingerprint(file.read(start), path.parent, (path.name,), sizes, start)
    there: Shape = (shape[order[0]], shape[order[1]], shape[order[2]])
    raw, more = raw_source(path.parent, (path.name,), sizes, np.array([start]), there, stored, identity=identity)
    source: Source = raw if order == _IN_C else ReorderedSource(raw, order, (False, False, False))
    placing, metadata = _placed(path, shape, given)
    problems = (*placing.problems, *noted, *more)
    metadata = replace(
        metadata, assumed=placing.assumed, source=metadata.source or source.fingerprint, problems=problems
    )
    return Volume(source, placing.geometry, metadata)


def _header(path: Path) -> tuple[Shape, np.dtype[Any], int, Shape]:
    """Shape, type in the file, the byte at which the voxels start, and the axes from the slowest to the fastest."""
    with open(path, "rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            if version not in _VERSIONS:
                raise FormatError(f"{path} is .npy of version {version[0]}.{version[1]}; 1.0 to 3.0 are read")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # headers of Python 2 are read as well
                # Version 3.0 is 2.0 in UTF-8, which matters for the names of fields alone.
                shape, fortran, stored = read(file)
        except _BROKEN as error:
            raise DamagedError(f"{path}: its header is broken ({error}); write the array again") from error
        start = file.tell()
    if stored.kind not in "biuf" or stored.itemsize > 8 or stored == np.float16:
        raise FormatError(
            f"{path} holds an array of {stored}; integers of 8 to 64 bits, float32, float64 and bool are read: "
            "save array.astype('float32')"
        )
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise FormatError(
            f"{path} holds an array of shape {shape}; volumes (k, j, i) and single planes (j, i) are read: save one "
            "part of it"
        )
    k, j, i = (1, *shape)[-3:]
    if fortran and sum(n > 1 for n in shape) > 1:
        return (k, j, i), stored, start, (2, 1, 0) if len(shape) == 3 else (0, 2, 1)
    return (k, j, i), stored, start, _IN_C


def _placed(path: Path, shape: Shape, given: Place) -> tuple[Placing, Metadata]:
    """The grid by what the caller says, else by the sidecar, else assumed; and what the sidecar knows besides."""
    beside = sidecar_of(path)
    found = read_sidecar(beside)
    if found is None or (found[0].shape != shape and given.geometry is not None):
        return given.placed(shape, Stated(), str(path)), Metadata()
    grid, metadata = found
    if grid.shape != shape:
        raise GeometryError(
            f"{beside} is of an array of shape {grid.shape} and {path.name} has {shape} (k, j, i): it belongs to "
            "another array; take it away"
        )
    if given == Place():
        return Placing(grid, metadata.assumed), metadata
    placing = given.placed(shape, _stated(grid, beside.name), str(path))
    problems = (*placing.problems, *given.overruled(grid, beside.name))
    told = metadata.assumed and given.spacing is None and given.geometry is None
    return replace(placing, assumed=told, problems=problems), metadata


def _stated(grid: Geometry, name: str) -> Stated:
    k, j, i = zip(*grid.direction, strict=True)
    return Stated(grid.spacing, grid.origin, (k, j, i), by=name)


# ---------------------------------------------------------------------------------------------------- writing


def prepare_npy(
    volume: Volume,
    target: Path,
    terms: Terms,
) -> FlatJob:
    """Plan a .npy of real values in C order, axes (k, j, i), and the JSON sidecar with its place beside it.

    Parameters
    ----------
    volume
        What is written; a slope is applied.
    target
        The file's final place.
    terms
        How the job is to be run.

    Raises
    ------
    InputError
        The voxels are no integers of 8 to 64 bits, float32 or float64.
    BudgetError
        Even the smallest block does not fit; the message names the smallest budget that would do.
    """
    real = volume.values
    if real.dtype.kind not in "iuf" or real.dtype.name == "float16" or real.dtype.itemsize > 8:
        raise InputError(
            f".npy is written of integers of 8 to 64 bits, float32 and float64, not {real.dtype.name}; convert the "
            "array first"
        )
    sidecar = sidecar_of(target)
    extras = ((sidecar.name, sidecar_json(real.geometry, real.metadata)),)
    file = FlatFile((target.name,), _header_bytes(real.shape, real.dtype), extras=extras)
    notes = [
        *values_note(volume, real, ".npy"),
        f".npy holds no place in the world: it is in {sidecar.name} beside it, which chunkvol reads",
    ]
    return prepare_flat(real, file, terms=terms, notes=notes)


def _header_bytes(shape: Shape, dtype: np.dtype[Any]) -> bytes:
    """Version 1.0; made here, since releases of numpy pad it differently."""
    text = f"{{'descr': {dtype.newbyteorder('<').str!r}, 'fortran_order': False, 'shape': {tuple(shape)!r}, }}"
    before = len(_MAGIC) + 4
    length = -(-(before + len(text) + 1) // _ALIGN) * _ALIGN - before
    return _MAGIC + b"\x01\x00" + struct.pack("<H", length) + text.ljust(length - 1).encode() + b"\n"
