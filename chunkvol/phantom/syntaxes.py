"""The transfer syntaxes in which a phantom can be written."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import DecoderError, InputError
from chunkvol.phantom.packbits import rle_frame

__all__ = ["TRANSFER_SYNTAXES", "TransferSyntax", "compressed", "deflated", "transfer_syntax"]

Encoder = Callable[[npt.NDArray[Any]], bytes]


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """How the data set and the pixels are coded."""

    uid: str
    """Transfer Syntax UID."""
    dtypes: tuple[str, ...]
    """Data types that it can hold."""
    explicit: bool = True
    """Value representations are written."""
    little: bool = True
    """Little endian."""
    deflate: bool = False
    """All after the file meta group is compressed."""
    encoder: Encoder | None = None
    """Plane to compressed frame; None for native pixels."""
    needs: str = ""
    """Module of an encoder that may be missing, or empty."""
    smallest: int = 1
    """Fewest rows and columns."""

    @property
    def can_be_sparse(self) -> bool:
        """True when pixels lie in the file as they are, so that a hole reads as zeros."""
        return self.encoder is None and not self.deflate


def _jpegls(plane: npt.NDArray[Any]) -> bytes:
    import imagecodecs

    # The coder knows no sign: it codes the bits, and PixelRepresentation says what they mean.
    return bytes(imagecodecs.jpegls_encode(plane.view(np.dtype(f"u{plane.dtype.itemsize}"))))


def _j2k(plane: npt.NDArray[Any]) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.jpeg2k_encode(plane, level=0, reversible=True, codecformat="j2k"))


def _htj2k(plane: npt.NDArray[Any]) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.htj2k_encode(plane, reversible=True))


_SMALL = ("uint8", "uint16", "int16")
_WHOLE = (*_SMALL, "uint32", "int32")
_ALL = (*_WHOLE, "float32")

TRANSFER_SYNTAXES: dict[str, TransferSyntax] = {
    "explicit": TransferSyntax("1.2.840.10008.1.2.1", _ALL),
    "implicit": TransferSyntax("1.2.840.10008.1.2", _ALL, explicit=False),
    "bigendian": TransferSyntax("1.2.840.10008.1.2.2", _ALL, little=False),
    "deflated": TransferSyntax("1.2.840.10008.1.2.1.99", _ALL, deflate=True),
    "rle": TransferSyntax("1.2.840.10008.1.2.5", _WHOLE, encoder=rle_frame),
    "jpegls": TransferSyntax("1.2.840.10008.1.2.4.80", _SMALL, encoder=_jpegls, needs="imagecodecs"),
    "j2k": TransferSyntax("1.2.840.10008.1.2.4.90", _SMALL, encoder=_j2k, needs="imagecodecs", smallest=32),
    "htj2k": TransferSyntax("1.2.840.10008.1.2.4.201", _SMALL, encoder=_htj2k, needs="imagecodecs", smallest=32),
}
"""By name."""


def transfer_syntax(name: str, dtype: str, shape: tuple[int, int]) -> TransferSyntax:
    """The row of this name, once it is sure that it holds planes of this type and shape and its encoder is here."""
    if name not in TRANSFER_SYNTAXES:
        raise InputError(f"unknown transfer syntax {name!r}; choose {', '.join(TRANSFER_SYNTAXES)}")
    row = TRANSFER_SYNTAXES[name]
    if dtype not in row.dtypes:
        others = ", ".join(n for n, other in TRANSFER_SYNTAXES.items() if dtype in other.dtypes)
        raise InputError(f"transfer syntax {name} holds {', '.join(row.dtypes)}, not {dtype}; choose {others}")
    if min(shape) < row.smallest:
        raise InputError(
            f"transfer syntax {name} needs slices of at least {row.smallest} x {row.smallest} pixels, "
            f"found {shape[1]} x {shape[0]}; choose a larger size or another transfer syntax"
        )
    if row.needs:
        _require(row.needs, name)
    if row.encoder is not None:
        # OpenJPH 0.26 builds its tables at the first call, and not safely from several threads.
        with contextlib.suppress(Exception):  # whoever fails here fails again, with the name of a slice
            row.encoder(np.zeros((64, 64), dtype))
    return row


def _require(module: str, name: str) -> None:
    import importlib

    try:
        importlib.import_module(module)
    except ImportError as error:
        raise DecoderError(
            f"transfer syntax {name} needs an encoder that is not installed ({module}): pip install 'chunkvol[codecs]'"
        ) from error


def compressed(syntax: TransferSyntax, plane: npt.NDArray[Any], name: str) -> bytes:
    """The plane of the file `name` as a compressed frame."""
    assert syntax.encoder is not None  # the caller looked
    try:
        return syntax.encoder(plane)
    except MemoryError:
        raise
    except Exception as error:  # the encoders of third parties raise what they like
        raise DecoderError(f"the encoder gave up on {name}: {error}; choose another transfer syntax") from error


def deflated(*parts: bytes | memoryview) -> bytes:
    """The parts as one raw deflate stream of even length (PS3.5 A.5)."""
    coder = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    out = b"".join([*map(coder.compress, parts), coder.flush()])
    return out + b"\0" * (len(out) % 2)
