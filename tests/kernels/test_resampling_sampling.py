"""Values anywhere: ramps and constants come back, cuts do not matter, ITK and scipy find the same values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkvol.geometry import Mapping
from chunkvol.kernels.resampling import (
    METHODS,
    compiled,
    filter_axis,
    sample,
    sample_reach,
    sample_scratch,
    smoothing_taps,
)
from chunkvol.kernels.rounding import to_dtype
from chunkvol.regions import Region, Shape, intersection, region_shape, shifted, whole
from tests.kernels.blocks import LAYOUTS, filled, laid_out
from tests.kernels.test_scratch import held
from tests.support.grids import rotation

SOURCE, TARGET = (9, 11, 14), (12, 10, 13)
BOTH = pytest.mark.parametrize("loops", ("compiled", "plain"))
KINDS = {
    "nearest": ("uint8", "int16", "float32", "float64", "uint64"),
    "linear": ("uint16", "float32"),
    "cubic": ("float32", "float64"),
    "lanczos": ("int16", "float64"),
}
"""Types of the boxes that are tried: each is compiled once and kept on disk."""


@pytest.fixture(autouse=True)
def chosen_loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the compiler away where a test asks for plain loops."""
    if "loops" in request.fixturenames and request.getfixturevalue("loops") == "plain":
        monkeypatch.setattr(compiled, "kernel_for", lambda *_: None)


def turned(
    source: Shape = SOURCE, target: Shape = TARGET, scale: Any = 0.8, degrees: Any = (17, -23, 40), shift: Any = 0.1
) -> Mapping:
    """The middle of the target on the middle of the source, turned about all axes."""
    matrix = rotation(*degrees) @ np.diag(np.broadcast_to(scale, 3))
    offset = (np.array(source) - 1) / 2 - matrix @ ((np.array(target) - 1) / 2) + shift
    rows = [tuple(map(float, row)) for row in matrix]
    return Mapping((rows[0], rows[1], rows[2]), tuple(map(float, offset)))  # type: ignore[arg-type]  # three of three


def places(mapping: Mapping, shape: Shape) -> Any:
    """Source indices of a target's voxels, axes (axis, k, j, i)."""
    return np.moveaxis(mapping.indices(np.moveaxis(np.indices(shape), 0, -1)), -1, 0)


def is_inside(at: Any, shape: Shape) -> Any:
    return np.all([(p >= -0.5 - 1e-6) & (p <= n - 0.5 + 1e-6) for p, n in zip(at, shape, strict=True)], axis=0)


def sampled(box: Any, mapping: Mapping, method: str, target: Shape, **more: Any) -> Any:
    """A whole target from a whole source."""
    out = np.empty(target, more.pop("dtype", box.dtype))
    arguments: dict[str, Any] = {"outside": -99, "shape": box.shape} | more
    sample(box, (0, 0, 0), mapping, whole(target), method=method, out=out, **arguments)
    return out


def prepared(values: Any, method: str) -> Any:
    """The box that `sample` is to be given: coefficients for cubic."""
    for axis, length in enumerate(values.shape):
        taps = smoothing_taps(method, width=1, length=length, antialias=True)
        values = values if taps is None else filter_axis(values, taps, axis)
    return values


@st.composite
def mappings(draw: st.DrawFn) -> tuple[Shape, Shape, Mapping]:
    """A source, a target and any way between them; voxels are often hit, and faces."""
    source = draw(st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(1, 12)))
    target = draw(st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(1, 40)))
    step = st.sampled_from((1.0, -1.0, 0.5, 0.3, 2.0))
    if draw(st.booleans()):
        order = draw(st.permutations(range(3)))
        matrix = np.eye(3)[list(order)] * draw(st.tuples(step, step, step))
        offset = [draw(st.integers(-4, 20)) / 2 + draw(st.sampled_from((0, 9e-7, -9e-7))) for _ in range(3)]
        rows = [tuple(map(float, row)) for row in matrix]
        return source, target, Mapping((rows[0], rows[1], rows[2]), (offset[0], offset[1], offset[2]))
    degrees = draw(st.tuples(*[st.integers(-180, 180)] * 3))
    return source, target, turned(source, target, draw(st.floats(0.2, 2)), degrees, draw(st.floats(-3, 3)))


