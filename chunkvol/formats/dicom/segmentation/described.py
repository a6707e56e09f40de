"""The segments as a file describes them: numbers, names, colours, and Slicer's terminology."""

from __future__ import annotations

from typing import Any

import numpy as np

from chunkvol.errors import FormatError
from chunkvol.segments import Segment

_GREY = (0.5, 0.5, 0.5)
_WHITE = np.array([0.95047, 1.0, 1.08883])
_TO_SRGB = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
_CATEGORY, _TYPE, _TYPE_MODIFIER = 0x00620003, 0x0062000F, 0x00620011
_REGION, _REGION_MODIFIER, _REGION_MODIFIER_2 = 0x00082218, 0x00082220, 0x00620012
_NUMBER, _LABEL, _CIELAB = 0x00620004, 0x00620005, 0x0062000D
_PALETTE = (0x00281101, 0x00281201), (0x00281102, 0x00281202), (0x00281103, 0x00281203)
"""Descriptor and data of the red, green and blue tables of a label map."""

Color = tuple[float, float, float]

__all__ = ["PALETTE", "described", "rgb_of_cielab"]

PALETTE = tuple(tag for pair in _PALETTE for tag in pair)
"""Elements of the top level that colours may be taken from."""


def described(dataset: Any, sequence: int, where: str) -> tuple[Segment, ...]:
    """The segments of a Segment Sequence, in its order; `value` is the Segment Number, all are in layer 0.

    Only what PS3.3 C.8.20.4 calls label, codes and colour is taken: descriptions may name people.

    Raises
    ------
    FormatError
        There is none, or a number is missing or there twice.
    """
    element = dataset.get(sequence)
    items = [] if element is None or element.VR != "SQ" else list(element.value)
    segments = tuple(_segment(item, dataset, where) for item in items)
    numbers = [one.value for one in segments]
    if not numbers:
        raise FormatError(f"{where} describes no segment (SegmentSequence is empty or missing); export it again")
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    if twice:
        raise FormatError(f"{where} describes segment {twice[0]} twice; export it again with a number for each segment")
    return segments


def _segment(item: Any, dataset: Any, where: str) -> Segment:
    number = _value(item, _NUMBER)
    if not isinstance(number, int) or number < 0:
        raise FormatError(f"{where} has a segment without a SegmentNumber; export it again")
    name = " ".join(str(_value(item, _LABEL) or "").split()) or f"Segment {number}"
    cielab = _value(item, _CIELAB)
    if cielab is not None and len(cielab) == 3:
        color = rgb_of_cielab(*(int(part) for part in cielab))
    else:
        color = _from_palette(dataset, number)
    return Segment(f"Segment_{number}", name, number, 0, color, _terminology(item))


def rgb_of_cielab(lightness: int, a: int, b: int) -> Color:
    """Red, green and blue, 0 to 1 in steps of 1/255, of a CIELab value as DICOM stores it (PS3.3 C.10.7.1.1).

    The standard's white is D50. Every writer that we met (DCMTK, dcmqi, Slicer, PixelMed, highdicom) computes with the
    D65 of sRGB itself, so that only D65 gives back the colours that somebody chose.
    """
    fy = (lightness * 100 / 0xFFFF + 16) / 116
    f = np.array([fy + (a * 255 / 0xFFFF - 128) / 500, fy, fy - (b * 255 / 0xFFFF - 128) / 200])
    xyz = _WHITE * np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    linear = np.clip(_TO_SRGB @ xyz, 0, 1)
    srgb = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    red, green, blue = (round(float(part) * 255) / 255 for part in srgb)
    return red, green, blue


def _from_palette(dataset: Any, number: int) -> Color:
    """The colour that the palette of a label map has for a number; grey without one."""
    out = []
    for descriptor, data in _PALETTE:
        said, table = _value(dataset, descriptor), _value(dataset, data)
        if said is None or len(said) != 3 or not isinstance(table, bytes):
            return _GREY
        entries, first, bits = (int(part) for part in said)
        wide = bits > 8 or len(table) >= 2 * (entries or 1 << 16)
        lut = np.frombuffer(table[: len(table) // 2 * 2] if wide else table, "<u2" if wide else "u1")
        if not len(lut):
            return _GREY
        out.append(float(lut[min(max(number - first, 0), len(lut) - 1)]) / ((1 << bits) - 1))
    red, green, blue = (min(1.0, part) for part in out)
    return red, green, blue


def _terminology(item: Any) -> str:
    """Slicer's tag of category, type and place; empty without category and type."""
    category, kind = _code(item, _CATEGORY), _code(item, _TYPE)
    if not category or not kind:
        return ""
    inner = (_first(item, _TYPE), _first(item, _REGION))
    modifier = _code(inner[0], _TYPE_MODIFIER) or _code(item, _TYPE_MODIFIER)
    region = _code(item, _REGION)
    region_modifier = _code(inner[1], _REGION_MODIFIER) or _code(item, _REGION_MODIFIER_2)
    parts = (
        "Segmentation category and type - DICOM master list",
        category,
        kind,
        modifier or "^^",
        "Anatomic codes - DICOM master list",
        region or "^^",
        region_modifier or "^^",
    )
    return f"TerminologyEntry:{'~'.join(parts)}|"


def _code(item: Any, sequence: int) -> str:
    """Scheme, value and meaning of a code (PS3.3 section 8.8); empty where there is none."""
    code = _first(item, sequence)
    if code is None:
        return ""
    value = next((v for tag in (0x00080100, 0x00080119, 0x00080120) if (v := _value(code, tag))), "")
    parts = (_value(code, 0x00080102), value, _value(code, 0x00080104))
    return "^".join(_plain(part) for part in parts) if value else ""


def _plain(part: Any) -> str:
    """One line without the characters that separate parts."""
    return " ".join("".join(" " if c in "^~|" or not c.isprintable() else c for c in str(part or "")).split())


def _first(item: Any, sequence: int) -> Any:
    element = None if item is None else item.get(sequence)
    return element.value[0] if element is not None and element.VR == "SQ" and len(element.value) else None


def _value(item: Any, tag: int) -> Any:
    element = item.get(tag)
    return None if element is None else element.value
