"""Real and inverted values: the bits of pydicom's arithmetic, and nothing that wraps round."""

from __future__ import annotations

import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunkvol.errors import DamagedError, InputError
from chunkvol.metadata import Metadata, Rescale
from chunkvol.regions import Region, Shape, region_shape, whole
from chunkvol.sources import ArraySource, Source
from chunkvol.values import InvertedSource, PlaneRescaledSource, RescaledSource, real_dtype
from tests.kernels.blocks import filled

STORED = ("uint8", "int8", "int16", "uint16", "int32", "uint32", "float32", "float64")
SLOPES = (1.0, 0.4317268, 1.2345e-5, -2.5, 3e30, 1 / 3)
INTERCEPTS = (0.0, -1024.0, 0.1, 1e-7, -3e30)


def rescaled(array: Any, seed: int, dtype: str = "float64") -> PlaneRescaledSource:
    rng = np.random.default_rng(seed)
    slopes, intercepts = rng.choice(SLOPES, len(array)), rng.choice(INTERCEPTS, len(array))
    return PlaneRescaledSource(ArraySource(array), slopes, intercepts, np.dtype(dtype))


def pydicoms(array: Any, slopes: Any, intercepts: Any) -> Any:
    """What pydicom makes of each plane, its numbers given in double precision."""
    from pydicom.dataset import Dataset
    from pydicom.pixels import apply_modality_lut

    planes = []
    for plane, slope, intercept in zip(array, slopes.tolist(), intercepts.tolist(), strict=True):
        header = Dataset()
        header.RescaleSlope, header.RescaleIntercept = repr(slope), repr(intercept)
        planes.append(apply_modality_lut(plane, header))
    return np.stack(planes)


@st.composite
def regions(draw: Any, shape: Shape) -> Region:
    lows = [draw(st.integers(0, n - 1)) for n in shape]
    k, j, i = (slice(low, draw(st.integers(low + 1, n))) for low, n in zip(lows, shape, strict=True))
    return k, j, i


def peak(source: Source, region: Region) -> int:
    out = np.empty(region_shape(region), source.dtype)
    source.read(region, out)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        source.read(region, out)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


# ------------------------------------------------------------------------------------- slopes that change by plane


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "uint32"])
def test_real_values_have_the_bits_of_pydicoms(dtype: str) -> None:
    array = filled(np.random.default_rng(1), (5, 37, 29), dtype, "full")
    slopes = np.array([0.4317268, 1.2345e-5, 1.0, -0.1, 2.0000001])
    intercepts = np.array([-1024.0, 0.1, 0.0, 1e-7, -32768.5])
    real = PlaneRescaledSource(ArraySource(array), slopes, intercepts)
    theirs = pydicoms(array, slopes, intercepts)
    assert theirs.dtype == np.float64
    assert real.read(whole(real.shape)).tobytes() == theirs.tobytes()
    single = PlaneRescaledSource(ArraySource(array), slopes, intercepts, np.dtype("float32"))
    assert single.read(whole(real.shape)).tobytes() == theirs.astype(np.float32).tobytes()


@given(
    seed=st.integers(0, 99),
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    stored=st.sampled_from(STORED),
    dtype=st.sampled_from(("float32", "float64")),
    data=st.data(),
)
def test_any_region_of_real_values_is_a_slice_of_the_whole(
    seed: int, shape: Shape, stored: str, dtype: str, data: Any
) -> None:
    array = filled(np.random.default_rng(seed), shape, stored, "full")
    source = rescaled(array, seed, dtype)
    slow = array.astype(np.float64) * source.slopes[:, None, None] + source.intercepts[:, None, None]
    with np.errstate(over="ignore"):
        slow = slow.astype(dtype)
    region = data.draw(regions(shape))
    room = np.full([n + 2 for n in region_shape(region)], 99, dtype)
    out = room[1:-1, 1:-1, 1:-1]
    assert source.read(region, out) is out
    np.testing.assert_array_equal(out, slow[region])
    assert np.all(room[-1] == 99) and np.all(room[:, :, 0] == 99)
    block = source.read(region)
    assert block.dtype == source.dtype == dtype and block.flags.c_contiguous
    np.testing.assert_array_equal(block, out)


def test_values_beyond_single_precision_are_infinite() -> None:
    array = np.array([[[1, -1, 0]]], np.int16)
    real = PlaneRescaledSource(ArraySource(array), np.array([1e39]), np.array([0.0]), np.dtype("float32"))
    assert real.read((slice(0, 1), slice(0, 1), slice(0, 3))).ravel().tolist() == [np.inf, -np.inf, 0]


