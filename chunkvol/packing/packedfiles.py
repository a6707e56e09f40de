"""Voxels in many compressed files, as many whole planes in each."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.packing.packed import PACKINGS, STREAM_BYTES, PackedSource
from chunkvol.rawfiles import Bytes, short
from chunkvol.regions import Region, Shape, region_shape, voxels
from chunkvol.sources import Block, RawSource, Source

_COPY = 1 << 20

__all__ = ["PackedFilesSource", "packed_source"]


@dataclass(frozen=True, eq=False)
class PackedFilesSource(Source):
    """Voxels in compressed files, one after the other along k; `staged` inflates them into one raw file.

    As with `PackedSource`, a read without staging inflates each file that the region meets.
    """

    folder: Path
    """Where the names start."""
    names: tuple[str, ...]
    """The files in the order of their planes."""
    starts: Bytes
    """Byte of each file at which its stream starts."""
    shape: Shape
    """Voxels along (k, j, i) of all files together."""
    stored: np.dtype[Any]
    """Type in the streams, with its byte order."""
    packing: str
    """Key of `PACKINGS`."""
    packed_bytes: int
    """Bytes of all files."""
    lead: int = 0
    """Inflated bytes before the voxels of each file; -1 when the voxels are the last bytes."""
    identity: str = ""
    """Fingerprint, from whoever knows the header."""

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # derived here, a field elsewhere
        return self.stored.newbyteorder("=")

    @property
    def fingerprint(self) -> str:
        return self.identity

    @property
    def stored_bytes(self) -> int:
        return self.packed_bytes

    @property
    def staging_bytes(self) -> int:
        return voxels(self.shape) * self.stored.itemsize

    @property
    def staging_scratch(self) -> int:
        return STREAM_BYTES

    def scratch(self, shape: Shape) -> int:
        return self._file(0).scratch(shape)

    def staged(self, folder: Path) -> Source:
        path = folder / "joined.inflated"
        with open(path, "wb") as joined:
            for number in range(len(self.names)):
                part = self._file(number).staged(folder)
                assert isinstance(part, RawSource)
                with open(part.path, "rb") as file:
                    shutil.copyfileobj(file, joined, _COPY)
                part.path.unlink()
        return RawSource(path, self.shape, self.stored, 0, self.identity)

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        ks, js, is_ = region
        planes = self.shape[0] // len(self.names)
        k = ks.start
        while k < ks.stop:
            number = k // planes
            first = number * planes
            stop = min(ks.stop, first + planes)
            part = block[k - ks.start : stop - ks.start]
            self._file(number).read((slice(k - first, stop - first), js, is_), part)
            k = stop
        return block

    def _file(self, number: int) -> PackedSource:
        shape = (self.shape[0] // len(self.names), *self.shape[1:])
        path, start = self.folder / self.names[number], int(self.starts[number])
        return PackedSource(path, shape, self.stored, self.packing, start, self.lead)


def packed_source(
    folder: Path,
    names: tuple[str, ...],
    sizes: Bytes,
    starts: Bytes,
    shape: Shape,
    stored: np.dtype[Any],
    packing: str,
    *,
    lead: int = 0,
    identity: str = "",
) -> Source:
    """The voxels of one or many compressed files, refused where so few bytes cannot hold them.

    Parameters
    ----------
    folder, names, sizes, starts
        The files, their bytes, and where their streams start; each holds the same number of planes.
    shape, stored
        Of the whole, axes (k, j, i).
    packing
        Key of `PACKINGS`.
    lead, identity
        As in `PackedSource`.

    Raises
    ------
    DamagedError
        A file is too small for any stream of its planes.
    """
    part: Shape = (shape[0] // len(names), *shape[1:])
    needed, ratio = voxels(part) * stored.itemsize, PACKINGS[packing].most_ratio
    for name, available in zip(names, np.maximum(sizes - starts, 0).tolist(), strict=True):
        if available * ratio < needed:
            raise short(folder / name, f"at most {available * ratio}", needed, part, stored)
    if len(names) == 1:
        return PackedSource(folder / names[0], shape, stored, packing, int(starts[0]), lead, identity)
    return PackedFilesSource(folder, names, starts, shape, stored, packing, int(sizes.sum()), lead, identity)
