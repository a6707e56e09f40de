"""Units of work on a series: the range of some planes' values, or their files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chunkvol.formats.dicom.writer.coding import range_of, united
from chunkvol.formats.dicom.writer.images import SeriesImages
from chunkvol.slabs import Cut, Unit, read_blocks
from chunkvol.sources import Source

__all__ = ["Measure", "Write", "measure_unit", "noted", "write_unit"]


@dataclass(frozen=True)
class Measure:
    """What all units of measuring share."""

    source: Source
    """The voxels."""
    cut: Cut
    """Units and blocks of whole planes."""
    notes: Path
    """Where each unit leaves what it found, since units may run in other processes; it exists."""


@dataclass(frozen=True)
class Write(Measure):
    """What all units of writing share."""

    images: SeriesImages
    """What is written."""
    folder: Path
    """Where the files go; it exists."""


def measure_unit(job: Measure, unit: Unit) -> int:
    """Note the range of one unit's values; returns their bytes."""
    done, found = 0, []
    for region, block in read_blocks(job.source, job.cut, unit):
        found += [range_of(plane, f"plane {k}") for k, plane in enumerate(block, region[0].start)]
        done += block.nbytes
    every = united(found)
    _note(job, unit, [every.low, every.high, every.whole])
    return done


def write_unit(job: Write, unit: Unit) -> int:
    """Write the files of one unit's planes and note the largest error; returns the bytes of their voxels."""
    done, error = 0, 0.0
    for region, block in read_blocks(job.source, job.cut, unit):
        for k, plane in enumerate(block, region[0].start):
            coding = job.images.coded(k, plane)
            (job.folder / job.images.name(k)).write_bytes(job.images.image(k, plane, coding))
            error = max(error, coding.error)
        done += block.nbytes
    _note(job, unit, error)
    return done


def _note(job: Measure, unit: Unit, found: Any) -> None:
    (job.notes / f"{unit[0].start:09d}").write_text(json.dumps(found))


def noted(folder: Path) -> Iterator[Any]:
    """What the units left, in their order."""
    return (json.loads(path.read_text()) for path in sorted(folder.iterdir()))
