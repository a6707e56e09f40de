"""One execution of a benchmark script: its parameters, its runs, its answers, kept as JSON lines as they come."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import HERE, ROOT, Case, Sample, measure
from machine import commit, machine
from verdicts import Verdict, runs_table, verdicts_table

Measure = Callable[[Sample], float]
Pair = tuple[Sample, Sample]

__all__ = ["Measure", "Pair", "Session", "inner", "parser", "wall"]


def parser(text: str | None, name: str, *, slices: int, side: int = 1024, rounds: int = 5) -> argparse.ArgumentParser:
    """The options that every script takes."""
    out = argparse.ArgumentParser(description=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    out.add_argument("--slices", type=int, default=slices, help="slices of the series")
    out.add_argument("--side", type=int, default=side, help="rows and columns of a slice")
    out.add_argument("--rounds", type=int, default=rounds, help="pairs of each comparison")
    out.add_argument("--data", type=Path, default=HERE / "data", help="where series are made and outputs written")
    out.add_argument("--out", type=Path, default=HERE / "results" / f"{name}.jsonl", help="results are appended here")
    return out


def wall(sample: Sample) -> float:
    """Seconds from start to exit."""
    return sample.wall


def inner(sample: Sample) -> float:
    """Seconds of the work alone."""
    return sample.inner


class Session:
    """Runs cases, writes what they took, and remembers it for the tables at the end."""

    def __init__(self, options: argparse.Namespace, **more: Any) -> None:
        self.data: Path = options.data.resolve()
        self.data.mkdir(parents=True, exist_ok=True)
        self._out: Path = options.out
        self._out.parent.mkdir(parents=True, exist_ok=True)
        self._samples: list[Sample] = []
        self._verdicts: list[Verdict] = []
        parameters = {key: value for key, value in vars(options).items() if not isinstance(value, Path)}
        started = datetime.now(UTC).isoformat(timespec="seconds")
        self._write("session", {"started": started, "commit": commit(), **machine(), **parameters, **more})

    def run(self, case: Case) -> Sample:
        """Measure a case once."""
        sample = measure(case)
        self._samples.append(sample)
        self._write("run", self._plain({**asdict(sample), "command": _command(case)}))
        words = sample.error or f"{sample.wall:.2f} s"
        print(f"{case.name}: {words}", file=sys.stderr, flush=True)
        return sample

    def fastest(self, cases: Sequence[Case]) -> Case:
        """The case to compare with, out of several ways in which a peer can do the work: the best of two runs each.

        Raises
        ------
        RuntimeError
            When all fail.
        """
        runs = [(run.wall, n) for _ in range(2) for n, run in enumerate(map(self.run, cases)) if not run.error]
        if not runs:
            raise RuntimeError(f"none of {', '.join(case.name for case in cases)} works; see {self._out}")
        return cases[min(runs)[1]]

    def pairs(self, first: Case, second: Case, rounds: int, *, cold: Path | None = None) -> list[Pair]:
        """Run two cases in turn, A B A B; pairs in which one failed are left out.

        With `cold`, the files of that folder leave the page cache before each run.
        """
        if cold is not None:
            first, second = _cold(first, cold), _cold(second, cold)
        runs = [(self.run(first), self.run(second)) for _ in range(rounds)]
        return [(a, b) for a, b in runs if not a.error and not b.error]

    def ratio(
        self,
        question: str,
        pairs: Sequence[Pair],
        *,
        gate: float | None = None,
        aim: float | None = None,
        of: Measure = wall,
        against: Measure = wall,
    ) -> None:
        """Answer with the ratio of each pair: `of` its first sample to `against` its second."""
        self.answer(Verdict(question, tuple(of(a) / against(b) for a, b in pairs), gate=gate, aim=aim))

    def answer(self, verdict: Verdict) -> None:
        """Keep an answer."""
        self._verdicts.append(verdict)
        self._write("verdict", verdict.to_json())

    def close(self) -> int:
        """Print the tables; the exit status is 1 when a gate was missed, or a plan was not kept."""
        kept = [run.peak / run.planned for run in self._samples if run.planned and not run.error]
        if kept:
            self.answer(Verdict("measured / planned peak, worst run", (max(kept),), gate=1.0))
        print(runs_table(self._samples), end="\n\n")
        print(verdicts_table(self._verdicts))
        return int(any(verdict.failed for verdict in self._verdicts))

    def _plain(self, value: Any) -> Any:
        """The value without the paths of this machine."""
        text = json.dumps(value)
        for path, name in ((str(self.data), "DATA"), (sys.executable, "python"), (str(ROOT) + "/", "")):
            text = text.replace(json.dumps(path)[1:-1], name)
        return json.loads(text)

    def _write(self, kind: str, record: dict[str, Any]) -> None:
        line = json.dumps({"kind": kind, **record})
        with open(self._out, "a", encoding="utf-8") as file:
            file.write(line + "\n")


def _command(case: Case) -> str:
    return " ".join(word if len(word) < 300 else word[:300] + "..." for word in case.command)


def _cold(case: Case, folder: Path) -> Case:
    return replace(case, name=f"{case.name}, cold", cold=folder)
