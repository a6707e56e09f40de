"""Writing a folder with a file for each plane: TIFF and PNG slices, DICOM series.

A format says what the file of a plane holds (`PlaneFiles`); the work is the same for all: units of whole planes that
run in any order, each plane read, encoded and written by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from chunkvol import memory
from chunkvol.errors import BudgetError
from chunkvol.execute import Runner, Work
from chunkvol.memory import Phase, Plan, Result, Terms
from chunkvol.packing.unpack import SCRATCH, unpack_phases, unpacked
from chunkvol.progress import Progress
from chunkvol.regions import voxels
from chunkvol.slabs import Cut, Unit, cut_volume, read_blocks
from chunkvol.sources import Block, Source
from chunkvol.volume import Volume

__all__ = ["PlaneFiles", "PlanesJob", "prepare_planes", "write_planes"]


class PlaneFiles(Protocol):
    """What a format makes of planes; picklable, called from many threads at once."""

    def name(self, k: int) -> str:
        """Name of the file of plane k, within the folder; names sort in the order of the planes."""

    def encoded(self, k: int, plane: Block) -> bytes:
        """The whole file of plane k, from its voxels (rows, columns) in native byte order."""


@dataclass(frozen=True)
class PlanesJob:
    """A folder to be written; see `prepare_planes`."""

    plan: Plan
    """The promise."""
    folder: str
    """Name of the folder to publish."""
    source: Source
    """The voxels as they are to stand in the files."""
    files: PlaneFiles
    """What the format says."""
    cut: Cut
    """Units and blocks of whole planes."""
    workers: int
    """Units at a time."""
    extras: tuple[tuple[str, bytes], ...] = ()
    """Further files of the folder, by name: a sidecar."""

    @property
    def names(self) -> tuple[str, ...]:
        """The folder."""
        return (self.folder,)

    def run(self, folder: Path, runner: Runner, progress: Progress) -> None:
        """Stage what cannot be read in any order, then the planes, then the files beside them."""
        source = unpacked(self.source, folder / SCRATCH, progress)
        target = folder / self.folder
        target.mkdir()
        job = PlanesWork(source, self.files, target, self.cut)
        units = list(self.cut.units(source.shape))
        total = voxels(source.shape) * source.dtype.itemsize
        runner(Work("writing", write_planes, job, units, total, self.workers), progress)
        for name, content in self.extras:
            (target / name).write_bytes(content)


@dataclass(frozen=True)
class PlanesWork:
    """What all units share."""

    source: Source
    """The voxels."""
    files: PlaneFiles
    """What the format says."""
    folder: Path
    """Where the files go; it exists."""
    cut: Cut
    """Units and blocks of whole planes."""


def write_planes(job: PlanesWork, unit: Unit) -> int:
    """Write the files of one unit's planes; returns the bytes of their voxels."""
    done = 0
    for region, block in read_blocks(job.source, job.cut, unit):
        for n, plane in enumerate(block):
            k = region[0].start + n
            (job.folder / job.files.name(k)).write_bytes(job.files.encoded(k, plane))
        done += block.nbytes
    return done


def prepare_planes(
    real: Volume,
    folder: str,
    files: PlaneFiles,
    *,
    encoder_bytes: int,
    terms: Terms,
    notes: Sequence[str] = (),
    extras: Sequence[tuple[str, bytes]] = (),
) -> PlanesJob:
    """Plan a folder with a file for each plane of a volume's stored values.

    Parameters
    ----------
    real
        What is written, voxel for voxel.
    folder
        Name of the folder.
    files
        Names and contents.
    encoder_bytes
        Most bytes that `files.encoded` holds at once, its result included.
    terms
        How the job is to be run.
    notes
        What the format cannot keep, a sentence each.
    extras
        Further files of the folder: name, content.

    Raises
    ------
    BudgetError
        Not even one plane fits; the message names the smallest budget that would do.
    """
    source = real.source
    rows = source.shape[1]
    try:
        count, held, cut = cut_volume(
            source, workers=terms.workers, room=terms.room, cell=(1, rows), extra=encoder_bytes
        )
    except BudgetError as error:
        raise memory.too_small(terms.budget, error) from None
    cut = replace(cut, block=(cut.block[0], rows), unit=(cut.unit[0], rows))
    size = voxels(source.shape) * source.dtype.itemsize
    units = cut.count(source.shape)
    staged = source.staging_bytes
    write = Phase("write", units, min(count, units), str(cut), held, cut.fetched_bytes(source), size)
    result = Result(real.shape[::-1], real.geometry.spacing[::-1], real.dtype.name, size, 1, source.leftover[::-1])
    plan = Plan(
        terms.action, (*unpack_phases(source), write), result, terms.baseline, terms.budget, staged, tuple(notes)
    )
    return PlanesJob(plan, folder, source, files, cut, count, tuple(extras))
