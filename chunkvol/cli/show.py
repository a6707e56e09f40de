"""Progress on a terminal, as plain lines in a log, or not at all."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import Any

import click

from chunkvol import system
from chunkvol.memory import format_bytes
from chunkvol.progress import Progress, Silent

_PLAIN_EVERY = 10.0
"""Seconds between two lines in a log."""

__all__ = ["progress_for", "tell"]


def tell(text: str) -> None:
    """Print a line on standard error; a log on a full disk is no reason for a long job to fail."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def progress_for(quiet: bool) -> Progress:
    """Bars on a terminal, lines otherwise, nothing when quiet; all on standard error."""
    if quiet:
        return Silent()
    return _Bars() if sys.stderr.isatty() else _Lines()


def _amount(count: float, unit: str) -> str:
    if unit == "B":
        return format_bytes(count)
    number = f"{count:.0f}"
    return f"{number} {unit.removesuffix('s') if number == '1' else unit}"


def _memory(before: str = "") -> str:
    """What the process holds, after `before`; nothing where the system does not tell."""
    held = system.resident_memory()
    return f"{before}{format_bytes(held)}" if held else ""


class _Lines:
    """A line when a stage starts, one every few seconds, one when it ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._name, self._total, self._unit = "", 0, "B"
        self._done, self._started, self._told = 0, 0.0, 0.0

    def stage(self, name: str, total: int, unit: str = "B") -> None:
        with self._lock:
            self._end()
            self._name, self._total, self._unit = name, total, unit
            self._done, self._started = 0, time.monotonic()
            self._told = self._started

    def advance(self, amount: int) -> None:
        with self._lock:
            self._done += amount
            now = time.monotonic()
            if now - self._told >= _PLAIN_EVERY:
                self._told = now
                self._tell(now)

    def _tell(self, now: float) -> None:
        rate = self._done / max(now - self._started, 1e-6)
        left = (self._total - self._done) / rate if rate else 0
        tell(
            f"{self._name}: {_amount(self._done, self._unit)} of {_amount(self._total, self._unit)}, "
            f"{_amount(rate, self._unit)}/s, {left:.0f} s left{_memory(', memory ')}"
        )

    def _end(self) -> None:
        if self._name and self._total and self._done:  # nothing is done of a stage that failed at once
            seconds = time.monotonic() - self._started
            tell(f"{self._name}: {_amount(self._done, self._unit)} in {seconds:.1f} s")
        self._name = ""

    def say(self, text: str) -> None:
        with self._lock:
            if self._done >= self._total:
                self._end()
        tell(f"note: {text}")

    def close(self) -> None:
        with self._lock:
            self._end()


class _Bars:
    """One bar a stage, with rate, time left and memory."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._progress: Any = Progress(
            TextColumn("{task.description:>16}"),
            BarColumn(),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[memory]}"),
            console=Console(stderr=True),
        )
        self._progress.start()
        self._lock = threading.Lock()
        self._task: Any = None
        self._unit, self._done, self._total, self._started = "B", 0, 0, 0.0

    def stage(self, name: str, total: int, unit: str = "B") -> None:
        with self._lock:
            self._unit, self._done, self._total, self._started = unit, 0, total, time.monotonic()
            self._task = self._progress.add_task(name, total=total or None, text="", memory="")

    def advance(self, amount: int) -> None:
        with self._lock:
            self._done += amount
            rate = self._done / max(time.monotonic() - self._started, 1e-6)
            self._progress.update(
                self._task,
                advance=amount,
                text=f"{_amount(self._done, self._unit)} of {_amount(self._total, self._unit)}, "
                f"{_amount(rate, self._unit)}/s",
                memory=_memory(),
            )

    def say(self, text: str) -> None:
        self._progress.console.print(f"note: {text}", highlight=False, markup=False)

    def close(self) -> None:
        self._progress.stop()
