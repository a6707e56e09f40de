"""Opening a DICOM segmentation: a label volume on the grid of its frames, with its segments in the metadata."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from chunkvol.errors import FormatError
from chunkvol.formats.dicom.headers.acquisition import facts_of
from chunkvol.formats.dicom.segmentation.content import Content, read_content
from chunkvol.formats.dicom.segmentation.find import the_file
from chunkvol.formats.dicom.segmentation.frames import StoredFrames, stored_frames
from chunkvol.formats.dicom.segmentation.layers import Masks, layered, overlaps
from chunkvol.formats.dicom.segmentation.places import Placed, placed
from chunkvol.formats.dicom.segmentation.voxels import LabelFrames, MaskFrames
from chunkvol.formats.seg_nrrd.reader import segment_volume
from chunkvol.metadata import Metadata
from chunkvol.progress import Progress
from chunkvol.segments import Segmentation
from chunkvol.volume import Volume

__all__ = ["open_segmentation"]


def open_segmentation(path: Path, progress: Progress, *, segment: str = "", keep_phi: bool = False) -> Volume:
    """A lazy label volume of a DICOM segmentation (PS3.3 A.51), or with `segment` the mask of one segment.

    Axes (k, j, i), on the segmentation's own grid: from the first plane that has a frame to the last one; planes
    without frames are background. Labels are Segment Numbers. Where segments overlap, which one pass over the frames
    finds out unless the file says that none do, voxels are composite labels (`chunkvol.segments`). Fractions count as
    within a segment above half of their maximum. The segments stand in `metadata.extra["segmentation"]`.

    Raises
    ------
    DamagedError, FormatError
        The file is cut short, contradicts itself, or is encoded in a way that is not read.
    GeometryError
        Its frames lie on no regular grid, or do not say where they lie.
    InputError
        A folder holds several segmentations, or there is no such segment.
    """
    content = read_content(the_file(path))
    frames = stored_frames(content.header, len(content.frames), content.offsets)
    where = placed(content.frames)
    _check_once(content, where)
    metadata = _metadata(content, where, keep_phi=keep_phi)
    if content.kind == "LABELMAP":
        return _label_map(content, frames, where, metadata, segment)
    return _masks(content, frames, where, metadata, segment, progress)


def _label_map(content: Content, frames: StoredFrames, where: Placed, metadata: Metadata, segment: str) -> Volume:
    """Frames that hold the labels of all segments."""
    background = content.header.padding or 0
    if background and any(one.value == 0 for one in content.segments):
        raise FormatError(
            f"{content.header.path} describes a segment of number 0 and has PixelPaddingValue {background} as "
            "background; labels of 0 mean background here: number its segments from 1"
        )
    segments = tuple(one for one in content.segments if one.value not in (0, background))
    order = np.argsort(where.planes, kind="stable")
    source = LabelFrames(
        frames, where.geometry.shape, frames.layout.dtype, order, where.planes[order], metadata.source, background
    )
    return segment_volume(source, where.geometry, metadata, Segmentation(segments), segment)


def _masks(
    content: Content, frames: StoredFrames, where: Placed, metadata: Metadata, segment: str, progress: Progress
) -> Volume:
    """Frames that show one segment each."""
    above = content.largest // 2 if content.kind == "FRACTIONAL" else 0
    order = np.argsort(where.planes, kind="stable")
    masks = Masks(frames, above, order, where.planes[order], np.array(content.numbers)[order])
    if segment:
        one = Segmentation(content.segments).found(segment)
        mask = _source(masks.only(one.value), where, metadata, {one.value: 1}, np.dtype(np.uint8))
        return Volume(mask, where.geometry, metadata.with_step(f"segment {one.id} ({one.name})"))
    pairs = set() if content.apart or len(content.segments) == 1 else overlaps(masks, progress)
    segmentation, problems = layered(content.segments, pairs, content.header.path)
    several = len(segmentation.counts) > 1
    numbers = [one.value for one in content.segments]
    counts = {
        number: one.value * (segmentation.weights[one.layer] if several else 1)
        for number, one in zip(numbers, segmentation.segments, strict=True)
    }
    dtype = segmentation.dtype if several else np.min_scalar_type(max(numbers))
    source = _source(masks, where, metadata, counts, dtype, unproven=content.apart and len(numbers) > 1)
    noted = replace(metadata, problems=metadata.problems + problems)
    return segment_volume(source, where.geometry, noted, segmentation, "")


def _source(
    masks: Masks,
    where: Placed,
    metadata: Metadata,
    counts: dict[int, int],
    dtype: np.dtype[Any],
    *,
    unproven: bool = False,
) -> MaskFrames:
    return MaskFrames(
        masks.frames,
        where.geometry.shape,
        dtype,
        masks.stored,
        masks.planes,
        metadata.source,
        masks.above,
        tuple(counts[int(number)] for number in masks.numbers),
        unproven,
    )


def _check_once(content: Content, where: Placed) -> None:
    """Refuse two frames of one segment in one plane: a second time or tile has no place in one volume."""
    seen: dict[tuple[int, int], int] = {}
    for n, key in enumerate(zip(where.planes.tolist(), content.numbers, strict=True)):
        if key in seen:
            of = f" of segment {key[1]}" if key[1] else ""
            raise FormatError(
                f"{content.header.path} has two frames{of} in one place (frames {seen[key]} and {n}); a segmentation "
                "of several times is not read: export one of them"
            )
        seen[key] = n


def _metadata(content: Content, where: Placed, *, keep_phi: bool) -> Metadata:
    header = content.header
    extra = {
        "series_uid": header.series,
        "study_uid": header.study,
        **facts_of(header.path, keep_phi=keep_phi),
        "segmentation_type": content.kind,
    }
    history: tuple[str, ...] = ()
    problems = where.problems
    if content.kind == "FRACTIONAL":
        history = (f"threshold above {content.largest / 2:g}",)
        problems += (f"its segments are fractions of {content.largest}: voxels above half of it are within a segment",)
    return Metadata(
        assumed=where.assumed,
        modality=header.modality,
        frame_of_reference=header.frame_of_reference,
        source=_fingerprint(content, where),
        pyramid="mode",
        history=history,
        problems=problems,
        extra={key: value for key, value in extra.items() if value not in ("", None, [], {})},
    )


def _fingerprint(content: Content, where: Placed) -> str:
    """SHA-256 over what tells segmentations apart; never paths or times."""
    header = content.header
    digest = hashlib.sha256(repr(where.geometry).encode())
    digest.update(repr((header.sop_instance, header.file_size, content.kind, content.largest)).encode())
    digest.update(repr((content.segments, content.numbers, where.planes.tolist())).encode())
    return digest.hexdigest()
