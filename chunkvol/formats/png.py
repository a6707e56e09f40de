"""A folder of PNG slices, written plane by plane."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chunkvol.execute import Job
from chunkvol.volume import Volume

__all__ = ["prepare_png_slices"]


def prepare_png_slices(volume: Volume, target: Path, **options: Any) -> Job:
    raise NotImplementedError
