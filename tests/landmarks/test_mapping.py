"""Points between volumes: a point goes to the same place of the same body, there and back, with an honest error bar."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkvol import Geometry, Volume
from chunkvol.errors import InputError
from chunkvol.geometry.relation import Relation, parse_relation
from chunkvol.landmarks.files import read_landmarks, write_landmarks
from chunkvol.landmarks.indices import index_points, place_landmarks, place_points
from chunkvol.landmarks.mapping import localisation, map_landmarks
from chunkvol.landmarks.pixels import PIXEL_FRAMES, pixel_indices, read_pixels
from chunkvol.landmarks.points import Landmarks
from chunkvol.regions import Shape
from tests.support.grids import GRIDS, grids, oblique_grid

NAN = float("nan")

RELATIONS: list[tuple[str, Shape, Shape]] = [
    ("stride:2,3,4", (4, 5, 9), (16, 14, 18)),
    ("mean:2,3,4", (4, 4, 9), (16, 14, 18)),
    ("resize", (5, 8, 11), (16, 14, 18)),
    ("zoom", (5, 8, 11), (16, 14, 18)),
    ("crop:2:,:-3,1:9+mean:2+flip:xz", (4, 5, 8), (16, 14, 18)),
    ("stride:1,1,2+mean:2,2,1+axes:zxy", (7, 9, 8), (16, 14, 18)),
]
"""How A was made, its shape, and B's (k, j, i)."""


def points_in(shape: Shape, count: int = 20, seed: int = 0) -> npt.NDArray[np.float64]:
    """Fractional indices (i, j, k) all over a grid, and somewhat beyond."""
    return np.random.default_rng(seed).uniform(-1.5, np.array(shape[::-1]) + 0.5, (count, 3))


def landmarks_at(points: npt.ArrayLike, **more: object) -> Landmarks:
    points = np.asarray(points, float).reshape(-1, 3)
    return Landmarks(points, tuple(f"L{n}" for n in range(len(points))), **more)  # type: ignore[arg-type]  # fields


# -------------------------------------------------------------------------------------------------------------- laws


@settings(max_examples=50)
@given(grid=grids(), seed=st.integers(0, 99))
def test_indices_come_back_as_the_places_that_they_were(grid: Geometry, seed: int) -> None:
    index = points_in(grid.shape, seed=seed)
    found = index_points(landmarks_at(place_points(index, grid)), grid)
    assert np.abs(found.fractional - index).max() < 1e-9
    assert np.array_equal(found.nearest, np.floor(index + 0.5))
    size = np.array(grid.shape[::-1])
    assert np.array_equal(found.inside, ((index >= -0.5) & (index <= size - 0.5)).all(axis=1))


@pytest.mark.parametrize(("text", "made", "source"), RELATIONS)
@pytest.mark.parametrize("grid", GRIDS)
def test_a_point_goes_to_the_same_voxel_of_the_body(grid: str, text: str, made: Shape, source: Shape) -> None:
    """A was opened without a header: its own grid says nothing of where it came from."""
    to, apparent = GRIDS[grid](source), Geometry(made)
    index = points_in(made)
    mapped = map_landmarks(landmarks_at(place_points(index, apparent)), apparent, to, parse_relation(text))
    true = parse_relation(text).geometry(made, to)
    assert np.abs(mapped.landmarks.points - place_points(index, true)).max() < 1e-9
    assert np.abs(mapped.index_from.fractional - index).max() < 1e-9
    assert mapped.proof < 1e-9
    assert mapped.uncertainty == localisation(true)


@pytest.mark.parametrize(("text", "made", "source"), RELATIONS)
def test_the_affine_says_the_same_of_all_space(text: str, made: Shape, source: Shape) -> None:
    to, apparent = oblique_grid(source), oblique_grid(made, degrees=(3, 50, 7), mirrored=True)
    start = place_points(points_in(made), apparent)
    mapped = map_landmarks(landmarks_at(start), apparent, to, parse_relation(text))
    moved = start @ mapped.affine[:3, :3].T + mapped.affine[:3, 3]
    assert np.abs(moved - mapped.landmarks.points).max() < 1e-9


