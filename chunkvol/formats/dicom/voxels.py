"""What the voxels of a stack are worth: slopes, inversion, padding, and planes that no file holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import FormatError, InputError
from chunkvol.formats.dicom.headers.header import Header
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.pixels.layout import PixelLayout
from chunkvol.formats.dicom.pixels.planes import DicomPlanes
from chunkvol.formats.dicom.stacks.stack import Stack
from chunkvol.kernels import split_offset
from chunkvol.metadata import Rescale
from chunkvol.ops.planes import BlendedPlanes, ShiftedPlanes
from chunkvol.sources import Source
from chunkvol.values import InvertedSource, PlaneRescaledSource

_AIR = -1024.0
"""What CT shows outside of what was scanned, HU."""
_PADDING_BITS = 16
"""Of a padding value (VR US or SS)."""

Table = list[tuple[float, float]]
"""Slope and intercept of each plane."""

__all__ = ["Voxels", "voxels_of"]


@dataclass(frozen=True, slots=True)
class Voxels:
    """The voxels of a stack and what they mean."""

    source: Source
    """The voxels."""
    rescale: Rescale
    """From them to real values."""
    stored_range: tuple[int, int] | None = None
    """Ends of what the file's bits can hold; None where they fill the type, or where voxels are real values."""
    problems: tuple[str, ...] = ()
    """What a user should know."""
    history: tuple[str, ...] = ()
    """Decisions that determined the values, for the record."""
    record: dict[str, Any] = field(default_factory=dict)
    """Facts worth keeping, JSON values."""


def voxels_of(planes: DicomPlanes, stack: Stack, options: ReadOptions) -> Voxels:
    """The voxels that a stack's planes make, as the caller decided.

    Raises
    ------
    InputError
        When an option does not suit the pixels.
    FormatError
        When some planes state no slope where others do, and slopes differ.
    """
    stored = _as_asked(planes, stack.images[0], options)
    voxels = _with_slopes(stored, stack.images, options)
    return _completed(voxels, stack, options)


def _as_asked(planes: DicomPlanes, image: Header, options: ReadOptions) -> Voxels:
    """Stored values, turned where that was asked for."""
    padding, problems = _padding(image, planes.layout)
    bounds = planes.layout.stored_range
    if not options.invert:
        return Voxels(planes, Rescale(), bounds, problems, record={"padding": padding})
    if image.photometric != "MONOCHROME1" or planes.dtype.kind == "f":
        raise InputError(
            f"--invert turns MONOCHROME1 of integer type; {image.path} is {image.photometric or 'not labelled'} "
            f"of {planes.dtype.name}: leave it out"
        )
    low, high = _ends(planes.dtype, bounds)
    turned = [low + high - value for value in padding[::-1]]
    source = InvertedSource(planes, low, high)
    return Voxels(source, Rescale(), bounds, problems, ("invert",), {"padding": turned})


def _padding(image: Header, layout: PixelLayout) -> tuple[list[int], tuple[str, ...]]:
    """The ends of the stored values that stand for no measurement, empty where the file names none; and problems."""
    if image.padding is None:
        return [], ()
    stated = image.padding, image.padding if image.padding_limit is None else image.padding_limit
    if layout.dtype.kind == "f":
        return sorted(stated), ()
    found = [_as_stored(value, layout) for value in stated]
    least = -(1 << layout.bits - 1) if layout.dtype.kind == "i" else 0
    wide = [value for value in stated if not least <= value < 1 << layout.bits]
    if layout.bits >= _PADDING_BITS or not wide:
        return sorted(found), ()
    problem = (
        f"the padding value {wide[0]} has more than the {layout.bits} bits of a pixel; it is taken to be "
        f"{_as_stored(wide[0], layout)}, as pixels that hold it are read"
    )
    return sorted(found), (problem,)


def _as_stored(value: int, layout: PixelLayout) -> int:
    """A padding value as the pixels that hold it are read: writers disagree about its sign (PS3.3 C.7.5.1.1.2)."""
    kind = layout.dtype
    low, high = layout.stored_range or _ends(kind, None)
    if low <= value <= high:
        return value
    value &= (1 << layout.bits) - 1
    return value - (1 << layout.bits) if value > high else value


