"""What goes with every TIFF output: the sidecar, and what is said of it."""

from __future__ import annotations

from chunkvol.flatfile import values_note
from chunkvol.formats.sidecar import sidecar_json
from chunkvol.formats.traits import Traits, losses
from chunkvol.volume import Volume

_TRAITS = Traits("sidecar", True, "float64", "none", "real values", "Fiji, Dragonfly, Avizo")

_MISREAD = {"int8": "uint8", "uint32": "int32", "float64": "nothing that it knows"}
"""What ImageJ 1.53 takes types for; Bio-Formats, which Fiji has too, reads them."""

__all__ = ["imagej_note", "notes_of", "sidecar_beside"]


def sidecar_beside(real: Volume, name: str) -> tuple[tuple[str, bytes], ...]:
    """The sidecar as a further file of this name."""
    return ((name, sidecar_json(real.geometry, real.metadata)),)


def notes_of(volume: Volume, real: Volume, noun: str) -> list[str]:
    """What the format cannot keep, a sentence each."""
    return [*values_note(volume, real, noun), *losses(_TRAITS, real.geometry, noun)]


def imagej_note(real: Volume) -> list[str]:
    """What there is to say where ImageJ misreads a type of real values."""
    if real.dtype.name not in _MISREAD:
        return []
    taken = f"{real.dtype.name} for {_MISREAD[real.dtype.name]}"
    return [f"ImageJ's own reader takes {taken}: open it by Plugins > Bio-Formats, or choose another --dtype"]
