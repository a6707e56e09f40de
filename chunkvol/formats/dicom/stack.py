"""From the images of one volume to a regular stack of planes, as the caller decided, or a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chunkvol.formats.dicom.header import Header
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.geometry import Geometry
from chunkvol.ops.planes import PlaneBlend, PlaneShift

__all__ = ["Stack", "stacked"]


@dataclass(frozen=True, slots=True)
class Stack:
    """Planes in order, and how the result is made of them."""

    images: tuple[Header, ...]
    """The planes to read, ascending along the normal."""
    geometry: Geometry
    """Grid of the result."""
    blend: PlaneBlend | None = None
    """How the result's planes are made of those read; None where they are the same."""
    shift: PlaneShift | None = None
    """How the planes are then moved within themselves; None where they stay."""
    assumed: bool = False
    """Whether the geometry is not what the files state."""
    problems: tuple[str, ...] = ()
    """What a user should know although the series is accepted."""
    history: tuple[str, ...] = ()
    """Decisions that determined the voxels, for the record."""
    record: dict[str, Any] = field(default_factory=dict)
    """Facts worth keeping, JSON values: planes that were filled, copies that were dropped ..."""


def stacked(images: Sequence[Header], options: ReadOptions, run: int | None = None) -> Stack:
    """The stack that these images make; `run` (from 1) is the one to take where `gaps` splits them."""
    raise NotImplementedError
