"""Transfer syntaxes: how the pixels of a file are encoded, and who decodes them."""

from __future__ import annotations

from dataclasses import dataclass

from chunkvol.errors import DecoderError, FormatError
from chunkvol.formats.dicom.headers.header import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Header
from chunkvol.formats.dicom.pixels.decoders import JPEG, JPEG_2000, JPEG_LS, PYDICOM, RLE, Decoder

__all__ = ["SYNTAXES", "TransferSyntax", "find_decoder", "syntax_of"]


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """One row of the table."""

    name: str
    """As in PS3.6."""
    family: str
    """Files of one family may be mixed in a series."""
    decoders: tuple[Decoder, ...] = ()
    """Decoders that are called directly, the best first; where none is installed, pydicom chooses."""

    @property
    def encapsulated(self) -> bool:
        """Whether the pixels are compressed frames."""
        return self.family not in ("little endian", "big endian", "deflated")


SYNTAXES: dict[str, TransferSyntax] = {
    IMPLICIT_LITTLE: TransferSyntax("Implicit VR Little Endian", "little endian"),
    EXPLICIT_LITTLE: TransferSyntax("Explicit VR Little Endian", "little endian"),
    EXPLICIT_BIG: TransferSyntax("Explicit VR Big Endian", "big endian"),
    DEFLATED: TransferSyntax("Deflated Explicit VR Little Endian", "deflated"),
    "1.2.840.10008.1.2.5": TransferSyntax("RLE Lossless", "RLE", RLE),
    "1.2.840.10008.1.2.4.50": TransferSyntax("JPEG Baseline (Process 1)", "JPEG", JPEG),
    "1.2.840.10008.1.2.4.51": TransferSyntax("JPEG Extended (Process 2 and 4)", "JPEG", JPEG),
    "1.2.840.10008.1.2.4.57": TransferSyntax("JPEG Lossless, Non-Hierarchical (Process 14)", "JPEG", JPEG),
    "1.2.840.10008.1.2.4.70": TransferSyntax("JPEG Lossless, First-Order Prediction", "JPEG", JPEG),
    "1.2.840.10008.1.2.4.80": TransferSyntax("JPEG-LS Lossless", "JPEG-LS", JPEG_LS),
    "1.2.840.10008.1.2.4.81": TransferSyntax("JPEG-LS Lossy (Near-Lossless)", "JPEG-LS", JPEG_LS),
    "1.2.840.10008.1.2.4.90": TransferSyntax("JPEG 2000 (Lossless Only)", "JPEG 2000", JPEG_2000),
    "1.2.840.10008.1.2.4.91": TransferSyntax("JPEG 2000", "JPEG 2000", JPEG_2000),
    "1.2.840.10008.1.2.4.201": TransferSyntax("High-Throughput JPEG 2000 (Lossless Only)", "JPEG 2000", JPEG_2000),
    "1.2.840.10008.1.2.4.202": TransferSyntax("HTJ2K with RPCL (Lossless Only)", "JPEG 2000", JPEG_2000),
    "1.2.840.10008.1.2.4.203": TransferSyntax("High-Throughput JPEG 2000", "JPEG 2000", JPEG_2000),
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


def find_decoder(uid: str, samples: int = 1) -> Decoder:
    """The first decoder of a compressed transfer syntax that is installed and gives so many samples a pixel.

    Raises
    ------
    DecoderError
        When nothing installed decodes it.
    """
    row = SYNTAXES[uid]
    for decoder in row.decoders:
        if decoder.installed and (samples == 1 or decoder.colour):
            return decoder
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    if not get_decoder(UID(uid)).is_available:
        raise DecoderError(f'no decoder for {row.name} ({uid}): pip install "chunkvol[codecs]"')
    return PYDICOM
