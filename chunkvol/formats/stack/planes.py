"""The voxels of a stack, read plane by plane from its files."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol import system
from chunkvol.errors import DamagedError, FormatError, InputError
from chunkvol.formats.stack.decoding import decoded, preload
from chunkvol.formats.stack.layout import PALETTE_PIXELS, Layout, take_grey
from chunkvol.regions import Region, Shape, region_shape
from chunkvol.sources import Block, Source

_HELD = {"TIFF": (1, 3.0), "PNG": (1, 2.0), "JPEG": (2, 3.2)}
"""Copies of the file and of the decoded samples that are held at once, measured at 3000 x 2500 and rounded up: of a
strip as large as its page with a predictor, of progressive JPEG."""
_AHEAD = 128 << 20  # what a disk delivers while a plan is made; as for DICOM

__all__ = ["StackPlanes"]


@dataclass(frozen=True, eq=False)
class StackPlanes(Source):
    """One file or one page a plane, in their order. It pickles to about 30 bytes a plane."""

    folder: str
    """Folder of all files."""
    names: tuple[str, ...]
    """The file of each plane; the pages of one file repeat it."""
    offsets: npt.NDArray[np.int64]
    """Byte where its rows start, or its TIFF directory, shape (planes,)."""
    lengths: npt.NDArray[np.int64]
    """Bytes of its stored pixels, shape (planes,)."""
    layouts: tuple[Layout, ...]
    """The ways in which planes are stored, nearly always one; of one size and type."""
    ways: npt.NDArray[np.uint8]
    """Which of them, shape (planes,)."""
    identity: str = ""
    """Fingerprint of the stack."""

    @property
    def shape(self) -> Shape:  # type: ignore[override]  # derived here, a field elsewhere
        return len(self.names), self.layouts[0].rows, self.layouts[0].columns

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # as above
        return self.layouts[0].dtype

    @property
    def grain(self) -> Shape:
        whole = any(layout.codec for layout in self.layouts)
        return 1, self.shape[1] if whole else 1, self.shape[2]

    @property
    def fingerprint(self) -> str:
        return self.identity

    @property
    def stored_bytes(self) -> int:
        return int(self.lengths.sum())

    def preload(self) -> None:
        for layout in self.layouts:
            preload(layout)

    def read_ahead(self) -> None:
        before = np.cumsum(self.lengths) - self.lengths
        for k in range(int(np.searchsorted(before, _AHEAD))):
            raw = not self.layouts[self.ways[k]].codec
            with contextlib.suppress(OSError), system.opened(self.path(k)) as fd:
                system.read_soon(fd, int(self.offsets[k]) if raw else 0, int(self.lengths[k]))

    def scratch(self, shape: Shape) -> int:
        longest = int(self.lengths.max())
        return max(_scratch(layout, shape, longest) for layout in self.layouts)

    def path(self, k: int) -> str:
        """The file of plane k."""
        return os.path.join(self.folder, self.names[k])  # noqa: PTH118  # a string is half the time of a Path

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        for _, run in groupby(range(region[0].start, region[0].stop), key=self.names.__getitem__):
            planes = list(run)
            with self._naming(planes[0]), system.opened(self.path(planes[0])) as fd:
                for k in planes:
                    with self._naming(k):
                        self._read_plane(fd, k, region, block[k - region[0].start])
        return block

    @contextlib.contextmanager
    def _naming(self, k: int) -> Iterator[None]:
        """Errors name plane k and its file, once."""
        where = f"{self.path(k)} (plane {k})"
        try:
            yield
        except (DamagedError, FormatError) as error:
            if str(error).startswith(where):
                raise
            if isinstance(error, FormatError):
                raise FormatError(f"{where} {error}") from error
            raise DamagedError(f"{where} {error}; copy or export it again") from error
        except OSError as error:
            raise InputError(f"{where} cannot be read: {error.strerror or error}") from error

    def _read_plane(self, fd: int, k: int, region: Region, out: Block) -> None:
        _, rows, columns = region
        layout = self.layouts[self.ways[k]]
        offset = int(self.offsets[k])
        if layout.codec:
            stored = decoded(self.path(k), offset, layout)[rows, columns]
        elif layout.plain and out.flags.c_contiguous and out.shape[1] == layout.columns:
            _fill(fd, out, offset + rows.start * layout.row_bytes)
            if layout.big:
                out.byteswap(inplace=True)
            return
        else:
            stored = _rows(fd, offset, layout, rows)[:, columns]
        take_grey(stored, layout, out)


def _rows(fd: int, offset: int, layout: Layout, rows: slice) -> Block:
    """Some rows of uncompressed pixels, shape (rows, columns) or (rows, columns, samples)."""
    first = layout.rows - rows.stop if layout.upward else rows.start
    band = np.empty((rows.stop - rows.start, layout.row_bytes), np.uint8)
    _fill(fd, band, offset + first * layout.row_bytes)
    if layout.bilevel:
        band = np.unpackbits(band, axis=1)
    samples = band[:, : layout.columns * layout.samples * layout.dtype.itemsize].view(layout.dtype)
    if layout.big:
        samples.byteswap(inplace=True)
    if layout.upward:
        samples = samples[::-1]
    return samples if layout.samples == 1 else samples.reshape(len(samples), layout.columns, layout.samples)


def _fill(fd: int, block: Block, offset: int) -> None:
    view = block.data.cast("B")
    got = system.pread_into(fd, view, offset)
    if got < len(view):
        raise DamagedError(f"ends {len(view) - got} bytes early: the file became shorter")


def _scratch(layout: Layout, shape: Shape, longest: int) -> int:
    """Most bytes held beside the block: rows as stored, or the file, what is decoded and the decoder's copy."""
    rows = layout.rows if layout.codec else shape[1]
    samples = rows * layout.columns * layout.samples * layout.dtype.itemsize
    compared = rows * layout.columns if layout.samples > 1 else 0
    turned = 10 * max(PALETTE_PIXELS, shape[2]) if layout.palette else 0
    if not layout.codec:
        # Of padded rows of colours a copy is made; a bit becomes a byte.
        copied = samples if layout.samples > 1 else 8 * rows * layout.row_bytes if layout.bilevel else 0
        return rows * layout.row_bytes + copied + compared + turned
    files, planes = _HELD[layout.codec]
    return files * longest + math.ceil(planes * samples) + compared + turned
