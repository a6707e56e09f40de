"""What a scanner's text file says of its volume, and whether it fits the slices that are there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from chunkvol.errors import GeometryError, InputError
from chunkvol.formats.scanner.nikon import nikon_facts
from chunkvol.formats.scanner.phoenix import phoenix_facts
from chunkvol.formats.scanner.scanfacts import ScanFacts
from chunkvol.formats.scanner.skyscan import skyscan_facts
from chunkvol.formats.scanner.text import read_text
from chunkvol.formats.scanner.vgstudio import vgstudio_facts

SUFFIXES = (".log", ".pcr", ".xtekct", ".vgi")
"""Ends of the names of scanners' files."""
_ABOVE = (".pcr", ".xtekct")
"""Those that stand above the folder of their slices as well."""

__all__ = ["SUFFIXES", "ScanFacts", "are_projections", "check_facts", "facts_beside", "names_of", "read_facts"]


def read_facts(path: Path, *, trust_paths: bool = False) -> ScanFacts | None:
    """What a scanner's file says; None where it is of no vendor that is known, judged by content.

    Parameters
    ----------
    path
        A text file.
    trust_paths
        Follow the path of the raw file that it names; otherwise that is looked for in its own folder.

    Raises
    ------
    FormatError
        It is such a file, and a size, a type or a unit in it has no meaning.
    """
    text = read_text(path)
    if text is None:
        return None
    return (
        skyscan_facts(text)
        or nikon_facts(text)
        or phoenix_facts(text, trust_paths=trust_paths)
        or vgstudio_facts(text, trust_paths=trust_paths)
    )


# ------------------------------------------------------------------------------------------- which file belongs


def facts_beside(folder: Path, names: Sequence[str]) -> ScanFacts | None:
    """The one scanner file that belongs to slices of these names in this folder; None where there is none.

    A file in the folder belongs to slices that are named as it says, or are as many as it says; so does a Nikon or
    phoenix file in the folder above. A file in the folder that does not belong comes back without a size and with a
    sentence that says why.

    Parameters
    ----------
    folder
        Where the slices are.
    names
        Of all image files there, before any is chosen.

    Raises
    ------
    InputError
        Several belong and disagree.
    FormatError
        One of them is broken.
    """
    here = [facts for path in _files(folder, SUFFIXES) if (facts := read_facts(path)) is not None]
    above = [facts for path in _files(folder.parent, _ABOVE) if (facts := read_facts(path)) is not None]
    fitting = [facts for facts in (*here, *above) if _belongs(facts, names)]
    named = [facts for facts in fitting if names_of(facts.prefix, names)]
    # Equal numbers alone may be chance, less so within one folder.
    found = named or [facts for facts in fitting if facts in here] or fitting
    if not found:
        return _set_aside(here[0], names) if here else None
    _check_agreement(found)
    return found[0]


def names_of(prefix: str, names: Iterable[str]) -> list[str]:
    """The names that are the prefix, a number and a suffix; none where there is no prefix.

    NRecon leaves more images with the prefix beside its slices, as a projection named `..._rec_spr.bmp`.
    """
    if not prefix:
        return []
    wanted = re.compile(re.escape(prefix) + r"[ _-]?[0-9]+\.[^.]+", re.IGNORECASE)
    return [name for name in names if wanted.fullmatch(name)]


def are_projections(facts: ScanFacts, names: Sequence[str]) -> bool:
    """True for the names of the scan's projections, which often are images of the same size as the slices.

    Where both are named alike, as Nikon's are, their number tells.
    """
    prefix, number = facts.projections
    if not names_of(prefix, names) or len(names) == facts.count:
        return False
    alike = names_of(facts.prefix, names)
    return not alike or len(names) == number


def _files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.is_file())


def _belongs(facts: ScanFacts, names: Sequence[str]) -> bool:
    if facts.count is None or are_projections(facts, names):
        return False
    if facts.count == len(names) or names_of(facts.prefix, names):
        return True
    return not facts.prefix and facts.volume is None


def _set_aside(facts: ScanFacts, names: Sequence[str]) -> ScanFacts:
    """The facts without what they say of slices, and why."""
    if facts.count is None:
        return facts
    if are_projections(facts, names):
        why = f"these {len(names)} images are named as the projections of the scan that {facts.path.name} tells of, "
        why += "not as its slices: they are no volume"
    else:
        named = f" named {facts.prefix}..." if facts.prefix else ""
        why = f"{facts.path.name} tells of {facts.count} slices{named}, which these {len(names)} are not: it is not "
        why += "used; name it as the input where it is theirs"
    return ScanFacts(facts.path, facts.vendor, problems=(why,))


def _check_agreement(found: Sequence[ScanFacts]) -> None:
    for other in found[1:]:
        if not _agree(found[0], other):
            told = "; ".join(f"{facts.path.name} {_text(facts)}" for facts in found)
            raise InputError(
                f"{found[0].path.parent} has several scanner files that fit its slices and disagree ({told}): take "
                "away those of other scans"
            )


def _agree(one: ScanFacts, other: ScanFacts) -> bool:
    if (one.count, one.rows, one.columns) != (other.count, other.rows, other.columns):
        return False
    return one.spacing is None or other.spacing is None or np.allclose(one.spacing, other.spacing, rtol=1e-5, atol=0)


def _text(facts: ScanFacts) -> str:
    spacing = "no size" if facts.spacing is None else " x ".join(f"{s:g}" for s in facts.spacing[::-1]) + " mm"
    return f"says {facts.count} slices of {facts.columns} x {facts.rows} voxels of {spacing}"


# ------------------------------------------------------------------------------------------------ what it must fit


def check_facts(facts: ScanFacts, *, count: int, rows: int, columns: int) -> None:
    """Refuse slices whose number or size is not what the scanner's file says.

    Parameters
    ----------
    facts
        What the file says; what it does not say is not compared.
    count, rows, columns
        Of the slices that are there, before a part of them is chosen.

    Raises
    ------
    GeometryError
        They contradict each other; the message has both, and what to do.
    """
    told, found = (facts.count, facts.rows, facts.columns), (count, rows, columns)
    if all(a is None or a == b for a, b in zip(told, found, strict=True)):
        return
    turned = None not in told and sorted(n for n in told if n) == sorted(found)
    hint = "they may be cut along another axis: " if turned else "some are missing, cropped, or of another scan: "
    raise GeometryError(
        f"{facts.path} says {_size(told)} and there are {_size(found)}: {hint}"
        "--pattern or --slices say which are meant, --spacing overrules the file, or take it away"
    )


def _size(size: tuple[int | None, int | None, int | None]) -> str:
    count, rows, columns = ("?" if n is None else str(n) for n in size)
    return f"{count} slices of {columns} x {rows} pixels"
