"""The verbs that put voxels on another grid: resample, align."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chunkvol.cli.params import BOUNDS, BYTES, GRID_SIZE, LENGTHS
from chunkvol.cli.reading import (
    SOURCE_NAMES,
    ReadingCommand,
    how_to_place,
    open_named,
    reading_options,
    reading_options_of_grids,
    shared_out,
)
from chunkvol.cli.running import Run, making_options, run_options, source_argument, write, written_itemsize
from chunkvol.errors import GeometryError, InputError
from chunkvol.kernels.resampling import METHODS
from chunkvol.ops.align import align as aligned
from chunkvol.ops.align import meeting
from chunkvol.ops.resample import LABEL, RESAMPLERS
from chunkvol.ops.resample import resample as resampled
from chunkvol.pipeline import open_volume
from chunkvol.progress import Progress
from chunkvol.transforms import MAPS, read_transform
from chunkvol.volume import Volume

_method = click.option(
    "--method",
    type=click.Choice(RESAMPLERS),
    help="How values between voxels are found (default linear; of segments label).",
)
_antialias = click.option(
    "--no-antialias", "antialias", flag_value=False, default=True, help="Do not average where the output is coarser."
)
_outside = click.option(
    "--outside", type=float, help="Real value beyond the field of view (default: stated padding, -1000 HU, or 0)."
)

__all__ = ["align", "resample"]


@click.command(cls=ReadingCommand)
@source_argument
@click.option("--like", metavar="REF", type=click.Path(path_type=Path), help="Onto the grid of this file.")
@click.option("--like-series", metavar="ID", help="Of several volumes in REF this one.")
@click.option("--spacing", type=LENGTHS, help="Of the output: 0.05, 50um, or 0.1,0.1,0.2 for x, y, z (mm).")
@click.option("--size", type=GRID_SIZE, help="Of the output: 50%, or 256, or 512,512,300 voxels along x, y, z.")
@click.option("--fit", type=BYTES, help="The finest grid whose voxels, as written, fit: 2GB.")
@click.option("--bounds", type=BOUNDS, help="Only LO:HI,LO:HI,LO:HI of x, y, z, LPS mm.")
@click.option("--upright", is_flag=True, help="Turn the grid so that its axes run along L, P, S.")
@click.option("--affine", metavar="FILE", type=click.Path(path_type=Path), help="Through an ITK .tfm or a 4 x 4 text.")
@click.option("--affine-maps", type=click.Choice(MAPS), help="Which way a 4 x 4 text leads; LPS mm.")
@_method
@_antialias
@_outside
@click.option("--level", type=click.IntRange(0), default=0, show_default=True, help="Of a pyramid; 0 is the finest.")
@making_options
@reading_options_of_grids
@run_options
def resample(
    run: Run,
    source: Path,
    reading: dict[str, Any],
    like: Path | None,
    like_series: str | None,
    size: dict[str, Any] | None,
    affine: Path | None,
    affine_maps: str | None,
    level: int,
    making: dict[str, Any],
    **asked: Any,
) -> None:
    """Put SOURCE on another grid, of any spacing, size and direction, and write it.

    Where the output is coarser, what a voxel covers is averaged. Labels (--method label) are chosen, never mixed.

    \b
    Examples:
      chunkvol resample scan.ome.zarr --spacing 50um -o even.nrrd
      chunkvol resample dicom/ --size 50% -o half.nii.gz
      chunkvol resample small.seg.nrrd --like scan.ome.zarr --method label -o full.seg.nrrd
      chunkvol resample moving.nrrd --like fixed.nrrd --affine to_fixed.tfm -o moved.nrrd
    """
    given = (asked | (size or {})).items()
    grid = {name: value for name, value in given if value is not None and value is not False}  # 0 is a value
    grid["antialias"] = asked["antialias"]
    if like is None and affine is None and not grid.keys() & {"spacing", "size", "percent", "fit", "bounds", "upright"}:
        raise InputError("say onto which grid: --like, --spacing, --size, --fit, --bounds, --upright or --affine")
    if like_series is not None and like is None:
        raise InputError("--like-series chooses a volume of --like: give both")
    if affine_maps is not None and affine is None:
        raise InputError("--affine-maps says which way the file of --affine leads: give both")
    asked_size = [f"--{name}" for name in ("spacing", "fit") if asked[name] is not None] + ["--size"] * bool(size)
    if len(asked_size) > 1:
        raise InputError(f"{' and '.join(asked_size)} each choose the grid; give one of them")
    if affine is not None:
        grid["transform"] = read_transform(affine, affine_maps)

    def make(progress: Progress) -> Volume:
        own, others = (reading, {}) if like is None else shared_out(reading, source, like)
        volume = open_named(source, names=SOURCE_NAMES, level=level, progress=progress, **own)
        grid["itemsize"] = written_itemsize(volume, run, making)
        if like is None:
            return resampled(volume, **grid)
        if volume.metadata.assumed:
            raise GeometryError(
                f"{source} does not say where its voxels lie, so that they cannot be put on the grid of {like}: "
                + how_to_place(source, "--source-spacing")
            )
        return resampled(volume, _reference(like, "--like-series", like_series, others, progress), **grid)

    write(run, make, **making)


def _reference(path: Path, option: str, series: str | None, decided: dict[str, Any], progress: Progress) -> Volume:
    """The volume whose grid is taken, which has to know where it lies; `option` chooses among several."""
    reading = decided if series is None else decided | {"series": series}
    reference = open_named(path, names={"--series": option}, progress=progress, **reading)
    if reference.metadata.assumed:
        raise GeometryError(
            f"{path} does not say where its voxels lie, so that nothing can be put on its grid; name a file that does"
        )
    return reference


@click.command(cls=ReadingCommand)
@click.argument("moving", type=click.Path(path_type=Path))
@click.option("--to", "fixed", required=True, metavar="FIXED", type=click.Path(path_type=Path), help="Has the grid.")
@click.option("--to-series", metavar="ID", help="Of several volumes in FIXED this one.")
@click.option("--labels", is_flag=True, help="MOVING holds labels: choose them, never mix (known of .seg.nrrd, SEG).")
@click.option("--method", type=click.Choice(METHODS), help="How values between voxels are found (default linear).")
@_antialias
@_outside
@making_options
@reading_options
@run_options
def align(
    run: Run,
    moving: Path,
    fixed: Path,
    to_series: str | None,
    labels: bool,
    method: str | None,
    antialias: bool,
    outside: float | None,
    reading: dict[str, Any],
    making: dict[str, Any],
) -> None:
    """Put MOVING on the grid of FIXED, both where they lie in the world, and write it.

    Origins, directions and spacings may differ; voxels of the same index then lie at the same place. This moves
    nothing: volumes that were not scanned in one world need a registration first. What is decided of an irregular
    series (--gaps, --uneven, --duplicates, --tilt, --few) holds for MOVING and for FIXED.

    \b
    Examples:
      chunkvol align labels.seg.nrrd --to dicom/ -o labels_on_scan.seg.nrrd
      chunkvol align pet/ --to ct/ -o pet_on_ct.nrrd
      chunkvol align mask.nrrd --labels --to ct.nii.gz -o mask_on_ct.nrrd
    """
    if labels and method not in (None, "nearest"):
        raise InputError(f"--labels are chosen, never mixed: leave out --method {method}")

    def make(progress: Progress) -> Volume:
        own, others = shared_out(reading, moving, fixed)
        grid = _reference(fixed, "--to-series", to_series, others, progress)
        volume = open_volume(moving, progress=progress, **own)
        if volume.metadata.assumed:
            raise GeometryError(f"{moving} does not say where its voxels lie: {how_to_place(moving)}")
        for sentence in meeting(volume, grid):
            progress.say(sentence)
        chosen = method or (LABEL if labels else None)
        return aligned(volume, grid, method=chosen, antialias=antialias, outside=outside)[0]

    write(run, make, **making)
