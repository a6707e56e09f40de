"""Opening a MetaImage: header, data files, and a source of their voxels; nothing is read but the ends."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from chunkvol.errors import DamagedError, FormatError
from chunkvol.formats.metaimage.header import MetaHeader, metadata_from_header, parse_header
from chunkvol.formats.metaimage.place import geometry_from_header
from chunkvol.packing.packed import PACKINGS
from chunkvol.packing.packedfiles import packed_source
from chunkvol.progress import Progress
from chunkvol.rawfiles import Bytes, data_sizes, fingerprint, raw_source, text_source
from chunkvol.regions import voxels
from chunkvol.sources import Source
from chunkvol.volume import Volume

_HEAD = 1 << 13
_NUMBERED = re.compile(r"((?:[^%\s]|%%)*%[0-9]{0,3}d(?:[^%\s]|%%)*)((?:\s+-?[0-9]{1,9}){0,3})")
"""A name with the place of a number; first number, last one, step."""
_SPACED = re.compile(r"((?:[^%]|%%)*%[0-9]{0,3}d(?:[^%]|%%)*?)((?:\s+-?[0-9]{1,9}){3})")
"""A name that may hold blanks, where all three numbers follow: so MetaIO tells them apart."""
_LIST = re.compile(r"LIST(?:\s+([0-9]{1,2})D?)?")

__all__ = ["is_metaimage", "open_metaimage"]


def is_metaimage(path: Path) -> bool:
    """True for a file that starts with the lines of a MetaImage; they have no fixed order."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    return all(re.search(rb"^[ \t]*%s[ \t]*[=:]" % key, head, re.MULTILINE) for key in (b"NDims", b"DimSize"))


def open_metaimage(path: Path, progress: Progress, *, trust_paths: bool = False) -> Volume:
    """A lazy volume from an attached (.mha) or detached (.mhd) header; raw, zlib, or (small) text.

    The voxels may lie in many files ("ElementDataFile = LIST", or numbered names). Axes (k, j, i), LPS mm; two axes
    are one plane.

    Parameters
    ----------
    path
        The header.
    progress
        Not told anything: only the header is read.
    trust_paths
        Follow names of data files that lead out of the header's folder.

    Raises
    ------
    FormatError
        The header is broken, or asks for something that is not read.
    GeometryError
        The header's directions, origin or spacing have no meaning.
    DamagedError
        There are fewer voxels than the header promises.
    """
    header = parse_header(path)
    placing = geometry_from_header(header.fields, header.shape, path)
    names = _data_names(header)
    if names:
        sizes, start = data_sizes(path, names, trust_paths=trust_paths), 0
    else:
        names, sizes, start = (path.name,), np.array([path.stat().st_size]), len(header.text)
    source, noted = _source(header, names, sizes, start)
    if header.stored.itemsize > 1 and "BinaryDataByteOrderMSB" not in header.fields and not header.is_text:
        noted.append("the header states no byte order: little endian is assumed, as on all usual computers")
    problems = (*placing.problems, *noted)
    metadata = metadata_from_header(header, source.fingerprint, assumed=placing.assumed, problems=problems)
    return Volume(source, placing.geometry, metadata)


# -------------------------------------------------------------------------------------------- the data's place


def _data_names(header: MetaHeader) -> tuple[str, ...]:
    """Names of the data files as the header has them; none where it holds the voxels itself."""
    given = header.data_file
    if given in ("LOCAL", "Local", "local"):
        return ()
    listed = _LIST.fullmatch(given)
    if listed:
        axes = int(listed[1] or 0)
        # As in MetaIO: without a number, or with one that is too large, files have one axis less than the whole.
        each = axes if 0 < axes <= len(header.sizes) else len(header.sizes) - 1
        _check_count(header, len(header.listed), voxels(header.sizes[each:]))
        return header.listed
    numbered = _NUMBERED.fullmatch(given) or _SPACED.fullmatch(given)
    return _numbered(header, numbered[1], [int(word) for word in numbered[2].split()]) if numbered else (given,)


