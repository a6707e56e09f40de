"""What a caller says of the place of a store's voxels, over what the store says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from chunkvol.formats.ome_zarr.image import Image, Level
from chunkvol.formats.place import Place, Stated
from chunkvol.geometry import Geometry

__all__ = ["placed"]


def placed(image: Image, place: Place, what: str) -> Image:
    """The image where the caller says it is: level 0 by `place`, the others moved with it.

    Its metadata tell what is assumed and what was overruled; `what` is the store, for messages.

    Raises
    ------
    GeometryError
        The caller's grid has another shape than level 0.
    """
    base = image.levels[0].geometry
    if place == Place() and image.spaced:
        problems = [image.spacing_problem, image.direction_problem, *image.notes]
        assumed = image.metadata.assumed or bool(image.spacing_problem or image.direction_problem)
        return _with(image, image.levels, assumed, problems)
    stated = Stated(
        base.spacing if image.spaced else None,
        base.origin,
        [(x, y, z) for x, y, z in np.array(base.direction).T.tolist()],
        by="the store",
        guess=image.spacing_problem,
    )
    placing = place.placed(base.shape, stated, what)
    turned = bool(place.orientation) or place.geometry is not None
    direction = "" if turned else image.direction_problem
    told = image.metadata.assumed and place.spacing is None and place.geometry is None
    problems = [*placing.problems, *_overruled(image, place), direction, *image.notes]
    levels = tuple(_moved(level, base, placing.geometry) for level in image.levels)
    return _with(image, levels, placing.assumed or told or bool(direction), problems)


def _with(image: Image, levels: tuple[Level, ...], assumed: bool, problems: list[str]) -> Image:
    kept = (*image.metadata.problems, *(problem for problem in problems if problem))
    return replace(image, levels=levels, metadata=replace(image.metadata, assumed=assumed, problems=kept))


def _overruled(image: Image, place: Place) -> Iterator[str]:
    """What the store says and nobody heeds; spacing is told by `Place.placed`."""
    base = image.levels[0].geometry
    if place.geometry is not None and image.spaced and not place.geometry.is_close(base):
        yield "the store says where its voxels lie: --geometry is used"
    if place.origin is not None and any(base.origin) and not np.allclose(place.origin, base.origin, rtol=1e-6):
        x, y, z = base.origin
        yield f"the store says that the first voxel lies at {x:.6g}, {y:.6g}, {z:.6g} mm: --origin is used"
    if place.orientation and not image.direction_problem:
        yield "the store says in which directions its axes run: --orientation is used"


def _moved(level: Level, old: Geometry, new: Geometry) -> Level:
    """The level after the motion that takes level 0 from `old` to `new`."""
    if level.geometry == old or old == new:
        return replace(level, geometry=new if level.geometry == old else level.geometry)
    affine = new.affine @ np.linalg.inv(old.affine) @ level.geometry.affine
    origin = new.index_to_world(old.world_to_index(level.geometry.origin))
    return replace(level, geometry=Geometry.from_steps(level.geometry.shape, tuple(origin), affine[:3, :3].T))
