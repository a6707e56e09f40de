"""Filters along one axis: ramps and constants come back, cuts do not matter, others find the same values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunkvol.kernels.resampling import METHODS, Taps, compiled, filter_axis, filter_scratch, smoothing_taps, taps_for
from tests.kernels.blocks import LAYOUTS, filled, laid_out
from tests.kernels.test_scratch import held

SCALES = st.one_of(st.sampled_from((1.0, 2.0, 3.0, 0.5, 1 + 1e-9, 1.0001, 41.5)), st.floats(0.05, 9))
OFFSETS = st.one_of(st.integers(-3, 9).map(float), st.floats(-3, 9), st.sampled_from((0.5, -0.5, 2 + 5e-7, 1e12)))
LENGTHS = st.one_of(st.integers(1, 4), st.integers(1, 90))
BOTH = pytest.mark.parametrize("loops", ("compiled", "plain"))


@pytest.fixture(autouse=True)
def chosen_loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the compiler away where a test asks for plain loops."""
    if "loops" in request.fixturenames and request.getfixturevalue("loops") == "plain":
        monkeypatch.setattr(compiled, "kernel_for", lambda *_: None)


def applied(values: Any, taps: Taps) -> Any:
    """A line filtered, one result and one tap at a time."""
    found = np.full(len(taps.first), -0.0)
    for n, (first, row) in enumerate(zip(taps.first, taps.weights, strict=True)):
        for tap in np.flatnonzero(row):  # not `sum`, which corrects its rounding since Python 3.12
            found[n] += row[tap] * float(values[first + tap])
    return found


# ---------------------------------------------------------------------------------------------------------- laws


@given(st.sampled_from(METHODS), SCALES, OFFSETS, st.integers(0, 40), LENGTHS, st.booleans())
def test_rows_sum_to_one_and_lie_inside_the_source(
    method: str, scale: float, offset: float, count: int, length: int, antialias: bool
) -> None:
    taps = taps_for(method, scale=scale, offset=offset, count=count, length=length, antialias=antialias)
    assert len(taps.first) == len(taps.weights) == len(taps.inside) == count
    assert taps.first.dtype == np.int64 and taps.weights.dtype == np.float64 and taps.length == length
    assert (taps.first >= 0).all() and (taps.first + taps.weights.shape[1] <= length).all()
    np.testing.assert_allclose(taps.weights.sum(axis=1), 1, rtol=0, atol=1e-14)
    places = offset + scale * np.arange(count)
    np.testing.assert_array_equal(taps.inside, (places >= -0.5 - 1e-6) & (places <= length - 0.5 + 1e-6))


@pytest.mark.parametrize("antialias", (False, True))
@pytest.mark.parametrize("method", ("linear", "cubic", "lanczos"))
@given(scale=st.one_of(st.sampled_from((1.0, 2.0, 0.5)), st.floats(0.1, 4)), offset=st.floats(0, 5))
def test_a_ramp_comes_back_in_the_interior(method: str, antialias: bool, scale: float, offset: float) -> None:
    length = 120
    taps = taps_for(method, scale=scale, offset=offset, count=40, length=length, antialias=antialias)
    places = offset + scale * np.arange(40)
    reach = 13 + 2 * scale + 3 if method != "linear" else scale
    inner = (places > reach) & (places < length - 1 - reach)
    found = applied(3.0 * np.arange(length) - 7, taps)
    # A place moves by a millionth onto a voxel; a windowed sinc is off by up to 0.03 voxels wherever it comes from.
    tolerance = 0.1 if method == "lanczos" else 4e-6
    np.testing.assert_allclose(found[inner], 3 * places[inner] - 7, rtol=0, atol=tolerance)


@given(st.sampled_from(METHODS), st.floats(0.1, 9), st.floats(-0.5, 0.5), LENGTHS, st.booleans())
def test_a_constant_stays_constant_up_to_the_faces(
    method: str, scale: float, offset: float, length: int, antialias: bool
) -> None:
    taps = taps_for(method, scale=scale, offset=offset, count=30, length=length, antialias=antialias)
    np.testing.assert_allclose(applied(np.full(length, 7.0), taps), 7, rtol=1e-14)


