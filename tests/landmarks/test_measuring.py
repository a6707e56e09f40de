"""Distances, angles and lengths are right, and as sharp as they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chunkvol import Geometry
from chunkvol.errors import InputError
from chunkvol.landmarks import Landmarks
from chunkvol.landmarks.choosing import named
from chunkvol.landmarks.measuring import BOUND, POLYLINE, STRAIGHT, TOGETHER, UNPLACED, Measure, measure
from chunkvol.landmarks.uncertainty import covariances
from tests.support.grids import GRIDS, oblique_grid, sheared_grid

POINTS = np.array([[1.0, 2, 3], [4, -5, 6], [-7, 8, 2.5], [0.5, 0.25, -9]])


def points(rows: Any = POINTS, labels: str = "abcdefgh", **more: Any) -> Landmarks:
    return Landmarks(rows, tuple(labels[: len(rows)]), **more)


def scattered(grid: Geometry, places: np.ndarray, count: int = 200_000) -> np.ndarray:
    """Places that somebody put on voxels: uniform within a voxel's width along each axis of the array."""
    rng = np.random.default_rng(0)
    return places + rng.uniform(-0.5, 0.5, (count, len(places), 3)) @ grid.affine[:3, :3].T


def angles_of(drawn: np.ndarray) -> np.ndarray:
    one, other = drawn[:, 0] - drawn[:, 1], drawn[:, 2] - drawn[:, 1]
    cosine = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


# -------------------------------------------------------------------------------------------------------------- values


def test_all_distances_are_measured_in_the_points_order() -> None:
    found = measure(points())
    assert [one.points for one in found.distances] == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    for one in found.distances:
        a, b = one.points
        assert one.value == pytest.approx(np.linalg.norm(POINTS[a] - POINTS[b]), rel=1e-14)
        assert np.isnan(one.deviation)
    assert found.angles == found.lengths == ()


def test_chosen_pairs_and_angles_are_measured_and_nothing_else() -> None:
    corner = Landmarks([[3, 0, 0], [0, 0, 0], [0, 0, 2], [2, 0, 2]], ("x", "o", "z", "d"))
    found = measure(corner, pairs=[("d", "o"), (0, "z")], angles=[("x", "o", "z"), ("x", "o", "d")])
    assert [round(one.value, 9) for one in found.distances] == [round(8**0.5, 9), round(13**0.5, 9)]
    assert [one.value for one in found.angles] == pytest.approx([90, 45])


def test_markups_of_type_angle_have_one() -> None:
    found = measure(points(POINTS[:3], kind="Angle"))
    assert len(found.distances) == 3
    assert found.angles[0].points == (0, 1, 2)
    assert found.angles[0].value == pytest.approx(angles_of(POINTS[None, :3])[0])


@pytest.mark.parametrize(("kind", "length"), [("Curve", 7), ("ClosedCurve", 12)])
def test_curves_have_the_length_of_their_sides(kind: str, length: float) -> None:
    found = measure(points([[0, 0, 0], [3, 0, 0], [3, 4, 0]], kind=kind))
    assert found.lengths[0].value == pytest.approx(length)
    assert found.lengths[0].note == POLYLINE
    gap = measure(points([[0, 0, 0], [np.nan] * 3, [3, 0, 0], [3, 4, 0]], kind=kind))
    assert gap.lengths[0].value == pytest.approx(length)
    assert gap.lengths[0].note.startswith("1 points are not placed")
    assert measure(points(np.full((3, 3), np.nan), kind=kind)).lengths[0].note == UNPLACED


def test_points_that_are_not_placed_have_no_distance() -> None:
    found = measure(points([[0, 0, 0], [np.nan, 0, 0], [1, 0, 0]]), angles=[(0, 1, 2)], uncertainty=(1, 1, 1))
    assert [one.note for one in found.distances] == [UNPLACED, BOUND, UNPLACED]
    assert np.isnan(found.angles[0].value) and found.angles[0].note == UNPLACED


def test_an_angle_at_a_point_that_lies_on_another_is_none() -> None:
    found = measure(points([[1, 1, 1], [1, 1, 1], [5, 1, 1]]), angles=[(0, 1, 2)], uncertainty=(0.1, 0.1, 0.1))
    assert np.isnan(found.angles[0].value) and found.angles[0].note == TOGETHER


