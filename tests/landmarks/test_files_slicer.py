"""Slicer's `.mrk.json`: all types, systems and units, points that are not placed, and the published schema."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chunkvol.errors import FormatError, InputError
from chunkvol.landmarks import Landmarks, read_landmarks, write_landmarks
from chunkvol.markups import read_markups
from tests.support.grids import rotation

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
KINDS = ("Fiducial", "Line", "Angle", "Curve", "ClosedCurve", "Plane", "ROI")
AXES = rotation(20, -35, 50)
CENTRE = np.array([12.5, -30.25, 7.0])
PLACES = np.array([[1.25, -2.5, 3.75], [4.5, 5.25, -6.125], [-7.0, 8.5, 9.25]])
RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def point(number: int, position: Any, **more: Any) -> dict[str, Any]:
    """A control point with everything that Slicer writes, nothing of it as usual."""
    return {
        "id": str(number),
        "label": f"F-{number}",
        "description": "Semi" if number == 2 else "",
        "associatedNodeID": "vtkMRMLModelNode1",
        "position": position if isinstance(position, str) else [float(one) for one in position],
        "orientation": AXES.ravel().tolist(),
        "selected": number != 1,
        "locked": number == 2,
        "visibility": number != 3,
        "positionStatus": "undefined" if isinstance(position, str) else "defined",
        **more,
    }


def markup(kind: str, system: str = "LPS", scale: float = 1.0, **more: Any) -> dict[str, Any]:
    """A list as Slicer writes it, its places times `scale`."""
    turn = RAS[:3, :3] if system in ("RAS", "0") else np.eye(3)
    found = {
        "type": kind,
        "coordinateSystem": system,
        "coordinateUnits": "mm",
        "locked": True,
        "fixedNumberOfControlPoints": False,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": 3,
        "controlPoints": [point(number, turn @ one * scale) for number, one in enumerate(PLACES, 1)],
        "measurements": [{"name": "length", "enabled": True, "value": 12.5, "units": ["mm", "UCUM", "millimeter"]}],
        "display": {"visibility": False, "color": [0.4, 1.0, 0.0], "snapMode": "toVisibleSurface"},
    }
    if kind == "ROI":
        found |= {
            "roiType": "Box",
            "center": (turn @ CENTRE * scale).tolist(),
            "size": [30 * scale, 20 * scale, 10 * scale],
        }
        found |= {"orientation": (turn @ AXES).ravel().tolist(), "insideOut": True}
    if kind == "Plane":
        found |= plane(system, scale)
    return {**found, **more}


def matrix(axes: Any, origin: Any) -> Any:
    found = np.eye(4)
    found[:3, :3], found[:3, 3] = axes, origin
    return found


def plane(system: str, scale: float = 1.0) -> dict[str, Any]:
    """The place of a plane as Slicer writes it: rows of both matrices turned."""
    file = RAS if system in ("LPS", "1") else np.eye(4)
    base = RAS @ matrix(AXES, CENTRE * scale)
    inner = matrix(rotation(0, 0, 30), np.array([1.0, -2, 0]) * scale)
    whole = file @ base @ inner
    return {
        "planeType": "pointNormal",
        "sizeMode": "absolute",
        "center": whole[:3, 3].tolist(),
        "normal": whole[:3, 2].tolist(),
        "objectToBase": (file @ inner).ravel().tolist(),
        "baseToNode": (file @ base).ravel().tolist(),
        "orientation": whole[:3, :3].ravel().tolist(),
        "size": [30.0 * scale, 20.0 * scale, 0.0],
        "planeBounds": [-15.0 * scale, 15.0 * scale, -10.0 * scale, 10.0 * scale],
    }


@pytest.fixture
def saved(tmp_path: Path) -> Any:
    def save(*markups: Any, **more: Any) -> Path:
        path = tmp_path / "in.mrk.json"
        path.write_text(json.dumps({"@schema": SCHEMA, "markups": list(markups), **more}), encoding="utf-8")
        return path

    return save


@pytest.fixture
def schema(visible: Path) -> Any:
    """A check by the schema that Slicer publishes."""
    folder = Path(os.environ.get("CHUNKVOL_TEST_SCHEMAS", visible.parent / "schemas"))
    path = folder / "markups-schema-v1.0.3.json"
    if not path.is_file():
        pytest.skip(f"the schema is absent: {path}")
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    published = json.loads(path.read_text(encoding="utf-8"))
    return lambda document: jsonschema.validate(document, published)


def again(landmarks: Landmarks, folder: Path, name: str = "out.mrk.json", frame: str | None = None) -> Any:
    write_landmarks(landmarks, folder / name, frame=frame)
    return json.loads((folder / name).read_text(encoding="utf-8"))


# ------------------------------------------------------------------------------------------------------------ laws


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("system", ["LPS", "RAS"])
def test_a_document_is_written_as_it_was_read(kind: str, system: str, saved: Any, tmp_path: Path, schema: Any) -> None:
    path = saved(markup(kind, system, name="N", further={"of": ["another", "program"]}), comment="kept")
    found = read_landmarks(path)
    assert (found.kind, found.frame, found.labels) == (kind, system, ("F-1", "F-2", "F-3"))
    np.testing.assert_array_equal(found.points, PLACES)
    assert found.descriptions == ("", "Semi", "")
    assert found.columns["visibility"] == (True, True, False)
    after = again(found, tmp_path)
    assert after == json.loads(path.read_text())
    schema(after)


@pytest.mark.parametrize("kind", KINDS)
def test_another_frame_changes_numbers_and_no_place(kind: str, saved: Any, tmp_path: Path, schema: Any) -> None:
    lps = again(read_landmarks(saved(markup(kind, "RAS"))), tmp_path, frame="lps")
    wanted = markup(kind, "LPS")
    for one in wanted["controlPoints"]:  # the same orientation as RAS has, seen from LPS
        one["orientation"] = (RAS[:3, :3] @ AXES).ravel().tolist()
    schema(lps)
    for name, value in wanted.items():
        if name in ("center", "normal", "orientation", "objectToBase", "baseToNode", "size", "planeBounds"):
            np.testing.assert_allclose(lps["markups"][0][name], value, rtol=0, atol=1e-14)
        else:
            assert lps["markups"][0][name] == value, name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("units", "scale"), [("um", 1e3), (["um", "UCUM", "micrometer"], 1e3), ("cm", 0.1), ("mm", 1)])
def test_other_units_become_millimetres(
    kind: str, units: Any, scale: float, saved: Any, tmp_path: Path, schema: Any
) -> None:
    path = saved(markup(kind, "LPS", scale, coordinateUnits=units))
    found = read_landmarks(path)
    np.testing.assert_allclose(found.points, PLACES, rtol=1e-15)
    after = again(found, tmp_path)
    schema(after)
    wanted = markup(kind, "LPS")
    for name in ("coordinateUnits", "size", "center", "baseToNode", "objectToBase", "planeBounds", "normal"):
        if isinstance(wanted.get(name), list):
            np.testing.assert_allclose(after["markups"][0][name], wanted[name], rtol=1e-14, atol=1e-14)
        else:
            assert after["markups"][0].get(name) == wanted.get(name)


def test_a_coded_unit_of_millimetres_stays(saved: Any, tmp_path: Path) -> None:
    units = ["mm", "UCUM", "millimeter"]
    assert (
        again(read_landmarks(saved(markup("Line", coordinateUnits=units))), tmp_path)["markups"][0]["coordinateUnits"]
        == units
    )


@pytest.mark.parametrize(("stated", "frame"), [("0", "RAS"), (0, "RAS"), ("1", "LPS"), (1, "LPS"), (None, "LPS")])
def test_systems_of_old_versions_are_written_by_name(
    stated: Any, frame: str, saved: Any, tmp_path: Path, schema: Any
) -> None:
    data = markup("Curve", frame)
    data |= {"coordinateSystem": stated} if stated is not None else {}
    if stated is None:
        del data["coordinateSystem"]
    found = read_landmarks(saved(data))
    assert found.frame == frame
    np.testing.assert_array_equal(found.points, PLACES)
    after = again(found, tmp_path)
    assert after["markups"][0]["coordinateSystem"] == frame
    schema(after)


def test_several_lists_keep_their_points_and_order(saved: Any, tmp_path: Path, schema: Any) -> None:
    lists = [markup("Curve", name="a"), markup("Fiducial", controlPoints=[]), markup("Plane", name="c")]
    path = saved(*lists)
    found = read_landmarks(path)
    assert (len(found), found.kind) == (6, "Curve")
    assert found.columns["list"] == (0, 0, 0, 2, 2, 2)
    np.testing.assert_array_equal(found.points, [*PLACES, *PLACES])
    after = again(found, tmp_path)
    assert after == json.loads(path.read_text())
    schema(after)
    write_landmarks(read_landmarks(saved(lists[0], markup("ClosedCurve"))), tmp_path / "a.csv")
    tables = read_landmarks(tmp_path / "a.csv")
    assert [one["type"] for one in again(tables, tmp_path)["markups"]] == ["Curve", "ClosedCurve"]


UNPLACED = [
    point(2, ""),
    point(2, [0, 0, 0], positionStatus="undefined"),
    point(2, [1, 2, 3], positionStatus="preview"),
    point(2, ""),
]
UNPLACED[3].pop("position")


@pytest.mark.parametrize("unplaced", UNPLACED, ids=["empty", "undefined", "preview", "missing"])
@pytest.mark.parametrize("kind", ["Fiducial", "Curve"])
def test_points_that_are_not_placed_keep_their_row(
    kind: str, unplaced: Any, saved: Any, tmp_path: Path, schema: Any
) -> None:
    data = markup(kind)
    data["controlPoints"][1] = unplaced
    found = read_landmarks(saved(data))
    np.testing.assert_array_equal(found.points, [PLACES[0], [np.nan] * 3, PLACES[2]])
    after = again(found, tmp_path)
    schema(after)  # which forbids the empty text of Slicer
    written = after["markups"][0]["controlPoints"]
    assert "position" not in written[1]
    assert written[1]["positionStatus"] == unplaced["positionStatus"]
    assert (written[0], written[2]) == (data["controlPoints"][0], data["controlPoints"][2])
    back = read_landmarks(tmp_path / "out.mrk.json")
    np.testing.assert_array_equal(back.points, found.points)
    placed = again(found.at(np.vstack([PLACES[0], [1, 2, 3], PLACES[2]])), tmp_path)["markups"][0]["controlPoints"][1]
    assert (placed["position"], placed["positionStatus"]) == ([1, 2, 3], "defined")


def test_points_from_elsewhere_become_a_document_that_slicer_reads(tmp_path: Path, schema: Any) -> None:
    columns = {"depth": (np.float64(1.5), None, float("nan"))}
    made = Landmarks(PLACES, ("a", "b", "c"), kind="Curve", frame="RAS", columns=columns)
    after = again(made, tmp_path)
    schema(after)
    assert after["@schema"] == SCHEMA
    curve = after["markups"][0]
    assert (curve["type"], curve["coordinateSystem"], curve["coordinateUnits"]) == ("Curve", "RAS", "mm")
    assert [one["id"] for one in curve["controlPoints"]] == ["1", "2", "3"]
    assert [one.get("depth") for one in curve["controlPoints"]] == [1.5, None, None]
    assert curve["controlPoints"][0]["position"] == [-1.25, 2.5, 3.75]
    (read,) = read_markups(tmp_path / "out.mrk.json")
    assert [one.position for one in read.points] == [tuple(one) for one in PLACES.tolist()]


def test_another_kind_is_written_when_asked(saved: Any, tmp_path: Path) -> None:
    found = read_landmarks(saved(markup("Curve")))
    made = Landmarks(found.points, found.labels, kind="Fiducial", original=found.original, columns=found.columns)
    assert again(made, tmp_path)["markups"][0]["type"] == "Fiducial"


@pytest.mark.parametrize("stated", [None, "", "http://elsewhere/x.json"])
def test_a_name_of_the_schema_that_slicer_refuses_is_replaced(stated: Any, saved: Any, tmp_path: Path) -> None:
    assert again(read_landmarks(saved(markup("Line"), **{"@schema": stated})), tmp_path)["@schema"] == SCHEMA


def test_numbers_that_json_does_not_know_become_null(saved: Any, tmp_path: Path) -> None:
    data = markup("Line")
    data["measurements"][0]["value"] = float("nan")
    after = again(read_landmarks(saved(data)), tmp_path)["markups"][0]["measurements"][0]
    assert (after["name"], after["value"]) == ("length", None)


def test_labels_of_slicer_may_repeat_and_that_is_said(saved: Any, tmp_path: Path) -> None:
    data = markup(
        "Fiducial", controlPoints=[point(n, PLACES[0], label=label) for n, label in enumerate(["F", "F", ""])]
    )
    found = read_landmarks(saved(data))
    assert found.labels == ("F", "F", "")
    assert [one[:7] for one in found.problems] == ["1 of 3 ", "1 of 3 "]
    for name in ("a.csv", "a.fcsv", "a.mrk.json"):
        write_landmarks(found, tmp_path / name)
        back = read_landmarks(tmp_path / name)
        assert (back.labels, back.columns["id"], back.problems) == (found.labels, ("0", "1", "2"), found.problems)


def test_voxel_units_are_indices(saved: Any, tmp_path: Path) -> None:
    found = read_landmarks(saved(markup("Fiducial", coordinateUnits="voxel")), frame="ijk")
    assert found.frame == "IJK"
    np.testing.assert_array_equal(found.points, PLACES)


# ------------------------------------------------------------------------------------------------------ messages


def wrong(**more: Any) -> dict[str, Any]:
    return markup("Fiducial", controlPoints=[point(1, PLACES[0]), {**point(2, PLACES[1]), **more}])


@pytest.mark.parametrize(
    ("markups", "message"),
    [
        ([wrong(position=[1, 2])], "markup 1, point 2: position must be 3 numbers, found \\[1, 2\\]"),
        ([wrong(position=["1", "2", "3"])], "point 2: position must be 3 numbers"),
        ([wrong(position=[1, 2, True])], "point 2: position must be 3 numbers"),
        ([wrong(position=[1, 2, float("nan")])], "point 2: position has numbers that are not finite"),
        ([wrong(position=[1, 2, 10**400])], "point 2: position has numbers that are not finite"),
        ([wrong(position={"x": 1})], "point 2: position must be 3 numbers"),
        ([wrong(orientation=[1, 0])], "point 2: orientation must be 9 numbers"),
        ([wrong(visibility="yes")], "point 2: visibility is true or false, found 'yes'"),
        ([markup("Fiducial", controlPoints={"a": 1})], "markup 1: controlPoints is no list of objects"),
        ([markup("Fiducial", coordinateSystem="IJK")], "coordinate system 'IJK'; LPS and RAS are known"),
        ([markup("Fiducial", coordinateUnits="inch")], "lengths in 'inch'; use one of mm, um"),
        ([markup("Fiducial"), markup("Line", "RAS")], "markup 2 is in RAS and those before it in LPS"),
        ([markup("Mesh")], "of type 'Mesh'; known are Fiducial, Line"),
        ([markup("ROI", size=[1, 2])], None),
        ([markup("ROI", size=[1, 2, "3"])], "markup 1: size must be 3 numbers"),
        ([markup("Plane", baseToNode=[0] * 15)], "markup 1: baseToNode must be 16 numbers"),
        (["text"], "markup 1 is no object"),
        ([], "holds no markups"),
    ],
)
def test_wrong_documents_are_refused_by_name(markups: Any, message: str | None, saved: Any) -> None:
    if message is None:
        assert len(read_landmarks(saved(*markups))) == 3
    else:
        with pytest.raises(FormatError, match=message):
            read_landmarks(saved(*markups))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"markups": [', "is no JSON"),
        ('{"markups": ' + "[" * 100_000, "is no JSON"),
        ('{"planes": []}', "holds no markups"),
        ('{"@schema": "markups-schema-v2.0.0.json", "markups": [{}]}', "follows version 2 of the markups schema"),
        (b'{"markups": "\xff"}', "is no JSON"),
    ],
    ids=["cut", "deep", "other", "new", "encoding"],
)
def test_other_json_is_refused(text: Any, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FormatError, match=message):
        read_landmarks(tmp_path / "a.json")


@pytest.mark.parametrize("kind", ["Plane", "ROI"])
def test_points_of_a_plane_or_region_do_not_move_alone(kind: str, saved: Any, tmp_path: Path) -> None:
    found = read_landmarks(saved(markup(kind, name="P")))
    with pytest.raises(InputError, match=rf"the points of the {kind} P were moved without its axes and size"):
        again(found.at(found.points + 1), tmp_path)
    again(found.at(found.points + 1e-9), tmp_path)  # rounding moves nothing


def test_a_region_of_points_alone_is_refused(tmp_path: Path, schema: Any) -> None:
    labels = ("a", "b", "c")
    with pytest.raises(InputError, match="the ROI has points only, and no center, axes and size"):
        again(Landmarks(PLACES, labels, kind="ROI"), tmp_path)
    with pytest.raises(InputError, match="the Plane has points only"):
        again(Landmarks(PLACES[:2], labels[:2], kind="Plane"), tmp_path)
    schema(again(Landmarks(PLACES, labels, kind="Plane"), tmp_path))
    (read,) = read_markups(tmp_path / "out.mrk.json")  # three points are a plane, by the schema's oldest type
    assert read.box is not None
    np.testing.assert_allclose(read.box.origin, PLACES[0])


def test_lists_of_points_that_are_not_together_are_refused(saved: Any, tmp_path: Path) -> None:
    found = read_landmarks(saved(markup("Curve"), markup("Line")))
    mixed = Landmarks(found.points, found.labels, original=found.original, columns={"list": (0, 1, 0, 1, 0, 1)})
    with pytest.raises(InputError, match="the points of one list are not together"):
        again(mixed, tmp_path)
    beyond = Landmarks(PLACES, ("a", "b", "c"), original=found.original, columns={"list": (0, 1, 2)})
    with pytest.raises(InputError, match="points belong to list 3 of 2"):
        again(beyond, tmp_path)
