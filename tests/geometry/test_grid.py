"""Grids: index and world, coarsening, cropping and reordering keep every voxel in its place."""

from __future__ import annotations

import math
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
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
    with pytest.raises(GeometryError, match="is that of no voxel: is a digit damaged"):
        Geometry((2, 2, 2), spacing=(1, 1e-200, 1))
    with pytest.raises(GeometryError, match="is that of no voxel: is a digit damaged"):
        Geometry((2, 2, 2), spacing=(1e200, 1, 1))
    with pytest.raises(InputError, match="do not fit"):
        Geometry((2, 2, 2)).coarsened((3, 1, 1))


def test_numbers_that_are_no_grid_are_refused_in_one_line() -> None:
    wrong: Any
    for wrong in (0.5, None, "12um", (1, 2), np.eye(4)):
        with pytest.raises(GeometryError, match=r"^the spacing must be three finite numbers above 0 mm, found .+$"):
            Geometry((4, 5, 6), spacing=wrong)
        with pytest.raises(GeometryError, match=r"^the origin must be three finite numbers in mm, found .+$"):
            Geometry((4, 5, 6), wrong)
    for wrong in (7, (4.5, 5, 6), "456", None):
        with pytest.raises(GeometryError, match=r"the shape of a grid is three whole numbers \(k, j, i\), found"):
            Geometry(wrong)
    for wrong in (None, (1, 0, 0, 0, 1, 0, 0, 0, 1)):
        with pytest.raises(GeometryError, match="the direction must be a finite 3 x 3 matrix"):
            Geometry((4, 5, 6), direction=wrong)
    assert Geometry(np.array([4, 5, 6]), np.zeros(3), np.ones(3, "f4")).shape == (4, 5, 6)  # type: ignore[arg-type]  # as numpy users do


@pytest.mark.parametrize("key", [np.s_[1:], np.s_[1:, :, :], np.s_[0:4:2, 0:5, 0:6], np.s_[1, 2, 3], np.s_[0:2, 0:2]])
def test_what_is_no_region_of_a_grid_is_refused(key: Any) -> None:
    with pytest.raises((InputError, TypeError)):
        Geometry((4, 5, 6)).cropped(key)


def test_a_region_may_reach_beyond_the_grid() -> None:
    grid = oblique_grid((4, 5, 6))
    wide = grid.cropped(np.s_[-2:9, 1:2, 3:8])
    assert wide.shape == (11, 1, 5)
    np.testing.assert_allclose(wide.index_to_world((2, 0, 0)), grid.index_to_world((0, 1, 3)), rtol=1e-12)


@pytest.mark.parametrize("shape", [(), (1,), (2, 1), (3, 10), (4,)])
def test_places_come_in_threes(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"points \(x, y, z\) have three numbers along their last axis, found"):
        oblique_grid((4, 5, 6)).world_to_index(np.zeros(shape))
    with pytest.raises(InputError, match=r"indices \(k, j, i\) have three numbers along their last axis, found"):
        oblique_grid((4, 5, 6)).index_to_world(np.zeros(shape))


def test_factors_are_whole_and_anchors_are_known() -> None:
    grid = oblique_grid((4, 5, 6))
    wrong: Any
    for wrong in (2, (1.5, 1, 1), (0, 1, 1)):
        with pytest.raises(InputError, match="factors are whole numbers of at least 1"):
            grid.coarsened(wrong)
        with pytest.raises(InputError, match="factors are whole numbers of at least 1"):
            grid.refined(wrong)
    wrong = "center"
    with pytest.raises(InputError, match="the anchor is centre or first, not 'center'"):
        grid.coarsened((2, 2, 2), wrong)


@given(grids())
def test_grids_go_to_itk_and_come_back_as_the_docstring_says(grid: Geometry) -> None:
    image = SimpleITK.Image([1, 1, 1], SimpleITK.sitkUInt8)
    image.SetOrigin(grid.origin)
    image.SetSpacing(grid.spacing[::-1])
    image.SetDirection(np.array(grid.direction)[:, ::-1].ravel().tolist())
    there = np.array([2.5, -1, 4])
    np.testing.assert_allclose(
        image.TransformContinuousIndexToPhysicalPoint(there[::-1].tolist()), grid.index_to_world(there), atol=1e-9
    )
    steps = (np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()).T[::-1]
    assert Geometry.from_steps(grid.shape, image.GetOrigin(), steps).is_close(grid, 1e-9)


@given(grids())
def test_grids_of_nibabel_are_turned_as_the_docstring_says(grid: Geometry) -> None:
    affine = np.diag([-1.0, -1, 1, 1]) @ grid.affine[:, [2, 1, 0, 3]]
    image = nibabel.Nifti2Image(np.zeros((1, 1, 1), "u1"), affine)  # type: ignore[no-untyped-call]  # nibabel's
    lps = np.diag([-1, -1, 1, 1]) @ image.affine
    assert Geometry.from_steps(grid.shape, lps[:3, 3], lps[:3, 2::-1].T).is_close(grid, 1e-9)
