"""Does any damaged DICOM file crash us, hang us, fill the memory, or give wrong pixels without a word?

Sound series of every transfer syntax are damaged by a seed and read in worker processes with limits of time and memory;
what is read is compared with pydicom and its decoders. Exit status 1 when there is a finding; `--only SEED` repeats it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.fuzz.runner import LIMIT, fuzz  # the path comes first
from tests.support.fuzz.worker import ALLOWANCE, Ran

_EVERY = 500


def main() -> int:
    """Run the cases, print the table and the findings."""
    options = _options()
    os.nice(options.nice)
    seeds = options.only or range(options.seed * 1_000_000, options.seed * 1_000_000 + options.count)
    started, ticks = time.monotonic(), Counter[str]()

    def told(ran: Ran) -> None:
        ticks["all"] += 1
        ticks["bad"] += ran.bad
        if ran.bad or options.only:
            print(_line(ran), flush=True)
        if ticks["all"] % _EVERY == 0:
            took = time.monotonic() - started
            print(f"# {ticks['all']} cases in {took:.0f} s, {ticks['bad']} findings", flush=True)

    done = fuzz(seeds, options.jobs, told)
    print(_table(done))
    worst = max(done, key=lambda ran: ran.grown), max(done, key=lambda ran: ran.seconds)
    print(f"\nlargest growth {worst[0].grown >> 20} MiB (seed {worst[0].seed}), allowed {ALLOWANCE >> 20} MiB;")
    print(f"longest case {worst[1].seconds:.2f} s (seed {worst[1].seed}), allowed {LIMIT:g} s;")
    bad = [ran for ran in done if ran.bad]
    print(f"{len(done)} cases, {len(bad)} findings in {time.monotonic() - started:.0f} s")
    if bad:
        print("again: --only " + " ".join(str(ran.seed) for ran in bad[:50]))
    return int(bool(bad))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="cases")
    parser.add_argument("--seed", type=int, default=1, help="of the run; its cases are SEED million and on")
    parser.add_argument("--jobs", type=int, default=2, help="workers")
    parser.add_argument("--nice", type=int, default=0, help="how far to step back for others")
    parser.add_argument("--only", type=int, nargs="+", help="these cases, with all that is known of them")
    return parser.parse_args()


def _line(ran: Ran) -> str:
    asked = f" {ran.reading}" if ran.reading else ""
    head = f"{ran.seed} {ran.outcome}: {ran.series} {'+'.join(ran.kinds)}{asked} {ran.seconds:.2f} s"
    return f"{head} {ran.grown >> 20} MiB\n    {' '.join(ran.words.split())[:1500]}"


def _table(done: list[Ran]) -> str:
    """A row a kind of damage, a column an outcome."""
    outcomes = [name for name, _ in Counter(ran.outcome for ran in done).most_common()]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for ran in done:
        for kind in set(ran.kinds):
            counts[kind][ran.outcome] += 1
        counts["all"][ran.outcome] += 1
    lines = ["| damage | " + " | ".join(outcomes) + " |", "| --- |" + " ---: |" * len(outcomes)]
    for kind in [*sorted(set(counts) - {"all"}), "all"]:
        lines.append(f"| {kind} | " + " | ".join(str(counts[kind][name] or "") for name in outcomes) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
