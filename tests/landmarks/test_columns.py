"""Points by column: the same as row by row, whatever stands in a file, and the same text, whatever points share."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkvol.errors import FormatError
from chunkvol.landmarks import Landmarks, control_points, moved, read_landmarks, write_landmarks
from chunkvol.landmarks import cells as cells_module
from chunkvol.landmarks.cells import Even, even_rows
from chunkvol.landmarks.columns import cells_of, rows_of, separated_rows
from chunkvol.landmarks.control_points import ControlPoints, read_apart
from chunkvol.landmarks.rows import separated

NAN = float("nan")

# ------------------------------------------------------------------------------------------------------------ tables


def plain_rows(text: str, separator: str) -> list[tuple[list[str], int]]:
    """Row by row, with the line on which each ends."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return [(row, reader.line_num) for row in reader if row and (len(row) > 1 or row[0].strip())]


CELLS = st.sampled_from(
    ["", "1", "-2.5", " x", "µ", "NA", '"a"', '"a,b"', '"a""b"', 'a"b', '"a"b', '"two\nlines"', '"open']
)
ENDS = st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n", " \n", ",\n"])


@settings(deadline=None)
@given(
    width=st.integers(1, 4),
    rows=st.lists(st.tuples(st.lists(CELLS, min_size=4, max_size=4), ENDS, st.booleans()), max_size=8),
    tidy=st.booleans(),
    front=st.sampled_from(["", "\n", "\r\n\n"]),
    behind=st.sampled_from(["", "\n", "\n\n", "\r\n"]),
    separator=st.sampled_from([",", "\t", ";"]),
)
def test_rows_are_the_same_by_column_and_one_by_one(
    width: int, rows: Any, tidy: bool, front: str, behind: str, separator: str
) -> None:
    lines = [",".join(cells[: width if tidy or even else 3]) + ("\n" if tidy else end) for cells, end, even in rows]
    text = front + "".join(lines).replace(",", separator).removesuffix("\n") + behind
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells_module, "_BLOCK", 16)
        patch.setattr(cells_module, "_BATCH", 2)
        found = separated(Path("a.csv"), text, separator, first=5)
    assert list(zip(found.cells, found.lines, strict=True)) == [
        (row, line + 4) for row, line in plain_rows(text, separator)
    ]


@pytest.mark.parametrize(
    ("text", "even"),
    [
        ("a,1\nb,2", True),
        ("\n\na,1\r\nb,2\r\n\n", True),
        ('"a","1,5"\n"b""c",2\n', True),
        (",\n,\n", True),
        ("a,1\nb\n", False),
        ("a,1\n\nb,2\n", False),
        ("a\nb\n", False),
        ("a,1\rb,2\r", False),
        ('a,"1\nb,2\n', False),
        ('a,"two\nlines"\n', False),
        ('a,1\nb,"open', False),
        ("a," + "1" * 200_000, False),
        ("a" + ",1" * 2000, False),
        ("", False),
    ],
)
def test_regular_tables_are_read_by_column(text: str, even: bool) -> None:
    assert (even_rows(text.replace("\r\n", "\n"), ",") is not None) == even


def test_rows_by_column_are_a_sequence_of_rows() -> None:
    rows = Even([["a", "b", "c"], ["1", "2", "3"]])
    assert (len(rows), rows[1], rows[-1]) == (3, ["b", "2"], ["c", "3"])
    assert list(rows[1:]) == [["b", "2"], ["c", "3"]] and isinstance(rows[1:], Even)


def test_a_cell_longer_than_any_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"label,x,y,z\na,1,2,3\nb,1,2,{'3' * 200_000}\n")
    with pytest.raises(FormatError, match=r"a\.csv, line 3: field larger than field limit \(131072\)"):
        read_landmarks(tmp_path / "a.csv", frame="lps", units="mm")


VALUES = st.sampled_from(
    [
        *(None, "", "a", "a,b", 'a"b', "#a", "a\nb", "a\rb", "é", 0, 1, True, False),
        *(1.5, -0.0, 0.0, NAN, float("inf"), np.float64(2.5), np.int64(3), np.bool_(True), np.str_("x")),
    ]
)


@settings(deadline=None)
@given(columns=st.lists(st.lists(VALUES, min_size=3, max_size=3), min_size=2, max_size=4), share=st.booleans())
@pytest.mark.parametrize("separator", [",", "\t"])
def test_cells_are_written_as_the_module_csv_does(columns: list[list[Any]], share: bool, separator: str) -> None:
    def plain(value: Any) -> Any:
        value = "" if value is None else value
        if isinstance(value, bool | np.bool_):
            return int(value)
        if isinstance(value, float | np.floating):
            return repr(float(value)) if np.isfinite(value) else ""
        return value

    columns = [one[:1] * 3 for one in columns] if share else columns
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=separator, lineterminator="\n")
    writer.writerows(zip(*(map(plain, one) for one in columns), strict=True))
    assert b"".join(separated_rows(map(cells_of, columns), separator, 3)).decode() == stream.getvalue()


