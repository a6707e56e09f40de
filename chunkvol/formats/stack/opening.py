"""Opening a stack: its files in order, their headers compared, their place found; no pixel is read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.formats.place import Place
from chunkvol.formats.scanner.facts import ScanFacts, facts_beside, names_of
from chunkvol.formats.stack.decoding import check_decoder
from chunkvol.formats.stack.files import ImageFile, check_alike, common_layout, read_files, sniffed
from chunkvol.formats.stack.layout import Layout
from chunkvol.formats.stack.listing import Listing, few, holds_slices, listed
from chunkvol.formats.stack.placing import Request, placed_stack
from chunkvol.formats.stack.planes import StackPlanes
from chunkvol.formats.stack.sequence import along, check_complete, kept_planes, positions_of, step_of
from chunkvol.geometry import Geometry
from chunkvol.geometry.grid import Triple
from chunkvol.progress import Progress
from chunkvol.volume import Volume

_ENDS = 1 << 16

__all__ = ["is_image_file", "is_stack", "open_stack"]


def is_image_file(path: Path) -> bool:
    """True for a file that starts as TIFF, PNG, BMP or JPEG do."""
    return path.is_file() and sniffed(str(path))


def is_stack(path: Path) -> bool:
    """True for a folder whose top holds a file named like a TIFF, PNG, BMP or JPEG image."""
    return path.is_dir() and holds_slices(path)


def open_stack(
    path: Path,
    progress: Progress,
    *,
    pattern: str | None = None,
    slices: slice | None = None,
    reverse: bool = False,
    frame: str = "",
    trust_paths: bool = False,
    facts: ScanFacts | None = None,
    spacing: Triple | None = None,
    origin: Triple | None = None,
    orientation: str = "",
    geometry: Geometry | None = None,
) -> Volume:
    """A lazy volume of a folder of images, or of one image file, each plane or page a plane.

    Parameters
    ----------
    path
        A folder, whose top level holds the slices, or a file.
    progress
        Told about headers.
    pattern
        Which files of the folder are slices, as in a shell: `rec_*.tif`.
    slices
        Which slices, in the order of their names; the others are left out, and those kept stay where they are.
    reverse
        Whether the last slice is the first plane. Where a sidecar knows the place of every slice, they keep it.
    frame
        Frame of another program's import; see `frames`.
    trust_paths
        Not used here: no slice names a file.
    facts
        What the scanner's file says, where the caller named it; else one beside the slices is looked for.
    spacing, origin, orientation, geometry
        See `Place`; they overrule what files say.

    Raises
    ------
    InputError
        There are no slices, or it is not clear which files are; DamagedError, FormatError, DecoderError where one
        cannot be read.
    GeometryError
        A slice is missing, or a file beside the slices speaks of others.
    """
    place = Place(spacing, origin, orientation, geometry)
    if path.is_dir():
        listing = listed(path, pattern)
        folder = path
    elif pattern is not None:
        raise InputError(f"{path} is one file, and --pattern chooses among the files of a folder: name the folder")
    else:
        folder, listing = path.parent, Listing((path.name,), None, (), ())
    request = Request(place, frame, facts, pattern is not None, listing.leap, step_of(listing.numbers), reverse)
    files = read_files([os.path.join(folder, name) for name in listing.names], progress)  # noqa: PTH118  # thousands
    skipped = _check_odd(folder, listing, files, facts, progress)
    stack = _stacked(listing, files, slices, reverse)
    source = _source(str(folder), stack)
    said = [*listing.problems, *skipped, *stack.notes]
    if path.is_file() and len(stack.planes) == 1:
        said.append(f"{path.name} is one plane: name its folder to read a stack")
    if slices is not None and (slices.stop or 0) > stack.count:
        said.append(
            f"--slices asks for {slices.stop - 1} and there are {stack.count}, which count from 0: up to the last"
        )
    return _volume(path, source, stack, request, said)


# ------------------------------------------------------------------------------------------------ which planes


@dataclass(frozen=True, slots=True)
class _Stack:
    """Planes in the order in which they are read."""

    listing: Listing
    """Names of the files."""
    files: Sequence[ImageFile]
    """One a name."""
    planes: Sequence[tuple[int, int]]
    """File and page of each plane."""
    common: Layout
    """Size and type of all."""
    places: npt.NDArray[np.int64]
    """Index of each plane along the whole stack, in the order of the names."""
    extent: int
    """Planes of the whole stack."""
    count: int
    """Planes that there are, before any was left out."""
    backwards: bool
    """Whether the last name is the first plane."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the headers of the kept files say, each once."""
        kept = dict.fromkeys(n for n, _ in self.planes)
        return tuple(dict.fromkeys(note for n in kept if (found := self.files[n].planes) for note in found.notes))


