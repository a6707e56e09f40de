"""Writing a DICOM series: the range of values where it decides how they are stored, then a file a plane."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chunkvol import system
from chunkvol.errors import InputError
from chunkvol.execute import Runner, Work
from chunkvol.formats.dicom.writer.coding import TILE, Coding, Range, coding_of, fits, kept, united
from chunkvol.formats.dicom.writer.facts import SeriesFacts, facts_of, told
from chunkvol.formats.dicom.writer.images import images_of
from chunkvol.formats.dicom.writer.units import Measure, Write, measure_unit, noted, write_unit
from chunkvol.memory import Plan, Terms
from chunkvol.metadata import Rescale
from chunkvol.packing.unpack import unpacked
from chunkvol.planefiles import PlanesJob, prepare_planes
from chunkvol.progress import Progress
from chunkvol.regions import voxels
from chunkvol.sources import Source
from chunkvol.volume import Volume

SLOPES = ("volume", "per-slice")
"""What shares a slope where values are not stored exactly: all voxels, or those of each plane."""

_PER_SLICE = "values are stored with a slope for each image: none is off by more than half its RescaleSlope"
_HEADER_BYTES = 1 << 18
"""More than the heads of a file and the objects of one plane take."""

__all__ = ["SLOPES", "SeriesJob", "prepare_series"]


@dataclass(frozen=True)
class SeriesJob:
    """A folder of images to be written; see `prepare_series`."""

    plan: Plan
    """The promise."""
    planes: PlanesJob
    """The folder, the voxels to be coded, and how they are cut."""
    facts: SeriesFacts
    """What the images say."""
    scale: Rescale
    """From the voxels to real values."""
    coding: Coding | None
    """How all voxels are stored, where that is known before they are read."""
    per_slice: bool = False
    """Whether each plane is stored for itself, where the coding is not known."""

    @property
    def names(self) -> tuple[str, ...]:
        """The folder."""
        return self.planes.names

    def run(self, folder: Path, runner: Runner, progress: Progress) -> None:
        """Stage what cannot be read in any order, find the range where it matters, then write the images."""
        scratch = folder / f"{self.planes.folder}.scratch"  # never the name of the folder itself
        scratch.mkdir()
        source = unpacked(self.planes.source, scratch, progress)
        coding = self.coding
        if coding is None and not self.per_slice:
            coding = coding_of(self._measured(source, scratch / "ranges", runner, progress), self.scale)
            progress.say(self._told(coding, coding.error) or self._exactly())
        errors = self._written(source, coding, folder / self.planes.folder, scratch / "errors", runner, progress)
        if coding is None:
            progress.say(self._told(None, max(errors)) if any(errors) else self._exactly())

    def _told(self, coding: Coding | None, error: float) -> str:
        return told(coding, error, self.planes.source.dtype.name, self.facts.unit)

    def _exactly(self) -> str:
        return f"{self.planes.source.dtype.name} values are integers within 16 bits, and are stored exactly"

    def _measured(self, source: Source, notes: Path, runner: Runner, progress: Progress) -> Range:
        notes.mkdir()
        runner(self._work("measuring", measure_unit, Measure(source, self.planes.cut, notes)), progress)
        return united(Range(*found) for found in noted(notes))

    def _written(
        self, source: Source, coding: Coding | None, target: Path, notes: Path, runner: Runner, progress: Progress
    ) -> list[float]:
        """Write the images; returns the largest error of each unit."""
        target.mkdir()
        notes.mkdir()
        values = self._told(coding, coding.error) if coding else _PER_SLICE
        images = images_of(self.facts, self.scale, coding, values)
        runner(self._work("writing", write_unit, Write(source, self.planes.cut, notes, images, target)), progress)
        return list(noted(notes))

    def _work(self, name: str, run: Callable[[Any, Any], int], job: Any) -> Work:
        source = self.planes.source
        total = voxels(source.shape) * source.dtype.itemsize
        return Work(name, run, job, list(self.planes.cut.units(source.shape)), total, self.planes.workers)


# ------------------------------------------------------------------------------------------------------ the promise


def prepare_series(
    volume: Volume,
    target: Path,
    terms: Terms,
    *,
    slope: str | None = None,
    template: str | Path | None = None,
) -> SeriesJob:
    """Plan a folder of DICOM images, one a plane: CT, or MR where the input is.

    Integers that fit 16 bits are stored as they are, with their slope and intercept. So are other values where all are
    integers that span no more than 16 bits, which a first pass over the voxels finds out. All else is rounded to steps
    of a slope; the largest error is told and stands in DerivationDescription. Bytes depend on the volume and
    the settings alone; UIDs are made of their fingerprint (of arrays in memory, which have none, of grid and settings).

    Parameters
    ----------
    volume
        What is written, axes (k, j, i): a plane is an image, rows along i. Planes are numbered along row x column, so
        that those of a left-handed grid are numbered from the last.
    target
        The folder; it must not exist.
    slope
        "volume" (None): one slope for all voxels. "per-slice": one for each plane, without the first pass.
    template
        A DICOM file, or a folder with one series: its patient, study and frame of reference are taken, and its
        modality. Without it nothing is said of a patient, unless the volume was read with keep_phi.
    terms
        How the job is to be run.

    Raises
    ------
    GeometryError
        Rows and columns are not at right angles.
    InputError
        The type, the size, the slope or the template has no place in DICOM images.
    BudgetError
        Not even one plane fits; the message names the smallest budget that would do.
    """
    if slope is not None and slope not in SLOPES:
        raise InputError(f"--slope is {' or '.join(SLOPES)}, not {slope!r}")
    _check_type(volume)
    resident = system.resident_memory()
    facts, notes = facts_of(volume, (slope or SLOPES[0],), None if template is None else Path(template))
    real = volume if volume.dtype.kind in "iu" else volume.values
    scale = real.metadata.rescale
    coding = kept(real.dtype, scale) if fits(real.dtype) else None
    per_slice = slope == "per-slice"
    notes += _value_notes(coding, real, slope, facts.unit)
    pixels = real.shape[1] * real.shape[2]
    grown = max(0, system.resident_memory() - resident)  # a template needs pydicom
    planes = prepare_planes(
        real,
        target.name,
        images_of(facts, scale, coding, ""),
        encoder_bytes=4 * pixels + 4 * 8 * TILE + _HEADER_BYTES,
        terms=replace(terms, baseline=terms.baseline + grown),
        notes=notes,
    )
    plan = _planned(planes.plan, coding, measured=coding is None and not per_slice)
    return SeriesJob(plan, planes, facts, scale, coding, per_slice)


def _check_type(volume: Volume) -> None:
    if volume.dtype.kind not in "iuf" or volume.dtype.itemsize > 8:
        raise InputError(
            f"DICOM images are made of integers and floating point of up to 64 bits, not {volume.dtype.name}; "
            "convert the array first"
        )


def _value_notes(coding: Coding | None, real: Volume, slope: str | None, unit: str) -> list[str]:
    if coding is not None:
        said = told(coding, coding.error, real.dtype.name, unit)
        unused = f"{real.dtype.name} values are stored exactly: --slope {slope} changes nothing"
        return [said] * bool(said) + [unused] * (slope is not None)
    which = "each image" if slope == "per-slice" else "all images"
    return [
        f"{real.dtype.name} values become 16-bit integers: exactly where all are integers within a span of 65535, else "
        f"with a slope for {which}, and the largest error is told"
    ]


def _planned(plan: Plan, coding: Coding | None, *, measured: bool) -> Plan:
    """The plan with what is stored, and with the pass that finds the range."""
    name = "16-bit" if coding is None else "int16" if coding.signed else "uint16"
    stored = 2 * voxels(plan.result.size)
    *before, write = plan.phases
    phases = [*before, replace(write, bytes_written=stored)]
    if measured:
        phases.insert(len(before), replace(write, name="measure", bytes_written=0))
    return replace(plan, phases=tuple(phases), result=replace(plan.result, dtype=name, bytes=stored))
