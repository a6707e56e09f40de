"""GE phoenix (datos|x): `.pcr`, the settings of a reconstruction, beside a raw little endian `.vol`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.formats.scanner.paths import beside, same_name
from chunkvol.formats.scanner.scanfacts import ScanFacts
from chunkvol.formats.scanner.text import ScannerText, read_text
from chunkvol.geometry.grid import Triple

_OWN = "volumedata"
_TYPES = {1: "u1", 5: "<u2", 10: "<f4"}
"""By `Format`, as SlicerMorph's GEVolImport has it."""

__all__ = ["phoenix_facts"]


def phoenix_facts(text: ScannerText, *, trust_paths: bool = False) -> ScanFacts | None:
    """What a `.pcr` file says; None where it is no such file.

    Raises
    ------
    FormatError
        A size is no number above 0, or the type of the voxels is not known.
    """
    if not text.has(_OWN, "Volume_SizeX", "Volume_SizeY", "Volume_SizeZ"):
        return None
    count, rows, columns = (text.count(_OWN, f"Volume_Size{axis}") for axis in "ZYX")
    spacing, guess = _spacing(text)
    volume = beside(text.path, text.value(_OWN, "VOL_File"), ".vol", trust=trust_paths)
    return ScanFacts(
        text.path,
        "GE phoenix",
        spacing,
        count,
        rows,
        columns,
        prefix=text.path.stem,
        volume=volume,
        stored=_stored(text),
        record=_record(text),
        guess=guess,
    )


def _spacing(text: ScannerText) -> tuple[Triple | None, str]:
    """One size for all axes: that of the reconstruction, or else that of the acquisition, which may be another."""
    size = text.length(_OWN, "VoxelSizeRec")
    if size is not None:
        return (size, size, size), ""
    acquisition = same_name(text.path, ".pca")
    other = None if acquisition is None else read_text(acquisition)
    size = None if other is None else other.length("geometry", "VoxelSizeX")
    if acquisition is None or size is None:
        return None, ""
    return (size, size, size), (
        f"{text.path.name} tells no VoxelSizeRec: the voxel size of the acquisition, {size:g} mm in "
        f"{acquisition.name}, is assumed; --spacing says what it is"
    )


def _stored(text: ScannerText) -> np.dtype[Any] | None:
    code = text.count(_OWN, "Format")
    if code is not None and code not in _TYPES:
        known = ", ".join(f"{number} ({np.dtype(name).name})" for number, name in _TYPES.items())
        raise text.error("Format", f"must be one of {known}, found {code}")
    return None if code is None else np.dtype(_TYPES[code])


def _record(text: ScannerText) -> dict[str, Any]:
    """Smallest and largest grey are `grey_range` in the reconstruction's own unit; not applied."""
    low, high = text.number(_OWN, "Min"), text.number(_OWN, "Max")
    facts = {
        "grey_range": None if low is None or high is None else [low, high],
        "source_kv": _acquired(text.path, "xray", "Voltage"),
        "source_ua": _acquired(text.path, "xray", "Current"),
    }
    return {key: value for key, value in facts.items() if value is not None}


def _acquired(path: Path, section: str, key: str) -> float | None:
    acquisition = same_name(path, ".pca")
    text = None if acquisition is None else read_text(acquisition)
    return None if text is None else text.number(section, key)
