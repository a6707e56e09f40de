"""The voxels of a series, read plane by plane from its files."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol import system
from chunkvol.errors import DamagedError, InputError
from chunkvol.formats.dicom.frames import decode_frame, read_frame
from chunkvol.formats.dicom.header import Inflater
from chunkvol.formats.dicom.layout import PixelLayout, keep_stored_bits
from chunkvol.formats.dicom.transfer import SYNTAXES, find_decoder
from chunkvol.regions import Region, Shape, region_shape
from chunkvol.sources import Block, Source

_DEFLATE_BUFFER = 1 << 16
_AHEAD = 128 << 20  # what a disk delivers in the tenth of a second that planning takes; all of it slows warm files down

__all__ = ["DicomPlanes"]


@dataclass(frozen=True, eq=False)
class DicomPlanes(Source):
    """One file a plane, in ascending order along the normal. It pickles to about 30 bytes a plane."""

    folder: str
    """Folder above all files."""
    names: tuple[str, ...]
    """Path of each plane's file below `folder`."""
    offsets: npt.NDArray[np.int64]
    """Byte where the pixel data starts (in the inflated stream where the files are deflated), shape (planes,)."""
    lengths: npt.NDArray[np.int64]
    """Bytes of pixel data, or for compressed frames all bytes up to the end of the file, shape (planes,)."""
    layout: PixelLayout
    """How the pixels are stored."""
    identity: str = ""
    """Fingerprint of the series."""
    deflated_at: npt.NDArray[np.int64] | None = None
    """Byte where each deflated data set starts, or None."""

    @property
    def shape(self) -> Shape:  # type: ignore[override]  # derived here, a field elsewhere
        return len(self.names), self.layout.rows, self.layout.columns

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # as above
        return self.layout.dtype

    @property
    def grain(self) -> Shape:
        rows = 1 if self._family in ("little endian", "big endian") else self.layout.rows
        return 1, rows, self.layout.columns

    @property
    def fingerprint(self) -> str:
        return self.identity

    @property
    def stored_bytes(self) -> int:
        return int(self.lengths.sum())

    def preload(self) -> None:
        if SYNTAXES[self.layout.transfer_syntax].encapsulated:
            find_decoder(self.layout.transfer_syntax).preload()

    def read_ahead(self) -> None:
        before = np.cumsum(self.lengths) - self.lengths
        for k in range(int(np.searchsorted(before, _AHEAD))):
            with contextlib.suppress(OSError), system.opened(self.path(k)) as fd:
                system.read_soon(fd)

    def scratch(self, shape: Shape) -> int:
        plane, columns = self.layout.plane_bytes, self.layout.columns
        if self._family == "deflated":
            return plane + 3 * _DEFLATE_BUFFER
        if SYNTAXES[self.layout.transfer_syntax].encapsulated:
            held = find_decoder(self.layout.transfer_syntax).pixel_bytes * self.layout.rows * columns
            # A plane where rows are cut or `out` has gaps; half of one where a frame has fewer bits than its pixels.
            return 2 * int(self.lengths.max()) + int(held) + plane + plane // 2
        return shape[1] * columns * self.dtype.itemsize  # only where rows are cut or `out` has gaps

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        for n, k in enumerate(range(region[0].start, region[0].stop)):
            self._read_plane(k, region, block[n])
        return block

    def path(self, k: int) -> str:
        """The file of plane k."""
        return os.path.join(self.folder, self.names[k])  # noqa: PTH118  # a string is half the time of a Path

    @property
    def _family(self) -> str:
        return SYNTAXES[self.layout.transfer_syntax].family

    def _read_plane(self, k: int, region: Region, out: Block) -> None:
        _, rows, columns = region
        try:
            with system.opened(self.path(k)) as fd:
                if self._family in ("little endian", "big endian"):
                    self._read_band(fd, k, rows, columns, out)
                else:
                    whole = self._whole(out)
                    (self._inflate if self._family == "deflated" else self._decode)(fd, k, whole)
                    if whole is not out:
                        out[...] = whole[rows, columns]
        except DamagedError as error:
            raise DamagedError(f"{self.path(k)} (plane {k}): {error}; copy or export it again") from error
        except OSError as error:
            raise InputError(f"{self.path(k)} (plane {k}) cannot be read: {error.strerror or error}") from error

    def _read_band(self, fd: int, k: int, rows: slice, columns: slice, out: Block) -> None:
        """Rows of an uncompressed plane, straight into `out` where its bytes are in one piece."""
        row_bytes = self.layout.columns * self.dtype.itemsize
        direct = out.flags.c_contiguous and out.shape[1] == self.layout.columns
        band = out if direct else np.empty((out.shape[0], self.layout.columns), self.dtype)
        _fill(fd, band, int(self.offsets[k]) + rows.start * row_bytes)
        if self._family == "big endian":
            band.byteswap(inplace=True)
        keep_stored_bits(band, self.layout.bits, self.layout.high_bit)
        if not direct:
            out[...] = band[:, columns]

    def _whole(self, out: Block) -> Block:
        """Memory for a whole plane: `out` itself where it is one, in one piece."""
        size = self.layout.rows, self.layout.columns
        return out if out.shape == size and out.flags.c_contiguous else np.empty(size, self.dtype)

    def _decode(self, fd: int, k: int, plane: Block) -> None:
        frame = read_frame(fd, int(self.offsets[k]), int(self.lengths[k]))
        decode_frame(frame, self.layout, find_decoder(self.layout.transfer_syntax), plane)

    def _inflate(self, fd: int, k: int, plane: Block) -> None:
        """Fill a plane from a deflated file; never more than its header and its pixels is inflated."""
        view = plane.data.cast("B")
        assert self.deflated_at is not None  # made so by the series
        stream = Inflater(fd, int(self.deflated_at[k]))
        skip, done = int(self.offsets[k]), 0
        while done < len(view):
            piece = stream.next(min(skip or len(view) - done, _DEFLATE_BUFFER))
            if not piece:
                raise DamagedError(f"its deflated pixel data ends {len(view) - done} bytes early")
            if skip:
                skip -= len(piece)
                continue
            view[done : done + len(piece)] = piece
            done += len(piece)
        keep_stored_bits(plane, self.layout.bits, self.layout.high_bit)


def _fill(fd: int, block: Block, offset: int) -> None:
    view = block.data.cast("B")
    got = system.pread_into(fd, view, offset)
    if got < len(view):
        raise DamagedError(f"its pixel data ends {len(view) - got} bytes early: the file became shorter")
