"""Grids made from others: outer faces that stay, sizes that fit, parts of a lattice, fields of view in common."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkvol import Geometry
from chunkvol.errors import GeometryError, InputError
from chunkvol.geometry import axis_codes, canonical_order, cardinal_axes
from chunkvol.geometry.box import Box, region_of
from chunkvol.geometry.fields import Overlap, overlap
from chunkvol.geometry.orientation import nearest_axes, order_for
from chunkvol.geometry.targets import bounded, fitted, resized, respaced, target_grid, upright
from chunkvol.regions import voxels
from tests.support.grids import GRIDS, grids, minus_grid, oblique_grid, sheared_grid, turned_grid

SHAPE = (7, 11, 13)
ORDERS = list(itertools.product(itertools.permutations(range(3)), itertools.product([False, True], repeat=3)))
CODES = ["".join(letters) for three in itertools.product("RL", "AP", "IS") for letters in itertools.permutations(three)]
triples = st.tuples(*[st.floats(0.02, 4)] * 3)


def first_corner(grid: Geometry) -> Any:
    return grid.index_to_world([-0.5, -0.5, -0.5])


def last_corner(grid: Geometry) -> Any:
    return grid.index_to_world(np.array(grid.shape) - 0.5)


# --------------------------------------------------------------------------------------------------- spacing, size


@given(grids(), triples)
def test_another_spacing_keeps_the_first_outer_faces_and_covers_the_rest_but_for_less_than_a_voxel(
    grid: Geometry, factors: tuple[float, float, float]
) -> None:
    spacing = [s * f for s, f in zip(grid.spacing, factors, strict=True)]
    other = respaced(grid, spacing)
    scale = max(map(abs, grid.origin)) + max(grid.spacing) * 10
    np.testing.assert_allclose(first_corner(other), first_corner(grid), atol=1e-12 * scale)
    assert other.direction == grid.direction
    for n, old, m, new, asked in zip(grid.shape, grid.spacing, other.shape, other.spacing, spacing, strict=True):
        assert m == max(1, math.floor(n * old / asked + 1e-6))
        assert new == pytest.approx(min(asked, n * old), rel=1e-12)
        assert -1e-6 * new <= n * old - m * new < new


@given(grids(), st.tuples(*[st.integers(1, 6)] * 3))
def test_a_whole_multiple_of_the_spacing_is_the_coarsened_grid(grid: Geometry, factors: tuple[int, int, int]) -> None:
    spacing = [s * f for s, f in zip(grid.spacing, factors, strict=True)]
    fitting = tuple(min(f, n) for f, n in zip(factors, grid.shape, strict=True))
    assert respaced(grid, spacing) == grid.coarsened(fitting)


@pytest.mark.parametrize("factor", range(1, 40))
def test_a_whole_multiple_is_recognised_whatever_rounding_made_of_it(factor: int) -> None:
    grid = oblique_grid((41, 43, 47), spacing=(0.1, 0.3, 0.7))
    assert respaced(grid, [float(f"{s * factor:.15g}") for s in grid.spacing]) == grid.coarsened((factor,) * 3)


def test_one_spacing_is_that_of_all_axes() -> None:
    assert respaced(oblique_grid(SHAPE), 0.5) == respaced(oblique_grid(SHAPE), (0.5, 0.5, 0.5))


@given(grids(), st.tuples(*[st.integers(1, 40)] * 3))
def test_a_size_keeps_all_outer_faces(grid: Geometry, size: tuple[int, int, int]) -> None:
    other = resized(grid, size)
    assert other.shape == size
    scale = max(map(abs, grid.origin)) + max(grid.spacing) * 10
    np.testing.assert_allclose(other.corners_of_faces, grid.corners_of_faces, atol=1e-12 * scale)


@given(grids())
def test_half_the_size_is_twice_the_spacing(grid: Geometry) -> None:
    half = resized(grid, percent=50)
    assert half == grid.coarsened(tuple(min(2, n) for n in grid.shape))
    assert resized(grid, percent=(50, 100, 100)) == respaced(grid, (2 * grid.spacing[0], *grid.spacing[1:]))
    assert resized(grid, percent=200).shape == tuple(2 * n for n in grid.shape)


@pytest.mark.parametrize("spacing", [0, -1, math.nan, math.inf, (1, 1), (1, 2, 0), "1", (1, 1, "1")])
def test_a_spacing_that_is_none_is_refused(spacing: Any) -> None:
    for make in (respaced, upright):
        with pytest.raises(InputError, match="a spacing must be finite and above 0 mm, one or three in order"):
            make(oblique_grid(SHAPE), spacing)


def test_grids_beyond_every_index_are_refused() -> None:
    for spacing in (1e-12, 1e-300, 5e-324):
        with pytest.raises(InputError, match="more than a million along an axis: take a larger spacing"):
            respaced(oblique_grid(SHAPE), spacing)
        with pytest.raises(InputError, match="more than a million along an axis: take a larger spacing"):
            upright(oblique_grid(SHAPE), spacing)
    with pytest.raises(InputError, match=r"more than a million along an axis: .* a smaller size"):
        resized(oblique_grid(SHAPE), (1 << 32, 1, 1))


@pytest.mark.parametrize("size", [0, -3, 2.5, math.nan, math.inf, (1, 2)])
def test_a_size_that_is_none_is_refused(size: Any) -> None:
    with pytest.raises(InputError, match="a size must be a whole number of at least 1"):
        resized(oblique_grid(SHAPE), size)


def test_a_size_is_given_once() -> None:
    grid = oblique_grid(SHAPE)
    for both in ({}, {"size": 3, "percent": 50}):
        with pytest.raises(InputError, match="in voxels, or in percent"):
            resized(grid, **both)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a share must be finite and above 0 percent"):
        resized(grid, percent=0)


# ------------------------------------------------------------------------------------------------------------- fit


@settings(max_examples=50)
@given(grids(), st.integers(1, 800), st.sampled_from([1, 2, 8]))
def test_the_grid_that_fits_is_no_coarser_than_any_other_that_fits(grid: Geometry, count: int, item: int) -> None:
    limit = count * item
    other = fitted(grid, item, limit)
    assert voxels(other.shape) * item <= limit
    if voxels(grid.shape) * item <= limit:
        assert other is grid
        return
    longest = max(n * s for n, s in zip(grid.shape, grid.spacing, strict=True))
    for common in np.geomspace(min(grid.spacing), longest, 60).tolist():
        tried = voxels(respaced(grid, [max(common, old) for old in grid.spacing]).shape)
        assert tried * item > limit or tried <= voxels(other.shape)


def test_a_cube_that_is_to_fit_an_eighth_is_reduced_by_two() -> None:
    grid = Geometry((100, 100, 100), (1, 2, 3), (0.05, 0.05, 0.05))
    assert fitted(grid, 2, 2 * 50**3) == grid.coarsened((2, 2, 2))
    assert fitted(grid, 2, 2 * 50**3 + 1) == grid.coarsened((2, 2, 2))


def test_axes_that_are_coarser_already_keep_their_spacing() -> None:
    grid = Geometry((30, 512, 400), (0, 0, 0), (5.0, 0.5, 0.6))
    other = fitted(grid, 2, 2 * 30 * 100 * 100)
    assert other.spacing[0] == 5.0 and other.shape[0] == 30
    assert other.spacing[1] == other.spacing[2]
    assert 0.95 * 300_000 < voxels(other.shape) <= 300_000


def test_a_limit_below_a_voxel_is_refused() -> None:
    with pytest.raises(InputError, match="not even one voxel of 4 bytes fits 3 bytes"):
        fitted(oblique_grid(SHAPE), 4, 3)
    assert fitted(oblique_grid(SHAPE), 4, 4).shape == (1, 1, 1)


# ------------------------------------------------------------------------------------------------- upright, bounds


@given(grids(), st.none() | st.floats(0.01, 3))
def test_an_upright_grid_covers_all_outer_faces_and_hardly_more(grid: Geometry, spacing: float | None) -> None:
    if spacing is not None:
        spacing = max(spacing, max(n * s for n, s in zip(grid.shape, grid.spacing, strict=True)) / 1000)
    other = upright(grid, spacing)
    assert axis_codes(other) == "LPS" and cardinal_axes(other, 0.0)
    inside, around = grid.corners_of_faces, other.corners_of_faces
    slack = 2e-6 * np.array(other.spacing[::-1]) + 1e-9
    assert (around.min(axis=0) <= inside.min(axis=0) + slack).all()
    assert (around.max(axis=0) >= inside.max(axis=0) - slack).all()
    assert ((around.max(axis=0) - inside.max(axis=0)) < np.array(other.spacing[::-1]) + slack).all()


def test_upright_grids_keep_their_voxels() -> None:
    for grid in (minus_grid(SHAPE), turned_grid(SHAPE)):
        order = canonical_order(grid)
        assert order is not None
        assert upright(grid) == grid.reordered(*order)
    assert upright(Geometry(SHAPE)) == Geometry(SHAPE)


def test_an_upright_grid_takes_each_spacing_from_the_axis_that_runs_nearest() -> None:
    grid = turned_grid(SHAPE)  # k along -x, j along z, i along -y
    slightly = oblique_grid(SHAPE, degrees=(3, -4, 5))
    assert upright(grid).spacing == (0.9, 0.25, 0.4)
    assert upright(slightly).spacing == slightly.spacing


@pytest.mark.parametrize("name", GRIDS)
def test_a_part_of_a_grid_holds_every_voxel_of_the_box_and_lies_on_the_same_lattice(name: str) -> None:
    grid = GRIDS[name](SHAPE)
    corners = grid.corners
    low = corners.min(axis=0) * 0.6 + corners.max(axis=0) * 0.4
    high = corners.min(axis=0) * 0.3 + corners.max(axis=0) * 0.7
    part = bounded(grid, low, high)
    first = grid.world_to_index(part.origin)
    np.testing.assert_allclose(first, np.rint(first), atol=1e-8)
    assert part.spacing == grid.spacing and part.direction == grid.direction
    index = np.stack(np.meshgrid(*[np.arange(-9, 2 * n + 9) for n in SHAPE], indexing="ij"), -1).reshape(-1, 3)
    points = grid.index_to_world(index)
    inside = ((points >= low) & (points <= high)).all(axis=1)
    assert inside.any()
    local = index[inside] - np.rint(first)
    assert (local >= 0).all() and (local < part.shape).all()


def test_on_a_cardinal_grid_the_part_is_exactly_the_voxels_in_the_box() -> None:
    grid = Geometry((10, 20, 30), (0, 0, 0), (3.0, 2.0, 1.0))
    part = bounded(grid, (4, 6, 8.9), (9.5, 6, 15))
    assert part == grid.cropped((slice(3, 6), slice(3, 4), slice(4, 10)))
    beyond = bounded(grid, (-2, 6, -6), (1, 41, 0))
    assert beyond.origin == (-2, 6, -6) and beyond.shape == (3, 18, 4)


def test_open_bounds_end_where_the_grid_does() -> None:
    grid = Geometry((10, 20, 30), (0, 0, 0), (3.0, 2.0, 1.0))
    assert bounded(grid, (-math.inf,) * 3, (math.inf,) * 3) == grid
    assert bounded(grid, (5, -math.inf, -math.inf), (math.inf, 7, math.inf)) == grid.cropped(
        (slice(0, 10), slice(0, 4), slice(5, 30))
    )


def test_bounds_without_a_voxel_say_where_the_grid_lies() -> None:
    grid = Geometry((10, 20, 30), (0, 0, 0), (3.0, 2.0, 1.0))
    said = (
        r"no voxel centre .* from 4.2, 0, 0 to 4.8, 9, 9 mm .* 1, 2, 3 mm apart; the grid lies at x -0.5 to 29.5, y -1"
    )
    with pytest.raises(GeometryError, match=said):
        bounded(grid, (4.2, 0, 0), (4.8, 9, 9))
    for low, high in (((5, 0, 0), (4, 1, 1)), ((math.nan, 0, 0), (1, 1, 1)), ((0, 0, 0), (1, 1))):
        with pytest.raises(InputError):
            bounded(grid, low, high)
    with pytest.raises(InputError, match="2\\^31 voxels"):
        bounded(grid, (0, 0, 0), (1e300, 1, 1))


# ---------------------------------------------------------------------------------------------------- what is asked


def test_what_is_asked_in_words_is_the_grid_that_the_parts_make() -> None:
    grid = oblique_grid(SHAPE)
    low, high = grid.corners.mean(axis=0) - 1, grid.corners.mean(axis=0) + 1
    box = (tuple(low), tuple(high))
    assert target_grid(grid, 2) is grid
    assert target_grid(grid, 2, spacing=0.4) == respaced(grid, 0.4)
    assert target_grid(grid, 2, size=(3, 4, 5)) == resized(grid, (3, 4, 5))
    assert target_grid(grid, 2, percent=(50, 50, 50)) == resized(grid, percent=50)
    assert target_grid(grid, 2, fit=500) == fitted(grid, 2, 500)
    assert target_grid(grid, 2, upright=True) == upright(grid)
    assert target_grid(grid, 2, upright=True, spacing=(0.3, 0.4, 0.5)) == upright(grid, (0.3, 0.4, 0.5))
    assert target_grid(grid, 2, bounds=box) == bounded(grid, low, high)
    assert target_grid(grid, 2, bounds=box, spacing=0.4) == bounded(respaced(grid, 0.4), low, high)
    assert target_grid(grid, 2, bounds=box, size=(3, 4, 5)) == resized(bounded(grid, low, high), (3, 4, 5))
    assert target_grid(grid, 2, bounds=box, fit=100) == fitted(bounded(grid, low, high), 2, 100)
    with pytest.raises(InputError, match="spacing and fit each choose the grid; give one of them"):
        target_grid(grid, 2, spacing=0.4, fit=100)


# ---------------------------------------------------------------------------------------------------------- overlap


@given(grids(), grids())
def test_overlap_counts_the_points_of_one_field_of_view_that_lie_in_the_other(a: Geometry, b: Geometry) -> None:
    share = overlap(a, b)
    n = 24
    steps = (np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), -1).reshape(-1, 3) + 0.5) / n

    def counted(one: Geometry, other: Geometry) -> float:
        index = other.world_to_index(one.index_to_world(steps * one.shape - 0.5))
        return float(((index > -0.5) & (index < np.array(other.shape) - 0.5)).all(axis=1).mean())

    assert share.of_a == pytest.approx(counted(a, b), abs=0.06)
    assert share.of_b == pytest.approx(counted(b, a), abs=0.06)
    other = overlap(b, a)
    assert (other.of_a, other.of_b) == pytest.approx((share.of_b, share.of_a), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", GRIDS)
def test_a_grid_lies_all_within_itself_and_a_part_within_the_whole(name: str) -> None:
    grid = GRIDS[name](SHAPE)
    assert overlap(grid, grid) == Overlap(1.0, 1.0)
    part = overlap(grid, grid.cropped((slice(1, 3), slice(2, 11), slice(0, 6))))
    assert part.of_b == 1.0
    assert part.of_a == pytest.approx(2 * 9 * 6 / voxels(SHAPE), rel=1e-12)
    shifted = overlap(grid, grid.cropped((slice(3, 10), slice(0, 11), slice(-1, 12))))
    assert (shifted.of_a, shifted.of_b) == pytest.approx((4 / 7 * 12 / 13,) * 2, rel=1e-12)
    for order in ORDERS:
        assert overlap(grid, grid.reordered(*order)) == Overlap(1.0, 1.0)


def test_an_octahedron_of_two_turned_cubes_has_its_known_volume() -> None:
    a = Geometry((2, 2, 2), (-0.5, -0.5, -0.5))
    c = math.sqrt(0.5)
    b = Geometry((2, 2, 2), (0.0, -c, -0.5), direction=((0, -c, c), (0, c, c), (1, 0, 0)))
    assert overlap(a, b).of_a == pytest.approx(2 * (math.sqrt(2) - 1), rel=1e-12)  # a regular octagon in a square


def test_what_only_touches_or_lies_apart_has_nothing_in_common() -> None:
    grid = oblique_grid(SHAPE)
    beside = grid.cropped((slice(7, 9), slice(0, 11), slice(0, 13)))
    apart = grid.cropped((slice(0, 7), slice(0, 11), slice(14, 20)))
    assert overlap(grid, beside) == overlap(beside, grid) == overlap(grid, apart) == Overlap(0.0, 0.0)


def test_a_speck_in_a_large_field_of_view_is_not_nothing() -> None:
    large = oblique_grid((900, 900, 900), spacing=(1, 1, 1))
    speck = oblique_grid((1, 1, 1), spacing=(1e-4, 1e-4, 1e-4))
    share = overlap(large, speck)
    assert share.of_b == 1.0
    assert share.of_a == pytest.approx(1e-12 / 900**3, rel=1e-6)


# ------------------------------------------------------------------------------------------------------ orientation


def test_there_are_48_orders_and_each_makes_the_axes_grow_to_its_letters() -> None:
    assert len(set(CODES)) == 48
    for make in GRIDS.values():
        grid = make(SHAPE)
        for letters in CODES:
            assert axis_codes(grid.reordered(*order_for(grid, letters))) == letters


def test_no_two_axes_share_a_direction_on_grids_that_lie_just_between() -> None:
    for degrees in itertools.product((0, 45, 90, -45, 135), repeat=3):
        grid = oblique_grid(SHAPE, degrees=degrees)
        nearest = nearest_axes(grid)
        assert sorted(world for world, _ in nearest) == [0, 1, 2]
        for axes, flips in ORDERS:
            other = nearest_axes(grid.reordered(axes, flips))
            told = [
                (nearest[a][0], -nearest[a][1] if flip else nearest[a][1]) for a, flip in zip(axes, flips, strict=True)
            ]
            assert other == tuple(told)


def test_a_shear_of_more_than_45_degrees_does_not_give_an_axis_away() -> None:
    steps = [(0.0, -3.0, 2.0), (0.0, 0.5, 0.0), (0.75, 0.0, 0.0)]  # k leans further to y than to z
    assert nearest_axes(Geometry.from_steps(SHAPE, (0, 0, 0), steps)) == ((2, 1), (1, 1), (0, 1))


def test_letters_name_where_axes_grow_to() -> None:
    grid = Geometry(SHAPE)
    assert order_for(grid, "LPS") == ((0, 1, 2), (False, False, False))
    assert order_for(grid, "ras") == ((0, 1, 2), (False, True, True))
    assert order_for(grid, "SPL") == ((2, 1, 0), (False, False, False))
    assert order_for(sheared_grid(SHAPE), "PSL") == ((2, 0, 1), (False, False, False))


@pytest.mark.parametrize("letters", ["", "LP", "LPSR", "LLS", "LRS", "XYZ", "L,P,S", "LPZ", None, 3])
def test_letters_that_are_no_order_are_refused(letters: Any) -> None:
    with pytest.raises(InputError, match="is no order of axes: give one of R and L, one of A and P, one of I and S"):
        order_for(Geometry(SHAPE), letters)


# ------------------------------------------------------------------------------------------------------------ boxes


def test_a_box_checks_itself() -> None:
    good = Box.between((0, 0, 0), (1, 2, 3))
    assert good.size == (1, 2, 3) and good.normal == (0, 0, 1)
    np.testing.assert_array_equal(good.grown(0.5).corners[[0, 7]], [[-0.5, -0.5, -0.5], [1.5, 2.5, 3.5]])
    with pytest.raises(InputError, match="from 2 to 1 mm along y; turn them round"):
        Box.between((0, 2, 0), (1, 1, 1))
    with pytest.raises(InputError, match="finite numbers"):
        Box.between((0, math.nan, 0), (1, 1, 1))
    with pytest.raises(InputError, match="unit vectors"):
        Box((0, 0, 0), ((2, 0, 0), (0, 1, 0), (0, 0, 1)), (0, 0, 0), (1, 1, 1))
    for margin in (-1, math.nan, math.inf):
        with pytest.raises(InputError, match="a margin must be finite and at least 0 mm"):
            good.grown(margin)


def test_centres_on_the_faces_of_a_box_lie_in_it() -> None:
    grid = Geometry((10, 20, 30), (0.1, 0.2, 0.3), (0.3, 0.2, 0.1))
    low, high = grid.index_to_world([2, 3, 4]), grid.index_to_world([5, 6, 7])
    assert region_of(grid, Box.between(low, high)) == (slice(2, 6), slice(3, 7), slice(4, 8))
