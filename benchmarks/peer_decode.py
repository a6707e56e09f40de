"""Nothing but the decoder: every frame of a series, on all cores. Arguments: `threads|processes`, folder.

The library is the one that chunkvol calls; a frame is read from its file, decoded, and dropped.
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
    decode(names[0])  # imports the codec once, before processes are forked
    cores = len(os.sched_getaffinity(0))
    started = time.perf_counter()
    with _POOLS[kind](cores) as pool:
        count = sum(pool.map(decode, names))
    report(time.perf_counter() - started, frames=count, cores=cores)


def decode(path: str) -> int:
    """Decode one file; returns 1."""
    one = read_slice(path)
    _CALLS[_uid(one)](importlib.import_module("imagecodecs"), frame(one), one)
    return 1


def _uid(one: Slice) -> str:
    return one.elements[_SYNTAX].rstrip(b"\0 ").decode()


def _rle(module: Any, code: bytes, one: Slice) -> Any:
    return module.dicomrle_decode(code, f"u{one.number(0x00280100) // 8}")


def _jpeg_ls(module: Any, code: bytes, _one: Slice) -> Any:
    return module.jpegls_decode(code)


def _jpeg_2000(module: Any, code: bytes, _one: Slice) -> Any:
    return module.jpeg2k_decode(code)


_CALLS: dict[str, Callable[[Any, bytes, Slice], Any]] = {
    "1.2.840.10008.1.2.5": _rle,
    "1.2.840.10008.1.2.4.80": _jpeg_ls,
    "1.2.840.10008.1.2.4.90": _jpeg_2000,
}


if __name__ == "__main__":
    main()
