"""Files that micro-CT scanners write beside their volumes, and the volumes they describe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chunkvol.progress import Progress
from chunkvol.volume import Volume

__all__ = ["is_scanner_file", "open_scanner_file"]


def is_scanner_file(path: Path) -> bool:
    return False


def open_scanner_file(path: Path, progress: Progress, **options: Any) -> Volume:
    raise NotImplementedError
