"""The facts that a scanner's file tells of a volume."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.geometry.grid import Triple

__all__ = ["ScanFacts"]


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
    """How the names of its slices begin; a number follows."""
    volume: Path | None = None
    """The raw file of all voxels, which need not exist; None where it speaks of slices."""
    stored: np.dtype[Any] | None = None
    """Type of the voxels in that file, with its byte order; None where only the file's size can tell."""
    offset: int = 0
    """Byte of its first voxel."""
    projections: tuple[str, int | None] = ("", None)
    """How the names of the scan's projections begin, and how many there are: images that are not slices."""
    record: dict[str, Any] = field(default_factory=dict, hash=False)
    """Further facts worth keeping, JSON values: no person, no path, no date."""
    guess: str = ""
    """What of the spacing is assumed nevertheless, a sentence."""
    handedness: str = ""
    """What to tell who says nothing of the axes, a sentence: how the vendor's own programs turn them."""
    problems: tuple[str, ...] = ()
    """What a user should know, a sentence each."""

    @property
    def extra(self) -> dict[str, Any]:
        """The record as it stands in a volume's metadata."""
        return {"scanner": {"vendor": self.vendor, **self.record}}