# ---------------------------------------------------------------------------------------------------------- laws


@BOTH
@pytest.mark.parametrize("method", ("linear", "cubic", "lanczos"))
@pytest.mark.parametrize("scale", (0.8, (0.3, 1.4, 0.6)))
def test_a_ramp_comes_back_in_the_interior(loops: str, method: str, scale: Any) -> None:
    shape = (38, 39, 40)
    ramp = np.tensordot((3.0, -2.0, 5.0), np.indices(shape), 1) + 11
    mapping = turned(shape, TARGET, scale)
    found = sampled(prepared(ramp, method), mapping, method, TARGET)
    at = places(mapping, TARGET)
    inner = is_inside(at - 12, (14, 15, 16)) if method == "cubic" else is_inside(at - 3, (33, 34, 35))
    assert inner.sum() > 100
    expected = np.tensordot((3.0, -2.0, 5.0), at, 1) + 11
    # A windowed sinc is off by up to 0.03 voxels along each axis, wherever it comes from.
    tolerance = {"linear": 2e-5, "cubic": 1e-4, "lanczos": 0.3}[method]
    np.testing.assert_allclose(found[inner], expected[inner], rtol=0, atol=tolerance)


@BOTH
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ("float64", "uint16"))
def test_a_constant_stays_constant_up_to_the_faces(loops: str, method: str, dtype: str) -> None:
    mapping = turned()
    inside = is_inside(places(mapping, TARGET), SOURCE)
    box = prepared(np.full(SOURCE, 7, dtype), method)
    found = sampled(box, mapping, method, TARGET, dtype=np.dtype(dtype), outside=1)
    assert 0.3 < inside.mean() < 1
    np.testing.assert_allclose(found, np.where(inside, 7, 1), rtol=1e-13)


@BOTH
@pytest.mark.parametrize("method", ("nearest", "linear", "lanczos"))
@pytest.mark.parametrize("noise", (0, 9e-7, -9e-7))
def test_voxels_that_are_hit_come_back_bit_for_bit(loops: str, method: str, noise: float) -> None:
    values = filled(np.random.default_rng(1), SOURCE, "float32", "full")
    values[2, 3, 4:9] = np.inf, -np.inf, -0.0, 0.0, 5e-45
    matrix = ((0, 0, -1.0), (1.0, 0, 0), (0, 1.0, 0))
    mapping = Mapping(matrix, (8 + noise, noise, -noise))
    found = sampled(values, mapping, method, (11, 14, 9))
    assert found.tobytes() == np.ascontiguousarray(values[::-1].transpose(1, 2, 0)).tobytes()


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=60)
@given(st.data(), mappings())
def test_plain_and_compiled_loops_give_the_same_bits(method: str, data: st.DataObject, case: Any) -> None:
    source, target, mapping = case
    dtype = np.dtype(data.draw(st.sampled_from(KINDS[method])))
    values = filled(np.random.default_rng(2), source, dtype.name, data.draw(st.sampled_from(("full", "few"))))
    if dtype.kind == "f":
        hit = np.random.default_rng(3).random(source)
        values[hit < 0.03], values[hit > 0.97] = np.nan, np.inf
    values = laid_out(values, data.draw(st.sampled_from(LAYOUTS)))
    out = dtype if method == "nearest" else np.dtype(data.draw(st.sampled_from(("uint8", "int32", "float32"))))
    found = sampled(values, mapping, method, target, dtype=out, outside=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "kernel_for", lambda *_: None)
        assert sampled(values, mapping, method, target, dtype=out, outside=3).tobytes() == found.tobytes()


