"""One series of DICOM images as a volume: found, chosen, stacked, and given its values."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.errors import InputError
from chunkvol.formats.dicom.catalogue.groups import Group, choose, find_groups
from chunkvol.formats.dicom.catalogue.scan import read_folder
from chunkvol.formats.dicom.headers.acquisition import facts_of, states_assumed
from chunkvol.formats.dicom.headers.header import Header
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.pixels.layout import PixelLayout, layout_of
from chunkvol.formats.dicom.pixels.planes import DicomPlanes
from chunkvol.formats.dicom.pixels.transfer import SYNTAXES, find_decoder
from chunkvol.formats.dicom.stacks.stack import Stack, runs, stacked
from chunkvol.formats.dicom.voxels import Voxels, voxels_of
from chunkvol.geometry import Geometry
from chunkvol.metadata import Metadata
from chunkvol.progress import Progress
from chunkvol.sources import Source

_RUN = re.compile(r"([0-9a-fA-F]+)\.(\d+)")

_LISTED = 12

__all__ = ["Series", "check_decoder", "chosen_series", "find_series", "open_dicom", "series_of"]


@dataclass(frozen=True, slots=True)
class Series:
    """A series that is one regular volume."""

    planes: DicomPlanes
    """The planes as they are stored, not yet read."""
    source: Source
    """The volume's voxels, made of them."""
    geometry: Geometry
    """Where they lie."""
    metadata: Metadata
    """What they mean."""

    @property
    def layout(self) -> PixelLayout:
        """How the pixels are stored."""
        return self.planes.layout

    @property
    def problems(self) -> tuple[str, ...]:
        """What was left out, and how far the headers are from an ideal grid."""
        return self.metadata.problems


def open_dicom(
    path: str | os.PathLike[str], progress: Progress | None = None, options: ReadOptions | None = None
) -> tuple[Source, Geometry, Metadata]:
    """Voxels, geometry and metadata of one series: of a folder, a DICOMDIR or one file.

    Raises
    ------
    InputError
        When there is no series, or more than one to choose from, or a file cannot be read; DecoderError when no
        decoder is installed.
    GeometryError
        When the series is not one regular volume, and the options do not say what to do about it.
    """
    series = find_series(path, progress, options)
    check_decoder(series)
    return series.source, series.geometry, series.metadata


def find_series(
    path: str | os.PathLike[str], progress: Progress | None = None, options: ReadOptions | None = None
) -> Series:
    """The series that is meant, checked; see `open_dicom`."""
    scan = read_folder(path, progress)
    return chosen_series(find_groups(scan.images), os.fspath(path), options, scan.problems)[1]


def chosen_series(
    groups: Sequence[Group], folder: str, options: ReadOptions | None = None, problems: Sequence[str] = ()
) -> tuple[Group, Series]:
    """The group that `options.series` names, or the only one, and its series, checked; see `open_dicom`.

    `folder` is what was named, for messages; where it is a file of one image, that is taken alone, as with
    `options.few`. `problems` are told with those of the series.
    """
    options = options or ReadOptions()
    images = [image for group in groups for image in group.images]
    if len(images) == 1 and Path(images[0].path).absolute() == Path(folder).absolute():
        options = replace(options, few=True)  # who names a file of one image has no doubt about its planes
    wanted, run = _wanted(options.series)
    group, left_out = choose(groups, wanted, folder)
    _check_run(group, options, run)
    return group, series_of(group.images, options, run=run, problems=(*problems, *left_out))


def check_decoder(series: Series) -> None:
    """Raise DecoderError now when the pixels are compressed in a way that nothing installed decodes."""
    syntax = series.layout.transfer_syntax
    if SYNTAXES[syntax].encapsulated:
        find_decoder(syntax, series.layout.samples)


def series_of(
    images: Sequence[Header],
    options: ReadOptions | None = None,
    *,
    run: int | None = None,
    problems: Sequence[str] = (),
) -> Series:
    """The volume that these images make; GeometryError, InputError where they do not."""
    options = options or ReadOptions()
    stack = stacked(images, options, run)
    identity = _fingerprint(stack)
    planes = _planes(stack.images, identity)
    voxels = voxels_of(planes, stack, options)
    metadata = _metadata(stack, voxels, options, identity)
    notes = (*problems, *stack.problems, *voxels.problems)
    if metadata.assumed and not stack.assumed:
        notes = (*notes, "the images say that their geometry was assumed")
    return Series(planes, voxels.source, stack.geometry, replace(metadata, problems=notes))


