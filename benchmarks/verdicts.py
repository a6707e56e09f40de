"""What was asked, what was found, and whether that is good enough."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness import MIB, Sample

__all__ = ["Verdict", "runs_table", "verdicts_table"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one question; smaller is better."""

    question: str
    """In words."""
    values: tuple[float, ...]
    """One of each pair, in the order of the rounds; empty when a side failed."""
    unit: str = "ratio"
    """"ratio" (first to second of a pair) or "MiB"."""
    gate: float | None = None
    """The median must not exceed this."""
    aim: float | None = None
    """We should like it no larger than this."""

    @property
    def median(self) -> float | None:
        """None when nothing was measured."""
        return statistics.median(self.values) if self.values else None

    @property
    def word(self) -> str:
        """How it went."""
        if self.median is None:
            return "not measured"
        if self.gate is None:
            return "for the record"
        if self.median > self.gate:
            return "MISSED"
        return "held" if self.aim is None or self.median > self.aim else "aim reached"

    @property
    def failed(self) -> bool:
        """Whether the script should end with an error."""
        return self.word in ("MISSED", "not measured")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "median": self.median, "verdict": self.word}


def verdicts_table(verdicts: Sequence[Verdict]) -> str:
    """Markdown."""
    rows = [
        (v.question, _number(v.median), _span(v.values), v.unit, _number(v.gate), _number(v.aim), v.word)
        for v in verdicts
    ]
    return _table(("question", "median", "from - to", "unit", "gate", "aim", "verdict"), rows)


def runs_table(samples: Sequence[Sample]) -> str:
    """Markdown: medians of each case's runs that succeeded, planned beside measured peak."""
    rows = []
    for name in dict.fromkeys(sample.case for sample in samples):
        runs = [sample for sample in samples if sample.case == name]
        good = [sample for sample in runs if not sample.error]
        count = str(len(runs)) if len(good) == len(runs) else f"{len(good)} of {len(runs)}"
        rows.append((name, count, *_medians(good)))
    return _table(("case", "runs", "wall s", "cpu s", "peak MiB", "planned MiB", "written MB"), rows)


def _medians(runs: Sequence[Sample]) -> tuple[str, ...]:
    if not runs:
        return ("failed", "", "", "", "")
    planned = [run.planned for run in runs if run.planned is not None]
    return (
        f"{statistics.median(run.wall for run in runs):.2f}",
        f"{statistics.median(run.user + run.system for run in runs):.2f}",
        f"{max(run.peak for run in runs) / MIB:.0f}",
        f"{min(planned) / MIB:.0f}" if planned else "",
        f"{runs[0].written / 1e6:.1f}",
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.3g} - {max(values):.3g}" if values else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return "\n".join([line(head), line(["-" * width for width in widths]), *map(line, rows)])


def _last_session(path: Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in path.read_text().splitlines()]
    starts = [n for n, record in enumerate(records) if record["kind"] == "session"]
    return records[starts[-1] :] if starts else []


def main() -> None:
    """Print the last session of each file named."""
    for name in sys.argv[1:]:
        _head, *records = _last_session(Path(name))
        runs = [{k: r[k] for k in Sample.__slots__} for r in records if r["kind"] == "run"]
        answers = [{k: r[k] for k in Verdict.__slots__} for r in records if r["kind"] == "verdict"]
        print(f"## {Path(name).stem}\n\n{runs_table([Sample(**run) for run in runs])}\n")
        print(verdicts_table([Verdict(**answer) for answer in answers]) + "\n")


if __name__ == "__main__":
    main()
