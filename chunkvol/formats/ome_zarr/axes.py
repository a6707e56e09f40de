"""The axes of an NGFF image: which are of space, in what unit and towards where, and which one index is picked along.

0.1 and 0.2 have five axes t, c, z, y, x; 0.3 names them; from 0.4 on they are objects with a type and a unit, to
which RFC-4 adds an anatomical orientation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from reprlib import repr as shown
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import FormatError
from chunkvol.formats.ome_zarr.lengths import millimetres

ORIENTATIONS = (
    ("left-to-right", "right-to-left"),
    ("posterior-to-anterior", "anterior-to-posterior"),
    ("superior-to-inferior", "inferior-to-superior"),
)
"""RFC-4 values for each LPS world axis, for falling and rising world coordinate."""

_WORLD = {"x": 0, "y": 1, "z": 2}
_KINDS = {"x": "space", "y": "space", "z": "space", "t": "time", "c": "channel"}
_OLD = ("t", "c", "z", "y", "x")
_MOST = 5
_OPTIONS = {"time": "times", "channel": "channels"}
"""Kinds of axes along which the caller may choose, with the plural for messages."""

__all__ = ["ORIENTATIONS", "Axes", "Axis", "axes_of_names", "axes_of_objects", "old_axes"]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis."""

    name: str
    """As in the file."""
    kind: str
    """space, time, channel, or what the file says; empty where it says nothing."""
    unit: str = ""
    """As in the file, or empty."""
    orientation: str = ""
    """RFC-4 value, or empty."""


@dataclass(frozen=True, slots=True)
class Axes:
    """The axes of arrays, or of a coordinate system, in order."""

    axes: tuple[Axis, ...]
    """In array order."""

    @property
    def names(self) -> str:
        """For people."""
        return ", ".join(axis.name for axis in self.axes)

    @property
    def space(self) -> list[int]:
        """Where the axes of space stand."""
        return [number for number, axis in enumerate(self.axes) if axis.kind == "space"]

    @property
    def world(self) -> tuple[list[int], bool]:
        """World axes (0 to 2 for x, y, z) of the axes of space, by name; and whether the names said so."""
        names = [self.axes[number].name.lower() for number in self.space]
        if len(set(names)) == len(names) and set(names) <= set(_WORLD):
            return [_WORLD[name] for name in names], True
        return list(range(len(names)))[::-1], False

    @property
    def units(self) -> list[float | None]:
        """Millimetres of the unit of each axis of space, None where it is not stated or not known."""
        return [millimetres(self.axes[number].unit) for number in self.space]

    @property
    def oriented(self) -> npt.NDArray[np.float64] | None:
        """Columns of LPS directions of three axes of space by their orientations; None where these do not tell."""
        values = [self.axes[number].orientation for number in self.space]
        found = [(w, pair.index(v)) for v in values for w, pair in enumerate(ORIENTATIONS) if v in pair]
        if len(values) != 3 or len({world for world, _ in found}) != 3:
            return None
        matrix = np.zeros((3, 3))
        for column, (world, rising) in enumerate(found):
            matrix[world, column] = 1.0 if rising else -1.0
        return matrix

    def picked(self, shape: Sequence[int], chosen: dict[str, int | None], where: str) -> tuple[int | None, ...]:
        """None for each axis of space, an index for each other one: 0 where it has no choice, else the chosen one.

        Parameters
        ----------
        shape
            Of the array.
        chosen
            `time` and `channel` of the caller, None where nothing was said.
        where
            The array, for messages.

        Raises
        ------
        FormatError
            The array has other axes, or a choice is missing or impossible.
        """
        if len(shape) != len(self.axes):
            raise FormatError(
                f"{where} has arrays of shape {tuple(shape)} and names the axes {self.names}: they do not fit"
            )
        kinds = {axis.kind for axis in self.axes}
        for option, value in chosen.items():
            if value is not None and option not in kinds:
                raise FormatError(f"{where} has axes {self.names} and none of {option}: leave --{option} out")
        return tuple(
            None if axis.kind == "space" else self._index(axis, n, chosen, where)
            for axis, n in zip(self.axes, shape, strict=True)
        )

    def _index(self, axis: Axis, length: int, chosen: dict[str, int | None], where: str) -> int:
        asked = chosen.get(axis.kind)
        if asked is None and length == 1:
            return 0
        if axis.kind not in _OPTIONS:
            raise FormatError(
                f"{where} has axes {self.names} with {length} along {axis.name}: chunkvol reads three axes of space; "
                "write the wanted part to a store of its own"
            )
        many = f"{where} has axes {self.names} with {length} {_OPTIONS[axis.kind]}"
        if asked is None:
            raise FormatError(f"{many}: choose one with --{axis.kind} 0 to {length - 1}")
        if not 0 <= asked < length:
            raise FormatError(f"{many}, numbered from 0: there is no --{axis.kind} {asked}")
        return asked


def old_axes(dimensions: int) -> Axes:
    """Those of 0.1 and 0.2: the last of t, c, z, y, x."""
    return axes_of_names(_OLD[-dimensions:])


def axes_of_names(names: Sequence[str]) -> Axes:
    """Axes of which nothing but the names is known."""
    return Axes(tuple(Axis(name, _KINDS.get(name.lower(), "")) for name in names))


def axes_of_objects(found: Any, where: str) -> Axes:
    """The axes of 0.3 (names) and of 0.4 and later (objects).

    Raises
    ------
    FormatError
        They are not two to five different ones, two or three of them of space.
    """
    if not isinstance(found, list) or not all(isinstance(axis, str | dict) for axis in found):
        raise FormatError(f"{where} has no list of axes: {shown(found)}")
    axes = Axes(tuple(_axis(axis, where) for axis in found))
    names = [axis.name for axis in axes.axes]
    for name in names:
        if _KINDS.get(name.lower()) in _OPTIONS and axes.axes[names.index(name)].kind == "space":
            raise FormatError(f"{where} has axes {axes.names}, and says that {name} is one of space")
    if len(set(names)) != len(names) or not 2 <= len(names) <= _MOST or len(axes.space) not in (2, 3):
        raise FormatError(
            f"{where} has {f'axes {axes.names}' if names else 'no axes'}; OME-Zarr has two to five different ones, two "
            "or three of them of space"
        )
    return axes


def _axis(found: str | dict[str, Any], where: str) -> Axis:
    if isinstance(found, str):
        return Axis(found, _KINDS.get(found.lower(), ""))
    name = found.get("name")
    if not isinstance(name, str) or not name:
        raise FormatError(f"{where} has an axis without a name: {shown(found)}")
    kind = found.get("type", _KINDS.get(name.lower(), ""))
    orientation = found.get("orientation", "")
    value = orientation.get("value", "") if isinstance(orientation, dict) else orientation
    return Axis(name, str(kind), str(found.get("unit") or ""), str(value))
