"""Where everything lies in a TIFF file of uncompressed planes, known before any voxel is.

All IFDs stand at the beginning, then plane after plane, each with its reduced images; so a file can be filled in any
order, and readers find all pages in one look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol._version import __version__
from chunkvol.errors import InputError
from chunkvol.formats.tiff.resolution import resolution_tags
from chunkvol.formats.tiff.tags import BIG, CLASSIC, Form, Numbers, Page, Tag, pack_page, repeated
from chunkvol.regions import ceil_div

CLASSIC_BYTES = (1 << 32) - (1 << 25)
"""Larger files are BigTIFF; the 32 MiB leave room for what editors add."""

_ALIGN = 64
_SAMPLE_FORMATS = {"u": 1, "i": 2, "f": 3}

__all__ = ["CLASSIC_BYTES", "Layout", "Level", "check_type", "image_tags", "one_strip", "strip_tags"]


def check_type(dtype: np.dtype[Any], known: Sequence[str], noun: str) -> None:
    """Refuse a type of real values that a format does not hold, or that its readers do not take.

    Raises
    ------
    InputError
        It is none of `known`.
    """
    if dtype.name not in known:
        raise InputError(
            f"{noun} is written with {', '.join(known[:-1])} or {known[-1]}, not {dtype.name}: --dtype puts the values "
            "into another type, with --window LO,HI where they do not fit"
        )


def image_tags(
    size: tuple[int, int], dtype: np.dtype[Any], *, compression: int = 1, reduced: bool = False
) -> list[Tag]:
    """What every grey image says of itself; MinIsBlack always, whatever the number of planes."""
    return [
        Tag(254, "long", [int(reduced)]),
        Tag(256, "long", [size[1]]),
        Tag(257, "long", [size[0]]),
        Tag(258, "short", [8 * dtype.itemsize]),
        Tag(259, "short", [compression]),
        Tag(262, "short", [1]),
        Tag(277, "short", [1]),
        Tag(339, "short", [_SAMPLE_FORMATS[dtype.kind]]),
    ]


def strip_tags(rows: int, offsets: Numbers, sizes: Numbers, step: int = 0) -> list[Tag]:
    """Strips of so many rows: where they begin and how long they are."""
    return [Tag(273, "offset", offsets, step), Tag(278, "long", [rows]), Tag(279, "offset", sizes)]


@dataclass(frozen=True, slots=True)
class Level:
    """One image of a plane: the plane itself, or a reduced one."""

    factors: tuple[int, int]
    """Voxels of the plane in one of its own, along (j, i)."""
    size: tuple[int, int]
    """Rows and columns."""
    tile: tuple[int, int]
    """Rows and columns of a tile, multiples of 16; the size itself where the image is one strip."""
    start: int
    """Byte within the plane."""
    itemsize: int
    """Bytes of a voxel."""

    @property
    def tiles(self) -> tuple[int, int]:
        """Tiles down and across."""
        return ceil_div(self.size[0], self.tile[0]), ceil_div(self.size[1], self.tile[1])

    @property
    def tile_bytes(self) -> int:
        """Bytes of a tile; those at the edges are filled up."""
        return self.tile[0] * self.tile[1] * self.itemsize

    @property
    def bytes(self) -> int:
        """Bytes of the image."""
        return self.tiles[0] * self.tiles[1] * self.tile_bytes

    def storage_tags(self, plane: int, step: int) -> list[Tag]:
        """Where the voxels lie, for a plane that begins at this byte of the file."""
        count = self.tiles[0] * self.tiles[1]
        offsets = plane + self.start + self.tile_bytes * np.arange(count, dtype=np.int64)
        sizes = np.full(count, self.tile_bytes, np.int64)
        if self.tile == self.size:
            return strip_tags(self.size[0], offsets, sizes, step)
        return [
            Tag(322, "long", [self.tile[1]]),
            Tag(323, "long", [self.tile[0]]),
            Tag(324, "offset", offsets, step),
            Tag(325, "offset", sizes),
        ]


def one_strip(size: tuple[int, int], dtype: np.dtype[Any]) -> Level:
    """A plane as one strip of all rows."""
    return Level((1, 1), size, size, 0, dtype.itemsize)


@dataclass(frozen=True, slots=True)
class Layout:
    """A whole file."""

    planes: int
    """Planes, one after the other."""
    pages: int
    """IFDs of planes: one a plane, or only the first's."""
    levels: tuple[Level, ...]
    """The images of a plane, finest first."""
    dtype: np.dtype[Any]
    """Type of the voxels."""
    spacing: tuple[float, float]
    """Along (j, i), mm."""
    description: str
    """ImageDescription of the first page, ASCII; empty for none."""
    unit: str = "cm"
    """Of the resolution tags."""
    big: bool = False
    """Whether it is BigTIFF."""

    def fitted(self) -> Layout:
        """The layout in the classic form where that is enough, else as BigTIFF."""
        return replace(self, big=replace(self, big=False).total_bytes > CLASSIC_BYTES)

    @property
    def about(self) -> list[Tag]:
        """What the first page says of the file."""
        texts = {270: self.description, 305: f"chunkvol {__version__}"}
        return [Tag(code, "ascii", list(text.encode("ascii") + b"\0")) for code, text in texts.items() if text]

    @property
    def form(self) -> Form:
        """Classic or big."""
        return BIG if self.big else CLASSIC

    @property
    def plane_bytes(self) -> int:
        """Bytes of a plane with its reduced images."""
        return sum(level.bytes for level in self.levels)

    @property
    def start(self) -> int:
        """Byte at which the first plane begins."""
        return self._voxels(*self._packed(0))

    @property
    def total_bytes(self) -> int:
        """Bytes of the file."""
        return self.start + self.planes * self.plane_bytes

    def begin(self, path: Path) -> int:
        """Make a file with all that stands before the voxels; returns the byte at which they start."""
        start = self.start
        with open(path, "wb") as file:
            for part in self._header(start):
                file.write(part)
            file.truncate(start)
        return start

    def header(self) -> bytes:
        """All that stands before the voxels, of a file of few pages."""
        start = self.start
        return b"".join(self._header(start)).ljust(start, b"\0")

    def _header(self, voxels: int) -> Iterator[bytes]:
        first, others = self._packed(voxels)
        yield self.form.header
        yield from repeated(first, 1, linked=self.pages > 1)
        if self.pages > 1:
            yield from repeated(others, self.pages - 1)

    def _packed(self, voxels: int) -> tuple[Page, Page]:
        """The first page, which describes the file, and the second, of which all others are copies."""
        image, *reduced = self._ifds(voxels)
        first = pack_page([[*image, *self.about], *reduced], len(self.form.header), self.form)
        return first, pack_page(self._ifds(voxels + self.plane_bytes), first.start + len(first.data), self.form)

    def _voxels(self, first: Page, others: Page) -> int:
        return ceil_div(others.start + (self.pages - 1) * len(others.data), _ALIGN) * _ALIGN

    def _ifds(self, plane: int) -> list[list[Tag]]:
        """The entries of a page whose plane begins at this byte, and of its reduced images."""
        found = []
        for number, level in enumerate(self.levels):
            j, i = (length * factor for length, factor in zip(self.spacing, level.factors, strict=True))
            tags = image_tags(level.size, self.dtype, reduced=number > 0)
            found.append([*tags, *level.storage_tags(plane, self.plane_bytes), *resolution_tags((j, i), self.unit)])
        return found
