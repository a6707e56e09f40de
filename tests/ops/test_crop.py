"""Cutting out a part: the voxels stay what and where they are, and the part is the one that was meant."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkvol import Geometry, Volume
from chunkvol.errors import GeometryError, InputError
from chunkvol.geometry import Box
from chunkvol.ops.crop import crop
from tests.support.grids import GRIDS, grids, noise_volume, oblique_grid, ramp_values, ramp_volume, rotation

SHAPE = (9, 12, 14)


def turned_box(grid: Geometry, size: tuple[float, float, float], degrees: tuple[float, float, float]) -> Box:
    """About the middle of a grid."""
    half = tuple(s / 2 for s in size)
    axes = tuple(map(tuple, rotation(*degrees)))
    return Box(tuple(grid.corners.mean(axis=0)), axes, tuple(-h for h in half), half)  # type: ignore[arg-type]


def assert_part(part: Volume, whole: Volume) -> None:
    """Every voxel has the value that the whole has at its world place."""
    np.testing.assert_allclose(part.read(), ramp_values(part.geometry), atol=1e-10)
    first = whole.geometry.world_to_index(part.geometry.origin)
    start = np.rint(first).astype(int)
    np.testing.assert_allclose(first, start, atol=1e-8)
    region = tuple(slice(a, a + n) for a, n in zip(start, part.shape, strict=True))
    np.testing.assert_array_equal(part.read(), whole.read()[region])


def inside(points: Any, box: Box) -> Any:
    own = (points - np.array(box.origin)) @ np.array(box.axes)
    return ((own >= np.array(box.low) - 1e-9) & (own <= np.array(box.high) + 1e-9)).all(axis=-1)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("degrees", [(0, 0, 0), (20, -35, 50)])
def test_a_box_keeps_every_voxel_whose_centre_lies_in_it(name: str, degrees: tuple[float, float, float]) -> None:
    whole = ramp_volume(GRIDS[name](SHAPE))
    size = tuple(0.5 * np.ptp(whole.geometry.corners, axis=0))
    box = turned_box(whole.geometry, size, degrees)  # type: ignore[arg-type]
    part = crop(whole, roi=box)
    assert_part(part, whole)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), -1)
    wanted = index[inside(whole.geometry.index_to_world(index), box)]
    local = part.geometry.world_to_index(whole.geometry.index_to_world(wanted))
    assert len(wanted)
    assert (local > -0.5).all() and (local < np.array(part.shape) - 0.5).all()


@settings(max_examples=60)
@given(grid=grids(), data=st.data())
def test_a_point_of_the_part_has_the_value_that_it_has_in_the_whole(grid: Geometry, data: Any) -> None:
    whole = noise_volume(grid)
    first = np.array([data.draw(st.integers(0, n - 1)) for n in grid.shape])
    last = np.array([data.draw(st.integers(a, n - 1)) for a, n in zip(first, grid.shape, strict=True)])
    corners = np.array([grid.index_to_world(first), grid.index_to_world(last)])
    part = crop(whole, bounds=(tuple(corners.min(axis=0)), tuple(corners.max(axis=0))))
    index = part.geometry.world_to_index(grid.index_to_world((first, last)))
    for at, stored in zip(np.rint(index).astype(int), (first, last), strict=True):
        assert part.read()[tuple(at)] == whole.read()[tuple(stored)]


def test_on_a_cardinal_grid_exactly_the_voxels_in_the_bounds_are_left() -> None:
    whole = ramp_volume(Geometry((10, 20, 30), (0, 0, 0), (3.0, 2.0, 1.0)))
    part = crop(whole, bounds=((4, 5, 8.9), (9.5, 6, 15)))
    assert part.geometry == whole.geometry.cropped((slice(3, 6), slice(3, 4), slice(4, 10)))
    assert part.metadata.history == ("crop 3:6,3:4,4:10",)
    assert not part.metadata.problems
    open_ended = crop(whole, bounds=((5, -math.inf, -math.inf), (math.inf, 7, math.inf)))
    assert open_ended.shape == (10, 4, 25) and not open_ended.metadata.problems


def test_a_region_drawn_at_an_angle_is_cut_at_its_bounding_box_in_the_grid() -> None:
    whole = ramp_volume(Geometry((20, 20, 20)))
    box = Box((10.0, 10.0, 10.0), tuple(map(tuple, rotation(0, 0, 45))), (-4, -4, -2), (4, 4, 2))  # type: ignore[arg-type]
    half = math.floor(4 * math.sqrt(2))
    assert crop(whole, roi=box).shape == (5, 2 * half + 1, 2 * half + 1)


def test_a_margin_is_added_on_all_sides_where_the_volume_has_them() -> None:
    whole = ramp_volume(Geometry((10, 20, 30), (0, 0, 0), (3.0, 2.0, 1.0)))
    part = crop(whole, bounds=((4, 6, 9), (9, 6, 15)), margin=2.0)
    assert part.geometry == whole.geometry.cropped((slice(3, 6), slice(2, 5), slice(2, 12)))
    assert not crop(whole, bounds=((0, 0, 0), (29, 38, 27)), margin=100).metadata.problems
    by_voxels = crop(whole, voxels=(slice(3, 6), slice(4, 5), slice(1, -1)), margin=2.0)
    assert by_voxels.geometry == whole.geometry.cropped((slice(2, 7), slice(3, 6), slice(0, 30)))
    assert crop(whole, voxels=(slice(3, 6),), margin=1e300).shape == whole.shape


def test_a_box_beyond_the_volume_is_cut_there_and_it_is_said() -> None:
    whole = ramp_volume(Geometry((10, 20, 30), (0, 0, 0), (3.0, 2.0, 1.0)))
    part = crop(whole, bounds=((-5, 6, 9), (9, 16, 99)))
    assert part.shape == (7, 6, 10)
    assert part.metadata.problems == (
        "the box reaches beyond the volume along its x and z; the part ends where the volume does",
    )


def test_voxels_are_slices_in_array_order() -> None:
    whole = ramp_volume(oblique_grid(SHAPE))
    for key in ((slice(2, 5), slice(None, -3), slice(-4, None)), slice(2, 5), (..., slice(3, 4))):
        assert_part(crop(whole, voxels=key), whole)
        assert crop(whole, voxels=key).geometry == whole[key].geometry


def test_a_part_has_no_pyramid() -> None:
    whole = ramp_volume(oblique_grid(SHAPE))
    layered = Volume(whole.data, whole.geometry, coarser=(whole,))
    box = turned_box(whole.geometry, (9, 9, 9), (0, 0, 0))
    for asked in ({"voxels": ...}, {"bounds": ((-1e3,) * 3, (1e3,) * 3)}, {"roi": box}):
        assert crop(layered, **asked).coarser == ()  # type: ignore[arg-type]


def test_a_box_without_voxels_is_refused_with_the_place_of_the_volume() -> None:
    whole = ramp_volume(Geometry((10, 20, 30), (0, 0, 0), (3.0, 2.0, 1.0)))
    said = (
        r"no voxel centre lies in the box \(x 100 to 110, y 0 to 9, z 0 to 9 mm, LPS\): the volume lies at "
        r"x -0.5 to 29.5, y -1 to 39, z -1.5 to 28.5 mm \(LPS\), its voxels 1 x 2 x 3 mm apart"
    )
    with pytest.raises(GeometryError, match=said):
        crop(whole, bounds=((100, 0, 0), (110, 9, 9)))
    with pytest.raises(GeometryError, match="no voxel centre"):
        crop(whole, bounds=((4.1, 0, 0), (4.9, 9, 9)))
    assert crop(whole, bounds=((4.1, 0, 0), (4.9, 9, 9)), margin=0.2).shape == (4, 5, 2)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "named by one of voxels, bounds and roi; found none"),
        ({"voxels": ..., "bounds": ((0,) * 3, (1,) * 3)}, "found voxels and bounds"),
        ({"voxels": (slice(0, 99),)}, r"voxels 0:99 along z are not all there: it has 0:9"),
        ({"voxels": (slice(None), slice(-13, None))}, r"voxels -13:None along y are not all there: it has 0:12"),
        (
            {"voxels": (slice(4, 4),)},
            r"selects nothing of an axis of 9 voxels; the volume has 14 x 12 x 9|\(14, 12, 9\)",
        ),
        ({"voxels": (slice(0, 9, 2),)}, "use downsample"),
        ({"voxels": (3,)}, "slices, which keep its three axes"),
        ({"voxels": (slice(0.5, 2),)}, "are not all there"),
        ({"bounds": ((0, 0, 0), (1, -1, 1))}, "from 0 to -1 mm along y; turn them round"),
        ({"bounds": ((0, 0), (1, 1))}, "three smallest and three largest"),
        ({"bounds": ((0, 0, math.nan), (1, 1, 1))}, "finite numbers"),
        ({"roi": "roi.mrk.json"}, r"a roi is a box of the world, found str; see read_markups"),
        ({"voxels": ..., "margin": -1}, "a margin must be finite and at least 0 mm, found -1"),
        ({"bounds": ((0,) * 3, (1,) * 3), "margin": math.nan}, "a margin must be finite"),
    ],
)
def test_what_is_no_part_is_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        crop(ramp_volume(oblique_grid(SHAPE)), **asked)