@pytest.mark.parametrize("count", [0, 1, 16384, 16385])
def test_rows_are_their_parts_one_behind_the_other(count: int) -> None:
    parts = ["<", [str(n) for n in range(count)], ",", ["same"] * count, ">"]
    assert b"".join(rows_of(parts, count)).decode() == "".join(f"<{n},same>" for n in range(count))


# ------------------------------------------------------------------------------------------------------------ Slicer

TEXTS = st.sampled_from(["", "a", 'a"b', "é\\", "} ,{", "}]", "}, ]", '"controlPoints": [{'])
POSITIONS = st.sampled_from(
    [[1.5, -0.0, 3], [1, 2, 3], [], "", None, [1, 2], [NAN, 1, 2], [True, 1, 2], [10**400, 1, 1]]
)
STATUS = st.sampled_from(["defined", "undefined", "preview", None])
TIDY = {"id": st.just("1"), "label": TEXTS, "position": st.just([1.5, -0.0, 3]), "selected": st.just(True)}
ODD: dict[str, Any] = {
    "label": TEXTS | st.none(),
    "position": POSITIONS,
    "positionStatus": STATUS,
    "extra": TEXTS | st.just({"a": [{}]}),
}
LISTS = st.lists(st.fixed_dictionaries(TIDY), max_size=9) | st.lists(
    st.fixed_dictionaries({}, optional={**TIDY, **ODD}), max_size=9
)
MARKUPS = st.fixed_dictionaries(
    {"type": st.just("Fiducial")},
    optional={
        "controlPoints": LISTS | st.sampled_from([None, {}, [1], "x"]),
        "display": st.just({"controlPoints": [{"a": 1}]}),
        "name": TEXTS,
    },
)


def is_placed(row: dict[str, Any]) -> bool:
    return row.get("positionStatus", "defined") == "defined" and bool(row.get("position"))


def is_place(value: Any) -> bool:
    good = isinstance(value, list) and len(value) == 3 and all(type(one) in (int, float) for one in value)
    return good and max(value) < 10**300 and bool(np.isfinite(value).all())


@settings(deadline=None)
@given(
    markups=st.lists(MARKUPS, max_size=3),
    indent=st.sampled_from([None, 2]),
    separators=st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]),
    mark=st.sampled_from(["", "\ufeff"]),
)
def test_points_in_pieces_are_those_of_the_document(markups: Any, indent: Any, separators: Any, mark: str) -> None:
    text = json.dumps({"markups": markups}, indent=indent, separators=separators, ensure_ascii=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control_points, "_PIECE", 256)
        found = read_apart((mark + text).encode())
    if found is None:
        return
    document, listed = found
    assert len(listed) == len(markups) == len(document["markups"])
    for markup, read, points in zip(markups, document["markups"], listed, strict=True):
        rows = markup.pop("controlPoints", None) or []
        read.pop("controlPoints", None)
        assert read == markup
        check_points(points, rows)


def check_points(points: ControlPoints, rows: list[dict[str, Any]]) -> None:
    """Points are what their rows say, one by one."""
    names = dict.fromkeys(name for row in rows for name in row if name not in ("label", "description", "position"))
    assert points.count == len(rows)
    assert repr(points.columns) == repr({name: [row.get(name) for row in rows] for name in names})
    assert points.texts("label") == [str(row.get("label") or "") for row in rows]
    wrong = [(n, row["position"]) for n, row in enumerate(rows) if is_placed(row) and not is_place(row["position"])]
    assert repr(points.odd) == repr(wrong[0] if wrong else None)
    if not wrong:
        expected = [row["position"] if is_placed(row) else [NAN] * 3 for row in rows]
        np.testing.assert_array_equal(points.positions, np.array(expected, float).reshape(-1, 3))


@pytest.mark.parametrize("indent", [None, 4])
def test_tidy_documents_are_read_in_pieces(indent: int | None) -> None:
    rows = [{"id": str(n), "label": f"é-{n}", "description": "", "position": [n, 0.5, -1]} for n in range(2000)]
    lists = [rows, rows[:3], [], rows[:700]]
    markups = [{"type": "Fiducial", "controlPoints": one, "measurements": [{"a": [{}]}]} for one in lists]
    found = read_apart(json.dumps({"markups": markups}, indent=indent).encode())
    assert found is not None
    for points, own in zip(found[1], lists, strict=True):
        check_points(points, own)


