"""The text header of a MetaImage: "key = value" lines, of which ElementDataFile is the last.

Source: the MetaIO library and its documentation (itk.org/Wiki/ITK/MetaIO/Documentation); we write what ITK writes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from chunkvol._version import __version__
from chunkvol.errors import FormatError, InputError
from chunkvol.formats.metaimage.place import geometry_lines
from chunkvol.geometry import Geometry
from chunkvol.metadata import Metadata, Rescale
from chunkvol.regions import Shape, voxels

LONGEST_HEADER = 4 << 20
"""Bytes; a text that goes on longer without ElementDataFile is something else."""
_LONGEST_LIST = 64 << 20
"""Bytes of the names of data files after it."""
_LONGEST_VALUE = 400
"""Characters of a value of our own: older releases of MetaIO give up at 500."""
SIZE_DIGITS = 20
"""Of CompressedDataSize, which is known only after the voxels; MetaIO reads zeros before a number."""

_TYPES = {
    "int8": ("MET_CHAR", "MET_ASCII_CHAR"),
    "uint8": ("MET_UCHAR",),
    "int16": ("MET_SHORT",),
    "uint16": ("MET_USHORT",),
    "int32": ("MET_INT", "MET_LONG"),
    "uint32": ("MET_UINT", "MET_ULONG"),
    "int64": ("MET_LONG_LONG",),
    "uint64": ("MET_ULONG_LONG",),
    "float32": ("MET_FLOAT",),
    "float64": ("MET_DOUBLE",),
}
"""numpy's name, then MetaIO's: the first is the one that is written. MET_LONG has 4 bytes on every system."""
_DTYPES = {alias: name for name, aliases in _TYPES.items() for alias in aliases}
_SAME = {
    "Position": "Offset",
    "Origin": "Offset",
    "Rotation": "TransformMatrix",
    "Orientation": "TransformMatrix",
    "ElementByteOrderMSB": "BinaryDataByteOrderMSB",
}
"""Keys that mean what another one means."""
_OWN = "chunkvol_"

__all__ = [
    "LONGEST_HEADER",
    "SIZE_DIGITS",
    "MetaHeader",
    "check_type",
    "header_from_geometry",
    "metadata_from_header",
    "parse_header",
]


@dataclass(frozen=True, slots=True)
class MetaHeader:
    """A header as it stands in the file, its basic keys checked."""

    path: Path
    """The file, for messages."""
    fields: dict[str, str]
    """Values by key; of keys with the same meaning the usual one."""
    text: bytes
    """All bytes of the header, the names of data files included."""
    listed: tuple[str, ...] = ()
    """Names of data files that follow "ElementDataFile = LIST"."""
    sizes: tuple[int, ...] = field(init=False)
    """Lengths of all axes, the fastest first."""
    shape: Shape = field(init=False)
    """Voxels along (k, j, i); two axes are one plane."""
    stored: np.dtype[Any] = field(init=False)
    """Type in the file, with its byte order."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", _sizes(self))
        object.__setattr__(self, "shape", _shape(self))
        object.__setattr__(self, "stored", _stored(self))

    @property
    def data_bytes(self) -> int:
        """Bytes of all voxels, as a Python integer that cannot overflow."""
        return voxels(self.shape) * self.stored.itemsize

    @property
    def data_file(self) -> str:
        """What the header says of the files that hold the voxels."""
        return self.fields["ElementDataFile"]

    @property
    def is_text(self) -> bool:
        """Whether voxels are written as numbers."""
        return not self.flag("BinaryData", default=True)

    @property
    def is_compressed(self) -> bool:
        """Whether voxels lie in zlib streams, one a file."""
        return not self.is_text and self.flag("CompressedData")

    def flag(self, key: str, *, default: bool = False) -> bool:
        """A value that is True or False, as MetaIO judges it: by the first letter."""
        text = self.fields.get(key, "")
        return text[0] in "TtYy1" if text else default

    def integer(self, key: str, *, least: int) -> int:
        """A whole number; 0 where the header does not say."""
        text = self.fields.get(key, "") or "0"
        if not re.fullmatch(r"-?[0-9]{1,20}", text) or int(text) < least:
            raise FormatError(f"{self.path}: {key} must be a whole number of at least {least}, found {text[:40]!r}")
        return int(text)


