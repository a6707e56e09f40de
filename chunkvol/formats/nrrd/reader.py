"""Opening a NRRD file: header, data files, and a source of their voxels; nothing is read but the ends."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from chunkvol import system
from chunkvol.errors import DamagedError, FormatError, GeometryError
from chunkvol.formats.nrrd.datafiles import data_names
from chunkvol.formats.nrrd.header import NrrdHeader, metadata_from_header, parse_header
from chunkvol.formats.nrrd.space import geometry_from_header
from chunkvol.packing.packedfiles import packed_source
from chunkvol.rawfiles import Bytes, data_sizes, fingerprint, raw_source, text_source
from chunkvol.sources import Source
from chunkvol.volume import Volume

_LONGEST_LINE = 1 << 20
_PIXEL_DATA = tuple(
    tag for low in (b"\x10", b"\x08", b"\x09") for tag in (b"\xe0\x7f" + low + b"\0", b"\x7f\xe0\0" + low)
)
"""Tags (7FE0,0010), of floats (7FE0,0008) and of doubles (7FE0,0009), little and big endian (PS3.5 7.1)."""

__all__ = ["is_nrrd", "open_nrrd", "volume_of"]


def is_nrrd(path: Path) -> bool:
    """True for a file that starts as NRRD does."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(7) == b"NRRD000"


def open_nrrd(path: Path, *, trust_paths: bool = False) -> Volume:
    """A lazy volume from an attached or detached header; raw, gzip, bzip2 or (small) ascii.

    The voxels may lie in many files ("data file: LIST", or numbered names). Two axes are one plane.

    Parameters
    ----------
    path
        The header.
    trust_paths
        Follow names of data files that lead out of the header's folder.

    Raises
    ------
    FormatError
        The header is broken, or asks for something that is not read.
    GeometryError
        The header's directions, origin or units have no meaning.
    DamagedError
        There are fewer voxels than the header promises.
    """
    return volume_of(parse_header(path), trust_paths=trust_paths)


def volume_of(header: NrrdHeader, *, trust_paths: bool = False) -> Volume:
    """The volume of a header; see `open_nrrd`."""
    path = header.path
    try:
        placing = geometry_from_header(header.fields, header.shape)
    except GeometryError as error:
        raise GeometryError(f"{path}: {error}") from error
    names = data_names(header)
    if names:
        sizes = data_sizes(path, names, trust_paths=trust_paths)
        source, noted = _source(header, names, sizes, 0)
    else:
        source, noted = _source(header, (path.name,), np.array([path.stat().st_size]), len(header.text))
    problems = (*placing.problems, *noted)
    metadata = metadata_from_header(header, source.fingerprint, assumed=placing.assumed, problems=problems)
    return Volume(source, placing.geometry, metadata)


# ---------------------------------------------------------------------------------------------------- the source


def _source(header: NrrdHeader, names: tuple[str, ...], sizes: Bytes, start: int) -> tuple[Source, list[str]]:
    """The voxels, their number checked against the files before anything is allocated, and what to tell."""
    folder, skip = header.path.parent, header.byte_skip
    identity = fingerprint(header.text, folder, names, sizes, start)
    starts = _after_lines(header, names, start)
    if header.encoding == "raw":
        if skip < 0:
            _check_dicom(header, names, sizes)
        return raw_source(
            folder,
            names,
            sizes,
            starts + max(0, skip),
            header.shape,
            header.stored,
            at_end=skip < 0,
            identity=identity,
        )
    if header.encoding != "ascii":
        shape, stored = header.shape, header.stored
        source = packed_source(
            folder, names, sizes, starts, shape, stored, header.encoding, lead=skip, identity=identity
        )
        return source, []
    if len(names) > 1:
        raise FormatError(
            f"{header.path} has text in {len(names)} files; raw, gzip and bzip2 are read from several: join them with "
            "'unu save -f nrrd -e raw -i IN.nhdr -o OUT.nrrd'"
        )
    return text_source(folder / names[0], int(starts[0]), header.shape, header.stored, identity), []


def _after_lines(header: NrrdHeader, names: tuple[str, ...], start: int) -> Bytes:
    """Byte at which the data of each file begins, after the header and the lines to skip."""
    starts = np.full(len(names), start, np.int64)
    for number, name in enumerate(names if header.line_skip else ()):
        with open(header.path.parent / name, "rb") as file:
            file.seek(start)
            starts[number] = _skipped(file, header.line_skip)
    return starts


def _skipped(file: BinaryIO, count: int) -> int:
    for number in range(count):
        if not file.readline(_LONGEST_LINE).endswith(b"\n"):
            raise DamagedError(f"{file.name} has {number} of the {count} lines that its header skips")
    return file.tell()


def _check_dicom(header: NrrdHeader, names: tuple[str, ...], sizes: Bytes) -> None:
    """Refuse DICOM files whose last bytes are not the voxels: compressed, padded, or followed by other elements."""
    needed = header.data_bytes // len(names)
    for name, size in zip(names, sizes.tolist(), strict=True):
        path = header.path.parent / name
        with system.opened(path) as fd:
            if system.pread(fd, 4, 128) != b"DICM":
                return
            # Tag and length (implicit, 8 bytes), or tag, OB or OW and length (12 bytes): PS3.5 7.1.2 and 7.1.3.
            before = system.pread(fd, 12, max(0, size - needed - 12))
        if not before.startswith(_PIXEL_DATA) and before[4:8] not in _PIXEL_DATA:
            raise FormatError(
                f"{path} is a DICOM file whose last {needed} bytes are not its pixels: it is compressed, or of another "
                "size; open the folder of DICOM files itself"
            )
