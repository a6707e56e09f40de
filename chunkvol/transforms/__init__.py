"""Affine transforms from files: ITK's text, and plain 4 x 4 matrices."""

from chunkvol.transforms.reader import MAPS, Maps, read_transform

__all__ = ["MAPS", "Maps", "read_transform"]