def _numbered(header: MetaHeader, name: str, given: list[int]) -> tuple[str, ...]:
    """The names from first number, last one and step; MetaIO starts with 1, and has a file for each plane."""
    count = header.sizes[-1]
    first = given[0] if given else 1
    last = given[1] if len(given) > 1 else first + count - 1
    step = given[2] if len(given) > 2 else 1
    if step == 0:
        raise FormatError(f"{header.path}: the numbers of data files have a step of 0 ({header.data_file[:80]})")
    numbers = range(first, last + (1 if step > 0 else -1), step)
    _check_count(header, len(numbers), count)
    return tuple(name % number for number in numbers)


def _check_count(header: MetaHeader, count: int, needed: int) -> None:
    if count != needed:
        raise FormatError(
            f"{header.path} names {count} data files where DimSize {' '.join(map(str, header.sizes))} needs {needed}: "
            "a file is missing from the header, or DimSize is wrong"
        )
    if header.shape[0] % count:
        raise FormatError(
            f"{header.path} has data files that hold parts of planes; files of whole planes are read: join them with "
            "SimpleITK.WriteImage(SimpleITK.ReadImage(IN), OUT)"
        )


# ---------------------------------------------------------------------------------------------------- the source


def _source(header: MetaHeader, names: tuple[str, ...], sizes: Bytes, start: int) -> tuple[Source, list[str]]:
    """The voxels, their number checked against the files before anything is allocated, and what to tell."""
    folder, skip = header.path.parent, header.integer("HeaderSize", least=-1)
    identity = fingerprint(header.text, folder, names, sizes, start)
    # MetaIO counts HeaderSize from the file's first byte, also where the header stands before the voxels.
    starts = np.full(len(names), skip if skip > 0 else start, np.int64)
    if header.is_text:
        _check_single(header, names)
        return text_source(folder / names[0], int(starts[0]), header.shape, header.stored, identity), []
    if not header.is_compressed:
        _check_long(header, sizes - starts)
        return raw_source(folder, names, sizes, starts, header.shape, header.stored, at_end=skip < 0, identity=identity)
    if skip < 0:
        raise FormatError(
            f"{header.path}: HeaderSize -1 does not say where compressed data start; give their first byte"
        )
    _check_packed(header, names, sizes - starts)
    packing = _packing(folder / names[0], int(starts[0]))
    source = packed_source(folder, names, sizes, starts, header.shape, header.stored, packing, identity=identity)
    return source, []


def _packing(data: Path, start: int) -> str:
    """zlib as MetaIO writes it, or gzip, which it reads as well."""
    with open(data, "rb") as file:
        file.seek(start)
        return "gzip" if file.read(2) == PACKINGS["gzip"].magic else "zlib"


def _check_single(header: MetaHeader, names: tuple[str, ...]) -> None:
    if len(names) > 1:
        raise FormatError(
            f"{header.path} has text in {len(names)} files; binary data are read from several: join them with "
            "SimpleITK.WriteImage(SimpleITK.ReadImage(IN), OUT)"
        )


def _check_long(header: MetaHeader, found: Bytes) -> None:
    """Refuse 8 bytes a voxel where MET_LONG says 4, as it did on some systems."""
    if header.fields["ElementType"] in ("MET_LONG", "MET_ULONG") and int(found.sum()) == 2 * header.data_bytes:
        wide = header.fields["ElementType"] + "_LONG"
        raise FormatError(
            f"{header.path}: {header.fields['ElementType']} is 4 bytes and its data have 8 a voxel; write {wide} in "
            "the header if that is what they are"
        )


def _check_packed(header: MetaHeader, names: tuple[str, ...], found: Bytes) -> None:
    size = header.integer("CompressedDataSize", least=0)
    if len(names) == 1 and size > found[0]:
        raise DamagedError(
            f"{header.path.parent / names[0]} holds {found[0]} bytes of compressed data where its header promises "
            f"{size}; it is cut short: copy or export it again"
        )
