"""SkyScan (Bruker): the log that NRecon writes beside its slices, `*_rec.log`.

Only `[Reconstruction]` speaks of the slices. `Pixel Size (um)` is that of a slice; `Camera`, `Image` and `Scaled Image
Pixel Size (um)` are of the detector and of the projections, which are often finer or coarser. NRecon reconstructs one
section for each `Section to Section Step` lines of the detector, a line being a pixel high, so the distance of slices
is step x pixel size.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chunkvol.formats.scanner.scanfacts import ScanFacts
from chunkvol.formats.scanner.text import ScannerText

_REC = "reconstruction"
# SlicerMorph's tutorial on ImageStacks shows it on a skull whose left side is damaged.
_MIRRORED = (
    "sections of NRecon in their order and with plain axes show the mirror image of the specimen: --frame skyscan "
    "turns it as SlicerMorph's SkyscanReconImport does"
)

__all__ = ["skyscan_facts"]


def skyscan_facts(text: ScannerText) -> ScanFacts | None:
    """What a SkyScan log says; None where it is no such log.

    Raises
    ------
    FormatError
        The pixel size or a count is no number above 0.
    """
    scan = text.has("system", "Scanner") and text.has("acquisition", "Image Pixel Size (um)")
    if not scan and not text.has(_REC, "Pixel Size (um)", "Sections Count"):
        return None
    facts = ScanFacts(text.path, "SkyScan", projections=_projections(text), record=_record(text))
    if not text.has(_REC, "Pixel Size (um)"):
        problem = (
            f"{text.path.name} is the log of a scan without a reconstruction: it tells the pixel size of projections, "
            "not that of slices, and is not used; the log of NRecon, *_rec.log, does"
        )
        return replace(facts, problems=(problem,))
    return replace(
        facts,
        spacing=_spacing(text),
        count=text.count(_REC, "Sections Count"),
        rows=text.count(_REC, "Result Image Height (pixels)"),
        columns=text.count(_REC, "Result Image Width (pixels)"),
        prefix=_prefix(text),
        handedness=_MIRRORED,
        problems=tuple(_problems(text)),
    )


def _spacing(text: ScannerText) -> tuple[float, float, float] | None:
    pixel = text.length(_REC, "Pixel Size (um)")
    step = text.length(_REC, "Section to Section Step")
    # Divided, since 0.001 is no number of base 2.
    return None if pixel is None else ((step or 1.0) * pixel / 1000, pixel / 1000, pixel / 1000)


def _prefix(text: ScannerText) -> str:
    """NRecon 2 tells it; older ones append "_rec" to the name of the data set."""
    told = text.value("file name convention", "Filename Prefix")
    data_set = text.value(_REC, "Dataset Prefix")
    return told or (f"{data_set}_rec" if data_set else "")


def _projections(text: ScannerText) -> tuple[str, int | None]:
    # "Number of Files" counts some programs' extra images as well; it only helps to tell projections from slices.
    number = text.number("acquisition", "Number of Files")
    return text.value("acquisition", "Filename Prefix"), int(number) if number else None


def _problems(text: ScannerText) -> list[str]:
    found = []
    first, last = text.number(_REC, "First Section"), text.number(_REC, "Last Section")
    step, count = text.number(_REC, "Section to Section Step"), text.count(_REC, "Sections Count")
    if step is None:
        found.append(f"{text.path.name} tells no Section to Section Step: 1 is taken")
    if None not in (first, last, count) and first is not None and last is not None and step:
        spanned = int(abs(last - first) / step) + 1
        if spanned != count:
            found.append(
                f"{text.path.name} says {count} sections, and first and last section make {spanned} in steps of "
                f"{step:g}: the distance of slices may be another"
            )
    if (text.number(_REC, "Undersampling factor") or 1) != 1:
        found.append(f"{text.path.name} tells of undersampling: its pixel size is taken to be that of the slices")
    return found


def _record(text: ScannerText) -> dict[str, Any]:
    """Grey values to attenuation: smallest and largest grey are `attenuation_range`, 1/mm; not applied."""
    low = text.number(_REC, "Minimum for CS to Image Conversion")
    high = text.number(_REC, "Maximum for CS to Image Conversion")
    facts = {
        "model": text.value("system", "Scanner"),
        "source_kv": text.number("acquisition", "Source Voltage (kV)"),
        "source_ua": text.number("acquisition", "Source Current (uA)"),
        "filter": text.value("acquisition", "Filter"),
        "first_section": text.number(_REC, "First Section"),
        "section_step": text.number(_REC, "Section to Section Step"),
        "attenuation_range": None if low is None or high is None else [low, high],
        "hu_calibration": text.value(_REC, "HU Calibration"),
    }
    return {key: value for key, value in facts.items() if value not in (None, "")}
