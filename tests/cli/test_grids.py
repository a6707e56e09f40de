"""The verbs that put voxels on another grid (resample, align, downsample to a spacing or size), as users type them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import chunkvol
from chunkvol import Geometry, Rescale, Volume
from chunkvol.cli.grids import align, resample
from chunkvol.geometry.targets import upright as upright_of
from tests.cli.commands import Outcome, listing, untouched
from tests.cli.conftest import SHAPE
from tests.support.grids import noise_volume, oblique_grid, ramp_values, ramp_volume, rotation
from tests.support.series import oblique, write_series

sitk = pytest.importorskip("SimpleITK")
Command = Callable[..., Outcome]
FINE = (13, 22, 17)
"""Voxels of the ramp, (k, j, i)."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ramp, a grid within it, labels, and slices that do not know where they lie; not to be changed."""
    folder = tmp_path_factory.mktemp("files")
    ramp = ramp_volume(oblique_grid(FINE, mirrored=True))
    chunkvol.write_volume(ramp, folder / "ramp.nrrd")
    middle = ramp.geometry.index_to_world((np.array(FINE) - 1) / 2)
    steps = rotation(11, -5, 50).T * 0.31
    small = (4, 6, 5)
    grid = Geometry.from_steps(small, (middle - (np.array(small) - 1) / 2 @ steps).tolist(), steps)
    chunkvol.write_volume(noise_volume(grid, "uint8"), folder / "grid.nrrd")
    labels = np.random.default_rng(5).integers(0, 4, (4, 7, 5)).astype(np.uint8)
    coarse = ramp.geometry.coarsened((3, 3, 3))
    chunkvol.write_volume(Volume(labels, coarse), folder / "labels.nrrd")
    chunkvol.write_volume(Volume(labels, coarse), folder / "labels.seg.nrrd")
    (folder / "slices").mkdir()
    for number in range(3):
        Image.fromarray(labels[number]).save(folder / "slices" / f"{number}.png")
    (folder / "pull.txt").write_text("0.96 -0.28 0 2.5\n0.28 0.96 0 1.5\n0 0 1 0.25\n0 0 0 1\n")
    return folder


def as_itk(path: Path) -> tuple[npt.NDArray[Any], Geometry]:
    """Voxels and grid of a file, read by SimpleITK."""
    image = sitk.ReadImage(str(path))
    steps = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    return sitk.GetArrayFromImage(image), Geometry.from_steps(image.GetSize()[::-1], image.GetOrigin(), steps.T[::-1])


def last_face(geometry: Geometry) -> npt.NDArray[np.float64]:
    return geometry.index_to_world(np.array(geometry.shape) - 0.5)


