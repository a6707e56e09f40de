"""OME-Zarr 0.5 stores as volumes: our own layout by our own reader, any other through zarr-python."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.errors import DamagedError, FormatError
from chunkvol.formats.ome_zarr.attributes import Level, image_from_attributes
from chunkvol.formats.ome_zarr.shards import Chunks, ShardedSource
from chunkvol.metadata import Metadata
from chunkvol.pyramid import reduction_step
from chunkvol.regions import Region, Shape
from chunkvol.sources import Block, Source, deliver
from chunkvol.volume import Volume

__all__ = ["is_store", "open_store"]


def is_store(path: Path) -> bool:
    """True for a folder that holds zarr metadata, or is named as if it did."""
    if not path.is_dir():
        return False
    return path.suffix == ".zarr" or any(
        (path / name).exists() for name in ("zarr.json", ".zgroup", ".zattrs", ".zarray")
    )


def open_store(path: Path, *, keep_phi: bool = False) -> Volume:
    """The image of an OME-Zarr 0.5 store, with its levels in `coarser`.

    A patient's identity that the store holds goes no further than this, except with `keep_phi`.

    Raises
    ------
    FormatError
        Not an OME-Zarr 0.5 image.
    DamagedError
        An array or its metadata is missing or contradicts the store.
    """
    group = _json(path / "zarr.json", path)
    arrays: dict[str, dict[str, Any]] = {}

    def shape(name: str) -> list[int]:
        folder = (path / name).resolve()
        if path.resolve() not in folder.parents:
            raise FormatError(f"{path} refers to an array outside of itself: {name!r}")
        arrays.setdefault(name, _json(folder / "zarr.json", path))
        return list(arrays[name]["shape"])

    attributes = group.get("attributes")
    image = image_from_attributes(attributes if isinstance(attributes, dict) else {}, shape, str(path))
    print_of_store = hashlib.sha256(json.dumps(group, sort_keys=True).encode()).hexdigest()
    known = image.metadata if keep_phi else image.metadata.deidentified()
    metadata = replace(known, source=image.metadata.source or print_of_store, pyramid=image.method)
    finest, *rest = (
        Volume(
            _source(path / level.path, arrays[level.path], print_of_store, strict=image.complete),
            level.geometry,
            _of_level(metadata, level, image.method),
        )
        for level in image.levels
    )
    return replace(finest, coarser=tuple(rest))


def _of_level(metadata: Metadata, level: Level, method: str) -> Metadata:
    """The metadata with the step that made a coarser level, where the store says which."""
    if max(level.factors) <= 1:
        return metadata
    return metadata.with_step(reduction_step(level.factors, method))


def _json(path: Path, store: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        if any((store / name).exists() for name in (".zgroup", ".zattrs", ".zarray")):
            raise FormatError(
                f"{store} is zarr version 2 (OME-Zarr 0.4 or older); chunkvol reads OME-Zarr 0.5"
            ) from None
        raise DamagedError(f"{path} is missing: {store} is no finished store") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DamagedError(f"{path} is not valid JSON ({error}): the store is damaged") from error
    if not isinstance(data, dict):
        raise DamagedError(f"{path} is not a JSON object: the store is damaged")
    return data


def _source(folder: Path, array: dict[str, Any], identity: str, *, strict: bool) -> Source:
    """The array through our reader where every chunk must be there, else through zarr-python."""
    own = _sharded(folder, array, identity) if strict else None
    return own if own is not None else _zarr_source(folder, identity)


def _sharded(folder: Path, array: dict[str, Any], identity: str) -> ShardedSource | None:
    """The array through our reader, or None when it is laid out in another way."""
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
    return ShardedSource(folder, shape, Chunks(chunk, dtype, blosc), counts, identity)  # type: ignore[arg-type]  # three axes, just checked


def _zarr_source(folder: Path, identity: str) -> ZarrSource:
    import zarr

    try:
        array = zarr.open_array(folder, mode="r")
    except Exception as error:  # zarr raises many kinds for bad metadata
        raise FormatError(f"{folder} cannot be opened as a zarr array: {error}") from error
    if array.ndim != 3:
        raise FormatError(f"{folder} has {array.ndim} axes; chunkvol reads three: z, y, x")
    dtype: np.dtype[Any] = np.dtype(array.dtype).newbyteorder("=")
    (planes, rows, columns), (k, j, i) = array.shape, array.chunks
    return ZarrSource(folder, (planes, rows, columns), dtype, (k, j, i), identity, array)


@dataclass(frozen=True)
class ZarrSource(Source):
    """A zarr array of another program, through zarr-python."""

    folder: Path
    """The array's folder."""
    shape: Shape
    """Voxels along (k, j, i)."""
    dtype: np.dtype[Any]
    """Type of the voxels."""
    chunk: Shape
    """Voxels that are read together."""
    identity: str = ""
    """Fingerprint of the store."""
    array: Any = field(default=None, compare=False, repr=False)
    """The opened array."""

    @property
    def grain(self) -> Shape:
        return self.chunk

    @property
    def fingerprint(self) -> str:
        return self.identity

    def scratch(self, shape: Shape) -> int:
        # zarr-python decodes ten chunks at a time by default, each with its bytes, and gathers them in a copy.
        item = self.dtype.itemsize
        return (20 * math.prod(self.chunk) + math.prod(shape)) * item

    def preload(self) -> None:
        import zarr  # noqa: F401  # imported for its size

    def read(self, region: Region, out: Block | None = None) -> Block:
        try:
            block = self.array[region]
        except Exception as error:  # zarr raises many kinds for damaged chunks
            raise DamagedError(f"{self.folder} cannot be read: {error}") from error
        return deliver(np.asarray(block, self.dtype), out)
