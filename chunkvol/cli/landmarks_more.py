"""The commands that look at points and what they mark: refine, measure, plot."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from chunkvol.cli.landmarks_options import (
    PointsRun,
    deciding_options,
    note_lost,
    opened,
    opening_options,
    points_options,
    read_points,
)
from chunkvol.cli.params import LENGTHS, MARGIN, WINDOW, parse_length
from chunkvol.cli.reading import shared_out
from chunkvol.cli.show import progress_for
from chunkvol.errors import InputError
from chunkvol.landmarks.choosing import named
from chunkvol.landmarks.files import read_landmarks
from chunkvol.landmarks.indices import index_points
from chunkvol.landmarks.measuring import Measured
from chunkvol.landmarks.measuring import measure as measured
from chunkvol.landmarks.picture import plot as plotted
from chunkvol.landmarks.pixels import PIXEL_FRAMES
from chunkvol.landmarks.points import Landmarks
from chunkvol.landmarks.refining import METHODS, Refined
from chunkvol.landmarks.refining import refine as refined
from chunkvol.landmarks.systems import UNITS
from chunkvol.landmarks.views import mean_spacing
from chunkvol.output import check_target, staging
from chunkvol.progress import Progress
from chunkvol.volume import Volume

_SPACING = "give --spacing"
_DEVIATION = "sd is one standard deviation"

_NUMBERS = ("mm", "sd_mm", "degrees", "sd_degrees")

__all__ = ["measure", "plot", "refine"]

_points = click.argument("points", type=click.Path(path_type=Path))
_frame = click.option(
    "--frame", type=click.Choice(["lps", "ras", *PIXEL_FRAMES]), help="Of points whose file does not say, or of pixels."
)
_units = click.option("--units", type=click.Choice(list(UNITS)), help="Of points whose file does not say.")
_overwrite = click.option("--overwrite", is_flag=True, help="Replace an existing output, at the very end.")
_json = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
_quiet = click.option("-q", "--quiet", is_flag=True, help="No report, no notes.")


# ------------------------------------------------------------------------------------------------------------- refine


@click.command()
@_points
@click.option("--volume", "scan", required=True, type=click.Path(path_type=Path), help="The volume of full resolution.")
@click.option("--from", "a", type=click.Path(path_type=Path), help="A: what they were placed on, for the radius.")
@click.option("--method", type=click.Choice(METHODS), default="centroid", show_default=True)
@click.option("--radius", type=MARGIN, help="Of windows (default 3 voxels, or half a voxel of A where that is more).")
@click.option("--dark", is_flag=True, help="Look for dark spots.")
@click.option("--report", type=click.Path(path_type=Path), help="Also write a CSV: how far each moved, or why not.")
@opening_options("", "the volume")
@opening_options("from_", "A")
@deciding_options
@points_options
def refine(
    run: PointsRun,
    points: Path,
    scan: Path,
    a: Path | None,
    method: Any,
    radius: float | None,
    dark: bool,
    report: Path | None,
    opening: dict[str, Any],
    from_opening: dict[str, Any],
    decided: dict[str, Any],
) -> None:
    """Put POINTS on the middle of the bright spots that they mark, found in the volume of full resolution.

    A centroid is that of what lies above its surroundings in a sphere around the point; an extremum is the largest
    voxel, and the top of a parabola between voxels. What cannot be refined stays where it is, with the reason.

    \b
    Examples:
      chunkvol landmarks refine points.mrk.json --volume scan.ome.zarr --from small.nrrd -o refined.mrk.json
      chunkvol landmarks refine points.fcsv --volume dicom/ --radius 80um --dark -o refined.fcsv --report moved.csv
    """
    run.check()
    if a is None and from_opening:
        raise InputError("--from-level and the like say how A is opened: name A with --from")
    if report is not None:
        if report.resolve() == run.output.resolve():
            raise InputError(f"the points and the --report are two files, and {report} is asked for both")
        check_target([report], overwrite=run.overwrite)
    progress = progress_for(run.quiet)
    try:
        own, others = (decided, {}) if a is None else shared_out(decided, scan, a)
        volume = opened(scan, opening | own, progress)
        placed_on = None if a is None else _placed_on(a, from_opening | others, progress)
        given = read_points(run, points, placed_on or volume, _SPACING, progress)
        found = refined(
            given,
            volume,
            method=method,
            radius=radius,
            placed_on=None if placed_on is None else placed_on.geometry,
            bright=not dark,
            progress=progress,
        )
        note_lost(given, index_points(given, volume).inside, "the volume", volume, progress)
        if report is not None:
            _save(report, _csv(_moves(found)), run.overwrite)
        run.write(found.landmarks)
    finally:
        progress.close()
    run.tell({"radius_mm": found.radius, "points": _moves(found)}, str(found))


def _placed_on(a: Path, opening: dict[str, Any], progress: Progress) -> Volume:
    volume = opened(a, opening, progress)
    if volume.metadata.assumed:
        raise InputError(
            f"{a} does not say where its voxels lie, so that points on it have no place in the volume yet: "
            "chunkvol landmarks map takes them there (--relation)"
        )
    return volume


def _moves(found: Refined) -> list[dict[str, Any]]:
    """A row for each point."""
    rows = zip(found.landmarks.labels, found.landmarks.points.tolist(), found.moved.tolist(), found.why, strict=True)
    return [
        {"label": label, **dict(zip("xyz", map(_known, place), strict=True)), "moved_mm": _known(moved), "why": why}
        for label, place, moved, why in rows
    ]


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


# ------------------------------------------------------------------------------------------------------------ measure


@click.command()
@_points
@click.option("--volume", "scan", type=click.Path(path_type=Path), help="What they were placed on: half a voxel of it.")
@click.option("--uncertainty", type=LENGTHS, help="Instead, half widths along x, y, z: 50um, or 0.1,0.1,0.5.")
@click.option("--pairs", metavar="A-B,...", help="Distances between these labels, or numbers: nasion-basion,#1-#7.")
@click.option("--angles", metavar="A-B-C,...", help="Angles at the second of three.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The CSV to write (default: print it).")
@opening_options("", "the volume")
@deciding_options
@_frame
@_units
@_overwrite
@_json
@_quiet
def measure(
    points: Path,
    scan: Path | None,
    uncertainty: tuple[float, float, float] | None,
    pairs: str | None,
    angles: str | None,
    output: Path | None,
    opening: dict[str, Any],
    decided: dict[str, Any],
    frame: str | None,
    units: str | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure distances and angles between POINTS, and lengths of curves, each with its standard deviation.

    A point lies anywhere in the voxel that it was put on, with equal probability: half a voxel along each axis of the
    array, or what --uncertainty says. sd is one standard deviation of what follows from that, to first order.

    \b
    Examples:
      chunkvol landmarks measure points.mrk.json --volume scan.ome.zarr --level 3 -o distances.csv
      chunkvol landmarks measure points.fcsv --uncertainty 50um --pairs nasion-basion --angles nasion-basion-L4
    """
    if output is not None:
        check_target([output], overwrite=overwrite)
    progress = progress_for(quiet)
    try:
        volume = None if scan is None else opened(scan, opening | decided, progress)
        run = PointsRun(output or Path(), frame, units, None, overwrite, as_json, quiet)
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
        text = _csv(found.rows())
        if output is not None:
            _save(output, text, overwrite)
    finally:
        progress.close()
    _tell(found, text, output, as_json, quiet)


