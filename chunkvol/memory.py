"""Bytes: how users write them, how many a run may hold, and the plan that promises it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from chunkvol import system
from chunkvol.errors import BudgetError, InputError

MIB = 1 << 20
GIB = 1 << 30

SLACK = 12 * MIB
"""Kept free in every plan: thread stacks, allocator arenas, small Python objects."""

_LOOSE = 8
"""One part in so many of what the units hold is lost between the allocator's blocks (measured: up to a tenth)."""

_UNITS = {"": 1, "b": 1, "k": 10**3, "kb": 10**3, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9, "t": 10**12}
_UNITS |= {"tb": 10**12, "kib": 1 << 10, "mib": MIB, "gib": GIB, "tib": 1 << 40}

Step = TypeVar("Step")

__all__ = [
    "Phase",
    "Plan",
    "Result",
    "Terms",
    "check_staging",
    "default_budget",
    "fit",
    "format_bytes",
    "parse_bytes",
    "process_bytes",
    "too_small",
]


def parse_bytes(text: str | float) -> int:
    """Bytes of "2GiB", "500 MB", "1.5g" or a plain number.

    Raises
    ------
    InputError
        When the text is not a positive amount of bytes.
    """
    if not isinstance(text, str):
        try:
            text = repr(int(text))
        except (TypeError, ValueError, OverflowError):
            text = repr(text)
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([a-zA-Z]*)\s*", text)
    if not match or match[2].lower() not in _UNITS:
        raise InputError(f"{text!r} is not an amount of bytes; write it as 2GiB, 500MB or 1500000")
    amount = int(float(match[1]) * _UNITS[match[2].lower()])
    if amount < 1:
        raise InputError(f"{text!r} is no room at all; write an amount such as 2GiB")
    return amount


def format_bytes(count: float) -> str:
    """A short text in binary units: 1.5 GiB."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def default_budget() -> int:
    """The smaller of 4 GiB and half of what is available to this process."""
    return min(4 * GIB, system.available_memory() // 2)


@dataclass(frozen=True, slots=True)
class Terms:
    """How a job is to be run; nothing of it shows in the output."""

    workers: int
    """Most units at a time."""
    budget: int
    """Bytes that the process may hold."""
    baseline: int = 0
    """Bytes that it holds already, with everything imported that the work needs."""
    action: str = ""
    """What will be done, for people: the plan's title."""

    @property
    def room(self) -> int:
        """Bytes that all units may hold together, so that the plan's peak stays within the budget."""
        return (self.budget - self.baseline - SLACK) * _LOOSE // (_LOOSE + 1)


@dataclass(frozen=True, slots=True)
class Phase:
    """What a plan says of one stage of the work."""

    name: str
    """What happens, for people."""
    units: int
    """Self-contained pieces of work."""
    workers: int
    """Units at work at the same time."""
    block: str
    """What a unit holds at once, for people: slab and band sizes."""
    unit_memory: int
    """Most bytes that one unit holds."""
    bytes_read: int
    """Bytes fetched from the input or from scratch."""
    bytes_written: int
    """Bytes written, before compression."""

    @property
    def memory(self) -> int:
        """Most bytes that all units at work hold together."""
        return self.unit_memory * self.workers


