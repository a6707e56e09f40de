"""Write a phantom as a folder of DICOM files and the places of its beads."""

from __future__ import annotations

import math
import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from chunkvol import system
from chunkvol.errors import DiskError, InputError, OutputError
from chunkvol.geometry import Geometry
from chunkvol.memory import format_bytes
from chunkvol.output import check_target, staging
from chunkvol.phantom.beads import Beads, markups
from chunkvol.phantom.model import Phantom
from chunkvol.phantom.slices import Series, slice_name
from chunkvol.phantom.syntaxes import TRANSFER_SYNTAXES
from chunkvol.phantom.syntaxes import transfer_syntax as checked_syntax
from chunkvol.phantom.tissue import Tissue

__all__ = ["BEADS_FILE", "PhantomReport", "write_phantom"]

BEADS_FILE = "beads.mrk.json"
_HEADER = 4096
"""More than a header takes, and a disk block: what a file costs besides its pixels."""
_LONGEST_FRAME = 2**32 - 2
"""Pixel data of one file has a length of 32 bits."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class PhantomReport:
    """What was written."""

    folder: Path
    """The series and its markups file."""
    phantom: Phantom
    """The settings of the voxels."""
    transfer_syntax: str
    """Name of the coding."""
    sparse: bool
    """True when the pixels are holes."""
    files: int
    """DICOM files."""
    bytes: int
    """Their sizes added up."""
    geometry: Geometry
    """The grid that the files state."""
    beads: Beads
    """The beads that are recorded; fewer than asked for where they do not fit, none in a sparse phantom."""


def write_phantom(
    folder: str | os.PathLike[str],
    *,
    size: tuple[int, int, int] = (512, 512, 512),
    spacing: tuple[float, float, float] = (0.02, 0.02, 0.02),
    oblique: bool | float | tuple[float, float] = False,
    dtype: str = "uint16",
    transfer_syntax: str = "explicit",
    seed: int = 0,
    beads: int = 12,
    noise: float = 1.0,
    structure: bool = True,
    rescale: tuple[float, float] = (1.0, 0.0),
    sparse: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    workers: int | None = None,
) -> PhantomReport:
    """Write a made-up micro-CT series with beads at known places; equal arguments give equal bytes.

    Slices are made and written one at a time by each worker, so memory does not grow with their number. The folder
    appears under its name when it is complete.

    Parameters
    ----------
    folder
        Where `slice_00001.dcm` ... and `beads.mrk.json` (LPS mm) go; must not exist, or be empty; its parent exists.
    size, spacing
        Voxels and mm along x, y, z.
    oblique
        Degrees about x and z; True is 17 and 11.
    dtype, transfer_syntax
        One of `DTYPES` and of `TRANSFER_SYNTAXES`.
    seed
        Another seed is another specimen.
    beads
        Gaussian beads to place; fewer where they do not fit without touching.
    noise, structure
        Noise relative to the usual (0 is none); False leaves the beads alone in air.
    rescale
        Slope and intercept stated by the headers.
    sparse
        Leave the pixels as holes: a large series on a small disk. No beads are recorded.
    overwrite
        Replace an earlier phantom.
    progress
        Called with the slices done and their number, from the workers' threads, one call at a time.
    workers
        Threads; as many as processors unless told.

    Raises
    ------
    InputError, GeometryError
        Settings that make no phantom.
    DecoderError
        The encoder of the transfer syntax is missing, or gave up.
    OutputError, DiskError
        The folder is taken or cannot be written; the disk is too small.
    """
    phantom = Phantom(size, spacing, oblique, dtype, seed, beads, noise, structure)
    series = _series(phantom, transfer_syntax, rescale, sparse)
    if workers is not None and workers < 1:
        raise InputError(f"workers must be 1 or more, found {workers}")
    target = Path(folder).expanduser().resolve()
    _check_free(target, overwrite=overwrite)
    _check_disk(target, phantom, sparse=sparse)
    tissue = None if sparse else Tissue(phantom)
    placed = tissue.beads if tissue else Beads((), (), (), 0.0)
    with staging(target, [target.name]) as hidden:
        stage = hidden / target.name
        stage.mkdir()
        if not sparse:
            (stage / BEADS_FILE).write_text(markups(placed), encoding="ascii", newline="\n")
        written = _write_slices(stage, series, tissue, workers, progress)
    return PhantomReport(target, phantom, transfer_syntax, sparse, phantom.size[2], written, phantom.geometry, placed)


def _series(phantom: Phantom, syntax: str, rescale: tuple[float, float], sparse: bool) -> Series:
    row = checked_syntax(syntax, phantom.dtype, phantom.size[1::-1])
    if sparse and not row.can_be_sparse:
        native = ", ".join(name for name, other in TRANSFER_SYNTAXES.items() if other.can_be_sparse)
        raise InputError(f"a sparse phantom has no pixels to code as {syntax}; choose {native}")
    if len(rescale) != 2 or not all(map(math.isfinite, rescale)) or rescale[0] == 0:
        raise InputError(f"rescale is a slope other than 0 and an intercept, found {rescale}")
    if phantom.frame_bytes > _LONGEST_FRAME:
        raise InputError(
            f"a slice of {phantom.size[0]} x {phantom.size[1]} {phantom.dtype} pixels is longer than the 4 GiB that "
            "a DICOM file can hold; make it smaller"
        )
    return Series(phantom, phantom.placement, row, (float(rescale[0]), float(rescale[1])), sparse)


def _check_free(target: Path, *, overwrite: bool) -> None:
    """Make sure that writing here destroys nothing but an earlier phantom."""
    if target.exists() and not target.is_dir():
        raise OutputError(f"{target} is a file; choose another folder for the phantom")
    names = sorted(entry.name for entry in target.iterdir()) if target.exists() else []
    if names and not overwrite:
        raise OutputError(f"{target} is not empty; choose another folder, or give --overwrite")
    strangers = [name for name in names if name != BEADS_FILE and not re.fullmatch(r"slice_\d+\.dcm", name)]
    if strangers or not target.name:
        found = strangers[0] if strangers else "a whole disk"
        raise OutputError(f"{target} holds {found}, which is no part of a phantom; nothing was overwritten")
    check_target([target], overwrite=True)


def _check_disk(target: Path, phantom: Phantom, *, sparse: bool) -> None:
    need = phantom.size[2] * (_HEADER + (0 if sparse else phantom.frame_bytes))
    free = system.free_disk(target)
    if need > free:
        raise DiskError(
            f"the phantom takes up to {format_bytes(need)} and the disk of {target} has {format_bytes(free)} free; "
            "choose another disk, a smaller size, or a sparse phantom"
        )


def _write_slices(
    stage: Path, series: Series, tissue: Tissue | None, workers: int | None, progress: Progress | None
) -> int:
    def write(k: int) -> int:
        return series.write(stage / slice_name(k), k, tissue.plane(k) if tissue else None)

    return _summed(write, series.phantom.size[2], workers or system.cpu_count(), progress or _silent)


def _summed(write: Callable[[int], int], total: int, workers: int, progress: Progress) -> int:
    """The sum of `write(k)` over all k; each thread takes the next, and all stop after one has failed."""
    lock, stop = threading.Lock(), threading.Event()
    queue = iter(range(total))
    done: list[int] = []

    def work() -> None:
        try:
            while not stop.is_set():
                with lock:
                    k = next(queue, None)
                if k is None:
                    return
                size = write(k)
                with lock:
                    done.append(size)
                    progress(len(done), total)
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(workers) as pool:
        try:
            for future in [pool.submit(work) for _ in range(workers)]:
                future.result()
        finally:
            stop.set()  # also when the main thread was interrupted
    return sum(done)


def _silent(_done: int, _total: int) -> None:
    pass
