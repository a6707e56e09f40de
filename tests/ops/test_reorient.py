"""Storing in another order: the permutation that plain numpy makes, and a place for every voxel."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chunkvol
from chunkvol import Geometry, Volume
from chunkvol.errors import GeometryError
from chunkvol.geometry import axis_codes
from chunkvol.ops.reorient import ReorderedSource, canonical, reordered
from chunkvol.regions import region_shape
from tests.support.grids import grids, minus_grid, noise_volume, oblique_grid, ramp_values, ramp_volume, turned_grid
from tests.support.series import oblique, write_series

SHAPE = (5, 6, 7)
ORDERS = list(itertools.product(itertools.permutations(range(3)), itertools.product([False, True], repeat=3)))


def plain(array: Any, axes: Any, flips: Any) -> Any:
    """The same by numpy: transpose, then reverse."""
    return array.transpose(axes)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]


@pytest.mark.parametrize(("axes", "flips"), ORDERS)
def test_every_order_is_numpys_and_keeps_the_ramp(axes: Any, flips: Any) -> None:
    volume = ramp_volume(oblique_grid(SHAPE))
    other = reordered(volume, axes, flips)
    np.testing.assert_array_equal(other.read(), plain(volume.read(), axes, flips))
    np.testing.assert_allclose(other.read(), ramp_values(other.geometry), atol=1e-11)
    assert other.geometry.spacing == tuple(volume.geometry.spacing[axis] for axis in axes)


@settings(max_examples=60)
@given(order=st.sampled_from(ORDERS), data=st.data())
def test_every_region_is_read_alike(order: Any, data: Any) -> None:
    volume = noise_volume(oblique_grid(SHAPE))
    other = reordered(volume, *order)
    full = plain(volume.read(), *order)
    bounds = [sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True))) for n in other.shape]
    region = tuple(slice(a, b) for a, b in bounds)
    np.testing.assert_array_equal(other.read(region), full[region])
    wide = np.zeros((*region_shape(region)[:2], 20), "u2")
    other.source.read(region, wide[:, :, 3 : 3 + region_shape(region)[2]])
    np.testing.assert_array_equal(wide[:, :, 3 : 3 + region_shape(region)[2]], full[region])


@settings(max_examples=40)
@given(grid=grids(), order=st.sampled_from(ORDERS))
def test_an_order_and_its_inverse_are_nothing(grid: Geometry, order: Any) -> None:
    axes, flips = order
    inverse = tuple(axes.index(axis) for axis in range(3))
    back = reordered(reordered(noise_volume(grid), axes, flips), inverse, [flips[a] for a in inverse])
    assert back.geometry.is_close(grid, 1e-9)
    np.testing.assert_array_equal(back.read(), noise_volume(grid).read())


@pytest.mark.parametrize(("axes", "flips"), ORDERS)
def test_cardinal_grids_of_any_order_have_one_canonical_form(axes: Any, flips: Any) -> None:
    straight = ramp_volume(Geometry(SHAPE, (3.0, -7.5, 11.25), (0.5, 0.25, 2.0)))
    turned = reordered(straight, axes, flips)
    again = canonical(turned)
    assert axis_codes(again.geometry) == "LPS"
    assert again.geometry == straight.geometry
    np.testing.assert_array_equal(again.read(), straight.read())


def test_what_is_canonical_stays_the_same_object() -> None:
    volume = ramp_volume(Geometry(SHAPE))
    assert canonical(volume) is volume


def test_the_order_is_remembered() -> None:
    assert canonical(ramp_volume(minus_grid(SHAPE))).metadata.history == ("reorder k-j-i",)
    assert canonical(ramp_volume(turned_grid(SHAPE))).metadata.history == ("reorder j-i-k",)


def test_nearly_cardinal_grids_keep_their_tilt_and_oblique_ones_are_refused() -> None:
    def tilted(angle: float) -> Volume:
        grid = minus_grid(SHAPE)
        c, s = np.cos(angle), np.sin(angle)
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        return ramp_volume(replace(grid, direction=tuple(map(tuple, turn @ np.array(grid.direction)))))

    near = canonical(tilted(5e-5))
    np.testing.assert_allclose(near.read(), ramp_values(near.geometry), atol=1e-11)
    assert near.geometry.direction[0][1] != 0
    with pytest.raises(GeometryError, match="oblique"):
        canonical(tilted(5e-4))


def test_compressed_planes_are_decoded_once_when_their_order_changes(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 4096, (9, 10, 11), dtype="u2")
    write_series(tmp_path / "dicom", array, oblique((9, 10, 11)), transfer_syntax="1.2.840.10008.1.2.5")
    volume = chunkvol.open_volume(tmp_path / "dicom")
    for axes, flips in ORDERS:
        source = ReorderedSource(volume.source, axes, flips)
        scattered = axes[0] != 0
        assert (source.staging_bytes > 0) == scattered
        (tmp_path / "staged").mkdir(exist_ok=True)
        staged = source.staged(tmp_path / "staged")
        assert bool(list((tmp_path / "staged").iterdir())) == scattered
        np.testing.assert_array_equal(
            Volume(staged, reordered(volume, axes, flips).geometry), plain(array, axes, flips)
        )
        for path in (tmp_path / "staged").iterdir():
            path.unlink()
