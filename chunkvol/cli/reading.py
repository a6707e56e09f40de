"""The options of verbs that read: what to do about an input that is not one plain regular volume."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from chunkvol.cli.params import LENGTHS, POINT, SLICES
from chunkvol.errors import GeometryError, InputError
from chunkvol.formats import format_for_reading
from chunkvol.formats.dicom.options import CHOICES
from chunkvol.formats.stack.frames import FRAMES
from chunkvol.pipeline import open_volume
from chunkvol.volume import Volume

Verb = Callable[..., None]

_SERIES: dict[str, Callable[[Any], Any]] = {
    "series": click.option(
        "--series",
        metavar="ID",
        help="Of several volumes this one: its id, how that begins, or its Series Instance UID.",
    ),
    "gaps": click.option(
        "--gaps", type=click.Choice(CHOICES["gaps"]), help="Missing planes: make them, or read one run of planes."
    ),
    "fill_value": click.option(
        "--fill-value", type=float, help="Real value of what --gaps fill or --tilt resample makes."
    ),
    "uneven": click.option(
        "--uneven", type=click.Choice(CHOICES["uneven"]), help="Uneven planes: interpolate, or assume their mean step."
    ),
    "duplicates": click.option(
        "--duplicates", type=click.Choice(CHOICES["duplicates"]), help="Which of several images at one position."
    ),
    "tilt": click.option(
        "--tilt", type=click.Choice(CHOICES["tilt"]), help="Tilted gantry: keep the sheared grid, or make it upright."
    ),
    "few": click.option("--few", is_flag=True, help="Accept one or two planes."),
    "float32": click.option("--float32", is_flag=True, help="Slopes that change by plane: float32 instead of float64."),
    "invert": click.option("--invert", is_flag=True, help="Turn MONOCHROME1, so that large values are bright."),
    "keep_phi": click.option(
        "--keep-phi", is_flag=True, help="Keep the patient's name, id, birth date and sex in stores and DICOM."
    ),
}
_PLACE: dict[str, Callable[[Any], Any]] = {
    "spacing": click.option(
        "--spacing",
        "--source-spacing",
        "spacing",
        type=LENGTHS,
        help="Of what states none: 0.05, or 50um,50um,0.2 (mm).",
    ),
    "origin": click.option("--origin", type=POINT, help="Centre of the first voxel, LPS mm: 0,0,0."),
    "orientation": click.option("--orientation", metavar="XYZ", help="Where x, y, z of the file grow: LPS, RAI ..."),
    "geometry": click.option(
        "--geometry", metavar="PATH", type=click.Path(path_type=Path), help="Take the grid of this scan."
    ),
    "frame": click.option("--frame", type=click.Choice(FRAMES), help="Of slices: as this module of Slicer has it."),
    "pattern": click.option("--pattern", help="Which files of a folder are slices: 'rec_*.tif'."),
    "slices": click.option("--slices", type=SLICES, help="Which slices, in the order of their names: 100:500, ::2."),
    "reverse": click.option("--reverse", is_flag=True, help="The last slice is the first plane."),
    "time": click.option("--time", type=click.IntRange(0), help="Of several times this one, from 0."),
    "channel": click.option("--channel", type=click.IntRange(0), help="Of several channels this one, from 0."),
    "segment": click.option("--segment", help="Of a segmentation this segment alone, by its id, name or label."),
    "trust_paths": click.option("--trust-paths", is_flag=True, help="Follow headers to files outside their folder."),
}
_OPTIONS = _SERIES | _PLACE
"""By their names in Python, in the order of the help."""
_DECISIONS = {
    name: _OPTIONS[name] for name in ("gaps", "fill_value", "uneven", "duplicates", "tilt", "few", "trust_paths")
}
"""What is decided of an input that is irregular or lies in several folders, and changes nothing of any other."""

_SOURCE_SPACING = "source_spacing"
"""What the spacing of an input is called where --spacing is the output's."""
_RENAMED = {"spacing": "", _SOURCE_SPACING: "spacing"}

SOURCE_NAMES = {"--spacing": "--source-spacing"}
"""What messages about an input have to call its spacing where --spacing is the output's."""

