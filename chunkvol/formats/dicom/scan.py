"""Find the DICOM images under a folder and group them into series."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from chunkvol import system
from chunkvol.errors import DamagedError, FormatError, InputError
from chunkvol.formats.dicom.header import Header, read_header
from chunkvol.progress import Progress, Silent

_BATCH = 32
_SNIFFED = 32
_IMAGE_STORAGE = tuple(
    f"1.2.840.10008.5.1.4.1.1.{tail}" for tail in ("1", "1.1", "1.2", "2", "2.1", "4", "4.1", "6.1", "7", "20", "128")
)
"""CR, DX, MG, CT, MR, US, secondary capture, NM and PET: an object of these without pixels was cut short."""

__all__ = ["Scan", "groups", "is_dicom_folder", "read_folder"]


@dataclass(frozen=True, slots=True)
class Scan:
    """The images found under a folder."""

    images: tuple[Header, ...]
    """Headers of files with pixel data, in the order of their paths."""
    problems: tuple[str, ...]
    """What was skipped and why, one sentence a kind."""


def read_folder(folder: str | os.PathLike[str], progress: Progress | None = None) -> Scan:
    """Read the headers of all files under `folder`, several at a time.

    Raises
    ------
    InputError
        When the folder or a file cannot be read, or there is no DICOM image.
    """
    folder = os.fspath(folder)
    paths = list(_files(folder))
    progress = progress or Silent()
    progress.stage("headers", len(paths), "files")
    images: list[Header] = []
    skipped: Counter[str] = Counter()
    for path, found in zip(paths, _headers(paths, progress), strict=True):
        reason = _reason_to_skip(path, found)
        if reason:
            skipped[reason] += 1
        elif isinstance(found, Header):
            images.append(found)
    if not images:
        raise InputError(
            f"{folder} holds no DICOM image ({_files_seen(skipped) or 'it is empty'}); name another folder"
        )
    return Scan(tuple(images), tuple(f"{n} file{'s' * (n > 1)} skipped: {text}" for text, n in sorted(skipped.items())))


def groups(images: Sequence[Header]) -> dict[str, tuple[Header, ...]]:
    """The images of each series, by Series Instance UID, in the order in which they appear."""
    out: dict[str, list[Header]] = {}
    for image in images:
        out.setdefault(image.series, []).append(image)
    return {uid: tuple(members) for uid, members in out.items()}


def is_dicom_folder(path: str | os.PathLike[str]) -> bool:
    """Whether one of the first files under a folder carries the DICOM mark; reads a few bytes of each."""
    if not Path(path).is_dir():
        return False
    try:
        for _, name in zip(range(_SNIFFED), _files(os.fspath(path)), strict=False):
            with open(name, "rb") as file:
                if file.read(132)[128:] == b"DICM":
                    return True
    except (OSError, InputError):
        return False
    return False


def _files(folder: str) -> Iterator[str]:
    """Paths of all visible files below, sorted; a folder that links lead to twice is walked once."""
    seen: set[tuple[int, int]] = set()

    def walk(here: str) -> Iterator[str]:
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
            elif entry.is_file():
                yield entry.path

    return walk(folder)


def _headers(paths: Sequence[str], progress: Progress) -> Iterator[Header | None]:
    batches = [paths[at : at + _BATCH] for at in range(0, len(paths), _BATCH)]
    with ThreadPoolExecutor(system.cpu_count() * 2, "headers") as pool:
        try:
            for batch in pool.map(lambda names: [read_header(name) for name in names], batches):
                progress.advance(len(batch))
                yield from batch
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _reason_to_skip(path: str, header: Header | None) -> str:
    """Why a file is no image; empty for an image. A damaged image must not pass for something else."""
    if header is None:
        if path.lower().endswith((".dcm", ".dicom")):
            raise FormatError(f"{path} is named like DICOM but has no DICM mark: repair it or take it away")
        return "not DICOM"
    if header.pixel_tag:
        if not header.rows or not header.columns:
            raise DamagedError(f"{path} has pixel data but no Rows and Columns: copy or export it again")
        return ""
    if header.rows or header.sop_class in _IMAGE_STORAGE:
        raise DamagedError(f"{path} is a DICOM image that ends before its pixel data: copy or export it again")
    return f"DICOM without an image ({header.modality or 'no modality'})"


def _files_seen(skipped: Counter[str]) -> str:
    return ", ".join(f"{n} file{'s' * (n > 1)} {text}" for text, n in sorted(skipped.items()))
