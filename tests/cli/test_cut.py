"""The verbs crop and reorient, as users type them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkvol
from chunkvol import Volume
from chunkvol.geometry import axis_codes
from tests.cli.commands import Outcome, untouched
from tests.cli.conftest import SHAPE
from tests.support.grids import noise_volume, oblique_grid
from tests.support.series import oblique

Command = Callable[..., Outcome]


def placed(part: Volume, whole: Volume) -> tuple[slice, ...]:
    """Where in the whole a part lies, by its geometry alone."""
    first = np.rint(whole.geometry.world_to_index(part.geometry.origin)).astype(int)
    np.testing.assert_allclose(whole.geometry.index_to_world(first), part.geometry.origin, atol=1e-9)
    return tuple(slice(a, a + n) for a, n in zip(first, part.shape, strict=True))


def region(centre: Any, size: Any, **more: Any) -> str:
    stated = {"type": "ROI", "coordinateSystem": "LPS", "center": list(centre), "size": list(size), **more}
    return json.dumps({"markups": [stated]})


@pytest.fixture(scope="module")
def levelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that is large enough for a second level."""
    path = tmp_path_factory.mktemp("levels") / "scan.ome.zarr"
    chunkvol.ingest(noise_volume(oblique_grid((9, 150, 300), spacing=(0.3, 0.31, 0.3)), "uint8"), path)
    return path


def test_voxels_are_ranges_of_x_y_z(command: Command, nrrd: Path, tmp_path: Path) -> None:
    out = tmp_path / "part.nrrd"
    command("crop", nrrd, "--voxels", "1:4,:-5,-8:", "-o", out).succeeded()
    part, whole = chunkvol.open_volume(out), chunkvol.open_volume(nrrd)
    assert placed(part, whole) == (slice(4, 12), slice(0, 6), slice(1, 4))
    np.testing.assert_array_equal(part.values.read(), whole.values.read()[4:12, 0:6, 1:4])


def test_bounds_are_millimetres_of_the_world(command: Command, series: Path, tmp_path: Path) -> None:
    grid = oblique(SHAPE)
    middle = grid.index_to_world([5, 4, 4])
    low, high = middle - np.array([1, 0.5, 2]), middle + np.array([1.5, 1, 3])
    text = ",".join(f"{a * 1000:.6f}um:{b:.9f}" for a, b in zip(low, high, strict=True))
    out = tmp_path / "part.nrrd"
    command("crop", series, "--bounds", text, "-o", out).succeeded()
    part, whole = chunkvol.open_volume(out), chunkvol.open_volume(series)
    where = placed(part, whole)
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    points = grid.index_to_world(index)
    inside = index[((points >= low) & (points <= high)).all(axis=-1)]
    assert len(inside) > 5
    assert all(
        (inside[:, a] >= part_.start).all() and (inside[:, a] < part_.stop).all() for a, part_ in enumerate(where)
    )
    np.testing.assert_array_equal(part.values.read(), whole.values.read()[where])
    open_ended = command("crop", series, "--bounds", ":,:,:", "-o", tmp_path / "all.nrrd").succeeded()
    assert "beyond" not in open_ended.err
    np.testing.assert_array_equal(chunkvol.open_volume(tmp_path / "all.nrrd").values.read(), whole.values.read())


