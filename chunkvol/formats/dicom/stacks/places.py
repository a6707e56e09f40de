"""Where images lie: in the order of their positions along the slice normal, never of names or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chunkvol.errors import GeometryError
from chunkvol.formats.dicom.headers.header import Header
from chunkvol.formats.dicom.stacks.checks import Vectors, file_name

_FARTHEST = 1e9
"""Beyond which a position in mm is nonsense, and its square no number."""

__all__ = ["Places", "are_placed", "axes_of", "low_median", "sorted_places"]


@dataclass(frozen=True, eq=False, slots=True)
class Places:
    """Parallel images in ascending order along their normal, LPS mm."""

    images: tuple[Header, ...]
    """The images."""
    positions: Vectors
    """Centre of the first pixel of each, shape (n, 3)."""
    row: Vectors
    """Unit vector of growing i."""
    column: Vectors
    """Unit vector of growing j."""
    normal: Vectors
    """Unit vector row x column, along which k grows."""

    @property
    def heights(self) -> Vectors:
        """Positions along the normal, shape (n,), ascending."""
        return np.asarray(self.positions @ self.normal)

    def taken(self, which: npt.NDArray[np.int64]) -> Places:
        """The images at these indices, which ascend."""
        return Places(
            tuple(self.images[n] for n in which), self.positions[which], self.row, self.column, self.normal
        )  # fmt: skip

    def name(self, k: int) -> str:
        """Plane k for messages, with its file."""
        return f"plane {k} ({file_name(self.images[k])})"


def are_placed(images: Sequence[Header]) -> bool:
    """Whether the images state position and orientation; GeometryError where only some of them do."""
    stated = [
        _all_or_none(images, [image.position is not None for image in images], "ImagePositionPatient"),
        _all_or_none(images, [image.orientation is not None for image in images], "ImageOrientationPatient"),
    ]
    return all(stated)


def _all_or_none(images: Sequence[Header], stated: list[bool], keyword: str) -> bool:
    if any(stated) and not all(stated):
        raise GeometryError(
            f"no {keyword} in {stated.count(False)} of {len(images)} images, "
            f"first {file_name(images[stated.index(False)])}: the others state it, so these cannot be placed among "
            "them; take them away, or export the series with its geometry"
        )
    return all(stated)


def axes_of(image: Header) -> tuple[Vectors, Vectors, Vectors]:
    """Unit vectors along i (within a row), along j (down a column), and their normal, LPS (PS3.3 C.7.6.2.1.1)."""
    row, column = np.reshape(np.array(image.orientation, dtype=float), (2, 3))
    row, column = row / np.linalg.norm(row), column / np.linalg.norm(column)
    normal = np.cross(row, column)
    return row, column, normal / np.linalg.norm(normal)


def sorted_places(images: Sequence[Header]) -> Places:
    """The places of images that all state position and one orientation, sorted along the normal.

    Equal heights keep the order in which the images came, so that messages do not depend on sorting.
    """
    row, column, normal = axes_of(images[0])
    positions = np.array([image.position for image in images], dtype=float)
    far = np.flatnonzero(np.abs(positions).max(axis=1) > _FARTHEST)
    if len(far):
        raise GeometryError(
            f"{file_name(images[far[0]])} has ImagePositionPatient {images[far[0]].position}, expected at most "
            f"{_FARTHEST:g} mm: it is damaged; export the series again"
        )
    order = np.argsort(positions @ normal, kind="stable")
    return Places(tuple(images[n] for n in order), positions[order], row, column, normal)


def low_median(values: Vectors) -> float:
    """The lower of the middle values: one that occurs, also where there are two (5 of 5 and 10, not 7.5)."""
    return float(np.partition(values, (len(values) - 1) // 2)[(len(values) - 1) // 2])
