"""Writing a NRRD file in one pass over the source: raw at offsets, or one gzip member from many workers."""

from __future__ import annotations

from pathlib import Path

from chunkvol.errors import InputError
from chunkvol.flatfile import FlatFile, FlatJob, check_encoding, prepare_flat, values_note
from chunkvol.formats.nrrd.heading import check_type, header_from_geometry
from chunkvol.memory import Terms
from chunkvol.segments import names_note
from chunkvol.volume import Volume

__all__ = ["nrrd_names", "prepare_nrrd"]


def nrrd_names(target: Path, encoding: str = "raw") -> tuple[str, ...]:
    """The names of an output: a `.nhdr` has its data beside it, and comes last."""
    if not target.name.lower().endswith(".nhdr"):
        return (target.name,)
    return target.name[:-5] + (".raw.gz" if encoding == "gzip" else ".raw"), target.name


def prepare_nrrd(
    volume: Volume,
    target: Path,
    terms: Terms,
    *,
    encoding: str = "raw",
) -> FlatJob:
    """Plan a NRRD file of real values: `.nrrd`, or `.nhdr` with `.raw` or `.raw.gz` beside it.

    Parameters
    ----------
    volume
        What is written; a slope is applied, since NRRD has no field for it.
    target
        The file's final place.
    encoding
        "raw", or "gzip" (one member, the same bytes for any workers and budget).
    terms
        How the job is to be run.

    Raises
    ------
    InputError
        The type, the encoding or the name has no place in NRRD.
    BudgetError
        Even the smallest block does not fit; the message names the smallest budget that would do.
    """
    real = volume.values
    check_type(real.dtype)
    check_encoding(encoding, "NRRD")
    names = nrrd_names(target, encoding)
    _check_name(names)
    header = header_from_geometry(
        real.geometry, real.dtype, real.metadata, encoding, names[0] if len(names) == 2 else None
    )
    file = FlatFile(names, header, "gzip" if encoding == "gzip" else "")
    notes = [*values_note(volume, real, "NRRD"), *names_note(volume.metadata.extra, "NRRD")]
    return prepare_flat(real, file, terms=terms, notes=notes)


def _check_name(names: tuple[str, ...]) -> None:
    """Teem takes a data file named with % or LIST for a pattern or a list."""
    if len(names) == 2 and ("%" in names[0] or names[0].upper().startswith("LIST") or names[0] != names[0].strip()):
        raise InputError(f"a NRRD header cannot name the data file {names[0]!r}; choose a plainer name, or .nrrd")
