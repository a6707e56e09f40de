"""Reading MetaImage: what ITK writes, what ITK reads of hand-made headers, and damage said by name."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chunkvol.errors import DamagedError, FormatError, GeometryError, InputError
from chunkvol.formats.metaimage import is_metaimage, open_metaimage
from chunkvol.progress import Silent
from chunkvol.regions import Region
from chunkvol.volume import Volume

ARRAY = np.arange(1000, 1000 + 6 * 4 * 3, dtype="<i2").reshape(6, 4, 3)
DATA = ARRAY.tobytes()
PLACE = "TransformMatrix = 0 1 0 1 0 0 0 0 -1\nOffset = 1 2 3\nElementSpacing = 0.5 0.6 0.7\n"
START = "ObjectType = Image\nNDims = {dims}\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
END = "DimSize = {sizes}\nElementType = {kind}\nElementDataFile = {data}"


def header(
    folder: Path,
    more: str = PLACE,
    *,
    sizes: str = "3 4 6",
    kind: str = "MET_SHORT",
    data: str = "LOCAL",
    start: str = START,
) -> Path:
    path = folder / "x.mhd"
    path.write_text((start + more + END + "\n").format(dims=len(sizes.split()), sizes=sizes, kind=kind, data=data))
    return path


def attached(folder: Path, more: str = PLACE, data: bytes = DATA, **facts: Any) -> Path:
    path = header(folder, more, **facts).rename(folder / "x.mha")
    path.write_bytes(path.read_bytes() + data)
    return path


def opened(path: Path, **options: Any) -> Volume:
    return open_metaimage(path, Silent(), **options)


def by_itk(path: Path) -> Any:
    itk = pytest.importorskip("SimpleITK")
    return itk.ReadImage(str(path))


def array_of(image: Any) -> Any:
    return pytest.importorskip("SimpleITK").GetArrayFromImage(image)


def affine_of(image: Any) -> Any:
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return affine


def assert_as_itk(path: Path) -> Volume:
    volume, image = opened(path), by_itk(path)
    assert np.array_equal(volume.read(), array_of(image))
    assert volume.dtype == array_of(image).dtype
    np.testing.assert_allclose(volume.geometry.affine[:, [2, 1, 0, 3]], affine_of(image), rtol=1e-15, atol=1e-15)
    return volume


# ------------------------------------------------------------------------------------------------- as ITK sees it


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", ["y.mha", "y.mhd"])
@pytest.mark.parametrize("kind", ["int8", "uint16", "int64", "uint64", "float32"])
def test_what_itk_writes_is_read(tmp_path: Path, name: str, kind: str, compressed: bool) -> None:
    itk = pytest.importorskip("SimpleITK")
    image = itk.GetImageFromArray(ARRAY.astype(kind))
    image.SetDirection((0.6, -0.8, 0, 0.8, 0.6, 0, 0, 0, -1))
    image.SetSpacing((0.1, 0.25, 1 / 3))
    image.SetOrigin((-12.3, 4.5, 1e-3))
    itk.WriteImage(image, str(tmp_path / name), compressed)
    volume = assert_as_itk(tmp_path / name)
    assert is_metaimage(tmp_path / name)
    assert volume.metadata.problems == ()
    assert not volume.metadata.assumed


@pytest.mark.parametrize(
    "more",
    [
        PLACE,
        PLACE.replace("Offset", "Position"),
        PLACE.replace("Offset", "Origin"),
        PLACE.replace("TransformMatrix", "Rotation"),
        PLACE.replace("TransformMatrix", "Orientation"),
        PLACE.replace("ElementSpacing", "ElementSize"),
        PLACE.replace(" = ", ": ") + "AnatomicalOrientation = RAI\nComment = a = b: c\n\n",
        PLACE + "ElementSize = 9 9 9\nCenterOfRotation = 5 5 5\nModality = MET_MOD_CT\n",
        "ElementSpacing = 0.5 0.6 0.7\n",
        "",
        PLACE.replace("0 1 0 1 0 0 0 0 -1", "1 0 0 0 1 0 0 -0.3 0.95393920141694566"),
        PLACE.replace("0 1 0 1 0 0 0 0 -1", "1 0 0 0 2 0 0 0 1"),
        PLACE.replace("0.7", "-0.7"),
    ],
)
def test_the_place_is_where_itk_puts_it(tmp_path: Path, more: str) -> None:
    assert_as_itk(attached(tmp_path, more))


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("MET_CHAR", "i1"),
        ("MET_ASCII_CHAR", "i1"),
        ("MET_UCHAR", "u1"),
        ("MET_USHORT", "u2"),
        ("MET_INT", "i4"),
        ("MET_UINT", "u4"),
        ("MET_LONG", "i4"),
        ("MET_ULONG", "u4"),
        ("MET_LONG_LONG", "i8"),
        ("MET_ULONG_LONG", "u8"),
        ("MET_FLOAT", "f4"),
        ("MET_DOUBLE", "f8"),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_type_is_what_itk_takes_it_for(tmp_path: Path, kind: str, dtype: str, order: str) -> None:
    start = START.replace("MSB = False", f"MSB = {order == '>'}")
    data = ARRAY.astype(order + dtype).tobytes()
    assert_as_itk(attached(tmp_path, data=data, kind=kind, start=start))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("BinaryDataByteOrderMSB = False", "ElementByteOrderMSB = False"),
        ("BinaryDataByteOrderMSB = False\n", ""),
        ("BinaryData = True\n", ""),
        ("BinaryData = True", "BinaryData = T"),
        ("ObjectType = Image\n", ""),
        ("ObjectType = Image", "Comment = first\nObjectType = Image"),
    ],
)
def test_headers_may_say_less_or_in_other_words(tmp_path: Path, old: str, new: str) -> None:
    path = attached(tmp_path, start=START.replace(old, new))
    assert is_metaimage(path)
    volume = assert_as_itk(path)
    unstated = "Order" in old and not new
    assert any("no byte order" in text for text in volume.metadata.problems) == unstated


@pytest.mark.parametrize("squeeze", [zlib.compress, gzip.compress])
def test_compressed_data_are_read_as_itk_reads_them(tmp_path: Path, squeeze: Any) -> None:
    data = squeeze(DATA)
    more = f"{PLACE}CompressedData = True\nCompressedDataSize = {len(data)}\n"
    volume = assert_as_itk(attached(tmp_path, more, data))
    assert volume.source.staging_bytes == len(DATA)
    bare = opened(attached(tmp_path, f"{PLACE}CompressedData = True\n", data))  # ITK reads zeros without a warning
    assert np.array_equal(bare.read(), ARRAY)


def test_text_is_read_as_itk_reads_it(tmp_path: Path) -> None:
    text = " ".join(map(str, ARRAY.ravel().tolist())).encode() + b" \n"
    assert_as_itk(attached(tmp_path, data=text, start=START.replace("Data = True", "Data = False")))


# ------------------------------------------------------------------------------------------------------- data files


def slices(folder: Path, before: bytes = b"", *, packed: bool = False) -> list[str]:
    names = []
    for k in range(6):
        data = before + ARRAY[k].tobytes()
        names.append(f"s{k + 1:03d}.raw")
        (folder / names[-1]).write_bytes(zlib.compress(data) if packed else data)
    return names


@pytest.mark.parametrize(
    "data", ["LIST\n", "LIST 2\n", "LIST 2D\n", "LIST 9\n", "s%03d.raw", "s%03d.raw 1", "s%03d.raw 1 6 1"]
)
@pytest.mark.parametrize("more", ["", "HeaderSize = 5\n", "HeaderSize = -1\n"])
def test_listed_and_numbered_files_are_read_as_itk_reads_them(tmp_path: Path, data: str, more: str) -> None:
    names = slices(tmp_path, b"abcde" if more else b"")
    data += "\n".join(names) if data.startswith("LIST") else ""
    volume = assert_as_itk(header(tmp_path, PLACE + more, data=data))
    assert volume.metadata.problems == ()


@pytest.mark.parametrize("data", ["LIST\n", "s%03d.raw 1 6 1"])
def test_compressed_slices_are_read_as_itk_reads_them(tmp_path: Path, data: str) -> None:
    data += "\n".join(slices(tmp_path, packed=True)) if data.startswith("LIST") else ""
    slices(tmp_path, packed=True)
    volume = assert_as_itk(header(tmp_path, PLACE + "CompressedData = True\n", data=data))
    region: Region = (slice(1, 5), slice(1, 3), slice(0, 2))
    assert np.array_equal(volume.read(region), ARRAY[region])


def test_names_with_blanks_are_read_where_three_numbers_follow(tmp_path: Path) -> None:
    for name in slices(tmp_path):
        (tmp_path / name).rename(tmp_path / f"my {name[1:4]} of 6.raw")
    assert_as_itk(header(tmp_path, data="my %03d of 6.raw 1 6 1"))
    with pytest.raises(InputError, match="which does not exist"):
        opened(header(tmp_path, data="my %03d of 6.raw"))


def test_numbers_may_leave_out_or_descend(tmp_path: Path) -> None:
    slices(tmp_path)
    volume = opened(header(tmp_path, data="s%03d.raw 6 1 -1"))  # ITK reads nothing
    assert np.array_equal(volume.read(), ARRAY[::-1])
    volume = assert_as_itk(header(tmp_path, sizes="3 4 3", data="s%03d.raw 1 6 2"))
    assert np.array_equal(volume.read(), ARRAY[::2])


@pytest.mark.parametrize("name", ["a b.raw", "LOCALx.raw", "./y.raw"])
def test_one_data_file_of_any_name_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"ab" + DATA)
    for size in ("2", "-1"):
        assert_as_itk(header(tmp_path, f"{PLACE}HeaderSize = {size}\n", data=name))


def test_the_voxels_of_an_attached_header_may_be_the_last_bytes(tmp_path: Path) -> None:
    assert_as_itk(attached(tmp_path, PLACE + "HeaderSize = -1\n", b"xyz" + DATA))


def test_files_elsewhere_are_read_when_they_are_trusted(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "y.raw").write_bytes(DATA)
    path = header(tmp_path / "in", data="../y.raw")
    with pytest.raises(FormatError, match=r"outside its folder .*--trust-paths"):
        opened(path)
    assert np.array_equal(opened(path, trust_paths=True).read(), ARRAY)


# ------------------------------------------------------------------------------------------------------ other axes


def test_two_axes_are_one_plane(tmp_path: Path) -> None:
    more = "TransformMatrix = 0 1 1 0\nOffset = 5 6\nElementSpacing = 2 3\n"
    volume = opened(attached(tmp_path, more, sizes="12 6"))
    assert np.array_equal(volume.read(), ARRAY.reshape(1, 6, 12))
    assert volume.geometry.spacing == (1, 3, 2)
    assert volume.geometry.origin == (5, 6, 0)
    assert np.linalg.det(np.array(volume.geometry.direction)[:, ::-1]) == 1
    assert volume.metadata.assumed
    assert any("two axes: one plane" in text for text in volume.metadata.problems)


def test_a_fourth_axis_of_length_one_is_left_out(tmp_path: Path) -> None:
    more = "TransformMatrix = 0 1 0 0 1 0 0 0 0 0 -1 0 0 0 0 1\nOffset = 1 2 3 4\nElementSpacing = 0.5 0.6 0.7 9\n"
    plain = opened(attached(tmp_path)).geometry
    volume = opened(attached(tmp_path, more, sizes="3 4 6 1"))
    assert volume.geometry == plain
    assert np.array_equal(volume.read(), ARRAY)
    assert volume.metadata.problems == ()


# --------------------------------------------------------------------------------------------- assumed and converted


@pytest.mark.parametrize(
    ("gone", "problem"),
    [("ElementSpacing", "1 mm is assumed"), ("Offset", "0, 0, 0 is assumed"), ("Transform", "axes along x, y, z")],
)
def test_what_a_header_leaves_out_is_assumed_and_said(tmp_path: Path, gone: str, problem: str) -> None:
    more = "".join(line for line in PLACE.splitlines(keepends=True) if not line.startswith(gone))
    volume = opened(attached(tmp_path, more))
    assert volume.metadata.assumed
    assert [text for text in volume.metadata.problems if problem in text] == list(volume.metadata.problems)


def test_units_become_millimetres_and_oddities_are_said(tmp_path: Path) -> None:
    volume = opened(attached(tmp_path, PLACE + "DistanceUnits = um\n"))
    assert volume.geometry.spacing == (0.7 / 1000, 0.6 / 1000, 0.5 / 1000)
    assert volume.geometry.origin == (1 / 1000, 2 / 1000, 3 / 1000)
    assert any("not mm: converted" in text for text in volume.metadata.problems)
    volume = opened(attached(tmp_path, PLACE.replace("0 1 0 1 0 0 0 0 -1", "1 0 0 0 2 0 0 0 1")))
    assert any("no unit vectors" in text for text in volume.metadata.problems)
    assert not volume.metadata.assumed


# --------------------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("ElementSpacing = 1 0 1\n", "above 0 mm"),
        ("ElementSpacing = 1 nan 1\n", "ElementSpacing must be 3 finite numbers"),
        ("ElementSpacing = 1 1\n", "ElementSpacing must be 3 finite numbers"),
        ("Offset = a b c\n", "Offset must be 3 finite numbers"),
        ("TransformMatrix = 1 0 0 0 1 0 2 0 0\n", "singular"),
        ("TransformMatrix = 0 0 0 0 0 0 0 0 0\n", "above 0 mm"),
        ("TransformMatrix = 1 0 0 0 1 0 0 0\n", "TransformMatrix must be 9"),
        ("DistanceUnits = ell\n", "'ell' are not known"),
    ],
)
def test_a_grid_without_meaning_is_a_geometry_error(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(GeometryError, match=rf"x\.mha: .*{message}"):
        opened(attached(tmp_path, more))


def test_an_axis_mixed_with_time_is_a_geometry_error(tmp_path: Path) -> None:
    more = "TransformMatrix = 1 0 0 1 0 1 0 0 0 0 1 0 0 0 0 1\n"
    with pytest.raises(GeometryError, match="mixes the axes of space"):
        opened(attached(tmp_path, more, sizes="3 4 6 1"))


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"sizes": "3 4 2 3"}, "has 4 dimensions .* single planes are read"),
        ({"sizes": "72"}, "has 1 dimensions"),
        ({"sizes": "3 0 6"}, "as many positive integers as NDims says"),
        ({"sizes": "3 4 6", "start": START.replace("{dims}", "2")}, "as many positive integers"),
        ({"more": "ElementNumberOfChannels = 3\n"}, "3 numbers a voxel"),
        ({"kind": "MET_STRING"}, "of type 'MET_STRING'"),
        ({"kind": "MET_LONG", "data": ARRAY.astype("i8").tobytes()}, "write MET_LONG_LONG"),
        ({"more": "HeaderSize = -2\n"}, "HeaderSize must be a whole number of at least -1"),
        ({"more": "HeaderSize = -1\nCompressedData = True\n"}, "does not say where compressed data start"),
        ({"more": "nonsense\n"}, "line 5: expected 'key = value'"),
        ({"more": "Offset = 1 2 3\nOrigin = 3 2 1\n"}, "Offset is given twice"),
        ({"start": START.replace("NDims = {dims}\n", "")}, "NDims is missing"),
    ],
)
def test_what_is_no_volume_is_refused_by_name(tmp_path: Path, facts: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        if isinstance(facts.get("data"), bytes):
            opened(attached(tmp_path, **facts))
        opened(attached(tmp_path, **facts))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("LIST\ns001.raw", "names 1 data files where DimSize 3 4 6 needs 6"),
        ("LIST 1\n" + "\n".join(["s001.raw"] * 24), "parts of planes"),
        ("s%03d.raw 1 5 1", "names 5 data files"),
        ("s%03d.raw 1 6 0", "step of 0"),
        ("s%03d.raw 0 999999999", "names 1000000000 data files"),
    ],
)
def test_lists_that_do_not_fit_are_refused(tmp_path: Path, data: str, message: str) -> None:
    slices(tmp_path)
    with pytest.raises(FormatError, match=message):
        opened(header(tmp_path, data=data))


def test_text_in_several_files_is_refused(tmp_path: Path) -> None:
    slices(tmp_path)
    with pytest.raises(FormatError, match="text in 6 files"):
        opened(header(tmp_path, data="s%03d.raw", start=START.replace("Data = True", "Data = False")))


def test_a_header_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.mha"
    path.write_text("NDims = 3\nDimSize = 1 1 1\n")
    with pytest.raises(FormatError, match="ElementDataFile is missing"):
        opened(path)
    path.write_text("NDims = 3\nDimSize = 1 1 1\n" + "Comment = x\n" * 400_000)
    with pytest.raises(FormatError, match="no ElementDataFile within"):
        opened(path)


def test_missing_and_short_data_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs the data file .*y\.raw"):
        opened(header(tmp_path, data="y.raw"))
    with pytest.raises(DamagedError, match=r"x\.mha holds 142 bytes of voxels .* promises 144"):
        opened(attached(tmp_path, data=DATA[:-2]))
    with pytest.raises(DamagedError, match=r"promises 36893488147419103232"):
        opened(attached(tmp_path, sizes="4294967296 4294967296 1"))
    packed = zlib.compress(DATA)
    more = f"CompressedData = True\nCompressedDataSize = {len(packed)}\n"
    with pytest.raises(DamagedError, match="compressed data where its header promises"):
        opened(attached(tmp_path, more, packed[:-3]))
    with pytest.raises(DamagedError, match="cut short"):
        opened(attached(tmp_path, "CompressedData = True\n", packed[:-3])).read()
    with pytest.raises(DamagedError, match="damaged"):
        opened(attached(tmp_path, "CompressedData = True\n", packed[:-1] + b"\0")).read()


def test_other_files_are_not_taken_for_metaimage(tmp_path: Path) -> None:
    assert not is_metaimage(tmp_path)
    for text in (
        b"",
        b"NRRD0004\n",
        b"NDims = 3\n",
        b"\x89PNG NDims = 3 DimSize = 3",
        b"ObjectType = Scene\nNDims = 3\n",
    ):
        (tmp_path / "y").write_bytes(text)
        assert not is_metaimage(tmp_path / "y")