@pytest.mark.parametrize("level", [0, 1])
def test_a_region_of_slicer_and_a_margin_at_a_level(
    level: int, command: Command, levelled: Path, tmp_path: Path
) -> None:
    whole = chunkvol.open_volume(levelled, level=level)
    axes = np.array(whole.geometry.direction)[:, ::-1]  # x, y, z of the region along i, j, k
    size = np.array(whole.geometry.spacing[::-1]) * 2.2
    centre = whole.geometry.index_to_world(np.array(whole.shape) // 2)
    drawn = tmp_path / "r.mrk.json"
    drawn.write_text(region(centre, size, orientation=axes.ravel().tolist()))
    command("crop", levelled, "--level", level, "--roi", drawn, "-o", tmp_path / "a.nrrd").succeeded()
    part = chunkvol.open_volume(tmp_path / "a.nrrd")
    middle = [n // 2 for n in whole.shape]
    assert placed(part, whole) == tuple(slice(m - 1, m + 2) for m in middle)
    np.testing.assert_array_equal(part.values.read(), whole.values.read()[placed(part, whole)])
    command("crop", levelled, "--level", level, "--roi", drawn, "--margin", "1m", "-o", tmp_path / "b.nrrd").succeeded()
    assert chunkvol.open_volume(tmp_path / "b.nrrd").shape == whole.shape


def test_a_box_that_reaches_beyond_the_scan_is_noted(command: Command, nrrd: Path, tmp_path: Path) -> None:
    done = command("crop", nrrd, "--bounds", "-1000:1000,-1000:1000,-1000:1000", "-o", tmp_path / "a.nrrd")
    assert "the box reaches beyond the volume along its x and y and z" in done.succeeded().err


def test_a_part_goes_into_a_store_with_levels_of_its_own(command: Command, levelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "part.ome.zarr"
    command("crop", levelled, "--voxels", ":,2:,:", "--method", "max", "-o", out).succeeded()
    again, whole = chunkvol.open_volume(out), chunkvol.open_volume(levelled)
    np.testing.assert_array_equal(again.read(), whole.read()[:, 2:])
    assert again.metadata.pyramid == "max" and len(again.levels) > 1
    np.testing.assert_array_equal(again.levels[1].read(), chunkvol.downsample(again, 2, method="max").read())


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ([], 2, "give one of --voxels, --bounds and --roi; found none"),
        (["--voxels", ":,:,:", "--bounds", ":,:,:"], 2, "found --voxels and --bounds"),
        (["--voxels", "0:99,:,:"], 2, "voxels 0:99 along x are not all there: it has 0:10"),
        (["--voxels", "5:5,:,:"], 2, "selects nothing of an axis of 10 voxels"),
        (["--voxels", "5,5,5"], 2, "'5,5,5' are no voxels; write A:B for x, y and z"),
        (["--bounds", "0:1,0:1"], 2, "are no bounds; write LO:HI"),
        (["--bounds", "5:1,:,:"], 2, "along x the bounds go from 5 to 1; turn them round"),
        (["--bounds", "a:1,:,:"], 2, "are no bounds in mm"),
        (["--bounds", "900:901,:,:"], 3, r"no voxel centre lies in the box \(x 900 to 901, .* the volume lies at x -"),
        (["--roi", "none.mrk.json"], 2, "none.mrk.json cannot be read"),
        (["--voxels", ":,:,:", "--margin", "-1"], 2, "'-1' is no length of at least 0; write it as 0, 2mm or 500um"),
        (["--voxels", ":,:,:", "--level", "3"], 2, "level 0 alone, not 3"),
    ],
)
def test_what_cannot_be_cut_is_refused_in_one_line(
    options: list[str], code: int, said: str, command: Command, nrrd: Path, tmp_path: Path
) -> None:
    with untouched(tmp_path, nrrd.parent):
        command("crop", nrrd, *options, "-o", tmp_path / "a.nrrd").refused(code, said)


def test_regions_that_mean_something_else_are_refused(command: Command, nrrd: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.mrk.json"
    path.write_text(region((0, 0, 0), (1, 1, 1), insideOut=True))
    command("crop", nrrd, "--roi", path, "-o", tmp_path / "a.nrrd").refused(
        2, "is inside out: it means what lies outside"
    )
    path.write_text(json.dumps({"markups": [{"type": "Plane", "center": [0, 0, 0], "normal": [0, 0, 1]}]}))
    command("crop", nrrd, "--roi", path, "-o", tmp_path / "a.nrrd").refused(2, "no markup of type ROI, but Plane")
    command("crop", nrrd, "--roi", nrrd, "-o", tmp_path / "a.nrrd").refused(2, "is no JSON")


@pytest.mark.parametrize("letters", ["LPS", "ras", "SPL", "IAR", "PIL", "ASR"])
@pytest.mark.parametrize("source", ["series", "store"])
def test_another_order_keeps_every_voxel_in_its_place_and_comes_back(
    letters: str, source: str, command: Command, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(source)
    whole = chunkvol.open_volume(path)
    command("reorient", path, "--to", letters, "-o", tmp_path / "a.nrrd").succeeded()
    other = chunkvol.open_volume(tmp_path / "a.nrrd")
    assert axis_codes(other.geometry) == letters.upper()
    index = np.stack(np.meshgrid(*map(np.arange, other.shape), indexing="ij"), -1)
    there = np.rint(whole.geometry.world_to_index(other.geometry.index_to_world(index))).astype(int)
    np.testing.assert_array_equal(other.values.read(), whole.values.read()[tuple(np.moveaxis(there, -1, 0))])
    command("reorient", tmp_path / "a.nrrd", "--to", axis_codes(whole.geometry), "-o", tmp_path / "b.nrrd").succeeded()
    back = chunkvol.open_volume(tmp_path / "b.nrrd")
    np.testing.assert_array_equal(back.values.read(), whole.values.read())
    assert back.geometry.is_close(whole.geometry, 1e-9)


def test_the_plan_says_that_a_copy_comes_first(command: Command, nrrd: Path, tmp_path: Path) -> None:
    code = axis_codes(chunkvol.open_volume(nrrd).geometry)
    said = command("reorient", nrrd, "--to", code[::-1], "--dry-run", "-o", tmp_path / "a.nrrd").succeeded().out
    assert "unpack" in said and "given back" in said
    assert "unpack" not in command("reorient", nrrd, "--to", code, "--dry-run", "-o", tmp_path / "a.nrrd").out
    assert not list(tmp_path.iterdir())


def test_letters_that_are_no_order_are_refused_before_anything_is_read(command: Command, tmp_path: Path) -> None:
    done = command("reorient", tmp_path / "missing", "--to", "LPX", "-o", tmp_path / "a.nrrd")
    done.refused(2, "'LPX' is no order of axes: give one of R and L")


def test_the_help_says_what_the_letters_name(command: Command) -> None:
    said = " ".join(command("reorient", "--help").succeeded().out.split())
    assert "say where x, y and z grow TO" in said and 'its "RAI" is "LPS" here' in said
