"""Sources: anything that can fill a block of voxels for a region, lazily and from any thread."""

from chunkvol.sources.arrays import ArraySource
from chunkvol.sources.contract import Block, Source, deliver
from chunkvol.sources.derived import CroppedSource, DerivedSource, PointwiseSource
from chunkvol.sources.raw import RawSource

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
