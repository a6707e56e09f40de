"""The command line on worker processes: the same bytes, quiet, stopped cleanly."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import listing, spawn
from tests.cli.test_stopping import assert_stopped, place, running, scan

__all__ = ["place", "scan"]

pytestmark = pytest.mark.cluster
VERBS = {"o.nrrd": ("downsample", "--factor", "2"), "o.ome.zarr": ("ingest",)}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler with two worker processes, which were started in another folder."""
    distributed = pytest.importorskip("distributed", reason="tool is missing: distributed")
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    quiet: dict[str, Any] = {"dashboard_address": None, "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"}}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=0, **quiet) as cluster:
        os.chdir(before)
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def expected(scan: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What threads make of the scan."""
    folder = tmp_path_factory.mktemp("threads")
    for output, verb in VERBS.items():
        spawn(verb[0], scan, *verb[1:], "-o", output, "-q", cwd=folder).succeeded()
    return listing(folder)


def test_a_scheduler_at_an_address_gives_the_same_bytes(
    address: str, scan: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    """Names without a folder mean the user's folder, not the workers'."""
    (tmp_path / "scan").symlink_to(scan)
    (tmp_path / "out").mkdir()
    for output, verb in VERBS.items():
        words = (verb[0], "scan", *verb[1:], "-o", f"out/{output}", "--scheduler", address)
        done = spawn(*words, "-q", cwd=tmp_path).succeeded()
        assert (done.out, done.err) == ("", "")
    assert listing(tmp_path / "out") == expected


def test_workers_of_our_own_give_the_same_bytes_and_are_quiet(
    scan: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    done = spawn("ingest", scan, "-o", "o.ome.zarr", "--scheduler", "local", "-q", cwd=tmp_path).succeeded()
    assert (done.out, done.err) == ("", "")
    assert listing(tmp_path) == {name: mark for name, mark in expected.items() if name.startswith("o.ome.zarr")}


def test_an_address_that_does_not_answer_is_refused(scan: Path, tmp_path: Path) -> None:
    quickly = "from chunkvol import execute\nexecute._PATIENCE = 1"
    words = ("convert", scan, "-o", "o.nrrd", "--scheduler", "tcp://127.0.0.1:9", "-q")
    done = spawn(*words, cwd=tmp_path, preamble=quickly)
    done.refused(2, "no dask scheduler answers at tcp://127.0.0.1:9: ")
    assert not listing(tmp_path)


def test_ctrl_c_in_a_terminal_leaves_nothing(scan: Path, place: Path) -> None:
    """The terminal sends it to the worker processes too."""
    with running(place, scan, ("ingest", "-o", "out/o.ome.zarr"), "--scheduler", "local", preamble="") as child:
        os.killpg(child.pid, signal.SIGINT)
        assert_stopped(child, place)


def test_a_slice_that_cannot_be_decoded_there_is_one_line(address: str, scan: Path, tmp_path: Path) -> None:
    shutil.copytree(scan, tmp_path / "scan")
    remove = """
from chunkvol import execute
from pathlib import Path
connected = execute.connected
def late(*arguments):
    Path("scan/slice_00100.dcm").unlink()
    return connected(*arguments)
execute.connected = late
"""
    words = ("convert", "scan", "-o", "o.nrrd", "--scheduler", address, "-q")
    done = spawn(*words, cwd=tmp_path, preamble=remove)
    done.refused(2, r"slice_00100.dcm \(plane 99\) cannot be read: No such file")
    assert [path.name for path in tmp_path.iterdir()] == ["scan"]
