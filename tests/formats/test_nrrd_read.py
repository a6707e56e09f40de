"""Reading NRRD: real files as independent readers see them, every encoding, and damage said by name."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chunkvol.errors import DamagedError, FormatError, GeometryError, InputError
from chunkvol.formats.nrrd import is_nrrd, open_nrrd
from chunkvol.packing.packed import PackedSource
from chunkvol.regions import Region
from chunkvol.sources import RawSource

ARRAY = np.arange(1000, 1000 + 5 * 4 * 3, dtype="<i2").reshape(5, 4, 3)
DATA = ARRAY.tobytes()
FIELDS = "NRRD0004\ntype: short\ndimension: 3\nsizes: 3 4 5\nendian: little\nencoding: {encoding}\n{more}"


def attached(folder: Path, data: bytes, encoding: str = "raw", more: str = "") -> Path:
    path = folder / "x.nrrd"
    path.write_bytes(FIELDS.format(encoding=encoding, more=more).encode() + b"\n" + data)
    return path


def detached(folder: Path, data: bytes, encoding: str = "raw", more: str = "data file: x.raw\n") -> Path:
    (folder / "x.raw").write_bytes(data)
    path = folder / "x.nhdr"
    path.write_text(FIELDS.format(encoding=encoding, more=more))
    return path


def spoilt(data: bytes) -> bytes:
    return data[:-7] + bytes([data[-7] ^ 1]) + data[-6:]


# ---------------------------------------------------------------------------------------------------- real files


@pytest.mark.parametrize(
    "name",
    [
        "nrrd_encodings/BallBinary30x30x30.nhdr",
        "nrrd_encodings/BallBinary30x30x30.nrrd",
        "nrrd_encodings/BallBinary30x30x30_byteskip_minus_one.nhdr",
        "nrrd_encodings/BallBinary30x30x30_byteskip_minus_one_nifti.nhdr",
        "nrrd_encodings/BallBinary30x30x30_bz2.nrrd",
        "nrrd_encodings/BallBinary30x30x30_gz.nrrd",
        "nrrd_encodings/BallBinary30x30x30_gz_byteskip_minus_one.nrrd",
        "nrrd_encodings/BallBinary30x30x30_gz_lineskip.nrrd",
        "microct_nrrd_landmarks/A_J_.nrrd",
    ],
)
def test_real_files_are_what_independent_readers_say(visible: Path, expected: Any, name: str) -> None:
    folder, file = name.split("/")
    want = expected[folder][file]
    volume = open_nrrd(visible / name)
    values = want["pynrrd"]["values"]
    assert list(volume.shape) == values["shape_kji"]
    assert volume.dtype.name == values["dtype"]
    digest = hashlib.sha256(volume.read().astype("<f8").tobytes()).hexdigest()
    assert digest == values["sha256_f64le_C"]
    assert not volume.metadata.assumed
    if "affine_lps" in want["sitk"]:
        affine = volume.geometry.affine[:, [2, 1, 0, 3]]
        assert np.allclose(affine, want["sitk"]["affine_lps"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("BallBinary30x30x30_byteskip_minus_five.nhdr", FormatError, "byteskip must be an integer of at least -1"),
        ("BallBinary30x30x30_nifti.nhdr", DamagedError, "more than the 54000 bytes"),
        ("test1d_ascii.nrrd", FormatError, "dimension 1"),
        ("test_customFields.nrrd", FormatError, "dimension 1"),
    ],
)
def test_real_files_that_are_no_volume_are_refused(
    visible: Path, name: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        open_nrrd(visible / "nrrd_encodings" / name).read()


# ----------------------------------------------------------------------------------------------------- encodings

MEMBERS = gzip.compress(DATA[:50]) + gzip.compress(DATA[50:])
TEXT = " ".join(map(str, ARRAY.reshape(-1).tolist())).encode()


@pytest.mark.parametrize(
    ("data", "encoding", "more"),
    [
        (DATA, "raw", ""),
        (b"abcde" + DATA, "raw", "byte skip: 5\n"),
        (b"abcde" + DATA, "raw", "byte skip: -1\n"),
        (b"one\ntwo\nab" + DATA, "raw", "line skip: 2\nbyte skip: 2\n"),
        (gzip.compress(DATA), "gzip", ""),
        (gzip.compress(DATA) + bytes(9), "gz", ""),
        (gzip.compress(DATA + b"\n"), "gzip", ""),
        (MEMBERS, "gzip", ""),
        (gzip.compress(b"abc" + DATA), "gzip", "byteskip: 3\n"),
        (gzip.compress(b"abc" + DATA), "gzip", "byte skip: -1\n"),
        (b"one\n" + gzip.compress(DATA), "gzip", "line skip: 1\n"),
        (bz2.compress(DATA), "bzip2", ""),
        (bz2.compress(DATA[:50]) + bz2.compress(DATA[50:]), "bz2", ""),
        (TEXT, "ascii", ""),
        (TEXT.replace(b" ", b",\n"), "txt", ""),
    ],
)
@pytest.mark.parametrize("place", [attached, detached])
def test_every_encoding_is_read(tmp_path: Path, place: Any, data: bytes, encoding: str, more: str) -> None:
    volume = open_nrrd(place(tmp_path, data, encoding, more + ("data file: x.raw\n" if place is detached else "")))
    assert np.array_equal(volume.read(), ARRAY)
    region = (slice(1, 4), slice(1, 3), slice(1, 3))
    assert np.array_equal(volume.read(region), ARRAY[region])
    if volume.source.staging_bytes:
        assert volume.source.staging_bytes == len(DATA)
        staged = volume.source.staged(tmp_path)
        assert np.array_equal(staged.read(region), ARRAY[region])


@pytest.mark.parametrize("packing", [None, gzip.compress])
def test_big_endian_files_are_read(tmp_path: Path, packing: Any) -> None:
    data = ARRAY.astype(">i2").tobytes()
    path = attached(tmp_path, packing(data) if packing else data, "gzip" if packing else "raw")
    path.write_bytes(path.read_bytes().replace(b"endian: little", b"endian: big"))
    volume = open_nrrd(path)
    assert volume.dtype == np.dtype("int16")
    assert np.array_equal(volume.read(), ARRAY)


def test_floats_are_read_from_text(tmp_path: Path) -> None:
    path = attached(tmp_path, b"1.5e3 -2 nan " + b"0.25 " * 57, "text")
    path.write_bytes(path.read_bytes().replace(b"type: short", b"type: float"))
    assert open_nrrd(path).read().reshape(-1)[[0, 1, 59]].tolist() == [1500, -2, 0.25]


REGIONS: list[Region] = [
    (slice(0, 40), slice(0, 300), slice(0, 100)),
    (slice(39, 40), slice(299, 300), slice(99, 100)),
    (slice(3, 30), slice(7, 290), slice(0, 100)),
    (slice(17, 20), slice(0, 300), slice(5, 6)),
]


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("packing", ["gzip", "bzip2"])
def test_a_region_is_streamed_from_data_larger_than_a_piece(tmp_path: Path, region: Region, packing: str) -> None:
    array = np.random.default_rng(0).integers(0, 3, (40, 300, 100), "uint16")
    path = tmp_path / "x.gz"
    data = array.tobytes()
    path.write_bytes(gzip.compress(data, 1) if packing == "gzip" else bz2.compress(data, 1))
    source = pickle.loads(pickle.dumps(PackedSource(path, array.shape, array.dtype, packing)))
    assert np.array_equal(source.read(region), array[region])
    out = np.zeros(array.shape, array.dtype)
    source.read(region, out[region])
    assert np.array_equal(out[region], array[region])
    assert out.sum() == array[region].sum()


def test_a_volume_of_zeros_is_no_bomb(tmp_path: Path) -> None:
    shape = (64, 512, 512)
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(bytes(64 << 18)))
    source = PackedSource(path, shape, np.dtype("uint8"), "gzip")
    assert not source.staged(tmp_path).read((slice(63, 64), slice(0, 512), slice(0, 512))).any()


# --------------------------------------------------------------------------------------------------------- damage


def test_any_cut_of_a_gzip_stream_is_noticed(tmp_path: Path) -> None:
    whole = gzip.compress(DATA)
    for length in range(len(whole)):
        path = attached(tmp_path, whole[:length], "gzip")
        with pytest.raises(DamagedError, match=r"x\.nrrd"):
            open_nrrd(path).read()


@pytest.mark.parametrize(
    ("data", "encoding", "message"),
    [
        (spoilt(gzip.compress(DATA)), "gzip", "damaged .*incorrect data check"),
        (zlib.compress(DATA), "gzip", "damaged .*incorrect header check"),
        (spoilt(bz2.compress(DATA)), "bzip2", "damaged"),
        (bz2.compress(DATA)[:-9], "bzip2", "cut short"),
        (gzip.compress(DATA[:-2]), "gzip", "inflates to 118 bytes .* promises 120"),
        (gzip.compress(DATA + b"ab"), "gzip", "more than the 120 bytes"),
        (bz2.compress(DATA + bytes(1 << 22)), "bzip2", "more than the 120 bytes"),
        (TEXT[:-5], "ascii", "holds 59 numbers"),
    ],
)
def test_damaged_data_is_refused_by_name(tmp_path: Path, data: bytes, encoding: str, message: str) -> None:
    path = attached(tmp_path, data, encoding)
    with pytest.raises(DamagedError, match=message):
        open_nrrd(path).read()
    with pytest.raises(DamagedError, match=message):
        open_nrrd(path).source.staged(tmp_path)


def test_short_raw_data_is_refused_when_opened(tmp_path: Path) -> None:
    for more in ("", "byte skip: 4\n", "byte skip: -1\n"):
        with pytest.raises(DamagedError, match=r"x\.nrrd holds 11\d bytes of voxels .* promises 120"):
            open_nrrd(attached(tmp_path, DATA[:-2], "raw", more))


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
def test_absurd_sizes_are_refused_before_anything_is_allocated(tmp_path: Path, encoding: str) -> None:
    path = attached(tmp_path, DATA, encoding)
    path.write_bytes(path.read_bytes().replace(b"sizes: 3 4 5", b"sizes: 4294967296 4294967296 2"))
    with pytest.raises(DamagedError, match="promises 73786976294838206464"):
        open_nrrd(path)


def test_surplus_raw_data_is_said(tmp_path: Path) -> None:
    volume = open_nrrd(attached(tmp_path, DATA + b"abc"))
    assert any("3 bytes more" in text for text in volume.metadata.problems)


@pytest.mark.parametrize("text", [b"1 two 3", b"1 2 70000", b"1 2 \xff"])
def test_text_that_is_no_number_of_the_type_is_refused(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(FormatError, match=r"x\.nrrd holds"):
        open_nrrd(attached(tmp_path, text, "ascii"))


# ----------------------------------------------------------------------------------------------------- data files


@pytest.mark.parametrize("name", ["../secret.raw", "/etc/hostname", "sub/../../secret.raw", "link.raw"])
def test_data_outside_the_headers_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret.raw").write_bytes(DATA)
    (folder / "link.raw").symlink_to(tmp_path / "secret.raw")
    with pytest.raises(FormatError, match="outside its folder"):
        open_nrrd(detached(folder, b"", more=f"data file: {name}\n"))


def test_a_missing_data_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs the data file .*y\.raw"):
        open_nrrd(detached(tmp_path, DATA, more="datafile: y.raw\n"))


def test_a_grid_without_meaning_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match=r"x\.nrrd: .* above 0 mm"):
        open_nrrd(attached(tmp_path, DATA, more="spacings: 1 0 1\n"))


# --------------------------------------------------------------------------------------------------- the rest


def test_files_are_known_by_their_first_bytes(tmp_path: Path) -> None:
    path = attached(tmp_path, DATA)
    assert is_nrrd(path)
    (tmp_path / "y.nrrd").write_bytes(b"MHD")
    assert not is_nrrd(tmp_path / "y.nrrd")
    assert not is_nrrd(tmp_path)


def test_the_fingerprint_follows_header_and_data(tmp_path: Path) -> None:
    prints = {
        open_nrrd(attached(tmp_path, data, more=more)).source.fingerprint
        for data in (DATA, DATA[::-1])
        for more in ("", "spacings: 1 2 3\n")
    }
    assert len(prints) == 4
    volume = open_nrrd(attached(tmp_path, DATA))
    assert volume.metadata.source == volume.source.fingerprint
    assert isinstance(volume.source, RawSource)
