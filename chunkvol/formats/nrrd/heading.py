"""The text header of a NRRD file, as it is written: what ITK and Slicer write.

Source: "Definition of NRRD File Format", teem.sourceforge.net/nrrd/format.html.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chunkvol._version import __version__
from chunkvol.errors import InputError
from chunkvol.formats.nrrd.header import TYPES
from chunkvol.formats.nrrd.space import geometry_fields
from chunkvol.geometry import Geometry
from chunkvol.metadata import Metadata

__all__ = ["check_type", "header_from_geometry"]


def check_type(dtype: np.dtype[Any]) -> None:
    """Refuse a type that NRRD, or its readers, have no name for."""
    if dtype.name not in TYPES:
        raise InputError(
            f"NRRD holds integers of 8 to 64 bits, float32 and float64, not {dtype.name}; convert the array first"
        )


def header_from_geometry(
    geometry: Geometry, dtype: np.dtype[Any], metadata: Metadata, encoding: str, data_file: str | None = None
) -> bytes:
    """The header of a little endian volume, with the empty line where the data follows it.

    Parameters
    ----------
    geometry, dtype, metadata
        Of the voxels as they will stand in the file, real values.
    encoding
        raw or gzip.
    data_file
        Name of the file beside a detached header.
    """
    check_type(dtype)
    lines = [
        "NRRD0004",
        "# Complete NRRD file format specification at:",
        "# http://teem.sourceforge.net/nrrd/format.html",
        f"type: {TYPES[dtype.name][0]}",
        "dimension: 3",
        *(f"{name}: {value}" for name, value in geometry_fields(geometry)),
        "kinds: domain domain domain",
        *([] if dtype.itemsize == 1 else ["endian: little"]),
        f"encoding: {encoding}",
        *([] if data_file is None else [f"data file: {data_file}"]),
        *(f"chunkvol_{key}:={_escaped(value)}" for key, value in _own_keys(metadata)),
    ]
    end = "\n\n" if data_file is None else "\n"
    return ("\n".join(lines) + end).encode()


def _own_keys(metadata: Metadata) -> list[tuple[str, str]]:
    """Only what determined the voxels: no time, no host, no path."""
    pairs = [
        ("version", __version__),
        ("source", metadata.source),
        ("history", "; ".join(metadata.history)),
        ("geometry", "assumed" if metadata.assumed else "stated"),
        ("unit", metadata.rescale.unit),
    ]
    return [(key, value) for key, value in pairs if value]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
