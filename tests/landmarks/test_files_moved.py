"""Landmarks moved by an affine: points, their orientations, and all that says where planes and regions lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chunkvol.errors import InputError
from chunkvol.landmarks import Landmarks, moved, read_landmarks, write_landmarks
from chunkvol.markups import Markup, read_markup
from tests.landmarks.test_files_slicer import AXES, PLACES, SCHEMA, markup, matrix
from tests.support.grids import rotation

TURN = rotation(-40, 65, 10)
RIGID = matrix(TURN, [5, -6, 70])
SIMILAR = matrix(2.5 * TURN, [5, -6, 70])
LONGER = matrix(TURN @ AXES @ np.diag([2.0, 0.5, 3.0]) @ AXES.T, [1, 2, 3])
"""Each axis of the region by another factor."""
_OWN = AXES @ rotation(0, 0, 30)
BROADER = matrix(TURN @ _OWN @ np.diag([2.0, 0.5, 3.0]) @ _OWN.T, [1, 2, 3])
"""Each axis of the plane by another factor."""
SHEAR = matrix([[1, 0.3, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0])
MIRROR = matrix(np.diag([-1.0, 1, 1]), [9, 0, 0])


def read(kind: str, folder: Path, **more: Any) -> tuple[Landmarks, Markup]:
    path = folder / "in.mrk.json"
    path.write_text(json.dumps({"@schema": SCHEMA, "markups": [markup(kind, name="P", **more)]}))
    return read_landmarks(path), read_markup(path, kind)


def written(landmarks: Landmarks, folder: Path) -> tuple[dict[str, Any], Markup]:
    path = folder / "out.mrk.json"
    write_landmarks(landmarks, path)
    return json.loads(path.read_text())["markups"][0], read_markup(path, landmarks.kind)


@pytest.mark.parametrize("affine", [RIGID, SIMILAR, LONGER, SHEAR, MIRROR])
@pytest.mark.parametrize("kind", ["Fiducial", "Line", "Angle", "Curve", "ClosedCurve"])
def test_points_and_curves_go_through_any_affine(kind: str, affine: Any, tmp_path: Path) -> None:
    found, _ = read(kind, tmp_path)
    gone = moved(found, affine)
    np.testing.assert_allclose(gone.points, PLACES @ affine[:3, :3].T + affine[:3, 3])
    data, _ = written(gone, tmp_path)
    for one in data["controlPoints"]:
        turn = np.reshape(one["orientation"], (3, 3))
        np.testing.assert_allclose(turn.T @ turn, np.eye(3), atol=1e-12)
        assert np.linalg.det(turn) > 0
    back = moved(gone, np.linalg.inv(affine))
    np.testing.assert_allclose(back.points, PLACES, atol=1e-12)
    if affine is RIGID or affine is SIMILAR:
        np.testing.assert_allclose(np.reshape(data["controlPoints"][0]["orientation"], (3, 3)), TURN @ AXES)
        np.testing.assert_allclose(back.columns["orientation"][0], AXES.ravel())


@pytest.mark.parametrize("system", ["LPS", "RAS"])
@pytest.mark.parametrize(
    ("kind", "affine", "factors"),
    [
        ("Plane", RIGID, (1, 1, 1)),
        ("Plane", SIMILAR, (2.5, 2.5, 2.5)),
        ("Plane", BROADER, (2, 0.5, 3)),
        ("ROI", RIGID, (1, 1, 1)),
        ("ROI", SIMILAR, (2.5, 2.5, 2.5)),
        ("ROI", LONGER, (2, 0.5, 3)),
    ],
)
def test_planes_and_regions_lie_where_their_points_do(
    kind: str, affine: Any, factors: Any, system: str, tmp_path: Path
) -> None:
    found, before = read(kind, tmp_path, system=system)
    data, after = written(moved(found, affine), tmp_path)
    assert before.box and after.box  # the reader of planes refuses what states its place twice and differently
    linear = affine[:3, :3]
    np.testing.assert_allclose(after.box.origin, linear @ before.box.origin + affine[:3, 3], atol=1e-9)
    axes = linear @ np.array(before.box.axes)
    np.testing.assert_allclose(after.box.axes, axes / np.linalg.norm(axes, axis=0), atol=1e-12)
    np.testing.assert_allclose(after.box.high, np.multiply(before.box.high, factors), atol=1e-12)
    np.testing.assert_allclose(after.box.low, np.multiply(before.box.low, factors), atol=1e-12)
    assert (data["coordinateSystem"], data["display"]["visibility"]) == (system, False)


@pytest.mark.parametrize(
    "drop", [("orientation", "normal"), ("baseToNode", "objectToBase"), ("objectToBase",), ("normal",)]
)
def test_planes_move_by_whatever_states_their_place(drop: Any, tmp_path: Path) -> None:
    more = dict.fromkeys(drop)
    if drop == ("objectToBase",):  # then the base alone is the place
        more |= dict.fromkeys(("center", "normal", "orientation"))
    found, before = read("Plane", tmp_path, **more)
    _, after = written(moved(found, SIMILAR), tmp_path)
    assert before.box and after.box
    linear = SIMILAR[:3, :3]
    np.testing.assert_allclose(after.box.origin, linear @ before.box.origin + SIMILAR[:3, 3], atol=1e-9)
    np.testing.assert_allclose(np.array(after.box.axes), TURN @ np.array(before.box.axes), atol=1e-12)
    np.testing.assert_allclose(after.box.high, np.multiply(before.box.high, 2.5), atol=1e-12)


def test_matrices_of_a_moved_plane_have_axes_of_length_one(tmp_path: Path) -> None:
    data, _ = written(moved(read("Plane", tmp_path)[0], SIMILAR), tmp_path)
    for name in ("baseToNode", "objectToBase"):
        axes = np.reshape(data[name], (4, 4))[:3, :3]
        np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)


def test_a_plane_moved_there_and_back_is_the_same(tmp_path: Path) -> None:
    found, _ = read("Plane", tmp_path)
    data, _ = written(moved(moved(found, SIMILAR), np.linalg.inv(SIMILAR)), tmp_path)
    before = markup("Plane")
    for name in ("center", "normal", "orientation", "size", "planeBounds", "baseToNode", "objectToBase"):
        np.testing.assert_allclose(data[name], before[name], atol=1e-12)


def test_a_normal_alone_moves_with_its_plane(tmp_path: Path) -> None:
    more = dict.fromkeys(("orientation", "baseToNode", "objectToBase"))
    found, before = read("Plane", tmp_path, **more)
    _, after = written(moved(found, SIMILAR), tmp_path)
    assert before.box and after.box
    np.testing.assert_allclose(np.array(after.box.axes)[:, 2], TURN @ np.array(before.box.axes)[:, 2], atol=1e-12)
    np.testing.assert_allclose(after.box.high, np.multiply(before.box.high, 2.5))


@pytest.mark.parametrize("kind", ["Plane", "ROI"])
def test_planes_and_regions_are_not_sheared_or_mirrored(kind: str, tmp_path: Path) -> None:
    found, _ = read(kind, tmp_path)
    with pytest.raises(InputError, match=f"the {kind} P would be sheared: its axes would not stay at right angles"):
        moved(found, SHEAR)
    with pytest.raises(InputError, match=f"the {kind} P would be mirrored"):
        moved(found, MIRROR)


@pytest.mark.parametrize("axes", [[0.0] * 9, [1e300] * 9])
def test_axes_that_are_none_are_refused(axes: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"@schema": SCHEMA, "markups": [markup("ROI", name="P", orientation=axes)]}))
    with pytest.raises(InputError, match="the ROI P has an axis of no length, or of one beyond all numbers"):
        moved(read_landmarks(path), RIGID)


def test_lengths_that_change_are_measured_again(tmp_path: Path) -> None:
    found, _ = read("Line", tmp_path)
    assert written(moved(found, RIGID), tmp_path)[0]["measurements"][0]["value"] == 12.5
    measured = written(moved(found, SIMILAR), tmp_path)[0]["measurements"][0]
    assert "value" not in measured and measured["name"] == "length"


def test_points_that_are_not_placed_stay_so() -> None:
    gone = moved(Landmarks([[1, 2, 3], [np.nan] * 3], ("a", "b")), RIGID)  # type: ignore[arg-type]  # as callers have them
    assert gone.placed.tolist() == [True, False]


@pytest.mark.parametrize("affine", [np.eye(3), np.full((4, 4), np.nan), np.diag([1, 1, 1, 2]), np.ones((4, 4))])
def test_what_is_no_affine_is_refused(affine: Any) -> None:
    with pytest.raises(InputError, match="4 x 4 finite numbers"):
        moved(Landmarks(PLACES, "abc"), affine)


def test_a_singular_affine_is_refused() -> None:
    with pytest.raises(InputError, match="singular"):
        moved(Landmarks(PLACES, "abc"), np.diag([1, 1, 0, 1]))
