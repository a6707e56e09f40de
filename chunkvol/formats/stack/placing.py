"""Where a stack lies: by the caller, by the sidecar, by the scanner, by the tags, or by assumption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from chunkvol.errors import GeometryError, InputError
from chunkvol.formats.place import Place, Placing, Stated
from chunkvol.formats.scanner.facts import ScanFacts, check_facts, facts_beside
from chunkvol.formats.sidecar import read_sidecar, sidecar_of
from chunkvol.formats.stack.frames import check_frame, framed
from chunkvol.formats.stack.spacing import stated_by_tags
from chunkvol.geometry import Geometry
from chunkvol.metadata import Metadata
from chunkvol.regions import Shape

__all__ = ["Request", "Stand", "placed_stack"]


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller says of a stack beside which slices are meant."""

    place: Place
    """The grid."""
    frame: str = ""
    """Frame of another program."""
    facts: ScanFacts | None = None
    """The scanner's file, where the caller named it."""
    chosen: bool = False
    """Whether slices were chosen by a pattern, so that their number need not be the scan's."""
    leap: int = 1
    """Every how many of the slices a pattern chose."""
    step: int = 1
    """By how much the numbers in their names grow."""
    reverse: bool = False
    """Whether the last slice is the first plane."""

    def __post_init__(self) -> None:
        check_frame(self.frame, self.place)

    @property
    def has_spacing(self) -> bool:
        """Whether the caller says what the spacing is."""
        return self.place.spacing is not None or self.place.geometry is not None


@dataclass(frozen=True, slots=True)
class Stand:
    """A stack's place, and what came with it."""

    placing: Placing
    """Of all its planes, before any is left out."""
    metadata: Metadata
    """Of the sidecar, or none."""
    by_plane: bool = False
    """Whether the place of each file is known, in the order of their names, so that reversing keeps it."""


def placed_stack(path: Path, names: Sequence[str], shape: Shape, count: int, request: Request) -> Stand:
    """The grid of a whole stack.

    Parameters
    ----------
    path
        Folder, or the one file.
    names
        Files in their order.
    shape
        Planes along k, those of missing numbers included, rows, columns.
    count
        Planes that are there.
    request
        What the caller says.

    Raises
    ------
    GeometryError
        The sidecar or the scanner's file speaks of another stack.
    """
    own = read_sidecar(sidecar_of(path))
    said: list[str] = []
    if own is not None and own[0].shape != shape:
        said.append(_other_shape(path, own[0], shape, request))
        own = None
    if own is not None:
        return _by_sidecar(own, path, shape, request)
    facts = request.facts or (facts_beside(path, names) if path.is_dir() else None)
    stated = Stated()
    metadata = Metadata()
    if facts is not None:
        turned = request.frame or request.place.orientation or request.place.geometry
        said += [*facts.problems, *_disagreement(facts, shape, count, request)]
        said += [facts.handedness] if facts.handedness and not turned else []
        stated = Stated(facts.spacing, by=facts.path.name, guess=facts.guess)
        metadata = Metadata(extra=facts.extra)
    if stated.spacing is None:
        first = path / names[0] if path.is_dir() else path
        stated = stated_by_tags(str(first))
        if request.step > 1 and stated.spacing is not None and not request.has_spacing:
            said.append(
                f"the numbers of the slices grow by {request.step}: the spacing that {stated.by} state is taken to be "
                "that of neighbouring files; --spacing says it where some were left out"
            )
    if request.leap > 1 and stated.spacing is not None and not request.has_spacing:
        raise GeometryError(
            f"--pattern takes every {_ordinal(request.leap)} slice of {path}, and {stated.by} may state the spacing of "
            f"all of them: --slices ::{request.leap} takes as many and keeps their places, or --spacing says how far "
            "apart they are"
        )
    placing = request.place.placed(shape, stated, str(path))
    return Stand(_finished(placing, request, said), metadata)


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")


def _finished(placing: Placing, request: Request, said: Sequence[str]) -> Placing:
    grid = framed(placing.geometry, request.frame) if request.frame else placing.geometry
    return replace(placing, geometry=grid, problems=(*said, *placing.problems))


def _by_sidecar(own: tuple[Geometry, Metadata], path: Path, shape: Shape, request: Request) -> Stand:
    grid, metadata = own
    name = sidecar_of(path).name
    said = [f"{name} says where the voxels lie: --frame {request.frame} is used"] if request.frame else []
    if request.place == Place():
        placing = Placing(grid, metadata.assumed)
    else:
        columns = np.array(grid.direction).T
        stated = Stated(grid.spacing, grid.origin, [tuple(one) for one in columns], name)
        placing = request.place.placed(shape, stated, str(path))
        placing = replace(placing, assumed=metadata.assumed and not request.has_spacing)
        said += request.place.overruled(grid, name)
    by_plane = not request.frame and request.place.geometry is None and not _placed_anew(path, request)
    return Stand(_finished(placing, request, said), metadata, by_plane=by_plane)


def _placed_anew(path: Path, request: Request) -> bool:
    """Whether the caller says where all slices lie, whatever the sidecar does.

    Raises
    ------
    InputError
        Only half of it is said, of slices that are reversed: it could be meant of their order in the sidecar, or in
        the volume.
    """
    place = request.place
    if request.reverse and not request.frame and bool(place.origin) != bool(place.orientation):
        given, left = ("origin", "orientation") if place.origin else ("orientation", "origin")
        raise InputError(
            f"{sidecar_of(path)} says where each slice lies, and --reverse leaves them there: --{given} alone does not "
            f"say where the others lie; give --{left} too, or leave one of --reverse and --{given} out"
        )
    return bool(place.origin and place.orientation)


def _other_shape(path: Path, grid: Geometry, shape: Shape, request: Request) -> str:
    """What is said of a sidecar of another shape; an error unless slices were chosen, or the caller says it all."""
    there, here = (" x ".join(map(str, one[::-1])) for one in (grid.shape, shape))
    what = f"{sidecar_of(path)} speaks of {there} voxels (x, y, z), and the slices are {here}"
    if request.place.geometry is not None:
        return f"{what}: --geometry is used"
    if request.chosen and grid.shape[1:] == shape[1:]:
        return f"{what}, since a pattern chose them: it is not used"
    raise GeometryError(f"{what}: bring back the missing files, or take the sidecar away")


def _disagreement(facts: ScanFacts, shape: Shape, count: int, request: Request) -> list[str]:
    """What is said of a scanner's file that speaks of another stack; an error unless the caller gives the spacing."""
    planes = facts.count if facts.count in (count, shape[0]) or request.chosen else count
    try:
        check_facts(facts, count=count if planes is None else planes, rows=shape[1], columns=shape[2])
    except GeometryError as error:
        if request.has_spacing:
            return [f"{error}: --spacing is used"]
        raise
    return []