@BOTH
@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=40)
@given(st.data(), mappings())
def test_any_region_from_any_box_has_the_same_bits(loops: str, method: str, data: st.DataObject, case: Any) -> None:
    source, target, mapping = case
    values = np.random.default_rng(4).standard_normal(source)
    expected = sampled(values, mapping, method, target, outside=np.nan)
    region: Region = tuple(_part(data, n) for n in target)  # type: ignore[assignment]  # three of three
    reach = sample_reach(method)
    low, high = mapping.bounds(region)
    held_box: Region = tuple(  # type: ignore[assignment]  # three of three
        slice(int(np.floor(one - reach)), int(np.ceil(two + reach)) + 1) for one, two in zip(low, high, strict=True)
    )
    box = intersection(held_box, whole(source))
    start = [part.start for part in box]
    room = np.full([n + 3 for n in target], -1.0)[1:-2, ::-1, 2:-1]
    out = room[tuple(slice(0, n) for n in region_shape(region))]
    sample(values[box], start, mapping, region, method=method, shape=source, outside=np.nan, out=out)
    assert out.tobytes() == expected[region].tobytes()


def _part(data: st.DataObject, n: int) -> slice:
    low = data.draw(st.integers(0, n - 1))
    return slice(low, data.draw(st.integers(low + 1, n)))


@BOTH
@pytest.mark.parametrize("method", ("linear", "cubic", "lanczos"))
def test_voxels_that_count_nothing_need_not_be_filled(loops: str, method: str) -> None:
    """Places on planes of voxels, so that the planes behind them have weight 0."""
    values = np.full((9, 11, 14), np.nan)
    kept = slice(3, 6) if method == "cubic" else slice(4, 5)
    values[kept] = np.random.default_rng(5).standard_normal((9, 11, 14))[kept]
    mapping = Mapping(((1, 0, 0), (0, 0.8, 0.3), (0, -0.3, 0.8)), (4 + 5e-7, 0.4, 3.2))
    assert np.isfinite(sampled(values, mapping, method, (1, 8, 7))).all()


# -------------------------------------------------------------------------------------------------------- oracles


@BOTH
@pytest.mark.parametrize(("method", "order"), (("nearest", 0), ("linear", 1), ("cubic", 3)))
@pytest.mark.parametrize("source", (SOURCE, (1, 11, 14), (2, 3, 1)))
def test_scipy_finds_the_same_values(loops: str, method: str, order: int, source: Shape) -> None:
    from scipy.ndimage import map_coordinates

    values = np.random.default_rng(6).standard_normal(source) + 9
    mapping = turned(source, shift=0.013)
    at = places(mapping, TARGET)
    inside = is_inside(at, source)
    clipped = np.stack([np.clip(p, 0, n - 1) for p, n in zip(at, source, strict=True)])
    expected = map_coordinates(values, at if order == 3 else clipped, order=order, mode="mirror")
    found = sampled(prepared(values, method), mapping, method, TARGET)
    assert inside.sum() > 5
    np.testing.assert_array_equal(found[~inside], -99)
    np.testing.assert_allclose(found[inside], expected[inside], rtol=1e-5)


@pytest.mark.parametrize(("method", "name"), (("linear", "sitkLinear"), ("cubic", "sitkBSpline3")))
@settings(max_examples=30)
@given(degrees=st.tuples(*[st.integers(-180, 180)] * 3), scale=st.floats(0.3, 1.5), shift=st.floats(-1, 1))
def test_itk_finds_the_same_values(method: str, name: str, degrees: Any, scale: float, shift: float) -> None:
    import SimpleITK

    source = (31, 33, 35)
    values = (np.random.default_rng(7).standard_normal(source) + 9).astype(np.float32)
    mapping = turned(source, TARGET, scale, degrees, shift)
    turn = np.array(mapping.matrix)[::-1, ::-1] / scale
    moved = SimpleITK.Resample(
        SimpleITK.GetImageFromArray(values),
        TARGET[::-1],
        SimpleITK.Transform(),
        getattr(SimpleITK, name),
        mapping.offset[::-1],
        [scale] * 3,
        turn.ravel().tolist(),
        -99.0,
        SimpleITK.sitkFloat64,
    )
    expected = SimpleITK.GetArrayFromImage(moved)
    at = places(mapping, TARGET)
    inner = is_inside(at - 0.51, tuple(n - 1 for n in source))  # type: ignore[arg-type]  # three of three
    found = sampled(prepared(values, method), mapping, method, TARGET, dtype=np.float64)
    np.testing.assert_allclose(found[inner], expected[inner], rtol=2e-5)


