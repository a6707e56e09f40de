"""Stacks of images: TIFF files, and folders of TIFF, PNG, BMP or JPEG slices."""

from chunkvol.formats.stack.opening import is_image_file, is_stack, open_stack

__all__ = ["is_image_file", "is_stack", "open_stack"]
