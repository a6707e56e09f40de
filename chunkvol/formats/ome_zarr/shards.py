"""Shards as zarr v3 defines them: chunks one after the other, then an index with its checksum.

zarr specification v3, "sharding_indexed": the index holds (offset, length) of every chunk as little-endian uint64, all
ones where a chunk is absent, followed by the crc32c of the index. Here every chunk is compressed and then followed by
its own crc32c, and every chunk that meets the volume is present: an absent one is damage, not background.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol import system
from chunkvol.errors import DamagedError
from chunkvol.formats.ome_zarr.layout import CODECS, Layout
from chunkvol.regions import Region, Shape, ceil_div, intersection, region_shape
from chunkvol.sources import Block, Source

_ABSENT = np.uint64(2**64 - 1)

__all__ = ["Chunks", "ShardWriter", "ShardedSource", "load_codecs"]


def load_codecs() -> None:
    """Import the compressors, so that a plan measures them."""
    import google_crc32c  # noqa: F401  # imported for its size
    import numcodecs.blosc  # noqa: F401  # as above


def _crc(data: Any) -> bytes:
    import google_crc32c

    return int(google_crc32c.value(bytes(data))).to_bytes(4, "little")


@dataclass(frozen=True, slots=True)
class Chunks:
    """Chunks to bytes and back: blosc or nothing, then crc32c."""

    shape: Shape
    """Voxels of a chunk."""
    dtype: np.dtype[Any]
    """Type of the voxels, little endian."""
    blosc: dict[str, Any] | None
    """Compressor name and level, or None; reading needs only to know that there is one."""
    checked: bool = True
    """True when a crc32c follows each chunk."""

    def encode(self, chunk: Block) -> tuple[bytes, bytes]:
        """The bytes of a full, contiguous, little-endian chunk, and their checksum."""
        from numcodecs import blosc

        if self.blosc is None:
            data = chunk.tobytes()
        else:
            name = self.blosc["cname"].encode()
            data = blosc.compress(chunk, name, self.blosc["clevel"], blosc.BITSHUFFLE, 0)
        return data, _crc(data)

    def decode(self, data: bytes, where: str) -> Block:
        """The chunk; `where` names it in errors."""
        if self.checked:
            data, crc = data[:-4], data[-4:]
            if _crc(data) != crc:
                raise DamagedError(f"{where} fails its checksum: the store is damaged, make it again or restore a copy")
        size = int(np.prod(self.shape)) * self.dtype.itemsize
        if self.blosc is not None:
            data = _decompress(data, size, where)
        if len(data) != size:
            raise DamagedError(f"{where} holds {len(data)} bytes, expected {size}: the store is damaged")
        return np.frombuffer(data, self.dtype).reshape(self.shape)


def _decompress(data: bytes, size: int, where: str) -> bytes:
    from numcodecs import blosc

    # The header's own length comes first: a lying one must not allocate.
    if len(data) < 16 or int.from_bytes(data[4:8], "little") != size:
        raise DamagedError(f"{where} is not a chunk of {size} bytes: the store is damaged")
    try:
        return bytes(blosc.decompress(data))
    except (RuntimeError, ValueError) as error:
        raise DamagedError(f"{where} cannot be decompressed ({error}): the store is damaged") from error


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
        self._first_plane = planes.start
        self._buffer = np.zeros(layout.chunk, np.dtype(layout.dtype).newbyteorder("<"))
        depth, columns = layout.chunk[0], layout.shape[2]
        self._files: dict[tuple[int, int], _ShardFile] = {}
        for k in range(planes.start // depth, ceil_div(planes.stop, depth)):
            for i in range(ceil_div(columns, layout.shard[2])):
                path = folder / "c" / str(k) / str(shard_row) / str(i)
                self._files[k, i] = _ShardFile(path, layout.shard_chunks)

    def add(self, block: Block, first_row: int) -> None:
        """Encode a band: planes of the slab, whole chunk rows starting at `first_row`, all columns."""
        depth, height, width = self._layout.chunk
        in_shard = self._layout.shard_chunks
        for k, j, i in np.ndindex(*(ceil_div(n, c) for n, c in zip(block.shape, self._layout.chunk, strict=True))):
            part = block[k * depth : (k + 1) * depth, j * height : (j + 1) * height, i * width : (i + 1) * width]
            row = (first_row // height + j) % in_shard[1]
            file = self._files[self._first_plane // depth + k, i // in_shard[2]]
            file.append(row * in_shard[2] + i % in_shard[2], self._chunks.encode(self._padded(part)))

    def _padded(self, part: Block) -> Block:
        """The chunk in one piece, zeros beyond the volume; the memory is the same for every chunk."""
        if part.shape != self._layout.chunk:
            self._buffer[...] = 0
        self._buffer[tuple(slice(0, n) for n in part.shape)] = part
        return self._buffer

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
class ShardedSource(Source):
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

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # derived here, a field elsewhere
        return self.chunks.dtype.newbyteorder("=")

    @property
    def grain(self) -> Shape:
        return self.chunks.shape

    @property
    def fingerprint(self) -> str:
        return self.identity

    def scratch(self, shape: Shape) -> int:
        return 4 * int(np.prod(self.chunks.shape)) * self.dtype.itemsize

    def preload(self) -> None:
        load_codecs()

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        for shard, chunks in self._by_shard(region):
            self._read_shard(shard, chunks, region, block)
        return block

    def _by_shard(self, region: Region) -> Iterator[tuple[Shape, list[Shape]]]:
        groups: dict[Shape, list[Shape]] = {}
        ranges = [range(s.start // c, ceil_div(s.stop, c)) for s, c in zip(region, self.chunks.shape, strict=True)]
        for k in ranges[0]:
            for j in ranges[1]:
                for i in ranges[2]:
                    a, b, c = self.shard_chunks
                    groups.setdefault((k // a, j // b, i // c), []).append((k, j, i))
        yield from groups.items()

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
        voxels = self.chunks.decode(bytes(data), where)
        k, j, i = (slice(c * n, (c + 1) * n) for c, n in zip(chunk, self.chunks.shape, strict=True))
        common = intersection((k, j, i), region)
        here = tuple(slice(s.start - r.start, s.stop - r.start) for s, r in zip(common, region, strict=True))
        there = tuple(slice(s.start - c.start, s.stop - c.start) for s, c in zip(common, (k, j, i), strict=True))
        block[here] = voxels[there]
