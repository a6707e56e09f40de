"""The door to the schedulers: the same bytes from any of them, in any order, twice; one writer for every byte."""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkvol
from chunkvol import Volume, execute, memory, output, pipeline, slabs, system
from chunkvol.errors import DamagedError, InputError, ResourceError, StoppedError
from chunkvol.execute import Runner, Work
from chunkvol.formats import format_for_writing
from chunkvol.formats.ome_zarr import shards
from chunkvol.ops.downsample import downsample
from chunkvol.progress import Progress, Silent
from chunkvol.regions import Region, Shape, region_shape
from chunkvol.sources import Block, Source
from tests.cli.commands import listing
from tests.support.grids import noise_volume, oblique_grid

GRID = oblique_grid((130, 70, 530), spacing=(0.3, 0.3, 0.3))
TALL = oblique_grid((130, 320, 110), spacing=(0.3, 0.3, 0.3))


@dataclass(frozen=True)
class Decoded(Source):
    """Numbered voxels of planes that can only be had whole; reading may take time, or fail at one plane."""

    shape: Shape
    broken: int | None = None
    seconds: float = 0.0
    mark: Path | None = None
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype("uint16"))

    @property
    def grain(self) -> Shape:
        return (1, *self.shape[1:])

    def read(self, region: Region, out: Block | None = None) -> Block:
        if self.broken is not None and region[0].start <= self.broken < region[0].stop:
            if self.mark is not None:
                with open(self.mark, "a") as file:
                    file.write("read\n")
            time.sleep(self.seconds / 2)
            raise DamagedError(f"plane {self.broken} is broken")
        time.sleep(self.seconds)
        k, j, i = np.ogrid[region]
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        block[...] = (k * 7919 + j * 31 + i) % 4001
        return block


def job_of(volume: Volume, target: Path, *, budget: int = 8 << 30, workers: int = 2, **options: Any) -> Any:
    return pipeline._prepare(volume, target, format_for_writing(target), budget, workers, "threads", options)


CASES: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "raw": ("o.nrrd", lambda: downsample(noise_volume(GRID), 2), {}),
    "detached": ("o.nhdr", lambda: noise_volume(GRID, "int16"), {}),
    "gzip": ("o.nrrd", lambda: noise_volume(GRID, "uint8"), {"encoding": "gzip"}),
    "store": ("o.ome.zarr", lambda: noise_volume(GRID), {}),
    "store of modes": ("o.ome.zarr", lambda: noise_volume(GRID, "uint8"), {"method": "mode"}),
    "store of decoded planes": ("o.ome.zarr", lambda: Volume(Decoded(GRID.shape), GRID), {}),
    "spooled store": ("o.ome.zarr", lambda: Volume(Decoded(TALL.shape), TALL), {}),
}


def case(name: str, folder: Path) -> tuple[Any, Path]:
    """The job of a case and its target."""
    folder.mkdir(exist_ok=True)
    target, make, options = CASES[name]
    if name == "spooled store":
        return spooled(make(), folder / target), folder / target
    return job_of(make(), folder / target, **options), folder / target


def spooled(volume: Volume, target: Path) -> Any:
    """The job with the largest budget that a slab of decoded planes does not fit."""
    for room in range(40 << 20, 0, -(1 << 19)):
        job = job_of(volume, target, budget=system.resident_memory() + memory.SLACK + room + room // 8)
        if job.target.spool:
            return job
    raise AssertionError("no budget makes it spool")


def run(job: Any, target: Path, runner: Runner) -> dict[str, str]:
    with output.staging(target, job.names) as folder:
        job.run(folder, runner, Silent())
    return listing(target.parent)


@dataclass
class Shuffled:
    """Every unit twice, in an order that nobody would choose."""

    seed: int
    stages: list[str] = field(default_factory=list)

    def __call__(self, work: Work, progress: Progress) -> None:
        self.stages.append(f"{work.name}: {len(work.units)}")
        units = [*work.units, *work.units]
        random.Random(self.seed).shuffle(units)
        for unit in units:
            work.run(pickle.loads(pickle.dumps(work.job)), pickle.loads(pickle.dumps(unit)))


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slabs, "UNIT_BYTES", 1 << 18)
    monkeypatch.setattr(slabs, "MIB", 1 << 16)


