"""The commands on points as users type them: index, world, map."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import pytest

import chunkvol
from chunkvol import Geometry, Volume
from chunkvol.cli.landmarks import COMMANDS, landmarks
from chunkvol.landmarks.files import read_landmarks, write_landmarks
from chunkvol.landmarks.points import Landmarks
from tests.cli.commands import Outcome, listing
from tests.support.grids import oblique_grid

Command = Callable[..., Outcome]
Array = npt.NDArray[Any]

OWN = ("map", "index", "world")
INDEX = np.array([[3.25, 4.0, 5.5], [10.0, 20.0, 6.0], [0.0, 0.0, 0.0], [60.0, 3.0, 2.0]])
"""Places in the small volume, (i, j, k); the last one lies beyond it."""


@dataclass(frozen=True)
class Case:
    """A scan, and what somebody made of it."""

    scan: Path
    """The full one."""
    grid: Geometry
    """Where it lies."""
    stack: Path
    """Slices: means of 2 x 2 pixels, of every other plane, in 8 bit; no header."""
    placed: Path
    """Points that were placed on the stack as it opens: spacing 1, origin 0."""

    @property
    def truth(self) -> Array:
        """Where they lie in the scan's world."""
        return self.grid.index_to_world((INDEX * 2 + (0.5, 0.5, 0))[:, ::-1])


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("case")
    image = pytest.importorskip("tifffile")
    grid = oblique_grid((20, 60, 72), spacing=(0.07, 0.05, 0.03))
    noise = np.random.default_rng(2).integers(0, 60, grid.shape)
    waves = np.sin(np.arange(20)[:, None, None] / 3 + np.arange(60)[:, None] / 5) * np.cos(np.arange(72) / 7)
    voxels = (1000 + 500 * waves + noise).astype("u2")
    chunkvol.write_volume(Volume(voxels, grid), folder / "scan.nrrd")
    small = voxels[::2].reshape(10, 30, 2, 36, 2).mean((2, 4))
    (folder / "stack").mkdir()
    for k, plane in enumerate(((small - 400) / 5).astype("u1")):
        image.imwrite(folder / "stack" / f"s{k:03d}.tif", plane)
    points = Landmarks(INDEX, ("a", "b", "c", "d"), ("", "Semi", "", ""), frame="RAS")
    write_landmarks(points, folder / "placed.mrk.json")
    return Case(folder / "scan.nrrd", grid, folder / "stack", folder / "placed.mrk.json")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# --------------------------------------------------------------------------------------------------------------- map


def test_points_of_a_stack_without_a_header_come_back_to_the_scan(case: Case, command: Command, tmp_path: Path) -> None:
    out = tmp_path / "full.mrk.json"
    words = ("map", case.placed, "--from", case.stack, "--to", case.scan, "-o", out)
    said = command("landmarks", *words, "--relation", "stride:1,1,2+mean:2,2,1").succeeded()
    found = read_landmarks(out)
    assert np.abs(found.points - case.truth).max() < 1e-9
    assert found.labels == ("a", "b", "c", "d") and found.frame == "RAS" and found.descriptions[1] == "Semi"
    assert found.descriptions[0].startswith("+-") and found.descriptions[3].endswith("outside the field of view")
    assert "made by stride:1,1,2+mean:2,2,1" in said.out and "of A 3, of B 3" in said.out
    assert "1 of 4 points lie out of the field of view of B: d" in said.err


def test_voxels_find_the_relation_and_say_how_sure_they_are(case: Case, command: Command, tmp_path: Path) -> None:
    out = tmp_path / "full.fcsv"
    words = ("map", case.placed, "--from", case.stack, "--to", case.scan, "--relation", "auto", "-o", out)
    command("landmarks", *words).refused(2, "sizes alone do not tell; let --verify-pixels look")
    assert not out.exists()
    said = json.loads(command("landmarks", *words, "--verify-pixels", "--json").succeeded().out)
    assert said["found"]["relation"] == said["relation"] == "stride:1,1,2+mean:2,2,1"
    assert said["found"]["score"] > 0.999 > said["found"]["runner_up"]["score"]
    assert said["inside_to"] == 3 and said["points"] == 4 and said["proof_mm"] < 1e-9
    assert [row["inside_to"] for row in said["landmarks"]] == [True, True, True, False]
    assert np.abs(read_landmarks(out).points - case.truth).max() < 1e-9


