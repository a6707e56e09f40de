"""Nothing but the decoder: every frame of a series, on all cores. Arguments: `threads|processes`, folder.

The libraries are those that chunkvol calls; a frame is read from its file, decoded, and dropped.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from native import Slice, files, frame, read_slice, report

_POOLS: dict[str, Callable[[int], Executor]] = {"threads": ThreadPoolExecutor, "processes": ProcessPoolExecutor}
_SYNTAX = 0x00020010


def main() -> None:
    """Decode and forget."""
    kind, folder = sys.argv[1:]
    names = files(folder)
    importlib.import_module(_MODULES[_uid(read_slice(names[0]))])  # once, before processes are forked
    cores = len(os.sched_getaffinity(0))
    started = time.perf_counter()
    with _POOLS[kind](cores) as pool:
        count = sum(pool.map(decode, names))
    report(time.perf_counter() - started, frames=count, cores=cores)


def decode(path: str) -> int:
    """Decode one file; returns 1."""
    one = read_slice(path)
    uid = _uid(one)
    _CALLS[uid](importlib.import_module(_MODULES[uid]), frame(one), one)
    return 1


def _uid(one: Slice) -> str:
    return one.elements[_SYNTAX].rstrip(b"\0 ").decode()


def _rle(module: Any, code: bytes, one: Slice) -> Any:
    rows, columns, bits = map(one.number, (0x00280010, 0x00280011, 0x00280100))
    return module.decode_pixel_data(code, version=2, rows=rows, columns=columns, bits_allocated=bits)


def _jpeg_ls(module: Any, code: bytes, _one: Slice) -> Any:
    return module.decode_from_buffer(code)


def _openjpeg(module: Any, code: bytes, _one: Slice) -> Any:
    return module.decode_pixel_data(code, version=2)


_RLE, _JLS, _J2K = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"
_MODULES = {_RLE: "rle", _JLS: "jpeg_ls", _J2K: "openjpeg"}
_CALLS: dict[str, Callable[[Any, bytes, Slice], Any]] = {_RLE: _rle, _JLS: _jpeg_ls, _J2K: _openjpeg}


if __name__ == "__main__":
    main()