# ----------------------------------------------------------------------------------------------------- the laws


def test_units_are_begun_in_their_order() -> None:
    ran: list[int] = []

    def work(job: None, unit: int) -> int:
        ran.append(unit)
        return 1

    with execute.connected("threads", 1) as runner:
        runner(Work("testing", work, None, range(200), 200, 1), Silent())
    assert ran == list(range(200))


@pytest.mark.parametrize("name", CASES)
def test_units_may_run_in_any_order_and_twice(name: str, tmp_path: Path, small_units: None) -> None:
    job, target = case(name, tmp_path / "plain")
    with execute.connected("threads", 2) as threads:
        expected = run(job, target, threads)
    runner = Shuffled(5)
    job, target = case(name, tmp_path / "shuffled")
    assert run(job, target, runner) == expected
    assert max(int(stage.split(": ")[1]) for stage in runner.stages) >= 3, runner.stages


@dataclass
class Recorded:
    """One unit after the other; `now` names the one at work."""

    now: tuple[Any, ...] = ()

    def __call__(self, work: Work, progress: Progress) -> None:
        for number, unit in enumerate(work.units):
            self.now = (work.name, number)
            work.run(work.job, unit)
        self.now = ()


@pytest.mark.parametrize("name", [name for name in CASES if "store" in name])
def test_no_shard_has_two_writers(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner, writers = Recorded(), dict[str, list[Any]]()

    def recording(path: Any, mode: str = "r", *more: Any, **options: Any) -> Any:
        if mode != "rb":
            writers.setdefault(str(path), []).append(runner.now)
        return open(path, mode, *more, **options)

    monkeypatch.setattr(shards, "open", recording, raising=False)
    job, target = case(name, tmp_path / "a")
    done = run(job, target, runner)
    assert len(writers) >= 5
    assert {len(times) for times in writers.values()} == {1}
    assert len(writers) == sum(1 for path, mark in done.items() if "/c/" in path and mark)


@pytest.mark.parametrize("name", ["raw", "detached", "store", "spooled store"])
def test_every_byte_of_a_raw_file_has_one_writer(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_units: None
) -> None:
    runner, counts, pwrite = Recorded(), dict[str, Any](), system.pwrite

    def recording(fd: int, data: Any, offset: int) -> None:
        path = str(Path(f"/proc/self/fd/{fd}").readlink())
        count = counts.setdefault(path, np.zeros(os.fstat(fd).st_size, np.uint8))
        count[offset : offset + len(memoryview(data).cast("B"))] += 1
        pwrite(fd, data, offset)

    if not Path("/proc/self/fd").exists():
        pytest.skip("the names of open files are known on Linux only")
    monkeypatch.setattr(system, "pwrite", recording)
    job, target = case(name, tmp_path / "a")
    run(job, target, runner)
    assert counts
    for path, count in counts.items():
        header = len(job.file.header) if path.endswith(".nrrd") else 0
        assert not count[:header].any(), path
        assert (count[header:] == 1).all(), path


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_the_bytes_do_not_depend_on_the_number_of_workers(workers: int, tmp_path: Path, small_units: None) -> None:
    for n, count in enumerate((2, workers)):
        (tmp_path / str(n)).mkdir()
        for target, volume in (
            ("o.nrrd", downsample(noise_volume(GRID), (2, 3, 4))),
            ("o.ome.zarr", noise_volume(GRID)),
        ):
            chunkvol.write_volume(volume, tmp_path / str(n) / target, workers=count)
    assert listing(tmp_path / "0") == listing(tmp_path / "1")


# ------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("target", ["o.nrrd", "o.nhdr", "o.ome.zarr"])
@pytest.mark.parametrize("broken", [0, 77, 129])
def test_a_unit_that_fails_leaves_nothing_and_its_own_error(broken: int, target: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    source = Decoded(GRID.shape, broken, mark=mark)
    (tmp_path / "out").mkdir()
    with pytest.raises(DamagedError, match=f"^plane {broken} is broken$") as caught:
        chunkvol.write_volume(Volume(source, GRID), tmp_path / "out" / target, workers=2)
    assert not list((tmp_path / "out").iterdir())
    assert not isinstance(caught.value.__context__, StoppedError)
    assert mark.read_text() == "read\n"


def test_after_an_error_no_unit_is_begun(tmp_path: Path) -> None:
    ran: list[int] = []

    def work(job: None, unit: int) -> int:
        ran.append(unit)
        if unit == 1:
            raise DamagedError("unit 1")
        time.sleep(0.02)
        return 1

    with execute.connected("threads", 2) as runner, pytest.raises(DamagedError, match="unit 1"):
        runner(Work("testing", work, None, range(500), 500, 2), Silent())
    begun = len(ran)
    time.sleep(0.1)
    assert len(ran) == begun < 20


def test_progress_counts_every_unit_once() -> None:
    class Told(Silent):
        def __init__(self) -> None:
            self.lock, self.total, self.stages = threading.Lock(), 0, list[Any]()

        def stage(self, name: str, total: int, unit: str = "B") -> None:
            self.stages.append((name, total, unit))

        def advance(self, amount: int) -> None:
            with self.lock:
                self.total += amount

    told = Told()
    with execute.connected("threads", 3) as runner:
        runner(Work("testing", lambda job, unit: job * unit, 10, range(50), 12250, 3), told)
    assert (told.total, told.stages) == (12250, [("testing", 12250, "B")])


def test_no_more_units_are_at_work_than_were_planned() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def work(job: None, unit: int) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.005)
        with lock:
            now -= 1
        return 1

    with execute.connected("threads", 3) as runner:
        runner(Work("testing", work, None, range(40), 40, 3), Silent())
    assert most == 3


@pytest.mark.parametrize("scheduler", ["slurm", "", "processes", 4, None])
def test_an_unknown_scheduler_is_refused(scheduler: Any, tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid((3, 4, 5)))
    with pytest.raises(InputError, match=r"unknown scheduler .*: use threads, local, or an address"):
        chunkvol.plan_write(volume, tmp_path / "o.nrrd", scheduler=scheduler)
    with pytest.raises(InputError, match="unknown scheduler"), execute.connected(scheduler, 1):
        pass


@pytest.mark.parametrize("workers", [0, -1])
def test_less_than_one_worker_is_refused(workers: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"number of workers must be at least 1, found {workers}"):
        chunkvol.write_volume(noise_volume(oblique_grid((3, 4, 5))), tmp_path / "o.nrrd", workers=workers)


def test_a_cluster_without_dask_distributed_names_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'chunkvol\[cluster\]', or use --scheduler threads"):
        chunkvol.plan_write(noise_volume(oblique_grid((3, 4, 5))), tmp_path / "o.nrrd", scheduler="local")


# ------------------------------------------------------------------------------------------------------ clusters


QUIET: dict[str, Any] = {"dashboard_address": None, "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"}}
"""A port of its own for the pages that nobody reads."""


