"""Writing a file that is a header and then all voxels in C order: raw at offsets, or one compressed stream.

What NRRD, NIfTI, MetaImage and uncompressed TIFF have in common. A format says what its file is (`FlatFile`); the work
is the same for all: one pass over the source, in units that run in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from chunkvol import memory
from chunkvol.errors import BudgetError, InputError
from chunkvol.execute import Runner, Work
from chunkvol.memory import Phase, Plan, Result, Terms
from chunkvol.packing.deflate import Deflate, cell_extent, deflate_unit, join, join_bytes, working_bytes
from chunkvol.packing.unpack import SCRATCH, unpack_phases, unpacked
from chunkvol.progress import Progress
from chunkvol.regions import voxels
from chunkvol.slabs import Cut, Fill, cut_volume, fill_unit
from chunkvol.sources import Source
from chunkvol.volume import Volume

ENCODINGS = ("raw", "gzip")
"""How voxels are written: raw is what viewers read by the plane, and noisy data hardly compresses."""

__all__ = ["ENCODINGS", "FlatFile", "FlatJob", "check_encoding", "prepare_flat", "values_note"]


@dataclass(frozen=True)
class FlatFile:
    """What a format makes of a volume, the voxels left out."""

    names: tuple[str, ...]
    """The file; or the file of the voxels, and after it that of the header."""
    header: bytes
    """What stands before the voxels, or in the header's own file."""
    packing: str = ""
    """"gzip" or "zlib"; empty where the voxels are raw."""
    lead: bytes = b""
    """What is packed before the voxels, in their stream."""
    finish: Callable[[bytes, int], bytes] | None = None
    """The final header, of the same length, from the header and the bytes that the voxels take; picklable."""
    begin: Callable[[Path], int] | None = None
    """Makes the file of the voxels instead of `header`, and returns the byte at which they start; picklable."""
    extras: tuple[tuple[str, bytes], ...] = ()
    """Small files beside it, by name; they are published with `names`."""

    @property
    def attached(self) -> bool:
        """Whether header and voxels share a file."""
        return len(self.names) == 1

    @property
    def all_names(self) -> tuple[str, ...]:
        """Everything to publish, the header last."""
        return (*(name for name, _ in self.extras), *self.names)


@dataclass(frozen=True)
class FlatJob:
    """A file to be written; see `prepare_flat`."""

    plan: Plan
    """The promise."""
    source: Source
    """The voxels as they are to stand in the file."""
    file: FlatFile
    """What the format says."""
    cut: Cut
    """Units and blocks."""
    workers: int
    """Units at a time."""

    @property
    def names(self) -> tuple[str, ...]:
        """Everything to publish."""
        return self.file.all_names

    def run(self, folder: Path, runner: Runner, progress: Progress) -> None:
        """Stage what cannot be read in any order, then the voxels, then the header where it is a file of its own."""
        (folder / SCRATCH).mkdir()
        job = replace(self, source=unpacked(self.source, folder / SCRATCH, progress))
        data = folder / self.file.names[0]
        before = job._begin(data)
        if self.file.packing:
            job._deflate(data, runner, progress)
        else:
            job._fill(data, before, runner, progress)
        self._finish(folder, data.stat().st_size - before)
        for name, content in self.file.extras:
            (folder / name).write_bytes(content)

    def _begin(self, data: Path) -> int:
        """Write what stands before the voxels; returns its length."""
        if self.file.begin is not None:
            return self.file.begin(data)
        return data.write_bytes(self.file.header if self.file.attached else b"")

    def _fill(self, data: Path, start: int, runner: Runner, progress: Progress) -> None:
        fill = Fill(self.source, data, start, self.cut)
        if data.stat().st_size < start + fill.total:
            with open(data, "ab") as file:
                file.truncate(start + fill.total)
        units = list(self.cut.units(self.source.shape))
        runner(Work("writing", fill_unit, fill, units, fill.total, self.workers), progress)

    def _deflate(self, data: Path, runner: Runner, progress: Progress) -> None:
        deflate = Deflate(self.source, data.parent / SCRATCH, self.cut, self.file.packing, self.file.lead)
        units = list(self.cut.units(self.source.shape))
        total = voxels(self.source.shape) * self.source.dtype.itemsize
        runner(Work("deflating", deflate_unit, deflate, units, total, self.workers), progress)
        progress.stage("joining", total)
        join(deflate, data, progress)

    def _finish(self, folder: Path, packed: int) -> None:
        """Put the final header in its place."""
        header = self.file.header if self.file.finish is None else self.file.finish(self.file.header, packed)
        if not self.file.attached:
            (folder / self.file.names[1]).write_bytes(header)
        elif self.file.finish is not None:
            with open(folder / self.file.names[0], "r+b") as file:
                file.write(header)


