"""Gaussian beads at known sub-voxel places, and the markups file that records them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chunkvol.geometry.grid import Triple
from chunkvol.phantom.model import Phantom, random_words

__all__ = ["AMPLITUDE", "Beads", "Spot", "bead_positions", "markups", "placed_beads", "spots"]

AMPLITUDE = 2500.0
"""Grey levels at a bead's centre, above what lies under it."""
_SIGMA = 2.0
"""Voxels of the coarsest axis."""
_REACH = 5.0
"""Sigmas; beyond, a bead is below a hundredth of a grey level and is cut off."""
_TRIES = 400
_STREAM = 1
_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)


@dataclass(frozen=True, slots=True)
class Beads:
    """The beads of a phantom: separable Gaussians whose boxes of 5 sigma neither overlap nor leave the grid."""

    names: tuple[str, ...]
    """Labels."""
    points: tuple[Triple, ...]
    """Centres, LPS mm (x, y, z)."""
    indices: tuple[Triple, ...]
    """The same centres as fractional indices (k, j, i)."""
    sigma: float
    """Standard deviation of every bead along every axis, mm; two voxels of the coarsest axis."""

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True)
class Spot:
    """What one plane shows of a bead."""

    top: int
    """First row."""
    left: int
    """First column."""
    down: npt.NDArray[np.float32]
    """Grey levels along the rows' axis; the plane's share and the amplitude are in here."""
    across: npt.NDArray[np.float32]
    """Factors along the columns' axis."""


def bead_positions(
    size: tuple[int, int, int] = (512, 512, 512),
    spacing: tuple[float, float, float] = (0.02, 0.02, 0.02),
    *,
    oblique: bool | float | tuple[float, float] = False,
    seed: int = 0,
    beads: int = 12,
) -> Beads:
    """Names, LPS points and sigma of the beads that a phantom of these settings (x, y, z) holds."""
    return placed_beads(Phantom(size, spacing, oblique, seed=seed, beads=beads))


def placed_beads(phantom: Phantom) -> Beads:
    """The beads of a phantom; as many as asked for, or as fit."""
    geometry = phantom.geometry
    sigma = _SIGMA * max(phantom.spacing)
    widths = np.array([sigma / s for s in phantom.spacing[::-1]])
    indices = tuple(_scattered(phantom, widths))
    points = np.round(geometry.index_to_world(np.array(indices).reshape(-1, 3)), 12).tolist()
    names = tuple(f"bead-{n}" for n in range(1, len(indices) + 1))
    return Beads(names, tuple((x, y, z) for x, y, z in points), indices, sigma)


def _scattered(phantom: Phantom, widths: npt.NDArray[np.float64]) -> Iterator[Triple]:
    """Random places, in 1/1024 voxel, whose boxes do not meet; gives up after many throws per bead."""
    room = np.array(phantom.size[::-1]) - 1 - 2 * _REACH * widths
    if (room < 0).any():
        return
    words = random_words(phantom.seed, _STREAM)
    taken: list[npt.NDArray[np.float64]] = []
    for _ in range(_TRIES * phantom.beads):
        if len(taken) == phantom.beads:
            return
        throw = np.array([next(words) / 2**64 for _ in range(3)])
        place = np.round((_REACH * widths + room * throw) * 1024) / 1024
        if all((np.abs(place - other) / widths).max() > 2 * _REACH + 1 for other in taken):
            taken.append(place)
            k, j, i = place.tolist()
            yield k, j, i


def spots(beads: Beads, spacing: Triple, k: int) -> Iterator[Spot]:
    """What plane k shows of the beads; `spacing` in array order."""
    widths = [beads.sigma / s for s in spacing]
    for centre in beads.indices:
        distance = abs(k - centre[0]) / widths[0]
        if distance <= _REACH:
            top, down = _profile(centre[1], widths[1])
            left, across = _profile(centre[2], widths[2])
            share = AMPLITUDE * math.exp(-0.5 * distance**2)
            yield Spot(top, left, (share * down).astype(np.float32), across.astype(np.float32))


def _profile(centre: float, width: float) -> tuple[int, npt.NDArray[np.float64]]:
    """First index and values of a 1D Gaussian of height 1."""
    first = math.ceil(centre - _REACH * width)
    last = math.floor(centre + _REACH * width)
    return first, np.array([math.exp(-0.5 * ((n - centre) / width) ** 2) for n in range(first, last + 1)])


def markups(beads: Beads) -> str:
    """The beads as the text of a `.mrk.json` file (Slicer's markups schema 1.0.3), LPS mm."""
    points = [
        _control_point(number, name, point, beads.sigma)
        for number, (name, point) in enumerate(zip(beads.names, beads.points, strict=True), start=1)
    ]
    markup = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "fixedNumberOfControlPoints": False,
        "labelFormat": "bead-%d",
        "lastUsedControlPointNumber": len(points),
        "controlPoints": points,
    }
    return json.dumps({"@schema": _SCHEMA, "markups": [markup]}, indent=1) + "\n"


def _control_point(number: int, name: str, point: Triple, sigma: float) -> dict[str, object]:
    return {
        "id": str(number),
        "label": name,
        "description": f"Gaussian bead, sigma {sigma:.12g} mm",
        "associatedNodeID": "",
        "position": list(point),
        "orientation": [-1.0, -0.0, -0.0, -0.0, -1.0, -0.0, 0.0, 0.0, 1.0],
        "selected": True,
        "locked": False,
        "visibility": True,
        "positionStatus": "defined",
    }
