"""Resampling askew: right values in the right places, whatever is read in whatever order, and promises that hold."""

from __future__ import annotations

import math
import pickle
import tracemalloc
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkvol import Geometry
from chunkvol.geometry import Mapping, mapping_between
from chunkvol.kernels.resampling import METHODS
from chunkvol.ops import oblique, tiling
from chunkvol.ops.bricks import BrickedSource, bricked
from chunkvol.ops.oblique import ObliqueSource
from chunkvol.ops.reorient import ReorderedSource
from chunkvol.regions import Region, Shape, region_shape, voxels, whole
from chunkvol.sources import ArraySource, Block, CroppedSource, RawSource, Source
from tests.ops.test_planes import Grained
from tests.support.grids import GRIDS, grids, oblique_grid, ramp_values

SOURCES = ("array", "rows", "chunks", "planes")


def made(array: Any, kind: str) -> Source:
    """The same voxels as a numpy array, rows of a raw file, chunks, and planes that are decoded whole."""
    _, j, i = array.shape
    grains: dict[str, Shape] = {"rows": (1, 1, i), "chunks": (5, 4, 6), "planes": (1, j, i)}
    return ArraySource(array) if kind == "array" else Grained(array, grains[kind])


def onto(
    target: Geometry,
    source: Geometry,
    voxels_: Any,
    method: str = "linear",
    *,
    outside: float = -7,
    antialias: bool = True,
) -> ObliqueSource:
    held = voxels_ if isinstance(voxels_, Source) else ArraySource(voxels_)
    return ObliqueSource(held, mapping_between(target, source), target.shape, method, antialias, outside)


def within(target: Geometry, source: Geometry, rim: float) -> Any:
    """Which voxels of the target lie in the source, at least `rim` voxels from its outer faces."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in target.shape], indexing="ij"), -1)
    at = mapping_between(target, source).indices(index)
    return ((at >= rim - 0.5) & (at <= np.array(source.shape) - 0.5 - rim)).all(axis=-1)


def seen_from(source: Geometry, shape: Shape, degrees: tuple[float, float, float], scale: float = 1.0) -> Geometry:
    """A grid with another direction about the same middle, with isotropic voxels."""
    step = scale * float(np.prod(source.spacing)) ** (1 / 3)
    grid = oblique_grid(shape, spacing=(step, step * 0.9, step * 1.1), degrees=degrees)
    middle = source.index_to_world([(n - 1) / 2 for n in source.shape])
    own = grid.index_to_world([(n - 1) / 2 for n in shape])
    x, y, z = np.array(grid.origin) + middle - own
    return replace(grid, origin=(float(x), float(y), float(z)))


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles so small that a small volume has many."""
    monkeypatch.setattr(tiling, "_TILE_VOXELS", 200)
    monkeypatch.setattr(tiling, "_SMOOTHED_VOXELS", 400)


# ----------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("method", ["linear", "cubic", "lanczos"])
@pytest.mark.parametrize("name", GRIDS)
def test_a_ramp_stays_the_ramp(name: str, method: str) -> None:
    source = GRIDS[name]((31, 28, 33))
    target = seen_from(source, (9, 11, 10), (-50, 21, 12), 0.04 if name == "anisotropic" else 0.5)
    found = onto(target, source, ramp_values(source), method, antialias=False).read(whole(target.shape))
    rim = {"linear": 0.5, "cubic": 8.0, "lanczos": 3.0}[method]
    inside = within(target, source, rim)
    assert inside.sum() > 10
    wanted = ramp_values(target)
    step = max(np.abs(np.diff(ramp_values(source), axis=axis)).max() for axis in range(3))
    # Lanczos does not hold a ramp exactly, and the prefilter is cut where it amounts to 1e-7.
    error = {"linear": 1e-10, "cubic": 1e-4, "lanczos": 4e-2}[method]
    np.testing.assert_allclose(found[inside], wanted[inside], rtol=0, atol=error * step)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_the_same_grid_gives_the_same_voxels(method: str, dtype: str) -> None:
    grid = oblique_grid((13, 9, 11))
    rng = np.random.default_rng(2)
    array = (rng.normal(size=grid.shape) * 50 + 100).astype(dtype)
    found = onto(grid, grid, array, method).read(whole(grid.shape))
    if method == "cubic":  # through coefficients and back
        np.testing.assert_allclose(found, array, rtol=0, atol=1e-4)
    else:
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("scale", [0.8, 2.3])
def test_bytes_do_not_depend_on_cuts_or_cells(
    method: str, kind: str, scale: float, small_tiles: None, tmp_path: Path
) -> None:
    grid = oblique_grid((24, 21, 26))
    target = seen_from(grid, (14, 19, 16), (40, 10, -25), scale)
    array = np.random.default_rng(3).integers(-3000, 3000, grid.shape, dtype="int16")
    wanted = onto(target, grid, array, method).read(whole(target.shape))
    assert len(np.unique(wanted)) > 300
    source = onto(target, grid, made(array, kind), method).staged(tmp_path)
    np.testing.assert_array_equal(source.read(whole(target.shape)), wanted)
    rng = np.random.default_rng(4)
    for _ in range(4):
        low = [int(rng.integers(0, n)) for n in target.shape]
        k, j, i = (slice(a, int(rng.integers(a + 1, n + 1))) for a, n in zip(low, target.shape, strict=True))
        np.testing.assert_array_equal(source.read((k, j, i)), wanted[k, j, i])


