"""Plain tables: headers or none, separators, frames and units wherever they stand, and rows that are wrong."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chunkvol.errors import FormatError, InputError
from chunkvol.landmarks import Landmarks, read_landmarks, write_landmarks

NAN = float("nan")
POINTS = [[1.5, -2, 3], [NAN] * 3, [4, 5e-3, 6]]


@pytest.fixture
def found(tmp_path: Path) -> Any:
    def read(text: str, name: str = "a.csv", **told: Any) -> Landmarks:
        path = tmp_path / name
        path.write_bytes(text.encode())
        return read_landmarks(path, **told)

    return read


# --------------------------------------------------------------------------------------------------------- headers


@pytest.mark.parametrize(
    "header",
    [
        "label,x,y,z",
        "Label,X,Y,Z",
        '"name","x","y","z"',
        "landmark,x_lps_mm,y_lps_mm,z_lps_mm",
        "label,x (mm),y (mm),z (mm)",
        "label,x [LPS],y [LPS],z [LPS]",
        "label, x mm, y mm, z mm",
        "",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_tables_are_read_with_any_header_or_none(header: str, end: str, separator: str, mark: str, found: Any) -> None:
    rows = "a,1.5,-2,3\nb,,,\n c,4,5e-3,6.0\n\n"
    text = mark + (f"{header}\n{rows}" if header else rows).replace(",", separator).replace("\n", end)
    read = found(text, frame="lps", units="mm")
    assert (read.labels, read.frame, read.kind) == (("a", "b", " c"), "LPS", "Fiducial")
    np.testing.assert_array_equal(read.points, POINTS)


def test_columns_may_stand_in_any_order(found: Any) -> None:
    read = found("z,desc,locked,y,size,x,label\n3,Semi,1,2,7.5,1,a\n6,,,5,,4,b\n", frame="ras", units="um")
    np.testing.assert_allclose(read.points, [[-1e-3, -2e-3, 3e-3], [-4e-3, -5e-3, 6e-3]])
    assert (read.labels, read.descriptions) == (("a", "b"), ("Semi", ""))
    assert read.columns == {"locked": (True, False), "size": ("7.5", "")}


@pytest.mark.parametrize(
    "text",
    [
        "# frame = ras\n# units: um\nlabel,x,y,z\na,1,2,3\n",
        "# made by hand\n# CoordinateSystem = RAS\n#unit = um\na,1,2,3\n",
        "label,x,y,z,frame,units\na,1,2,3,RAS,um\n",
        "label,x_ras_um,y_ras_um,z_ras_um\na,1,2,3\n",
        "label,x (RAS, µm),y (RAS, µm),z (RAS, µm)\na,1,2,3\n".replace("(RAS, µm)", "[RAS] µm"),
        "# units = um\nlabel,frame,x_um,y_um,z_um\na,ras,1,2,3\n",
    ],
)
def test_frame_and_units_stand_in_remarks_names_or_columns(text: str, found: Any) -> None:
    read = found(text)
    assert (read.frame, read.labels) == ("RAS", ("a",))
    np.testing.assert_allclose(read.points, [[-1e-3, -2e-3, 3e-3]])


@pytest.mark.parametrize(
    ("text", "told", "points"),
    [
        ("label,i,j,k\na,1,2,3\n", {}, [[1, 2, 3]]),
        ("label,k,j,i\na,1,2,3\n", {}, [[3, 2, 1]]),
        ("label,i_voxel,j_voxel,k_voxel\na,1,2,3\n", {"frame": "ijk", "units": "voxel"}, [[1, 2, 3]]),
        ("label,x,y,z\na,1,2,3\n", {"frame": "ijk"}, [[1, 2, 3]]),
        ("label,x,y,z\na,1,2,3\n", {"units": "voxel"}, [[1, 2, 3]]),
        ("label,i,j,k,x_lps_mm,y_lps_mm,z_lps_mm\na,1,2,3,4,5,6\n", {"frame": "ijk"}, [[1, 2, 3]]),
    ],
)
def test_indices_are_read_as_they_are(text: str, told: Any, points: Any, found: Any) -> None:
    read = found(text, **told)
    assert read.frame == "IJK"
    np.testing.assert_array_equal(read.points, points)


def test_places_come_before_indices_and_a_frame_that_is_asked_before_another(found: Any) -> None:
    text = "label,i,j,k,x_lps_mm,y_lps_mm,z_lps_mm,x_ras_mm,y_ras_mm,z_ras_mm\na,1,2,3,4,5,6,-4,-5,6\n"
    for frame in ("lps", "ras"):
        read = found(text, frame=frame)
        assert read.frame == frame.upper()
        np.testing.assert_array_equal(read.points, [[4, 5, 6]])
        assert read.columns["i"] == ("1",)
    with pytest.raises(FormatError, match="states frame lps and ras; one file has points in one frame"):
        found(text)


@pytest.mark.parametrize(
    ("letters", "points"), [("r,a,s", [[-1, -2, 3], [NAN] * 3]), ("l,p,s", [[1, 2, 3], [NAN] * 3])]
)
def test_tables_that_slicer_exports_are_known(letters: str, points: Any, found: Any) -> None:
    text = f"label,{letters},defined,selected,visible,locked,description\nF-1,1,2,3,1,1,0,1,Semi\nF-2,0,0,0,0,0,1,0,\n"
    read = found(text)
    np.testing.assert_array_equal(read.points, points)
    assert read.descriptions == ("Semi", "")
    assert read.columns == {"selected": (True, False), "visibility": (False, True), "locked": (True, False)}


def test_numbers_alone_are_points_without_names(found: Any) -> None:
    read = found("1,2,3\n4,5,6\n", frame="lps", units="mm")
    assert read.labels == ("1", "2")
    assert found("x,y,z\n1,2,3\n", frame="lps", units="mm").labels == ("1",)
    assert found("id,x,y,z\nnose,1,2,3\n", frame="lps", units="mm").labels == ("nose",)


def test_what_r_writes_is_read(found: Any) -> None:
    text = '"","label","x","y","z","locked"\n"1","a",1.5,-2,3,TRUE\n"2","b",NA,NA,NA,FALSE\n"3","c",4,0.005,6,TRUE\n'
    read = found(text, frame="lps", units="mm")
    np.testing.assert_array_equal(read.points, POINTS)
    assert read.columns == {"locked": (True, False, True)}


# --------------------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize(("name", "separator"), [("a.csv", ","), ("a.tsv", "\t")])
def test_names_of_columns_say_frame_and_unit(name: str, separator: str, tmp_path: Path) -> None:
    made = Landmarks(np.array(POINTS), "abc", ("", "Semi", ""), frame="RAS", columns={"size_mm": (0.5, None, NAN)})
    write_landmarks(made, tmp_path / name)
    with open(tmp_path / name, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter=separator))
    assert rows == [
        ["label", "x_ras_mm", "y_ras_mm", "z_ras_mm", "description", "size_mm"],
        ["a", "-1.5", "2.0", "3.0", "", "0.5"],
        ["b", "", "", "", "Semi", ""],
        ["c", "-4.0", "-0.005", "6.0", "", ""],
    ]


def test_types_and_lists_are_columns(found: Any, tmp_path: Path) -> None:
    read = found("label,x_lps_mm,y_lps_mm,z_lps_mm,type,list\na,1,2,3,Curve,u\na,4,5,6,Curve,u2\nb,7,8,9,Line,v\n")
    assert (read.kind, read.columns["list"]) == ("Curve", (0, 1, 2))
    write_landmarks(read, tmp_path / "b.csv")
    back = read_landmarks(tmp_path / "b.csv")
    assert back.original.lists == (
        {"type": "Curve", "name": "u"},
        {"type": "Curve", "name": "u2"},
        {"type": "Line", "name": "v"},
    )
    assert found(HEAD[:-1] + ",type\na,1,2,3,Angle\n").kind == "Angle"
    read = found(HEAD[:-1] + ",type,note,note\na,1,2,3,II,1,2\n")  # of another kind of types
    assert (read.kind, read.columns) == ("Fiducial", {"type": ("II",), "note": ("1",), "note 7": ("2",)})


def test_labels_that_repeat_are_told_apart_by_a_column_id(tmp_path: Path) -> None:
    write_landmarks(Landmarks(np.zeros((3, 3)), ("a", "a", "")), tmp_path / "a.csv")
    found = read_landmarks(tmp_path / "a.csv")
    assert (found.labels, found.columns["id"]) == (("a", "a", ""), ("1", "2", "3"))
    assert len(found.problems) == 2


# -------------------------------------------------------------------------------------------------------- messages

HEAD = "label,x_lps_mm,y_lps_mm,z_lps_mm\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,x,y,z\na,1,2,3\n", r"a\.csv does not say in which frame its points are; say --frame lps, ras or ijk"),
        ("label,x_ras,y_ras,z_ras\na,1,2,3\n", "does not say in which units its points are; say --units mm or um"),
        ("label,x,y,z,frame\na,1,2,3,lsp\n", "line 2: frame is lps or ras or ijk, found 'lsp'"),
        ("label,x_um,y_um,z_um,units\na,1,2,3,mm\n", "states units um and mm; one file has points in one units"),
        ("# units = furlong\na,1,2,3\n", "line 1: units is mm or um .*, found 'furlong'"),
        ("label,x,y,z,frame\na,1,2,3,lps\nb,1,2,3,\nc,1,2,3,ras\n", "line 3: frame is '' and 'lps' before"),
        ("label,x_lps,y_ras,z_lps\na,1,2,3\n", "states frame lps and ras; one file has points in one frame"),
        (HEAD + "a,1,2,3\n\nb,1,2\n", "line 4: 3 cells, where 4 are needed"),
        (HEAD + "a,1,2,3,left, upper\n", "line 2: 6 cells, and there are 4 columns; put texts with separators"),
        (HEAD + "a,1,2,3\na,4,5,6\nb,4,5,6\na,1,2,3\n", "lines 2, 3, 5: the label 'a' is there 3 times; name points"),
        (HEAD + "a,1,2,3\n ,4,5,6\n", "line 3: the point has no label; name it, or add a column id"),
        (HEAD + "a,1,x,3\n", "line 2: a coordinate is a finite number, found 'x'; a point that is not placed"),
        (HEAD.replace(",", ";") + "a;1,5;2;3\n", "line 2: .* found '1,5'; decimals have a point, not a comma"),
        (HEAD + "a,1,NaN,3\n", "line 2: a coordinate is a finite number, found 'NaN'"),
        (HEAD + "a,,,\nb,1,nan,3\n", "line 3: a coordinate is a finite number, found 'nan'"),
        (HEAD + "a,1,-inf,3\n", "line 2: a point has three finite coordinates, found 1, -inf, 3"),
        (HEAD + "a,1,1e999,3\n", "line 2: a point has three finite coordinates, found 1, 1e999, 3"),
        (HEAD + "a,1,,3\n", "line 2: a point has three finite coordinates, found 1, nothing, 3"),
        ("label,x,y\na,1,2\n", "0 columns are z, and a point has one; found 'label, x, y'"),
        (",X,Y,Slice\n1,3,4,2\n", "0 columns are z, .*; a list of results of ImageJ is read with --frame fiji-pixels"),
        ("label,x,y,z,x\na,1,2,3,4\n", "2 columns are x"),
        ("one,two\n1,2\n", "line 1: neither names of columns .* nor a label and three numbers, found 'one, two'"),
        ("", "holds no points"),
        ("# frame = lps\n", "holds no points"),
        (HEAD[:-1] + ",locked\na,1,2,3,maybe\n", "line 2: locked is 0 or 1, found 'maybe'"),
        (HEAD[:-1] + ",type\na,1,2,3,Line\nb,1,2,3,Curve\n", "line 3: type is Curve and Line before in one list"),
        (HEAD[:-1] + ",id\na,1,2,3,7\na,1,2,3,7\n", "lines 2, 3: the label 'a' is there 2 times"),
        (
            HEAD + 'a,1,2,3\n"b' + "x" * 200_000,
            "line 4|line 3: field larger than field limit .*; is a quote never closed",
        ),
    ],
)
def test_wrong_tables_are_refused_by_line(text: str, message: str, found: Any) -> None:
    with pytest.raises(InputError, match=message) as caught:
        found(text)
    assert "\n" not in str(caught.value) and "a.csv" in str(caught.value)


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("label,x,y,z\nSchädel,1,2,3\n".encode("latin-1"))
    with pytest.raises(FormatError, match=r"a\.csv is no text in UTF-8 \(byte 15 is 0xe4\); save it as CSV UTF-8"):
        read_landmarks(tmp_path / "a.csv", frame="lps", units="mm")
    (tmp_path / "a.csv").write_bytes("label,x,y,z\na,1,2,3\n".encode("utf-16"))
    with pytest.raises(FormatError, match=r"is no file of points|no text in UTF-8"):
        read_landmarks(tmp_path / "a.csv", frame="lps", units="mm")
