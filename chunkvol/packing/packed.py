"""Voxels behind gzip, zlib or bzip2: inflated once to a raw file, or streamed from the start for a single region."""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from chunkvol.errors import DamagedError
from chunkvol.regions import Region, Shape, region_shape, voxels
from chunkvol.sources import Block, RawSource, Source, deliver

_READ = 1 << 18
_PIECE = 1 << 20
_MOST_LEAD = 64 << 20
"""Bytes that may precede the voxels where the header says only that they are the last ones."""

STREAM_BYTES = 4 * _PIECE + (4 << 20)
"""Most bytes that a stream holds: pieces, the compressed bytes behind them, and the decompressor's state (3.7 MB)."""

__all__ = ["PACKINGS", "STREAM_BYTES", "PackedSource"]


@dataclass(frozen=True, slots=True)
class _Packing:
    """How a kind of compressed stream is read."""

    magic: bytes
    """First bytes of each member."""
    engine: Callable[[], Any]
    """A new decompressor of one member."""
    most_ratio: int
    """No stream of this kind is smaller than its content by more than this."""


PACKINGS = {
    "gzip": _Packing(b"\x1f\x8b", lambda: zlib.decompressobj(wbits=31), 1040),
    "zlib": _Packing(b"\x78", lambda: zlib.decompressobj(wbits=15), 1040),
    "bzip2": _Packing(b"BZh", bz2.BZ2Decompressor, 1 << 21),
}
"""One row for each compressed encoding."""


@dataclass(frozen=True)
class PackedSource(Source):
    """Voxels in a compressed stream, which can only be read from its start.

    `grain` and `scratch` are those of the raw copy that `staged` makes, so that plans are made for it. A read without
    staging inflates everything before its region each time.
    """

    path: Path
    """The file."""
    shape: Shape
    """Voxels along (k, j, i)."""
    stored: np.dtype[Any]
    """Type in the stream, with its byte order."""
    packing: str
    """Key of `PACKINGS`."""
    start: int = 0
    """Byte of the file at which the stream starts."""
    lead: int = 0
    """Inflated bytes before the voxels; -1 when the voxels are the last bytes."""
    identity: str = ""
    """Fingerprint, from whoever knows the header."""
    surplus: int = 1
    """Most bytes that may follow the voxels in their stream, where more means that header and data do not belong
    together; -1 where anything may follow, which is not inflated and whose checksum is not asked for."""

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # derived here, a field elsewhere
        return self.stored.newbyteorder("=")

    @property
    def fingerprint(self) -> str:
        return self.identity

    @property
    def stored_bytes(self) -> int:
        return self.path.stat().st_size - self.start

    @property
    def staging_bytes(self) -> int:
        return voxels(self.shape) * self.stored.itemsize

    @property
    def staging_scratch(self) -> int:
        return STREAM_BYTES

    def scratch(self, shape: Shape) -> int:
        band = 0 if shape[2] == self.shape[2] else shape[1] * self.shape[2] * self.stored.itemsize
        return STREAM_BYTES + band

    def staged(self, folder: Path) -> Source:
        path = folder / f"{self.path.name}.inflated"
        with open(path, "wb") as file:
            for piece in self._pieces():
                file.write(piece)
        return RawSource(path, self.shape, self.stored, 0, self.identity)

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        target = block if block.flags.c_contiguous else np.empty(block.shape, self.dtype)
        pieces = self._pieces()
        tap = _Tap(pieces)
        for start, part in self._runs(region, target):
            tap.fill(part.reshape(-1).view(np.uint8).data, start)
        if region[0].stop == self.shape[0]:
            for _ in pieces:  # to the end, where the checksum stands
                pass
        if not self.stored.isnative:
            target.byteswap(inplace=True)
        return block if target is block else deliver(target, block)

    def _runs(self, region: Region, block: Block) -> Iterator[tuple[int, Block]]:
        """Contiguous parts of the region: first byte in the volume, and where they go."""
        ks, js, is_ = region
        _, rows, columns = self.shape
        for n, k in enumerate(range(ks.start, ks.stop)):
            if is_.stop - is_.start == columns:
                yield (k * rows + js.start) * columns * self.stored.itemsize, block[n]
                continue
            for m, j in enumerate(range(js.start, js.stop)):
                yield ((k * rows + j) * columns + is_.start) * self.stored.itemsize, block[n, m]

    def _pieces(self) -> Iterator[bytes]:
        """All voxel bytes in pieces, never one more; the checksum is verified at the end, where the stream ends there.

        Raises
        ------
        DamagedError
            The stream is corrupt, too short or too long.
        """
        lead = self._measured_lead() if self.lead < 0 else self.lead
        with open(self.path, "rb") as file:
            stream = _Stream(file, self.start, PACKINGS[self.packing])
            skipped = sum(map(len, stream.pieces(lead)))
            found = 0
            if skipped == lead:
                for piece in stream.pieces(self.staging_bytes):
                    found += len(piece)
                    yield piece
            if found < self.staging_bytes:
                raise self._short(found)
            # Asking for more reaches the end of the stream, where the checksum stands.
            if self.surplus >= 0 and sum(map(len, stream.pieces(self.surplus + 1))) > self.surplus:
                raise self._long(self.surplus)

    def _measured_lead(self) -> int:
        """Bytes before the voxels, found by inflating everything once."""
        with open(self.path, "rb") as file:
            stream = _Stream(file, self.start, PACKINGS[self.packing])
            total = sum(map(len, stream.pieces(self.staging_bytes + _MOST_LEAD + 1)))
        if total > self.staging_bytes + _MOST_LEAD:
            raise self._long(_MOST_LEAD)
        if total < self.staging_bytes:
            raise self._short(total)
        return total - self.staging_bytes

    def _short(self, found: int) -> DamagedError:
        return DamagedError(
            f"{self.path} inflates to {found} bytes of voxels where its header promises {self.staging_bytes}; "
            "it is cut short or the header is wrong: copy or export it again"
        )

    def _long(self, surplus: int) -> DamagedError:
        return DamagedError(
            f"{self.path} inflates to more than the {self.staging_bytes} bytes of voxels that its header promises "
            f"(over {surplus} too many); the header is wrong, or lacks a byte skip: export it again"
        )


