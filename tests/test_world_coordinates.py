"""The world points of all voxels: lazy, the same bits however they are cut, in few tasks."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chunkvol
from chunkvol import Geometry, Volume
from chunkvol.volume import _point_chunks
from tests.support.grids import COEFFICIENTS, GRIDS, grids, noise_volume, oblique_grid, ramp_volume

SHAPE = (7, 11, 13)
KEYS = [
    np.s_[3],
    np.s_[2:6, ..., 0],
    np.s_[:, ::-1],
    np.s_[[1, 5]],
    np.s_[4, 1:9:3, -2],
    np.s_[..., 1:],
    np.s_[..., [2, 0]],
    np.s_[..., None],
]


def points(grid: Geometry) -> Any:
    """All at once, by the geometry."""
    return grid.index_to_world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1))


def empty(shape: Any, chunks: Any) -> Volume:
    """A volume that holds nothing, cut like this."""
    import dask.array

    return Volume(dask.array.zeros(shape, dtype="u2", chunks=chunks), Geometry(shape))


# ---------------------------------------------------------------------------------------------------------- laws


@given(grid=grids(), chunks=st.tuples(*[st.integers(1, 9)] * 3))
def test_points_are_those_of_the_geometry_bit_for_bit(grid: Geometry, chunks: tuple[int, int, int]) -> None:
    lazy = Volume(np.zeros(grid.shape, "u1"), grid).world_coordinates()
    assert (lazy.shape, lazy.dtype) == ((*grid.shape, 3), np.dtype("f8"))
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), points(grid))
    np.testing.assert_array_equal(lazy.rechunk((*chunks, 2)).compute(scheduler="synchronous"), points(grid))


@given(grid=grids(), seed=st.integers(0, 99))
def test_a_points_bits_depend_on_its_index_alone(grid: Geometry, seed: int) -> None:
    full = points(grid).reshape(-1, 3)
    n = int(np.random.default_rng(seed).integers(len(full)))
    index = np.unravel_index(n, grid.shape)
    np.testing.assert_array_equal(grid.index_to_world(index), full[n])
    np.testing.assert_array_equal(grid.index_to_world([index] * 2)[1], full[n])


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_points_are_cut_as_numpy_cuts(key: Any) -> None:
    grid = oblique_grid(SHAPE)
    lazy = Volume(np.zeros(SHAPE, "u1"), grid).world_coordinates()
    np.testing.assert_array_equal(lazy[key].compute(scheduler="synchronous"), points(grid)[key])


@pytest.mark.parametrize("make", GRIDS.values(), ids=GRIDS)
def test_the_ramp_of_the_points_is_the_ramp(make: Any) -> None:
    volume = ramp_volume(make(SHAPE))
    ramp = volume.world_coordinates() @ COEFFICIENTS
    np.testing.assert_allclose(ramp.compute(), volume.read(), rtol=1e-12, atol=1e-10)


@settings(max_examples=60)
@given(
    shape=st.tuples(*[st.sampled_from([1, 2, 97, 128, 1999, 2000, 3001])] * 3),
    chunks=st.tuples(*[st.sampled_from([1, 16, 97, 128, 500, 2000])] * 3),
)
def test_blocks_are_small_and_few(shape: tuple[int, int, int], chunks: tuple[int, int, int]) -> None:
    """Without the volume: a dask array of so many small chunks would itself be slow to make."""
    cut = _point_chunks(shape, chunks)
    assert all(1 <= c <= n for c, n in zip(cut, shape, strict=True))
    assert math.prod(cut) * 24 <= 64 << 20
    assert math.prod(cut) * 24 >= 16 << 20 or cut == shape


def test_two_thousand_voxels_a_side_are_some_thousand_tasks() -> None:
    for chunks in ((128, 128, 128), (16, 2000, 2000), (500, 500, 500)):
        lazy = empty((2000, 2000, 2000), chunks).world_coordinates()
        assert 2900 <= len(lazy.__dask_graph__()) <= 5000
        assert math.prod(lazy.chunksize) * 8 <= 64 << 20


# ------------------------------------------------------------------------------------------------------- corners


def test_a_slice_of_a_huge_volume_takes_no_more_than_itself() -> None:
    volume = empty((2000, 2000, 2000), (128, 128, 128))
    part = volume.world_coordinates()[1999, 5, 1000:1003]
    np.testing.assert_array_equal(part.compute(), [[1000 + n, 5, 1999] for n in range(3)])


def test_one_voxel_has_a_point() -> None:
    grid = oblique_grid((1, 1, 1))
    np.testing.assert_array_equal(Volume(np.zeros((1, 1, 1)), grid).world_coordinates(), [[[grid.origin]]])


def test_points_and_voxels_are_computed_together(tmp_path: Path) -> None:
    chunkvol.write_volume(noise_volume(oblique_grid((40, 50, 60))), tmp_path / "a.ome.zarr")
    volume = chunkvol.open_volume(tmp_path / "a.ome.zarr")
    mass, place = volume.array.astype("f8"), volume.world_coordinates()
    centre = [float((mass * place[..., axis]).sum() / mass.sum()) for axis in range(3)]
    expected = np.average(points(volume.geometry).reshape(-1, 3), axis=0, weights=volume.read().ravel())
    np.testing.assert_allclose(centre, expected, rtol=1e-10)


def test_names_follow_the_grid_and_not_the_voxels() -> None:
    grid = oblique_grid(SHAPE)
    one, same = (Volume(np.full(SHAPE, n), grid).world_coordinates() for n in (1, 2))
    other = Volume(np.full(SHAPE, 1), oblique_grid(SHAPE, mirrored=True)).world_coordinates()
    assert one.name == same.name != other.name
    assert pickle.loads(pickle.dumps(one)).name == one.name