def test_lanczos_is_the_windowed_sinc_along_each_axis() -> None:
    values = np.random.default_rng(8).standard_normal(SOURCE)
    mapping = turned(shift=0.07)
    at = places(mapping, TARGET)
    found = sampled(values, mapping, "lanczos", TARGET)
    for k, j, i in np.argwhere(is_inside(at, SOURCE))[::29]:
        expected = values
        for place, n in zip(at[:, k, j, i], SOURCE, strict=True):
            x = place - np.arange(n)
            row = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
            expected = np.tensordot(row / row.sum(), expected, 1)
        assert found[k, j, i] == pytest.approx(float(expected), abs=1e-12)


# -------------------------------------------------------------------------------------------------------- corners


@BOTH
@pytest.mark.parametrize("dtype", ("uint64", "int64", "uint8", "float32"))
def test_the_nearest_voxel_keeps_its_bits(loops: str, dtype: str) -> None:
    values = filled(np.random.default_rng(9), SOURCE, dtype, "full")
    mapping = turned()
    at = places(mapping, TARGET)
    inside = is_inside(at, SOURCE)
    k, j, i = (np.clip(np.floor(p + 0.5 + 1e-6), 0, n - 1).astype(int) for p, n in zip(at, SOURCE, strict=True))
    found = sampled(values, mapping, "nearest", TARGET, outside=5)
    np.testing.assert_array_equal(found, np.where(inside, values[k, j, i], np.array(5, dtype)))


@BOTH
def test_integers_are_rounded_once_half_to_even_and_clipped(loops: str) -> None:
    values = np.array([0, 1, 2, 3, 254, 255], np.uint16).reshape(1, 1, 6)
    mapping = Mapping(((1, 0, 0), (0, 1, 0), (0, 0, 1)), (0, 0, 0.5))
    assert sampled(values, mapping, "linear", (1, 1, 5)).ravel().tolist() == [0, 2, 2, 128, 254]
    wide = np.array([[[-9.0, 300.0, np.nan, 1.5]]])
    same = Mapping(((1, 0, 0), (0, 1, 0), (0, 0, 1)), (0, 0, 0))
    assert sampled(wide, same, "linear", (1, 1, 4), dtype="uint8").ravel().tolist() == [0, 255, 0, 2]
    found = sampled(values, mapping, "linear", (1, 1, 9), outside=-3.5)
    assert found.ravel().tolist()[6:] == [0, 0, 0]
    assert to_dtype(np.array([-3.5]), found.dtype)[0] == 0


@BOTH
@pytest.mark.parametrize("method", METHODS)
def test_the_faces_are_inside_and_what_lies_beyond_is_not(loops: str, method: str) -> None:
    values = np.arange(1.0, 31).reshape(2, 3, 5)
    steps = ((2, 0, 0), (0, 3, 0), (0, 0, 5))
    on = sampled(values, Mapping(steps, (-0.5, -0.5, -0.5)), method, (2, 2, 2))
    near = sampled(values, Mapping(steps, (-0.5 - 9e-7, -0.5 - 9e-7, -0.5 - 9e-7)), method, (1, 1, 1))
    beyond = sampled(values, Mapping(steps, (-0.5 - 2e-6, 0, 0)), method, (1, 1, 1))
    assert (on != -99).all() and near[0, 0, 0] != -99 and beyond[0, 0, 0] == -99
    if method in ("nearest", "linear"):
        np.testing.assert_array_equal(on, values[:, ::2, ::4])


