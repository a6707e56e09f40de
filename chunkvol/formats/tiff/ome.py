"""Writing an OME-TIFF: a page a plane in tiles, each with smaller images of itself, in one pass over the source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from chunkvol import memory, system
from chunkvol.errors import BudgetError
from chunkvol.execute import Runner, Work
from chunkvol.formats.tiff.beside import notes_of, sidecar_beside
from chunkvol.formats.tiff.layout import Layout, Level, check_type
from chunkvol.formats.tiff.ome_levels import Pyramid, plane_levels, tile_parts
from chunkvol.formats.tiff.ome_xml import TYPES, ome_xml
from chunkvol.memory import Phase, Plan, Result, Terms
from chunkvol.packing.unpack import SCRATCH, unpack_phases, unpacked
from chunkvol.progress import Progress
from chunkvol.regions import voxels
from chunkvol.slabs import Cut, Unit, cut_volume, read_blocks
from chunkvol.sources import Block, Source
from chunkvol.volume import Volume

__all__ = ["OmeJob", "OmePlanes", "prepare_ome_tiff", "write_ome_planes"]


@dataclass(frozen=True)
class OmePlanes:
    """What all units share."""

    source: Source
    """The voxels as they are to stand in the file."""
    layout: Layout
    """Where everything lies."""
    pyramid: Pyramid
    """How the smaller images are made."""
    cut: Cut
    """Units and blocks."""
    path: Path
    """A file that is long enough already."""
    start: int
    """Byte of the first plane."""


@dataclass(frozen=True)
class OmeJob:
    """A file to be written; see `prepare_ome_tiff`."""

    plan: Plan
    """The promise."""
    work: OmePlanes
    """The work; its path is the file's name."""
    extras: tuple[tuple[str, bytes], ...]
    """Further files beside it, by name: a sidecar."""
    workers: int
    """Units at a time."""

    @property
    def names(self) -> tuple[str, ...]:
        """Everything to publish."""
        return (*(name for name, _ in self.extras), self.work.path.name)

    def run(self, folder: Path, runner: Runner, progress: Progress) -> None:
        """Stage what cannot be read in any order, then the planes, then the files beside them."""
        source, path = unpacked(self.work.source, folder / SCRATCH, progress), folder / self.work.path.name
        start = self.work.layout.begin(path)
        with open(path, "ab") as file:
            file.truncate(self.work.layout.total_bytes)
        work = replace(self.work, source=source, path=path, start=start)
        units = list(work.cut.units(source.shape))
        total = voxels(source.shape) * source.dtype.itemsize
        runner(Work("writing", write_ome_planes, work, units, total, self.workers), progress)
        for name, content in self.extras:
            (folder / name).write_bytes(content)


def write_ome_planes(job: OmePlanes, unit: Unit) -> int:
    """Write some rows of some planes, at all levels; returns the bytes of their voxels."""
    done = 0
    with system.opened(job.path, write=True) as fd:
        for region, block in read_blocks(job.source, job.cut, unit):
            for n, k in enumerate(range(region[0].start, region[0].stop)):
                place = job.start + k * job.layout.plane_bytes
                for rows in job.pyramid.pieces(region[1]):
                    first = region[1].start
                    _write_rows(fd, job, place, rows.start, block[n : n + 1, rows.start - first : rows.stop - first])
                system.write_back_soon(fd, place, job.layout.plane_bytes)
            done += block.nbytes
    return done


def _write_rows(fd: int, job: OmePlanes, place: int, row: int, piece: Block) -> None:
    """Write some rows of a plane that begins at byte `place`, at all levels."""
    first, *others = job.layout.levels
    _write_level(fd, first, place, row, piece[0])
    for level, made in zip(others, job.pyramid.reduced(piece), strict=True):
        _write_level(fd, level, place, row // level.factors[0], made[0])


def _write_level(fd: int, level: Level, place: int, row: int, rows: Block) -> None:
    """Write rows of an image into the tiles that they meet."""
    if not rows.size:
        return
    little = rows.dtype.newbyteorder("<")
    for part, columns, offset in tile_parts(level, slice(row, row + len(rows))):
        voxels_of_part = rows[part.start - row : part.stop - row, columns]
        filled = np.zeros((len(voxels_of_part), level.tile[1]), little)
        filled[:, : voxels_of_part.shape[1]] = voxels_of_part
        system.pwrite(fd, filled.reshape(-1).view(np.uint8).data, place + offset)


def prepare_ome_tiff(volume: Volume, target: Path, terms: Terms) -> OmeJob:
    """Plan an OME-TIFF of real values, uncompressed, with smaller images of each plane and a JSON sidecar.

    Parameters
    ----------
    volume
        What is written; a slope is applied, since OME has no field for it. The smaller images are block means, or
        what the volume's own pyramid is made by: labels keep to labels.
    target
        The file's final place.
    terms
        How the job is to be run.

    Raises
    ------
    InputError
        OME has no such type.
    BudgetError
        Even the smallest block does not fit; the message names the smallest budget that would do.
    """
    real = volume.values
    check_type(real.dtype, tuple(TYPES), "OME-TIFF")
    (planes, rows, columns), source = real.shape, real.source
    levels = plane_levels((rows, columns), real.dtype)
    text = ome_xml(real.geometry, real.dtype)
    layout = Layout(planes, planes, levels, real.dtype, real.geometry.spacing[1:], text).fitted()
    pyramid = Pyramid(real.geometry, real.dtype, real.metadata.pyramid or "mean", levels)
    try:
        count, held, cut = cut_volume(
            source,
            workers=terms.workers,
            room=terms.room,
            cell=(1, pyramid.rows),
            extra=pyramid.scratch,
        )
    except BudgetError as error:
        raise memory.too_small(terms.budget, error) from None
    plan = Plan(
        terms.action,
        _phases(source, layout, cut, count, held),
        _result(real, layout),
        terms.baseline,
        terms.budget,
        source.staging_bytes,
        tuple(notes_of(volume, real, "OME-TIFF")),
    )
    work = OmePlanes(source, layout, pyramid, cut, Path(target.name), layout.start)
    return OmeJob(plan, work, sidecar_beside(real, f"{target.name}.json"), count)


def _phases(source: Source, layout: Layout, cut: Cut, workers: int, held: int) -> tuple[Phase, ...]:
    staged, units = source.staging_bytes, cut.count(source.shape)
    size = layout.planes * layout.plane_bytes
    write = Phase("write", units, min(workers, units), str(cut), held, staged or source.stored_bytes, size)
    return *unpack_phases(source), write


def _result(real: Volume, layout: Layout) -> Result:
    return Result(
        real.shape[::-1],
        real.geometry.spacing[::-1],
        real.dtype.name,
        layout.planes * layout.plane_bytes,
        len(layout.levels),
        real.source.leftover[::-1],
    )