# ---------------------------------------------------------------------------------------------------------- deviations


@pytest.mark.parametrize("name", list(GRIDS))
def test_deviations_are_those_of_many_draws(name: str) -> None:
    grid = GRIDS[name]((30, 40, 50))
    places = grid.index_to_world([[3, 30, 20], [20, 8, 11.5], [14, 33, 47.25]])
    drawn = scattered(grid, places)
    found = measure(points(places), uncertainty=grid, angles=[(0, 1, 2)])
    for one in found.distances:
        a, b = one.points
        many = np.linalg.norm(drawn[:, a] - drawn[:, b], axis=1)
        assert one.deviation == pytest.approx(many.std(), rel=0.02), one
        assert not one.note
    assert found.angles[0].deviation == pytest.approx(angles_of(drawn).std(), rel=0.03)


@pytest.mark.parametrize("kind", ["Curve", "ClosedCurve"])
def test_lengths_of_curves_deviate_as_many_draws_do(kind: str) -> None:
    grid = oblique_grid((30, 40, 50))
    places = grid.index_to_world([[3, 30, 20], [20, 8, 11.5], [14, 33, 47.25], [25, 5, 5]])
    drawn = scattered(grid, places, 100_000)
    ends = np.roll(drawn, -1, axis=1) if kind == "ClosedCurve" else drawn[:, 1:]
    sides = np.linalg.norm(ends - drawn[:, : ends.shape[1]], axis=2)
    found = measure(points(places, kind=kind), uncertainty=grid)
    assert found.lengths[0].deviation == pytest.approx(sides.sum(1).std(), rel=0.02)


def test_a_voxel_is_a_uniform_distribution_along_the_axes_of_the_array() -> None:
    grid = sheared_grid((9, 9, 9))
    draws = scattered(grid, np.zeros((1, 3)))[:, 0]
    assert np.allclose(covariances(grid, 2)[1], np.cov(draws.T), atol=0.005)
    plain = Geometry((5, 5, 5), spacing=(0.5, 0.2, 0.1))
    assert np.allclose(covariances(plain, 1)[0], np.diag([0.05**2, 0.1**2, 0.25**2]) / 3)
    assert np.allclose(covariances((0.05, 0.1, 0.25), 1), covariances(plain, 1))


def test_each_point_may_be_known_differently() -> None:
    spread = np.zeros((3, 3, 3))
    spread[0] = np.diag([0.04, 9, 9])
    spread[2] = np.diag([0.09, 0.09, 0.09])
    found = measure(Landmarks([[0, 0, 0], [50, 0, 0], [0, 50, 0]], ("a", "b", "c")), uncertainty=spread)
    assert [one.deviation for one in found.distances] == pytest.approx([0.2, (9 + 0.09) ** 0.5, 0.3])


def test_close_points_have_the_bound_of_all_directions() -> None:
    near = points([[0, 0, 0], [0, 0, 0], [0.1, 0, 0], [9, 0, 0]])
    found = {one.points: one for one in measure(near, uncertainty=(0.3, 0.6, 0.3)).distances}
    bound = (2 * 0.6**2 / 3) ** 0.5
    assert found[0, 1].value == 0 and found[0, 1].deviation == pytest.approx(bound) and found[0, 1].note == BOUND
    assert found[0, 2].note == BOUND
    assert found[0, 3] == Measure((0, 3), 9.0, pytest.approx((2 * 0.3**2 / 3) ** 0.5), "")


def test_the_bound_of_close_points_is_none_that_draws_exceed() -> None:
    grid = oblique_grid((9, 9, 9))
    for gap in (0.0, 0.2, 0.4):
        places = np.array([[0, 0, 0], [gap, 0, 0]])
        drawn = scattered(grid, places, 50_000)
        one = measure(points(places), uncertainty=grid).distances[0]
        assert one.note == BOUND
        assert np.linalg.norm(drawn[:, 0] - drawn[:, 1], axis=1).std() <= one.deviation


@pytest.mark.parametrize("row", [[[-9.0, 0, 0], [0, 0, 0], [7, 0, 0]], [[9.0, 0, 0], [0, 0, 0], [7, 0.01, 0]]])
def test_straight_angles_have_a_bound_that_draws_do_not_exceed(row: Any) -> None:
    grid = oblique_grid((9, 9, 9))
    drawn = scattered(grid, np.array(row), 50_000)
    one = measure(points(row), uncertainty=grid, angles=[(0, 1, 2)]).angles[0]
    assert one.note == STRAIGHT
    assert angles_of(drawn).std() <= one.deviation < 6


