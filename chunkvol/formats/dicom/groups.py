"""Which images belong to one volume: series, and what tells several volumes within one series apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chunkvol.formats.dicom.header import Header

__all__ = ["Group", "choose", "find_groups"]


@dataclass(frozen=True, slots=True)
class Group:
    """Images that are meant to be one volume."""

    id: str
    """Short name, the same on every machine: the start of a hash of the Series Instance UID and of what tells this
    group from others of its series."""
    images: tuple[Header, ...]
    """Its images, in the order of their paths and frames."""
    label: str = ""
    """What tells it from the other groups of its series, for people: "echo 2 (4.92 ms)"; empty where it is alone."""
    left_out: str = ""
    """Why it is not offered as a volume ("localizer", "colour"); empty where it is."""


def find_groups(images: Sequence[Header]) -> tuple[Group, ...]:
    """The groups that these images make, in the order in which they appear."""
    raise NotImplementedError


def choose(groups: Sequence[Group], wanted: str, folder: str) -> tuple[Group, tuple[str, ...]]:
    """The one group that is meant, and what was left out, one sentence each."""
    raise NotImplementedError
