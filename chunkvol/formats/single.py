"""A volume of one plane as one file: what a folder of such files would hold, by itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chunkvol.errors import InputError
from chunkvol.execute import Job, Runner
from chunkvol.memory import Plan
from chunkvol.progress import Progress
from chunkvol.volume import Volume

__all__ = ["SingleJob", "check_one_plane", "folder_for"]


@dataclass(frozen=True)
class SingleJob:
    """A file to be written, by way of a folder of one file that another job writes."""

    inner: Job
    """Writes that folder."""
    name: str
    """Of the file to publish."""
    extras: tuple[tuple[str, bytes], ...] = ()
    """Small files beside it, by name."""

    @property
    def plan(self) -> Plan:
        """The promise."""
        return self.inner.plan

    @property
    def names(self) -> tuple[str, ...]:
        """Everything to publish, the file last."""
        return (*(name for name, _ in self.extras), self.name)

    def run(self, folder: Path, runner: Runner, progress: Progress) -> None:
        """Have the folder written, and take its file out."""
        self.inner.run(folder, runner, progress)
        (made,) = (folder / self.inner.names[0]).iterdir()
        made.replace(folder / self.name)
        for name, content in self.extras:
            (folder / name).write_bytes(content)


def folder_for(target: Path) -> Path:
    """Where the folder of one file goes: scratch, with a name that the file does not have."""
    return target.with_name(f"{target.name}.folder")


def check_one_plane(volume: Volume, target: Path, noun: str, otherwise: str) -> None:
    """Refuse volumes of several planes; `otherwise` says what to do with them.

    Raises
    ------
    InputError
        There are several planes along k.
    """
    planes = volume.shape[0]
    if planes > 1:
        raise InputError(
            f"{target.name} is one {noun} and the volume has {planes} planes: {otherwise}, or cut one plane with "
            "chunkvol slice"
        )
