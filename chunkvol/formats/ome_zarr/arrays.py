"""Arrays as sources: our own layouts by our own readers, any other through zarr-python."""

from __future__ import annotations

import hashlib
import math
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.errors import DamagedError, FormatError
from chunkvol.formats.ome_zarr.chunkfiles import ChunkFileSource
from chunkvol.formats.ome_zarr.chunks import Chunks
from chunkvol.formats.ome_zarr.layout import DTYPES
from chunkvol.formats.ome_zarr.nodes import Node
from chunkvol.formats.ome_zarr.shards import ShardedSource
from chunkvol.regions import Region, Shape, region_shape
from chunkvol.sources import Block, Source, deliver

_WIDER = {"bool": "uint8", "float16": "float32"}
"""Types that are read as one that all operations know, with the same values."""
_SAMPLE = 1 << 16

__all__ = ["ZarrSource", "array_source", "sample_of"]


def array_source(node: Node, picked: tuple[int | None, ...], identity: str, *, strict: bool) -> Source:
    """The voxels of an array.

    Parameters
    ----------
    node
        The array.
    picked
        None for axes of space, else the index along it.
    identity
        Fingerprint of the store.
    strict
        True where every chunk must be there: then our own readers take over, if the layout is ours.
    """
    own = (_sharded if node.zarr == 3 else _chunk_files)(node, identity) if strict else None
    return own if own is not None else _zarr_source(node, picked, identity)


