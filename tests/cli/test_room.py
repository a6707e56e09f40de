"""Places and amounts that do not suffice: outputs that exist, folders, disks, budgets. Nothing half-written is left."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chunkvol import system
from tests.cli.commands import NOBODY, Outcome, as_nobody, command_line, environment, listing, spawn, untouched
from tests.support.series import oblique, write_series

Command = Callable[..., Outcome]
OUTPUTS = ["o.nrrd", "o.nhdr", "o.ome.zarr"]
NO_CHECK = "from chunkvol import system\nsystem.free_disk = lambda path: 1 << 60"
"""The disk looks large enough, and is not."""


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 MiB of voxels, in 32 slices."""
    array = np.random.default_rng(1).integers(0, 4000, (32, 256, 256)).astype(np.uint16)
    folder = tmp_path_factory.mktemp("larger") / "series"
    write_series(folder, array, oblique(array.shape))
    return folder


# -------------------------------------------------------------------------------------------------- the output


@pytest.mark.parametrize("verb", ["downsample", "convert"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_an_existing_output_keeps_its_bytes(
    output: str, verb: str, command: Command, series: Path, tmp_path: Path
) -> None:
    if output.endswith(".zarr"):
        (tmp_path / output).mkdir()
        (tmp_path / output / "mine").write_text("precious")
    else:
        (tmp_path / output).write_text("precious")
    factor = ["--factor", "2"] if verb == "downsample" else []
    with untouched(tmp_path):
        done = command(verb, series, *factor, "-o", tmp_path / output)
        done.refused(2, f"{output} exists; choose another name or allow --overwrite")


def test_the_data_beside_a_detached_header_keeps_its_bytes(command: Command, series: Path, tmp_path: Path) -> None:
    (tmp_path / "o.raw").write_text("precious")
    with untouched(tmp_path):
        command("convert", series, "-o", tmp_path / "o.nhdr", "-q").refused(2, "o.raw exists; choose another name")


def test_a_phantom_replaces_nothing_unasked(command: Command, series: Path, tmp_path: Path) -> None:
    shutil.copytree(series, tmp_path / "scan")
    with untouched(tmp_path):
        command("phantom", tmp_path / "scan", "--size", 16, "-q").refused(2, "scan is not empty")
        done = command("phantom", tmp_path / "scan", "--size", 16, "--overwrite", "-q")
        done.refused(2, "which is no part of a phantom; nothing was overwritten")


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_missing_folder_is_not_made(output: str, command: Command, series: Path, tmp_path: Path) -> None:
    with untouched(tmp_path):
        done = command("convert", series, "-o", tmp_path / "gone" / output)
        done.refused(2, "the output folder .*gone does not exist; create it first")


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_link_to_nowhere_is_no_place_for_an_output(
    output: str, command: Command, series: Path, tmp_path: Path
) -> None:
    (tmp_path / output).symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.iterdir())
    for more in ((), ("--overwrite",)):
        command("convert", series, "-o", tmp_path / output, *more).refused(2, "is a link to nowhere; remove it first")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_folder_that_may_not_be_written_is_refused_at_once(
    output: str, command: Command, series: Path, open_folder: Path
) -> None:
    source = open_folder / "series"
    shutil.copytree(series, source)
    command("convert", source, "-o", open_folder / f"warm-{output}").succeeded()  # imports everything while it can
    closed = open_folder / "closed"
    closed.mkdir(mode=0o555)
    with as_nobody():
        done = command("convert", source, "-o", closed / output)
    done.refused(2, "the output folder .*closed cannot be written; choose another or change its permissions")
    assert not list(closed.iterdir())


def test_a_folder_that_only_seems_to_be_writable_is_refused(
    command: Command, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network disk may say yes to access and no to a new folder."""

    def refused(self: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refused)
    with untouched(tmp_path):
        done = command("convert", series, "-o", tmp_path / "o.nrrd", "-q")
        done.refused(2, "cannot write beside .*o.nrrd: Permission denied")


# --------------------------------------------------------------------------------------------------- the disk


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(
    output: str, command: Command, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "free_disk", lambda path: 1000)
    with untouched(tmp_path):
        done = command("convert", series, "-o", tmp_path / output, "-q")
        done.refused(5, "has 1000 B free and the work needs up to .*; free some space, write elsewhere, or ask for")


def test_the_disk_is_asked_for_what_the_plan_says(
    command: Command, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "o.nrrd"
    plan = json.loads(command("convert", series, "-o", target, "--dry-run", "--json", "-q").succeeded().out)
    monkeypatch.setattr(system, "free_disk", lambda path: plan["disk_bytes"] - 1)
    command("convert", series, "-o", target, "-q").refused(5, "free some space")
    monkeypatch.setattr(system, "free_disk", lambda path: plan["disk_bytes"])
    command("convert", series, "-o", target, "-q").succeeded()


def test_a_phantom_is_refused_too(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "free_disk", lambda path: 1000)
    with untouched(tmp_path):
        done = command("phantom", tmp_path / "scan", "--size", 16, "-q")
        done.refused(5, "the phantom takes up to .* has 1000 B free; choose another disk")


FILLED = [
    ("convert", "-o", "o.nrrd"),
    ("convert", "-o", "o.nhdr"),
    ("convert", "-o", "o.nrrd", "--encoding", "gzip"),
    ("ingest", "-o", "o.ome.zarr"),
]


@pytest.mark.parametrize("verb", FILLED, ids=" ".join)
def test_a_limit_on_file_sizes_is_a_filled_disk(verb: tuple[str, ...], larger: Path, tmp_path: Path) -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))"
    with untouched(tmp_path):
        done = spawn(verb[0], larger, *verb[1:], "-q", cwd=tmp_path, preamble=limit)
        done.refused(5, f"the disk was filled while writing .*{verb[2]}: File too large; nothing was kept")


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Words that run a shell line beside a disk of 2 MiB, mounted on the folder `disk`, for it alone."""
    for words in (["unshare", "-m"], ["unshare", "-rm"]):
        line = [*words, "sh", "-c", 'mount -t tmpfs -o size=2m none disk && eval "$0"']
        folder = tmp_path_factory.mktemp("mount")
        (folder / "disk").mkdir()
        try:
            if subprocess.run([*line, "true"], cwd=folder, capture_output=True, check=False).returncode == 0:
                return line
        except FileNotFoundError:
            break
    pytest.skip("no small disk can be mounted here: it takes root or user namespaces")


@pytest.mark.parametrize("verb", FILLED, ids=" ".join)
def test_a_disk_that_is_filled_midway_is_left_as_it_was(
    verb: tuple[str, ...], larger: Path, tmp_path: Path, small_disk: list[str]
) -> None:
    (tmp_path / "disk").mkdir()
    words = command_line(verb[0], larger, "-o", f"disk/{verb[2]}", *verb[3:], "-q", preamble=NO_CHECK)
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
    shell = f"echo precious > disk/mine; {quoted}; code=$?; ls -A disk; cat disk/mine; exit $code"
    done = subprocess.run(
        [*small_disk, shell], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.stdout == "mine\nprecious\n", done
    refusal = f"the disk was filled while writing .*/disk/{verb[2]}: No space left on device; nothing was kept"
    Outcome(done.returncode, "", done.stderr).refused(5, refusal)


# ------------------------------------------------------------------------------------------------- the budget


BUDGETED = [
    ("downsample", "--factor", "2", "-o", "o.nrrd"),
    ("downsample", "--factor", "2", "--method", "median", "-o", "o.nrrd"),
    ("downsample", "--factor", "2", "--method", "gaussian", "-o", "o.nrrd"),
    ("convert", "--encoding", "gzip", "-o", "o.nhdr"),
    ("ingest", "-o", "o.ome.zarr"),
]


@pytest.mark.parametrize("verb", BUDGETED, ids=" ".join)
def test_a_budget_that_is_too_small_names_one_that_is_enough(
    verb: tuple[str, ...], larger: Path, tmp_path: Path
) -> None:
    """In a process of its own each: what the process holds already is part of the budget."""
    with untouched(tmp_path):
        done = spawn(verb[0], larger, *verb[1:], "--memory", "20MiB", "-q", cwd=tmp_path)
        done.refused(5, "the memory budget of 20.0 MiB is too small for this work; the smallest that fits is --memory")
    named = re.search(r"--memory (\d+MiB)", done.err)
    assert named
    spawn(verb[0], larger, *verb[1:], "--memory", named[1], "-q", cwd=tmp_path).succeeded()
    less = f"{int(named[1][:-3]) * 9 // 10}MiB"
    spawn(verb[0], larger, *verb[1:], "--memory", less, "--overwrite", "-q", cwd=tmp_path).refused(5, "too small")


def test_the_bytes_do_not_depend_on_the_budget(command: Command, larger: Path, tmp_path: Path) -> None:
    for n, room in enumerate((4 << 30, 80 << 20)):
        for verb in BUDGETED:
            budget = system.resident_memory() + room
            (tmp_path / str(n) / "-".join(verb[:-2])).mkdir(parents=True)
            output = tmp_path / str(n) / "-".join(verb[:-2]) / verb[-1]
            command(verb[0], larger, *verb[1:-2], "-o", output, "--memory", budget, "-q").succeeded()
    assert listing(tmp_path / "0") == listing(tmp_path / "1")


def test_nobody_is_somebody_else() -> None:
    """Otherwise the tests of permissions above would pass for the wrong reason."""
    with as_nobody():
        assert os.geteuid() in (NOBODY, os.getuid())
        assert os.geteuid() != 0