@contextlib.contextmanager
def started(workers: int) -> Iterator[Any]:
    """A client of so many worker processes of one thread each."""
    distributed = pytest.importorskip("distributed", reason="tool is missing: distributed")
    with (
        distributed.LocalCluster(n_workers=workers, threads_per_worker=1, memory_limit=0, **QUIET) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.wait_for_workers(workers, timeout=60)
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two worker processes, for this module."""
    with started(2) as made:
        yield made


@pytest.mark.cluster
def test_a_client_gives_the_same_bytes(client: Any, tmp_path: Path, small_units: None) -> None:
    for n, scheduler in enumerate(("threads", client)):
        (tmp_path / str(n)).mkdir()
        for name, (target, make, options) in CASES.items():
            if name not in ("detached", "spooled store"):
                place = tmp_path / str(n) / f"{name} {target}"
                chunkvol.write_volume(make(), place, scheduler=scheduler, workers=2, **options)
    assert listing(tmp_path / "0") == listing(tmp_path / "1")


@pytest.mark.cluster
def test_worker_processes_of_our_own_give_the_same_bytes(tmp_path: Path) -> None:
    volume = noise_volume(GRID)
    for n, scheduler in enumerate(("threads", "local")):
        (tmp_path / str(n)).mkdir()
        chunkvol.write_volume(volume, tmp_path / str(n) / "o.ome.zarr", scheduler=scheduler, workers=2)
    assert listing(tmp_path / "0") == listing(tmp_path / "1")


@pytest.mark.cluster
@pytest.mark.parametrize("target", ["o.nrrd", "o.ome.zarr"])
def test_a_killed_worker_changes_no_byte(target: str, tmp_path: Path, small_units: None) -> None:
    grid = oblique_grid((64 * 10, 40, 41), spacing=(0.3, 0.3, 0.3))
    for n in "01":
        (tmp_path / n).mkdir()
    chunkvol.write_volume(Volume(Decoded(grid.shape), grid), tmp_path / "0" / target)
    slow = Volume(Decoded(grid.shape, seconds=0.3), grid)
    killed: list[int] = []

    def kill_one(client: Any) -> None:
        end = time.monotonic() + 30
        busy: list[str] = []
        while time.monotonic() < end and not busy:
            time.sleep(0.01)
            busy = [worker for worker, keys in client.processing().items() if any("unit" in key for key in keys)]
        pid = client.run(os.getpid, workers=busy[:1])[busy[0]]
        time.sleep(0.4)
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    with started(2) as client:
        killer = threading.Thread(target=kill_one, args=(client,))
        killer.start()
        chunkvol.write_volume(slow, tmp_path / "1" / target, scheduler=client)
        assert killed, "the run was over before a worker was killed"
        killer.join()
    assert listing(tmp_path / "0") == listing(tmp_path / "1")


@pytest.mark.cluster
@pytest.mark.parametrize("target", ["o.nrrd", "o.ome.zarr"])
def test_a_unit_that_fails_on_a_worker_leaves_nothing(
    target: str, client: Any, tmp_path: Path, small_units: None
) -> None:
    """Units that other workers are doing must have ended before the folder is removed, or they would make it anew."""
    grid = oblique_grid((64 * 12, 20, 21))
    source = Decoded(grid.shape, broken=0, seconds=0.4)
    with pytest.raises(DamagedError, match=r"^plane 0 is broken$"):
        chunkvol.write_volume(Volume(source, grid), tmp_path / target, scheduler=client)
    time.sleep(1)
    assert not list(tmp_path.iterdir())
    assert not any(client.processing().values())


def _die(job: None, unit: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


@pytest.mark.cluster
def test_a_unit_that_kills_its_workers_is_no_traceback() -> None:
    dask = pytest.importorskip("dask", reason="tool is missing: dask")
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        started(1) as client,
        execute.connected(client, 1) as runner,
        pytest.raises(ResourceError, match="worker after worker died in the stage 'testing'"),
    ):
        runner(Work("testing", _die, None, [1], 1, 1), Silent())


def _sleep(job: None, unit: int) -> int:
    time.sleep(0.2)
    return 1


@pytest.mark.cluster
def test_a_scheduler_that_goes_away_can_be_started_again() -> None:
    distributed = importlib.import_module("distributed")
    made = distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, memory_limit=0, **QUIET)
    with distributed.Client(made) as client, execute.connected(client, 1) as runner:
        closer = threading.Timer(1.0, made.close)
        closer.start()
        with pytest.raises(StoppedError, match="the dask scheduler went away"):
            runner(Work("testing", _sleep, None, range(100), 100, 1), Silent())
        closer.join()


@pytest.mark.cluster
def test_a_client_is_left_open(client: Any, tmp_path: Path) -> None:
    done = chunkvol.write_volume(noise_volume(oblique_grid((3, 4, 5))), tmp_path / "o.nrrd", scheduler=client)
    assert done.peak_bytes == 0  # that of the workers is not known here
    assert client.submit(len, "abc").result() == 3
    assert execute.worker_count(client) == 2


@pytest.mark.cluster
def test_an_address_that_does_not_answer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "_PATIENCE", 1)
    volume = noise_volume(oblique_grid((3, 4, 5)))
    with pytest.raises(InputError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:9: "):
        chunkvol.write_volume(volume, tmp_path / "o.nrrd", scheduler="tcp://127.0.0.1:9")
    assert not list(tmp_path.iterdir())
