"""One header a frame, for files that hold several."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from typing import Any, BinaryIO

from chunkvol import system
from chunkvol.errors import DamagedError, FormatError, InputError
from chunkvol.formats.dicom.headers.fallback import Bounded, by_pydicom
from chunkvol.formats.dicom.headers.header import Header, Inflater
from chunkvol.formats.dicom.multiframe.extents import Extents, encapsulated_extents, native_extents, pixel_bits
from chunkvol.formats.dicom.multiframe.functional import NEEDED, RT_DOSE, Facts, facts_of_frames
from chunkvol.formats.dicom.pixels.transfer import SYNTAXES

_MOST_FRAMES = 1 << 20
_MOST_HEADER, _MOST_A_FRAME = 64 << 20, 1 << 17
_EXTENDED_OFFSETS = 0x7FE00001
_GROUPED = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{tail}"
    for tail in (
        "2.1", "2.2", "4.1", "4.3", "4.4", "6.2", "13.1.1", "13.1.2", "13.1.3", "30", "66.4", "66.7", "77.1.5.4",
        "128.1", "130",
    )
)  # fmt: skip
"""Objects whose facts stand in functional groups even where they have one frame: Enhanced CT, MR, US and PET and
those converted from single frames, X-ray 3D, parametric maps, segmentations, ophthalmic tomography."""

__all__ = ["expand", "is_mosaic"]


def is_mosaic(header: Header) -> bool:
    """Whether the image is a Siemens mosaic: all slices of a volume side by side in one plane."""
    return "MOSAIC" in header.image_type


def expand(header: Header) -> tuple[Header, ...]:
    """The frames of a multi-frame file as headers, in the order in which they are stored.

    Each says what the file says of that frame: shared functional groups first, then the frame's own (PS3.3 section
    C.7.6.16); without such groups, Grid Frame Offset Vector and the slices of nuclear medicine. A frame of which the
    file does not say where it lies has no position. `frame` counts from 0.

    `offset` and `length` are the frame's own bytes. Uncompressed: its pixels. Compressed: `offset` is the head of the
    item that is its first fragment, `length` reaches to the end of its last fragment, and nothing but whole items lies
    between; there is no offset table and no end mark. (In a compressed file of one frame `offset` is the head of the
    offset table, as `read_header` gives it, and `length` stays None.)

    Returned as it is: an image of one frame that is not of an Enhanced kind, and a multi-frame file of a transfer
    syntax that is not read (video among them) or with pixels of less than a byte.

    Raises
    ------
    DamagedError
        When the file does not hold its frames, or its frames cannot be told apart.
    FormatError, GeometryError
        When what it says of its frames is nonsense.
    InputError
        When it cannot be read.
    """
    frames = header.frames or 1
    if frames < 1:
        raise FormatError(f"{header.path} has NumberOfFrames {frames}, expected 1 or more; export it again")
    if (frames == 1 and header.sop_class not in _GROUPED and header.sop_class != RT_DOSE) or not _is_read(header):
        return (header,)
    if frames > _MOST_FRAMES:
        raise FormatError(f"{header.path} claims {frames} frames; at most {_MOST_FRAMES} are read")
    try:
        with system.opened(header.path) as fd:
            extents, facts = _frames(fd, header, frames)
    except OSError as error:
        raise InputError(f"{header.path} cannot be read: {error.strerror or error}") from error
    return tuple(
        replace(header, frame=n, offset=offset, length=length, **facts[n]) for n, (offset, length) in enumerate(extents)
    )


def _is_read(header: Header) -> bool:
    return bool(header.pixel_tag) and header.transfer_syntax in SYNTAXES and pixel_bits(header) % 8 == 0


def _frames(fd: int, header: Header, frames: int) -> tuple[list[tuple[int, int | None]], list[Facts]]:
    """Offset and length, and the facts, of each frame."""
    # What the file cannot hold is found before anything is made for each frame.
    extents: list[tuple[int, int | None]] = [(header.offset, None)]
    if not SYNTAXES[header.transfer_syntax].encapsulated:
        extents = _pairs(native_extents(header, frames))
    try:
        with by_pydicom():
            dataset = _dataset(fd, header, frames)
            extended = dataset.get(_EXTENDED_OFFSETS)
            table = b"" if extended is None else bytes(extended.value or b"")
        if len(extents) != frames:
            extents = _pairs(encapsulated_extents(fd, header, frames, table))
        with by_pydicom():
            return extents, facts_of_frames(dataset, header, frames)
    except DamagedError as error:
        raise DamagedError(f"{header.path} is damaged: {error}; copy or export it again") from None


def _pairs(extents: Extents) -> list[tuple[int, int | None]]:
    return [(offset, length) for offset, length in extents.tolist()]


def _dataset(fd: int, header: Header, frames: int) -> Any:
    """The needed part of the data set, as pydicom reads it."""
    import pydicom

    most = _MOST_HEADER + frames * _MOST_A_FRAME
    wanted = [*NEEDED, _EXTENDED_OFFSETS]
    with contextlib.ExitStack() as stack:
        if header.deflated_at is None:
            file: BinaryIO = stack.enter_context(open(header.path, "rb"))
        else:  # pydicom would inflate the pixels too
            file = io.BytesIO(Inflater(fd, header.deflated_at).peek(0, header.offset))
        return pydicom.dcmread(Bounded(file, most), stop_before_pixels=True, force=True, specific_tags=wanted)
