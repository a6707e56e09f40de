"""MetaImage (.mha, .mhd), read and written in bounded memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chunkvol.execute import Job
from chunkvol.progress import Progress
from chunkvol.volume import Volume

__all__ = ["is_metaimage", "open_metaimage", "prepare_metaimage"]


def is_metaimage(path: Path) -> bool:
    return False


def open_metaimage(path: Path, progress: Progress, **options: Any) -> Volume:
    raise NotImplementedError


def prepare_metaimage(volume: Volume, target: Path, **options: Any) -> Job:
    raise NotImplementedError