def test_a_relation_that_voxels_deny_is_refused(case: Case, command: Command, tmp_path: Path) -> None:
    words = ("map", case.placed, "--from", case.stack, "--to", case.scan, "-o", tmp_path / "o.fcsv", "--verify-pixels")
    done = command("landmarks", *words, "--relation", "mean:2")
    assert done.code == 4 and "mean:2 was said, but voxels are explained by stride:1,1,2+mean:2,2,1" in done.err
    command("landmarks", *words).refused(2, "--verify-pixels checks a relation")
    assert not listing(tmp_path)


def test_points_stand_still_between_headers_and_that_is_proved(case: Case, command: Command, tmp_path: Path) -> None:
    small = tmp_path / "small.nrrd"
    chunkvol.write_volume(chunkvol.downsample(chunkvol.open_volume(case.scan), 2), small)
    points = Landmarks(case.grid.index_to_world(np.array([[3, 7, 9], [900, 0, 0]])), ("in", "far"))
    write_landmarks(points, tmp_path / "points.csv")
    said = json.loads(
        command(
            *("landmarks", "map", tmp_path / "points.csv", "--from", small, "--to", case.scan),
            *("-o", tmp_path / "out.csv", "--json"),
        )
        .succeeded()
        .out
    )
    assert said["proof_mm"] < 1e-9 and said["relation"] is None and said["found"] is None
    assert np.allclose(said["landmarks"][0]["index_from"], [4.25, 3.25, 1.25])
    assert np.allclose(said["landmarks"][0]["index_to"], [9, 7, 3])
    assert np.allclose(said["uncertainty_mm"]["ijk"], [0.03, 0.05, 0.07])
    rows = rows_of(tmp_path / "out.csv")
    assert [row["inside"] for row in rows] == ["1", "0"]
    assert float(rows[0]["uncertainty_x_mm"]) == pytest.approx(said["uncertainty_mm"]["xyz"][0])
    assert np.array_equal(read_landmarks(tmp_path / "out.csv").points, points.points)


def test_points_of_another_animal_are_written_with_a_loud_note(visible: Path, command: Command, tmp_path: Path) -> None:
    folder = visible / "microct_nrrd_landmarks"
    scan, points = folder / "A_J_.nrrd", folder / "Gorilla_template_LM1.fcsv"
    done = command("landmarks", "map", points, "--from", scan, "--to", scan, "-o", tmp_path / "out.fcsv").succeeded()
    assert "NONE of the 41 points lies in the field of view of B" in done.err
    before, after = read_landmarks(points), read_landmarks(tmp_path / "out.fcsv")
    assert np.array_equal(before.points, after.points) and after.frame == before.frame and after.labels == before.labels
    done = command("landmarks", "index", points, "--volume", scan, "-o", tmp_path / "voxels.csv").succeeded()
    assert {row["inside"] for row in rows_of(tmp_path / "voxels.csv")} == {"0"} and "NONE of the 41" in done.err


def test_a_volume_that_does_not_say_where_it_lies_needs_a_relation(
    case: Case, command: Command, tmp_path: Path
) -> None:
    words = ("map", case.placed, "--from", case.stack, "--to", case.scan, "-o", tmp_path / "o.fcsv")
    done = command("landmarks", *words)
    done.refused(2, r"does not say where its voxels lie, .*: say with --relation how A was made from B")
    command("landmarks", *words, "--from-spacing", "0.06,0.1,0.14").succeeded()


