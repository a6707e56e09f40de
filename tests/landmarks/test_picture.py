"""Contact sheets show the right voxels, the right way round, with the cross where the point is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkvol
from chunkvol import Geometry, Volume
from chunkvol.errors import InputError, OutputError
from chunkvol.geometry.planes import VIEWS
from chunkvol.landmarks import Landmarks
from chunkvol.landmarks.picture import PER_SHEET, decimals, plot
from chunkvol.landmarks.sheet import Sheet, bar_length, bar_text, plain
from chunkvol.landmarks.views import SIDE, fields, point_views, usual_size
from chunkvol.metadata import Metadata, Rescale
from chunkvol.regions import region_shape, voxels
from chunkvol.sources import ArraySource
from tests.landmarks.test_refining import Counting
from tests.support.grids import GRIDS, minus_grid, noise_volume, oblique_grid, sheared_grid

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed (the extra plot)")

SHAPE = (23, 31, 41)
MIDDLE = SIDE // 2
LEFT, TOP = 12, 36 + 24
"""Of the first image on a sheet, pixels."""


def points(grid: Geometry, index: Any, **more: Any) -> Landmarks:
    places = grid.index_to_world(np.atleast_2d(np.asarray(index, float)))
    return Landmarks(places, tuple(f"L{n}" for n in range(1, len(places) + 1)), **more)


def drawn(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


# --------------------------------------------------------------------------------------------------------- what is seen


@pytest.mark.parametrize("name", list(GRIDS))
def test_a_pixel_has_the_value_of_the_voxel_that_it_lies_in(name: str) -> None:
    grid = GRIDS[name](SHAPE)
    array = np.random.default_rng(0).integers(0, 60000, SHAPE).astype("uint16")
    rng = np.random.default_rng(1)
    size = usual_size(grid) / 2
    for index in rng.uniform(-0.5, np.array(SHAPE) - 0.5, (4, 3)):
        point = grid.index_to_world(index)
        (views,) = point_views(ArraySource(array), grid, [point], size)
        assert sorted(view.field.axis for view in views) == [0, 1, 2]
        for view in views:
            axis, plane = view.field.axis, view.field.plane
            assert view.index == np.clip(np.floor(index[axis] + 0.5), 0, SHAPE[axis] - 1)
            toward = np.linalg.solve(grid.affine[:3, :3], plane.normal)[axis]
            foot = point + plane.normal * (view.index - index[axis]) / toward
            for row, column in rng.integers(0, SIDE, (30, 2)):
                step = (column - MIDDLE) * np.array(plane.row) + (row - MIDDLE) * np.array(plane.column)
                at = grid.world_to_index(foot + step * size / SIDE)
                assert at[axis] == pytest.approx(view.index, abs=1e-6)
                if np.abs(at - np.floor(at) - 0.5).min() < 1e-6:
                    continue  # on a face
                voxel = np.floor(at + 0.5).astype(int)
                seen = (voxel >= 0).all() and (voxel < SHAPE).all()
                assert view.image[row, column] == array[tuple(voxel)] if seen else np.isnan(view.image[row, column])


@pytest.mark.parametrize("name", list(GRIDS))
def test_planes_are_turned_as_viewers_show_them_and_never_mirrored(name: str) -> None:
    for field in fields(GRIDS[name](SHAPE)):
        view = VIEWS[field.plane.view]
        assert np.cross(field.plane.row, field.plane.column) @ view.normal > 0.5
        assert np.dot(field.plane.row, view.row) + np.dot(field.plane.column, view.column) > 1


@pytest.mark.parametrize("name", ["minus signs", "turned"])
def test_cardinal_grids_show_axial_coronal_and_sagittal_planes_in_this_order(name: str) -> None:
    found = fields(GRIDS[name](SHAPE))
    assert [field.plane.view for field in found] == ["axial", "coronal", "sagittal"]
    assert [field.letters for field in found] == [("L", "P"), ("L", "I"), ("P", "I")]


def test_a_sheared_grid_looks_as_it_is() -> None:
    grid = sheared_grid((30, 60, 40))
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    middle = grid.index_to_world([15, 30, 20])
    ball = (np.linalg.norm(grid.index_to_world(index) - middle, axis=-1) < 8).astype("uint8")
    (views,) = point_views(ArraySource(ball), grid, [middle], 24.0)
    for view in views:
        inside = view.image == 1
        across, down = inside.any(axis=0).sum(), inside.any(axis=1).sum()
        assert across == pytest.approx(16 / 24 * SIDE, rel=0.16)  # a voxel is 2.5 mm deep
        assert down == pytest.approx(across, rel=0.16)


# ---------------------------------------------------------------------------------------------------------- the drawing


def test_the_cross_leaves_the_point_itself_free(tmp_path: Path) -> None:
    grid = oblique_grid(SHAPE)
    array = np.full(SHAPE, 100, "uint16")
    array[11, 15, 20] = 200
    (sheet,) = plot(points(grid, (11.2, 14.9, 20.1)), Volume(array, grid), tmp_path / "qa.png", window=(100, 200))
    tile = drawn(sheet)[TOP : TOP + SIDE, LEFT : LEFT + SIDE]
    assert tile[MIDDLE, MIDDLE].tolist() == [255, 255, 255]
    assert tile[MIDDLE - 4 : MIDDLE + 5, MIDDLE - 4 : MIDDLE + 5].min(axis=2).max() == 255
    arms = [(MIDDLE, MIDDLE + 10), (MIDDLE, MIDDLE - 10), (MIDDLE + 10, MIDDLE), (MIDDLE - 10, MIDDLE)]
    assert all(tile[at].tolist() == [255, 206, 40] for at in arms)


def test_values_of_the_window_run_from_black_to_white_and_nothing_is_no_grey(tmp_path: Path) -> None:
    grid = Geometry((9, 9, 9), spacing=(0.1, 0.1, 0.1))
    array = np.zeros((9, 9, 9), "float32")
    array[4, 4, 4], array[4, 3, 4], array[4, 4, 6] = 50, 1000, np.nan
    (sheet,) = plot(points(grid, (4, 4, 4)), Volume(array, grid), tmp_path / "qa.png", window=(0, 100), size=1.5)
    tile = drawn(sheet)[TOP : TOP + SIDE, LEFT : LEFT + SIDE]
    voxel = SIDE / 15
    assert tile[MIDDLE, MIDDLE].tolist() == [128, 128, 128]
    assert tile[round(MIDDLE - voxel), MIDDLE + 4].tolist() == [255, 255, 255]
    assert tile[MIDDLE + 30, MIDDLE + 30].tolist() == [0, 0, 0]
    nothing = tile[5, 5].tolist()
    assert len(set(nothing)) > 1
    assert tile[MIDDLE + 3, round(MIDDLE + 2 * voxel)].tolist() == nothing


def test_real_values_are_shown(tmp_path: Path) -> None:
    grid = oblique_grid(SHAPE)
    array = np.random.default_rng(0).integers(0, 1000, SHAPE).astype("uint16")
    stored = Volume(array, grid, Metadata(rescale=Rescale(slope=0.5, intercept=-100.0, unit="HU")))
    real = Volume(array * np.float32(0.5) - 100, grid, Metadata(rescale=Rescale(unit="HU")))
    sheets = [
        plot(points(grid, (11, 15, 20)), volume, tmp_path / f"{n}.png")[0] for n, volume in enumerate((stored, real))
    ]
    assert sheets[0].read_bytes() == sheets[1].read_bytes()


def test_scale_bars_have_the_length_that_they_say(tmp_path: Path) -> None:
    grid = oblique_grid(SHAPE)
    (sheet,) = plot(points(grid, (11, 15, 20)), noise_volume(grid), tmp_path / "qa.png", size=12.0, window=(1e6, 1e7))
    tile = drawn(sheet)[TOP : TOP + SIDE, LEFT : LEFT + SIDE]
    row = tile[SIDE - 8]
    assert (row == (236, 238, 242)).all(axis=1).sum() == round(2 / 12 * SIDE)  # 2 mm, the most below 4.2 of 1, 2, 5


def test_bars_are_1_2_or_5_and_have_units() -> None:
    assert [bar_length(most) for most in (1, 1.9, 2, 4.99, 5, 9, 0.07)] == pytest.approx([1, 1, 2, 2, 5, 5, 0.05])
    assert [bar_text(mm) for mm in (20.0, 1.0, 0.5, 0.002, 0.0005)] == ["20 mm", "1 mm", "500 um", "2 um", "500 nm"]
    assert [decimals(step) for step in (5.0, 0.7, 0.02, 1e-12)] == [1, 2, 3, 9]


def test_labels_are_written_in_letters_that_the_font_has() -> None:
    assert plain("Ösophagus é\u0301 日 µ") == "Osophagus e ? ?"
    sheet = Sheet.made(1)
    assert sheet._fitting("short\n\tone", 300, sheet.text) == "short one"
    assert sheet._fitting("a very long label " * 9, 100, sheet.text).endswith("...")


def test_points_that_are_not_seen_have_a_tile_that_says_so(tmp_path: Path) -> None:
    grid = oblique_grid(SHAPE)
    places = np.vstack([grid.index_to_world([11, 15, 20]), [np.nan] * 3, grid.index_to_world([11, 15, 60])])
    given = Landmarks(places, ("a", "b", "c"))
    (sheet,) = plot(given, noise_volume(grid), tmp_path / "qa.png", columns=1)
    picture = drawn(sheet)
    height = Sheet.panel_size()[1]
    for n, empty in enumerate((False, True, True)):
        tile = picture[TOP + n * height : TOP + n * height + SIDE, LEFT : LEFT + 3 * SIDE]
        assert (tile[10, 10].tolist() == [26, 27, 33]) == empty
        assert bool((tile == (255, 140, 105)).all(axis=2).any()) == empty


def test_a_constant_volume_and_one_without_numbers_are_drawn(tmp_path: Path) -> None:
    grid = oblique_grid(SHAPE)
    for n, value in enumerate((0.0, np.nan)):
        (sheet,) = plot(points(grid, (1, 2, 3)), Volume(np.full(SHAPE, value), grid), tmp_path / f"{n}.png")
        assert sheet.is_file()


# ------------------------------------------------------------------------------------------------- sheets and bytes


def test_the_same_input_gives_the_same_bytes_however_it_is_stored(tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid(SHAPE))
    chunkvol.write_volume(volume, tmp_path / "a.ome.zarr")
    chunkvol.write_volume(volume, tmp_path / "b.nrrd", encoding="gzip")
    given = points(volume.geometry, np.random.default_rng(0).uniform(0, 20, (5, 3)))
    volumes = [volume, chunkvol.open_volume(tmp_path / "a.ome.zarr"), chunkvol.open_volume(tmp_path / "b.nrrd")]
    images = [plot(given, one, tmp_path / f"{n}.png")[0].read_bytes() for n, one in enumerate(volumes)]
    assert images[0] == images[1] == images[2]


def test_only_the_voxels_that_are_seen_are_read(tmp_path: Path) -> None:
    grid = oblique_grid((200, 220, 240), spacing=(0.3, 0.3, 0.3))
    source = Counting(np.zeros(grid.shape, "uint8"))
    plot(points(grid, [(100, 110, 120), (30, 60, 90)]), Volume(source, grid), tmp_path / "qa.png")
    assert len(source.regions) == 6
    assert max(voxels(region_shape(region)) for region in source.regions) <= 49**2
    chunked = Counting(source.array, (32, 32, 32))
    rng = np.random.default_rng(0)
    plot(points(grid, rng.uniform(0, 199, (40, 3))), Volume(chunked, grid), tmp_path / "many.png")
    assert set(chunked.decoded.values()) == {1}


def test_many_points_make_several_sheets(tmp_path: Path) -> None:
    grid = oblique_grid((12, 13, 14))
    count = 2 * PER_SHEET + 1
    given = points(grid, np.random.default_rng(0).uniform(0, 11, (count, 3)))
    volume = noise_volume(grid)
    sheets = plot(given, volume, tmp_path / "qa.png", columns=2)
    assert [sheet.name for sheet in sheets] == ["qa-1.png", "qa-2.png", "qa-3.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [sheet.name for sheet in sheets]
    wide, high = Sheet.panel_size()
    assert drawn(sheets[0]).shape == (36 + PER_SHEET // 2 * high + 12, 2 * wide + 12, 3)
    assert drawn(sheets[2]).shape == (36 + high + 12, wide + 12, 3)


def test_existing_sheets_are_refused_and_nothing_is_left_behind(tmp_path: Path) -> None:
    volume = noise_volume(minus_grid((9, 8, 7)))
    given = points(volume.geometry, (4, 4, 4))
    target = tmp_path / "qa.png"
    target.write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"qa.png exists; choose another name or allow --overwrite"):
        plot(given, volume, target)
    assert target.read_bytes() == b"mine"
    plot(given, volume, target, overwrite=True)
    assert target.read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(InputError, match=r"above 0 mm, found -1"):
        plot(given, volume, tmp_path / "other.png", size=-1)
    assert [path.name for path in tmp_path.iterdir()] == ["qa.png"]


# ------------------------------------------------------------------------------------------------------------ messages


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    volume = noise_volume(minus_grid((9, 8, 7)))
    with pytest.raises(InputError, match=r"need Pillow: pip install 'chunkvol\[plot\]'"):
        plot(points(volume.geometry, (4, 4, 4)), volume, tmp_path / "qa.png")


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    volume = noise_volume(minus_grid((9, 8, 7)))
    given = points(volume.geometry, (4, 4, 4))
    with pytest.raises(InputError, match=r"a .png, not qa.jpg"):
        plot(given, volume, tmp_path / "qa.jpg")
    with pytest.raises(InputError, match=r"no points to draw"):
        plot(Landmarks(np.zeros((0, 3)), ()), volume, tmp_path / "qa.png")
    with pytest.raises(InputError, match=r"at least 1 column, found 0"):
        plot(given, volume, tmp_path / "qa.png", columns=0)
    with pytest.raises(InputError, match=r"the lower first, or auto; found \(3, 1\)"):
        plot(given, volume, tmp_path / "qa.png", window=(3, 1))
    with pytest.raises(InputError, match=r"voxel indices"):
        plot(points(volume.geometry, (4, 4, 4), frame="IJK"), volume, tmp_path / "qa.png")
    with pytest.raises(OutputError, match=r"does not exist; create it first"):
        plot(given, volume, tmp_path / "none" / "qa.png")
