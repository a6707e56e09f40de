"""DICOM segmentation objects (SEG), read as label volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chunkvol.progress import Progress
from chunkvol.volume import Volume

__all__ = ["is_segmentation", "open_segmentation"]


def is_segmentation(path: Path) -> bool:
    return False


def open_segmentation(path: Path, progress: Progress, **options: Any) -> Volume:
    raise NotImplementedError
