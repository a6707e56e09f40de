"""ITK's text of transforms, as Slicer, ANTs and elastix write it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from chunkvol.errors import InputError
from chunkvol.transforms.entry import Entry, numbers_of
from chunkvol.transforms.kinds import KINDS, Matrix

__all__ = ["itk_matrix"]


def itk_matrix(file: Path, text: str) -> Matrix:
    """The product of a file's transforms.

    ITK writes a composite as an entry without parameters, followed by its parts; the last part is applied first.
    """
    entries = _entries(file, text)
    if not entries:
        raise InputError(f"{file} is an ITK transform file without a transform")
    composite = entries[0].kind == "CompositeTransform"
    parts = entries[1:] if composite else entries
    if len(parts) > 1 and not composite:
        raise InputError(f"{file} holds {len(parts)} transforms that are not one composite; save the one that is meant")
    whole = np.eye(4)
    for part in parts:
        whole = whole @ _matrix(part)
    return whole


def _entries(file: Path, text: str) -> list[Entry]:
    found: list[dict[str, str]] = []
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if line.lstrip().startswith("#") or not colon:
            continue
        if key.strip() == "Transform":
            found.append({})
        if not found:
            raise InputError(f"{file}: {key.strip()[:40]!r} stands before any transform")
        found[-1][key.strip()] = value.strip()
    return [_entry(file, one) for one in found]


def _entry(file: Path, lines: dict[str, str]) -> Entry:
    match = re.fullmatch(r"(\w+?)_(double|float)_(\d+)_(\d+)", lines["Transform"])
    if not match:
        raise InputError(f"{file}: {lines['Transform'][:60]!r} is no transform of ITK")
    if (match[3], match[4]) != ("3", "3"):
        raise InputError(f"{file} is a transform of {match[3]} dimensions; volumes have 3")
    if match[1] not in KINDS and match[1] != "CompositeTransform":
        raise InputError(f"{file} is a {match[1]}, which is not affine; only affine transforms move grids")
    if match[1] != "CompositeTransform" and "Parameters" not in lines:
        raise InputError(f"{file} is cut short: {match[1]} has no parameters")
    values = [tuple(numbers_of(file, lines.get(key, "").split())) for key in ("Parameters", "FixedParameters")]
    return Entry(file, match[1], *values)


def _matrix(entry: Entry) -> Matrix:
    """The matrix of one transform."""
    linear, shift, centre = KINDS[entry.kind](entry)
    out = np.eye(4)
    out[:3, :3] = linear
    out[:3, 3] = np.array(shift) + centre - linear @ np.array(centre)
    return out
