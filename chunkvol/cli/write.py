"""The verbs that write whole volumes: downsample, ingest, convert."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from chunkvol.cli.params import BYTES, FACTORS, GRID_SIZE, LENGTHS
from chunkvol.cli.reading import SOURCE_NAMES, ReadingCommand, open_named, reading_options, reading_options_of_grids
from chunkvol.cli.running import (
    Run,
    making_options,
    pyramid_option,
    run_options,
    source_argument,
    write,
    written_itemsize,
)
from chunkvol.errors import InputError
from chunkvol.formats import format_for_writing
from chunkvol.kernels import REDUCERS
from chunkvol.ops.coarsen import coarsened
from chunkvol.ops.downsample import downsample as downsampled
from chunkvol.ops.factors import fit_factors
from chunkvol.ops.reorient import canonical as in_canonical_order
from chunkvol.pipeline import open_volume
from chunkvol.progress import Progress
from chunkvol.volume import Volume

__all__ = ["convert", "downsample", "ingest"]


@click.command(cls=ReadingCommand)
@source_argument
@click.option("--factor", type=FACTORS, help="How many voxels become one: 4, or 4,4,2 for x, y, z.")
@click.option("--fit", type=BYTES, help="The smallest factors whose voxels, as written, fit: 2GB.")
@click.option("--spacing", type=LENGTHS, help="Of the output (mm); beside --factor or --fit as --source-spacing.")
@click.option("--size", type=GRID_SIZE, help="Of the output: 50%, or 256, or 512,512,300 voxels along x, y, z.")
@click.option(
    "--method", type=click.Choice(list(REDUCERS)), help="How voxels become one (default mean; mode for labels)."
)
@click.option("--ignore-padding", is_flag=True, help="Leave the source's padding values out of means.")
@making_options
@reading_options_of_grids
@run_options
def downsample(
    run: Run,
    source: Path,
    reading: dict[str, Any],
    factor: tuple[int, int, int] | None,
    fit: int | None,
    spacing: tuple[float, float, float] | None,
    size: dict[str, Any] | None,
    method: str | None,
    ignore_padding: bool,
    making: dict[str, Any],
) -> None:
    """Make SOURCE smaller and write it with its origin, spacing and direction.

    SOURCE and output can be any format that `chunkvol formats` lists. Nothing of full size is stored in between. A
    spacing or size that is no whole number of voxels averages each by its share (method mean).

    \b
    Examples:
      chunkvol downsample dicom/ --factor 4 -o small.nrrd
      chunkvol downsample dicom/ --fit 2GB -o small.nrrd --memory 1GiB
      chunkvol downsample dicom/ --spacing 50um -o small.nrrd
      chunkvol downsample scan.ome.zarr --factor 4,4,2 --method median -o small.ome.zarr
    """
    opened = partial(open_named, names=SOURCE_NAMES) if "spacing" in reading or not (factor or fit) else open_volume
    if spacing is not None and (factor or fit):  # they say what the output is
        if "spacing" in reading:
            raise InputError(
                "--factor and --fit say what the output is, and --source-spacing the input: leave --spacing out"
            )
        reading, spacing = reading | {"spacing": spacing}, None
    grid = {**({} if spacing is None else {"spacing": spacing}), **(size or {})}
    if (factor is not None) + (fit is not None) + len(grid) != 1:
        raise InputError("give one of --factor, --fit, --spacing and --size")
    if ignore_padding and method not in (None, "mean"):
        raise InputError(f"--ignore-padding leaves values out of means; it cannot be had with --method {method}")

    def make(progress: Progress) -> Volume:
        volume = opened(source, progress=progress, **reading)
        more = {"ignore": _padding(volume, source)} if ignore_padding else {}
        if grid:
            return coarsened(volume, method=method, **grid, **more)
        factors = factor or fit_factors(volume, fit or 1, itemsize=written_itemsize(volume, run, making))
        return downsampled(volume, factors, method=method, **more)

    write(run, make, **making)


def _padding(volume: Volume, source: Path) -> Any:
    """The smallest and the largest stored value that the source says is padding."""
    stated = volume.metadata.extra.get("padding")
    if not stated:
        raise InputError(f"{source} states no padding values; leave --ignore-padding out")
    return stated


@click.command(cls=ReadingCommand)
@source_argument
@pyramid_option
@click.option("--canonical", is_flag=True, help="Store in the order L, P, S where that needs no interpolation.")
@making_options
@reading_options
@run_options
def ingest(
    run: Run, source: Path, reading: dict[str, Any], method: str | None, canonical: bool, making: dict[str, Any]
) -> None:
    """Write SOURCE at full resolution, with all pyramid levels, in one pass.

    \b
    Examples:
      chunkvol ingest dicom/ -o scan.ome.zarr
      chunkvol ingest labels.nrrd --method mode -o labels.ome.zarr --codec zstd
    """
    if "method" not in format_for_writing(run.output, making.get("format", "")).options:
        raise InputError(
            f"ingest writes an OME-Zarr store; {run.output.name} does not end in .ome.zarr: rename it, or --format "
            "ome-zarr says so of a name without suffix"
        )

    def make(progress: Progress) -> Volume:
        volume = open_volume(source, progress=progress, **reading)
        return in_canonical_order(volume) if canonical else volume

    write(run, make, method=method, **making)


@click.command(cls=ReadingCommand)
@source_argument
@click.option("--level", type=click.IntRange(0), default=0, show_default=True, help="Of a pyramid; 0 is the finest.")
@making_options
@pyramid_option
@reading_options
@run_options
def convert(
    run: Run,
    source: Path,
    reading: dict[str, Any],
    level: int,
    making: dict[str, Any],
    method: str | None,
) -> None:
    """Write SOURCE at full size in the format of the output's suffix.

    \b
    Examples:
      chunkvol convert dicom/ -o scan.nrrd
      chunkvol convert scan.ome.zarr --level 2 -o quarter.nrrd --encoding gzip
    """
    write(
        run,
        lambda progress: open_volume(source, level=level, progress=progress, **reading),
        method=method,
        **making,
    )
