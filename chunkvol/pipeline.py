"""From a path to a volume, and from a volume to a file: the functions that read and write."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chunkvol import execute, memory, system
from chunkvol.errors import BudgetError, InputError
from chunkvol.execute import Job
from chunkvol.formats import READ_OPTIONS, Format, format_for_reading, format_for_writing
from chunkvol.memory import Plan, Terms, format_bytes
from chunkvol.metadata import IDENTITY
from chunkvol.ops.reorient import canonical as in_canonical_order
from chunkvol.output import check_disk, check_replaceable, check_target, staging
from chunkvol.packing.unpack import UNPACK
from chunkvol.progress import Progress, Silent
from chunkvol.regions import voxels
from chunkvol.volume import Volume

PathLike = str | Path

_TRUST = "trust_paths"
_WORTH_A_NOTE = 1.05
"""Times that the input is read, beyond which a plan says so."""

__all__ = ["Written", "ingest", "open_volume", "plan_write", "write_volume"]


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did."""

    path: Path
    """The output."""
    plan: Plan
    """What was promised."""
    seconds: float
    """Wall time, planning excluded."""
    peak_bytes: int
    """Measured peak memory of the process; 0 where the system does not tell, or other processes did the work."""
    source_bytes: int
    """Bytes of the input that were processed."""


def open_volume(path: PathLike, *, level: int = 0, progress: Progress | None = None, **options: Any) -> Volume:
    """A lazy volume from a file, a folder of slices or a store, in any format that `chunkvol formats` lists as read.

    Parameters
    ----------
    path
        The folder or file; the content decides, not the name.
    level
        Which level of a pyramid; 0 is the finest.
    progress
        Told about the header pass over a series.
    options
        Of the format; `FORMATS[name].read_options` has their names.

        - DICOM series: `series` (a Series Instance UID or the start of a short id), `gaps` ("fill", "split"),
          `fill_value` (real), `uneven` ("resample", "mean"), `duplicates` ("first", "last"), `tilt` ("keep",
          "resample"), `few`, `spacing` ((k, j, i), mm), `float32`, `invert`, `keep_phi`.
        - Slices, arrays and scanner files: `spacing`, `origin` (LPS mm), `orientation` ("LPS" where i, j, k grow
          towards L, P, S), or `geometry` (a `Geometry`, a `Volume` or a path, for which options are that the input
          does not have, such as `series`). Slices also `pattern`, `slices` (a slice
          of the sorted names), `reverse`, `frame` ("imagestacks", "skyscan").
        - Stores and NIfTI: `time`, `channel` (from 0). Stores: `keep_phi`. Segmentations: `segment`. Headers that name
          other files: `trust_paths`.

    Raises
    ------
    InputError
        It cannot be read, or the format has no such option: exit code 2 on the command line.
    GeometryError
        Its voxels do not lie on one regular grid: exit code 3.
    """
    source = Path(path)
    try:
        row = format_for_reading(source)
        template = options.get("geometry")
        if "geometry" in row.read_options and isinstance(template, str | Path):
            options, beside = _shared_out(options, row.read_options, format_for_reading(Path(template)).read_options)
            template = open_volume(template, progress=progress, **beside)
        _check_options(f"{source} is {row.name}", "reading option", options, row.read_options)
        if isinstance(template, Volume):
            options["geometry"] = template.geometry
        if row.read is None:  # cannot be: such rows match nothing
            raise InputError(f"{row.name} is not read")
        # Absolute, because the workers of a cluster may run in another folder.
        volume = row.read(source.absolute(), progress or Silent(), **options)
        if isinstance(template, Volume) and template.metadata.assumed:
            volume = _assumed(volume)
    except PermissionError as error:
        raise InputError(f"{error.filename or source} cannot be read: permission denied") from error
    except OSError as error:
        raise InputError(f"{error.filename or source} cannot be read: {error.strerror or error}") from error
    levels = volume.levels
    if not 0 <= level < len(levels):
        there = f"levels 0 to {len(levels) - 1}" if len(levels) > 1 else "level 0 alone"
        raise InputError(f"{source} has {there}, not {level}")
    return volume if level == 0 else levels[level]


