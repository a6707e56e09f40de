"""The orders in which people stack the files of a scan, where these are not the order of its planes in space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.names import natural_parts
from chunkvol.sources import PointwiseSource, Source
from chunkvol.volume import Volume

Planes = npt.NDArray[np.int64]
"""For each plane of an array, in its own order, the plane of the scan that it is; shape (planes,)."""

POSITION = "position"
_LEFT_OUT = ("identical_copies", "duplicates_left_out")
"""Facts of a series whose files are more than its planes."""

__all__ = ["ORDERS", "POSITION", "ImagePlanes", "NumberedPlanes", "differing", "stacked_by", "stored_planes"]


@runtime_checkable
class ImagePlanes(Protocol):
    """A source whose planes are images of files, so that rows and columns are known."""

    @property
    def names(self) -> tuple[str, ...]:
        """The file of each plane."""


@runtime_checkable
class NumberedPlanes(ImagePlanes, Protocol):
    """A source whose planes are images that may be numbered, in the order of their positions."""

    @property
    def numbers(self) -> tuple[int, ...] | None:
        """The number that the file of each plane states; None where one does not."""


@dataclass(frozen=True, slots=True)
class _Order:
    """One row of the table."""

    text: str
    """What the order is, for people."""
    keys: Callable[[NumberedPlanes], Sequence[Any]] | None
    """What planes are sorted by; None where they stay."""


ORDERS: dict[str, _Order] = {
    POSITION: _Order("along the slice normal, as chunkvol stacks planes", None),
    "instance": _Order("ascending InstanceNumber", lambda planes: _numbers(planes)),
    "filename": _Order("plain sort of the names, as sorted(os.listdir())", lambda planes: planes.names),
    "natural": _Order("names as people count, 2 before 10", lambda planes: [natural_parts(n) for n in planes.names]),
}
"""How an array's planes were stacked."""


def stored_planes(source: Source) -> Source:
    """The source of planes below what changes their values alone; planes that are made of others have no files."""
    while isinstance(source, PointwiseSource):
        source = source.source
    return source


def stacked_by(scan: Volume, order: str) -> Planes:
    """The scan's plane that each plane of an array is, which was stacked from the scan's files in this order.

    Parameters
    ----------
    scan
        Read from one file a plane; for "position" any volume.
    order
        Of `ORDERS`.

    Raises
    ------
    InputError
        There is no such order; or it is not one of this scan's planes, since they are no files, share one, bear no
        numbers or the same ones, or are fewer than the files.
    """
    if order not in ORDERS:
        raise InputError(f"no order {order!r} of planes is known; choose one of {', '.join(ORDERS)}")
    keys = ORDERS[order].keys
    if keys is None:
        return np.arange(scan.shape[0])
    planes = stored_planes(scan.source)
    if not isinstance(planes, NumberedPlanes):
        raise InputError(
            f"--order {order} is about the files that hold the planes, and the scan that gives the place is not read "
            "from DICOM files of one plane each: name their folder, or leave --order out"
        )
    _check_one_each(scan, planes, order)
    found = keys(planes)
    return np.array(sorted(range(len(found)), key=found.__getitem__), np.int64)


def differing(scan: Volume) -> list[str]:
    """The orders in which the scan's files would not be in the order of its planes; none where they are unknown."""
    found = []
    for order in ORDERS:
        try:
            at = stacked_by(scan, order)
        except InputError:
            continue
        if (np.diff(at) < 0).any():
            found.append(order)
    return found


def _check_one_each(scan: Volume, planes: NumberedPlanes, order: str) -> None:
    """Refuse an order of files that are more or fewer than the planes."""
    if len(set(planes.names)) < len(planes.names):
        raise InputError(
            f"--order {order} needs one file a plane, and {planes.names[0]} holds several planes: frames of one file "
            "are stacked by position; leave --order out"
        )
    more = sum(int(scan.metadata.extra.get(name, 0)) for name in _LEFT_OUT)
    if more:
        raise InputError(
            f"--order {order} cannot be told: {more} more file{'s' * (more > 1)} of the scan lie at positions that "
            "others have, so that files and planes do not match; move the copies out of the folder"
        )


def _numbers(planes: NumberedPlanes) -> tuple[int, ...]:
    numbers = planes.numbers
    if numbers is None:
        raise InputError(
            "--order instance needs an InstanceNumber in every file, and one has none; try --order filename"
        )
    if len(set(numbers)) < len(numbers):
        first = {number: k for k, number in reversed([*enumerate(numbers)])}
        k = next(k for k, number in enumerate(numbers) if first[number] != k)
        raise InputError(
            f"--order instance needs different numbers, and {planes.names[first[numbers[k]]]} and {planes.names[k]} "
            f"both have InstanceNumber {numbers[k]}; try --order filename"
        )
    return numbers
