"""What the kernels promise to hold, against what they hold."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from chunkvol.kernels import (
    REDUCERS,
    GaussianPlanes,
    PlaneReduction,
    cascade,
    cascade_scratch,
    gaussian_planes_scratch,
    plane_scratch,
    reduce_steps,
    steps_scratch,
)
from chunkvol.kernels.tiles import SLACK
from tests.kernels.blocks import filled

TYPES = ("uint8", "int16", "int32", "float32")
SHAPES = ((8, 256, 512), (2, 1022, 1021), (32, 32, 32), (2, 4, 70000))


def held(run: Callable[[], Any]) -> int:
    """The most bytes that numpy and Python hold while this runs, beyond those before."""
    run()  # caches, such as sorting networks, are not counted again and again
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        run()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", REDUCERS)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("factors", [(2, 2, 2), (2, 3, 1), (1, 4, 16)])
def test_no_reduction_holds_more_than_it_promises(name: str, dtype: str, shape: Any, factors: Any) -> None:
    block = filled(np.random.default_rng(0), shape, dtype, "full")
    out = np.empty([n // f for n, f in zip(shape, factors, strict=True)], dtype)
    promised = REDUCERS[name].scratch(shape, block.dtype, factors)
    assert held(lambda: REDUCERS[name].reduce(block, factors, out)) <= promised


@pytest.mark.parametrize("name", [name for name in REDUCERS if name != "gaussian"])
@pytest.mark.parametrize("factors", [(2, 2, 2), (2, 3, 1), (1, 4, 16), (4, 16, 16)])
def test_what_is_promised_does_not_grow_with_the_block(name: str, factors: Any) -> None:
    for dtype in map(np.dtype, TYPES):
        scratch = REDUCERS[name].scratch
        assert scratch((1000, 9000, 9000), dtype, factors) == scratch((32, 64, 64), dtype, factors) < 8 << 20


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", ["median", "mode"])
def test_long_lists_hold_no_more_than_promised(name: str, dtype: str) -> None:
    for content in ("full", "few"):
        block = filled(np.random.default_rng(0), (8, 256, 256), dtype, content)
        for factors in ((8, 8, 8), (5, 5, 5), (8, 128, 64)):
            promised = REDUCERS[name].scratch((8, 256, 256), block.dtype, factors)
            out = np.empty([n // f for n, f in zip(block.shape, factors, strict=True)], dtype)
            assert held(partial(REDUCERS[name].reduce, block, factors, out)) <= promised


@pytest.mark.parametrize("name", [name for name, row in REDUCERS.items() if row.nested])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(16, 256, 512), (4, 1022, 1021)])
def test_cascades_hold_their_levels_and_sums_and_no_more(name: str, dtype: str, shape: Any) -> None:
    block = filled(np.random.default_rng(0), shape, dtype, "full")
    steps = [(2, 2, 2)] * 3

    def walk() -> None:
        for _ in cascade(name, block, steps):
            pass

    used, promised = held(walk), cascade_scratch(name, shape, block.dtype, steps)
    assert used <= promised
    out = np.empty([n // 8 for n in shape], dtype)
    assert held(lambda: reduce_steps(name, block, steps, out)) <= steps_scratch(name, shape, block.dtype, steps)


@pytest.mark.parametrize("name", ["mean", "max"])
@pytest.mark.parametrize("dtype", TYPES)
def test_running_planes_hold_no_more_than_promised(name: str, dtype: str) -> None:
    block = filled(np.random.default_rng(0), (4, 600, 900), dtype, "full")

    def walk() -> None:
        reduction = PlaneReduction(name, (300, 450), block.dtype, (4, 2, 2))
        for plane in block:
            reduction.add(plane)
        reduction.finish()

    assert held(walk) <= plane_scratch(name, (300, 450), block.dtype, (4, 2, 2))


@pytest.mark.parametrize("factors", [(2, 2, 2), (4, 3, 1), (1, 2, 5)])
@pytest.mark.parametrize("rows", [slice(0, 40), None])
def test_gaussian_planes_hold_no_more_than_promised(factors: Any, rows: slice | None) -> None:
    shape = (40, 240, 600)
    block = filled(np.random.default_rng(0), shape, "uint16", "full")

    def walk() -> None:
        maker = GaussianPlanes(shape, block.dtype, factors, rows=rows)
        for _ in maker.add(block[maker.source]):
            pass

    used = held(walk)
    promised = gaussian_planes_scratch(shape, block.dtype, factors, rows.stop if rows else None)
    assert used <= promised <= 1.5 * used + 2 * SLACK + (1 << 20)
