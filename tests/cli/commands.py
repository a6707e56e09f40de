"""Run the command line as a user does, here or in a process of its own, and look at what it says and leaves behind."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
"""The user that owns nothing."""

__all__ = ["NOBODY", "ROOT", "Outcome", "as_nobody", "environment", "listing", "spawn", "untouched"]


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    """Exit code."""
    out: str
    """Standard output."""
    err: str
    """Standard error."""

    def refused(self, code: int, match: str) -> None:
        """Assert one line of error that says `match`, the exit code, and no traceback."""
        assert self.code == code, self
        assert "Traceback" not in self.err, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("chunkvol: ")]
        assert len(lines) == 1, self.err
        assert self.err.splitlines()[-1] == lines[0], self.err
        assert re.search(match, lines[0]), f"{lines[0]!r} does not say {match!r}"
        assert not self.out, self.out

    def succeeded(self) -> Outcome:
        """Assert exit code 0, with the error text if not."""
        assert self.code == 0, self.err
        return self


def environment(**more: str) -> dict[str, str]:
    """The environment of a child that runs the code under test."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**os.environ, "PYTHONPATH": path, **more}


def command_line(*arguments: object, preamble: str = "") -> list[str]:
    """The words that start the command in a new process, after `preamble` where there is one."""
    start = ["-c", f"{preamble}\nfrom chunkvol.cli import main\nmain()"] if preamble else ["-m", "chunkvol"]
    return [sys.executable, *start, *map(str, arguments)]


def spawn(*arguments: object, cwd: Path | None = None, preamble: str = "", timeout: float = 120) -> Outcome:
    """Run the command in a new process."""
    done = subprocess.run(
        command_line(*arguments, preamble=preamble),
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def listing(folder: Path) -> dict[str, str]:
    """Every file below, hidden ones too, and a hash of its bytes; folders have none."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


@contextlib.contextmanager
def untouched(*folders: Path) -> Iterator[None]:
    """Assert that nothing appears, goes or changes below the folders."""
    before = [listing(folder) for folder in folders]
    yield
    assert [listing(folder) for folder in folders] == before


@contextlib.contextmanager
def same_signals() -> Iterator[None]:
    """Put the handlers of this process back afterwards."""
    names = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {name: signal.getsignal(name) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Have no rights of root for a while: permissions mean nothing to root."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
