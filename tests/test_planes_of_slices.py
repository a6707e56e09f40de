"""Planes through a grid: turned as viewers show them, never mirrored, and their pixels where they say."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkvol import Geometry
from chunkvol.errors import ChunkvolError, GeometryError, InputError
from chunkvol.geometry.planes import VIEWS, SlicePlane
from chunkvol.geometry.slices import slab_planes, slice_grid
from tests.support.grids import GRIDS, grids, minus_grid, oblique_grid, rotation, turned_grid

SHAPE = (7, 11, 5)
AXES = {"axial": (0, 0, 1), "coronal": (0, 1, 0), "sagittal": (-1, 0, 0)}
"""Normals of the views: S, P and R."""
UPRIGHT = Geometry(SHAPE, (-3.0, 2.0, 10.0), (2.0, 0.5, 0.25))
numbers = st.floats(-1, 1, allow_subnormal=False)
normals = st.tuples(numbers, numbers, numbers).filter(lambda n: np.linalg.norm(n) > 0.01)
angles = st.tuples(*[st.floats(-180, 180)] * 3)


def axes_of(grid: Geometry) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Directions of rows, columns and normal."""
    normal, column, row = np.array(grid.direction).T
    return row, column, normal


def framed(row: Any, column: Any, normal: Any, origin: Any = (0, 0, 0)) -> npt.NDArray[Any]:
    matrix = np.eye(4)
    matrix[:3] = np.column_stack([row, column, normal, origin])
    return matrix


def middle_of(grid: Geometry) -> npt.NDArray[Any]:
    return grid.index_to_world((np.array(grid.shape) - 1) / 2)


# ---------------------------------------------------------------------------------------------- which way is up


@pytest.mark.parametrize(
    ("view", "row", "column", "normal"),
    [
        ("axial", (1, 0, 0), (0, 1, 0), (0, 0, 1)),  # L, P, S
        ("coronal", (1, 0, 0), (0, 0, -1), (0, 1, 0)),  # L, I, P
        ("sagittal", (0, 1, 0), (0, 0, -1), (-1, 0, 0)),  # P, I, R
    ],
)
def test_views_are_radiological(view: str, row: Any, column: Any, normal: Any) -> None:
    plane = SlicePlane.anatomical(view, 4.5)
    assert (plane.row, plane.column, tuple(plane.normal)) == (row, column, normal)
    assert plane.origin == tuple(4.5 * abs(n) for n in normal)
    assert not plane.notes
    found = SlicePlane.facing((1, 2, 3), normal)
    assert (found.row, found.column, found.notes) == (row, column, ())


@settings(max_examples=200, deadline=None)
@given(normals, grids())
def test_no_plane_is_a_mirror_and_rows_cross_columns_make_the_normal(normal: Any, grid: Geometry) -> None:
    plane = SlicePlane.facing(middle_of(grid), normal)
    cut = slice_grid(plane, grid)
    row, column, along = axes_of(cut)
    np.testing.assert_allclose(np.cross(row, column), along, atol=1e-9)
    assert np.linalg.det(np.column_stack([row, column, along])) > 0.999999
    view = VIEWS[plane.view]
    assert along @ view.normal > 0.5
    given_normal = np.array(normal) / np.linalg.norm(normal)
    # A plane that leaves the voxels by less than 1e-4 of one over the whole grid is made to lie on them.
    assert np.linalg.norm(np.cross(along, given_normal)) < 2e-4
    assert bool(plane.notes) == (given_normal @ view.normal < 0)
    # The rows are as near to the view's as the plane allows, and columns never against it.
    assert row @ view.row > 0.5
    assert column @ view.column > 0


@settings(max_examples=200, deadline=None)
@given(angles, st.sampled_from([1, -1]))
def test_of_the_ways_to_name_two_axes_the_one_nearest_to_the_view_is_taken(turn: Any, hand: int) -> None:
    x, y, z = rotation(*turn).T
    plane = SlicePlane.framed(framed(x, y, hand * z, (1, 2, 3)))
    assert plane.origin == (1, 2, 3)
    lines = np.abs(np.array([plane.row, plane.column]) @ np.array([x, y]).T)
    assert np.abs(np.sort(lines.ravel()) - [0, 0, 1, 1]).max() < 1e-9, "grid lines stay where they are"
    view = VIEWS[plane.view]
    assert plane.normal @ view.normal > 0
    best = max(
        row @ view.row + column @ view.column
        for a, b in ((x, y), (y, x))
        for row in (a, -a)
        for column in (b, -b)
        if np.cross(row, column) @ view.normal > 0
    )
    assert np.dot(plane.row, view.row) + np.dot(plane.column, view.column) > best - 2e-6


