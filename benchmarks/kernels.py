"""How fast is each reduction on one core, and on two at once?

Prints one JSON line a case: GB/s of input, on slices that are warm in memory. `--threads 2` runs as many copies of the
case at the same time, each on its own block, and compares with one copy alone. Beside each case, hashing (which leaves
the interpreter's lock alone) says how many cores were free before and after: where that is not as many as the threads,
the machine was busy and `valid` is false.

    python benchmarks/kernels.py [--only mean] [--threads 1] [--planes 16]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.kernels import PlaneReduction, cascade, reduce_steps

Block = npt.NDArray[Any]

HALVE = (2, 2, 2)


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table."""

    method: str
    """Key of the table of reductions; "planes:<method>" feeds planes, "cascade:<method>" makes four levels."""
    dtype: str
    """Type of the voxels."""
    factors: tuple[int, int, int]
    """Block (k, j, i)."""
    plane: tuple[int, int] = (1024, 1024)
    """Rows and columns."""
    content: str = "noise"
    """"noise", or "labels": nested shells 24 voxels thick."""


CASES = (
    *(Case("mean", dtype, HALVE) for dtype in ("uint16", "int16", "uint8", "int8", "float32", "int32", "float64")),
    *(Case("mean", dtype, HALVE, plane=(1023, 1021)) for dtype in ("uint16", "int16", "uint8", "float32")),
    *(Case("mean", dtype, (3, 3, 3)) for dtype in ("uint16", "int16", "uint8", "float32")),
    *(Case("mean", dtype, (f, f, f)) for f in (4, 8) for dtype in ("uint16", "uint8", "float32")),
    *(Case("mean", "uint16", factors) for factors in ((1, 2, 2), (2, 1, 1), (1, 2, 1), (1, 1, 2), (5, 5, 5))),
    *(Case("mean", "uint16", HALVE, plane=(64, 64)), Case("mean", "uint16", HALVE, plane=(4096, 4096))),
    *(Case("cascade:mean", dtype, HALVE) for dtype in ("uint16", "uint8", "int16", "float32")),
    *(Case("planes:mean", dtype, HALVE) for dtype in ("uint16", "float32")),
    *(Case("cascade:mean", "uint16", HALVE, plane=plane) for plane in ((64, 1024), (1023, 1021))),
    *(Case(m, dtype, HALVE) for m in ("min", "stride", "median", "mode") for dtype in ("uint16", "uint8", "float32")),
    *(Case("planes:max", "uint16", HALVE), Case("max", "uint16", (4, 4, 4))),
    *(Case(m, dtype, (f, f, f)) for m in ("median", "mode") for f in (3, 4, 8) for dtype in ("uint16", "uint8")),
    *(Case("mode", dtype, (f, f, f), content="labels") for dtype in ("uint8", "uint16") for f in (2, 3, 4, 8)),
    *(Case("cascade:mode", dtype, HALVE, content="labels") for dtype in ("uint8", "uint16")),
    *(Case("gaussian", dtype, HALVE) for dtype in ("uint16", "float32")),
    *(Case("gaussian", "uint16", (f, f, f)) for f in (3, 4)),
)


def content(case: Case, planes: int, seed: int) -> Block:
    """The voxels of a case."""
    rng, shape, dtype = np.random.default_rng(seed), (planes, *case.plane), np.dtype(case.dtype)
    if case.content == "labels":
        k, j, i = np.ogrid[: shape[0], : shape[1], : shape[2]]
        shells: Block = (np.hypot(np.hypot((k % 128) - 64, (j % 128) - 64), (i % 128) - 64) // 24).astype(dtype)
        return shells
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


def runner(case: Case, block: Block) -> Callable[[], Any]:
    """What is timed."""
    way, _, method = case.method.rpartition(":")
    if way == "cascade":
        return lambda: sum(level.size for level in cascade(method, block, (case.factors,) * 4))
    if way == "planes":
        return lambda: _plane_by_plane(method, case.factors, block)
    out = np.empty([n // f for n, f in zip(block.shape, case.factors, strict=True)], block.dtype)
    return lambda: reduce_steps(method, block, (case.factors,), out)


def _plane_by_plane(method: str, factors: tuple[int, int, int], block: Block) -> None:
    reduction = PlaneReduction(method, (block.shape[1] // 2, block.shape[2] // 2), block.dtype, factors)
    for number, plane in enumerate(block, start=1):
        reduction.add(plane)
        if number % factors[0] == 0:
            reduction.finish()


def seconds(runs: list[Callable[[], Any]], repeats: int) -> float:
    """The best time in which all runs end, started together."""
    best = float("inf")
    with ThreadPoolExecutor(len(runs)) as pool:
        for _ in range(repeats):
            start = time.perf_counter()
            for done in [pool.submit(run) for run in runs]:
                done.result()
            best = min(best, time.perf_counter() - start)
    return best


def free_cores(threads: int) -> float:
    """How many times faster threads hash than one: as many as there are, where nothing else is at work."""
    runs = [_hash] * threads
    return threads * seconds(runs[:1], 2) / seconds(runs, 2)


def _hash() -> None:
    text = bytes(1 << 20)
    for _ in range(60):
        hashlib.sha256(text).digest()


def results(cases: tuple[Case, ...], threads: int, planes: int, repeats: int) -> Iterator[dict[str, Any]]:
    """One record a case."""
    for case in cases:
        depth = planes * (case.factors[0] if case.factors[0] % 2 else 1) * (256 if case.plane[0] < 100 else 1)
        blocks = [content(case, depth, seed) for seed in range(threads)]
        runs = [runner(case, block) for block in blocks]
        before = free_cores(threads)
        alone, took = seconds(runs[:1], repeats), seconds(runs, repeats)
        free = (before, free_cores(threads))
        moved = sum(block.nbytes for block in blocks)
        yield {
            **asdict(case),
            "threads": threads,
            "bytes": moved,
            "gb_per_s": round(moved / took / 1e9, 3),
            "speedup": round(threads * alone / took, 2),
            "free_cores": [round(cores, 2) for cores in free],
            "valid": all(0.9 * threads <= cores <= 1.1 * threads for cores in free),
        }


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", default="", help="methods whose name contains this")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--planes", type=int, default=16, help="depth of a block, before odd factors multiply it")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    chosen = tuple(case for case in CASES if given.only in case.method)
    for record in results(chosen, given.threads, given.planes, given.repeats):
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
