"""NumPy"s .npy, read by byte range and written in slabs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chunkvol.execute import Job
from chunkvol.progress import Progress
from chunkvol.volume import Volume

__all__ = ["is_npy", "open_npy", "prepare_npy"]


def is_npy(path: Path) -> bool:
    return False


def open_npy(path: Path, progress: Progress, **options: Any) -> Volume:
    raise NotImplementedError


def prepare_npy(volume: Volume, target: Path, **options: Any) -> Job:
    raise NotImplementedError
