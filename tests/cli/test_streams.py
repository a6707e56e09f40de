"""What is printed cannot always be: closed streams of a daemon, a log on a full disk."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from chunkvol.cli.show import tell
from tests.cli.commands import command_line, environment

FULL = Path("/dev/full")
full = pytest.mark.skipif(not FULL.exists(), reason="the system has no device that is always full")


def run(redirections: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The command behind a shell that redirects its streams."""
    words = ["sh", "-c", f'exec "$@" {redirections}', "sh", *command_line(*arguments)]
    return subprocess.run(words, capture_output=True, text=True, env=environment(), timeout=120, check=False)


@pytest.mark.parametrize("redirections", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_reason_to_fail(redirections: str, nrrd: Path, tmp_path: Path) -> None:
    done = run(redirections, "convert", nrrd, "-o", tmp_path / "o.mha")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert run("", "compare", nrrd, tmp_path / "o.mha").returncode == 0


@full
def test_a_log_on_a_full_disk_is_no_reason_to_fail(nrrd: Path, tmp_path: Path) -> None:
    done = run("2>/dev/full", "convert", nrrd, "-o", tmp_path / "o.mha")
    assert done.returncode == 0
    assert done.stdout.startswith(f"{tmp_path / 'o.mha'}: 10 x 11 x 12 int32")


@full
def test_a_refusal_keeps_its_exit_code_where_it_cannot_be_told(tmp_path: Path) -> None:
    for redirections in ("2>/dev/full", "2>&-", ">/dev/full 2>/dev/full"):
        assert run(redirections, "info", tmp_path / "nothing").returncode == 2


@full
def test_a_report_that_cannot_be_printed_is_told_from_work_that_failed(nrrd: Path, tmp_path: Path) -> None:
    done = run(">/dev/full", "convert", nrrd, "-o", tmp_path / "o.mha", "-q", "--json")
    assert done.returncode == 2
    assert done.stderr == (
        "chunkvol: the report cannot be printed (No space left on device); files that were to be written are whole\n"
    )
    assert run("", "compare", nrrd, tmp_path / "o.mha").returncode == 0


def test_a_line_that_nobody_reads_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("chunkvol.cli.show.click.echo", refuse)
    tell("note")
