"""The mean: exact for integers, one order of additions for floats, whatever the tiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chunkvol.errors import InputError
from chunkvol.kernels import tiles
from chunkvol.kernels.means import mean
from tests.kernels.blocks import FLOATS, INTEGERS, LAYOUTS, blocks, exact_mean, filled, laid_out, ordered_mean


@given(blocks(INTEGERS))
@settings(max_examples=200)
def test_integer_means_equal_exact_arithmetic_rounded_half_to_even(case: Any) -> None:
    block, factors = case
    result = mean(block, factors)
    assert result.dtype == block.dtype
    np.testing.assert_array_equal(result, exact_mean(block, factors))


@given(blocks(FLOATS))
@settings(max_examples=100)
def test_float_means_equal_the_documented_order_of_additions_bit_for_bit(case: Any) -> None:
    block, factors = case
    assert mean(block, factors).tobytes() == ordered_mean(block, factors).tobytes()


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("content", ["lowest", "highest", "full"])
@pytest.mark.parametrize(
    "factors", [(1, 1, 1), (2, 2, 2), (7, 11, 13), (16, 16, 16), (5, 1, 64), (64, 64, 1), (1, 300, 2)]
)
def test_large_blocks_of_extreme_values_do_not_overflow(
    dtype: str, content: str, factors: tuple[int, int, int]
) -> None:
    block = filled(
        np.random.default_rng(3), tuple(f * n for f, n in zip(factors, (1, 2, 3), strict=True)), dtype, content
    )
    np.testing.assert_array_equal(mean(block, factors), exact_mean(block, factors))


@pytest.mark.parametrize("dtype", ["uint32", "int32"])
@pytest.mark.parametrize("factors", [(1, 1024, 1025), (1, 1024, 1024), (2, 1024, 1024)])
def test_sums_beyond_double_precision_are_still_divided_exactly(dtype: str, factors: tuple[int, int, int]) -> None:
    high = np.iinfo(dtype).max
    block = np.full(factors, high, dtype)
    block[:, : factors[1] // 2] -= 1  # exactly between two integers where the number of rows is even
    np.testing.assert_array_equal(mean(block, factors), exact_mean(block, factors))


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("factors", [(1, 1, 2), (2, 2, 2), (1, 2, 3), (2, 5, 1), (1, 2, 1)])
def test_every_tie_and_every_remainder_goes_half_to_even(dtype: str, factors: tuple[int, int, int]) -> None:
    count = int(np.prod(factors))
    remainders = np.arange(4 * count)
    parts = np.zeros((len(remainders), count), np.int64)
    for place in range(count):
        parts[:, place] = (remainders + place) // count  # sums to each remainder in turn
    block = parts.reshape(len(remainders), *factors).transpose(1, 0, 2, 3).reshape(factors[0], -1, factors[2])
    for low in (0, int(np.iinfo(dtype).min), int(np.iinfo(dtype).max) - 8):
        values = np.ascontiguousarray(block + low).astype(dtype)
        np.testing.assert_array_equal(mean(values, factors), exact_mean(values, factors))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", (*INTEGERS, *FLOATS))
@pytest.mark.parametrize("shape", [(4, 130, 1021), (6, 67, 1024), (3, 5, 129)])
def test_the_layout_in_memory_and_the_tiles_never_show(layout: str, dtype: str, shape: tuple[int, int, int]) -> None:
    block = filled(np.random.default_rng(5), shape, dtype, "full")
    for factors in ((2, 2, 2), (3, 3, 3), (1, 1, 1)):
        whole = mean(laid_out(block, layout), factors)
        rows = [mean(block[:, y : y + factors[1]], factors) for y in range(0, shape[1] - factors[1] + 1, factors[1])]
        assert whole.tobytes() == np.concatenate(rows, axis=1).tobytes()


@given(blocks((*INTEGERS, *FLOATS), largest=3), st.sampled_from([1, 40, 200, 1000]))
@settings(max_examples=60)
def test_tiles_of_any_size_give_equal_bits(case: Any, limit: int) -> None:
    block, factors = case
    whole = mean(block, factors)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles.tiles, "__defaults__", (limit,))
        patch.setattr(tiles.largest_tile, "__defaults__", (limit,))
        assert mean(block, factors).tobytes() == whole.tobytes()


@given(st.integers(1, 300), st.data())
@settings(max_examples=60)
@example(128, None)
def test_any_number_of_byte_rows_is_added_without_carry(rows: int, data: Any) -> None:
    columns = 1 if data is None else data.draw(st.integers(1, 6))
    block = np.full((1, rows, columns * 2), 255, np.uint8)
    np.testing.assert_array_equal(mean(block, (1, rows, columns)), 255)


def test_nan_and_infinity_stay_in_their_blocks() -> None:
    block = np.ones((2, 4, 8), np.float32)
    block[0, 0, 0], block[1, 1, 3], block[0, 2, 4], block[1, 3, 5] = np.nan, np.inf, np.inf, -np.inf
    expected = np.ones((1, 2, 4), np.float32)
    expected[0, 0, 0], expected[0, 0, 1], expected[0, 1, 2] = np.nan, np.inf, np.nan
    assert mean(block, (2, 2, 2)).tobytes() == expected.tobytes()


def test_results_are_written_where_they_are_asked_for() -> None:
    block = filled(np.random.default_rng(1), (4, 6, 8), "int16", "full")
    room = np.zeros((4, 5, 9), np.int16)
    out = room[1:3, 1:4, 2:6]
    assert mean(block, (2, 2, 2), out) is out
    np.testing.assert_array_equal(out, exact_mean(block, (2, 2, 2)))
    assert np.count_nonzero(room) == np.count_nonzero(out)


def test_blocks_shorter_than_the_factor_give_an_empty_result() -> None:
    assert mean(np.zeros((3, 1, 4), np.uint16), (2, 2, 2)).shape == (1, 0, 2)


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_64_bit_integers_are_refused_with_the_methods_that_labels_want(dtype: str) -> None:
    with pytest.raises(
        InputError, match="mean of 64-bit integers is not supported; labels want --method mode or stride"
    ):
        mean(np.zeros((2, 2, 2), dtype), (2, 2, 2))


def test_types_without_a_mean_are_refused() -> None:
    with pytest.raises(InputError, match="mean of bool voxels is not supported"):
        mean(np.zeros((2, 2, 2), bool), (2, 2, 2))
