"""Shards as zarr v3 defines them: chunks one after the other, then an index with its checksum.

zarr specification v3, "sharding_indexed": the index holds (offset, length) of every chunk as little-endian uint64, all
ones where a chunk is absent, followed by the crc32c of the index. Here every chunk is compressed and then followed by
its own crc32c, and every chunk that meets the volume is present: an absent one is damage, not background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol import system
from chunkvol.errors import DamagedError
from chunkvol.formats.ome_zarr.chunks import ChunkedSource, Chunks, Cutter, paste, touched
from chunkvol.formats.ome_zarr.chunks import crc as _crc
from chunkvol.formats.ome_zarr.layout import CODECS, Layout
from chunkvol.regions import Region, Shape, ceil_div, region_shape
from chunkvol.sources import Block

_ABSENT = np.uint64(2**64 - 1)

__all__ = ["ShardWriter", "ShardedSource"]


class ShardWriter:
    """The shards of one shard row: `add` bands of rows from top to bottom, then `close`.

    Parameters
    ----------
    folder
        The array's folder.
    layout
        How the array is cut.
    planes
        The planes of the slab, whole chunks deep.
    shard_row
        Which row of shards.
    """

    def __init__(self, folder: Path, layout: Layout, planes: slice, shard_row: int) -> None:
        self._layout = layout
        self._chunks = Chunks(layout.chunk, np.dtype(layout.dtype).newbyteorder("<"), CODECS[layout.codec])
        self._cut = Cutter(layout)
        self._first_plane = planes.start
        depth, columns = layout.chunk[0], layout.shape[2]
        self._files: dict[tuple[int, int], _ShardFile] = {}
        for k in range(planes.start // depth, ceil_div(planes.stop, depth)):
            for i in range(ceil_div(columns, layout.shard[2])):
                path = folder / "c" / str(k) / str(shard_row) / str(i)
                self._files[k, i] = _ShardFile(path, layout.shard_chunks)

    def add(self, block: Block, first_row: int) -> None:
        """Encode a band: planes of the slab, whole chunk rows starting at `first_row`, all columns."""
        depth, height, _ = self._layout.chunk
        in_shard = self._layout.shard_chunks
        for (k, j, i), chunk in self._cut(block):
            row = (first_row // height + j) % in_shard[1]
            file = self._files[self._first_plane // depth + k, i // in_shard[2]]
            file.append(row * in_shard[2] + i % in_shard[2], self._chunks.encode(chunk))

    def close(self) -> None:
        """Write the indices and start the way to disk."""
        for file in self._files.values():
            file.finish()

    def abandon(self) -> None:
        """Close the files after an error."""
        for file in self._files.values():
            file.release()


class _ShardFile:
    """One shard being written."""

    def __init__(self, path: Path, chunks: Shape) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "wb")  # noqa: SIM115  # closed by finish or release
        self._index = np.full((int(np.prod(chunks)), 2), _ABSENT, "<u8")
        self._size = 0

    def append(self, slot: int, parts: Sequence[bytes]) -> None:
        length = sum(map(len, parts))
        for part in parts:
            self._file.write(part)
        self._index[slot] = self._size, length
        self._size += length

    def finish(self) -> None:
        index = self._index.tobytes()
        self._file.write(index + _crc(index))
        self._file.flush()
        system.write_back_soon(self._file.fileno(), 0, self._size)
        self._file.close()

    def release(self) -> None:
        self._file.close()


@dataclass(frozen=True)
class ShardedSource(ChunkedSource):
    """A sharded zarr v3 array, read chunk by chunk with its checksums; a missing chunk is an error."""

    folder: Path
    """The array's folder."""
    shape: Shape
    """Voxels along (k, j, i)."""
    chunks: Chunks
    """How a chunk is coded."""
    shard_chunks: Shape
    """Chunks of a shard along each axis."""
    identity: str = ""
    """Fingerprint of the store."""

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        for shard, chunks in self._by_shard(region).items():
            self._read_shard(shard, chunks, region, block)
        return block

    def _by_shard(self, region: Region) -> dict[Shape, list[Shape]]:
        groups: dict[Shape, list[Shape]] = {}
        a, b, c = self.shard_chunks
        for k, j, i in touched(region, self.chunks.shape):
            groups.setdefault((k // a, j // b, i // c), []).append((k, j, i))
        return groups

    def _read_shard(self, shard: Shape, chunks: Sequence[Shape], region: Region, block: Block) -> None:
        name = "c/" + "/".join(map(str, shard))
        path = self.folder / name
        try:
            with system.opened(path) as fd:
                index = self._index(fd, path)
                for chunk in chunks:
                    self._read_chunk(fd, index, chunk, region, block)
        except FileNotFoundError:
            raise DamagedError(f"{path} is missing: the store is damaged, make it again or restore a copy") from None

    def _index(self, fd: int, path: Path) -> npt.NDArray[np.uint64]:
        size = path.stat().st_size
        length = int(np.prod(self.shard_chunks)) * 16
        data = bytearray(length + 4)
        if size < len(data) or system.pread_into(fd, memoryview(data), size - len(data)) < len(data):
            raise DamagedError(f"{path} is cut short at {size} bytes: the store is damaged")
        if _crc(data[:length]) != data[length:]:
            raise DamagedError(f"the index of {path} fails its checksum: the store is damaged")
        index = np.frombuffer(bytes(data[:length]), "<u8").reshape(-1, 2)
        present = index[:, 0] != _ABSENT
        ends = index[present].astype(object).sum(axis=1)
        if any(end > size for end in ends):
            raise DamagedError(f"{path} is cut short at {size} bytes: its index points beyond the end")
        return index

    def _read_chunk(self, fd: int, index: Any, chunk: Shape, region: Region, block: Block) -> None:
        inside = [c % m for c, m in zip(chunk, self.shard_chunks, strict=True)]
        slot = (inside[0] * self.shard_chunks[1] + inside[1]) * self.shard_chunks[2] + inside[2]
        where = f"chunk {'/'.join(map(str, chunk))} of {self.folder}"
        offset, length = (int(v) for v in index[slot])
        if index[slot, 0] == _ABSENT:
            raise DamagedError(f"{where} is missing: the store is damaged, make it again or restore a copy")
        data = bytearray(length)
        system.pread_into(fd, memoryview(data), offset)
        paste(block, region, self.chunks.decode(bytes(data), where), chunk)
