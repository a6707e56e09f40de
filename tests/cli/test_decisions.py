"""What is decided of an irregular series holds for each series that a verb reads, whichever of its inputs it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import chunkvol
from tests.cli.commands import Outcome
from tests.cli.conftest import SHAPE, voxels
from tests.support.series import oblique, write_series

Command = Callable[..., Outcome]
KEEP = ("--tilt", "keep")


@pytest.fixture(scope="module")
def tilted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A series of a tilted gantry, which nothing reads without a decision, and beside it the same as NRRD."""
    folder = tmp_path_factory.mktemp("tilted")
    upright = oblique(SHAPE)
    steps = upright.affine[:3, :3] @ [[1, 0, 0], [0.4, 1, 0], [0, 0, 1]]
    write_series(folder / "dicom", voxels(), chunkvol.Geometry.from_steps(SHAPE, upright.origin, steps.T))
    scan = chunkvol.open_volume(folder / "dicom", tilt="keep")
    chunkvol.write_volume(scan, folder / "scan.nrrd")
    points = scan.geometry.index_to_world(np.array([[2, 3, 4], [7, 6, 5], [9, 2, 8]]))
    chunkvol.write_landmarks(chunkvol.Landmarks(points, ("a", "b", "c")), folder / "points.mrk.json")
    return folder


@pytest.mark.parametrize(("verb", "grid"), [("align", "--to"), ("resample", "--like")])
@pytest.mark.parametrize("moving", ["scan.nrrd", "dicom"])
def test_a_grid_is_taken_of_a_series_that_is_decided(
    command: Command, tilted: Path, tmp_path: Path, verb: str, grid: str, moving: str
) -> None:
    words = (verb, tilted / moving, grid, tilted / "dicom", "-o", tmp_path / "out.nrrd")
    command(*words).refused(3, "choose --tilt keep")
    command(*words, *KEEP).succeeded()
    command("compare", tmp_path / "out.nrrd", tilted / "scan.nrrd").succeeded()
    neither = (verb, tilted / "scan.nrrd", grid, tilted / "scan.nrrd", "-o", tmp_path / "x.nrrd")
    command(*neither, *KEEP).refused(2, "has no reading option --tilt")


@pytest.mark.parametrize(("a", "b"), [("scan.nrrd", "dicom"), ("dicom", "scan.nrrd"), ("dicom", "dicom")])
def test_points_go_to_a_series_that_is_decided_and_back(
    command: Command, tilted: Path, tmp_path: Path, a: str, b: str
) -> None:
    out = tmp_path / "out.mrk.json"
    words = ("landmarks", "map", tilted / "points.mrk.json", "--from", tilted / a, "--to", tilted / b, "-o", out)
    command(*words).refused(3, "choose --tilt keep")
    command(*words, *KEEP).succeeded()
    placed = chunkvol.read_landmarks(tilted / "points.mrk.json").points
    np.testing.assert_allclose(chunkvol.read_landmarks(out).points, placed, rtol=0, atol=1e-9)


@pytest.mark.parametrize("verb", ["index", "refine", "measure"])
def test_points_on_a_series_that_is_decided(command: Command, tilted: Path, tmp_path: Path, verb: str) -> None:
    out = tmp_path / ("out.mrk.json" if verb == "refine" else "out.csv")
    words = ("landmarks", verb, tilted / "points.mrk.json", "--volume", tilted / "dicom", "-o", out)
    command(*words).refused(3, "choose --tilt keep")
    command(*words, *KEEP).succeeded()
    if verb == "refine":
        command(*words, *KEEP, "--from", tilted / "scan.nrrd", "--overwrite").succeeded()


def test_points_come_back_from_the_few_planes_of_a_small_series(command: Command, series: Path, tmp_path: Path) -> None:
    command("downsample", series, "--factor", "2,2,6", "-o", tmp_path / "small").succeeded()
    points = chunkvol.open_volume(series).geometry.index_to_world(np.array([[2.0, 3, 4], [7, 6, 5]]))
    chunkvol.write_landmarks(chunkvol.Landmarks(points, ("a", "b")), tmp_path / "points.csv")
    words = ("landmarks", "map", tmp_path / "points.csv", "--from", tmp_path / "small", "--to", series)
    command(*words, "-o", tmp_path / "out.csv").refused(3, "2 planes")
    command(*words, "-o", tmp_path / "out.csv", "--few").succeeded()
    np.testing.assert_allclose(chunkvol.read_landmarks(tmp_path / "out.csv").points, points, rtol=0, atol=1e-9)


@pytest.fixture
def times(tmp_path: Path) -> Path:
    """A NIfTI file of three volumes, one after another."""
    import nibabel

    made = nibabel.Nifti1Image(voxels()[..., None].repeat(3, axis=3).astype("int16"), np.diag([1.0, 2.0, 3.0, 1.0]))
    nibabel.save(made, tmp_path / "times.nii")
    return tmp_path / "times.nii"


def test_what_the_moving_one_lacks_is_said_of_the_one_that_has_the_grid(
    command: Command, times: Path, tmp_path: Path
) -> None:
    command("convert", times, "--time", 0, "-o", tmp_path / "one.nrrd").succeeded()
    words = ("align", tmp_path / "one.nrrd", "--to", times, "-o", tmp_path / "out.nrrd")
    command(*words).refused(2, "holds 3 volumes one after another; --time 0 to 2 says which")
    command(*words, "--time", 2).succeeded()


def test_points_lie_on_one_of_several_times(command: Command, times: Path, tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("label,x,y,z\na,-1,-2,3\n")
    words = ("landmarks", "index", tmp_path / "points.csv", "--frame", "lps", "--units", "mm", "--volume", times)
    command(*words, "-o", tmp_path / "out.csv").refused(2, "--time 0 to 2 says which")
    command(*words, "-o", tmp_path / "out.csv", "--time", 1).succeeded()


@pytest.mark.parametrize(("option", "other"), [("--from", "--to"), ("--to", "--from")])
def test_what_would_help_is_named_as_the_command_has_it(
    option: str, other: str, command: Command, times: Path, tilted: Path, tmp_path: Path
) -> None:
    named = f"{option}-time"
    words = ("map", tilted / "points.mrk.json", other, tilted / "scan.nrrd", option, times, "-o", tmp_path / "out.csv")
    command("landmarks", *words).refused(2, rf"; {named} 0 to 2 says which")
    command("landmarks", *words, f"{option}-stack", "skyscan").refused(2, rf"no reading option {option}-stack; it has")
    command("landmarks", *words, named, 1).succeeded()


def test_how_a_volume_is_opened_needs_a_volume(command: Command, tilted: Path) -> None:
    words = ("landmarks", "measure", tilted / "points.mrk.json", "--uncertainty", "1")
    command(*words).succeeded()
    command(*words, "--level", 0).refused(2, "say how a volume is opened: name it with --volume")
    command(*words, *KEEP).refused(2, "name it with --volume")
