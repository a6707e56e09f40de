"""What a folder holds, for people and programs: a row for each volume, and why anything was left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chunkvol.errors import GeometryError, InputError
from chunkvol.formats.dicom.catalogue.groups import Group, find_groups
from chunkvol.formats.dicom.catalogue.repeats import count_planes, median_step
from chunkvol.formats.dicom.catalogue.scan import read_folder
from chunkvol.formats.dicom.headers.acquisition import description_of
from chunkvol.formats.dicom.headers.header import Header
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.stacks.stack import stacked
from chunkvol.memory import format_bytes
from chunkvol.progress import Progress

_HEADS = ("id", "no.", "images", "size (x, y, z)", "spacing in mm", "modality", "bytes", "description")

__all__ = ["Found", "find_volumes", "listing", "listing_text", "refusal"]


@dataclass(frozen=True, slots=True)
class Found:
    """What lies under a folder."""

    groups: tuple[Group, ...]
    """The volumes."""
    skipped: tuple[str, ...]
    """What is no image, one sentence a kind."""
    damaged: tuple[str, ...] = ()
    """What is wrong with files that may belong to one of the volumes, one sentence each."""


def find_volumes(source: str | os.PathLike[str], progress: Progress | None = None) -> Found:
    """The volumes under a folder (or of a DICOMDIR, or in one file).

    Raises
    ------
    InputError, GeometryError
        When a file cannot be read and there are not several volumes to list beside it, or there is no DICOM image; see
        `read_folder`.
    """
    scan = read_folder(source, progress, go_on=True)
    groups = find_groups(scan.images)
    if scan.damaged and len(groups) == 1:
        raise scan.damaged[0]
    return Found(groups, scan.problems, tuple(map(str, scan.damaged)))


def refusal(group: Group) -> str:
    """Why the images of a group are no regular volume as they are; empty where they are one."""
    try:
        stacked(group.images, ReadOptions())
    except (GeometryError, InputError) as error:
        return str(error)
    return ""


def listing(groups: Sequence[Group], judge: Callable[[Group], str] = refusal) -> list[dict[str, Any]]:
    """JSON values of each group: size and spacing (mm) in x, y, z order, null where they are not known.

    `bytes` are those of the decoded pixels, `images` counts slices or frames, the last of `size` the planes that they
    lie in. `problems` says what `judge` says of a group that is not left out.
    """
    return [_row(group, judge) for group in groups]


def _row(group: Group, judge: Callable[[Group], str]) -> dict[str, Any]:
    first = group.images[0]
    rows, columns = first.pixel_spacing or (None, None)
    problem = "" if group.left_out else judge(group)
    return {
        "id": group.id,
        "series_uid": group.series,
        "study_uid": first.study,
        "series_number": first.series_number,
        "description": description_of(first.path),
        "label": group.label,
        "modality": first.modality,
        "images": len(group.images),
        "size": [first.columns, first.rows, count_planes(group.images)],
        "spacing": [columns, rows, median_step(group.images)],
        "bytes": sum(map(_pixel_bytes, group.images)),
        "left_out": group.left_out,
        "problems": [problem] if problem else [],
    }


def _pixel_bytes(image: Header) -> int:
    bits = (image.rows or 0) * (image.columns or 0) * (image.samples or 1) * (image.bits_allocated or _bits(image))
    return -(-bits // 8)


def _bits(image: Header) -> int:
    """Of a pixel where the file does not say, as floating point pixels do not have to."""
    return 64 if image.pixel_tag == 0x7FE00009 else 32


def listing_text(rows: Sequence[dict[str, Any]], skipped: Sequence[str] = ()) -> str:
    """The same as an aligned table, by study and series number, then what is wrong with a volume or was skipped."""
    studies = list(dict.fromkeys(row["study_uid"] for row in rows))
    rows = sorted(rows, key=lambda row: (studies.index(row["study_uid"]), *_last_if_none(row["series_number"])))
    table = [_HEADS, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    right = {1, 2, 6}
    lines = [
        "  ".join(cell.rjust(width) if n in right else cell.ljust(width) for n, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(cells, widths, strict=True)) for cells in table)
    ]
    notes = [f"{row['id']}: {problem}" for row in rows for problem in row["problems"]]
    return "\n".join([*(line.rstrip() for line in lines), *(f"note  {text}" for text in (*notes, *skipped))])


def _last_if_none(number: int | None) -> tuple[bool, int]:
    return number is None, number or 0


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    about = ", ".join(filter(None, (row["description"], row["label"])))
    left_out = f"({row['left_out']}, left out)" if row["left_out"] else ""
    return (
        row["id"],
        "" if row["series_number"] is None else str(row["series_number"]),
        str(row["images"]),
        " x ".join(map(str, row["size"])),
        " x ".join("?" if value is None else f"{value:.5g}" for value in row["spacing"]),
        row["modality"],
        format_bytes(row["bytes"]),
        " ".join(filter(None, (about, left_out))),
    )