def test_ties_between_views_are_decided_in_their_order() -> None:
    assert SlicePlane.facing((0, 0, 0), (1, 1, 1)).view == "axial"
    assert SlicePlane.facing((0, 0, 0), (1, 1 - 1e-9, 0)).view == "coronal"
    assert SlicePlane.facing((0, 0, 0), (1, 1 - 1e-9, 1 - 2e-9)).view == "axial"
    assert SlicePlane.facing((0, 0, 0), (1, 0.9, 0)).view == "sagittal"


@pytest.mark.parametrize(("view", "normal"), AXES.items())
def test_a_normal_that_points_the_other_way_is_turned_over_and_told(view: str, normal: Any) -> None:
    plane = SlicePlane.facing((1, 2, 3), -np.array(normal))
    same = SlicePlane.anatomical(view, 0)
    assert (plane.row, plane.column) == (same.row, same.column)
    letters = VIEWS[view].names
    said = (
        rf"turned over.*towards {letters[2]}.*{view} planes \(rows towards {letters[0]}, columns towards {letters[1]}"
    )
    (note,) = plane.notes
    assert re.search(said, note)


def test_axes_are_kept_on_request_and_a_mirror_is_refused() -> None:
    x, y, z = rotation(20, -35, 110).T
    kept = SlicePlane.framed(framed(x, y, z, (4, 5, 6)), keep_axes=True)
    np.testing.assert_allclose(np.array([kept.row, kept.column, tuple(kept.normal)]), [x, y, z], atol=1e-12)
    with pytest.raises(GeometryError, match=r"left-handed.*mirror.*--keep-axes"):
        SlicePlane.framed(framed(x, y, -z), keep_axes=True)


def test_three_points_make_one_plane_in_any_order() -> None:
    a, b, c = (1.0, 2.0, 3.0), (5.0, 2.5, 3.5), (2.0, 8.0, 1.0)
    planes = [SlicePlane.through(points) for points in ((a, b, c), (b, a, c), (c, a, b))]
    for plane in planes:
        for point in (a, b, c):
            assert abs((np.array(point) - plane.origin) @ plane.normal) < 1e-12
        np.testing.assert_allclose(plane.row, planes[0].row, atol=1e-12)
        np.testing.assert_allclose(plane.column, planes[0].column, atol=1e-12)
        assert not plane.notes, "nobody stated a side"


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: SlicePlane.facing((0, 0, 0), (0, 0, 0)), "0,0,0, which points nowhere"),
        (lambda: SlicePlane.facing((0, 0, np.nan), (0, 0, 1)), "point of a plane is three finite numbers"),
        (lambda: SlicePlane.facing((0, 0, 0), (0, np.inf, 1)), "normal of a plane is three finite numbers"),
        (lambda: SlicePlane.anatomical("oblique", 1), "unknown plane 'oblique'; use one of axial, coronal, sagittal"),
        (lambda: SlicePlane.anatomical("axial", np.nan), "finite place in mm, found nan"),
        (lambda: SlicePlane.through([(0, 0, 0), (1, 1, 1)]), "three points, found 2"),
        (lambda: SlicePlane.through([(0, 0, 0), (1, 1, 1), (3, 3, 3)]), r"on one line.*3,3,3"),
        (lambda: SlicePlane.through([(1, 0, 0), (1, 0, 0), (3, 3, 3)]), "on one line"),
        (lambda: SlicePlane.through([(1, 0, 0)] * 3), "on one line"),
        (lambda: SlicePlane.framed(np.eye(3)), "finite 4 x 4 matrix"),
        (lambda: SlicePlane.framed(np.full((4, 4), np.nan)), "finite 4 x 4 matrix"),
        (lambda: SlicePlane.framed(np.diag([2.0, 2, 2, 1])), r"unit vectors.*found lengths 2, 2, 2.*--pixel"),
        (lambda: SlicePlane.framed(framed((1, 0, 0), (0.6, 0.8, 0), (0, 0, 1))), "right angles"),
        (lambda: SlicePlane.framed(np.eye(4)[::-1]), "last row of a frame"),
        (lambda: SlicePlane((0, 0, 0), (1, 0, 0), (1, 0, 0)), "must be unit and at right angles"),
    ],
)
def test_what_is_no_plane_is_refused(make: Any, match: str) -> None:
    with pytest.raises(ChunkvolError, match=match):
        make()


# ------------------------------------------------------------------------------------------------- where pixels lie


