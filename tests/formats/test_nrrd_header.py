"""NRRD headers: the grid survives, foreign spaces become LPS, and nonsense is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkvol.errors import FormatError, GeometryError, InputError
from chunkvol.formats.nrrd import geometry_from_header, header_from_geometry, parse_header
from chunkvol.formats.nrrd.header import metadata_from_header
from chunkvol.geometry import Geometry
from chunkvol.metadata import Metadata, Rescale

SHAPE = (4, 3, 2)


def parsed(folder: Path, text: str | bytes) -> Any:
    path = folder / "x.nrrd"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return parse_header(path)


def placed(folder: Path, lines: str, sizes: str = "2 3 4") -> Any:
    text = f"NRRD0004\ntype: uchar\ndimension: 3\nsizes: {sizes}\nencoding: raw\n{lines}\n\n"
    header = parsed(folder, text)
    return geometry_from_header(header.fields, header.shape)


def steps(geometry: Geometry) -> list[list[float]]:
    """World steps along i, j, k."""
    found: list[list[float]] = geometry.affine[:3, 2::-1].T.tolist()
    return found


# ------------------------------------------------------------------------------------------------------- laws


def grids() -> st.SearchStrategy[Geometry]:
    number = st.floats(-1, 1, allow_subnormal=False)
    matrices = st.tuples(*[st.tuples(number, number, number)] * 3).map(np.array)
    good = matrices.filter(lambda m: abs(np.linalg.det(m)) > 0.01)
    origins = st.tuples(*[st.floats(-1e4, 1e4)] * 3)
    return st.builds(
        lambda m, o, f: Geometry.from_steps(SHAPE, o, m * f), good, origins, st.sampled_from([0.003, 0.7, 20.0])
    )


@given(geometry=grids())
@settings(max_examples=60)
def test_reading_what_was_written_gives_the_same_grid(
    tmp_path_factory: pytest.TempPathFactory, geometry: Geometry
) -> None:
    text = header_from_geometry(geometry, np.dtype("int16"), Metadata(), "raw")
    header = parsed(tmp_path_factory.mktemp("h"), text)
    found = geometry_from_header(header.fields, header.shape)
    assert not found.assumed
    assert found.geometry.origin == geometry.origin
    assert np.allclose(found.geometry.spacing, geometry.spacing, rtol=1e-15, atol=0)
    assert np.abs(np.array(found.geometry.direction) - np.array(geometry.direction)).max() <= 1e-15


def test_provenance_comes_back_and_foreign_keys_stay_behind(tmp_path: Path) -> None:
    metadata = Metadata(
        Rescale(unit="HU"), assumed=True, source="abc", history=("crop 1:2", "downsample mean 2,2,2"), problems=("x",)
    )
    text = header_from_geometry(Geometry(SHAPE), np.dtype("int16"), metadata, "raw")
    header = parsed(tmp_path, text.replace(b"\n\n", b"\nSegment0_Name:=a\\nb: c\\\\d\n\n"))
    found = metadata_from_header(header, "identity")
    assert header.keys["Segment0_Name"] == "a\nb: c\\d"
    assert found == Metadata(Rescale(unit="HU"), assumed=True, source="abc", history=metadata.history)


def test_the_header_is_what_itk_writes(tmp_path: Path) -> None:
    geometry = Geometry(SHAPE, (1.5, -2, 0.1), (3, 2, 1))
    text = header_from_geometry(geometry, np.dtype("uint16"), Metadata(), "gzip", "x.raw.gz").decode()
    assert text.splitlines() == [
        "NRRD0004",
        "# Complete NRRD file format specification at:",
        "# http://teem.sourceforge.net/nrrd/format.html",
        "type: unsigned short",
        "dimension: 3",
        "space: left-posterior-superior",
        "sizes: 2 3 4",
        "space directions: (1,0,0) (0,2,0) (0,0,3)",
        "space origin: (1.5,-2,0.1)",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        "data file: x.raw.gz",
        "chunkvol_version:=0.1.0",
        "chunkvol_geometry:=stated",
    ]


# --------------------------------------------------------------------------------------------- spaces and units


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("left-posterior-superior", (1, 1, 1)),
        ("LPS", (1, 1, 1)),
        ("right-anterior-superior", (-1, -1, 1)),
        ("RAS", (-1, -1, 1)),
        ("Left-Anterior-Superior", (1, -1, 1)),
        ("LAS", (1, -1, 1)),
    ],
)
def test_anatomical_spaces_become_lps(tmp_path: Path, space: str, signs: tuple[int, int, int]) -> None:
    found = placed(tmp_path, f"space: {space}\nspace directions: (1,2,3) (0,5,0) (0,0,7)\nspace origin: (10,20,30)")
    x, y, z = signs
    assert np.allclose(steps(found.geometry), [[x, 2 * y, 3 * z], [0, 5 * y, 0], [0, 0, 7 * z]], rtol=1e-15)
    assert found.geometry.origin == (10 * x, 20 * y, 30 * z)
    assert found.geometry.shape == SHAPE
    assert not found.assumed


@pytest.mark.parametrize(
    ("lines", "spacing", "problem"),
    [
        ("", (1, 1, 1), "states no space"),
        ("spacings: 2 3 4", (4, 3, 2), "states no space directions: spacings are used"),
        ("space: LPS\nspacings: 2 3 4\nspace origin: (0,0,0)", (4, 3, 2), "spacings are used"),
        ("space dimension: 3\nspace directions: (2,0,0) (0,3,0) (0,0,4)\nspace origin: (0,0,0)", (4, 3, 2), "anatom"),
        ("space: scanner-xyz\nspace directions: (2,0,0) (0,3,0) (0,0,4)\nspace origin: (0,0,0)", (4, 3, 2), "anatom"),
        ("space: LPS\nspace directions: (2,0,0) (0,3,0) (0,0,4)", (4, 3, 2), "no space origin"),
        ("axis mins: nan 2 3\nspacings: 2 3 4", (4, 3, 2), "no space origin: 0, 0, 0 is assumed"),
        ("axis mins: 1 2 3", (1, 1, 1), "no space origin: 0, 0, 0 is assumed"),
    ],
)
def test_what_a_header_leaves_out_is_assumed_and_said(
    tmp_path: Path, lines: str, spacing: tuple[float, ...], problem: str
) -> None:
    found = placed(tmp_path, lines)
    assert found.assumed
    assert found.geometry.spacing == spacing
    assert found.geometry.origin == (0, 0, 0)
    assert any(problem in text for text in found.problems)


@pytest.mark.parametrize(
    ("lines", "spacing", "origin"),
    [
        ("spacings: 2 3 4", (4, 3, 2), (11, 21.5, 32)),
        ("spacings: 2 3 4\ncenters: cell cell cell", (4, 3, 2), (11, 21.5, 32)),
        ("spacings: 2 3 4\ncenterings: node node node", (4, 3, 2), (10, 20, 30)),
        ("spacings: 2 3 4\ncenters: ??? node cell", (4, 3, 2), (11, 20, 32)),
        ("spacings: 2 3 4\nspace dimension: 3\nspace origin: (7,8,9)", (4, 3, 2), (7, 8, 9)),
        ('spacings: 2 3 4\nunits: "cm" "cm" "cm"', (40, 30, 20), (110, 215, 320)),
        ("spacings: 2 3 4\nspace: RAS", (4, 3, 2), (-11, -21.5, 32)),
    ],
)
def test_axis_mins_say_where_the_first_cell_begins_or_the_first_node_lies(
    tmp_path: Path, lines: str, spacing: tuple[float, ...], origin: tuple[float, ...]
) -> None:
    found = placed(tmp_path, f"axis mins: 10 20 30\n{lines}")
    assert found.assumed
    assert np.allclose(found.geometry.spacing, spacing, rtol=1e-15)
    assert np.allclose(found.geometry.origin, origin, rtol=1e-15)


def test_axis_mins_and_maxs_imply_the_spacing(tmp_path: Path) -> None:
    k, j, i = SHAPE
    ends = "axis mins: 10 20 30\naxis maxs: {} {} {}"
    cells = placed(tmp_path, ends.format(10 + 2 * i, 20 + 3 * j, 30 + 4 * k)).geometry
    assert (cells.spacing, cells.origin) == ((4, 3, 2), (11, 21.5, 32))
    lines = ends.format(10 + 2 * (i - 1), 20 + 3 * (j - 1), 30 - 4 * (k - 1)) + "\ncenters: node node node"
    nodes = placed(tmp_path, lines).geometry
    assert np.allclose(steps(nodes), np.diag([2, 3, -4]))
    assert nodes.origin == (10, 20, 30)


@pytest.mark.parametrize("centers", ["centers: cell cell cell", "centers: node node node", ""])
def test_itk_takes_axis_mins_for_the_same_place(tmp_path: Path, centers: str) -> None:
    more = f"spacings: 2 3 4\naxis mins: 10 20 30\n{centers}".strip()
    found = placed(tmp_path, more)
    path = tmp_path / "itk.nrrd"
    sizes = " ".join(map(str, SHAPE[::-1]))
    head = f"NRRD0004\ntype: uint8\ndimension: 3\nsizes: {sizes}\nencoding: raw\n{more}\n\n"
    path.write_bytes(head.encode() + bytes(int(np.prod(SHAPE))))
    image = SimpleITK.ReadImage(path)
    assert image.GetOrigin() == found.geometry.origin
    assert image.GetSpacing() == found.geometry.spacing[::-1]


@pytest.mark.parametrize(
    ("unit", "factor"), [("um", 0.001), ("microns", 0.001), ("µm", 0.001), ("cm", 10), ("mm", 1), ("", 1)]
)
def test_space_units_become_millimetres(tmp_path: Path, unit: str, factor: float) -> None:
    lines = (
        f'space units: "{unit}" "{unit}" "{unit}"\nspace origin: (10,20,30)\nspace directions: (7,0,0) (0,8,0) (0,0,9)'
    )
    found = placed(tmp_path, f"space: RAS\n{lines}")
    assert np.allclose(found.geometry.spacing, (9 * factor, 8 * factor, 7 * factor), rtol=1e-15)
    assert np.allclose(found.geometry.origin, (-10 * factor, -20 * factor, 30 * factor), rtol=1e-15)
    assert not found.assumed
    assert bool(found.problems) == (factor != 1)


# ----------------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("space: LPS\nspace directions: (1,0,0) (0,1,0) none", "no space direction"),
        ("space: LPS\nspace directions: (1,0,0) (0,1,0)", "must be three vectors"),
        ("space: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,0)", "above 0 mm"),
        ("space: LPS\nspace directions: (1,0,0) (0,1,0) (0,nan,1)", "finite"),
        ("space: LPS\nspace directions: (1,0,0) (0,1,0) (0,1)", "three finite numbers"),
        ("space: LPS\nspace directions: (1,0,0) (0,1,0) (2,0,0)", "singular"),
        ("space: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (a,0,0)", "space origin"),
        ("spacings: 1 nan 1", "spacings"),
        ("spacings: 1 1 1\naxis mins: 1 2", "axis mins must be three finite numbers"),
        ("axis mins: 1 2 3\naxis maxs: 1 2 3", "above 0 mm"),
        ("spacings: 0 1 1", "above 0 mm"),
        ("space: right-anterior-superior-time", "is not known"),
        ('space: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nspace units: "ell" "ell" "ell"', "not known"),
        ('space: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nspace units: "mm" "um" "mm"', "not known"),
    ],
)
def test_a_grid_without_meaning_is_a_geometry_error(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        placed(tmp_path, lines)


GOOD = "NRRD0004\ntype: short\ndimension: 3\nsizes: 2 3 4\nendian: little\nencoding: raw\n\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("NRRD0004", "NRRD0006", "does not start with NRRD0001"),
        ("dimension: 3", "dimension: 4", "has dimension 4"),
        ("dimension: 3", "dimension: 2", "must be two positive integers"),
        ("sizes: 2 3 4", "sizes: 2 3", "three positive integers"),
        ("sizes: 2 3 4", "sizes: 2 0 4", "three positive integers"),
        ("sizes: 2 3 4", "sizes: 2 -3 4", "three positive integers"),
        ("sizes: 2 3 4\n", "", "sizes is missing"),
        ("type: short", "type: block", "of type 'block'"),
        ("endian: little\n", "", "endian is missing"),
        ("endian: little", "endian: middle", "little or big"),
        ("encoding: raw", "encoding: hex", "encoding hex"),
        ("encoding: raw", "encoding: raw\nkinds: RGB-color domain domain", "kind RGB-color"),
        ("encoding: raw", "encoding: raw\nnonsense", "line 7: expected 'field: value'"),
        ("encoding: raw", "encoding: raw\nencoding: gzip", "given twice"),
    ],
)
def test_a_broken_header_is_refused_by_name(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert parsed(tmp_path, GOOD).shape == SHAPE
    with pytest.raises(FormatError, match=message):
        parsed(tmp_path, GOOD.replace(old, new))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_old_magics_aliases_and_line_ends_are_read(tmp_path: Path, end: str) -> None:
    text = GOOD.replace("NRRD0004", "NRRD0001").replace("type: short", "Type:int16_t").replace("\n", end)
    header = parsed(tmp_path, text + "data")
    assert header.stored == np.dtype("<i2")
    assert len(header.text) == len(text.encode())


def test_a_file_that_never_ends_its_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no end of the header"):
        parsed(tmp_path, "NRRD0004\n" + "# x\n" * 1_100_000)


@pytest.mark.parametrize("name", ["bool", "float16", "complex64"])
def test_types_without_a_name_in_nrrd_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"not {name}"):
        header_from_geometry(Geometry(SHAPE), np.dtype(name), Metadata(), "raw")
