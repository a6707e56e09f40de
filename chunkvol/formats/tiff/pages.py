"""Writing one multi-page TIFF file: a page a plane, uncompressed, in any order."""

from __future__ import annotations

from pathlib import Path

from chunkvol.flatfile import FlatFile, FlatJob, prepare_flat
from chunkvol.formats.tiff.beside import imagej_note, notes_of, sidecar_beside
from chunkvol.formats.tiff.imagej import imagej_description
from chunkvol.formats.tiff.layout import Layout, check_type, one_strip
from chunkvol.memory import Terms
from chunkvol.volume import Volume

TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
"""What TIFF readers take; integers of 64 bits hardly any."""

__all__ = ["TYPES", "prepare_tiff"]


def prepare_tiff(volume: Volume, target: Path, terms: Terms) -> FlatJob:
    """Plan a TIFF file of real values, a page a plane, with a JSON sidecar of its whole geometry.

    Resolution tags say the spacing within planes, per centimetre, as ITK, ImageJ and Bio-Formats read it. No tag of
    TIFF says how far planes are apart: the description does, in ImageJ's words and in micrometres, the one unit to
    which ImageJ converts resolutions per centimetre, and the one that Bio-Formats takes such a number for. ImageJ
    opens the classic form; files beyond 4 GiB are BigTIFF, which Fiji's Bio-Formats opens.

    Parameters
    ----------
    volume
        What is written; a slope is applied, since TIFF has no field for it.
    target
        The file's final place.
    terms
        How the job is to be run.

    Raises
    ------
    InputError
        The type has no place in TIFF.
    BudgetError
        Even the smallest block does not fit; the message names the smallest budget that would do.
    """
    real = volume.values
    check_type(real.dtype, TYPES, "TIFF")
    planes, spacing = real.shape[0], real.geometry.spacing
    text = imagej_description(planes, spacing[0], "um")
    layout = Layout(planes, planes, (one_strip(real.shape[1:], real.dtype),), real.dtype, spacing[1:], text).fitted()
    file = FlatFile((target.name,), b"", begin=layout.begin, extras=sidecar_beside(real, f"{target.name}.json"))
    notes = [*notes_of(volume, real, "TIFF"), *imagej_note(real)]
    if layout.big:
        notes.append("the file is BigTIFF, as all beyond 4 GiB: Fiji opens it by Plugins > Bio-Formats")
    return prepare_flat(real, file, terms=terms, notes=notes)
