"""Stacks of images as other programs write them, in every encoding that is read."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[Any]
Write = Callable[[Path, Plane], None]

__all__ = ["TIFFS", "bmp_bytes", "grey_stack", "png_bytes", "write_slices", "write_tiff"]


def grey_stack(dtype: str = "uint16", shape: tuple[int, int, int] = (5, 11, 13), seed: int = 3) -> Plane:
    """Random voxels over most of the type's range."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return rng.normal(0, 1000, shape).astype(kind)
    bounds = np.iinfo(kind)
    return rng.integers(bounds.min, bounds.max, shape, dtype=kind, endpoint=True)


def write_tiff(path: Path, plane: Plane, **options: Any) -> None:
    """One page, without what tifffile says of itself."""
    import tifffile

    tifffile.imwrite(path, plane, **{"metadata": None, "photometric": "minisblack", **options})


def write_slices(folder: Path, stack: Plane, write: Write = write_tiff, *, name: str = "s_{:04d}.tif") -> Path:
    """A file for each plane of a stack."""
    folder.mkdir(exist_ok=True)
    for k, plane in enumerate(stack):
        write(folder / name.format(k), plane)
    return folder


TIFFS: dict[str, dict[str, Any]] = {
    "one strip": {},
    "strips of 3 rows": {"rowsperstrip": 3},
    "big endian": {"byteorder": ">"},
    "BigTIFF": {"bigtiff": True},
    "big endian BigTIFF, strips": {"bigtiff": True, "byteorder": ">", "rowsperstrip": 4},
    "tiles": {"tile": (16, 16)},
    "LZW": {"compression": "lzw"},
    "LZW, predictor, big endian": {"compression": "lzw", "predictor": True, "byteorder": ">", "rowsperstrip": 2},
    "deflate": {"compression": "zlib"},
    "deflate tiles, predictor": {"compression": "zlib", "predictor": True, "tile": (16, 32)},
    "PackBits": {"compression": "packbits"},
    "zstd": {"compression": "zstd", "rowsperstrip": 5},
}
"""Options of tifffile by what they make; all lossless."""


def bmp_bytes(plane: Plane, *, upward: bool = True, palette: Plane | None = None) -> bytes:
    """A BMP file of 8 bits (rows, columns) with a palette (256, 3), or of 24 or 32 bits (rows, columns, 3 or 4)."""
    rows, columns, *rest = plane.shape
    samples = rest[0] if rest else 1
    stride = (columns * samples + 3) // 4 * 4
    body = np.zeros((rows, stride), np.uint8)
    body[:, : columns * samples] = plane.reshape(rows, -1)
    table = b""
    if samples == 1:
        colours = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1) if palette is None else palette
        table = np.concatenate([colours, np.zeros((256, 1), np.uint8)], axis=1).tobytes()
    start = 54 + len(table)
    header = struct.pack("<IiiHHIIiiII", 40, columns, rows if upward else -rows, 1, 8 * samples, 0, 0, 0, 0, 0, 0)
    pixels = (body[::-1] if upward else body).tobytes()
    return struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start) + header + table + pixels


def png_bytes(plane: Plane) -> bytes:
    """A PNG file by imagecodecs."""
    import imagecodecs

    data: bytes = imagecodecs.png_encode(plane)
    return data