@pytest.mark.parametrize("antialias", (False, True))
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("noise", (0, 9e-7, -9e-7))
def test_a_grid_of_the_same_voxels_is_left_alone_bit_for_bit(method: str, antialias: bool, noise: float) -> None:
    taps = taps_for(method, scale=1, offset=3 + noise, count=9, length=15, antialias=antialias)
    np.testing.assert_array_equal(taps.first, np.arange(3, 12))
    np.testing.assert_array_equal(taps.weights, np.ones((9, 1)))
    values = np.array([[[-0.0, 0.0, 1e300, np.inf, -np.inf, 0.1, np.nan, 5e-324, -1 / 3, *range(6)]]])
    taps = taps_for(method, scale=1, offset=noise, count=15, length=15, antialias=antialias)
    assert filter_axis(values, taps, 2).tobytes() == values.tobytes()


@pytest.mark.parametrize("factor", (2, 3, 4, 7))
def test_areas_of_whole_voxels_are_block_means(factor: int) -> None:
    taps = taps_for("linear", scale=factor, offset=(factor - 1) / 2, count=5, length=5 * factor + 1, antialias=True)
    np.testing.assert_array_equal(taps.first, factor * np.arange(5))
    np.testing.assert_array_equal(taps.weights, np.full((5, factor), 1 / factor))


def test_areas_are_shares_cut_at_the_faces() -> None:
    taps = taps_for("linear", scale=2.5, offset=0.0, count=3, length=5, antialias=True)
    np.testing.assert_array_equal(taps.first, [0, 1, 1])
    # From -0.5 (the face) to 1.25; from 1.25 to 3.75; beyond the face. Three quarters of a voxel, or one quarter, count
    # in the middle of the part, an eighth or three eighths of a voxel off the centre: 3/32 counts for the next voxel.
    shift = 3 / 32
    np.testing.assert_allclose(taps.weights[0][:2], np.array([1 + shift, 0.75 - shift]) / 1.75)
    np.testing.assert_allclose(taps.weights[1], np.array([0.25 - shift, 1 + shift, 1 + shift, 0.25 - shift]) / 2.5)
    assert taps.inside.tolist() == [True, True, False] and taps.needed(slice(2, 3)) == slice(4, 5)


