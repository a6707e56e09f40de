"""The operating system in one file: positioned I/O, durability, memory figures, signals; each with a portable way.

`os.pread`, `os.pwrite`, `os.posix_fadvise` and `/proc` exist on Linux and partly on macOS, not on Windows. Every use
of them is here, behind a test for their presence, so that deleting the native ones leaves a slower, working package.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

__all__ = [
    "available_memory",
    "cpu_count",
    "free_disk",
    "give_memory_back",
    "ignore_interrupts",
    "opened",
    "peak_memory",
    "pread_into",
    "pwrite",
    "read_soon",
    "reset_peak_memory",
    "resident_memory",
    "sync_file",
    "sync_folder",
    "write_back_soon",
]

_BINARY = getattr(os, "O_BINARY", 0)  # Windows translates line ends without it
_seek_lock = threading.Lock()  # where positioned I/O is missing, seek and read must not interleave


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], *, write: bool = False) -> Iterator[int]:
    """A file descriptor for the time of the block; `write` opens an existing file for writing."""
    fd = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | _BINARY)
    try:
        yield fd
    finally:
        os.close(fd)


def pread_into(fd: int, view: memoryview, offset: int) -> int:
    """Fill `view` with bytes from `offset`; returns how many there were (fewer only at the end of the file)."""
    done = 0
    while done < len(view):
        got = _pread_once(fd, view[done:], offset + done)
        if got == 0:
            break
        done += got
    return done


def pread(fd: int, length: int, offset: int) -> bytes:
    """Bytes from `offset`; fewer only at the end of the file."""
    if hasattr(os, "pread") and len(data := os.pread(fd, length, offset)) == length:
        return data
    buffer = bytearray(length)
    return bytes(buffer[: pread_into(fd, memoryview(buffer), offset)])


def _pread_once(fd: int, view: memoryview, offset: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(fd, [view], offset)
    if hasattr(os, "pread"):
        data = os.pread(fd, min(len(view), 1 << 24), offset)
    else:
        with _seek_lock:
            os.lseek(fd, offset, os.SEEK_SET)
            data = os.read(fd, min(len(view), 1 << 24))
    view[: len(data)] = data
    return len(data)


def pwrite(fd: int, data: memoryview | bytes, offset: int) -> None:
    """Write all bytes at `offset`."""
    view = memoryview(data).cast("B")
    done = 0
    while done < len(view):
        if hasattr(os, "pwrite"):
            done += os.pwrite(fd, view[done:], offset + done)
        else:
            with _seek_lock:
                os.lseek(fd, offset + done, os.SEEK_SET)
                done += os.write(fd, view[done : done + (1 << 24)])


def read_soon(fd: int, offset: int = 0, length: int = 0) -> None:
    """Start reading a range of a file, or all of it, into the system's cache without waiting."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, offset, length, os.POSIX_FADV_WILLNEED)


def write_back_soon(fd: int, offset: int, length: int) -> None:
    """Start writing a finished range to disk without waiting, so that the final sync has little left."""
    if hasattr(os, "posix_fadvise"):
        # Linux starts the write-back of dirty pages on DONTNEED and drops only clean ones.
        os.posix_fadvise(fd, offset, length, os.POSIX_FADV_DONTNEED)


def sync_file(fd: int) -> None:
    """Wait until the file's bytes are on disk."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(fd)
    else:
        os.fsync(fd)


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Make a rename or a new name in this folder durable; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def free_disk(path: Path) -> int:
    """Bytes free for the user on the disk of `path` or of its nearest existing parent."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def cpu_count() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peak_memory() -> int:
    """Largest resident size of this process so far, bytes; 0 where the system does not tell."""
    return _status("VmHWM") or _rusage_peak()


def resident_memory() -> int:
    """Resident size of this process now, bytes; 0 where the system does not tell."""
    now = _status("VmRSS")
    if now:
        return now
    try:
        import psutil
    except ImportError:
        return 0
    return int(psutil.Process().memory_info().rss)


def reset_peak_memory() -> None:
    """Start the peak afresh at the present size, where Linux allows it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def give_memory_back() -> None:
    """Return freed memory to the system between two stages; other C libraries than glibc do so or not by themselves."""
    with contextlib.suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL("libc.so.6").malloc_trim(0)


def ignore_interrupts() -> None:
    """Leave Ctrl-C to the process that started this one: a terminal sends it to both."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _status(name: str) -> int:
    try:
        with open("/proc/self/status", "rb") as file:
            for line in file:
                if line.startswith(name.encode()):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def _rusage_peak() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return resident_memory()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def available_memory() -> int:
    """Bytes that this process could still take: what the machine has free, or less where a cgroup says so."""
    return min(_machine_memory(), _cgroup_memory())


def _machine_memory() -> int:
    try:
        with open("/proc/meminfo", "rb") as file:
            for line in file:
                if line.startswith(b"MemAvailable"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import psutil
    except ImportError:
        return 4 << 30
    return int(psutil.virtual_memory().available)


def _cgroup_memory() -> int:
    """The tightest limit less its usage along this process's cgroups (version 2, then 1)."""
    room = 1 << 62
    for limit, usage in _cgroup_files():
        try:
            text = limit.read_text().strip()
            if text != "max":
                # Cached file pages count as usage and are given back under pressure.
                cached = _cgroup_cache(limit.parent / "memory.stat")
                room = min(room, max(0, int(text) - int(usage.read_text()) + cached))
        except (OSError, ValueError):
            continue
    return room


def _cgroup_cache(stat: Path) -> int:
    if not stat.exists():
        return 0
    for line in stat.read_text().splitlines():
        key, _, value = line.partition(" ")
        if key in ("inactive_file", "total_inactive_file"):
            return int(value)
    return 0


def _cgroup_files() -> Iterator[tuple[Path, Path]]:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers == "":
            root, limit, usage = Path("/sys/fs/cgroup"), "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            root, limit, usage = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        folder = root / name.lstrip("/")
        while True:
            if (folder / limit).exists():
                yield folder / limit, folder / usage
            if folder == root or root not in folder.parents:
                break
            folder = folder.parent
