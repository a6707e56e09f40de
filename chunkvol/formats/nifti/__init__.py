"""NIfTI-1 and NIfTI-2, read and written in bounded memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chunkvol.execute import Job
from chunkvol.progress import Progress
from chunkvol.volume import Volume

__all__ = ["is_nifti", "open_nifti", "prepare_nifti"]


def is_nifti(path: Path) -> bool:
    return False


def open_nifti(path: Path, progress: Progress, **options: Any) -> Volume:
    raise NotImplementedError


def prepare_nifti(volume: Volume, target: Path, **options: Any) -> Job:
    raise NotImplementedError
