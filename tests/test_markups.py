"""Slicer's planes and regions: as Slicer writes them, as scripts do, in every system and unit."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chunkvol.errors import InputError
from chunkvol.geometry import Box
from chunkvol.markups import Markup, read_markup, read_markups
from tests.support.grids import rotation

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Between RAS, in which Slicer computes, and LPS."""
CENTRE = np.array([12.5, -30.25, 7.0])
AXES = rotation(20, -35, 50)
SIZE = (30.0, 20.0, 10.0)
P0, P1, P2 = np.array([1.0, 2, 3]), np.array([5.0, 1, -2]), np.array([-3.0, 7, 4])


def matrix(axes: Any, origin: Any) -> Any:
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = axes, origin
    return out


def slicers_plane(base: Any, inner: Any, system: str = "LPS", **more: Any) -> dict[str, Any]:
    """What Slicer writes of a plane whose matrices in RAS are `base` (baseToNode) and `inner` (objectToBase)."""
    turn = RAS if system == "LPS" else np.eye(4)
    whole = turn @ base @ inner  # into the file's system
    return {
        "type": "Plane",
        "name": "P",
        "coordinateSystem": system,
        "coordinateUnits": "mm",
        "planeType": "pointNormal",
        "sizeMode": "auto",
        "autoScalingFactor": 1.0,
        "center": whole[:3, 3].tolist(),
        "normal": whole[:3, 2].tolist(),
        "objectToBase": (turn @ inner).ravel().tolist(),
        "baseToNode": (turn @ base).ravel().tolist(),
        "orientation": whole[:3, :3].ravel().tolist(),
        "size": [SIZE[0], SIZE[1], 0.0],
        "planeBounds": [-SIZE[0] / 2, SIZE[0] / 2, -SIZE[1] / 2, SIZE[1] / 2],
        "controlPoints": [point(turn[:3, :3] @ base[:3, 3])],
        **more,
    }


def slicers_region(system: str = "LPS", **more: Any) -> dict[str, Any]:
    """A region whose centre and axes are CENTRE and AXES in LPS."""
    turn = np.eye(3) if system == "LPS" else RAS[:3, :3]
    return {
        "type": "ROI",
        "name": "R",
        "coordinateSystem": system,
        "coordinateUnits": "mm",
        "roiType": "Box",
        "center": (turn @ CENTRE).tolist(),
        "orientation": (turn @ AXES).ravel().tolist(),
        "size": list(SIZE),
        "insideOut": False,
        "controlPoints": [point(turn @ CENTRE)],
        **more,
    }


def point(position: Any, **more: Any) -> dict[str, Any]:
    return {"id": "1", "label": "P-1", "position": list(map(float, position)), "positionStatus": "defined", **more}


def without(markup: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in markup.items() if name not in names}


@pytest.fixture
def saved(tmp_path: Path) -> Any:
    def save(*markups: Any, **more: Any) -> Path:
        path = tmp_path / "a.mrk.json"
        path.write_text(json.dumps({"@schema": SCHEMA, "markups": list(markups), **more}), encoding="utf-8")
        return path

    return save


def assert_box(box: Box | None, origin: Any, axes: Any, low: Any, high: Any) -> None:
    assert box is not None
    np.testing.assert_allclose(box.origin, origin, atol=1e-12)
    np.testing.assert_allclose(box.axes, axes, atol=1e-12)
    np.testing.assert_allclose(box.low, low, atol=1e-12)
    np.testing.assert_allclose(box.high, high, atol=1e-12)


# -------------------------------------------------------------------------------------------------------- regions


HALF = np.array(SIZE) / 2


@pytest.mark.parametrize("system", ["LPS", "RAS"])
def test_a_region_lies_where_it_was_drawn(system: str, saved: Any) -> None:
    (region,) = read_markups(saved(slicers_region(system)))
    assert (region.kind, region.name, region.inside_out) == ("ROI", "R", False)
    assert_box(region.box, CENTRE, AXES, -HALF, HALF)
    np.testing.assert_allclose(region.points[0].position, CENTRE)  # type: ignore[arg-type]


