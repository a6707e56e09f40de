"""One regular series of DICOM images as a volume: found, checked, placed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chunkvol.errors import FormatError, GeometryError, InputError
from chunkvol.formats.dicom.checks import IMAGE_CHECKS, check_step, file_name, off_the_line
from chunkvol.formats.dicom.header import Header
from chunkvol.formats.dicom.layout import PixelLayout, layout_of
from chunkvol.formats.dicom.planes import DicomPlanes
from chunkvol.formats.dicom.scan import groups, read_folder
from chunkvol.formats.dicom.transfer import SYNTAXES, find_decoder, syntax_of
from chunkvol.geometry import Geometry
from chunkvol.metadata import Metadata, Rescale
from chunkvol.progress import Progress

_JITTER = 1e-6
_LISTED = 12

__all__ = ["Series", "check_decoder", "find_series", "open_dicom", "series_of"]


@dataclass(frozen=True, slots=True)
class Series:
    """A series that is one regular volume."""

    planes: DicomPlanes
    """Its voxels, not yet read."""
    geometry: Geometry
    """Where they lie."""
    metadata: Metadata
    """What they mean."""
    problems: tuple[str, ...]
    """What was skipped, and how far the headers are from an ideal grid."""

    @property
    def layout(self) -> PixelLayout:
        """How the pixels are stored."""
        return self.planes.layout


def open_dicom(
    folder: str | os.PathLike[str], progress: Progress | None = None
) -> tuple[DicomPlanes, Geometry, Metadata]:
    """Voxels, geometry and metadata of the one series under a folder.

    Raises
    ------
    InputError
        When there is no series, more than one, or a file cannot be read; DecoderError when no decoder is installed.
    GeometryError
        When the series is not one regular volume.
    """
    series = find_series(folder, progress)
    check_decoder(series)
    return series.planes, series.geometry, series.metadata


def find_series(folder: str | os.PathLike[str], progress: Progress | None = None) -> Series:
    """The one series under a folder, checked; see `open_dicom`."""
    scan = read_folder(folder, progress)
    found = groups(scan.images)
    if len(found) > 1:
        raise InputError(f"{os.fspath(folder)} holds {len(found)} series, expected one; {_listing(found)}")
    return series_of(next(iter(found.values())), scan.problems)


def check_decoder(series: Series) -> None:
    """Raise DecoderError now when the pixels are compressed in a way that nothing installed decodes."""
    syntax = series.layout.transfer_syntax
    if SYNTAXES[syntax].encapsulated:
        find_decoder(syntax)


def series_of(images: Sequence[Header], problems: Sequence[str] = ()) -> Series:
    """The volume that these images make; GeometryError, InputError where they do not."""
    for check in IMAGE_CHECKS:
        check(images)
    row, column, normal = _axes(images[0])
    positions = np.array([image.position for image in images])
    # Equal heights keep the order of their paths, so that the messages do not depend on sorting.
    order = np.argsort(positions @ normal, kind="stable")
    images, positions = [images[n] for n in order], positions[order]
    check_step(images, positions, positions @ normal)
    geometry = _geometry(images, positions, row, column)
    problems = (*problems, *_oddities(images, positions, geometry))
    identity = _fingerprint(images, geometry)
    return Series(_planes(images, identity), geometry, _metadata(images[0], identity, problems), problems)


def _listing(found: dict[str, tuple[Header, ...]]) -> str:
    lines = []
    for uid, images in list(found.items())[:_LISTED]:
        first = images[0]
        facts = f"{len(images)} x {first.columns} x {first.rows} {first.modality} {first.series_description!r}"
        lines.append(f"{uid or 'no series UID'}: {facts}")
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return "; ".join(lines) + more + ". Separate them into folders"


Vector = npt.NDArray[np.float64]


def _axes(image: Header) -> tuple[Vector, Vector, Vector]:
    """Unit vectors along i (within a row), along j (down a column), and their normal, LPS."""
    row, column = np.reshape(np.array(image.orientation), (2, 3))
    row, column = row / np.linalg.norm(row), column / np.linalg.norm(column)
    normal = np.cross(row, column)
    return row, column, normal / np.linalg.norm(normal)


def _geometry(images: Sequence[Header], positions: Vector, row: Vector, column: Vector) -> Geometry:
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    length = float(np.linalg.norm(step))
    first = images[0]
    if first.pixel_spacing is None or length == 0:
        raise GeometryError(f"{first.path} has no PixelSpacing")
    between_rows, between_columns = first.pixel_spacing
    return Geometry(
        (len(images), first.rows or 0, first.columns or 0),
        tuple(positions[0]),
        (length, between_rows, between_columns),
        tuple(map(tuple, np.column_stack([step / length, column, row]))),  # type: ignore[arg-type]  # 3 x 3
    )


def _planes(images: Sequence[Header], identity: str) -> DicomPlanes:
    layout = layout_of(images[0])
    syntax = syntax_of(images[0])
    if syntax.family == "big endian" and layout.dtype.itemsize == 1:
        raise FormatError(f"{images[0].path} has 8 bit big endian pixels; convert it to Explicit VR Little Endian")
    folder = os.path.commonpath([os.path.split(image.path)[0] for image in images])
    lengths = [image.file_size - image.offset if syntax.encapsulated else layout.plane_bytes for image in images]
    starts = [image.deflated_at for image in images if image.deflated_at is not None]
    return DicomPlanes(
        folder,
        tuple(os.path.relpath(image.path, folder) for image in images),
        np.array([image.offset for image in images], np.int64),
        np.array(lengths, np.int64),
        layout,
        identity,
        np.array(starts, np.int64) if starts else None,
    )


def _metadata(image: Header, identity: str, problems: tuple[str, ...]) -> Metadata:
    unit = image.rescale_type or ("HU" if image.modality == "CT" and image.slope is not None else "")
    unit = "" if unit == "US" else unit  # PS3.3 C.11.1.1.2: unspecified
    extra = {
        "series_uid": image.series,
        "study_uid": image.study,
        "photometric": image.photometric,
        "series_description": image.series_description,
    }
    return Metadata(
        rescale=Rescale(1.0 if image.slope is None else image.slope, image.intercept or 0.0, unit),
        modality=image.modality,
        frame_of_reference=image.frame_of_reference,
        stored_range=layout_of(image).stored_range,
        source=identity,
        problems=problems,
        extra={key: value for key, value in extra.items() if value},
    )


def _fingerprint(images: Sequence[Header], geometry: Geometry) -> str:
    """SHA-256 over what tells slices apart, in their order; never paths or times."""
    digest = hashlib.sha256(repr((geometry, images[0].slope, images[0].intercept)).encode())
    for image in images:
        digest.update(repr((image.sop_instance, image.file_size, image.position)).encode())
    return digest.hexdigest()


def _oddities(images: Sequence[Header], positions: Vector, geometry: Geometry) -> list[str]:
    """What a user should know although the series is accepted."""
    out = []
    step = geometry.spacing[0]
    distance = off_the_line(positions)
    if distance.max() > _JITTER * step:
        worst = int(distance.argmax())
        out.append(
            f"planes lie up to {distance.max():.2g} mm off an even grid of {step:.6g} mm "
            f"(plane {worst}, {file_name(images[worst])})"
        )
    if images[0].photometric == "MONOCHROME1":
        out.append("MONOCHROME1: small values are bright; they are kept as stored, viewers of DICOM show them inverted")
    stated = (("SliceThickness", images[0].slice_thickness), ("SpacingBetweenSlices", images[0].spacing_between))
    for keyword, value in stated:
        if value is not None and abs(value - step) > 0.01 * step:
            out.append(f"{keyword} says {value:g} mm, the positions say {step:.6g} mm: the positions are used")
    return out
