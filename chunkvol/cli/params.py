"""What users type: triples in x, y, z order, lengths and bytes with units."""

from __future__ import annotations

import math
import re
from typing import Any

import click

from chunkvol.errors import InputError
from chunkvol.memory import parse_bytes

_LENGTHS = {"": 1.0, "mm": 1.0, "um": 1e-3, "µm": 1e-3, "nm": 1e-6, "cm": 10.0, "m": 1e3}

__all__ = [
    "BOUNDS",
    "BYTES",
    "FACTORS",
    "GRID_SIZE",
    "LENGTHS",
    "MARGIN",
    "POINT",
    "SIZE",
    "SLICES",
    "VOXELS",
    "WINDOW",
    "parse_length",
    "parse_signed_length",
]


def parse_length(text: str) -> float:
    """Millimetres of "12.3um", "0.05" or "5 mm"."""
    match = re.fullmatch(r"\s*([-+0-9.eE]+|nan|inf)\s*([a-zµ]*)\s*", text)
    if not match or match[2] not in _LENGTHS:
        raise ValueError(f"{text!r} is not a length; write it as 0.05, 0.05mm or 50um")
    value = float(match[1]) * _LENGTHS[match[2]]
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"a length must be finite and above 0, found {text!r}")
    return value


class _Triple(click.ParamType):  # type: ignore[type-arg]  # generic only in newer releases of click
    """One value for all axes, or three in x, y, z order; given on in array order (k, j, i)."""

    def __init__(self, name: str, one: Any) -> None:
        self.name = name
        self._one = one

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        parts = value.split(",")
        if len(parts) not in (1, 3):
            self.fail(f"{value!r} has {len(parts)} values; give one, or three as x,y,z", param, ctx)
        try:
            numbers = [self._one(part) for part in parts]
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return tuple(numbers * 3 if len(parts) == 1 else numbers[::-1])


def _factor(text: str) -> int:
    if not re.fullmatch(r"\s*\d+\s*", text) or int(text) < 1:
        raise ValueError(f"a factor must be a whole number of at least 1, found {text!r}")
    return int(text)


def _count(text: str) -> int:
    if not re.fullmatch(r"\s*\d+\s*", text) or int(text) < 1:
        raise ValueError(f"a size must be a whole number of at least 1, found {text!r}")
    return int(text)


def _percent(text: str) -> float:
    match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*%\s*", text)
    if not match or not float(match[1]) > 0:
        raise ValueError(f"a share must be above 0 %, such as 50%, found {text!r}")
    return float(match[1])


class _GridSize(click.ParamType):  # type: ignore[type-arg]  # generic only in newer releases of click
    """Voxels or percent of them, by the name of the keyword that takes them."""

    name = "N|X,Y,Z|P%"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        if "%" in value:
            return {"percent": _Triple(self.name, _percent).convert(value, param, ctx)}
        return {"size": SIZE.convert(value, param, ctx)}


class _Bytes(click.ParamType):  # type: ignore[type-arg]  # as above
    name = "BYTES"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return parse_bytes(value)
        except InputError as error:
            self.fail(str(error), param, ctx)


class _Point(click.ParamType):  # type: ignore[type-arg]  # as above
    name = "X,Y,Z"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            x, y, z = (parse_signed_length(part) for part in value.split(","))
        except ValueError as error:
            self.fail(f"{value!r} is no point; write it as 1.5,-20,300 in mm (LPS): {error}", param, ctx)
        return x, y, z


class _Window(click.ParamType):  # type: ignore[type-arg]  # as above
    name = "LO,HI|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str) or value.lower() == "auto":  # click shows it in capitals
            return value.lower() if isinstance(value, str) else value
        try:
            low, high = (float(part) for part in value.split(","))
        except ValueError:
            low = high = math.nan
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            self.fail(f"{value!r} is no window; write LO,HI with LO below HI, such as -1000,2000, or auto", param, ctx)
        return low, high


class _Slices(click.ParamType):  # type: ignore[type-arg]  # as above
    name = "A:B[:STEP]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        if not re.fullmatch(r"\d*:\d*(:[1-9]\d*)?", value):
            self.fail(f"{value!r} is no range; write A:B or A:B:STEP, such as 100:500 or ::2", param, ctx)
        return slice(*(int(part) if part else None for part in value.split(":")))


class _Bounds(click.ParamType):  # type: ignore[type-arg]  # as above
    """Ends of the box along x, y, z, as its smallest and its largest point; an end that is left out is infinite."""

    name = "LO:HI,LO:HI,LO:HI"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        parts = [part.split(":") for part in value.split(",")]
        if len(parts) != 3 or any(len(part) != 2 for part in parts):
            self.fail(f"{value!r} are no bounds; write LO:HI for x, y and z, such as -10:20,0:35.5,:5mm", param, ctx)
        try:
            ends = [(_end(low, -math.inf), _end(high, math.inf)) for low, high in parts]
        except ValueError as error:
            self.fail(f"{value!r} are no bounds in mm (LPS): {error}", param, ctx)
        for name, (low, high) in zip("xyz", ends, strict=True):
            if low > high:
                self.fail(
                    f"{value!r}: along {name} the bounds go from {low:g} to {high:g}; turn them round", param, ctx
                )
        return tuple(low for low, _ in ends), tuple(high for _, high in ends)


def _end(text: str, missing: float) -> float:
    return parse_signed_length(text) if text.strip() else missing


class _Voxels(click.ParamType):  # type: ignore[type-arg]  # as above
    """Ranges of voxels along x, y, z; given on as slices in array order (k, j, i)."""

    name = "A:B,A:B,A:B"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        parts = [re.fullmatch(r"\s*([-+]?\d+)?\s*:\s*([-+]?\d+)?\s*", part) for part in value.split(",")]
        if len(parts) != 3 or not all(parts):
            self.fail(f"{value!r} are no voxels; write A:B for x, y and z, such as 10:200,:-5,: (: is all)", param, ctx)
        ends = [(match[1], match[2]) for match in parts if match]
        return tuple(slice(*(None if end is None else int(end) for end in pair)) for pair in reversed(ends))


class _Margin(click.ParamType):  # type: ignore[type-arg]  # as above
    name = "LENGTH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            length = parse_signed_length(value)
        except ValueError:
            length = math.nan
        if not length >= 0:
            self.fail(f"{value!r} is no length of at least 0; write it as 0, 2mm or 500um", param, ctx)
        return length


def parse_signed_length(text: str) -> float:
    """Millimetres of "-12.3um", "0" or "5 mm": of a place, which may lie on either side of 0."""
    text = text.strip()
    zero = re.fullmatch(r"[-+]?(0+\.?0*|\.0+)\s*([a-zµ]*)", text)
    if zero and zero[2] in _LENGTHS:
        return 0.0
    sign = -1.0 if text.startswith("-") else 1.0
    if re.fullmatch(r"[-+]?(nan|inf)\s*[a-zµ]*", text):
        raise ValueError(f"a place is a finite number, found {text!r}")
    return sign * parse_length(text.lstrip("+-"))


BOUNDS = _Bounds()
FACTORS = _Triple("N|X,Y,Z", _factor)
SIZE = _Triple("N|X,Y,Z", _count)
LENGTHS = _Triple("LENGTH|X,Y,Z", parse_length)
BYTES = _Bytes()
GRID_SIZE = _GridSize()
MARGIN = _Margin()
POINT = _Point()
SLICES = _Slices()
VOXELS = _Voxels()
WINDOW = _Window()