def _stacked(listing: Listing, files: Sequence[ImageFile], slices: slice | None, reverse: bool) -> _Stack:
    """The planes that are meant, checked: of one kind, and none missing among them."""
    pages = [(n, page) for n, file in enumerate(files) for page in range(file.count)]
    kept = kept_planes(len(pages), slices, reverse)
    planes = [pages[k] for k in kept.planes.tolist()]
    low, high = min(n for n, _ in planes), max(n for n, _ in planes) + 1
    numbers = listing.numbers
    where = os.path.split(files[low].path)[0]
    check_complete(listing.names[low:high], None if numbers is None else numbers[low:high], where)
    common = common_layout([files[n] for n in dict.fromkeys(n for n, _ in planes)])
    for n, page in planes:
        check_alike(files[n], page, common)
    assert common is not None  # a file that cannot be read has been told
    places = np.arange(len(pages)) if len(pages) > len(files) else _places(listing)
    return _Stack(listing, files, planes, common, places[kept.planes], int(places[-1]) + 1, len(pages), reverse)


def _places(listing: Listing) -> npt.NDArray[np.int64]:
    """By their numbers where these are even; a gap that nobody asked for counts as planes."""
    at = positions_of(listing.names, listing.numbers)
    whole = at.astype(np.int64)
    return whole if (whole == at).all() else np.arange(len(at))


def _check_odd(
    folder: Path, listing: Listing, files: Sequence[ImageFile], facts: ScanFacts | None, progress: Progress
) -> list[str]:
    """What is said of files whose names do not fit; refused where they might be slices.

    Raises
    ------
    InputError
        One has the size and type of the slices.
    """
    if not listing.odd:
        return []
    more = f" and {len(listing.odd) - 1} more" * (len(listing.odd) > 1)
    facts = facts or facts_beside(folder, listing.names)
    if facts is not None and len(names_of(facts.prefix, listing.names)) == len(listing.names) == facts.count:
        return [f"{listing.odd[0]}{more} skipped: {facts.path.name} says that slices are named {facts.prefix}..."]
    common = common_layout(files)
    for file in read_files([str(folder / name) for name in listing.odd], progress):
        alike = file.planes is not None and common is not None and file.planes.layouts[0].kind == common.kind
        if alike or len(listing.odd) > few(len(files)):
            raise InputError(
                f"{file.path} is an image as the slices are, but not named like {listing.names[0]}: --pattern says "
                "which are the slices"
            )
    return [f"{listing.odd[0]}{more} skipped: of another size or type, and not named like {listing.names[0]}"]


# ------------------------------------------------------------------------------------------------- the volume


def _source(folder: str, stack: _Stack) -> StackPlanes:
    layouts: dict[Layout, int] = {}
    ways, offsets, lengths, names = [], [], [], []
    for n, page in stack.planes:
        found = stack.files[n].planes
        assert found is not None  # told by check_alike
        layout = found.layouts[page]
        if layout not in layouts:
            check_decoder(layout, stack.files[n].path)
        ways.append(layouts.setdefault(layout, len(layouts)))
        offsets.append(found.offsets[page])
        lengths.append(found.lengths[page])
        names.append(stack.listing.names[n])
    return StackPlanes(
        folder,
        tuple(names),
        np.array(offsets, np.int64),
        np.array(lengths, np.int64),
        tuple(layouts),
        np.array(ways, np.uint8),
    )


def _volume(path: Path, source: StackPlanes, stack: _Stack, request: Request, said: Sequence[str]) -> Volume:
    whole = (stack.extent, source.shape[1], source.shape[2])
    template = request.place.geometry
    if template is not None and template.shape == source.shape != whole:
        # The grid of the part alone: what else is known is that of the whole stack.
        known = replace(request, place=Place(spacing=template.spacing))
        metadata = placed_stack(path, stack.listing.names, whole, stack.count, known).metadata
        grid, problems, assumed = template, [*said], False
    else:
        stand = placed_stack(path, stack.listing.names, whole, stack.count, request)
        turned = stack.backwards and not stand.by_plane
        grid = along(stand.placing.geometry, stack.extent - 1 - stack.places if turned else stack.places)
        metadata, assumed = stand.metadata, stand.placing.assumed
        problems = [*said, *stand.placing.problems]
    identity = _fingerprint(source, stack, grid)
    metadata = replace(
        metadata, assumed=assumed, source=metadata.source or identity, problems=(*metadata.problems, *problems)
    )
    return Volume(replace(source, identity=identity), grid, metadata)


def _fingerprint(source: StackPlanes, stack: _Stack, grid: Geometry) -> str:
    """SHA-256 over names, sizes and first bytes of the files and the ends of the first and the last; never times."""
    digest = hashlib.sha256(repr(grid).encode())
    for part in _marks(source, stack):
        digest.update(part)
    return digest.hexdigest()


def _marks(source: StackPlanes, stack: _Stack) -> Iterator[bytes]:
    for (n, page), name in zip(stack.planes, source.names, strict=True):
        yield repr((name, page, stack.files[n].mark)).encode()
    for k in (0, -1):
        with open(source.path(k), "rb") as file:
            file.seek(max(0, stack.files[stack.planes[k][0]].mark[0] - _ENDS))
            yield file.read(_ENDS)
