"""Plain dask, as its documentation teaches: delayed slices, rechunk, to_zarr, coarsen. Arguments: folder, output."""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any

import numpy as np
from native import files, report

dask: Any = importlib.import_module("dask")  # most of its functions have no types
da: Any = importlib.import_module("dask.array")

_CHUNK, _COARSEST = 64, 256


def main() -> None:
    """Full resolution, then each level from the stored one before."""
    folder, output = sys.argv[1:]
    started = time.perf_counter()
    level = stack(files(folder)).rechunk((_CHUNK,) * 3)
    number = 0
    save(level, output, number)
    while max(level.shape) > _COARSEST:
        stored = da.from_zarr(output, component=str(number))
        cut = tuple(slice(n // 2 * 2) for n in stored.shape)
        means = da.coarsen(np.mean, stored[cut].rechunk((_CHUNK,) * 3), {0: 2, 1: 2, 2: 2})
        level, number = da.rint(means).astype(stored.dtype).rechunk((_CHUNK,) * 3), number + 1
        save(level, output, number)
    report(time.perf_counter() - started)


def stack(paths: list[str]) -> Any:
    """The series as a dask array with a chunk a slice."""
    first = read(paths[0])
    lazy = dask.delayed(read)
    return da.stack([da.from_delayed(lazy(path), first.shape, first.dtype) for path in paths])


def read(path: str) -> Any:
    """The pixels of one file."""
    import pydicom

    return pydicom.dcmread(path).pixel_array


def save(array: Any, output: str, number: int) -> None:
    """Write one level with the same codec as everyone: blosc, lz4, level 5, bit shuffle."""
    import zarr
    from zarr.codecs import BloscCodec

    target = zarr.create_array(
        store=output,
        name=str(number),
        shape=array.shape,
        chunks=tuple(min(_CHUNK, n) for n in array.shape),
        dtype=array.dtype,
        compressors=BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"),
        zarr_format=3,
    )
    da.to_zarr(array, target)


if __name__ == "__main__":
    main()
