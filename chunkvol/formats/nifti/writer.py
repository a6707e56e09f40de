"""Writing a NIfTI file in one pass over the source: `.nii` raw at offsets, or `.nii.gz` from many workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from chunkvol._version import __version__
from chunkvol.errors import GeometryError, InputError
from chunkvol.flatfile import FlatFile, FlatJob, prepare_flat
from chunkvol.formats.nifti.layout import DATATYPES, LAYOUTS, SINGLE
from chunkvol.formats.nifti.space import NOTICEABLE, displacement, geometry_fields, itk_refuses
from chunkvol.geometry import Geometry
from chunkvol.memory import Terms
from chunkvol.metadata import Metadata, Rescale
from chunkvol.segments import names_note
from chunkvol.volume import Volume

_LONGEST = 32767
"""Voxels along an axis that a 16-bit length can state."""
_DESCRIP = 79
"""Bytes of text in `descrip`; the 80th ends it."""
_NO_EXTENSION = bytes(4)
_TEXT = 1e-11
"""Rounding of a number to the 16 characters of DICOM: 12 digits are left of a float32 with an exponent."""

__all__ = ["header_from_geometry", "prepare_nifti"]


def prepare_nifti(
    volume: Volume,
    target: Path,
    terms: Terms,
    *,
    nifti_version: str | None = None,
) -> FlatJob:
    """Plan a NIfTI file, `.nii` or `.nii.gz` (one member, the same bytes for any workers and budget).

    Stored values are kept, with the slope and intercept in the header, where the header's precision holds those
    (but for the rounding of a DICOM decimal text); real values are written otherwise, and the plan's notes say so.

    Parameters
    ----------
    volume
        What is written.
    target
        The file's final place.
    nifti_version
        "1" or "2"; by default 1, and 2 where an axis has more than 32767 voxels.
    terms
        How the job is to be run.

    Raises
    ------
    InputError
        The type, the name, the version or an axis's length has no place in NIfTI.
    GeometryError
        The grid's numbers leave the range of single precision.
    BudgetError
        Even the smallest block does not fit; the message names the smallest budget that would do.
    """
    packed = _is_packed(target)
    version = _version(volume, nifti_version)
    kept = volume if _holds(volume.metadata.rescale, version) else volume.values
    _check_type(kept)
    header = header_from_geometry(kept.geometry, kept.dtype, kept.metadata, version)
    file = FlatFile((target.name,), b"", "gzip", header) if packed else FlatFile((target.name,), header)
    notes = [
        *_version_note(version),
        *_values_note(volume, kept, version),
        *names_note(volume.metadata.extra, "NIfTI"),
        *_grid_notes(kept.geometry, header, version),
    ]
    return prepare_flat(kept, file, terms=terms, notes=notes)


def header_from_geometry(geometry: Geometry, dtype: np.dtype[Any], metadata: Metadata, version: int = 1) -> bytes:
    """The header of a little endian volume, up to the voxels: the record and four zero bytes (no extension).

    Parameters
    ----------
    geometry, dtype, metadata
        Of the voxels as they will stand in the file; the rescale goes into `scl_slope` and `scl_inter`.
    version
        1 (single precision) or 2 (double precision).
    """
    layout = LAYOUTS[version]
    record = np.zeros((), layout)
    fields = geometry_fields(geometry) | {
        "sizeof_hdr": layout.itemsize,
        "magic": SINGLE[version],
        "dim": [3, *geometry.shape[::-1], 1, 1, 1, 1],
        "datatype": DATATYPES[dtype.name],
        "bitpix": 8 * dtype.itemsize,
        "vox_offset": layout.itemsize + len(_NO_EXTENSION),
        "scl_slope": metadata.rescale.slope,
        "scl_inter": metadata.rescale.intercept,
        "descrip": _descrip(metadata),
    }
    with np.errstate(over="ignore", under="ignore"):
        for name, value in fields.items():
            record[name] = value
    if not np.isfinite(record["srow"]).all() or not (record["pixdim"][1:4] > 0).all():
        raise GeometryError(
            f"origin {geometry.origin} and spacing {geometry.spacing[::-1]} mm leave the range of NIfTI-1's single "
            "precision; --nifti-version 2 or NRRD holds them"
        )
    return record.tobytes() + _NO_EXTENSION


def _descrip(metadata: Metadata) -> bytes:
    """Only what determined the voxels, as far as it fits: no time, no host, no path."""
    words = [f"chunkvol {__version__}", *(["geometry assumed"] if metadata.assumed else []), *metadata.history]
    text = "; ".join(words).encode("ascii", "replace")
    return text if len(text) <= _DESCRIP else text[: _DESCRIP - 3] + b"..."


# -------------------------------------------------------------------------------------------------------- choices


def _is_packed(target: Path) -> bool:
    name = target.name.lower()
    if not name.endswith((".nii", ".nii.gz")):
        raise InputError(f"NIfTI is written as .nii or .nii.gz, not {target.name}; choose one of these names")
    return name.endswith(".gz")


def _version(volume: Volume, asked: str | None) -> int:
    longest = max(volume.shape)
    if asked is None:
        return 2 if longest > _LONGEST else 1
    if str(asked) not in ("1", "2"):
        raise InputError(f"the NIfTI version must be 1 or 2, found {asked!r}")
    if str(asked) == "1" and longest > _LONGEST:
        raise InputError(f"an axis has {longest} voxels and NIfTI-1 holds {_LONGEST}; leave the version out, or say 2")
    return int(asked)


def _holds(rescale: Rescale, version: int) -> bool:
    """Whether the header keeps slope and intercept but for a decimal text's rounding; a slope of 0 would mean none."""
    kind = np.float32 if version == 1 else np.float64
    with np.errstate(over="ignore", under="ignore"):
        kept = all(
            np.isfinite(value) and abs(float(kind(value)) - value) <= _TEXT * abs(value)
            for value in (rescale.slope, rescale.intercept)
        )
    return kept and rescale.slope != 0