# ---------------------------------------------------------------------------------------------------- reading


def parse_header(path: Path) -> MetaHeader:
    """The header of a MetaImage, attached or detached.

    Raises
    ------
    FormatError
        It is no MetaImage, is no volume of single numbers, or is in a form that is not read; the message says which.
    """
    fields: dict[str, str] = {}
    lines: list[bytes] = []
    with open(path, "rb") as file:
        while "ElementDataFile" not in fields:
            lines.append(_line(file, path))
            _add_line(lines[-1], fields, f"{path}, line {len(lines)}")
        names = _listed(file, path) if fields["ElementDataFile"].startswith("LIST") else []
    return MetaHeader(path, fields, b"".join(lines + names), tuple(_text(name).strip() for name in names))


def _line(file: IO[bytes], path: Path) -> bytes:
    line = file.readline(LONGEST_HEADER)
    if not line:
        raise FormatError(f"{path}: ElementDataFile is missing from the header; add it, or export the file again")
    if file.tell() >= LONGEST_HEADER:
        raise FormatError(f"{path}: no ElementDataFile within {LONGEST_HEADER} bytes; it is not a MetaImage")
    return line


def _listed(file: IO[bytes], path: Path) -> list[bytes]:
    """The lines that name data files, up to the end."""
    text = file.read(_LONGEST_LIST + 1)
    if len(text) > _LONGEST_LIST:
        raise FormatError(f"{path}: the list of data files goes on after {_LONGEST_LIST} bytes; export the file again")
    return [line for line in text.splitlines(keepends=True) if line.strip()]


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _add_line(raw: bytes, fields: dict[str, str], where: str) -> None:
    line = _text(raw).strip()
    if not line:
        return
    match = re.fullmatch(r"([^=:]+?)\s*[=:]\s*(.*)", line)
    if not match:
        raise FormatError(f"{where}: expected 'key = value', found {line[:60]!r}")
    key = _SAME.get(match[1], match[1])
    if key in fields and fields[key] != match[2]:
        raise FormatError(f"{where}: {key} is given twice with different values; leave one")
    fields[key] = match[2]


def _sizes(header: MetaHeader) -> tuple[int, ...]:
    count, sizes = _needed(header, "NDims"), _needed(header, "DimSize").split()
    if count != str(len(sizes)) or not all(re.fullmatch(r"[0-9]{1,18}", n) and int(n) > 0 for n in sizes):
        raise FormatError(
            f"{header.path}: DimSize must be as many positive integers as NDims says ({count[:20]}), found "
            f"{' '.join(sizes)[:60]!r}"
        )
    return tuple(map(int, sizes))


def _shape(header: MetaHeader) -> Shape:
    if len(header.sizes) < 2 or any(n > 1 for n in header.sizes[3:]):
        raise FormatError(
            f"{header.path} has {len(header.sizes)} dimensions ({' x '.join(map(str, header.sizes))}); volumes of 3 "
            "and single planes are read: extract one with SimpleITK.Extract"
        )
    channels = header.integer("ElementNumberOfChannels", least=0)
    if channels > 1:
        raise FormatError(
            f"{header.path} has {channels} numbers a voxel; volumes with one are read: take out one with "
            "SimpleITK.VectorIndexSelectionCast"
        )
    i, j, k = (*header.sizes, 1)[:3]
    return k, j, i