def test_bytes_do_not_depend_on_the_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = oblique_grid((34, 31, 36))
    target = seen_from(grid, (25, 30, 28), (40, 10, -25), 1.3)
    array = np.random.default_rng(3).normal(size=grid.shape).astype("float32")
    found = {}
    for most in (60, 3000, 10**6):
        monkeypatch.setattr(tiling, "_SMOOTHED_VOXELS", most)
        source = onto(target, grid, made(array, "chunks"), "cubic")
        found[source.grain] = source.read(whole(target.shape)).tobytes()
    assert len(found) == 3
    assert len(set(found.values())) == 1


def test_a_smoothed_ramp_stays_the_ramp_away_from_the_faces() -> None:
    source = oblique_grid((50, 46, 52), spacing=(0.5, 0.5, 0.5))
    target = seen_from(source, (7, 8, 6), (40, 10, -25), 2.0)
    for method in ("linear", "cubic"):
        found = onto(target, source, ramp_values(source), method)
        assert max(found._reach) >= 5
        inside = within(target, source, 8 + max(found._reach) - 14 * (method == "cubic"))
        assert inside.sum() > 50
        wanted = ramp_values(target)[inside]
        np.testing.assert_allclose(found.read(whole(target.shape))[inside], wanted, rtol=0, atol=1e-5 * np.ptp(wanted))


@pytest.mark.parametrize("kind", ["rows", "chunks"])
def test_a_part_or_another_order_of_a_store_is_read_along_its_chunks(kind: str) -> None:
    grid = oblique_grid((24, 21, 26))
    array = np.random.default_rng(3).integers(0, 3000, grid.shape, dtype="uint16")
    part = (slice(3, 22), slice(1, 20), slice(7, 25))
    cut = CroppedSource(made(array, kind), part)
    turned = ReorderedSource(cut, (2, 0, 1), (True, False, True))
    seen = grid.cropped(part).reordered((2, 0, 1), (True, False, True))
    target = seen_from(seen, (14, 15, 16), (40, 10, -25))
    plain = ArraySource(array[part].transpose(2, 0, 1)[::-1, :, ::-1].copy())
    source = onto(target, seen, turned)
    np.testing.assert_array_equal(source.read(whole(target.shape)), onto(target, seen, plain).read(whole(target.shape)))
    if kind == "chunks":
        most = cut.source.decoded()  # type: ignore[attr-defined]  # of `Grained`
        assert max(most.values()) == 1, "cells begin where chunks do"


@given(grids(14), grids(14), st.integers(0, 99))
def test_nearest_is_the_nearest_voxel(target: Geometry, source: Geometry, seed: int) -> None:
    array = np.random.default_rng(seed).integers(0, 60000, source.shape, dtype="uint16")
    found = onto(target, source, array, "nearest", outside=61234).read(whole(target.shape))
    index = np.stack(np.meshgrid(*[np.arange(n) for n in target.shape], indexing="ij"), -1)
    at = mapping_between(target, source).indices(index)
    edge = (np.abs(at - np.rint(2 * at) / 2) < 1e-5).any(axis=-1)  # ties are judged elsewhere
    inside = ((at >= -0.5) & (at <= np.array(source.shape) - 0.5)).all(axis=-1)
    k, j, i = np.clip(np.floor(at + 0.5).astype(int), 0, np.array(source.shape) - 1)[inside & ~edge].T
    np.testing.assert_array_equal(found[inside & ~edge], array[k, j, i])
    assert (found[~inside & ~edge] == 61234).all()


