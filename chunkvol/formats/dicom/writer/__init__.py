"""DICOM series of single-frame images, written plane by plane, and single images."""

from chunkvol.formats.dicom.writer.job import prepare_series
from chunkvol.formats.dicom.writer.older import is_own_series
from chunkvol.formats.dicom.writer.single import prepare_image

__all__ = ["is_own_series", "prepare_image", "prepare_series"]
