"""The commands refine, measure and plot, as users type them."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkvol
from chunkvol import Geometry, Volume
from chunkvol.landmarks import Landmarks
from chunkvol.landmarks.files import read_landmarks, write_landmarks
from tests.cli.commands import Outcome, listing
from tests.landmarks.test_refining import bead_values
from tests.support.grids import oblique_grid

Command = Callable[..., Outcome]

SHAPE = (33, 41, 47)
INDEX = np.array([[12.3, 20.1, 30.4], [20.2, 14.5, 15.3]])
"""Of two beads, in order (k, j, i)."""


@pytest.fixture(scope="module")
def grid() -> Geometry:
    return oblique_grid(SHAPE, spacing=(0.25, 0.2, 0.15))


@pytest.fixture(scope="module")
def scan(grid: Geometry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bright beads, on disk; not to be changed."""
    folder = tmp_path_factory.mktemp("beads")
    values = bead_values(grid, grid.index_to_world(INDEX), 0.5).round().astype("uint16")
    chunkvol.write_volume(Volume(values, grid), folder / "scan.nrrd")
    chunkvol.write_volume(chunkvol.downsample(Volume(values, grid), (8, 4, 4)), folder / "small.nrrd")
    return folder / "scan.nrrd"


@pytest.fixture
def placed(grid: Geometry, tmp_path: Path) -> Path:
    """Points a voxel and a half away, one that is not placed and one that lies outside, in RAS."""
    index = np.vstack([INDEX + np.array([0.7, -1.5, 1.2]), [[0, 0, 0]], [[15, 20, 90]]])
    places = grid.index_to_world(index)
    places[2] = np.nan
    path = tmp_path / "points.mrk.json"
    write_landmarks(Landmarks(places, ("one", "two", "three", "far"), ("Semi", "", "", "")), path, frame="ras")
    return path


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


# ------------------------------------------------------------------------------------------------------------- refine


@pytest.mark.parametrize("method", ["centroid", "extremum"])
def test_refine_puts_points_on_beads_and_keeps_the_rest(
    command: Command, scan: Path, placed: Path, grid: Geometry, method: str, tmp_path: Path
) -> None:
    out, report = tmp_path / "out.mrk.json", tmp_path / "moved.csv"
    done = command(
        "landmarks", "refine", placed, "--volume", scan, "--method", method, "-o", out, "--report", report
    ).succeeded()
    assert done.out.startswith(f"{out}: 2 of 4 points moved, by ")
    assert "1 of 3 points lie out of the field of view of the volume: far" in done.err
    found, before = read_landmarks(out), read_landmarks(placed)
    assert np.abs(grid.world_to_index(found.points[:2]) - INDEX).max() < 0.1
    assert np.allclose(found.points[3], before.points[3], rtol=0, atol=1e-12) and np.isnan(found.points[2]).all()
    assert (found.labels, found.descriptions, found.frame) == (before.labels, before.descriptions, "RAS")
    told = rows(report.read_text())
    assert list(told[0]) == ["label", "x", "y", "z", "moved_mm", "why"]
    assert [row["why"] for row in told] == ["", "", "not placed", "out of the field of view"]
    assert [row["moved_mm"] for row in told[2:]] == ["", "0.0"]
    assert float(told[0]["moved_mm"]) == pytest.approx(np.linalg.norm(found.points[0] - before.points[0]))
    assert [float(told[0][axis]) for axis in "xyz"] == pytest.approx(found.points[0].tolist())


def test_refine_takes_its_radius_from_what_points_were_placed_on(
    command: Command, scan: Path, placed: Path, tmp_path: Path
) -> None:
    small = scan.parent / "small.nrrd"
    done = command(
        "landmarks", "refine", placed, "--volume", scan, "--from", small, "-o", tmp_path / "a.fcsv", "--json"
    )
    told = json.loads(done.succeeded().out)
    assert told["radius_mm"] == pytest.approx(np.linalg.norm([8 * 0.25, 4 * 0.2, 4 * 0.15]) / 2)
    assert [row["label"] for row in told["points"]] == ["one", "two", "three", "far"]
    assert told["points"][2] == {
        "label": "three", "x": None, "y": None, "z": None, "moved_mm": None, "why": "not placed",
    }  # fmt: skip  # one name a line would fill the screen
    typed = command("landmarks", "refine", placed, "--volume", scan, "--radius", "800um", "-o", tmp_path / "b.fcsv")
    assert "windows of 0.8 mm" in typed.succeeded().out


