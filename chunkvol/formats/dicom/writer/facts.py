"""What all images of a series say: gathered once, from the volume and the template."""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from chunkvol._version import __version__
from chunkvol.formats.dicom.writer.coding import Coding
from chunkvol.formats.dicom.writer.elements import uid_of
from chunkvol.formats.dicom.writer.objects import Elements, Kind, acquisition, kind_of, line
from chunkvol.formats.dicom.writer.patient import Identity, identity_of
from chunkvol.formats.dicom.writer.place import Placement, placement_of
from chunkvol.volume import Volume

_UNKNOWN = "US"
"""Unspecified (PS3.3 C.11.1.1.2)."""
_MOST = 1024
"""Characters of DerivationDescription (VR ST)."""
_DIGITS = decimal.Context(prec=8, rounding=decimal.ROUND_UP)

__all__ = ["SeriesFacts", "facts_of", "told"]


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """What all images of a series say, but for how values are stored."""

    placement: Placement
    """Where the planes lie."""
    kind: Kind
    """What images they are."""
    identity: Identity
    """Whose, of which study."""
    acquisition: Elements
    """How they were acquired, as far as it is known."""
    uid: str
    """Series Instance UID."""
    unit: str
    """Rescale Type."""
    inverted: bool
    """Whether small values are shown bright."""
    steps: tuple[str, ...]
    """What determined the voxels, oldest first."""

    def rescaled(self, coding: Coding | None) -> bool:
        """Whether images state slope, intercept and unit: all of CT, and those of MR that need them."""
        return self.kind.rescaled or coding is None or not coding.plain or self.unit != _UNKNOWN

    def elements(self, coding: Coding | None, values: str) -> Elements:
        """VR and text of what is the same in all images; `values` is a sentence about them, or empty.

        `coding` is None where each image has its own: then all are unsigned.
        """
        unit: Elements = {0x00281054: ("LO", self.unit)} if self.rescaled(coding) else {}
        return {
            **unit,
            **self.acquisition,
            **self.identity.elements,
            0x00080016: ("UI", self.kind.sop_class),
            0x00080060: ("CS", self.kind.modality),
            0x00082111: ("ST", _derivation(self.steps, values)),
            0x00180050: ("DS", self.placement.thickness),
            0x00180088: ("DS", self.placement.thickness),
            0x0020000D: ("UI", self.identity.study),
            0x0020000E: ("UI", self.uid),
            0x00200011: ("IS", ""),
            0x00200037: ("DS", self.placement.orientation),
            0x00200052: ("UI", self.identity.frame_of_reference),
            0x00201040: ("LO", ""),
            0x00280002: ("US", "1"),
            0x00280004: ("CS", "MONOCHROME1" if self.inverted else "MONOCHROME2"),
            0x00280010: ("US", str(self.placement.geometry.shape[1])),
            0x00280011: ("US", str(self.placement.geometry.shape[2])),
            0x00280030: ("DS", self.placement.pixel_spacing),
            0x00280100: ("US", "16"),
            0x00280101: ("US", "16"),
            0x00280102: ("US", "15"),
            0x00280103: ("US", str(int(coding is not None and coding.signed))),
        }


def facts_of(volume: Volume, settings: Sequence[object], template: Path | None) -> tuple[SeriesFacts, list[str]]:
    """What a series of this volume says; and what there is to tell about it, a sentence each.

    Parameters
    ----------
    volume
        What is written.
    settings
        What else determines the bytes: a part of the series' UID.
    template
        See `identity_of`.

    Raises
    ------
    GeometryError, InputError
        The grid has no place in DICOM images, or the template cannot be used.
    """
    metadata, fingerprint = volume.metadata, volume.source.fingerprint
    placement = placement_of(volume.geometry)
    origin = metadata.source or fingerprint or repr(volume.geometry)
    identity = identity_of(metadata, (origin,), template)
    kind, notes = kind_of(identity.modality)
    said = identity.study, identity.frame_of_reference, repr(identity.elements)
    known = fingerprint, volume.geometry, volume.dtype.name, metadata.rescale, metadata.history
    uid = uid_of(__version__, origin, *known, *settings, *said)
    steps = (*metadata.history, *(("the geometry is assumed",) if metadata.assumed else ()))
    unit = line(metadata.rescale.unit, 16) or _UNKNOWN
    inverted = metadata.extra.get("photometric") == "MONOCHROME1" and "invert" not in metadata.history
    facts = acquisition(kind, metadata.extra)
    if "window" in metadata.extra:
        low, high = metadata.extra["window"]
        notes.append(f"values are steps of the window {low:g} to {high:g}, and not the input's real ones any more")
    if template is None and metadata.extra.get("study_uid") and not metadata.extra.get("patient"):
        notes.append(
            "the images are of the input's study and name no patient, which archives may refuse: --template INPUT or "
            "--keep-phi keeps whose they are"
        )
    if not fingerprint:
        notes.append(
            "the voxels are an array in memory, which has no fingerprint: UIDs are made of grid and settings, so that "
            "another array on this grid gets the same ones"
        )
    series = SeriesFacts(placement, kind, identity, facts, uid, unit, inverted, steps)
    return series, [*placement.notes, *notes]


def told(coding: Coding | None, error: float, dtype: str, unit: str) -> str:
    """A sentence about how values are stored; empty where they are what they were.

    `coding` is None where each plane has its own, with `error` the largest of all.
    """
    off = _DIGITS.create_decimal(Decimal(error)).normalize()
    most = f"no value is off by more than {off}{'' if unit == _UNKNOWN else f' {unit}'}"
    if coding is None:
        return f"{dtype} values are stored as 16-bit integers with a slope for each image: {most}"
    if coding.exact:
        return f"RescaleSlope and RescaleIntercept are rounded to 16 characters: {most}" if error else ""
    return f"{dtype} values are stored as 16-bit integers with slope {coding.slope}: {most}"


def _derivation(steps: Sequence[str], values: str) -> str:
    """DerivationDescription: what was done, the middle of long histories left out, and how values are stored."""
    tail = f"; {line(values, 512)}" * bool(values)
    done = line("; ".join((f"chunkvol {__version__}", *steps)), 1 << 20)
    room = _MOST - len(tail)
    if len(done) > room:
        half = (room - 5) // 2
        done = f"{done[:half]} ... {done[-half:]}"
    return done + tail
