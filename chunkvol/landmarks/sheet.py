"""Drawing of contact sheets with Pillow: where tiles lie, and what is painted on them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.landmarks.views import SIDE, PointView
from chunkvol.regions import ceil_div

_GAP = 4
_MARGIN = 12
_HEAD, _FOOT, _TOP = 24, 18, 36
"""Heights of a panel's heading, of the line under its images, and of the sheet's title."""
_WIDTH = 3 * SIDE + 2 * _GAP
_HEIGHT = _HEAD + SIDE + _FOOT
_TEXT, _SMALL = 14, 12
_ARM, _HOLE = 17, 6
"""Pixels from the middle to the end of an arm of the cross, and to its beginning."""
_BAR = 0.35
"""Share of an image's width that a scale bar has at most."""

_PAPER = (17, 18, 22)
_NOTHING = (38, 32, 52)
"""Where there is no volume: no grey, so that black voxels are told apart."""
_EMPTY = (26, 27, 33)
_INK, _PALE, _MARK, _WARN = (236, 238, 242), (150, 156, 168), (255, 206, 40), (255, 140, 105)
_BLACK = (0, 0, 0)

__all__ = ["Panel", "Sheet"]


@dataclass(frozen=True)
class Panel:
    """What is drawn of a point."""

    number: str
    """Its place in the file, from 1."""
    label: str
    """Its name."""
    where: str
    """Its place, as text."""
    size: float
    """Width of its images, mm."""
    views: Sequence[PointView]
    """Its three planes, or none."""
    instead: str = ""
    """What is said where there are none."""


@dataclass(frozen=True)
class Sheet:
    """A dark sheet with panels in rows of so many columns."""

    columns: int
    """Panels beside each other."""
    image: Any
    """Pillow's module of images."""
    drawing: Any
    """Pillow's module of pens."""
    text: Any
    """Font of labels."""
    small: Any
    """Font of all else."""

    @classmethod
    def made(cls, columns: int) -> Sheet:
        """A sheet of so many columns.

        Raises
        ------
        InputError
            Pillow is not installed.
        """
        try:
            from PIL import Image, ImageDraw, ImageFont

            fonts = ImageFont.load_default(_TEXT), ImageFont.load_default(_SMALL)
        except ImportError as error:
            raise InputError("pictures of landmarks need Pillow: pip install 'chunkvol[plot]'") from error
        return cls(columns, Image, ImageDraw, *fonts)

    @staticmethod
    def panel_size() -> tuple[int, int]:
        """Width and height of a panel with its margin, pixels."""
        return _WIDTH + _MARGIN, _HEIGHT + _MARGIN

    def draw(self, panels: Sequence[Panel], title: str, window: tuple[float, float]) -> Any:
        """The sheet as Pillow's image; values of the window are shown from black to white."""
        width, height = self.panel_size()
        rows = ceil_div(len(panels), self.columns)
        columns = min(self.columns, len(panels))
        paper = self.image.new("RGB", (columns * width + _MARGIN, _TOP + rows * height + _MARGIN), _PAPER)
        pen = self.drawing.Draw(paper)
        pen.text((_MARGIN, _MARGIN - 1), self._fitting(title, columns * width - _MARGIN, self.small), _PALE, self.small)
        for n, panel in enumerate(panels):
            row, column = divmod(n, self.columns)
            self._panel(paper, pen, (_MARGIN + column * width, _TOP + row * height), panel, window)
        return paper

    def _panel(self, paper: Any, pen: Any, corner: tuple[int, int], panel: Panel, window: tuple[float, float]) -> None:
        left, top = corner
        right = left + _WIDTH
        pen.text((left, top + 3), panel.number, _MARK, self.text)
        start = left + pen.textlength(panel.number, self.text) + 8
        end = right - pen.textlength(panel.where, self.small)
        pen.text((end, top + 5), panel.where, _PALE, self.small)
        pen.text((start, top + 3), self._fitting(panel.label, end - start - 12, self.text), _INK, self.text)
        top += _HEAD
        if not panel.views:
            pen.rectangle((left, top, right - 1, top + SIDE - 1), _EMPTY)
            pen.text(((left + right) / 2, top + SIDE / 2), panel.instead, _WARN, self.text, anchor="mm")
        for n, view in enumerate(panel.views):
            at = left + n * (SIDE + _GAP)
            paper.paste(self.image.fromarray(_colours(view.image, window)), (at, top))
            self._marks(pen, (at, top), panel.size, view)
            text = f"{view.field.plane.view}, {'kji'[view.field.axis]} = {view.index}"
            pen.text((at, top + SIDE + 2), text, _PALE, self.small)

    def _marks(self, pen: Any, corner: tuple[int, int], size: float, view: PointView) -> None:
        """Cross, scale bar, and where right and down lead to."""
        left, top = corner
        x, y = left + SIDE // 2, top + SIDE // 2
        for width, colour in ((3, _BLACK), (1, _MARK)):
            grown = (width - 1) // 2
            for a, b in ((_HOLE - grown, _ARM + grown), (-_ARM - grown, -_HOLE + grown)):
                pen.line((x + a, y, x + b, y), colour, width)
                pen.line((x, y + a, x, y + b), colour, width)
        length = bar_length(_BAR * size)
        pixels = round(length / size * SIDE)
        base = top + SIDE - 9
        pen.rectangle((left + 7, base - 1, left + 8 + pixels, base + 3), _BLACK)
        pen.rectangle((left + 8, base, left + 7 + pixels, base + 2), _INK)
        halo = {"stroke_width": 1, "stroke_fill": _BLACK}
        pen.text((left + 8, base - 4), bar_text(length), _INK, self.small, anchor="ls", **halo)
        right, down = view.field.letters
        pen.text((left + SIDE - 5, y), right, _PALE, self.small, anchor="rm", **halo)
        pen.text((x, top + SIDE - 4), down, _PALE, self.small, anchor="ms", **halo)

    def _fitting(self, text: str, width: float, font: Any) -> str:
        """As much of one line as fits, in the letters that Pillow's own font has."""
        line = " ".join(plain(text).split())
        if font.getlength(line) <= width:
            return line
        while line and font.getlength(line + "...") > width:
            line = line[:-1]
        return line + "..."


def plain(text: str) -> str:
    """The text in ASCII: letters without their accents, and a question mark for each other one."""
    bare = "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))
    return bare.encode("ascii", "replace").decode()


def bar_length(most: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not above `most`."""
    power = 10.0 ** math.floor(math.log10(most) + 1e-9)
    return max((n * power for n in (1, 2, 5) if n * power <= most * (1 + 1e-9)), default=power)


def bar_text(mm: float) -> str:
    """A length with the unit in which it has no zeros behind the point."""
    return f"{mm:g} mm" if mm >= 0.9 else f"{1000 * mm:g} um" if mm >= 0.9e-3 else f"{1e6 * mm:g} nm"


def _colours(image: npt.NDArray[np.float32], window: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """Greys of a window, shape (rows, columns, 3)."""
    low, high = window
    nothing = np.isnan(image)
    share = np.where(nothing, 0, (image.astype(np.float64) - low) / (high - low))
    grey = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return np.where(nothing[..., None], np.array(_NOTHING, np.uint8), grey[..., None])