@pytest.mark.parametrize(
    "text",
    [
        '{"markups": [{"controlPoints": [{"a": 1}, ]}]}',
        '{"markups": [{"controlPoints": [{"a": 1} {"a": 2}]}]}',
        '{"markups": [{"controlPoints": [{"a": 1}, 2]}]}',
        '{"markups": [{"controlPoints": [{"a": 1}], "controlPoints": [{"a": 2}]}]}',
        '{"markups": [{"display": {"controlPoints": [{"a": 1}]}, "controlPoints": [0]}]}',
        '{"markups": [{"a\\"controlPoints": [{"a": 1}]}]}',
        '{"markups": {"controlPoints": [{"a": 1}]}}',
        '{"markups": [{"controlPoints": [{"a": 1}]}]',
        '[{"controlPoints": [{"a": 1}]}]',
    ],
)
def test_what_cannot_be_told_apart_is_read_at_once(text: str) -> None:
    assert read_apart(text.encode()) is None


def test_texts_that_all_points_share_are_one_object() -> None:
    points = ControlPoints(json.loads('[{"a": "same", "b": "1"}, {"a": "same", "b": "2"}]'))
    points.add(json.loads('[{"a": "same", "b": "3"}, {"a": "same", "b": "4"}]'))
    assert len(set(map(id, points.columns["a"]))) == 1
    assert points.columns["b"] == ["1", "2", "3", "4"]


def plain_line(landmarks: Landmarks, number: int) -> str:
    """A control point of a `.mrk.json` in LPS, field by field."""
    said = {name: values[number] for name, values in landmarks.columns.items()}
    said = {name: one for name, one in said.items() if one is not None and one == one}
    placed = bool(landmarks.placed[number])
    row = {
        "id": str(said.pop("id", "") or number + 1),
        "label": landmarks.labels[number],
        "description": landmarks.descriptions[number],
        "associatedNodeID": said.pop("associatedNodeID", ""),
        **({"position": (landmarks.points[number] + 0.0).tolist()} if placed else {}),
        **({"orientation": list(said.pop("orientation"))} if "orientation" in said else {}),
        **{
            name: said.pop(name, usual) for name, usual in (("selected", True), ("locked", False), ("visibility", True))
        },
    }
    preview = said.pop("positionStatus", "") == "preview"
    row["positionStatus"] = "defined" if placed else "preview" if preview else "undefined"
    return json.dumps(row | said, ensure_ascii=False)


TURNS = st.sampled_from(
    [(-1.0, -0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0), (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)]
)
COLUMNS = {
    "id": st.none() | st.sampled_from(["", "a", 7]),
    "associatedNodeID": TEXTS | st.none(),
    "selected": st.none() | st.booleans(),
    "positionStatus": st.sampled_from([None, "preview", "undefined"]),
    "orientation": st.none() | TURNS,
    "size": st.sampled_from([None, NAN, 1.5, -0.0, 0.0, 2, "x", True]),
    "further": st.sampled_from([{"a": [1, None]}, [1, 2.5]]),
}


@st.composite
def landmarks_with_columns(draw: Any) -> Landmarks:
    count = draw(st.integers(1, 4))
    places = st.lists(st.sampled_from([1.5, -0.0, 1e-300, 1e22, 0.1]), min_size=3, max_size=3) | st.just([NAN] * 3)
    names = draw(st.lists(st.sampled_from(sorted(COLUMNS)), unique=True))
    columns = {}
    for name in names:
        one = draw(st.lists(COLUMNS[name], min_size=count, max_size=count))
        columns[name] = tuple(one[:1] * count if draw(st.booleans()) else one)
    points = draw(st.lists(places, min_size=count, max_size=count))
    labels = draw(st.lists(TEXTS, min_size=count, max_size=count))
    return Landmarks(np.array(points), tuple(labels), columns=columns)


@settings(deadline=None)
@given(made=landmarks_with_columns())
def test_each_point_is_a_line_of_json_whatever_points_share(made: Landmarks, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "columns.mrk.json"
    write_landmarks(made, path)
    lines = [line.strip().removesuffix(",") for line in path.read_text().splitlines() if line.startswith(" " * 16)]
    assert lines == [plain_line(made, number) for number in range(len(made))]


def test_an_orientation_that_points_share_is_turned_as_its_own() -> None:
    turn = (0.6, -0.8, 0.0, 0.8, 0.6, 0.0, 0.0, 0.0, 1.0)
    affine = [[0, -1, 0, 5], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    shared = Landmarks(np.zeros((3, 3)), "abc", columns={"orientation": (turn, None, turn)})  # type: ignore[arg-type]
    own = {"orientation": (turn, None, (*turn[:8], turn[8]))}
    assert moved(shared, affine).columns == moved(Landmarks(shared.points, "abc", columns=own), affine).columns  # type: ignore[arg-type]