def test_unknown_values_stay_unknown() -> None:
    array = np.array([[[np.nan, 1]], [[np.inf, 2]]], np.float32)
    real = PlaneRescaledSource(ArraySource(array), np.array([2.0, -1.0]), np.array([1.0, 0.0]))
    np.testing.assert_array_equal(real.read(whole((2, 1, 2))).ravel(), [np.nan, 3, -np.inf, -2])


@pytest.mark.parametrize("stored", ["uint8", "uint16", "float64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(9, 500, 400), (1, 1000, 2003), (40, 1, 30_000)])
def test_real_values_hold_no_more_than_promised(stored: str, dtype: str, shape: Shape) -> None:
    source = rescaled(filled(np.random.default_rng(0), shape, stored, "full"), 0, dtype)
    for region in (whole(shape), (slice(0, 1), slice(0, shape[1]), slice(0, shape[2] // 2))):
        promised = source.scratch(region_shape(region))
        assert peak(source, region) <= promised
        assert promised <= source.source.dtype.itemsize * shape[1] * shape[2] + (1 << 20)


@pytest.mark.parametrize(
    ("count", "dtype", "message"),
    [
        (2, "float64", r"3 planes need as many slopes and intercepts, found arrays of shape \(2,\)"),
        (3, "int16", "from plane to plane are floats, not int16"),
        (3, "float16", "are floats, not float16"),
    ],
)
def test_slopes_that_do_not_fit_are_refused(count: int, dtype: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        PlaneRescaledSource(ArraySource(np.zeros((3, 2, 2))), np.ones(count), np.zeros(3), np.dtype(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_slope_makes_of_any_float_what_arithmetic_makes_of_it(dtype: str) -> None:
    array = np.array([[[np.nan, np.inf, -np.inf, np.finfo(dtype).max, 1e-45, -3.0]]], dtype)
    if dtype == "float32":
        array.view(np.uint32)[0, 0, 0] = 0x7FA00000  # a NaN of which converting complains
    real = RescaledSource(ArraySource(array), Rescale(1e5, 2.0), np.dtype(dtype))
    expected = [np.nan, np.inf, -np.inf, np.inf, 2.0, -299_998.0]
    np.testing.assert_array_equal(real.read(whole(real.shape)).ravel(), expected)


def test_integers_that_leave_their_type_are_refused_still() -> None:
    array = np.array([[[30_000]]], np.int16)
    with pytest.raises(InputError, match="real values from 60000 to 60000 do not fit int16"):
        RescaledSource(ArraySource(array), Rescale(2.0, 0.0), np.dtype("int16")).read(whole((1, 1, 1)))


# ----------------------------------------------------------------------------------------------------- turned over


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"])
def test_inversion_is_exact_at_both_ends_and_undoes_itself(dtype: str) -> None:
    bounds = np.iinfo(dtype)
    middle = (bounds.min + bounds.max) // 2
    for low, high in ((bounds.min, bounds.max), (bounds.max - 9, bounds.max), (bounds.min, bounds.min + 9), (1, 100)):
        values = sorted({low, low + 1, min(max(low, middle), high), high - 1, high})
        array = np.array(values, dtype).reshape(1, 1, -1)
        once = InvertedSource(ArraySource(array), low, high)
        region = whole(array.shape)
        assert once.read(region).ravel().tolist() == [low + high - value for value in values]
        assert once.dtype == array.dtype
        np.testing.assert_array_equal(InvertedSource(once, low, high).read(region), array)
        assert array.ravel().tolist() == values  # the user's own array is left alone


@given(seed=st.integers(0, 99), shape=st.tuples(*[st.integers(1, 9)] * 3), data=st.data())
def test_any_region_of_inverted_values_is_a_slice_of_the_whole(seed: int, shape: Shape, data: Any) -> None:
    array = np.random.default_rng(seed).integers(-5, 4095, shape, endpoint=True).astype(np.int16)
    source = InvertedSource(ArraySource(array), -5, 4095)
    region = data.draw(regions(shape))
    room = np.full([n + 2 for n in region_shape(region)], 9999, np.int16)
    out = room[1:-1, 1:-1, 1:-1]
    assert source.read(region, out) is out
    np.testing.assert_array_equal(out, 4090 - array[region])
    assert np.all(room[0] == 9999) and np.all(room[:, -1] == 9999)
    block = source.read(region)
    assert block.flags.c_contiguous
    np.testing.assert_array_equal(block, out)


def test_inversion_holds_no_more_than_promised() -> None:
    source = InvertedSource(ArraySource(np.ones((3, 900, 800), np.uint16)), 0, 4095)
    assert peak(source, whole(source.shape)) <= source.scratch(source.shape) <= 1 << 20


def test_values_outside_the_range_are_damage() -> None:
    source = InvertedSource(ArraySource(np.array([[[0, 4095, 4096]]], np.uint16)), 0, 4095)
    assert source.read((slice(0, 1), slice(0, 1), slice(0, 2))).ravel().tolist() == [4095, 0]
    with pytest.raises(DamagedError, match="values from 4095 to 4096 lie outside the range 0 to 4095"):
        source.read((slice(0, 1), slice(0, 1), slice(1, 3)))
    with pytest.raises(DamagedError, match="values from 0 to 9 lie outside the range 1 to 10"):
        InvertedSource(ArraySource(np.array([[[0, 9]]], np.int16)), 1, 10).read(whole((1, 1, 2)))


@pytest.mark.parametrize(
    ("dtype", "low", "high", "message"),
    [
        ("float32", 0, 1, "only integers can be inverted, found float32"),
        ("uint8", 0, 256, "0 to 256 is no range of uint8"),
        ("uint16", -1, 10, "no range of uint16"),
        ("int16", 10, 9, "10 to 9 is no range"),
    ],
)
def test_inversions_that_make_no_sense_are_refused(dtype: str, low: int, high: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        InvertedSource(ArraySource(np.zeros((1, 2, 3), dtype)), low, high)


# ------------------------------------------------------------------------------------------------------------ both


def test_facts_of_the_source_are_passed_on_and_all_can_be_pickled() -> None:
    import dask.array
    from dask.base import tokenize

    array = dask.array.from_array(np.arange(24, dtype=np.int16).reshape(4, 3, 2), chunks=(2, 3, 1), name="some")
    stored = ArraySource(array)
    made: list[Any] = [
        PlaneRescaledSource(stored, np.arange(4.0), np.zeros(4)),
        PlaneRescaledSource(stored, np.arange(4.0) + 1, np.zeros(4)),
        PlaneRescaledSource(stored, np.arange(4.0), np.ones(4)),
        PlaneRescaledSource(stored, np.arange(4.0), np.zeros(4), np.dtype("float32")),
        InvertedSource(stored, 0, 24),
        InvertedSource(stored, -1, 24),
        RescaledSource(stored, Rescale(2, 1), np.dtype("int16")),
    ]
    for one in made:
        assert (one.shape, one.grain, one.prefers_deep, one.leftover) == ((4, 3, 2), (2, 3, 1), False, (0, 0, 0))
        assert one.fingerprint == "some"
        again = pickle.loads(pickle.dumps(one))
        np.testing.assert_array_equal(again.read(whole(one.shape)), one.read(whole(one.shape)))
        assert tokenize(again) == tokenize(one)
    assert len({tokenize(one) for one in made}) == len(made)


@pytest.mark.parametrize(("slope", "intercept"), [(0.01, 1e6), (1e-44, 0.0), (1e36, 0.0), (-1e36, 0.5)])
def test_real_values_that_single_precision_cannot_tell_apart_have_double(slope: float, intercept: float) -> None:
    array = np.arange(1 << 16, dtype=np.uint16).reshape(16, 64, 64)
    wanted = real_dtype(array.dtype, Metadata(Rescale(slope, intercept)))
    real = RescaledSource(ArraySource(array), Rescale(slope, intercept), wanted).read(whole(array.shape))
    assert wanted == np.float64
    np.testing.assert_array_equal(real, array * slope + intercept)
    assert len(np.unique(real)) == array.size


def test_whole_slopes_keep_integers_that_are_wide_enough() -> None:
    plain = Metadata(Rescale(2, -1024), stored_range=(0, 4095))
    assert real_dtype(np.dtype("uint16"), plain) == np.int16
    assert real_dtype(np.dtype("uint16"), Metadata(Rescale(0.5, 0))) == np.float32
    assert real_dtype(np.dtype("float64"), plain) == np.float64
    assert real_dtype(np.dtype("uint32"), Metadata(Rescale(1e-6, 0))) == np.float32
    source = RescaledSource(ArraySource(np.array([[[0, 4095]]], np.uint16)), plain.rescale, np.dtype("int16"))
    assert source.read(whole((1, 1, 2))).ravel().tolist() == [-1024, 7166]


@pytest.mark.parametrize("pair", [(0, 0), (np.nan, 0), (np.inf, 0), (1, np.nan), (1, -np.inf), ("1", 0), (1, None)])
def test_a_slope_that_tells_no_voxels_apart_is_refused(pair: Any) -> None:
    with pytest.raises(InputError, match="a slope is a finite number other than 0"):
        Rescale(*pair)
    assert Rescale(np.float32(0.5), np.int16(3)).slope == 0.5  # type: ignore[arg-type]  # numpy's numbers are numbers
