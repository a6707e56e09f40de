"""The verb that tells two volumes apart: compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from chunkvol.cli.params import BYTES
from chunkvol.cli.reading import ReadingCommand, reading_options
from chunkvol.cli.show import progress_for
from chunkvol.errors import CheckError, InputError
from chunkvol.formats import format_for_reading
from chunkvol.ops.compare import compare as compared
from chunkvol.pipeline import open_volume
from chunkvol.progress import Progress
from chunkvol.volume import Volume

__all__ = ["compare"]


@click.command(cls=ReadingCommand)
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--tolerance", type=float, default=0.01, show_default=True, help="Of places, in voxels of A.")
@click.option("--value-tolerance", type=float, default=0.0, show_default=True, help="Of real values.")
@click.option("--geometry-only", is_flag=True, help="Compare places and read no voxels.")
@click.option("--level", type=click.IntRange(0), default=0, show_default=True, help="Of a pyramid; 0 is the finest.")
@click.option("--memory", type=BYTES, help="Most memory for the whole process, such as 2GiB.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@reading_options
def compare(
    a: Path,
    b: Path,
    as_json: bool,
    tolerance: float,
    value_tolerance: float,
    geometry_only: bool,
    level: int,
    memory: int | None,
    quiet: bool,
    reading: dict[str, Any],
) -> None:
    """Say whether A and B hold the same values at the same places, however they are stored; exit code 4 if not.

    Neither the corner from which voxels are stored nor the order of the axes matters, nor format and type. Options of
    reading hold for A and for B, each for those whose formats have it; so does --level for those with a pyramid.

    \b
    Examples:
      chunkvol compare dicom/ scan.nrrd
      chunkvol compare before.nii.gz after.nii.gz --json
      chunkvol compare scan.ome.zarr quarter.nrrd --level 2 --value-tolerance 0.5
    """
    progress = progress_for(quiet)
    try:
        one, other = _opened([a, b], level, reading, progress)
        found = compared(
            one,
            other,
            tolerance=tolerance,
            value_tolerance=value_tolerance,
            geometry_only=geometry_only,
            budget=memory,
            progress=progress,
        )
    finally:
        progress.close()
    click.echo(json.dumps(found.to_json()) if as_json else str(found))
    if not found.same:
        raise CheckError(f"{a} and {b} are not the same: {found.verdict}")


def _opened(paths: list[Path], level: int, reading: dict[str, Any], progress: Progress) -> list[Volume]:
    """Both volumes; options that neither format has are given to all, to be refused as by any other verb."""
    known = [format_for_reading(path).read_options for path in paths]
    unknown = reading.keys() - known[0] - known[1]
    volumes = []
    for path, names in zip(paths, known, strict=True):
        given = {name: value for name, value in reading.items() if name in names or name in unknown}
        volumes.append(open_volume(path, progress=progress, **given))
        for problem in volumes[-1].metadata.problems:
            progress.say(f"{path}: {problem}")
    if level and all(len(volume.levels) == 1 for volume in volumes):
        raise InputError(f"{paths[0]} and {paths[1]} have level 0 alone, not {level}")
    return [_at_level(path, volume, level) for path, volume in zip(paths, volumes, strict=True)]


def _at_level(path: Path, volume: Volume, level: int) -> Volume:
    levels = volume.levels
    if level == 0 or len(levels) == 1:
        return volume
    if level >= len(levels):
        raise InputError(f"{path} has levels 0 to {len(levels) - 1}, not {level}")
    return levels[level]
