"""Runs fuzz cases in a process that may die of one: reads, writes, then lets another judge what was read."""

from __future__ import annotations

import faulthandler
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import chunkvol
from chunkvol import system
from chunkvol.regions import voxels
from tests.cli.commands import ROOT, environment
from tests.support.fuzz.case import Case, make_case
from tests.support.fuzz.child import Child, serve
from tests.support.fuzz.judge import Verdict, judge

ALLOWANCE = 256 << 20
"""Bytes by which a case may raise the peak memory of its process."""
_DATA = 1 << 30
_LATE = 5
"""Seconds after which a case that hangs says where."""
_END = 60
"""Seconds after which it ends, even where nobody is left to end it."""
_LARGEST = 64 << 20
_CLI_EVERY, _CLI_PATIENCE = 50, 30.0
_CODES = (0, 2, 3, 5, 8)  # 8: info lists volumes beside a damaged file

__all__ = ["ALLOWANCE", "Ran"]


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a case."""

    seed: int
    """The case."""
    series: str
    """What was damaged."""
    kinds: tuple[str, ...]
    """How."""
    outcome: str
    """The class of the error, or what the comparison found."""
    words: str = ""
    """The error's message, or the reference's."""
    bad: bool = False
    """Whether it is a finding."""
    seconds: float = 0.0
    """Time of reading and writing."""
    grown: int = 0
    """Bytes by which the peak memory rose."""
    reading: dict[str, Any] = field(default_factory=dict)
    """Options of reading."""


class _Worker:
    def __init__(self, corpus: Path, scratch: Path) -> None:
        self._corpus, self._scratch = corpus, scratch
        self._child = Child("tests.support.fuzz.reference", scratch / "reference.log")
        self._case: Case
        self._volume: Any = None
        self._block: Any = None

    def answer(self, question: tuple[str, int]) -> Any:
        """Prepare, run or judge."""
        stage, seed = question
        if stage == "prepare":
            return self._prepare(seed)
        return self._run() if stage == "run" else self._judge()

    @property
    def _folder(self) -> Path:
        return self._scratch / "case"

    @property
    def _outputs(self) -> Path:
        return self._scratch / "outputs"

    def _prepare(self, seed: int) -> tuple[str, tuple[str, ...]]:
        self._case, self._volume, self._block = make_case(seed, self._corpus), None, None
        for folder in (self._folder, self._outputs):
            shutil.rmtree(folder, ignore_errors=True)
        self._outputs.mkdir()
        self._case.put(self._corpus, self._folder)
        return self._case.series, self._case.kinds

    def _run(self) -> Ran:
        system.reset_peak_memory()
        before, started = system.resident_memory(), time.monotonic()
        faulthandler.dump_traceback_later(_LATE)
        signal.alarm(_END)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                outcome, words, bad = self._read()
        except BaseException as error:  # whatever it is, it is a finding
            outcome, bad = type(error).__name__, True
            words = "".join(traceback.format_exception(error)[-4:])[-1200:]
        faulthandler.cancel_dump_traceback_later()
        signal.alarm(0)
        seconds, grown = time.monotonic() - started, max(0, system.peak_memory() - before)
        left = sorted(
            path.name for path in self._outputs.iterdir() if not (outcome == "read" and path.name == "out.nrrd")
        )
        if left and not bad:
            outcome, words, bad = "left behind", f"{left} after {outcome}: {words}", True
        if grown > ALLOWANCE and not bad:
            outcome, words, bad = "too much memory", f"{grown >> 20} MiB more; {outcome}: {words}", True
        case = self._case
        return Ran(case.seed, case.series, case.kinds, outcome, words, bad, seconds, grown, case.reading)

    def _read(self) -> tuple[str, str, bool]:
        target = self._outputs / "out.nrrd"
        try:
            volume = chunkvol.open_volume(self._folder, **self._case.reading)
            if voxels(volume.shape) * volume.dtype.itemsize > _LARGEST:
                return "large", str(chunkvol.plan_write(volume, target, budget=self._budget()).peak_bytes), False
            self._volume = volume
            if self._case.write:
                chunkvol.write_volume(volume, target, budget=self._budget())
            self._block = volume.read()
        except chunkvol.ChunkvolError as error:
            several = "\n" in str(error)
            return type(error).__name__, str(error), several or type(error) is chunkvol.ChunkvolError
        return "read", "", False

    @staticmethod
    def _budget() -> int:
        """What a case may take, however large the process became before."""
        return system.resident_memory() + ALLOWANCE

    def _judge(self) -> Verdict | None:
        """A verdict on what was read, and every so often on what the command line does; None where there is none."""
        verdict = None
        if self._block is not None:
            verdict = self._written_back() or self._judge_pixels()
        if self._case.seed % _CLI_EVERY == 0 and not (verdict and verdict.bad):
            return self._command_line() or verdict
        return verdict

    def _judge_pixels(self) -> Verdict:
        case, volume = self._case, self._volume
        if not case.compared:
            return Verdict("read with decisions")
        sound, damaged = self._corpus / case.series, set(case.mutants)
        verdict = judge(self._block, volume.geometry.origin, self._folder, sound, damaged, self._child)
        if verdict.name == "misplaced" and volume.metadata.assumed and not any(volume.geometry.origin):
            # Positions are no places where no orientation says how the planes lie: all begins at 0, which is told.
            return Verdict("place assumed", verdict.why)
        if verdict.name == "left out" and not volume.metadata.problems:
            return Verdict("left out without a word", verdict.why, True)
        return verdict

    def _written_back(self) -> Verdict | None:
        target = self._outputs / "out.nrrd"
        if not target.exists():
            return None
        written, meant = chunkvol.open_volume(target).values.read(), self._volume.values.read()
        if np.array_equal(written.astype(meant.dtype), meant, equal_nan=meant.dtype.kind == "f"):
            return None
        return Verdict("written otherwise", f"{written.dtype} {meant.dtype}", True)

    def _command_line(self) -> Verdict | None:
        """The same through `info` and `convert`; None where both behave."""
        target = self._outputs / "cli.nrrd"
        folder, codes = str(self._folder), []
        convert = ["convert", "-q", "--memory", "512MiB", folder, "-o", str(target)]
        for words in (["info", "-q", folder], convert):
            try:
                done = _command(words)
            except subprocess.TimeoutExpired:
                return Verdict("command line hangs", words[0], True)
            lines = done.stderr.splitlines()
            if done.returncode not in _CODES or "Traceback" in done.stderr or (done.returncode and len(lines) != 1):
                return Verdict("command line", f"{words[0]}: {done.returncode} {done.stderr[-800:]}", True)
            codes.append(done.returncode)
        left = [path.name for path in self._outputs.iterdir() if path.name not in ("out.nrrd", "cli.nrrd")]
        if left or target.exists() != (codes[1] == 0):
            return Verdict("command line", f"exit {codes[1]} and left {left}, {target.exists()}", True)
        if codes[1] == 0 and not self._case.reading and self._block is None:
            return Verdict("command line", "convert succeeds where reading is refused", True)
        return None


def _command(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chunkvol", *words],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_CLI_PATIENCE,
        cwd=ROOT,
        env=environment(),
        check=False,
    )


def main() -> None:
    """Run cases and answer with what became of them."""
    corpus, scratch = Path(sys.argv[2]), Path(sys.argv[3])
    scratch.mkdir(exist_ok=True)
    worker = _Worker(corpus, scratch)
    _warm_up(corpus)
    limit = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_data_bytes() + _DATA, limit[1]))
    serve(worker.answer)


def _warm_up(corpus: Path) -> None:
    """Load what cases need, so that their memory is their own."""
    for path in sorted(corpus.iterdir()):
        try:
            chunkvol.open_volume(path).read()
        except chunkvol.ChunkvolError:
            continue


def _data_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmData")).split()[1]) << 10
