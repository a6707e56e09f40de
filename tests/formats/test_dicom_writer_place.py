"""Writing DICOM: every voxel keeps its place, for chunkvol and for other programs."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

import chunkvol
from chunkvol import Geometry, Volume
from chunkvol.errors import GeometryError, InputError
from chunkvol.formats.dicom.writer.place import placement_of
from chunkvol.metadata import Metadata
from tests.support.grids import COEFFICIENTS, GRIDS, noise_volume, oblique_grid, ramp_volume
from tests.support.readers import PEERS, installed

SHAPE = (5, 7, 4)
MODALITIES = ("CT", "MR", "PT", "")


def grid(name: str) -> Geometry:
    return GRIDS[name](SHAPE)


def written(volume: Volume, folder: Path, **options: Any) -> Path:
    chunkvol.write_volume(volume, folder, workers=2, **options)
    return folder


def opened(folder: Path, **options: Any) -> Volume:
    options.setdefault("tilt", "keep")
    return chunkvol.open_volume(folder, **options)


def numbered(geometry: Geometry) -> Volume:
    """A volume of different integers."""
    return Volume(np.arange(np.prod(geometry.shape), dtype="u2").reshape(geometry.shape) * 3 + 5, geometry)


def assert_same_image(back: Volume, volume: Volume, tolerance: float = 1e-6) -> None:
    """Each voxel of one is a voxel of the other, of the same value, within `tolerance` of the finest spacing."""
    assert back.shape == volume.shape
    corner = volume.geometry.world_to_index(back.geometry.origin)
    first = np.rint(corner).astype(int)
    flips = first > 0
    assert np.abs(corner - first).max() <= tolerance
    expected = volume.geometry.reordered((0, 1, 2), tuple(flips))
    assert np.abs(back.geometry.corners - expected.corners).max() <= tolerance * min(volume.geometry.spacing)
    steps: Any = tuple(slice(None, None, -1 if flip else None) for flip in flips)
    # Values of a slope that texts round may come out as the neighbouring float32.
    exact = volume.metadata.rescale.is_identity
    np.testing.assert_allclose(back.values.read(), volume.values.read()[steps], rtol=0 if exact else 2e-7)


# ------------------------------------------------------------------------------------------------------------ laws


@pytest.mark.parametrize("name", GRIDS)
def test_every_voxel_of_a_ramp_keeps_its_place_within_the_stated_error(name: str, tmp_path: Path) -> None:
    volume = ramp_volume(grid(name))
    folder = written(volume, tmp_path / "out")
    back = opened(folder)
    slope = float(pydicom.dcmread(folder / "IM00001.dcm").RescaleSlope)
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    wanted = back.geometry.index_to_world(index) @ COEFFICIENTS
    moved = 1e-6 * max(volume.geometry.spacing) * np.linalg.norm(COEFFICIENTS)
    single = np.finfo("f4").eps * np.abs(wanted).max()
    assert np.abs(back.values.read() - wanted).max() <= slope / 2 + moved + single
    corners = {tuple(np.round(c, 6) + 0.0) for c in volume.geometry.corners}
    assert {tuple(np.round(c, 6) + 0.0) for c in back.geometry.corners} == corners


@pytest.mark.parametrize("name", GRIDS)
def test_integers_are_the_same_image_again(name: str, tmp_path: Path) -> None:
    volume = numbered(grid(name))
    assert_same_image(opened(written(volume, tmp_path / "out")), volume)


@pytest.mark.parametrize("name", GRIDS)
def test_images_are_numbered_along_the_normal_and_none_is_mirrored(name: str, tmp_path: Path) -> None:
    volume = numbered(grid(name))
    folder = written(volume, tmp_path / "out")
    images = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    cosines = np.array(images[0].ImageOrientationPatient, float).reshape(2, 3)
    assert np.abs(cosines @ cosines.T - np.eye(2)).max() < 1e-6
    np.testing.assert_allclose(cosines, np.array(volume.geometry.direction).T[[2, 1]], atol=1e-13)
    heights = [float(np.cross(*cosines) @ np.array(image.ImagePositionPatient, float)) for image in images]
    assert heights == sorted(heights)
    for image in images:
        k = volume.geometry.world_to_index(np.array(image.ImagePositionPatient, float))
        np.testing.assert_allclose(k, np.rint(k), atol=1e-9)
        np.testing.assert_array_equal(image.pixel_array, volume.read()[round(k[0])])


def test_a_second_round_trip_changes_nothing(tmp_path: Path) -> None:
    once = opened(written(numbered(oblique_grid(SHAPE, mirrored=True)), tmp_path / "a"))
    twice = opened(written(once, tmp_path / "b"))
    assert twice.geometry.is_close(once.geometry, 1e-12)
    np.testing.assert_array_equal(twice.read(), once.read())


# ---------------------------------------------------------------------------------------------------------- corners


@pytest.mark.parametrize("planes", [1, 2])
@pytest.mark.parametrize("mirrored", [False, True])
def test_few_planes_keep_their_place(planes: int, mirrored: bool, tmp_path: Path) -> None:
    volume = numbered(oblique_grid((planes, 7, 4), mirrored=mirrored))
    back = opened(written(volume, tmp_path / "out"), few=True)
    assert back.geometry.spacing == pytest.approx(volume.geometry.spacing, rel=1e-12)
    if planes > 1 or not mirrored:
        assert_same_image(back, volume)


@pytest.mark.parametrize("shape", [(3, 1, 4), (3, 7, 1), (3, 1, 1)])
def test_planes_of_a_row_or_a_column_keep_their_place(shape: Any, tmp_path: Path) -> None:
    volume = numbered(oblique_grid(shape))
    assert_same_image(opened(written(volume, tmp_path / "out")), volume)


@pytest.mark.parametrize("origin", [(0.0, 0.0, 0.0), (-1009.5, 12345.678, 99999.0)])
def test_micrometres_far_from_the_origin_are_kept(origin: Any, tmp_path: Path) -> None:
    fine = oblique_grid(SHAPE, spacing=(0.0011, 0.001, 0.0012))
    volume = numbered(replace(fine, origin=origin))
    assert_same_image(opened(written(volume, tmp_path / "out")), volume, tolerance=1e-6)


def test_positions_are_computed_for_each_plane_and_do_not_drift() -> None:
    geometry = oblique_grid((20_001, 3, 2), spacing=(0.0123, 0.5, 0.3))
    last = np.array([float(text) for text in placement_of(geometry).position(20_000).split("\\")])
    np.testing.assert_allclose(last, geometry.index_to_world((20_000, 0, 0)), rtol=0, atol=1e-11)


def test_axes_that_are_rounded_are_put_at_right_angles_and_told() -> None:
    exact = oblique_grid((40, 50, 60))
    rough = np.round(np.array(exact.direction), 6)
    rough /= np.linalg.norm(rough, axis=0)
    placement = placement_of(replace(exact, direction=tuple(map(tuple, rough))))
    cosines = np.array(placement.orientation.split("\\"), float).reshape(2, 3)
    assert np.abs(cosines @ cosines.T - np.eye(2)).max() < 1e-12
    assert "rows and columns are put at right angles, which moves voxels by up to" in placement.notes[0]


@pytest.mark.parametrize("planes", [1, 2])
def test_a_left_handed_grid_is_said_to_begin_at_its_other_end(planes: int) -> None:
    notes = placement_of(oblique_grid((planes, 7, 4), mirrored=True)).notes
    assert [note for note in notes if "image 1 is the last plane" in note] == list(notes)
    assert len(notes) == planes - 1  # of one plane both ends are the same


def test_images_of_one_row_are_said_to_be_misplaced_by_itk(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    geometry = oblique_grid((5, 1, 4))
    assert any("one row" in note for note in placement_of(geometry).notes)
    folder = written(numbered(geometry), tmp_path / "out")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    assert reader.Execute().GetSize() == (4, 5, 1)  # the note is out of date where this is (4, 1, 5)


def test_a_shear_between_planes_is_kept_and_told() -> None:
    notes = placement_of(grid("sheared")).notes
    assert "positions say so, and many programs do not heed it" in notes[0]
    assert "one image alone does not say so" in placement_of(GRIDS["sheared"]((1, 7, 4))).notes[0]
    assert placement_of(grid("oblique")).notes == ()


def test_a_shear_within_planes_is_refused(tmp_path: Path) -> None:
    steps = [(0, 0, 2.4), (0.1, 0.5, 0), (0.75, 0, 0)]
    volume = numbered(Geometry.from_steps(SHAPE, (0, 0, 0), steps))
    with pytest.raises(GeometryError, match=r"meet at 78\.6901 degrees, which moves voxels .*; write NRRD"):
        chunkvol.plan_write(volume, tmp_path / "out")


def test_planes_too_large_for_an_image_are_refused() -> None:
    for shape in ((2, 3, 65536), (2, 65535, 65535)):
        with pytest.raises(InputError, match=f"planes of {shape[2]} x {shape[1]} pixels do not fit a DICOM image"):
            placement_of(Geometry(shape))


# ---------------------------------------------------------------------------------------------------------- oracles


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("name", [name for name in GRIDS if name != "sheared"])
def test_other_programs_find_each_voxel_at_its_place(peer: str, name: str, tmp_path: Path) -> None:
    if not installed(peer):
        pytest.skip(f"{peer} is not installed")
    volume = ramp_volume(grid(name))
    folder = written(volume, tmp_path / "out")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (result,) = PEERS[peer](folder)
    index = np.stack(np.meshgrid(*map(np.arange, result.values.shape), indexing="ij"), -1)
    world = index @ result.affine[:3, :3].T + result.affine[:3, 3]
    assert sorted(result.values.shape) == sorted(SHAPE)
    slope = float(pydicom.dcmread(folder / "IM00001.dcm").RescaleSlope)
    single = np.finfo("f4").eps * np.abs(volume.read()).max()
    # NIfTI has single precision for both.
    near = 1e-6 if peer != "dcm2niix" else 2e-5
    assert np.abs(result.values - world @ COEFFICIENTS).max() <= slope / 2 + single + near * 10
    ends = [volume.geometry.world_to_index(point) for point in world.reshape(-1, 3)[[0, -1]]]
    for at in ends:
        assert np.abs((at - np.rint(at)) * volume.geometry.spacing).max() < near


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("kind", ["uint16", "int16", "float32", "per-slice"])
def test_dciodvfy_finds_no_error(modality: str, kind: str, tmp_path: Path) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (package dicom3tools)")
    volume = noise_volume(grid("left-handed"), "float32" if kind == "per-slice" else kind)
    part = "Knee" if kind == "uint16" else "BRAIN"
    extra = {"body_part": part, "kvp": 120.0, "patient_position": "HFS", "echo_time": 4.6, "manufacturer": "Ä" * 90}
    facts = extra if kind in ("uint16", "float32") else {}
    options = {"slope": "per-slice"} if kind == "per-slice" else {}
    folder = written(replace(volume, metadata=Metadata(modality=modality, extra=facts)), tmp_path / "out", **options)
    done = subprocess.run(["dciodvfy", folder / "IM00002.dcm"], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    assert ("MRImage" if modality == "MR" else "CTImage") in lines
    assert [line for line in lines if line.startswith("Error")] == []


@pytest.mark.parametrize("peer", ["SimpleITK", "highdicom", "dcm2niix"])
def test_other_programs_give_real_values_of_mr_as_well(peer: str, tmp_path: Path) -> None:
    if not installed(peer):
        pytest.skip(f"{peer} is not installed")
    volume = replace(ramp_volume(grid("oblique")), metadata=Metadata(modality="MR"))
    folder = written(volume, tmp_path / "out")
    (result,) = PEERS[peer](folder)
    assert result.values.max() == pytest.approx(volume.read().max(), abs=1e-3)
    assert result.values.min() == pytest.approx(volume.read().min(), abs=1e-3)


@pytest.mark.parametrize("code", ["RAS", "LAS", "LPS", "PIR", "ASR", "SAL", "RPI", "IPL"])
def test_nifti_of_any_orientation_survives_dicom_and_back(code: str, visible: Path, tmp_path: Path) -> None:
    volume = chunkvol.open_volume(visible / "nifti_orient_8" / f"{code}.nii.gz")
    back = opened(written(volume, tmp_path / "out"))
    assert_same_image(back, volume)
    np.testing.assert_array_equal(np.sort(back.read(), axis=None), np.sort(volume.read(), axis=None))
    chunkvol.write_volume(back, tmp_path / "back.nii.gz")
    assert_same_image(chunkvol.open_volume(tmp_path / "back.nii.gz"), volume, tolerance=1e-5)
