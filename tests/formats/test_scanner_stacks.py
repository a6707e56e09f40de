"""Scanners' files and stacks of slices together, as a user meets them: real texts, their numbers made small."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import chunkvol
from chunkvol import Volume
from chunkvol.errors import GeometryError
from chunkvol.summary import summarise, summary_text
from tests.support import scanners
from tests.support.scanners import ARRAY

NUMBERS = {
    "DRP_P21_3_rec.log": {
        "Last Section": "32",
        "Sections Count": "6",
        "Result Image Width (pixels)": "4",
        "Result Image Height (pixels)": "5",
    },
    "Lego_alignment_test_1.xtekct": {"VoxelsX": "4", "VoxelsY": "5", "VoxelsZ": "6"},
    "FEG230530_409.pcr": {"Volume_SizeX": "4", "Volume_SizeY": "5", "Volume_SizeZ": "6"},
}
"""What is changed in the real texts, so that small volumes fit."""
SIZES = {
    "DRP_P21_3_rec.log": ("DRP_P21_3_rec000000{:02d}.tif", 0.01979772),
    "Lego_alignment_test_1.xtekct": ("Lego_alignment test_1_{:04d}.tif", 0.02),
    "FEG230530_409.pcr": ("FEG230530_409_{:04d}.tif", 0.0102906534448266),
}
"""How slices are named, and the size of a voxel, mm."""


def small(visible: Path, folder: Path, name: str) -> Path:
    text = (visible / "microct_sidecars" / name).read_bytes()
    for key, value in NUMBERS[name].items():
        text, changed = re.subn(
            rb"(?m)^%s=.*?(\r?)$" % re.escape(key.encode()), rb"%s=%s\1" % (key.encode(), value.encode()), text
        )
        assert changed == 1
    (folder / name).write_bytes(text)
    return folder / name


def slices(folder: Path, name: str, count: int = 6, first: int = 27) -> None:
    for n, plane in enumerate(ARRAY[:count]):
        tifffile.imwrite(folder / name.format(first + n), plane)


def problems(volume: Volume) -> str:
    return "\n".join(volume.metadata.problems)


@pytest.mark.parametrize("name", SIZES)
def test_a_real_text_gives_its_slices_their_size(visible: Path, tmp_path: Path, name: str) -> None:
    pattern, size = SIZES[name]
    path = small(visible, tmp_path, name)
    slices(tmp_path, pattern)
    for volume in (chunkvol.open_volume(tmp_path), chunkvol.open_volume(path)):
        np.testing.assert_array_equal(volume, ARRAY)
        assert volume.geometry.spacing == (size, size, size)
        assert volume.geometry.origin == (0, 0, 0)
        assert not volume.metadata.assumed
        assert "vendor" in volume.metadata.extra["scanner"]


def test_a_real_text_and_a_raw_volume_fit(visible: Path, tmp_path: Path) -> None:
    path = small(visible, tmp_path, "FEG230530_409.pcr")
    raw = scanners.raw(tmp_path, "FEG230530_409.vol")
    shutil.copy(visible / "microct_sidecars" / "FEG230530_409.pca", tmp_path)
    for volume in (chunkvol.open_volume(raw), chunkvol.open_volume(path)):
        np.testing.assert_array_equal(volume, ARRAY)
        assert volume.geometry.spacing == (0.0102906534448266,) * 3
        assert volume.metadata.extra["scanner"]["source_kv"] == 90


@pytest.mark.parametrize("given", [{}, {"reverse": True}, {"slices": slice(1, 4)}])
def test_slices_that_are_fewer_than_the_log_says_are_refused(tmp_path: Path, given: dict[str, Any]) -> None:
    scanners.skyscan(tmp_path)
    slices(tmp_path, "mouse__rec{:04d}.tif", count=5)
    with pytest.raises(GeometryError, match="says 6 slices of 4 x 5 pixels and there are 5 slices of 4 x 5"):
        chunkvol.open_volume(tmp_path, **given)


def test_a_chosen_part_and_a_given_spacing_overrule_the_log(tmp_path: Path) -> None:
    scanners.skyscan(tmp_path)
    slices(tmp_path, "mouse__rec{:04d}.tif", count=5)
    chosen = chunkvol.open_volume(tmp_path, pattern="mouse__rec*.tif")
    assert chosen.geometry.spacing == (0.02, 0.01, 0.01)
    given = chunkvol.open_volume(tmp_path, spacing=(3, 2, 1))
    assert given.geometry.spacing == (3, 2, 1)
    assert "says 6 slices" in problems(given)


def test_slices_of_another_size_than_the_log_says_are_refused(tmp_path: Path) -> None:
    path = scanners.skyscan(tmp_path, columns=9)
    slices(tmp_path, "mouse__rec{:04d}.tif")
    for source in (tmp_path, path):
        with pytest.raises(GeometryError, match="says 6 slices of 9 x 5 pixels and there are 6 slices of 4 x 5"):
            chunkvol.open_volume(source)


def test_the_overview_beside_sections_is_no_slice(tmp_path: Path) -> None:
    path = scanners.skyscan(tmp_path)
    slices(tmp_path, "mouse__rec{:04d}.tif")
    tifffile.imwrite(tmp_path / "mouse__rec_spr.tif", np.zeros((33, 22), "u2"))
    for source in (tmp_path, path):
        np.testing.assert_array_equal(chunkvol.open_volume(source), ARRAY)


def test_an_image_of_the_size_of_the_slices_is_skipped_where_the_log_names_them(tmp_path: Path) -> None:
    scanners.skyscan(tmp_path)
    slices(tmp_path, "mouse__rec{:04d}.tif")
    tifffile.imwrite(tmp_path / "mouse__IR_rec00001234.tif", ARRAY[0])
    volume = chunkvol.open_volume(tmp_path)
    np.testing.assert_array_equal(volume.read(), ARRAY)
    assert "mouse__IR_rec00001234.tif skipped: mouse__rec.log says that slices are named" in problems(volume)


def test_every_second_section_by_a_pattern_does_not_take_the_spacing_of_all(tmp_path: Path) -> None:
    scanners.skyscan(tmp_path)
    slices(tmp_path, "mouse__rec{:04d}.tif")
    with pytest.raises(GeometryError, match=r"takes every second slice .* mouse__rec\.log may state the spacing"):
        chunkvol.open_volume(tmp_path, pattern="mouse*[13579].tif")
    every = chunkvol.open_volume(tmp_path, slices=slice(None, None, 2))
    assert every.geometry.spacing[0] == 2 * chunkvol.open_volume(tmp_path).geometry.spacing[0]


def test_info_tells_of_the_scanner(tmp_path: Path) -> None:
    scanners.skyscan(tmp_path)
    slices(tmp_path, "mouse__rec{:04d}.tif")
    facts = summarise(chunkvol.open_volume(tmp_path), "image slices")
    assert facts["scanner"]["vendor"] == "SkyScan"
    assert "scanner      SkyScan, SkyScan1172, Al 0.5mm, 60 kV, 166 uA\n" in summary_text(facts)


def test_one_of_two_reconstructions_in_a_folder_is_opened_by_its_log(tmp_path: Path) -> None:
    path = scanners.skyscan(tmp_path)
    slices(tmp_path, "mouse__rec{:04d}.tif")
    for n in range(9):
        tifffile.imwrite(tmp_path / f"rat__rec{n:04d}.tif", np.zeros((7, 3), "u1"))
    volume = chunkvol.open_volume(path)
    np.testing.assert_array_equal(volume, ARRAY)
    assert volume.geometry.spacing == (0.02, 0.01, 0.01)


def test_who_says_nothing_of_the_axes_is_told_that_sections_are_mirrored(tmp_path: Path) -> None:
    path = scanners.skyscan(tmp_path)
    slices(tmp_path, "mouse__rec{:04d}.tif")
    for source in (tmp_path, path):
        assert "mirror image of the specimen: --frame skyscan" in problems(chunkvol.open_volume(source))
        framed = chunkvol.open_volume(source, frame="skyscan")
        np.testing.assert_allclose(framed.geometry.index_to_world([1, 1, 1]), [0.01, -0.02, -0.01])
        assert "mirror image" not in problems(framed)


def test_projections_are_said_to_be_no_volume(tmp_path: Path) -> None:
    scanners.nikon(tmp_path)
    for n in range(11):
        tifffile.imwrite(tmp_path / f"beetle_{n:04d}.tif", ARRAY[0])
    volume = chunkvol.open_volume(tmp_path)
    assert volume.metadata.assumed
    assert "named as the projections of the scan" in problems(volume)
