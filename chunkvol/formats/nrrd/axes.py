"""The axes of a NRRD array: two or three in space, and others only of length 1, which hold nothing and are left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from chunkvol.errors import FormatError

_SPATIAL = ("domain", "space", "none", "???", "0")
"""Kinds that an axis of a volume may have."""
_PARTS = {
    "spacedirections": r"\([^()]*\)|\S+",
    "labels": r'"(?:[^"\\]|\\.)*"',
    "units": r'"[^"]*"|\S+',
    **dict.fromkeys(
        ("sizes", "spacings", "thicknesses", "axismins", "axismaxs", "centers", "kinds"),
        r"\S+",
    ),
}
"""Fields with one value an axis (the definition's section 6), and what a value looks like."""

__all__ = ["squeezed"]


def squeezed(fields: Mapping[str, str], path: Path) -> dict[str, str]:
    """The fields without the axes that are not in space; those must have length 1.

    Of more than three axes that may all be in space, those of length 1 are left out as well, the slowest first.

    Raises
    ------
    FormatError
        An axis that is not in space is longer than 1; the message names its kind.
    """
    sizes = fields.get("sizes", "").split()
    kinds = fields.get("kinds", "").split()
    steps = re.findall(_PARTS["spacedirections"], fields.get("spacedirections", ""))
    if fields.get("dimension") != str(len(sizes)) or len(sizes) < 2:
        return dict(fields)  # refused later, with what is wrong
    kept = [axis for axis in range(len(sizes)) if _is_spatial(axis, kinds, steps)]
    for axis in set(range(len(sizes))) - set(kept):
        if sizes[axis] != "1" and len(sizes) == 3 and _is_spatial(axis, kinds, []):
            return dict(fields)  # only its direction is missing, as is said later
        if sizes[axis] != "1":
            raise FormatError(_refusal(path, axis, sizes[axis], kinds[axis] if axis < len(kinds) else "none"))
    for axis in reversed(range(len(sizes))):
        if len(kept) > 3 and axis in kept and sizes[axis] == "1":
            kept.remove(axis)
    return dict(fields) if len(kept) == len(sizes) else {**fields, **_reduced(fields, kept, len(sizes))}


def _is_spatial(axis: int, kinds: list[str], steps: list[str]) -> bool:
    if axis < len(steps) and steps[axis].lower() == "none":
        return False
    return axis >= len(kinds) or kinds[axis].lower() in _SPATIAL


def _refusal(path: Path, axis: int, length: str, kind: str) -> str:
    return (
        f"{path} has an axis of kind {kind} and length {length[:20]} (axis {axis}); volumes with one number a voxel "
        f"are read: take out one with 'unu slice -a {axis} -p 0 -i IN.nrrd -o OUT.nrrd'"
    )


def _reduced(fields: Mapping[str, str], kept: list[int], count: int) -> dict[str, str]:
    """The fields with one value an axis, for the axes that are kept."""
    out = {"dimension": str(len(kept))}
    for name, pattern in _PARTS.items():
        values = re.findall(pattern, fields.get(name, ""))
        if len(values) == count:
            out[name] = " ".join(values[axis] for axis in kept)
    return out
