"""NIfTI-1 and NIfTI-2, read and written in bounded memory."""

from chunkvol.formats.nifti.header import NiftiHeader, is_nifti, parse_header
from chunkvol.formats.nifti.reader import open_nifti
from chunkvol.formats.nifti.space import geometry_from_header
from chunkvol.formats.nifti.writer import header_from_geometry, prepare_nifti

__all__ = [
    "NiftiHeader",
    "geometry_from_header",
    "header_from_geometry",
    "is_nifti",
    "open_nifti",
    "parse_header",
    "prepare_nifti",
]