@pytest.mark.parametrize(
    ("frame", "rows", "more"),
    [
        ("ijk", "{0},{1},{2}", ()),
        ("fiji-pixels", "{0},{1},{3}", ()),
        ("fiji-pixels-corner", "{4},{5},{3}", ()),
        ("fiji-calibrated", "{6},{7},{3}", ("--units", "um", "--from-spacing", "60um,100um,140um")),
        ("lps", "{0},{1},{2}", ("--units", "mm")),
    ],
)
def test_points_of_other_programs_go_to_the_same_places(
    frame: str, rows: str, more: tuple[str, ...], case: Case, command: Command, tmp_path: Path
) -> None:
    values = [(i, j, k, k + 1, i + 0.5, j + 0.5, i * 60, j * 100) for i, j, k in INDEX.tolist()]
    lines = [f"p{n},{rows.format(*row)}" for n, row in enumerate(values)]
    (tmp_path / "points.csv").write_text("\n".join(["label,x,y,z", *lines]) + "\n")
    command(
        *("landmarks", "map", tmp_path / "points.csv", "--frame", frame, "--from", case.stack, "--to", case.scan),
        *("--relation", "stride:1,1,2+mean:2,2,1", "-o", tmp_path / "out.mrk.json", *more),
    ).succeeded()
    found = read_landmarks(tmp_path / "out.mrk.json")
    assert found.frame == "LPS" and np.abs(found.points - case.truth).max() < 1e-9


def test_calibrated_points_of_a_volume_without_spacing_are_refused(
    case: Case, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "points.csv").write_text("label,x,y,z\na,1,2,3\n")
    words = ("map", tmp_path / "points.csv", "--frame", "fiji-calibrated", "--from", case.stack, "--to", case.scan)
    done = command("landmarks", *words, "--relation", "stride:1,1,2+mean:2,2,1", "-o", tmp_path / "o.fcsv")
    done.refused(2, "frame fiji-calibrated has pixels times their size, which .*: give --from-spacing")


def test_an_output_is_never_replaced_unless_asked(case: Case, command: Command, tmp_path: Path) -> None:
    out = tmp_path / "out.fcsv"
    out.write_text("mine")
    words = ("map", case.placed, "--from", case.stack, "--to", case.scan, "--relation", "stride:1,1,2+mean:2,2,1")
    command("landmarks", *words, "-o", out).refused(2, "out.fcsv exists; .* --overwrite")
    assert out.read_text() == "mine"
    command("landmarks", *words, "-o", out, "--overwrite", "--to-frame", "lps", "-q").succeeded()
    assert read_landmarks(out).frame == "LPS" and list(listing(tmp_path)) == ["out.fcsv"]
    command("landmarks", *words, "-o", tmp_path / "out.doc").refused(2, "out.doc has no suffix of a file of points")
    command("landmarks", *words[:-1], "halve", "-o", tmp_path / "o.csv").refused(2, "'halve' is no step")
    command("landmarks", *words[:-1], "mean:2,2,2", "-o", tmp_path / "o.csv").succeeded()
    command("landmarks", *words[:-1], "mean:3", "-o", tmp_path / "p.csv").refused(2, r"become 24 x 20 x 7 or 6, but")


def test_different_frames_of_reference_are_noted(series: Path, nrrd: Path, command: Command, tmp_path: Path) -> None:
    other = tmp_path / "other"
    volume = chunkvol.open_volume(nrrd)
    chunkvol.write_volume(volume, other)
    write_landmarks(Landmarks(volume.geometry.index_to_world([[1.0, 2, 3]]), ("a",)), tmp_path / "p.fcsv")
    done = command(
        "landmarks", "map", tmp_path / "p.fcsv", "--from", series, "--to", other, "-o", tmp_path / "o.fcsv"
    ).succeeded()
    differ = (
        chunkvol.open_volume(series).metadata.frame_of_reference
        != chunkvol.open_volume(other).metadata.frame_of_reference
    )
    assert ("state different frames of reference" in done.err) == differ


