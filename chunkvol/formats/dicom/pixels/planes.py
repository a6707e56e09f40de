"""The voxels of a series, read plane by plane from its files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from chunkvol import system
from chunkvol.errors import DamagedError, FormatError, InputError
from chunkvol.formats.dicom.pixels.decoders import Decoder
from chunkvol.formats.dicom.pixels.frames import decode_frame, read_fragments, read_frame
from chunkvol.formats.dicom.pixels.layout import PixelLayout, keep_stored_bits
from chunkvol.formats.dicom.pixels.native import PIECE, InflatedPixels, grey_plane, pixels_at, pixels_scratch
from chunkvol.formats.dicom.pixels.transfer import SYNTAXES, find_decoder
from chunkvol.regions import Region, Shape, region_shape, spans, voxels
from chunkvol.sources import Block, RawSource, Source

_AHEAD = 128 << 20  # what a disk delivers in the tenth of a second that planning takes; all of it slows warm files down

__all__ = ["DicomPlanes"]


@dataclass(frozen=True, eq=False)
class DicomPlanes(Source):
    """One file or one frame a plane, in ascending order along the normal. It pickles to about 30 bytes a plane.

    Deflated files of several frames can only be read from their start: `grain` and `scratch` are those of the raw copy
    that `staged` makes of them, and a read without it inflates everything before its region.
    """

    folder: str
    """Folder above all files."""
    names: tuple[str, ...]
    """Path of each plane's file below `folder`; the frames of one file repeat it."""
    offsets: npt.NDArray[np.int64]
    """Byte where its pixel data starts (in the inflated stream where the files are deflated), shape (planes,)."""
    lengths: npt.NDArray[np.int64]
    """Bytes of pixel data; for compressed ones those up to the end of the file, or see `framed`, shape (planes,)."""
    layout: PixelLayout
    """How the pixels are stored."""
    identity: str = ""
    """Fingerprint of the series."""
    deflated_at: npt.NDArray[np.int64] | None = None
    """Byte where each deflated data set starts, or None."""
    framed: bool | npt.NDArray[np.bool_] = False
    """Whether offset and length of compressed planes, of all or shape (planes,), are those of a frame's own fragments,
    as in a file of several frames."""
    numbers: tuple[int, ...] | None = field(default=None, compare=False)
    """Instance Number of each plane's file, by which others may have stacked them; None where one has none."""

    @property
    def shape(self) -> Shape:  # type: ignore[override]  # derived here, a field elsewhere
        return len(self.names), self.layout.rows, self.layout.columns

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # as above
        return self.layout.dtype

    @property
    def grain(self) -> Shape:
        return 1, 1 if self._has_rows else self.layout.rows, self.layout.columns

    @property
    def fingerprint(self) -> str:
        return self.identity

    @property
    def stored_bytes(self) -> int:
        return int(self.lengths.sum())

    def preload(self) -> None:
        if SYNTAXES[self.layout.transfer_syntax].encapsulated:
            self._decoder.preload()

    def read_ahead(self) -> None:
        before = np.cumsum(self.lengths) - self.lengths
        for k in range(int(np.searchsorted(before, _AHEAD))):
            with contextlib.suppress(OSError), system.opened(self.path(k)) as fd:
                if self.deflated_at is None:
                    system.read_soon(fd, int(self.offsets[k]), int(self.lengths[k]))
                else:
                    system.read_soon(fd)

    def scratch(self, shape: Shape) -> int:
        layout = self.layout
        if self._has_rows:  # only where rows are cut or `out` has gaps
            pixels = shape[1] * layout.columns
            inflating = 0 if self.deflated_at is None else 6 * PIECE
            return pixels * self.dtype.itemsize + pixels_scratch(layout, pixels) + inflating
        # A plane where rows are cut or `out` has gaps; of colour all channels, a decoder's own, and where they differ.
        held = layout.plane_bytes
        if layout.samples > 1:
            held += 2 * layout.stored_bytes + layout.rows * layout.columns
        if self._family == "deflated":
            return held + 6 * PIECE
        samples = layout.rows * layout.columns * layout.samples
        if SYNTAXES[layout.transfer_syntax].encapsulated:
            held += 2 * int(self.lengths.max()) + int(self._decoder.pixel_bytes * samples)
            return held + layout.stored_bytes // 2  # where a frame has fewer bits than its pixels
        return held + pixels_scratch(layout, samples)

    @property
    def staging_bytes(self) -> int:
        return voxels(self.shape) * self.dtype.itemsize if self._shares_streams else 0

    @property
    def staging_scratch(self) -> int:
        return 8 * PIECE if self._shares_streams else 0

    def staged(self, folder: Path) -> Source:
        if not self._shares_streams:
            return self
        path = folder / "frames.inflated"
        with open(path, "wb") as file:
            for _, run in groupby(self._in_order(range(len(self.names))), key=self.names.__getitem__):
                self._inflate(list(run), file)
        return RawSource(path, self.shape, self.dtype, 0, self.identity)

    def _inflate(self, planes: Sequence[int], file: BinaryIO) -> None:
        """Put the planes of one deflated file where they belong in a raw copy, some rows at a time."""
        _, rows, columns = self.shape
        row_bytes = columns * self.dtype.itemsize
        band = np.empty((min(rows, max(1, PIECE // row_bytes)), columns), self.dtype)
        with self._opened(planes[0]) as (fd, inflated):
            for k in planes:
                file.seek(k * rows * row_bytes)
                for part in spans(rows, len(band)):
                    some = band[: part.stop - part.start]
                    with self._naming(k):
                        self._read_plane(fd, inflated, k, (slice(k, k + 1), part, slice(0, columns)), some)
                    file.write(some.data.cast("B"))

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        planes = range(region[0].start, region[0].stop)
        for _, run in groupby(self._in_order(planes), key=self.names.__getitem__):
            self._read_file(list(run), region, block)
        return block

    def path(self, k: int) -> str:
        """The file of plane k."""
        return os.path.join(self.folder, self.names[k])  # noqa: PTH118  # a string is half the time of a Path

    @property
    def _family(self) -> str:
        return SYNTAXES[self.layout.transfer_syntax].family

    @property
    def _decoder(self) -> Decoder:
        return find_decoder(self.layout.transfer_syntax, self.layout.samples)

    @property
    def _has_rows(self) -> bool:
        """Whether some rows can be read without the others."""
        grey = self.layout.samples == 1 and self._family in ("little endian", "big endian")
        return grey or self._shares_streams

    @property
    def _shares_streams(self) -> bool:
        """Whether grey planes share deflated files, so that the later ones cost all before them."""
        several = self.deflated_at is not None and len(set(self.names)) < len(self.names)
        return several and self.layout.samples == 1

    def _in_order(self, planes: range) -> Sequence[int]:
        """Frames of deflated files as they follow each other, so that each file is inflated once."""
        if self.deflated_at is None:
            return planes
        return sorted(planes, key=lambda k: (self.names[k], int(self.offsets[k])))

    def _read_file(self, planes: Sequence[int], region: Region, block: Block) -> None:
        """Planes of one file."""
        with self._opened(planes[0]) as (fd, inflated):
            for k in planes:
                with self._naming(k):
                    self._read_plane(fd, inflated, k, region, block[k - region[0].start])

    @contextlib.contextmanager
    def _opened(self, k: int) -> Iterator[tuple[int, InflatedPixels | None]]:
        """The file of plane k, and its stream where it is deflated."""
        with contextlib.ExitStack() as stack:
            with self._naming(k):
                fd = stack.enter_context(system.opened(self.path(k)))
            inflated = None if self.deflated_at is None else InflatedPixels(fd, int(self.deflated_at[k]))
            yield fd, inflated
            if inflated is not None:
                with self._naming(k):
                    inflated.finish()

    @contextlib.contextmanager
    def _naming(self, k: int) -> Iterator[None]:
        """Errors name plane k and its file."""
        try:
            yield
        except DamagedError as error:
            raise DamagedError(f"{self.path(k)} (plane {k}): {error}; copy or export it again") from error
        except FormatError as error:
            raise FormatError(f"{self.path(k)} (plane {k}) {error}") from error
        except OSError as error:
            raise InputError(f"{self.path(k)} (plane {k}) cannot be read: {error.strerror or error}") from error

    def _read_plane(self, fd: int, inflated: InflatedPixels | None, k: int, region: Region, out: Block) -> None:
        _, rows, columns = region
        offset = int(self.offsets[k])
        if self._has_rows:
            self._read_band(fd, inflated, offset, rows, columns, out)
            return
        size = self.layout.rows, self.layout.columns
        plane = out if out.shape == size and out.flags.c_contiguous else np.empty(size, self.dtype)
        if inflated is not None:
            grey_plane(lambda stored: inflated.fill(offset, stored), self.layout, plane)
        elif SYNTAXES[self.layout.transfer_syntax].encapsulated:
            framed = self.framed if isinstance(self.framed, bool) else self.framed[k]
            frame = (read_fragments if framed else read_frame)(fd, offset, int(self.lengths[k]))
            decode_frame(frame, self.layout, self._decoder, plane)
        else:
            grey_plane(lambda stored: pixels_at(fd, offset, self.layout, stored), self.layout, plane)
        if plane is not out:
            out[...] = plane[rows, columns]

    def _read_band(
        self, fd: int, inflated: InflatedPixels | None, offset: int, rows: slice, columns: slice, out: Block
    ) -> None:
        """Rows of an uncompressed plane, straight into `out` where its bytes are in one piece."""
        row_bytes = self.layout.columns * self.dtype.itemsize
        direct = out.flags.c_contiguous and out.shape[1] == self.layout.columns
        band = out if direct else np.empty((out.shape[0], self.layout.columns), self.dtype)
        if inflated is None:
            pixels_at(fd, offset + rows.start * row_bytes, self.layout, band)
        else:
            inflated.fill(offset + rows.start * row_bytes, band)
        keep_stored_bits(band, self.layout.bits, self.layout.high_bit)
        if not direct:
            out[...] = band[:, columns]
