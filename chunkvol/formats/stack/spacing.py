"""What the tags of a TIFF file say of its spacing: OME-XML, ImageJ's lines, resolution."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from typing import Any

from chunkvol import system
from chunkvol.formats.place import Stated
from chunkvol.formats.stack.descriptions import imagej_fields, is_ome, ome_pixels
from chunkvol.formats.stack.ifd import WINDOW, Ifd, TiffBytes, starts_like_tiff

_MM: dict[str, tuple[float, float]] = {
    "nm": (1, 1e6),
    "um": (1, 1e3),
    "micron": (1, 1e3),
    "micrometer": (1, 1e3),
    "micrometre": (1, 1e3),
    "mm": (1, 1),
    "millimeter": (1, 1),
    "millimetre": (1, 1),
    "cm": (10, 1),
    "centimeter": (10, 1),
    "centimetre": (10, 1),
    "m": (1000, 1),
    "meter": (1000, 1),
    "in": (25.4, 1),
    "inch": (25.4, 1),
    "pm": (1, 1e9),
    "å": (1, 1e7),
}
"""Millimetres in a unit, as a fraction: a division by 1000 is exactly rounded, a product with 0.001 is not."""
_MICRO = re.compile(r"\\u00b5|[\u00b5\u03bc]", re.IGNORECASE)
"""As ImageJ escapes it, as the sign, as the Greek letter."""
_RESOLUTION_UNITS = {2: 25.4, 3: 10.0}
"""Millimetres by ResolutionUnit: inch, cm."""
_DEFAULTS = (72.0, 96.0, 300.0)
"""Dots an inch that programs write when they know nothing."""

__all__ = ["stated_by_tags"]


def stated_by_tags(path: str) -> Stated:
    """What the first page of a TIFF file says of the spacing; nothing of any other file."""
    with system.opened(path) as fd:
        size = os.fstat(fd).st_size
        head = system.pread(fd, min(WINDOW, size), 0)
        if not starts_like_tiff(head):
            return Stated()
        data = TiffBytes(fd, size, head)
        ifd = data.ifd(data.first)
        text = ifd.text(270)
        if is_ome(text):
            return _by_ome(ome_pixels(text))
        fields = imagej_fields(text) if text.startswith("ImageJ=") else {}
        return _by_imagej(ifd, fields) if _unit(fields.get("unit", "")) else _by_resolution(ifd)


def _unit(name: str) -> tuple[float, float] | None:
    """Millimetres in a unit; None where it is no length."""
    plain = _MICRO.sub("u", name.strip().strip('"')).lower()
    return _MM.get(plain) or _MM.get(plain.removesuffix("s"))


def _length(number: float, unit: tuple[float, float]) -> float | None:
    length = number * unit[0] / unit[1]
    return length if math.isfinite(length) and length > 0 else None


def _stated(k: float | None, j: float | None, i: float | None, by: str) -> Stated:
    """Pixels need both lengths; planes without one are taken to be as far apart as pixels, and that is said."""
    if j is None or i is None:
        return Stated()
    if k is not None:
        return Stated((k, j, i), by=by)
    return Stated(
        (i, j, i),
        by=by,
        guess=f"{by} state no spacing between planes: that of the columns, {i:.6g} mm, is assumed; --spacing says it",
    )


def _by_ome(pixels: Any) -> Stated:
    if pixels is None:
        return Stated()
    lengths = []
    for axis in "ZYX":
        # Micrometres where no unit is given (OME schema 2016-06).
        unit = _unit(pixels.get(f"PhysicalSize{axis}Unit", "um"))
        number = _number(pixels.get(f"PhysicalSize{axis}", ""))
        lengths.append(None if unit is None else _length(number, unit))
    k, j, i = lengths
    return _stated(k, j, i, "the OME tags")


def _by_imagej(ifd: Ifd, fields: Mapping[str, str]) -> Stated:
    """Resolution counts pixels in the unit that the description names, whatever ResolutionUnit says.

    Of a stack ImageJ leaves out a spacing of 1, which it reads back so (FileSaver.getDescriptionString); other programs
    leave out what they do not know, so it is a guess. `yunit` and `zunit` are there where they differ from `unit`.

    But for one case, in which ImageJ converts (FileOpener.decodeDescriptionString): "um", and centimetres.
    """
    unit = _unit(fields["unit"]) or (1, 1)
    centimetres = fields["unit"].strip() == "um" and ifd.number(296, 2) == 3
    along_y, along_z = (_unit(fields.get(name, "")) or unit for name in ("yunit", "zunit"))
    columns = _per(ifd.ratio(282), (10, 1) if centimetres else unit)
    rows = _per(ifd.ratio(283), (10, 1) if centimetres else along_y)
    between, by = _number(fields.get("spacing", "")), "the ImageJ tags"
    if between or fields.get("images", "1") == "1" or rows is None or columns is None:
        return _stated(_length(between, along_z), rows, columns, by)
    one = along_z[0] / along_z[1]
    guess = f"{by} state no spacing between planes: 1 {fields.get('zunit', fields['unit'])}, as ImageJ has it then, is "
    return Stated((one, rows, columns), by=by, guess=f"{guess}assumed; --spacing says it")


def _per(resolution: float, unit: tuple[float, float]) -> float | None:
    return _length(1 / resolution, unit) if math.isfinite(resolution) and resolution > 0 else None


def _number(text: str) -> float:
    """A number, or 0."""
    try:
        return abs(float(text))
    except ValueError:
        return 0.0


def _by_resolution(ifd: Ifd) -> Stated:
    """Resolution in pixels an inch or a centimetre, unless it is one of those that mean nothing."""
    length = _RESOLUTION_UNITS.get(ifd.number(296, 2))
    across, down = ifd.ratio(282), ifd.ratio(283)
    if length is None or across <= 0 or down <= 0:
        return Stated()
    dots = [value * 25.4 / length for value in (across, down)]
    if any(abs(dot - usual) < 0.5 for dot in dots for usual in _DEFAULTS) or min(across, down) <= 1:
        return Stated()
    return _stated(None, _per(down, (length, 1)), _per(across, (length, 1)), "the TIFF tags")
