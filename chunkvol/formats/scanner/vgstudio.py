"""VGStudio: `.vgi`, a text beside a raw `.vol`, also written by Nikon's, phoenix's and Siemens' programs.

Objects stand in braces and their sections in brackets. `{volume1} [representation]` is the volume in VGStudio's memory
and `[file1]` the file on disk: their types may differ, as 16 bits made of 32-bit floats, and the file's is the one to
read. The resolution stands in the section `[geometry]` of an object `{volumeprimitiveN}`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chunkvol.formats.scanner.paths import beside
from chunkvol.formats.scanner.scanfacts import ScanFacts
from chunkvol.formats.scanner.text import ScannerText
from chunkvol.formats.scanner.units import in_millimetres
from chunkvol.geometry.grid import Triple

_FILE = "volume1/file1"
_MEMORY = "volume1/representation"
_KINDS = {
    "unsigned integer": "u",
    "unsigned int": "u",
    "signed integer": "i",
    "integer": "i",
    "signed int": "i",
    "float": "f",
}
_TYPES = frozenset({"u1", "u2", "u4", "i1", "i2", "i4", "f4"})
_PLAIN = ("", "0", "0 0 0", "0 0 0 0")

__all__ = ["vgstudio_facts"]


def vgstudio_facts(text: ScannerText, *, trust_paths: bool = False) -> ScanFacts | None:
    """What a `.vgi` file says of its first volume; None where it is no such file.

    Raises
    ------
    FormatError
        A size or a type is not understood, or the volume is in a form that is not read.
    """
    if not text.has(_FILE, "Size"):
        return None
    if text.has("volume1/file2"):
        raise text.error("[file2]", "makes one volume of several files, which is not read")
    kind = text.value(_FILE, "FileFormat").casefold()
    if kind not in ("", "raw"):
        raise text.error("FileFormat", f"is {kind!r}; raw is read")
    count, rows, columns = (text.whole("Size", part) for part in _three(text, _FILE, "Size")[::-1])
    return ScanFacts(
        text.path,
        "VGStudio",
        _spacing(text),
        count,
        rows,
        columns,
        volume=beside(text.path, text.value(_FILE, "Name"), ".vol", trust=trust_paths),
        stored=_stored(text),
        offset=_skipped(text),
        record=_record(text),
        handedness=_handedness(text),
        problems=tuple(_problems(text)),
    )


def _three(text: ScannerText, section: str, key: str) -> list[str]:
    parts = [part.strip(",;") for part in text.value(section, key).split()]
    if len(parts) != 3:
        raise text.error(key, f"must be three numbers, found {text.value(section, key)[:40]!r}")
    return parts


def _spacing(text: ScannerText) -> Triple | None:
    """Of the object that shows the volume; where there are several objects with a resolution they must agree."""
    shown = [name for name in text.sections if name.endswith("/geometry") and text.has(name, "resolution")]
    found = {tuple(_length(text, name, part) for part in _three(text, name, "resolution")) for name in shown}
    if len(found) > 1:
        raise text.error("resolution", "is given twice with different values")
    for i, j, k in found:
        return k, j, i
    return None


def _length(text: ScannerText, section: str, part: str) -> float:
    unit = text.value(section, "unit") or "mm"
    length = in_millimetres(text.above_zero("resolution", part), unit)
    if length is None:
        raise text.error("unit", f"is {unit!r}, which is no length that is known")
    return length


def _stored(text: ScannerText) -> np.dtype[Any]:
    """The type on disk, little endian unless the file says otherwise."""
    kind, bits = text.value(_FILE, "Datatype").casefold(), text.count(_FILE, "BitsPerElement")
    kind, bits = kind or text.value(_MEMORY, "datatype").casefold(), bits or text.count(_MEMORY, "bitsperelement")
    name = f"{_KINDS.get(kind, '?')}{(bits or 0) // 8}"
    if name not in _TYPES or (bits or 0) % 8:
        raise text.error("Datatype", f"{kind!r} of {bits} bits is not read; integers of 8 to 32 bits and float are")
    big = text.value(_FILE, "Endian").casefold().startswith("big")
    return np.dtype((">" if big else "<") + name)


def _skipped(text: ScannerText) -> int:
    """Bytes before the first voxel."""
    value = text.value(_FILE, "SkipHeader")
    return 0 if value in ("", "0") else text.whole("SkipHeader", value)


def _mirrored(text: ScannerText) -> list[bool]:
    """Whether VGStudio turns x, y, z of the file around while it loads it."""
    value = text.value(_FILE, "Mirror")
    return [False] * 3 if value in _PLAIN else [part not in ("0", "") for part in value.split()[:3]]


def _handedness(text: ScannerText) -> str:
    mirrored = _mirrored(text)
    if not any(mirrored):
        return ""
    axes = " and ".join(axis for axis, turned in zip("xyz", mirrored, strict=False) if turned)
    letters = "".join(pair[turned] for pair, turned in zip(("LR", "PA", "SI"), mirrored, strict=False))
    image = ", and the specimen is a mirror image without that" if sum(mirrored) % 2 else ""
    return f"VGStudio turns {axes} of this file around: --orientation {letters} places it that way{image}"


def _problems(text: ScannerText) -> list[str]:
    found = []
    if text.has("volume2/file1"):
        found.append(f"{text.path.name} holds several volumes: the first one is read")
    whole = [str(int(part) - 1) for part in _three(text, _FILE, "Size")]
    start, end = text.value(_FILE, "RegionOfInterestStart").split(), text.value(_FILE, "RegionOfInterestEnd").split()
    if (start and start != ["0"] * 3) or (end and end not in (whole, ["-1"] * 3)):
        found.append(f"VGStudio shows a part of {text.path.name}'s volume: all of it is read")
    return found


def _record(text: ScannerText) -> dict[str, Any]:
    mirrored = _mirrored(text)
    return {"mirror_xyz": mirrored} if any(mirrored) else {}
