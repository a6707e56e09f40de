"""Parallel axes, filtered one by one: right against dense matrices, the same for any cut, and within its promise."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunkvol import Geometry
from chunkvol.errors import InputError
from chunkvol.geometry import mapping_between
from chunkvol.kernels.resampling import METHODS, Taps, taps_for
from chunkvol.ops import sweep
from chunkvol.ops.separable import SeparableSource
from chunkvol.regions import Region, Shape, region_shape, whole
from chunkvol.sources import ArraySource, RawSource, Source
from tests.kernels.blocks import filled
from tests.ops.test_planes import Grained, peak, regions
from tests.support.grids import GRIDS, ramp_values, wide_floats

TYPES = ("uint8", "int16", "uint32", "float32", "float64")

Tables = tuple[Taps, Taps, Taps]


def kinds(array: Any) -> dict[str, Grained]:
    """Raw rows, strips of rows, planes that are decoded whole, runs of them, chunks, and planes to be read deep."""
    k, j, i = array.shape
    return {
        "rows": Grained(array, (1, 1, i)),
        "strips": Grained(array, (1, min(j, 5), i)),
        "planes": Grained(array, (1, j, i)),
        "runs": Grained(array, (min(k, 3), j, i)),
        "chunks": Grained(array, (min(k, 8), min(j, 8), min(i, 8))),
        "deep": Grained(array, (1, j, i), deep=True),
    }


KINDS = tuple(kinds(np.zeros((2, 2, 2))))


def tables(shape: Shape, steps: Any, method: str = "linear", *, offset: float = 0.3, antialias: bool = True) -> Tables:
    """Taps that begin `offset` steps before the source and end somewhat behind it."""
    k, j, i = (
        taps_for(method, scale=step, offset=-offset * step, count=int(n / step) + 2, length=n, antialias=antialias)
        for n, step in zip(shape, steps, strict=True)
    )
    return k, j, i


def dense(taps: Taps) -> Any:
    """The table as a matrix (result, source)."""
    matrix = np.zeros((len(taps.first), taps.length))
    for row, first, weights in zip(matrix, taps.first, taps.weights, strict=True):
        row[first : first + len(weights)] = weights
    return matrix


def plain(array: Any, taps: Tables, outside: float) -> Any:
    """The slow plain version, in double precision, not rounded."""
    values = np.einsum("ak,bj,ci,kji->abc", *map(dense, taps), array.astype(np.float64), optimize=True)
    k, j, i = (one.inside for one in taps)
    return np.where(k[:, None, None] & j[:, None] & i, values, outside)


def close(block: Any, expected: Any) -> bool:
    """Within one rounding of real numbers whose sums had another order."""
    if block.dtype.kind == "f":
        scale = np.abs(expected).max()
        return bool(np.allclose(block, expected, rtol=2 * np.finfo(block.dtype).eps, atol=1e-14 * scale))
    limits = np.iinfo(block.dtype)
    return bool(np.abs(block - np.clip(expected, limits.min, limits.max)).max() <= 0.5 + 1e-5)


@pytest.fixture(params=["usual sizes", "tiny sizes"])
def sizes(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Bands, runs and tiles as they are, or so small that little data has many."""
    if request.param == "tiny sizes":
        for name, size in {"_BAND_BYTES": 500, "_CHUNKS_BYTES": 900, "_RUN_BYTES": 300, "TILE": 700}.items():
            monkeypatch.setattr(sweep, name, size)
    return str(request.param)


# ---------------------------------------------------------------------------------------------------------- laws

STEPS = (
    (2.5, 2.5, 2.5),
    (0.5, 0.5, 0.5),
    (0.3, 2, 1.7),
    (3, 0.6, 0.45),
    (1, 2, 3),
    (1, 1, 0.7),
    (4.2, 1, 1),
    (0.9, 3.7, 0.4),
)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("steps", STEPS, ids=str)
def test_results_are_those_of_dense_matrices_for_any_grain(method: str, steps: Any, sizes: str) -> None:
    array = filled(np.random.default_rng(1), (15, 12, 17), "uint16" if sizes == "usual sizes" else "float32", "full")
    taps = tables(array.shape, steps, method)
    expected = plain(array, taps, 7)
    blocks = {name: SeparableSource(one, taps, 7) for name, one in kinds(array).items()}
    first = blocks["rows"].read(whole(expected.shape))
    assert close(first, expected)
    for name, made in blocks.items():
        assert (made.shape, made.dtype) == (expected.shape, array.dtype)
        assert made.read(whole(made.shape)).tobytes() == first.tobytes(), name


