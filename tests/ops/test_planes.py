"""Planes made of planes: every region is a slice of the whole, nothing is decoded twice, and memory is as promised."""

from __future__ import annotations

import pickle
import threading
import tracemalloc
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunkvol import Geometry, Volume
from chunkvol.errors import InputError
from chunkvol.kernels import blend, shift_plane
from chunkvol.ops.planes import BlendedPlanes, PlaneBlend, PlaneShift, ShiftedPlanes
from chunkvol.regions import Region, Shape, region_shape, voxels, whole
from chunkvol.sources import ArraySource, Block, RawSource, Source, deliver
from tests.kernels.blocks import filled

TYPES = ("uint8", "int16", "uint32", "float32", "float64")


@dataclass(frozen=True, eq=False)
class Grained(Source):
    """A source of some grain that decodes whole grains, holds them meanwhile, and remembers what was read."""

    array: Any
    chunk: Shape
    deep: bool = False
    regions: list[Region] = field(default_factory=list, compare=False)

    @property
    def shape(self) -> Shape:  # type: ignore[override]  # derived here
        return self.array.shape  # type: ignore[no-any-return]  # three axes

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # derived here
        return self.array.dtype  # type: ignore[no-any-return]  # a dtype

    @property
    def grain(self) -> Shape:
        return self.chunk

    @property
    def prefers_deep(self) -> bool:
        return self.deep

    @property
    def stored_bytes(self) -> int:
        return 1000 * self.shape[0]

    def scratch(self, shape: Shape) -> int:
        return voxels(self.chunk) * self.dtype.itemsize

    def read(self, region: Region, out: Block | None = None) -> Block:
        self.regions.append(region)
        np.zeros(self.chunk, self.dtype)
        return deliver(self.array[region], out)

    def decoded(self) -> Counter[Shape]:
        """How often each grain was decoded."""
        count: Counter[Shape] = Counter()
        for region in self.regions:
            count.update(_places(region, self.chunk))
        return count


