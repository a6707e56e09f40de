"""Whatever lies in a folder, its images are found, each once, and everything else is named."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    MRSpectroscopyStorage,
    RTStructureSetStorage,
    SegmentationStorage,
)

from chunkvol.errors import DamagedError, FormatError, InputError
from chunkvol.formats.dicom.catalogue import scan
from chunkvol.formats.dicom.catalogue.listing import find_volumes, listing, listing_text
from chunkvol.formats.dicom.catalogue.scan import is_dicom, read_folder
from chunkvol.formats.dicom.headers.header import Header, read_header
from tests.support.series import Edit, oblique, write_series

SHAPE = (5, 4, 7)


def voxels() -> np.ndarray:
    return np.arange(np.prod(SHAPE), dtype="uint16").reshape(SHAPE)


def setting(**tags: Any) -> Edit:
    """Set elements in each plane."""
    return lambda _k, dataset: [setattr(dataset, keyword, value) for keyword, value in tags.items()] and None


def series(folder: Path, **tags: Any) -> list[Path]:
    return write_series(folder, voxels(), oblique(SHAPE), edit=setting(**tags))


def write_object(path: Path, uid: str, modality: str, **tags: Any) -> Path:
    """An object without planes of a volume."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = uid, "1.2.9", modality
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID = f"1.2.{len(modality)}.{len(uid)}", "1.2"
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_segmentation(path: Path, **tags: Any) -> Path:
    pixels = {
        "Rows": 4,
        "Columns": 7,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "NumberOfFrames": 5,
    }
    bits = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "PixelRepresentation": 0, "PixelData": bytes(18)}
    return write_object(path, SegmentationStorage, "SEG", **(pixels | bits | tags))


def names(source: Path) -> list[str]:
    return [Path(image.path).name for image in read_folder(source).images]


# What is found


def test_images_are_found_at_any_depth_and_under_any_name(tmp_path: Path) -> None:
    for n, path in enumerate(series(tmp_path)):
        folder = tmp_path / "1" / "b" / str(n % 2)
        folder.mkdir(parents=True, exist_ok=True)
        path.rename(folder / ["IM", "x.ima", "1.2.840.113", "y.DCM", "00005"][n])
    found = find_volumes(tmp_path)
    groups, problems = found.groups, found.skipped
    assert [len(group.images) for group in groups] == [5]
    assert problems == ()


def test_a_dicomdir_stands_for_its_folder(tmp_path: Path) -> None:
    """One that the standard's own examples come with: it lists other files than those here."""
    examples = Path(pydicom.__file__).parent / "data" / "test_files" / "dicomdirtests"
    if not examples.exists():
        pytest.skip("this build of pydicom has no examples")
    series(tmp_path / "PT0" / "SE0")
    shutil.copy(examples / "DICOMDIR", tmp_path)
    assert is_dicom(tmp_path / "DICOMDIR")
    assert is_dicom(tmp_path)
    for source in (tmp_path, tmp_path / "DICOMDIR"):
        scan = read_folder(source)
        assert len(scan.images) == 5
        assert scan.problems == ("1 file skipped: the list of a DICOM medium (DICOMDIR)",)
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(9))  # nobody needs to read it
    assert len(read_folder(tmp_path / "DICOMDIR").images) == 5


def test_a_dicomdir_in_the_working_folder_needs_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series(tmp_path)
    (tmp_path / "dicomdir").touch()
    monkeypatch.chdir(tmp_path)
    assert len(read_folder("dicomdir").images) == 5


def test_a_single_file_is_read_alone(tmp_path: Path) -> None:
    path = series(tmp_path)[3]
    assert names(path) == ["IM0003.dcm"]
    assert is_dicom(path)
    other = tmp_path / "notes.txt"
    other.write_text("x" * 200)
    assert not is_dicom(other)
    assert not is_dicom(tmp_path / "absent")
    with pytest.raises(InputError, match=r"notes\.txt holds no DICOM image \(1 file not DICOM\)"):
        read_folder(other)


