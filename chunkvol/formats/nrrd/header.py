"""The text header of a NRRD file, as it is read: fields and key/value pairs.

Source: "Definition of NRRD File Format", teem.sourceforge.net/nrrd/format.html.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from chunkvol.errors import FormatError
from chunkvol.formats.nrrd.axes import squeezed
from chunkvol.metadata import Metadata, Rescale
from chunkvol.regions import Shape, voxels

LONGEST_HEADER = 4 << 20
"""Bytes; a file that starts like NRRD and goes on without an empty line is something else."""
_LONGEST_LIST = 64 << 20
"""Bytes of the names of data files after it."""

ENCODINGS = {
    "raw": "raw",
    "gz": "gzip",
    "gzip": "gzip",
    "bz2": "bzip2",
    "bzip2": "bzip2",
    "txt": "ascii",
    "text": "ascii",
    "ascii": "ascii",
}
"""Names of the encodings that are read."""

TYPES = {
    "int8": ("signed char", "int8", "int8_t"),
    "uint8": ("unsigned char", "uchar", "uint8", "uint8_t"),
    "int16": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "uint16": ("unsigned short", "ushort", "unsigned short int", "uint16", "uint16_t"),
    "int32": ("int", "signed int", "int32", "int32_t"),
    "uint32": ("unsigned int", "uint", "uint32", "uint32_t"),
    "int64": (
        "long long int",
        "longlong",
        "long long",
        "signed long long",
        "signed long long int",
        "int64",
        "int64_t",
    ),
    "uint64": ("unsigned long long int", "ulonglong", "unsigned long long", "uint64", "uint64_t"),
    "float32": ("float",),
    "float64": ("double",),
}
"""numpy's name, then NRRD's: the first is the one that ITK writes."""

_DTYPES = {alias: name for name, aliases in TYPES.items() for alias in aliases}
_ALIASES = {"centerings": "centers"}
_LIST = re.compile(rb"data ?file:\s*LIST(\s+[0-9]+)?\s*", re.IGNORECASE)

__all__ = ["ENCODINGS", "TYPES", "NrrdHeader", "metadata_from_header", "parse_header", "read_fields"]


@dataclass(frozen=True, slots=True)
class NrrdHeader:
    """A header as it stands in the file, its basic fields checked."""

    path: Path
    """The file, for messages."""
    fields: dict[str, str]
    """Fields by their name in lower case without spaces: "spacedirections"; axes of length 1 that are not in space
    are left out of them."""
    keys: dict[str, str]
    """Key/value pairs."""
    text: bytes
    """All bytes of the header, the empty line or the names of data files included."""
    listed: tuple[str, ...] = ()
    """Names of data files that follow "data file: LIST"."""
    sizes: tuple[int, ...] = ()
    """Lengths of all axes, those of length 1 included, the fastest first."""
    shape: Shape = field(init=False)
    """Voxels along (k, j, i); two axes are one plane."""
    stored: np.dtype[Any] = field(init=False)
    """Type in the file, with its byte order."""
    encoding: str = field(init=False)
    """raw, gzip, bzip2 or ascii."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _shape(self))
        object.__setattr__(self, "encoding", _encoding(self))
        object.__setattr__(self, "stored", _stored(self))

    @property
    def data_bytes(self) -> int:
        """Bytes of all voxels, as a Python integer that cannot overflow."""
        return voxels(self.shape) * self.stored.itemsize

    @property
    def data_file(self) -> str:
        """What the header says of the files that hold the voxels; empty where they follow the header."""
        return self.fields.get("datafile", "")

    @property
    def byte_skip(self) -> int:
        """Bytes before the voxels, after decompression; -1 when the voxels are the last bytes."""
        return self._integer("byteskip", least=-1)

    @property
    def line_skip(self) -> int:
        """Lines of the file before the data, before decompression."""
        return self._integer("lineskip", least=0)

    def _integer(self, name: str, least: int) -> int:
        text = self.fields.get(name, "0")
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or int(text) < least:
            raise FormatError(f"{self.path}: {name} must be an integer of at least {least}, found {text!r}")
        return int(text)


def parse_header(path: Path) -> NrrdHeader:
    """The header of a NRRD file (attached or detached).

    Raises
    ------
    FormatError
        It is not NRRD, is not a 3D volume of numbers, or is in a form that is not read; the message says which.
    """
    fields, keys, lines, names = _parts(path)
    listed = tuple(_text(name).strip() for name in names)
    return NrrdHeader(path, squeezed(fields, path), keys, b"".join(lines + names), listed, _lengths(fields))


def read_fields(path: Path) -> tuple[dict[str, str], dict[str, str], bytes]:
    """Fields, key/value pairs and all bytes of a header, as they stand there; see `NrrdHeader` and `parse_header`."""
    fields, keys, lines, names = _parts(path)
    return fields, keys, b"".join(lines + names)


def _parts(path: Path) -> tuple[dict[str, str], dict[str, str], list[bytes], list[bytes]]:
    """Fields, key/value pairs, the lines of the header, and those that name data files."""
    with open(path, "rb") as file:
        lines = _header_lines(file, path)
        names = _listed(file, path) if _LIST.fullmatch(lines[-1]) else []
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    for number, raw in enumerate(lines[1:], start=2):
        line = _text(raw).rstrip("\r\n")
        if line and not line.startswith("#"):
            _add_line(line, fields, keys, f"{path}, line {number}")
    return fields, keys, lines, names


