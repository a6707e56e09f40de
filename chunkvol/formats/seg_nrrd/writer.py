"""Writing a .seg.nrrd file that Slicer loads as a segmentation."""

from __future__ import annotations

import colorsys
from dataclasses import replace
from pathlib import Path

import numpy as np

from chunkvol.errors import DamagedError, InputError
from chunkvol.flatfile import FlatFile, FlatJob, check_encoding, prepare_flat
from chunkvol.formats.nrrd.heading import header_from_geometry
from chunkvol.formats.seg_nrrd.keys import keys_of
from chunkvol.formats.seg_nrrd.layers import LayeredSource
from chunkvol.geometry import Geometry
from chunkvol.memory import Terms
from chunkvol.segments import KEY, Segment, Segmentation
from chunkvol.volume import Volume

_MOST_SEGMENTS = 255
"""Labels without names that are given some: those of 8 bits."""
_GOLDEN = 0.381966
"""Hues that are this far apart stay apart, however many there are."""

__all__ = ["prepare_seg_nrrd"]


def prepare_seg_nrrd(
    volume: Volume,
    target: Path,
    terms: Terms,
    *,
    encoding: str = "gzip",
) -> FlatJob:
    """Plan a segmentation of a volume's labels, with the segments that its metadata name.

    Labels of 8 bits without names become the segments "Segment_1" to "Segment_255" of colours of their own, or as many
    as there can be.

    Parameters
    ----------
    volume
        Integers; composite labels where the metadata says that there are several layers.
    target
        The file's final place.
    encoding
        "gzip", or "raw".
    terms
        How the job is to be run.

    Raises
    ------
    InputError
        The volume holds no labels, or more kinds than can be named.
    """
    check_encoding(encoding, "a segmentation")
    real = volume.values
    if real.dtype.kind not in "iu":
        raise InputError(f"{target.name} holds labels, which are integers, not {real.dtype.name}; use .nrrd instead")
    segmentation = _segmentation(volume)
    packing = "gzip" if encoding == "gzip" else ""
    layers = len(segmentation.counts)
    kind = LayeredSource(real.source, segmentation).dtype if layers > 1 else real.dtype
    header = _header(real, segmentation, kind, encoding)
    notes = [] if KEY in volume.metadata.extra else ["the labels have no names: they become Segment_1, Segment_2 ..."]
    if layers > 1:
        planes, rows, columns = real.shape
        grid = real.geometry
        wide = Geometry((planes, rows, columns * layers), grid.origin, grid.spacing, grid.direction)
        real = Volume(LayeredSource(real.source, segmentation), wide, real.metadata)
    file = FlatFile((target.name,), header, packing)
    job = prepare_flat(real, file, terms=terms, notes=notes)
    result = replace(job.plan.result, size=volume.shape[::-1], leftover=volume.source.leftover[::-1])
    return replace(job, plan=replace(job.plan, result=result))


def _segmentation(volume: Volume) -> Segmentation:
    stated = volume.metadata.extra.get(KEY)
    if stated is not None:
        try:
            return Segmentation.from_json(stated)
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedError(
                f"the volume's segments are damaged ({error!r}): take them out of its metadata"
            ) from error
    if volume.dtype.itemsize > 1:
        raise InputError(
            f"the volume holds {volume.dtype.name} and names no segments; labels without names are of 8 bits: "
            "--dtype uint8 --window 0,255 keeps those up to 255, and makes larger ones 255"
        )
    return Segmentation(tuple(_unnamed(value) for value in range(1, min(_MOST_SEGMENTS, _largest(volume)) + 1)))


def _largest(volume: Volume) -> int:
    """The largest label that there can be, as far as it is known."""
    known = volume.metadata.stored_range
    return max(1, known[1]) if known else int(np.iinfo(volume.dtype).max)


def _unnamed(value: int) -> Segment:
    color = colorsys.hsv_to_rgb(value * _GOLDEN % 1, 0.7, 0.95)
    return Segment(f"Segment_{value}", f"Segment_{value}", value, 0, color)


def _header(real: Volume, segmentation: Segmentation, kind: np.dtype[np.generic], encoding: str) -> bytes:
    """A NRRD header with the segments, and with the axis of layers where there are several."""
    plain = header_from_geometry(real.geometry, kind, real.metadata, encoding)
    lines = plain.decode().rstrip("\n").split("\n")
    layers = len(segmentation.counts)
    if layers > 1:
        changes = {
            "dimension: 3": "dimension: 4",
            "sizes: ": f"sizes: {layers} ",
            "space directions: ": "space directions: none ",
            "kinds: ": "kinds: list ",
        }
        for old, new in changes.items():
            lines = [line.replace(old, new, 1) if line.startswith(old) else line for line in lines]
    lines += [f"{key}:={_plain(value)}" for key, value in keys_of(segmentation, real.shape)]
    return ("\n".join(lines) + "\n\n").encode()


def _plain(value: str) -> str:
    """A value in one line: Teem knows two escapes, and ends lines at a carriage return too."""
    value = value.replace("\r\n", "\n").replace("\r", "\n")
    return value.replace("\\", "\\\\").replace("\n", "\\n")
