"""Coordinate systems of NGFF 0.6: which one says where the voxels lie, and the way there.

Datasets lead to the intrinsic system; transformations of the multiscales lead on. Of the systems that are reached,
the one is taken that is best known: with anatomical axes, or named LPS or RAS, else the first with axes of space other
than the intrinsic one, else that.
"""

from __future__ import annotations

from dataclasses import dataclass
from reprlib import repr as shown
from typing import Any

import numpy as np

from chunkvol.errors import FormatError
from chunkvol.formats.ome_zarr.axes import Axes, axes_of_objects
from chunkvol.formats.ome_zarr.transforms import Matrix, UnsupportedError, after, matrix_of

_Way = Matrix | UnsupportedError
"""How a coordinate system is reached, or why it is not."""
_NAMED = {"lps": (1.0, 1.0, 1.0), "ras": (-1.0, -1.0, 1.0)}
"""Signs of the LPS axes x, y, z in systems of these names."""

__all__ = ["Target", "dataset_matrix", "intrinsic_name", "systems_of", "target_of"]


@dataclass(frozen=True, slots=True)
class Target:
    """The coordinate system in which the voxels are placed."""

    name: str
    """Its name."""
    axes: Axes
    """Its axes."""
    matrix: Matrix
    """From coordinates of the intrinsic system to its own."""
    others: tuple[str, ...]
    """Further systems that the image knows."""

    @property
    def signs(self) -> tuple[float, float, float] | None:
        """Signs of x, y, z in LPS, where the system's name tells; None where it does not."""
        return _NAMED.get(self.name.lower())


def systems_of(multiscale: dict[str, Any], where: str) -> dict[str, Axes]:
    """The coordinate systems by name, in order.

    Raises
    ------
    FormatError
        There is none, or one is not valid.
    """
    found = multiscale.get("coordinateSystems")
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
        raise FormatError(f"{where} has no coordinateSystems, which OME-Zarr 0.6 needs: {shown(found)}")
    names = [one.get("name") for one in found]
    if not all(isinstance(name, str) and name for name in names) or len(set(map(str, names))) != len(names):
        raise FormatError(f"{where} has coordinate systems without names of their own: {names}")
    return {
        str(one["name"]): axes_of_objects(one.get("axes"), f"system {one['name']} of {where}")
        for one in found
        if not _of_arrays(one.get("axes"))
    }


def _of_arrays(axes: Any) -> bool:
    """True for a system of array indices, which says nothing of space."""
    return isinstance(axes, list) and any(isinstance(axis, dict) and axis.get("type") == "array" for axis in axes)


def intrinsic_name(multiscale: dict[str, Any], systems: dict[str, Axes], where: str) -> str:
    """The system to which all datasets lead."""
    names = {_end(_only(entry, where).get("output"), "name") for entry in multiscale["datasets"]}
    if len(names) != 1 or not names <= systems.keys():
        raise FormatError(
            f"the datasets of {where} lead to {', '.join(sorted(map(repr, names)))}, not to one of the coordinate "
            f"systems {', '.join(map(repr, systems))}"
        )
    return names.pop()


def dataset_matrix(entry: dict[str, Any], axes: int, where: str) -> tuple[Matrix, bool]:
    """From indices to the intrinsic system, and whether a translation is stated.

    0.6 allows an identity, a scale, or a sequence of scale and translation.
    """
    only = _only(entry, where)
    kinds = [only.get("type")]
    if kinds == ["sequence"] and isinstance(only.get("transformations"), list):
        kinds = [one.get("type") if isinstance(one, dict) else one for one in only["transformations"]]
    if kinds not in (["identity"], ["scale"], ["scale", "translation"]):
        raise FormatError(
            f"{where} has the transformations {', '.join(map(str, kinds))} of a dataset; an identity, a scale, or a "
            "scale and a translation are expected"
        )
    return matrix_of(only, axes, where), "translation" in kinds


def _only(entry: dict[str, Any], where: str) -> dict[str, Any]:
    found = entry.get("coordinateTransformations")
    if not isinstance(found, list) or len(found) != 1 or not isinstance(found[0], dict):
        raise FormatError(f"{where} has no single transformation of a dataset: {shown(found)}")
    return found[0]


def _end(found: Any, key: str) -> str:
    """An end of a transformation: an object in 0.6, a text in its drafts."""
    return str(found.get(key, "") if isinstance(found, dict) else found or "")


def target_of(multiscale: dict[str, Any], systems: dict[str, Axes], intrinsic: str, where: str) -> Target:
    """The system in which the voxels are placed.

    Raises
    ------
    UnsupportedError
        The way to it is a transformation that chunkvol does not read.
    """
    ways = _ways(multiscale, systems, intrinsic, where)
    order = list(systems)

    def rank(name: str) -> tuple[int, bool, int]:
        axes = systems[name]
        known = 0 if axes.oriented is not None else 1 if name.lower() in _NAMED else 2
        return known, name == intrinsic, order.index(name)

    best = min((name for name in ways if len(systems[name].space) == len(systems[intrinsic].space)), key=rank)
    way = ways[best]
    if isinstance(way, UnsupportedError):
        raise way
    return Target(best, systems[best], way, tuple(name for name in order if name not in (best, intrinsic)))


def _ways(multiscale: dict[str, Any], systems: dict[str, Axes], intrinsic: str, where: str) -> dict[str, _Way]:
    """From the intrinsic system to each that is reached, or why that way cannot be gone."""
    listed = multiscale.get("coordinateTransformations", [])
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise FormatError(f"{where} has no list of coordinateTransformations: {shown(listed)}")
    count = len(systems[intrinsic].axes)
    ways: dict[str, _Way] = {intrinsic: np.eye(count, count + 1)}
    waiting = [intrinsic]
    while waiting:
        start = waiting.pop(0)
        for one in listed:
            end = _end(one.get("output"), "name")
            if _end(one.get("input"), "name") == start and end in systems and end not in ways:
                ways[end] = _onward(ways[start], one, len(systems[start].axes), len(systems[end].axes), where)
                waiting.append(end)
    return ways


def _onward(so_far: _Way, found: Any, inputs: int, outputs: int, where: str) -> _Way:
    if isinstance(so_far, UnsupportedError):
        return so_far
    try:
        step = matrix_of(found, inputs, where)
    except UnsupportedError as error:
        return error
    if len(step) != outputs:
        raise FormatError(f"a transformation of {where} gives {len(step)} coordinates to a system of {outputs} axes")
    return after(step, so_far)
