"""The phantom's files: other programs read what was written, and what cannot be written is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from chunkvol.errors import DecoderError, DiskError, InputError, OutputError
from chunkvol.phantom import TRANSFER_SYNTAXES, Phantom, Tissue, write_phantom
from chunkvol.phantom.packbits import packed_rows
from chunkvol.phantom.writer import BEADS_FILE

SIZE = (37, 33, 25)
SPACING = (0.031, 0.017, 0.05)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def planes(phantom: Phantom) -> Any:
    tissue = Tissue(phantom)
    return np.stack([tissue.plane(k) for k in range(phantom.size[2])])


def test_the_bytes_do_not_depend_on_the_workers(tmp_path: Path) -> None:
    for workers in (1, 2, 5):
        write_phantom(tmp_path / str(workers), size=SIZE, oblique=True, workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "5")


def test_every_setting_that_changes_files_changes_their_uids(tmp_path: Path) -> None:
    variants: list[dict[str, Any]] = [{}, {"seed": 1}, {"rescale": (2.0, 0.0)}, {"noise": 0}, {"dtype": "int16"}]
    seen = set()
    for number, variant in enumerate(variants):
        write_phantom(tmp_path / str(number), size=(5, 4, 2), **variant)
        seen |= {pydicom.dcmread(path).SOPInstanceUID for path in (tmp_path / str(number)).glob("*.dcm")}
    assert len(seen) == 2 * len(variants)


def test_equal_settings_of_other_number_types_give_equal_bytes(tmp_path: Path) -> None:
    write_phantom(tmp_path / "a", size=(8, 8, 2), seed=4, spacing=(1.0, 1.0, 1.0))
    numbers: Any = np.array([8, 8, 2])
    write_phantom(tmp_path / "b", size=numbers, seed=np.int64(4), spacing=(1, 1, 1), dtype="<u2")  # type: ignore[arg-type]  # a numpy integer
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize(("name", "dtype"), [(n, d) for n, row in TRANSFER_SYNTAXES.items() for d in row.dtypes])
def test_pydicom_decodes_every_transfer_syntax_and_type(tmp_path: Path, name: str, dtype: str) -> None:
    if TRANSFER_SYNTAXES[name].needs:
        pytest.importorskip(TRANSFER_SYNTAXES[name].needs, reason=f"tool is missing: {TRANSFER_SYNTAXES[name].needs}")
    size = (33, 35, 3)  # odd, so that one byte of padding is needed
    report = write_phantom(tmp_path / "s", size=size, dtype=dtype, transfer_syntax=name)
    expected = planes(report.phantom)
    for k, path in enumerate(sorted(report.folder.glob("*.dcm"))):
        data = pydicom.dcmread(path)
        assert data.file_meta.TransferSyntaxUID == TRANSFER_SYNTAXES[name].uid
        assert data.pixel_array.dtype.newbyteorder("=") == expected.dtype
        np.testing.assert_array_equal(data.pixel_array, expected[k])


@pytest.mark.parametrize("name", TRANSFER_SYNTAXES)
def test_every_header_element_is_valid_and_survives_pydicom(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if TRANSFER_SYNTAXES[name].needs:
        pytest.importorskip(TRANSFER_SYNTAXES[name].needs, reason=f"tool is missing: {TRANSFER_SYNTAXES[name].needs}")
    report = write_phantom(tmp_path / "s", size=SIZE, oblique=9.5, transfer_syntax=name)
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.RAISE)
    for path in report.folder.glob("*.dcm"):
        data = pydicom.dcmread(path)
        tags = [element.tag for element in data]  # every value is parsed and checked here
        assert tags == sorted(tags)
        assert [str(data[key].value) for key in ("PatientName", "PatientID", "StudyDate", "StudyTime")] == [""] * 4
        assert data.SOPInstanceUID == data.file_meta.MediaStorageSOPInstanceUID


@pytest.mark.parametrize("oblique", [False, True, 30.0, (0.0, 90.0)])
def test_pydicom_finds_the_reported_grid(tmp_path: Path, oblique: Any) -> None:
    report = write_phantom(tmp_path / "s", size=SIZE, spacing=SPACING, oblique=oblique)
    heads = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(report.folder.glob("*.dcm"))]
    assert [head.InstanceNumber for head in heads] == list(range(1, SIZE[2] + 1))
    assert [float(v) for v in heads[0].PixelSpacing] == [SPACING[1], SPACING[0]]
    cosines = np.array(heads[0].ImageOrientationPatient, dtype=float)
    positions = np.array([head.ImagePositionPatient for head in heads], dtype=float)
    affine = report.geometry.affine
    np.testing.assert_allclose(affine[:3, 2], cosines[:3] * SPACING[0], atol=1e-15)
    np.testing.assert_allclose(affine[:3, 1], cosines[3:] * SPACING[1], atol=1e-15)
    indices = np.zeros((SIZE[2], 3))
    indices[:, 0] = range(SIZE[2])
    np.testing.assert_allclose(report.geometry.index_to_world(indices), positions, atol=1e-13)
    assert np.ptp(np.diff(positions, axis=0), axis=0).max() < 1e-9 * SPACING[2]


def test_simpleitk_finds_the_reported_grid_and_values(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    report = write_phantom(tmp_path / "s", size=SIZE, spacing=SPACING, oblique=True)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(report.folder)))
    image = reader.Execute()
    np.testing.assert_allclose(image.GetOrigin(), report.geometry.origin, atol=1e-9)
    np.testing.assert_allclose(image.GetSpacing(), report.geometry.spacing[::-1], rtol=1e-9)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    np.testing.assert_allclose(direction, np.array(report.geometry.direction)[:, ::-1], atol=1e-9)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), planes(report.phantom))


def test_dciodvfy_finds_no_error(tmp_path: Path) -> None:
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("tool is missing: dciodvfy")
    report = write_phantom(tmp_path / "s", size=(16, 16, 2), oblique=True)
    run = subprocess.run([program, str(report.folder / "slice_00002.dcm")], capture_output=True, text=True, check=False)
    assert [line for line in (run.stdout + run.stderr).splitlines() if line.startswith("Error")] == []


def test_header_lengths_vary_from_file_to_file(tmp_path: Path) -> None:
    for oblique in (False, True):
        report = write_phantom(tmp_path / str(oblique), size=(4, 4, 60), spacing=SPACING, oblique=oblique)
        assert len({path.stat().st_size for path in report.folder.glob("*.dcm")}) > 1


def test_the_rescale_is_stated_and_the_stored_values_stay(tmp_path: Path) -> None:
    report = write_phantom(tmp_path / "s", size=(5, 4, 1), rescale=(0.1, -1000.0))
    data = pydicom.dcmread(report.folder / "slice_00001.dcm")
    assert (float(data.RescaleSlope), float(data.RescaleIntercept)) == (0.1, -1000.0)
    np.testing.assert_array_equal(data.pixel_array, planes(report.phantom)[0])


def test_the_markups_file_records_the_beads_in_lps(tmp_path: Path) -> None:
    report = write_phantom(tmp_path / "s", size=(50, 60, 40), spacing=SPACING, oblique=True, beads=5)
    assert len(report.beads) > 0
    (markup,) = json.loads((report.folder / BEADS_FILE).read_text())["markups"]
    assert (markup["coordinateSystem"], markup["coordinateUnits"]) == ("LPS", "mm")
    assert [tuple(point["position"]) for point in markup["controlPoints"]] == list(report.beads.points)
    assert [point["label"] for point in markup["controlPoints"]] == list(report.beads.names)
    np.testing.assert_allclose(report.geometry.world_to_index(report.beads.points), report.beads.indices, atol=1e-9)


def test_the_markups_file_keeps_to_slicers_schema(tmp_path: Path, visible: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    path = visible.parent / "schemas" / "markups-schema-v1.0.3.json"
    if not path.exists():
        pytest.skip(f"the schema is absent: {path}")
    for beads in (0, 5):
        report = write_phantom(tmp_path / str(beads), size=(50, 60, 40), beads=beads)
        jsonschema.validate(json.loads((report.folder / BEADS_FILE).read_text()), json.loads(path.read_text()))


@pytest.mark.parametrize("name", ["explicit", "implicit", "bigendian"])
def test_a_sparse_phantom_has_headers_and_holes(tmp_path: Path, name: str) -> None:
    report = write_phantom(tmp_path / "s", size=(1000, 999, 4), transfer_syntax=name, sparse=True)
    assert sorted(path.name for path in report.folder.iterdir()) == [f"slice_0000{n}.dcm" for n in (1, 2, 3, 4)]
    path = report.folder / "slice_00004.dcm"
    assert path.stat().st_size > 1000 * 999 * 2
    if hasattr(path.stat(), "st_blocks"):
        assert path.stat().st_blocks * 512 < 100_000
    assert not pydicom.dcmread(path).pixel_array.any()
    assert report.sparse
    assert len(report.beads) == 0


def test_the_report_counts_files_and_bytes(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    report = write_phantom(tmp_path / "s", size=(8, 8, 7), progress=lambda done, total: calls.append((done, total)))
    sizes = [path.stat().st_size for path in report.folder.glob("*.dcm")]
    assert (report.files, report.bytes) == (7, sum(sizes))
    assert calls == [(n, 7) for n in range(1, 8)]


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 4), st.integers(1, 300)), elements=st.integers(0, 2)))
@settings(max_examples=150)
def test_packed_rows_unpack_row_by_row(rows: Any) -> None:
    code = packed_rows(rows)
    for row in rows:
        got = bytearray()
        while len(got) < len(row):
            control = code[0]
            assert control != 128
            if control < 128:
                got += code[1 : control + 2]
                code = code[control + 2 :]
            else:
                got += code[1:2] * (257 - control)
                code = code[2:]
        assert bytes(got) == row.tobytes()
    assert code == b""


def test_runs_pack_as_tightly_as_the_scheme_allows() -> None:
    assert len(packed_rows(np.zeros((1, 1280), np.uint8))) == 20
    assert len(packed_rows(np.arange(256, dtype=np.uint8)[None])) == 258


def test_a_full_folder_is_refused(tmp_path: Path) -> None:
    write_phantom(tmp_path / "s", size=(4, 4, 3))
    before = contents(tmp_path / "s")
    with pytest.raises(OutputError, match="is not empty; choose another folder, or give --overwrite"):
        write_phantom(tmp_path / "s", size=(4, 4, 2))
    assert contents(tmp_path / "s") == before


def test_overwriting_replaces_an_earlier_phantom_whole(tmp_path: Path) -> None:
    write_phantom(tmp_path / "s", size=(4, 4, 3))
    write_phantom(tmp_path / "s", size=(4, 4, 2), overwrite=True)
    write_phantom(tmp_path / "t", size=(4, 4, 2))
    assert contents(tmp_path / "s") == contents(tmp_path / "t")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s", "t"]


def test_overwriting_spares_a_folder_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(OutputError, match=r"holds thesis\.txt, which is no part of a phantom"):
        write_phantom(tmp_path, size=(4, 4, 2), overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "years"


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    assert write_phantom(tmp_path / "s", size=(4, 4, 2)).files == 2


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("x")
    with pytest.raises(OutputError, match="is a file; choose another folder"):
        write_phantom(tmp_path / "s", size=(4, 4, 2))


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(done: int, _total: int) -> None:
        if done == 3:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        write_phantom(tmp_path / "s", size=(4, 4, 50), progress=fail)
    assert list(tmp_path.iterdir()) == []


def test_a_small_disk_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 0, 10**6))
    with pytest.raises(DiskError, match="choose another disk, a smaller size, or a sparse phantom"):
        write_phantom(tmp_path / "s", size=(512, 512, 20))
    assert list(tmp_path.iterdir()) == []
    assert write_phantom(tmp_path / "s", size=(512, 512, 20), sparse=True).files == 20


def test_an_unknown_transfer_syntax_is_refused_with_the_choices(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choose explicit, implicit, bigendian, deflated, rle, jpegls, j2k, htj2k"):
        write_phantom(tmp_path / "s", transfer_syntax="jpegxl")


def test_a_type_that_the_coding_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="j2k holds uint8, uint16, int16, not float32; choose explicit, implicit"):
        write_phantom(tmp_path / "s", transfer_syntax="j2k", dtype="float32")


def test_slices_too_small_for_the_coding_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="j2k needs slices of at least 32 x 32 pixels, found 31 x 40"):
        write_phantom(tmp_path / "s", transfer_syntax="j2k", size=(31, 40, 2))


def test_a_missing_encoder_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "imagecodecs", None)
    with pytest.raises(DecoderError, match=r"pip install 'chunkvol\[codecs\]'"):
        write_phantom(tmp_path / "s", transfer_syntax="jpegls", size=(8, 8, 2))


def test_an_encoder_that_fails_is_told_with_the_slice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imagecodecs = pytest.importorskip("imagecodecs", reason="tool is missing: imagecodecs")

    def fail(_: Any) -> bytes:
        raise ValueError("no luck")

    monkeypatch.setattr(imagecodecs, "jpegls_encode", fail)
    with pytest.raises(DecoderError, match=r"gave up on slice_0000\d\.dcm: no luck"):
        write_phantom(tmp_path / "s", transfer_syntax="jpegls", size=(8, 8, 2))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["deflated", "rle"])
def test_a_sparse_phantom_cannot_be_compressed(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="choose explicit, implicit, bigendian"):
        write_phantom(tmp_path / "s", transfer_syntax=name, sparse=True)


@pytest.mark.parametrize("rescale", [(0.0, 1.0), (float("nan"), 0.0), (1.0, float("inf"))])
def test_a_rescale_that_means_nothing_is_refused(tmp_path: Path, rescale: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="rescale is a slope other than 0 and an intercept"):
        write_phantom(tmp_path / "s", rescale=rescale)


def test_a_slice_longer_than_a_dicom_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="longer than the 4 GiB"):
        write_phantom(tmp_path / "s", size=(65535, 65535, 1))


def test_no_workers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="workers must be 1 or more, found 0"):
        write_phantom(tmp_path / "s", size=(4, 4, 2), workers=0)
