"""Two grids told apart: every storage order of the same voxels is the same space, all else has its distance."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkvol import Geometry
from chunkvol.errors import InputError
from chunkvol.geometry.difference import difference
from tests.support.grids import GRIDS, grids, minus_grid, oblique_grid, ramp_values, rotation, sheared_grid

SHAPE = (5, 6, 7)
ORDERS = list(itertools.product(itertools.permutations(range(3)), itertools.product([False, True], repeat=3)))


def turned(grid: Geometry, matrix: Any, about: Any = (0, 0, 0)) -> Geometry:
    """The grid after a rotation of the world about a point."""
    centre = np.array(about, float)
    origin = matrix @ (np.array(grid.origin) - centre) + centre
    return replace(grid, origin=tuple(origin), direction=tuple(map(tuple, matrix @ np.array(grid.direction))))


def shifted(grid: Geometry, *by: float) -> Geometry:
    return replace(grid, origin=tuple(np.add(grid.origin, by)))


# ---------------------------------------------------------------------------------------------------- same space


@pytest.mark.parametrize("shape", [SHAPE, (6, 6, 6), (1, 6, 7), (4, 1, 1), (1, 1, 1)], ids=str)
@pytest.mark.parametrize("make", GRIDS.values(), ids=GRIDS)
def test_every_storage_order_is_the_same_space(make: Any, shape: Any) -> None:
    grid = make(shape)
    for order in ORDERS if shape == SHAPE else ORDERS[::7]:
        stored = grid.reordered(*order)
        found = difference(grid, stored)
        assert found.same_space and found.order is not None
        assert stored.reordered(*found.order).is_close(grid, 1e-9)
        np.testing.assert_allclose(ramp_values(stored.reordered(*found.order)), ramp_values(grid), atol=1e-9)
        assert found.angle < 1e-10 and found.worst_mm < 1e-12
        np.testing.assert_allclose(found.spacing, 0, atol=1e-15)
        assert (found.overlap.of_a, found.overlap.of_b) == (1, 1)


@pytest.mark.parametrize("order", ORDERS[1:], ids=str)
def test_cubes_with_equal_sides_are_told_by_their_centres(order: Any) -> None:
    """All orders fit the shape and the spacing, and all corners coincide as a set: only one brings each to its own."""
    cube = oblique_grid((6, 6, 6), spacing=(0.5, 0.5, 0.5))
    found = difference(cube, cube.reordered(*order))
    assert found.same_space and not found.stored_alike
    inverse = tuple(order[0].index(axis) for axis in range(3))
    assert found.order == (inverse, tuple(order[1][axis] for axis in inverse))


def test_the_identity_is_stored_alike_and_said_so() -> None:
    grid = oblique_grid(SHAPE)
    found = difference(grid, grid)
    assert found.order == ((0, 1, 2), (False, False, False))
    assert found.stored_alike and found.order_text == "x, y, z"


def test_the_order_is_told_in_x_y_z() -> None:
    grid = oblique_grid(SHAPE)
    found = difference(grid, grid.reordered((1, 2, 0), (False, True, False)))  # b's k, j, i are a's j, -i, k
    assert found.order == ((2, 0, 1), (False, False, True))
    assert found.order_text == "-y, z, x"
    assert found.to_json()["order"] == ["-y", "z", "x"]
    assert found.to_json()["sizes"] == [[7, 6, 5], [5, 7, 6]]


def test_axes_of_a_single_voxel_can_be_turned_without_moving_any() -> None:
    plane = oblique_grid((1, 6, 7))
    mirrored = difference(plane, plane.reordered((0, 1, 2), (True, False, False)))
    assert mirrored.same_space and mirrored.stored_alike
    assert not difference(plane, plane.reordered((0, 1, 2), (False, True, False))).stored_alike
    assert not difference(plane, plane.reordered((1, 0, 2), (False, False, False))).stored_alike


def test_a_single_voxel_is_where_its_centre_is() -> None:
    voxel = oblique_grid((1, 1, 1))
    other = replace(minus_grid((1, 1, 1)), origin=voxel.origin)
    found = difference(voxel, other)
    assert found.same_space and found.worst_mm == 0
    assert any(found.spacing)
    assert not difference(voxel, shifted(voxel, 0.1, 0, 0)).same_space


@settings(max_examples=60)
@given(grid=grids(), order=st.sampled_from(ORDERS), share=st.floats(0, 3), x=st.floats(-1, 1), y=st.floats(-1, 1))
def test_the_tolerance_is_in_voxels_of_the_finest_axis(
    grid: Geometry, order: Any, share: float, x: float, y: float
) -> None:
    way = np.array([x, y, 1.0])
    step = way / np.linalg.norm(way) * share * 1e-2 * min(grid.spacing)
    found = difference(grid, shifted(grid, *step).reordered(*order), 1e-2)
    np.testing.assert_allclose(found.shift, step, atol=1e-10)
    assert found.worst_voxels == pytest.approx(share * 1e-2, abs=1e-8)
    if abs(share - 1) > 1e-3:
        assert found.same_space == (share < 1)


# ------------------------------------------------------------------------------------------------ different space


def plain_worst(a: Geometry, b: Geometry) -> float:
    """All orders that keep the handedness, one after the other, as they are."""
    stored = [b.reordered(*order) for order in ORDERS]
    stored = [one for one in stored if np.linalg.det(one.direction) * np.linalg.det(a.direction) > 0]
    same = [one for one in stored if one.shape == a.shape]
    if same:
        return min(float(np.linalg.norm(a.corners - one.corners, axis=1).max()) for one in same)
    return min(float(np.linalg.norm(a.corners_of_faces - one.corners_of_faces, axis=1).max()) for one in stored)


@settings(max_examples=40)
@given(a=grids(largest=4), b=grids(largest=4), same_shape=st.booleans())
def test_the_worst_corner_is_that_of_the_best_order(a: Geometry, b: Geometry, same_shape: bool) -> None:
    if same_shape:
        b = replace(b, shape=a.shape[::-1])
    found = difference(a, b)
    assert found.worst_mm == pytest.approx(plain_worst(a, b), abs=2e-6 * min(a.spacing))
    assert found.worst_voxels == pytest.approx(found.worst_mm / min(a.spacing))
    assert (found.order is None) == (sorted(a.shape) != sorted(b.shape))


@pytest.mark.parametrize("degrees", [(5, 0, 0), (0, -12, 0), (0, 0, 31), (1, 2, 3), (0, 0, 1e-5)], ids=str)
@pytest.mark.parametrize("order", [ORDERS[0], ORDERS[5], ORDERS[22], ORDERS[41]], ids=str)
def test_the_angle_is_that_of_the_rotation(degrees: Any, order: Any) -> None:
    grid = oblique_grid(SHAPE)
    turn = rotation(*degrees)
    found = difference(grid, turned(grid, turn, grid.index_to_world((2, 2.5, 3))).reordered(*order))
    assert found.angle == pytest.approx(np.degrees(np.linalg.norm(_axis(turn))), rel=1e-6)
    np.testing.assert_allclose(found.spacing, 0, atol=1e-12)
    if found.angle > 0.1:
        assert not found.same_space and found.order is not None


def _axis(turn: Any) -> Any:
    """The rotation vector, by scipy."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(turn).as_rotvec()


