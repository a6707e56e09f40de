"""Pixels of one plane, from files that are decoded whole: TIFF by tifffile, PNG and JPEG by imagecodecs."""

from __future__ import annotations

import importlib
import importlib.util
import zlib
from pathlib import Path

import numpy as np

from chunkvol.errors import DamagedError, DecoderError, FormatError
from chunkvol.formats.dicom.pixels.shortfall import with_noise
from chunkvol.formats.stack.layout import Layout
from chunkvol.sources import Block

_MODULES = {"TIFF": ("tifffile", ""), "PNG": ("imagecodecs", "PNG"), "JPEG": ("imagecodecs", "JPEG8")}
"""Who decodes, and the codec that is a library of its own."""

__all__ = ["check_decoder", "decoded", "preload"]


def check_decoder(layout: Layout, path: str) -> None:
    """Raise DecoderError now where the plane is compressed and imagecodecs is not installed."""
    if layout.needs_codecs and importlib.util.find_spec("imagecodecs") is None:
        raise DecoderError(f'{path} needs imagecodecs to be decoded: pip install "chunkvol[codecs]"')


def preload(layout: Layout) -> None:
    """Import what decodes such a plane."""
    if layout.codec:
        module, codec = _MODULES[layout.codec]
        found = importlib.import_module(module)
        if codec:
            getattr(found, codec)
    if layout.needs_codecs:
        importlib.import_module("imagecodecs")


def decoded(path: str, offset: int, layout: Layout) -> Block:
    """The samples of a plane, native byte order, shape (rows, columns) or (rows, columns, samples).

    Raises
    ------
    DamagedError
        They cannot be decoded, or are not as many as the header says.
    """
    try:
        stored = _tiff(path, offset) if layout.codec == "TIFF" else _picture(path, layout.codec)
    except (MemoryError, OSError, DamagedError):
        raise
    except Exception as error:  # tifffile and each codec have their own kinds
        reason = (str(error).splitlines() or [""])[0]
        raise DamagedError(f"cannot be decoded ({type(error).__name__}: {reason[:120]})") from error
    return _checked(stored, layout)


def _tiff(path: str, offset: int) -> Block:
    import tifffile

    with tifffile.TiffFile(path) as file:
        file.filehandle.seek(offset)
        page: Block = tifffile.TiffPage(file, index=0).asarray(squeeze=False, maxworkers=1)
    if page.dtype == bool:
        page = page.view(np.uint8)
        np.multiply(page, 255, out=page)
    # (separate samples, depth, rows, columns, samples): only one of the first and the last is not 1.
    return page[0, 0] if page.shape[0] == 1 else np.moveaxis(page[:, 0, :, :, 0], 0, -1)


def _picture(path: str, codec: str) -> Block:
    import imagecodecs

    data = Path(path).read_bytes()
    if codec == "PNG":
        block: Block = imagecodecs.png_decode(data)
        return block
    # libjpeg fills in what is missing and says nothing; see `with_noise`.
    noisy = zlib.crc32(np.ascontiguousarray(imagecodecs.jpeg8_decode(with_noise(data))).data)
    block = np.ascontiguousarray(imagecodecs.jpeg8_decode(data))
    if zlib.crc32(block.data) != noisy:
        raise DamagedError("is cut short: its coded pixels end before the plane is full")
    return block


def _checked(stored: Block, layout: Layout) -> Block:
    if stored.ndim == 3 and stored.shape[2] == 1:
        stored = stored[..., 0]
    samples = 1 if stored.ndim == 2 else stored.shape[2]
    if stored.shape[:2] != (layout.rows, layout.columns) or stored.dtype.newbyteorder("=") != layout.dtype:
        found = f"{stored.shape[1]} x {stored.shape[0]} {stored.dtype.name}"
        raise DamagedError(f"is decoded to {found}, its header says {layout.text}")
    if samples > 4:
        raise FormatError(f"has {samples} samples a pixel; chunkvol reads grey values")
    return stored