def _header_lines(file: IO[bytes], path: Path) -> list[bytes]:
    """All lines up to and with the empty one, or the one that starts a list of files, or to the end of a detached
    header."""
    lines = [file.readline(64)]
    if not re.fullmatch(rb"NRRD000[1-5]\s*", lines[0]):
        raise FormatError(f"{path} does not start with NRRD0001 to NRRD0005, found {lines[0][:16]!r}")
    room = LONGEST_HEADER
    while lines[-1].strip(b"\r\n") and not _LIST.fullmatch(lines[-1]):
        lines.append(file.readline(room))
        room -= len(lines[-1])
        if room <= 0:
            raise FormatError(f"{path}: no end of the header within {LONGEST_HEADER} bytes; it is not a NRRD file")
    return lines


def _listed(file: IO[bytes], path: Path) -> list[bytes]:
    """The lines that name data files: all up to the end, or to an empty one."""
    lines: list[bytes] = []
    room = _LONGEST_LIST
    while (line := file.readline(room)).strip():
        lines.append(line)
        room -= len(line)
        if room <= 0:
            raise FormatError(f"{path}: no end of the list of data files within {_LONGEST_LIST} bytes")
    return lines


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _add_line(line: str, fields: dict[str, str], keys: dict[str, str], where: str) -> None:
    pair, colon = line.find(":="), line.find(": ")
    if pair > 0 and not 0 <= colon < pair:
        keys[_unescaped(line[:pair])] = _unescaped(line[pair + 2 :])
        return
    name, separator, value = line.partition(":")
    if not separator:
        raise FormatError(f"{where}: expected 'field: value' or 'key:=value', found {line[:60]!r}")
    name = name.lower().replace(" ", "")
    name = _ALIASES.get(name, name)
    if name in fields and fields[name] != value.strip():
        raise FormatError(f"{where}: the field {name} is given twice with different values")
    fields[name] = value.strip()


def _lengths(fields: dict[str, str]) -> tuple[int, ...]:
    sizes = fields.get("sizes", "").split()
    return tuple(int(n) for n in sizes if re.fullmatch(r"[0-9]{1,18}", n))


def _shape(header: NrrdHeader) -> Shape:
    sizes, dimension = _needed(header, "sizes").split(), _needed(header, "dimension")
    if dimension not in ("2", "3"):
        raise FormatError(
            f"{header.path} has dimension {dimension} (sizes {' '.join(sizes)[:60]}); volumes of 3 dimensions and "
            "single planes are read: cut out one with 'unu slice'"
        )
    if str(len(sizes)) != dimension or not all(re.fullmatch(r"[0-9]{1,18}", n) and int(n) > 0 for n in sizes):
        count = {"2": "two", "3": "three"}[dimension]
        raise FormatError(f"{header.path}: sizes must be {count} positive integers, found {' '.join(sizes)[:60]!r}")
    i, j, k = map(int, (*sizes, "1")[:3])
    return k, j, i


def _encoding(header: NrrdHeader) -> str:
    name = _needed(header, "encoding").lower()
    if name not in ENCODINGS:
        raise FormatError(f"{header.path} has encoding {name}; raw, gzip, bzip2 and ascii are read")
    return ENCODINGS[name]


def _stored(header: NrrdHeader) -> np.dtype[Any]:
    name = " ".join(_needed(header, "type").lower().split())
    if name not in _DTYPES:
        raise FormatError(
            f"{header.path} has voxels of type {name!r}; integers of 8 to 64 bits, float, double are read"
        )
    dtype = np.dtype(_DTYPES[name])
    if dtype.itemsize == 1 or header.encoding == "ascii":
        return dtype
    endian = _needed(header, "endian").lower()
    if endian not in ("little", "big"):
        raise FormatError(f"{header.path}: endian must be little or big, found {endian!r}")
    return dtype.newbyteorder("<" if endian == "little" else ">")


def _needed(header: NrrdHeader, name: str) -> str:
    value = header.fields.get(name, "")
    if not value:
        raise FormatError(
            f"{header.path}: the field {name} is missing from the header; add it, or export the file again"
        )
    return value


def metadata_from_header(
    header: NrrdHeader, identity: str, *, assumed: bool = False, problems: Iterable[str] = ()
) -> Metadata:
    """What our own key/value pairs say; those of others are left behind, since they may name a patient."""
    ours = {key.removeprefix("chunkvol_"): text for key, text in header.keys.items() if key.startswith("chunkvol_")}
    history = ours.get("history", "")
    return Metadata(
        rescale=_rescale(header) if "version" in ours else Rescale(unit=ours.get("unit", "")),
        assumed=assumed or ours.get("geometry") == "assumed",
        source=ours.get("source", identity),
        history=tuple(history.split("; ")) if history else (),
        problems=tuple(problems),
    )


def _rescale(header: NrrdHeader) -> Rescale:
    """The slope in a header of ours, which stands in front of stored values; those of others may be applied already."""
    unit = header.keys.get("chunkvol_unit", header.keys.get("RescaleType", ""))
    try:
        slope, intercept = (
            float(header.keys.get(f"Rescale{name}", usual)) for name, usual in (("Slope", "1"), ("Intercept", "0"))
        )
    except ValueError:
        slope = intercept = math.nan
    if not (math.isfinite(slope) and math.isfinite(intercept) and slope):
        raise FormatError(
            f"{header.path}: RescaleSlope and RescaleIntercept must be finite numbers, the slope not 0; correct them"
        )
    return Rescale(slope, intercept, unit)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([\\n])", lambda match: "\n" if match[1] == "n" else "\\", text)