def _check_type(volume: Volume) -> None:
    if volume.dtype.name not in DATATYPES:
        raise InputError(
            f"NIfTI is written with integers of 8 to 64 bits, float32 and float64, not {volume.dtype.name}; "
            "convert the array first"
        )


# ---------------------------------------------------------------------------------------------------------- notes


def _version_note(version: int) -> list[str]:
    return ["NIfTI-2 is written, which ITK and Slicer do not read (nibabel does)"] if version == 2 else []


def _is_exact(rescale: Rescale) -> bool:
    return all(float(np.float32(value)) == value for value in (rescale.slope, rescale.intercept))


def _values_note(volume: Volume, kept: Volume, version: int) -> list[str]:
    scale = volume.metadata.rescale
    if kept is volume:
        if version == 2 or _is_exact(scale):
            return []
        return ["slope and intercept are put back to the single precision that their decimal text was made of"]
    shift = f"{'-' if scale.intercept < 0 else '+'} {abs(scale.intercept)!r}"
    return [
        f"this NIfTI header cannot hold the slope and intercept exactly: real values ({scale.slope!r} * stored "
        f"{shift}) are written as {kept.dtype.name}, the input holds {volume.dtype.name}"
    ]


def _grid_notes(geometry: Geometry, header: bytes, version: int) -> list[str]:
    """What becomes of the grid: axes that are not perpendicular, and rounding to single precision."""
    notes = []
    if itk_refuses(geometry):
        notes.append(
            "the axes are not perpendicular, which NIfTI's sform keeps and ITK and Slicer refuse to read; --tilt "
            "resample makes them perpendicular, and NRRD keeps them"
        )
    moved = displacement(geometry, np.frombuffer(header, LAYOUTS[version], 1)[0]["srow"])
    if moved > NOTICEABLE * min(geometry.spacing):
        notes.append(
            f"NIfTI-1 keeps the grid in single precision: corners move by up to {moved:.2g} mm "
            f"({moved / min(geometry.spacing):.2g} voxels); --nifti-version 2 or NRRD keeps it"
        )
    return notes
