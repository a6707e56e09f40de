"""The mean without padding: exact for integers, in one order for floats, the plain mean where nothing is padding."""

from __future__ import annotations

import math
import tracemalloc
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkvol.errors import InputError
from chunkvol.kernels import tiles
from chunkvol.kernels.masked import MaskedPlanes, masked_mean, masked_scratch
from chunkvol.kernels.means import mean
from tests.kernels.blocks import FLOATS, INTEGERS, LAYOUTS, blocks, filled, laid_out, ordered_mean, split

FACTORS = ((2, 2, 2), (3, 3, 3), (1, 1, 1), (2, 1, 5), (1, 4, 16))


def plain_masked_mean(block: Any, factors: tuple[int, int, int], low: int, high: int) -> Any:
    """Python integers and fractions only, one block of voxels after the other."""
    parts = split(block, factors)
    out = []
    for voxels in parts.reshape(-1, parts.shape[-1]).tolist():
        kept = [voxel for voxel in voxels if not low <= voxel <= high]
        out.append(round(Fraction(sum(kept), len(kept))) if kept else low)
    return np.array(out, block.dtype).reshape(parts.shape[:3])


def plain_float_mean(block: Any, factors: tuple[int, int, int], low: float, high: float) -> Any:
    """The documented order of additions, zeros for padding, then one division."""
    padding = np.isnan(block) | ((block >= low) & (block <= high))
    wide = np.where(padding, 0, block.astype("f8"))
    sums = ordered_mean(wide, factors) * math.prod(factors)
    if math.prod(factors) & (math.prod(factors) - 1):
        pytest.fail("the oracle's product is exact for powers of two only")
    counts = split(~padding, factors).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return np.where(counts > 0, sums / np.maximum(counts, 1), low).astype(block.dtype)


@given(blocks(INTEGERS), st.data())
@settings(max_examples=200)
def test_integers_equal_exact_arithmetic_over_the_voxels_that_are_kept(case: Any, data: Any) -> None:
    block, factors = case
    ends = st.sampled_from(sorted({int(v) for v in block.ravel()[:50]}))
    low, high = sorted((data.draw(ends), data.draw(ends)))
    result = masked_mean(block, factors, (low, high))
    assert result.dtype == block.dtype
    np.testing.assert_array_equal(result, plain_masked_mean(block, factors, low, high))


@given(blocks((*INTEGERS, *FLOATS)))
@settings(max_examples=100)
def test_without_padding_it_is_the_mean_bit_for_bit(case: Any) -> None:
    block, factors = case
    outside = (1e6, 2e6) if block.dtype.kind == "f" else (2**40, 2**41)
    assert masked_mean(block, factors, outside).tobytes() == mean(block, factors).tobytes()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("factors", [(2, 2, 2), (1, 4, 2), (1, 1, 1)])