def _stored(header: MetaHeader) -> np.dtype[Any]:
    name = _needed(header, "ElementType")
    if name not in _DTYPES:
        raise FormatError(
            f"{header.path} has voxels of type {name[:40]!r}; integers of 8 to 64 bits, MET_FLOAT and MET_DOUBLE are "
            "read"
        )
    big = header.flag("BinaryDataByteOrderMSB") and not header.is_text
    return np.dtype(_DTYPES[name]).newbyteorder(">" if big else "<")


def _needed(header: MetaHeader, key: str) -> str:
    value = header.fields.get(key, "")
    if not value:
        raise FormatError(f"{header.path}: {key} is missing from the header; add it, or export the file again")
    return value


def metadata_from_header(
    header: MetaHeader, identity: str, *, assumed: bool = False, problems: tuple[str, ...] = ()
) -> Metadata:
    """What our own keys say; those of others are left behind, since they may name a patient."""
    history = _own(header, "history")
    return Metadata(
        rescale=Rescale(unit=_own(header, "unit")),
        assumed=assumed or _own(header, "geometry") == "assumed",
        source=_own(header, "source") or identity,
        history=tuple(history.split("; ")) if history else (),
        problems=problems,
    )


def _own(header: MetaHeader, name: str) -> str:
    """The value of a key of our own, put together from its parts."""
    value, number = header.fields.get(f"{_OWN}{name}", ""), 2
    while value.endswith("\\") and (more := header.fields.get(f"{_OWN}{name}_{number}")):
        value, number = value[:-1] + more, number + 1
    return value


# ---------------------------------------------------------------------------------------------------- writing


def check_type(dtype: np.dtype[Any]) -> None:
    """Refuse a type that MetaImage has no name for."""
    if dtype.name not in _TYPES:
        raise InputError(
            f"MetaImage holds integers of 8 to 64 bits, float32 and float64, not {dtype.name}; convert the array first"
        )


def header_from_geometry(
    geometry: Geometry, dtype: np.dtype[Any], metadata: Metadata, encoding: str, data_file: str = "LOCAL"
) -> bytes:
    """The header of a little endian volume.

    Parameters
    ----------
    geometry, dtype, metadata
        Of the voxels as they will stand in the file, real values.
    encoding
        "raw", or "gzip" for a zlib stream, whose length is left open: zeros that are replaced when it is known.
    data_file
        Name of the file beside a detached header; "LOCAL" where the voxels follow.
    """
    check_type(dtype)
    packed = encoding != "raw"
    lines = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        f"CompressedData = {packed}",
        *([f"CompressedDataSize = {0:0{SIZE_DIGITS}d}"] if packed else []),
        *geometry_lines(geometry),
        f"ElementType = {_TYPES[dtype.name][0]}",
        *_own_lines(metadata),
        f"ElementDataFile = {data_file}",
    ]
    return ("\n".join(lines) + "\n").encode()


def _own_lines(metadata: Metadata) -> list[str]:
    """Only what determined the voxels: no time, no host, no path. MetaIO keeps keys that it does not know."""
    values = {
        "version": __version__,
        "source": metadata.source,
        "history": "; ".join(metadata.history),
        "geometry": "assumed" if metadata.assumed else "stated",
        "unit": metadata.rescale.unit,
    }
    return [
        f"{_OWN}{name}{'' if number == 1 else f'_{number}'} = {part}"
        for name, value in values.items()
        for number, part in enumerate(_parts(" ".join(value.split())), start=1)
    ]


def _parts(text: str) -> list[str]:
    """Pieces of at most `_LONGEST_VALUE` characters; all but the last end with a backslash.

    A reader drops spaces at either end of a value: the backslash keeps one, and no piece starts with one (`text` has
    no two in a row).
    """
    parts = []
    while len(text) > _LONGEST_VALUE:
        stop = _LONGEST_VALUE - 1 - (text[_LONGEST_VALUE - 1] == " ")
        parts.append(text[:stop] + "\\")
        text = text[stop:]
    return [*parts, text] if text else parts
