"""Decoders of compressed frames: who turns the bytes of one frame into pixels, and what that costs.

imagecodecs comes first everywhere: it releases the interpreter's lock while it decodes, so that threads add up, and
it writes into the caller's memory. The others, used where it is absent, do neither.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from chunkvol.errors import DamagedError
from chunkvol.formats.dicom.pixels.layout import PixelLayout
from chunkvol.sources import Block

Decode = Callable[[bytes, PixelLayout, Block], None]
"""Fill the block, in one piece, with one frame's pixels as the frame itself types them.

Its shape is (rows, columns), with three channels (rows, columns, 3), or (3, rows, columns) where they come by plane.
"""

_COLOUR_MARKS = b"\xff\xee\x00\x0eAdobe", b"\xff\xe0\x00\x10JFIF"
"""Marker segments of a JPEG frame that decide what its three channels are."""

__all__ = ["JPEG", "JPEG_2000", "JPEG_LS", "PYDICOM", "RLE", "Decoder"]


@dataclass(frozen=True, slots=True)
class Decoder:
    """One way to decode frames."""

    needs: str
    """Module that must be installed; after a colon the codec that must be part of its build."""
    decode: Decode
    """How it is called."""
    pixel_bytes: float
    """Upper bound of the bytes a sample that it holds besides the block and two copies of the frame."""
    colour: Literal["", "by pixel", "by plane"] = ""
    """How it gives three channels; empty where it is not asked for them."""

    @property
    def installed(self) -> bool:
        """Whether it can be called."""
        module, _, codec = self.needs.partition(":")
        if importlib.util.find_spec(module) is None:
            return False
        return not codec or bool(getattr(importlib.import_module(module), codec).available)

    def preload(self) -> None:
        """Import what it needs."""
        module, _, codec = self.needs.partition(":")
        found = importlib.import_module(module)
        if codec:
            getattr(found, codec)  # each codec is a library of its own, loaded when it is first asked for


def _by_dicomrle(frame: bytes, layout: PixelLayout, block: Block) -> None:
    import imagecodecs

    filled = imagecodecs.dicomrle_decode(frame, layout.dtype, out=block.data.cast("B"))
    _expect(len(filled), block)


def _by_jpegls(frame: bytes, layout: PixelLayout, block: Block) -> None:
    import imagecodecs

    if layout.samples == 1:
        imagecodecs.jpegls_decode(frame, out=block)
    else:  # whose shape the interleaving decides where it is given
        block[...] = imagecodecs.jpegls_decode(frame)


def _by_jpeg2k(frame: bytes, _layout: PixelLayout, block: Block) -> None:
    import imagecodecs

    imagecodecs.jpeg2k_decode(frame, numthreads=1, out=block)


def _by_jpeg8(frame: bytes, layout: PixelLayout, block: Block) -> None:
    import imagecodecs

    # Without a mark libjpeg guesses that three channels are YCbCr; the header knows that they are RGB.
    as_they_are = layout.samples == 3 and all(frame.find(mark, 0, 1 << 16) < 0 for mark in _COLOUR_MARKS)
    space = "RGB" if as_they_are else None
    imagecodecs.jpeg8_decode(frame, colorspace=space, outcolorspace=space, out=block)


def _by_rle_plugin(frame: bytes, layout: PixelLayout, block: Block) -> None:
    decode = importlib.import_module("rle").decode_pixel_data
    # Each byte of a pixel is a segment; the plugin joins them in the byte order asked for, little by default.
    options = {"rows": layout.rows, "columns": layout.columns, "bits_allocated": 8 * layout.dtype.itemsize}
    _copy(decode(frame, version=2, **options), block)


def _by_jpegls_plugin(frame: bytes, _layout: PixelLayout, block: Block) -> None:
    _copy(importlib.import_module("jpeg_ls").decode_from_buffer(frame), block)


def _by_openjpeg_plugin(frame: bytes, _layout: PixelLayout, block: Block) -> None:
    _copy(importlib.import_module("openjpeg").decode_pixel_data(frame, version=2), block)


def _by_pydicom(frame: bytes, layout: PixelLayout, block: Block) -> None:
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    uid = UID(layout.transfer_syntax)
    options: dict[str, Any] = {
        "rows": layout.rows,
        "columns": layout.columns,
        "samples_per_pixel": layout.samples,
        "photometric_interpretation": layout.photometric or "MONOCHROME2",
        "planar_configuration": 0,
        "pixel_keyword": "PixelData",
        "pixel_representation": int(layout.dtype.kind == "i"),
        "bits_allocated": 8 * layout.dtype.itemsize,
        "bits_stored": layout.bits,
        "number_of_frames": 1,
        "transfer_syntax_uid": uid,
    }
    buffer, facts = get_decoder(uid).as_buffer(encapsulate([frame], has_bot=False), index=0, raw=True, **options)
    by_plane = layout.samples == 3 and facts["planar_configuration"] == 1
    _copy(buffer, np.moveaxis(block, -1, 0) if by_plane else block)


def _copy(buffer: Any, block: Block) -> None:
    _expect(memoryview(buffer).nbytes, block)
    block[...] = np.frombuffer(buffer, block.dtype).reshape(block.shape)


def _expect(found: int, block: Block) -> None:
    if found != block.nbytes:
        raise DamagedError(f"its compressed frame decodes to {found} bytes, expected {block.nbytes}")


# Bytes a pixel: measured at 4000 x 4000, 8 and 16 bit, and rounded up; where a decoder copies its result, 32 bit.
PYDICOM = Decoder("pydicom", _by_pydicom, 20, "by pixel")
"""The last resort: whatever else is installed and pydicom knows."""
RLE = (Decoder("imagecodecs:DICOMRLE", _by_dicomrle, 0.1, "by plane"), Decoder("rle", _by_rle_plugin, 8.1))
JPEG_LS = (Decoder("imagecodecs:JPEGLS", _by_jpegls, 0.1, "by pixel"), Decoder("jpeg_ls", _by_jpegls_plugin, 4.1))
# OpenJPEG for high throughput too: OpenJPH is twice as fast there, but hangs or crashes on some damaged headers and
# makes up what is missing where a frame is cut short.
JPEG_2000 = (Decoder("imagecodecs:JPEG2K", _by_jpeg2k, 4.5, "by pixel"), Decoder("openjpeg", _by_openjpeg_plugin, 8.5))
# libjpeg-turbo for lossless too: of the two others in imagecodecs, both slower, one crashes on some damaged headers
# and one reads past the end of its input. All that it holds is for progressive frames, which none should be: else 0.1.
JPEG = (Decoder("imagecodecs:JPEG8", _by_jpeg8, 2.1, "by pixel"),)
