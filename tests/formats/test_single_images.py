"""One plane as one file, DICOM or PNG: at its place for other programs and for chunkvol."""

from __future__ import annotations

import json
import pickle
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

import chunkvol
from chunkvol import Geometry, Metadata, Rescale, Volume
from chunkvol.errors import BudgetError, GeometryError, InputError, OutputError
from chunkvol.formats.dicom.writer import prepare_image
from chunkvol.formats.png import prepare_png
from chunkvol.formats.sidecar import read_sidecar
from tests.support.grids import GRIDS, noise_volume, oblique_grid, ramp_volume
from tests.support.series import write_series
from tests.support.writing import planned

SHAPE = (1, 11, 7)
UPRIGHT = [name for name in GRIDS if name != "sheared"]
SUFFIXES = {".dcm": "int16", ".png": "uint8", ".tif": "float32", ".nrrd": "float32"}
"""And a type that the format holds."""


def one(kind: str = "uint16", grid: str = "oblique", **metadata: Any) -> Volume:
    volume = noise_volume(GRIDS[grid](SHAPE), kind)
    return replace(volume, metadata=Metadata(**metadata))


def written(volume: Volume, path: Path, **options: Any) -> Path:
    chunkvol.write_volume(volume, path, **options)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# -------------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("grid", UPRIGHT)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_plane_opens_again_at_its_place_with_its_values(tmp_path: Path, suffix: str, grid: str) -> None:
    volume = one(SUFFIXES[suffix], grid)
    back = chunkvol.open_volume(written(volume, tmp_path / f"a{suffix}"))
    np.testing.assert_array_equal(back.values.read(), volume.read())
    assert not back.metadata.assumed
    off = np.abs(back.geometry.corners - volume.geometry.corners).max()
    assert off <= 1e-9, "rows and columns run as they did"
    np.testing.assert_allclose(back.geometry.spacing, volume.geometry.spacing, rtol=1e-9)
    handed = np.linalg.det(np.array(back.geometry.direction) @ np.array(volume.geometry.direction).T)
    # The image does not say on which side its next plane would be: DICOM is right-handed.
    assert handed > 0 or suffix == ".dcm"


@pytest.mark.parametrize("suffix", [".dcm", ".png"])
def test_bytes_depend_on_neither_workers_nor_budget_nor_name(tmp_path: Path, suffix: str) -> None:
    volume = noise_volume(oblique_grid((1, 300, 400)), SUFFIXES[suffix])
    with pytest.raises(BudgetError) as caught:
        chunkvol.plan_write(volume, tmp_path / f"a{suffix}", budget="1MiB")
    least = int(re.search(r"--memory (\d+)MiB", str(caught.value))[1])  # type: ignore[index]
    for name, terms in (("a", {"workers": 1, "budget": "8GiB"}), ("b", {"workers": 4, "budget": f"{least + 2}MiB"})):
        (tmp_path / name).mkdir()
        written(volume, tmp_path / name / f"x{suffix}", **terms)
    (tmp_path / "c").mkdir()
    written(volume, tmp_path / "c" / f"other{suffix}")
    first, second, third = (tree(tmp_path / name) for name in "abc")
    assert first == second
    assert sorted(first.values()) == sorted(third.values())


def test_uids_are_made_of_the_source_and_of_the_plane(tmp_path: Path) -> None:
    source = written(ramp_volume(oblique_grid((5, 7, 4))), tmp_path / "a.nrrd")
    found = {}
    for n, plane in enumerate((1, 2, 1)):
        volume = chunkvol.open_volume(source)[plane : plane + 1]
        found[n] = pydicom.dcmread(written(volume, tmp_path / f"{n}.dcm"))
    for name in ("SOPInstanceUID", "SeriesInstanceUID"):
        assert found[0][name].value == found[2][name].value != found[1][name].value
    for name in ("StudyInstanceUID", "FrameOfReferenceUID"):
        assert found[0][name].value == found[1][name].value


# ----------------------------------------------------------------------------------------------------------- oracles


@pytest.mark.parametrize("grid", UPRIGHT)
def test_simpleitk_finds_the_image_at_its_place(tmp_path: Path, grid: str) -> None:
    itk = pytest.importorskip("SimpleITK")
    volume = one("int16", grid)
    image = itk.ReadImage(str(written(volume, tmp_path / "a.dcm")))
    np.testing.assert_array_equal(itk.GetArrayFromImage(image), volume.read())
    np.testing.assert_allclose(image.GetOrigin(), volume.geometry.origin, atol=1e-6)
    np.testing.assert_allclose(image.GetSpacing(), volume.geometry.spacing[::-1], rtol=1e-6)
    direction = np.reshape(image.GetDirection(), (3, 3))
    wanted = np.array(volume.geometry.direction)[:, ::-1]
    np.testing.assert_allclose(direction[:, :2], wanted[:, :2], atol=1e-6)
    np.testing.assert_allclose(direction[:, 2], np.cross(wanted[:, 0], wanted[:, 1]), atol=1e-6)


@pytest.mark.parametrize("modality", ["CT", "MR", "PT", "OT", ""])
@pytest.mark.parametrize("kind", ["int16", "float32"])
def test_dciodvfy_finds_no_error(tmp_path: Path, kind: str, modality: str) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (package dicom3tools)")
    volume = one(kind, modality=modality, history=("slice coronal",))
    path = written(volume, tmp_path / "a.dcm")
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")] == []