def _wanted(series: str) -> tuple[str, int | None]:
    """The group and the run that a text such as "3fa9c1.2" names."""
    found = _RUN.fullmatch(series)
    return (found[1], int(found[2])) if found else (series, None)


def _check_run(group: Group, options: ReadOptions, run: int | None) -> None:
    if options.gaps != "split":
        if run is not None:
            raise InputError(f"{group.id}.{run} names a run of planes: it needs --gaps split")
        return
    found = runs(group.images, options)
    if run is None and len(found) > 1:
        each = "; ".join(f"{group.id}.{n} ({one})" for n, one in enumerate(found[:_LISTED], start=1))
        more = f"; and {len(found) - _LISTED} more" * (len(found) > _LISTED)
        raise InputError(
            f"--gaps split makes {len(found)} volumes: {each}{more}; choose one, as in --series {group.id}.1"
        )


def _planes(images: Sequence[Header], identity: str) -> DicomPlanes:
    layout = layout_of(images[0])
    placed = [os.path.split(image.path) for image in images]
    folder = os.path.commonpath({inner for inner, _ in placed})
    below = {inner: "" if inner == folder else os.path.relpath(inner, folder) for inner, _ in placed}
    starts = [image.deflated_at for image in images if image.deflated_at is not None]
    return DicomPlanes(
        folder,
        tuple(os.path.join(below[inner], name) for inner, name in placed),  # noqa: PTH118  # as in DicomPlanes.path
        np.array([image.offset for image in images], np.int64),
        np.array([_pixel_bytes(image, layout) for image in images], np.int64),
        layout,
        identity,
        np.array(starts, np.int64) if starts else None,
        np.array([image.length is not None for image in images]),
        _numbers(images),
    )


def _numbers(images: Sequence[Header]) -> tuple[int, ...] | None:
    numbers = tuple(image.instance_number for image in images if image.instance_number is not None)
    return numbers if len(numbers) == len(images) else None


def _pixel_bytes(image: Header, layout: PixelLayout) -> int:
    """Bytes to read for a plane: of an only compressed frame all that follows, its end being unknown."""
    if not SYNTAXES[layout.transfer_syntax].encapsulated:
        return layout.stored_bytes
    return image.file_size - image.offset if image.length is None else image.length


def _metadata(stack: Stack, voxels: Voxels, options: ReadOptions, identity: str) -> Metadata:
    first = stack.images[0]
    extra: dict[str, Any] = {
        "series_uid": first.series,
        "study_uid": first.study,
        "photometric": first.photometric,
        "instances": _instances(stack.images),
        **facts_of(first.path, keep_phi=options.keep_phi),
        **stack.record,
        **voxels.record,
    }
    return Metadata(
        rescale=voxels.rescale,
        assumed=stack.assumed or states_assumed(first.path),
        modality=first.modality,
        frame_of_reference=first.frame_of_reference,
        stored_range=voxels.stored_range,
        source=identity,
        history=(*stack.history, *voxels.history),
        extra={key: value for key, value in extra.items() if value not in ("", None, [], {})},
    )


def _instances(images: Sequence[Header]) -> dict[str, Any]:
    """SOP Instance UID of each plane, as a common beginning and what follows; frames are counted from 1."""
    uids = [image.sop_instance for image in images]
    if len(set(uids)) == 1 and len(uids) > 1:
        return {"uid": uids[0], "frames": [image.frame + 1 for image in images]}
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(min(uids), max(uids), strict=False)))
    return {"uid": uids[0][:shared], "ends": [uid[shared:] for uid in uids]}


def _fingerprint(stack: Stack) -> str:
    """SHA-256 over what tells planes apart, in their order; never paths or times."""
    digest = hashlib.sha256(repr(stack.geometry).encode())
    for image in stack.images:
        facts = image.sop_instance, image.frame, image.file_size, image.position, image.slope, image.intercept
        digest.update(repr(facts).encode())
    return digest.hexdigest()