@pytest.mark.parametrize(("stated", "system"), [("0", "RAS"), ("1", "LPS"), (0, "RAS"), (1, "LPS"), (None, "LPS")])
def test_systems_of_old_versions_and_none_at_all_are_known(stated: Any, system: str, saved: Any) -> None:
    region = slicers_region(system) | {"coordinateSystem": stated}
    if stated is None:
        region = without(region, "coordinateSystem")
    assert_box(read_markup(saved(region), "ROI").box, CENTRE, AXES, -HALF, HALF)


@pytest.mark.parametrize(
    ("unit", "mm"),
    [("mm", 1), ("um", 1e-3), ("cm", 10), ("m", 1000), (["mm", "UCUM", "millimeter"], 1), (["um", "UCUM", "x"], 1e-3)],
)
def test_lengths_of_every_unit_become_millimetres(unit: Any, mm: float, saved: Any) -> None:
    region = read_markup(saved(slicers_region(coordinateUnits=unit)), "ROI")
    assert_box(region.box, CENTRE * mm, AXES, -HALF * mm, HALF * mm)
    inner = matrix(rotation(3, 4, 5), (1, 2, 3))
    plane = slicers_plane(matrix(AXES, CENTRE), inner, coordinateUnits=unit)
    whole = RAS @ matrix(AXES, CENTRE) @ inner
    low, high = [-15 * mm, -10 * mm, 0], [15 * mm, 10 * mm, 0]
    assert_box(read_markup(saved(plane), "Plane").box, whole[:3, 3] * mm, whole[:3, :3], low, high)
    bare = without(plane, "center", "orientation", "normal")
    assert_box(read_markup(saved(bare), "Plane").box, whole[:3, 3] * mm, whole[:3, :3], low, high)


def test_what_scripts_leave_out_is_found_where_slicer_finds_it(saved: Any) -> None:
    region = without(slicers_region(), "center", "coordinateUnits", "insideOut")
    assert_box(read_markup(saved(region), "ROI").box, CENTRE, AXES, -HALF, HALF)
    straight = without(slicers_region(), "orientation")
    assert_box(read_markup(saved(straight), "ROI").box, CENTRE, np.eye(3), -HALF, HALF)
    corners = [point(CENTRE + AXES @ (sign * HALF)) for sign in (-1, 1)]
    bounding = without(slicers_region(roiType="BoundingBox", controlPoints=corners), "center")
    assert_box(read_markup(saved(bounding), "ROI").box, CENTRE, AXES, -HALF, HALF)
    whole_numbers = slicers_region(center=[1, 2, 3], size=[4, 5, 6], orientation=[1, 0, 0, 0, 1, 0, 0, 0, 1])
    assert_box(read_markup(saved(whole_numbers), "ROI").box, (1, 2, 3), np.eye(3), (-2, -2.5, -3), (2, 2.5, 3))


def test_axes_that_were_stretched_are_unit_vectors(saved: Any) -> None:
    stretched = slicers_region(orientation=(AXES * [2, 3, 0.5]).ravel().tolist())
    assert_box(read_markup(saved(stretched), "ROI").box, CENTRE, AXES, -HALF, HALF)


def test_hidden_and_inside_out_are_told(saved: Any) -> None:
    region = read_markup(saved(slicers_region(insideOut=True, display={"visibility": False})), "ROI")
    assert region.inside_out and not region.visible
    assert read_markup(saved(slicers_region(display={"visibility": True})), "ROI").visible


# --------------------------------------------------------------------------------------------------------- planes


BASE, INNER = matrix(rotation(-10, 25, 70), (4, -5, 6)), matrix(rotation(3, -40, 15), (1.5, 2.5, -3.5))
WHOLE = RAS @ BASE @ INNER


