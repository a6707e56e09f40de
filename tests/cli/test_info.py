"""What info says: the grid as ITK speaks of it, from each format, for programs and for people."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkvol
from chunkvol import Metadata, Rescale, Volume
from tests.cli.commands import Outcome
from tests.cli.conftest import SHAPE
from tests.support.grids import noise_volume, oblique_grid
from tests.support.series import oblique

Command = Callable[..., Outcome]
KEYS = {
    "format", "size", "spacing", "origin", "direction", "dtype", "rescale", "geometry", "orientation", "modality",
    "bytes", "stored_bytes", "levels", "viewer_bytes", "suggested_factor", "history", "problems",
}  # fmt: skip  # one name a line would hide the list
LISTED = {"series", "skipped"}
"""What is told of DICOM besides."""
SHUFFLED = "file names run in another order than the positions: the positions are used"
RESCALE = {"slope": 2.0, "intercept": -1024.0, "unit": "HU"}


def facts_of(command: Command, path: Path) -> dict[str, Any]:
    done = command("info", path, "--json").succeeded()
    facts: dict[str, Any] = json.loads(done.out)
    assert done.out.count("\n") == 1
    return facts


@pytest.mark.parametrize("source", ["series", "nrrd", "store"])
def test_the_grid_is_that_of_the_scan_in_x_y_z(source: str, command: Command, request: pytest.FixtureRequest) -> None:
    """Three different sizes, spacings and directions, so that no two can be exchanged."""
    facts = facts_of(command, request.getfixturevalue(source))
    grid = oblique(SHAPE)
    assert facts.keys() == (KEYS | LISTED if source == "series" else KEYS)
    assert facts["size"] == [10, 11, 12]
    np.testing.assert_allclose(facts["spacing"], [0.5, 0.75, 2.5], rtol=1e-12)
    np.testing.assert_allclose(facts["origin"], grid.origin, rtol=1e-12)
    columns = np.array(grid.direction)[:, ::-1]  # of the axes x, y, z
    np.testing.assert_allclose(np.reshape(facts["direction"], (3, 3)), columns, atol=1e-12)
    assert facts["geometry"] == "stated"
    assert facts["problems"] == [SHUFFLED] * (source == "series")
    assert {name: facts["levels"][0][name] for name in ("size", "spacing", "origin", "direction")} == {
        name: facts[name] for name in ("size", "spacing", "origin", "direction")
    }


def test_simpleitk_says_the_same(command: Command, nrrd: Path) -> None:
    itk = pytest.importorskip("SimpleITK", reason="tool is missing: SimpleITK")
    image, facts = itk.ReadImage(nrrd), facts_of(command, nrrd)
    assert list(image.GetSize()) == facts["size"]
    np.testing.assert_allclose(image.GetSpacing(), facts["spacing"], rtol=1e-14)
    np.testing.assert_allclose(image.GetOrigin(), facts["origin"], rtol=1e-14)
    np.testing.assert_allclose(image.GetDirection(), facts["direction"], atol=1e-14)


def test_simpleitk_says_the_same_of_dicom_slices(command: Command, series: Path) -> None:
    itk = pytest.importorskip("SimpleITK", reason="tool is missing: SimpleITK")
    reader = itk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(series)))
    image, facts = reader.Execute(), facts_of(command, series)
    assert list(image.GetSize()) == facts["size"]
    np.testing.assert_allclose(image.GetSpacing(), facts["spacing"], rtol=1e-10)
    np.testing.assert_allclose(image.GetOrigin(), facts["origin"], rtol=1e-10)
    np.testing.assert_allclose(image.GetDirection(), facts["direction"], atol=1e-10)


def test_values_are_as_each_format_holds_them(command: Command, series: Path, store: Path, nrrd: Path) -> None:
    for path, form, dtype, rescale in (
        (series, "DICOM series", "uint16", RESCALE),
        (store, "OME-Zarr", "uint16", RESCALE),
        (nrrd, "NRRD", "int32", {"slope": 1.0, "intercept": 0.0, "unit": "HU"}),
    ):
        facts = facts_of(command, path)
        assert (facts["format"], facts["dtype"], facts["rescale"]) == (form, dtype, rescale)
    assert facts_of(command, series)["modality"] == facts_of(command, store)["modality"] == "CT"


def test_every_level_has_its_own_grid(command: Command, tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid((40, 150, 540), spacing=(0.7, 0.5, 0.3)))
    chunkvol.write_volume(volume, tmp_path / "a.ome.zarr")
    facts = facts_of(command, tmp_path / "a.ome.zarr")
    assert len(facts["levels"]) >= 2
    for n, level in enumerate(chunkvol.open_volume(tmp_path / "a.ome.zarr").levels):
        said = facts["levels"][n]
        assert (said["size"], said["spacing"]) == (list(level.shape[::-1]), list(level.geometry.spacing[::-1]))
        assert said["origin"] == list(level.geometry.origin)
    assert facts["bytes"] == sum(2 * int(np.prod(level["size"])) for level in facts["levels"])


def test_an_assumed_geometry_says_so_wherever_it_goes(command: Command, tmp_path: Path) -> None:
    header = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 3 2\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(header.encode() + bytes(24))
    facts = facts_of(command, tmp_path / "a.nrrd")
    assert facts["geometry"] == "assumed"
    assert facts["problems"] == [
        "the header states no space: left-posterior-superior is assumed",
        "the header states no space directions: a spacing of 1 mm is assumed, along the axes",
        "the header states no space origin: 0, 0, 0 is assumed",
    ]
    for output in ("b.nrrd", "b.ome.zarr"):
        done = command("convert", tmp_path / "a.nrrd", "-o", tmp_path / output).succeeded()
        assert "note: the header states no space" in done.err
        assert facts_of(command, tmp_path / output)["geometry"] == "assumed"


def test_problems_of_a_series_are_told(command: Command, series: Path, tmp_path: Path) -> None:
    shutil.copytree(series, tmp_path / "series")
    (tmp_path / "series" / "notes.txt").write_text("not an image")
    facts = facts_of(command, tmp_path / "series")
    assert facts["problems"] == ["1 file skipped: not DICOM (notes.txt)", SHUFFLED]
    assert "note         1 file skipped: not DICOM (notes.txt)" in command("info", tmp_path / "series").out


def test_the_text_holds_the_facts(command: Command, series: Path) -> None:
    text = command("info", series, "-q").succeeded().out
    for line in (
        "format       DICOM series, CT",
        "size         10 x 11 x 12 voxels (x, y, z), uint16",
        "spacing      0.5 x 0.75 x 2.5 mm",
        "origin       (-31.25, 12.5, 100) mm, LPS, centre of the first voxel",
        "geometry     stated",
        "values       2 * stored - 1024 HU",
        "in a viewer  5.2 KiB of memory for the voxels alone",
    ):
        assert any(found.startswith(line) for found in text.splitlines()), text
    facts = facts_of(command, series)
    for axis in range(3):
        assert "(" + ", ".join(f"{v:.6g}" for v in facts["direction"][axis::3]) + ")" in text
    assert "suggestion" not in text


def test_the_text_of_a_store_has_its_levels(command: Command, tmp_path: Path) -> None:
    chunkvol.write_volume(noise_volume(oblique_grid((40, 150, 540), spacing=(0.7, 0.5, 0.3))), tmp_path / "a.zarr")
    text = command("info", tmp_path / "a.zarr").succeeded().out
    assert "level 0      540 x 150 x 40 at 0.3 x 0.5 x 0.7 mm" in text
    assert "level 1      270 x 75 x 40 at 0.6 x 1 x 0.7 mm" in text


def test_a_volume_too_large_for_a_viewer_comes_with_a_suggestion(command: Command, tmp_path: Path) -> None:
    header = (
        "NRRD0004\ntype: short\ndimension: 3\nspace: LPS\nsizes: 1500 1400 1300\nendian: little\nencoding: raw\n"
        "space directions: (0.1,0,0) (0,0.1,0) (0,0,0.2)\nspace origin: (0,0,0)\n\n"
    )
    with open(tmp_path / "a.nrrd", "wb") as file:
        file.write(header.encode())
        file.truncate(len(header) + 2 * 1500 * 1400 * 1300)
    text = command("info", tmp_path / "a.nrrd").succeeded().out
    factor = facts_of(command, tmp_path / "a.nrrd")["suggested_factor"]
    assert f"suggestion   chunkvol downsample --factor {','.join(map(str, factor))}: at most 1.0 GiB" in text
    assert np.prod(np.array([1500, 1400, 1300]) // factor) * 2 <= 1 << 30


def test_a_float_slope_is_told_in_full(command: Command, tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid((3, 4, 5)), "int16")
    scaled = Volume(volume.data, volume.geometry, Metadata(rescale=Rescale(0.1, 1 / 3, "g/cm3")))
    chunkvol.write_volume(scaled, tmp_path / "a.ome.zarr")
    said = {"slope": 0.1, "intercept": 1 / 3, "unit": "g/cm3"}
    assert facts_of(command, tmp_path / "a.ome.zarr")["rescale"] == said
    chunkvol.write_volume(chunkvol.open_volume(tmp_path / "a.ome.zarr"), tmp_path / "a.nrrd")
    assert facts_of(command, tmp_path / "a.nrrd")["dtype"] == "float32"


def test_real_scans_are_described(command: Command, visible: Path) -> None:
    for name in ("ct_head_93/dicom", "mr_oblique_gap9/dicom", "mr_sag_hfs/dicom", "microct_nrrd_landmarks/A_J_.nrrd"):
        facts = facts_of(command, visible / name)
        assert facts.keys() == (KEYS if name.endswith(".nrrd") else KEYS | LISTED)
        assert np.isfinite(facts["direction"]).all()
        assert np.linalg.norm(np.reshape(facts["direction"], (3, 3)), axis=0) == pytest.approx(1)


def test_nothing_but_headers_is_read(command: Command, tmp_path: Path) -> None:
    """A scan of 1 GiB that is all holes."""
    command("phantom", tmp_path / "scan", "--size", "8192,8192,8", "--sparse", "-q").succeeded()
    assert facts_of(command, tmp_path / "scan")["bytes"] == 1 << 30


@pytest.mark.parametrize("option", ["--orientation LPS", "--time 0", "--pattern *.dcm", "--geometry {nrrd}"])
def test_what_a_series_cannot_be_asked_is_refused_by_name(
    option: str, command: Command, series: Path, nrrd: Path
) -> None:
    name, value = option.format(nrrd=nrrd).split()
    command("info", series, name, value).refused(2, rf"is DICOM series, which has no reading option {name}; it has --")