def test_angles_of_sides_that_are_as_short_as_voxels_say_so() -> None:
    one = measure(points([[0.1, 0, 0], [0, 0, 0], [0, 9, 0]]), uncertainty=(0.2, 0.2, 0.2), angles=[(0, 1, 2)])
    assert one.angles[0].note == BOUND and one.angles[0].value == pytest.approx(90)


# --------------------------------------------------------------------------------------------------------------- rows


def test_rows_name_points_and_leave_out_what_is_not_known() -> None:
    given = Landmarks([[0, 0, 0], [3, 4, 0], [0, 4, 0]], ("a", "a", ""), kind="Curve")
    rows = measure(given, pairs=[(0, 2)], angles=[(0, 2, 1)], uncertainty=(0.3, 0.3, 0.3)).rows()
    assert list(rows[0]) == ["from", "to", "mm", "sd_mm", "via", "degrees", "sd_degrees", "note"]
    assert [list(row.values())[:7] for row in rows] == [
        ["a #1", "#3", "8", "0.395", "1 points", "", ""],
        ["a #1", "#3", "4", "0.2449", "", "", ""],
        ["a #1", "a #2", "", "", "#3", "90", rows[2]["sd_degrees"]],
    ]
    assert [row["sd_mm"] for row in measure(given, pairs=[(0, 2)]).rows()] == ["", ""]


# -------------------------------------------------------------------------------------------------------- what is meant


def test_typed_pairs_are_labels_or_numbers_and_may_hold_hyphens() -> None:
    given = Landmarks(np.zeros((6, 3)), ("L-1", "L", "1", "M", "M", "1-M"))
    assert named(given, "#1-#5", 2) == (0, 4)
    assert named(given, "1-L", 2) == (2, 1)
    assert named(given, "L-1-L", 2) == (0, 1)
    assert named(given, "#4-L-1-1", 3) == (3, 0, 2)
    with pytest.raises(InputError, match=r"2 ways, as labels hold hyphens: write numbers"):
        named(given, "L-1-M", 2)
    with pytest.raises(InputError, match=r"'L' does not name 2 points; write A-B"):
        named(given, "L", 2)
    with pytest.raises(InputError, match=r"2 points are labelled 'M': name one by its number \(#4, #5\)"):
        named(given, "L-M", 2)
    with pytest.raises(InputError, match=r"no point is labelled 'X'; there are L-1, L, 1, M, M, 1-M, or numbers"):
        named(given, "L-X", 2)
    with pytest.raises(InputError, match=r"points #1 to #6, not #7"):
        named(given, "#7-L", 2)
    with pytest.raises(InputError, match=r"between two points, each another one; found L, L"):
        named(given, "L-L", 2)


def test_what_cannot_be_measured_is_refused() -> None:
    many = Landmarks(np.random.default_rng(0).normal(size=(201, 3)), tuple(map(str, range(201))))
    with pytest.raises(
        InputError, match=r"201 points have 20100 distances; .* at most 200 points: say which by --pairs"
    ):
        measure(many)
    assert len(measure(many, pairs=[(0, 200)]).distances) == 1
    assert len(measure(many, angles=[(0, 1, 2)]).distances) == 0
    with pytest.raises(InputError, match=r"points 0 to 3, not 4"):
        measure(points(), pairs=[(0, 4)])
    with pytest.raises(InputError, match=r"an angle has three points, each another one; found 0, 1, 0"):
        measure(points(), angles=[(0, 1, 0)])
    with pytest.raises(InputError, match=r"voxel indices"):
        measure(points(frame="IJK"))
    with pytest.raises(InputError, match=r"three half widths .* found \[1.0, -1.0, 1.0\]"):
        measure(points(), uncertainty=(1, -1, 1))
    with pytest.raises(InputError, match=r"shape \(3, 3\) or \(4, 3, 3\) in mm\^2, found \(2, 3, 3\)"):
        measure(points(), uncertainty=np.zeros((2, 3, 3)))
    with pytest.raises(InputError, match=r"finite and symmetric"):
        measure(points(), uncertainty=np.array([[1, 2, 0], [0, 1, 0], [0, 0, 1.0]]))
