"""DICOM series of single-frame images, written plane by plane."""

from chunkvol.formats.dicom.writer.job import prepare_series

__all__ = ["prepare_series"]
