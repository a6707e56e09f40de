"""pydicom, for what the walker leaves to it: unusual encodings, and the nested groups of multi-frame objects."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Any, BinaryIO

from chunkvol.errors import ChunkvolError, DamagedError
from chunkvol.formats.dicom.headers.values import exact, plain
from chunkvol.formats.dicom.headers.walker import Found

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

__all__ = [
    "EXPLICIT_BIG",
    "EXPLICIT_LITTLE",
    "IMPLICIT_LITTLE",
    "Bounded",
    "OddFile",
    "as_found",
    "by_pydicom",
    "read_odd",
]

_TEXT_FOR = {"FD": b"DS", "FL": b"DS", "US": b"IS", "SS": b"IS", "UL": b"IS", "SL": b"IS"}
_MOST_READ = 64 << 20
_LEAST_READ = 64  # what the smallest read counts as, for the time that it takes
_LONGEST_REASON = 200
_lock = Lock()  # silencing warnings is global in Python


@contextlib.contextmanager
def by_pydicom() -> Iterator[None]:
    """Work with pydicom, one thread at a time and without its warnings; its errors become DamagedError."""
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except ChunkvolError:
            raise
        except Exception as error:  # it meets hostile bytes with many kinds of exception, MemoryError among them
            reason = plain("".join(str(error).splitlines()[:1]), _LONGEST_REASON)
            raise DamagedError(f"pydicom cannot read it ({type(error).__name__}: {reason})") from None


class Bounded:
    """A file that only gives so much: pydicom would follow 4 GiB of zeros eight bytes at a time, or read them at once.

    Jumping over is free.
    """

    def __init__(self, file: BinaryIO, most: int = _MOST_READ) -> None:
        self._file, self._left, self._most = file, most, most
        self.seek, self.tell = file.seek, file.tell
        self.name = ""
        """Asked for by pydicom."""

    def read(self, length: int = -1) -> bytes:
        """Bytes from here on.

        Raises
        ------
        DamagedError
            When they are too many, together with those read before.
        """
        data = self._file.read(self._left + 1 if length < 0 else min(length, self._left + 1))
        self._left -= max(len(data), _LEAST_READ)
        if self._left < 0:
            raise DamagedError(f"its header has more than {self._most >> 20} MiB, or very many elements")
        return data


@dataclass(frozen=True, slots=True)
class OddFile:
    """A file that the walker gave up: big endian, without transfer syntax, or with unknown VRs."""

    transfer_syntax: str
    """Stated, or guessed by pydicom."""
    found: dict[int, Found]
    """The wanted elements by tag."""
    pixel_tag: int
    """Tag of the pixel data; 0 where there is none."""
    offset: int
    """Byte where its value starts."""
    length: int
    """Its declared length."""
    pixel_vr: str
    """Its VR where the file is big endian; empty elsewhere."""


def read_odd(file: BinaryIO, wanted: Iterable[int]) -> OddFile:
    """Read a file up to its pixel data.

    Raises
    ------
    DamagedError
        When pydicom cannot read it, its header is absurdly large, or it ends inside an element.
    """
    import pydicom

    tags = list(wanted)
    with by_pydicom():
        dataset = pydicom.dcmread(Bounded(file), stop_before_pixels=True, force=True, specific_tags=tags)
        found = {tag: raw for tag in tags if (raw := as_found(dataset.get(tag))) is not None}
        implicit, little = dataset.original_encoding
        stated = str(dataset.file_meta.get("TransferSyntaxUID", "")).strip("\0 ")
        syntax = exact(stated) or _native_syntax(implicit, little)
    offset = file.tell()
    if offset > file.seek(0, 2):  # pydicom jumps over the end
        raise DamagedError("an element claims more bytes than are left")
    file.seek(offset)
    head = file.read(12)
    tag, start, length = _pixel_element(head, bool(implicit), "little" if little else "big")
    vr = "" if little or implicit else head[4:6].decode("latin-1")
    return OddFile(sys.intern(syntax), found, tag, offset + start, length, vr)


def _native_syntax(implicit: bool | None, little: bool | None) -> str:
    if implicit:
        return IMPLICIT_LITTLE
    return EXPLICIT_LITTLE if little else EXPLICIT_BIG


def as_found(element: Any) -> Found | None:
    """What the walker would have found, from pydicom's element, with numbers as text."""
    if element is None or element.value is None:
        return None
    value, vr = element.value, str(element.VR)
    if vr == "SQ":
        return (b"\0" if len(value) else b""), b"SQ"
    if isinstance(value, bytes):
        return value, vr.encode()
    parts = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
    text = "\\".join(str(part) for part in parts).encode("utf-8", "replace")
    return text, _TEXT_FOR.get(vr, vr.encode())


def _pixel_element(head: bytes, implicit: bool, order: Any) -> tuple[int, int, int]:
    """Tag, header length and declared length of the pixel data element that starts `head`; zeros where it is none."""
    if len(head) < 8:
        return 0, 0, 0
    tag = int.from_bytes(head[:2], order) << 16 | int.from_bytes(head[2:4], order)
    if tag not in (0x7FE00008, 0x7FE00009, 0x7FE00010):
        return 0, 0, 0
    if not implicit and head[4:6] in (b"OB", b"OW", b"OF", b"OD", b"UN"):
        return tag, 12, int.from_bytes(head[8:12], order)
    return tag, 8, int.from_bytes(head[4:8], order)  # some "explicit" files are implicit
