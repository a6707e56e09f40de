"""Writing PNG (ISO/IEC 15948), a folder of slices or one image: grey, 8 or 16 bits, lossless."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.flatfile import values_note
from chunkvol.formats.sidecar import FOLDER_SIDECAR, sidecar_json
from chunkvol.formats.single import SingleJob, check_one_plane, folder_for
from chunkvol.formats.tiff.slices import slice_name
from chunkvol.formats.traits import Traits, losses
from chunkvol.memory import Terms
from chunkvol.packing.deflate import LEVEL
from chunkvol.planefiles import PlanesJob, prepare_planes
from chunkvol.regions import spans
from chunkvol.sources import Block
from chunkvol.volume import Volume

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LARGEST = (1 << 31) - 1
_UP = 2
"""Each byte less that above it: 3 to 11 % smaller files than without a filter on CT, 3 % larger on white noise."""
_BAND_BYTES = 1 << 20
"""Voxels that are filtered and packed at a time, to a chunk of their own."""
_STATE = 1 << 19
_TRAITS = Traits("sidecar", True, "float64", "none", "real values of 8 or 16 bits", "any image viewer")

__all__ = ["PngSlices", "png_bytes", "prepare_png", "prepare_png_slices"]


@dataclass(frozen=True)
class PngSlices:
    """What the file of each plane holds."""

    folder: str
    """The folder's name."""
    planes: int
    """How many there are."""
    spacing: tuple[float, float]
    """Along (j, i), mm."""

    def name(self, k: int) -> str:
        """Name of the file of plane k."""
        return slice_name(self.folder, k, self.planes, ".png")

    def encoded(self, k: int, plane: Block) -> bytes:
        """The whole file of plane k, from its voxels (rows, columns)."""
        return png_bytes(plane, self.spacing)


def png_bytes(plane: Block, spacing: tuple[float, float]) -> bytes:
    """A PNG file of a grey image.

    Parameters
    ----------
    plane
        uint8 or uint16, axes (j, i).
    spacing
        Along (j, i), mm; said in whole pixels per metre, and left out where that is beyond PNG.
    """
    rows, columns = plane.shape
    chunks = [_chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8 * plane.itemsize, 0, 0, 0, 0))]
    density = [round(1000 / length) for length in spacing]
    if all(1 <= n <= _LARGEST for n in density):
        chunks.append(_chunk(b"pHYs", struct.pack(">IIB", density[1], density[0], 1)))
    return b"".join((_SIGNATURE, *chunks, *_image_chunks(plane), _chunk(b"IEND", b"")))


def _image_chunks(plane: Block) -> Iterator[bytes]:
    """The IDAT chunks: one zlib stream, a band of rows to a chunk."""
    engine = zlib.compressobj(LEVEL)
    above = np.zeros(plane[0].nbytes, np.uint8)
    for rows in spans(len(plane), max(1, _BAND_BYTES // plane[0].nbytes)):
        filtered, above = _filtered(plane[rows], above)
        packed = engine.compress(filtered.data)
        if rows.stop == len(plane):
            packed += engine.flush()
        if packed:
            yield _chunk(b"IDAT", packed)


def _filtered(rows: Block, above: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Rows as PNG packs them, high byte first, each led by its filter; and the bytes of the last row."""
    big = np.ascontiguousarray(rows, rows.dtype.newbyteorder(">")).view(np.uint8)
    out = np.empty((len(big), 1 + big.shape[1]), np.uint8)
    out[:, 0] = _UP
    np.subtract(big[0], above, out=out[0, 1:])
    np.subtract(big[1:], big[:-1], out=out[1:, 1:])
    return out, big[-1].copy()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))))


def prepare_png_slices(volume: Volume, target: Path, terms: Terms) -> PlanesJob:
    """Plan a folder of PNG slices of real values, `NAME_0000.png` and so on, with `geometry.json`.

    Parameters
    ----------
    volume
        What is written: real values of type uint8 or uint16.
    target
        The folder's final place; its name is that of the files.
    terms
        How the job is to be run.

    Raises
    ------
    InputError
        The real values have another type.
    BudgetError
        Not even one plane fits; the message names the smallest budget that would do.
    """
    real = _greys(volume)
    return _folder_of(
        volume, real, target, terms, extras=[(FOLDER_SIDECAR, sidecar_json(real.geometry, real.metadata))]
    )


def prepare_png(volume: Volume, target: Path, terms: Terms) -> SingleJob:
    """Plan one PNG image of real values, with its sidecar `NAME.png.json`.

    Parameters
    ----------
    volume
        What is written: one plane, real values of type uint8 or uint16.
    target
        The file.
    terms
        How the job is to be run.

    Raises
    ------
    InputError
        There are several planes, or the real values have another type.
    BudgetError
        The plane does not fit; the message names the smallest budget that would do.
    """
    check_one_plane(volume, target, "PNG image", "--format png-slices makes a folder of images")
    real = _greys(volume)
    folder = _folder_of(volume, real, folder_for(target), terms)
    sidecar = sidecar_json(real.geometry, real.metadata)
    return SingleJob(folder, target.name, ((f"{target.name}.json", sidecar),))


def _greys(volume: Volume) -> Volume:
    """The real values, of a type that PNG has."""
    real = volume.values
    if real.dtype.name not in ("uint8", "uint16"):
        raise InputError(
            f"PNG is written with uint8 or uint16, not {real.dtype.name}: --dtype uint8 --window auto makes greys, "
            "and --window LO,HI says which real values become black and white"
        )
    return real


def _folder_of(
    volume: Volume, real: Volume, target: Path, terms: Terms, extras: Sequence[tuple[str, bytes]] = ()
) -> PlanesJob:
    plane = real.shape[1] * real.shape[2] * real.dtype.itemsize
    return prepare_planes(
        real,
        target.name,
        PngSlices(target.name, real.shape[0], real.geometry.spacing[1:]),
        encoder_bytes=2 * (plane + plane // 500) + 4 * _band_bytes(real) + _STATE,
        terms=terms,
        notes=[*values_note(volume, real, "PNG"), *losses(_TRAITS, real.geometry, "PNG")],
        extras=extras,
    )


def _band_bytes(real: Volume) -> int:
    """Most bytes of a band of rows; it is there as big endian, filtered, and packed twice."""
    return max(_BAND_BYTES, real.shape[2] * real.dtype.itemsize)