def _with_slopes(voxels: Voxels, images: Sequence[Header], options: ReadOptions) -> Voxels:
    """One slope stays beside the stored values; slopes that change from plane to plane make real ones."""
    table = [(1.0 if image.slope is None else image.slope, image.intercept or 0.0) for image in images]
    unit, problems = _unit(images)
    if len(set(table)) == 1:
        slope, intercept = table[0]
        return replace(voxels, rescale=Rescale(slope, intercept, unit), problems=(*voxels.problems, *problems))
    _check_stated(images)
    if options.invert:
        raise InputError(
            f"--invert turns stored values, and the slope of {images[0].path} is not that of all planes: equal real "
            "values would become different ones; leave it out"
        )
    slopes, intercepts = np.array(table).T
    dtype = np.dtype("float32" if options.float32 else "float64")
    if dtype == np.float32:
        _check_single(slopes, table, voxels, images[0])
    what, numbers = ("slope", slopes) if slopes.min() < slopes.max() else ("intercept", intercepts)
    note = (
        f"the {what} changes from plane to plane ({numbers.min():g} to {numbers.max():g}): "
        f"voxels are real values, {dtype.name}"
    )
    return Voxels(
        PlaneRescaledSource(voxels.source, slopes, intercepts, dtype),
        Rescale(unit=unit),
        None,
        (*voxels.problems, *problems, note),
        (*voxels.history, f"real values {dtype.name}"),
        {"slopes": [list(pair) for pair in table]},
    )


def _check_stated(images: Sequence[Header]) -> None:
    """Where slopes differ, no plane may leave its own out: its real values would be guessed."""
    for name, fact in (("RescaleSlope", "slope"), ("RescaleIntercept", "intercept")):
        without = [image for image in images if getattr(image, fact) is None]
        if 0 < len(without) < len(images):
            raise FormatError(
                f"{without[0].path} has no {name}, which other planes have and which are not all the same: its real "
                "values are not known; export it again"
            )


def _check_single(slopes: npt.NDArray[np.float64], table: Table, voxels: Voxels, image: Header) -> None:
    single, largest = np.finfo(np.float32), _largest(table, voxels)
    if largest > float(single.max) or float(np.abs(slopes).min()) < float(single.tiny):
        raise InputError(
            f"--float32 does not hold the real values of {image.path} and its series: slopes of "
            f"{slopes.min():g} to {slopes.max():g}, values up to {largest:g}; leave it out"
        )


def _largest(table: Table, voxels: Voxels) -> float:
    """The largest real value that integers can stand for; 0 where the voxels are floating point."""
    kind = voxels.source.dtype
    if kind.kind == "f":
        return 0.0
    ends = _ends(kind, voxels.stored_range)
    return max(abs(slope * value + intercept) for slope, intercept in set(table) for value in ends)


def _unit(images: Sequence[Header]) -> tuple[str, tuple[str, ...]]:
    """The unit of real values, empty where it is not known; and problems."""
    stated = sorted({image.rescale_type for image in images})
    if len(stated) > 1:
        texts = " and ".join(text or "nothing" for text in stated)
        return "", (f"RescaleType is {texts} in planes of one series: the unit of real values is left open",)
    image = images[0]
    unit = image.rescale_type or ("HU" if image.modality == "CT" and image.slope is not None else "")
    return "" if unit == "US" else unit, ()  # PS3.3 C.11.1.1.2: unspecified


def _completed(voxels: Voxels, stack: Stack, options: ReadOptions) -> Voxels:
    """With the planes and pixels that no file holds."""
    source, steps, problems = voxels.source, voxels.history, voxels.problems
    if stack.blend is None and stack.shift is None:
        return voxels
    fill = _fill(voxels, stack.images[0], options)
    if stack.blend is not None:
        source = BlendedPlanes(source, stack.blend, fill)
    if stack.shift is not None:
        source = ShiftedPlanes(source, stack.shift, fill)
        steps = (*steps, f"outside {fill:.17g}")
    padding = voxels.record.get("padding")
    if padding and _mixes(stack):
        said = " to ".join(dict.fromkeys(map(str, padding)))
        problems = (*problems, f"padding ({said}) is interpolated as any value: voxels beside it are mixtures")
    return replace(voxels, source=source, problems=problems, history=steps)


def _mixes(stack: Stack) -> bool:
    """Whether any voxel is made of several."""
    blended = stack.blend is not None and bool(stack.blend.mixed.any())
    moved = stack.shift is not None and any(split_offset(offset)[1] for offset in stack.shift.offsets.ravel().tolist())
    return blended or moved


def _fill(voxels: Voxels, image: Header, options: ReadOptions) -> float:
    """The stored value of what no file holds: as asked, else padding, else air, else what stands for 0."""
    padding = voxels.record.get("padding")
    if options.fill_value is None and padding:
        return float(padding[0])
    asked = options.fill_value
    real = asked if asked is not None else _AIR if image.modality == "CT" else 0.0
    stored = (real - voxels.rescale.intercept) / voxels.rescale.slope
    kind = voxels.source.dtype
    if kind.kind == "f":
        return stored
    low, high = _ends(kind, voxels.stored_range)
    if asked is not None and not low - 0.5 <= stored <= high + 0.5:  # nor NaN
        raise InputError(
            f"the fill value {real:g} is stored as {stored:g}, which {kind.name} from {low} to {high} does not hold; "
            "give another one"
        )
    return float(min(max(round(stored), low), high))


def _ends(kind: np.dtype[Any], bounds: tuple[int, int] | None) -> tuple[int, int]:
    limits = np.iinfo(kind)
    return bounds or (int(limits.min), int(limits.max))
