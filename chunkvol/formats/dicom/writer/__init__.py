"""DICOM series of single-frame images, written plane by plane."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chunkvol.execute import Job
from chunkvol.volume import Volume

__all__ = ["prepare_series"]


def prepare_series(volume: Volume, target: Path, **options: Any) -> Job:
    raise NotImplementedError
