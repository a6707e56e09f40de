"""A scratch copy in bricks: the same voxels, one pass over the planes, no more memory than promised."""

from __future__ import annotations

import os
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chunkvol.errors import DamagedError
from chunkvol.geometry import Mapping
from chunkvol.geometry.overlap import needed
from chunkvol.ops import bricks
from chunkvol.ops.bricks import BrickedSource, brick_cells, bricked, bricks_bytes, bricks_held
from chunkvol.regions import Region, Shape, region_shape, voxels, whole
from chunkvol.sources import Source
from tests.kernels.blocks import filled
from tests.ops.test_planes import Grained

ASKEW = Mapping(((0.8, -0.6, 0.0), (0.6, 0.8, 0.0), (0.0, 0.0, 1.0)), (10.0, 20.0, 30.0))


def planes(shape: Shape, dtype: str = "int16", *, whole_planes: bool = True) -> Grained:
    grain = (1, shape[1], shape[2]) if whole_planes else (1, 1, shape[2])
    return Grained(filled(np.random.default_rng(7), shape, dtype, "full"), grain)


@pytest.mark.parametrize("shape", [(1, 1, 1), (16, 64, 64), (65, 63, 129), (17, 130, 5), (3, 200, 70)])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float64"])
def test_a_copy_holds_the_same_voxels(tmp_path: Path, shape: Shape, dtype: str) -> None:
    source = planes(shape, dtype)
    copy = bricked(source, tmp_path)
    assert copy.path.stat().st_size == source.array.nbytes
    assert (copy.shape, copy.dtype, copy.stored_bytes) == (shape, source.dtype, source.array.nbytes)
    np.testing.assert_array_equal(copy.read(whole(shape)), source.array)
    again: Source = pickle.loads(pickle.dumps(copy))
    np.testing.assert_array_equal(again.read(whole(shape)), source.array)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, BrickedSource]:
    source = planes((70, 130, 200), "uint16")
    return source.array, bricked(source, tmp_path_factory.mktemp("bricks"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_region_of_a_copy_is_a_slice_of_the_whole(copy: tuple[Any, BrickedSource], data: Any) -> None:
    array, source = copy
    region = []
    for n in array.shape:
        low = data.draw(st.integers(0, n - 1))
        region.append(slice(low, data.draw(st.integers(low + 1, n))))
    part = tuple(region)
    np.testing.assert_array_equal(source.read(part), array[part])
    out = np.zeros((*[s.stop - s.start for s in part], 2), array.dtype)[..., 0]
    assert source.read(part, out) is out
    np.testing.assert_array_equal(out, array[part])


def test_a_read_holds_no_more_than_it_says(copy: tuple[Any, BrickedSource]) -> None:
    _, source = copy
    regions: list[Region] = [whole(source.shape), (slice(3, 70), slice(60, 70), slice(1, 199))]
    for region in regions:
        out = np.empty(region_shape(region), source.dtype)
        tracemalloc.start()
        source.read(region, out)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= source.scratch(region_shape(region)) + 20_000


def test_each_plane_is_read_once_and_no_more_than_promised_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = planes((40, 100, 130), "uint16")
    monkeypatch.setattr(bricks, "_SLAB_BYTES", 5 * 100 * 130 * 2)
    assert brick_cells(source).cell == (16, 64, 64)
    bricked(source, tmp_path)  # once, so that imports do not count
    source.regions.clear()
    tracemalloc.start()
    copy = bricked(source, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= bricks_held(source) + 20_000
    assert bricks_held(source) < 2 * 5 * 100 * 130 * 2 + source.scratch((5, 100, 130))
    read = [k for region in source.regions for k in range(region[0].start, region[0].stop)]
    assert read == list(range(40))
    assert bricks_bytes(source) == (source.array.nbytes, source.array.nbytes)
    np.testing.assert_array_equal(copy.read(whole(source.shape)), source.array)


@pytest.mark.parametrize("whole_planes", [True, False])
def test_only_the_bricks_that_are_asked_for_are_written(tmp_path: Path, whole_planes: bool) -> None:
    source = planes((300, 320, 200), "uint8", whole_planes=whole_planes)
    cells = brick_cells(source)
    runs = needed(ASKEW, whole((70, 1, 70)), source.shape, (1, 1, 1), cells)
    copy = bricked(source, tmp_path, runs)
    written, fetched = bricks_bytes(source, runs)
    if hasattr(os.stat_result, "st_blocks"):
        assert copy.path.stat().st_blocks * 512 <= written + 100_000
    assert written < source.array.nbytes / 4
    read = [voxels(region_shape(r)) for r in source.regions]
    assert sum(read) == (fetched if not whole_planes else sum(read))
    for k, j, first, stop in runs.tolist():
        region = (cells.span(0, k, k + 1), cells.span(1, j, j + 1), cells.span(2, first, stop))
        np.testing.assert_array_equal(copy.read(region), source.array[region])


def test_two_volumes_may_be_copied_into_one_folder(tmp_path: Path) -> None:
    one, two = planes((20, 21, 22)), planes((20, 21, 22), "uint16")
    first, second = bricked(one, tmp_path), bricked(two, tmp_path)
    np.testing.assert_array_equal(first.read(whole(one.shape)), one.array)
    np.testing.assert_array_equal(second.read(whole(two.shape)), two.array)


def test_a_copy_that_was_cut_short_is_told(tmp_path: Path) -> None:
    copy = bricked(planes((20, 70, 30)), tmp_path)
    with open(copy.path, "r+b") as file:
        file.truncate(1000)
    with pytest.raises(DamagedError, match=r"bricks-.*\.raw is cut short: somebody changed this scratch file"):
        copy.read(whole(copy.shape))