# ------------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("verb", ["resample", "downsample"])
@pytest.mark.parametrize(
    ("asked", "size"),
    [
        (["--size", "50%"], (8, 11, 6)),
        (["--size", "100%,50%,40%"], (17, 11, 5)),
        (["--size", "7,9,13"], (7, 9, 13)),
        (["--spacing", "0.75"], (6, 14, 12)),
        (["--spacing", "600um,0.5,0.7mm"], (8, 22, 13)),
    ],
)
def test_a_coarser_ramp_is_the_ramp_of_the_file_that_was_written(
    verb: str, asked: list[str], size: tuple[int, int, int], command: Command, files: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o.nrrd"
    command(verb, files / "ramp.nrrd", *asked, "-o", out).succeeded()
    found, grid = as_itk(out)
    assert grid.shape == size[::-1]
    np.testing.assert_allclose(found, ramp_values(grid), atol=1e-6)
    whole = as_itk(files / "ramp.nrrd")[1]
    first = [g.index_to_world(np.full(3, -0.5)) for g in (grid, whole)]
    np.testing.assert_allclose(*first, atol=1e-9)
    if asked[1] == "7,9,13":
        np.testing.assert_allclose(last_face(grid), last_face(whole), atol=1e-9)


def test_the_grid_of_another_file_is_taken_with_its_values_in_place(
    command: Command, files: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o.nrrd"
    command("resample", files / "ramp.nrrd", "--like", files / "grid.nrrd", "-o", out).succeeded()
    found, grid = as_itk(out)
    assert grid.is_close(as_itk(files / "grid.nrrd")[1])
    np.testing.assert_allclose(found, ramp_values(grid), atol=1e-9)


def test_align_is_resample_onto_the_other_one(command: Command, files: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one.nrrd", tmp_path / "other.nrrd"
    ramp, grid = files / "ramp.nrrd", files / "grid.nrrd"
    said = command("align", ramp, "--to", grid, "-o", one).succeeded()
    assert "of the moving field of view lies within the fixed one, and 100.0% of the fixed one" in said.err
    command("resample", ramp, "--like", grid, "-o", other).succeeded()
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("labels", ["labels.nrrd", "labels.seg.nrrd"])
def test_labels_come_back_to_the_full_grid_as_those_of_the_nearest_small_voxel(
    labels: str, command: Command, files: Path, tmp_path: Path
) -> None:
    out = tmp_path / "full.nrrd"
    command("resample", files / labels, "--like", files / "ramp.nrrd", "--method", "label", "-o", out).succeeded()
    small = chunkvol.open_volume(files / labels)
    voxels, grid = as_itk(out)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    near = np.rint(small.geometry.world_to_index(grid.index_to_world(index))).astype(int)
    inside = (near < small.shape).all(-1)  # 13 = 4 * 3 + 1, 22 = 7 * 3 + 1, 17 = 5 * 3 + 2
    expected = np.where(inside, small.read()[tuple(np.minimum(near, np.array(small.shape) - 1).T)].T, 0)
    np.testing.assert_array_equal(voxels, expected)


def test_a_transform_leads_the_way_that_is_said(command: Command, files: Path, tmp_path: Path) -> None:
    pull = np.loadtxt(files / "pull.txt")
    np.savetxt(tmp_path / "push.txt", np.linalg.inv(pull), fmt="%.17g")
    affine = sitk.AffineTransform(pull[:3, :3].ravel().tolist(), pull[:3, 3].tolist(), [0.0, 0.0, 0.0])
    sitk.WriteTransform(affine, str(tmp_path / "pull.tfm"))
    ways = (
        [files / "pull.txt", "--affine-maps", "output-to-input"],
        [tmp_path / "push.txt", "--affine-maps", "input-to-output"],
        [tmp_path / "pull.tfm"],
    )
    ramp = sitk.ReadImage(str(files / "ramp.nrrd"))
    expected = sitk.GetArrayFromImage(sitk.Resample(ramp, ramp, affine, sitk.sitkLinear, 9.0))
    assert (expected != 9).any()
    for way in ways:
        out = tmp_path / "o.nrrd"
        asked = ("--affine", *way, "--outside", 9, "--overwrite", "-o", out)
        command("resample", files / "ramp.nrrd", *asked).succeeded()
        np.testing.assert_allclose(as_itk(out)[0], expected, atol=1e-9)


@pytest.mark.parametrize(("method", "asked"), [("linear", ["--size", "140%"]), ("label", ["--spacing", "0.9"])])
def test_bytes_do_not_depend_on_workers_budget_or_source(
    method: str, asked: list[str], command: Command, series: Path, store: Path, tmp_path: Path
) -> None:
    made = []
    for number, (source, *how) in enumerate(
        [(series, "-j", 1), (series, "-j", 3, "--memory", "8GiB"), (store, "-j", 2)]
    ):
        out = tmp_path / f"{number}.npy"
        command("resample", source, *asked, "--method", method, *how, "-o", out, "-q").succeeded()
        made.append(out.read_bytes())
    assert made[0] == made[1] == made[2]


# ---------------------------------------------------------------------------------------------------------- options


def test_bounds_are_millimetres_of_the_world(command: Command, files: Path, tmp_path: Path) -> None:
    whole = as_itk(files / "ramp.nrrd")[1]
    middle = whole.index_to_world((np.array(FINE) - 1) / 2)
    text = ",".join(f"{c - 1:.6f}:{c + 1:.6f}" for c in middle)
    out = tmp_path / "o.nrrd"
    command("resample", files / "ramp.nrrd", "--bounds", text, "--spacing", 0.4, "-o", out).succeeded()
    found, grid = as_itk(out)
    assert grid.spacing == pytest.approx((0.4, 0.4, 0.4))
    assert all(n < m for n, m in zip(grid.shape, (22, 27, 12), strict=True))
    np.testing.assert_allclose(grid.index_to_world((np.array(grid.shape) - 1) / 2), middle, atol=0.4)
    assert found.shape == grid.shape


def test_an_upright_grid_runs_along_l_p_s_and_covers_all(command: Command, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.nrrd"
    said = command("resample", files / "ramp.nrrd", "--upright", "--outside", "nan", "-o", out).succeeded()
    found, grid = as_itk(out)
    np.testing.assert_allclose(np.array(grid.direction), np.eye(3)[:, ::-1], atol=1e-12)
    corners = as_itk(files / "ramp.nrrd")[1].corners_of_faces
    index = grid.world_to_index(corners)
    assert (index > -0.5 - 1e-5).all()
    assert (index < np.array(grid.shape) - 0.5 + 1e-5).all()
    assert np.isnan(found).any()
    assert "lies outside the field of view: its voxels get nan" in said.err


def test_what_fits_is_the_finest_grid_that_does(command: Command, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.nrrd"
    command("resample", files / "ramp.nrrd", "--fit", "8kB", "-o", out).succeeded()
    found, grid = as_itk(out)
    assert 6000 < found.nbytes <= 8000
    assert max(grid.spacing) == pytest.approx(max(0.7, min(grid.spacing)))


def hounsfield(path: Path) -> Volume:
    """A CT whose air is -1000 HU, written to a file."""
    volume = noise_volume(oblique_grid((4, 5, 6)), "uint16")
    metadata = replace(volume.metadata, rescale=Rescale(1.0, -1024.0, "HU"), modality="CT")
    chunkvol.write_volume(replace(volume, metadata=metadata), path)
    return volume


@pytest.mark.parametrize(("asked", "value"), [([], -1000), (["--outside", "0"], 0), (["--outside", "7"], 7)])
@pytest.mark.parametrize("verb", ["resample", "align", "slice"])
def test_what_lies_outside_gets_the_value_that_is_asked_for(
    verb: str, asked: list[str], value: int, command: Command, tmp_path: Path
) -> None:
    volume = hounsfield(tmp_path / "ct.ome.zarr")
    upright = upright_of(volume.geometry)
    chunkvol.write_volume(noise_volume(upright, "uint8"), tmp_path / "upright.nrrd")
    z = volume.geometry.index_to_world([1.5, 2, 2.5])[2]
    to = {"resample": ["--upright"], "align": ["--to", tmp_path / "upright.nrrd"], "slice": ["--axial", z]}[verb]
    out = tmp_path / "o.nrrd"
    said = command(verb, tmp_path / "ct.ome.zarr", *to, *asked, "-o", out).succeeded()
    assert as_itk(out)[0].flat[0] == value
    assert f"lies outside the field of view: its voxels get {value} HU" in said.err


def test_of_several_volumes_in_the_reference_one_is_named(command: Command, series: Path, tmp_path: Path) -> None:
    folder = tmp_path / "two"
    write_series(folder / "a", np.ones(SHAPE, np.uint16), oblique(SHAPE))
    write_series(folder / "b", np.ones((4, 5, 6), np.uint16), oblique((4, 5, 6)))
    out = tmp_path / "o.nrrd"
    for verb, to, option in (("resample", "--like", "--like-series"), ("align", "--to", "--to-series")):
        command(verb, series, to, folder, "-o", tmp_path / "none.nrrd").refused(
            2, rf"holds 2 volumes: .* choose one with {option} ID"
        )
        ids = [line.split()[0] for line in command("info", folder).out.splitlines() if " x " in line][:2]
        sizes = set()
        for one in ids:
            command(verb, series, to, folder, option, one, "-o", out, "--overwrite").succeeded()
            sizes.add(chunkvol.open_volume(out).shape)
        assert sizes == {SHAPE, (4, 5, 6)}


def test_a_dry_run_says_the_grid_and_writes_nothing(command: Command, files: Path, tmp_path: Path) -> None:
    with untouched(tmp_path, files):
        said = command("resample", files / "ramp.nrrd", "--size", "50%", "--dry-run", "-o", tmp_path / "o.nrrd")
    assert "8 x 11 x 6 float64, spacing 0.6 x 1 x 1.4 mm" in said.succeeded().out


def test_json_says_the_grid_and_what_is_to_be_known(command: Command, files: Path, tmp_path: Path) -> None:
    asked = ("resample", files / "labels.nrrd", "--like", files / "ramp.nrrd", "--method", "label", "--json", "-q")
    plan = json.loads(command(*asked, "--dry-run", "-o", tmp_path / "o.nrrd").succeeded().out)
    done = json.loads(command(*asked, "-o", tmp_path / "o.nrrd").succeeded().out)
    assert plan["problems"] == done["problems"]
    assert any("of the grid lies outside the field of view: its voxels get 0" in text for text in plan["problems"])
    assert plan["result"]["size"] == done["result"]["size"] == [17, 22, 13]


# --------------------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("asked", "code", "match"),
    [
        ("resample {ramp}", 2, "say onto which grid: --like, --spacing, --size, --fit"),
        ("resample {ramp} --size 50% --spacing 1", 2, "--spacing and --size each choose the grid; give one of them"),
        ("resample {ramp} --spacing 0", 2, "--spacing.*finite and above 0"),
        ("resample {ramp} --spacing -1", 2, "--spacing.*finite and above 0"),
        ("resample {ramp} --spacing 1,2", 2, "has 2 values; give one, or three"),
        ("resample {ramp} --size 0%", 2, "above 0 %"),
        ("resample {ramp} --spacing 1e-12", 2, "more than a million along an axis: take a larger spacing"),
        ("resample {ramp} --bounds 500:600,0:1,0:1", 3, "have no point in common: the grid covers .* the volume"),
        ("resample {ramp} --like {slices}", 3, "slices does not say where its voxels lie"),
        ("resample {slices} --like {ramp}", 3, "slices does not say where .* --source-spacing, --origin"),
        ("resample {ramp} --like-series a --spacing 1", 2, "chooses a volume of --like: give both"),
        ("resample {ramp} --affine {pull}", 2, "does not say which way it leads.*--affine-maps"),
        ("resample {ramp} --affine-maps output-to-input --spacing 1", 2, "--affine-maps says which way.*give both"),
        ("resample {ramp} --spacing 1 --method label", 2, "labels are integers, and the volume holds float64"),
        ("resample {seg} --spacing 1 --method cubic", 2, "the volume is a segmentation: cubic would make labels"),
        ("resample {labels} --spacing 1 --outside 300", 2, "the value outside, 300, is no voxel of type uint8"),
        ("resample {ramp} --spacing 1 --memory 1MiB", 5, "the memory budget of 1.0 MiB is too small.*the smallest"),
        ("resample {ramp} --spacing 30nm", 5, "the disk of .* free and the work needs up to"),
        ("align {slices} --to {ramp}", 3, "does not say where its voxels lie: say it with --spacing"),
        ("align {ramp} --to {slices}", 3, "slices does not say where its voxels lie"),
        ("align {ramp} --labels --to {ramp}", 2, "labels are integers, and the volume holds float64"),
        ("align {labels} --labels --method linear --to {ramp}", 2, "chosen, never mixed: leave out --method linear"),
        ("downsample {ramp} --spacing 0.1", 2, "the output would be finer than the input's spacing of 0.3, 0.5, 0.7"),
        ("downsample {ramp} --spacing 0.8 --method median", 2, "the method median needs whole factors"),
        ("downsample {ramp} --spacing 1 --size 50%", 2, "give one of --factor, --fit, --spacing and --size"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_leaves_nothing_behind(
    asked: str, code: int, match: str, command: Command, files: Path, tmp_path: Path
) -> None:
    names = {name: files / f"{name}.nrrd" for name in ("ramp", "labels")}
    more = {"seg": files / "labels.seg.nrrd", "slices": files / "slices", "pull": files / "pull.txt"}
    words = [word.format(**names, **more) for word in asked.split()]
    with untouched(tmp_path, files):
        command(*words, "-o", tmp_path / "o.nrrd", "-q").refused(code, match)


def test_singular_transforms_are_refused(command: Command, files: Path, tmp_path: Path) -> None:
    path = tmp_path / "flat.txt"
    path.write_text("1 0 0 0\n0 1 0 0\n1 1 0 0\n0 0 0 1\n")
    before = listing(tmp_path)
    asked = ("--affine", path, "--affine-maps", "output-to-input", "-o", tmp_path / "o.nrrd")
    command("resample", files / "ramp.nrrd", *asked).refused(2, "flat.txt is singular: it flattens space")
    assert listing(tmp_path) == before


@pytest.mark.parametrize("asked", [["resample", "--spacing", "2"], ["downsample", "--size", "50%"]])
def test_the_spacing_of_the_input_is_called_by_the_name_that_the_verb_has_for_it(
    asked: list[str], command: Command, files: Path, tmp_path: Path
) -> None:
    verb, *grid = asked
    said = command(verb, files / "slices", *grid, "-o", tmp_path / "o.nrrd").succeeded()
    assert "nothing states the spacing: 1 mm is assumed; --source-spacing says what it is" in said.err
    assert "; --spacing" not in said.err


def test_the_help_says_the_value_outside_and_all_defaults() -> None:
    for verb in (resample, align):
        said = {option.name: getattr(option, "help", "") for option in verb.params}
        assert "default" in said["outside"]
        assert "default linear" in said["method"]
