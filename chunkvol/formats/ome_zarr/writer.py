"""Writing a store in one pass over the source: slabs of level 0 to shards, coarser levels by way of scratch.

A unit is a slab (one chunk deep, or as deep as the coarsest level's block) and one row of shards. It reads its voxels
in bands of rows, encodes the chunks of level 0, and reduces the same voxels to all coarser levels, which it puts at
their place in raw scratch files. A second stage encodes those. So each source voxel is read once, no shard has two
writers, and no unit waits for another. Planes that are decoded whole are spooled to scratch, slab by slab, when a slab
does not fit the memory budget.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol import kernels, memory, system
from chunkvol._version import __version__
from chunkvol.errors import BudgetError
from chunkvol.execute import Runner, Work
from chunkvol.formats.ome_zarr.attributes import Image, Level, group_json, viewer_warning
from chunkvol.formats.ome_zarr.layout import Layout, check_dtype
from chunkvol.formats.ome_zarr.shards import ShardWriter, load_codecs
from chunkvol.memory import Phase, Plan, Result
from chunkvol.progress import Progress
from chunkvol.pyramid import level_factors, steps_between
from chunkvol.regions import Region, Shape, region_shape, spans, voxels
from chunkvol.slabs import write_block
from chunkvol.sources import Block, RawSource, Source
from chunkvol.volume import Volume

_BAND_BYTES = 8 << 20
"""Preferred size of a band: large reads, and still near the processor's caches."""

__all__ = ["StoreJob", "prepare_store"]

Unit = tuple[int, slice, slice]
"""Level, planes, rows."""


@dataclass(frozen=True)
class StoreJob:
    """A store to be written; see `prepare_store`."""

    plan: Plan
    """The promise."""
    names: tuple[str, ...]
    """The store's folder name."""
    source: Source
    """Voxels of level 0."""
    image: Image
    """Levels and metadata."""
    codec: str
    """Key of `CODECS`."""
    workers: tuple[int, int]
    """Units at work in each of the two stages."""
    bands: tuple[int, int]
    """Rows held at once in each of the two stages."""
    spool: bool
    """True when slabs of decoded planes go through scratch."""
    folder: Path = Path()
    """The staging folder, known when the run starts."""

    @property
    def depth(self) -> int:
        """Planes of a slab of level 0."""
        return _depth(self.image.levels)

    def layout(self, level: int) -> Layout:
        """How a level is cut."""
        return Layout(self.image.levels[level].geometry.shape, check_dtype(self.source.dtype), self.codec)

    def scratch(self, level: int) -> RawSource:
        """The raw voxels of a coarser level, between the stages."""
        path = self.folder / "scratch" / f"level-{level}.raw"
        return RawSource(path, self.image.levels[level].geometry.shape, self.source.dtype)

    def run(self, folder: Path, runner: Runner, progress: Progress) -> None:
        """Stage what cannot be read in any order, then slabs, then coarser levels, then the metadata."""
        (folder / "scratch").mkdir()
        source = self.source
        if source.staging_bytes:
            progress.stage("unpacking", source.staging_bytes)
            source = source.staged(folder / "scratch")
        job = replace(self, source=source, folder=folder)
        for level in range(1, len(self.image.levels)):
            with open(job.scratch(level).path, "wb") as file:
                file.truncate(voxels(job.scratch(level).shape) * source.dtype.itemsize)
        runner(job.work(0), progress)
        if len(self.image.levels) > 1:
            runner(job.work(1), progress)
        job.write_metadata()

    def work(self, stage: int) -> Work:
        """The units of one of the two stages."""
        units = list(_slab_units(self) if stage == 0 else _level_units(self))
        name = "slabs" if stage == 0 else "levels"
        total = sum(_unit_bytes(self, unit) for unit in units)
        return Work(name, write_unit, self, units, total, self.workers[stage])

    def write_metadata(self) -> None:
        """The arrays' metadata, the group's last."""
        store = self.folder / self.names[0]
        for number, level in enumerate(self.image.levels):
            _write_json(store / level.path / "zarr.json", self.layout(number).to_json())
        _write_json(store / "zarr.json", group_json(self.image, __version__))


