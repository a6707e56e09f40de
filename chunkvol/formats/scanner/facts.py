"""What a scanner's text file says of its volume, and whether it fits the slices that are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.geometry.grid import Triple

__all__ = ["ScanFacts", "check_facts", "facts_beside", "read_facts"]


@dataclass(frozen=True, slots=True)
class ScanFacts:
    """What one scanner file says; None, or an empty text, where it says nothing."""

    path: Path
    """The scanner's file."""
    vendor: str
    """SkyScan, Nikon, GE phoenix or VGStudio."""
    spacing: Triple | None = None
    """Spacing along (k, j, i), mm."""
    count: int | None = None
    """Planes it speaks of."""
    rows: int | None = None
    """Rows of a plane."""
    columns: int | None = None
    """Columns of a plane."""
    prefix: str = ""
    """How the names of its slices begin."""
    volume: Path | None = None
    """The raw file of all voxels, which need not exist; None where it speaks of slices."""
    stored: np.dtype[Any] | None = None
    """Type of the voxels in that file, with its byte order."""
    offset: int = 0
    """Byte of its first voxel."""
    record: dict[str, Any] = field(default_factory=dict, hash=False)
    """Further facts worth keeping, JSON values: no person, no path, no date."""
    problems: tuple[str, ...] = ()
    """What a user should know, a sentence each."""


def read_facts(path: Path) -> ScanFacts | None:
    """What a scanner's file says; None where it is of no vendor that is known, judged by content."""
    return None


def facts_beside(folder: Path, names: Sequence[str]) -> ScanFacts | None:
    """The one scanner file that belongs to slices of these names in this folder; None where there is none."""
    return None


def check_facts(facts: ScanFacts, *, count: int, rows: int, columns: int) -> None:
    """Refuse slices whose number or size is not what the scanner's file says."""
    return
