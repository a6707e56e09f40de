"""Writing a NRRD file in one pass over the source: raw at offsets, or one gzip member from many workers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from chunkvol import memory
from chunkvol.errors import BudgetError, InputError
from chunkvol.execute import Runner, Work
from chunkvol.formats.nrrd.deflate import Deflate, cell_extent, deflate_unit, join, join_bytes, working_bytes
from chunkvol.formats.nrrd.header import check_type, header_from_geometry
from chunkvol.formats.nrrd.packed import STREAM_BYTES
from chunkvol.memory import Phase, Plan, Result
from chunkvol.progress import Progress
from chunkvol.regions import voxels
from chunkvol.slabs import Cut, Fill, cut_volume, fill_unit
from chunkvol.sources import Source
from chunkvol.volume import Volume

ENCODINGS = ("raw", "gzip")
"""What is written; raw is what viewers read by the plane, and noisy data hardly compresses."""

_SCRATCH = "scratch"

__all__ = ["ENCODINGS", "NrrdJob", "nrrd_names", "prepare_nrrd"]


@dataclass(frozen=True)
class NrrdJob:
    """A file to be written; see `prepare_nrrd`."""

    plan: Plan
    """The promise."""
    names: tuple[str, ...]
    """The file, or data and header."""
    source: Source
    """Real values."""
    header: bytes
    """The finished header."""
    encoding: str
    """raw or gzip."""
    cut: Cut
    """Units and blocks."""
    workers: int
    """Units at a time."""

    def run(self, folder: Path, runner: Runner, progress: Progress) -> None:
        """Stage what cannot be read in any order, then the voxels, then a detached header."""
        (folder / _SCRATCH).mkdir()
        job = self
        if self.source.staging_bytes:
            progress.stage("unpacking", self.source.staging_bytes)
            job = replace(self, source=self.source.staged(folder / _SCRATCH))
            progress.advance(self.source.staging_bytes)
        data = folder / self.names[0]
        attached = len(self.names) == 1
        data.write_bytes(self.header if attached else b"")
        if self.encoding == "raw":
            job._fill(data, runner, progress)
        else:
            job._deflate(data, runner, progress)
        if not attached:
            (folder / self.names[1]).write_bytes(self.header)

    def _fill(self, data: Path, runner: Runner, progress: Progress) -> None:
        fill = Fill(self.source, data, data.stat().st_size, self.cut)
        with open(data, "ab") as file:
            file.truncate(fill.offset + fill.total)
        units = list(self.cut.units(self.source.shape))
        runner(Work("writing", fill_unit, fill, units, fill.total, self.workers), progress)

    def _deflate(self, data: Path, runner: Runner, progress: Progress) -> None:
        deflate = Deflate(self.source, data.parent / _SCRATCH, self.cut)
        units = list(self.cut.units(self.source.shape))
        total = voxels(self.source.shape) * self.source.dtype.itemsize
        runner(Work("deflating", deflate_unit, deflate, units, total, self.workers), progress)
        progress.stage("joining", total)
        join(deflate, data, progress)


def nrrd_names(target: Path, encoding: str = "raw") -> tuple[str, ...]:
    """The names of an output: a `.nhdr` has its data beside it, and comes last."""
    if not target.name.lower().endswith(".nhdr"):
        return (target.name,)
    return target.name[:-5] + (".raw.gz" if encoding == "gzip" else ".raw"), target.name


def prepare_nrrd(
    volume: Volume,
    target: Path,
    *,
    encoding: str = "raw",
    workers: int,
    budget: int,
    baseline: int,
    action: str,
) -> NrrdJob:
    """Plan a NRRD file of real values: `.nrrd`, or `.nhdr` with `.raw` or `.raw.gz` beside it.

    Parameters
    ----------
    volume
        What is written; a slope is applied, since NRRD has no field for it.
    target
        The file's final place.
    encoding
        "raw", or "gzip" (one member, level 1, the same bytes for any workers and budget).
    workers, budget, baseline
        Most units at a time; bytes for the whole process; bytes it holds already.
    action
        The plan's title.

    Raises
    ------
    InputError
        The type, the encoding or the name has no place in NRRD.
    BudgetError
        Even the smallest block does not fit; the message names the smallest budget that would do.
    """
    real = volume.values
    source = real.source
    check_type(source.dtype)
    _check_encoding(encoding)
    names = nrrd_names(target, encoding)
    _check_name(names)
    header = header_from_geometry(
        real.geometry, source.dtype, real.metadata, encoding, names[0] if len(names) == 2 else None
    )
    try:
        count, held, cut = _cut(source, encoding, workers, memory.room(budget, baseline))
    except BudgetError as error:
        raise memory.too_small(budget, error) from None
    phases = _phases(source, encoding, cut, count, held)
    plan = _plan(real, volume, phases, cut, action=action, budget=budget, baseline=baseline)
    return NrrdJob(plan, names, source, header, encoding, cut, count)


def _check_encoding(encoding: str) -> None:
    if encoding not in ENCODINGS:
        raise InputError(f"NRRD is written with encoding {' or '.join(ENCODINGS)}, not {encoding!r}")


def _check_name(names: tuple[str, ...]) -> None:
    """Teem takes a data file named with % or LIST for a pattern or a list."""
    if len(names) == 2 and ("%" in names[0] or names[0].upper().startswith("LIST") or names[0] != names[0].strip()):
        raise InputError(f"a NRRD header cannot name the data file {names[0]!r}; choose a plainer name, or .nrrd")


# ------------------------------------------------------------------------------------------------- the promise


def _cut(source: Source, encoding: str, workers: int, room: int) -> tuple[int, int, Cut]:
    if encoding == "raw":
        return cut_volume(source, workers=workers, room=room)
    shape, item = source.shape, source.dtype.itemsize
    return cut_volume(
        source, workers=workers, room=room, cell=cell_extent(shape, item), extra=working_bytes(shape, item)
    )


def _phases(source: Source, encoding: str, cut: Cut, workers: int, held: int) -> tuple[Phase, ...]:
    size = voxels(source.shape) * source.dtype.itemsize
    staged = source.staging_bytes
    units = cut.count(source.shape)
    name = "write" if encoding == "raw" else "deflate"
    phases = [Phase(name, units, min(workers, units), str(cut), held, staged or source.stored_bytes, size)]
    if staged:
        phases.insert(0, Phase("unpack", 1, 1, "a stream", STREAM_BYTES, source.stored_bytes, staged))
    if encoding == "gzip":
        holds = join_bytes(source.shape, source.dtype.itemsize, cut)
        phases.append(Phase("join", 1, 1, "a cell at a time", holds, size, size))
    return tuple(phases)


def _plan(
    real: Volume, volume: Volume, phases: tuple[Phase, ...], cut: Cut, *, action: str, budget: int, baseline: int
) -> Plan:
    size = voxels(real.shape) * real.dtype.itemsize
    # Parts go as they are joined: those that share their planes are there twice for a moment.
    twice = cut.unit[0] * real.shape[1] * real.shape[2] * real.dtype.itemsize if phases[-1].name == "join" else 0
    result = Result(real.shape[::-1], real.geometry.spacing[::-1], real.dtype.name, size, 1, real.source.leftover[::-1])
    notes = []
    if real.dtype != volume.dtype:
        scale = volume.metadata.rescale
        shift = f"{'-' if scale.intercept < 0 else '+'} {abs(scale.intercept):g}"
        notes.append(
            f"NRRD has no slope: real values ({scale.slope:g} * stored {shift}) are written as "
            f"{real.dtype.name}, the input holds {volume.dtype.name}"
        )
    return Plan(action, phases, result, baseline, budget, real.source.staging_bytes + twice, tuple(notes))