def test_floats_are_added_in_the_documented_order_and_nan_is_padding(dtype: str, factors: Any) -> None:
    rng = np.random.default_rng(4)
    block = (rng.standard_normal((5, 34, 23)) * 30).astype(dtype)
    block[rng.random(block.shape) < 0.3] = np.nan
    block[rng.random(block.shape) < 0.3] = -1000
    block[:2, :4, :4] = -1000
    result = masked_mean(block, factors, (-1000, -900))
    assert result.tobytes() == plain_float_mean(block, factors, -1000, -900).tobytes()
    assert result[0, 0, 0] == -1000


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32"])
def test_the_layout_in_memory_and_the_bands_never_show(layout: str, dtype: str) -> None:
    block = filled(np.random.default_rng(5), (6, 67, 1021), dtype, "full")
    low, high = (-0.5, 0.5) if dtype == "float32" else (10, int(np.iinfo(dtype).max) // 2)
    for factors in FACTORS:
        whole = masked_mean(laid_out(block, layout), factors, (low, high))
        rows = [
            masked_mean(block[:, y : y + factors[1]], factors, (low, high))
            for y in range(0, 67 - factors[1] + 1, factors[1])
        ]
        assert whole.tobytes() == np.concatenate(rows, axis=1).tobytes()


@given(blocks((*INTEGERS, *FLOATS), largest=3), st.sampled_from([1, 40, 200, 1000]))
@settings(max_examples=60)
def test_tiles_of_any_size_give_equal_bits(case: Any, limit: int) -> None:
    block, factors = case
    whole = masked_mean(block, factors, (0, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles.tiles, "__defaults__", (limit,))
        patch.setattr(tiles.largest_tile, "__defaults__", (limit,))
        assert masked_mean(block, factors, (0, 1)).tobytes() == whole.tobytes()


@pytest.mark.parametrize("dtype", ["uint32", "int32"])
@pytest.mark.parametrize("factors", [(1, 1024, 1025), (2, 1024, 1024)])
def test_sums_beyond_double_precision_are_still_divided_exactly(dtype: str, factors: Any) -> None:
    high = int(np.iinfo(dtype).max)
    block = np.full(factors, high, dtype)
    block[:, :500] -= 1
    block[:, 500:510] = 7
    np.testing.assert_array_equal(masked_mean(block, factors, (7, 7)), plain_masked_mean(block, factors, 7, 7))


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_ties_go_half_to_even_whatever_the_number_of_voxels_kept(dtype: str) -> None:
    low = int(np.iinfo(dtype).min)
    block = np.array([[[1, 2, 9, 9, 2, 3, 9, 9, 0, 0, 3, 9]]], dtype) + np.array(low, dtype)
    result = masked_mean(block, (1, 1, 4), (low + 9, low + 9))
    assert (result - np.array(low, dtype)).tolist() == [[[2, 2, 1]]]


def test_a_block_of_padding_is_the_start_of_the_range_in_the_voxels_type() -> None:
    block = np.full((2, 2, 2), -1500, np.int16)
    assert masked_mean(block, (2, 2, 2), (-2000, -1000)).item() == -2000
    assert masked_mean(block, (2, 2, 2), (-99999, -1000)).item() == -32768
    assert masked_mean(block, (2, 2, 2), (-1500.5, -1499.5)).item() == -1500
    void = np.full((2, 2, 2), np.nan, np.float32)
    assert masked_mean(void, (2, 2, 2), (-1000.1, -1000.1)).item() == np.float32(-1000.1)
    assert masked_mean(np.full((1, 1, 2), -1000.1, "f4"), (1, 1, 2), (-1000.1, -1000.1)).item() == np.float32(-1000.1)


@pytest.mark.parametrize("ignore", [(-5, -1), (300, 400), (1.2, 1.8)])
def test_a_range_that_the_type_cannot_hold_leaves_nothing_out(ignore: tuple[float, float]) -> None:
    block = filled(np.random.default_rng(1), (4, 4, 4), "uint8", "full")
    np.testing.assert_array_equal(masked_mean(block, (2, 2, 2), ignore), mean(block, (2, 2, 2)))
    infinite = np.array([[[np.inf, 3.0]]], np.float16)
    assert masked_mean(infinite, (1, 1, 2), (1e6, 2e6)).item() == np.inf


def test_planes_may_come_one_by_one_or_several_at_a_time() -> None:
    block = filled(np.random.default_rng(8), (6, 9, 11), "int16", "few")
    whole = masked_mean(block, (6, 2, 3), (1, 1))
    maker = MaskedPlanes((4, 3), block.dtype, (6, 2, 3), (1, 1))
    for part in (block[:1], block[1:4], block[4:]):
        maker.add(part)
    out = np.empty((1, 4, 3), np.int16)
    maker.finish(out)
    np.testing.assert_array_equal(out, whole)


def test_types_without_a_mean_are_refused() -> None:
    with pytest.raises(InputError, match="mean of 64-bit integers is not supported"):
        masked_mean(np.zeros((2, 2, 2), "int64"), (2, 2, 2), (0, 0))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float32", "float64"])
@pytest.mark.parametrize(("shape", "factors"), [((4, 512, 1022), (2, 2, 2)), ((2, 400, 900), (1, 4, 3)),
    ((2, 1024, 1024), (2, 512, 512)), ((1, 1000, 1000), (1, 1, 1))])  # fmt: skip
def test_it_holds_no_more_than_it_promises(dtype: str, shape: Any, factors: Any) -> None:
    block = filled(np.random.default_rng(0), shape, dtype, "few")
    out = np.empty([n // f for n, f in zip(shape, factors, strict=True)], dtype)
    tracemalloc.start()
    try:
        masked_mean(block, factors, (1, 1), out)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert held <= masked_scratch((out.shape[1], out.shape[2]), block.dtype, factors)
