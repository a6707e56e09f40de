"""Files beside a scanner's file, whose text names them by the paths of another machine."""

from __future__ import annotations

import ntpath
from pathlib import Path

__all__ = ["beside", "same_name"]


def same_name(path: Path, suffix: str) -> Path | None:
    """The file of the same name with another suffix, in upper or lower case; None where there is none."""
    for ending in (suffix, suffix.upper()):
        if (found := path.with_suffix(ending)).is_file():
            return found
    return None


def beside(path: Path, told: str, suffix: str, *, trust: bool = False) -> Path:
    """The file that a header names: by its last part, in the header's folder and nowhere else; it need not exist.

    A header that was renamed together with its file still names the old one: then the header's own name with the
    usual suffix is looked for. With `trust` the path is followed where it leads, if there is such a file.
    """
    if trust and told and (followed := path.parent / told).is_file():
        return followed
    name = ntpath.basename(told.replace("\0", "")).strip()
    named = path.with_name(name) if name not in ("", ".", "..") else path.with_suffix(suffix)
    return named if named.is_file() else same_name(path, suffix) or named
