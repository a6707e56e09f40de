"""Run a command in a child process and measure it from outside: wall, processor time, peak memory, output bytes."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).resolve().parent
MIB = 1 << 20
_POLL = 0.01
"""Seconds between two looks at the peak; it never falls, so only growth in the last moment can be missed."""

__all__ = ["HERE", "MIB", "ROOT", "Case", "Sample", "enforcement", "evict", "limited", "measure", "ours", "peer"]


@dataclass(frozen=True, slots=True)
class Case:
    """One command to measure."""

    name: str
    """In tables and results."""
    command: tuple[str, ...]
    """Program and arguments."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables set besides the inherited ones."""
    outputs: tuple[Path, ...] = ()
    """Files and folders that it writes; they are removed before and after each run."""
    cold: Path | None = None
    """Folder whose files leave the page cache before each run."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run of a case took."""

    case: str
    """Name of the case."""
    wall: float
    """Seconds from start to exit, interpreter included."""
    user: float
    """Processor seconds of the child and of the children it waited for."""
    system: float
    """The same, inside the kernel."""
    peak: int
    """VmHWM of the child, bytes; of a shell or a pool of processes, its parent alone."""
    written: int
    """Bytes of all output files."""
    load: float
    """Load average of the machine when it started."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the child printed as JSON on its last line."""
    error: str = ""
    """Exit status and last words of a run that failed."""

    @property
    def planned(self) -> int | None:
        """Peak that the child promised, bytes."""
        return self.facts.get("peak_bytes")

    @property
    def inner(self) -> float:
        """Seconds of the work alone, as the child timed it; the whole wall where it did not."""
        return float(self.facts.get("seconds", self.wall))


def ours(name: str, *arguments: str, outputs: tuple[Path, ...] = (), python: str = sys.executable) -> Case:
    """A case of chunkvol's command line, run from this checkout."""
    command = (python, "-m", "chunkvol", *arguments, "--json", "-q", "--overwrite")
    return Case(name, command, (("PYTHONPATH", str(ROOT)),), outputs)


def peer(name: str, script: str, *arguments: str, outputs: tuple[Path, ...] = ()) -> Case:
    """A case of a script in this folder."""
    command = (sys.executable, str(HERE / script), *arguments)
    return Case(name, command, (("PYTHONPATH", str(ROOT)),), outputs)


def measure(case: Case) -> Sample:
    """Run a case once, on a settled machine."""
    _settle(case)
    load = os.getloadavg()[0]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.perf_counter()
        child = subprocess.Popen(
            case.command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env={**os.environ, **dict(case.environment)}
        )
        with _peak_of(child.pid) as peaks:
            usage = _wait(child)
            wall = time.perf_counter() - started
        facts, error = _facts(_text(out)), _failure(child.returncode, _text(err))
    peak = max(*peaks, int(facts.get("peak_measured", 0)))
    written = sum(map(_size, case.outputs))
    _remove(case.outputs)
    return Sample(case.name, wall, usage.ru_utime, usage.ru_stime, peak, written, load, facts, error)


def _settle(case: Case) -> None:
    """Neither left-over output nor dirty pages of the run before may weigh on this one."""
    _remove(case.outputs)
    os.sync()
    if case.cold is not None:
        evict(case.cold)


def evict(folder: Path) -> None:
    """Put the files of a folder out of the page cache; they must be on disk already."""
    for path in sorted(folder.iterdir()):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _wait(child: subprocess.Popen[bytes]) -> Any:
    """Resource usage of the child; it is killed when we are stopped.

    The usage's ru_maxrss is never read: a child starts with that of the process that forked it.
    """
    try:
        _, status, usage = os.wait4(child.pid, 0)
    except BaseException:
        child.kill()
        child.wait()
        raise
    child.returncode = os.waitstatus_to_exitcode(status)
    return usage


@contextlib.contextmanager
def _peak_of(pid: int) -> Iterator[list[int]]:
    """A list whose last member is the process's VmHWM so far, bytes."""
    peaks, done = [0, 0], threading.Event()

    def look() -> None:
        while not done.wait(_POLL):
            peaks[1] = max(peaks[1], _high_water(pid))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield peaks
    finally:
        done.set()
        watcher.join()


def _high_water(pid: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", "rb") as file:
        for line in file:
            if line.startswith(b"VmHWM"):
                return int(line.split()[1]) * 1024
    return 0


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode(errors="replace")).strip()


def _facts(text: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        facts = json.loads(text.rpartition("\n")[2])
        return facts if isinstance(facts, dict) else {}
    return {}


def _failure(status: int, words: str) -> str:
    return "" if status == 0 else f"exit {status}: {words[-300:]}"


def _size(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


def _remove(paths: tuple[Path, ...]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def limited(command: tuple[str, ...], limit: int) -> tuple[str, ...]:
    """The command under a memory limit that the operating system enforces; see `enforcement`."""
    return (*_LIMITERS[enforcement()](limit), *command)


@functools.cache
def enforcement() -> str:
    """Name of the first way to limit memory that was seen to work here, by letting a child overstep it.

    `systemd-run` charges all pages of the process, cached ones included, and swap is off. `prlimit` bounds private
    writable mappings (heap, stacks of threads, anonymous maps), whether touched or not; mapped files are not counted.

    Raises
    ------
    RuntimeError
        When none works.
    """
    for name, limiter in _LIMITERS.items():
        if _stays(limiter, 64 * MIB) and not _stays(limiter, 512 * MIB):
            return name
    raise RuntimeError(f"no way to limit memory works here; tried {', '.join(_LIMITERS)}")


def _systemd(limit: int) -> tuple[str, ...]:
    user = () if os.geteuid() == 0 else ("--user",)
    bounds = ("-p", f"MemoryMax={limit}", "-p", "MemorySwapMax=0")
    return ("systemd-run", *user, "--quiet", "--scope", *bounds, "--")


def _prlimit(limit: int) -> tuple[str, ...]:
    return ("prlimit", f"--data={limit}", "--")


_LIMITERS = {"systemd-run": _systemd, "prlimit": _prlimit}


def _stays(limiter: Any, taken: int) -> bool:
    """Whether a child that takes so many bytes lives under a limit of 256 MiB."""
    command = (*limiter(256 * MIB), sys.executable, "-c", f"bytearray(b'x') * {taken}")
    try:
        return subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
