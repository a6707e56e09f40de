"""The command that pictures what is around points: plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from chunkvol.cli.landmarks_options import (
    PointsRun,
    looking_options,
    note_lost,
    opened,
    opening_options,
    read_points,
)
from chunkvol.cli.params import WINDOW, parse_length
from chunkvol.cli.reading import deciding_options
from chunkvol.cli.show import progress_for
from chunkvol.landmarks.indices import index_points
from chunkvol.landmarks.picture import plot as plotted
from chunkvol.landmarks.views import mean_spacing

_SPACING = "give --spacing"

__all__ = ["plot"]


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
@click.argument("points", type=click.Path(path_type=Path))
@click.option("--volume", "scan", required=True, type=click.Path(path_type=Path), help="What is drawn around them.")
@click.option("--size", type=_Size(), help="Of each image: 2.5mm, 500um or 64voxels (default 48voxels).")
@click.option("--columns", type=click.IntRange(1), help="Points beside each other.")
@click.option("--window", type=WINDOW, default="auto", show_default=True, help="LO,HI: what is black and white.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The .png to write.")
@opening_options("", "the volume")
@deciding_options
@looking_options
def plot(
    run: PointsRun,
    points: Path,
    scan: Path,
    size: tuple[str, float] | None,
    columns: int | None,
    window: Any,
    output: Path,
    opening: dict[str, Any],
    decided: dict[str, Any],
) -> None:
    """Draw three planes of a volume through each of POINTS, with a cross and a scale bar, on one contact sheet.

    Planes run along the volume's own axes and are turned as viewers show them, never mirrored. Of more than 60 points
    qa.png becomes qa-1.png, qa-2.png and so on. Needs Pillow: pip install 'chunkvol[plot]'.

    \b
    Examples:
      chunkvol landmarks plot points.mrk.json --volume dicom/ -o qa.png
      chunkvol landmarks plot points.fcsv --volume scan.ome.zarr --level 2 --size 2mm --window 0,3000 -o qa.png
    """
    progress = progress_for(run.quiet)
    try:
        volume = opened(scan, opening | decided, progress)
        given = read_points(run, points, volume, _SPACING, progress)
        width = None if size is None else size[1] * (1.0 if size[0] == "mm" else mean_spacing(volume.geometry))
        sheets = plotted(given, volume, output, size=width, columns=columns, window=window, overwrite=run.overwrite)
        note_lost(given, index_points(given, volume).inside, "the volume", volume, progress)
    finally:
        progress.close()
    if run.as_json:
        click.echo(json.dumps({"output": [str(sheet) for sheet in sheets], "points": len(given)}))
    elif not run.quiet:
        more = f" to {sheets[-1].name}" if len(sheets) > 1 else ""
        click.echo(f"{sheets[0]}{more}: {len(given)} points on {len(sheets)} sheet{'s' * (len(sheets) > 1)}")
