"""The command that measures distances and angles between points: measure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from chunkvol.cli.landmarks_options import (
    PointsRun,
    looking_options,
    opened,
    opening_options,
    read_points,
)
from chunkvol.cli.landmarks_tables import csv_text, save
from chunkvol.cli.params import LENGTHS
from chunkvol.cli.reading import deciding_options
from chunkvol.cli.show import progress_for
from chunkvol.errors import InputError
from chunkvol.landmarks.choosing import named
from chunkvol.landmarks.files import read_landmarks
from chunkvol.landmarks.measuring import Measured
from chunkvol.landmarks.measuring import measure as measured
from chunkvol.landmarks.pixels import PIXEL_FRAMES
from chunkvol.landmarks.points import Landmarks
from chunkvol.output import check_target
from chunkvol.progress import Progress
from chunkvol.volume import Volume

_SPACING = "give --spacing"
_DEVIATION = "sd is one standard deviation"
_NUMBERS = ("mm", "sd_mm", "degrees", "sd_degrees")
"""Columns of numbers."""

__all__ = ["measure"]


@click.command()
@click.argument("points", type=click.Path(path_type=Path))
@click.option("--volume", "scan", type=click.Path(path_type=Path), help="What they were placed on: half a voxel of it.")
@click.option("--uncertainty", type=LENGTHS, help="Instead, half widths along x, y, z: 50um, or 0.1,0.1,0.5.")
@click.option("--pairs", metavar="A-B,...", help="Distances between these labels, or numbers: nasion-basion,#1-#7.")
@click.option("--angles", metavar="A-B-C,...", help="Angles at the second of three.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The CSV to write (default: print it).")
@opening_options("", "the volume")
@deciding_options
@looking_options
def measure(
    run: PointsRun,
    points: Path,
    scan: Path | None,
    uncertainty: tuple[float, float, float] | None,
    pairs: str | None,
    angles: str | None,
    output: Path | None,
    opening: dict[str, Any],
    decided: dict[str, Any],
) -> None:
    """Measure distances and angles between POINTS, and lengths of curves, each with its standard deviation.

    A point lies anywhere in the voxel that it was put on, with equal probability: half a voxel along each axis of the
    array, or what --uncertainty says. sd is one standard deviation of what follows from that, to first order.

    \b
    Examples:
      chunkvol landmarks measure points.mrk.json --volume scan.ome.zarr --level 3 -o distances.csv
      chunkvol landmarks measure points.fcsv --uncertainty 50um --pairs nasion-basion --angles nasion-basion-L4
    """
    if scan is None and opening | decided:
        raise InputError("--level, --spacing and the like say how a volume is opened: name it with --volume")
    if output is not None:
        check_target([output], overwrite=run.overwrite)
    progress = progress_for(run.quiet)
    try:
        volume = None if scan is None else opened(scan, opening | decided, progress)
        given = _given(run, points, volume, progress)
        known = volume.geometry if uncertainty is None and volume is not None else None
        found = measured(
            given,
            uncertainty=known if uncertainty is None else uncertainty[::-1],
            pairs=None if pairs is None else [named(given, one.strip(), 2) for one in pairs.split(",")],
            angles=[named(given, one.strip(), 3) for one in angles.split(",")] if angles else (),
        )
        if uncertainty is None and volume is None:
            progress.say("nobody says how sharp the points are: give --volume or --uncertainty for deviations")
        text = csv_text(found.rows())
        if output is not None:
            save(output, text, overwrite=run.overwrite)
    finally:
        progress.close()
    _tell(run, found, text, output)


def _given(run: PointsRun, points: Path, volume: Volume | None, progress: Progress) -> Landmarks:
    if volume is not None:
        return read_points(run, points, volume, _SPACING, progress)
    if run.frame in PIXEL_FRAMES:
        raise InputError(f"frame {run.frame} has voxels of a volume: name it with --volume")
    found = read_landmarks(points, frame=run.frame, units=run.units)
    for problem in found.problems:
        progress.say(f"{points}: {problem}")
    return found


def _tell(run: PointsRun, found: Measured, text: str, output: Path | None) -> None:
    if run.as_json:
        rows = [_typed(row) for row in found.rows()]
        click.echo(json.dumps({"output": None if output is None else str(output), "sd": _DEVIATION, "measures": rows}))
    elif output is None:
        click.echo(text, nl=False)
    elif not run.quiet:
        counts = ((found.distances, "distances"), (found.angles, "angles"), (found.lengths, "lengths of curves"))
        told = ", ".join(f"{len(measures)} {name}" for measures, name in counts if measures)
        click.echo(f"{output}: {told or 'nothing to measure'}; {_DEVIATION}")


def _typed(row: dict[str, str]) -> dict[str, Any]:
    """A row with numbers where the table has them, and null where they are not known."""
    return {name: (float(text) if text else None) if name in _NUMBERS else text for name, text in row.items()}
