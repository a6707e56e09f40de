"""Options that make no sense: one line that says which and what to give instead, exit code 2, nothing written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chunkvol.cli import main, show, write
from tests.cli.commands import Outcome, same_signals, spawn, untouched

Command = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Outputs are named without a folder: they would appear here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


DOWNSAMPLE: dict[str, tuple[str, str]] = {
    "larger than the volume": ("--factor 99", r"factors \(99, 99, 99\) are larger than the volume of \(10, 11, 12\)"),
    "factor 0": ("--factor 0", "Invalid value for '--factor': .* at least 1, found '0'"),
    "negative": ("--factor -2", "at least 1, found '-2'"),
    "half": ("--factor 1.5", "whole number of at least 1, found '1.5'"),
    "two of three": ("--factor 4,4", "'4,4' has 2 values; give one, or three as x,y,z"),
    "an empty one": ("--factor 4,,4", "at least 1, found ''"),
    "words": ("--factor four", "at least 1, found 'four'"),
    "both": ("--factor 2 --fit 1kB", "give one of --factor, --fit, --spacing and --size"),
    "neither": ("", "give one of --factor, --fit, --spacing and --size"),
    "no room": ("--fit 0", "'0' is no room at all"),
    "no whole factors": ("--fit 1", r"no whole factors make \(10, 11, 12\) voxels .* fit 1 bytes"),
    "unknown method": ("--factor 2 --method sinc", "'sinc' is not one of 'mean', "),
    "memory of nonsense": ("--factor 2 --memory nonsense", "'nonsense' is not an amount of bytes; write it as 2GiB"),
    "no memory": ("--factor 2 --memory 0GiB", "'0GiB' is no room at all"),
    "no workers": ("--factor 2 -j 0", "'--workers'.* 0 is not in the range x>=1"),
    "unknown scheduler": (
        "--factor 2 --scheduler slurm",
        "unknown scheduler 'slurm': use threads, local, or an address",
    ),
    "unknown option": ("--factor 2 --factr 2", "No such option '?--factr'?.*--factor"),
    "unknown codec": ("--factor 2 --codec gzip", "'gzip' is not one of 'lz4', 'zstd', 'none'"),
    "an option of another format": (
        "--factor 2 --codec lz4",
        "o.nrrd is NRRD, which has no option --codec; it has --encoding",
    ),
}


@pytest.mark.parametrize("name", DOWNSAMPLE)
def test_a_wrong_option_is_refused(name: str, command: Command, series: Path, workplace: Path) -> None:
    options, match = DOWNSAMPLE[name]
    with untouched(workplace):
        command("downsample", series, *options.split(), "-o", "o.nrrd", "-q").refused(2, match)


@pytest.mark.parametrize("output", ["o.txt", "o.zar", ".zar"])
def test_an_unknown_suffix_is_refused_with_those_that_are_written(
    output: str, command: Command, series: Path, workplace: Path
) -> None:
    with untouched(workplace):
        for more in ((), ("--dry-run",)):
            known = "has no suffix that chunkvol writes; use one of .ome.zarr, .zarr, .seg.nrrd, .nrrd"
            command("downsample", series, "--factor", 2, "-o", output, *more).refused(2, known)


def test_ingest_writes_stores_alone(command: Command, series: Path, workplace: Path) -> None:
    with untouched(workplace):
        command("ingest", series, "-o", "o.nrrd").refused(2, "ingest writes an OME-Zarr store; o.nrrd does not end in")


def test_a_level_that_is_not_there_is_refused(command: Command, store: Path, workplace: Path) -> None:
    with untouched(workplace):
        command("convert", store, "--level", 9, "-o", "o.nrrd").refused(2, "scan.ome.zarr has level 0 alone, not 9")
        command("convert", store, "--level", -1, "-o", "o.nrrd").refused(2, "'--level'.* -1 is not in the range x>=0")


def test_an_output_is_asked_for(command: Command, series: Path) -> None:
    command("convert", series).refused(2, "Missing option '-o' / '--output'")
    command("convert").refused(2, "Missing argument 'SOURCE'")


def test_an_unknown_verb_is_refused(command: Command) -> None:
    command("shrink").refused(2, "No such command 'shrink'")


@pytest.mark.parametrize(
    "options", ["-o o.txt --factor 2", "-o o.nrrd --factor 2 --scheduler slurm", "-o taken.nrrd --factor 2"]
)
def test_what_can_be_refused_is_refused_before_a_long_series_is_read(
    options: str, command: Command, series: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: Any, **__: Any) -> None:
        raise AssertionError("the series was read")

    monkeypatch.setattr(write, "open_volume", opened)
    (workplace / "taken.nrrd").write_bytes(b"mine")
    command("downsample", series, *options.split()).refused(2, ".")


@pytest.mark.parametrize("options", ["--scheduler slurm", "--codec lz4"])
def test_a_dry_run_refuses_what_the_run_would(options: str, command: Command, series: Path) -> None:
    done = command("downsample", series, "--factor", 2, "-o", "o.nrrd", "--dry-run", "-q", *options.split())
    done.refused(2, "unknown scheduler|has no option")


# ---------------------------------------------------------------------------------------------- what is printed


def test_the_command_alone_prints_its_help_in_lines(command: Command) -> None:
    done = command()
    assert done.code == 2
    assert done.err.startswith("Usage: chunkvol")
    assert len(done.err.splitlines()) > 10


def test_quiet_says_nothing_on_standard_error(command: Command, series: Path, nrrd: Path) -> None:
    """Notes go too: --dry-run and --json tell them."""
    for arguments in (
        ("info", series),
        ("downsample", series, "--factor", 2, "-o", "q.nrrd"),
        ("ingest", series, "-o", "q.ome.zarr"),
        ("convert", nrrd, "-o", "r.ome.zarr"),
        ("phantom", "p", "--size", 16),
    ):
        assert command(*arguments, "-q").succeeded().err == "", arguments


def test_without_quiet_the_same_runs_have_notes(command: Command, series: Path) -> None:
    assert (
        "note: NRRD has no slope: real values (2 * stored - 1024) are"
        in command("downsample", series, "--factor", 2, "-o", "n.nrrd").err
    )
    assert "note: the direction is oblique" in command("ingest", series, "-o", "n.ome.zarr").err


def test_an_unexpected_error_is_one_line_with_a_way_to_see_more(
    command: Command, series: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("somewhere\ndeep")

    monkeypatch.setattr(write, "open_volume", broken)
    monkeypatch.delenv("CHUNKVOL_DEBUG", raising=False)
    arguments = ("downsample", series, "--factor", 2, "-o", "o.nrrd")
    command(*arguments).refused(1, "unexpected ZeroDivisionError: somewhere deep; CHUNKVOL_DEBUG=1 shows where")
    monkeypatch.setenv("CHUNKVOL_DEBUG", "1")
    with same_signals(), pytest.raises(ZeroDivisionError):
        main([str(a) for a in arguments])


def test_no_more_memory_is_a_resource_that_is_missing(
    command: Command, series: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(write, "open_volume", greedy)
    command("downsample", series, "--factor", "2", "-o", "o.nrrd").refused(5, "give a smaller --memory")


def test_a_reader_that_went_away_is_no_error(series: Path) -> None:
    code = "import os, sys; os.close(0); r, w = os.pipe(); os.close(r); os.dup2(w, 1)"
    done = spawn("info", series, "--json", "-q", preamble=code)
    assert (done.code, done.err) == (0, "")


def test_a_name_that_is_no_text_is_printed_somehow(
    nrrd: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:strict")
    name = b"odd-\xff.nrrd".decode("utf-8", "surrogateescape")
    (workplace / name).write_bytes(nrrd.read_bytes())
    done = spawn("convert", name, "-o", "copy-" + name, cwd=workplace).succeeded()
    assert done.out.startswith(r"copy-odd-\udcff.nrrd: ")
    spawn("convert", name, "-o", "copy-" + name, cwd=workplace).refused(2, r"copy-odd-\\udcff.nrrd exists")


def test_a_name_that_is_too_long_is_refused(command: Command, series: Path, workplace: Path) -> None:
    with untouched(workplace):
        for length in (240, 300):
            done = command("downsample", series, "--factor", 2, "-o", "a" * length + ".nrrd", "-q")
            done.refused(2, "File name too long")


def test_lines_and_bars_are_chosen_by_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(show.progress_for(True)).__name__ == "Silent"
    assert type(show.progress_for(False)).__name__ == "_Lines"


@pytest.mark.parametrize("name", [".", "./", "/"])
def test_an_output_needs_a_name_of_its_own(name: str, command: Command, nrrd: Path, workplace: Path) -> None:
    done = command("convert", nrrd, "-o", name, "--format", "dicom", "--overwrite")
    done.refused(2, r"is a folder that others lie in; name the file or folder to be made in it")


def test_a_pipe_is_not_waited_for(command: Command, workplace: Path) -> None:
    os.mkfifo(workplace / "scan.nrrd")
    command("info", workplace / "scan.nrrd").refused(2, "is a pipe or a device, .* save it as a file first")


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.dcm", "scan"])
def test_an_empty_file_is_called_so(name: str, command: Command, workplace: Path) -> None:
    (workplace / name).touch()
    command("info", name).refused(2, rf"{name} is empty, 0 bytes: copy or export it again")
