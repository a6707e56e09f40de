"""Files of points: which format a name or a content is, reading and writing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from chunkvol.errors import FormatError, InputError
from chunkvol.landmarks.arrays import array_bytes, is_array, read_array
from chunkvol.landmarks.fcsv import is_fcsv, read_fcsv
from chunkvol.landmarks.fcsv_text import fcsv_bytes
from chunkvol.landmarks.morphoj import SUFFIXES, is_morphoj, morphoj_bytes, read_morphoj
from chunkvol.landmarks.moving import moved
from chunkvol.landmarks.points import Landmarks
from chunkvol.landmarks.slicer import is_slicer, read_slicer
from chunkvol.landmarks.slicer_text import slicer_bytes
from chunkvol.landmarks.systems import Asked
from chunkvol.landmarks.table import is_table, read_table, table_bytes
from chunkvol.output import staging

_LARGEST = 512 << 20
"""Bytes of a file that is still read: some millions of points."""
_HEAD = 4096
"""Bytes from which a format is known."""

__all__ = ["FILES", "PointFormat", "moved", "read_landmarks", "write_landmarks"]


@dataclass(frozen=True, slots=True)
class PointFormat:
    """One row of the table."""

    name: str
    """For people."""
    suffixes: tuple[str, ...]
    """Ends of file names, with the dot; the first is the usual one."""
    matches: Callable[[Path, bytes], bool]
    """Whether a file of this name and beginning is one, where no row above is."""
    read: Callable[[Path, bytes, Asked], Landmarks]
    """The landmarks of a file's bytes."""
    write: Callable[[Landmarks, Path, str], Iterable[bytes]]
    """The bytes of a file, piece by piece, in a frame: LPS, RAS or IJK. Refusals come before the first piece."""


FILES = {
    row.name: row
    for row in (
        PointFormat("NumPy array", (".npy",), is_array, read_array, array_bytes),
        PointFormat("Slicer markups", (".mrk.json", ".json"), is_slicer, read_slicer, slicer_bytes),
        PointFormat("Slicer fiducials", (".fcsv",), is_fcsv, read_fcsv, fcsv_bytes),
        PointFormat("MorphoJ", SUFFIXES, is_morphoj, read_morphoj, morphoj_bytes),
        PointFormat("table", (".csv", ".tsv", ".tab", ".txt"), is_table, read_table, table_bytes),
    )
}
"""The formats, those that are known by their content first."""


def read_landmarks(
    path: str | Path, *, frame: str | None = None, units: str | None = None, specimen: str | int | None = None
) -> Landmarks:
    """Points of a file: Slicer `.mrk.json` and `.fcsv`, CSV, TSV, MorphoJ's CSV, `.npy`.

    Parameters
    ----------
    path
        The content decides which format it is; what was assumed, and what is odd, is in `problems`.
    frame
        "lps", "ras" or "ijk" of files that do not say; "ijk" are indices along (i, j, k), which are not turned into
        places here: `points` holds them as they are, and `frame` is "IJK".
    units
        "mm", "um" ... or "voxel" of files that do not say.
    specimen
        Which one of a MorphoJ file with several: its name, or its number from 1.

    Raises
    ------
    InputError
        The file is not there, larger than 512 MiB, of no known format or damaged, a frame or units are neither stated
        nor said or are both and differ, or the labels of a table are empty or repeated. Files of Slicer may repeat
        labels, as Slicer itself does: that is one of `problems`.
    """
    file = Path(path)
    asked = Asked(frame, units, specimen)
    data = _bytes(file)
    row = next((row for row in FILES.values() if row.matches(file, data[:_HEAD])), None)
    if row is None:
        raise FormatError(f"{file} is no file of points that is known: {_known()}")
    found = row.read(file, data, asked)
    return replace(found, problems=(*found.problems, *_oddities(found)))


def _bytes(file: Path) -> bytes:
    try:
        size = file.stat().st_size
        if size > _LARGEST:
            raise InputError(
                f"{file} has {size >> 20} MiB, and points have at most {_LARGEST >> 20} MiB; is it another file?"
            )
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"the points {file} cannot be read: {error.strerror or error}") from error


def _oddities(found: Landmarks) -> list[str]:
    said = []
    if empty := list(map(str.strip, found.labels)).count(""):
        said.append(f"{empty} of {len(found)} points have no label; they are told apart by their order")
    lists = found.columns.get("list")
    if repeated := len(found) - len(set(zip(lists, found.labels, strict=True) if lists else found.labels)):
        said.append(f"{repeated} of {len(found)} points repeat a label; they are told apart by their order")
    return said


def _known() -> str:
    return ", ".join(f"{row.name} ({', '.join(row.suffixes)})" for row in FILES.values())


def write_landmarks(landmarks: Landmarks, path: str | Path, *, frame: str | None = None) -> None:
    """Write points in the format of the name's suffix, in the frame of the file they come from unless asked.

    Lengths are millimetres; a file that is there is replaced.

    Parameters
    ----------
    landmarks
        What a format cannot hold is left out: `.npy` keeps points only, MorphoJ labels too, `.fcsv` no types, tables no
        display and no axes and sizes of planes and regions. `.mrk.json` keeps all.
    path
        `.mrk.json`, `.json`, `.fcsv`, `.csv`, `.tsv`, `.morphoj.csv`, `.npy`.
    frame
        "lps" or "ras"; indices are written as indices.

    Raises
    ------
    InputError
        No known suffix, a format that cannot hold these points, or places asked of indices and the other way.
    """
    file = Path(path)
    fitting = [row for row in FILES.values() if file.name.lower().endswith(row.suffixes)]
    if not fitting:
        raise InputError(f"{file} has no suffix of a file of points: {_known()}")
    pieces = fitting[0].write(landmarks, file, _frame(landmarks, frame))
    with staging(file, [file.name]) as folder, (folder / file.name).open("wb") as stream:
        stream.writelines(pieces)


def _frame(landmarks: Landmarks, frame: str | None) -> str:
    wanted = landmarks.frame if frame is None else (Asked(frame).frame or "").upper()
    if (wanted == "IJK") != (landmarks.frame == "IJK"):
        raise InputError(
            f"the landmarks are {landmarks.frame} and {wanted} was asked: indices become places, and places indices, "
            "only by a volume"
        )
    return wanted