def test_sheared_grids_are_turned_by_the_nearest_rotation() -> None:
    grid = sheared_grid(SHAPE)
    turn = rotation(4, -3, 8)
    assert difference(grid, turned(grid, turn)).angle == pytest.approx(np.degrees(np.linalg.norm(_axis(turn))))
    assert difference(grid, grid).angle == pytest.approx(0, abs=1e-10)
    upright = Geometry.from_steps(SHAPE, grid.origin, [(0, 0, 2.4), (0, 0.5, 0), (0.75, 0, 0)])
    tilt = np.degrees(np.arctan(0.25))
    assert 0 < difference(upright, grid).angle < tilt


def test_shift_spacing_and_corners_have_signs_and_units() -> None:
    a = Geometry((4, 5, 6), (1, 2, 3), (0.7, 0.5, 0.3))
    b = replace(a, origin=(1.5, 2, 2), spacing=(0.8, 0.5, 0.2))
    found = difference(a, b.reordered((2, 0, 1), (False, True, False)))
    np.testing.assert_allclose(found.shift, (0.5, 0, -1), atol=1e-12)
    np.testing.assert_allclose(found.spacing, (0.1, 0, -0.1), atol=1e-12)
    np.testing.assert_allclose(found.to_json()["spacing_difference"], (-0.1, 0, 0.1), atol=1e-12)
    worst = max(np.hypot(0.5 - 0.1 * i, -1 + 0.1 * k) for i in (0, 5) for k in (0, 3))
    assert found.worst_mm == pytest.approx(worst)
    assert found.worst_voxels == pytest.approx(worst / 0.3)


def test_a_crop_is_another_space_that_lies_within() -> None:
    grid = oblique_grid(SHAPE)
    part = grid.cropped((slice(0, 5), slice(0, 6), slice(2, 7)))
    found = difference(grid, part.reordered((2, 1, 0), (False, False, True)))
    assert found.order is None and not found.same_space
    assert found.reordered_shape == (5, 6, 5)
    assert found.worst_mm == pytest.approx(2 * 0.3)
    assert found.angle == pytest.approx(0, abs=1e-10)
    np.testing.assert_allclose(found.shift, part.index_to_world((0, 0, 0)) - grid.origin, atol=1e-12)
    assert (found.overlap.of_a, found.overlap.of_b) == (pytest.approx(5 / 7), pytest.approx(1))


def test_a_coarser_grid_has_the_same_outer_faces() -> None:
    grid = oblique_grid((4, 6, 8))
    found = difference(grid, grid.coarsened((2, 2, 2)))
    assert not found.same_space and found.order is None
    assert found.worst_mm == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(found.spacing, grid.spacing, rtol=1e-12)


def test_mirror_images_are_told_by_their_handedness() -> None:
    right, left = oblique_grid(SHAPE), oblique_grid(SHAPE, mirrored=True)
    found = difference(right, left)
    assert found.right_handed == (True, False)
    assert found.order is not None and sum(found.order[1]) % 2 == 1
    assert not found.same_space
    assert difference(Geometry(SHAPE), Geometry(SHAPE)).right_handed == (True, True)


def test_grids_far_apart_do_not_overlap() -> None:
    grid = oblique_grid(SHAPE)
    found = difference(grid, shifted(grid, 100, 0, 0))
    assert (found.overlap.of_a, found.overlap.of_b) == (0, 0)
    assert found.worst_mm == pytest.approx(100)
    assert found.order == ((0, 1, 2), (False, False, False))


@pytest.mark.parametrize("bad", [-1e-9, np.nan, np.inf])
def test_a_tolerance_that_is_none_is_refused(bad: float) -> None:
    with pytest.raises(InputError, match="tolerance is a number of voxels, 0 or more"):
        difference(Geometry(SHAPE), Geometry(SHAPE), bad)
