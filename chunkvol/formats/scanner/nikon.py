"""Nikon (X-Tek): `.xtekct`, the settings of a reconstruction, beside projections, slices, or `.vol` and `.vgi`.

X and Y lie in the plane of rotation and Z along the rotation axis, so a slice of VoxelsX columns and VoxelsY rows is
cut across Z; slices that were exported along another axis have another size. OffsetX, OffsetY and OffsetZ move the
reconstructed box against the rotation axis; which way is not documented, so they are recorded and the origin is not
made of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chunkvol.formats.scanner.paths import same_name
from chunkvol.formats.scanner.scanfacts import ScanFacts
from chunkvol.formats.scanner.text import ScannerText, read_text
from chunkvol.formats.scanner.units import in_millimetres
from chunkvol.formats.scanner.vgstudio import vgstudio_facts
from chunkvol.geometry.grid import Triple

_OWN = "xtekct"

__all__ = ["nikon_facts"]


def nikon_facts(text: ScannerText) -> ScanFacts | None:
    """What a `.xtekct` file says; None where it is no such file.

    Raises
    ------
    FormatError
        A size is no number above 0, or in a unit that is not known.
    """
    if not text.has(_OWN, "VoxelsX", "VoxelsY", "VoxelsZ"):
        return None
    count, rows, columns = (text.count(_OWN, f"Voxels{axis}") for axis in "ZYX")
    number = text.number(_OWN, "Projections")
    facts = ScanFacts(
        text.path,
        "Nikon",
        _spacing(text),
        count,
        rows,
        columns,
        prefix=text.value(_OWN, "OutputName") or text.value(_OWN, "Name"),
        projections=(text.value(_OWN, "InputName"), int(number) if number else None),
        record=_record(text),
    )
    return _with_volume(facts)


def _spacing(text: ScannerText) -> Triple | None:
    unit = text.value(_OWN, "Units") or "mm"
    found = [text.length(_OWN, f"VoxelSize{axis}") for axis in "ZYX"]
    k, j, i = (None if length is None else in_millimetres(length, unit) for length in found)
    if None not in found and k is None:
        raise text.error("Units", f"is {unit!r}, which is no length that is known")
    return None if k is None or j is None or i is None else (k, j, i)


def _with_volume(facts: ScanFacts) -> ScanFacts:
    """The raw volume of the same name, where there is one; its type stands in the `.vgi`, or follows from its size."""
    volume = same_name(facts.path, ".vol")
    if volume is None:
        return facts
    header = same_name(facts.path, ".vgi")
    text = None if header is None else read_text(header)
    told = None if text is None else vgstudio_facts(text)
    if told is None:
        return replace(facts, volume=volume)
    return replace(facts, volume=volume, stored=told.stored, offset=told.offset, handedness=told.handedness)


def _record(text: ScannerText) -> dict[str, Any]:
    """Stored value / `scaling` is the attenuation in `output_units`, where the program did not scale it further."""
    facts = {
        "source_kv": text.number("xrays", "XraykV"),
        "source_ua": text.number("xrays", "XrayuA"),
        "offset_xyz": [text.number(_OWN, f"Offset{axis}") for axis in "XYZ"],
        "scaling": text.number(_OWN, "Scaling"),
        "output_units": text.value(_OWN, "OutputUnits"),
        "filter": text.value("ctpro", "Filter_Material"),
        "filter_mm": text.number("ctpro", "Filter_ThicknessMM"),
    }
    return {key: value for key, value in facts.items() if value not in (None, "", [None, None, None])}
