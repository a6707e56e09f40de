"""The labels of a segmentation, read frame by frame; planes without frames are background."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import FormatError
from chunkvol.formats.dicom.segmentation.frames import StoredFrames
from chunkvol.regions import Region, Shape, region_shape
from chunkvol.sources import Block, Source

Index = npt.NDArray[np.int64]

__all__ = ["LabelFrames", "MaskFrames"]


@dataclass(frozen=True, eq=False)
class _Frames(Source):
    """Planes made of any number of frames each; one frame is held at a time."""

    frames: StoredFrames
    """The stored frames."""
    shape: Shape
    """Voxels along (k, j, i)."""
    labels: np.dtype[Any]
    """Type of the labels."""
    stored: Index
    """Which stored frame each one is, shape (frames,)."""
    planes: Index
    """Its plane, ascending, shape (frames,)."""
    identity: str
    """Fingerprint."""

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # derived here, a field elsewhere
        return self.labels

    @property
    def grain(self) -> Shape:
        return 1, 1 if self.frames.by_rows else self.shape[1], self.shape[2]

    @property
    def fingerprint(self) -> str:
        return self.identity

    @property
    def stored_bytes(self) -> int:
        return self.frames.bytes_of(self.stored)

    def preload(self) -> None:
        self.frames.preload()

    def scratch(self, shape: Shape) -> int:
        rows = shape[1] if self.frames.by_rows else self.shape[1]
        pixels = rows * self.shape[2]
        return self.frames.scratch(pixels) + pixels * (2 + 2 * self.labels.itemsize)

    def read(self, region: Region, out: Block | None = None) -> Block:
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        block[...] = 0
        first, last = np.searchsorted(self.planes, (region[0].start, region[0].stop))
        if first == last:
            return block
        with self.frames.opened() as fd:
            for n in range(int(first), int(last)):
                values = self.frames.values(fd, int(self.stored[n]), region[1])[:, region[2]]
                self._put(values, n, block[int(self.planes[n]) - region[0].start])
        return block

    @abstractmethod
    def _put(self, values: Block, n: int, out: Block) -> None:
        """Add the stored values of one frame to its plane."""


@dataclass(frozen=True, eq=False)
class MaskFrames(_Frames):
    """Each frame shows one segment: composite labels are the sums of what their segments count."""

    above: int
    """Stored values above this one are within the segment."""
    counts: tuple[int, ...]
    """What a voxel of each frame adds to the label."""
    unproven: bool
    """Whether it is only stated that no voxel is in two segments, so that it has to be seen to."""

    def _put(self, values: Block, n: int, out: Block) -> None:
        inside = values > self.above
        if self.unproven and (out.astype(bool) & inside).any():
            raise FormatError(
                f"{self.frames.path} (frame {self.stored[n]}) overlaps another segment, although SegmentsOverlap says "
                "NO; --segment NAME gives one segment, or correct the file"
            )
        np.add(out, np.multiply(inside, self.labels.type(self.counts[n]), dtype=self.labels), out=out)


@dataclass(frozen=True, eq=False)
class LabelFrames(_Frames):
    """Each frame holds the labels of all segments."""

    background: int
    """The label that stands for none: 0 takes its place."""

    def _put(self, values: Block, n: int, out: Block) -> None:
        out[...] = values
        if self.background:
            out[values == self.background] = 0
