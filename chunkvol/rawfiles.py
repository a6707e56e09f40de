"""Voxels in files that a header names: one raw file, thousands of them with as many whole planes each, or text."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol import system
from chunkvol.errors import DamagedError, FormatError, InputError
from chunkvol.regions import Region, Shape, region_shape, voxels
from chunkvol.sources import ArraySource, Block, RawSource, Source

Bytes = npt.NDArray[np.int64]
"""Sizes or offsets, one a file."""

_ENDS = 1 << 16
_SAMPLED = 16
_MOST_TEXT = 16 << 20
"""Bytes of a text file, which is read at once."""

__all__ = ["Bytes", "FilesSource", "data_sizes", "fingerprint", "raw_source", "short", "text_source"]


@dataclass(frozen=True, eq=False)
class FilesSource(Source):
    """Voxels in many raw files, one after the other along k; a file is open only while it is read.

    Raises
    ------
    InputError
        The files do not hold the planes of the shape.
    DamagedError
        At reading, when a file is shorter than it was.
    """

    folder: Path
    """Where the names start; those that are absolute stand for themselves."""
    names: tuple[str, ...]
    """The files in the order of their planes."""
    planes: int
    """Whole planes in each file."""
    offsets: Bytes
    """Byte at which the voxels of each file start."""
    shape: Shape
    """Voxels along (k, j, i)."""
    stored: np.dtype[Any]
    """Type in the files, with its byte order."""
    identity: str = ""
    """Fingerprint, from whoever knows the header."""

    def __post_init__(self) -> None:
        count = len(self.names)
        if self.planes < 1 or count * self.planes != self.shape[0] or self.offsets.shape != (count,):
            raise InputError(
                f"{count} files of {self.planes} planes with {len(self.offsets)} offsets do not make "
                f"{self.shape[0]} planes: each file needs an offset and as many planes as the others"
            )

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # derived here, a field elsewhere
        return self.stored.newbyteorder("=")

    @property
    def fingerprint(self) -> str:
        return self.identity

    def scratch(self, shape: Shape) -> int:
        return self._file(0).scratch(shape)

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        ks, js, is_ = region
        k = ks.start
        while k < ks.stop:
            number = k // self.planes
            first = number * self.planes
            stop = min(ks.stop, first + self.planes)
            part = block[k - ks.start : stop - ks.start]
            self._file(number).read((slice(k - first, stop - first), js, is_), part)
            k = stop
        return block

    def _file(self, number: int) -> RawSource:
        shape = (self.planes, *self.shape[1:])
        return RawSource(self.folder / self.names[number], shape, self.stored, int(self.offsets[number]))


# ------------------------------------------------------------------------------------------------- at opening


def data_sizes(header: Path, names: Sequence[str], *, trust_paths: bool = False) -> Bytes:
    """Bytes of the files that a header names, every one of them there, and in the header's folder.

    Parameters
    ----------
    header
        The file that names them; names are relative to its folder.
    names
        As they stand in the header.
    trust_paths
        Follow names, and links, that lead out of the folder. A header from elsewhere could ask for any file.

    Raises
    ------
    FormatError
        A name leads out of the folder, or cannot be one.
    InputError
        A file does not exist.
    """
    root = header.parent.resolve()
    listed = {parent: _listed(root, parent) for parent in {os.path.split(name)[0] for name in names}}
    sizes = np.empty(len(names), np.int64)
    for number, name in enumerate(names):
        parent, base = os.path.split(name)
        found = listed[parent].get(base)
        sizes[number] = _size(header, root, name, trust_paths) if found is None else found
    return sizes


def _listed(root: Path, parent: str) -> dict[str, int]:
    """Sizes of the plain files of a folder within `root`: thousands of names are looked up in one pass."""
    folder = root / parent
    if "\0" in parent or not folder.is_dir() or not folder.resolve().is_relative_to(root):
        return {}
    with os.scandir(folder) as entries:
        return {one.name: one.stat().st_size for one in entries if one.is_file(follow_symlinks=False)}


def _size(header: Path, root: Path, name: str, trust_paths: bool) -> int:
    """The size of one file, which is none of the plain ones, or is missing."""
    if not name or "\0" in name:
        raise FormatError(f"{header} names a data file {name!r}, which cannot be a name: export it again")
    path = root / name
    if not trust_paths and not path.resolve().is_relative_to(root):
        raise FormatError(
            f"{header} names a data file outside its folder ({name}); move it beside the header, or allow it with "
            "--trust-paths"
        )
    if not path.is_file():
        raise InputError(f"{header} needs the data file {header.parent / name}, which does not exist")
    return path.stat().st_size


def fingerprint(header: bytes, folder: Path, names: Sequence[str], sizes: Bytes, start: int = 0) -> str:
    """SHA-256 over a header, the sizes of its files and the ends of some: cheap, and different for files that differ.

    Parameters
    ----------
    header
        All its bytes, the names of the files included.
    folder, names, sizes
        The files.
    start
        Byte at which their data begins, where they hold the header too.
    """
    digest = hashlib.sha256(header)
    digest.update(" ".join(map(str, sizes.tolist())).encode())
    for number in sorted(set(np.linspace(0, len(names) - 1, _SAMPLED).astype(int).tolist())):
        with open(folder / names[number], "rb") as file:
            for first in (start, max(0, int(sizes[number]) - _ENDS)):
                file.seek(first)
                digest.update(file.read(_ENDS))
    return digest.hexdigest()


def raw_source(
    folder: Path,
    names: tuple[str, ...],
    sizes: Bytes,
    starts: Bytes,
    shape: Shape,
    stored: np.dtype[Any],
    *,
    at_end: bool = False,
    identity: str = "",
) -> tuple[Source, list[str]]:
    """The voxels of raw files, their number checked against the sizes before anything is allocated, and what to tell.

    Parameters
    ----------
    folder, names, sizes
        The files; each holds the same number of planes.
    starts
        Byte of each file at which the voxels start, or before which they do not.
    shape, stored
        Of the whole, axes (k, j, i).
    at_end
        The voxels are the last bytes of each file.
    identity
        Fingerprint.

    Raises
    ------
    DamagedError
        A file holds fewer bytes than its planes need.
    """
    planes = shape[0] // len(names)
    needed = planes * shape[1] * shape[2] * stored.itemsize
    found = np.maximum(sizes - starts, 0)
    for number in np.flatnonzero(found < needed)[:1].tolist():
        raise short(folder / names[number], f"{found[number]}", needed, (planes, *shape[1:]), stored)
    offsets = sizes - needed if at_end else starts
    noted = [] if at_end else _surplus(names, found - needed)
    if len(names) == 1:
        return RawSource(folder / names[0], shape, stored, int(offsets[0]), identity), noted
    return FilesSource(folder, names, planes, offsets, shape, stored, identity), noted


def short(data: Path, found: str, needed: int, shape: Shape, stored: np.dtype[Any]) -> DamagedError:
    """The error of a file with fewer bytes than its header promises; `shape` is that of the file's own planes."""
    return DamagedError(
        f"{data} holds {found} bytes of voxels where its header promises {needed} "
        f"(sizes {' x '.join(map(str, shape[::-1]))}, {stored.name}); "
        "it is cut short or the header is wrong: copy or export it again"
    )


