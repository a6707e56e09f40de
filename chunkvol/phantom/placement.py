"""Where a phantom lies, in the decimal strings of DICOM: what is written is what is true."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from chunkvol.errors import GeometryError
from chunkvol.geometry import Geometry

__all__ = ["Placement", "decimal_string", "placed"]

_ORIGIN = (-12.5, 7.25, 31.75)
"""World point of the first voxel, mm; not symmetric, so that a swapped sign or axis shows."""
_LONGEST = 16
"""Characters of a decimal string (PS3.5 6.2, DS)."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The strings that place every slice of a series.

    Positions are whole numbers of 10^-digits mm, so that neighbours are exactly one step apart also after they were
    cut to 16 characters.
    """

    size: tuple[int, int, int]
    """Voxels along x, y, z."""
    row: tuple[str, str, str]
    """Direction cosines of increasing column index."""
    column: tuple[str, str, str]
    """Direction cosines of increasing row index."""
    spacing: tuple[str, str, str]
    """Distance between neighbours along x, y, z, mm."""
    first: tuple[int, int, int]
    """World point of the first voxel, in units of 10^-digits mm."""
    step: tuple[int, int, int]
    """From one slice to the next, in units of 10^-digits mm."""
    digits: tuple[int, int, int]
    """Decimals of each world coordinate."""

    def position(self, k: int) -> str:
        """ImagePositionPatient of slice k."""
        axes = zip(self.first, self.step, self.digits, strict=True)
        return "\\".join(_fixed_point(first + k * step, digits) for first, step, digits in axes)

    @property
    def orientation(self) -> str:
        """ImageOrientationPatient: row cosines, then column cosines."""
        return "\\".join(self.row + self.column)

    @property
    def geometry(self) -> Geometry:
        """The grid that a reader of these strings finds."""
        x, y, _ = map(float, self.spacing)
        origin = [float(text) for text in self.position(0).split("\\")]
        step = [float(Decimal(s).scaleb(-d)) for s, d in zip(self.step, self.digits, strict=True)]
        along_i, along_j = np.array(self.row, dtype=float) * x, np.array(self.column, dtype=float) * y
        return Geometry.from_steps(self.size[::-1], origin, [step, along_j.tolist(), along_i.tolist()])


def placed(size: tuple[int, int, int], spacing: tuple[float, float, float], angles: tuple[float, float]) -> Placement:
    """The placement of a grid (x, y, z) turned by `angles` degrees about x, and before that about z."""
    rotation = _rotation(*angles)
    steps = [float(v) for v in rotation[:, 2] * spacing[2]]
    digits = tuple(_digits(o, o + (size[2] - 1) * s) for o, s in zip(_ORIGIN, steps, strict=True))
    units = tuple(_units(s, d) for s, d in zip(steps, digits, strict=True))
    if not any(units):
        raise GeometryError(f"a spacing of {spacing[2]} mm along z vanishes in the {_LONGEST} characters of a position")
    return Placement(
        size,
        tuple(decimal_string(v) for v in rotation[:, 0]),  # type: ignore[arg-type]  # three rows
        tuple(decimal_string(v) for v in rotation[:, 1]),  # type: ignore[arg-type]  # three rows
        tuple(decimal_string(v) for v in spacing),  # type: ignore[arg-type]  # three axes
        tuple(_units(o, d) for o, d in zip(_ORIGIN, digits, strict=True)),  # type: ignore[arg-type]  # three axes
        units,  # type: ignore[arg-type]  # three axes
        digits,  # type: ignore[arg-type]  # three axes
    )


def decimal_string(value: float) -> str:
    """The decimal string of at most 16 characters nearest to `value`, and of those the shortest."""
    exact = float(value) + 0.0  # no minus zero
    texts = (f"{exact:.{precision}g}" for precision in range(1, 18))
    return min((t for t in texts if len(t) <= _LONGEST), key=lambda t: (abs(float(t) - exact), len(t)))


def _rotation(about_x: float, about_z: float) -> npt.NDArray[np.float64]:
    """Columns are the world directions of x, y and z."""
    a, b = math.radians(about_x), math.radians(about_z)
    x = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    z = np.array([[math.cos(b), -math.sin(b), 0], [math.sin(b), math.cos(b), 0], [0, 0, 1]])
    # Fifteen decimals hide the last bit, in which the sines of two machines may differ.
    return np.asarray(np.round(x @ z, 15) + 0.0)


def _digits(first: float, last: float) -> int:
    """Decimals that fit 16 characters for every value from `first` to `last`."""
    whole = len(str(int(max(abs(first), abs(last)) + 1)))
    return max(0, _LONGEST - 1 - whole - (min(first, last) < 0))


def _units(value: float, digits: int) -> int:
    return int(Decimal(repr(value)).scaleb(digits).to_integral_value())


def _fixed_point(units: int, digits: int) -> str:
    whole, rest = divmod(abs(units), 10**digits)
    text = f"{whole}.{rest:0{digits}d}".rstrip("0").rstrip(".") if digits else str(whole)
    return f"-{text}" if units < 0 else text