def _write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n")


def write_unit(job: StoreJob, unit: Unit) -> int:
    """Write all shards of one slab and shard row (or of all rows, where planes are decoded whole)."""
    level, planes, rows = unit
    source = job.source if level == 0 else job.scratch(level)
    if level > 0:
        _write_rows(job, unit, source, planes.start, job.bands[1])
    elif not source.whole_planes:
        _write_rows(job, unit, source, planes.start, job.bands[0])
    elif job.spool:
        _write_spooled(job, unit)
    else:
        slab = source.read((planes, rows, slice(0, source.shape[2])))
        _write_rows(job, unit, _Held(slab), 0, job.bands[0])
    return _unit_bytes(job, unit)


@dataclass(frozen=True)
class _Held:
    """A slab in memory, cut without copies."""

    slab: Block

    def read(self, region: Region, out: Block | None = None) -> Block:
        return self.slab[region]


def _write_spooled(job: StoreJob, unit: Unit) -> None:
    """Decode each plane of the slab once, to scratch, and go on from there."""
    _, planes, rows = unit
    columns = job.source.shape[2]
    path = job.folder / "scratch" / f"spool-{planes.start}-{threading.get_native_id()}.raw"
    shape = (planes.stop - planes.start, rows.stop, columns)
    try:
        with open(path, "wb", buffering=0) as file:
            for k in range(planes.start, planes.stop):
                file.write(job.source.read((slice(k, k + 1), rows, slice(0, columns))).data.cast("B"))
        _write_rows(job, unit, RawSource(path, shape, job.source.dtype), 0, job.bands[0])
    finally:
        path.unlink(missing_ok=True)