def _surplus(names: Sequence[str], surplus: Bytes) -> list[str]:
    more = np.flatnonzero(surplus > 0)
    if not len(more):
        return []
    others = f" (and so have {len(more) - 1} other files)" if len(more) > 1 else ""
    first = int(more[0])
    name = Path(names[first]).name
    return [f"{name} has {surplus[first]} bytes more than its header says{others}: they are not used"]


# -------------------------------------------------------------------------------------------------------- text


@dataclass(frozen=True)
class _TextSource(ArraySource):
    """Voxels that were read from text."""

    identity: str = ""
    """Fingerprint of the file."""

    @property
    def fingerprint(self) -> str:
        return self.identity


def text_source(data: Path, start: int, shape: Shape, stored: np.dtype[Any], identity: str = "") -> Source:
    """Voxels written as numbers, separated by white space or commas, from byte `start` of a small file.

    Raises
    ------
    FormatError
        The text is too large to be read at once, or holds something else than numbers of the type.
    DamagedError
        There are too few numbers.
    """
    size = data.stat().st_size - start
    if size > _MOST_TEXT:
        raise FormatError(f"{data} holds {size} bytes of text; ascii is read up to {_MOST_TEXT}: convert it to raw")
    with system.opened(data) as fd:
        text = system.pread(fd, max(0, size), start).replace(b",", b" ")
    values = _numbers(text, stored, data)
    needed = voxels(shape)
    if values.size < needed:
        raise DamagedError(f"{data} holds {values.size} numbers where its header promises {needed}: export it again")
    return _TextSource(values[:needed].astype(stored).reshape(shape), identity)


def _numbers(text: bytes, stored: np.dtype[Any], data: Path) -> Block:
    wide = {"i": "int64", "u": "uint64", "f": "float64"}[stored.kind]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy only warns of text that is no number
        try:
            values: Block = np.fromstring(text.decode("ascii"), wide, sep=" ")
        except (ValueError, DeprecationWarning) as error:
            raise FormatError(f"{data} holds text that is no {stored.name}: {error}") from error
    if wide != "float64" and values.size:
        bounds = np.iinfo(stored)
        if int(values.min()) < bounds.min or int(values.max()) > bounds.max:
            raise FormatError(f"{data} holds numbers beyond the range of {stored.name}: convert it to raw")
    return values