@pytest.mark.parametrize(
    ("method", "interpolator", "rim"), [("nearest", "Nearest", 0), ("linear", "Linear", 1), ("cubic", "BSpline", 8)]
)
@settings(max_examples=15)
@given(st.data())
def test_itk_finds_the_same(method: str, interpolator: str, rim: float, data: Any) -> None:
    itk: Any = pytest.importorskip("SimpleITK")
    length = st.integers(17, 22)
    source = data.draw(grids(5))
    source = replace(source, shape=data.draw(st.tuples(length, length, length)))
    angle = st.integers(-180, 180)
    target = seen_from(
        source, (8, 9, 7), data.draw(st.tuples(angle, angle, angle)), data.draw(st.sampled_from((0.3, 0.5)))
    )
    array = np.random.default_rng(1).normal(0, 100, source.shape).astype("float32")
    found = onto(target, source, array, method, antialias=False).read(whole(target.shape))

    def image(grid: Geometry, values: Any) -> Any:
        made_ = itk.GetImageFromArray(values)
        made_.SetOrigin(grid.origin)
        made_.SetSpacing(grid.spacing[::-1])
        made_.SetDirection(np.array(grid.direction)[:, ::-1].ravel().tolist())
        return made_

    kind = {"Nearest": itk.sitkNearestNeighbor, "Linear": itk.sitkLinear, "BSpline": itk.sitkBSpline}[interpolator]
    like = image(target, np.zeros(target.shape, "float32"))
    wanted = itk.GetArrayFromImage(itk.Resample(image(source, array), like, itk.Transform(), kind, -7.0))
    index = np.stack(np.meshgrid(*[np.arange(n) for n in target.shape], indexing="ij"), -1)
    at = mapping_between(target, source).indices(index)
    inside = within(target, source, rim)
    if method == "nearest":
        inside &= (np.abs(at - np.floor(at) - 0.5) > 1e-4).all(axis=-1)
    np.testing.assert_allclose(found[inside], wanted[inside], rtol=0, atol=0 if method == "nearest" else 2e-3)


# -------------------------------------------------------------------------------------------------------- outside


@pytest.mark.parametrize(
    ("dtype", "outside"), [("int16", -1000), ("uint8", 255), ("float32", math.nan), ("float64", 1e300)]
)
@pytest.mark.parametrize("method", METHODS)
def test_voxels_beyond_the_outer_faces_have_the_value_outside(
    method: str, dtype: str, outside: float, small_tiles: None
) -> None:
    source = oblique_grid((12, 13, 14))
    target = seen_from(source, (40, 20, 30), (40, 10, -25))
    found = onto(target, source, np.ones(source.shape, dtype), method, outside=outside).read(whole(target.shape))
    inside = within(target, source, 0)
    np.testing.assert_array_equal(found[~inside], np.array(outside, dtype))
    np.testing.assert_allclose(found[inside].astype(float), 1, rtol=1e-6)


def test_what_lies_wholly_outside_reads_nothing() -> None:
    source = oblique_grid((12, 13, 14))
    target = replace(seen_from(source, (10, 11, 12), (40, 10, -25)), origin=(500.0, 0.0, 0.0))
    rows = made(np.ones(source.shape, "uint8"), "planes")
    found = onto(target, source, rows, outside=9)
    assert (found.read(whole(target.shape)) == 9).all()
    assert rows.regions == []  # type: ignore[attr-defined]  # of `Grained`
    assert (found.region_bytes, found.stored_bytes, found.staging_bytes) == (0, 0, 0)
    assert found.fetched_bytes(target.shape) == 0


# ------------------------------------------------------------------------------------------------------- promises


@dataclass(frozen=True, eq=False)
class Counting(Source):
    """Chunks of zeros, of which those that are read are counted."""

    shape: Shape
    chunk: Shape
    read_bytes: list[int] = field(default_factory=list, compare=False)

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]  # always the same
        return np.dtype("uint16")

    @property
    def grain(self) -> Shape:
        return self.chunk

    def read(self, region: Region, out: Block | None = None) -> Block:
        if all(g < n for g, n in zip(self.chunk, self.shape, strict=True)):
            assert all(
                s.start % g == 0 and (s.stop % g == 0 or s.stop == n)
                for s, g, n in zip(region, self.chunk, self.shape, strict=True)
            )
        self.read_bytes.append(voxels(region_shape(region)) * self.dtype.itemsize)
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        block[...] = 0
        return block


