"""Images of other programs: OME-Zarr 0.1 to 0.6, and plain zarr arrays, as levels with their grids.

Up to 0.5, axes x, y, z are taken as L, P, S unless RFC-4 orientations say otherwise, and the translation as the world
point of the first voxel, as the programs do that write orientations. 0.1 to 0.3 have no scale at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from reprlib import repr as shown
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import FormatError, GeometryError
from chunkvol.formats.ome_zarr.axes import Axes, axes_of_names, axes_of_objects, old_axes
from chunkvol.formats.ome_zarr.image import Image, Level, Shapes
from chunkvol.formats.ome_zarr.omero import check_omero
from chunkvol.formats.ome_zarr.systems import Target, dataset_matrix, intrinsic_name, systems_of, target_of
from chunkvol.formats.ome_zarr.transforms import Matrix, after, scaling
from chunkvol.geometry import Geometry
from chunkvol.metadata import Metadata
from chunkvol.regions import Shape

_UNPLACED = ("0.1", "0.2", "0.3")
"""Versions without coordinate transformations."""
_NO_UNIT = "the store states no unit of length that is known: millimetres are assumed; --spacing says what it is"
_NO_DIRECTION = "the store states no orientation: axes x, y, z are taken as L, P, S; --orientation says what they are"
_NO_NAMES = "the store's axes of space are not named x, y, z: they are taken as z, y, x in their order, towards S, P, L"
_ONE_PLANE = "the image has two axes of space: its one plane is taken as 1 mm thick; --spacing says what it is"

__all__ = ["Chosen", "image_of_multiscales", "plain_image"]

Chosen = dict[str, int | None]
"""`time` and `channel` of the caller, None where nothing was said."""

Directions = npt.NDArray[np.float64]
"""Columns of LPS directions of axes of space."""


@dataclass(frozen=True, slots=True)
class _World:
    """How coordinates of axes of space become points in LPS millimetres."""

    axes: Axes
    """Of the coordinates."""
    matrix: Matrix | None
    """From the coordinates in which levels are placed to these; None where they are the same."""
    steps: Directions
    """Columns of LPS directions along which the coordinates grow."""
    points: Directions
    """Columns that take the coordinates of a point to its place."""
    problem: str
    """What of it is assumed."""
    notes: tuple[str, ...] = ()
    """What else should be known."""


def image_of_multiscales(ome: dict[str, Any], zarr: int, shapes: Shapes, chosen: Chosen, where: str) -> Image:
    """The first image of `multiscales`.

    Parameters
    ----------
    ome
        The attributes that hold `multiscales`: those of the group up to 0.4, its `ome` from 0.5 on.
    zarr
        Version of zarr.
    shapes
        Gives the shape of an array of the group.
    chosen
        What the caller picks along axes that are not of space.
    where
        The store, for messages.

    Raises
    ------
    FormatError
        It is no valid image of a version that chunkvol reads.
    GeometryError
        Its grid has no meaning.
    """
    multiscale = _first(ome, where)
    version = _version(ome, multiscale, zarr, where)
    check_omero(ome, where)
    datasets = multiscale["datasets"]
    sizes = [tuple(shapes(entry["path"])) for entry in datasets]
    try:
        # Stores of early drafts of 0.6 have axes, as 0.5 does, where its coordinate systems came to stand.
        if version.startswith("0.6") and ("coordinateSystems" in multiscale or "axes" not in multiscale):
            return _image_of_systems(multiscale, sizes, chosen, where)
        axes = _axes(multiscale, version, len(sizes[0]), where)
        return _image_of_axes(multiscale, version, axes, sizes, chosen, where)
    except GeometryError as error:
        raise GeometryError(f"{where}: {error}") from error


def plain_image(path: str, shape: Sequence[int], names: Sequence[str] | None, chosen: Chosen, where: str) -> Image:
    """An array of which nothing but its shape is known, and perhaps the names of its axes.

    Raises
    ------
    FormatError
        It has not two or three axes of space.
    """
    axes = axes_of_names(names) if names else None
    if axes is None or len(axes.axes) != len(shape) or len(axes.space) not in (2, 3):
        axes = axes_of_names(_fitting(shape, where))
    picked = axes.picked(shape, chosen, where)
    world = _world(axes)
    still = np.eye(len(shape), len(shape) + 1)
    level = Level(path, _grid(_space_of(shape, picked), axes, still, world, where), (0, 0, 0))
    problem = "a zarr array states no orientation: its axes are taken as z, y, x towards S, P, L"
    return Image((level,), Metadata(), "", False, picked, False, "", problem)


def _fitting(shape: Sequence[int], where: str) -> list[str]:
    """Names for the axes of a plain array: z, y, x, or none for those of length 1 that are too many."""
    excess = len(shape) - 3
    names = []
    for length in shape:
        names.append("" if length == 1 and excess > 0 else "space")
        excess -= length == 1 and excess > 0
    if excess > 0 or len(shape) < 2:
        raise FormatError(
            f"{where} is an array of {len(shape)} axes {tuple(shape)}; chunkvol reads arrays of two or three axes, and "
            "further ones of length 1"
        )
    known = iter(["z", "y", "x"][-names.count("space") :])
    return [next(known) if name else "" for name in names]


def _first(ome: dict[str, Any], where: str) -> dict[str, Any]:
    found = ome.get("multiscales")
    if not isinstance(found, list) or not found or not isinstance(found[0], dict):
        raise FormatError(f"{where} has no image in its multiscales: {shown(found)}")
    multiscale: dict[str, Any] = found[0]
    datasets = multiscale.get("datasets")
    if (
        not isinstance(datasets, list)
        or not datasets
        or not all(isinstance(entry, dict) and isinstance(entry.get("path"), str) for entry in datasets)
    ):
        raise FormatError(f"{where} has multiscales without datasets that name their arrays: {shown(datasets)}")
    return multiscale


def _version(ome: dict[str, Any], multiscale: dict[str, Any], zarr: int, where: str) -> str:
    """As stated, else the one that the axes tell."""
    found = ome.get("version", multiscale.get("version"))
    if found is None:
        axes = multiscale.get("axes")
        named = isinstance(axes, list) and all(isinstance(axis, str) for axis in axes)
        found = "0.1" if axes is None and zarr == 2 else "0.3" if named else "0.4" if zarr == 2 else "0.5"
    if not isinstance(found, str) or not re.match(r"0\.[1-6](?!\d)", found):
        raise FormatError(f"{where} is OME-Zarr {shown(found)}; chunkvol reads versions 0.1 to 0.6")
    return found


def _axes(multiscale: dict[str, Any], version: str, dimensions: int, where: str) -> Axes:
    found = multiscale.get("axes")
    if version[:3] in ("0.1", "0.2") and found is None:
        if not 2 <= dimensions <= 5:
            raise FormatError(f"{where} has arrays of {dimensions} axes; OME-Zarr {version} has t, c, z, y, x")
        return old_axes(dimensions)
    objects = isinstance(found, list) and all(isinstance(axis, dict) for axis in found)
    if objects == (version[:3] in _UNPLACED):
        kind = "names" if version[:3] in _UNPLACED else "objects"
        raise FormatError(f"{where} is OME-Zarr {version}, whose axes are {kind}; found {shown(found)}")
    return axes_of_objects(found, where)


def _image_of_axes(
    multiscale: dict[str, Any],
    version: str,
    axes: Axes,
    sizes: Sequence[tuple[int, ...]],
    chosen: Chosen,
    where: str,
) -> Image:
    """0.1 to 0.5: every level has a scale and perhaps a translation along the axes; old ones have none."""
    count, picked = len(axes.axes), axes.picked(sizes[0], chosen, where)
    entries = multiscale["datasets"]
    said = version[:3] not in _UNPLACED or any("coordinateTransformations" in entry for entry in entries)
    over = np.eye(count, count + 1)
    if multiscale.get("coordinateTransformations") is not None:
        over = scaling(multiscale["coordinateTransformations"], count, axes.space, where)[0]
    placed = []
    for entry, size in zip(entries, sizes, strict=True):
        if said:
            what = f"dataset {entry['path']} of {where}"
            own, moved = scaling(entry.get("coordinateTransformations"), count, axes.space, what)
        else:
            own, moved = _guessed(sizes[0], size), False
        placed.append((after(over, own), moved))
    world = _world(axes)
    if said and any(_is_short(entry, count) for entry in entries):
        world = replace(world, notes=("the scale has no number for axes other than those of space: 1 is assumed",))
    return _image(multiscale, axes, picked, sizes, placed, world, where, said=said)


def _is_short(entry: dict[str, Any], axes: int) -> bool:
    found = entry.get("coordinateTransformations") or [{}]
    return len(found[0].get("scale", [])) < axes


def _guessed(finest: Sequence[int], size: Sequence[int]) -> Matrix:
    """The scale of a level of which only the shape is known."""
    ratios = [max(1.0, float(round(n / m))) if m else 1.0 for n, m in zip(finest, size, strict=False)]
    return np.hstack([np.diag(ratios), np.zeros((len(ratios), 1))])


def _image_of_systems(
    multiscale: dict[str, Any], sizes: Sequence[tuple[int, ...]], chosen: Chosen, where: str
) -> Image:
    """0.6: levels lead to the intrinsic coordinate system, and that perhaps to one in the world."""
    systems = systems_of(multiscale, where)
    intrinsic = intrinsic_name(multiscale, systems, where)
    axes = systems[intrinsic]
    picked = axes.picked(sizes[0], chosen, where)
    placed = [
        dataset_matrix(entry, len(axes.axes), f"dataset {entry['path']} of {where}") for entry in multiscale["datasets"]
    ]
    target = target_of(multiscale, systems, intrinsic, where)
    return _image(multiscale, axes, picked, sizes, placed, _world(target.axes, target, target.name != intrinsic), where)


def _world(axes: Axes, target: Target | None = None, moved: bool = False) -> _World:
    """How coordinates along `axes` become points; `moved` where the image has transformations that lead there."""
    worlds, named = axes.world
    by_name = np.zeros((3, len(worlds)))
    by_name[worlds, range(len(worlds))] = 1.0
    oriented = axes.oriented
    signs = None if target is None else target.signs
    steps, problem = by_name, "" if named else _NO_NAMES
    if oriented is not None:
        steps, problem = oriented, ""
    elif signs is not None and named:
        steps = by_name * np.array(signs)[:, None]
    elif named:
        problem = _NO_DIRECTION
    points = steps if moved or signs is not None else by_name
    matrix = target.matrix if target is not None and moved else None
    return _World(axes, matrix, steps, points, problem, () if target is None else tuple(_passed_over(target)))


def _passed_over(target: Target) -> Iterator[str]:
    if target.others:
        others = ", ".join(map(repr, target.others))
        yield f"the voxels are placed in the coordinate system {target.name!r} of the store, not in {others}"


def _image(
    multiscale: dict[str, Any],
    axes: Axes,
    picked: tuple[int | None, ...],
    sizes: Sequence[tuple[int, ...]],
    placed: Sequence[tuple[Matrix, bool]],
    world: _World,
    where: str,
    *,
    said: bool = True,
) -> Image:
    """The levels in their grids, with what is not known of them; `said` where the store states scales."""
    levels: list[Level] = []
    for entry, size, (matrix, moved) in zip(multiscale["datasets"], sizes, placed, strict=True):
        what = f"array {entry['path']} of {where}"
        if len(size) != len(picked) or any(
            a != b for a, b, p in zip(size, sizes[0], picked, strict=True) if p is not None
        ):
            raise FormatError(f"{what} has shape {size}, level 0 has {sizes[0]}: levels must have the same axes")
        grid = _grid(_space_of(size, picked), axes, matrix, world, what)
        ratio = np.diag(matrix)[axes.space] / np.diag(placed[0][0])[axes.space]
        levels.append(Level(entry["path"], grid, (0, 0, 0), _level_problems(len(levels), ratio, moved, said)))
    problem = ""
    if said and any(unit is None for unit in world.axes.units):
        problem = _NO_UNIT
    elif len(axes.space) == 2:
        problem = _ONE_PLANE
    method = multiscale.get("type", "")
    method = method if isinstance(method, str) else ""
    return Image(tuple(levels), Metadata(), method, False, picked, said, problem, world.problem, world.notes)


def _level_problems(number: int, ratio: npt.NDArray[np.float64], moved: bool, said: bool) -> tuple[str, ...]:
    if number == 0:
        return ()
    factors = " x ".join(f"{r:.6g}" for r in ratio[::-1])
    if not said:
        return (
            f"the store states no scale: level {number} is taken as {factors} voxels of level 0 in one (x, y, z) from "
            "the shapes, and may lie off",
        )
    if moved or ratio.max() <= 1:
        return ()
    return (
        f"the store states no translation: level {number} may lie up to {(ratio.max() - 1) / 2:.6g} voxels of level 0 "
        "off",
    )


def _space_of(size: Sequence[int], picked: Sequence[int | None]) -> Shape:
    kept = [n for n, index in zip(size, picked, strict=True) if index is None]
    k, j, i = [1] * (3 - len(kept)) + kept
    return k, j, i


def _grid(shape: Shape, axes: Axes, matrix: Matrix, world: _World, where: str) -> Geometry:
    """The grid of a level whose indices `matrix` takes to coordinates, in millimetres and towards LPS."""
    if min(shape) < 1:
        raise FormatError(f"{where} holds no voxels: its shape is {shape}")
    whole = matrix if world.matrix is None else after(world.matrix, matrix)
    inner, outer = axes.space, world.axes.space
    others = [number for number in range(len(axes.axes)) if number not in inner]
    if others and np.any(whole[np.ix_(outer, others)]):
        raise FormatError(f"{where} is moved in space by an axis that is none of space: chunkvol does not read that")
    unit = np.array([1.0 if one is None else one for one in world.axes.units])
    linear = whole[np.ix_(outer, inner)] * unit[:, None]
    origin = world.points @ (whole[outer, -1] * unit)
    steps = (world.steps @ linear).T
    if len(steps) == 2:
        # The missing axis goes in front, one plane deep, along what is left of the world.
        normal = np.zeros(3)
        normal[next(w for w in (2, 1, 0) if not world.points[w].any())] = 1.0
        steps = np.vstack([normal, steps])
    return Geometry.from_steps(shape, tuple(origin), steps)
