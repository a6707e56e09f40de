"""Slicer's segmentations (.seg.nrrd), read and written with names, values and colours."""

from chunkvol.formats.seg_nrrd.reader import is_seg_nrrd, open_seg_nrrd
from chunkvol.formats.seg_nrrd.writer import prepare_seg_nrrd

__all__ = ["is_seg_nrrd", "open_seg_nrrd", "prepare_seg_nrrd"]
