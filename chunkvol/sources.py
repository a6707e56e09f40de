"""Sources: anything that can fill a block of voxels for a region, lazily and from any thread."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol import system
from chunkvol.errors import DamagedError
from chunkvol.regions import Region, Shape, ceil_div, region_shape, shifted, voxels

Block = npt.NDArray[Any]
"""A block of voxels, axes (k, j, i)."""

__all__ = [
    "ArraySource",
    "Block",
    "CroppedSource",
    "DerivedSource",
    "PointwiseSource",
    "RawSource",
    "Source",
    "deliver",
]


class Source(ABC):
    """A volume's voxels, not yet read.

    Contract
    --------
    * Immutable, picklable, and `read` may be called from many threads at once, in any order, twice.
    * `read` returns a C-contiguous block of exactly the region's shape in `dtype` (native byte order), axes (k, j, i).
    * The block depends on the region's voxels alone, never on how the volume is cut into regions.
    * `scratch(shape)` bounds the bytes that a read of such a block holds besides the block itself.
    """

    shape: Shape
    """Voxels along (k, j, i)."""
    dtype: np.dtype[Any]
    """Type of the voxels, native byte order."""

    @property
    def grain(self) -> Shape:
        """The smallest block that is read without touching more: (1, 1, columns) for uncompressed planes,
        (1, rows, columns) for planes that are decoded whole, the chunk for chunked stores."""
        return (1, 1, self.shape[2])

    @property
    def whole_planes(self) -> bool:
        """True where a plane can only be had whole, so that reading it in bands of rows repeats work."""
        return self.shape[1] > 1 and self.grain[1:] == self.shape[1:]

    @property
    def prefers_deep(self) -> bool:
        """True where a read fetches planes beyond its own, so that blocks of many planes save work."""
        return False

    @property
    def rim(self) -> tuple[int, int]:
        """Planes and rows of a block that a read fetches or makes beyond it: the larger it is, the larger blocks are
        best, since each repeats what its neighbours do."""
        return (0, 0)

    def fetched_bytes(self, block: Shape) -> int:
        """Bytes that reading all voxels once fetches from disk, in blocks of this shape; from the copy where one has
        to be made first."""
        return self.staging_bytes or self.stored_bytes

    @property
    def region_bytes(self) -> int:
        """Bytes of the voxels that are needed at all, each counted once."""
        return voxels(self.shape) * self.dtype.itemsize

    @property
    def leftover(self) -> Shape:
        """Voxels at the far end of each axis that an operation had no use for."""
        return (0, 0, 0)

    @property
    def stored_bytes(self) -> int:
        """Bytes that one full read fetches from disk."""
        return voxels(self.shape) * self.dtype.itemsize

    @property
    def fingerprint(self) -> str:
        """Hexadecimal text that changes when the voxels or their geometry may have changed."""
        return ""

    @property
    def staging_bytes(self) -> int:
        """Disk that `staged` needs; 0 where regions can be read in any order."""
        return 0

    @property
    def staging_scratch(self) -> int:
        """Upper bound of the bytes held while `staged` makes a copy; 0 where it is the usual stream's."""
        return 0

    @property
    def staging_note(self) -> str:
        """Why a copy is made, for people, where it is not that the input is packed."""
        return ""

    def staged(self, folder: Path) -> Source:
        """A source that can be read in any order: itself, or a raw copy made in `folder`."""
        return self

    def scratch(self, shape: Shape) -> int:
        """Upper bound of the bytes held while a block of this shape is read, besides the block."""
        return 0

    def preload(self) -> None:
        """Import what reading needs, so that a plan measures it as part of the interpreter."""
        return

    def read_ahead(self) -> None:
        """Ask the system to fetch the first bytes while the work is prepared; a hint that costs no memory of ours."""
        return

    @abstractmethod
    def read(self, region: Region, out: Block | None = None) -> Block:
        """The voxels of `region`, written into `out` when it is given."""

    def __dask_tokenize__(self) -> Any:
        # All fields, since fingerprints may agree: they leave out the middle of large files, and operations.
        from dask.base import normalize_token

        named: tuple[Any, ...] = fields(self) if is_dataclass(self) else ()
        values = [normalize_token(getattr(self, one.name)) for one in named if one.compare]
        return (type(self).__name__, self.fingerprint, self.shape, str(self.dtype), values)


class DerivedSource(Source):
    """A source made of another one, whose facts it passes on where they are its own as well."""

    source: Source
    """The other one."""

    @property
    def fingerprint(self) -> str:
        return self.source.fingerprint

    @property
    def stored_bytes(self) -> int:
        return self.source.stored_bytes

    @property
    def staging_bytes(self) -> int:
        return self.source.staging_bytes

    @property
    def staging_scratch(self) -> int:
        return self.source.staging_scratch

    @property
    def staging_note(self) -> str:
        return self.source.staging_note

    def staged(self, folder: Path) -> Source:
        staged: Source = replace(self, source=self.source.staged(folder))  # type: ignore[type-var]  # all are dataclasses
        return staged

    def preload(self) -> None:
        self.source.preload()

    def read_ahead(self) -> None:
        self.source.read_ahead()


class PointwiseSource(DerivedSource):
    """A source whose voxels are those of another one with other values: everything but the type is shared."""

    @property
    def shape(self) -> Shape:  # type: ignore[override]  # derived here, a field elsewhere
        return self.source.shape

    @property
    def grain(self) -> Shape:
        return self.source.grain

    @property
    def prefers_deep(self) -> bool:
        return self.source.prefers_deep

    @property
    def rim(self) -> tuple[int, int]:
        return self.source.rim

    def fetched_bytes(self, block: Shape) -> int:
        return self.source.fetched_bytes(block)

    @property
    def region_bytes(self) -> int:
        return self.source.region_bytes

    @property
    def leftover(self) -> Shape:
        return self.source.leftover


