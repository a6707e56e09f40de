"""The verbs that keep voxels as they are, and take a part of them or store them in another order: crop, reorient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chunkvol.cli.params import BOUNDS, MARGIN, VOXELS
from chunkvol.cli.reading import ReadingCommand, reading_options
from chunkvol.cli.running import Run, making_options, pyramid_option, run_options, source_argument, write
from chunkvol.errors import InputError
from chunkvol.geometry import Box, Geometry, order_for
from chunkvol.markups import read_markup
from chunkvol.ops.crop import crop as cropped
from chunkvol.ops.reorient import reorient as reoriented
from chunkvol.pipeline import open_volume
from chunkvol.progress import Progress
from chunkvol.volume import Volume

_level = click.option(
    "--level", type=click.IntRange(0), default=0, show_default=True, help="Of a pyramid; 0 is the finest."
)

__all__ = ["crop", "reorient"]


@click.command(cls=ReadingCommand)
@source_argument
@click.option("--voxels", type=VOXELS, help="Of x, y, z: 10:200,:-5,: (: is all, -5 counts from the end).")
@click.option("--bounds", type=BOUNDS, help="In the world, of x, y, z, LPS mm: -10:20.5,:,500um:3cm.")
@click.option("--roi", type=click.Path(path_type=Path), metavar="FILE", help="A region drawn in Slicer, .mrk.json.")
@click.option("--margin", type=MARGIN, help="More on all sides, such as 2mm.")
@_level
@making_options
@pyramid_option
@reading_options
@run_options
def crop(
    run: Run,
    source: Path,
    reading: dict[str, Any],
    roi: Path | None,
    margin: float | None,
    level: int,
    making: dict[str, Any],
    method: str | None,
    **named: Any,
) -> None:
    """Cut a part out of SOURCE, by voxels or by a box of the world, and write it where it lay.

    A box takes the voxels whose centres lie in it; where it is at an angle to the scan, its bounding box in the scan.

    \b
    Examples:
      chunkvol crop scan.ome.zarr --voxels 100:500,:,-200: -o part.nrrd
      chunkvol crop dicom/ --bounds -20:35,0:50,-110:-60 -o part.nrrd
      chunkvol crop scan.ome.zarr --level 1 --roi femur.mrk.json --margin 2mm -o femur.nrrd
    """
    asked = named | {"roi": roi}
    given = [f"--{name}" for name, value in asked.items() if value is not None]
    if len(given) != 1:
        raise InputError(f"give one of --voxels, --bounds and --roi; found {' and '.join(given) or 'none'}")
    if roi is not None:
        named["roi"] = _region(roi)

    def make(progress: Progress) -> Volume:
        volume = open_volume(source, level=level, progress=progress, **reading)
        return cropped(volume, margin=margin or 0.0, **named)

    write(run, make, method=method, **making)


def _region(path: Path) -> Box:
    """The box of the region of interest in a file."""
    region = read_markup(path, "ROI")
    if region.inside_out:
        raise InputError(f"{path} is inside out: it means what lies outside its box; turn that off in Slicer")
    if region.box is None:  # cannot be: the reader refuses a region without a place
        raise InputError(f"{path} has no box")
    return region.box


@click.command(cls=ReadingCommand)
@source_argument
@click.option("--to", "letters", required=True, metavar="XYZ", help="Where x, y, z of the output grow to: LPS, RAS ...")
@_level
@making_options
@pyramid_option
@reading_options
@run_options
def reorient(
    run: Run,
    source: Path,
    reading: dict[str, Any],
    letters: str,
    level: int,
    making: dict[str, Any],
    method: str | None,
) -> None:
    """Store the voxels of SOURCE in another axis order; each keeps its place in the world.

    Axes are permuted and reversed, nothing is interpolated; an oblique scan stays as oblique as it is. The letters,
    one of R and L, one of A and P, one of I and S, say where x, y and z grow TO, as `chunkvol info` does. ITK names
    the ends where axes come from: its "RAI" is "LPS" here.

    \b
    Examples:
      chunkvol reorient scan.nrrd --to RAS -o scan.nii.gz
      chunkvol reorient dicom/ --to LIP -o coronal.nrrd
    """
    order_for(Geometry((1, 1, 1)), letters)  # refuses what is no order before headers are read
    write(
        run,
        lambda progress: reoriented(open_volume(source, level=level, progress=progress, **reading), letters),
        method=method,
        **making,
    )
