"""Chunks as files of their own, as zarr 2 has them, with "/" between the numbers of a chunk.

In the stores that we write every chunk that meets the volume is there: a missing one is damage, not background. With
the codec "zstd" each has a checksum; in the others a damaged chunk is known by its size or by what blosc notices.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chunkvol import system
from chunkvol.errors import DamagedError
from chunkvol.formats.ome_zarr.chunks import ChunkedSource, Chunks, Cutter, paste, touched
from chunkvol.formats.ome_zarr.layout import CODECS, Layout
from chunkvol.regions import Region, Shape, region_shape
from chunkvol.sources import Block

__all__ = ["ChunkFileSource", "ChunkFileWriter"]


class ChunkFileWriter:
    """The chunks of a slab: `add` bands of rows, then `close`.

    Parameters
    ----------
    folder
        The array's folder.
    layout
        How the array is cut.
    planes
        The planes of the slab, whole chunks deep.
    """

    def __init__(self, folder: Path, layout: Layout, planes: slice) -> None:
        dtype, zstd = np.dtype(layout.dtype).newbyteorder("<"), layout.codec == "zstd"
        self._chunks = Chunks(layout.chunk, dtype, None if zstd else CODECS[layout.codec], checked=False, zstd=zstd)
        self._cut = Cutter(layout)
        self._folder = folder
        self._first = planes.start // layout.chunk[0]
        self._height = layout.chunk[1]

    def add(self, block: Block, first_row: int) -> None:
        """Encode a band: planes of the slab, whole chunk rows starting at `first_row`, all columns."""
        for (k, j, i), chunk in self._cut(block):
            path = self._folder / str(self._first + k) / str(first_row // self._height + j) / str(i)
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "wb") as file:
                size = sum(map(file.write, self._chunks.encode(chunk)))
                file.flush()
                system.write_back_soon(file.fileno(), 0, size)

    def close(self) -> None:
        """Nothing is open between bands."""

    def abandon(self) -> None:
        """As `close`."""


@dataclass(frozen=True)
class ChunkFileSource(ChunkedSource):
    """A zarr 2 array of ours, read chunk by chunk; a missing chunk is an error."""

    folder: Path
    """The array's folder."""
    shape: Shape
    """Voxels along (k, j, i)."""
    chunks: Chunks
    """How a chunk is coded."""
    identity: str = ""
    """Fingerprint of the store."""

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        for chunk in touched(region, self.chunks.shape):
            paste(block, region, self._chunk(chunk), chunk)
        return block

    def _chunk(self, chunk: Shape) -> Block:
        name = "/".join(map(str, chunk))
        where = f"chunk {name} of {self.folder}"
        try:
            with system.opened(self.folder / name) as fd:
                size = os.fstat(fd).st_size
                # No compressor makes noise larger than this: a file of any length must not allocate.
                if size > self.chunks.size + self.chunks.size // 64 + 4096:
                    raise DamagedError(
                        f"{where} has {size} bytes, too many for {self.chunks.size}: the store is damaged"
                    )
                data = bytearray(size)
                system.pread_into(fd, memoryview(data), 0)
        except FileNotFoundError:
            raise DamagedError(f"{where} is missing: the store is damaged, make it again or restore a copy") from None
        return self.chunks.decode(bytes(data), where)