def deliver(block: Block, out: Block | None) -> Block:
    """`block` itself, contiguous, or copied into `out` where the caller gave one."""
    if out is None:
        return np.ascontiguousarray(block)
    np.copyto(out, block)
    return out


@dataclass(frozen=True)
class RawSource(Source):
    """Voxels in C order at an offset of a file, read by byte range (never mapped: mapped pages count as memory)."""

    path: Path
    """The file."""
    shape: Shape
    """Voxels along (k, j, i)."""
    stored: np.dtype[Any]
    """Type in the file, with its byte order."""
    offset: int = 0
    """Byte at which voxel (0, 0, 0) starts."""
    identity: str = ""
    """Fingerprint, from whoever knows the header."""

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # derived here, a field elsewhere
        return self.stored.newbyteorder("=")

    @property
    def fingerprint(self) -> str:
        return self.identity

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.stored.newbyteorder("=")) if out is None else out
        target = block if block.flags.c_contiguous else np.empty(block.shape, block.dtype)
        with system.opened(self.path) as fd:
            self._fill(fd, region, target)
        if not self.stored.isnative:
            target.byteswap(inplace=True)
        if target is not block:
            np.copyto(block, target)
        return block

    def _fill(self, fd: int, region: Region, block: Block) -> None:
        ks, js, is_ = region
        _, rows, columns = self.shape
        size = self.stored.itemsize
        row_bytes = columns * size
        full_rows = is_.start == 0 and is_.stop == columns
        full_planes = full_rows and js.start == 0 and js.stop == rows
        if full_planes:
            self._pread(fd, block.reshape(-1), self.offset + ks.start * rows * row_bytes)
            return
        for n, k in enumerate(range(ks.start, ks.stop)):
            start = self.offset + (k * rows + js.start) * row_bytes
            if full_rows:
                self._pread(fd, block[n].reshape(-1), start)
                continue
            band = np.empty((js.stop - js.start, columns), self.stored)
            self._pread(fd, band.reshape(-1), start)
            block[n] = band[:, is_].view(block.dtype)

    def _pread(self, fd: int, flat: Block, start: int) -> None:
        view = memoryview(flat.data).cast("B")
        got = system.pread_into(fd, view, start)
        if got < len(view):
            raise DamagedError(
                f"{self.path.name} ends {len(view) - got} bytes before its header says (byte {start + got}); "
                "the file is cut short: copy or export it again"
            )

    def scratch(self, shape: Shape) -> int:
        if shape[2] == self.shape[2]:
            return 0
        return shape[1] * self.shape[2] * self.stored.itemsize


@dataclass(frozen=True)
class CroppedSource(DerivedSource):
    """A region of another source."""

    source: Source
    """The whole."""
    region: Region
    """What is seen of it."""

    @property
    def shape(self) -> Shape:  # type: ignore[override]  # derived here, a field elsewhere
        return region_shape(self.region)

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # as above
        return self.source.dtype

    @property
    def grain(self) -> Shape:
        k, j, i = (min(g, n) for g, n in zip(self.source.grain, self.shape, strict=True))
        return k, j, i

    @property
    def stored_bytes(self) -> int:
        share = voxels(self.shape) / voxels(self.source.shape)
        return math.ceil(self.source.stored_bytes * share)

    def scratch(self, shape: Shape) -> int:
        return self.source.scratch(shape)

    def read_ahead(self) -> None:
        if self.region[0].start == 0:
            self.source.read_ahead()

    def read(self, region: Region, out: Block | None = None) -> Block:
        return self.source.read(shifted(region, [s.start for s in self.region]), out)


@dataclass(frozen=True)
class ArraySource(Source):
    """A numpy or dask array of the user's; a dask block is computed inside the task that needs it."""

    array: Any
    """Anything with shape, dtype and slicing."""

    @property
    def shape(self) -> Shape:  # type: ignore[override]  # derived here, a field elsewhere
        k, j, i = (int(n) for n in self.array.shape)
        return k, j, i

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # as above
        dtype: np.dtype[Any] = np.dtype(self.array.dtype)
        return dtype.newbyteorder("=")

    @property
    def grain(self) -> Shape:
        chunks = getattr(self.array, "chunks", None)
        if chunks is None:
            return (1, 1, self.shape[2])
        k, j, i = (max(axis) for axis in chunks)
        return k, j, i

    @property
    def stored_bytes(self) -> int:
        return 0

    @property
    def fingerprint(self) -> str:
        name = getattr(self.array, "name", None)
        return "" if name is None else str(name)

    def scratch(self, shape: Shape) -> int:
        if not hasattr(self.array, "dask"):
            return 0
        # All dask blocks that the region meets are computed whole, then joined; what a deeper graph holds in between
        # is not known here, and taken to be as much again in double precision.
        met = [min(n, (ceil_div(s, g) + 1) * g) for n, s, g in zip(self.shape, shape, self.grain, strict=True)]
        return voxels(met) * (2 * self.dtype.itemsize + 8)

    def read(self, region: Region, out: Block | None = None) -> Block:
        part = self.array[region]
        if hasattr(part, "compute"):
            part = part.compute(scheduler="synchronous")
        return deliver(np.asarray(part, dtype=self.dtype), out)
