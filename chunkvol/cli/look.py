"""The verb that only looks: info."""

from __future__ import annotations

import json
from pathlib import Path

import click

from chunkvol.cli.show import progress_for
from chunkvol.formats import format_for_reading
from chunkvol.pipeline import open_volume
from chunkvol.summary import summarise, summary_text

__all__ = ["info"]


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON: size, spacing, origin, direction as ITK has them.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def info(source: Path, as_json: bool, quiet: bool) -> None:
    """Read only the headers of SOURCE and print geometry, type, levels and problems.

    \b
    Examples:
      chunkvol info dicom/
      chunkvol info scan.ome.zarr --json
    """
    progress = progress_for(quiet)
    try:
        volume = open_volume(source, progress=progress)
    finally:
        progress.close()
    facts = summarise(volume, format_for_reading(source).name)
    click.echo(json.dumps(facts) if as_json else summary_text(facts))