@given(
    seed=st.integers(0, 999),
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    steps=st.tuples(*[st.sampled_from((0.37, 0.5, 1, 1.5, 2, 4.2))] * 3),
    offset=st.sampled_from((0, 0.25, -0.5, 1, 2.6, -1.3)),
    method=st.sampled_from(METHODS),
    dtype=st.sampled_from(TYPES),
    kind=st.sampled_from(KINDS),
    tiny=st.booleans(),
    data=st.data(),
)
def test_any_region_is_a_slice_of_the_whole(
    seed: int, shape: Shape, steps: Any, offset: float, method: str, dtype: str, kind: str, tiny: bool, data: Any
) -> None:
    array = filled(np.random.default_rng(seed), shape, dtype, "full")
    taps = tables(shape, steps, method, offset=offset, antialias=bool(seed % 2))
    expected = SeparableSource(ArraySource(array), taps, 7).read(whole((len(taps[0].first), *_rest(taps))))
    assert close(expected, plain(array, taps, 7))
    source = SeparableSource(kinds(array)[kind], taps, 7)
    region = data.draw(regions(source.shape))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_BAND_BYTES", "_CHUNKS_BYTES", "_RUN_BYTES", "TILE"):
            if tiny:
                patch.setattr(sweep, name, 100 + seed)
        room = np.full([n + 2 for n in region_shape(region)], 99, dtype)
        out = room[1:-1, 1:-1, 1:-1]
        assert source.read(region, out) is out
        block = source.read(region)
    np.testing.assert_array_equal(out, expected[region])
    assert np.all(room[0] == 99) and np.all(room[:, :, -1] == 99)
    assert block.flags.c_contiguous and block.tobytes() == out.tobytes()


def _rest(taps: Tables) -> tuple[int, int]:
    return len(taps[1].first), len(taps[2].first)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("method", ["linear", "cubic"])
@pytest.mark.parametrize("steps", [(0.4, 2, 1), (3, 0.7, 0.5), (1, 0.3, 4)], ids=str)
def test_a_ramp_stays_the_ramp_in_the_interior(grid: str, method: str, steps: Any) -> None:
    fine = GRIDS[grid]((57, 43, 83))
    matrix = fine.affine
    counts = tuple(int(n / step) for n, step in zip(fine.shape, steps, strict=True))
    columns = [matrix[:3, axis] * step for axis, step in enumerate(steps)]
    coarse = Geometry.from_steps(counts, fine.index_to_world((0.3, 0.2, 0.1)), columns)  # type: ignore[arg-type]  # three
    mapping = mapping_between(coarse, fine)
    k, j, i = (
        taps_for(method, scale=mapping.matrix[a][a], offset=mapping.offset[a], count=n, length=m, antialias=True)
        for a, (n, m) in enumerate(zip(coarse.shape, fine.shape, strict=True))
    )
    made = SeparableSource(ArraySource(ramp_values(fine)), (k, j, i), np.nan)
    margin = [2 + int((14 if method == "cubic" else 1) / step) for step in steps]
    inner = tuple(slice(m, n - m) for m, n in zip(margin, coarse.shape, strict=True))
    values, ramp = made.read(whole(made.shape))[inner], ramp_values(coarse)[inner]
    assert min(ramp.shape) > 1
    np.testing.assert_allclose(values, ramp, rtol=0, atol=1e-6 * np.ptp(ramp))


