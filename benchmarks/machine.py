"""What a result was measured on: machine, versions, commit."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from harness import ROOT

_PACKAGES = ("numpy", "numcodecs", "zarr", "dask", "scipy", "pydicom", "simpleitk", "tensorstore")
_DECODERS = ("imagecodecs",)

__all__ = ["commit", "machine"]


def machine() -> dict[str, Any]:
    """Processor, cores, memory, kernel, interpreter and packages; no names of hosts or people."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in (*_PACKAGES, *_DECODERS)},
    }


def commit() -> str:
    """The commit of this checkout, with a plus sign where the package differs from it; empty outside git."""
    head = _git("rev-parse", "HEAD")
    return head + ("+" if _git("status", "--porcelain", "--", "chunkvol") else "")


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip()