@dataclass(frozen=True, slots=True)
class Result:
    """What will stand in the output."""

    size: tuple[int, int, int]
    """Voxels along x, y, z of the index (i, j, k)."""
    spacing: tuple[float, float, float]
    """Spacing along i, j, k, mm."""
    dtype: str
    """Type of the voxels."""
    bytes: int
    """Uncompressed size of all levels."""
    levels: int
    """Levels of the pyramid, 1 where the format has none."""
    leftover: tuple[int, int, int]
    """Source voxels along i, j, k at the far end that do not fill a block."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The promise made before a run: tasks, bytes and peak memory of the whole process, interpreter included."""

    action: str
    """What will be done, for people."""
    phases: tuple[Phase, ...]
    """The stages, in order."""
    result: Result
    """What comes out."""
    baseline: int
    """Resident bytes of the process when the plan was made, with everything imported that the work needs."""
    budget: int
    """Bytes that the run may hold."""
    scratch: int
    """Disk beside the output that is used and given back: staged, spooled and pyramid data."""
    notes: tuple[str, ...] = ()
    """What a user should know, one sentence each."""
    region_bytes: int = 0
    """Bytes of the input's voxels that the output needs at all, each counted once."""

    @property
    def peak_bytes(self) -> int:
        """The most that the process will hold."""
        return process_bytes(self.baseline, max((phase.memory for phase in self.phases), default=0))

    @property
    def disk_bytes(self) -> int:
        """Disk needed beside the output, the output itself included (as if nothing compressed)."""
        return self.result.bytes + self.scratch

    @property
    def bytes_read(self) -> int:
        """Bytes fetched, scratch included."""
        return sum(phase.bytes_read for phase in self.phases)

    @property
    def bytes_written(self) -> int:
        """Bytes written before compression, scratch included."""
        return sum(phase.bytes_written for phase in self.phases)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "action": self.action,
            "phases": [{name: getattr(phase, name) for name in Phase.__slots__} for phase in self.phases],
            "result": {name: getattr(self.result, name) for name in Result.__slots__},
            "bytes_read": self.bytes_read,
            "bytes_written": self.bytes_written,
            "region_bytes": self.region_bytes,
            "scratch": self.scratch,
            "disk_bytes": self.disk_bytes,
            "peak_bytes": self.peak_bytes,
            "budget": self.budget,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        lines = [self.action, *self._result_lines(), *map(self._phase_line, self.phases)]
        lines.append(f"  reads   {format_bytes(self.bytes_read)}, writes {format_bytes(self.bytes_written)}")
        lines.append(
            f"  disk    {format_bytes(self.disk_bytes)} at most, of it {format_bytes(self.scratch)} given back"
        )
        lines.append(f"  memory  {format_bytes(self.peak_bytes)} peak, budget {format_bytes(self.budget)}")
        lines += [f"  note    {note}" for note in self.notes]
        return "\n".join(lines)

    def _result_lines(self) -> list[str]:
        made = self.result
        size = " x ".join(map(str, made.size))
        spacing = " x ".join(f"{s:.6g}" for s in made.spacing)
        levels = f", {made.levels} levels" if made.levels > 1 else ""
        lines = [f"  result  {size} {made.dtype}, spacing {spacing} mm (x, y, z), {format_bytes(made.bytes)}{levels}"]
        if any(made.leftover):
            cut = ", ".join(f"{n} along {axis}" for n, axis in zip(made.leftover, "xyz", strict=True) if n)
            lines.append(f"  left    {cut}: source voxels at the far end that do not fill a block")
        return lines

    def _phase_line(self, phase: Phase) -> str:
        return (
            f"  {phase.name:<7} {_count(phase.units, 'unit')} on {_count(phase.workers, 'worker')}, {phase.block}, "
            f"{format_bytes(phase.unit_memory)} each"
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def fit(steps: Sequence[Step], cost: Callable[[Step], int], *, workers: int, room: int) -> tuple[int, Step]:
    """Workers and the first of `steps` (largest first) with which `workers * cost(step)` stays within `room`.

    Steps shrink before workers are given up.

    Raises
    ------
    BudgetError
        When a single worker at the smallest step does not fit; `shortfall` tells by how many bytes.
    """
    for count in range(workers, 0, -1):
        for step in steps:
            if count * cost(step) <= room:
                return count, step
    error = BudgetError("the work does not fit the memory budget")
    error.shortfall = min(map(cost, steps)) - room  # type: ignore[attr-defined]  # read by `too_small`
    raise error


def too_small(budget: int, error: BudgetError) -> BudgetError:
    """The error for a budget that nothing fits, naming the smallest that would do."""
    shortfall = getattr(error, "shortfall", 0)
    needed = math.ceil((budget + shortfall + shortfall // _LOOSE) * 1.02 / MIB)
    return _refused(budget, needed)


def check_staging(budget: int, least: int, error: BudgetError | None) -> None:
    """Refuse a budget that does not hold what has to be copied before the work can begin.

    Parameters
    ----------
    budget
        Bytes that the process may hold.
    least
        Bytes that it holds while the copy is made.
    error
        What the work itself is refused with, of `too_small`; raised where that needs more.

    Raises
    ------
    BudgetError
        With the smallest budget that would do for both.
    """
    needed = math.ceil(least / MIB)
    if error is not None and not 0 < getattr(error, "needed", 0) < needed:
        raise error
    if error is not None or least > budget:
        raise _refused(budget, needed) from None


def _refused(budget: int, needed: int) -> BudgetError:
    error = BudgetError(
        f"the memory budget of {format_bytes(budget)} is too small for this work; "
        f"the smallest that fits is --memory {needed}MiB"
    )
    error.needed = needed  # type: ignore[attr-defined]  # read by `check_staging`
    return error


def process_bytes(baseline: int, held: int) -> int:
    """The most that a process holds whose work holds so much beside its baseline."""
    return baseline + SLACK + held + held // _LOOSE