def _places(region: Region, chunk: Shape) -> list[Shape]:
    """The grains that a region meets."""
    first = [s.start // g for s, g in zip(region, chunk, strict=True)]
    count = [-(-s.stop // g) - low for s, g, low in zip(region, chunk, first, strict=True)]
    return [tuple(a + b for a, b in zip(first, place, strict=True)) for place in np.ndindex(*count)]  # type: ignore[misc]


def kinds(array: Any) -> dict[str, Grained]:
    """Raw rows, planes that are decoded whole, runs of them, chunks, and planes that want to be read deep."""
    k, j, i = array.shape
    return {
        "rows": Grained(array, (1, 1, i)),
        "planes": Grained(array, (1, j, i)),
        "runs": Grained(array, (min(k, 3), j, i)),
        "chunks": Grained(array, (min(k, 4), min(j, 3), min(i, 2))),
        "deep": Grained(array, (1, j, i), deep=True),
    }


KINDS = tuple(kinds(np.zeros((2, 2, 2))))


def recipe(rng: np.random.Generator, planes: int, count: int, how: str) -> PlaneBlend:
    """Ascending with gaps, as a series has them; any order; or none mixed."""
    weight = rng.choice([0, 0, 0.5, 0.3], count)
    lower = rng.integers(-1, planes, count)
    if how == "ascending":
        lower.sort()
    if how == "untouched":
        weight[:] = 0
    weight[lower == planes - 1] = 0
    return PlaneBlend(lower, weight)


def blended(array: Any, blend_: PlaneBlend, fill: float) -> Any:
    """The slow plain version."""
    out = np.full((len(blend_.lower), *array.shape[1:]), fill, array.dtype)
    for n, (k, w) in enumerate(zip(blend_.lower, blend_.weight, strict=True)):
        if k >= 0:
            out[n] = array[k] if w == 0 else blend(array[k], array[k + 1], w)
    return out


def shifted(array: Any, shift: PlaneShift, fill: float) -> Any:
    out = np.empty((len(array), shift.rows, shift.columns), array.dtype)
    for k, offsets in enumerate(shift.offsets.tolist()):
        shift_plane(array[k], tuple(offsets), fill=fill, out=out[k])
    return out


@st.composite
def regions(draw: Any, shape: Shape) -> Region:
    parts = []
    for n in shape:
        low = draw(st.integers(0, n - 1))
        parts.append(slice(low, draw(st.integers(low + 1, n))))
    return tuple(parts)  # type: ignore[return-value]  # three


# ---------------------------------------------------------------------------------------------------------- laws


@given(
    seed=st.integers(0, 999),
    shape=st.tuples(*[st.integers(1, 7)] * 3),
    count=st.integers(1, 12),
    dtype=st.sampled_from(TYPES),
    kind=st.sampled_from(KINDS),
    how=st.sampled_from(("ascending", "any", "untouched")),
    data=st.data(),
)
def test_any_region_of_blended_planes_is_a_slice_of_the_whole(
    seed: int, shape: Shape, count: int, dtype: str, kind: str, how: str, data: Any
) -> None:
    rng = np.random.default_rng(seed)
    array = filled(rng, shape, dtype, "full")
    source = BlendedPlanes(kinds(array)[kind], recipe(rng, shape[0], count, how), 7)
    expected = blended(array, source.blend, 7)
    assert (source.shape, source.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(source.read(whole(source.shape)), expected)
    region = data.draw(regions(source.shape))
    room = np.full([n + 2 for n in region_shape(region)], 99, dtype)
    out = room[1:-1, 1:-1, 1:-1]
    assert source.read(region, out) is out
    np.testing.assert_array_equal(out, expected[region])
    assert np.all(room[0] == 99) and np.all(room[:, :, -1] == 99)
    block = source.read(region)
    assert block.flags.c_contiguous and block.dtype == array.dtype
    np.testing.assert_array_equal(block, out)


@given(
    seed=st.integers(0, 999),
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    size=st.tuples(st.integers(1, 11), st.integers(1, 11)),
    dtype=st.sampled_from(TYPES),
    kind=st.sampled_from(KINDS),
    how=st.sampled_from(("any", "whole", "rows", "far", "sheared")),
    data=st.data(),
)
def test_any_region_of_shifted_planes_is_a_slice_of_the_whole(
    seed: int, shape: Shape, size: Any, dtype: str, kind: str, how: str, data: Any
) -> None:
    rng = np.random.default_rng(seed)
    array = filled(rng, shape, dtype, "full")
    offsets = rng.uniform(-6, 6, (shape[0], 2)) * (20 if how == "far" else 1)
    if how == "whole":
        offsets = np.rint(offsets)
    if how == "rows":
        offsets[:, 1] = 0
    if how == "sheared":
        offsets = np.arange(shape[0])[:, None] * [0.37, -1.9]
    source = ShiftedPlanes(kinds(array)[kind], PlaneShift(offsets, *size), 7)
    expected = shifted(array, source.shift, 7)
    assert (source.shape, source.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(source.read(whole(source.shape)), expected)
    region = data.draw(regions(source.shape))
    room = np.full([n + 2 for n in region_shape(region)], 99, dtype)
    out = room[1:-1, 1:-1, 1:-1]
    assert source.read(region, out) is out
    np.testing.assert_array_equal(out, expected[region])
    assert np.all(room[0] == 99) and np.all(room[:, :, -1] == 99)
    np.testing.assert_array_equal(source.read(region), out)


def test_a_ramp_along_the_planes_comes_back_between_them() -> None:
    places = np.array([0, 0.25, 1, 1.5, 2.75, 5])
    array = np.broadcast_to(np.float32(10) + 4 * np.arange(6, dtype=np.float32)[:, None, None], (6, 5, 3))
    lower = np.floor(places).astype(np.int64)
    source = BlendedPlanes(ArraySource(array), PlaneBlend(lower, places - lower), 0)
    np.testing.assert_array_equal(source.read(whole(source.shape))[:, 2, 1], 10 + 4 * places)


def test_a_ramp_within_the_planes_moves_with_its_offsets() -> None:
    k, j, i = np.ogrid[:4, :9, :11]
    offsets = np.array([[0.25, -1.5], [2.0, 0.75], [-3.125, 4], [0, 0]])
    source = ShiftedPlanes(ArraySource(100.0 * k + 16 * j + 32 * i), PlaneShift(offsets, 10, 8), np.nan)
    block = source.read(whole(source.shape))
    place = np.ogrid[:4, :10, :8]
    y, x = (place[1 + a] - offsets[:, a, None, None] for a in range(2))
    inside = (y >= 0) & (y <= 8) & (x >= 0) & (x <= 10)
    np.testing.assert_array_equal(block, np.where(inside, 100 * place[0] + 16 * y + 32 * x, np.nan))


def test_unknown_values_stay_where_they_are() -> None:
    array = np.zeros((3, 4, 5), np.float32)
    array[1, 2, 3] = np.nan
    between = BlendedPlanes(ArraySource(array), PlaneBlend(np.array([0, 1, 0, -1]), np.array([0, 0, 0.5, 0])), np.nan)
    block = between.read(whole(between.shape))
    assert np.argwhere(np.isnan(block[:3])).tolist() == [[1, 2, 3], [2, 2, 3]]
    assert np.isnan(block[3]).all()
    moved = ShiftedPlanes(ArraySource(array), PlaneShift(np.array([[0, 0], [1, -1], [0, 0]]), 4, 5), 0)
    assert np.argwhere(np.isnan(moved.read(whole(moved.shape)))).tolist() == [[1, 3, 2]]


def test_threads_may_read_at_once() -> None:
    array = filled(np.random.default_rng(4), (9, 40, 30), "int16", "full")
    rng = np.random.default_rng(5)
    inner = BlendedPlanes(ArraySource(array), recipe(rng, 9, 21, "ascending"), -1)
    source = ShiftedPlanes(inner, PlaneShift(rng.uniform(-3, 3, (21, 2)), 33, 37), -2)
    expected = source.read(whole(source.shape))
    start = threading.Barrier(4)

    def check(n: int) -> None:
        if n < 4:
            start.wait(10)
        region = (slice(n % 5, n % 5 + 15), slice(n, n + 20), slice(n % 7, 37))
        np.testing.assert_array_equal(source.read(region), expected[region])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(check, range(12)))


# ---------------------------------------------------------------------------------------------------- nothing twice


@pytest.mark.parametrize("weights", [(0, 0.5), (0.25, 0.75), (0, 0.3, 0.6), (0, 0, 0, 0.5)], ids=str)
@pytest.mark.parametrize("kind", ["planes", "runs"])
def test_no_plane_is_decoded_twice_for_a_block(weights: Any, kind: str) -> None:
    source = kinds(filled(np.random.default_rng(0), (9, 8, 7), "uint16", "full"))[kind]
    weight = np.resize(np.array(weights, float), 8 * len(weights))
    lower = np.repeat(np.arange(8), len(weights))
    BlendedPlanes(source, PlaneBlend(lower, weight), 0).read((slice(1, len(lower)), slice(2, 5), slice(0, 7)))
    assert max(source.decoded().values()) == 1
    source.regions.clear()
    ShiftedPlanes(source, PlaneShift(np.full((9, 2), 0.5), 8, 7), 0).read(whole((9, 8, 7)))
    assert max(source.decoded().values()) == 1


def test_repeated_planes_are_decoded_once() -> None:
    source = kinds(filled(np.random.default_rng(0), (9, 8, 7), "uint16", "full"))["planes"]
    blend_ = PlaneBlend(np.array([4, 4, 4, 5, 2, 4, -1, 5]), np.zeros(8))
    BlendedPlanes(source, blend_, 0).read((slice(0, 8), slice(0, 8), slice(0, 7)))
    assert set(source.decoded().values()) == {1}
    assert [r[0] for r in source.regions] == [slice(2, 3), slice(4, 5), slice(5, 6)] or len(source.regions) == 2


def test_untouched_planes_go_straight_to_their_place() -> None:
    class Watched(Grained):
        def read(self, region: Region, out: Block | None = None) -> Block:
            assert out is not None and out.base is not None and np.shares_memory(out, block)
            return super().read(region, out)

    array = filled(np.random.default_rng(0), (9, 8, 7), "float32", "full")
    array[3, 2, 1], array[4, 1, 1] = np.nan, -0.0
    array.view(np.uint32)[3, 2, 1] |= 77
    source = Watched(array, (1, 8, 7))
    blend_ = PlaneBlend(np.array([2, 3, 4, -1, 7, 8]), np.zeros(6))
    block = np.empty((6, 8, 7), np.float32)
    BlendedPlanes(source, blend_, 5).read(whole((6, 8, 7)), block)
    assert [r[0] for r in source.regions] == [slice(2, 5), slice(7, 9)]
    assert block[:3].tobytes() == array[2:5].tobytes()


def test_a_blend_over_planes_that_are_blended_reads_few_of_them_twice() -> None:
    source = kinds(filled(np.random.default_rng(0), (17, 8, 7), "uint16", "full"))["planes"]
    inner = BlendedPlanes(source, PlaneBlend(np.arange(16), np.full(16, 0.5)), 0)
    ShiftedPlanes(inner, PlaneShift(np.full((16, 2), 0.5), 8, 7), 0).read(whole((16, 8, 7)))
    assert sum(source.decoded().values()) == 20  # runs of four


def test_bands_of_rows_read_the_rows_that_they_need() -> None:
    array = filled(np.random.default_rng(0), (3, 50, 7), "uint16", "full")
    source = kinds(array)["rows"]
    moved = ShiftedPlanes(source, PlaneShift(np.array([[10.5, 0], [-3, 1.5], [100, 0]]), 60, 9), 0)
    moved.read((slice(0, 3), slice(20, 30), slice(0, 9)))
    assert [r[:2] for r in source.regions] == [(slice(0, 1), slice(9, 20)), (slice(1, 2), slice(23, 33))]
    source.regions.clear()
    between = BlendedPlanes(source, PlaneBlend(np.array([0]), np.array([0.5])), 0)
    between.read((slice(0, 1), slice(20, 30), slice(2, 4)))
    assert [r[1:] for r in source.regions] == [(slice(20, 30), slice(2, 4))] * 2


# ---------------------------------------------------------------------------------------------------------- facts


def test_what_the_source_is_is_passed_on() -> None:
    for name, source in kinds(np.zeros((9, 8, 7), "uint16")).items():
        few = BlendedPlanes(source, PlaneBlend(np.arange(9), np.eye(9)[3] / 2), 0)
        moved = ShiftedPlanes(source, PlaneShift(np.zeros((9, 2)), 5, 11), 0)
        assert few.grain == source.grain
        assert few.whole_planes == moved.whole_planes == source.whole_planes
        assert few.prefers_deep == moved.prefers_deep == source.deep or name == "deep"
        assert few.leftover == moved.leftover == (0, 0, 0)
        assert moved.stored_bytes == source.stored_bytes
    assert moved.grain == (1, 5, 11)
    assert BlendedPlanes(source, PlaneBlend(np.arange(8), np.full(8, 0.5)), 0).prefers_deep
    assert ShiftedPlanes(kinds(np.zeros((9, 8, 7)))["chunks"], PlaneShift(np.zeros((9, 2)), 5, 11), 0).grain == (
        4,
        3,
        2,
    )


def test_bytes_are_those_of_the_planes_that_are_used() -> None:
    source = kinds(np.zeros((9, 8, 7), "uint16"))["planes"]
    for lower, weight, used in (
        ([0, 1, 1, 2], [0, 0, 0.5, 0], 3),
        ([-1, 5, -1], [0.5, 0.5, 0], 2),
        ([8, 8, -1], [0, 0, 0], 1),
        ([-1], [0], 0),
    ):
        made = BlendedPlanes(source, PlaneBlend(np.array(lower), np.array(weight, float)), 0)
        assert made.stored_bytes == 1000 * used


@dataclass(frozen=True)
class Packed(ArraySource):
    """Has to be staged."""

    @property
    def staging_bytes(self) -> int:
        return 12

    def staged(self, folder: Path) -> Source:
        path = folder / "raw"
        path.write_bytes(self.array.tobytes())
        return RawSource(path, self.shape, self.dtype)


def test_staging_is_the_sources(tmp_path: Path) -> None:
    array = filled(np.random.default_rng(0), (5, 4, 3), "uint16", "full")
    for made in (
        BlendedPlanes(Packed(array), PlaneBlend(np.array([0, 2]), np.array([0.5, 0])), 0),
        ShiftedPlanes(Packed(array), PlaneShift(np.full((5, 2), 0.5), 6, 7), 0),
    ):
        assert made.staging_bytes == 12
        staged = made.staged(tmp_path)
        assert staged.staging_bytes == 0
        np.testing.assert_array_equal(staged.read(whole(made.shape)), made.read(whole(made.shape)))


def test_sources_can_be_pickled() -> None:
    array = filled(np.random.default_rng(0), (5, 4, 3), "int16", "full")
    inner = BlendedPlanes(ArraySource(array), PlaneBlend(np.array([0, 2, -1]), np.array([0.5, 0, 0])), -3)
    source = ShiftedPlanes(inner, PlaneShift(np.full((3, 2), 0.5), 6, 7), 8)
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again.read(whole(source.shape)), source.read(whole(source.shape)))


def test_different_recipes_have_different_names_in_dask() -> None:
    from dask.base import tokenize

    array = ArraySource(np.zeros((5, 4, 3), "int16"))
    recipes = [([0, 1], [0, 0.5], 0), ([0, 1], [0, 0.25], 0), ([0, 2], [0, 0.5], 0), ([0, 1], [0, 0.5], 1)]
    made = [BlendedPlanes(array, PlaneBlend(np.array(k), np.array(w, float)), f) for k, w, f in recipes]
    offsets = np.zeros((5, 2))
    moves = [(offsets, 4, 3, 0), (offsets + 1, 4, 3, 0), (offsets, 3, 4, 0), (offsets, 4, 3, 1)]
    every = [*made, *(ShiftedPlanes(array, PlaneShift(o, r, c), f) for o, r, c, f in moves)]
    tokens = [tokenize(one) for one in every]
    assert len(set(tokens)) == len(every)
    assert tokens == [tokenize(pickle.loads(pickle.dumps(one))) for one in every]
    volume = Volume(every[0], Geometry((2, 4, 3)))
    np.testing.assert_array_equal(volume.array.compute(scheduler="synchronous"), volume.read())


# ---------------------------------------------------------------------------------------------------------- promise


def peak(source: Source, region: Region) -> int:
    """The most bytes that a read holds besides its block."""
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


def large(kind: str, dtype: str) -> Grained:
    array = filled(np.random.default_rng(0), (9, 1100, 700), dtype, "full")
    chunk = {"rows": (1, 1, 700), "planes": (1, 1100, 700), "runs": (3, 1100, 700), "chunks": (4, 256, 256)}
    return Grained(array, chunk[kind])


PARTS = (
    whole((9, 1100, 700)),
    (slice(4, 5), slice(0, 1100), slice(0, 700)),
    (slice(1, 8), slice(3, 200), slice(0, 700)),
    (slice(1, 8), slice(3, 800), slice(10, 500)),
)


@pytest.mark.parametrize("kind", ["rows", "planes", "runs", "chunks"])
@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_a_read_holds_no_more_than_was_promised_and_not_much_less(kind: str, dtype: str) -> None:
    source = large(kind, dtype)
    rng = np.random.default_rng(2)
    half = PlaneBlend(np.repeat(np.arange(5), 2)[1:], np.resize([0.5, 0], 9))
    made: list[Source] = [
        BlendedPlanes(source, half, 0),
        BlendedPlanes(source, PlaneBlend(np.arange(9) - 1, np.zeros(9)), 0),
        BlendedPlanes(source, PlaneBlend(np.arange(9) // 2, np.full(9, 0.3)), 0),
        ShiftedPlanes(source, PlaneShift(rng.uniform(-30, 30, (9, 2)), 1100, 700), 0),
        ShiftedPlanes(source, PlaneShift(np.arange(9)[:, None] * [40.0, 0], 1100, 700), 0),
    ]
    for one in made:
        for region in PARTS:
            used, promised = peak(one, region), one.scratch(region_shape(region))
            assert used <= promised, (one, region)
            if kind == "planes" and region in PARTS[:2] and used > 4 << 20:
                assert promised <= 1.3 * used + (3 << 20), (one, region)


def test_what_is_held_does_not_grow_with_the_number_of_planes() -> None:
    for kind in KINDS:
        for shape in ((8, 64, 64), (40, 16, 64)):
            costs = set()
            for n in (50, 20_000):
                source = kinds(np.broadcast_to(np.uint16(0), (n, 64, 64)))[kind]
                mixed = BlendedPlanes(source, PlaneBlend(np.arange(n - 1), np.full(n - 1, 0.5)), 0)
                moved = ShiftedPlanes(source, PlaneShift(np.arange(n)[:, None] * [0.5, 0.25], 64, 64), 0)
                costs.add((mixed.scratch(shape), moved.scratch(shape)))
            assert len(costs) == 1


# ---------------------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [("uint8", -1), ("uint8", 256), ("uint8", 1.5), ("int16", np.nan), ("int16", np.inf), ("float32", 1e39)],
)
def test_fill_values_that_the_type_does_not_hold_are_refused(dtype: str, fill: float) -> None:
    source = ArraySource(np.zeros((2, 3, 4), dtype))
    with pytest.raises(InputError, match=f"the fill value .* does not fit voxels of type {dtype}"):
        BlendedPlanes(source, PlaneBlend(np.array([0]), np.array([0.0])), fill)
    with pytest.raises(InputError, match=f"the fill value .* does not fit voxels of type {dtype}"):
        ShiftedPlanes(source, PlaneShift(np.zeros((2, 2)), 3, 4), fill)


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [("uint8", 255.0), ("int64", 2**63 - 1), ("float32", np.nan), ("float32", -np.inf), ("uint32", 2**32 - 1)],
)
def test_fill_values_at_the_end_of_the_type_are_not(dtype: str, fill: float) -> None:
    source = ArraySource(np.zeros((2, 3, 4), dtype))
    block = BlendedPlanes(source, PlaneBlend(np.array([-1]), np.array([0.0])), fill).read(whole((1, 3, 4)))
    np.testing.assert_array_equal(block, np.full((1, 3, 4), fill, dtype))
    moved = ShiftedPlanes(source, PlaneShift(np.full((2, 2), 50.0), 3, 4), fill).read(whole((1, 3, 4)))
    np.testing.assert_array_equal(moved, block)


def test_labels_of_64_bits_are_copied_and_not_mixed() -> None:
    source = ArraySource(np.arange(24, dtype=np.int64).reshape(2, 3, 4) + 2**60)
    copied = BlendedPlanes(source, PlaneBlend(np.array([1, 0]), np.zeros(2)), 0)
    np.testing.assert_array_equal(copied.read(whole((2, 3, 4))), source.array[::-1])
    with pytest.raises(InputError, match="interpolation of int64 voxels is not supported"):
        BlendedPlanes(source, PlaneBlend(np.array([0]), np.array([0.5])), 0)
    with pytest.raises(InputError, match="interpolation of int64 voxels is not supported"):
        ShiftedPlanes(source, PlaneShift(np.full((2, 2), 0.5), 3, 4), 0)


@pytest.mark.parametrize(
    ("lower", "weight", "message"),
    [
        ([0, 1], [0.0], "one lower plane and one weight"),
        ([], [], "at least one"),
        ([0], [1.0], "0 <= weight < 1, found 1.0"),
        ([0], [-0.1], "0 <= weight < 1"),
        ([0], [np.nan], "0 <= weight < 1"),
        ([1], [0.5], "needs planes 1 to 2, the source has 0 to 1"),
        ([-2], [0.0], "needs planes -2"),
        ([2], [0.0], "the source has 0 to 1"),
    ],
)
def test_blends_that_make_no_sense_are_refused(lower: Any, weight: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        BlendedPlanes(ArraySource(np.zeros((2, 3, 4))), PlaneBlend(np.array(lower, int), np.array(weight, float)), 0)


@pytest.mark.parametrize(
    ("offsets", "rows", "message"),
    [
        (np.zeros((3, 2)), 3, "offsets for 3 planes, the source has 2"),
        (np.zeros((2, 3)), 3, r"found offsets of shape \(2, 3\)"),
        (np.zeros((2, 2)), 0, "planes of 0 rows"),
        (np.full((2, 2), np.nan), 3, "not a finite number"),
    ],
)
def test_shifts_that_make_no_sense_are_refused(offsets: Any, rows: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ShiftedPlanes(ArraySource(np.zeros((2, 3, 4))), PlaneShift(offsets, rows, 4), 0)
