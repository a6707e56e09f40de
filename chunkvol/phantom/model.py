"""What a phantom is: the few settings that determine every voxel."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from chunkvol.errors import GeometryError, InputError
from chunkvol.geometry import Geometry
from chunkvol.phantom.placement import Placement, placed

__all__ = ["DTYPES", "Grey", "Phantom", "random_words"]

_LARGEST = (65535, 65535, 99999)
"""DICOM counts rows and columns in 16 bits; file names count slices in five digits."""
_SPACINGS = (1e-6, 1000.0)
_TILTED = (17.0, 11.0)


@dataclass(frozen=True, slots=True)
class Grey:
    """How the phantom's grey levels, 0 to 8191, are stored in a data type."""

    dtype: np.dtype[Any]
    """Type of the stored values."""
    scale: float = 1.0
    """Stored units per grey level."""
    offset: float = 0.0
    """Stored value of grey level 0."""


DTYPES: dict[str, Grey] = {
    "uint8": Grey(np.dtype(np.uint8), scale=1 / 32),
    "uint16": Grey(np.dtype(np.uint16)),
    "int16": Grey(np.dtype(np.int16), offset=-1024.0),
    "uint32": Grey(np.dtype(np.uint32), scale=256.0),
    "int32": Grey(np.dtype(np.int32), scale=256.0, offset=-262144.0),
    "float32": Grey(np.dtype(np.float32), scale=1 / 1024),
}
"""The data types that a phantom can have. Scales are powers of two: no rounding but the last."""


@dataclass(frozen=True, slots=True)
class Phantom:
    """The settings of a phantom; equal settings are equal voxels."""

    size: tuple[int, int, int] = (512, 512, 512)
    """Voxels along x, y, z."""
    spacing: tuple[float, float, float] = (0.02, 0.02, 0.02)
    """Distance between neighbours along x, y, z, mm."""
    oblique: bool | float | tuple[float, float] = False
    """Turned by so many degrees about x and z; True is 17 and 11 degrees; kept as the pair of angles."""
    dtype: str = "uint16"
    """One of DTYPES."""
    seed: int = 0
    """Another seed is another specimen."""
    beads: int = 12
    """Beads asked for; fewer where they do not fit without touching."""
    noise: float = 1.0
    """Noise relative to the usual; 0 is none."""
    structure: bool = True
    """False leaves the beads alone in air."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _checked_size(self.size))
        object.__setattr__(self, "spacing", _checked_spacing(self.spacing))
        object.__setattr__(self, "oblique", _angles(self.oblique))
        object.__setattr__(self, "dtype", _checked_dtype(self.dtype))
        if not all(isinstance(n, Integral) and int(n) >= 0 for n in (self.seed, self.beads)):
            raise InputError(f"seed and beads are whole numbers of 0 or more, found {self.seed!r} and {self.beads!r}")
        if not (math.isfinite(self.noise) and 0 <= self.noise <= 4):
            raise InputError(f"noise must be a number from 0 to 4 times the usual, found {self.noise}")
        # Plain Python values have one text each, from which the UIDs are made.
        for name, kind in (("seed", int), ("beads", int), ("noise", float), ("structure", bool)):
            object.__setattr__(self, name, kind(getattr(self, name)))

    @property
    def grey(self) -> Grey:
        """How grey levels are stored."""
        return DTYPES[self.dtype]

    @property
    def frame_bytes(self) -> int:
        """Bytes of one slice's pixels."""
        return self.size[0] * self.size[1] * self.grey.dtype.itemsize

    @property
    def placement(self) -> Placement:
        """Where the slices lie, as decimal strings."""
        assert isinstance(self.oblique, tuple)  # __post_init__ made the pair
        return placed(self.size, self.spacing, self.oblique)

    @property
    def geometry(self) -> Geometry:
        """The grid, exactly as the files state it."""
        return self.placement.geometry


def random_words(seed: int, stream: int) -> Iterator[int]:
    """Endless 64-bit words of a seed; raw words, because numpy keeps only these the same from version to version."""
    generator = np.random.PCG64(np.random.SeedSequence([seed, stream]))
    while True:
        yield from np.asarray(generator.random_raw(256)).tolist()


def _checked_size(size: Sequence[float]) -> tuple[int, int, int]:
    values = tuple(size)
    wrong = len(values) != 3 or any(not math.isfinite(n) or n != int(n) for n in values)
    if wrong or any(not 1 <= n <= most for n, most in zip(values, _LARGEST, strict=True)):
        raise InputError(
            f"a phantom's size is three whole numbers x, y, z from 1 to {', '.join(map(str, _LARGEST))}, found {values}"
        )
    x, y, z = map(int, values)
    return x, y, z


def _checked_spacing(spacing: Sequence[float]) -> tuple[float, float, float]:
    values = tuple(spacing)
    least, most = _SPACINGS
    if len(values) != 3 or not all(math.isfinite(s) and least <= s <= most for s in values):
        raise GeometryError(
            f"a phantom's spacing is three numbers x, y, z from {least:g} to {most:g} mm, found {values}"
        )
    x, y, z = map(float, values)
    return x, y, z


def _angles(oblique: bool | float | Sequence[float]) -> tuple[float, float]:
    if isinstance(oblique, bool):
        return _TILTED if oblique else (0.0, 0.0)
    pair = tuple(oblique) if isinstance(oblique, Sequence) else (oblique, oblique)
    if len(pair) != 2 or not all(math.isfinite(a) and abs(a) <= 360 for a in pair):
        raise GeometryError(f"oblique is an angle, or two (about x and z), from -360 to 360 degrees, found {oblique}")
    return float(pair[0]), float(pair[1])


def _checked_dtype(dtype: Any) -> str:  # anything that numpy takes for a data type
    try:
        name = str(np.dtype(dtype).name)
    except TypeError:
        name = str(dtype)
    if name not in DTYPES:
        raise InputError(f"a phantom of type {name} cannot be made; choose {', '.join(DTYPES)}")
    return name