def _write_rows(job: StoreJob, unit: Unit, source: Any, first_plane: int, band: int) -> None:
    """Shard rows one after the other, each in bands; `first_plane` is where the slab starts in `source`."""
    level, planes, rows = unit
    layout = job.layout(level)
    folder = job.folder / job.names[0] / job.image.levels[level].path
    depth = planes.stop - planes.start
    columns = slice(0, layout.shape[2])
    held = np.empty(depth * min(band, rows.stop - rows.start) * columns.stop, job.source.dtype)
    for shard in spans(rows.stop, layout.shard[1], rows.start):
        writer = ShardWriter(folder, layout, planes, shard.start // layout.shard[1])
        try:
            for part in spans(shard.stop, band, shard.start):
                region = (slice(first_plane, first_plane + depth), part, columns)
                block = source.read(region, held[: voxels(region_shape(region))].reshape(region_shape(region)))
                writer.add(block, part.start)
                if level == 0 and len(job.image.levels) > 1:
                    _write_coarser(job, block, planes, part)
            writer.close()
        finally:
            writer.abandon()


def _write_coarser(job: StoreJob, block: Block, planes: slice, rows: slice) -> None:
    levels = job.image.levels
    steps = steps_between([level.factors for level in levels])
    for number, reduced in enumerate(kernels.cascade(job.image.method, block, steps), start=1):
        if reduced.size == 0:
            continue
        fk, fj, _ = levels[number].factors
        target = job.scratch(number)
        k, j = planes.start // fk, rows.start // fj
        region = (slice(k, k + reduced.shape[0]), slice(j, j + reduced.shape[1]), slice(0, reduced.shape[2]))
        with system.opened(target.path, write=True) as fd:
            write_block(fd, reduced, region, target.shape, 0)


def _unit_bytes(job: StoreJob, unit: Unit) -> int:
    level, planes, rows = unit
    columns = job.image.levels[level].geometry.shape[2]
    count: int = (planes.stop - planes.start) * (rows.stop - rows.start) * columns
    return count * job.source.dtype.itemsize


def _depth(levels: Sequence[Level]) -> int:
    """Planes of a slab: whole chunks, and whole blocks of the coarsest level."""
    planes = levels[0].geometry.shape[0]
    return planes if planes <= 64 else max(64, levels[-1].factors[0])


def _unit_rows(job: StoreJob) -> int:
    """Rows of a unit of level 0: whole shards and whole blocks; all rows where planes are decoded whole."""
    layout = job.layout(0)
    if job.source.whole_planes:
        return job.source.shape[1]
    return max(layout.shard[1], job.image.levels[-1].factors[1])


def _slab_units(job: StoreJob) -> Iterator[Unit]:
    planes, rows, _ = job.source.shape
    for k in spans(planes, job.depth):
        for j in spans(rows, _unit_rows(job)):
            yield 0, k, j


def _level_units(job: StoreJob) -> Iterator[Unit]:
    for level in range(1, len(job.image.levels)):
        layout = job.layout(level)
        for k in spans(layout.shape[0], layout.chunk[0]):
            for j in spans(layout.shape[1], layout.shard[1]):
                yield level, k, j


# ------------------------------------------------------------------------------------------------- the promise


def prepare_store(
    volume: Volume,
    target: Path,
    *,
    method: str = "mean",
    codec: str = "lz4",
    workers: int,
    budget: int,
    baseline: int,
    action: str,
) -> StoreJob:
    """Plan an OME-Zarr 0.5 store of stored values with all pyramid levels.

    Parameters
    ----------
    volume
        What becomes level 0.
    target
        The store's final place.
    method
        A nested method of `REDUCERS`: mean, stride, mode, min or max.
    codec
        Key of `CODECS`.
    workers, budget, baseline
        Most units at a time; bytes for the whole process; bytes it holds already.
    action
        The plan's title.

    Raises
    ------
    BudgetError
        When even the smallest units do not fit; the message names the smallest budget that would do.
    """
    source = volume.source
    source.preload()
    load_codecs()
    levels = _levels(volume, method)
    image = Image(levels, replace(volume.metadata, problems=()), method if len(levels) > 1 else "")
    draft = StoreJob(_EMPTY, (target.name,), source, image, codec, (1, 1), (64, 64), False)
    room = budget - baseline - memory.SLACK
    try:
        first, (band, spool) = memory.fit(
            _slab_steps(draft), lambda s: _slab_cost(draft, *s), workers=workers, room=room
        )
        second, band1 = memory.fit(_level_steps(draft), lambda b: _level_cost(draft, b), workers=workers, room=room)
    except BudgetError as error:
        raise memory.too_small(budget, error) from None
    job = replace(draft, workers=(first, second), bands=(band, band1), spool=spool)
    return replace(job, plan=_plan(job, volume, budget, baseline, action))


_EMPTY = Plan("", (), Result((1, 1, 1), (1, 1, 1), "", 0, 1, (0, 0, 0)), 0, 0, 0)


def _levels(volume: Volume, method: str) -> tuple[Level, ...]:
    factors = level_factors(volume.geometry)
    anchor = kernels.REDUCERS[method].anchor
    return tuple(Level(str(n), volume.geometry.coarsened(f, anchor), f) for n, f in enumerate(factors))


def _slab_steps(job: StoreJob) -> list[tuple[int, bool]]:
    """Bands from large to small, and whether planes are spooled; spooling comes last."""
    shape, layout = job.source.shape, job.layout(0)
    unit = max(layout.chunk[1], job.image.levels[-1].factors[1])
    row = job.depth * shape[2] * job.source.dtype.itemsize
    preferred = max(unit, _BAND_BYTES // row // unit * unit)
    bands = sorted(
        {min(b, layout.shard[1]) for b in (preferred, preferred // 2 // unit * unit, unit) if b}, reverse=True
    )
    spooled = [(b, True) for b in bands] if job.source.whole_planes else []
    return [(b, False) for b in bands] + spooled


def _slab_cost(job: StoreJob, band: int, spool: bool) -> int:
    planes, rows, columns = job.source.shape
    depth = min(job.depth, planes)
    item = job.source.dtype.itemsize
    block = (depth, min(band, rows), columns)
    work = _chunk_cost(job, 0) + _cascade_cost(job, block)
    if not job.source.whole_planes:
        return voxels(block) * item + job.source.scratch(block) + work
    if spool:
        plane = (1, rows, columns)
        return max(voxels(plane) * item + job.source.scratch(plane), voxels(block) * item + work)
    slab = (depth, rows, columns)
    return voxels(slab) * item + max(job.source.scratch(slab), work)


def _chunk_cost(job: StoreJob, level: int) -> int:
    """A chunk in one piece, compressed, and the compressor's own copy."""
    return 4 * job.layout(level).chunk_bytes


def _cascade_cost(job: StoreJob, block: Shape) -> int:
    """Sums, reduced values and temporaries of the coarser levels of one band."""
    if len(job.image.levels) == 1:
        return 0
    return kernels.cascade_scratch(
        job.image.method, block, job.source.dtype, steps_between([level.factors for level in job.image.levels])
    )


def _level_steps(job: StoreJob) -> list[int]:
    """Bands of whole chunk rows of level 1, from preferred to small."""
    if len(job.image.levels) == 1:
        return [64]
    layout = job.layout(1)
    row = layout.chunk[0] * layout.shape[2] * job.source.dtype.itemsize
    preferred = min(layout.shard[1], max(64, _BAND_BYTES // row // 64 * 64))
    return sorted({preferred, max(64, preferred // 128 * 64), 64}, reverse=True)


def _level_cost(job: StoreJob, band: int) -> int:
    if len(job.image.levels) == 1:
        return 0
    layout = job.layout(1)
    depth = min(layout.chunk[0], layout.shape[0])
    return depth * min(band, layout.shape[1]) * layout.shape[2] * job.source.dtype.itemsize + _chunk_cost(job, 1)


def _plan(job: StoreJob, volume: Volume, budget: int, baseline: int, action: str) -> Plan:
    item = job.source.dtype.itemsize
    sizes = [voxels(level.geometry.shape) * item for level in job.image.levels]
    coarser = sum(sizes[1:])
    slab = min(job.depth, volume.shape[0]) * voxels((1, *volume.shape[1:])) * item
    spooled = slab * job.workers[0] if job.spool else 0
    cost = _slab_cost(job, job.bands[0], job.spool)
    text = f"{job.depth} planes x {job.bands[0]} rows{', spooled' if job.spool else ''}"
    read = job.source.stored_bytes + (sizes[0] if job.spool else 0)
    wrote = sizes[0] + coarser + (sizes[0] if job.spool else 0)
    phases = [Phase("slabs", len(list(_slab_units(job))), job.workers[0], text, cost, read, wrote)]
    if coarser:
        units = len(list(_level_units(job)))
        text = f"64 planes x {job.bands[1]} rows"
        phases.append(Phase("levels", units, job.workers[1], text, _level_cost(job, job.bands[1]), coarser, coarser))
    if job.source.staging_bytes:
        staged = job.source.staging_bytes
        phases.insert(0, Phase("unpack", 1, 1, "a stream", 4 << 20, job.source.stored_bytes, staged))
    warning = viewer_warning(volume.geometry)
    return Plan(
        action,
        tuple(phases),
        Result(
            volume.shape[::-1],
            volume.geometry.spacing[::-1],
            job.source.dtype.name,
            sum(sizes),
            len(sizes),
            (0, 0, 0),
        ),
        baseline,
        budget,
        coarser + spooled + job.source.staging_bytes,
        (warning,) if warning else (),
    )
