"""TIFF files and folders of slices, written in slabs."""

from chunkvol.formats.tiff.imagej import prepare_imagej
from chunkvol.formats.tiff.ome import prepare_ome_tiff
from chunkvol.formats.tiff.pages import prepare_tiff
from chunkvol.formats.tiff.slices import prepare_tiff_slices

__all__ = ["prepare_imagej", "prepare_ome_tiff", "prepare_tiff", "prepare_tiff_slices"]
