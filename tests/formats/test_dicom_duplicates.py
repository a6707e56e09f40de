"""Copies of a plane are dropped, and different images at one position are the caller's to choose from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from chunkvol.errors import GeometryError, InputError
from chunkvol.formats.dicom.catalogue.scan import read_folder
from chunkvol.formats.dicom.headers.header import Header
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.stacks.stack import Stack, stacked
from tests.support.series import Edit, oblique, write_plane, write_series

SHAPE = (6, 4, 7)
SCALES = [0.005, 0.05, 1.0]


def scan(folder: Path, spacing: float = 1.0, syntax: str = ExplicitVRLittleEndian) -> list[Path]:
    array = np.arange(np.prod(SHAPE), dtype="uint16").reshape(SHAPE)
    grid = oblique(SHAPE, (spacing, 0.75 * spacing, 0.5 * spacing))
    return write_series(folder, array, grid, transfer_syntax=syntax)


def again(
    path: Path, k: int, value: int, spacing: float = 1.0, number: int = 1, syntax: str = ExplicitVRLittleEndian
) -> None:
    """Plane k once more, with all pixels as they are, plus `value`."""
    array = np.arange(np.prod(SHAPE), dtype="uint16").reshape(SHAPE)

    def edit(_: int, dataset: pydicom.Dataset) -> None:
        dataset.InstanceNumber = number
        dataset.SOPInstanceUID = "1.2.3.4"
        dataset.SeriesDescription = "written by another program, at another length"

    grid = oblique(SHAPE, (spacing, 0.75 * spacing, 0.5 * spacing))
    write_plane(path, array[k] + np.uint16(value), grid, k, transfer_syntax=syntax, edit=edit)


def found(folder: Path) -> tuple[Header, ...]:
    return read_folder(folder).images


def made(folder: Path, **options: Any) -> Stack:
    return stacked(found(folder), ReadOptions(**options))


def names(stack: Stack) -> list[str]:
    return [Path(image.path).name for image in stack.images]


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless]
)
def test_identical_copies_are_dropped_and_counted(tmp_path: Path, syntax: str) -> None:
    scan(tmp_path, syntax=syntax)
    alone = made(tmp_path)
    shutil.copy(tmp_path / "IM0002.dcm", tmp_path / "copy of IM0002.dcm")
    shutil.copy(tmp_path / "IM0002.dcm", tmp_path / "zzz.dcm")
    again(tmp_path / "later.dcm", 4, 0, number=2000, syntax=syntax)
    stack = made(tmp_path)
    assert names(stack) == [f"IM{n:04d}.dcm" for n in (0, 1)] + ["IM0002.dcm"] + [f"IM{n:04d}.dcm" for n in (3, 4, 5)]
    assert stack.geometry == alone.geometry
    assert stack.record == {"identical_copies": 3}
    assert stack.problems == ("3 identical copies were left out, first copy of IM0002.dcm (the same as IM0002.dcm)",)
    assert stack.history == ()


@pytest.mark.parametrize("spacing", SCALES)
def test_different_images_at_one_position_are_refused(tmp_path: Path, spacing: float) -> None:
    scan(tmp_path, spacing)
    again(tmp_path / "other.dcm", 3, 1, spacing, number=2000)
    expected = f"{spacing:.2f}" if spacing >= 1 else f"{spacing:#.3g}"
    with pytest.raises(
        GeometryError,
        match=rf"2 planes share a position, first IM0003\.dcm and other\.dcm \(plane 3\): they lie 0\.00 mm apart, "
        rf"expected {expected} mm, and their pixels differ: duplicates, or several volumes .* or --duplicates last",
    ):
        made(tmp_path)


@pytest.mark.parametrize("spacing", SCALES)
@pytest.mark.parametrize(("choice", "kept"), [("first", "early.dcm"), ("last", "late.dcm")])
def test_the_first_or_last_by_number_is_taken(tmp_path: Path, spacing: float, choice: str, kept: str) -> None:
    scan(tmp_path, spacing)
    again(tmp_path / "late.dcm", 3, 1, spacing, number=2000)
    again(tmp_path / "early.dcm", 3, 2, spacing, number=1)
    again(tmp_path / "same.dcm", 3, 2 if choice == "first" else 1, spacing, number=500)
    stack = made(tmp_path, duplicates=choice)
    assert names(stack)[3] == kept
    assert len(stack.images) == 6
    assert stack.record == {"identical_copies": 1, "duplicates": choice, "duplicates_left_out": 2}
    assert stack.problems[1].startswith(
        f"2 images of another content at the same position left out (--duplicates {choice})"
    )
    assert stack.history == (f"duplicates {choice}: 2 images left out",)


def test_two_volumes_in_one_series_can_be_told_apart_by_number(tmp_path: Path) -> None:
    scan(tmp_path)
    for k in range(6):
        again(tmp_path / f"second{k}.dcm", k, 7, number=2000 + k)
    with pytest.raises(GeometryError, match="12 planes share a position"):
        made(tmp_path)
    assert names(made(tmp_path, duplicates="last")) == [f"second{k}.dcm" for k in range(6)]
    assert names(made(tmp_path, duplicates="first")) == [f"IM{k:04d}.dcm" for k in range(6)]


def test_equal_pixels_that_are_stored_or_meant_differently_are_different(tmp_path: Path) -> None:
    scan(tmp_path)
    again(tmp_path / "implicit.dcm", 2, 0, syntax=ImplicitVRLittleEndian)
    with pytest.raises(GeometryError, match="their pixels differ"):
        made(tmp_path)
    (tmp_path / "implicit.dcm").unlink()
    dataset = pydicom.dcmread(tmp_path / "IM0002.dcm")
    dataset.RescaleSlope = "3"
    dataset.save_as(tmp_path / "other slope.dcm")
    with pytest.raises(GeometryError, match="their pixels differ"):
        made(tmp_path)


@pytest.mark.parametrize("spacing", SCALES)
@pytest.mark.parametrize(("share", "shared"), [(0.009, True), (0.011, False)])
def test_one_position_is_one_per_cent_of_the_spacing(
    tmp_path: Path, spacing: float, share: float, shared: bool
) -> None:
    def edit(k: int, dataset: pydicom.Dataset) -> None:
        place = [0, 1, 2, 2 + share, 3, 4][k]
        point = oblique(SHAPE, (spacing, 0.75 * spacing, 0.5 * spacing)).index_to_world((place, 0, 0))
        dataset.ImagePositionPatient = [f"{value:.14f}"[:16] for value in point]

    array = np.arange(np.prod(SHAPE), dtype="uint16").reshape(SHAPE)
    write_series(tmp_path, array, oblique(SHAPE, (spacing, 0.75 * spacing, 0.5 * spacing)), edit=edit)
    with pytest.raises(GeometryError, match=r"plane 2.*share|share.*plane 2" if shared else "uneven spacing"):
        made(tmp_path)
    if shared:
        assert made(tmp_path, duplicates="first").geometry.shape[0] == 5


def test_a_copy_of_the_only_image_is_one_plane(tmp_path: Path) -> None:
    scan(tmp_path / "a")
    (tmp_path / "b").mkdir()
    for name in ("one.dcm", "two.dcm"):
        shutil.copy(tmp_path / "a" / "IM0000.dcm", tmp_path / "b" / name)
    with pytest.raises(
        GeometryError,
        match=r"the series has 1 plane; a volume needs at least 3, .*\(first one\.dcm\); name the .*--few",
    ):
        made(tmp_path / "b")


def test_many_different_images_at_one_place_are_refused_at_the_first_pair(tmp_path: Path) -> None:
    def edit(_: int, dataset: pydicom.Dataset) -> None:
        dataset.ImagePositionPatient = [1, 2, 3]

    edit_all: Edit = edit
    array = np.arange(np.prod(SHAPE), dtype="uint16").reshape(SHAPE)
    write_series(tmp_path, array, oblique(SHAPE), edit=edit_all)
    with pytest.raises(GeometryError, match=r"6 planes share a position, .* expected different positions"):
        made(tmp_path)


def test_a_file_that_vanishes_is_named(tmp_path: Path) -> None:
    scan(tmp_path)
    again(tmp_path / "other.dcm", 3, 1)
    images = found(tmp_path)
    (tmp_path / "other.dcm").unlink()
    with pytest.raises(InputError, match=r"other\.dcm cannot be read: No such file"):
        stacked(images, ReadOptions())


def test_planes_longer_than_a_piece_are_compared_to_their_end(tmp_path: Path) -> None:
    grid = oblique((1, 801, 900))
    planes = np.zeros((3, 801, 900), "uint16")
    planes[2, -1, -1] = 1
    for n, syntax in enumerate((ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)):
        folder = tmp_path / str(n)
        folder.mkdir()
        for k, plane in enumerate(planes):
            write_plane(folder / f"{k}.dcm", plane, grid, 0, transfer_syntax=syntax)
        images = found(folder)
        assert len(stacked(images[:2], ReadOptions(few=True, spacing=(1, 0.75, 0.5))).images) == 1
        with pytest.raises(GeometryError, match=r"3 planes share a position, first 0\.dcm and 2\.dcm"):
            stacked(images, ReadOptions())