def about_diagonal(degrees: float, shape: Shape, source: Shape) -> Mapping:
    """A turn about (1, 1, 1) through both middles."""
    a = np.radians(degrees)
    axis = np.ones(3) / np.sqrt(3)
    matrix = np.cos(a) * np.eye(3) + np.sin(a) * np.cross(np.eye(3), axis) + (1 - np.cos(a)) * np.outer(axis, axis)
    offset = (np.array(source) - 1) / 2 - matrix @ ((np.array(shape) - 1) / 2)
    return Mapping(tuple(map(tuple, matrix.tolist())), tuple(offset.tolist()))  # type: ignore[arg-type]  # three


def blocks(shape: Shape, block: Shape) -> list[Region]:
    return [
        (
            slice(k, min(k + block[0], shape[0])),
            slice(j, min(j + block[1], shape[1])),
            slice(i, min(i + block[2], shape[2])),
        )
        for k in range(0, shape[0], block[0])
        for j in range(0, shape[1], block[1])
        for i in range(0, shape[2], block[2])
    ]


@pytest.mark.parametrize("degrees", [7, 40, 90.5])
@pytest.mark.parametrize("method", ["nearest", "cubic"])
def test_as_many_bytes_are_fetched_as_was_said(degrees: float, method: str) -> None:
    shape = (40, 45, 50)
    counting = Counting((62, 70, 78), (10, 11, 12))
    found = ObliqueSource(counting, about_diagonal(degrees, shape, counting.shape), shape, method, True, 0)
    for block in ((40, 45, 50), (19, 21, 50)):
        counting.read_bytes.clear()
        for region in blocks(shape, block):
            found.read(region)
        assert sum(counting.read_bytes) == pytest.approx(found.fetched_bytes(block), rel=0.1)


def test_wide_blocks_fetch_less_than_two_and_a_half_times_the_region() -> None:
    shape = (1200, 1300, 1400)
    counting = Counting((2000, 2000, 2000), (64, 64, 64))
    found = ObliqueSource(counting, about_diagonal(40, shape, counting.shape), shape, "linear", True, 0)
    assert found.fetched_bytes((200, 200, 1400)) / found.region_bytes < 2.5
    whole_source = replace(found, mapping=about_diagonal(40, counting.shape, counting.shape), shape=counting.shape)
    assert whole_source.fetched_bytes((200, 200, 2000)) / whole_source.region_bytes < 2.5
    assert whole_source.region_bytes < found.source.stored_bytes
    assert found.rim[0] in range(100, 108) and found.rim[1] in range(100, 108)


def test_plans_of_a_hundred_thousand_chunks_are_made_at_once() -> None:
    import time

    shape = (3000, 3000, 3000)
    counting = Counting(shape, (64, 64, 64))
    started = time.process_time()
    found = ObliqueSource(counting, about_diagonal(40, shape, shape), shape, "linear", True, 0)
    assert found.fetched_bytes((192, 192, 3000)) and found.region_bytes and found.stored_bytes
    assert found.staging_bytes == 0 and all(found.rim) and found.grain[2] > 1
    for rows in (64, 128, 192, 256, 512):
        assert found.scratch((rows, rows, 3000)) > 0
    assert time.process_time() - started < 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("scale", [0.7, 3.0])
def test_a_read_holds_no_more_than_it_says(method: str, kind: str, scale: float, tmp_path: Path) -> None:
    grid = oblique_grid((70, 61, 83), spacing=(0.5, 0.5, 0.4))
    target = seen_from(grid, (50, 45, 48), (40, 10, -25), scale)
    array = np.random.default_rng(3).integers(0, 3000, grid.shape, dtype="uint16")
    source = onto(target, grid, made(array, kind), method).staged(tmp_path)
    source.preload()
    source.read((slice(0, 2), slice(0, 2), slice(0, 2)))
    for region in (
        whole(target.shape),
        (slice(20, 21), slice(0, 45), slice(0, 48)),
        (slice(5, 40), slice(3, 20), slice(7, 48)),
    ):
        out = np.empty(region_shape(region), source.dtype)
        tracemalloc.start()
        source.read(region, out)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= source.scratch(region_shape(region)) + 50_000


