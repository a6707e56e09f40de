"""`chunkvol slice`: every way to name a plane, every kind of output, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

import chunkvol
from chunkvol import Geometry, SlicePlane, Volume, reslice
from tests.cli.commands import Outcome, untouched
from tests.support.grids import noise_volume, oblique_grid, rotation
from tests.support.series import write_series

Command = Callable[..., Outcome]
UPRIGHT = Geometry((6, 9, 7), (-3.0, 2.0, 10.0), (2.0, 0.5, 0.25))


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """An upright volume around x = -2.25, y = 4, z = 15."""
    folder = tmp_path / "in"
    folder.mkdir()
    chunkvol.write_volume(noise_volume(UPRIGHT), folder / "scan.nrrd")
    return folder / "scan.nrrd"


def cut(command: Command, scan: Path, *words: object, name: str = "out.nrrd") -> Volume:
    """What the verb writes with these words."""
    target = scan.parent / name
    command("slice", scan, *words, "-o", target, "--overwrite").succeeded()
    return chunkvol.open_volume(target)


def same(found: Volume, wanted: Volume) -> None:
    assert found.geometry.is_close(wanted.geometry, 1e-9)
    np.testing.assert_array_equal(found.read(), wanted.read())


# ----------------------------------------------------------------------------------------------- ways to name a plane


@pytest.mark.parametrize(
    ("words", "plane"),
    [
        (["--axial", "14"], SlicePlane.anatomical("axial", 14)),
        (["--coronal", "3.5mm"], SlicePlane.anatomical("coronal", 3.5)),
        (["--sagittal", "-2.5"], SlicePlane.anatomical("sagittal", -2.5)),
        (["--sagittal=-2500um"], SlicePlane.anatomical("sagittal", -2.5)),
        (["--coordinates", "ras", "--sagittal", "2.5"], SlicePlane.anatomical("sagittal", -2.5)),
        (["--coordinates", "ras", "--coronal", "-3.5"], SlicePlane.anatomical("coronal", 3.5)),
        (["--coordinates", "ras", "--axial", "14"], SlicePlane.anatomical("axial", 14)),
        (["--point", "-2.25,4,15", "--normal", "-0.2,0.1,1"], SlicePlane.facing((-2.25, 4, 15), (-0.2, 0.1, 1))),
        (
            ["--point", "2.25,-4,15", "--normal", "0.2,-0.1,1", "--coordinates", "ras"],
            SlicePlane.facing((-2.25, 4, 15), (-0.2, 0.1, 1)),
        ),
        (
            ["--through", "-2.25,4,15;-2,4,15.5;-2.25,5,16"],
            SlicePlane.through([(-2.25, 4, 15), (-2, 4, 15.5), (-2.25, 5, 16)]),
        ),
    ],
)
def test_a_plane_is_named_in_many_ways(command: Command, scan: Path, words: list[str], plane: SlicePlane) -> None:
    same(cut(command, scan, *words), reslice(chunkvol.open_volume(scan), plane))


@pytest.mark.parametrize("keep", [False, True])
def test_a_frame_is_read_from_a_matrix(command: Command, scan: Path, keep: bool) -> None:
    frame = np.eye(4)
    frame[:3] = np.array([[0, 0.8, 0.6, -2.25], [-1, 0, 0, 4], [0, -0.6, 0.8, 15]])
    np.savetxt(scan.parent / "frame.txt", frame)
    np.savetxt(scan.parent / "ras.txt", np.diag([-1.0, -1, 1, 1]) @ frame)
    found = cut(command, scan, "--frame-matrix", scan.parent / "frame.txt", *["--keep-axes"] * keep)
    same(found, reslice(chunkvol.open_volume(scan), SlicePlane.framed(frame, keep_axes=keep)))
    words = ["--frame-matrix", scan.parent / "ras.txt", "--coordinates", "ras", *["--keep-axes"] * keep]
    same(cut(command, scan, *words), found)
    rows = np.array(found.geometry.direction)[:, 2]
    np.testing.assert_allclose(rows, [0, -1, 0] if keep else [0.8, 0, -0.6], atol=1e-12)


def drawn(path: Path, frame: Any, system: str = "LPS") -> Path:
    """A plane as Slicer saves it."""
    signs = np.array([1, 1, 1]) if system == "LPS" else np.array([-1, -1, 1])
    axes, origin = signs[:, None] * frame[:3, :3], signs * frame[:3, 3]
    plane = {
        "type": "Plane",
        "coordinateSystem": system,
        "coordinateUnits": "mm",
        "planeType": "threePoints",
        "center": origin.tolist(),
        "normal": axes[:, 2].tolist(),
        "orientation": axes.ravel().tolist(),
        "size": [4.0, 3.0, 0.0],
        "controlPoints": [],
    }
    path.write_text(json.dumps({"@schema": "x/markups-schema-v1.0.3.json#", "markups": [plane]}))
    return path


@pytest.mark.parametrize("system", ["LPS", "RAS"])
@pytest.mark.parametrize("keep", [False, True])
def test_a_plane_that_was_drawn_in_slicer_is_cut(command: Command, scan: Path, system: str, keep: bool) -> None:
    frame = np.eye(4)
    frame[:3, :3], frame[:3, 3] = rotation(20, -30, 100), (-2.25, 4, 15)
    path = drawn(scan.parent / "P.mrk.json", frame, system)
    found = cut(command, scan, "--plane", path, *["--keep-axes"] * keep)
    same(found, reslice(chunkvol.open_volume(scan), SlicePlane.framed(frame, keep_axes=keep)))


def test_pixels_field_of_view_and_slab_are_as_typed(command: Command, scan: Path) -> None:
    words = ["--axial", 15, "--pixel", "200um,0.1", "--fov", "1,2", "--centre", "-2.2,4.1,0"]
    found = cut(command, scan, *words, "--slab", "6mm", "--combine", "mip", "--method", "nearest")
    wanted = reslice(
        chunkvol.open_volume(scan),
        SlicePlane.anatomical("axial", 15),
        spacing=(0.1, 0.2),
        fov=(2, 1),
        centre=(-2.2, 4.1, 0),
        slab=6,
        combine="max",
        method="nearest",
    )
    same(found, wanted)
    assert found.shape == (1, 20, 5)
    assert found.geometry.spacing == (6, 0.1, 0.2)
    mirrored = cut(command, scan, "--axial", 15, "--fov", "1,2", "--centre", "2.2,-4.1,0", "--coordinates", "ras")
    assert mirrored.geometry == cut(command, scan, *words[:2], "--fov", "1,2", "--centre", "-2.2,4.1,0").geometry


def test_a_coarser_level_is_cut_on_request(command: Command, scan: Path) -> None:
    store = scan.parent / "a.ome.zarr"
    chunkvol.ingest(noise_volume(Geometry((30, 10, 300), spacing=(0.5, 0.4, 0.3))), store)
    found = cut(command, store, "--axial", "5", "--level", "1")
    assert found.geometry.spacing[1:] == (0.8, 0.6)


def test_what_lies_outside_has_the_value_that_is_asked_for(command: Command, scan: Path) -> None:
    found = cut(command, scan, "--axial", "14", "--fov", "20,20", "--outside", "77")
    assert (found.read()[0, 0] == 77).all()
    assert found.read().max() > 77


# ------------------------------------------------------------------------------------------------------------ outputs


@pytest.fixture(scope="module")
def oblique_series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    grid = oblique_grid((12, 11, 10))
    folder = tmp_path_factory.mktemp("series") / "scan"

    def edit(k: int, dataset: Any) -> None:
        dataset.StudyInstanceUID, dataset.FrameOfReferenceUID, dataset.PatientName = "1.2.9", "1.2.8", "Roe^Jo"

    write_series(folder, noise_volume(grid).read(), grid, edit=edit)
    return folder


def test_one_slice_of_a_series_is_one_dicom_image_of_its_study(
    command: Command, oblique_series: Path, tmp_path: Path
) -> None:
    itk = pytest.importorskip("SimpleITK")
    out = tmp_path / "cut.dcm"
    words = ("--coronal", "8.1", "--pixel", "0.25", "--template", oblique_series)
    told = command("slice", oblique_series, *words, "-o", out).succeeded()
    assert re.search(r"% of the grid lies outside the field of view", told.err)
    image = pydicom.dcmread(out)
    assert (image.StudyInstanceUID, image.FrameOfReferenceUID, image.PatientName) == ("1.2.9", "1.2.8", "Roe^Jo")
    assert image.ImageOrientationPatient == [1, 0, 0, 0, 0, -1]
    assert image.PixelSpacing == [0.25, 0.25]
    assert "slice coronal" in image.DerivationDescription
    wanted = reslice(chunkvol.open_volume(oblique_series), SlicePlane.anatomical("coronal", 8.1), spacing=0.25)
    found = itk.ReadImage(str(out))
    np.testing.assert_allclose(found.GetOrigin(), wanted.geometry.origin, atol=1e-6)
    np.testing.assert_allclose(found.GetSpacing(), wanted.geometry.spacing[::-1], rtol=1e-6)
    np.testing.assert_allclose(found.GetDirection(), [1, 0, 0, 0, 0, 1, 0, -1, 0], atol=1e-6)
    np.testing.assert_array_equal(itk.GetArrayFromImage(found), wanted.values.read())
    same(chunkvol.open_volume(out), wanted)
    if shutil.which("dciodvfy") is not None:
        done = subprocess.run(["dciodvfy", out], capture_output=True, text=True, check=False)
        assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")] == []
    facts = json.loads(command("info", out, "--json").succeeded().out)
    assert facts["size"][2] == 1


def test_the_same_slice_has_the_same_bytes_and_another_one_other_uids(
    command: Command, oblique_series: Path, tmp_path: Path
) -> None:
    for name, place in (("a", "105"), ("b", "105"), ("c", "105.5")):
        command("slice", oblique_series, "--axial", place, "-o", tmp_path / f"{name}.dcm").succeeded()
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()
    first, other = (pydicom.dcmread(tmp_path / f"{name}.dcm") for name in "ac")
    assert first.SOPInstanceUID != other.SOPInstanceUID
    assert first.SeriesInstanceUID != other.SeriesInstanceUID
    assert first.FrameOfReferenceUID == other.FrameOfReferenceUID == "1.2.8"


@pytest.mark.parametrize("suffix", [".png", ".tif", ".nrrd", ".dcm"])
def test_every_kind_of_image_opens_again_at_its_place(command: Command, scan: Path, suffix: str) -> None:
    found = cut(command, scan, "--point", "-2.25,4,15", "--normal", "0.1,0.2,1", name=f"out{suffix}")
    same(found, reslice(chunkvol.open_volume(scan), SlicePlane.facing((-2.25, 4, 15), (0.1, 0.2, 1))))


def test_greys_are_made_for_png(command: Command, oblique_series: Path, tmp_path: Path) -> None:
    words = ("--axial", "105", "--dtype", "uint8", "--window", "0,60000", "-o", tmp_path / "a.png")
    command("slice", oblique_series, *words).succeeded()
    assert chunkvol.open_volume(tmp_path / "a.png").dtype == np.uint8


def test_a_dry_run_writes_nothing_and_tells_the_plane(command: Command, scan: Path) -> None:
    with untouched(scan.parent):
        done = command("slice", scan, "--axial", "14", "-o", scan.parent / "a.dcm", "--dry-run", "--json").succeeded()
    assert json.loads(done.out)["result"]["size"] == [7, 9, 1]


def test_a_plane_that_is_turned_over_is_told(command: Command, scan: Path) -> None:
    done = command("slice", scan, "--point", "-2.25,4,15", "--normal", "0,0,-1", "-o", scan.parent / "a.nrrd")
    assert "turned over, so that its normal points towards S" in done.succeeded().err


# ----------------------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("words", "code", "match"),
    [
        ([], 2, "name one plane: --axial, --coronal or --sagittal MM, --point with --normal"),
        (["--axial", "1", "--through", "0,0,0;1,0,0;0,1,0"], 2, "name one plane.*found --axial and --through"),
        (["--axial", "1", "--plane", "a.mrk.json"], 2, "name one plane.*found --axial and --plane"),
        (["--plane", "none.mrk.json"], 2, "none.mrk.json cannot be read"),
        (["--point", "0,0,0"], 2, "--point and --normal make a plane together"),
        (["--normal", "0,0,1"], 2, "--point and --normal make a plane together"),
        (["--point", "0,0,0", "--normal", "0,0,0"], 3, "points nowhere"),
        (["--through", "0,0,0;1,1,1;2,2,2"], 3, "three points lie on one line"),
        (["--axial", "14", "--combine", "mip"], 2, "--combine mip is about the planes of a slab: give --slab"),
        (["--axial", "14", "--keep-axes"], 2, "--axial states no axes that --keep-axes could keep"),
        (["--axial", "-14"], 3, "axial plane at z = -14 mm misses the volume, which lies from 9 to 21 mm"),
        (["--axial", "14", "--pixel", "1nm"], 2, "more than anybody can look at"),
        (["--axial", "14", "--fov", "1,1", "--centre", "50,0,0"], 3, "field of view of 1 x 1 mm around 50,0,14"),
        (["--axial", "14", "--outside", "-5"], 2, "value outside, -5, is no voxel of type uint16"),
        (["--frame-matrix", "none.txt"], 2, "none.txt cannot be read"),
    ],
)
def test_what_is_no_slice_is_one_clear_line(
    command: Command, scan: Path, words: list[str], code: int, match: str
) -> None:
    with untouched(scan.parent):
        command("slice", scan, *words, "-o", scan.parent / "out.nrrd", "-q").refused(code, match)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--axial", "here"], "'here' is not a length"),
        (["--axial", "1,2"], "'1,2' has 2 values; write it as MM"),
        (["--through", "0,0,0;1,0,0"], "has 2 values; write it as X,Y,Z;X,Y,Z;X,Y,Z"),
        (["--through", "0,0,0;1,0,0;1,b,0"], "'1,b,0' is no point"),
        (["--axial", "1", "--pixel", "-1"], "a length must be finite and above 0"),
        (["--axial", "1", "--slab", "0"], "a length must be finite and above 0"),
        (["--axial", "1", "--fov", "3"], "has 1 values; write it as W,H"),
    ],
)
def test_what_cannot_be_parsed_is_told(command: Command, scan: Path, words: list[str], match: str) -> None:
    done = command("slice", scan, *words, "-o", scan.parent / "out.nrrd")
    assert done.code == 2
    assert re.search(re.escape(match), " ".join(done.err.split()))


def test_a_frame_that_is_none_is_refused(command: Command, scan: Path) -> None:
    folder = scan.parent
    np.savetxt(folder / "left.txt", np.diag([1.0, 1, -1, 1]))
    np.savetxt(folder / "scaled.txt", np.diag([2.0, 2, 2, 1]))
    lines = ["#Insight Transform File V1.0", "#Transform 0", "Transform: TranslationTransform_double_3_3"]
    (folder / "a.tfm").write_text("\n".join([*lines, "Parameters: 1 2 3", "FixedParameters: 0 0 0", ""]))
    for name, keep, match in (
        ("left.txt", True, "left-handed"),
        ("scaled.txt", False, "unit vectors at right angles"),
        ("a.tfm", False, "transform of ITK.*is no frame"),
    ):
        words = ("--frame-matrix", folder / name, *["--keep-axes"] * keep, "-o", folder / "out.nrrd", "-q")
        done = command("slice", scan, *words)
        assert done.code in (2, 3)
        assert re.search(match, done.err), done.err