@BOTH
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("offset", (1e300, -1e18, float("inf"), float("nan"), -2.0))
def test_a_target_that_lies_elsewhere_is_outside(loops: str, method: str, offset: float) -> None:
    mapping = Mapping(((1, 0, 0), (0, 1, 0.1), (0, -0.1, 1)), (offset, 1, 1))
    for box in (np.zeros((1, 3, 4)), np.zeros((0, 3, 4))):
        found = sampled(box, mapping, method, (1, 2, 3), shape=(5, 3, 4))
        np.testing.assert_array_equal(found, -99)


@BOTH
def test_infinity_among_its_like_stays_and_nan_keeps_to_its_neighbours(loops: str) -> None:
    values = np.full((3, 3, 9), np.inf)
    values[:, :, 6:] = np.nan
    mapping = Mapping(((1, 0, 0), (0, 1, 0), (0, 0, 1)), (0.25, 0.5, 0.25))
    found = sampled(values, mapping, "linear", (1, 1, 8)).ravel()
    np.testing.assert_array_equal(found, [np.inf] * 5 + [np.nan] * 3)


@BOTH
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", ((30, 40, 50), (1, 90, 200), (2, 1, 40000)))
def test_sampling_holds_no_more_than_it_says(loops: str, method: str, shape: Shape) -> None:
    values = np.zeros(SOURCE, np.float32)
    mapping = turned(SOURCE, shape, [9 / shape[0], 11 / shape[1], 14 / shape[2]], degrees=(1, 2, 3))
    out = np.empty(shape, np.float32 if method == "nearest" else np.uint16)

    def run() -> None:
        sample(values, (0, 0, 0), mapping, whole(shape), method=method, shape=SOURCE, outside=0, out=out)

    assert held(run) <= sample_scratch(method, shape) < 8 << 20


@BOTH
def test_global_indices_decide_and_not_the_regions_own(loops: str) -> None:
    """Far from the first voxel, where sums in another order would differ in the last bits."""
    values = np.random.default_rng(10).standard_normal(SOURCE)
    mapping = turned(scale=0.01, shift=-700.0)
    corner = (50_000, 70_001, 90_003)
    lengths = (5, 6, 7)
    region = shifted(whole(lengths), corner)
    middle = mapping.indices(corner) - (4.3, 5.4, 6.2)
    offset: Any = tuple(float(o - m) for o, m in zip(mapping.offset, middle, strict=True))
    moved = Mapping(mapping.matrix, offset)
    found = np.empty(lengths)
    sample(values, (0, 0, 0), moved, region, method="linear", shape=SOURCE, outside=-1, out=found)
    rows = [(*row, last) for row, last in zip(moved.matrix, moved.offset, strict=True)]
    k, j, i = np.indices(lengths) + np.reshape(corner, (3, 1, 1, 1))
    z, y, x = (((row[3] + row[0] * k) + row[1] * j) + row[2] * i for row in rows)
    assert all((p % 1 > 1e-6).all() for p in (z, y, x))
    at = [np.floor(p).astype(int) for p in (z, y, x)]
    wz, wy, wx = (p - np.floor(p) for p in (z, y, x))

    def mixed(low: Any, high: Any, rest: Any) -> Any:
        return low + rest * (high - low)

    def corner_of(dk: int, dj: int, di: int) -> Any:
        return values[at[0] + dk, at[1] + dj, at[2] + di]

    rows_of = [[mixed(corner_of(a, b, 0), corner_of(a, b, 1), wx) for b in (0, 1)] for a in (0, 1)]
    expected = mixed(mixed(*rows_of[0], wy), mixed(*rows_of[1], wy), wz)
    assert found.tobytes() == expected.tobytes()
