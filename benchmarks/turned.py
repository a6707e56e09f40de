"""The turn that is measured: about (1, 1, 1), which no axis of a grid likes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["turn", "write_turn"]


def turn(degrees: float) -> Any:
    """The rotation about (1, 1, 1), of (x, y, z)."""
    angle, axis = np.radians(degrees), np.ones(3) / np.sqrt(3)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def write_turn(path: Path, degrees: float, centre: Sequence[float]) -> Path:
    """A text file of the 4 x 4 matrix that turns about `centre` (LPS mm)."""
    matrix = np.eye(4)
    matrix[:3, :3] = turn(degrees)
    matrix[:3, 3] = np.array(centre) - matrix[:3, :3] @ np.array(centre)
    np.savetxt(path, matrix, fmt="%.17g")
    return path
