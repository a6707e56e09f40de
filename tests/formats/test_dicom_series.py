"""A folder of images becomes one volume in its place, or is refused with numbers."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from chunkvol.errors import DamagedError, FormatError, GeometryError, InputError
from chunkvol.formats.dicom import is_dicom, open_dicom
from chunkvol.formats.dicom.series import find_series
from chunkvol.regions import whole
from tests.support.series import Edit, Order, oblique, write_series

SHAPE = (6, 4, 7)
GOOD = (
    ("ct_head_93", "dicom"),
    ("mr_sag_hfs", "dicom"),
    ("mr_oblique_gap9", "dicom"),
    ("mr_phase_slope2", "dicom"),
    ("ct_odd_size", "image"),
    ("mr_transfer_syntaxes", "anatomical_001"),
    ("mr_transfer_syntaxes", "anatomical_001_implicit"),
    ("mr_transfer_syntaxes", "compressed_j2k_001"),
    ("mr_transfer_syntaxes", "compressed_jpeg_001"),
    ("mr_transfer_syntaxes", "compressed_jpegls_001"),
    ("mr_transfer_syntaxes", "compressed_rle_001"),
)


@pytest.mark.parametrize(("name", "part"), GOOD)
def test_real_series_lie_where_independent_arithmetic_puts_them(
    visible: Path, expected: Any, name: str, part: str
) -> None:
    planes, geometry, metadata = open_dicom(visible / name / part)
    math = expected[name][part]["math"]
    affine = np.array(math["affine_lps"])
    steps = geometry.affine[:3, :3][:, ::-1]  # columns i, j, k as in the file of answers
    assert np.abs(steps - affine[:3, :3]).max() <= 1e-6 * min(math["spacing"])
    assert np.allclose(geometry.origin, math["origin"], rtol=1e-6, atol=1e-9)
    assert geometry.shape[::-1] == tuple(math["size_ijk"])
    values = planes.read(whole(planes.shape)) * metadata.rescale.slope + metadata.rescale.intercept
    digest = hashlib.sha256(np.ascontiguousarray(values, "<f8").tobytes()).hexdigest()
    assert digest == math["values"]["sha256_f64le_C"]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("gantrytilting", r"slant of 14\.00 degrees: plane 1 .* lies 1\.21 mm aside .* tilted gantry; choose --tilt"),
        ("notavolume", r"4 planes share a position, first 001\.dcm and 002\.dcm"),
        ("slicecount", r"the series has 2 planes; a volume needs at least 3"),
        ("sliceincrement", r"plane 3 .* lies 10\.00 mm after plane 2, expected 5\.00 mm: one plane may be missing"),
    ],
)
def test_real_series_that_are_no_volume_are_refused(visible: Path, part: str, message: str) -> None:
    with pytest.raises(GeometryError, match=message) as caught:
        open_dicom(visible / "bad_series" / part)
    assert caught.value.exit_code == 3


def test_two_orientations_of_a_real_series_are_two_volumes(visible: Path) -> None:
    with pytest.raises(InputError, match=r"holds 2 volumes: \w+: 2 images of 288 x 288, MR, sagittal; .*axial"):
        open_dicom(visible / "bad_series" / "sliceorientation")


@pytest.mark.parametrize("order", ["forward", "reversed", "shuffled"])
def test_each_voxel_keeps_its_place_whatever_the_names(tmp_path: Path, order: Order) -> None:
    geometry = oblique(SHAPE)
    array = np.arange(np.prod(SHAPE), dtype="uint16").reshape(SHAPE)
    write_series(tmp_path, array, geometry, order=order)
    planes, found, metadata = open_dicom(tmp_path)
    assert found.is_close(geometry, 1e-9)
    assert found.spacing[1:] == geometry.spacing[1:]
    assert np.array_equal(planes.read(whole(SHAPE)), array)
    assert (metadata.rescale.slope, metadata.rescale.intercept, metadata.rescale.unit) == (2.0, -1024.0, "HU")


def test_planes_written_against_their_normal_are_read_along_it(tmp_path: Path) -> None:
    geometry = oblique(SHAPE)
    array = np.arange(np.prod(SHAPE), dtype="uint16").reshape(SHAPE)
    backwards = geometry.reordered((0, 1, 2), (True, False, False))
    write_series(tmp_path, array, backwards)
    planes, found, _ = open_dicom(tmp_path)
    assert np.linalg.det(np.array(found.direction)[:, ::-1]) > 0
    assert found.is_close(geometry, 1e-9)
    assert np.array_equal(planes.read(whole(SHAPE)), array[::-1])


def test_the_fingerprint_knows_the_slices_but_not_their_paths(tmp_path: Path) -> None:
    array = np.zeros(SHAPE, "uint16")
    write_series(tmp_path / "a", array, oblique(SHAPE))
    write_series(tmp_path / "b", array, oblique(SHAPE), order="shuffled")
    write_series(tmp_path / "c", array, oblique(SHAPE, (2.5, 0.75, 0.4)))
    one, same, other = (open_dicom(tmp_path / name)[2].source for name in "abc")
    assert one == same != other
    assert len(one) == 64


def test_metadata_hold_no_patient_identity(tmp_path: Path) -> None:
    write_series(tmp_path, np.zeros(SHAPE, "uint16"), oblique(SHAPE), bits_stored=12)
    metadata = open_dicom(tmp_path)[2]
    assert "Secret" not in str(metadata.to_json())
    assert str(tmp_path) not in str(metadata.to_json())
    assert set(metadata.extra) == {"series_uid", "study_uid", "photometric", "series_description", "instances"}
    assert metadata.stored_range == (0, 4095)
    assert metadata.modality == "CT"


def test_other_files_are_skipped_and_counted(tmp_path: Path) -> None:
    array = np.ones(SHAPE, "uint16")
    write_series(tmp_path / "deep" / "er", array, oblique(SHAPE))
    (tmp_path / "README.txt").write_text("hello")
    (tmp_path / "empty").touch()
    (tmp_path / "._IM0001.dcm").write_bytes(b"left by macOS")
    (tmp_path / "deep" / "loop").symlink_to(tmp_path, target_is_directory=True)
    series = find_series(tmp_path)
    assert series.problems == ("2 files skipped: not DICOM (first README.txt)",)
    assert np.array_equal(series.planes.read(whole(SHAPE)), array)


def _change(**tags: Any) -> Edit:
    """An edit that sets elements of plane 3, or deletes them where the value is None."""

    def edit(k: int, dataset: pydicom.Dataset) -> None:
        if k == 3:
            for keyword, value in tags.items():
                if value is None:
                    delattr(dataset, keyword)
                else:
                    setattr(dataset, keyword, value)

    return edit


def _change_all(**tags: Any) -> Edit:
    return lambda _k, dataset: [setattr(dataset, keyword, value) for keyword, value in tags.items()] and None


REFUSED = {
    "rows": (_change(Rows=5), InputError, "holds 2 volumes: .*: 5 images of 7 x 4, .*: 1 image of 7 x 5, "),
    "sign": (_change(PixelRepresentation=1), InputError, "holds 2 volumes: .* unsigned 16 of 16 bits; .* signed 16"),
    "no position": (_change(ImagePositionPatient=None), GeometryError, "no ImagePositionPatient in 1 of 6 images"),
    "no orientation": (_change(ImageOrientationPatient=None), InputError, "holds 2 volumes: .*, no orientation;"),
    "orientation": (
        _change(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]), InputError, "holds 2 volumes: .* rows along"),
    "lengths": (
        _change_all(ImageOrientationPatient=[1, 0, 0, 0, 1.01, 0]), GeometryError, "unit vectors, found lengths 1 and"),
    "angle": (
        _change_all(ImageOrientationPatient=[1, 0, 0, 0.02, 0.9998, 0]), GeometryError, "right angles, found 88.8"),
    "zero spacing": (_change_all(PixelSpacing=[0, 0.5]), GeometryError, "expected two numbers above 0 mm"),
    "negative spacing": (_change_all(PixelSpacing=[-0.75, 0.5]), GeometryError, "IM0000.dcm has PixelSpacing"),
    "other spacing": (_change(PixelSpacing=[0.75, 0.6]), InputError, "holds 2 volumes: .* pixels of 0.5 x 0.75 mm;"),
    "flat": (_change_all(RescaleSlope="0"), FormatError, "RescaleSlope 0"),
    "colour": (
        _change_all(SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL"), FormatError, "IM0000.dcm is a colour"),
    "a colour plane": (_change(PhotometricInterpretation="PALETTE COLOR"), GeometryError, "one plane may be missing"),
    "frames": (_change(NumberOfFrames="2"), DamagedError, r"IM0003.dcm is truncated: .* expected 112 \(2 frames of"),
    "short": (_change(PixelData=bytes(54)), DamagedError, "truncated: 54 bytes of pixel data, expected 56"),
    "long": (_change(PixelData=bytes(58)), DamagedError, "over-long pixel data: 58 bytes, expected 56"),
    "bits": (_change_all(BitsAllocated=12), FormatError, "BitsAllocated 12; 8, 16 and 32 are read"),
    "no pixels": (_change(PixelData=None), DamagedError, "IM0003.dcm is a DICOM image that ends before its pixel data"),
}  # fmt: skip  # one case a line reads as a table


@pytest.mark.parametrize("case", REFUSED)
def test_images_that_do_not_belong_together_are_refused(tmp_path: Path, case: str) -> None:
    edit, kind, message = REFUSED[case]
    write_series(tmp_path, np.zeros(SHAPE, "uint16"), oblique(SHAPE), edit=edit)
    with pytest.raises(kind, match=message):
        open_dicom(tmp_path)


def _moved(tmp_path: Path, spacing: float, places: list[float], aside: float = 0.0) -> Path:
    """Planes at `places` steps along the normal, each shifted by `aside` steps in the plane per step."""
    geometry = oblique((len(places), 4, 7), (spacing, 0.75, 0.5))

    def edit(k: int, dataset: pydicom.Dataset) -> None:
        along = geometry.index_to_world((places[k], 0, 0))
        point = along + aside * spacing * places[k] * np.array(geometry.direction)[:, 2]
        dataset.ImagePositionPatient = [f"{value:.14f}"[:16] for value in point]

    write_series(tmp_path, np.zeros((len(places), 4, 7), "uint16"), geometry, edit=edit)
    return tmp_path


@pytest.mark.parametrize("spacing", [0.005, 0.6, 5.0])
class TestSpacingAtAnyScale:
    """The tolerance is relative: micrometres are judged as strictly as millimetres."""

    def test_jitter_below_one_per_cent_is_accepted_and_told(self, tmp_path: Path, spacing: float) -> None:
        series = find_series(_moved(tmp_path, spacing, [0, 1, 2.009, 3, 4]))
        assert np.isclose(series.geometry.spacing[0], spacing, rtol=1e-6)
        assert "planes lie up to" in series.problems[0]

    def test_jitter_above_one_per_cent_is_refused(self, tmp_path: Path, spacing: float) -> None:
        with pytest.raises(GeometryError, match=r"plane 2 .* uneven spacing"):
            find_series(_moved(tmp_path, spacing, [0, 1, 2.03, 3, 4]))

    @pytest.mark.parametrize(("places", "guess"), [([0, 1, 3, 4, 5], "one plane"), ([0, 1, 2, 5, 6, 7], "2 planes")])
    def test_a_gap_is_told_as_missing_planes(
        self, tmp_path: Path, spacing: float, places: list[float], guess: str
    ) -> None:
        with pytest.raises(GeometryError, match=rf"mm after plane \d, expected .* mm: {guess} may be missing"):
            find_series(_moved(tmp_path, spacing, places))

    def test_a_slow_drift_is_refused(self, tmp_path: Path, spacing: float) -> None:
        places = list(np.cumsum(1 + 0.004 * np.linspace(-1, 1, 40)))
        with pytest.raises(GeometryError, match="off the straight line"):
            find_series(_moved(tmp_path, spacing, places))

    def test_a_slant_above_one_per_cent_is_a_tilted_gantry(self, tmp_path: Path, spacing: float) -> None:
        _moved(tmp_path / "slight", spacing, [0, 1, 2, 3], aside=0.009)
        _moved(tmp_path / "much", spacing, [0, 1, 2, 3], aside=0.05)
        step = find_series(tmp_path / "slight").geometry.spacing[0]
        assert np.isclose(step, spacing * np.hypot(1, 0.009), rtol=1e-6)
        with pytest.raises(GeometryError, match=r"slant of 2\.86 degrees"):
            find_series(tmp_path / "much")


def test_thickness_that_disagrees_is_told_not_used(tmp_path: Path) -> None:
    edit = _change_all(SliceThickness="9", SpacingBetweenSlices="2.5")
    write_series(tmp_path, np.zeros(SHAPE, "uint16"), oblique(SHAPE), edit=edit)
    assert find_series(tmp_path).problems == (
        "SliceThickness says 9 mm, the positions say 2.5 mm: the positions are used",
    )


def test_several_series_are_listed_with_their_facts(tmp_path: Path) -> None:
    array = np.zeros(SHAPE, "uint16")
    write_series(tmp_path / "a", array, oblique(SHAPE))
    edit = _change_all(SeriesInstanceUID="1.2.3", Modality="MR", SeriesDescription="T1")
    write_series(tmp_path / "b", array[:4, :, :5], oblique(SHAPE), edit=edit)
    with pytest.raises(
        InputError,
        match=r"holds 2 volumes: \w+: 6 images of 7 x 4, CT 'made for tests'; \w+: 4 images of 5 x 4, MR 'T1'",
    ):
        open_dicom(tmp_path)


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_planes_are_refused(tmp_path: Path, count: int) -> None:
    write_series(tmp_path, np.zeros((count, 4, 7), "uint16"), oblique((count, 4, 7)))
    with pytest.raises(GeometryError, match=rf"the series has {count} planes?; a volume needs at least 3"):
        open_dicom(tmp_path)


def test_folders_without_images_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no DICOM image \\(it is empty\\)"):
        open_dicom(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="holds no DICOM image \\(1 file not DICOM\\)"):
        open_dicom(tmp_path)
    with pytest.raises(InputError, match="absent cannot be read as a folder: No such file"):
        open_dicom(tmp_path / "absent")


def test_a_slice_that_lost_its_mark_does_not_disappear(tmp_path: Path) -> None:
    paths = write_series(tmp_path, np.zeros(SHAPE, "uint16"), oblique(SHAPE))
    paths[-1].write_bytes(bytes(500))
    with pytest.raises(FormatError, match=r"IM0005\.dcm is named like DICOM but has no DICM mark"):
        open_dicom(tmp_path)


def test_an_unknown_transfer_syntax_is_named(tmp_path: Path) -> None:
    paths = write_series(tmp_path, np.zeros(SHAPE, "uint16"), oblique(SHAPE))
    for path in paths:
        path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.7\0"))
    with pytest.raises(FormatError, match=r"transfer syntax 1\.2\.840\.10008\.1\.2\.7, which is not read"):
        open_dicom(tmp_path)


def test_a_file_without_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write_series(tmp_path, np.zeros(SHAPE, "uint16"), oblique(SHAPE))
    real = os.open

    def refuse(path: Any, *args: Any) -> int:  # root, which runs many test machines, may read everything
        if str(path) == str(paths[2]):
            raise PermissionError(13, "Permission denied")
        return real(path, *args)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InputError, match=r"IM0002\.dcm cannot be read: Permission denied"):
        open_dicom(tmp_path)


def test_dicom_folders_are_recognised_by_content(tmp_path: Path) -> None:
    assert not is_dicom(tmp_path)
    assert not is_dicom(tmp_path / "absent")
    (tmp_path / "a.txt").write_text("x")
    assert not is_dicom(tmp_path)
    write_series(tmp_path / "deep", np.zeros((1, 4, 7), "uint16"), oblique((1, 4, 7)))
    assert is_dicom(tmp_path)
    assert not is_dicom(tmp_path / "a.txt")
