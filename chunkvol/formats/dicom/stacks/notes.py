"""What is worth telling about the way from images to a stack."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Notes", "ranges"]

_MOST_RANGES = 20


@dataclass(frozen=True, slots=True)
class Notes:
    """Sentences and facts of one decision; notes of several are added."""

    problems: tuple[str, ...] = ()
    """What a user should know."""
    history: tuple[str, ...] = ()
    """Decisions that determined the voxels."""
    record: dict[str, Any] = field(default_factory=dict)
    """Facts worth keeping, JSON values."""
    assumed: bool = False
    """Whether the geometry is not what the files state."""

    def __add__(self, other: Notes) -> Notes:
        return Notes(
            self.problems + other.problems,
            self.history + other.history,
            self.record | other.record,
            self.assumed or other.assumed,
        )


def ranges(indices: npt.NDArray[np.int64]) -> str:
    """Ascending indices as text, "3, 7 to 9"; the first twenty runs of them."""
    cuts = [0, *(np.flatnonzero(np.diff(indices) > 1) + 1), len(indices)]
    runs = [(int(indices[a]), int(indices[b - 1])) for a, b in pairwise(cuts)]
    text = ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in runs[:_MOST_RANGES])
    return text + (f" and {len(runs) - _MOST_RANGES} more runs" if len(runs) > _MOST_RANGES else "")