def test_refine_takes_indices_of_the_volume(command: Command, scan: Path, grid: Geometry, tmp_path: Path) -> None:
    table = tmp_path / "index.csv"
    table.write_text("label,i,j,k\n" + "".join(f"p{n},{i},{j},{k}\n" for n, (k, j, i) in enumerate(INDEX + 1)))
    out = tmp_path / "out.csv"
    command("landmarks", "refine", table, "--volume", scan, "--frame", "ijk", "-o", out).succeeded()
    assert np.abs(grid.world_to_index(read_landmarks(out).points) - INDEX).max() < 0.1


def test_refine_refuses_before_it_reads(command: Command, scan: Path, placed: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.csv"
    there.write_text("mine")
    before = listing(tmp_path)
    asked = ("landmarks", "refine", placed, "--volume", scan)
    command(*asked, "-o", tmp_path / "a.csv", "--report", there).refused(2, r"there.csv exists; .* --overwrite")
    command(*asked, "-o", there).refused(2, r"there.csv exists")
    both = tmp_path / "both.csv"
    command(*asked, "-o", both, "--report", both).refused(2, r"two files, and .*both.csv is asked for both")
    command(*asked, "-o", tmp_path / "a.csv", "--from-level", "1").refused(2, r"name A with --from")
    command(*asked, "-o", tmp_path / "a.csv", "--radius", "0", "-q").refused(2, r"above 0 mm, found 0")
    command(*asked, "-o", tmp_path / "a.csv", "--radius", "0.2", "-q").refused(2, r"covers 0.8 voxels along z")
    np.save(tmp_path / "bare.npy", np.zeros((5, 6, 7), "uint8"))
    command(*asked, "-o", tmp_path / "a.csv", "--from", tmp_path / "bare.npy", "-q").refused(
        2, r"bare.npy does not say where its voxels lie, .* landmarks map"
    )
    (tmp_path / "bare.npy").unlink()
    assert listing(tmp_path) == before
    command(*asked, "-o", there, "--overwrite", "-q").succeeded()


# ------------------------------------------------------------------------------------------------------------ measure


@pytest.fixture
def corner(tmp_path: Path) -> Path:
    path = tmp_path / "corner.csv"
    path.write_text("label,x,y,z\no,0,0,0\nx,30,0,0\nL-1,0,40,0\n")
    return path


def test_measure_writes_all_distances_with_their_deviations(command: Command, corner: Path, tmp_path: Path) -> None:
    out = tmp_path / "distances.csv"
    done = command(
        "landmarks", "measure", corner, "--frame", "lps", "--units", "mm", "--uncertainty", "0.3,600um,0.9", "-o", out
    ).succeeded()
    assert done.out == f"{out}: 3 distances; sd is one standard deviation\n"
    found = rows(out.read_text())
    assert [(row["from"], row["to"], row["mm"], row["sd_mm"]) for row in found] == [
        ("o", "x", "30", f"{(2 * 0.3**2 / 3) ** 0.5:.4g}"),
        ("o", "L-1", "40", f"{(2 * 0.6**2 / 3) ** 0.5:.4g}"),
        ("x", "L-1", "50", f"{(2 / 3 * (0.6**2 * 0.3**2 + 0.8**2 * 0.6**2)) ** 0.5:.4g}"),
    ]


def test_measure_prints_chosen_pairs_and_angles(command: Command, corner: Path) -> None:
    done = command(
        "landmarks",
        "measure",
        corner,
        "--frame",
        "lps",
        "--units",
        "mm",
        "--pairs",
        "L-1-#1,o-x",
        "--angles",
        "x-o-L-1",
        "-q",
    ).succeeded()
    assert [tuple(row.values())[:6] for row in rows(done.out)] == [
        ("L-1", "o", "40", "", "", ""),
        ("o", "x", "30", "", "", ""),
        ("x", "L-1", "", "", "o", "90"),
    ]
    loud = command("landmarks", "measure", corner, "--frame", "lps", "--units", "mm")
    assert "nobody says how sharp the points are: give --volume or --uncertainty" in loud.err


def test_measure_knows_the_voxels_that_points_were_put_on(
    command: Command, scan: Path, placed: Path, grid: Geometry
) -> None:
    told = json.loads(command("landmarks", "measure", placed, "--volume", scan, "--json", "-q").succeeded().out)
    found = {(row["from"], row["to"]): row for row in told["measures"]}
    places = read_landmarks(placed).points
    along = places[1] - places[0]
    length = float(np.linalg.norm(along))
    halves = grid.affine[:3, :3] / 2
    assert found["one", "two"]["mm"] == pytest.approx(length)
    assert found["one", "two"]["sd_mm"] == pytest.approx(
        float(np.sqrt(2 / 3) * np.linalg.norm(along @ halves) / length), rel=1e-3
    )
    assert found["one", "three"]["mm"] is None and found["one", "three"]["note"] == "a point is not placed"
    assert told["sd"] == "sd is one standard deviation"


def test_labels_that_are_numbers_stay_text(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "numbers.csv"
    path.write_text("label,x,y,z\n1,0,0,0\n2,3,4,0\n")
    told = json.loads(
        command("landmarks", "measure", path, "--frame", "lps", "--units", "mm", "--json", "-q").succeeded().out
    )
    assert [told["measures"][0][name] for name in ("from", "to", "mm")] == ["1", "2", 5.0]


def test_measure_says_what_is_wrong(command: Command, corner: Path, tmp_path: Path) -> None:
    asked = ("landmarks", "measure", corner, "--frame", "lps", "--units", "mm", "-q")
    command(*asked, "--pairs", "o-nasion").refused(2, r"no point is labelled 'nasion'; there are o, x, L-1")
    command(*asked, "--angles", "o-x").refused(2, r"'o-x' does not name 3 points; write A-B-C")
    command(*asked, "-o", corner).refused(2, r"corner.csv exists")
    command("landmarks", "measure", corner, "--frame", "fiji-pixels", "-q").refused(2, r"name it with --volume")
    index = tmp_path / "index.csv"
    index.write_text("label,i,j,k\na,1,2,3\nb,4,5,6\n")
    command("landmarks", "measure", index, "--frame", "ijk", "-q").refused(2, r"--volume|name their volume")


# --------------------------------------------------------------------------------------------------------------- plot


def test_plot_draws_a_sheet(command: Command, scan: Path, placed: Path, tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="Pillow is not installed (the extra plot)")
    out = tmp_path / "qa.png"
    done = command("landmarks", "plot", placed, "--volume", scan, "-o", out).succeeded()
    assert done.out == f"{out}: 4 points on 1 sheet\n"
    assert "out of the field of view of the volume: far" in done.err
    again = tmp_path / "again.png"
    sized: list[Any] = ["--size", "48voxels", "--window", "auto", "--columns", "1"]
    told = json.loads(command("landmarks", "plot", placed, "--volume", scan, "-o", again, *sized, "--json", "-q").out)
    assert told == {"output": [str(again)], "points": 4}
    assert again.read_bytes() == out.read_bytes()
    command("landmarks", "plot", placed, "--volume", scan, "-o", out, "--size", "2mm", "--overwrite").succeeded()
    assert again.read_bytes() != out.read_bytes()


def test_plot_says_what_is_wrong(
    command: Command, scan: Path, placed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("landmarks", "plot", placed, "--volume", scan, "-q")
    command(*asked, "-o", tmp_path / "a.png", "--size", "2 parsec").refused(2, r"500um or 64voxels")
    command(*asked, "-o", tmp_path / "a.jpg").refused(2, r"a .png, not a.jpg")
    monkeypatch.setitem(sys.modules, "PIL", None)
    command(*asked, "-o", tmp_path / "a.png").refused(2, r"pip install 'chunkvol\[plot\]'")
