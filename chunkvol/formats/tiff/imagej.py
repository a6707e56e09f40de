"""Writing an ImageJ hyperstack: one IFD, then all voxels, and a description that says how many planes there are."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from chunkvol.errors import InputError
from chunkvol.flatfile import FlatFile, FlatJob, prepare_flat
from chunkvol.formats.tiff.beside import notes_of, sidecar_beside
from chunkvol.formats.tiff.layout import CLASSIC_BYTES, Layout, check_type, one_strip
from chunkvol.memory import Terms, format_bytes
from chunkvol.volume import Volume

TYPES = ("uint8", "uint16", "int16", "float32")
"""What ImageJ holds; it shows int16 through a calibration of its own."""

__all__ = ["TYPES", "imagej_description", "prepare_imagej"]


def prepare_imagej(volume: Volume, target: Path, terms: Terms) -> FlatJob:
    """Plan an ImageJ TIFF file of real values with axes ZYX, with a JSON sidecar of its whole geometry.

    Parameters
    ----------
    volume
        What is written; a slope is applied.
    target
        The file's final place.
    terms
        How the job is to be run.

    Raises
    ------
    InputError
        ImageJ has no such type, or the file would be larger than its offsets reach, 4 GiB.
    BudgetError
        Even the smallest block does not fit; the message names the smallest budget that would do.
    """
    real = volume.values
    check_type(real.dtype, TYPES, "ImageJ TIFF")
    planes, spacing = real.shape[0], real.geometry.spacing
    # Micrometres, because Bio-Formats takes numbers without a unit of TIFF's for them.
    text = imagej_description(planes, spacing[0], "micron")
    layout = Layout(planes, 1, (one_strip(real.shape[1:], real.dtype),), real.dtype, spacing[1:], text, "micron")
    if layout.total_bytes > CLASSIC_BYTES:
        raise InputError(
            f"an ImageJ TIFF ends at 4 GiB and {target.name} would have {format_bytes(layout.total_bytes)}: "
            "--format tiff or ome-tiff writes it as BigTIFF, or downsample it"
        )
    file = FlatFile((target.name,), b"", begin=layout.begin, extras=sidecar_beside(real, f"{target.name}.json"))
    notes = notes_of(volume, real, "ImageJ TIFF")
    return prepare_flat(real, file, terms=terms, notes=notes)


def imagej_description(planes: int, spacing: float, unit: str) -> str:
    """The ImageDescription by which ImageJ knows a stack.

    Parameters
    ----------
    planes
        Planes, which lie one after the other in the file: ImageJ asks for no further IFD.
    spacing
        Of the planes, mm.
    unit
        "micron", of the resolution tags too; "um" where they are per centimetre, which ImageJ then converts.
    """
    slices = f"slices={planes}\n" if planes > 1 else ""
    return (
        f"ImageJ=1.11a\nimages={planes}\n{slices}hyperstack=true\nmode=grayscale\n"
        f"spacing={Decimal(repr(spacing)) * 1000:f}\nunit={unit}\nloop=false\n"
    )
