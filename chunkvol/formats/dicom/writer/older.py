"""Whether a folder is a series that was written here, and may be replaced by another one."""

from __future__ import annotations

import os
import re
from pathlib import Path

from chunkvol.formats.dicom.writer.elements import element, uid_of

_NAME = re.compile(r"IM\d+\.dcm")
_MARK = element(0x00020012, "UI", uid_of("chunkvol"))
"""The Implementation Class UID, as it stands in the files."""
_HEAD = 1024
"""Bytes that hold the file meta information."""

__all__ = ["is_own_series"]


def is_own_series(folder: Path) -> bool:
    """True for a folder that holds images of this writer and nothing else.

    Each file is looked at: images of a scanner are never to be deleted, whatever they are called.
    """
    with os.scandir(folder) as entries:
        return all(_NAME.fullmatch(entry.name) and _is_own(entry) for entry in entries)


def _is_own(entry: os.DirEntry[str]) -> bool:
    if not entry.is_file(follow_symlinks=False):
        return False
    with open(entry.path, "rb") as file:
        return _MARK in file.read(_HEAD)