def test_an_image_says_what_it_is(tmp_path: Path) -> None:
    volume = one("int16", modality="CT", frame_of_reference="1.2.3.4", extra={"study_uid": "1.2.3.5"})
    image = pydicom.dcmread(written(volume, tmp_path / "a.dcm"))
    assert image.SOPClassUID == pydicom.uid.CTImageStorage
    assert list(image.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
    assert (image.FrameOfReferenceUID, image.StudyInstanceUID, image.InstanceNumber) == ("1.2.3.4", "1.2.3.5", 1)
    assert (image.SliceThickness, *image.PixelSpacing) == volume.geometry.spacing
    assert image.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID


def test_a_template_gives_patient_study_and_frame_of_reference(tmp_path: Path) -> None:
    def edit(k: int, dataset: Any) -> None:
        dataset.PatientName, dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = "Roe^Jo", "1.2.9", "1.2.8"

    grid = oblique_grid((5, 7, 4))
    write_series(tmp_path / "in", noise_volume(grid).read(), grid, edit=edit)
    image = pydicom.dcmread(written(one(), tmp_path / "a.dcm", template=tmp_path / "in"))
    assert (image.PatientName, image.StudyInstanceUID, image.FrameOfReferenceUID) == ("Roe^Jo", "1.2.9", "1.2.8")


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_other_programs_see_the_greys_of_a_png(tmp_path: Path, kind: str) -> None:
    image = pytest.importorskip("PIL.Image")
    volume = one(kind)
    path = written(volume, tmp_path / "a.png")
    with image.open(path) as found:
        np.testing.assert_array_equal(np.asarray(found), volume.read()[0])
    assert sorted(tree(tmp_path)) == ["a.png", "a.png.json"]
    sidecar = read_sidecar(tmp_path / "a.png.json")
    assert sidecar is not None and sidecar[0] == volume.geometry
    assert json.loads((tmp_path / "a.png.json").read_text())["chunkvol"]["shape"] == list(SHAPE)


# ----------------------------------------------------------------------------------------------------------- corners


def test_a_slope_is_kept_in_dicom_and_a_window_makes_a_png(tmp_path: Path) -> None:
    volume = one("int16", rescale=Rescale(2, -1024, "HU"))
    back = chunkvol.open_volume(written(volume, tmp_path / "a.dcm"))
    assert back.metadata.rescale == volume.metadata.rescale
    np.testing.assert_array_equal(back.read(), volume.read())
    greys = chunkvol.quantise(volume, "uint8", (-2000.0, 9000.0))
    found = chunkvol.open_volume(written(greys, tmp_path / "a.png"))
    np.testing.assert_array_equal(found.read(), greys.read())


def test_real_numbers_become_steps_of_a_slope(tmp_path: Path) -> None:
    volume = one("float32")
    path = written(volume, tmp_path / "a.dcm")
    step = float(pydicom.dcmread(path).RescaleSlope)
    assert np.abs(chunkvol.open_volume(path).values.read() - volume.read()).max() <= 0.501 * step


def test_one_image_that_is_named_is_opened_with_a_word_and_its_folder_is_not(tmp_path: Path) -> None:
    path = written(one(), tmp_path / "a.dcm")
    for volume in (chunkvol.open_volume(path), chunkvol.open_volume(path, few=True)):
        assert volume.shape == SHAPE
        assert any(
            re.search("1 plane: the spacing between planes cannot be checked", p) for p in volume.metadata.problems
        )
    with pytest.raises(GeometryError, match=r"the series has 1 plane.*--few"):
        chunkvol.open_volume(tmp_path)


def test_an_older_image_is_replaced_only_where_that_is_allowed(tmp_path: Path) -> None:
    for suffix, kind in ((".dcm", "int16"), (".png", "uint8")):
        path = written(one(kind), tmp_path / f"a{suffix}")
        before = path.read_bytes()
        other = Volume(one(kind).read() // 2, one().geometry)
        with pytest.raises(OutputError, match="exists"):
            written(other, path)
        assert path.read_bytes() == before
        written(other, path, overwrite=True)
        np.testing.assert_array_equal(chunkvol.open_volume(path).read(), other.read())
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("prepare", [prepare_image, prepare_png])
def test_the_job_can_be_sent_to_other_processes(tmp_path: Path, prepare: Any) -> None:
    job = planned(prepare, one(), tmp_path / "a.xyz")
    assert pickle.loads(pickle.dumps(job)).names == job.names
    assert job.names[-1] == "a.xyz"


@pytest.mark.parametrize(
    ("suffix", "match"),
    [
        (".dcm", r"a\.dcm is one DICOM image and the volume has 5 planes: a name without a suffix .* chunkvol slice"),
        (".png", r"a\.png is one PNG image and the volume has 5 planes: --format png-slices .* chunkvol slice"),
    ],
)
def test_several_planes_are_refused_with_the_way_out(tmp_path: Path, suffix: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        written(noise_volume(oblique_grid((5, 7, 4)), "uint8"), tmp_path / f"a{suffix}")
    assert not tree(tmp_path)


@pytest.mark.parametrize("kind", ["int16", "float32", "uint32"])
def test_types_that_png_lacks_are_refused_with_the_way_out(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InputError, match=rf"uint8 or uint16, not {kind}: --dtype uint8 --window auto"):
        written(one(kind), tmp_path / "a.png")
    assert not tree(tmp_path)


def test_rows_and_columns_that_lean_are_no_dicom_image(tmp_path: Path) -> None:
    steps = [(0, 0, 1), (0.3, 1, 0), (1, 0, 0)]
    leaning = Volume(np.zeros(SHAPE, "u1"), Geometry.from_steps(SHAPE, (0, 0, 0), steps))
    with pytest.raises(GeometryError, match="meet at 73"):
        written(leaning, tmp_path / "a.dcm")
