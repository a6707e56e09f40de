"""Transfer syntaxes: how the pixels of a file are encoded, and who decodes them."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chunkvol.errors import DecoderError, FormatError
from chunkvol.formats.dicom.header import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Header
from chunkvol.formats.dicom.layout import PixelLayout

Decode = Callable[[bytes, PixelLayout], Any]
"""From one frame's bytes to its pixels as a flat buffer of bytes, little-endian numbers."""

__all__ = ["SYNTAXES", "TransferSyntax", "decoder_planes", "find_decoder", "import_decoder", "syntax_of"]


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """One row of the table."""

    name: str
    """As in PS3.6."""
    family: str
    """Files of one family may be mixed in a series."""
    plugin: str = ""
    """Decoder that is called directly, where one is installed; else pydicom chooses."""

    @property
    def encapsulated(self) -> bool:
        """Whether the pixels are compressed frames."""
        return self.family not in ("little endian", "big endian", "deflated")


SYNTAXES: dict[str, TransferSyntax] = {
    IMPLICIT_LITTLE: TransferSyntax("Implicit VR Little Endian", "little endian"),
    EXPLICIT_LITTLE: TransferSyntax("Explicit VR Little Endian", "little endian"),
    EXPLICIT_BIG: TransferSyntax("Explicit VR Big Endian", "big endian"),
    DEFLATED: TransferSyntax("Deflated Explicit VR Little Endian", "deflated"),
    "1.2.840.10008.1.2.5": TransferSyntax("RLE Lossless", "RLE", "rle"),
    "1.2.840.10008.1.2.4.50": TransferSyntax("JPEG Baseline (Process 1)", "JPEG"),
    "1.2.840.10008.1.2.4.51": TransferSyntax("JPEG Extended (Process 2 and 4)", "JPEG"),
    "1.2.840.10008.1.2.4.57": TransferSyntax("JPEG Lossless, Non-Hierarchical (Process 14)", "JPEG"),
    "1.2.840.10008.1.2.4.70": TransferSyntax("JPEG Lossless, First-Order Prediction", "JPEG"),
    "1.2.840.10008.1.2.4.80": TransferSyntax("JPEG-LS Lossless", "JPEG-LS", "jpeg_ls"),
    "1.2.840.10008.1.2.4.81": TransferSyntax("JPEG-LS Lossy (Near-Lossless)", "JPEG-LS", "jpeg_ls"),
    "1.2.840.10008.1.2.4.90": TransferSyntax("JPEG 2000 (Lossless Only)", "JPEG 2000", "openjpeg"),
    "1.2.840.10008.1.2.4.91": TransferSyntax("JPEG 2000", "JPEG 2000", "openjpeg"),
    "1.2.840.10008.1.2.4.201": TransferSyntax("High-Throughput JPEG 2000 (Lossless Only)", "JPEG 2000", "openjpeg"),
    "1.2.840.10008.1.2.4.202": TransferSyntax("HTJ2K with RPCL (Lossless Only)", "JPEG 2000", "openjpeg"),
    "1.2.840.10008.1.2.4.203": TransferSyntax("High-Throughput JPEG 2000", "JPEG 2000", "openjpeg"),
}


def syntax_of(header: Header) -> TransferSyntax:
    """The row of a file's transfer syntax; FormatError where it is not in the table."""
    row = SYNTAXES.get(header.transfer_syntax)
    if row is None:
        raise FormatError(
            f"{header.path} has transfer syntax {header.transfer_syntax}, which is not read; "
            "convert it to Explicit VR Little Endian"
        )
    return row


def find_decoder(uid: str) -> Decode:
    """The decoder of a compressed transfer syntax: its own plugin called directly, or whatever pydicom finds.

    Raises
    ------
    DecoderError
        When nothing installed decodes it.
    """
    row = SYNTAXES[uid]
    if row.plugin and importlib.util.find_spec(row.plugin) is not None:
        return _PLUGINS[row.plugin]
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    if not get_decoder(UID(uid)).is_available:
        raise DecoderError(f'no decoder for {row.name} ({uid}): pip install "chunkvol[codecs]"')
    return _with_pydicom


def import_decoder(uid: str) -> None:
    """Import what decoding needs."""
    decode = find_decoder(uid)
    importlib.import_module("pydicom.pixels" if decode is _with_pydicom else SYNTAXES[uid].plugin)


def decoder_planes(uid: str) -> int:
    """Upper bound of the decoded planes that a decoder holds at its peak, its result included."""
    return _PLANES[find_decoder(uid)]


def _with_rle(frame: bytes, layout: PixelLayout) -> Any:
    decode = importlib.import_module("rle").decode_pixel_data
    # Each byte of a pixel is a segment; the plugin joins them in the byte order asked for, little by default.
    return decode(frame, version=2, rows=layout.rows, columns=layout.columns, bits_allocated=8 * layout.dtype.itemsize)


def _with_jpeg_ls(frame: bytes, _layout: PixelLayout) -> Any:
    return importlib.import_module("jpeg_ls").decode_from_buffer(frame)


def _with_openjpeg(frame: bytes, _layout: PixelLayout) -> Any:
    return importlib.import_module("openjpeg").decode_pixel_data(frame, version=2)


def _with_pydicom(frame: bytes, layout: PixelLayout) -> Any:
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    uid = UID(layout.transfer_syntax)
    options: dict[str, Any] = {
        "rows": layout.rows,
        "columns": layout.columns,
        "samples_per_pixel": 1,
        "photometric_interpretation": layout.photometric or "MONOCHROME2",
        "pixel_keyword": "PixelData",
        "pixel_representation": int(layout.dtype.kind == "i"),
        "bits_allocated": 8 * layout.dtype.itemsize,
        "bits_stored": layout.bits,
        "number_of_frames": 1,
        "transfer_syntax_uid": uid,
    }
    buffer, _ = get_decoder(uid).as_buffer(encapsulate([frame], has_bot=False), index=0, raw=True, **options)
    return buffer


_PLUGINS: dict[str, Decode] = {"rle": _with_rle, "jpeg_ls": _with_jpeg_ls, "openjpeg": _with_openjpeg}
# Measured at 4000 x 4000 x 16 bit, beside the encoded frame, rounded up: JPEG-LS 1.5, RLE 1.1, JPEG 2000 3.7.
_PLANES: dict[Decode, int] = {_with_rle: 2, _with_jpeg_ls: 2, _with_openjpeg: 4, _with_pydicom: 8}
