"""The commands between places and voxels: index, world."""

from __future__ import annotations

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
from chunkvol.cli.reading import deciding_options
from chunkvol.cli.show import progress_for
from chunkvol.errors import InputError
from chunkvol.landmarks.indices import Flags, index_points
from chunkvol.landmarks.points import Landmarks

_SPACING = "give --spacing"

__all__ = ["index", "world"]


@click.command()
@click.argument("points", type=click.Path(path_type=Path))
@click.option("--volume", "scan", required=True, type=click.Path(path_type=Path), help="Whose voxels are meant.")
@opening_options("", "the volume")
@deciding_options
@points_options
def index(run: PointsRun, points: Path, scan: Path, opening: dict[str, Any], decided: dict[str, Any]) -> None:
    """Write a table of the voxels of a volume that POINTS lie in: i, j, k, the nearest ones, and whether it sees them.

    Indices run along x, y, z of the array; 0 is the centre of the first voxel. Each level of a pyramid has its own.

    \b
    Examples:
      chunkvol landmarks index points.mrk.json --volume dicom/ -o voxels.csv
      chunkvol landmarks index points.fcsv --volume scan.ome.zarr --level 2 -o voxels.tsv
    """
    if run.to_frame is not None:
        raise InputError("--to-frame is for places, and index writes voxel indices; leave it out")
    if not run.table:
        raise InputError(f"index writes a table, and {run.output.name} ends neither in .csv nor in .tsv")
    run.check()
    progress = progress_for(run.quiet)
    try:
        volume = opened(scan, opening | decided, progress)
        found = read_points(run, points, volume, _SPACING, progress)
        where = index_points(found, volume)
        run.write(where.listed(found))
        note_lost(found, where.inside, "the volume", volume, progress)
    finally:
        progress.close()
    _tell(run, found, where.inside)


@click.command()
@click.argument("indices", type=click.Path(path_type=Path))
@click.option("--volume", "scan", required=True, type=click.Path(path_type=Path), help="Whose voxels they are.")
@opening_options("", "the volume")
@deciding_options
@points_options
def world(run: PointsRun, indices: Path, scan: Path, opening: dict[str, Any], decided: dict[str, Any]) -> None:
    """Write the places of INDICES, which are voxels of a volume, or fractions of them.

    INDICES is a table with columns i, j, k such as `index` writes, or with --frame a list of another program.

    \b
    Examples:
      chunkvol landmarks world voxels.csv --volume dicom/ -o points.mrk.json
      chunkvol landmarks world Results.csv --frame fiji-pixels --volume tif/ -o points.fcsv --to-frame ras
    """
    if run.frame in ("lps", "ras"):
        raise InputError(f"world takes voxel indices, and points in {run.frame} are places: index and map take those")
    run.check()
    progress = progress_for(run.quiet)
    try:
        volume = opened(scan, opening | decided, progress)
        found = read_points(run, indices, volume, _SPACING, progress)
        run.write(found)
        inside = index_points(found, volume).inside
        note_lost(found, inside, "the volume", volume, progress)
    finally:
        progress.close()
    _tell(run, found, inside)


def _tell(run: PointsRun, found: Landmarks, inside: Flags) -> None:
    counts = {"points": len(found), "placed": int(found.placed.sum()), "inside": int(inside.sum())}
    run.tell(counts, f"{counts['points']} points, {counts['placed']} placed, {counts['inside']} in the field of view")