def test_areas_of_width_one_are_linear_interpolation() -> None:
    taps = taps_for("linear", scale=1 + 1e-12, offset=0.3, count=9, length=11, antialias=True)
    np.testing.assert_allclose(taps.weights, np.tile([0.7, 0.3], (9, 1)), rtol=0, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_results_on_the_faces_are_inside_and_hold_the_end_voxels(method: str) -> None:
    taps = taps_for(method, scale=4.5, offset=-0.5, count=3, length=10, antialias=False)
    assert taps.inside.tolist() == [True, True, True]
    taps = taps_for(method, scale=10 + 4e-6, offset=-0.5 - 2e-6, count=2, length=10, antialias=False)
    assert taps.inside.tolist() == [False, False]
    np.testing.assert_array_equal(applied(np.arange(10.0), taps), [0, 9])


def test_ties_of_the_nearest_voxel_go_up_even_with_noise() -> None:
    taps = taps_for("nearest", scale=1, offset=0.5 - 5e-7, count=3, length=9, antialias=True)
    assert taps.first.tolist() == [1, 2, 3]


@BOTH
@given(st.data(), st.sampled_from(METHODS), st.floats(0.2, 5), st.floats(-2, 4), st.booleans(), st.integers(0, 2))
def test_any_part_of_the_results_has_the_same_bits(
    loops: str, data: st.DataObject, method: str, scale: float, offset: float, antialias: bool, axis: int
) -> None:
    lengths = [3, 3, 3]
    lengths[axis] = data.draw(st.integers(1, 30))
    values = np.random.default_rng(1).standard_normal(lengths).astype(np.float32)
    taps = taps_for(method, scale=scale, offset=offset, count=17, length=lengths[axis], antialias=antialias)
    whole = np.moveaxis(filter_axis(values, taps, axis), axis, 0)
    low, high = sorted(data.draw(st.tuples(st.integers(0, 17), st.integers(0, 17))))
    needed = taps.needed(slice(low, high))
    cut = [slice(None)] * 3
    cut[axis] = needed
    room = laid_out(values[tuple(cut)], data.draw(st.sampled_from(LAYOUTS)))
    part = filter_axis(room, taps.part(slice(low, high)), axis, start=needed.start)
    assert np.moveaxis(part, axis, 0).tobytes() == whole[low:high].tobytes()


@BOTH
@pytest.mark.parametrize("dtype", ("uint8", "int16", "uint32", "float32", "float64"))
@pytest.mark.parametrize("axis", (0, 1, 2))
def test_filters_are_sums_in_the_order_of_taps(loops: str, dtype: str, axis: int) -> None:
    values = filled(np.random.default_rng(2), (5, 6, 7), dtype, "full")
    taps = taps_for("cubic", scale=0.7, offset=-0.3, count=9, length=values.shape[axis], antialias=True)
    expected = np.apply_along_axis(lambda line: applied(line, taps), axis, values)
    assert filter_axis(values, taps, axis).tobytes() == expected.tobytes()
    single = np.full(expected.shape, -1, np.float32)
    assert filter_axis(values, taps, axis, out=single) is single
    np.testing.assert_array_equal(single, expected.astype(np.float32))


@given(st.data(), SCALES, OFFSETS, LENGTHS, st.sampled_from(METHODS), st.booleans())
def test_compiled_and_plain_loops_give_the_same_bits(
    data: st.DataObject, scale: float, offset: float, length: int, method: str, antialias: bool
) -> None:
    rng = np.random.default_rng(3)
    values = rng.standard_normal((length, 2, 150))
    values[rng.random(values.shape) < 0.02] = np.nan
    values[rng.random(values.shape) < 0.02] = -np.inf
    taps = taps_for(method, scale=scale, offset=offset, count=12, length=length, antialias=antialias)
    found = filter_axis(values, taps, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "kernel_for", lambda *_: None)
        assert filter_axis(values, taps, 0).tobytes() == found.tobytes()


@BOTH
def test_a_voxel_of_weight_zero_takes_no_part(loops: str) -> None:
    taps = Taps(np.array([0, 1]), np.array([[0.5, 0, 0.5], [0, 0, 1.0]]), np.ones(2, bool), 4)
    values = np.array([1, np.nan, 3, np.inf]).reshape(1, 1, 4)
    assert filter_axis(values, taps, 2).tolist() == [[[2, np.inf]]]
    assert taps.needed(slice(1, 2)) == slice(3, 4) and taps.needed(slice(0, 0)) == slice(0, 0)


# -------------------------------------------------------------------------------------------------------- oracles


@pytest.mark.parametrize(("method", "order"), (("linear", 1), ("cubic", 3)))
@pytest.mark.parametrize(("scale", "offset"), ((0.37, -0.45), (1.7, 0.3), (1.0, 0.5), (2.0, 0.0)))
@pytest.mark.parametrize("length", (1, 2, 3, 5, 14, 40))
def test_scipy_finds_the_same_values(method: str, order: int, scale: float, offset: float, length: int) -> None:
    from scipy.ndimage import map_coordinates

    values = np.random.default_rng(4).standard_normal(length) + 3
    taps = taps_for(method, scale=scale, offset=offset, count=30, length=length, antialias=False)
    places = offset + scale * np.arange(30)
    if order == 1:
        places = np.clip(places, 0, length - 1)
    expected = map_coordinates(values, [places], order=order, mode="mirror")
    np.testing.assert_allclose(applied(values, taps)[taps.inside], expected[taps.inside], rtol=1e-5)


@pytest.mark.parametrize("scale", (0.31, 1.0, 2.3))
def test_lanczos_is_the_windowed_sinc(scale: float) -> None:
    taps = taps_for("lanczos", scale=scale, offset=0.2, count=20, length=60, antialias=False)
    for place, first, row in zip(0.2 + scale * np.arange(20), taps.first, taps.weights, strict=True):
        x = place - (first + np.arange(len(row)))
        expected = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
        np.testing.assert_allclose(row, expected / expected.sum(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("method", ("cubic", "lanczos"))
@pytest.mark.parametrize("scale", (1.2, 2.6))
@pytest.mark.parametrize("length", (2, 7, 33, 90))
def test_a_coarser_grid_is_smoothed_first_and_interpolated_then(method: str, scale: float, length: int) -> None:
    from scipy.ndimage import map_coordinates

    values = np.random.default_rng(5).standard_normal(length) + 3
    smooth = smoothing_taps("linear", width=scale, length=length, antialias=True)
    assert smooth is not None
    places = 0.3 + scale * np.arange(int(length / scale))
    both = taps_for(method, scale=scale, offset=0.3, count=len(places), length=length, antialias=True)
    alone = taps_for(method, scale=scale, offset=0.3, count=len(places), length=length, antialias=False)
    found, smoothed = applied(values, both), applied(values, smooth)
    np.testing.assert_allclose(found, applied(smoothed, alone), rtol=1e-6)
    if method == "cubic":
        expected = map_coordinates(smoothed, [places], order=3, mode="mirror")
        np.testing.assert_allclose(found[both.inside], expected[both.inside], rtol=1e-5)


@pytest.mark.parametrize("length", (2, 3, 9, 50))
def test_the_prefilter_gives_the_coefficients_of_splines(length: int) -> None:
    from scipy.ndimage import spline_filter1d

    values = np.random.default_rng(6).standard_normal(length)
    taps = smoothing_taps("cubic", width=1, length=length, antialias=True)
    assert taps is not None
    np.testing.assert_allclose(applied(values, taps), spline_filter1d(values, mode="mirror"), rtol=0, atol=3e-6)


def test_the_gaussian_has_the_width_that_is_stated() -> None:
    taps = smoothing_taps("lanczos", width=4, length=101, antialias=True)
    assert taps is not None
    row = taps.weights[50]
    at = taps.first[50] + np.arange(len(row)) - 50
    np.testing.assert_allclose([(row * at).sum(), (row * at**2).sum()], [0, 0.25 * (4**2 - 1)], rtol=2e-3, atol=1e-12)


# -------------------------------------------------------------------------------------------------------- corners


@pytest.mark.parametrize(
    ("method", "width", "length", "antialias"),
    (
        ("nearest", 9, 50, True),
        ("linear", 9, 50, False),
        ("linear", 1, 50, True),
        ("lanczos", 1 + 1e-9, 50, True),
        ("cubic", 1, 1, True),
        ("cubic", 9, 1, True),
    ),
)
def test_nothing_goes_before_where_there_is_nothing_to_smooth(
    method: str, width: float, length: int, antialias: bool
) -> None:
    assert smoothing_taps(method, width=width, length=length, antialias=antialias) is None


def test_a_width_hardly_above_one_hardly_smooths() -> None:
    taps = taps_for("cubic", scale=1.0001, offset=0.25, count=9, length=30, antialias=True)
    plain = taps_for("cubic", scale=1.0001, offset=0.25, count=9, length=30, antialias=False)
    assert taps.weights.tobytes() == plain.weights.tobytes()


@pytest.mark.parametrize("method", METHODS)
def test_a_long_axis_needs_no_table_of_its_own(method: str) -> None:
    taps = taps_for(method, scale=2.5, offset=1e9, count=9, length=2_000_000_000, antialias=True)
    assert taps.inside.all() and (taps.first > 1e9 - 50).all() and taps.weights.shape[1] < 45


@BOTH
@pytest.mark.parametrize("shape", ((40, 50, 60), (3, 2, 900)))
def test_filters_hold_no_more_than_they_say(loops: str, shape: tuple[int, int, int]) -> None:
    values = np.zeros(shape, np.uint16)
    for axis in range(3):
        taps = taps_for("cubic", scale=1.3, offset=0.1, count=shape[axis], length=shape[axis], antialias=True)
        out = np.empty(shape, np.float32)
        filter_axis(values, taps, axis, out=out)
        assert held(lambda: filter_axis(values, taps, axis, out=out)) <= filter_scratch(taps) < 8 << 20  # noqa: B023