def _shared_out(
    options: dict[str, Any], own: frozenset[str], others: frozenset[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options for a volume, and those for the one whose grid it takes: what it alone has, and trust in paths."""
    beside = {name: value for name, value in options.items() if name in others - own or name in others & {_TRUST}}
    return {name: value for name, value in options.items() if name in own or name not in beside}, beside


def _assumed(volume: Volume) -> Volume:
    """The volume on a grid that was taken from one that nobody stated."""
    said = "nobody stated the grid of --geometry: it is assumed here as it is there"
    metadata = replace(volume.metadata, assumed=True, problems=(*volume.metadata.problems, said))
    return replace(volume, metadata=metadata, coarser=tuple(map(_assumed, volume.coarser)))


def plan_write(
    volume: Volume,
    target: PathLike,
    *,
    format: str = "",
    budget: str | float | None = None,
    workers: int | None = None,
    scheduler: Any = "threads",
    **options: Any,
) -> Plan:
    """What `write_volume` would do: tasks, bytes and peak memory; nothing is written.

    Raises
    ------
    BudgetError
        Nothing fits the budget; the message names the smallest that would.
    """
    _check_volume(volume)
    row = format_for_writing(Path(target), format)
    return _with_notes(_prepare(volume, Path(target), row, budget, workers, scheduler, options).plan, volume, row)


def write_volume(
    volume: Volume,
    target: PathLike,
    *,
    format: str = "",
    overwrite: bool = False,
    budget: str | float | None = None,
    workers: int | None = None,
    scheduler: Any = "threads",
    progress: Progress | None = None,
    **options: Any,
) -> Written:
    """Write a volume in the format of the target's suffix, within a memory budget.

    Parameters
    ----------
    volume
        Read lazily, in blocks.
    target
        Its suffix says which format: `.nrrd`, `.ome.zarr`, `.nii.gz` ...; a folder without suffix is a DICOM series.
    format
        The key of a format, where the name does not tell: "tiff-slices", "png-slices", "imagej" ...
    overwrite
        Replace an existing output, at the very end.
    budget
        Bytes that the process may hold ("2GiB"); by default the smaller of 4 GiB and half of what is available.
    workers
        Units at the same time; by default one a processor.
    scheduler
        "threads", "local", an address, or a `distributed.Client`; the bytes are the same.
    progress
        Told about stages and bytes.
    options
        Of the format: `encoding` ("raw", "gzip") for NRRD, MetaImage, `.seg.nrrd` and TIFF slices; `codec` ("lz4",
        "zstd", "none"), `method` of the pyramid and `ngff_version` for OME-Zarr; `nifti_version`; `slope` ("volume",
        "per-slice") and `template` for DICOM.
    """
    _check_volume(volume)
    path = Path(target)
    check_target([path], overwrite=overwrite)
    row = format_for_writing(path, format)
    check_replaceable(path, row.name, row.is_older)
    volume.source.read_ahead()
    job = _prepare(volume, path, row, budget, workers, scheduler, options)
    check_target([path.with_name(name) for name in job.names], overwrite=overwrite)
    check_disk(path.parent, job.plan.disk_bytes)
    done = _run(job, volume, path, scheduler, progress or Silent(), overwrite)
    return replace(done, plan=_with_notes(job.plan, volume, row))


def ingest(
    source: PathLike | Volume,
    target: PathLike,
    *,
    method: str | None = None,
    canonical: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Volume:
    """Put a scan with all pyramid levels into an OME-Zarr store and open it.

    Parameters
    ----------
    source
        A path, or a volume that is open already.
    target
        Ends in `.ome.zarr`.
    method
        Of the coarser levels; by default the source's own, else mean.
    canonical
        Store in the order L, P, S where that needs no interpolation.
    progress
        Told about stages and bytes.
    options
        Of reading as in `open_volume`, where `source` is a path; all others as in `write_volume`.
    """
    if "method" not in format_for_writing(Path(target), options.get("format", "")).options:
        raise InputError(f"ingest writes an OME-Zarr store; {target} does not end in .ome.zarr")
    reading = {name: options.pop(name) for name in READ_OPTIONS & options.keys()}
    volume = _opened(source, progress, reading)
    if canonical:
        volume = in_canonical_order(volume)
    if method is not None:
        options["method"] = method
    write_volume(volume, target, progress=progress, **options)
    # What was decided about the input, its place or the time that was read, is in the store.
    return open_volume(target, **{name: value for name, value in reading.items() if name == "keep_phi"})


def _opened(source: PathLike | Volume, progress: Progress | None, reading: dict[str, Any]) -> Volume:
    if not isinstance(source, Volume):
        return open_volume(source, progress=progress, **reading)
    if reading:
        raise InputError(f"the volume is open already: give {', '.join(sorted(reading))} to open_volume, or a path")
    return source


def _prepare(
    volume: Volume,
    target: Path,
    row: Format,
    budget: str | float | None,
    workers: int | None,
    scheduler: Any,
    options: dict[str, Any],
) -> Job:
    _check_options(f"{target.name} is {row.name}", "option", options, row.options)
    execute.preload(scheduler)
    volume.source.preload()
    limit = memory.default_budget() if budget is None else memory.parse_bytes(budget)
    if row.prepare is None:  # cannot be: format_for_writing returns rows that write
        raise InputError(f"{row.name} is not written")
    count = execute.worker_count(scheduler, workers)
    busy = volume.source.whole_planes or any(volume.source.rim)  # decoding and interpolating need the processors
    if workers is None and scheduler == "threads" and not busy:
        count *= row.overlap
    if not (scheduler == "threads" or scheduler == "local"):
        count = 1  # on a cluster the budget is each worker's own
    terms = Terms(count, limit, _baseline(scheduler, count), f"write {target.name} ({row.name})")
    source = volume.source
    least = memory.process_bytes(terms.baseline, source.staging_scratch) if source.staging_bytes else 0
    try:
        job = row.prepare(volume, target, terms, **options)
    except BudgetError as error:
        memory.check_staging(limit, least, error)
        raise  # cannot be: it is refused
    memory.check_staging(limit, least, None)
    return job


def _baseline(scheduler: Any, workers: int) -> int:
    """Bytes held before any unit starts; the worker processes of a local cluster count as ours."""
    if scheduler == "threads":
        return system.resident_memory()
    return workers * execute.WORKER_BASELINE + (system.resident_memory() if scheduler == "local" else 0)


def _check_volume(volume: Volume) -> None:
    if not isinstance(volume, Volume):
        found = type(volume).__name__
        raise InputError(f"a Volume is written, not {found}: give an array its place, Volume(array, geometry)")


def _check_options(what: str, kind: str, given: Collection[str], known: frozenset[str]) -> None:
    """Options are named as they are typed; in Python they have underscores."""
    for name in given:
        if name not in known:
            there = ", ".join(map(_typed, sorted(known))) or "none"
            raise InputError(f"{what}, which has no {kind} {_typed(name)}; it has {there}")


def _typed(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _with_notes(plan: Plan, volume: Volume, row: Format) -> Plan:
    """The plan with what is to be said of any output, whatever its format."""
    notes = list(plan.notes)
    if not row.keeps_patient and any(key in volume.metadata.extra for key in IDENTITY):
        notes.append(f"{row.name} tells nothing of the patient: --keep-phi changes nothing of this output")
    if volume.metadata.assumed:
        notes.insert(0, "the geometry is assumed, not stated by the input; the output says so too")
    if volume.source.staging_note:
        notes.append(volume.source.staging_note)
    shown = volume.source.region_bytes
    fetched = next(phase.bytes_read for phase in plan.phases if phase.name != UNPACK)
    if any(volume.source.rim) and volume.shape[0] > 1 and fetched > _WORTH_A_NOTE * shown:
        notes.append(
            f"reads {format_bytes(fetched)}, {fetched / shown:.2f} times the {format_bytes(shown)} of the input that "
            "the output shows: neighbouring blocks read what lies between them twice"
        )
    return replace(plan, notes=tuple(notes), region_bytes=shown)


def _run(job: Job, volume: Volume, target: Path, scheduler: Any, progress: Progress, overwrite: bool) -> Written:
    started = time.monotonic()
    if system.peak_memory() > job.plan.peak_bytes:
        system.reset_peak_memory()  # what the process did before is not this run's
    workers = max(phase.workers for phase in job.plan.phases)
    staged = staging(target.absolute(), job.names, overwrite=overwrite)
    with execute.connected(scheduler, workers) as runner, staged as folder:
        job.run(folder, runner, progress)
        progress.stage("syncing to disk", 0)
    return Written(
        target,
        job.plan,
        time.monotonic() - started,
        system.peak_memory() if scheduler == "threads" else 0,
        voxels(volume.shape) * volume.dtype.itemsize,
    )
