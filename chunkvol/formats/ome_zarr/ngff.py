"""The NGFF metadata of a store that is written: what versions 0.4, 0.5 and 0.6 can say of its geometry.

0.4 and 0.5 know scale and translation, and take the RFC-4 orientation of cardinal axes as an extra key. 0.6 knows
named coordinate systems: the intrinsic one, in which levels are scaled and moved along their own axes, and LPS, to
which an affine transformation leads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chunkvol.formats.ome_zarr.axes import ORIENTATIONS
from chunkvol.formats.ome_zarr.image import Image, Level, record
from chunkvol.geometry import Geometry, axis_codes, cardinal_axes

VERSIONS = ("0.4", "0.5", "0.6")
"""Versions of NGFF that are written."""

_AXES = ("z", "y", "x")
"""NGFF names of the array axes k, j, i."""
_CANONICAL = ((2, 1), (1, 1), (0, 1))
"""World axis and sign of k, j, i where i, j, k run towards L, P, S."""
_INTRINSIC, _WORLD = "intrinsic", "LPS"
_DESCRIPTIONS = {
    "mean": "mean of each block of level 0, rounded once, half to even",
    "stride": "first voxel of each block of level 0",
    "mode": "most frequent value of each block of level 0, the smallest of equals",
    "min": "smallest value of each block of level 0",
    "max": "largest value of each block of level 0",
}

__all__ = ["VERSIONS", "documents", "viewer_warning"]


def documents(image: Image, ngff: str, version: str) -> dict[str, dict[str, Any]]:
    """The files of the group, by name; `version` is that of the program."""
    own = record(image, version)
    if ngff == "0.4":
        attributes = {"multiscales": [{"version": ngff, **_multiscale(image, ngff)}], "chunkvol": own}
        return {".zgroup": {"zarr_format": 2}, ".zattrs": attributes}
    ome = {"version": ngff, "multiscales": [_multiscale(image, ngff)]}
    return {"zarr.json": {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome, "chunkvol": own}}}


def _multiscale(image: Image, ngff: str) -> dict[str, Any]:
    base, method = image.levels[0].geometry, image.method or "none"
    placed = _systems(base) if ngff == "0.6" else {"axes": _axes(base)}
    return {
        "name": "image",
        **placed,
        "datasets": [_dataset(level, base, ngff) for level in image.levels],
        "type": method,
        "metadata": {"method": method, "description": _DESCRIPTIONS.get(method, "")},
    }


def _axes(geometry: Geometry) -> list[dict[str, Any]]:
    axes: list[dict[str, Any]] = [{"name": name, "type": "space", "unit": "millimeter"} for name in _AXES]
    for axis, (world, sign) in zip(axes, cardinal_axes(geometry) or (), strict=False):
        axis["orientation"] = {"type": "anatomical", "value": ORIENTATIONS[world][sign > 0]}
    return axes


def _systems(base: Geometry) -> dict[str, Any]:
    """Coordinate systems, the intrinsic one last because neuroglancer takes the last one for it, and the way to LPS.

    A point p of the intrinsic system lies `p - translation` along the array's own axes from the first voxel of level 0.
    """
    turn = np.array(base.direction)[::-1]
    offset = np.array(base.origin[::-1]) - turn @ np.array(base.origin[::-1])
    affine = np.hstack([turn, offset[:, None]])
    return {
        "coordinateSystems": [
            {"name": _WORLD, "axes": _axes(Geometry((1, 1, 1)))},
            {"name": _INTRINSIC, "axes": _axes(base)},
        ],
        "coordinateTransformations": [
            {
                "type": "affine",
                "affine": affine.tolist(),
                "input": {"name": _INTRINSIC},
                "output": {"name": _WORLD},
            }
        ],
    }


def _dataset(level: Level, base: Geometry, ngff: str) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [
        {"type": "scale", "scale": list(level.geometry.spacing)},
        {"type": "translation", "translation": _translation(level.geometry, base, ngff)},
    ]
    if ngff == "0.6":
        whole = {"type": "sequence", "transformations": steps}
        steps = [{**whole, "input": {"path": level.path}, "output": {"name": _INTRINSIC}}]
    return {"path": level.path, "coordinateTransformations": steps}


def _translation(grid: Geometry, base: Geometry, ngff: str) -> list[float]:
    upright = np.array_equal(np.array(base.direction)[::-1], np.eye(3))
    if upright or (ngff != "0.6" and cardinal_axes(base) is not None):
        # Readers of RFC-4 take the translation for the world point of the first voxel.
        return list(grid.origin[::-1])
    # Without a direction, or with one that is applied later, levels are kept in step along their own axes.
    shift = (base.world_to_index(grid.origin) * base.spacing).tolist()
    return [o + s for o, s in zip(base.origin[::-1], shift, strict=True)]


def viewer_warning(geometry: Geometry, ngff: str) -> str:
    """What other viewers will do with this direction; empty when they will do right."""
    cardinal = cardinal_axes(geometry)
    if cardinal == _CANONICAL:
        return ""
    if cardinal is None and ngff == "0.6":
        return (
            "the direction is oblique: OME-Zarr 0.6 holds it as an affine transformation to LPS; viewers that do not "
            "apply it yet (Slicer, napari) show the volume unrotated"
        )
    if cardinal is None:
        return (
            f"the direction is oblique, which OME-Zarr {ngff} cannot hold: chunkvol keeps it in its own attribute, "
            "other viewers (Slicer, neuroglancer, napari) show the volume unrotated"
        )
    ignoring = "the affine transformation to LPS" if ngff == "0.6" else "the RFC-4 orientation (neuroglancer, napari)"
    return (
        f"the axes x, y, z of this volume run towards {', '.join(axis_codes(geometry))} instead of L, P, S: viewers "
        f"that ignore {ignoring} show it unrotated {'or' if ngff == '0.6' else 'and'} misplace coarser levels; "
        "--canonical stores it in the order L, P, S"
    )
