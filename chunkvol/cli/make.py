"""The verb that makes test data: phantom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from chunkvol.cli.params import LENGTHS, SIZE
from chunkvol.cli.show import progress_for
from chunkvol.phantom import DTYPES, TRANSFER_SYNTAXES, write_phantom

__all__ = ["phantom"]


@click.command()
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--size", type=SIZE, default="512,512,512", show_default=True, help="Voxels along x, y, z.")
@click.option("--spacing", type=LENGTHS, default="0.02", show_default=True, help="With unit, such as 12.3um; else mm.")
@click.option("--oblique", is_flag=True, help="Turn the series in space.")
@click.option("--dtype", type=click.Choice(list(DTYPES)), default="uint16", show_default=True)
@click.option("--transfer-syntax", type=click.Choice(list(TRANSFER_SYNTAXES)), default="explicit", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--sparse", is_flag=True, help="Headers only, pixels as holes: for tests of very large series.")
@click.option("--overwrite", is_flag=True, help="Write into a folder that is not empty.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def phantom(output: Path, size: Any, spacing: Any, as_json: bool, quiet: bool, **options: Any) -> None:
    """Write a micro-CT-like DICOM series into the folder OUTPUT, with a Slicer markups file of its beads.

    \b
    Example:
      chunkvol phantom scan --size 256,256,256 --spacing 12.3um --oblique
    """
    progress = progress_for(quiet)
    progress.stage("slices", size[0], "slices")
    counted = 0

    def tell(done: int, total: int) -> None:
        nonlocal counted
        progress.advance(done - counted)
        counted = done

    try:
        report = write_phantom(output, size=size[::-1], spacing=spacing[::-1], progress=tell, **options)
    finally:
        progress.close()
    beads = len(report.beads.names)
    facts = {"output": str(output), "slices": size[0], "bytes": report.bytes, "beads": beads}
    told = f", {beads} beads in beads.mrk.json" if beads else ""
    click.echo(json.dumps(facts) if as_json else f"{output}: {size[0]} slices{told}")
