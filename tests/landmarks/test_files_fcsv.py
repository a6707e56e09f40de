"""Slicer's `.fcsv`: headers of all versions, any order of columns, quotes, and rows that are wrong."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chunkvol.errors import FormatError, InputError
from chunkvol.landmarks import Landmarks, read_landmarks, write_landmarks
from tests.landmarks.test_files_slicer import AXES

COLUMNS = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"
HEAD = "# Markups fiducial file version = 5.6\n# CoordinateSystem = LPS\n# columns = " + COLUMNS + "\n"
NAN = float("nan")


@pytest.fixture
def found(tmp_path: Path) -> Any:
    def read(text: str, **told: Any) -> Landmarks:
        path = tmp_path / "a.fcsv"
        path.write_bytes(text.encode())
        return read_landmarks(path, **told)

    return read


def header(version: str, system: str) -> str:
    return f"# Markups fiducial file version = {version}\n# CoordinateSystem = {system}\n# columns = {COLUMNS}\n"


# --------------------------------------------------------------------------------------------------------- headers


@pytest.mark.parametrize("version", ["4.3", "4.8", "4.11", "4.13", "5.0", "5.6"])
@pytest.mark.parametrize(
    ("system", "frame"), [("0", "RAS"), ("1", "LPS"), ("RAS", "RAS"), ("LPS", "LPS"), ("ras", "RAS")]
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_version_says_its_system(version: str, system: str, frame: str, end: str, found: Any) -> None:
    text = header(version, system) + "node_1,1.5,-2.25,3,0,0,0,1,0,1,1,F-1,Semi,vol\n"
    read = found(text.replace("\n", end))
    assert (read.frame, read.labels, read.descriptions) == (frame, ("F-1",), ("Semi",))
    np.testing.assert_array_equal(read.points, [[1.5, -2.25, 3] if frame == "LPS" else [-1.5, 2.25, 3]])
    assert read.columns == {
        "id": ("node_1",), "associatedNodeID": ("vol",), "visibility": (False,), "selected": (True,), "locked": (True,)
    }  # fmt: skip
    assert not read.problems


def test_rows_of_slicer_3_are_ras(found: Any) -> None:
    text = "# Fiducial List file /home/me/F.fcsv\n# numPoints = 2\n# columns = label,x,y,z,sel,vis\n"
    text += "F-1,1,2,3,1,0\nF-2,4,5,6,0,1\n"
    for one in (text, text[text.index("F-1") :]):
        read = found(one)
        assert (read.frame, read.labels) == ("RAS", ("F-1", "F-2"))
        np.testing.assert_array_equal(read.points, [[-1, -2, 3], [-4, -5, 6]])
        assert (read.columns["selected"], read.columns["visibility"]) == ((True, False), (False, True))


def test_the_order_of_columns_is_the_one_that_the_file_states(found: Any) -> None:
    read = found(header("4.8", "LPS").replace(COLUMNS, "label, z, y, x, lock, id, uncertainty") + "F-1,3,2,1,1,7,0.5\n")
    np.testing.assert_array_equal(read.points, [[1, 2, 3]])
    assert read.columns == {"id": ("7",), "locked": (True,), "uncertainty": ("0.5",)}


def test_a_system_that_is_not_stated_is_assumed_and_that_is_said(found: Any) -> None:
    text = HEAD.replace("# CoordinateSystem = LPS\n", "") + "1,1,2,3\n"
    read = found(text)
    assert (read.frame, read.problems[0]) == (
        "LPS",
        "no CoordinateSystem is stated; LPS is assumed, as Slicer 5 does",
    )
    read = found(text, frame="ras")
    assert (read.frame, read.points.tolist(), len(read.problems)) == (
        "RAS",
        [[-1, -2, 3]],
        1,
    )  # no label is another one


def test_a_file_is_known_by_its_first_line_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(HEAD + "1,1,2,3,0,0,0,1,1,1,0,F-1,,\n")
    assert read_landmarks(tmp_path / "a.txt").labels == ("F-1",)


# ------------------------------------------------------------------------------------------------------------ rows


@pytest.mark.parametrize(
    ("row", "label", "description"),
    [
        ('1,1,2,3,0,0,0,1,1,1,0,"a, b","c ""d"""', "a, b", 'c "d"'),
        ("1,1,2,3,0,0,0,1,1,1,0,5\" nail,it's", '5" nail', "it's"),
        ("1,1,2,3,0,0,0,1,1,1,0,,", "", ""),
        ("1,1,2,3", "", ""),
        ("1,1e0,+2,3.,,,,,,,,x", "x", ""),
    ],
)
def test_cells_are_read_as_slicer_reads_them(row: str, label: str, description: str, found: Any) -> None:
    read = found(f"{HEAD}{row}\n\n# a remark\n")
    assert (read.labels, read.descriptions) == ((label,), (description,))
    np.testing.assert_array_equal(read.points, [[1, 2, 3]])


