"""What a volume says about its values and its provenance."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from numbers import Real
from typing import Any

from chunkvol.errors import InputError

IDENTITY = ("patient", "study_date")
"""Keys of `extra` that tell who was scanned; there only where somebody asked to keep them."""

__all__ = ["IDENTITY", "Metadata", "Rescale"]


@dataclass(frozen=True, slots=True)
class Rescale:
    """Real value = slope * stored value + intercept.

    Raises
    ------
    InputError
        One of them is not finite, or the slope is 0: then all voxels would be alike.
    """

    slope: float = 1.0
    """Real units per stored unit."""
    intercept: float = 0.0
    """Real value of stored 0."""
    unit: str = ""
    """Unit of the real values, such as HU; empty when the file does not say."""

    def __post_init__(self) -> None:
        numbers = isinstance(self.slope, Real) and isinstance(self.intercept, Real)
        if not (numbers and math.isfinite(self.slope) and math.isfinite(self.intercept) and self.slope):
            raise InputError(
                f"a slope is a finite number other than 0 and an intercept a finite one, found {self.slope!r} and "
                f"{self.intercept!r}"
            )

    @property
    def is_identity(self) -> bool:
        """True when stored values are the real ones."""
        return self.slope == 1.0 and self.intercept == 0.0


@dataclass(frozen=True, slots=True)
class Metadata:
    """Facts that travel with the voxels. No path, no time, and no patient's identity unless somebody asked for it."""

    rescale: Rescale = field(default_factory=Rescale)
    """From stored values to real ones."""
    assumed: bool = False
    """True when the geometry was not stated by the file."""
    modality: str = ""
    """DICOM modality (CT, MR ...), or empty."""
    frame_of_reference: str = ""
    """DICOM Frame of Reference UID, or empty."""
    stored_range: tuple[int, int] | None = None
    """Smallest and largest integer that the file's bits can hold, when narrower than the data type."""
    source: str = ""
    """Fingerprint of the input."""
    pyramid: str = ""
    """The method of the coarser levels: of those that are there, or of those to be made; empty when nobody said."""
    history: tuple[str, ...] = ()
    """The operations that determined the voxels, oldest first."""
    problems: tuple[str, ...] = ()
    """What a user should know about the input; shown by info, never written to outputs."""
    extra: dict[str, Any] = field(default_factory=dict, hash=False)
    """Other facts of the format (series UID, photometric interpretation ...), JSON values only."""

    def with_step(self, step: str) -> Metadata:
        """The metadata after one more operation."""
        return replace(self, history=(*self.history, step))

    def deidentified(self) -> Metadata:
        """The metadata without what `IDENTITY` names."""
        return replace(self, extra={key: value for key, value in self.extra.items() if key not in IDENTITY})

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `problems` stays behind, and `pyramid`, which the store itself says."""
        out = asdict(self)
        out.pop("problems")
        out.pop("pyramid")
        return out

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Metadata:
        """The metadata that `to_json` wrote; unknown keys are ignored."""
        stored = data.get("stored_range")
        return cls(
            rescale=Rescale(**data.get("rescale", {})),
            assumed=bool(data.get("assumed", False)),
            modality=str(data.get("modality", "")),
            frame_of_reference=str(data.get("frame_of_reference", "")),
            stored_range=None if stored is None else (int(stored[0]), int(stored[1])),
            source=str(data.get("source", "")),
            history=tuple(data.get("history", ())),
            extra=dict(data.get("extra", {})),
        )
