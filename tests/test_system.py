"""The operating system: what is asked of it, and what happens where it has no answer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chunkvol import memory, system

NATIVE = ["preadv", "pread", "pwrite", "posix_fadvise", "fdatasync"]
MIB = 1 << 20
UNLIMITED = 1 << 62


@pytest.fixture(params=["native", "without preadv", "portable"])
def calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With and without what only some systems have."""
    gone = {"native": [], "without preadv": ["preadv"], "portable": NATIVE}[request.param]
    for name in gone:
        monkeypatch.delattr(os, name, raising=False)
    return str(request.param)


# ------------------------------------------------------------------------------------------- reading and writing


@pytest.mark.parametrize(
    ("offset", "length", "got"), [(0, 10, 10), (3, 4, 4), (7, 8, 3), (10, 5, 0), (99, 1, 0), (2, 0, 0)]
)
def test_reading_stops_at_the_end_of_the_file(calls: str, offset: int, length: int, got: int, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(range(10)))
    data = bytearray(b"\xff" * length)
    with system.opened(path) as fd:
        assert system.pread_into(fd, memoryview(data), offset) == got
    assert data == bytes(range(10))[offset : offset + length] + b"\xff" * (length - got)


def test_reading_soon_is_a_hint(calls: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(10))
    with system.opened(tmp_path / "a") as fd:
        system.read_soon(fd)


def test_reading_goes_on_after_a_short_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(range(100)))
    once = system._pread_once
    monkeypatch.setattr(system, "_pread_once", lambda fd, view, offset: once(fd, view[:7], offset))
    data = bytearray(90)
    with system.opened(tmp_path / "a") as fd:
        assert system.pread_into(fd, memoryview(data), 5) == 90
    assert data == bytes(range(5, 95))


def test_writing_puts_all_bytes_at_their_place(calls: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(20))
    with system.opened(path, write=True) as fd:
        system.pwrite(fd, b"abc", 5)
        system.pwrite(fd, memoryview(b"de").cast("B"), 19)
        system.write_back_soon(fd, 0, 21)
        system.sync_file(fd)
    system.sync_folder(tmp_path)
    assert path.read_bytes() == bytes(5) + b"abc" + bytes(11) + b"de"


def test_writing_goes_on_after_a_short_write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not hasattr(os, "pwrite"):
        pytest.skip("this system has no pwrite")
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:3], offset))
    (tmp_path / "a").write_bytes(b"")
    with system.opened(tmp_path / "a", write=True) as fd:
        system.pwrite(fd, bytes(range(20)), 4)
    assert (tmp_path / "a").read_bytes() == bytes(4) + bytes(range(20))


def test_many_threads_read_through_one_descriptor(calls: str, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    path = tmp_path / "a"
    path.write_bytes(b"".join(bytes([n]) * 4096 for n in range(64)))
    with system.opened(path) as fd:

        def read(n: int) -> bool:
            data = bytearray(4096)
            system.pread_into(fd, memoryview(data), n * 4096)
            return data == bytes([n]) * 4096

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(read, [*range(64)] * 10))


def test_a_descriptor_is_closed_after_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    with pytest.raises(ZeroDivisionError), system.opened(tmp_path / "a") as fd:
        raise ZeroDivisionError
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_folder_is_not_synced_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """There, opening a folder is an error."""
    monkeypatch.setattr(os, "name", "nt")
    system.sync_folder("no such folder")


def test_free_disk_is_that_of_the_nearest_folder(tmp_path: Path) -> None:
    assert abs(system.free_disk(tmp_path / "a" / "b" / "c") - system.free_disk(tmp_path)) < 1 << 30
    assert system.free_disk(Path("not here")) > 0


# ---------------------------------------------------------------------------------------------------- processors


def test_processors_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 5, 7}, raising=False)
    assert system.cpu_count() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert system.cpu_count() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert system.cpu_count() == 1


