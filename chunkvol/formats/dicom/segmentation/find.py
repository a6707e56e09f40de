"""Which file a path stands for: a segmentation object, alone or the only image of its folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from chunkvol import system
from chunkvol.errors import ChunkvolError, InputError
from chunkvol.formats.dicom.headers import header as headers
from chunkvol.formats.dicom.headers import values
from chunkvol.formats.dicom.headers.header import read_header
from chunkvol.formats.dicom.headers.inflate import pread
from chunkvol.formats.dicom.headers.walker import FIRST_BYTES, Found, OddLayoutError, Walker, swapped

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"

_MEDIA_CLASS = 0x00020002
_SNIFFED = 32
_LISTED = 12

__all__ = ["LABEL_MAP", "SEGMENTATION", "is_segmentation", "the_file"]


def is_segmentation(path: Path) -> bool:
    """Whether a file is a DICOM segmentation, or all images of a folder are.

    A folder that holds other DICOM images too is a series (`--series` chooses there). A folder is judged by its first
    files, and looked through only where they are segmentations.
    """
    try:
        return bool(_found(path))
    except (ChunkvolError, OSError):
        return False


def the_file(path: Path) -> str:
    """The one segmentation that a path stands for.

    Raises
    ------
    InputError
        A folder holds none, or several.
    """
    if not path.is_dir():
        return os.fspath(path)
    found = _found(path)
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(f"{path} holds no DICOM segmentation; name the file of one")
    names = [os.path.relpath(name, path) for name in found[:_LISTED]]
    more = f" and {len(found) - _LISTED} more" * (len(found) > _LISTED)
    raise InputError(
        f"{path} holds {len(found)} DICOM segmentations: {', '.join(names)}{more}; "
        f"name the file to open, as in {found[0]}"
    )


def _found(path: Path) -> list[str]:
    """The segmentations of a path; none where it holds another DICOM image."""
    if not path.is_dir():
        return [os.fspath(path)] if _is_segmentation(os.fspath(path)) else []
    found: list[str] = []
    dicom = False
    for n, name in enumerate(_walk(os.fspath(path), set())):
        if n >= _SNIFFED and not dicom:
            return []
        if not headers.is_dicom(name):
            continue
        dicom = True
        if _is_segmentation(name):
            found.append(name)
        elif _is_image(name):
            return []
    return found


def _walk(folder: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """All visible files below, sorted by their paths; links to folders are followed once."""
    status = Path(folder).stat()
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry.path, seen)
        elif entry.is_file():
            yield entry.path


def _is_segmentation(name: str) -> bool:
    return _sop_class(name) in (SEGMENTATION, LABEL_MAP)


def _is_image(name: str) -> bool:
    """Whether other DICOM has pixels; what cannot be read might have some."""
    try:
        header = read_header(name)
    except ChunkvolError:
        return True
    return header is not None and header.pixel_tag != 0


def _sop_class(name: str) -> str:
    """The SOP class, from the first bytes of the file where they tell it."""
    found: dict[int, Found] = {}
    with system.opened(name) as fd:
        first = pread(fd, 0, FIRST_BYTES)
        if first[128:132] == b"DICM":
            walker = Walker(lambda at, length: pread(fd, at, length), os.fstat(fd).st_size, first)
            try:
                walker.meta(132, {swapped(_MEDIA_CLASS): _MEDIA_CLASS}, found)
            except OddLayoutError:
                found.clear()
    if found:
        return str(values.text(*found[_MEDIA_CLASS]))
    header = read_header(name)
    return "" if header is None else header.sop_class
