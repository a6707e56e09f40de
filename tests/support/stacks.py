"""Headers of planes wherever a test wants them, and slow plain versions of what is done to planes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.formats.dicom.headers.header import EXPLICIT_LITTLE, Header
from chunkvol.formats.dicom.stacks.stack import Stack
from chunkvol.ops.planes import PlaneBlend, PlaneShift
from tests.support.grids import COEFFICIENTS
from tests.support.series import oblique

Values = npt.NDArray[np.float64]

ROWS, COLUMNS = 4, 7
PIXEL_SPACING = (0.75, 0.5)
"""Between rows and between columns, in steps."""

__all__ = ["blended", "headers", "plain", "ramp_planes", "result_of", "shifted"]


def plain(**facts: Any) -> Header:
    """A 16-bit image without a place."""
    header = Header(
        path="/scan/IM0000.dcm",
        file_size=1000 + 2 * ROWS * COLUMNS,
        transfer_syntax=EXPLICIT_LITTLE,
        pixel_tag=0x7FE00010,
        offset=1000,
        length=2 * ROWS * COLUMNS,
        rows=ROWS,
        columns=COLUMNS,
        bits_allocated=16,
        bits_stored=16,
        high_bit=15,
        pixel_representation=0,
        samples=1,
        photometric="MONOCHROME2",
    )
    return replace(header, **facts)


def headers(
    along: Sequence[float], spacing: float = 1.0, aside: tuple[float, float] = (0.0, 0.0), **facts: Any
) -> list[Header]:
    """Images at `along` steps of `spacing` mm on an oblique normal, each `aside` steps (j, i) beside for each along.

    Names and numbers run as `along` is given; the pixels are as large as the steps, but not square.
    """
    rows, columns = (spacing * value for value in PIXEL_SPACING)
    grid = oblique((1, ROWS, COLUMNS), (spacing, rows, columns))
    normal, column, row = np.array(grid.direction).T
    slanted = spacing * (normal + aside[0] * column + aside[1] * row)
    return [
        plain(
            **{
                "path": f"/scan/IM{n:04d}.dcm",
                "instance_number": n + 1,
                "position": tuple((np.array(grid.origin) + place * slanted).tolist()),
                "orientation": (*row.tolist(), *column.tolist()),
                "pixel_spacing": (rows, columns),
                **facts,
            }
        )
        for n, place in enumerate(along)
    ]


def ramp_planes(images: Sequence[Header]) -> Values:
    """Planes whose pixels hold a linear function of their own world position, (n, rows, columns)."""
    planes = []
    for image in images:
        assert image.position and image.orientation and image.pixel_spacing and image.rows and image.columns
        row, column = np.reshape(image.orientation, (2, 3))
        j, i = np.mgrid[: image.rows, : image.columns][..., None] * np.reshape(image.pixel_spacing, (2, 1, 1, 1))
        planes.append((np.array(image.position) + j * column + i * row) @ COEFFICIENTS)
    return np.array(planes)


def blended(planes: Values, blend: PlaneBlend) -> Values:
    """What the recipe says, one plane at a time; NaN where it is the fill value's."""
    out = []
    for lower, weight in zip(blend.lower.tolist(), blend.weight.tolist(), strict=True):
        if lower < 0:
            out.append(np.full_like(planes[0], np.nan))
        elif weight == 0:
            out.append(planes[lower])
        else:
            out.append((1 - weight) * planes[lower] + weight * planes[lower + 1])
    return np.array(out)


def shifted(planes: Values, shift: PlaneShift) -> Values:
    """What the recipe says, one pixel at a time; NaN where no plane reaches."""
    out = np.full((len(planes), shift.rows, shift.columns), np.nan)
    for k, j, i in np.ndindex(*out.shape):
        out[k, j, i] = _between(planes[k], *(np.array([j, i]) - shift.offsets[k]))
    return out


def _between(plane: Values, j: float, i: float) -> float:
    """Bilinear; NaN beyond the outermost centres."""
    total = 0.0
    for row, row_share in _neighbours(j):
        for column, column_share in _neighbours(i):
            if not (0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]):
                return float("nan")
            total += row_share * column_share * plane[row, column]
    return total


def _neighbours(at: float) -> list[tuple[int, float]]:
    low = round(at) if abs(at - round(at)) < 1e-9 else int(np.floor(at))
    share = at - low
    return [(low, 1.0)] if abs(share) < 1e-9 else [(low, 1 - share), (low + 1, share)]


def result_of(stack: Stack, planes: Values) -> Values:
    """The voxels of a stack from the planes it reads, in order."""
    if stack.blend is not None:
        planes = blended(planes, stack.blend)
    return planes if stack.shift is None else shifted(planes, stack.shift)
