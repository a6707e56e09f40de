"""TIFF files and folders of slices, written in slabs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chunkvol.execute import Job
from chunkvol.volume import Volume

__all__ = ["prepare_imagej", "prepare_ome_tiff", "prepare_tiff", "prepare_tiff_slices"]


def prepare_imagej(volume: Volume, target: Path, **options: Any) -> Job:
    raise NotImplementedError


def prepare_ome_tiff(volume: Volume, target: Path, **options: Any) -> Job:
    raise NotImplementedError


def prepare_tiff(volume: Volume, target: Path, **options: Any) -> Job:
    raise NotImplementedError


def prepare_tiff_slices(volume: Volume, target: Path, **options: Any) -> Job:
    raise NotImplementedError
