"""NRRD, attached and detached, read and written in bounded memory."""

from chunkvol.formats.nrrd.header import NrrdHeader, parse_header
from chunkvol.formats.nrrd.heading import header_from_geometry
from chunkvol.formats.nrrd.reader import is_nrrd, open_nrrd
from chunkvol.formats.nrrd.space import geometry_from_header
from chunkvol.formats.nrrd.writer import nrrd_names, prepare_nrrd

__all__ = [
    "NrrdHeader",
    "geometry_from_header",
    "header_from_geometry",
    "is_nrrd",
    "nrrd_names",
    "open_nrrd",
    "parse_header",
    "prepare_nrrd",
]