def _given(run: PointsRun, points: Path, volume: Volume | None, progress: Progress) -> Landmarks:
    if volume is not None:
        return read_points(run, points, volume, _SPACING, progress)
    if run.frame in PIXEL_FRAMES:
        raise InputError(f"frame {run.frame} has voxels of a volume: name it with --volume")
    found = read_landmarks(points, frame=run.frame, units=run.units)
    for problem in found.problems:
        progress.say(f"{points}: {problem}")
    return found


def _tell(found: Measured, text: str, output: Path | None, as_json: bool, quiet: bool) -> None:
    if as_json:
        rows = [_typed(row) for row in found.rows()]
        click.echo(json.dumps({"output": None if output is None else str(output), "sd": _DEVIATION, "measures": rows}))
    elif output is None:
        click.echo(text, nl=False)
    elif not quiet:
        counts = ((found.distances, "distances"), (found.angles, "angles"), (found.lengths, "lengths of curves"))
        told = ", ".join(f"{len(measures)} {name}" for measures, name in counts if measures)
        click.echo(f"{output}: {told or 'nothing to measure'}; {_DEVIATION}")


def _typed(row: dict[str, str]) -> dict[str, Any]:
    """A row with numbers where the table has them, and null where they are not known."""
    return {name: (float(text) if text else None) if name in _NUMBERS else text for name, text in row.items()}


