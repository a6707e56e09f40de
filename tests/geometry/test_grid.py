"""Grids: index and world, coarsening, cropping and reordering keep every voxel in its place."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunkvol.errors import GeometryError, InputError
from chunkvol.geometry import Geometry, axis_codes, canonical_order, cardinal_axes
from tests.support.grids import grids, oblique_grid


@given(grids())
def test_world_and_index_are_inverse(grid: Geometry) -> None:
    index = np.array([[0, 0, 0], [1, 2, 3], [-0.5, 7.25, 100]])
    np.testing.assert_allclose(grid.world_to_index(grid.index_to_world(index)), index, atol=1e-6)


@given(grids(), st.tuples(*[st.integers(1, 4)] * 3))
def test_a_centred_block_lies_at_the_mean_of_its_voxels(grid: Geometry, factors: tuple[int, int, int]) -> None:
    factors = tuple(min(f, n) for f, n in zip(factors, grid.shape, strict=True))
    coarse = grid.coarsened(factors)
    inside = np.stack(np.meshgrid(*[np.arange(f) for f in factors], indexing="ij"), -1).reshape(-1, 3)
    last = np.array(coarse.shape) - 1
    expected = grid.index_to_world(inside + last * factors).mean(axis=0)
    np.testing.assert_allclose(coarse.index_to_world(last), expected, rtol=1e-9, atol=1e-9)


@given(grids())
def test_a_stride_keeps_the_first_voxel(grid: Geometry) -> None:
    assert grid.coarsened((1, 1, 1), "first") == grid
    factors = tuple(min(2, n) for n in grid.shape)
    assert grid.coarsened(factors, "first").origin == grid.origin


@given(grids())
def test_a_crop_keeps_every_voxel_in_its_place(grid: Geometry) -> None:
    region = tuple(slice(n // 3, n // 3 + 1) for n in grid.shape)
    start = [s.start for s in region]
    np.testing.assert_allclose(grid.cropped(region).origin, grid.index_to_world(start), atol=1e-9)


@given(grids(), st.permutations([0, 1, 2]), st.tuples(*[st.booleans()] * 3))
def test_a_reordered_grid_has_the_same_corners(grid: Geometry, axes: list[int], flips: tuple[bool, ...]) -> None:
    other = grid.reordered(axes, flips)
    mine = sorted(map(tuple, np.round(grid.corners, 6) + 0.0))
    theirs = sorted(map(tuple, np.round(other.corners, 6) + 0.0))
    np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_axis_order_is_k_j_i_and_world_is_x_y_z() -> None:
    grid = Geometry((2, 3, 4), (10, 20, 30), (0.7, 0.5, 0.3))
    np.testing.assert_allclose(grid.index_to_world([1, 0, 0]), [10, 20, 30.7])
    np.testing.assert_allclose(grid.index_to_world([0, 1, 0]), [10, 20.5, 30])
    np.testing.assert_allclose(grid.index_to_world([0, 0, 1]), [10.3, 20, 30])


def test_axis_codes_are_given_for_i_j_k() -> None:
    assert axis_codes(Geometry((2, 2, 2))) == "LPS"
    assert axis_codes(Geometry((2, 2, 2)).reordered((2, 1, 0), (False, True, False))) == "SAL"


@given(st.permutations([0, 1, 2]), st.tuples(*[st.booleans()] * 3))
def test_canonical_order_undoes_any_storage_order(axes: list[int], flips: tuple[bool, ...]) -> None:
    base = Geometry((2, 3, 4), (1, 2, 3), (0.7, 0.5, 0.3))
    order = canonical_order(base.reordered(axes, flips))
    assert order is not None
    assert base.reordered(axes, flips).reordered(*order).is_close(base)


def test_an_oblique_grid_is_not_cardinal() -> None:
    assert cardinal_axes(oblique_grid((4, 5, 6))) is None
    assert canonical_order(oblique_grid((4, 5, 6))) is None


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_spacing_must_be_finite_and_positive(bad: float) -> None:
    with pytest.raises(GeometryError, match="spacing must be three finite numbers above 0"):
        Geometry((2, 2, 2), spacing=(1, bad, 1))


def test_origin_and_direction_must_be_finite_unit_and_regular() -> None:
    with pytest.raises(GeometryError, match="origin"):
        Geometry((2, 2, 2), origin=(math.nan, 0, 0))
    with pytest.raises(GeometryError, match="unit vectors"):
        Geometry((2, 2, 2), direction=((2, 0, 0), (0, 1, 0), (0, 0, 1)))
    with pytest.raises(GeometryError, match="singular"):
        Geometry((2, 2, 2), direction=((1, 1, 0), (0, 0, 0), (0, 0, 1)))
    with pytest.raises(GeometryError, match="at least 1"):
        Geometry((2, 0, 2))
    with pytest.raises(InputError, match="do not fit"):
        Geometry((2, 2, 2)).coarsened((3, 1, 1))
