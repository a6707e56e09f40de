"""The headers of many files, read one after another where they are at hand and together where they are waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from chunkvol import system
from chunkvol.progress import Progress

_BATCH = 32
_TOGETHER = 8
_WAITING = 2.0

Item = TypeVar("Item")
Found = TypeVar("Found")

__all__ = ["examined"]


def examined(
    items: Sequence[Item], examine: Callable[[Sequence[Item]], list[Found]], progress: Progress
) -> Iterator[Found]:
    """What `examine` makes of the items, a batch at a time, in their order; `progress` is told of each batch.

    Threads pay where files are waited for, as on a network or a cold disk. Where they are at hand, threads would wait
    for each other, so every few batches one is read alone to see which it is.
    """
    batches = [items[at : at + _BATCH] for at in range(0, len(items), _BATCH)]
    threads = system.cpu_count() * 2
    at = 0
    with ThreadPoolExecutor(threads, "headers") as pool:
        try:
            while at < len(batches):
                wall, busy = time.perf_counter(), time.thread_time()
                yield from _told([examine(batches[at])], progress)
                at += 1
                if time.perf_counter() - wall > _WAITING * (time.thread_time() - busy):
                    end = at + _TOGETHER * threads
                    yield from _told(pool.map(examine, batches[at:end]), progress)
                    at = end
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _told(batches: Iterable[list[Found]], progress: Progress) -> Iterator[Found]:
    for batch in batches:
        progress.advance(len(batch))
        yield from batch