@pytest.mark.parametrize("system", ["LPS", "RAS"])
@pytest.mark.parametrize(
    "left_out", [(), ("center", "orientation", "normal"), ("objectToBase", "baseToNode"), ("size",)]
)
def test_a_plane_lies_where_slicer_shows_it(system: str, left_out: tuple[str, ...], saved: Any) -> None:
    plane = read_markup(saved(without(slicers_plane(BASE, INNER, system), *left_out)), "Plane")
    assert_box(plane.box, WHOLE[:3, 3], WHOLE[:3, :3], [-15, -10, 0], [15, 10, 0])
    assert plane.box is not None
    np.testing.assert_allclose(plane.box.normal, WHOLE[:3, 2])


@pytest.mark.parametrize("system", ["LPS", "RAS"])
def test_a_plane_of_three_points_has_its_first_point_x_to_the_second_and_the_third_on_the_side_of_y(
    system: str, saved: Any
) -> None:
    turn = np.eye(3) if system == "LPS" else RAS[:3, :3]
    drawn = [point(turn @ p) for p in (P0, P1, P2)]
    for kind in ({"planeType": "threePoints"}, {"planeType": "3Points"}, {}):
        plane = {"type": "Plane", "coordinateSystem": system, "controlPoints": drawn, **kind}
        box = read_markup(saved(plane), "Plane").box
        assert box is not None and box.origin == tuple(P0) and box.size == (0, 0, 0)
        axes = np.array(box.axes)
        np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
        assert np.linalg.det(axes) > 0
        np.testing.assert_allclose(axes.T @ (P1 - P0), [np.linalg.norm(P1 - P0), 0, 0], atol=1e-12)
        own = axes.T @ (P2 - P0)
        assert own[1] > 0 and abs(own[2]) < 1e-12


def test_a_plane_of_a_point_and_a_normal_faces_the_second_point(saved: Any) -> None:
    drawn = [point(P0), point(P1)]
    for plane in (
        {"type": "Plane", "planeType": "pointNormal", "controlPoints": drawn},
        {"type": "Plane", "planeType": "PointNormal", "controlPoints": drawn[:1], "normal": (P1 - P0).tolist()},
        {"type": "Plane", "center": P0.tolist(), "normal": (2 * (P1 - P0)).tolist(), "size": [30.0, 20.0]},
    ):
        box = read_markup(saved(plane), "Plane").box
        assert box is not None and box.origin == tuple(P0)
        np.testing.assert_allclose(box.normal, (P1 - P0) / np.linalg.norm(P1 - P0))
        assert np.linalg.det(np.array(box.axes)) == pytest.approx(1)
    assert box.size == (30, 20, 0)


def test_a_fitted_plane_is_the_one_of_least_squares(saved: Any) -> None:
    rng = np.random.default_rng(0)
    own = np.column_stack([rng.normal(0, 9, 50), rng.normal(0, 5, 50), rng.normal(0, 0.01, 50)])
    drawn = own @ AXES.T + CENTRE
    plane = {"type": "Plane", "planeType": "planeFit", "controlPoints": [point(p) for p in drawn]}
    box = read_markup(saved(plane), "Plane").box
    assert box is not None
    np.testing.assert_allclose(box.origin, drawn.mean(axis=0), atol=1e-12)
    assert abs(np.array(box.normal) @ AXES[:, 2]) > 0.99999
    assert max(box.normal, key=abs) > 0


def test_points_that_are_not_placed_are_kept_and_do_not_count(saved: Any) -> None:
    drawn = [
        point(P0, visibility=False, label="hidden"),
        {"label": "none yet", "position": "", "positionStatus": "undefined"},
        point((9, 9, 9), positionStatus="preview"),
        {"label": "missing"},
        point(P1),
        point(P2),
    ]
    plane = read_markup(saved({"type": "Plane", "planeType": "threePoints", "controlPoints": drawn}), "Plane")
    assert [one.position for one in plane.points] == [tuple(P0), None, None, None, tuple(P1), tuple(P2)]
    assert not plane.points[0].visible and plane.points[1].label == "none yet"
    assert plane.box is not None
    assert plane.box.origin == tuple(P0)