@pytest.mark.parametrize(
    ("name", "axis"),
    [(name, axis) for name in GRIDS for axis in range(3) if (name, axis) != ("sheared", 2)],  # its k leans on j
)
def test_a_plane_along_two_axes_has_its_pixels_on_the_voxels(name: str, axis: int) -> None:
    grid = GRIDS[name](SHAPE)
    matrix = np.array(grid.direction)
    one, other = (matrix[:, a] for a in {0, 1, 2} - {axis})
    place = np.array([2.0, 2.0, 2.0])
    plane = SlicePlane.framed(framed(one, other, np.cross(one, other), grid.index_to_world(place)))
    cut = slice_grid(plane, grid)
    assert sorted(cut.shape[1:]) == sorted(n for a, n in enumerate(grid.shape) if a != axis)
    index = grid.world_to_index(cut.index_to_world(np.moveaxis(np.indices(cut.shape), 0, -1)))
    assert np.abs(index - np.rint(index)).max() < 1e-9
    assert (np.rint(index[..., axis]) == 2).all()
    found = {tuple(one) for one in np.rint(index).astype(int).reshape(-1, 3)}
    assert len(found) == np.prod(cut.shape), "each voxel of the plane once"
    across = abs(matrix[:, axis] @ axes_of(cut)[2]) * grid.spacing[axis]
    assert cut.spacing[0] == pytest.approx(across, rel=1e-12)
    between = slice_grid(SlicePlane.framed(framed(one, other, np.cross(one, other), middle_of(grid) + 0.03)), grid)
    index = grid.world_to_index(between.index_to_world(np.moveaxis(np.indices(between.shape), 0, -1)))
    index[..., axis] = 0
    assert np.abs(index - np.rint(index)).max() < 1e-9, "between two planes pixels lie on voxels all the same"


def test_anatomical_planes_of_an_upright_grid_are_its_voxels() -> None:
    assert slice_grid(SlicePlane.anatomical("axial", 14), UPRIGHT) == Geometry(
        (1, 11, 5), (-3, 2, 14), (2, 0.5, 0.25), ((0, 0, 1), (0, 1, 0), (1, 0, 0))
    )
    assert slice_grid(SlicePlane.anatomical("coronal", 2.5), UPRIGHT) == Geometry(
        (1, 7, 5), (-3, 2.5, 22), (0.5, 2, 0.25), ((0, 0, 1), (1, 0, 0), (0, -1, 0))
    )
    assert slice_grid(SlicePlane.anatomical("sagittal", -2.5), UPRIGHT) == Geometry(
        (1, 7, 11), (-2.5, 2, 22), (0.25, 2, 0.5), ((-1, 0, 0), (0, 0, 1), (0, -1, 0))
    )


@settings(max_examples=100, deadline=None)
@given(normals, grids())
def test_the_slice_covers_what_the_plane_has_in_common_with_the_grid_and_no_more(normal: Any, grid: Geometry) -> None:
    plane = SlicePlane.facing(middle_of(grid), normal)
    cut = slice_grid(plane, grid)
    # Points of the plane, densely: those in the grid lie in the slice.
    reach = np.linalg.norm(np.array(grid.shape) * grid.spacing)
    steps = np.linspace(-reach / 2, reach / 2, 41)
    points = np.array(plane.origin) + (
        steps[:, None, None] * np.array(plane.row) + steps[None, :, None] * np.array(plane.column)
    )
    index = grid.world_to_index(points)
    inside = ((index >= -0.5) & (index <= np.array(grid.shape) - 0.5)).all(axis=-1)
    there = cut.world_to_index(points[inside])
    drift = 2e-4  # a plane that leaves the voxels by less than 1e-4 of one over the whole grid is made to lie on them
    assert (there >= -0.5 - drift).all()
    assert (there <= np.array(cut.shape) - 0.5 + drift).all()
    assert np.abs(there[:, 0]).max() < drift
    # And no row or column lies wholly beside the grid: the rectangle is met within a pixel on each side.
    faces = cut.spacing[1] * cut.shape[1], cut.spacing[2] * cut.shape[2]
    assert max(faces) <= reach + 2 * max(cut.spacing[1:])


def test_a_slice_that_is_askew_has_the_finest_spacing() -> None:
    cut = slice_grid(SlicePlane.facing(middle_of(UPRIGHT), (0.3, 0.2, 1)), UPRIGHT)
    assert cut.spacing[1:] == (0.25, 0.25)
    normal = axes_of(cut)[2]
    assert cut.spacing[0] == pytest.approx(abs(normal) @ [0.25, 0.5, 2.0])


def test_spacing_field_of_view_size_and_middle_are_as_asked() -> None:
    plane = SlicePlane.facing(middle_of(UPRIGHT), (0.3, 0.2, 1))
    middle = middle_of(UPRIGHT) + np.array([0.4, -0.3, 1])
    cut = slice_grid(plane, UPRIGHT, spacing=(0.1, 0.2), fov=(3.05, 1.0), centre=middle)
    assert cut.shape == (1, 31, 5)
    assert cut.spacing[1:] == (0.1, 0.2)
    found = middle_of(cut)
    assert abs((found - plane.origin) @ plane.normal) < 1e-9
    off = middle - found
    assert np.linalg.norm(np.cross(off, plane.normal)) < 1e-9, "the nearest point of the plane"
    sized = slice_grid(plane, UPRIGHT, fov=(3.0, 1.0), size=(6, 4))
    assert (sized.shape, sized.spacing[1:]) == ((1, 6, 4), (0.5, 0.25))
    assert slice_grid(plane, UPRIGHT, spacing=0.5, size=(6, 4)).shape == (1, 6, 4)


