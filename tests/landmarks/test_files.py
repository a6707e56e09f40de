"""Files of points: every format into every other, real files of Slicer, and what each says when it is wrong."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chunkvol
from chunkvol.errors import FormatError, InputError, OutputError
from chunkvol.landmarks import Landmarks, read_landmarks, write_landmarks
from chunkvol.landmarks.files import FILES

NAMES = ("a.mrk.json", "a.json", "a.fcsv", "a.csv", "a.tsv", "a.morphoj.csv", "a.npy")
FORMATS = ("a.mrk.json", "a.fcsv", "a.csv", "a.morphoj.csv", "a.npy")
"""One name of each."""
SILENT = ("a.morphoj.csv", "a.npy")
"""Files that say neither frame nor units."""
KEEPS_DESCRIPTIONS = ("a.mrk.json", "a.json", "a.fcsv", "a.csv", "a.tsv")
KEEPS_KINDS = ("a.mrk.json", "a.json", "a.csv", "a.tsv")
NAN = float("nan")


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    def save(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return save


def some(**more: Any) -> Landmarks:
    """Four points, one of them not placed, with all that a point may say."""
    points = [[1.5, -2.25, 1 / 3], [NAN] * 3, [-1e-7, 123456.789, 0.1 + 0.2], [0, -0.0, 4]]
    return Landmarks(
        points,  # type: ignore[arg-type]  # lists of numbers, as callers have them
        ("nasion", 'a "b", c', "é ; #1", "F-1"),
        ("", "Semi", 'said, "so"', ""),
        **{
            "columns": {
                "id": ("7", "8", "9", "10"),
                "visibility": (True, False, True, True),
                "selected": (True, True, False, True),
                "locked": (False, True, False, False),
            },
            **more,
        },
    )


def again(landmarks: Landmarks, path: Path) -> Landmarks:
    """Written and read, told what the file does not say."""
    write_landmarks(landmarks, path)
    told = {"frame": landmarks.frame.lower(), "units": "voxel" if landmarks.frame == "IJK" else "mm"}
    return read_landmarks(path, **(told if path.name in SILENT else {}))  # type: ignore[arg-type]  # no specimen


def assert_points(found: Landmarks, wanted: npt.ArrayLike) -> None:
    np.testing.assert_allclose(found.points, wanted, rtol=0, atol=1e-9)


# ------------------------------------------------------------------------------------------------------------ laws

WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=8).filter(str.strip)
NUMBERS = st.floats(-1e7, 1e7, allow_subnormal=False)
PLACES = st.one_of(st.tuples(NUMBERS, NUMBERS, NUMBERS), st.just((NAN, NAN, NAN)))


@st.composite
def landmarks(draw: st.DrawFn) -> Landmarks:
    points = draw(st.lists(PLACES, min_size=1, max_size=6))
    count = len(points)
    many = lambda values, **how: draw(st.lists(values, min_size=count, max_size=count, **how))  # noqa: E731  # five times
    return Landmarks(
        np.array(points),
        many(WORDS.map(str.strip), unique=True),
        many(st.one_of(st.just(""), st.just("Semi"), WORDS)),
        draw(st.sampled_from(["Fiducial", "Line", "Angle", "Curve", "ClosedCurve"])),
        draw(st.sampled_from(["LPS", "RAS"])),
        columns={"visibility": many(st.booleans()), "locked": many(st.booleans()), "selected": many(st.booleans())},
    )


@pytest.mark.parametrize(("first", "second"), list(product(FORMATS, FORMATS)))
@settings(max_examples=8)
@given(landmarks=landmarks())
def test_points_go_through_any_two_formats_as_they_are(
    first: str, second: str, landmarks: Landmarks, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    found = again(again(landmarks, folder / first), folder / second)
    assert_points(found, landmarks.points)
    assert found.frame == landmarks.frame
    if "a.npy" not in (first, second):
        assert found.labels == landmarks.labels
    if {first, second} <= set(KEEPS_DESCRIPTIONS):
        assert found.descriptions == landmarks.descriptions
        for name, usual in (("visibility", True), ("locked", False), ("selected", True)):
            assert found.columns.get(name, (usual,) * len(found)) == landmarks.columns[name]
    if {first, second} <= set(KEEPS_KINDS):
        assert found.kind == landmarks.kind


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_written_the_same_twice_and_after_reading(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    found = again(some(), path)
    before = path.read_bytes()
    write_landmarks(found, path)
    assert path.read_bytes() == before or name == "a.npy"


@pytest.mark.parametrize("name", KEEPS_DESCRIPTIONS)
@pytest.mark.parametrize("frame", ["LPS", "RAS"])
def test_what_a_point_says_survives(name: str, frame: str, tmp_path: Path) -> None:
    wanted = some(frame=frame)
    found = again(wanted, tmp_path / name)
    assert_points(found, wanted.points)
    assert (found.labels, found.descriptions, found.frame) == (wanted.labels, wanted.descriptions, frame)
    assert {one: found.columns[one] for one in wanted.columns} == wanted.columns
    assert found.placed.tolist() == [True, False, True, True]
    assert not found.problems


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_is_kept_unless_another_is_asked(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_landmarks(some(frame="RAS"), path, frame="lps")
    told = {"frame": "lps", "units": "mm"} if name in SILENT else {}
    found = read_landmarks(path, **told)
    assert found.frame == "LPS"
    assert_points(found, some().points)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.morphoj.csv", "a.npy"])
def test_indices_stay_indices(name: str, tmp_path: Path) -> None:
    found = again(some(frame="IJK"), tmp_path / name)
    assert found.frame == "IJK"
    assert_points(found, some().points)


@pytest.mark.parametrize("name", ["a.mrk.json", "a.fcsv"])
def test_indices_are_no_places(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="voxel indices; map them into the world first"):
        write_landmarks(some(frame="IJK"), tmp_path / name)
    with pytest.raises(InputError, match="IJK and LPS was asked"):
        write_landmarks(some(frame="IJK"), tmp_path / name, frame="lps")
    with pytest.raises(InputError, match="LPS and IJK was asked"):
        write_landmarks(some(), tmp_path / name, frame="ijk")


@pytest.mark.parametrize("name", NAMES)
def test_no_point_at_all_is_a_file_too(name: str, tmp_path: Path) -> None:
    nothing = Landmarks(np.zeros((0, 3)), ())
    if name == "a.morphoj.csv":
        with pytest.raises(FormatError, match="header of MorphoJ"):
            again(nothing, tmp_path / name)
    else:
        assert len(again(nothing, tmp_path / name)) == 0


def test_landmarks_check_their_columns() -> None:
    with pytest.raises(InputError, match="2 points have 1 values of 'id'"):
        Landmarks(np.zeros((2, 3)), ("a", "b"), columns={"id": ("1",)})


# -------------------------------------------------------------------------------------------------------- real files


def test_twins_of_slicer_are_the_same_points(visible: Path) -> None:
    folder = visible / "microct_nrrd_landmarks"
    ras = chunkvol.read_landmarks(folder / "Gorilla_template_LM1.fcsv")
    lps = chunkvol.read_landmarks(folder / "Gorilla_template_LM1.json")
    assert (ras.frame, lps.frame, len(ras), len(lps)) == ("RAS", "LPS", 41, 41)
    assert np.array_equal(ras.points, lps.points)
    assert ras.labels == lps.labels
    assert ras.columns["locked"] == lps.columns["locked"] == (True,) * 41
    np.testing.assert_array_equal(ras.points[0], [-111.987, -312.757, -148.078])


def test_carriage_returns_within_rows_of_slicer_are_no_line_ends(visible: Path) -> None:
    found = chunkvol.read_landmarks(visible / "microct_nrrd_landmarks" / "4074_S_lm1.fcsv")
    assert (len(found), found.frame, found.placed.all()) == (55, "RAS", True)
    np.testing.assert_array_equal(found.points[0], [-10.2321648, -3.7182600000000003, 6.695488800000001])
    assert found.labels == tuple(map(str, range(1, 56)))
    assert set(found.columns["associatedNodeID"]) == {"", "vtkMRMLScalarVolumeNode2"}


@pytest.mark.parametrize("name", NAMES)
def test_real_points_survive_every_format(name: str, visible: Path, tmp_path: Path) -> None:
    for file in ("Gorilla_template_LM1.fcsv", "Gorilla_template_LM1.json", "4074_S_lm1.fcsv"):
        wanted = read_landmarks(visible / "microct_nrrd_landmarks" / file)
        found = again(wanted, tmp_path / name)
        assert np.array_equal(found.points, wanted.points)
        if name != "a.npy":
            assert found.labels == wanted.labels


def test_a_document_of_slicer_is_written_as_it_was(visible: Path, tmp_path: Path) -> None:
    file = visible / "microct_nrrd_landmarks" / "Gorilla_template_LM1.json"
    before = json.loads(file.read_text())
    write_landmarks(read_landmarks(file), tmp_path / "a.mrk.json")
    after = json.loads((tmp_path / "a.mrk.json").read_text())
    assert after["markups"][0].pop("coordinateUnits") == "mm"  # which this old one leaves out
    assert after == before


# ------------------------------------------------------------------------------------------------------ messages


def test_every_name_in_the_table_is_written_and_read(tmp_path: Path) -> None:
    for row in FILES.values():
        for suffix in row.suffixes:
            path = tmp_path / f"a{suffix}"
            write_landmarks(some(), path)
            head = path.read_bytes()[:4096]
            assert next(one for one in FILES.values() if one.matches(path, head)) is row, suffix


@pytest.mark.parametrize("name", ["a.vtk", "a", "a.pts"])
def test_an_unknown_suffix_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no suffix of a file of points: .*\.mrk\.json"):
        write_landmarks(some(), tmp_path / name)


def test_a_folder_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere"):
        write_landmarks(some(), tmp_path / "nowhere" / "a.csv")


def test_a_file_that_is_missing_or_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the points .*a\.csv cannot be read: No such file"):
        read_landmarks(tmp_path / "a.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_landmarks(tmp_path)


def test_huge_files_are_refused_before_they_are_read(tmp_path: Path) -> None:
    with open(tmp_path / "a.csv", "wb") as file:
        file.truncate(513 << 20)
    with pytest.raises(InputError, match=r"a\.csv has 513 MiB, and .* at most 512 MiB"):
        read_landmarks(tmp_path / "a.csv")


def test_other_files_are_no_points(saved: Any) -> None:
    with pytest.raises(FormatError, match=r"a\.bin is no file of points that is known: NumPy array"):
        read_landmarks(saved("a.bin", b"\x89PNG\r\n\0\0"))


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_frame_or_unit_is_refused(name: str, tmp_path: Path) -> None:
    write_landmarks(some(), tmp_path / name)
    with pytest.raises(InputError, match="frame lps or ras or ijk, not 'rsa'"):
        read_landmarks(tmp_path / name, frame="rsa")
    with pytest.raises(InputError, match=r"units mm or um .* or voxel, not 'inch'"):
        read_landmarks(tmp_path / name, units="inch")
    with pytest.raises(InputError, match="frame lps or ras or ijk, not 'kji'"):
        write_landmarks(some(), tmp_path / name, frame="kji")


@pytest.mark.parametrize("name", ["a.mrk.json", "a.fcsv", "a.csv", "a.tsv"])
def test_what_a_file_says_is_not_overruled(name: str, tmp_path: Path) -> None:
    write_landmarks(some(), tmp_path / name)
    assert len(read_landmarks(tmp_path / name, frame="LPS", units="mm")) == 4
    with pytest.raises(InputError, match="says itself that its frame is lps, and ras was asked; leave --frame out"):
        read_landmarks(tmp_path / name, frame="ras")
    with pytest.raises(InputError, match="says itself that its units is mm, and um was asked"):
        read_landmarks(tmp_path / name, units="um")
    with pytest.raises(InputError, match="says itself that its units is mm, and voxel was asked"):
        read_landmarks(tmp_path / name, units="voxel")


@pytest.mark.parametrize("name", SILENT)
def test_what_a_file_does_not_say_must_be_said(name: str, tmp_path: Path) -> None:
    write_landmarks(some(), tmp_path / name)
    with pytest.raises(InputError, match=rf"{name} does not say in which frame its points are; say --frame lps"):
        read_landmarks(tmp_path / name)
    with pytest.raises(InputError, match=rf"{name} does not say in which units its points are; say --units mm or um"):
        read_landmarks(tmp_path / name, frame="lps")
    with pytest.raises(InputError, match="frame ijk does not go with units mm"):
        read_landmarks(tmp_path / name, frame="ijk", units="mm")
    with pytest.raises(InputError, match="frame ras does not go with units voxel"):
        read_landmarks(tmp_path / name, frame="ras", units="voxel")
    assert read_landmarks(tmp_path / name, frame="ijk").frame == "IJK"
    assert read_landmarks(tmp_path / name, units="voxel").frame == "IJK"
    found = read_landmarks(tmp_path / name, frame="ras", units="um")
    np.testing.assert_allclose(found.points, some().points * [-1e-3, -1e-3, 1e-3], rtol=1e-15)


# -------------------------------------------------------------------------------------------------------- arrays


def test_an_array_is_what_numpy_reads(tmp_path: Path) -> None:
    write_landmarks(some(frame="RAS"), tmp_path / "a.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), some().points * [-1, -1, 1])
    np.save(tmp_path / "b.npy", np.arange(6, dtype="int16").reshape(2, 3))
    found = read_landmarks(tmp_path / "b.npy", frame="lps", units="cm")
    np.testing.assert_array_equal(found.points, [[0, 10, 20], [30, 40, 50]])
    assert found.labels == ("1", "2")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((3, 2)), r"holds float64 of shape \(3, 2\); points are numbers of shape \(n, 3\)"),
        (np.zeros(3), r"shape \(3,\)"),
        (np.zeros((2, 3), complex), "holds complex128"),
        (np.array([[0, 1, 2], [3, NAN, 5]]), "row 1: a point has three finite coordinates"),
        (np.array([[0, 1, np.inf]]), "row 0: a point has three finite coordinates"),
    ],
)
def test_arrays_that_are_no_points_are_refused(values: Any, message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(FormatError, match=message):
        read_landmarks(tmp_path / "a.npy", frame="lps", units="mm")


def test_damaged_arrays_are_refused(saved: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((9, 3)))
    whole = (tmp_path / "a.npy").read_bytes()
    for data in (whole[:60], whole[:-1], whole[:8]):
        with pytest.raises(FormatError, match=r"a\.npy is no array of numpy that is whole"):
            read_landmarks(saved("a.npy", data), frame="lps", units="mm")
    np.save(tmp_path / "b.npy", np.array([[{}, 1, 2]], object), allow_pickle=True)
    with pytest.raises(FormatError, match="is no array of numpy that is whole"):
        read_landmarks(tmp_path / "b.npy", frame="lps", units="mm")


# ------------------------------------------------------------------------------------------------------- MorphoJ

SPECIMENS = "Subject,a_X,a_Y,a_Z,b c_X,b c_Y,b c_Z\none,1,2,3,4,5,6\ntwo,7,8,9,,,\ntwo,0,0,0,0,0,1\n"


@pytest.mark.parametrize(
    ("specimen", "points"),
    [
        ("one", [[1, 2, 3], [4, 5, 6]]),
        (1, [[1, 2, 3], [4, 5, 6]]),
        ("2", [[7, 8, 9], [NAN] * 3]),
        (3, [[0] * 3, [0, 0, 1]]),
    ],
)
def test_a_specimen_is_one_row(specimen: Any, points: Any, saved: Any) -> None:
    found = read_landmarks(saved("a.csv", SPECIMENS), frame="lps", units="mm", specimen=specimen)
    assert found.labels == ("a", "b c")
    np.testing.assert_array_equal(found.points, points)


@pytest.mark.parametrize("header", ["id\tX1\tY1\tZ1\tX2\tY2\tZ2", "id;1X;1Y;1Z;2X;2Y;2Z", "﻿id,1.x,1.y,1.z,2.x,2.y,2.z"])
def test_other_programs_name_coordinates_otherwise(header: str, saved: Any) -> None:
    row = header[header.index("d") + 1].join(["s", "1", "2", "3", "4", "5", "6"])
    found = read_landmarks(saved("a.txt", f"{header}\r\n{row}\r\n"), frame="ras", units="um")
    assert found.labels == ("1", "2")
    np.testing.assert_allclose(found.points, [[-1e-3, -2e-3, 3e-3], [-4e-3, -5e-3, 6e-3]])


@pytest.mark.parametrize(
    ("text", "specimen", "message"),
    [
        (SPECIMENS, None, r"holds 3 specimens \('one, two, two'\); say which one is meant"),
        (SPECIMENS, "two", "2 specimens of the name 'two'; say its number"),
        (SPECIMENS, "four", "no specimen 'four', but 'one, two, two'"),
        (SPECIMENS, 4, "no specimen 4"),
        (SPECIMENS[:37], None, "holds no specimen"),
        (SPECIMENS.replace("4,5,6", "4,5"), 1, "line 2: 6 cells, where 7 are needed"),
        (SPECIMENS.replace("4,5,6", "4,5,6,7"), 1, "line 2: 8 cells, and there are 7 columns"),
        (SPECIMENS.replace("4,5,6", "4,nan,6"), 1, "line 2: a coordinate is a finite number, found 'nan'"),
        (SPECIMENS.replace("b c", "a"), 1, "line 1: the landmark 'a' is named twice"),
    ],
)
def test_wrong_files_of_morphoj_are_refused(text: str, specimen: Any, message: str, saved: Any) -> None:
    with pytest.raises(InputError, match=message):
        read_landmarks(saved("a.csv", text), frame="lps", units="mm", specimen=specimen)


def test_morphoj_is_written_with_a_row_and_three_columns_a_landmark(tmp_path: Path) -> None:
    write_landmarks(some(), tmp_path / "skull_7.morphoj.csv")
    with open(tmp_path / "skull_7.morphoj.csv", newline="") as file:
        header, row = csv.reader(file)
    assert header[:4] == ["Subject", "nasion_X", "nasion_Y", "nasion_Z"]
    assert row[:7] == ["skull_7", "1.5", "-2.25", repr(1 / 3), "", "", ""]


def test_many_landmarks_are_one_long_line(tmp_path: Path) -> None:
    made = Landmarks(np.arange(60_000.0).reshape(-1, 3), [f"é{n}" for n in range(20_000)])
    write_landmarks(made, tmp_path / "a.morphoj.csv")
    (tmp_path / "a.morphoj.csv").rename(tmp_path / "b.csv")  # known by its content alone
    found = read_landmarks(tmp_path / "b.csv", frame="lps", units="mm")
    assert found.labels == made.labels
    np.testing.assert_array_equal(found.points, made.points)


def test_morphoj_needs_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="some are empty or there twice"):
        write_landmarks(Landmarks(np.zeros((2, 3)), ("a", "a")), tmp_path / "a.morphoj.csv")