def prepare_flat(
    real: Volume,
    file: FlatFile,
    *,
    terms: Terms,
    notes: Sequence[str] = (),
) -> FlatJob:
    """Plan a file of a volume's stored values, little endian.

    Parameters
    ----------
    real
        What is written, voxel for voxel.
    file
        Names, header and packing.
    terms
        How the job is to be run.
    notes
        What the format cannot keep, a sentence each.

    Raises
    ------
    BudgetError
        Even the smallest block does not fit; the message names the smallest budget that would do.
    """
    source = real.source
    try:
        count, held, cut = _cut(source, file.packing, terms)
    except BudgetError as error:
        raise memory.too_small(terms.budget, error) from None
    phases = _phases(source, file.packing, cut, count, held)
    size = voxels(real.shape) * real.dtype.itemsize
    # Parts go as they are joined: those that share their planes are there twice for a moment.
    twice = cut.unit[0] * real.shape[1] * real.shape[2] * real.dtype.itemsize if phases[-1].name == "join" else 0
    result = Result(real.shape[::-1], real.geometry.spacing[::-1], real.dtype.name, size, 1, source.leftover[::-1])
    plan = Plan(terms.action, phases, result, terms.baseline, terms.budget, source.staging_bytes + twice, tuple(notes))
    return FlatJob(plan, source, file, cut, count)


def check_encoding(encoding: str, noun: str) -> None:
    """Refuse an encoding that is not written; `noun` is the format."""
    if encoding not in ENCODINGS:
        raise InputError(f"{noun} is written with encoding {' or '.join(ENCODINGS)}, not {encoding!r}")


def values_note(volume: Volume, real: Volume, noun: str) -> list[str]:
    """What there is to say where a format without a slope gets real values in another type."""
    if real.dtype == volume.dtype:
        return []
    scale = volume.metadata.rescale
    shift = f"{'-' if scale.intercept < 0 else '+'} {abs(scale.intercept):g}"
    return [
        f"{noun} has no slope: real values ({scale.slope:g} * stored {shift}) are written as "
        f"{real.dtype.name}, the input holds {volume.dtype.name}"
    ]


# ------------------------------------------------------------------------------------------------- the promise


def _cut(source: Source, packing: str, terms: Terms) -> tuple[int, int, Cut]:
    if not packing:
        return cut_volume(source, workers=terms.workers, room=terms.room)
    shape, item = source.shape, source.dtype.itemsize
    return cut_volume(
        source, workers=terms.workers, room=terms.room, cell=cell_extent(shape, item), extra=working_bytes(shape, item)
    )


def _phases(source: Source, packing: str, cut: Cut, workers: int, held: int) -> tuple[Phase, ...]:
    size = voxels(source.shape) * source.dtype.itemsize
    units = cut.count(source.shape)
    name = "deflate" if packing else "write"
    phases = [*unpack_phases(source)]
    read = cut.fetched_bytes(source)
    phases.append(Phase(name, units, min(workers, units), str(cut), held, read, size))
    if packing:
        holds = join_bytes(source.shape, source.dtype.itemsize, cut)
        phases.append(Phase("join", 1, 1, "a cell at a time", holds, size, size))
    return tuple(phases)