@pytest.mark.parametrize(("text", "made", "source"), RELATIONS)
def test_there_and_back_is_where_it_was(text: str, made: Shape, source: Shape) -> None:
    to, apparent = oblique_grid(source), Geometry(made)
    start = place_points(points_in(made), apparent)
    mapped = map_landmarks(landmarks_at(start), apparent, to, parse_relation(text))
    back = (mapped.landmarks.points - mapped.affine[:3, 3]) @ np.linalg.inv(mapped.affine[:3, :3]).T
    assert np.abs(back - start).max() < 1e-9


@settings(max_examples=30)
@given(a=grids(), b=grids())
def test_without_a_relation_world_points_stand_still(a: Geometry, b: Geometry) -> None:
    given = landmarks_at(place_points(points_in(a.shape), a))
    mapped = map_landmarks(given, a, b)
    assert np.array_equal(mapped.landmarks.points, given.points)
    assert np.array_equal(mapped.affine, np.eye(4))
    assert mapped.proof < 1e-6 * max(a.spacing)
    assert np.allclose(mapped.index_to.fractional, b.world_to_index(given.points)[:, ::-1])


def test_the_half_voxel_is_right_for_each_method() -> None:
    """The voxel (1, 1, 1) of A is voxel 2 of a stride, voxels 2 and 3 of a mean."""
    b, a = Geometry((8, 8, 8)), Geometry((4, 4, 4))
    one = landmarks_at([1, 1, 1])
    places = {
        text: map_landmarks(one, a, b, Relation(text)).landmarks.points[0].tolist()
        for text in ("stride:2", "mean:2", "resize", "flip:x+stride:2", "stride:2+flip:x")
    }
    assert places == {
        "stride:2": [2, 2, 2],
        "mean:2": [2.5, 2.5, 2.5],
        "resize": [2.5, 2.5, 2.5],
        "flip:x+stride:2": [5, 2, 2],
        "stride:2+flip:x": [4, 2, 2],
    }


# ----------------------------------------------------------------------------------------------------------- corners


def test_a_point_on_a_face_is_inside_and_in_the_voxel_there() -> None:
    grid = oblique_grid((4, 5, 6))
    index = [[-0.5, 2, 2], [5.5, 4.5, 3.5], [5.6, 2, 2], [2, 2, -0.51]]
    found = index_points(landmarks_at(place_points(index, grid)), grid)
    assert found.inside.tolist() == [True, True, False, False]
    assert found.nearest.tolist() == [[0, 2, 2], [5, 4, 3], [6, 2, 2], [2, 2, -1]]


def test_points_that_are_not_placed_stay_so_and_count_as_nothing() -> None:
    grid = oblique_grid((4, 5, 6))
    given = landmarks_at(np.vstack([[NAN] * 3, place_points([1, 2, 3], grid)]))
    for relation in (None, parse_relation("same")):
        mapped = map_landmarks(given, grid, grid, relation)
        assert np.isnan(mapped.landmarks.points[0]).all()
        assert mapped.landmarks.descriptions[0] == ""
        assert mapped.index_to.nearest[0].tolist() == [-1, -1, -1]
        assert mapped.index_to.inside.tolist() == [False, True]
        assert mapped.lost.tolist() == [False, False]
    text = json.dumps(mapped.to_json(), allow_nan=False)
    assert json.loads(text)["landmarks"][0]["position"] is None
    assert map_landmarks(landmarks_at(np.zeros((0, 3))), grid, grid).proof == 0
    assert map_landmarks(landmarks_at(np.full((1, 3), NAN)), grid, grid).proof == 0


def test_uncertainty_is_half_a_voxel_of_what_points_were_placed_on() -> None:
    fine = Geometry((8, 8, 8), spacing=(0.04, 0.03, 0.02))
    mapped = map_landmarks(landmarks_at([1, 1, 1]), Geometry((4, 4, 4)), fine, parse_relation("mean:2"))
    assert np.allclose(mapped.uncertainty.axes, (0.02, 0.03, 0.04))
    assert np.allclose(mapped.uncertainty.world, (0.02, 0.03, 0.04))
    assert str(mapped.uncertainty) == "+-0.02,0.03,0.04 mm (x, y, z)"
    assert "+-0.02,0.03,0.04" in str(mapped)


