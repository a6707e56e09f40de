"""Real values put into another type: as they are where they fit, else through a stated window; never wrapped."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.metadata import Rescale
from chunkvol.regions import Region, Shape, ceil_div, region_shape, spans, voxels
from chunkvol.segments import KEY
from chunkvol.sources import Block, PointwiseSource, Source
from chunkvol.volume import Volume, check_volume

QUANTISED = ("uint8", "int8", "uint16", "int16", "float32")
"""Types to choose from."""

_TILE = 1 << 18
_SAMPLED_PLANES = 32
_FEW_PLANES = 8
_SAMPLED_SIDE = 256
"""Rows and columns of a plane at most: 2 million voxels in all, of which 2000 lie beyond each percentile."""
_READ_BYTES = 32 << 20
"""Most bytes that a read for the sample holds, where the source can be read in so small bands."""
_PERCENTILES = (0.1, 99.9)
_ENOUGH = 1 << 20
"""Voxels of a pyramid level that are enough for percentiles."""

Window = tuple[float, float]
"""Real values that become the lowest and the highest of the type."""

__all__ = ["QUANTISED", "Window", "find_window", "quantise"]


def quantise(volume: Volume, dtype: npt.DTypeLike, window: Window | Literal["auto"] | None = None) -> Volume:
    """The volume's real values in another type.

    Without a window values stay what they are, which is refused where they may not fit. With one, `low` and `high`
    become the ends of the integer type, values between are rounded half to even, and values beyond them (and NaN, as
    `low`) are clamped. "auto" takes the percentiles 0.1 and 99.9 of a sample, which is read at once.

    Parameters
    ----------
    volume
        Read lazily, but for the sample of "auto".
    dtype
        One of `QUANTISED`, by any name that numpy has for it.
    window
        The real values (low, high) that become the ends of the type, or "auto".

    Raises
    ------
    InputError
        The type is none of `QUANTISED`, the window is none, or values may not fit the type without one.
    """
    check_volume(volume)
    real, kind = volume.values, _type(dtype)
    if window is None:
        return _converted(real, kind, volume.metadata.stored_range if real is volume else None)
    auto = isinstance(window, str) and window == "auto"
    if auto and KEY in volume.metadata.extra:
        raise InputError(
            "--window auto is for greys, and these are labels: leave it out, or give LO,HI, as 0,1 of a mask"
        )
    if kind.kind == "f":
        raise InputError(f"a window needs the ends of an integer type, not {kind.name}: leave --window out")
    low, high = find_window(real) if auto else _checked(window)
    step = f"window {low:.9g},{high:.9g} to {kind.name}"
    return _made(real, _Windowed(real.source, kind, low, high), step, (low, high))


def _type(asked: npt.DTypeLike) -> np.dtype[Any]:
    """By whatever name numpy knows it."""
    try:
        kind = np.dtype(asked) if asked is not None else None
    except TypeError:
        kind = None
    if kind is None or kind.name not in QUANTISED:
        raise InputError(f"values are put into {', '.join(QUANTISED)}, not {asked!r}")
    return kind.newbyteorder("=")


def find_window(real: Volume) -> Window:
    """The percentiles 0.1 and 99.9 of a sample of the voxels, the same one each time; of NaN and infinity none.

    The sample is the coarsest level of a pyramid that is large enough, else some planes, evenly spread and thinned.

    Raises
    ------
    InputError
        There are no finite values, or only one.
    """
    levels = [level for level in real.levels if voxels(level.shape) >= _ENOUGH] or [real]
    source = levels[-1].source
    if source.staging_bytes:
        with tempfile.TemporaryDirectory(prefix="chunkvol-") as folder:
            sample = _sample(source.staged(Path(folder)))
    else:
        sample = _sample(source)
    finite = sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample
    if not finite.size:
        raise InputError("no finite value was found for --window auto; give LO,HI")
    low, high = (float(value) for value in np.percentile(finite, _PERCENTILES))
    if low == high:
        low, high = float(finite.min()), float(finite.max())
    if low == high:
        raise InputError(f"all values that were looked at for --window auto are {low:g}; give LO,HI")
    return low, high


def _sample(source: Source) -> Block:
    """Thinned planes, a band at a time; where a read decodes several planes, a plane for each of these where it may."""
    planes, rows, columns = source.shape
    count = min(_SAMPLED_PLANES, max(_FEW_PLANES, ceil_div(planes, source.grain[0])))
    which = np.unique(np.linspace(0, planes - 1, count).round().astype(int)).tolist()
    thin = ceil_div(rows, _SAMPLED_SIDE), ceil_div(columns, _SAMPLED_SIDE)
    bands = list(spans(rows, _band(source, thin[0])))
    sample = np.empty((len(which), ceil_div(rows, thin[0]), ceil_div(columns, thin[1])), source.dtype)
    for n, k in enumerate(which):
        for band in bands:
            found = source.read((slice(k, k + 1), band, slice(0, columns)))[0]
            first = band.start // thin[0]
            part = found[:: thin[0], :: thin[1]]
            sample[n, first : first + len(part)] = part
    return sample.reshape(-1)


def _band(source: Source, thin: int) -> int:
    """Rows to read at a time, a multiple of `thin`: as many as a read may hold, a grain at least."""
    rows, columns = source.shape[1:]
    least = ceil_div(min(source.grain[1], rows), thin) * thin
    band = ceil_div(rows, thin) * thin
    while band > least and _held(source, (1, min(band, rows), columns)) > _READ_BYTES:
        band = max(least, band // 2 // thin * thin)
    return band


def _held(source: Source, shape: Shape) -> int:
    return voxels(shape) * source.dtype.itemsize + source.scratch(shape)


def _checked(window: Any) -> Window:
    try:
        low, high = (float(end) for end in window)
    except (TypeError, ValueError):
        low = high = np.nan
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise InputError(f"a window must be two finite numbers, the lower first, or auto; found {window!r}")
    return low, high


def _converted(real: Volume, kind: np.dtype[Any], known: tuple[int, int] | None) -> Volume:
    """The same values in another type."""
    if real.dtype == kind:
        return real
    if kind.kind != "f":
        if real.dtype.kind == "f":
            raise InputError(f"{real.dtype.name} values are no {kind.name}: --window LO,HI says which become its ends")
        there, room = np.iinfo(real.dtype), np.iinfo(kind)
        low, high = known or (int(there.min), int(there.max))
        if low < room.min or high > room.max:
            raise InputError(
                f"values may lie between {low} and {high}, {kind.name} holds {room.min} to {room.max}: "
                "--window LO,HI says which become its ends, --window auto looks"
            )
    return _made(real, _Cast(real.source, kind), f"as {kind.name}", None)


def _made(real: Volume, source: Source, step: str, window: Window | None) -> Volume:
    extra = real.metadata.extra
    if window is not None:
        # The labels that segments speak of are no longer there.
        extra = {key: value for key, value in extra.items() if key != KEY} | {"window": list(window)}
    unit = real.metadata.rescale.unit if window is None else ""
    metadata = replace(real.metadata, rescale=Rescale(unit=unit), stored_range=None, extra=extra).with_step(step)
    return Volume(source, real.geometry, metadata)


@dataclass(frozen=True)
class _Cast(PointwiseSource):
    """Values that are known to fit another type."""

    source: Source
    """The values."""
    dtype: np.dtype[Any]
    """The other type."""

    def scratch(self, shape: Shape) -> int:
        return self.source.scratch(shape) + voxels(shape) * self.source.dtype.itemsize + (1 << 20)

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        values = self.source.read(region)
        if self.dtype.kind in "iu" and values.size:
            bounds = np.iinfo(self.dtype)
            if int(values.min()) < bounds.min or int(values.max()) > bounds.max:
                raise InputError(
                    f"values from {values.min()} to {values.max()} do not fit {self.dtype.name}, although the input "
                    "says that they lie closer together: give --window LO,HI"
                )
        np.copyto(block, values, casting="unsafe")
        return block


@dataclass(frozen=True)
class _Windowed(PointwiseSource):
    """Values of a window spread over an integer type."""

    source: Source
    """The values."""
    dtype: np.dtype[Any]
    """The integer type."""
    low: float
    """What becomes its lowest value."""
    high: float
    """What becomes its highest value."""

    def scratch(self, shape: Shape) -> int:
        values = voxels(shape) * self.source.dtype.itemsize
        return self.source.scratch(shape) + values + 2 * 8 * min(_TILE, voxels(shape)) + (1 << 20)

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        values = self.source.read(region).reshape(-1)
        target = block if block.flags.c_contiguous else np.empty(block.shape, self.dtype)
        flat = target.reshape(-1)
        for start in range(0, values.size, _TILE):
            flat[start : start + _TILE] = self._spread(values[start : start + _TILE])
        if target is not block:
            np.copyto(block, target)
        return block

    def _spread(self, values: Block) -> npt.NDArray[np.float64]:
        """Whole numbers within the type; the ends of the window are met exactly."""
        bounds = np.iinfo(self.dtype)
        part = values.astype(np.float64)
        np.copyto(part, self.low, where=np.isnan(part))
        np.clip(part, self.low, self.high, out=part)
        part -= self.low
        part /= self.high - self.low
        part *= float(bounds.max) - float(bounds.min)
        np.rint(part, out=part)
        part += float(bounds.min)
        return part
