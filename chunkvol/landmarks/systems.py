"""In which coordinates and units the numbers of a file are: what it says, and what its reader was told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.landmarks.points import Points

_SIGNS = {"LPS": (1.0, 1.0, 1.0), "RAS": (-1.0, -1.0, 1.0), "IJK": (1.0, 1.0, 1.0)}
UNITS = {"mm": 1.0, "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "nm": 1e-6, "cm": 10.0, "m": 1e3, "voxel": 1.0}
"""Millimetres of each unit; of voxels there are none."""

__all__ = ["UNITS", "Asked", "System", "signs_of"]


def signs_of(frame: str) -> Points:
    """By which x, y, z in a frame become LPS, and the other way, shape (3,)."""
    return np.array(_SIGNS[frame])


@dataclass(frozen=True, slots=True)
class System:
    """How the numbers of a file become points."""

    frame: str
    """LPS, RAS or IJK."""
    unit: float = 1.0
    """Millimetres of its lengths."""

    def points(self, values: npt.ArrayLike) -> Points:
        """LPS mm, or indices as they are, shape (n, 3); without minus zeros."""
        return np.asarray(np.reshape(values, (-1, 3)) * (signs_of(self.frame) * self.unit) + 0.0, float)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a reader was told of a file that may not say it itself."""

    frame: str | None = None
    """lps, ras or ijk."""
    units: str | None = None
    """One of `UNITS`."""
    specimen: str | int | None = None
    """Which one of several in a file: its name, or its number from 1."""

    def __post_init__(self) -> None:
        for name, known in (("frame", [word.lower() for word in _SIGNS]), ("units", list(UNITS))):
            word = getattr(self, name)
            if word is not None:
                word = str(word).strip().lower()
                if word not in known:
                    raise InputError(f"points have {name} {' or '.join(known)}, not {getattr(self, name)!r}")
                object.__setattr__(self, name, word)

    def system(self, where: str, frame: str | None = None, units: str | None = None) -> System:
        """The system of a file that states `frame` and `units` itself, or, where None, leaves them to the caller.

        Raises
        ------
        InputError
            Neither says it, or both do and differ.
        """
        frame = _agreed(where, "frame", frame, self.frame)
        units = _agreed(where, "units", units, self.units)
        frame = "ijk" if frame is None and units == "voxel" else frame
        units = "voxel" if units is None and frame == "ijk" else units
        if frame is None:
            raise InputError(f"{where} does not say in which frame its points are; say --frame lps, ras or ijk")
        if units is None:
            raise InputError(f"{where} does not say in which units its points are; say --units mm or um")
        if (frame == "ijk") != (units == "voxel"):
            raise InputError(
                f"{where}: frame {frame} does not go with units {units}; indices are frame ijk in units voxel, "
                "places are frame lps or ras in units mm or um"
            )
        return System(frame.upper(), UNITS[units])


def _agreed(where: str, name: str, stated: str | None, asked: str | None) -> str | None:
    if stated is None or asked is None:
        return asked if stated is None else stated
    differ = stated != asked if name == "frame" else _length(stated) != _length(asked)
    if differ:
        raise InputError(f"{where} says itself that its {name} is {stated}, and {asked} was asked; leave --{name} out")
    return stated


def _length(units: str) -> tuple[bool, float]:
    return units == "voxel", UNITS[units]