@pytest.mark.parametrize("steps", [(1.5, 1.5, 1.5), (0.4, 2.2, 0.8), (2.5, 0.4, 0.4)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_have_one_order_however_planes_are_fed(steps: Any, dtype: str, sizes: str) -> None:
    array = wide_floats((24, 20, 22), dtype)
    taps = tables(array.shape, steps, "lanczos")
    made = [SeparableSource(one, taps, 0) for one in kinds(array).values()]
    expected = made[0].read(whole(made[0].shape))
    for one in made:
        for part in ((3, 9, 0, 5, 2, 11), (0, 11, 4, 6, 3, 8), (8, 9, 0, 9, 8, 9)):
            k0, k1, j0, j1, i0, i1 = part
            region = (slice(k0, k1), slice(j0, j1), slice(i0, i1))
            assert one.read(region).tobytes() == expected[region].tobytes()


def test_unknown_values_spread_to_what_is_made_of_them_and_no_further(sizes: str) -> None:
    array = np.zeros((12, 14, 16), np.float32)
    array[5, 6, 7] = np.nan
    array[11, 0, 3] = np.inf
    for steps in ((0.5, 0.5, 0.5), (2, 2, 2), (1, 2.5, 0.4), (3, 1, 1)):
        taps = tables(array.shape, steps, offset=0)
        touched = np.einsum("ak,bj,ci,kji->abc", *[dense(t) != 0 for t in taps], ~np.isfinite(array)) > 0
        touched &= plain(np.zeros(array.shape), taps, 1) == 0  # those inside
        for one in kinds(array).values():
            made = SeparableSource(one, taps, 0).read(whole(touched.shape))
            np.testing.assert_array_equal(np.isfinite(made), ~touched)


def test_what_is_hit_exactly_comes_through_bit_for_bit() -> None:
    array = wide_floats((9, 8, 7), "float64")
    array[0, 0, 0], array[3, 2, 1] = -0.0, np.nan
    array.view(np.uint64)[3, 2, 1] |= 77
    for method in METHODS:
        k, j, i = (
            taps_for(method, scale=1, offset=lead, count=n, length=m, antialias=True)
            for lead, n, m in zip((0, 2, 1), (9, 5, 4), array.shape, strict=True)
        )
        made = SeparableSource(ArraySource(array), (k, j, i), 0)
        assert made.read(whole(made.shape)).tobytes() == array[:, 2:7, 1:5].tobytes()


def test_labels_of_64_bits_are_copied_and_not_mixed() -> None:
    labels = np.arange(5 * 6 * 7).reshape(5, 6, 7) + 2**60
    made = SeparableSource(ArraySource(labels), tables(labels.shape, (0.5, 2, 1), "nearest", offset=0), 2**60)
    block = made.read(whole(made.shape))
    k, j, i = (t.first for t in made.taps)
    inside = np.ix_(*[np.flatnonzero(t.inside) for t in made.taps])
    np.testing.assert_array_equal(block[inside], labels[np.ix_(k, j, i)][inside])
    with pytest.raises(InputError, match="interpolation of int64 voxels is not supported"):
        SeparableSource(ArraySource(labels), tables(labels.shape, (0.5, 1, 1)), 0)


# ------------------------------------------------------------------------------------------------------- outside


def shifted_tables(shape: Shape, offsets: Any, counts: Any, method: str = "linear", scale: float = 1.5) -> Tables:
    k, j, i = (
        taps_for(method, scale=scale, offset=offset, count=count, length=n, antialias=True)
        for offset, count, n in zip(offsets, counts, shape, strict=True)
    )
    return k, j, i


@pytest.mark.parametrize("method", METHODS)
def test_voxels_beyond_the_faces_get_the_value_outside(method: str) -> None:
    array = np.full((9, 10, 11), 100, np.int16)
    taps = shifted_tables(array.shape, (-6.0, -0.5, 3.2), (12, 30, 7), method)
    for one in kinds(array).values():
        made = SeparableSource(one, taps, -1000)
        block = made.read(whole(made.shape))
        assert np.count_nonzero(block != -1000) == np.prod([t.inside.sum() for t in taps])
        np.testing.assert_array_equal(block, plain(array, taps, -1000).round())


def test_regions_wholly_outside_need_no_reading() -> None:
    source = kinds(np.ones((9, 10, 11), np.uint8))["planes"]
    made = SeparableSource(source, shifted_tables(source.shape, (-30, 0, 0), (60, 7, 7)), 5)
    assert np.all(made.read((slice(0, 19), slice(0, 7), slice(0, 7))) == 5)
    assert not source.regions
    away = SeparableSource(source, shifted_tables(source.shape, (0, 500, 0), (6, 7, 7)), 5)
    assert np.all(away.read(whole(away.shape)) == 5)
    assert not source.regions
    assert (away.stored_bytes, away.fetched_bytes((2, 7, 7)), away.region_bytes) == (0, 0, 0)
    assert (away.rim, away.prefers_deep, away.grain) == ((0, 0), False, (1, 7, 7))


@pytest.mark.parametrize(("dtype", "value"), [("uint8", -1), ("uint8", 256), ("int16", np.nan), ("float32", 1e39)])
def test_values_outside_that_the_type_does_not_hold_are_refused(dtype: str, value: float) -> None:
    array = np.zeros((3, 4, 5), dtype)
    with pytest.raises(InputError, match=f"the value outside, .*, does not fit voxels of type {dtype}; choose"):
        SeparableSource(ArraySource(array), tables(array.shape, (1, 1, 1)), value)


def test_tables_of_another_source_are_refused() -> None:
    with pytest.raises(InputError, match=r"taps are for a source of shape \(3, 4, 6\), the source has \(3, 4, 5\)"):
        SeparableSource(ArraySource(np.zeros((3, 4, 5))), tables((3, 4, 6), (1, 1, 1)), 0)


# ---------------------------------------------------------------------------------------------------- nothing twice


@pytest.mark.parametrize("kind", ["planes", "runs", "deep"])
@pytest.mark.parametrize("method", ["nearest", "lanczos"])
@pytest.mark.parametrize("steps", STEPS[:6], ids=str)
def test_no_plane_is_decoded_twice_for_a_block(kind: str, method: str, steps: Any, sizes: str) -> None:
    source = kinds(np.zeros((31, 12, 14), np.uint16))[kind]
    made = SeparableSource(source, tables(source.shape, steps, method), 0)
    k, j, i = made.shape
    made.read((slice(k // 4, k - 1), slice(j // 3, j), slice(0, i)))
    decoded = source.decoded()
    assert max(decoded.values()) == 1
    needed = made.taps[0].needed(slice(k // 4, k - 1))
    assert len(decoded) <= -(-needed.stop // source.grain[0]) - needed.start // source.grain[0]


def test_planes_that_no_result_is_made_of_are_not_read() -> None:
    array = filled(np.random.default_rng(0), (40, 12, 14), "uint16", "full")
    taps = shifted_tables(array.shape, (2, 2, 2), (8, 3, 3), "nearest", scale=5)
    for kind, planes in (("rows", 8), ("planes", 8), ("runs", 24)):
        source = kinds(array)[kind]
        made = SeparableSource(source, taps, 0)
        np.testing.assert_array_equal(made.read(whole(made.shape))[:, :2, :], array[2::5, 2:9:5, 2:13:5])
        assert sum(r[0].stop - r[0].start for r in source.regions) <= planes
    assert made.source.stored_bytes == 40_000
    made = SeparableSource(kinds(array)["planes"], taps, 0)
    assert (made.stored_bytes, made.region_bytes) == (8000, 8 * 6 * 11 * 2)


def test_bands_repeat_few_rows_and_chunks() -> None:
    array = np.broadcast_to(np.uint16(0), (16, 3000, 700))
    for chunk, most in (((1, 1, 700), 1.05), ((16, 64, 64), 1.35), ((1, 64, 700), 1.1)):
        source = Grained(array, chunk)
        taps = tables(source.shape, (2.5, 2.5, 2.5), offset=0.2)
        made = SeparableSource(source, taps, 0)
        made.read((slice(0, 6), slice(0, 1200), slice(0, 280)))
        voxels = sum(source.decoded().values()) * np.prod(chunk)
        assert voxels <= most * array.size, chunk


# ---------------------------------------------------------------------------------------------------------- facts


def test_facts_follow_from_the_source_and_the_steps() -> None:
    array = np.broadcast_to(np.uint16(0), (60, 80, 100))
    for steps, rows, planes, chunks, rim in (
        ((2.5, 2.5, 2.5), (1, 1, 41), (1, 33, 41), (4, 4, 4), (1, 1)),
        ((0.5, 0.5, 0.5), (2, 1, 201), (2, 161, 201), (16, 16, 16), (3, 3)),
        ((1, 2, 4), (1, 1, 26), (1, 41, 26), (8, 4, 2), (1, 1)),
    ):
        made = {name: SeparableSource(one, tables(array.shape, steps), 0) for name, one in kinds(array).items()}
        last = made["rows"].shape[2]
        assert last >= rows[2]
        assert made["rows"].grain == (*rows[:2], last)
        assert made["planes"].grain == (planes[0], *made["planes"].shape[1:])
        assert made["chunks"].grain == chunks
        assert [name for name, one in made.items() if one.whole_planes] == ["planes", "runs", "deep"]
        assert made["rows"].rim == made["chunks"].rim == rim
        assert made["planes"].rim == (rim[0], 0)
        assert all(one.prefers_deep for one in made.values())
        assert all(one.leftover == (0, 0, 0) for one in made.values())
    same = SeparableSource(kinds(array)["rows"], tables(array.shape, (1, 1, 1), offset=0), 0)
    assert (same.rim, same.prefers_deep) == ((0, 0), False)


def test_stored_bytes_are_those_of_the_part_that_is_used() -> None:
    array = np.broadcast_to(np.uint16(0), (40, 80, 64))
    taps = shifted_tables(array.shape, (10, 20, 8), (20, 20, 24), scale=1)
    for kind, share in (
        ("rows", 20 / 40 * 20 / 80),
        ("planes", 20 / 40),
        ("runs", 21 / 40),
        ("chunks", 24 / 40 * 24 / 80 * 24 / 64),
    ):
        made = SeparableSource(kinds(array)[kind], taps, 0)
        assert made.stored_bytes == np.ceil(40_000 * share)
        assert made.fetched_bytes(made.shape) == made.stored_bytes
        assert made.region_bytes == 20 * 20 * 24 * 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["nearest", "linear", "lanczos"])
@pytest.mark.parametrize("steps", [(2.5, 2.5, 2.5), (0.5, 0.7, 2)], ids=str)
def test_fetched_bytes_are_those_of_reading_in_blocks(kind: str, method: str, steps: Any) -> None:
    source = kinds(np.broadcast_to(np.uint16(0), (40, 50, 64)))[kind]
    made = SeparableSource(source, tables(source.shape, steps, method), 0)
    block = (7, made.shape[1], made.shape[2]) if made.whole_planes else (7, 9, made.shape[2])
    for k in range(0, made.shape[0], block[0]):
        for j in range(0, made.shape[1], block[1]):
            parts = (slice(k, min(made.shape[0], k + block[0])), slice(j, min(made.shape[1], j + block[1])))
            made.read((*parts, slice(0, made.shape[2])))
    sizes = [[min(g, n - at) for at in range(0, n, g)] for n, g in zip(source.shape, source.grain, strict=True)]
    counted = sum(
        times * np.prod([size[n] for size, n in zip(sizes, place, strict=True)])
        for place, times in source.decoded().items()
    )
    promised = made.fetched_bytes(block) / source.stored_bytes * np.prod(source.shape)
    assert counted <= promised * 1.001 + 1
    assert promised <= 1.3 * counted


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
    made = SeparableSource(Packed(array), tables(array.shape, (0.5, 1.5, 0.7)), 0)
    assert made.staging_bytes == 12
    staged = made.staged(tmp_path)
    assert staged.staging_bytes == 0
    np.testing.assert_array_equal(staged.read(whole(made.shape)), made.read(whole(made.shape)))


def test_sources_can_be_pickled_and_have_names_in_dask_of_their_own() -> None:
    from dask.base import tokenize

    array = ArraySource(np.arange(60, dtype=np.int16).reshape(5, 4, 3))
    steps = [(0.5, 1, 1), (0.5, 1, 2), (0.4, 1, 1)]
    made = [SeparableSource(array, tables(array.shape, some, method), 0) for some in steps for method in METHODS]
    made.append(SeparableSource(array, tables(array.shape, steps[0]), 1))
    again = [pickle.loads(pickle.dumps(one)) for one in made]
    tokens = [tokenize(one) for one in made]
    assert len(set(tokens)) == len(made)
    assert tokens == [tokenize(one) for one in again]
    for one, other in zip(made, again, strict=True):
        np.testing.assert_array_equal(one.read(whole(one.shape)), other.read(whole(one.shape)))


def test_threads_may_read_at_once() -> None:
    array = filled(np.random.default_rng(4), (19, 40, 30), "int16", "full")
    source = SeparableSource(ArraySource(array), tables(array.shape, (0.6, 1.7, 0.9), "lanczos"), -1)
    expected = source.read(whole(source.shape))
    start = threading.Barrier(4)

    def check(n: int) -> None:
        if n < 4:
            start.wait(10)
        region = (slice(n % 5, n % 5 + 15), slice(n, n + 12), slice(n % 7, 33))
        np.testing.assert_array_equal(source.read(region), expected[region])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(check, range(12)))


# ---------------------------------------------------------------------------------------------------------- promise

CHUNKS = {"rows": (1, 1, 300), "planes": (1, 700, 300), "runs": (3, 700, 300), "chunks": (16, 128, 128)}


@pytest.mark.parametrize("kind", CHUNKS)
@pytest.mark.parametrize(
    ("dtype", "method", "steps"),
    [
        ("uint8", "nearest", (0.5, 0.8, 0.5)),
        ("uint16", "linear", (2.5, 2.5, 2.5)),
        ("uint8", "linear", (0.5, 0.8, 0.7)),
        ("float64", "linear", (0.8, 3, 2)),
        ("uint16", "lanczos", (2.1, 4, 3)),
        ("float32", "lanczos", (2, 0.9, 1)),
    ],
    ids=str,
)
def test_a_read_holds_no_more_than_was_promised_and_not_much_less(
    kind: str, dtype: str, method: str, steps: Any
) -> None:
    source = Grained(filled(np.random.default_rng(0), (9, 700, 300), dtype, "full"), CHUNKS[kind])
    made = SeparableSource(source, tables(source.shape, steps, method), 0)
    k, j, i = made.shape
    parts: list[Region] = [
        (slice(0, min(k, 6)), slice(0, j), slice(0, i)),
        (slice(1, 2), slice(j // 3, j // 3 + 20), slice(0, i)),
        (slice(0, k), slice(3, 40), slice(i // 4, i // 2)),
    ]
    for region in parts:
        used, promised = peak(made, region), made.scratch(region_shape(region))
        assert used <= promised, region
        assert promised <= 1.5 * used + (5 << 20), region


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 300), st.integers(1, 300)),
    smaller=st.tuples(*[st.floats(0.01, 1)] * 3),
    steps=st.sampled_from(STEPS),
    kind=st.sampled_from(KINDS),
)
def test_less_is_promised_for_smaller_blocks(shape: Shape, smaller: Any, steps: Any, kind: str) -> None:
    source = kinds(np.broadcast_to(np.uint16(0), (90, 400, 500)))[kind]
    made = SeparableSource(source, tables(source.shape, steps), 0)
    less = tuple(max(1, int(n * share)) for n, share in zip(shape, smaller, strict=True))
    assert made.scratch(less) <= made.scratch(shape) + (2 << 20)  # type: ignore[arg-type]  # three


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_held_does_not_grow_with_the_number_of_planes(kind: str) -> None:
    costs = []
    for n in (60, 20_000):
        source = kinds(np.broadcast_to(np.uint16(0), (n, 64, 64)))[kind]
        made = SeparableSource(source, tables(source.shape, (2.5, 1.5, 1.5)), 0)
        costs.append([made.scratch((8, 40, 40)), made.scratch((20, 16, 40))])
    np.testing.assert_allclose(costs[0], costs[1], rtol=0.1)