def test_matrices_and_place_that_disagree_are_refused(saved: Any) -> None:
    plane = slicers_plane(BASE, INNER)
    moved = plane | {"center": [value + 0.01 for value in plane["center"]]}
    turned = plane | {"orientation": AXES.ravel().tolist()}
    for one in (moved, turned):
        with pytest.raises(InputError, match=r"markup 1 \(P\) states its place twice and differently: center"):
            read_markups(saved(one))


# ------------------------------------------------------------------------------------------------- files, messages


def test_all_markups_of_a_file_come_in_its_order(saved: Any) -> None:
    line = {"type": "Line", "name": "l", "controlPoints": [point(P0), point(P1)]}
    found = read_markups(saved(slicers_region(), line, slicers_plane(BASE, INNER), slicers_region("RAS")))
    assert [one.kind for one in found] == ["ROI", "Line", "Plane", "ROI"]
    assert found[1].box is None and found[1].points[1].position == tuple(P1)
    assert read_markups(saved()) == ()
    assert isinstance(hash(found), int) and isinstance(found[0], Markup)


def test_one_of_a_kind_is_found_or_its_absence_is_said(saved: Any) -> None:
    path = saved(slicers_region(), slicers_region("RAS", name=""), {"type": "Fiducial"})
    with pytest.raises(InputError, match=r"holds 2 markups of type ROI \(R, without a name\); save the one"):
        read_markup(path, "ROI")
    with pytest.raises(InputError, match="holds no markup of type Plane, but Fiducial, ROI; draw one in Slicer"):
        read_markup(path, "Plane")
    assert read_markup(path, "Fiducial").kind == "Fiducial"
    with pytest.raises(InputError, match="but nothing"):
        read_markup(saved(), "Plane")


def test_other_versions_of_the_schema(saved: Any) -> None:
    for name in ("markups-schema-v1.0.0.json#", "Markups-Schema-v1.7.0.json", "anything", ""):
        assert read_markups(saved(slicers_region(), **{"@schema": name}))
    with pytest.raises(InputError, match="follows version 2 of the markups schema; version 1 is known"):
        read_markups(saved(slicers_region(), **{"@schema": "https://x/markups-schema-v2.0.0.json#"}))