@pytest.mark.parametrize("cells", ["0,0,0,{},0,0", ",,,{},0,0", "1,2,3,{},1,0", ",,,{},,"])
def test_points_that_are_not_placed_are_rows_of_nan(cells: str, found: Any, tmp_path: Path) -> None:
    read = found(HEAD + "1," + cells.format("0,0,0,1,1,1,0,F-1,,") + "\n2,4,5,6,0,0,0,1,1,1,0,F-2,,,2,0\n")
    np.testing.assert_array_equal(read.points, [[NAN] * 3, [4, 5, 6]])
    write_landmarks(read, tmp_path / "b.fcsv")
    rows = (tmp_path / "b.fcsv").read_text().splitlines()[3:]
    assert rows[0].startswith("1,,,,0,0,0,1,") and rows[0][-4:] == (",1,0" if cells[0] == "1" else ",0,0").rjust(4, ",")


def test_orientations_are_degrees_and_an_axis_in_ras(found: Any, tmp_path: Path) -> None:
    read = found(HEAD + "1,1,2,3,90,0,0,2,1,1,0,F-1,,\n2,1,2,3,0,0,0,1,1,1,0,F-2,,\n")
    np.testing.assert_allclose(read.columns["orientation"][0], [0, 1, 0, -1, 0, 0, 0, 0, 1], atol=1e-15)
    np.testing.assert_allclose(read.columns["orientation"][1], [-1, 0, 0, 0, -1, 0, 0, 0, 1], atol=1e-15)
    turned = Landmarks(np.zeros((2, 3)), ("a", "b"), columns={"orientation": (tuple(AXES.ravel()), None)})
    write_landmarks(turned, tmp_path / "b.fcsv")
    back = read_landmarks(tmp_path / "b.fcsv").columns["orientation"]
    np.testing.assert_allclose(back[0], AXES.ravel(), atol=1e-12)
    np.testing.assert_allclose(back[1], [-1, 0, 0, 0, -1, 0, 0, 0, 1], atol=1e-12)
    for none in (np.zeros(9), np.full(9, 1e300), -AXES.ravel()):
        write_landmarks(Landmarks(np.zeros((1, 3)), "a", columns={"orientation": (tuple(none),)}), tmp_path / "c.fcsv")
        assert "orientation" not in read_landmarks(tmp_path / "c.fcsv").columns


def test_it_goes_through_json_and_back_as_it_is(found: Any, tmp_path: Path) -> None:
    rows = "node_3,1.25,-2.0,3e-08,0,0,0,1,0,1,1,F-1,Semi,vol,2,0\nnode_7,,,,0,0,0,1,1,0,0,,,,0,1\n"
    before = HEAD.replace("LPS", "RAS") + rows
    write_landmarks(found(before), tmp_path / "a.mrk.json")
    write_landmarks(read_landmarks(tmp_path / "a.mrk.json"), tmp_path / "b.fcsv")
    assert (tmp_path / "b.fcsv").read_text() == before.replace(",0,1\n", ",0,0\n")  # JSON has no autoCreated


# --------------------------------------------------------------------------------------------------------- writing


