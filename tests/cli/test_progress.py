"""Progress: bars on a terminal, plain lines in a log; a terminal is left in order whatever happens."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chunkvol.cli import show
from tests.cli.commands import Outcome, command_line, environment

Command = Callable[..., Outcome]
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
"""What makes the cursor go and come back."""


def in_terminal(*arguments: object, cwd: Path) -> tuple[int, str, str]:
    """Run with standard error on a terminal of 100 columns; exit code, standard output, what the terminal got."""
    pty = pytest.importorskip("pty", reason="tool is missing: pty")
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        command_line(*arguments),
        cwd=cwd,
        env=environment(TERM="xterm-256color", COLUMNS="100", LINES="30"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    )
    os.close(theirs)
    shown = bytearray()
    with contextlib.suppress(OSError):  # Linux says so when the other end is closed
        while piece := os.read(ours, 4096):
            shown += piece
    os.close(ours)
    out, _ = child.communicate(timeout=60)
    return child.returncode, out, shown.decode()


def plain(shown: str) -> str:
    """Without the codes that move the cursor and change colours."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown).replace("\r", "")


# ------------------------------------------------------------------------------------------------ on a terminal


def test_a_terminal_shows_bars_and_the_result_goes_to_standard_output(series: Path, tmp_path: Path) -> None:
    code, out, shown = in_terminal("ingest", series, "-o", "o.ome.zarr", cwd=tmp_path)
    assert code == 0
    assert out.startswith("o.ome.zarr: 10 x 11 x 12 uint16 in ")
    text = plain(shown)
    for word in (
        "headers",
        "12 files of 12 files",
        "slabs",
        "2.6 KiB of 2.6 KiB",
        "syncing to disk",
        "note: the direc",
    ):
        assert word in text, text
    assert "Traceback" not in text
    assert shown.count(HIDE) == shown.count(SHOW) == 1


def test_a_terminal_is_left_in_order_after_an_error(series: Path, tmp_path: Path) -> None:
    code, out, shown = in_terminal("convert", series, "-o", "o.nrrd", "--memory", "20MiB", cwd=tmp_path)
    assert (code, out) == (5, "")
    last = plain(shown).rstrip("\n").splitlines()[-1]
    assert last.startswith("chunkvol: the memory budget of 20.0 MiB is too small")
    assert shown.count(HIDE) == shown.count(SHOW) == 1
    assert shown.index(SHOW) < shown.index("chunkvol: the memory")


def test_an_error_before_anything_began_is_a_line_alone(tmp_path: Path) -> None:
    code, _, shown = in_terminal("info", tmp_path / "gone", cwd=tmp_path)
    assert code == 2
    lines = [line for line in plain(shown).splitlines() if line.strip()]
    assert len(lines) == 1
    assert lines[0].endswith("gone does not exist")


def test_quiet_is_quiet_on_a_terminal(series: Path, tmp_path: Path) -> None:
    assert in_terminal("ingest", series, "-o", "o.ome.zarr", "-q", cwd=tmp_path) == (0, "", "")


def test_square_brackets_in_a_note_are_no_markup(tmp_path: Path) -> None:
    (tmp_path / "a[red].nhdr").write_text(
        "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 3 2\nencoding: raw\ndata file: a[red].raw\n"
    )
    (tmp_path / "a[red].raw").write_bytes(bytes(30))
    code, _, shown = in_terminal("convert", "a[red].nhdr", "-o", "o.nrrd", cwd=tmp_path)
    assert code == 0
    assert "note: a[red].raw has 6 bytes more than its header says" in plain(shown)


# ------------------------------------------------------------------------------------------------------ in a log


def test_a_log_gets_plain_lines(command: Command, series: Path, tmp_path: Path) -> None:
    done = command("ingest", series, "-o", tmp_path / "o.ome.zarr").succeeded()
    assert "\x1b" not in done.err
    assert "\r" not in done.err
    lines = done.err.splitlines()
    assert re.fullmatch(r"headers: 12 files in \d+\.\d s", lines[0])
    assert lines[1] == "note: file names run in another order than the positions: the positions are used"
    assert re.fullmatch(r"slabs: 2\.6 KiB in \d+\.\d s", lines[2])
    assert lines[3].startswith("note: the direction is oblique")
    assert len(lines) == 4


def test_what_was_unpacked_is_counted(command: Command, nrrd: Path, tmp_path: Path) -> None:
    command("convert", nrrd, "--encoding", "gzip", "-o", tmp_path / "z.nrrd").succeeded()
    for output in ("o.nrrd", "o.ome.zarr"):
        done = command("convert", tmp_path / "z.nrrd", "-o", tmp_path / output).succeeded()
        assert re.search(r"^unpacking: 5\.2 KiB in ", done.err, re.MULTILINE), done.err


def test_a_long_stage_tells_how_far_it_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    lines = show._Lines()
    lines.stage("slabs", 40 << 20)
    for _ in range(20):
        now += 2.0
        lines.advance(1 << 20)
    lines.close()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 5
    assert said[0].startswith("slabs: 5.0 MiB of 40.0 MiB, 512 KiB/s, 70 s left, memory ")
    assert said[-1] == "slabs: 20.0 MiB in 40.0 s"


def test_a_stage_without_an_amount_has_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = show._Lines()
    lines.stage("slabs", 4)
    lines.advance(4)
    lines.stage("syncing to disk", 0)
    lines.close()
    lines.close()
    assert capsys.readouterr().err.splitlines() == ["slabs: 4 B in 0.0 s"]


def test_one_is_one_file_and_a_stage_that_failed_at_once_has_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = show._Lines()
    lines.stage("headers", 1, "files")
    lines.advance(1)
    lines.stage("headers", 9, "files")
    lines.close()
    assert capsys.readouterr().err.splitlines() == ["headers: 1 file in 0.0 s"]