# -------------------------------------------------------------------------------------------------------- memory


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`root("proc/meminfo", text)` stands for /proc/meminfo; what was not given is not there."""

    def inside(path: Any) -> Path:
        return tmp_path / str(path).lstrip("/")

    def make(name: str, text: object) -> None:
        inside(name).parent.mkdir(parents=True, exist_ok=True)
        inside(name).write_text(str(text))

    monkeypatch.setattr(system, "Path", inside)
    monkeypatch.setattr(system, "open", lambda path, mode: inside(path).open(mode), raising=False)
    return make


def test_free_memory_is_what_the_machine_has_available(root: Callable[..., None]) -> None:
    root("proc/meminfo", "MemTotal:  8000 kB\nMemFree:  1000 kB\nMemAvailable:  5000 kB\n")
    assert system.available_memory() == 5000 * 1024


@pytest.mark.parametrize(
    ("limit", "used", "stat", "room"),
    [
        ("max", 10, "inactive_file 5\n", UNLIMITED),
        (100 * MIB, 30 * MIB, "anon 1\ninactive_file 0\n", 70 * MIB),
        (100 * MIB, 30 * MIB, f"anon 1\ninactive_file {20 * MIB}\n", 90 * MIB),
        (100 * MIB, 130 * MIB, "inactive_file 0\n", 0),
        (100 * MIB, 30 * MIB, None, 70 * MIB),
        ("nonsense", 30 * MIB, "", UNLIMITED),
    ],
)
def test_a_cgroup_of_version_2_limits_it(
    limit: object, used: int, stat: str | None, room: int, root: Callable[..., None]
) -> None:
    root("proc/self/cgroup", "0::/job\n")
    root("sys/fs/cgroup/job/memory.max", f"{limit}\n")
    root("sys/fs/cgroup/job/memory.current", f"{used}\n")
    if stat is not None:
        root("sys/fs/cgroup/job/memory.stat", stat)
    assert system._cgroup_memory() == room


def test_a_cgroup_of_version_1_limits_it(root: Callable[..., None]) -> None:
    root("proc/self/cgroup", "12:cpu,cpuacct:/\n5:memory:/slurm/job_7/step_0\n0::/\n")
    root("sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes", 200 * MIB)
    root("sys/fs/cgroup/memory/slurm/job_7/memory.usage_in_bytes", 80 * MIB)
    root("sys/fs/cgroup/memory/slurm/job_7/memory.stat", f"cache 1\ntotal_inactive_file {30 * MIB}\n")
    root("sys/fs/cgroup/memory/memory.limit_in_bytes", 9223372036854771712)
    root("sys/fs/cgroup/memory/memory.usage_in_bytes", 800 * MIB)
    root("proc/meminfo", "MemAvailable:  5000000 kB\n")
    assert system.available_memory() == 150 * MIB


def test_the_tightest_group_on_the_way_up_counts(root: Callable[..., None]) -> None:
    root("proc/self/cgroup", "0::/slurm/job/step\n")
    for folder, limit in (("slurm/job/step", "max"), ("slurm/job", 64 * MIB), ("slurm", 500 * MIB)):
        root(f"sys/fs/cgroup/{folder}/memory.max", limit)
        root(f"sys/fs/cgroup/{folder}/memory.current", 4 * MIB)
        root(f"sys/fs/cgroup/{folder}/memory.stat", "inactive_file 0\n")
    assert system._cgroup_memory() == 60 * MIB


def test_a_container_sees_its_own_group_at_the_root(root: Callable[..., None]) -> None:
    """The name is the host's, and does not exist inside."""
    root("proc/self/cgroup", "0::/../../docker/0123abc\n")
    root("sys/fs/cgroup/memory.max", 64 * MIB)
    root("sys/fs/cgroup/memory.current", 4 * MIB)
    root("sys/fs/cgroup/memory.stat", "inactive_file 0\n")
    assert system._cgroup_memory() == 60 * MIB


def test_no_groups_mean_no_limit(root: Callable[..., None]) -> None:
    assert system._cgroup_memory() == UNLIMITED
    root("proc/self/cgroup", "")
    assert system._cgroup_memory() == UNLIMITED


def test_without_proc_the_figures_come_from_elsewhere(root: Callable[..., None]) -> None:
    pytest.importorskip("psutil", reason="tool is missing: psutil")
    assert system.available_memory() > 100 * MIB
    assert 10 * MIB < system.resident_memory() < 8 << 30
    assert 10 * MIB < system.peak_memory() < 8 << 30


def test_without_anything_the_figures_are_modest(root: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    monkeypatch.setitem(sys.modules, "resource", None)
    assert system.available_memory() == 4 << 30
    assert memory.default_budget() == 2 << 30
    assert system.resident_memory() == 0
    assert system.peak_memory() == 0
    system.reset_peak_memory()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="VmHWM is a Linux figure")
def test_the_peak_is_that_of_this_process_in_bytes() -> None:
    code = (
        "from chunkvol import system\n"
        "before = system.peak_memory()\n"
        "block = b'x' * (100 << 20)\n"
        "del block\n"
        "after = system.peak_memory()\n"
        "assert 95 << 20 < after - before < 115 << 20, (before, after)\n"
        "assert system.resident_memory() < before + (20 << 20)\n"
        "assert system._rusage_peak() > after - (32 << 20)\n"  # the parent's may be in it
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_interrupts_are_ignored_where_workers_ask_for_it() -> None:
    code = (
        "import os, signal\n"
        "from chunkvol import system\n"
        "system.ignore_interrupts()\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "print('alive')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