def test_pixels_stay_on_voxels_where_the_field_of_view_is_chosen() -> None:
    cut = slice_grid(SlicePlane.anatomical("axial", 14), UPRIGHT, fov=(2.0, 1.0), centre=(-2.6, 3.1, 99))
    index = UPRIGHT.world_to_index(cut.index_to_world((0, 0, 0)))
    np.testing.assert_array_equal(index, np.rint(index))
    assert cut.shape == (1, 4, 4)
    assert np.abs(middle_of(cut)[:2] - (-2.6, 3.1)).max() <= 0.25, "half a voxel"
    other = slice_grid(SlicePlane.anatomical("axial", 14), UPRIGHT, spacing=0.3)
    np.testing.assert_allclose(middle_of(other)[:2], middle_of(UPRIGHT)[:2], atol=1e-12)
    assert other.shape == (1, 19, 5), "5.5 and 1.25 mm, upwards"


def test_a_slab_is_as_thick_as_asked_and_sampled_as_finely_as_the_grid() -> None:
    plane = SlicePlane.anatomical("axial", 14)
    assert slice_grid(plane, UPRIGHT, slab=6).spacing[0] == 6
    assert [slab_planes(plane, UPRIGHT, slab) for slab in (0, 0.5, 2, 2.9, 3, 6, 7.1)] == [1, 1, 1, 1, 2, 3, 4]
    assert slab_planes(SlicePlane.anatomical("sagittal", -3), UPRIGHT, 6) == 24
    grid = oblique_grid(SHAPE)
    along = SlicePlane.facing(middle_of(grid), np.array(grid.direction)[:, 0])
    assert slab_planes(along, grid, 7) == 10


@pytest.mark.parametrize("grid", [minus_grid(SHAPE), turned_grid(SHAPE), oblique_grid(SHAPE), UPRIGHT])
def test_a_plane_on_an_outer_face_is_inside_and_one_beyond_is_told_where_the_volume_lies(grid: Geometry) -> None:
    heights = grid.corners_of_faces[:, 2]
    for z in (heights.min(), heights.max()):
        assert slice_grid(SlicePlane.anatomical("axial", z), grid).shape[0] == 1
    text = f"from {heights.min():.6g} to {heights.max():.6g} mm"
    with pytest.raises(GeometryError, match=rf"axial plane at z = .* misses the volume, which lies {text}"):
        slice_grid(SlicePlane.anatomical("axial", heights.max() + 0.001), grid)


def test_what_does_not_meet_the_volume_is_refused() -> None:
    with pytest.raises(GeometryError, match=r"sagittal plane at x = 4 mm .* from -3.125 to -1.875 mm there"):
        slice_grid(SlicePlane.anatomical("sagittal", 4), UPRIGHT)
    with pytest.raises(GeometryError, match=r"coronal plane at y = -4 mm .* from 1.75 to 7.25 mm there"):
        slice_grid(SlicePlane.anatomical("coronal", -4), UPRIGHT)
    with pytest.raises(GeometryError, match=r"along its normal \(0,0.6,0.8\) it lies at 80 mm, the volume from 8.2"):
        slice_grid(SlicePlane.facing((0, 0, 100), (0, 3, 4)), UPRIGHT)
    with pytest.raises(
        GeometryError, match=r"field of view of 1 x 2 mm around -2.6,33.1,14 lies beside the volume.*around -2.5,4.5,14"
    ):
        slice_grid(SlicePlane.anatomical("axial", 14), UPRIGHT, fov=(2.0, 1.0), centre=(-2.6, 33.1, 14))


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"spacing": 0}, "pixel spacing of a slice must be above 0 mm"),
        ({"spacing": (1, float("nan"))}, "pixel spacing of a slice must be above 0 mm"),
        ({"fov": (1, -1)}, "field of view of a slice must be above 0 mm"),
        ({"slab": -1.0}, "slab of a slice must be above 0 mm"),
        ({"slab": float("nan")}, "slab of a slice must be above 0 mm"),
        ({"size": (0, 4)}, "two whole numbers of at least 1"),
        ({"spacing": 1, "fov": (1, 1), "size": (3, 4)}, "leave that one out"),
        ({"spacing": 1e-9}, r"more than anybody can look at.*--pixel"),
    ],
)
def test_lengths_that_make_no_slice_are_refused(asked: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        slice_grid(SlicePlane.anatomical("axial", 14), UPRIGHT, **asked)
