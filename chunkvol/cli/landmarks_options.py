"""What commands on points share: their options, reading points in any frame, and telling which are out of sight."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from chunkvol.cli.params import LENGTHS
from chunkvol.cli.reading import open_named
from chunkvol.errors import InputError
from chunkvol.formats.stack.frames import FRAMES
from chunkvol.geometry.box import say_extent
from chunkvol.landmarks.files import FILES, read_landmarks, write_landmarks
from chunkvol.landmarks.indices import Flags, place_landmarks
from chunkvol.landmarks.pixels import PIXEL_FRAMES, read_pixels
from chunkvol.landmarks.points import Landmarks
from chunkvol.landmarks.systems import UNITS
from chunkvol.output import check_target
from chunkvol.progress import Progress
from chunkvol.volume import Volume

Verb = Callable[..., None]

_NAMED = 8
"""Labels that a note lists."""
_READING: dict[str, dict[str, Any]] = {
    "level": {"type": click.IntRange(0), "help": "Of {}, a pyramid; 0 is the finest."},
    "series": {"metavar": "ID", "help": "Of {}, a folder with several volumes."},
    "spacing": {"type": LENGTHS, "help": "Of {}, where it states none: 0.05, or 50um."},
    "stack": {"type": click.Choice(FRAMES), "help": "Module of Slicer that loaded {}, slices."},
    "time": {"type": click.IntRange(0), "help": "Of several times of {} this one, from 0."},
    "channel": {"type": click.IntRange(0), "help": "Of several channels of {} this one, from 0."},
}
"""Options of how a volume is opened."""
_USUAL = {"stack": "frame"}
"""What they are called where --frame is not that of points."""
_OPTIONS = {
    "output": click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The file to write."),
    "frame": click.option(
        "--frame",
        type=click.Choice(["lps", "ras", *PIXEL_FRAMES]),
        help="Of points whose file does not say, or of pixels.",
    ),
    "units": click.option("--units", type=click.Choice(list(UNITS)), help="Of points whose file does not say."),
    "to_frame": click.option(
        "--to-frame", type=click.Choice(["lps", "ras"]), help="Of the output (default as the input)."
    ),
    "overwrite": click.option("--overwrite", is_flag=True, help="Replace an existing output, at the very end."),
    "as_json": click.option("--json", "as_json", is_flag=True, help="Print the report as JSON."),
    "quiet": click.option("-q", "--quiet", is_flag=True, help="No report, no notes."),
}
"""Options that commands on points share, by the fields of `PointsRun`."""

__all__ = [
    "PointsRun",
    "looking_options",
    "note_lost",
    "opened",
    "opening_options",
    "points_options",
    "read_points",
]


@dataclass(frozen=True, slots=True)
class PointsRun:
    """The options that commands which write points share."""

    output: Path
    frame: str | None
    units: str | None
    to_frame: str | None
    overwrite: bool
    as_json: bool
    quiet: bool

    @property
    def table(self) -> bool:
        """Whether the output is a table, with columns for anything."""
        named = [name for name, row in FILES.items() if self.output.name.lower().endswith(row.suffixes)]
        return named[:1] == ["table"]

    def check(self) -> None:
        """Refuse, before any work, an output that exists, cannot be created, or is no file of points."""
        known = [suffix for row in FILES.values() for suffix in row.suffixes]
        if not self.output.name.lower().endswith(tuple(known)):
            raise InputError(f"{self.output} has no suffix of a file of points: {', '.join(known)}")
        check_target([self.output], overwrite=self.overwrite)

    def write(self, found: Landmarks) -> None:
        """Write points, in the frame that was asked for; nothing that has appeared meanwhile is replaced."""
        check_target([self.output], overwrite=self.overwrite)
        write_landmarks(found, self.output, frame=self.to_frame)

    def tell(self, report: dict[str, Any], text: str) -> None:
        """Print one or the other."""
        if self.as_json:
            click.echo(json.dumps({"output": str(self.output), **report}))
        elif not self.quiet:
            click.echo(f"{self.output}: {text}")


def points_options(function: Verb) -> Verb:
    """Add the shared options; the command receives them as one `PointsRun`."""

    @functools.wraps(function)
    def command(**given: Any) -> None:
        function(PointsRun(**{name: given.pop(name) for name in PointsRun.__slots__}), **given)

    return _with(command, list(_OPTIONS.values()))


def looking_options(function: Verb) -> Verb:
    """Add those of commands that write no points, and whose `output` is an option of their own, as one `PointsRun`."""
    shared = [name for name in _OPTIONS if name not in ("output", "to_frame")]

    @functools.wraps(function)
    def command(*, output: Path | None, **given: Any) -> None:
        asked = {name: given.pop(name) for name in shared}
        function(PointsRun(output=output or Path(), to_frame=None, **asked), output=output, **given)

    return _with(command, [_OPTIONS[name] for name in shared])


def opening_options(prefix: str, name: str) -> Callable[[Verb], Verb]:
    """Add options of opening a volume; the command receives those that were given as one dict, `{prefix}opening`."""

    def decorate(function: Verb) -> Verb:
        @functools.wraps(function)
        def command(*arguments: Any, **given: Any) -> None:
            asked = {key: given.pop(f"{prefix}{key}") for key in _READING}
            opening = {_USUAL.get(key, key): value for key, value in asked.items() if value is not None}
            function(*arguments, **{f"{prefix}opening": opening}, **given)

        rows = {key: {**row, "help": row["help"].format(name)} for key, row in _READING.items()}
        dashed = prefix.replace("_", "-")
        options = [click.option(f"--{dashed}{key}", f"{prefix}{key}", **row) for key, row in rows.items()]
        return _with(command, options)

    return decorate


def _with(function: Verb, options: Sequence[Callable[[Any], Any]]) -> Verb:
    for option in reversed(options):
        option(function)
    return function


def opened(path: Path, opening: dict[str, Any], progress: Progress, prefix: str = "") -> Volume:
    """A volume, its problems told; options are named as those of this prefix."""
    names = {f"--{_USUAL.get(key, key)}": f"--{prefix}{key}" for key in _READING}
    volume = open_named(path, names=names, progress=progress, **opening)
    for problem in volume.metadata.problems:
        progress.say(f"{path}: {problem}")
    return volume


def read_points(run: PointsRun, path: Path, volume: Volume, option: str, progress: Progress) -> Landmarks:
    """Points in the world of the volume that they were placed on, whatever they are in their file.

    Raises
    ------
    InputError
        They are calibrated, and nobody says by what: `option` does.
    """
    if run.frame in PIXEL_FRAMES:
        row = PIXEL_FRAMES[run.frame]
        if any(row.calibrated) and volume.metadata.assumed:
            raise InputError(
                f"frame {run.frame} has pixels times their size, which the volume does not state: {option}"
            )
        found = read_pixels(path, run.frame, volume.geometry, units=run.units)
    else:
        found = read_landmarks(path, frame=run.frame, units=run.units)
        found = place_landmarks(found, volume) if found.frame == "IJK" else found
    for problem in found.problems:
        progress.say(f"{path}: {problem}")
    return found


def note_lost(found: Landmarks, inside: Flags, name: str, volume: Volume, progress: Progress) -> None:
    """Say which points a volume does not see; they are written all the same."""
    lost = found.placed & ~inside
    count, placed = int(lost.sum()), int(found.placed.sum())
    if not count:
        return
    reach = f"it reaches from {say_extent(volume.geometry)}"
    if count == placed:
        progress.say(
            f"NONE of the {placed} points lies in the field of view of {name}: {reach}; they are written all the same. "
            "Is it another scan, frame or unit, or was a header lost (map --relation)?"
        )
        return
    labels = [found.labels[n] or f"#{n + 1}" for n in np.flatnonzero(lost)[:_NAMED]]
    more = f" and {count - len(labels)} more" if count > len(labels) else ""
    progress.say(
        f"{count} of {placed} points lie out of the field of view of {name}: {', '.join(labels)}{more}; {reach}"
    )
