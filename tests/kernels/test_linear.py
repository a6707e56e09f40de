"""Linear interpolation: ramps come back, cuts do not matter, and pixels that are hit are not touched."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunkvol.errors import InputError
from chunkvol.kernels import (
    blend,
    blend_scratch,
    covered,
    interpolate_axis,
    interpolate_scratch,
    shift_axis,
    shift_plane,
    shift_scratch,
    split_offset,
)
from tests.kernels.blocks import FLOATS, INTEGERS, LAYOUTS, filled, laid_out
from tests.kernels.test_scratch import held

CONTENTS = ("full", "few", "lowest", "highest")
WEIGHTS = st.one_of(
    st.sampled_from((0.0, 0.5, 0.25, 1 / 3, math.nextafter(1, 0), 5e-324)), st.floats(0, 1, exclude_max=True)
)
OFFSETS = st.one_of(st.integers(-9, 9).map(float), st.floats(-9, 9), st.sampled_from((0.5, -0.5, 2.25, 1e9, -1e300)))


def exactly(lower: Any, upper: Any, weight: float) -> Any:
    """Fractions; `round` goes half to even."""
    share = Fraction(weight)
    pairs = zip(lower.ravel().tolist(), upper.ravel().tolist(), strict=True)
    return np.array([round(a + share * (b - a)) for a, b in pairs], lower.dtype).reshape(lower.shape)


def plainly(block: Any, position: float, axis: int, fill: float) -> Any:
    """One position at a time, of a block in double precision."""
    n = block.shape[axis]
    if not math.isfinite(position):
        return np.full_like(block.take(0, axis), fill)
    near = round(position)
    if abs(position - near) <= 1e-9:
        inside, low, weight = 0 <= near < n, near, 0.0
    else:
        low = math.floor(position)
        inside, weight = 0 <= low < n - 1, position - low
    if not inside:
        return np.full_like(block.take(0, axis), fill)
    a = block.take(low, axis)
    return a if not weight else a + weight * (block.take(low + 1, axis) - a)


# ---------------------------------------------------------------------------------------------------------- laws


@given(
    seed=st.integers(0, 99),
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    dtype=st.sampled_from(("uint8", "int8", "uint16", "int16")),
    contents=st.tuples(st.sampled_from(CONTENTS), st.sampled_from(CONTENTS)),
    weight=st.sampled_from((0.0, 0.5, 0.25, 0.75, 0.125, 0.0625, 1 - 2**-30)),
)
def test_mixed_integers_are_the_exact_mix_rounded_once_half_to_even(
    seed: int, shape: Any, dtype: str, contents: Any, weight: float
) -> None:
    rng = np.random.default_rng(seed)
    lower, upper = (filled(rng, tuple(shape), dtype, content) for content in contents)
    mixed = blend(lower, upper, weight)
    np.testing.assert_array_equal(mixed, exactly(lower, upper, weight))
    assert mixed.dtype == lower.dtype


@given(seed=st.integers(0, 99), dtype=st.sampled_from(INTEGERS), weight=WEIGHTS, contents=st.sampled_from(CONTENTS))
def test_mixed_integers_stay_between_the_two_and_are_off_by_half_at_most(
    seed: int, dtype: str, weight: float, contents: str
) -> None:
    rng = np.random.default_rng(seed)
    lower, upper = filled(rng, (5, 7), dtype, "full"), filled(rng, (5, 7), dtype, contents)
    mixed = blend(lower, upper, weight)
    assert np.all((np.minimum(lower, upper) <= mixed) & (mixed <= np.maximum(lower, upper)))
    for a, b, m in zip(lower.ravel().tolist(), upper.ravel().tolist(), mixed.ravel().tolist(), strict=True):
        assert abs(m - (a + Fraction(weight) * (b - a))) <= Fraction(1, 2) + Fraction(1, 10**6)
    np.testing.assert_array_equal(blend(lower, lower, weight), lower)


@given(seed=st.integers(0, 99), dtype=st.sampled_from(FLOATS), weight=WEIGHTS)
def test_mixed_floats_are_mixed_in_double_precision_and_rounded_once(seed: int, dtype: str, weight: float) -> None:
    rng = np.random.default_rng(seed)
    lower, upper = (filled(rng, (3, 5, 7), dtype, "full") for _ in range(2))
    a, b = lower.astype(np.float64), upper.astype(np.float64)
    mixed = blend(lower, upper, weight)
    np.testing.assert_array_equal(mixed, (a + weight * (b - a)).astype(dtype))
    np.testing.assert_array_equal(blend(lower, lower, weight), lower)
    assert mixed.dtype == dtype


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32", "float64"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_tiles_and_layouts_in_memory_do_not_matter(dtype: str, layout: str) -> None:
    rng = np.random.default_rng(3)
    lower, upper = (filled(rng, (3, 211, 401), dtype, "full") for _ in range(2))
    plain = blend(lower, upper, 0.3)
    room = np.zeros((3, 213, 405), dtype)
    out = room[:, 1:-1, 2:-2]
    assert blend(laid_out(lower, layout), laid_out(upper, layout), 0.3, out) is out
    np.testing.assert_array_equal(out, plain)
    for k in range(3):
        np.testing.assert_array_equal(blend(lower[k], upper[k], 0.3), plain[k])
    np.testing.assert_array_equal(blend(lower[0, 0], upper[0, 0], 0.3), plain[0, 0])
    assert blend(lower, upper, 0.3, lower) is lower  # its own memory will do
    np.testing.assert_array_equal(lower, plain)


@given(
    shape=st.tuples(*[st.integers(1, 8)] * 3),
    axis=st.integers(-3, 2),
    step=st.integers(-6, 6),
    offset=st.integers(-24, 24).map(lambda n: n / 8),
    dtype=st.sampled_from(("int16", "uint32", "float32", "float64")),
)
def test_linear_ramps_come_back(shape: Any, axis: int, step: int, offset: float, dtype: str) -> None:
    place = np.arange(shape[axis]).reshape([-1 if n == axis % 3 else 1 for n in range(3)])
    ramp = np.broadcast_to(100 + step * place, shape).astype(dtype)
    expected = np.broadcast_to(100 + step * (place - offset), shape)
    outside = np.broadcast_to((place - offset < 0) | (place - offset > shape[axis] - 1), shape)
    moved = shift_axis(ramp, offset, axis, fill=7)
    exact = np.rint(expected) if np.dtype(dtype).kind in "iu" else expected
    np.testing.assert_array_equal(moved, np.where(outside, 7, exact))
    positions = np.arange(shape[axis]) - offset
    np.testing.assert_array_equal(interpolate_axis(ramp, positions, axis, fill=7), moved)


@given(
    seed=st.integers(0, 99),
    shape=st.lists(st.integers(1, 7), min_size=1, max_size=3),
    axis=st.integers(0, 2),
    positions=st.lists(st.one_of(OFFSETS, st.just(math.nan), st.just(math.inf)), min_size=1, max_size=12),
    dtype=st.sampled_from((*INTEGERS, *FLOATS)),
    layout=st.sampled_from(LAYOUTS),
)
def test_any_positions_are_interpolated_like_one_at_a_time(
    seed: int, shape: Any, axis: int, positions: Any, dtype: str, layout: str
) -> None:
    axis %= len(shape)
    values = filled(np.random.default_rng(seed), tuple(shape), dtype, "full")
    block = laid_out(values[(None,) * (3 - values.ndim)], layout)[(0,) * (3 - values.ndim)]
    got = interpolate_axis(block, np.array(positions), axis, fill=5)
    slow = np.stack([plainly(values.astype(np.float64), p, axis, 5) for p in positions], axis)
    np.testing.assert_array_equal(got, (np.rint(slow) if np.dtype(dtype).kind in "iu" else slow).astype(dtype))


@given(
    seed=st.integers(0, 99),
    axis=st.integers(0, 2),
    offset=OFFSETS,
    dtype=st.sampled_from(("uint8", "int16", "float32", "float64")),
    longer=st.integers(-4, 9),
    data=st.data(),
)
def test_a_part_is_what_the_whole_has_there(
    seed: int, axis: int, offset: float, dtype: str, longer: int, data: Any
) -> None:
    block = filled(np.random.default_rng(seed), (6, 7, 8), dtype, "full")
    n = block.shape[axis] + longer
    shape = [n if a == axis else size for a, size in enumerate(block.shape)]
    whole = shift_axis(block, offset, axis, fill=3, out=np.empty(shape, dtype))
    low = data.draw(st.integers(0, n - 1))
    asked = slice(low, data.draw(st.integers(low + 1, n)))
    made, needed = covered(offset, block.shape[axis], asked)
    key = [slice(None)] * 3
    key[axis] = asked
    part = np.full(shape, 9, dtype)[tuple(key)]
    key[axis] = needed
    source = block[tuple(key)]
    shift_axis(source, offset, axis, fill=3, out=part, first=asked.start - needed.start)
    np.testing.assert_array_equal(part, whole.take(range(n)[asked], axis))
    if made.start == made.stop:
        assert np.all(part == 3)
    start = data.draw(st.integers(0, needed.start))
    key[axis] = slice(start, None)
    positions = np.arange(n) - offset
    again = interpolate_axis(block[tuple(key)], positions[asked], axis, fill=3, start=start)
    if abs(offset) < 1e6:
        # A position and an offset round differently, by less than a part in 10**12 of the difference of neighbours.
        np.testing.assert_allclose(again.astype(float), part.astype(float), rtol=0, atol=1e-6 if dtype[0] == "f" else 1)
    full = interpolate_axis(block, positions, axis, fill=3).take(range(n)[asked], axis)
    np.testing.assert_array_equal(again, full)


@given(
    seed=st.integers(0, 99),
    shape=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    offsets=st.tuples(OFFSETS, OFFSETS),
    dtype=st.sampled_from((*INTEGERS, *FLOATS)),
)
def test_a_moved_plane_is_two_passes_in_double_precision_rounded_once(
    seed: int, shape: Any, size: Any, offsets: Any, dtype: str
) -> None:
    plane = filled(np.random.default_rng(seed), shape, dtype, "full")
    real = plane.astype(np.float64)
    down = np.stack([plainly(real, j - offsets[0], 0, np.nan) for j in range(size[0])])
    both = np.stack([plainly(down, i - offsets[1], 1, np.nan) for i in range(size[1])], 1)
    moved = shift_plane(plane, offsets, fill=11, out=np.empty(size, dtype))
    slow = np.where(np.isnan(both), 11, np.rint(both) if plane.dtype.kind in "iu" else both)
    # `j - offset` is rounded and its fraction is not that of the offset.
    np.testing.assert_allclose(moved.astype(float), slow, rtol=2e-3 if dtype == "float16" else 1e-6, atol=1)
    assert np.array_equal(moved == 11, slow == 11) or plane.dtype.kind in "iu"
    if plane.dtype.kind == "f":
        np.testing.assert_allclose(moved.astype(float), slow, rtol=2e-3 if dtype == "float16" else 1e-6, atol=1e-3)


def test_large_planes_are_moved_in_tiles_that_do_not_show() -> None:
    plane = filled(np.random.default_rng(1), (300, 700), "uint16", "full")
    moved = shift_plane(plane, (3.3, -2.6), fill=0)
    for j in (0, 5, 95, 191, 287):
        for i in (0, 100, 611):
            made, needed = zip(
                *(covered(o, n, slice(s, s + 12)) for o, n, s in zip((3.3, -2.6), plane.shape, (j, i), strict=True)),
                strict=True,
            )
            assert all(s.start < s.stop for s in made)
            first = (j - needed[0].start, i - needed[1].start)
            part = shift_plane(plane[needed], (3.3, -2.6), fill=0, out=np.empty((12, 12), "u2"), first=first)
            np.testing.assert_array_equal(part, moved[j : j + 12, i : i + 12])


# -------------------------------------------------------------------------------------------------------- corners


@pytest.mark.parametrize("offset", [3.0, 3 + 9e-10, 3 - 9e-10])
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_nearly_whole_offsets_move_pixels_as_they_are(offset: float, dtype: str) -> None:
    block = filled(np.random.default_rng(0), (4, 9), dtype, "full")
    moved = shift_axis(block, offset, 1, fill=1)
    np.testing.assert_array_equal(moved[:, 3:], block[:, :-3])
    assert np.all(moved[:, :3] == 1)
    assert split_offset(offset) == (3, 0.0)
    np.testing.assert_array_equal(shift_plane(block, (offset - 3, offset), fill=1), moved)


@pytest.mark.parametrize(("offset", "split"), [(0.25, (1, 0.75)), (-0.25, (0, 0.25)), (2.0, (2, 0)), (-1e-10, (0, 0))])
def test_an_offset_is_whole_pixels_and_a_weight_for_the_next(offset: float, split: Any) -> None:
    assert split_offset(offset) == split


def test_the_first_and_the_last_pixel_are_inside() -> None:
    row = np.array([10.0, 20.0, 40.0])
    positions = np.array([-1e-8, -1e-10, 0, 0.5, 2, 2 + 1e-10, 2 + 1e-8, np.nan, -np.inf])
    made = interpolate_axis(row, positions, 0, fill=-1)
    np.testing.assert_array_equal(made, [-1, 10, 10, 15, 40, 40, -1, -1, -1])
    assert shift_axis(row[:1], 0.5, 0, fill=-1).tolist() == [-1]
    assert interpolate_axis(row[:0], positions, 0, fill=-1).tolist() == [-1] * 9


def test_pixels_that_are_hit_know_nothing_of_their_neighbours() -> None:
    row = np.array([1, np.nan, -0.0, np.inf, 2], np.float32)
    hit = interpolate_axis(row, np.arange(5.0)[::-1], 0, fill=0)
    assert hit.tobytes() == row[::-1].tobytes()
    assert blend(row, row[::-1].copy(), 0.0).tobytes() == row.tobytes()


@pytest.mark.parametrize("weight", [0.3, 0.5, 1 - 1e-9])
def test_infinities_and_the_largest_numbers_are_mixed_like_any_other(weight: float) -> None:
    top = np.finfo(np.float64).max
    lower = np.array([np.inf, np.inf, 1, np.inf, top, -top, np.nan])
    upper = np.array([np.inf, 1, -np.inf, -np.inf, -top, top, 1])
    expected = np.array([np.inf, np.inf, -np.inf, np.nan, (1 - 2 * weight) * top, (2 * weight - 1) * top, np.nan])
    np.testing.assert_allclose(blend(lower, upper, weight), expected, rtol=1e-6)
    real = blend(np.float32([np.inf]), np.float32([3]), 0.0, np.empty(1))
    assert real.tolist() == [np.inf]


def test_unknown_values_have_the_same_bits_wherever_they_lie() -> None:
    block = np.full((1, 1, 997), np.nan)
    block.view(np.uint64)[..., ::3] |= 5  # payloads
    block.view(np.uint64)[..., ::2] |= 1 << 63
    mixed = blend(block, np.ones_like(block), 0.5)
    assert len(np.unique(mixed.view(np.uint64))) == 1


def test_float64_puts_the_rounding_off() -> None:
    lower, upper = np.uint8([0, 255]), np.uint8([1, 0])
    real = blend(lower, upper, 0.25, np.empty(2))
    assert real.tolist() == [0.25, 191.25]
    assert blend(real, real[::-1].copy(), 0.5, np.empty(2, np.uint8)).tolist() == [96, 96]
    assert shift_axis(np.array([0.5, 1.5, 2.5]), 0, 0, fill=0, out=np.empty(3, np.int16)).tolist() == [0, 2, 2]


# -------------------------------------------------------------------------------------------------------- promise


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(2, 512, 700), (40, 40, 40), (1, 3, 100_003)])
def test_nothing_holds_more_than_it_promises(dtype: str, shape: Any) -> None:
    lower, upper = (filled(np.random.default_rng(0), shape, dtype, "full") for _ in range(2))
    if lower.dtype.kind == "f":
        lower[0, 0, ::2] = np.nan
    out, plane = np.empty_like(lower), np.empty_like(lower[0])
    assert held(lambda: blend(lower, upper, 0.3, out)) <= blend_scratch() < 3 << 20
    for axis in range(3):
        assert held(lambda axis=axis: shift_axis(lower, 0.3, axis, fill=0, out=out)) <= shift_scratch(shape[2])
    assert held(lambda: shift_plane(lower[0], (0.3, -0.4), fill=0, out=plane)) <= shift_scratch(shape[2])
    for axis in range(3):
        positions = np.linspace(0, shape[axis] - 1, shape[axis])
        promised = interpolate_scratch(len(positions), lower.dtype)
        used = held(lambda axis=axis, at=positions: interpolate_axis(lower, at, axis, fill=0, out=out))
        assert used <= promised


# ------------------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize("dtype", ["int64", "uint64", "complex64", "bool"])
def test_types_that_double_precision_does_not_hold_are_refused(dtype: str) -> None:
    block = np.zeros((2, 3), dtype)
    with pytest.raises(InputError, match=f"interpolation of {dtype} voxels is not supported.*nearest"):
        blend(block, block, 0.5)
    with pytest.raises(InputError, match="not supported"):
        interpolate_axis(block, np.zeros(1), 0, fill=0)
    assert blend(block, block, 0).dtype == block.dtype
