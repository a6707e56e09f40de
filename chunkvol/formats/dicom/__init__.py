"""DICOM series: many small files that make one volume."""

from chunkvol.formats.dicom.catalogue.scan import is_dicom
from chunkvol.formats.dicom.pixels.planes import DicomPlanes
from chunkvol.formats.dicom.series import open_dicom

__all__ = ["DicomPlanes", "is_dicom", "open_dicom"]
