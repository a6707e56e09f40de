"""Opening a NRRD file: header, data file, and a source of its voxels; nothing is read but the ends."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chunkvol.errors import DamagedError, FormatError, GeometryError, InputError
from chunkvol.formats.nrrd.header import NrrdHeader, metadata_from_header, parse_header
from chunkvol.formats.nrrd.space import geometry_from_header
from chunkvol.packing.packed import PACKINGS, PackedSource
from chunkvol.regions import voxels
from chunkvol.sources import ArraySource, Block, RawSource, Source
from chunkvol.volume import Volume

_ENDS = 1 << 16
_LONGEST_LINE = 1 << 20
_MOST_TEXT = 16 << 20
"""Bytes of an ascii file, which is read at once."""

__all__ = ["is_nrrd", "open_nrrd", "volume_of"]


def is_nrrd(path: Path) -> bool:
    """True for a file that starts as NRRD does."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(7) == b"NRRD000"


def open_nrrd(path: Path) -> Volume:
    """A lazy volume from an attached or detached header; raw, gzip, bzip2 or (small) ascii.

    Raises
    ------
    FormatError
        The header is broken, or asks for something that is not read.
    GeometryError
        The header's directions, origin or units have no meaning.
    DamagedError
        There are fewer voxels than the header promises.
    """
    return volume_of(parse_header(path))


def volume_of(header: NrrdHeader) -> Volume:
    """The volume of a header; see `open_nrrd`."""
    try:
        placing = geometry_from_header(header.fields, header.shape)
    except GeometryError as error:
        raise GeometryError(f"{header.path}: {error}") from error
    data = _data_path(header)
    start = _data_start(header, data)
    source, noted = _source(header, data, start, _fingerprint(header, data))
    problems = (*placing.problems, *noted)
    metadata = metadata_from_header(header, source.fingerprint, assumed=placing.assumed, problems=problems)
    return Volume(source, placing.geometry, metadata)


# -------------------------------------------------------------------------------------------- the data's place


def _data_path(header: NrrdHeader) -> Path:
    """The file that holds the voxels: the header's own, or one in its folder and nowhere else."""
    name, folder = header.data_file, header.path.parent
    if not name:
        return header.path
    if name.upper().split()[0] == "LIST" or "%" in name:
        raise FormatError(f"{header.path} spreads its voxels over several files ({name}); only one data file is read")
    if "\0" in name:
        raise FormatError(f"{header.path}: the data file's name holds a zero byte")
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise FormatError(f"{header.path} names a data file outside its folder ({name}); move it beside the header")
    if not path.is_file():
        raise InputError(f"{header.path} needs the data file {path}, which does not exist")
    return path


def _data_start(header: NrrdHeader, data: Path) -> int:
    """Byte at which the data begins, after the header and the lines to skip."""
    start = 0 if header.data_file else len(header.text)
    with open(data, "rb") as file:
        file.seek(start)
        for number in range(header.line_skip):
            line = file.readline(_LONGEST_LINE)
            if not line.endswith(b"\n"):
                raise DamagedError(f"{data} has {number} of the {header.line_skip} lines that its header skips")
        return file.tell()


def _fingerprint(header: NrrdHeader, data: Path) -> str:
    """SHA-256 over the header, the file's size and its ends: cheap, and different for files that differ."""
    size = data.stat().st_size
    digest = hashlib.sha256(header.text)
    digest.update(str(size).encode())
    with open(data, "rb") as file:
        for start in (0 if header.data_file else len(header.text), max(0, size - _ENDS)):
            file.seek(start)
            digest.update(file.read(_ENDS))
    return digest.hexdigest()


# ---------------------------------------------------------------------------------------------------- the source


def _source(header: NrrdHeader, data: Path, start: int, identity: str) -> tuple[Source, list[str]]:
    """The voxels, their number checked against the file before anything is allocated, and what to tell."""
    if header.encoding == "raw":
        return _raw(header, data, start, identity)
    if header.encoding == "ascii":
        return _Text(_parsed(header, data, start), identity), []
    available = data.stat().st_size - start
    most = available * PACKINGS[header.encoding].most_ratio
    if header.data_bytes > most:
        raise _short(header, data, f"at most {most}")
    skip = header.byte_skip
    return PackedSource(data, header.shape, header.stored, header.encoding, start, skip, identity), []


def _raw(header: NrrdHeader, data: Path, start: int, identity: str) -> tuple[Source, list[str]]:
    size, needed, skip = data.stat().st_size, header.data_bytes, header.byte_skip
    offset = size - needed if skip < 0 else start + skip
    found = size - (start if skip < 0 else offset)
    if found < needed:
        raise _short(header, data, str(max(0, found)))
    noted = []
    if offset + needed < size:
        noted.append(f"{data.name} has {size - offset - needed} bytes more than its header says: they are not used")
    return RawSource(data, header.shape, header.stored, offset, identity), noted


def _short(header: NrrdHeader, data: Path, found: str) -> DamagedError:
    return DamagedError(
        f"{data} holds {found} bytes of voxels where its header promises {header.data_bytes} "
        f"(sizes {' x '.join(map(str, header.shape[::-1]))}, {header.stored.name}); "
        "it is cut short or the header is wrong: copy or export it again"
    )


@dataclass(frozen=True)
class _Text(ArraySource):
    """Voxels that were read from text."""

    identity: str = ""
    """Fingerprint of the file."""

    @property
    def fingerprint(self) -> str:
        return self.identity


def _parsed(header: NrrdHeader, data: Path, start: int) -> Block:
    """Numbers separated by white space or commas."""
    size = data.stat().st_size - start
    if size > _MOST_TEXT:
        raise FormatError(f"{data} holds {size} bytes of text; ascii is read up to {_MOST_TEXT}: convert it to raw")
    with open(data, "rb") as file:
        file.seek(start)
        text = file.read().replace(b",", b" ")
    values = _numbers(text, header, data)
    needed = voxels(header.shape)
    if values.size < needed:
        raise DamagedError(f"{data} holds {values.size} numbers where its header promises {needed}")
    return values[:needed].astype(header.stored).reshape(header.shape)


def _numbers(text: bytes, header: NrrdHeader, data: Path) -> Block:
    wide = {"i": "int64", "u": "uint64", "f": "float64"}[header.stored.kind]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy only warns of text that is no number
        try:
            values: Block = np.fromstring(text.decode("ascii"), wide, sep=" ")
        except (ValueError, DeprecationWarning) as error:
            raise FormatError(f"{data} holds text that is no {header.stored.name}: {error}") from error
    if wide != "float64" and values.size:
        bounds = np.iinfo(header.stored)
        if int(values.min()) < bounds.min or int(values.max()) > bounds.max:
            raise FormatError(f"{data} holds numbers beyond the range of {header.stored.name}")
    return values
