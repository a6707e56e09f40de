"""Where the voxels of one grid lie in another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunkvol import Geometry
from chunkvol.errors import GeometryError, InputError
from chunkvol.geometry import mapping_between, moved
from chunkvol.regions import whole
from tests.support.grids import GRIDS, oblique_grid, rotation

SHAPE = (5, 7, 6)
KINDS = st.sampled_from(sorted(GRIDS))


@given(KINDS, KINDS)
def test_a_voxel_and_its_source_index_are_one_place_in_the_world(of: str, to: str) -> None:
    target, source = GRIDS[of](SHAPE), GRIDS[to]((4, 9, 8))
    index = np.array([[0, 0, 0], [4, 6, 5], [2.5, 0.25, 1]])
    there = mapping_between(target, source).indices(index)
    np.testing.assert_allclose(source.index_to_world(there), target.index_to_world(index), atol=1e-6)


@given(KINDS, KINDS)
def test_bounds_are_those_of_all_voxels(of: str, to: str) -> None:
    mapping = mapping_between(GRIDS[of](SHAPE), GRIDS[to]((4, 9, 8)))
    region = (slice(1, 4), slice(2, 7), slice(0, 6))
    every = mapping.indices(np.stack(np.meshgrid(range(1, 4), range(2, 7), range(6), indexing="ij"), -1))
    low, high = mapping.bounds(region)
    np.testing.assert_allclose(low, every.min(axis=(0, 1, 2)), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(high, every.max(axis=(0, 1, 2)), rtol=1e-9, atol=1e-9)


@given(KINDS, st.permutations([0, 1, 2]), st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_another_order_of_storage_is_an_exact_mapping(kind: str, axes: list[int], flips: tuple[bool, ...]) -> None:
    source = GRIDS[kind](SHAPE)
    target = source.reordered(axes, flips)
    mapping = mapping_between(target, source)
    assert mapping.axes(target.shape) == (tuple(axes), flips)
    assert set(np.abs(np.array(mapping.matrix)).ravel()) == {0.0, 1.0}
    assert all(value == round(value) for value in mapping.offset)


@given(KINDS, st.tuples(*[st.integers(1, 4)] * 3))
def test_refined_and_coarsened_again_is_the_same_grid(kind: str, factors: tuple[int, int, int]) -> None:
    grid = GRIDS[kind](SHAPE)
    fine = grid.refined(factors)
    assert fine.coarsened(factors).is_close(grid, 1e-9)
    np.testing.assert_allclose(fine.corners_of_faces, grid.corners_of_faces, atol=1e-9)
    there = mapping_between(fine, grid).bounds(whole(fine.shape))
    np.testing.assert_allclose(there[0], [-0.5 + 0.5 / f for f in factors], atol=1e-9)


def test_a_coarse_grid_says_how_wide_its_voxels_are() -> None:
    grid = oblique_grid((20, 20, 20), spacing=(0.5, 0.5, 0.5))
    mapping = mapping_between(grid.coarsened((2, 3, 4)), grid)
    np.testing.assert_allclose(mapping.widths, (2, 3, 4))
    np.testing.assert_allclose(mapping.strides, (2, 3, 4))


def test_a_grid_turned_by_a_hundredth_of_a_degree_is_oblique() -> None:
    grid = Geometry((100, 100, 100))
    turned = moved(grid, np.block([[rotation(0, 0, 0.01), np.zeros((3, 1))], [np.zeros((1, 3)), np.eye(1)]]))
    assert mapping_between(turned, grid).axes(turned.shape) is None


@pytest.mark.parametrize("kind", GRIDS)
def test_voxels_go_where_the_transform_takes_them(kind: str) -> None:
    transform = np.eye(4)
    transform[:3, :3] = rotation(10, 20, 30) * 1.5
    transform[:3, 3] = (1, -2, 3)
    grid = GRIDS[kind](SHAPE)
    expected = grid.corners @ transform[:3, :3].T + transform[:3, 3]
    np.testing.assert_allclose(moved(grid, transform).corners, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({(0, 0): np.nan}, "finite 4 x 4 matrix"),
        ({(2, 0): 0, (2, 1): 0, (2, 2): 0}, "singular"),
        ({(3, 0): 0.5}, "last row of a transform must be 0 0 0 1"),
    ],
)
def test_what_is_no_transform_is_refused(change: dict[tuple[int, int], float], message: str) -> None:
    transform = np.eye(4)
    for place, value in change.items():
        transform[place] = value
    with pytest.raises(GeometryError, match=message):
        moved(oblique_grid(SHAPE), transform)


def test_factors_below_one_refine_nothing() -> None:
    with pytest.raises(InputError, match="at least 1"):
        oblique_grid(SHAPE).refined((0, 1, 1))
