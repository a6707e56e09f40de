"""A store that is being written: what goes into it, and the units into which the work is cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chunkvol import kernels
from chunkvol.formats.ome_zarr.image import Image
from chunkvol.formats.ome_zarr.layout import Layout, check_dtype
from chunkvol.regions import spans
from chunkvol.sources import RawSource, Source

Unit = tuple[int, slice, slice]
"""Level, planes, rows."""

__all__ = ["StoreTarget", "Unit"]


@dataclass(frozen=True)
class StoreTarget:
    """What all units of a store share."""

    name: str
    """The store's folder name."""
    source: Source
    """Voxels of level 0."""
    image: Image
    """Levels and metadata."""
    codec: str
    """Key of `CODECS`."""
    ngff: str = "0.5"
    """Version of the NGFF metadata, which decides that of zarr."""
    bands: tuple[int, int] = (64, 64)
    """Rows held at once in each of the two stages."""
    spool: bool = False
    """True when slabs of decoded planes go through scratch."""
    layers: int = 1
    """Slabs that are made as one: more where each repeats planes of its neighbours."""
    folder: Path = Path()
    """The staging folder, known when the run starts."""

    @property
    def reduction(self) -> str:
        """The kernel that makes the coarser levels of stored values."""
        return kernels.for_stored(self.image.method, self.image.metadata.rescale.slope)

    @property
    def depth(self) -> int:
        """Planes of a slab of level 0: whole chunks, and whole blocks of the coarsest level."""
        planes = self.source.shape[0]
        chunk = self.layout(0).chunk[0]
        return planes if planes <= chunk else min(planes, self.layers * max(chunk, self.image.levels[-1].factors[0]))

    @property
    def rows(self) -> int:
        """Rows of a unit of level 0: whole shards and whole blocks; all rows where planes are decoded whole."""
        if self.source.whole_planes:
            return self.source.shape[1]
        return max(self.layout(0).shard[1], self.image.levels[-1].factors[1])

    def layout(self, level: int) -> Layout:
        """How a level is cut."""
        shape, zarr = self.image.levels[level].geometry.shape, 2 if self.ngff == "0.4" else 3
        return Layout(shape, check_dtype(self.source.dtype), self.codec, zarr)

    def scratch(self, level: int) -> RawSource:
        """The raw voxels of a coarser level, between the stages."""
        path = self.folder / "scratch" / f"level-{level}.raw"
        return RawSource(path, self.image.levels[level].geometry.shape, self.source.dtype)

    def units(self, stage: int) -> Iterator[Unit]:
        """Slabs of level 0 in stage 0, shard rows of all coarser levels in stage 1."""
        if stage == 0:
            yield from self._units_of(0, self.depth, self.rows)
            return
        for level in range(1, len(self.image.levels)):
            layout = self.layout(level)
            yield from self._units_of(level, layout.chunk[0], layout.shard[1])

    def _units_of(self, level: int, depth: int, height: int) -> Iterator[Unit]:
        planes, rows, _ = self.image.levels[level].geometry.shape
        for k in spans(planes, depth):
            for j in spans(rows, height):
                yield level, k, j

    def unit_bytes(self, unit: Unit) -> int:
        """Bytes of the voxels of a unit."""
        level, planes, rows = unit
        columns = self.image.levels[level].geometry.shape[2]
        count: int = (planes.stop - planes.start) * (rows.stop - rows.start) * columns
        return count * self.source.dtype.itemsize