def test_uncertainty_in_the_world_holds_the_whole_voxel() -> None:
    grid = oblique_grid((4, 5, 6))
    corners = Geometry((1, 1, 1), grid.origin, grid.spacing, grid.direction).corners_of_faces - grid.origin
    assert np.allclose(localisation(grid).world, np.abs(corners).max(axis=0))


def test_descriptions_that_say_something_are_kept_to_the_letter() -> None:
    """SlicerMorph asks for exactly Semi; a description of an earlier mapping is replaced."""
    grid = Geometry((4, 5, 6), spacing=(0.1, 0.1, 0.1))
    given = landmarks_at([[0.1, 0.1, 0.1]] * 3 + [[9, 9, 9]] * 2, descriptions=("Semi", "", "+-1,1,1 mm", "", "left"))
    mapped = map_landmarks(given, grid, grid)
    assert mapped.landmarks.descriptions == (
        "Semi",
        "+-0.05,0.05,0.05 mm (x, y, z)",
        "+-0.05,0.05,0.05 mm (x, y, z)",
        "+-0.05,0.05,0.05 mm (x, y, z); outside the field of view",
        "left",
    )
    assert mapped.lost.tolist() == [False, False, False, True, True]
    assert mapped.landmarks.labels == given.labels


def test_a_table_has_the_uncertainty_and_who_sees_it_as_columns(tmp_path: Path) -> None:
    grid = Geometry((4, 5, 6), spacing=(0.1, 0.1, 0.1))
    given = landmarks_at(np.array([[0.1, 0.1, 0.1], [9, 9, 9], [NAN] * 3]), descriptions=("Semi", "", ""))
    mapped = map_landmarks(given, grid, grid)
    write_landmarks(mapped.tabled, tmp_path / "out.csv")
    rows = [line.split(",") for line in (tmp_path / "out.csv").read_text().splitlines()]
    named = dict(zip(rows[0], rows[1], strict=True))
    assert named["description"] == "Semi" and named["inside"] == "1"
    assert named["uncertainty_x_mm"] == "0.05"
    assert rows[2][-1] == "0" and rows[3][-1] == ""
    again = read_landmarks(tmp_path / "out.csv")
    assert np.array_equal(again.points, mapped.landmarks.points, equal_nan=True)


def test_a_table_of_voxels_comes_back_as_places(tmp_path: Path) -> None:
    grid = oblique_grid((9, 8, 7))
    given = landmarks_at(np.vstack([place_points(points_in(grid.shape), grid), [[NAN] * 3]]), frame="RAS")
    found = index_points(given, Volume(np.zeros(grid.shape, "u1"), grid))
    write_landmarks(found.listed(given), tmp_path / "voxels.csv")
    header = (tmp_path / "voxels.csv").read_text().splitlines()[0].split(",")
    assert header[:4] == ["label", "i", "j", "k"]
    assert {"nearest_i", "nearest_j", "nearest_k", "inside"} <= set(header)
    listed = read_landmarks(tmp_path / "voxels.csv")
    again = place_landmarks(listed, grid)
    assert np.nanmax(np.abs(again.points - given.points)) < 1e-9
    assert again.labels == given.labels and again.frame == "LPS" and "inside" not in again.columns
    with pytest.raises(InputError, match=r"voxel indices \(ijk\) already"):
        index_points(listed, grid)
    with pytest.raises(InputError, match=r"the points are places \(LPS\) already"):
        place_landmarks(again, grid)


def test_markups_keep_all_but_their_places(tmp_path: Path) -> None:
    grid = Geometry((4, 5, 6), spacing=(0.125, 0.25, 0.5))
    given = landmarks_at(
        [[0.125, 0.25, 0.375], [0.25, 0.25, 0.125]], frame="RAS", kind="Line", descriptions=("Semi", "")
    )
    write_landmarks(given, tmp_path / "a.mrk.json")
    read = read_landmarks(tmp_path / "a.mrk.json")
    write_landmarks(map_landmarks(read, grid, grid, parse_relation("same")).landmarks, tmp_path / "b.mrk.json")
    a, b = (json.loads((tmp_path / name).read_text())["markups"][0] for name in ("a.mrk.json", "b.mrk.json"))
    assert b["type"] == "Line" and b["coordinateSystem"] == "RAS"
    assert b["controlPoints"][0] == a["controlPoints"][0]
    assert b["controlPoints"][1]["description"].startswith("+-")