def test_every_frame_is_an_image(tmp_path: Path) -> None:
    frames = np.arange(84, dtype="uint16")
    edit = setting(NumberOfFrames=3, PixelData=frames.tobytes())
    write_series(tmp_path, voxels()[:1], oblique((1, 4, 7)), edit=edit)
    images = read_folder(tmp_path).images
    assert [image.frame for image in images] == [0, 1, 2]
    assert len({image.offset for image in images}) == 3


@pytest.mark.parametrize("wait", [0.0, 0.003])
def test_files_that_are_waited_for_are_read_together_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait: float
) -> None:
    shape = (100, 2, 3)
    write_series(tmp_path, np.zeros(shape, "uint16"), oblique(shape))
    (tmp_path / "notes.txt").write_text("not an image")
    alone = read_folder(tmp_path)
    readers = set()

    def slowly(path: str) -> Header | None:
        time.sleep(wait)
        readers.add(threading.current_thread())
        return read_header(path)

    monkeypatch.setattr(scan, "read_header", slowly)
    assert read_folder(tmp_path) == alone
    assert wait == 0 or len(readers) > 1


def test_names_of_one_file_count_once(tmp_path: Path) -> None:
    paths = series(tmp_path / "a")
    os.link(paths[0], tmp_path / "a" / "again")
    (tmp_path / "b").mkdir()
    for path in paths:
        (tmp_path / "b" / path.name).symlink_to(path)
    (tmp_path / "c").symlink_to(tmp_path / "a", target_is_directory=True)
    assert len(read_folder(tmp_path).images) == 5
    assert read_folder(tmp_path / "b").problems == ()
    assert names(tmp_path / "b") == sorted(path.name for path in paths)


# What is skipped, and named


def test_what_was_skipped_is_named(tmp_path: Path) -> None:
    series(tmp_path / "images")
    (tmp_path / "beads.mrk.json").write_text("{}")
    write_object(tmp_path / "report", EnhancedSRStorage, "SR")
    write_object(tmp_path / "rs1.dcm", RTStructureSetStorage, "RTSTRUCT")
    write_object(tmp_path / "rs2.dcm", RTStructureSetStorage, "RTSTRUCT")
    write_object(tmp_path / "state.dcm", GrayscaleSoftcopyPresentationStateStorage, "PR")
    write_object(tmp_path / "spectra.dcm", MRSpectroscopyStorage, "MR", Rows=16, Columns=16)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    scan = read_folder(tmp_path)
    assert len(scan.images) == 5
    assert scan.problems == (
        "1 file skipped: DICOM without an image, modality MR (spectra.dcm)",
        "1 file skipped: DICOM without an image, modality PR (state.dcm)",
        "2 files skipped: DICOM without an image, modality RTSTRUCT (first rs1.dcm)",
        "1 file skipped: DICOM without an image, modality SR (report)",
        "1 file skipped: a link that leads nowhere (gone)",
        "1 file skipped: not DICOM (beads.mrk.json)",
    )


@pytest.mark.parametrize("damage", [{}, {"PixelData": bytes(2)}, {"NumberOfFrames": 9}, {"BitsAllocated": 8}])
def test_a_segmentation_beside_the_images_is_no_volume_and_no_obstacle(tmp_path: Path, damage: dict[str, Any]) -> None:
    series(tmp_path / "images")
    write_segmentation(tmp_path / "seg.dcm", **damage)
    groups = find_volumes(tmp_path).groups
    assert [(group.left_out, group.images[0].modality) for group in groups] == [("", "CT"), ("segmentation", "SEG")]


def test_a_damaged_image_never_passes_for_something_else(tmp_path: Path) -> None:
    paths = series(tmp_path)
    dataset = pydicom.dcmread(paths[2])
    del dataset.PixelData
    dataset.save_as(paths[2])
    with pytest.raises(DamagedError, match=r"IM0002\.dcm is a DICOM image that ends before its pixel data"):
        read_folder(tmp_path)
    paths[2].write_bytes(b"nothing")
    with pytest.raises(FormatError, match=r"IM0002\.dcm is named like DICOM but has no DICM mark"):
        read_folder(tmp_path)
    paths[2].unlink()
    paths[2].symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"IM0002\.dcm is a link that leads nowhere: fetch the file or take it away"):
        read_folder(tmp_path)


# Volumes in files


