"""The formats: one file or package each, one row each in FORMATS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chunkvol.errors import FormatError, InputError
from chunkvol.execute import Job
from chunkvol.formats.dicom import is_dicom, open_dicom
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.nrrd import is_nrrd, open_nrrd, prepare_nrrd
from chunkvol.formats.ome_zarr import is_store, open_store, prepare_store
from chunkvol.progress import Progress
from chunkvol.volume import Volume

__all__ = ["FORMATS", "READ_OPTIONS", "Format", "format_for_reading", "format_for_writing"]


@dataclass(frozen=True, slots=True)
class Format:
    """One row of the table."""

    name: str
    """For people."""
    suffixes: tuple[str, ...]
    """Ends of file names, with the dot; the first is the usual one. Empty for folders known by their content."""
    matches: Callable[[Path], bool]
    """True when an existing path holds this format, judged by content, cheaply."""
    read: Callable[..., Volume]
    """A lazy volume of a path, with a `Progress` to tell and the reading options as keyword arguments."""
    prepare: Callable[..., Job] | None = None
    """Plans the writing of a volume; None where chunkvol only reads."""
    options: frozenset[str] = frozenset()
    """Keyword arguments that `prepare` takes beyond the common ones."""
    read_options: frozenset[str] = frozenset()
    """Keyword arguments that `read` takes: what a caller may decide about an input that is not plain."""
    marker: str = ""
    """A file by which an older output is known where outputs are folders."""
    overlap: int = 1
    """Units a processor, where units wait for the disk: measured on slices that are not in the page cache."""


def _read_store(path: Path, progress: Progress, *, keep_phi: bool = False) -> Volume:
    return open_store(path, keep_phi=keep_phi)


def _read_nrrd(path: Path, progress: Progress) -> Volume:
    return open_nrrd(path)


def _read_dicom(path: Path, progress: Progress, **options: Any) -> Volume:
    return Volume(*open_dicom(path, progress, ReadOptions(**options)))


FORMATS = {
    row.name: row
    for row in (
        Format(
            "OME-Zarr",
            (".ome.zarr", ".zarr"),
            is_store,
            _read_store,
            prepare_store,
            frozenset({"method", "codec"}),
            frozenset({"keep_phi"}),
            marker="zarr.json",
        ),
        Format("NRRD", (".nrrd", ".nhdr"), is_nrrd, _read_nrrd, prepare_nrrd, frozenset({"encoding"}), overlap=2),
        Format("DICOM series", (), is_dicom, _read_dicom, read_options=ReadOptions.names()),
    )
}

READ_OPTIONS = frozenset[str]().union(*(row.read_options for row in FORMATS.values()))
"""Every option of reading; none has the name of an option of writing."""


def format_for_reading(path: Path) -> Format:
    """The format of an existing file or folder, judged by content.

    Raises
    ------
    InputError
        Nothing is there.
    FormatError
        It is nothing that chunkvol reads.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist")
    for row in FORMATS.values():
        if row.matches(path):
            return row
    if path.is_dir():
        if not any(path.iterdir()):
            raise InputError(f"{path} is an empty folder; name the one that holds the slices")
        # The DICOM reader looks at every file and says best what it found.
        return FORMATS["DICOM series"]
    raise FormatError(f"{path} is none of {', '.join(FORMATS)}; name a folder of slices, and unpack archives first")


def format_for_writing(target: Path) -> Format:
    """The format that a name's suffix asks for.

    Raises
    ------
    InputError
        No format is written with this suffix.
    """
    for row in FORMATS.values():
        if row.prepare is not None and target.name.lower().endswith(row.suffixes):
            return row
    known = [suffix for row in FORMATS.values() if row.prepare is not None for suffix in row.suffixes]
    raise InputError(f"{target.name} has no suffix that chunkvol writes; use one of {', '.join(known)}")
