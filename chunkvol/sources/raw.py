"""Voxels that lie in a file as they are in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol import system
from chunkvol.errors import DamagedError
from chunkvol.regions import Region, Shape, region_shape
from chunkvol.sources.contract import Block, Source

__all__ = ["RawSource"]


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
