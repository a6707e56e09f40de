"""The options of verbs that read: what to do about an input that is not one plain regular volume."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from chunkvol.cli.params import LENGTHS
from chunkvol.formats.dicom.options import CHOICES

Verb = Callable[..., None]

_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "series": click.option(
        "--series",
        metavar="ID",
        help="Of several volumes this one: its id, how that begins, or its Series Instance UID.",
    ),
    "gaps": click.option(
        "--gaps", type=click.Choice(CHOICES["gaps"]), help="Missing planes: make them, or read one run of planes."
    ),
    "fill_value": click.option("--fill-value", type=float, help="Real value of what no file holds."),
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
    "spacing": click.option("--spacing", type=LENGTHS, help="Of images that state none: 0.05, or 50um,50um,0.2 (mm)."),
    "float32": click.option("--float32", is_flag=True, help="Slopes that change by plane: float32 instead of float64."),
    "invert": click.option("--invert", is_flag=True, help="Turn MONOCHROME1, so that large values are bright."),
    "keep_phi": click.option("--keep-phi", is_flag=True, help="Keep the patient's name, id, birth date and sex."),
}
"""By their names in Python, in the order of the help."""

__all__ = ["ReadingCommand", "reading_options"]


def reading_options(function: Verb) -> Verb:
    """Add the options of reading; the verb receives those that were given as one dict, `reading`.

    With `@click.command(cls=ReadingCommand)` they stand under a heading of their own.
    """

    @functools.wraps(function)
    def verb(*arguments: Any, **given: Any) -> None:
        asked = {name: given.pop(name) for name in _OPTIONS}
        reading = {name: value for name, value in asked.items() if value is not None and value is not False}
        function(*arguments, reading=reading, **given)

    for option in reversed(_OPTIONS.values()):
        option(verb)
    return verb


class ReadingCommand(click.Command):
    """A verb whose help puts the options of reading after all others, under a heading."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, in two lists."""
        options = [parameter for parameter in self.get_params(ctx) if not isinstance(parameter, click.Argument)]
        records = [(option.name, option.get_help_record(ctx)) for option in options]
        own = [record for name, record in records if record and name not in _OPTIONS]
        reading = [record for name, record in records if record and name in _OPTIONS]
        for title, rows in (("Options", own), ("Reading of DICOM series", reading)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
