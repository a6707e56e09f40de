"""The OME-XML of a volume of one channel (OME schema 2016-06), as ASCII."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from chunkvol._version import __version__
from chunkvol.geometry import Geometry

TYPES = {
    "uint8": "uint8",
    "int8": "int8",
    "uint16": "uint16",
    "int16": "int16",
    "uint32": "uint32",
    "int32": "int32",
    "float32": "float",
    "float64": "double",
}
"""OME's names of types; it has no integers of 64 bits."""

_NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"

__all__ = ["TYPES", "ome_xml"]


def ome_xml(geometry: Geometry, dtype: np.dtype[Any]) -> str:
    """The ImageDescription of an OME-TIFF whose pages are the planes, in order; sizes are in mm.

    No UUID and no name: they would tell files apart that hold the same.
    """
    planes, rows, columns = geometry.shape
    pixels = {
        "ID": "Pixels:0",
        "DimensionOrder": "XYZCT",
        "Type": TYPES[dtype.name],
        "BigEndian": "false",
        "SizeX": columns,
        "SizeY": rows,
        "SizeZ": planes,
        "SizeC": 1,
        "SizeT": 1,
    }
    for axis, spacing in zip("XYZ", geometry.spacing[::-1], strict=True):
        pixels |= {f"PhysicalSize{axis}": repr(spacing), f"PhysicalSize{axis}Unit": "mm"}
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{_NAMESPACE}" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:schemaLocation="{_NAMESPACE} {_NAMESPACE}/ome.xsd" Creator={quoteattr(f"chunkvol {__version__}")}>'
        f'<Image ID="Image:0"><Pixels {_attributes(pixels)}><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        f'<TiffData IFD="0" PlaneCount="{planes}"/></Pixels></Image></OME>'
    )


def _attributes(values: dict[str, Any]) -> str:
    return " ".join(f"{name}={quoteattr(str(value))}" for name, value in values.items())
