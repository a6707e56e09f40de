"""The series that are measured: made once by `chunkvol phantom`, kept in the data folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from harness import ours

__all__ = ["first_slices", "phantom", "warm"]


def phantom(
    data: Path, size: tuple[int, int, int], *, dtype: str = "uint16", syntax: str = "explicit", sparse: bool = False
) -> Path:
    """The folder of a series of this size (x, y, z); it is made where it is missing.

    The folder appears under its name when it is complete, so an interrupted run leaves nothing half made.
    """
    kind = "sparse" if sparse else syntax
    folder = data / f"{dtype}-{kind}-{'x'.join(map(str, size))}"
    if not folder.is_dir():
        data.mkdir(parents=True, exist_ok=True)
        options = ("--size", ",".join(map(str, size)), "--dtype", dtype, "--transfer-syntax", syntax)
        case = ours("phantom", "phantom", str(folder), *options, *(("--sparse",) if sparse else ()))
        subprocess.run(
            case.command, env={**os.environ, **dict(case.environment)}, check=True, stdout=subprocess.DEVNULL
        )
        os.sync()
    return folder


def first_slices(folder: Path, count: int) -> Path:
    """A series of the first `count` slices of another, by hard links."""
    subset = folder.with_name(f"{folder.name}-first-{count}")
    shutil.rmtree(subset, ignore_errors=True)
    subset.mkdir()
    for path in sorted(folder.glob("*.dcm"))[:count]:
        os.link(path, subset / path.name)
    return subset


def warm(folder: Path) -> None:
    """Bring the files of a folder into the page cache."""
    buffer = bytearray(1 << 20)
    for path in folder.iterdir():
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
