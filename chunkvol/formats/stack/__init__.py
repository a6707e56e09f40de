"""Stacks of images: TIFF files, and folders of TIFF, PNG, BMP or JPEG slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chunkvol.progress import Progress
from chunkvol.volume import Volume

__all__ = ["is_image_file", "is_stack", "open_stack"]


def is_image_file(path: Path) -> bool:
    return False


def is_stack(path: Path) -> bool:
    return False


def open_stack(path: Path, progress: Progress, **options: Any) -> Volume:
    raise NotImplementedError