def _sharded(node: Node, identity: str) -> ShardedSource | None:
    """The array through our reader, or None when it is laid out in another way."""
    array = node.document
    try:
        (sharding,) = array["codecs"]
        inner = sharding["configuration"]["codecs"]
        names = [codec["name"] for codec in inner]
        blosc: dict[str, Any] | None = {} if "blosc" in names else None
        ours = (
            sharding["name"] == "sharding_indexed"
            and sharding["configuration"].get("index_location", "end") == "end"
            and names in (["bytes", "blosc", "crc32c"], ["bytes", "crc32c"])
            and inner[0].get("configuration", {}).get("endian", "little") == "little"
            and [codec["name"] for codec in sharding["configuration"]["index_codecs"]] == ["bytes", "crc32c"]
            and array["chunk_key_encoding"] == {"name": "default", "configuration": {"separator": "/"}}
        )
        if not ours:
            return None
        chunk = tuple(int(n) for n in sharding["configuration"]["chunk_shape"])
        shard = tuple(int(n) for n in array["chunk_grid"]["configuration"]["chunk_shape"])
        dtype = np.dtype(array["data_type"]).newbyteorder("<")
        shape = tuple(int(n) for n in array["shape"])
    except (KeyError, TypeError, ValueError):
        return None
    if not len(chunk) == len(shard) == len(shape) == 3 or min(chunk) < 1:
        return None
    counts = tuple(s // c for s, c in zip(shard, chunk, strict=True))
    return ShardedSource(node.folder, shape, Chunks(chunk, dtype, blosc), counts, identity)  # type: ignore[arg-type]  # three axes, just checked


def _chunk_files(node: Node, identity: str) -> ChunkFileSource | None:
    """As `_sharded`, for zarr 2."""
    array = node.document
    try:
        compressor = array["compressor"]
        name = None if compressor is None else compressor["id"]
        plain = (array["order"], array["filters"], array["dimension_separator"]) == ("C", None, "/")
        if not plain or name not in (None, "blosc", "zstd"):
            return None
        chunk = tuple(int(n) for n in array["chunks"])
        shape = tuple(int(n) for n in array["shape"])
        dtype = np.dtype(array["dtype"])
    except (KeyError, TypeError, ValueError):
        return None
    if not len(chunk) == len(shape) == 3 or min(chunk) < 1 or dtype.newbyteorder("<") != dtype:
        return None
    chunks = Chunks(chunk, dtype, {} if name == "blosc" else None, checked=False, zstd=name == "zstd")
    return ChunkFileSource(node.folder, shape, chunks, identity)


def _zarr_source(node: Node, picked: tuple[int | None, ...], identity: str) -> ZarrSource:
    _check_chunks(node)
    array, chunks = _opened(node)
    if len(array.shape) != len(picked):
        raise FormatError(f"{node.folder} has shape {array.shape}, expected {len(picked)} axes")
    stored = np.dtype(array.dtype)
    name = _WIDER.get(stored.name, stored.newbyteorder("=").name)
    if name not in DTYPES:
        raise FormatError(f"{node.folder} holds {stored.name}; chunkvol reads {', '.join(DTYPES)}, bool and float16")
    return ZarrSource(
        node.folder,
        _kept(array.shape, picked),
        np.dtype(name),
        _kept(chunks, picked),
        math.prod(chunks) * stored.itemsize,
        picked,
        identity,
        array,
    )


def _check_chunks(node: Node) -> None:
    """Some versions of zarr-python make chunks of 1 out of chunks of 0, and find none of them."""
    found = node.document.get("chunks")
    if node.zarr == 3:
        grid = node.document.get("chunk_grid")
        configuration = grid.get("configuration") if isinstance(grid, dict) else None
        found = configuration.get("chunk_shape") if isinstance(configuration, dict) else None
    if isinstance(found, list) and any(type(n) is int and n < 1 for n in found):
        raise FormatError(f"{node.folder} has chunks of {found} voxels, which cannot be")


def _kept(lengths: Sequence[int], picked: Sequence[int | None]) -> Shape:
    """Those of the axes of space, with ones in front where they are fewer than three."""
    found = [int(n) for n, index in zip(lengths, picked, strict=True) if index is None]
    k, j, i = [1] * (3 - len(found)) + found
    return k, j, i


def _opened(node: Node) -> tuple[Any, tuple[int, ...]]:
    """The array of zarr-python, and its chunks."""
    import zarr
    from zarr.storage import LocalStore, StorePath

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of codecs outside the specification, which are read nevertheless
            if node.zarr == 3:
                array = zarr.open_array(node.folder, mode="r", zarr_format=3)
            else:
                document = {**node.document, **_amended(node), "attributes": node.attributes}
                array = zarr.Array.from_dict(StorePath(LocalStore(node.folder, read_only=True)), document)
            return array, tuple(int(n) for n in array.chunks)
    except Exception as error:  # zarr raises many kinds for bad metadata
        reason = " ".join(str(error).split())
        raise FormatError(f"{node.folder} cannot be opened as a zarr array: {reason}") from error


def _amended(node: Node) -> dict[str, Any]:
    """What old programs wrote otherwise: zarr-python would refuse it, or find no chunks and give background."""
    out: dict[str, Any] = {}
    dtype = node.document.get("dtype")
    if isinstance(dtype, str) and dtype[1:] in ("u1", "i1", "b1"):
        out["dtype"] = f"|{dtype[1:]}"  # one byte has no order, whatever is said of it
    if "dimension_separator" not in node.document and len(node.shape) > 1:
        with os.scandir(node.folder) as found:
            nested = any(entry.name.isdecimal() and entry.is_dir() for entry in found)
        out["dimension_separator"] = "/" if nested else "."
    return out


def sample_of(folder: Path) -> str:
    """A fingerprint of the first and the last of an array's files: metadata alone is the same for many arrays."""
    digest = hashlib.sha256()
    for last in (False, True):
        path = folder
        while path.is_dir():
            with os.scandir(path) as found:
                names = sorted(one.name for one in found if not one.name.startswith(".") and one.name != "zarr.json")
            if not names:
                break
            path = path / names[-1 if last else 0]
        if path.is_file():
            with open(path, "rb") as file:
                digest.update(path.relative_to(folder).as_posix().encode() + file.read(_SAMPLE))
    return digest.hexdigest()


@dataclass(frozen=True)
class ZarrSource(Source):
    """A zarr array of another program, through zarr-python; missing chunks are background, as zarr says."""

    folder: Path
    """The array's folder."""
    shape: Shape
    """Voxels along (k, j, i)."""
    dtype: np.dtype[Any]
    """Type of the voxels."""
    chunk: Shape
    """Voxels that are read together."""
    chunk_bytes: int
    """Bytes of a whole chunk, with what it holds of other axes."""
    picked: tuple[int | None, ...] = (None, None, None)
    """For each axis of the array None where it is one of space, else the index along it."""
    identity: str = ""
    """Fingerprint of the store."""
    array: Any = field(default=None, compare=False, repr=False)
    """The opened array."""

    @property
    def grain(self) -> Shape:
        k, j, i = (min(c, n) for c, n in zip(self.chunk, self.shape, strict=True))
        return k, j, i

    @property
    def fingerprint(self) -> str:
        return self.identity

    def scratch(self, shape: Shape) -> int:
        # zarr-python decodes ten chunks at a time by default, each with its bytes, and gathers them in a copy.
        met = math.prod(
            min(-(-n // c) + 1, -(-whole // c)) for n, c, whole in zip(shape, self.chunk, self.shape, strict=True)
        )
        return (2 * min(10, met) + 1) * self.chunk_bytes + math.prod(shape) * self.dtype.itemsize

    def preload(self) -> None:
        import zarr  # noqa: F401  # imported for its size

    def read(self, region: Region, out: Block | None = None) -> Block:
        spatial = iter(region[-self.picked.count(None) :])
        key = tuple(next(spatial) if index is None else index for index in self.picked)
        try:
            block = self.array[key]
        except Exception as error:  # zarr raises many kinds for damaged chunks
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DamagedError(f"{self.folder} cannot be read: {reason}") from error
        return deliver(np.asarray(block, self.dtype).reshape(region_shape(region)), out)
