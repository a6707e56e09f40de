"""The verb compare: a report on standard output, and an exit code that scripts can trust."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import chunkvol
from chunkvol import Volume
from chunkvol.ops.downsample import downsample
from chunkvol.ops.reorient import reordered
from tests.cli.commands import Outcome, spawn, untouched
from tests.support.grids import noise_volume, oblique_grid

Command = Callable[..., Outcome]


@pytest.fixture
def turned(nrrd: Path, tmp_path: Path) -> Path:
    """The small series from another corner, in another axis order."""
    volume = reordered(chunkvol.open_volume(nrrd), (2, 0, 1), (True, False, True))
    chunkvol.write_volume(volume, tmp_path / "turned.nii.gz")
    return tmp_path / "turned.nii.gz"


@pytest.fixture
def other(nrrd: Path, tmp_path: Path) -> Path:
    """The small series with another value at one voxel."""
    volume = chunkvol.open_volume(nrrd)
    array = volume.read()
    array[3, 4, 5] = 5000
    chunkvol.write_volume(Volume(array, volume.geometry), tmp_path / "other.nrrd")
    return tmp_path / "other.nrrd"


def differs(outcome: Outcome, match: str) -> None:
    """Assert exit code 4, a report, and one line of error."""
    assert outcome.code == 4, outcome
    assert outcome.out.strip()
    replace(outcome, out="").refused(4, match)


# ------------------------------------------------------------------------------------------------------- answers


def test_the_same_voxels_in_another_storage_are_the_same(command: Command, nrrd: Path, turned: Path) -> None:
    with untouched(nrrd.parent, turned.parent):
        done = command("compare", nrrd, turned).succeeded()
    assert done.out.splitlines()[0] == "same space, different storage"
    assert "order     the axes x, y, z of A are" in done.out
    assert "all 1320 are equal" in done.out


def test_all_formats_of_a_series_are_the_same(command: Command, series: Path, store: Path, nrrd: Path) -> None:
    for a, b in ((series, nrrd), (nrrd, store)):  # a file of real values, and two of stored ones
        assert command("compare", a, b, "-q").succeeded().out.startswith("same space, different storage")
    assert command("compare", series, store, "-q").succeeded().out.startswith("identical storage")


def test_another_value_is_found_and_placed(command: Command, nrrd: Path, other: Path) -> None:
    done = command("compare", nrrd, other, "-q")
    differs(done, r"scan\.nrrd and .*other\.nrrd are not the same: same space, different values$")
    assert "1 of 1320 differ" in done.out
    assert "at voxel (5, 4, 3)" in done.out
    largest = json.loads(command("compare", nrrd, other, "-q", "--json").out)["values"]["largest"]
    assert command("compare", nrrd, other, "--value-tolerance", largest).succeeded().out.startswith("same space")
    assert (
        command("compare", nrrd, other, "--geometry-only").succeeded().out.startswith("same space, values not compared")
    )


def test_another_place_is_measured(command: Command, nrrd: Path, tmp_path: Path) -> None:
    volume = chunkvol.open_volume(nrrd)
    x, y, z = volume.geometry.origin
    moved = replace(volume, geometry=replace(volume.geometry, origin=(x + 0.03, y, z - 0.04)))
    chunkvol.write_volume(moved, tmp_path / "moved.nrrd")
    done = command("compare", nrrd, tmp_path / "moved.nrrd")
    differs(done, "different space$")
    assert "corners   up to 0.05 mm apart, 0.1 voxels of A" in done.out
    assert "of B lies (0.03, 0, -0.04) mm" in done.out
    assert command("compare", nrrd, tmp_path / "moved.nrrd", "--tolerance", 0.11).code == 0


def test_json_says_all_that_the_text_says(command: Command, nrrd: Path, turned: Path, other: Path) -> None:
    facts = json.loads(command("compare", nrrd, turned, "--json").succeeded().out)
    assert (facts["same"], facts["verdict"]) == (True, "same space, different storage")
    assert facts["geometry"]["sizes"] == [[10, 11, 12], [11, 12, 10]]
    assert facts["geometry"]["overlap"] == pytest.approx([1, 1], abs=1e-6)
    assert set(facts["geometry"]) == {
        "same_space", "sizes", "order", "worst_corner_mm", "worst_corner_voxels", "angle_degrees",
        "spacing_difference", "origin_shift", "right_handed", "overlap",
    }  # fmt: skip  # one name a line would fill the screen
    done = command("compare", nrrd, other, "--json")
    differs(done, "different values")
    values = json.loads(done.out)["values"]
    assert (values["differing"], values["voxels"], values["index"]) == (1, 1320, [5, 4, 3])


def test_a_process_returns_the_codes(nrrd: Path, turned: Path, other: Path) -> None:
    assert spawn("compare", nrrd, turned, "-q").succeeded().err == ""
    differs(spawn("compare", nrrd, other, "-q"), "not the same")


# -------------------------------------------------------------------------------------------- levels and options


@pytest.fixture
def pyramid(tmp_path: Path) -> Path:
    chunkvol.ingest(noise_volume(oblique_grid((40, 50, 600))), tmp_path / "deep.ome.zarr")
    return tmp_path / "deep.ome.zarr"


def test_a_level_is_that_of_those_with_levels(command: Command, pyramid: Path, tmp_path: Path) -> None:
    level = chunkvol.open_volume(pyramid, level=1)
    chunkvol.write_volume(level, tmp_path / "half.nrrd")
    assert command("compare", pyramid, tmp_path / "half.nrrd", "--level", 1, "-q").code == 0
    assert command("compare", tmp_path / "half.nrrd", pyramid, "--level", 1, "-q").code == 0
    assert command("compare", pyramid, pyramid, "--level", 1, "-q").code == 0
    differs(command("compare", pyramid, tmp_path / "half.nrrd", "-q"), "different space")
    command("compare", pyramid, pyramid, "--level", 9, "-q").refused(2, r"deep.ome.zarr has levels 0 to \d, not 9")
    half = tmp_path / "half.nrrd"
    command("compare", half, half, "--level", 1, "-q").refused(2, "half.nrrd and .*half.nrrd have level 0 alone, not 1")


def test_a_coarser_copy_is_another_space(command: Command, nrrd: Path, tmp_path: Path) -> None:
    chunkvol.write_volume(downsample(chunkvol.open_volume(nrrd), 2), tmp_path / "half.nrrd")
    done = command("compare", nrrd, tmp_path / "half.nrrd", "-q")
    differs(done, "different space")
    assert "values    not compared, since no storage order makes the sizes equal" in done.out


def test_options_of_reading_go_where_they_belong(command: Command, series: Path, nrrd: Path) -> None:
    assert command("compare", series, nrrd, "--gaps", "split", "-q").code == 0
    assert command("compare", nrrd, series, "--gaps", "split", "-q").code == 0
    command("compare", nrrd, nrrd, "--gaps", "split", "-q").refused(2, "scan.nrrd is NRRD.* no reading option --gaps")


# ------------------------------------------------------------------------------------------------------- refusals


def test_what_cannot_be_read_is_refused_without_a_report(command: Command, nrrd: Path, tmp_path: Path) -> None:
    command("compare", nrrd, tmp_path / "nothing.nrrd", "-q").refused(2, "nothing.nrrd does not exist")
    command("compare", tmp_path / "nothing.nrrd", nrrd, "-q").refused(2, "nothing.nrrd does not exist")
    command("compare", nrrd, nrrd, "--tolerance", -1, "-q").refused(2, "tolerance is a number of voxels, 0 or more")
    command("compare", nrrd, nrrd, "--memory", "1MiB", "-q").refused(5, r"smallest that fits is --memory \d+MiB")
    command("compare", nrrd, "-q").refused(2, "Missing argument")


def test_problems_of_the_inputs_are_told_with_their_names(command: Command, nrrd: Path, tmp_path: Path) -> None:
    (tmp_path / "bare.nrrd").write_bytes(
        b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 3 4\nencoding: raw\n\n" + bytes(24)
    )
    done = command("compare", nrrd, tmp_path / "bare.nrrd")
    assert done.code == 4
    assert "bare.nrrd: " in done.err
    assert "the grid of B is assumed, not stated" in done.out