class _Stream:
    """Inflated bytes of one or more members, in pieces of bounded size."""

    def __init__(self, file: IO[bytes], start: int, packing: _Packing) -> None:
        file.seek(start)
        self._file, self._packing = file, packing
        self._engine = packing.engine()
        self._held = b""

    def pieces(self, length: int) -> Iterator[bytes]:
        """The next `length` bytes; fewer at the end of the stream."""
        while length and (piece := self._read(min(length, _PIECE))):
            length -= len(piece)
            yield piece

    def _read(self, limit: int) -> bytes:
        while not self._engine.eof or self._next_member():
            piece = self._inflate(limit)
            if piece:
                return piece
            if not self._engine.eof and not self._held:
                self._held = self._file.read(_READ)
                if not self._held:
                    raise DamagedError(f"{self._file.name}: its compressed data is cut short; copy or export it again")
        return b""

    def _inflate(self, limit: int) -> bytes:
        try:
            piece: bytes = self._engine.decompress(self._held, limit)
        except (zlib.error, OSError, ValueError) as error:
            raise DamagedError(
                f"{self._file.name}: its compressed data is damaged ({error}); copy or export it again"
            ) from error
        # bz2 keeps its surplus input inside, zlib hands it back.
        self._held = getattr(self._engine, "unconsumed_tail", b"")
        return piece

    def _next_member(self) -> bool:
        """Start the member after a finished one; other bytes there are padding."""
        rest = self._engine.unused_data
        magic = self._packing.magic
        if len(rest) < len(magic):
            rest += self._file.read(_READ)
        if not rest.startswith(magic):
            return False
        self._engine, self._held = self._packing.engine(), rest
        return True


class _Tap:
    """Fills buffers from a stream, forwards only."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._piece, self._at = pieces, memoryview(b""), 0

    def fill(self, view: memoryview, start: int) -> None:
        """Fill `view` with the bytes from `start`."""
        while view:
            if self._at + len(self._piece) <= start:
                self._at += len(self._piece)
                self._piece = memoryview(next(self._pieces))
                continue
            part = self._piece[start - self._at :][: len(view)]
            view[: len(part)] = part
            view, start = view[len(part) :], start + len(part)
