"""How a volume is cut on disk: chunks, shards, and the array metadata of zarr 2 and 3 that says so.

Chunk and shard shapes depend on the shape alone, never on budget or workers. A shard is one chunk deep, so that a slab
of planes owns whole shards. Zarr 2 has no shards: every chunk is a file, so that chunks are larger and fewer, and a
"shard" here is the group of chunks that is written together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from chunkvol.errors import FormatError
from chunkvol.regions import Shape, ceil_div

CHUNKS: dict[int, Shape] = {2: (64, 128, 128), 3: (64, 64, 64)}
"""Voxels of a chunk along (k, j, i), by version of zarr; a shorter axis is one chunk."""
SHARD = 512
"""Most voxels of a shard along rows and columns."""

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")

CODECS: dict[str, dict[str, Any] | None] = {
    "lz4": {"cname": "lz4", "clevel": 5},
    "zstd": {"cname": "zstd", "clevel": 3},
    "none": None,
}
"""Compressors by name: blosc with bit shuffle, or none, each followed by a checksum.

In zarr 2, which has no codec for checksums, "zstd" is plain zstd, whose frames have one inside; the others have none.
"""
ZSTD_LEVEL = 3
"""Of plain zstd, in zarr 2."""

__all__ = ["CHUNKS", "CODECS", "DTYPES", "SHARD", "ZSTD_LEVEL", "Layout", "check_dtype"]


@dataclass(frozen=True, slots=True)
class Layout:
    """One array on disk."""

    shape: Shape
    """Voxels along (k, j, i)."""
    dtype: str
    """Type of the voxels; little endian on disk."""
    codec: str = "lz4"
    """Key of `CODECS`."""
    zarr: int = 3
    """Version of zarr."""

    @property
    def chunk(self) -> Shape:
        """Voxels of a chunk."""
        k, j, i = (min(c, n) for c, n in zip(CHUNKS[self.zarr], self.shape, strict=True))
        return k, j, i

    @property
    def shard_chunks(self) -> Shape:
        """Chunks of a shard along each axis."""
        most = [SHARD // c for c in CHUNKS[self.zarr]]
        counts = [ceil_div(n, c) for n, c in zip(self.shape, self.chunk, strict=True)]
        return 1, min(most[1], counts[1]), min(most[2], counts[2])

    @property
    def shard(self) -> Shape:
        """Voxels of a shard."""
        k, j, i = (c * m for c, m in zip(self.chunk, self.shard_chunks, strict=True))
        return k, j, i

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk before compression."""
        return math.prod(self.chunk) * np.dtype(self.dtype).itemsize

    @property
    def checksums(self) -> bool:
        """True where every chunk is stored with a checksum."""
        return self.zarr == 3 or self.codec == "zstd"

    @property
    def document(self) -> str:
        """The file of the array's metadata."""
        return ".zarray" if self.zarr == 2 else "zarr.json"

    def to_json(self) -> dict[str, Any]:
        """The array's metadata."""
        return self._zarray() if self.zarr == 2 else self._zarr_json()

    def _zarray(self) -> dict[str, Any]:
        return {
            "zarr_format": 2,
            "shape": list(self.shape),
            "chunks": list(self.chunk),
            "dtype": np.dtype(self.dtype).newbyteorder("<").str,
            "compressor": _compressor_v2(self.codec),
            "fill_value": 0.0 if np.dtype(self.dtype).kind == "f" else 0,
            "order": "C",
            "filters": None,
            "dimension_separator": "/",
        }

    def _zarr_json(self) -> dict[str, Any]:
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


def _compressor_v2(codec: str) -> dict[str, Any] | None:
    """As numcodecs names it. That zstd frames hold a checksum is theirs to say: tensorstore refuses the key."""
    if codec == "zstd":
        return {"id": "zstd", "level": ZSTD_LEVEL}
    settings = CODECS[codec]
    return None if settings is None else {"id": "blosc", **settings, "shuffle": 2, "blocksize": 0}


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
