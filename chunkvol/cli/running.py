"""What all verbs that write share: their options, and planning, writing and reporting one output."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from chunkvol.cli.params import BYTES, WINDOW
from chunkvol.cli.show import progress_for, tell
from chunkvol.errors import InputError
from chunkvol.execute import check_scheduler
from chunkvol.flatfile import ENCODINGS
from chunkvol.formats import FORMATS, format_for_writing
from chunkvol.formats.ome_zarr.layout import CODECS
from chunkvol.kernels import REDUCERS
from chunkvol.memory import format_bytes
from chunkvol.ops.quantise import QUANTISED, quantise
from chunkvol.output import check_target
from chunkvol.pipeline import Written, plan_write, write_volume
from chunkvol.progress import Progress
from chunkvol.volume import Volume

PYRAMID_METHODS = [name for name, row in REDUCERS.items() if row.nested]

__all__ = ["Run", "making_options", "pyramid_option", "run_options", "source_argument", "write", "written_itemsize"]


@dataclass(frozen=True, slots=True)
class Run:
    """The options that all writing verbs share."""

    output: Path
    overwrite: bool
    memory: int | None
    workers: int | None
    scheduler: str
    dry_run: bool
    as_json: bool
    quiet: bool


def run_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the shared options; the verb receives them as one `Run`."""

    def verb(**given: Any) -> None:
        names = Run.__slots__
        run = Run(**{name: given.pop(name) for name in names})
        function(run, **given)

    verb.__doc__, verb.__name__ = function.__doc__, function.__name__
    verb.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]  # click keeps options there
    options = [
        click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The file to write."),
        click.option("--overwrite", is_flag=True, help="Replace an existing output, at the very end."),
        click.option("--memory", type=BYTES, help="Most memory for the whole process, such as 2GiB."),
        click.option("-j", "--workers", type=click.IntRange(1), help="Units at the same time."),
        click.option("--scheduler", default="threads", show_default=True, help="threads, local, or tcp://HOST:PORT."),
        click.option("--dry-run", is_flag=True, help="Print the plan and write nothing."),
        click.option("--json", "as_json", is_flag=True, help="Print results as JSON."),
        click.option("-q", "--quiet", is_flag=True, help="No progress, no notes."),
    ]
    for option in reversed(options):
        option(verb)
    return verb


source_argument = click.argument("source", type=click.Path(path_type=Path))
_format = click.option(
    "--format",
    type=click.Choice([row.key for row in FORMATS.values() if row.prepare is not None]),
    help="Of the output, where its suffix does not tell.",
)
_codec = click.option(
    "--codec", type=click.Choice(list(CODECS)), help="Compressor of OME-Zarr chunks (default lz4; in 0.4 zstd)."
)
pyramid_option = click.option(
    "--method", type=click.Choice(PYRAMID_METHODS), help="Of OME-Zarr levels (default as in SOURCE, else mean)."
)
_making = (
    _format,
    click.option(
        "--encoding",
        type=click.Choice(ENCODINGS),
        help="Of NRRD, MetaImage and TIFF slices (default raw; of .seg.nrrd gzip).",
    ),
    _codec,
    click.option("--ngff-version", type=click.Choice(["0.4", "0.5", "0.6"]), help="Of OME-Zarr (default 0.5)."),
    click.option("--nifti-version", type=click.Choice(["1", "2"]), help="Of NIfTI (default 1, 2 where it must be)."),
    click.option("--slope", type=click.Choice(["volume", "per-slice"]), help="Of floats in DICOM (default volume)."),
    click.option("--template", type=click.Path(path_type=Path), help="DICOM series whose patient and study to keep."),
    click.option("--dtype", type=click.Choice(QUANTISED), help="Type to write."),
    click.option("--window", type=WINDOW, help="LO,HI: real values that become the ends of --dtype, or auto."),
)
"""Options that say what the output is like."""


def making_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of making; the verb receives those that were given as one dict, `making`."""

    @functools.wraps(function)
    def verb(*arguments: Any, **given: Any) -> None:
        asked = {name: given.pop(name) for name in _MAKING_NAMES}
        making = {name: value for name, value in asked.items() if value is not None}
        function(*arguments, making=making, **given)

    for option in reversed(_making):
        option(verb)
    return verb


_MAKING_NAMES = (
    "format", "encoding", "codec", "ngff_version", "nifti_version", "slope", "template", "dtype", "window",
)  # fmt: skip  # one name a line would fill the screen


def written_itemsize(volume: Volume, run: Run, making: Mapping[str, Any]) -> int:
    """Bytes of a voxel in the output, as --dtype, the format and the input's slope make it."""
    if "dtype" in making:
        return int(np.dtype(making["dtype"]).itemsize)
    row = format_for_writing(run.output, making.get("format", ""))
    written = volume if row.keeps_stored else volume.values
    return written.dtype.itemsize


def write(run: Run, make: Callable[[Progress], Volume], **options: Any) -> None:
    """Open, plan, and unless it is a dry run, write and report."""
    given = {name: value for name, value in options.items() if value is not None}
    settings: dict[str, Any] = {"budget": run.memory, "workers": run.workers, "scheduler": run.scheduler}
    dtype, window = given.pop("dtype", None), given.pop("window", None)
    if window is not None and dtype is None:
        raise InputError("--window says which values become the ends of an integer type: give --dtype uint8 with it")
    # All that can be refused is, before the headers of a long series are read.
    format_for_writing(run.output, given.get("format", ""))
    check_scheduler(run.scheduler)
    if not run.dry_run:
        check_target([run.output], overwrite=run.overwrite)
    progress = progress_for(run.quiet)
    try:
        volume = make(progress)
        if dtype is not None:
            volume = quantise(volume, dtype, window)
        for problem in volume.metadata.problems:
            progress.say(problem)
        if run.dry_run:
            plan = plan_write(volume, run.output, **settings, **given)
            told = {"problems": list(volume.metadata.problems)}
            click.echo(json.dumps(plan.to_json() | told) if run.as_json else str(plan))
            return
        done = write_volume(volume, run.output, overwrite=run.overwrite, progress=progress, **settings, **given)
    finally:
        progress.close()
    for note in () if run.quiet else done.plan.notes:
        tell(f"note: {note}")
    _print_result(done, volume.metadata.problems, run)


def _print_result(done: Written, problems: Sequence[str], run: Run) -> None:
    plan = done.plan
    rate = plan.bytes_read / max(done.seconds, 1e-6)
    if run.as_json:
        measured = {"output": str(done.path), "seconds": done.seconds, "peak_measured": done.peak_bytes}
        click.echo(json.dumps({**plan.to_json(), "problems": list(problems), **measured}))
    elif not run.quiet:
        size = " x ".join(map(str, plan.result.size))
        held = f"peak memory {format_bytes(done.peak_bytes)} of " if done.peak_bytes else "memory "
        click.echo(
            f"{done.path}: {size} {plan.result.dtype} in {done.seconds:.1f} s, {format_bytes(rate)}/s read, "
            f"{held}{format_bytes(plan.peak_bytes)} planned"
        )
