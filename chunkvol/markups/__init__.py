"""Markups of Slicer (`.mrk.json`): planes and regions of interest, in LPS mm."""

from chunkvol.markups.markup import Markup, MarkupPoint
from chunkvol.markups.reader import read_markup, read_markups

__all__ = ["Markup", "MarkupPoint", "read_markup", "read_markups"]