def test_three_lines_are_the_header_and_rows_are_what_scripts_in_r_read(tmp_path: Path) -> None:
    write_landmarks(Landmarks([[1, 2, 3.5]], ("nasion, left",), ("Semi",), frame="RAS"), tmp_path / "a.fcsv")  # type: ignore[arg-type]  # a list
    lines = (tmp_path / "a.fcsv").read_text().splitlines()
    assert [line[0] for line in lines] == ["#", "#", "#", "1"]
    assert lines[1].split(" ")[3] == "RAS"
    assert lines[2] == f"# columns = {COLUMNS}"
    (row,) = csv.reader(lines[3:])
    assert row == ["1", "-1.0", "-2.0", "3.5", "0", "0", "0", "1", "1", "1", "0", "nasion, left", "Semi", "", "2", "0"]


def test_a_row_that_would_be_a_remark_is_quoted(tmp_path: Path) -> None:
    write_landmarks(Landmarks(np.zeros((1, 3)), ("#1",), columns={"id": ("#7",)}), tmp_path / "a.fcsv")
    found = read_landmarks(tmp_path / "a.fcsv")
    assert (found.labels, found.columns["id"]) == (("#1",), ("#7",))


@pytest.mark.parametrize("more", [{"labels": ("a\nb",)}, {"labels": ("a",), "descriptions": ("b\rc",)}])
def test_texts_with_line_ends_are_refused(more: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a text of point 1 has a line end, which .*a\.fcsv cannot hold"):
        write_landmarks(Landmarks(np.zeros((1, 3)), **more), tmp_path / "a.fcsv")


# ------------------------------------------------------------------------------------------------------- messages

ROW = "1,1,2,3,0,0,0,1,1,1,0,F-1,,,2,0\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (header("4.8", "2") + ROW, r"a\.fcsv, line 2: the CoordinateSystem '2' is not known; it is LPS or RAS"),
        (header("4.8", "IJK") + ROW, "line 2: the CoordinateSystem 'IJK' is not known"),
        (HEAD + "# CoordinateSystem = RAS\n" + ROW, "line 4: a second CoordinateSystem, which differs"),
        (HEAD + ROW + "2,1,2\n", "line 5: 3 cells, where 4 are needed"),
        (HEAD + ROW.replace("F-1", "a,b"), "line 4: 17 cells, and there are 16 columns; put texts with separators"),
        (HEAD + ROW.replace(",2,3", ",b,3"), "line 4: a coordinate is a finite number, found 'b'"),
        (HEAD + ROW.replace(",2,3", ",nan,3"), "line 4: a coordinate is a finite number, found 'nan'"),
        (HEAD + ROW.replace(",2,3", ",inf,3"), "line 4: a point has three finite coordinates, found 1, inf, 3"),
        (HEAD + ROW.replace(",2,3", ",1_0,3"), "line 4: a coordinate is a finite number, found '1_0'"),
        (HEAD + ROW.replace(",2,3", ",,3"), "line 4: a point has three finite coordinates, found 1, nothing, 3"),
        (HEAD + ROW.replace("1,1,0,F", "1,x,0,F"), "line 4: sel is 0 or 1, found 'x'"),
        (HEAD + ROW.replace("0,0,0,1", "a,0,0,1"), "ow, ox, oy, oz are degrees and an axis"),
        (HEAD + ROW.replace("0,0,0,1", "9,nan,0,1"), "ow, ox, oy, oz are degrees and an axis, and some are not finite"),
        (HEAD + ROW.replace(",2,0", ",7,0"), "line 4: positionStatus is 0, 1 or 2, found '7'"),
        (HEAD + ROW.replace("F-1,", '"F-1,') + ROW, "line 5: a cell goes on in the next line; is a quote never closed"),
        (HEAD.replace("id,x,y", "id,x") + ROW, "the columns have no y, found 'id,x,z"),
        ("\udcff" + HEAD, "is no text in UTF-8"),
        ("", r"a\.fcsv is empty; save the points again"),
        ("\r\n ", r"a\.fcsv is empty; save the points again"),
    ],
)
def test_wrong_files_are_refused_by_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.fcsv").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(FormatError, match=message):
        read_landmarks(tmp_path / "a.fcsv")
