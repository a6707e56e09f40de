"""The command that puts points on the middle of what they mark: refine."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from chunkvol.cli.landmarks_options import (
    PointsRun,
    note_lost,
    opened,
    opening_options,
    points_options,
    read_points,
)
from chunkvol.cli.landmarks_tables import csv_text, save
from chunkvol.cli.params import MARGIN
from chunkvol.cli.reading import deciding_options, shared_out
from chunkvol.cli.show import progress_for
from chunkvol.errors import InputError
from chunkvol.landmarks.indices import index_points
from chunkvol.landmarks.refining import METHODS, Refined
from chunkvol.landmarks.refining import refine as refined
from chunkvol.output import check_target
from chunkvol.progress import Progress
from chunkvol.volume import Volume

_SPACING = "give --spacing"

__all__ = ["refine"]


@click.command()
@click.argument("points", type=click.Path(path_type=Path))
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
            save(report, csv_text(_moves(found)), overwrite=run.overwrite)
        run.write(found.landmarks)
    finally:
        progress.close()
    run.tell({"radius_mm": found.radius, "points": _moves(found)}, str(found))


def _placed_on(a: Path, opening: dict[str, Any], progress: Progress) -> Volume:
    volume = opened(a, opening, progress, "from-")
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