__all__ = [
    "SOURCE_NAMES",
    "ReadingCommand",
    "deciding_options",
    "how_to_place",
    "open_named",
    "reading_options",
    "reading_options_of_grids",
    "shared_out",
]


def reading_options(function: Verb) -> Verb:
    """Add the options of reading; the verb receives those that were given as one dict, `reading`.

    With `@click.command(cls=ReadingCommand)` they stand under a heading of their own.
    """
    return _with_options(function, _OPTIONS)


def reading_options_of_grids(function: Verb) -> Verb:
    """The same for verbs whose own --spacing is the output's: that of the input is --source-spacing alone."""
    spacing = click.option(
        "--source-spacing", _SOURCE_SPACING, type=LENGTHS, help="Of an input that states none, like --spacing (mm)."
    )
    options = {_SOURCE_SPACING if name == "spacing" else name: one for name, one in _OPTIONS.items()}
    return _with_options(function, options | {_SOURCE_SPACING: spacing})


def deciding_options(function: Verb) -> Verb:
    """Add decisions on irregular inputs alone; the command receives what was given as one dict, `decided`."""
    return _with_options(function, _DECISIONS, "decided")


def _with_options(function: Verb, options: dict[str, Callable[[Any], Any]], received: str = "reading") -> Verb:
    @functools.wraps(function)
    def verb(*arguments: Any, **given: Any) -> None:
        asked = {"spacing" if name == _SOURCE_SPACING else name: given.pop(name) for name in options}
        reading = {name: value for name, value in asked.items() if value is not None and value is not False}
        function(*arguments, **{received: reading}, **given)

    for option in reversed(options.values()):
        option(verb)
    return verb


def shared_out(reading: dict[str, Any], path: Path, other: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options for a verb's input and those for another one that it reads beside it.

    Decisions hold for both, each for those whose formats have them; all else is the first one's, or where it has no
    such option, as --time of a scan on whose grid labels are put, the other's. What neither has the first one refuses.
    """
    own, others = (format_for_reading(one).read_options for one in (path, other))
    for_other = {
        name: value for name, value in reading.items() if name in others and (name in _DECISIONS or name not in own)
    }
    return {name: value for name, value in reading.items() if name in own or name not in for_other}, for_other


def how_to_place(path: Path, spacing: str = "--spacing") -> str:
    """What can be done about an input that does not say where it lies: its format's options, else attach."""
    if "origin" in format_for_reading(path).read_options:
        return f"say it with {spacing}, --origin and --orientation, or --geometry"
    return "give it the place of the scan that it was made from, with chunkvol attach"


def open_named(path: Path, *, names: Mapping[str, str], **options: Any) -> Volume:
    """Open a volume, and have all messages call the options of reading by the names that a verb has for them.

    Parameters
    ----------
    names
        The verb's names by the usual ones, such as "--to-series" for "--series".
    """

    def said(text: str) -> str:
        for usual, name in names.items():
            text = re.sub(rf"(?<![\w-]){usual}(?![\w-])", name, text)
        return text

    try:
        volume = open_volume(path, **options)
    except (InputError, GeometryError) as error:
        raise type(error)(said(str(error))) from error
    problems = tuple(said(problem) for problem in volume.metadata.problems)
    return replace(volume, metadata=replace(volume.metadata, problems=problems))


class ReadingCommand(click.Command):
    """A verb whose help puts the options of reading after all others, under a heading."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, in two lists."""
        options = [parameter for parameter in self.get_params(ctx) if not isinstance(parameter, click.Argument)]
        records = [(option.name, option.get_help_record(ctx)) for option in options]
        if any(name == _SOURCE_SPACING for name, _ in records):  # --spacing is the verb's own
            records = [(_RENAMED.get(name, name), record) for name, record in records]
        own = [record for name, record in records if record and name not in _OPTIONS]
        series = [record for name, record in records if record and name in _SERIES]
        place = [record for name, record in records if record and name in _PLACE]
        parts = (("Options", own), ("Reading of DICOM series", series), ("Reading of other formats", place))
        for title, rows in parts:
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
