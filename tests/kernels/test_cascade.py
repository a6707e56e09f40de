"""Levels: each is the reduction of level 0, and planes one by one equal planes at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkvol.errors import InputError
from chunkvol.kernels import REDUCERS, PlaneReduction, cascade, reduce_steps
from chunkvol.kernels.means import mean
from tests.kernels.blocks import FLOATS, INTEGERS, blocks, exact_mean, filled, ordered_mean

NESTED = [name for name, row in REDUCERS.items() if row.nested]
Steps = list[tuple[int, int, int]]


def products(steps: Steps) -> list[tuple[int, int, int]]:
    return [tuple(np.prod(steps[: n + 1], axis=0).tolist()) for n in range(len(steps))]


@given(
    st.sampled_from(list(REDUCERS)),
    st.sampled_from((*INTEGERS, *FLOATS)),
    st.lists(st.tuples(*(st.integers(1, 2),) * 3), min_size=1, max_size=4),
    st.sampled_from([(5, 17, 9), (16, 16, 32), (1, 33, 40)]),
)
@settings(max_examples=200)
def test_every_level_is_the_reduction_of_level_0(
    name: str, dtype: str, steps: Steps, shape: tuple[int, int, int]
) -> None:
    block = filled(np.random.default_rng(4), shape, dtype, "full")
    levels = list(cascade(name, block, steps))
    assert len(levels) == len(steps)
    for number, (level, factors) in enumerate(zip(levels, products(steps), strict=True), start=1):
        assert level.dtype == block.dtype
        assert level.shape == tuple(n // f for n, f in zip(shape, factors, strict=True))
        assert level.tobytes() == reduce_steps(name, block, steps[:number]).tobytes()
        if name != "mean" or dtype not in FLOATS:
            assert level.tobytes() == REDUCERS[name].reduce(block, factors).tobytes()


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("content", ["lowest", "highest", "full"])
def test_exact_sums_are_carried_over_many_levels(dtype: str, content: str) -> None:
    block = filled(np.random.default_rng(8), (33, 64, 65), dtype, content)
    for factors, level in zip((2, 4, 8, 16, 32), cascade("mean", block, [(2, 2, 2)] * 5), strict=True):
        np.testing.assert_array_equal(level, exact_mean(block, (factors,) * 3))


def test_floats_are_summed_step_by_step() -> None:
    block = filled(np.random.default_rng(8), (4, 8, 12), "float64", "full")
    sums = ordered_mean(block, (2, 2, 2)) * 8
    expected = ordered_mean(sums, (2, 2, 3)) / 8
    (*_, last) = cascade("mean", block, [(2, 2, 2), (2, 2, 3)])
    assert last.tobytes() == expected.tobytes()


def test_an_axis_that_runs_out_gives_empty_levels() -> None:
    block = np.ones((3, 8, 8), np.uint16)
    shapes = [level.shape for level in cascade("mean", block, [(2, 2, 2)] * 3)]
    assert shapes == [(1, 4, 4), (0, 2, 2), (0, 1, 1)]


@pytest.mark.parametrize("name", REDUCERS)
def test_no_steps_are_the_block_itself(name: str) -> None:
    block = filled(np.random.default_rng(8), (3, 4, 5), "int16", "full")
    np.testing.assert_array_equal(reduce_steps(name, block, ()), block)
    assert list(cascade(name, block, ())) == []


@pytest.mark.parametrize("name", REDUCERS)
def test_results_are_written_where_they_are_asked_for(name: str) -> None:
    block = filled(np.random.default_rng(8), (8, 8, 12), "float32", "full")
    out = np.zeros((2, 2, 5), np.float32)
    steps = [(2, 2, 2), (2, 2, 2)]
    assert reduce_steps(name, block, steps, out[..., 1:4]).base is out
    assert out[..., 1:4].tobytes() == reduce_steps(name, block, steps).tobytes()
    assert not out[..., 0].any()
    assert not out[..., 4].any()


@given(blocks((*INTEGERS, *FLOATS)), st.sampled_from(["mean", "min", "max"]), st.data())
@settings(max_examples=150)
def test_planes_one_by_one_equal_planes_at_once(case: Any, name: str, data: Any) -> None:
    block, factors = case
    shape = [n // f for n, f in zip(block.shape, factors, strict=True)]
    reduction = PlaneReduction(name, (shape[1], shape[2]), block.dtype, factors)
    planes = []
    for k in range(shape[0]):
        at, end = k * factors[0], (k + 1) * factors[0]
        while at < end:
            count = data.draw(st.integers(1, end - at))
            reduction.add(block[at] if count == 1 else block[at : at + count])
            at += count
        planes.append(reduction.finish())
    assert np.concatenate(planes).tobytes() == REDUCERS[name].reduce(block, factors).tobytes()


def test_bands_of_planes_equal_whole_planes() -> None:
    block = filled(np.random.default_rng(8), (3, 300, 501), "float32", "full")
    whole = mean(block, (3, 3, 3))
    for low, high in ((0, 30), (30, 100)):
        reduction = PlaneReduction("mean", (high - low, 167), block.dtype, (3, 3, 3))
        for plane in block:
            reduction.add(plane[3 * low : 3 * high])
        out = np.empty((1, high - low, 167), np.float32)
        assert reduction.finish(out) is out
        assert out.tobytes() == whole[:, low:high].tobytes()


@pytest.mark.parametrize("name", [name for name, row in REDUCERS.items() if not row.planewise])
def test_methods_that_need_whole_blocks_are_refused_plane_by_plane(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} cannot be made plane by plane; mean, min, max can"):
        PlaneReduction(name, (2, 2), np.dtype(np.uint8), (2, 2, 2))


def test_the_table_says_what_each_method_is() -> None:
    assert list(REDUCERS) == ["mean", "gaussian", "stride", "median", "mode", "min", "max"]
    assert all(name == row.name for name, row in REDUCERS.items())
    assert [name for name, row in REDUCERS.items() if row.anchor == "first"] == ["stride"]
    assert NESTED == ["mean", "stride", "mode", "min", "max"]
    assert [name for name, row in REDUCERS.items() if row.planewise] == ["mean", "min", "max"]