# ------------------------------------------------------------------------------------------------------ index, world


def test_indices_of_a_level_go_out_and_come_back(case: Case, command: Command, tmp_path: Path) -> None:
    store = tmp_path / "scan.ome.zarr"
    chunkvol.ingest(Volume(np.zeros((20, 18, 300), "u1"), oblique_grid((20, 18, 300), spacing=(0.5, 0.4, 0.3))), store)
    level = chunkvol.open_volume(store, level=1)
    index = [[1.0, 2, 3], [2.5, 1.25, 9]]
    given = Landmarks(level.geometry.index_to_world(index), ("a", "b"), ("Semi", ""), frame="RAS")
    write_landmarks(given, tmp_path / "points.fcsv")
    said = command(
        *("landmarks", "index", tmp_path / "points.fcsv", "--volume", store, "--level", 1),
        *("-o", tmp_path / "voxels.csv", "--json"),
    ).succeeded()
    assert json.loads(said.out) == {"output": str(tmp_path / "voxels.csv"), "points": 2, "placed": 2, "inside": 2}
    rows = rows_of(tmp_path / "voxels.csv")
    assert list(rows[0])[:4] == ["label", "i", "j", "k"]
    assert np.allclose([[float(row[name]) for name in "kji"] for row in rows], index)
    assert [row[f"nearest_{name}"] for row in rows[:1] for name in "ijk"] == ["3", "2", "1"]
    command(
        *("landmarks", "world", tmp_path / "voxels.csv", "--volume", store, "--level", 1),
        *("-o", tmp_path / "back.fcsv", "--to-frame", "ras"),
    ).succeeded()
    found = read_landmarks(tmp_path / "back.fcsv")
    assert np.abs(found.points - given.points).max() < 1e-9
    assert (found.labels, found.descriptions, found.frame) == (given.labels, given.descriptions, "RAS")


def test_what_index_and_world_cannot_do_is_said(case: Case, command: Command, tmp_path: Path) -> None:
    out = tmp_path / "o.csv"
    index, world = ("landmarks", "index", case.placed), ("landmarks", "world", case.placed)
    volume = ("--volume", case.scan)
    command(*index, *volume, "-o", tmp_path / "o.fcsv").refused(2, "index writes a table, and o.fcsv ends neither")
    command(*index, *volume, "-o", tmp_path / "o.morphoj.csv").refused(2, "index writes a table")
    command(*index, *volume, "-o", out, "--to-frame", "ras").refused(2, "--to-frame is for places")
    command(*index, *volume, "-o", out, "--level", 1).refused(2, "has level 0 alone, not 1")
    command(*world, *volume, "-o", out, "--frame", "ras").refused(2, "world takes voxel indices")
    command(*index[:2], tmp_path / "none.fcsv", *volume, "-o", out).refused(2, "none.fcsv cannot be read")
    assert not listing(tmp_path)


# -------------------------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("name", OWN)
def test_the_help_has_examples_that_parse_and_explains_all_options(name: str, command: Command) -> None:
    text = command("landmarks", name, "--help").succeeded().out
    examples = re.findall(r"^    chunkvol landmarks (.*)$", text, re.MULTILINE)
    verb = landmarks.get_command(click.Context(landmarks), name)
    assert examples and verb is not None
    for example in examples:
        words = example.split()
        assert words[0] == name
        with verb.make_context(name, words[1:]):
            pass
    options = [option for option in verb.params if isinstance(option, click.Option)]
    assert all(option.help for option in options)


def test_the_list_of_commands_loads_none_of_them(command: Command) -> None:
    text = command("landmarks", "--help").succeeded().out
    assert all(re.search(rf"^  {name} ", text, re.MULTILINE) for name in COMMANDS)
    command("landmarks", "nothing").refused(2, "No such command 'nothing'")