def test_a_million_points_take_less_than_two_seconds() -> None:
    fine, coarse = oblique_grid((900, 800, 700)), Geometry((450, 400, 350))
    given = landmarks_at(np.random.default_rng(0).uniform(0, 400, (1_000_000, 3)))
    started = time.process_time()
    map_landmarks(given, coarse, fine, parse_relation("mean:2"))
    assert time.process_time() - started < 2


# ------------------------------------------------------------------------------------------------------------ pixels


def test_pixels_of_other_programs_are_voxels_of_ours() -> None:
    centre = {frame: pixel_indices([row.centre], frame).tolist() for frame, row in PIXEL_FRAMES.items()}
    assert set(map(str, centre.values())) == {"[[0.0, 0.0, 0.0]]"}
    assert pixel_indices([[3, 4, 5]], "ijk").tolist() == [[5, 4, 3]]
    assert pixel_indices([[3.25, 4, 5]], "fiji-pixels").tolist() == [[4, 4, 3.25]]
    assert pixel_indices([[3.5, 4.5, 5]], "fiji-pixels-corner").tolist() == [[4, 4, 3]]
    assert np.allclose(pixel_indices([[0.3, 0.8, 5]], "fiji-calibrated", (9, 0.2, 0.1)), [[4, 4, 3]])
    assert np.allclose(pixel_indices([[0.35, 0.9, 5]], "fiji-calibrated-corner", (9, 0.2, 0.1)), [[4, 4, 3]])
    with pytest.raises(InputError, match="'fiji' is no frame of pixels; there are ijk, fiji-pixels"):
        pixel_indices([[0, 0, 0]], "fiji")


@pytest.mark.parametrize("separator", [",", "\t"])
def test_a_list_of_results_of_imagej_is_read(tmp_path: Path, separator: str) -> None:
    rows = [" ,Area,Mean,X,Y,Slice,Counter,Count", "1,0,117,12,7,3,0,2", "2,0,98,30.5,2,9,0,2"]
    path = tmp_path / "Results.csv"
    path.write_text("\n".join(row.replace(",", separator) for row in rows) + "\n")
    grid = oblique_grid((20, 30, 40))
    found = read_pixels(path, "fiji-pixels", grid)
    assert found.labels == ("1", "2") and found.frame == "LPS"
    assert np.allclose(index_points(found, grid).fractional, np.array([[12, 7, 2], [30.5, 2, 8]]))


def test_calibrated_lists_are_in_the_unit_that_was_said(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("label,x,y,z\na,300,800,5\n")
    grid = Geometry((20, 30, 40), spacing=(0.3, 0.2, 0.1))
    found = read_pixels(path, "fiji-calibrated", grid, units="um")
    assert np.allclose(index_points(found, grid).fractional, [[3, 4, 4]])
    with pytest.raises(InputError, match="units um do not go with frame fiji-pixels"):
        read_pixels(path, "fiji-pixels", grid, units="um")


def test_calibrated_lists_that_only_micrometres_place_are_not_taken_as_millimetres(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("label,x,y,z\na,300,800,5\nb,1200,4000,1\n")
    grid = Geometry((20, 30, 40), spacing=(0.3, 0.2, 0.1))
    with pytest.raises(InputError, match=r"points\.csv does not say in which unit .* as um all within; say --units um"):
        read_pixels(path, "fiji-calibrated", grid)
    far = read_pixels(path, "fiji-calibrated", grid, units="mm")
    assert not index_points(far, grid).inside.any()
    path.write_text("label,x,y,z\na,0.3,0.8,5\n")
    assert np.allclose(index_points(read_pixels(path, "fiji-calibrated", grid), grid).fractional, [[3, 4, 4]])
