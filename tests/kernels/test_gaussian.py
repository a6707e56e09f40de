"""The Gaussian against a slow plain version, and its independence of bands and planes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkvol.errors import InputError
from chunkvol.kernels import GaussianPlanes, gaussian_region, gaussian_weights, to_integer
from chunkvol.kernels.gaussian import gaussian
from tests.kernels.blocks import filled


def plain_gaussian(block: Any, factors: tuple[int, int, int]) -> Any:
    """Each output on its own, from the definition."""
    shape = [n // f for n, f in zip(block.shape, factors, strict=True)]
    result = block.astype(np.float64)
    for axis, (outputs, factor) in enumerate(zip(shape, factors, strict=True)):
        if factor == 1:
            continue
        lines = np.moveaxis(result, axis, 0)
        made = []
        for o in range(outputs):
            centre = factor * o + (factor - 1) / 2
            taps = [t for t in range(len(lines)) if abs(t - centre) <= 2 * factor]
            weights = np.array([math.exp(-((t - centre) ** 2) / (2 * (factor / 2) ** 2)) for t in taps])
            made.append(np.tensordot(weights / weights.sum(), lines[taps], axes=1))
        result = np.moveaxis(np.array(made), 0, axis)
    return result


factor_triples = st.tuples(*(st.integers(1, 5),) * 3)


@given(factor_triples, st.tuples(*(st.integers(5, 23),) * 3))
@settings(max_examples=60)
def test_the_filter_equals_its_definition(factors: tuple[int, int, int], shape: tuple[int, int, int]) -> None:
    block = filled(np.random.default_rng(6), shape, "float64", "full")
    np.testing.assert_allclose(gaussian(block, factors), plain_gaussian(block, factors), rtol=0, atol=1e-13)


@given(
    factor_triples,
    st.tuples(*(st.integers(5, 23),) * 3),
    st.sampled_from(["uint8", "int16", "uint16", "float32"]),
    st.data(),
)
@settings(max_examples=80)
def test_planes_and_bands_of_any_size_give_equal_bits(
    factors: tuple[int, int, int], shape: tuple[int, int, int], dtype: str, data: Any
) -> None:
    block = filled(np.random.default_rng(6), shape, dtype, "full")
    whole = gaussian(block, factors)
    planes, rows = (_some(data, n) for n in whole.shape[:2])
    maker = GaussianPlanes(shape, block.dtype, factors, planes=planes, rows=rows)
    assert maker.source == gaussian_region(shape, factors, (planes, rows, slice(0, whole.shape[2])))
    fed, made = block[maker.source], []
    while len(fed):
        count = data.draw(st.integers(1, len(fed)))
        made += list(maker.add(fed[:count]))
        fed = fed[count:]
    assert np.concatenate(made).tobytes() == whole[planes, rows].tobytes()


def _some(data: Any, length: int) -> slice:
    low = data.draw(st.integers(0, length - 1))
    return slice(low, data.draw(st.integers(low + 1, length)))


def test_bands_larger_than_the_buffers_give_equal_bits() -> None:
    block = filled(np.random.default_rng(6), (9, 301, 1021), "uint16", "full")
    whole = gaussian(block, (2, 2, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chunkvol.kernels.gaussian.BAND", 1)
        assert gaussian(block, (2, 2, 2)).tobytes() == whole.tobytes()
    exact = plain_gaussian(block, (2, 2, 2))
    assert np.abs(whole - exact).max() < 0.5 + 1e-9
    np.testing.assert_array_equal(whole, to_integer(exact, np.dtype(np.uint16)))


@given(st.integers(1, 60), st.integers(1, 9))
@settings(max_examples=60)
def test_weights_sum_to_one_and_inner_outputs_share_theirs(length: int, factor: int) -> None:
    factor = min(factor, length)
    first, weights = gaussian_weights(length, factor)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-15)
    outside = (first[:, None] + np.arange(weights.shape[1]) < 0) | (
        first[:, None] + np.arange(weights.shape[1]) >= length
    )
    assert not weights[outside].any()
    assert (weights[~outside] > 0).all()
    inner = weights[~outside.any(axis=1)]
    assert (inner == inner[:1]).all()
    np.testing.assert_array_equal(inner, inner[:, ::-1])


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32"])
def test_constant_volumes_stay_constant_up_to_their_edges(dtype: str) -> None:
    for value in (np.iinfo(dtype).min, 7, np.iinfo(dtype).max):
        block = np.full((7, 9, 11), value, dtype)
        assert (gaussian(block, (2, 3, 4)) == value).all()


def test_a_ramp_is_kept_in_the_interior_at_the_block_centres() -> None:
    k, j, i = np.ogrid[:40, :48, :60]
    block = 3.0 * k - 2.0 * j + 0.5 * i
    result = gaussian(block, (2, 3, 4))
    K, J, I = np.ogrid[:20, :16, :15]  # noqa: N806, E741  # the coarse grid's indices, as in the formula
    expected = 3.0 * (2 * K + 0.5) - 2.0 * (3 * J + 1) + 0.5 * (4 * I + 1.5)
    inner = (slice(2, -2),) * 3
    np.testing.assert_allclose(result[inner], expected[inner], rtol=0, atol=1e-11)


def test_factor_1_leaves_an_axis_alone() -> None:
    block = filled(np.random.default_rng(6), (3, 9, 8), "float32", "full")
    assert gaussian(block, (1, 1, 1)).tobytes() == block.tobytes()
    rows = [gaussian(block[k : k + 1], (1, 3, 2)) for k in range(3)]
    assert gaussian(block, (1, 3, 2)).tobytes() == np.concatenate(rows).tobytes()


def test_nan_spreads_as_far_as_the_taps_and_no_further() -> None:
    block = np.zeros((1, 1, 40), np.float32)
    block[0, 0, 0] = np.nan
    block[0, 0, 30] = np.inf
    result = gaussian(block, (1, 1, 2))[0, 0]
    assert np.flatnonzero(np.isnan(result)).tolist() == [0, 1]
    assert np.flatnonzero(np.isinf(result)).tolist() == [13, 14, 15, 16]


def test_64_bit_integers_are_refused() -> None:
    with pytest.raises(InputError, match="gaussian of 64-bit integers is not supported"):
        gaussian(np.zeros((2, 2, 2), np.int64), (2, 2, 2))
