"""Runs many fuzz cases on a few workers, and survives what they do to them."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.fuzz.child import Child, CrashedError, HungError
from tests.support.fuzz.corpus import write_corpus
from tests.support.fuzz.worker import Ran

LIMIT = 10.0
"""Seconds in which a case must be read and written."""
_JUDGING = 300.0

__all__ = ["LIMIT", "fuzz"]


def fuzz(seeds: Iterable[int], jobs: int = 1, told: Callable[[Ran], None] | None = None) -> list[Ran]:
    """Run the cases of these seeds; `told` hears of each, from one thread at a time, in no order."""
    lock = threading.Lock()
    done: list[Ran] = []
    with tempfile.TemporaryDirectory(prefix="chunkvol-fuzz-") as name, _children(Path(name), jobs) as children:
        free = list(children)

        def one(seed: int) -> None:
            with lock:
                child = free.pop()
            ran = _ran(child, seed)
            with lock:
                free.append(child)
                done.append(ran)
                if told is not None:
                    told(ran)

        with ThreadPoolExecutor(jobs) as pool:
            for _ in pool.map(one, seeds):
                pass
    return sorted(done, key=lambda ran: ran.seed)


@contextmanager
def _children(folder: Path, jobs: int) -> Iterator[list[Child]]:
    corpus = folder / "corpus"
    corpus.mkdir()
    write_corpus(corpus)
    children = [
        Child("tests.support.fuzz.worker", folder / f"worker{n}.log", str(corpus), str(folder / f"scratch{n}"))
        for n in range(jobs)
    ]
    try:
        yield children
    finally:
        for child in children:
            child.close()


def _ran(child: Child, seed: int) -> Ran:
    for _ in range(2):  # once more where it hangs: the machine may have been busy
        series, kinds = _prepared(child, seed)
        try:
            return _run_and_judged(child, seed)
        except HungError as error:
            hung = Ran(seed, series, kinds, "hang", str(error), True)
        except CrashedError as error:
            return Ran(seed, series, kinds, "crash", str(error), True)
    return hung


def _prepared(child: Child, seed: int) -> tuple[str, tuple[str, ...]]:
    try:
        series, kinds = child.ask(("prepare", seed), _JUDGING)
    except (CrashedError, HungError) as error:
        raise RuntimeError(f"the fuzzer itself fails at seed {seed}: {error}") from None
    return series, kinds


def _run_and_judged(child: Child, seed: int) -> Ran:
    ran: Ran = child.ask(("run", seed), LIMIT)
    verdict: Any = child.ask(("judge", seed), _JUDGING)
    if verdict is None or ran.bad:
        return ran
    return replace(ran, outcome=verdict.name, words=verdict.why, bad=verdict.bad)
