"""DICOM segmentation objects (SEG), read as label volumes with their segments."""

from chunkvol.formats.dicom.segmentation.find import is_segmentation
from chunkvol.formats.dicom.segmentation.reader import open_segmentation

__all__ = ["is_segmentation", "open_segmentation"]
