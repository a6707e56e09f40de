"""What every source promises: blocks of voxels for regions, lazily and from any thread."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.regions import Region, Shape, voxels

Block = npt.NDArray[Any]
"""A block of voxels, axes (k, j, i)."""

__all__ = ["Block", "Source", "deliver"]


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


def deliver(block: Block, out: Block | None) -> Block:
    """`block` itself, contiguous, or copied into `out` where the caller gave one."""
    if out is None:
        return np.ascontiguousarray(block)
    np.copyto(out, block)
    return out
