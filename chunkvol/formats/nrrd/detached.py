"""A detached NRRD header in front of files of other formats, whose last bytes are the voxels; no voxel is copied.

Source: "Definition of NRRD File Format", fields "data file" (LIST) and "byte skip" (-1: the last bytes of each file).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.errors import InputError
from chunkvol.formats.nrrd.heading import header_from_geometry
from chunkvol.geometry import Geometry
from chunkvol.metadata import Metadata, Rescale

__all__ = ["header_in_front", "relative_names"]


def header_in_front(geometry: Geometry, dtype: np.dtype[Any], metadata: Metadata, names: Sequence[str]) -> bytes:
    """The header of a volume whose planes are the last bytes of one file each.

    NRRD has no slope: where stored values are not the real ones, the keys RescaleSlope, RescaleIntercept and
    RescaleType say what leads there, which chunkvol heeds and other readers do not.

    Parameters
    ----------
    geometry, dtype, metadata
        Of the voxels as they are stored, little endian.
    names
        The files in the order of k, as `relative_names` gives them.
    """
    scale = metadata.rescale
    plain = header_from_geometry(
        geometry, dtype, metadata if scale.is_identity else replace(metadata, rescale=Rescale()), "raw"
    )
    lines = plain.decode().rstrip("\n").split("\n")
    at = lines.index("encoding: raw") + 1
    lines[at:at] = ["byte skip: -1"]
    # Teem and ITK take all lines after LIST for names, so that it comes last.
    return "\n".join([*lines, *_keys(scale), "data file: LIST", *names, ""]).encode()


def _keys(scale: Rescale) -> Iterable[str]:
    if not scale.is_identity:
        yield f"RescaleSlope:={scale.slope!r}"
        yield f"RescaleIntercept:={scale.intercept!r}"
        if scale.unit:
            yield f"RescaleType:={scale.unit}"


def relative_names(header: Path, paths: Iterable[str]) -> list[str]:
    """The files as a header names them: relative to its folder, with slashes.

    Raises
    ------
    InputError
        A name cannot stand in a line of the header.
    """
    here = os.path.realpath(header.parent)
    folders: dict[str, str] = {}
    names = []
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = _relative(os.path.realpath(folder), here)
        inner = folders[folder]
        names.append(_checked(name if inner == os.curdir else f"{inner}/{name}", path))
    return names


def _relative(folder: str, here: str) -> str:
    try:
        return Path(os.path.relpath(folder, here)).as_posix()
    except ValueError as error:
        raise InputError(
            f"no path leads from {here} to {folder}: write the header onto the disk of the files"
        ) from error


def _checked(name: str, path: str) -> str:
    """Readers end names at the end of the line, and take blanks at its ends away."""
    try:
        name.encode()
        plain = name == name.strip() and name.splitlines() == [name]
    except UnicodeEncodeError:
        plain = False
    if not plain:
        raise InputError(
            f"{path!r} cannot stand in a NRRD header: it has a line break, a blank at its end, or is no text; rename it"
        )
    return name
