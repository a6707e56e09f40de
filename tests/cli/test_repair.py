"""The verbs attach and header, as users type them."""

from __future__ import annotations

import json
from collections.abc import Callable
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image

import chunkvol
from tests.cli.commands import Outcome, untouched
from tests.cli.conftest import SHAPE, voxels
from tests.support.grids import noise_volume, oblique_grid, ramp_values
from tests.support.series import oblique, write_series

Command = Callable[..., Outcome]


@pytest.fixture(scope="module")
def masks(series: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Masks of all voxels above 2000, made as users do: by names, which do not run along the positions."""
    folder = tmp_path_factory.mktemp("masks")
    images = [pydicom.dcmread(name).pixel_array > 2000 for name in sorted(glob(f"{series}/*"))]  # noqa: PTH207  # as users type it
    np.save(folder / "bool.npy", np.stack(images))
    np.save(folder / "uint8.npy", np.stack(images).astype(np.uint8))
    np.save(folder / "last.npy", np.stack(images, axis=-1))
    np.save(folder / "turned.npy", np.stack(images).T)
    return folder


def pictures(folder: Path, array: np.ndarray, suffix: str) -> Path:
    folder.mkdir()
    for k, plane in enumerate(array):
        Image.fromarray(plane).save(folder / f"slice{k:03d}{suffix}")
    return folder


# ---------------------------------------------------------------------------------------------------------- attach


@pytest.mark.parametrize(
    "output", ["mask.nrrd", "mask.seg.nrrd", "mask.nii.gz", "mask.ome.zarr", "mask.npy", "mask.mha"]
)
@pytest.mark.parametrize(
    ("name", "axes"), [("bool", "kji"), ("uint8", "kji"), ("last", "jik"), ("turned", "ijk"), ("last", None)]
)
def test_a_mask_gets_its_header(
    command: Command, series: Path, masks: Path, tmp_path: Path, name: str, axes: str | None, output: str
) -> None:
    more = [] if axes is None else ["--axes", axes]
    mask = masks / f"{name}.npy"
    with untouched(series, masks):
        command("attach", mask, "--geometry", series, "--order", "filename", *more, "-o", tmp_path / output).succeeded()
    found, scan = chunkvol.open_volume(tmp_path / output), chunkvol.open_volume(series)
    assert found.dtype == np.uint8
    assert np.array_equal(found.read(), scan.read() > 2000)
    assert found.geometry.is_close(scan.geometry, 1e-3)  # NIfTI has single precision
    assert not found.metadata.assumed


def test_itk_sees_a_mask_on_its_scan(command: Command, series: Path, masks: Path, tmp_path: Path) -> None:
    sitk: Any = pytest.importorskip("SimpleITK")
    mask, out = masks / "uint8.npy", tmp_path / "mask.nrrd"
    command("attach", mask, "--geometry", series, "--order", "filename", "-o", out).succeeded()
    image = sitk.ReadImage(str(out))
    geometry = oblique(SHAPE)
    for k, j, i in ((0, 0, 0), (11, 3, 9), (5, 10, 2)):
        assert np.allclose(image.TransformIndexToPhysicalPoint((i, j, k)), geometry.index_to_world((k, j, i)))
        assert image[i, j, k] == (voxels()[k, j, i] > 2000)


def test_what_was_taken_to_be_so_is_told(command: Command, series: Path, masks: Path, tmp_path: Path) -> None:
    said = command("attach", masks / "last.npy", "--geometry", series, "-o", tmp_path / "a.nrrd").succeeded().err
    assert "note: the array of shape (11, 10, 12) fits the scan with axes jik alone" in said
    assert "note: the array's planes are taken to be in the order of their positions" in said
    assert "nothing states the spacing" not in said
    facts = json.loads(
        command(
            "attach", masks / "last.npy", "--geometry", series, "-o", tmp_path / "b.nrrd", "--dry-run", "--json"
        ).out
    )
    assert any("axes jik alone" in text for text in facts["problems"])
    assert not (tmp_path / "b.nrrd").exists()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
@pytest.mark.parametrize(
    ("relation", "part"),
    [("stride:2", np.s_[::2, ::2, ::2]), ("stride:2,2,1", np.s_[:, ::2, ::2]), ("flip:z", np.s_[::-1])],
)
def test_a_decimated_stack_gets_its_header(
    command: Command, series: Path, tmp_path: Path, suffix: str, relation: str, part: Any
) -> None:
    array = (voxels() >> 4).astype(np.uint8)
    stack = pictures(tmp_path / "small", array[part], suffix)
    out = tmp_path / "small.nrrd"
    command("attach", stack, "--geometry", series, "--relation", relation, "--order", "position", "-o", out).succeeded()
    found, scan = chunkvol.open_volume(out), oblique(SHAPE)
    assert np.array_equal(found.read(), array[part])
    assert np.allclose(ramp_values(found.geometry), ramp_values(scan)[part], rtol=0, atol=1e-9)


def test_options_of_reading_go_to_the_input_that_they_are_about(command: Command, series: Path, tmp_path: Path) -> None:
    stack = pictures(tmp_path / "all", (voxels() >> 4).astype(np.uint8), ".png")
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(stack / "logo.png")
    out = tmp_path / "a.nrrd"
    uid = str(pydicom.dcmread(next(series.iterdir())).SeriesInstanceUID)
    command(
        "attach", stack, "--geometry", series, "--pattern", "slice*", "--slices", "::3", "--series", uid,
        "--relation", "stride:1,1,3", "--order", "position", "-o", out,
    ).succeeded()  # fmt: skip  # words of one line
    assert np.array_equal(chunkvol.open_volume(out).read(), (voxels() >> 4)[::3])
    np.save(tmp_path / "x.npy", np.zeros(SHAPE, "u1"))
    np.save(tmp_path / "y.npy", np.zeros(SHAPE, "u1"))
    command(
        "attach", tmp_path / "x.npy", "--geometry", tmp_path / "y.npy", "--spacing", "1,2,3", "-o", tmp_path / "b.nrrd"
    ).succeeded()
    assert chunkvol.open_volume(tmp_path / "b.nrrd").geometry.spacing == (3, 2, 1)


def test_a_level_of_a_pyramid_gives_its_place(command: Command, tmp_path: Path) -> None:
    chunkvol.ingest(noise_volume(oblique_grid((40, 36, 300), spacing=(0.5, 0.5, 0.5))), tmp_path / "x.ome.zarr")
    level = chunkvol.open_volume(tmp_path / "x.ome.zarr", level=1)
    np.save(tmp_path / "m.npy", np.zeros(level.shape, "u1"))
    out = tmp_path / "m.nrrd"
    command("attach", tmp_path / "m.npy", "--geometry", tmp_path / "x.ome.zarr", "--level", 1, "-o", out).succeeded()
    assert chunkvol.open_volume(out).geometry.is_close(level.geometry)


@pytest.mark.parametrize(
    ("shape", "words", "code", "message"),
    [
        (
            (6, 6, 5),
            ["--axes", "kji"],
            3,
            r"has 5 x 6 x 6, the scan has 10 x 11 x 12 \(x, y, z\): --relation stride:2 or",
        ),
        ((6, 7, 5), ["--relation", "stride:2"], 2, "by 'stride:2' 10 x 11 x 12 voxels .* become 5 x 6 or 5 x 6, but"),
        (SHAPE, ["--axes", "xyz"], 2, "axes are the letters k, j and i"),
        (SHAPE, ["--relation", "halved"], 2, "'halved' is no step"),
        (SHAPE, ["--order", "names"], 2, "'names' is not one of 'position', 'instance', 'filename'"),
        (SHAPE, ["--tilt", "keep", "--time", "2"], 2, "which has no reading option --time"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    command: Command, series: Path, tmp_path: Path, shape: tuple[int, ...], words: list[str], code: int, message: str
) -> None:
    np.save(tmp_path / "x.npy", np.zeros(shape, "u1"))
    out = tmp_path / "out.nrrd"
    command("attach", tmp_path / "x.npy", "--geometry", series, *words, "-q", "-o", out).refused(code, message)
    assert not out.exists()


def test_the_scan_has_to_be_named_and_to_know_its_place(command: Command, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(SHAPE, "u1"))
    words = ["attach", tmp_path / "x.npy", "-q", "-o", tmp_path / "out.nrrd"]
    command(*words).refused(2, "--geometry names the scan that PIXELS was made from")
    command(*words, "--geometry", tmp_path / "x.npy").refused(3, r"x\.npy does not say where its voxels lie")
    command(*words, "--geometry", tmp_path / "nothing").refused(2, "nothing does not exist")


# ---------------------------------------------------------------------------------------------------------- header


def test_a_header_is_put_in_front_of_a_series(command: Command, series: Path, tmp_path: Path) -> None:
    out = tmp_path / "scan.nhdr"
    with untouched(series):
        done = command("header", series, "-o", out).succeeded()
    assert done.out == f"{out}: 10 x 11 x 12 uint16 in 12 files, none of them copied\n"
    assert "note: readers of NRRD show stored values: the real ones (HU) are 2 * stored - 1024" in done.err
    assert "chunkvol opens it with --trust-paths" in done.err
    assert out.stat().st_size < 2000
    command("compare", series, out, "--trust-paths").succeeded()
    command("header", series, "-o", out).refused(2, "exists; choose another name or allow --overwrite")
    facts = json.loads(command("header", series, "-o", out, "--overwrite", "--json", "-q").succeeded().out)
    assert (facts["size"], facts["dtype"], facts["files"]) == ([10, 11, 12], "uint16", 12)
    assert any("RescaleSlope" in note for note in facts["notes"])


def test_a_header_may_lie_among_the_files(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "dicom"
    write_series(folder, voxels(), oblique(SHAPE))
    before = chunkvol.open_volume(folder)
    command("header", folder, "-o", folder / "scan.nhdr").succeeded()
    command("compare", folder, folder / "scan.nhdr").succeeded()
    command("header", folder, "-o", folder / "scan.nhdr", "--overwrite").succeeded()
    assert chunkvol.open_volume(folder / "scan.nhdr").geometry == before.geometry


def test_a_header_of_an_irregular_series_takes_the_decisions_that_make_no_voxel(
    command: Command, tmp_path: Path
) -> None:
    upright = oblique(SHAPE)
    steps = upright.affine[:3, :3] @ [[1, 0, 0], [0.4, 1, 0], [0, 0, 1]]  # each plane further along the rows' normal
    write_series(tmp_path / "tilted", voxels(), chunkvol.Geometry.from_steps(SHAPE, upright.origin, steps.T))
    out = tmp_path / "tilted" / "scan.nhdr"
    command("header", out.parent, "-o", out).refused(3, "choose --tilt keep")
    command("header", out.parent, "-o", out, "--tilt", "keep").succeeded()
    command("header", out.parent, "-o", out, "--tilt", "resample").refused(2, "'resample' is not 'keep'")
    kept = chunkvol.open_volume(out.parent, tilt="keep").geometry
    assert chunkvol.open_volume(out).geometry.is_close(kept, 1e-12)

    paths = write_series(tmp_path / "gap", voxels(), upright)
    paths[3].unlink()
    out = tmp_path / "gap" / "scan.nhdr"
    command("header", out.parent, "-o", out).refused(3, "--gaps")
    said = command("header", out.parent, "-o", out, "--gaps", "split")
    said.refused(2, r"makes 2 volumes: \w+\.1 \(planes 0 to 2\)")
    second = said.err.split("makes 2 volumes: ")[1].split(".1 ")[0] + ".2"
    done = command("header", out.parent, "-o", out, "--gaps", "split", "--series", second).succeeded()
    assert "8 files" in done.out
    assert np.allclose(chunkvol.open_volume(out).geometry.origin, upright.index_to_world((4, 0, 0)))


def test_headers_that_would_lie_are_refused(command: Command, nrrd: Path, series: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.nhdr"
    command("header", nrrd, "-q", "-o", out).refused(2, "is NRRD: a header is put in front of DICOM files alone")
    command("header", series, "-q", "-o", tmp_path / "x.nrrd").refused(2, r"whose name ends in \.nhdr")
    command("header", tmp_path / "nothing", "-q", "-o", out).refused(2, "does not exist")
    odd = tmp_path / "odd"
    write_series(odd, np.zeros((4, 3, 5), "u1"), oblique((4, 3, 5)))
    command("header", odd, "-q", "-o", out).refused(2, r"1 bytes after its pixels \(padding")
    (odd / "IM0002.dcm").unlink()
    (odd / "IM0001.dcm").unlink()
    command("header", odd, "-q", "-o", out).refused(3, "2 planes")
    assert not out.exists()
