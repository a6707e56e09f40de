"""Putting a NRRD header in front of the uncompressed slices of a DICOM series, so that other programs read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from chunkvol import system
from chunkvol.errors import FormatError, InputError
from chunkvol.formats.dicom.headers.walker import tag_name
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.pixels.layout import PixelLayout
from chunkvol.formats.dicom.pixels.planes import DicomPlanes
from chunkvol.formats.dicom.pixels.transfer import SYNTAXES
from chunkvol.formats.dicom.series import Series, find_series
from chunkvol.formats.nrrd.detached import header_in_front, relative_names
from chunkvol.geometry import Geometry
from chunkvol.output import check_target, staging
from chunkvol.progress import Progress, Silent

_CONVERT = "chunkvol convert copies the voxels into a .nrrd of any series"

__all__ = ["Fronted", "write_header"]


@dataclass(frozen=True, slots=True)
class Fronted:
    """What a header says of the files behind it."""

    path: Path
    """The header."""
    geometry: Geometry
    """Where the voxels lie."""
    dtype: np.dtype[np.generic]
    """Type of the stored values."""
    names: tuple[str, ...]
    """The files in the order of k, relative to the header."""
    notes: tuple[str, ...]
    """What a user should know, a sentence each."""


def write_header(
    source: Path,
    target: Path,
    *,
    options: ReadOptions | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Fronted:
    """Write a detached NRRD header in front of a series' files; their pixels stay where they are.

    ITK, Slicer and Teem then read the stored values in their place. A rescale other than slope 1, intercept 0 stands
    in the header's keys.

    Parameters
    ----------
    source
        A folder of DICOM files, or one file.
    target
        The header, `.nhdr`; it names the files relative to its own folder.
    options
        How to read the series, where that makes no new voxels.
    overwrite
        Replace an existing header.
    progress
        Told about the header pass.

    Raises
    ------
    InputError
        The pixels are not the last bytes of every file, as they are to be read: compressed, big endian, padded,
        followed by other elements, with other bits beside the value's, several frames in a file, slopes by plane; or
        the output exists or cannot be written.
    GeometryError
        The series is not one regular volume.
    """
    if target.suffix.lower() != ".nhdr":
        raise InputError(f"{target.name} is to be a detached NRRD header, whose name ends in .nhdr")
    check_target([target], overwrite=overwrite)
    series = find_series(source.absolute(), progress or Silent(), options)
    _check_stored(series)
    _check_ends(series.planes)
    notes = [*series.problems, *_check_bits(series.planes), *_meaning(series)]
    names = relative_names(target.absolute(), map(series.planes.path, range(len(series.planes.names))))
    if any(name.startswith("../") for name in names):
        notes.append("the files lie outside the header's folder: chunkvol opens it with --trust-paths")
    content = header_in_front(series.geometry, series.source.dtype, series.metadata, names)
    with staging(target.absolute(), (target.name,), overwrite=overwrite) as folder:
        (folder / target.name).write_bytes(content)
    return Fronted(target, series.geometry, series.source.dtype, tuple(names), tuple(notes))


def _check_stored(series: Series) -> None:
    """Refuse a series whose voxels are not the bytes of its files, one a plane."""
    planes, layout = series.planes, series.layout
    first = planes.path(0)
    reason = _reason(layout)
    if reason:
        raise FormatError(f"{first} has {reason}, which no header can describe; {_CONVERT}")
    if len(set(planes.names)) < len(planes.names):
        raise FormatError(f"{first} holds several frames; files of one plane each can have a header; {_CONVERT}")
    if "slopes" in series.metadata.extra:
        raise FormatError(f"the slope changes from plane to plane, and a header has one for all; {_CONVERT}")
    if series.source is not planes:
        raise InputError(f"the volume's voxels are computed from those of the files; {_CONVERT}")


def _reason(layout: PixelLayout) -> str:
    """What keeps the pixels of a file from being read as they are; empty where nothing does."""
    syntax = SYNTAXES[layout.transfer_syntax]
    if syntax.family != "little endian":
        return f"pixels in {syntax.name}"
    if layout.samples > 1:
        return f"{layout.samples} samples a pixel"
    if layout.high_bit != layout.bits - 1:
        return f"values in bits {layout.high_bit - layout.bits + 1} to {layout.high_bit} of its pixels"
    return ""


def _check_ends(planes: DicomPlanes) -> None:
    """Refuse files whose last byte is not the last one of their pixels."""
    for k, offset in enumerate(planes.offsets.tolist()):
        path = Path(planes.path(k))
        more = path.stat().st_size - (offset + planes.layout.stored_bytes)
        if more:
            raise FormatError(
                f"{path} has {more} bytes after its pixels ({_what_follows(planes, k)}), and a header can only say "
                f"that pixels are the last bytes; {_CONVERT}"
            )


def _what_follows(planes: DicomPlanes, k: int) -> str:
    end = int(planes.offsets[k]) + planes.layout.stored_bytes
    with system.opened(planes.path(k)) as fd:
        head = system.pread(fd, 4, end + planes.layout.stored_bytes % 2)
    if len(head) < 4:
        return "padding to an even length" if planes.layout.stored_bytes % 2 else "no element"
    tag = int.from_bytes(head[:2], "little") << 16 | int.from_bytes(head[2:], "little")
    return f"element {tag_name(tag)}" + (" Data Set Trailing Padding" if tag == 0xFFFCFFFC else "")


def _check_bits(planes: DicomPlanes) -> list[str]:
    """Look at some planes where pixels have more bits than values, and say so; those bits would count."""
    layout = planes.layout
    if layout.stored_range is None:
        return []
    low, high = layout.stored_range
    looked_at = {0, len(planes.names) // 2, len(planes.names) - 1}
    for k in sorted(looked_at):
        stored = _stored(planes, k)
        if int(stored.min()) < low or int(stored.max()) > high:
            raise FormatError(
                f"{planes.path(k)} has other bits beside the {layout.bits} of its values (an overlay, or signs that "
                f"are not extended), which NRRD readers would count; {_CONVERT}"
            )
    wide = 8 * layout.dtype.itemsize
    return [
        f"values have {layout.bits} of {wide} bits; the others, which readers count, are empty in the "
        f"{len(looked_at)} slices that were looked at"
    ]


def _stored(planes: DicomPlanes, k: int) -> npt.NDArray[np.generic]:
    """The pixels of plane k with all their bits."""
    with open(planes.path(k), "rb") as file:
        file.seek(int(planes.offsets[k]))
        data = file.read(planes.layout.stored_bytes)
    return np.frombuffer(data, planes.layout.dtype.newbyteorder("<"))


def _meaning(series: Series) -> Sequence[str]:
    """What readers of the header do not know of the values."""
    scale, said = series.metadata.rescale, []
    if not scale.is_identity:
        unit = f" ({scale.unit})" if scale.unit else ""
        sign = "-" if scale.intercept < 0 else "+"
        said.append(
            f"readers of NRRD show stored values: the real ones{unit} are {scale.slope:g} * stored {sign} "
            f"{abs(scale.intercept):g}, as the keys RescaleSlope and RescaleIntercept say"
        )
    if series.layout.photometric == "MONOCHROME1":
        said.append("the pixels are MONOCHROME1, small values bright: readers of NRRD show them dark")
    if series.metadata.assumed:
        said.append("the files do not state where their voxels lie: the header has what is assumed, and says so")
    return said
