"""One transform of an ITK text, and the numbers of any."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chunkvol.errors import InputError

__all__ = ["Entry", "numbers_of"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One transform of a file."""

    file: Path
    """Where it stands, for messages."""
    kind: str
    """Its class, without precision and dimensions."""
    parameters: tuple[float, ...]
    """What registration changes."""
    fixed: tuple[float, ...]
    """What it leaves: the centre first."""

    def first(self, count: int) -> list[float]:
        """The parameters, of which there must be `count`."""
        if len(self.parameters) != count:
            raise InputError(f"{self.file}: {self.kind} has {count} parameters, found {len(self.parameters)}")
        return list(self.parameters)


def numbers_of(file: Path, words: Sequence[str]) -> list[float]:
    """Finite numbers."""
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        word = str(error).rpartition(":")[2].strip()
        raise InputError(f"{file} is no transform: {word[:40]} is no number") from error
    if not all(map(math.isfinite, numbers)):
        raise InputError(f"the transform {file} has numbers that are not finite")
    return numbers
