"""What a caller may decide about a DICOM series that is not one plain regular volume."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from chunkvol.errors import InputError

Gaps = Literal["", "fill", "split"]
Uneven = Literal["", "resample", "mean"]
Duplicates = Literal["", "first", "last"]
Tilt = Literal["", "keep", "resample"]

__all__ = ["CHOICES", "ReadOptions"]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a series; where an empty text stands, what is irregular is refused."""

    series: str = ""
    """The volume to read, where a folder holds several: the start of its short id, or its Series Instance UID."""
    gaps: Gaps = ""
    """Missing planes: "fill" makes them, "split" makes a volume of each run."""
    fill_value: float | None = None
    """Real value of voxels that no file holds, which gaps "fill" and tilt "resample" make; None interpolates missing
    planes between their neighbours."""
    uneven: Uneven = ""
    """Uneven spacing: "resample" interpolates on an even grid, "mean" keeps the planes and assumes their mean step."""
    duplicates: Duplicates = ""
    """Different images at one position: the "first" or the "last" by Instance Number, then path."""
    tilt: Tilt = ""
    """A tilted gantry: "keep" its sheared grid, or "resample" to an upright one."""
    few: bool = False
    """Accept one or two planes; a file of one image that is named itself is accepted anyway."""
    spacing: tuple[float, float, float] | None = None
    """Spacing (k, j, i) in mm for images that do not state theirs."""
    float32: bool = False
    """Real values of slopes that change from plane to plane are rounded to float32."""
    invert: bool = False
    """Turn MONOCHROME1 so that large values are bright."""
    keep_phi: bool = False
    """Keep the patient's name, id, birth date and sex in the metadata."""

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            value = getattr(self, name)
            if value and value not in allowed:
                raise InputError(f"{name} is {value!r}; it can be {' or '.join(allowed)}")
        if self.fill_value is not None and self.gaps != "fill" and self.tilt != "resample":
            raise InputError(
                "--fill-value is the value of what --gaps fill and --tilt resample make: give one of them with it, or "
                "leave it out"
            )
        if self.spacing is not None and not _is_spacing(self.spacing):
            raise InputError(f"the spacing must be three numbers (k, j, i) above 0 mm, found {self.spacing!r}")

    @classmethod
    def names(cls) -> frozenset[str]:
        """The options by name."""
        return frozenset(field.name for field in fields(cls))


def _is_spacing(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 3 and all(0 < length < float("inf") for length in value)


def _allowed(kind: Any) -> tuple[str, ...]:
    return tuple(value for value in get_args(kind) if value)


CHOICES: dict[str, tuple[str, ...]] = {
    "gaps": _allowed(Gaps),
    "uneven": _allowed(Uneven),
    "duplicates": _allowed(Duplicates),
    "tilt": _allowed(Tilt),
}
"""What the options of choice can be."""
