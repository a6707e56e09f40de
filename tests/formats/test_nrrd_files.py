"""NRRD whose voxels lie in many files, in DICOM slices, or on other than three axes; as Teem and ITK read them."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chunkvol import open_volume
from chunkvol.errors import DamagedError, FormatError, GeometryError, InputError
from chunkvol.formats.nrrd import open_nrrd
from chunkvol.volume import Volume
from tests.support.series import oblique, write_series

ARRAY = np.arange(1000, 1000 + 6 * 4 * 3, dtype="<i2").reshape(6, 4, 3)
SPACE = "space: LPS\nspace directions: (0.5,0,0) (0,0.6,0) (0,0,0.7)\nspace origin: (1,2,3)\n"


def header(folder: Path, more: str, *, sizes: str = "3 4 6", encoding: str = "raw", space: str = SPACE) -> Path:
    path = folder / "x.nhdr"
    dimension = len(sizes.split())
    path.write_text(
        f"NRRD0005\ntype: short\ndimension: {dimension}\nsizes: {sizes}\n{space}endian: little\n"
        f"encoding: {encoding}\n{more}\n"
    )
    return path


def slices(
    folder: Path, planes: int = 1, before: bytes = b"", after: bytes = b"", *, packed: bool = False
) -> list[str]:
    names = []
    for k in range(0, 6, planes):
        data = before + ARRAY[k : k + planes].tobytes() + after
        names.append(f"s{k // planes:03d}.raw")
        (folder / names[-1]).write_bytes(gzip.compress(data) if packed else data)
    return names


def by_itk(path: Path) -> Any:
    itk = pytest.importorskip("SimpleITK")
    return itk.GetArrayFromImage(itk.ReadImage(str(path)))


def by_teem(path: Path) -> Any:
    unu = shutil.which("teem-unu")
    if unu is None:
        pytest.skip("teem-unu is not installed (Debian: teem-apps)")
    copy = path.with_name("teem.nrrd")
    subprocess.run([unu, "save", "-f", "nrrd", "-e", "raw", "-i", path, "-o", copy], check=True, capture_output=True)
    return open_nrrd(copy).read()


def listed(names: list[str], dimension: str = "") -> str:
    return f"data file: LIST{dimension}\n" + "\n".join(names)


# ------------------------------------------------------------------------------------------------------ many files


@pytest.mark.parametrize("read", [by_itk, by_teem])
@pytest.mark.parametrize(
    ("planes", "more"),
    [
        (1, "data file: s%03d.raw 0 5 1"),
        (1, "data file: s%03d.raw 0 5 1 2"),
        (1, "datafile: ./s%03d.raw 0 5 1"),
        (2, "data file: s%03d.raw 0 2 1 3"),
        (1, "LIST"),
        (1, "LIST 2"),
        (3, "LIST 3"),
        (6, "LIST 3"),
    ],
)
def test_listed_and_numbered_files_are_read_as_others_read_them(
    tmp_path: Path, read: Any, planes: int, more: str
) -> None:
    names = slices(tmp_path, planes)
    path = header(tmp_path, listed(names, more[4:]) if more.startswith("LIST") else more)
    volume = open_nrrd(path)
    assert np.array_equal(volume.read(), ARRAY)
    assert np.array_equal(read(path), ARRAY)
    assert volume.metadata.problems == ()
    assert volume.geometry.spacing == (0.7, 0.6, 0.5)


@pytest.mark.parametrize("read", [by_itk, by_teem])
@pytest.mark.parametrize(("numbers", "order"), [("5 0 -1", slice(None, None, -1)), ("0 10 2", slice(None))])
def test_numbers_may_descend_or_leave_out(tmp_path: Path, read: Any, numbers: str, order: slice) -> None:
    step = abs(int(numbers.split()[2]))
    for k in range(6):
        (tmp_path / f"s{k * step:03d}.raw").write_bytes(ARRAY[k].tobytes())
    path = header(tmp_path, f"data file: s%03d.raw {numbers}")
    assert np.array_equal(open_nrrd(path).read(), ARRAY[order])
    assert np.array_equal(read(path), ARRAY[order])


@pytest.mark.parametrize(
    ("before", "after", "more"),
    [
        (b"abcde", b"", "byte skip: 5"),
        (b"abcde", b"", "byte skip: -1"),
        (b"one\nab", b"", "line skip: 1\nbyte skip: 2"),
        (b"one\ntwo\n", b"", "line skip: 2"),
        (b"ab", b"rest", "byte skip: 2"),
    ],
)
@pytest.mark.parametrize("read", [by_itk, by_teem])
def test_bytes_and_lines_are_skipped_in_every_file(
    tmp_path: Path, read: Any, before: bytes, after: bytes, more: str
) -> None:
    path = header(tmp_path, f"{more}\n" + listed(slices(tmp_path, 1, before, after)))
    volume = open_nrrd(path)
    assert np.array_equal(volume.read(), ARRAY)
    assert np.array_equal(read(path), ARRAY)
    assert [text for text in volume.metadata.problems if "5 other files" in text] == list(volume.metadata.problems)
    assert bool(volume.metadata.problems) == bool(after)


@pytest.mark.parametrize("planes", [1, 2])
def test_gzip_files_are_read_as_teem_reads_them(tmp_path: Path, planes: int) -> None:
    names = slices(tmp_path, planes, packed=True)
    path = header(tmp_path, listed(names, " 3" if planes > 1 else ""), encoding="gzip")
    volume = open_nrrd(path)
    assert np.array_equal(volume.read(), ARRAY)
    assert np.array_equal(volume[1:4].read(), ARRAY[1:4])
    assert np.array_equal(by_teem(path), ARRAY)


def test_a_list_may_end_with_an_empty_line_and_have_windows_line_ends(tmp_path: Path) -> None:
    path = header(tmp_path, listed(slices(tmp_path)))
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"\r\nnot a name\r\n")
    assert np.array_equal(open_nrrd(path).read(), ARRAY)


def test_the_fingerprint_follows_the_list(tmp_path: Path) -> None:
    names = slices(tmp_path)
    first = open_nrrd(header(tmp_path, listed(names))).source.fingerprint
    assert open_nrrd(header(tmp_path, listed(names[::-1]))).source.fingerprint != first


# ---------------------------------------------------------------------------------------------------------- DICOM


SYNTAXES = {"explicit": "1.2.840.10008.1.2.1", "implicit": "1.2.840.10008.1.2"}


def before_dicom(folder: Path, syntax: str = SYNTAXES["explicit"], edit: Any = None) -> Path:
    paths = write_series(folder, ARRAY.astype("u2"), oblique(ARRAY.shape), transfer_syntax=syntax, edit=edit)
    return header(folder, "byte skip: -1\n" + listed([path.name for path in paths]))


@pytest.mark.parametrize("read", [by_itk, by_teem])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_header_in_front_of_dicom_slices_is_read(tmp_path: Path, read: Any, syntax: str) -> None:
    path = before_dicom(tmp_path, SYNTAXES[syntax])
    assert np.array_equal(open_nrrd(path).read(), ARRAY)
    assert np.array_equal(read(path), ARRAY)


def test_a_header_in_front_of_a_real_series_gives_its_voxels(visible: Path, tmp_path: Path) -> None:
    folder = visible / "ct_odd_size" / "image"
    names = sorted(str(path) for path in folder.iterdir())
    series = open_volume(folder)
    planes, rows, columns = series.shape
    more = "byte skip: -1\n" + listed(names)
    path = header(tmp_path, more, sizes=f"{columns} {rows} {planes}")
    path.write_text(path.read_text().replace("type: short", f"type: {series.dtype.name}"))
    assert np.array_equal(open_nrrd(path, trust_paths=True).read(), series.read())


def test_dicom_slices_that_do_not_end_with_their_pixels_are_refused(tmp_path: Path) -> None:
    def padded(k: int, dataset: Any) -> None:
        if k == 4:
            dataset.DataSetTrailingPadding = bytes(10)

    with pytest.raises(FormatError, match=r"IM0004\.dcm is a DICOM file whose last 24 bytes are not its pixels"):
        open_nrrd(before_dicom(tmp_path, edit=padded))


# --------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (listed(["s000.raw"]), "names 1 data files where sizes 3 4 6 need 6 of 2 dimensions"),
        (listed([f"s{k:03d}.raw" for k in range(4)], " 3"), "names 4 data files for 6 planes"),
        (listed([], " 3"), "names 0 data files for 6 planes"),
        (listed([f"s{k:03d}.raw" for k in range(24)], " 1"), "hold parts of planes"),
        (listed(["s000.raw"], " 4"), "dimension 4 do not make an array of 3 axes"),
        (listed(["s000.raw"], " 0"), "dimension 0 do not make"),
        ("data file: s%03d.raw 0 4 1", "names 5 data files"),
        ("data file: s%03d.raw 0 5 0", "a step other than 0"),
        ("data file: s%03d.raw 0 5", "FIRST LAST STEP"),
        ("data file: s%03d.raw", "FIRST LAST STEP"),
        ("data file: s%d%d.raw 0 5 1", "one %d"),
        ("data file: s%d%s.raw 0 5 1", "one %d"),
        ("data file: s%03d.raw 0 999999999 1", "names 1000000000 data files"),
    ],
)
def test_lists_that_do_not_fit_are_refused(tmp_path: Path, more: str, message: str) -> None:
    slices(tmp_path)
    with pytest.raises(FormatError, match=message):
        open_nrrd(header(tmp_path, more))


def test_text_in_several_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"text in 6 files.*unu save"):
        open_nrrd(header(tmp_path, listed(slices(tmp_path)), encoding="ascii"))


def test_a_missing_and_a_short_file_of_a_list_are_named(tmp_path: Path) -> None:
    path = header(tmp_path, listed(slices(tmp_path)))
    (tmp_path / "s002.raw").write_bytes(b"1")
    with pytest.raises(DamagedError, match=r"s002\.raw holds 1 bytes"):
        open_nrrd(path)
    (tmp_path / "s002.raw").unlink()
    with pytest.raises(InputError, match=r"needs the data file .*s002\.raw"):
        open_nrrd(path)


def test_files_elsewhere_are_read_when_they_are_trusted(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "head").mkdir()
    names = [f"../data/{name}" for name in slices(tmp_path / "data")]
    path = header(tmp_path / "head", listed(names))
    with pytest.raises(FormatError, match="--trust-paths"):
        open_nrrd(path)
    assert np.array_equal(open_nrrd(path, trust_paths=True).read(), ARRAY)


# -------------------------------------------------------------------------------------------------------------- axes


def attached(folder: Path, sizes: str, space: str) -> Volume:
    path = header(folder, "", sizes=sizes, space=space)
    path.write_bytes(path.read_bytes() + ARRAY.tobytes())
    return open_nrrd(path)


@pytest.mark.parametrize(
    ("sizes", "space"),
    [
        ("1 3 4 6", "kinds: vector domain domain domain\n" + SPACE.replace("(0.5", "none (0.5")),
        ("1 3 4 6", "kinds: list domain domain domain\nspacings: nan 0.5 0.6 0.7\n"),
        ("1 3 4 6", SPACE.replace("(0.5", "none (0.5")),
        ("3 4 6 1", "kinds: domain domain domain time\n" + SPACE.replace("0.7)\n", "0.7) none\n")),
        ("3 1 4 6", "kinds: space scalar space space\n" + SPACE.replace(" (0,0.6", " none (0,0.6")),
        ("3 4 6 1", "spacings: 0.5 0.6 0.7 nan\n"),
        ("1 3 4 6 1", "kinds: list space space space time\nspacings: nan 0.5 0.6 0.7 1\n"),
        ("3 4 6 1", 'spacings: 0.5 0.6 0.7 1\nunits: "mm" "mm" "mm" "s"\n'),
    ],
)
def test_axes_of_length_one_are_left_out(tmp_path: Path, sizes: str, space: str) -> None:
    volume = attached(tmp_path, sizes, space)
    assert np.array_equal(volume.read(), ARRAY)
    assert volume.geometry.spacing == (0.7, 0.6, 0.5)


@pytest.mark.parametrize(
    ("sizes", "space", "message"),
    [
        ("3 4 6", "kinds: RGB-color domain domain\n", r"kind RGB-color and length 3 \(axis 0\).*unu slice -a 0 -p 0"),
        ("2 3 4 3", "kinds: vector domain domain domain\n", "kind vector and length 2"),
        ("3 4 3 2", "kinds: domain domain domain list\n", r"kind list and length 2 \(axis 3\)"),
        ("3 4 3 2", "", "dimension 4"),
        ("3 4 3 2", "space: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,1) none\n", "kind none and length 2"),
        ("72", "", "dimension 1"),
    ],
)
def test_longer_axes_beyond_space_are_refused_by_kind(tmp_path: Path, sizes: str, space: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        attached(tmp_path, sizes, space)


@pytest.mark.parametrize(
    ("space", "spacing", "direction", "origin"),
    [
        ("spacings: 2 3\n", (1, 3, 2), np.eye(3), (0, 0, 0)),
        ("space dimension: 2\nspace directions: (2,0) (0,3)\nspace origin: (5,6)\n", (1, 3, 2), np.eye(3), (5, 6, 0)),
        (
            "space: RAS\nspace directions: (0,2,0) (0,0,3)\nspace origin: (5,6,7)\n",
            (1, 3, 2),
            [[0, -1, 0], [0, 0, 1], [-1, 0, 0]],
            (-5, -6, 7),
        ),
        (
            'space: LPS\nspace units: "um" "um" "um"\nspace directions: (0,2,0) (0,0,3)\nspace origin: (0,0,0)\n',
            (1, 0.003, 0.002),
            [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
            (0, 0, 0),
        ),
    ],
)
def test_two_axes_are_one_plane_in_its_place(
    tmp_path: Path, space: str, spacing: Any, direction: Any, origin: Any
) -> None:
    volume = attached(tmp_path, "12 6", space)
    assert np.array_equal(volume.read(), ARRAY.reshape(1, 6, 12))
    assert volume.geometry.spacing == spacing
    assert np.array_equal(np.array(volume.geometry.direction)[:, ::-1].T, direction)
    assert volume.geometry.origin == origin
    assert volume.metadata.assumed
    assert any("two axes: one plane, to which 1 mm is assumed" in text for text in volume.metadata.problems)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("space: LPS\nspace directions: (2,0,0) (4,0,0)\n", "parallel or zero"),
        ("space: LPS\nspace directions: (2,0,0)\n", "must be two vectors"),
        ("spacings: 1 2 3\n", "spacings must be two finite numbers"),
    ],
)
def test_a_plane_without_meaning_is_a_geometry_error(tmp_path: Path, space: str, message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        attached(tmp_path, "12 6", space)


def test_fields_that_place_nothing_are_not_minded(tmp_path: Path) -> None:
    more = "measurement frame: (1,0,0) (0,0,1) (0,1,0)\nold min: -5\nold max: 7\nmin: 0\nsample units: HU\n"
    volume = attached(tmp_path, "3 4 6", SPACE + more)
    assert np.array_equal(volume.read(), ARRAY)
    assert volume.metadata.problems == ()