def test_studies_and_series_in_one_folder_are_told_apart(tmp_path: Path) -> None:
    for study in "12":
        for number in "34":
            uids = {"StudyInstanceUID": f"1.{study}", "SeriesInstanceUID": f"1.{study}.{number}"}
            series(tmp_path / study / number, **uids, SeriesNumber=number)
    found = find_volumes(tmp_path)
    groups, problems = found.groups, found.skipped
    assert [group.series for group in groups] == ["1.1.3", "1.1.4", "1.2.3", "1.2.4"]
    assert {len(group.images) for group in groups} == {5}
    assert problems == ()


def test_ids_stay_when_files_are_renamed_and_other_series_come(tmp_path: Path) -> None:
    def echoes(k: int, dataset: Dataset) -> None:
        dataset.EchoNumbers = 1 + k % 2
        dataset.EchoTime = 4.92 + 2.46 * (k % 2)

    array, grid = voxels(), oblique(SHAPE)
    for n in range(2):
        places = np.repeat(np.arange(5), 2)

        def edit(k: int, dataset: Dataset, places: Any = places, n: int = n) -> None:
            echoes(k, dataset)
            point = grid.index_to_world((places[k], 0, 0))
            dataset.ImagePositionPatient = [f"{value:.12f}"[:16] for value in point]
            dataset.SOPInstanceUID = f"1.2.{n}.{k}"

        write_series(tmp_path / "ab"[n], np.repeat(array, 2, axis=0), grid, edit=edit, order=("forward", "shuffled")[n])  # type: ignore[arg-type]  # one of the orders
    series(tmp_path / "b" / "0", SeriesInstanceUID="1.2.3")
    one, two = (find_volumes(tmp_path / name).groups for name in "ab")
    assert {group.label: len(group.images) for group in one} == {"echo 1 (4.92 ms)": 5, "echo 2 (7.38 ms)": 5}
    assert {group.id for group in one} < {group.id for group in two}
    assert len(two) == 3


def test_the_listing_says_what_each_volume_is(tmp_path: Path) -> None:
    series(tmp_path / "a", SeriesNumber=2)
    scout = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "SeriesInstanceUID": "1.2.3"}
    series(tmp_path / "b", **scout, SeriesDescription="scout", Modality="MR")
    write_segmentation(tmp_path / "seg.dcm")
    (tmp_path / "x").touch()
    found = find_volumes(tmp_path)
    groups, problems = found.groups, found.skipped
    one, two, three = listing(groups, lambda group: f"{len(group.images)} are too many")
    assert one == {
        "id": groups[0].id,
        "series_uid": groups[0].series,
        "study_uid": groups[0].images[0].study,
        "series_number": 2,
        "description": "made for tests",
        "label": "",
        "modality": "CT",
        "images": 5,
        "size": [7, 4, 5],
        "spacing": [0.5, 0.75, pytest.approx(2.5)],
        "bytes": 280,
        "left_out": "",
        "problems": ["5 are too many"],
    }
    assert (two["left_out"], two["problems"], two["modality"]) == ("localizer", [], "MR")
    assert (three["left_out"], three["spacing"], three["bytes"]) == ("segmentation", [None, None, None], 4)
    assert listing_text([one, two, three], problems).splitlines() == [
        "id      no.  images  size (x, y, z)  spacing in mm     modality  bytes  description",
        f"{one['id']}    2       5  7 x 4 x 5       0.5 x 0.75 x 2.5  CT        280 B  made for tests",
        f"{two['id']}            5  7 x 4 x 5       0.5 x 0.75 x 2.5  MR        280 B  scout (localizer, left out)",
        f"{three['id']}            1  7 x 4 x 1       ? x ? x ?         SEG         4 B  (segmentation, left out)",
        f"note  {one['id']}: 5 are too many",
        "note  1 file skipped: not DICOM (x)",
    ]


def test_a_volume_that_is_not_regular_is_listed_with_the_reason(tmp_path: Path) -> None:
    series(tmp_path)[2].unlink()
    (row,) = listing(find_volumes(tmp_path).groups)
    assert len(row["problems"]) == 1
    assert "one plane may be missing" in row["problems"][0]
    assert row["size"] == [7, 4, 4]