# --------------------------------------------------------------------------------------------------------------- plot


class _Size(click.ParamType):  # type: ignore[type-arg]  # generic only in newer releases of click
    """A number, and whether it counts mm or voxels of mean size."""

    name = "LENGTH|Nvoxels"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        count = value.strip().removesuffix("voxels").removesuffix("vox")
        try:
            return ("mm", parse_length(value)) if count == value.strip() else ("voxels", parse_length(count))
        except ValueError:
            self.fail(f"{value!r} is no size; write it as 2.5, 2.5mm, 500um or 64voxels", param, ctx)


@click.command()
@_points
@click.option("--volume", "scan", required=True, type=click.Path(path_type=Path), help="What is drawn around them.")
@click.option("--size", type=_Size(), help="Of each image: 2.5mm, 500um or 64voxels (default 48voxels).")
@click.option("--columns", type=click.IntRange(1), help="Points beside each other.")
@click.option("--window", type=WINDOW, default="auto", show_default=True, help="LO,HI: what is black and white.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The .png to write.")
@opening_options("", "the volume")
@deciding_options
@_frame
@_units
@_overwrite
@_json
@_quiet
def plot(
    points: Path,
    scan: Path,
    size: tuple[str, float] | None,
    columns: int | None,
    window: Any,
    output: Path,
    opening: dict[str, Any],
    decided: dict[str, Any],
    frame: str | None,
    units: str | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Draw three planes of a volume through each of POINTS, with a cross and a scale bar, on one contact sheet.

    Planes run along the volume's own axes and are turned as viewers show them, never mirrored. Of more than 60 points
    qa.png becomes qa-1.png, qa-2.png and so on. Needs Pillow: pip install 'chunkvol[plot]'.

    \b
    Examples:
      chunkvol landmarks plot points.mrk.json --volume dicom/ -o qa.png
      chunkvol landmarks plot points.fcsv --volume scan.ome.zarr --level 2 --size 2mm --window 0,3000 -o qa.png
    """
    progress = progress_for(quiet)
    try:
        volume = opened(scan, opening | decided, progress)
        run = PointsRun(output, frame, units, None, overwrite, as_json, quiet)
        given = read_points(run, points, volume, _SPACING, progress)
        width = None if size is None else size[1] * (1.0 if size[0] == "mm" else mean_spacing(volume.geometry))
        sheets = plotted(given, volume, output, size=width, columns=columns, window=window, overwrite=overwrite)
        note_lost(given, index_points(given, volume).inside, "the volume", volume, progress)
    finally:
        progress.close()
    if as_json:
        click.echo(json.dumps({"output": [str(sheet) for sheet in sheets], "points": len(given)}))
    elif not quiet:
        more = f" to {sheets[-1].name}" if len(sheets) > 1 else ""
        click.echo(f"{sheets[0]}{more}: {len(given)} points on {len(sheets)} sheet{'s' * (len(sheets) > 1)}")


# ------------------------------------------------------------------------------------------------------------- tables


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def _save(path: Path, text: str, overwrite: bool) -> None:
    with staging(path, [path.name], overwrite=overwrite) as folder:
        (folder / path.name).write_bytes(text.encode())