@settings(max_examples=25)
@given(st.tuples(*[st.integers(1, 300)] * 3), st.tuples(*[st.integers(0, 300)] * 3), st.sampled_from(METHODS))
def test_a_larger_block_never_holds_less(small: Shape, more: Shape, method: str) -> None:
    counting = Counting((900, 1000, 1100), (32, 40, 24))
    shape = (700, 700, 700)
    found = ObliqueSource(counting, about_diagonal(29, shape, counting.shape), shape, method, True, 0)
    k, j, i = (a + b for a, b in zip(small, more, strict=True))
    assert found.scratch(small) <= found.scratch((k, j, i))


def test_a_source_survives_pickling_and_stays_small() -> None:
    grid = oblique_grid((24, 21, 26))
    target = seen_from(grid, (14, 15, 16), (40, 10, -25))
    source = onto(target, grid, np.random.default_rng(3).normal(size=grid.shape), "cubic")
    first = source.read(whole(target.shape))
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again.read(whole(target.shape)), first)
    assert len(pickle.dumps(source)) < source.source.array.nbytes + 20_000  # type: ignore[attr-defined]  # an array's


# -------------------------------------------------------------------------------------------------------- staging


def test_planes_that_are_decoded_whole_are_copied_once(tmp_path: Path) -> None:
    grid = oblique_grid((60, 50, 70))
    target = seen_from(grid, (30, 40, 20), (40, 10, -25))
    array = np.random.default_rng(3).integers(0, 3000, grid.shape, dtype="uint16")
    planes = made(array, "planes")
    source = onto(target, grid, planes)
    promised = source.staging_bytes
    assert 0 < promised <= array.nbytes
    assert array.nbytes < source.staging_scratch < 3 * array.nbytes
    before = source.scratch((30, 40, 20)), source.fetched_bytes((30, 40, 20)), source.rim, source.grain
    staged = source.staged(tmp_path)
    assert isinstance(staged, ObliqueSource) and isinstance(staged.source, BrickedSource)
    assert (staged.scratch((30, 40, 20)), staged.fetched_bytes((30, 40, 20)), staged.rim, staged.grain) == before
    assert staged.staging_bytes == 0
    assert max(planes.decoded().values()) == 1  # type: ignore[attr-defined]  # of `Grained`
    staged.read(whole(target.shape))
    assert len(planes.regions) <= 4  # type: ignore[attr-defined]  # as above


def test_planes_that_are_decoded_whole_can_be_read_without_a_copy() -> None:
    grid = oblique_grid((60, 50, 70))
    target = seen_from(grid, (30, 40, 20), (40, 10, -25))
    array = np.random.default_rng(3).integers(0, 3000, grid.shape, dtype="uint16")
    planes = made(array, "planes")
    wanted = onto(target, grid, array).read(whole(target.shape))
    np.testing.assert_array_equal(onto(target, grid, planes).read(whole(target.shape)), wanted)
    assert max(planes.decoded().values()) == 1  # type: ignore[attr-defined]  # of `Grained`


def test_long_rows_are_copied_first_but_not_for_a_small_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oblique, "_CACHED", 0)
    shape = (1500, 2000, 4000)
    stack = RawSource(tmp_path / "a.raw", shape, np.dtype("<u2"))
    large = ObliqueSource(stack, about_diagonal(40, (1000, 1000, 1000), shape), (1000, 1000, 1000), "linear", True, 0)
    assert stack.stored_bytes > large.staging_bytes > large.region_bytes
    small = replace(large, mapping=about_diagonal(40, (40, 50, 60), shape), shape=(40, 50, 60))
    assert small.staging_bytes == 0
    monkeypatch.setattr(oblique, "_CACHED", 1 << 40)
    assert replace(large).staging_bytes == 0


def test_chunks_and_bricks_are_read_as_they_are(tmp_path: Path) -> None:
    grid = oblique_grid((24, 21, 26))
    target = seen_from(grid, (14, 15, 16), (40, 10, -25))
    array = np.random.default_rng(3).integers(0, 3000, grid.shape, dtype="uint16")
    for source in (made(array, "chunks"), made(array, "array"), bricked(made(array, "planes"), tmp_path)):
        assert onto(target, grid, source).staging_bytes == 0
