"""Writing a MetaImage in one pass over the source: raw at offsets, or one zlib stream from many workers."""

from __future__ import annotations

import re
from pathlib import Path

from chunkvol.errors import InputError
from chunkvol.flatfile import FlatFile, FlatJob, check_encoding, prepare_flat, values_note
from chunkvol.formats.metaimage.header import SIZE_DIGITS, check_type, header_from_geometry
from chunkvol.memory import Terms
from chunkvol.segments import names_note
from chunkvol.volume import Volume

__all__ = ["metaimage_names", "prepare_metaimage"]


def metaimage_names(target: Path, encoding: str = "raw") -> tuple[str, ...]:
    """The names of an output: a `.mhd` has its data beside it, and comes last."""
    if not target.name.lower().endswith(".mhd"):
        return (target.name,)
    return target.name[:-4] + (".zraw" if encoding == "gzip" else ".raw"), target.name


def prepare_metaimage(
    volume: Volume,
    target: Path,
    terms: Terms,
    *,
    encoding: str = "raw",
) -> FlatJob:
    """Plan a MetaImage of real values: `.mha`, or `.mhd` with `.raw` or `.zraw` beside it.

    Parameters
    ----------
    volume
        What is written; a slope is applied, since MetaImage has no key for it.
    target
        The file's final place.
    encoding
        "raw", or "gzip" (MetaIO's zlib stream, the same bytes for any workers and budget).
    terms
        How the job is to be run.

    Raises
    ------
    InputError
        The type, the encoding or the name has no place in a MetaImage.
    BudgetError
        Even the smallest block does not fit; the message names the smallest budget that would do.
    """
    real = volume.values
    check_type(real.dtype)
    check_encoding(encoding, "MetaImage")
    names = metaimage_names(target, encoding)
    _check_name(names)
    header = header_from_geometry(
        real.geometry, real.dtype, real.metadata, encoding, names[0] if len(names) == 2 else "LOCAL"
    )
    packed = encoding == "gzip"
    file = FlatFile(names, header, "zlib" if packed else "", finish=_sized if packed else None)
    notes = [*values_note(volume, real, "MetaImage"), *names_note(volume.metadata.extra, "MetaImage")]
    return prepare_flat(real, file, terms=terms, notes=notes)


def _sized(header: bytes, packed: int) -> bytes:
    """The header with the length of the stream, without which MetaIO reads zeros."""
    return re.sub(rb"(CompressedDataSize = )0+", rb"\g<1>" + b"%0*d" % (SIZE_DIGITS, packed), header, count=1)


def _check_name(names: tuple[str, ...]) -> None:
    """MetaIO takes a data file named with % or LIST for a pattern or a list."""
    if len(names) == 2 and ("%" in names[0] or names[0].startswith("LIST") or names[0] != names[0].strip()):
        raise InputError(f"a MetaImage header cannot name the data file {names[0]!r}; choose a plainer name, or .mha")
