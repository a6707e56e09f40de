"""Chunks to bytes and back, and between chunks and blocks: what shards (zarr 3) and chunk files (zarr 2) share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from chunkvol.errors import DamagedError
from chunkvol.formats.ome_zarr.layout import ZSTD_LEVEL, Layout
from chunkvol.regions import Region, Shape, ceil_div, intersection
from chunkvol.sources import Block, Source

_MAGIC = b"\x28\xb5\x2f\xfd"
_FLAGS = 0b0001_1111
"""Of a zstd frame's descriptor: unused, reserved, checksum, and the size of a dictionary's number."""

__all__ = ["ChunkedSource", "Chunks", "Cutter", "crc", "load_codecs", "paste", "touched"]


def load_codecs() -> None:
    """Import the compressors, so that a plan measures them."""
    import google_crc32c  # noqa: F401  # imported for its size
    import numcodecs.blosc
    import numcodecs.zstd  # noqa: F401  # as above


def crc(data: Any) -> bytes:
    """The crc32c of bytes, as zarr stores it."""
    import google_crc32c

    return int(google_crc32c.value(bytes(data))).to_bytes(4, "little")


@dataclass(frozen=True, slots=True)
class Chunks:
    """Chunks to bytes and back: a compressor or none, and the checksum that the version of zarr can hold."""

    shape: Shape
    """Voxels of a chunk."""
    dtype: np.dtype[Any]
    """Type of the voxels, little endian."""
    blosc: dict[str, Any] | None
    """Compressor name and level, or None; reading needs only to know that there is one."""
    checked: bool = True
    """True when a crc32c follows each chunk."""
    zstd: bool = False
    """True when a chunk is a zstd frame with its checksum inside."""

    @property
    def size(self) -> int:
        """Bytes of a chunk before compression."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def encode(self, chunk: Block) -> tuple[bytes, ...]:
        """The bytes of a full, contiguous, little-endian chunk, and their checksum where one follows."""
        data = self._compressed(chunk)
        return (data, crc(data)) if self.checked else (data,)

    def _compressed(self, chunk: Block) -> bytes:
        from numcodecs import blosc, zstd

        if self.zstd:
            return bytes(zstd.compress(chunk, ZSTD_LEVEL, checksum=True))
        if self.blosc is None:
            return chunk.tobytes()
        name = self.blosc["cname"].encode()
        return bytes(blosc.compress(chunk, name, self.blosc["clevel"], blosc.BITSHUFFLE, 0))

    def decode(self, data: bytes, where: str) -> Block:
        """The chunk; `where` names it in errors."""
        if self.checked:
            data, found = data[:-4], data[-4:]
            if crc(data) != found:
                raise DamagedError(f"{where} fails its checksum: the store is damaged, make it again or restore a copy")
        if self.zstd:
            data = _from_zstd(data, self.size, where)
        elif self.blosc is not None:
            data = _from_blosc(data, self.size, where)
        if len(data) != self.size:
            raise DamagedError(f"{where} holds {len(data)} bytes, expected {self.size}: the store is damaged")
        return np.frombuffer(data, self.dtype).reshape(self.shape)


def _from_blosc(data: bytes, size: int, where: str) -> bytes:
    from numcodecs import blosc

    # The header's own lengths come first: a lying one must not allocate, and blosc reads on where bytes are missing.
    lengths = int.from_bytes(data[4:8], "little"), int.from_bytes(data[12:16], "little")
    if len(data) < 16 or lengths != (size, len(data)):
        raise DamagedError(f"{where} is not a chunk of {size} bytes: the store is damaged")
    try:
        return bytes(blosc.decompress(data))
    except (RuntimeError, ValueError) as error:
        raise DamagedError(f"{where} cannot be decompressed ({error}): the store is damaged") from error


def _from_zstd(data: bytes, size: int, where: str) -> bytes:
    from numcodecs import zstd

    if _frame_size(data) != size:
        raise DamagedError(f"{where} is not a chunk of {size} bytes with a checksum: the store is damaged")
    try:
        return bytes(zstd.decompress(data))
    except (RuntimeError, ValueError) as error:
        raise DamagedError(f"{where} fails its checksum ({error}): the store is damaged") from error


def _frame_size(data: bytes) -> int:
    """Bytes that a zstd frame says to hold (RFC 8878, 3.1.1.1); -1 where it has no checksum or needs a dictionary."""
    if len(data) < 14 or data[:4] != _MAGIC or data[4] & _FLAGS != 0b100:
        return -1
    kind, single = data[4] >> 6, data[4] >> 5 & 1
    length = (single, 2, 4, 8)[kind]
    start = 6 - single
    if not length:
        return -1
    return int.from_bytes(data[start : start + length], "little") + (256 if length == 2 else 0)


class Cutter:
    """Cuts bands of rows into full chunks, one after the other in the same memory."""

    def __init__(self, layout: Layout) -> None:
        self._chunk = layout.chunk
        self._buffer = np.zeros(layout.chunk, np.dtype(layout.dtype).newbyteorder("<"))

    def __call__(self, block: Block) -> Iterator[tuple[Shape, Block]]:
        """The place of each chunk in the block, counted in chunks, and its voxels, zeros beyond the volume."""
        depth, height, width = self._chunk
        for k, j, i in np.ndindex(*(ceil_div(n, c) for n, c in zip(block.shape, self._chunk, strict=True))):
            part = block[k * depth : (k + 1) * depth, j * height : (j + 1) * height, i * width : (i + 1) * width]
            if part.shape != self._chunk:
                self._buffer[...] = 0
            self._buffer[tuple(slice(0, n) for n in part.shape)] = part
            yield (k, j, i), self._buffer


def touched(region: Region, chunk: Shape) -> Iterator[Shape]:
    """The chunks that a region meets."""
    ranges = [range(s.start // c, ceil_div(s.stop, c)) for s, c in zip(region, chunk, strict=True)]
    for k in ranges[0]:
        for j in ranges[1]:
            for i in ranges[2]:
                yield k, j, i


def paste(block: Block, region: Region, voxels: Block, chunk: Shape) -> None:
    """Put the part of a chunk that lies in `region` at its place in the region's block."""
    k, j, i = (slice(c * n, (c + 1) * n) for c, n in zip(chunk, voxels.shape, strict=True))
    common = intersection((k, j, i), region)
    here = tuple(slice(s.start - r.start, s.stop - r.start) for s, r in zip(common, region, strict=True))
    there = tuple(slice(s.start - c.start, s.stop - c.start) for s, c in zip(common, (k, j, i), strict=True))
    block[here] = voxels[there]


class ChunkedSource(Source):
    """An array of ours that is read chunk by chunk; a missing chunk is an error."""

    chunks: Chunks
    """How a chunk is coded."""
    identity: str
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
        return 4 * self.chunks.size

    def preload(self) -> None:
        load_codecs()
