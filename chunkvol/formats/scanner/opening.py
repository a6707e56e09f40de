"""A volume from a scanner's file: the raw file that it describes, or the slices beside it."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.errors import DamagedError, FormatError, GeometryError, InputError
from chunkvol.formats.place import Place, Stated
from chunkvol.formats.scanner.facts import (
    SUFFIXES,
    ScanFacts,
    are_projections,
    check_facts,
    facts_beside,
    names_of,
    read_facts,
)
from chunkvol.formats.stack import is_stack, open_stack
from chunkvol.formats.stack.frames import check_frame, framed
from chunkvol.metadata import Metadata
from chunkvol.progress import Progress
from chunkvol.rawfiles import data_sizes, fingerprint
from chunkvol.regions import Shape, voxels
from chunkvol.sources import RawSource
from chunkvol.volume import Volume

_RAW = ".vol"
_BY_SIZE = {1: "u1", 2: "<u2", 4: "<f4"}
"""What scanners' programs write, by bytes a voxel."""
_IMAGES = frozenset({".tif", ".tiff", ".png", ".bmp", ".jpg", ".jpeg"})

__all__ = ["is_scanner_file", "open_scanner_file"]


def is_scanner_file(path: Path) -> bool:
    """True for a scanner's file of a known vendor, for a raw `.vol` that has one beside it, and for their folder.

    A folder whose slices belong to the text is a stack.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        return _is_scanner_folder(path)
    if not path.is_file():
        return False
    try:
        if suffix == _RAW:
            return bool(_headers(path))
        return suffix in SUFFIXES and read_facts(path) is not None
    except FormatError:
        return True  # of a vendor, and broken: opening says how


def open_scanner_file(
    path: Path,
    progress: Progress,
    *,
    pattern: str | None = None,
    slices: slice | None = None,
    reverse: bool = False,
    frame: str = "",
    trust_paths: bool = False,
    **place: Any,
) -> Volume:
    """A lazy volume of what a scanner's file describes: `_rec.log`, `.pcr`, `.xtekct`, `.vgi`, or a `.vol` beside one.

    Stored values, not those of the attenuation: the range that would make them so is in the metadata's record. Slices
    and raw files have no place in the world: the first voxel is at 0 and axes i, j, k grow along L, P, S unless the
    caller says more.

    Parameters
    ----------
    path
        The file; or a folder with one raw file that a text describes.
    progress
        Told about the slices.
    pattern, slices, reverse
        Which files beside it are slices, and in which order; not for one raw file.
    frame
        The frame of another program: `frames.FRAMES`.
    trust_paths
        Follow the path of the raw file that the text names.
    place
        `spacing`, `origin`, `orientation`, `geometry`: what the caller says of the grid.

    Raises
    ------
    FormatError
        The text is not understood.
    DamagedError
        The raw file is not as long as the text says.
    GeometryError
        There are other slices than the text says.
    """
    said = Place(**place)
    check_frame(frame, said)
    if path.is_dir():
        path = _raw_file_of(path)
    facts = _facts_of(path, trust_paths=trust_paths)
    if facts.volume is not None and (facts.volume.is_file() or not _images(path.parent)):
        if pattern is not None or slices is not None or reverse:
            raise InputError(
                f"{facts.volume.name} is one raw file: --pattern, --slices and --reverse choose among files of slices; "
                "crop takes a part of it"
            )
        return _raw_volume(facts, facts.volume, said, frame, trust_paths=trust_paths)
    folder = path.parent
    if pattern is None:
        pattern = _pattern(facts, _images(folder), checked=said.spacing is None and said.geometry is None)
    return open_stack(
        folder, progress, pattern=pattern, slices=slices, reverse=reverse, frame=frame, facts=facts, **place
    )


# -------------------------------------------------------------------------------------------------- which header


def _facts_of(path: Path, *, trust_paths: bool) -> ScanFacts:
    if path.suffix.lower() == _RAW:
        return replace(_one_header(path), volume=path)
    facts = read_facts(path, trust_paths=trust_paths)
    if facts is None:
        raise FormatError(f"{path} is no file of SkyScan, Nikon, GE phoenix or VGStudio")
    # Some logs of SkyScan tell the spacing of slices and not how many there are.
    if facts.count is None and (facts.spacing is None or facts.volume is not None):
        why = facts.problems[0] if facts.problems else f"{path.name} says nothing of a volume"
        raise FormatError(f"{path}: {why}; name the folder of slices and give --spacing")
    return facts


def _is_scanner_folder(folder: Path) -> bool:
    try:
        facts = _texts_of_volumes(folder)
        if not facts:
            return False
        images = _images(folder)
        if not _raw_files(facts):
            return not images and bool(_folders_of_slices(folder))
        belonging = facts_beside(folder, images) if images else None
        return belonging is None or belonging.count is None
    except (FormatError, InputError):
        return True  # opening says how


def _texts_of_volumes(folder: Path) -> list[ScanFacts]:
    """What the texts of a folder say that may speak of a raw file."""
    texts = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES[1:])
    return [facts for text in texts if (facts := read_facts(text)) is not None and facts.count is not None]


def _raw_files(found: Sequence[ScanFacts]) -> list[Path]:
    return sorted({facts.volume for facts in found if facts.volume is not None and facts.volume.is_file()})


def _folders_of_slices(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if is_stack(path))


def _raw_file_of(folder: Path) -> Path:
    """The raw file of a folder, which its texts name."""
    found = _texts_of_volumes(folder)
    volumes = _raw_files(found)
    if len(volumes) > 1:
        raise InputError(f"{folder} holds {len(volumes)} raw volumes: name one, such as {volumes[0].name}")
    if not volumes:
        raise _no_slices(found[0].path)
    return volumes[0]


def _no_slices(text: Path) -> InputError:
    inner = _folders_of_slices(text.parent)
    where = f"name their folder, as {text.parent / inner[0]}" if inner else "name their folder, or put the text there"
    return InputError(f"{text} has no slices beside it: {where}")


def _headers(path: Path) -> list[ScanFacts]:
    """What texts beside a raw file say of it, those of its own name first."""
    texts = [text for text in path.parent.iterdir() if text.suffix.lower() in SUFFIXES[1:]]
    texts.sort(key=lambda text: (text.stem != path.stem, SUFFIXES.index(text.suffix.lower()), text.name))
    found = [facts for text in texts if (facts := read_facts(text)) is not None]
    return [facts for facts in found if facts.volume is not None and facts.volume.name == path.name]


def _one_header(path: Path) -> ScanFacts:
    found = _headers(path)
    if not found:
        raise FormatError(f"{path} has no .pcr, .xtekct or .vgi beside it that says how large it is")
    sizes = {(facts.count, facts.rows, facts.columns) for facts in found}
    if len(sizes) > 1:
        names = " and ".join(facts.path.name for facts in found)
        raise InputError(f"{names} say different sizes of {path.name}: name the one that is right")
    return found[0]


# ---------------------------------------------------------------------------------------------------- one raw file


def _raw_volume(facts: ScanFacts, volume: Path, place: Place, frame: str, *, trust_paths: bool) -> Volume:
    shape = _shape(facts)
    folder = facts.path.parent
    name = volume.name if volume.parent == folder else str(volume)
    sizes = data_sizes(facts.path, [name], trust_paths=trust_paths)
    stored, problems = _checked_type(facts, volume, int(sizes[0]), shape)
    placing = place.placed(shape, Stated(facts.spacing, by=facts.path.name, guess=facts.guess), str(volume))
    geometry = framed(placing.geometry, frame) if frame else placing.geometry
    turned = bool(frame or place.orientation or place.geometry)
    told = (facts.handedness,) if facts.handedness and not turned else ()
    header = facts.path.read_bytes() + f"{facts.spacing} {stored} {facts.offset}".encode()
    source = RawSource(volume, shape, stored, facts.offset, fingerprint(header, folder, [name], sizes, facts.offset))
    metadata = Metadata(
        assumed=placing.assumed,
        source=source.fingerprint,
        problems=(*placing.problems, *problems, *facts.problems, *told),
        extra=facts.extra,
    )
    return Volume(source, geometry, metadata)


def _shape(facts: ScanFacts) -> Shape:
    if facts.count is None or facts.rows is None or facts.columns is None:
        raise FormatError(f"{facts.path} does not say how many voxels there are along each axis; export it again")
    return facts.count, facts.rows, facts.columns


def _checked_type(facts: ScanFacts, volume: Path, size: int, shape: Shape) -> tuple[np.dtype[Any], list[str]]:
    """The type of the voxels, the size of the file checked against it before anything is allocated."""
    found, number = max(0, size - facts.offset), voxels(shape)
    sizes = _BY_SIZE if facts.stored is None else {facts.stored.itemsize: facts.stored.str}
    stored = next((np.dtype(name) for each, name in sizes.items() if found == each * number), None)
    if stored is None:
        wanted = " or ".join(f"{number * each} ({np.dtype(name).name})" for each, name in sizes.items())
        raise DamagedError(
            f"{volume} holds {found} bytes of voxels where {facts.path.name} promises {wanted}, for "
            f"{' x '.join(map(str, shape[::-1]))} voxels (x, y, z): the file is not whole, or the text is of another "
            "volume; copy or export it again"
        )
    if facts.stored is not None:
        return stored, []
    return stored, [f"no text says the type of {volume.name}'s voxels: by its size they are taken to be {stored.name}"]


# ------------------------------------------------------------------------------------------------------- its slices


def _images(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix.lower() in _IMAGES)


def _pattern(facts: ScanFacts, names: list[str], *, checked: bool) -> str | None:
    """Which images are its slices: those of its prefix and a number, where there are such beside others.

    Their number is compared here, where `checked`, since stacks do not count what a pattern chose.
    """
    if not names:
        raise _no_slices(facts.path)
    if are_projections(facts, names):
        raise GeometryError(
            f"the {len(names)} images beside {facts.path} are the projections of its scan, not slices: name the folder "
            "of slices"
        )
    own = names_of(facts.prefix, names)
    if not own or len(own) == len(names):
        return None
    if checked:
        check_facts(facts, count=len(own), rows=facts.rows or 0, columns=facts.columns or 0)
    separator = own[0][len(facts.prefix)]
    return glob.escape(own[0][: len(facts.prefix)]) + ("" if separator.isdigit() else separator) + "[0-9]*"
