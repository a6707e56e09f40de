"""Writing a folder of TIFF slices, a file a plane, raw or deflated."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.flatfile import check_encoding
from chunkvol.formats.sidecar import FOLDER_SIDECAR
from chunkvol.formats.tiff.beside import imagej_note, notes_of, sidecar_beside
from chunkvol.formats.tiff.layout import Layout, check_type, image_tags, one_strip, strip_tags
from chunkvol.formats.tiff.pages import TYPES
from chunkvol.formats.tiff.resolution import resolution_tags
from chunkvol.formats.tiff.tags import pack_page, repeated
from chunkvol.memory import Terms
from chunkvol.packing.deflate import LEVEL
from chunkvol.planefiles import PlanesJob, prepare_planes
from chunkvol.regions import spans
from chunkvol.sources import Block
from chunkvol.volume import Volume

_DEFLATE = 8
"""Compression: zlib streams ("Adobe Deflate", TIFF Technical Note 2)."""
_STRIP_BYTES = 1 << 18
"""Preferred strip of deflated slices; readers decode strips one by one."""
_STATE = 1 << 19

__all__ = ["TiffSlices", "prepare_tiff_slices", "slice_name"]


def slice_name(folder: str, k: int, planes: int, suffix: str) -> str:
    """The name of the file of plane k: the folder's, and the number filled up so that names sort."""
    width = max(4, len(str(planes - 1)))
    return f"{folder}_{k:0{width}d}{suffix}"


@dataclass(frozen=True)
class TiffSlices:
    """What the file of each plane holds."""

    folder: str
    """The folder's name."""
    planes: int
    """How many there are."""
    layout: Layout
    """Of one file, raw."""
    packed: bool
    """Whether voxels are deflated."""

    @property
    def encoder_bytes(self) -> int:
        """Most bytes that `encoded` holds at once."""
        plane = self.layout.total_bytes
        # Deflate adds 5 bytes to 16 KiB that it cannot pack; strips and the file made of them are there together.
        return 2 * (plane + plane // 1000) + _STATE if self.packed else plane

    def name(self, k: int) -> str:
        """Name of the file of plane k."""
        return slice_name(self.folder, k, self.planes, ".tif")

    def encoded(self, k: int, plane: Block) -> bytes:
        """The whole file of plane k, from its voxels (rows, columns)."""
        little = plane.astype(plane.dtype.newbyteorder("<"), copy=False)
        if self.packed:
            return self._deflated(little)
        return b"".join((self.layout.header(), np.ascontiguousarray(little).data))

    def _deflated(self, plane: Block) -> bytes:
        rows = max(1, _STRIP_BYTES // plane[0].nbytes)
        strips = [zlib.compress(np.ascontiguousarray(plane[part]).data, LEVEL) for part in spans(len(plane), rows)]
        sizes = np.array([len(strip) for strip in strips], np.int64)
        # Offsets are even numbers, as TIFF asks for; only their values depend on where the strips begin.
        places = np.concatenate([[0], np.cumsum(sizes + sizes % 2)[:-1]])
        length = len(self._header(rows, places, sizes))
        header = self._header(rows, length + places, sizes)
        return b"".join((header, *(strip + bytes(len(strip) % 2) for strip in strips)))

    def _header(self, rows: int, offsets: Any, sizes: Any) -> bytes:
        layout = self.layout
        tags = image_tags(layout.levels[0].size, layout.dtype, compression=_DEFLATE)
        tags += [*layout.about, *strip_tags(rows, offsets, sizes), *resolution_tags(layout.spacing)]
        page = pack_page([tags], len(layout.form.header), layout.form)
        return b"".join((layout.form.header, *repeated(page, 1)))


def prepare_tiff_slices(
    volume: Volume,
    target: Path,
    terms: Terms,
    *,
    encoding: str = "raw",
) -> PlanesJob:
    """Plan a folder of TIFF slices of real values, `NAME_0000.tif` and so on, with `geometry.json`.

    Parameters
    ----------
    volume
        What is written; a slope is applied, since TIFF has no field for it.
    target
        The folder's final place; its name is that of the files.
    encoding
        "raw", or "gzip": deflated in strips, level 1, without a predictor.
    terms
        How the job is to be run.

    Raises
    ------
    InputError
        The type or the encoding has no place in TIFF.
    BudgetError
        Not even one plane fits; the message names the smallest budget that would do.
    """
    real = volume.values
    check_type(real.dtype, TYPES, "TIFF")
    check_encoding(encoding, "TIFF")
    level = one_strip(real.shape[1:], real.dtype)
    layout = Layout(1, 1, (level,), real.dtype, real.geometry.spacing[1:], "").fitted()
    files = TiffSlices(target.name, real.shape[0], layout, encoding == "gzip")
    return prepare_planes(
        real,
        target.name,
        files,
        encoder_bytes=files.encoder_bytes,
        terms=terms,
        notes=[*notes_of(volume, real, "TIFF"), *imagej_note(real)],
        extras=sidecar_beside(real, FOLDER_SIDECAR),
    )
