"""Median, mode, minimum, maximum and stride against plain oracles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkvol.errors import InputError
from chunkvol.kernels import lists
from chunkvol.kernels.extremes import maximum, minimum, stride
from chunkvol.kernels.median import median
from chunkvol.kernels.mode import mode
from chunkvol.kernels.networks import comparators, network, sort_rows
from tests.kernels.blocks import FLOATS, INTEGERS, blocks, filled, plain_mode, split

ALL = (*INTEGERS, "int64", "uint64", *FLOATS)


def exact_median(block: Any, factors: tuple[int, int, int]) -> Any:
    parts = np.sort(split(block, factors), axis=-1)
    middle = parts.shape[-1] // 2
    low, high = parts[..., (parts.shape[-1] - 1) // 2], parts[..., middle]
    if block.dtype.kind == "f":
        return np.median(split(block, factors).astype(np.float64), axis=-1).astype(block.dtype)
    # Python integers; round(n / 2) would not be exact for 64 bits.
    halves = [a + b for a, b in zip(low.ravel().tolist(), high.ravel().tolist(), strict=True)]
    rounded = [s // 2 + (s & 1 & (s // 2)) for s in halves]
    return np.array(rounded, block.dtype).reshape(low.shape)


@given(blocks(ALL))
@settings(max_examples=150)
def test_medians_equal_sorted_lists_and_even_ones_round_half_to_even(case: Any) -> None:
    block, factors = case
    result = median(block, factors)
    assert result.dtype == block.dtype
    np.testing.assert_array_equal(result, exact_median(block, factors))


@given(blocks(ALL))
@settings(max_examples=150)
def test_modes_equal_a_counter_and_ties_go_to_the_smallest(case: Any) -> None:
    block, factors = case
    result = mode(block, factors)
    assert result.dtype == block.dtype
    np.testing.assert_array_equal(result, plain_mode(block, factors))


@given(blocks(ALL, largest=3))
@settings(max_examples=60)
def test_long_lists_take_another_road_to_the_same_result(case: Any) -> None:
    block, factors = case
    with pytest.MonkeyPatch.context() as patch:
        for module in ("median", "mode"):
            patch.setattr(f"chunkvol.kernels.{module}.LONGEST_NETWORK", 0)
        np.testing.assert_array_equal(median(block, factors), exact_median(block, factors))
        np.testing.assert_array_equal(mode(block, factors), plain_mode(block, factors))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5])
@pytest.mark.parametrize("factors", [(2, 2, 2), (3, 5, 7), (1, 16, 16)])
def test_modes_of_mostly_uniform_labels(dtype: str, share: float, factors: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(7)
    block = np.kron(rng.integers(0, 4, (2, 3, 4)), np.ones(factors)).astype(dtype)
    odd = rng.random(block.shape) < share
    block[odd] = rng.integers(0, 9, np.count_nonzero(odd))
    np.testing.assert_array_equal(mode(block, factors), plain_mode(block, factors))


def test_labels_of_64_bits_keep_all_their_bits() -> None:
    block = np.full((5, 5, 5), 2**63 + 1, np.uint64)
    block[0] = 2**63 + 2
    assert mode(block, (5, 5, 5)).item() == median(block, (5, 5, 5)).item() == 2**63 + 1
    assert mode(block[:4, :4, :4], (4, 4, 4)).item() == 2**63 + 1


@pytest.mark.parametrize("reduce", [median, mode, minimum, maximum, stride])
def test_masks_stay_masks(reduce: Any) -> None:
    block = np.zeros((2, 2, 4), bool)
    block[..., 2:] = True
    result = reduce(block, (2, 2, 2))
    assert result.dtype == bool
    assert result.tolist() == [[[False, True]]]


@pytest.mark.parametrize("factors", [(2, 2, 2), (3, 3, 3), (5, 5, 5)])
@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_spreads_through_median_minimum_and_maximum(dtype: str, factors: tuple[int, int, int]) -> None:
    shape = tuple(3 * f for f in factors)
    block = filled(np.random.default_rng(2), shape, dtype, "full")
    block[1, 1, 1] = np.nan
    block[-1, -1, -1] = np.nan
    for reduce in (median, minimum, maximum):
        unknown = np.isnan(reduce(block, factors))
        assert np.argwhere(unknown).tolist() == [[0, 0, 0], [2, 2, 2]]


def test_the_mode_counts_nan_as_one_value() -> None:
    block = np.array([1, np.nan, np.nan, 2], np.float32).reshape(1, 1, 4)
    assert np.isnan(mode(block, (1, 1, 4))).all()
    assert mode(np.array([1, np.nan, 1, np.nan], np.float32).reshape(1, 1, 4), (1, 1, 4)).item() == 1


@given(blocks(ALL))
@settings(max_examples=100)
def test_extremes_and_stride_equal_numpy(case: Any) -> None:
    block, factors = case
    parts = split(block, factors)
    np.testing.assert_array_equal(minimum(block, factors), parts.min(axis=-1))
    np.testing.assert_array_equal(maximum(block, factors), parts.max(axis=-1))
    np.testing.assert_array_equal(stride(block, factors), parts[..., 0])


@pytest.mark.parametrize("reduce", [median, mode, minimum, maximum])
@pytest.mark.parametrize("factors", [(2, 2, 2), (1, 3, 3), (1, 1, 2), (5, 5, 5)])
def test_zeros_and_nan_have_the_same_bits_whatever_the_tiles(reduce: Any, factors: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(11)
    block = rng.choice(np.array([0.0, -0.0, np.nan, -np.nan], np.float32), (5, 45, 135), p=[0.45, 0.45, 0.05, 0.05])
    whole = reduce(block, factors)
    k, j, i = (n // f for n, f in zip(block.shape, factors, strict=True))
    for place in ((0, 0, 0), (k - 1, j - 1, i - 1), (0, j // 2, i // 2)):
        z, y, x = (slice(p * f, p * f + f) for p, f in zip(place, factors, strict=True))
        assert reduce(block[z, y, x], factors).tobytes() == whole[place].tobytes()


@pytest.mark.parametrize("reduce", [median, mode])
def test_complex_voxels_are_refused(reduce: Any) -> None:
    with pytest.raises(InputError, match="of complex64 voxels is not supported"):
        reduce(np.zeros((2, 2, 2), np.complex64), (2, 2, 2))


@pytest.mark.parametrize("length", range(1, 13))
def test_the_network_sorts_every_list_of_zeros_and_ones(length: int) -> None:
    """What sorts those sorts everything (Knuth 3, 5.3.4, theorem Z)."""
    columns = (np.arange(2**length) >> np.arange(length)[:, None]) & 1
    rows = sort_rows(columns.copy(), tuple(range(length)))
    np.testing.assert_array_equal([rows[place] for place in range(length)], np.sort(columns, axis=0))


@given(st.integers(1, 64), st.integers(0, 9), st.data())
@settings(max_examples=60)
def test_pruned_networks_still_find_their_places(length: int, seed: int, data: Any) -> None:
    wanted = tuple(sorted(data.draw(st.sets(st.integers(0, length - 1), min_size=1, max_size=2))))
    columns = np.random.default_rng(seed).integers(0, 50, (length, 20))
    ordered = np.sort(columns, axis=0)
    rows = sort_rows(columns.copy(), wanted)
    for place in wanted:
        np.testing.assert_array_equal(rows[place], ordered[place])


def test_pruning_leaves_comparisons_out() -> None:
    assert len(network(8, tuple(range(8)))) == len(list(comparators(8))) == 19
    assert sum(a + b for _, _, a, b in network(8, (3, 4))) < 38
    assert lists.LONGEST_NETWORK >= 27
