"""The only door to dask's schedulers: a list of independent, idempotent units, on threads or on a cluster.

Threads run a plain graph on `dask.threaded`, so that the command line never imports `dask.array`. A cluster runs the
same units through dask.distributed; a unit that was cut short is run again, and writes the same bytes.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from chunkvol import system
from chunkvol.errors import InputError, ResourceError, StoppedError
from chunkvol.memory import MIB, Plan
from chunkvol.progress import Progress

WORKER_BASELINE = 180 * MIB
"""Resident size of a dask.distributed worker process before it works (measured: 150 MiB)."""

_PATIENCE = 10
"""Seconds in which a scheduler must answer."""

__all__ = ["WORKER_BASELINE", "Job", "Runner", "Work", "check_scheduler", "connected", "preload", "worker_count"]


@dataclass(frozen=True)
class Work:
    """One stage: the same function over many units."""

    name: str
    """For people."""
    run: Callable[[Any, Any], int]
    """`run(job, unit)` does one unit and returns the bytes it processed; picklable."""
    job: Any
    """What all units share; picklable."""
    units: Sequence[Any]
    """Small picklable descriptions, in the order in which they are best done."""
    total: int
    """Bytes that all units together process."""
    workers: int
    """Units at work at the same time."""


class Runner(Protocol):
    """Runs the units of a stage."""

    def __call__(self, work: Work, progress: Progress) -> None:
        """Do all units; an error of one stops the others."""


class Job(Protocol):
    """What a writer prepares: a promise, and the work behind it."""

    @property
    def plan(self) -> Plan:
        """Tasks, bytes and peak memory."""

    @property
    def names(self) -> tuple[str, ...]:
        """Files or folders of the staging folder to publish, a header after its data."""

    def run(self, folder: Path, runner: Runner, progress: Progress) -> None:
        """Make everything under `folder`; scratch lies beside `names` and is removed with the folder."""


def worker_count(scheduler: Any, asked: int | None = None) -> int:
    """Units to run at the same time: as asked, or one a processor, or one a cluster thread."""
    if asked is not None:
        if asked < 1:
            raise InputError(f"the number of workers must be at least 1, found {asked}")
        return asked
    if hasattr(scheduler, "nthreads"):
        return max(1, int(sum(scheduler.nthreads().values())))
    return system.cpu_count()


def check_scheduler(scheduler: Any) -> None:
    """Refuse what is none, before any work.

    Raises
    ------
    InputError
        It is neither a known name, nor an address, nor a client.
    """
    if scheduler not in ("threads", "local") and not _is_client(scheduler) and "://" not in str(scheduler):
        raise InputError(f"unknown scheduler {scheduler!r}: use threads, local, or an address such as tcp://host:8786")


def _is_client(scheduler: Any) -> bool:
    return hasattr(scheduler, "submit") and hasattr(scheduler, "scheduler_info")


def preload(scheduler: Any) -> None:
    """Import what running needs, so that a plan measures it."""
    check_scheduler(scheduler)
    if scheduler == "threads":
        import dask.threaded  # noqa: F401  # imported for its size
    else:
        _distributed()


@contextlib.contextmanager
def connected(scheduler: Any, workers: int) -> Iterator[Runner]:
    """A runner for "threads", "local", a scheduler's address, or a `distributed.Client`.

    Raises
    ------
    InputError
        For an unknown scheduler, an address that does not answer, or when dask.distributed is not installed.
    """
    check_scheduler(scheduler)
    if scheduler == "threads":
        yield _on_threads
    elif _is_client(scheduler):
        yield _OnClient(scheduler)
    else:
        with _client(scheduler, workers) as client:
            yield _OnClient(client)


def _on_threads(work: Work, progress: Progress) -> None:
    from dask.threaded import get

    progress.stage(work.name, work.total)
    stop = threading.Event()
    waiting = deque(work.units)

    def task(_: int) -> None:
        if stop.is_set():
            raise StoppedError("stopped")
        # Whoever is free takes the next unit: dask starts independent tasks in an order of its own, last to first.
        progress.advance(work.run(work.job, waiting.popleft()))

    keys = [f"{work.name}-{number:09d}" for number in range(len(work.units))]
    graph = {key: (task, number) for number, key in enumerate(keys)}
    pool = ThreadPoolExecutor(work.workers)
    try:
        get(graph, keys, pool=pool)
    finally:
        # Nobody may write once the caller starts to clean up.
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        system.give_memory_back()


@dataclass(frozen=True)
class _OnClient:
    """Runs units through a dask.distributed client."""

    client: Any

    def __call__(self, work: Work, progress: Progress) -> None:
        from distributed import KilledWorker, as_completed

        progress.stage(work.name, work.total)
        # The job is a task, not scattered data: it survives the worker that holds it.
        job = self.client.submit(_identity, work.job, pure=False)
        waiting, running = iter(work.units), set[Any]()

        def start() -> list[Any]:
            units = itertools.islice(waiting, max(0, self._enough() - len(running)))
            begun = [self.client.submit(work.run, job, unit, pure=False, retries=3) for unit in units]
            running.update(begun)
            return begun

        try:
            done = as_completed(start())
            for future in done:
                progress.advance(future.result())
                running.discard(future)
                done.update(start())
        except KilledWorker as error:
            raise ResourceError(
                f"worker after worker died in the stage {work.name!r}, probably for want of memory: give them more, "
                "fewer threads each, or a smaller --memory"
            ) from error
        except CancelledError as error:
            raise StoppedError("the dask scheduler went away; start it again and run the same command") from error
        finally:
            self._let_finish(running)

    def _enough(self) -> int:
        """Units to have under way: one at work and one in reserve for each thread."""
        return max(4, 2 * worker_count(self.client))

    def _let_finish(self, running: set[Any]) -> None:
        """Wait for units that workers have: nobody may write once the caller starts to clean up, and a unit that has
        begun cannot be called back."""
        from distributed import wait

        with contextlib.suppress(CancelledError):
            while running:
                with contextlib.suppress(TimeoutError):
                    wait(running, timeout=1)
                    return
                if not any(self.client.processing().values()):
                    return


def _identity(value: Any) -> Any:
    return value


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise InputError(
            "a cluster scheduler needs dask.distributed: pip install 'chunkvol[cluster]', or use --scheduler threads"
        ) from error
    return distributed


@contextlib.contextmanager
def _client(scheduler: Any, workers: int) -> Iterator[Any]:
    distributed = _distributed()
    if scheduler == "local":
        with (
            distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=0,
                dashboard_address=None,
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # else 8787, with a warning where it is taken
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            client.run(system.ignore_interrupts)
            yield client
        return
    try:
        client = distributed.Client(scheduler, timeout=_PATIENCE)
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(f"no dask scheduler answers at {scheduler}: {error}") from error
    with client:
        yield client
