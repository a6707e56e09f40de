"""Options do what their help says in every combination that takes them, or are refused: none is passed over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import chunkvol
from tests.cli.commands import Outcome
from tests.cli.conftest import SHAPE
from tests.support.grids import oblique_grid

Command = Callable[..., Outcome]

WRITTEN = {
    "real values": (("-o", "a.nrrd"), 4),
    "stored values": (("-o", "a.ome.zarr"), 2),
    "the type that is asked for": (("-o", "a.nrrd", "--dtype", "uint8", "--window", "0,4000"), 1),
}
"""What of the series, uint16 with a slope, is written, and how many bytes a voxel has then."""


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Outputs are named without a folder: they appear here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("what", WRITTEN)
@pytest.mark.parametrize("verb", ["downsample", "resample"])
def test_fit_counts_the_bytes_that_are_written(command: Command, series: Path, verb: str, what: str) -> None:
    words, itemsize = WRITTEN[what]
    limit = 5 * 11 * 12 * itemsize  # by two along x, the finest axis
    sizes = {}
    for allowed in (limit, limit - 1):
        command(verb, series, "--fit", allowed, *words, "--overwrite", "-q").succeeded()
        volume = chunkvol.open_volume(words[1])
        assert volume.dtype.itemsize == itemsize
        sizes[allowed] = np.prod(volume.shape) * itemsize
        assert sizes[allowed] <= allowed
    if verb == "downsample":
        assert sizes[limit] == limit > sizes[limit - 1]


def test_ingest_takes_a_format_for_a_name_without_suffix_and_makes_nothing_but_stores(
    command: Command, series: Path
) -> None:
    command("ingest", series, "-o", "store", "--format", "ome-zarr").succeeded()
    assert (Path("store") / "zarr.json").is_file()
    command("ingest", series, "-o", "plain").refused(2, "ingest writes an OME-Zarr store; plain does not end")
    command("ingest", series, "-o", "a", "--format", "nrrd").refused(2, "ingest writes an OME-Zarr store")
    command("ingest", series, "-o", "a.ome.zarr", "--format", "nrrd").refused(2, "named as OME-Zarr, and --format nrrd")


def test_two_spacings_of_one_input_are_refused(command: Command, series: Path) -> None:
    both = ("--spacing", "1", "--source-spacing", "2")
    for grid in (("--factor", "2"), ("--fit", "1kB")):
        command("downsample", series, *grid, *both, "-o", "a.nrrd").refused(2, "leave --spacing out")


def test_an_option_of_an_input_is_named_as_it_was_typed(command: Command, nrrd: Path) -> None:
    for typed in ("--spacing", "--source-spacing"):
        done = command("downsample", nrrd, "--factor", "2", typed, "2", "-o", "a.nrrd")
        done.refused(2, f"no reading option {typed};")


def test_a_fill_value_of_nothing_is_refused(command: Command, series: Path) -> None:
    for more in ((), ("--gaps", "split"), ("--tilt", "keep")):
        done = command("convert", series, "--fill-value", "0", *more, "-o", "a.nrrd")
        done.refused(2, "--fill-value is the value of what --gaps fill and --tilt resample make")
    command("convert", series, "--fill-value", "0", "--gaps", "fill", "-o", "a.nrrd").succeeded()


@pytest.fixture
def elsewhere(nrrd: Path, workplace: Path) -> Path:
    """A header in a folder beside that of its voxels, which is followed where paths are trusted alone."""
    (workplace / "headers").mkdir()
    chunkvol.write_volume(chunkvol.open_volume(nrrd), workplace / "scan.nhdr")
    header = workplace / "headers" / "scan.nhdr"
    header.write_text((workplace / "scan.nhdr").read_text().replace("data file: ", "data file: ../"))
    return header


def test_trust_holds_for_each_input_of_a_verb(command: Command, nrrd: Path, elsewhere: Path) -> None:
    np.save("array.npy", np.zeros(SHAPE, np.uint8))
    for words in (
        ("align", nrrd, "--to", elsewhere),
        ("align", elsewhere, "--to", elsewhere),
        ("resample", nrrd, "--like", elsewhere),
        ("attach", "array.npy", "--geometry", elsewhere),
        ("attach", nrrd, "--geometry", elsewhere),
        ("convert", "array.npy", "--geometry", elsewhere),
    ):
        command(*words, "-o", "a.nrrd", "-q").refused(2, "allow it with --trust-paths")
        command(*words, "-o", "a.nrrd", "--trust-paths", "-q", "--overwrite").succeeded()
        Path("a.nrrd").unlink()
    grid = chunkvol.open_volume(nrrd).geometry
    points = chunkvol.Landmarks(grid.index_to_world(np.array([[1.0, 2, 3]])), ("a",))
    chunkvol.write_landmarks(points, "points.fcsv")
    words = ("landmarks", "index", "points.fcsv", "--volume", elsewhere, "-o", "out.csv")
    command(*words).refused(2, "allow it with --trust-paths")
    command(*words, "--trust-paths").succeeded()


def test_who_has_no_place_is_told_what_its_format_takes(command: Command, nrrd: Path) -> None:
    bare = chunkvol.Volume(np.zeros((4, 5, 6), np.uint8), oblique_grid((4, 5, 6)), chunkvol.Metadata(assumed=True))
    chunkvol.write_volume(bare, "bare.nrrd")
    np.save("bare.npy", np.zeros((4, 5, 6), np.uint8))
    for name, remedy in (("bare.nrrd", "with chunkvol attach"), ("bare.npy", "say it with --")):
        command("align", name, "--to", nrrd, "-o", "a.nrrd", "-q").refused(3, f"{name} does not say where .*{remedy}")
        command("resample", name, "--like", nrrd, "-o", "a.nrrd", "-q").refused(3, remedy)
    command("attach", "bare.npy", "--geometry", "bare.nrrd", "-o", "a.nrrd", "-q").refused(3, "name a file that does$")


def test_a_vote_on_labels_that_is_not_to_average_says_that_it_never_does(command: Command, nrrd: Path) -> None:
    words = ("resample", nrrd, "--size", "50%", "--no-antialias", "--method")
    told = "--no-antialias changes nothing of a vote on labels"
    for method, said in (("label", True), ("linear", False), ("nearest", False)):
        done = command(*words, method, "-o", "a.nrrd", "--overwrite")
        assert (told in done.err) is said
