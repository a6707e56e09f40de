"""tensorstore: a series through its virtual_chunked and downsample drivers.

Arguments: `half zarr|raw` or `pyramid chunks|shards`, then folder and output.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorstore as ts
from native import Series, report, series

_DEPTH = 16
"""Slices read at once for the half-size job."""
_IN_FLIGHT = 3
"""Slabs at work at the same time."""
_CHUNK, _SHARD_CHUNKS, _COARSEST = 64, 8, 256
"""As chunkvol has them: side of a chunk, chunks along a shard's rows and columns, longest side of the last level."""
_BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
_LZ4 = {"cname": "lz4", "clevel": 5, "shuffle": "bitshuffle", "typesize": 2, "blocksize": 0}

Shape = tuple[int, ...]


def virtual(stack: Series) -> Any:
    """The series as an array; a chunk is a few whole slices."""
    _, rows, columns = stack.shape

    def read(domain: Any, array: np.ndarray, _parameters: Any) -> None:
        for n in range(len(array)):
            stack.read_into(domain[0].inclusive_min + n, array[n])

    layout = ts.ChunkLayout(read_chunk_shape=[_DEPTH, rows, columns])
    return ts.virtual_chunked(
        read, dtype=ts.dtype(stack.dtype), domain=ts.IndexDomain(shape=stack.shape), chunk_layout=layout
    )


def halved(array: Any) -> Any:
    """Block means; the last voxel of an odd axis is left out, as everyone else does."""
    n, rows, columns = (length // 2 * 2 for length in array.shape)
    return ts.downsample(array[:n, :rows, :columns], [2, 2, 2], method="mean")


def create(path: str, shape: Shape, dtype: str, chunk: Shape, codecs: list[Any]) -> Any:
    """A new zarr v3 array."""
    grid = {"name": "regular", "configuration": {"chunk_shape": list(chunk)}}
    metadata = {"shape": list(shape), "data_type": dtype, "chunk_grid": grid, "codecs": codecs}
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": path}, "metadata": metadata}
    return ts.open(spec, create=True, delete_existing=True).result()


def slabs(planes: int, depth: int) -> list[slice]:
    """Neighbouring planes, `depth` at a time."""
    return [slice(k, min(k + depth, planes)) for k in range(0, planes, depth)]


def drain(futures: Iterable[Any]) -> Iterable[Any]:
    """The results in order, with a few at work at the same time."""
    waiting: deque[Any] = deque()
    for future in futures:
        waiting.append(future)
        if len(waiting) > _IN_FLIGHT:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def half(kind: str, folder: str, output: str) -> None:
    """Half size, as an uncompressed zarr array with a chunk a slab, or as raw bytes."""
    stack = series(folder)
    reduced = halved(virtual(stack))
    depth = _DEPTH // 2
    parts = slabs(reduced.shape[0], depth)
    if kind == "zarr":
        target = create(output, reduced.shape, stack.dtype.name, (depth, *reduced.shape[1:]), [_BYTES])
        for _ in drain(target[part].write(reduced[part]) for part in parts):
            pass
    else:
        with open(output, "wb", buffering=0) as file:
            for block in drain(reduced[part].read() for part in parts):
                file.write(block)
            os.fsync(file.fileno())  # as tensorstore's own file driver and chunkvol do


def pyramid(kind: str, folder: str, output: str) -> None:
    """Full resolution slab by slab, then each level from the one before."""
    stack = series(folder)
    level = _array(f"{output}/0", stack.shape, stack.dtype.name, kind)
    _store(level, ((part, _planes(stack, part)) for part in slabs(stack.shape[0], _CHUNK)), kind)
    number = 0
    while max(level.shape) > _COARSEST:
        number += 1
        reduced = halved(level)
        level = _array(f"{output}/{number}", reduced.shape, stack.dtype.name, kind)
        _store(level, ((part, reduced[part]) for part in slabs(reduced.shape[0], _CHUNK)), kind)


def _planes(stack: Series, part: slice) -> np.ndarray:
    slab = np.empty((part.stop - part.start, *stack.shape[1:]), stack.dtype)
    for n in range(len(slab)):
        stack.read_into(part.start + n, slab[n])
    return slab


def _array(path: str, shape: Shape, dtype: str, kind: str) -> Any:
    chunk = tuple(min(_CHUNK, n) for n in shape)
    codecs = [_BYTES, {"name": "blosc", "configuration": _LZ4}]
    if kind == "chunks":
        return create(path, shape, dtype, chunk, codecs)
    counts = [1, *(min(_SHARD_CHUNKS, -(-n // c)) for n, c in zip(shape[1:], chunk[1:], strict=True))]
    shard = tuple(c * m for c, m in zip(chunk, counts, strict=True))
    sharding = {"chunk_shape": list(chunk), "codecs": codecs}
    return create(path, shape, dtype, shard, [{"name": "sharding_indexed", "configuration": sharding}])


def _store(target: Any, parts: Iterable[tuple[slice, Any]], kind: str) -> None:
    for _ in drain(_written(target, part, block, kind) for part, block in parts):
        pass


def _written(target: Any, part: slice, block: Any, kind: str) -> Any:
    if kind == "chunks":
        return target[part].write(block)
    # A transaction a slab writes each shard once; without it a shard is written again for each of its chunks.
    step = ts.Transaction()
    target.with_transaction(step)[part].write(block).result()
    return step.commit_async()


def main() -> None:
    """Do one of the jobs."""
    job, kind, folder, output = sys.argv[1:]
    started = time.perf_counter()
    {"half": half, "pyramid": pyramid}[job](kind, folder, output)
    report(time.perf_counter() - started)


if __name__ == "__main__":
    main()
