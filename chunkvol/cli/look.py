"""The verbs that only look: info, formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from chunkvol.cli.reading import ReadingCommand, reading_options
from chunkvol.cli.show import progress_for
from chunkvol.errors import GeometryError, InputError, PartialError
from chunkvol.formats import format_for_reading, format_rows, formats_table
from chunkvol.formats.dicom.catalogue.listing import find_volumes, listing, listing_text
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.series import check_decoder, chosen_series
from chunkvol.pipeline import open_volume
from chunkvol.progress import Progress
from chunkvol.summary import summarise, summary_text
from chunkvol.volume import Volume

_DICOM = "DICOM series"

__all__ = ["formats", "info"]


@click.command(cls=ReadingCommand)
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON: size, spacing, origin, direction as ITK has them.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@reading_options
def info(source: Path, as_json: bool, quiet: bool, reading: dict[str, Any]) -> None:
    """Read only the headers of SOURCE and print geometry, type, levels and problems.

    Of a folder with several DICOM volumes, list them with their ids for --series.

    \b
    Examples:
      chunkvol info dicom/
      chunkvol info dicom/ --series 1f0c
      chunkvol info scan.ome.zarr --json
    """
    progress = progress_for(quiet)
    try:
        facts = _facts(source, progress, reading)
    finally:
        progress.close()
    click.echo(json.dumps(facts) if as_json else _text(facts))
    if damaged := facts.get("damaged"):
        more = f"; and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        raise PartialError(f"not all files could be read: {damaged[0]}{more}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def formats(as_json: bool) -> None:
    """List the formats that are read and written, and what each can keep of a volume.

    \b
    Examples:
      chunkvol formats
      chunkvol formats --json
    """
    click.echo(json.dumps(format_rows()) if as_json else formats_table())


def _facts(source: Path, progress: Progress, reading: dict[str, Any]) -> dict[str, Any]:
    """What there is to tell of the volume that is meant, and of all volumes of a DICOM folder."""
    if source.exists() and format_for_reading(source).name == _DICOM and reading.keys() <= ReadOptions.names():
        return _facts_of_folder(source, progress, ReadOptions(**reading))
    return summarise(open_volume(source, progress=progress, **reading), format_for_reading(source).name)


def _facts_of_folder(source: Path, progress: Progress, options: ReadOptions) -> dict[str, Any]:
    """The volumes of a folder, and the facts of the one that is meant; a row says why one cannot be read.

    Of a volume that is asked for by its id the row alone, and what is wrong with it is an error.
    """
    found = find_volumes(source.absolute(), progress)
    groups, skipped = found.groups, found.skipped
    if found.damaged:  # they may be slices of any of the volumes
        if options.series:
            raise InputError(found.damaged[0])
        return {"series": listing(groups), "skipped": list(skipped), "damaged": list(found.damaged)}
    try:
        group, series = chosen_series(groups, str(source), options, skipped)
        check_decoder(series)
    except (GeometryError, InputError):
        if len(groups) > 1 and not options.series:
            return {"series": listing(groups), "skipped": list(skipped)}
        raise
    rows = listing([group] if options.series else groups)
    facts = summarise(Volume(series.source, series.geometry, series.metadata), _DICOM)
    return facts | {"series": rows, "skipped": list(skipped)}


def _text(facts: dict[str, Any]) -> str:
    rows = facts.get("series", ())
    if len(rows) < 2:
        return summary_text(facts)
    table = listing_text(rows, facts["skipped"])
    if "format" in facts:
        return f"{table}\n\n{summary_text(facts)}"
    easiest = min(rows, key=lambda row: (bool(row["left_out"]), len(row["problems"])))
    return f"{table}\nnote  choose one by its id, as in --series {easiest['id']}"
