"""Ctrl-C, SIGTERM and a closed terminal: exit code 75, nothing left, and the same command works afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chunkvol.phantom import write_phantom
from tests.cli.commands import command_line, environment, listing, spawn

SLOW = """
import time
from chunkvol.formats.dicom.pixels.planes import DicomPlanes
read = DicomPlanes.read
def slowly(self, region, out=None):
    time.sleep(0.15)
    return read(self, region, out)
DicomPlanes.read = slowly
"""
"""Every block takes a while, so that there is a middle of the run."""
VERBS = {
    "raw": ("downsample", "--factor", "2", "-o", "out/o.nrrd"),
    "detached": ("convert", "-o", "out/o.nhdr"),
    "gzip": ("convert", "--encoding", "gzip", "-o", "out/o.nrrd"),
    "store": ("ingest", "-o", "out/o.ome.zarr"),
}


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A series of 96 MiB, as holes."""
    folder = tmp_path_factory.mktemp("scan") / "scan"
    write_phantom(folder, size=(512, 512, 192), sparse=True)
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("precious")
    return tmp_path


@contextlib.contextmanager
def running(
    place: Path, scan: Path, verb: tuple[str, ...], *more: str, preamble: str = SLOW
) -> Iterator[subprocess.Popen[str]]:
    """The command in a process group of its own, once it has begun to write."""
    words = command_line(verb[0], scan, *verb[1:], "-q", *more, preamble=preamble)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        words, cwd=place, env=environment(), stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as child:
        try:
            begun(child, place / "out")
            yield child
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


def begun(child: subprocess.Popen[str], folder: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and child.poll() is None:
        if any(path.is_file() for path in folder.glob(".*.partial-*/**/*")):
            time.sleep(0.15)
            return
        time.sleep(0.01)
    raise AssertionError(f"nothing was written: {child.communicate()}")


def assert_stopped(child: subprocess.Popen[str], place: Path) -> None:
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (75, ""), err
    assert err.strip() == "chunkvol: stopped; nothing was left under the final name, and it can be run again"
    assert [path.name for path in (place / "out").iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("number", "name"), [*(("SIGINT", name) for name in VERBS), ("SIGTERM", "store"), ("SIGHUP", "store")]
)
def test_a_stopped_run_leaves_nothing(number: str, name: str, scan: Path, place: Path) -> None:
    if not hasattr(signal, number):
        pytest.skip(f"{number} is unknown to this system")
    # Whoever runs the tests may have been told to ignore it, as nohup does, and children would be deaf too.
    before = signal.signal(getattr(signal, number), signal.SIG_DFL)
    try:
        with running(place, scan, VERBS[name]) as child:
            child.send_signal(getattr(signal, number))
            assert_stopped(child, place)
    finally:
        signal.signal(getattr(signal, number), before)


def test_a_second_ctrl_c_does_not_cut_the_cleaning_short(scan: Path, place: Path) -> None:
    with running(place, scan, VERBS["store"]) as child:
        for _ in range(20):
            child.send_signal(signal.SIGINT)
            time.sleep(0.005)
        assert_stopped(child, place)


def test_a_stopped_run_with_overwrite_leaves_the_old_output(scan: Path, place: Path) -> None:
    (place / "out" / "o.nrrd").write_text("old")
    before = listing(place)
    with running(place, scan, VERBS["raw"], "--overwrite") as child:
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=60)
        assert child.returncode == 75
    assert listing(place) == before


def test_a_killed_run_leaves_one_hidden_folder_and_can_be_run_again(scan: Path, place: Path) -> None:
    with running(place, scan, VERBS["store"]) as child:
        child.kill()
        child.communicate()
    visible = [path.name for path in (place / "out").iterdir() if not path.name.startswith(".o.ome.zarr.partial-")]
    assert visible == ["mine"]
    assert len(list((place / "out").iterdir())) == 2
    spawn(*VERBS["store"][:1], scan, *VERBS["store"][1:], "-q", cwd=place).succeeded()


@pytest.mark.parametrize("number", ["SIGINT", "SIGHUP"])
def test_a_signal_that_the_parent_had_ignored_stays_ignored(number: str, scan: Path, place: Path) -> None:
    """As nohup does, and a shell for what runs in the background of a script."""
    if not hasattr(signal, number):
        pytest.skip(f"{number} is unknown to this system")
    ignored = f"import signal\nsignal.signal(signal.{number}, signal.SIG_IGN)\n" + SLOW
    with running(place, scan, VERBS["raw"], preamble=ignored) as child:
        child.send_signal(getattr(signal, number))
        _, err = child.communicate(timeout=60)
        assert (child.returncode, err) == (0, "")
    assert (place / "out" / "o.nrrd").exists()