@pytest.mark.parametrize(
    ("markup", "said"),
    [
        ("x", "markup 1 is no object"),
        ({"type": "Sphere"}, "markup 1 is of type 'Sphere'; known are Fiducial, Line"),
        ({}, "is of type 'None'"),
        ({"type": ["ROI"]}, "is of type"),
        (slicers_region(coordinateSystem="IJK"), r"markup 1 \(R\) is in the coordinate system 'IJK'; LPS and RAS"),
        (slicers_region(coordinateUnits="inch"), "has lengths in 'inch'; use one of mm, um"),
        (slicers_region(coordinateUnits=[]), "has lengths in"),
        (slicers_region(center=[1, 2]), r"center must be 3 numbers, found \[1, 2\]"),
        (slicers_region(center="1 2 3"), "center must be 3 numbers, found 1 2 3"),
        (slicers_region(center=[1, 2, True]), "center must be 3 numbers"),
        (slicers_region(center=[1, 2, math.nan]), "center has numbers that are not finite"),
        (slicers_region(size=[1, 2, math.inf]), "size has numbers that are not finite"),
        (slicers_region(size=[1, 2, 10**400]), "size has numbers that are not finite"),
        (slicers_region(size=[1, 2, -3]), "a region without a size of three lengths; save it again"),
        (without(slicers_region(), "size"), "a region without a size"),
        (without(slicers_region(), "center", "controlPoints"), "without a centre or a placed point; place it"),
        (slicers_region(orientation=[0] * 9), "orientation has an axis of no length"),
        (slicers_region(orientation=[1, 1, 0, 0, 0, 0, 0, 0, 1]), "orientation has axes that lie in one plane"),
        (slicers_region(orientation=[1] * 16), "orientation must be 9 numbers"),
        (slicers_region(roiType="Sphere"), "a region of type 'Sphere'; Box and BoundingBox are known"),
        (slicers_region(insideOut="yes"), "insideOut is true or false, found 'yes'"),
        (slicers_region(controlPoints={}), None),
        (slicers_region(controlPoints=[1]), "controlPoints is no list of objects"),
        (slicers_region(controlPoints=[point((1, 2, math.nan))]), "point 1: position has numbers that are not finite"),
        ({"type": "Plane"}, r"markup 1 \(Plane\) has 0 placed points .*; a plane of type threepoints needs 3"),
        ({"type": "Plane", "planeType": "round"}, "a plane of type 'round'; pointNormal, threePoints, planeFit"),
        ({"type": "Plane", "controlPoints": [point(P0), point(P1), point(P0)]}, "its points on one line"),
        ({"type": "Plane", "controlPoints": [point(P0), point(P0), point(P1)]}, "has an axis of no length"),
        (
            {"type": "Plane", "planeType": "planeFit", "controlPoints": [point(P0), point(P1), point(2 * P1 - P0)]},
            "its points on one line",
        ),
        ({"type": "Plane", "planeType": "planeFit", "controlPoints": [point(P0)] * 3}, "its points on one line"),
        ({"type": "Plane", "center": [0, 0, 0], "normal": [0, 0, 0]}, "normal has an axis of no length"),
        (slicers_plane(BASE, INNER, planeBounds=[1, 0, 0, 1]), "the plane ends before it begins"),
        (slicers_plane(BASE, INNER, planeBounds=[0, 1]), "planeBounds must be 4 numbers"),
    ],
)  # fmt: skip
def test_a_markup_that_makes_no_sense_is_refused_in_one_line(markup: Any, said: str | None, saved: Any) -> None:
    path = saved(markup)
    if said is None:
        assert read_markups(path)
        return
    with pytest.raises(InputError, match=said) as stop:
        read_markups(path)
    assert "\n" not in str(stop.value) and "a.mrk.json" in str(stop.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", r"is no JSON \(Expecting value"),
        (b"# Markups fiducial file version = 5.0\n", "is no JSON .*; give a .mrk.json that Slicer saved"),
        (b"\xff\xfe{}", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"{}", r"holds no markups: it is JSON, and not a \.mrk\.json"),
        (b"[]", "holds no markups"),
        (b'{"markups": {}}', "holds no markups"),
    ],
)
def test_what_is_no_markups_file_is_refused(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "b.mrk.json"
    path.write_bytes(data)
    with pytest.raises(InputError, match=said) as stop:
        read_markups(path)
    assert "b.mrk.json" in str(stop.value)


def test_files_that_cannot_be_read_or_are_far_too_large_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.mrk\.json cannot be read: No such file"):
        read_markups(tmp_path / "none.mrk.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_markups(tmp_path)
    with open(tmp_path / "large.mrk.json", "wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(InputError, match="more than 64 MiB, too many for markups"):
        read_markups(tmp_path / "large.mrk.json")


def test_a_mark_of_byte_order_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.mrk.json"
    path.write_text(json.dumps({"markups": [slicers_region()]}), encoding="utf-8-sig")
    assert len(read_markups(path)) == 1


def test_what_these_tests_take_for_slicers_passes_slicers_schema(visible: Path) -> None:
    folder = Path(os.environ.get("CHUNKVOL_TEST_SCHEMAS", visible.parent / "schemas"))
    path = folder / "markups-schema-v1.0.3.json"
    if not path.is_file():
        pytest.skip(f"the schema is absent: {path}")
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    schema = json.loads(path.read_text(encoding="utf-8"))
    markups = [slicers_region(), slicers_region("RAS"), slicers_plane(BASE, INNER), slicers_plane(BASE, INNER, "RAS")]
    jsonschema.validate({"@schema": SCHEMA, "markups": markups}, schema)
