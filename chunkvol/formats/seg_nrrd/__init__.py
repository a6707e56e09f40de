"""Slicer"s segmentations (.seg.nrrd), read and written with names, values and colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chunkvol.execute import Job
from chunkvol.progress import Progress
from chunkvol.volume import Volume

__all__ = ["is_seg_nrrd", "open_seg_nrrd", "prepare_seg_nrrd"]


def is_seg_nrrd(path: Path) -> bool:
    return False


def open_seg_nrrd(path: Path, progress: Progress, **options: Any) -> Volume:
    raise NotImplementedError


def prepare_seg_nrrd(volume: Volume, target: Path, **options: Any) -> Job:
    raise NotImplementedError
