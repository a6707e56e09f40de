"""The main job where the system lacks what Linux has: slower, and the same bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.commands import Outcome, listing, spawn

PLAIN = """
import builtins, io, os, pathlib, sys

for name in ("preadv", "pread", "pwritev", "pwrite", "posix_fadvise", "fdatasync", "sched_getaffinity", "sendfile",
             "copy_file_range", "posix_fallocate"):
    if hasattr(os, name):
        delattr(os, name)
os.process_cpu_count = os.cpu_count  # as Python 3.13 itself does where there is no affinity
sys.modules["resource"] = sys.modules["psutil"] = None

opened, real_open = io.open, os.open
LINUX = ("/proc", "/sys")

def hidden(path):
    return isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(LINUX)

def open_elsewhere(path, *arguments, **options):
    if hidden(path):
        raise FileNotFoundError(2, "No such file or directory", os.fspath(path))
    return opened(path, *arguments, **options)

def os_open_elsewhere(path, *arguments, **options):
    if hidden(path):
        raise FileNotFoundError(2, "No such file or directory", os.fspath(path))
    return real_open(path, *arguments, **options)

builtins.open = io.open = open_elsewhere
os.open = os_open_elsewhere
"""
"""Before anything of ours is imported: none of the native calls, no /proc, no /sys, nobody else to ask."""

CHECK = """
from chunkvol import system
assert not any(hasattr(os, name) for name in ("preadv", "pread", "pwrite", "posix_fadvise", "fdatasync"))
assert system.resident_memory() == system.peak_memory() == 0
"""

JOB: tuple[tuple[str, ...], ...] = (
    ("phantom", "scan", "--size", "70,80,90", "--oblique", "--seed", "3"),
    ("phantom", "packed", "--size", "70,80,12", "--transfer-syntax", "rle"),
    ("downsample", "scan", "--factor", "2,3,4", "-o", "small.nrrd"),
    ("downsample", "packed", "--factor", "2", "--method", "median", "-o", "median.nhdr"),
    ("convert", "scan", "--encoding", "gzip", "-o", "packed.nrrd"),
    ("ingest", "scan", "-o", "scan.ome.zarr"),
    ("ingest", "packed.nrrd", "--codec", "zstd", "-o", "again.ome.zarr"),
    ("convert", "scan.ome.zarr", "--level", "0", "-o", "back.nrrd"),
)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the job makes here."""
    folder = tmp_path_factory.mktemp("native")
    for words in JOB:
        spawn(*words, "-q", cwd=folder).succeeded()
    return listing(folder)


def test_the_main_job_gives_the_same_bytes(expected: dict[str, str], tmp_path: Path) -> None:
    for words in JOB:
        spawn(*words, "-q", cwd=tmp_path, preamble=PLAIN + CHECK).succeeded()
    assert listing(tmp_path) == expected
    facts = json.loads(spawn("info", "scan", "--json", "-q", cwd=tmp_path, preamble=PLAIN).succeeded().out)
    assert facts["size"] == [70, 80, 90]


def test_figures_that_are_not_known_are_not_invented(expected: dict[str, str], tmp_path: Path) -> None:
    spawn("phantom", "scan", "--size", "16", "-q", cwd=tmp_path).succeeded()
    words = ("downsample", "scan", "--factor", "2", "-o", "o.nrrd")
    done = spawn(*words, cwd=tmp_path, preamble=PLAIN).succeeded()
    assert re.search(r"/s read, memory .* planned$", done.out), done.out
    done = spawn(*words, "--overwrite", "--json", "-q", cwd=tmp_path, preamble=PLAIN).succeeded()
    assert json.loads(done.out)["peak_measured"] == 0


def test_a_budget_is_refused_there_too(tmp_path: Path) -> None:
    spawn("phantom", "scan", "--size", "64", "-q", cwd=tmp_path).succeeded()
    words = ("downsample", "scan", "--factor", "2", "-o", "o.nrrd", "--memory", "10MiB", "-q")
    spawn(*words, cwd=tmp_path, preamble=PLAIN).refused(5, "too small for this work")


def test_bytes_do_not_depend_on_where_they_are_made(
    command: Callable[..., Outcome], expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the folder, nor the day, nor the number of processors is in them."""
    monkeypatch.chdir(tmp_path)
    for words in JOB:
        more = [] if words[0] == "phantom" else ["-j", "1", "--memory", "8GiB"]
        command(*words, *more, "-q").succeeded()
    assert listing(tmp_path) == expected
