"""The verbs that give voxels the header that they should have had: attach, header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from chunkvol.cli.params import LENGTHS
from chunkvol.cli.reading import ReadingCommand, reading_options
from chunkvol.cli.running import Run, making_options, pyramid_option, run_options, write
from chunkvol.cli.show import progress_for, tell
from chunkvol.errors import GeometryError, InputError
from chunkvol.formats import format_for_reading
from chunkvol.formats.dicom.options import CHOICES, ReadOptions
from chunkvol.formats.front import Fronted, write_header
from chunkvol.geometry.relation import parse_relation
from chunkvol.ops.attach import attach as attached
from chunkvol.ops.stacking import ORDERS
from chunkvol.pipeline import open_volume
from chunkvol.progress import Progress
from chunkvol.volume import Volume

_PLACE = {"spacing", "origin", "orientation", "frame"}
"""Options of reading that are about the scan's place: that of the pixels is given to them."""
_TRUST = "trust_paths"
"""What is decided of both."""
_DICOM = "DICOM series"

__all__ = ["attach", "header"]


@click.command(cls=ReadingCommand)
@click.argument("pixels", type=click.Path(path_type=Path))
@click.option("--relation", metavar="R", help="How PIXELS was made: stride:2, mean:2,2,1, resize, crop:..., flip:z.")
@click.option("--order", type=click.Choice(list(ORDERS)), help="How planes were stacked from DICOM files (position).")
@click.option("--axes", metavar="KJI", help="Of an array, in its own order: kji, jik (stacked with axis=-1), ijk ...")
@click.option(
    "--level", type=click.IntRange(0), default=0, show_default=True, help="Of a pyramid that --geometry names."
)
@making_options
@pyramid_option
@reading_options
@run_options
def attach(
    run: Run,
    pixels: Path,
    relation: str | None,
    order: str | None,
    axes: str | None,
    level: int,
    making: dict[str, Any],
    method: str | None,
    reading: dict[str, Any],
) -> None:
    """Give PIXELS, which lost its header, its place back: that of the scan which --geometry names.

    PIXELS is a decimated stack of images, a .npy mask, or any volume without a place; values stay as they are. Options
    of reading that choose slices are for PIXELS, those of DICOM series and of places for the scan.

    \b
    Examples:
      chunkvol attach small_png/ --geometry dicom/ --relation stride:2 -o small.nrrd
      chunkvol attach mask.npy --geometry dicom/ --order filename --axes jik -o mask.seg.nrrd
      chunkvol attach binned.tif --geometry scan.ome.zarr --relation mean:4,4,2 -o binned.nrrd
    """
    scan = reading.pop("geometry", None)
    if scan is None:
        raise InputError("--geometry names the scan that PIXELS was made from: any file or folder that chunkvol opens")
    if relation is not None:
        parse_relation(relation)  # refuses what is none before headers are read
    for_pixels, for_scan = _shared_out(reading, pixels, scan)

    def make(progress: Progress) -> Volume:
        place = open_volume(scan, level=level, progress=progress, **for_scan)
        for problem in place.metadata.problems:
            progress.say(f"{scan}: {problem}")
        if place.metadata.assumed:
            say = ", or say it with --spacing, --origin and --orientation" * ("origin" in _known(scan))
            raise GeometryError(
                f"{scan} does not say where its voxels lie, so that it can give no place to others; name a file that "
                f"does{say}"
            )
        volume = open_volume(pixels, progress=progress, **for_pixels)
        return attached(volume, place, relation=relation, order=order, axes=axes)

    write(run, make, method=method, **making)


def _shared_out(reading: dict[str, Any], pixels: Path, scan: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options for the pixels and those for the scan; what neither has is given to the scan, to be refused."""
    own, other = _known(pixels), _known(scan)
    first = {name for name in own - _PLACE if name not in ReadOptions.names()}
    chosen = {name for name in reading if name in first or (name in own and name not in other)}
    return (
        {name: value for name, value in reading.items() if name in chosen},
        {name: value for name, value in reading.items() if name not in chosen or (name == _TRUST and name in other)},
    )


def _known(path: Path) -> frozenset[str]:
    return format_for_reading(path).read_options


@click.command()
@click.argument("series", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The header to write, .nhdr.")
@click.option("--series", "chosen", metavar="ID", help="Of several volumes this one.")
@click.option("--duplicates", type=click.Choice(CHOICES["duplicates"]), help="Which of several images at one position.")
@click.option("--gaps", type=click.Choice(["split"]), help="Missing planes: read one run of planes.")
@click.option("--uneven", type=click.Choice(["mean"]), help="Uneven planes: assume their mean step.")
@click.option("--tilt", type=click.Choice(["keep"]), help="Tilted gantry: keep the sheared grid.")
@click.option("--few", is_flag=True, help="Accept one or two planes.")
@click.option("--spacing", type=LENGTHS, help="Of what states none: 0.05, or 50um,50um,0.2 (mm).")
@click.option("--overwrite", is_flag=True, help="Replace an existing header.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no notes.")
def header(
    series: Path,
    output: Path,
    chosen: str | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **reading: Any,
) -> None:
    """Write a NRRD header in front of the uncompressed DICOM files of SERIES; no pixel is copied.

    Slicer, ITK and Teem open the header as a volume in its place. It names the files relative to its own folder. It is
    refused where the pixels are not the last bytes of every file.

    \b
    Examples:
      chunkvol header dicom/ -o dicom.nhdr
      chunkvol header dicom/ --series 1f0c -o dicom/thorax.nhdr
    """
    if format_for_reading(series).name != _DICOM:
        raise InputError(
            f"{series} is {format_for_reading(series).name}: a header is put in front of DICOM files alone"
        )
    # Options that make voxels are not among them: a header can only describe those of the files.
    options = ReadOptions(series=chosen or "", **{name: value for name, value in reading.items() if value})
    progress = progress_for(quiet)
    try:
        done = write_header(series, output, options=options, overwrite=overwrite, progress=progress)
    finally:
        progress.close()
    if as_json:
        click.echo(json.dumps(_facts(done)))
        return
    if not quiet:
        for note in done.notes:
            tell(f"note: {note}")
        size = " x ".join(map(str, done.geometry.shape[::-1]))
        click.echo(f"{done.path}: {size} {done.dtype.name} in {len(done.names)} files, none of them copied")


def _facts(done: Fronted) -> dict[str, Any]:
    return {
        "output": str(done.path),
        "size": list(done.geometry.shape[::-1]),
        "dtype": done.dtype.name,
        "files": len(done.names),
        "notes": list(done.notes),
    }
