"""How a volume is cut on disk: chunks, shards, and the zarr v3 array metadata that says so.

Chunk and shard shapes depend on the shape alone, never on budget or workers. A shard is one chunk deep, so that a slab
of planes owns whole shards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from chunkvol.errors import FormatError
from chunkvol.regions import Shape, ceil_div

CHUNK = 64
"""Side of a chunk in voxels; a shorter axis is one chunk."""
SHARD_CHUNKS = 8
"""Chunks along the rows and columns of a shard: 512 voxels."""

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")

CODECS: dict[str, dict[str, Any] | None] = {
    "lz4": {"cname": "lz4", "clevel": 5},
    "zstd": {"cname": "zstd", "clevel": 3},
    "none": None,
}
"""Compressors by name: blosc with bit shuffle, or none. The checksum is not an option."""

__all__ = ["CHUNK", "CODECS", "DTYPES", "SHARD_CHUNKS", "Layout"]


@dataclass(frozen=True, slots=True)
class Layout:
    """One array on disk."""

    shape: Shape
    """Voxels along (k, j, i)."""
    dtype: str
    """Type of the voxels; little endian on disk."""
    codec: str = "lz4"
    """Key of `CODECS`."""

    @property
    def chunk(self) -> Shape:
        """Voxels of a chunk."""
        k, j, i = (min(CHUNK, n) for n in self.shape)
        return k, j, i

    @property
    def shard_chunks(self) -> Shape:
        """Chunks of a shard along each axis."""
        counts = [ceil_div(n, c) for n, c in zip(self.shape, self.chunk, strict=True)]
        return 1, min(SHARD_CHUNKS, counts[1]), min(SHARD_CHUNKS, counts[2])

    @property
    def shard(self) -> Shape:
        """Voxels of a shard."""
        k, j, i = (c * m for c, m in zip(self.chunk, self.shard_chunks, strict=True))
        return k, j, i

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk before compression."""
        return math.prod(self.chunk) * np.dtype(self.dtype).itemsize

    def to_json(self) -> dict[str, Any]:
        """The array's `zarr.json`."""
        floating = np.dtype(self.dtype).kind == "f"
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(self.shape),
            "data_type": self.dtype,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(self.shard)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0.0 if floating else 0,
            "codecs": [{"name": "sharding_indexed", "configuration": self._sharding()}],
            "attributes": {},
            "dimension_names": ["z", "y", "x"],
        }

    def _sharding(self) -> dict[str, Any]:
        return {
            "chunk_shape": list(self.chunk),
            "codecs": [_bytes_codec(self.dtype), *self._compressor(), {"name": "crc32c"}],
            "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
            "index_location": "end",
        }

    def _compressor(self) -> list[dict[str, Any]]:
        settings = CODECS[self.codec]
        if settings is None:
            return []
        size = np.dtype(self.dtype).itemsize
        shuffle = {"typesize": size, "shuffle": "bitshuffle", "blocksize": 0}
        return [{"name": "blosc", "configuration": {**settings, **shuffle}}]


def _bytes_codec(dtype: str) -> dict[str, Any]:
    if np.dtype(dtype).itemsize == 1:
        return {"name": "bytes"}
    return {"name": "bytes", "configuration": {"endian": "little"}}


def check_dtype(dtype: np.dtype[Any]) -> str:
    """The zarr name of a type.

    Raises
    ------
    FormatError
        For types that OME-Zarr readers do not know.
    """
    if dtype.name not in DTYPES:
        raise FormatError(f"OME-Zarr holds {', '.join(DTYPES)}; found {dtype.name}: convert the values first")
    return dtype.name
