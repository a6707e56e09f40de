"""Find the DICOM images under a folder and read their headers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from chunkvol.errors import DamagedError, FormatError, GeometryError, InputError
from chunkvol.formats.dicom.catalogue.facts import DERIVED_OBJECTS
from chunkvol.formats.dicom.headers import header as headers
from chunkvol.formats.dicom.headers.header import Header, read_header
from chunkvol.formats.dicom.multiframe.expand import expand
from chunkvol.headerpass import examined
from chunkvol.progress import Progress, Silent

_SNIFFED = 32
_DIRECTORY = "DICOMDIR"
_CLASS = "1.2.840.10008.5.1.4.1.1."
_IMAGE_STORAGE = tuple(_CLASS + tail for tail in ("1", "1.1", "1.2", "2", "2.1", "4", "4.1", "6.1", "7", "20", "128"))
"""CR, DX, MG, CT, MR, US, secondary capture, NM and PET: an object of these without pixels was cut short."""
_SPECTROSCOPY = _CLASS + "4.2"
"""Has Rows and Columns, but its data are no pixels."""

_Named = tuple[str, tuple[int, int] | None]
"""A path, and the identity of its file (device, number) where the folder tells it."""

__all__ = ["Scan", "is_dicom", "read_folder"]


@dataclass(frozen=True, slots=True)
class Scan:
    """The images found under a folder."""

    images: tuple[Header, ...]
    """Headers of files with pixel data, in the order of their paths; one for each frame."""
    problems: tuple[str, ...]
    """What was skipped and why, one sentence a kind."""
    damaged: tuple[InputError | GeometryError, ...] = ()
    """What is wrong with files that could not be read, where the scan was to go on."""


@dataclass(frozen=True, slots=True)
class _File:
    """What one file turned out to be."""

    path: str
    """Its name."""
    identity: tuple[int, int] | None = None
    """The same for all names of one file; None where there is none."""
    images: tuple[Header, ...] = ()
    """Its frames."""
    reason: str = ""
    """Why it holds no image."""
    error: InputError | GeometryError | None = None
    """What is wrong with it."""


def read_folder(source: str | os.PathLike[str], progress: Progress | None = None, *, go_on: bool = False) -> Scan:
    """Read the headers of all files under a folder, several at a time.

    A DICOMDIR stands for the folder that it lies in: what lies there is read, not what it lists. Any other file is
    read alone. Files with several names (links) count once. With `go_on` damaged files do not end the scan.

    Raises
    ------
    InputError
        When the folder or a file cannot be read, or there is no DICOM image.
    FormatError, DamagedError
        When a file is named like DICOM but is none, or an image is damaged: neither may pass for an unrelated file.
    """
    paths = _paths(os.fspath(source))
    progress = progress or Silent()
    progress.stage("headers", len(paths), "files")
    images: list[Header] = []
    skipped: dict[str, list[str]] = {}
    seen: set[tuple[int, int]] = set()
    damaged: list[InputError | GeometryError] = []
    for file in examined(paths, _examine_batch, progress):
        if file.error is not None and not go_on:
            raise file.error
        if file.identity is not None and file.identity in seen:
            continue
        if file.identity is not None:
            seen.add(file.identity)
        if file.reason:
            skipped.setdefault(file.reason, []).append(PurePath(file.path).name)
        if file.error is not None:
            damaged.append(file.error)
        images += file.images
    if not images and damaged:
        raise damaged[0]
    if not images:
        what = ", ".join(f"{_files(names)} {reason}" for reason, names in sorted(skipped.items()))
        raise InputError(f"{os.fspath(source)} holds no DICOM image ({what or 'it is empty'}); name another folder")
    problems = tuple(_sentence(reason, names) for reason, names in sorted(skipped.items()))
    return Scan(tuple(images), problems, tuple(damaged))


def is_dicom(path: str | os.PathLike[str]) -> bool:
    """Whether a file starts like DICOM (a DICOMDIR does), or a folder holds such files among its first ones."""
    try:
        if not Path(path).is_dir():
            return headers.is_dicom(path)
        first = zip(range(_SNIFFED), _walk(os.fspath(path)), strict=False)
        return any(headers.is_dicom(name) for _, (name, _identity) in first)
    except (OSError, InputError):
        return False


def _paths(source: str) -> list[_Named]:
    """The files that a source stands for."""
    folder, name = os.path.split(source)
    if Path(source).is_dir() or not Path(source).exists():
        return list(_walk(source))
    return list(_walk(folder or os.curdir)) if name.upper() == _DIRECTORY else [(source, None)]


def _walk(folder: str) -> Iterator[_Named]:
    """All visible files below, sorted by their paths; a folder that links lead to twice is walked once."""
    seen: set[tuple[int, int]] = set()

    def walk(here: str) -> Iterator[_Named]:
        try:
            status = Path(here).stat()
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as error:
            raise InputError(f"{here} cannot be read as a folder: {error.strerror or error}") from error
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            if entry.name.startswith("."):  # ._IM0001.dcm and .DS_Store are left by macOS
                continue
            if entry.is_dir():
                yield from walk(entry.path)
            elif entry.is_file() or entry.is_symlink():  # a link that leads nowhere is told, not passed over
                yield entry.path, None if entry.is_symlink() else (status.st_dev, entry.inode())

    return walk(folder)


def _examine_batch(named: Sequence[_Named]) -> list[_File]:
    return [_examine_safely(*one) for one in named]


def _examine_safely(path: str, identity: tuple[int, int] | None) -> _File:
    try:
        return _examine(path, identity)
    except (InputError, GeometryError) as error:
        return _File(path, error=error)


def _examine(path: str, identity: tuple[int, int] | None) -> _File:
    # A folder says whose names its files are; a call a file more would make threads wait for each other.
    try:
        if identity is None:
            status = Path(path).stat()
            identity = status.st_dev, status.st_ino
    except FileNotFoundError:
        if _named_like_dicom(path):
            raise InputError(f"{path} is a link that leads nowhere: fetch the file or take it away") from None
        return _File(path, reason="a link that leads nowhere")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    if os.path.split(path)[1].upper() == _DIRECTORY:
        return _File(path, identity, reason="the list of a DICOM medium")
    header = read_header(path)
    reason = _reason_to_skip(path, header)
    return _File(path, identity, () if reason or header is None else _frames(header), reason)


def _frames(header: Header) -> tuple[Header, ...]:
    """A header for each frame. Frames of what is made from images are no reason to refuse the images beside it."""
    try:
        return expand(header)
    except (InputError, GeometryError):
        if header.modality not in DERIVED_OBJECTS:
            raise
        return (header,)


def _reason_to_skip(path: str, header: Header | None) -> str:
    """Why a file is no image; empty for an image. A damaged image must not pass for something else."""
    if header is None:
        if _named_like_dicom(path):
            text = "is named like DICOM but has no DICM mark, nor a data set at its start: repair it or take it away"
            raise FormatError(f"{path} {text}")
        return "not DICOM"
    if header.pixel_tag:
        if not header.rows or not header.columns:
            raise DamagedError(f"{path} has pixel data but no Rows and Columns: copy or export it again")
        return ""
    if header.sop_class in _IMAGE_STORAGE or (header.rows and header.sop_class != _SPECTROSCOPY):
        raise DamagedError(f"{path} is a DICOM image that ends before its pixel data: copy or export it again")
    return f"DICOM without an image, {f'modality {header.modality}' if header.modality else 'no modality'}"


def _named_like_dicom(path: str) -> bool:
    return path.lower().endswith((".dcm", ".dicom"))


def _sentence(reason: str, names: Sequence[str]) -> str:
    example = names[0] if len(names) == 1 else f"first {names[0]}"
    return f"{_files(names)} skipped: {reason} ({example})"


def _files(names: Sequence[str]) -> str:
    return f"{len(names)} file{'s' * (len(names) > 1)}"
