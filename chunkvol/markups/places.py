"""Where planes and regions lie, from what their markup states."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from chunkvol.errors import FormatError
from chunkvol.geometry import Box
from chunkvol.markups.fields import Array, MarkupFields, triple_of

_SAME = 1e-3
"""By which two statements of one place may differ: of the unit of a point, or of a unit vector."""
_TURN = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Between LPS and RAS."""

Place = tuple[Array, Array]
"""Origin, shape (3,), and axes in columns, shape (3, 3); LPS mm."""

__all__ = ["plane_box", "region_box"]


# ------------------------------------------------------------------------------------------------------- regions


def region_box(fields: MarkupFields, points: Sequence[Array]) -> Box:
    """The box of a region of interest: its centre, axes and size.

    Without a centre the one control point is it, as Slicer has it; without axes they are those of the world.
    """
    kind = fields.text("roiType") or "Box"
    if kind not in ("Box", "BoundingBox"):
        raise FormatError(f"{fields.where} is a region of type {kind[:20]!r}; Box and BoundingBox are known")
    axes = fields.axes("orientation")
    centre, size = fields.point("center"), fields.lengths("size", 3)
    if centre is None and points:
        own = np.array(points) @ (np.eye(3) if axes is None else axes)
        middle = (own.min(axis=0) + own.max(axis=0)) / 2
        centre = middle if axes is None else np.asarray(np.linalg.solve(axes.T, middle))
    if centre is None:
        raise FormatError(f"{fields.where} is a region without a centre or a placed point; place it in Slicer")
    if size is None or (size < 0).any():
        raise FormatError(f"{fields.where} is a region without a size of three lengths; save it again in Slicer")
    return _box((centre, np.eye(3) if axes is None else axes), -size / 2, size / 2)


# -------------------------------------------------------------------------------------------------------- planes


def plane_box(fields: MarkupFields, points: Sequence[Array]) -> Box:
    """The box of no depth that a plane is; its size is 0 where none is stated.

    Slicer writes the place twice, as it is shown (`center`, `orientation`, `normal`) and as two matrices, which are
    what it reads. Where both are there they must agree; where neither is, the control points tell.
    """
    shown, stored = _shown(fields, points), _stored(fields)
    if shown is not None and stored is not None:
        _check_same(fields, shown, stored)
    place = shown or stored or _drawn(fields, points)
    bounds = _bounds(fields)
    if bounds[0] > bounds[1] or bounds[2] > bounds[3]:
        raise FormatError(f"{fields.where}: the plane ends before it begins, found bounds {bounds.tolist()} mm")
    return _box(place, np.array([bounds[0], bounds[2], 0.0]), np.array([bounds[1], bounds[3], 0.0]))


def _bounds(fields: MarkupFields) -> Array:
    """Smallest and largest x, smallest and largest y, mm; 0 where the plane has no size."""
    bounds = fields.lengths("planeBounds", 4)
    if bounds is not None:
        return bounds
    stated = fields.data.get("size")
    size = fields.lengths("size", 2 if isinstance(stated, list) and len(stated) == 2 else 3)
    x, y = (0.0, 0.0) if size is None else (size[:2] / 2).tolist()
    return np.array([-x, x, -y, y])


def _shown(fields: MarkupFields, points: Sequence[Array]) -> Place | None:
    """The place as Slicer showed it when the file was written."""
    origin, axes, normal = fields.point("center"), fields.axes("orientation"), fields.direction("normal")
    if origin is None and points and normal is not None:
        origin = points[0]
    if origin is None:
        return None
    if axes is not None:
        return origin, axes
    return None if normal is None else (origin, _axes_for(normal))


def _stored(fields: MarkupFields) -> Place | None:
    """The place by the matrices that Slicer reads."""
    base, inner = fields.matrix("baseToNode"), fields.matrix("objectToBase")
    if base is None:
        return None
    whole = _TURN @ base @ (np.eye(4) if inner is None else inner)
    return whole[:3, 3], fields.unit_of(whole[:3, :3], "baseToNode")


def _check_same(fields: MarkupFields, shown: Place, stored: Place) -> None:
    apart = np.abs(shown[0] - stored[0]).max()
    turned = np.abs(shown[1][:, 2] - stored[1][:, 2]).max()
    if apart > _SAME * fields.unit or turned > _SAME:
        raise FormatError(
            f"{fields.where} states its place twice and differently: center and orientation say "
            f"{_said(shown[0])} mm, baseToNode and objectToBase {_said(stored[0])} mm (LPS), normals "
            f"{_said(shown[1][:, 2])} and {_said(stored[1][:, 2])}; save it again in Slicer"
        )


def _said(values: Array) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


def _drawn(fields: MarkupFields, points: Sequence[Array]) -> Place:
    """The place by control points alone, by the type of the plane."""
    kind = (fields.text("planeType") or "threePoints").lower()  # files from before there were types
    if kind not in _DRAWN:
        raise FormatError(
            f"{fields.where} is a plane of type {kind[:20]!r}; pointNormal, threePoints, planeFit are known"
        )
    needed, place = _DRAWN[kind]
    if len(points) < needed:
        raise FormatError(
            f"{fields.where} has {len(points)} placed points and no other place; a plane of type {kind} needs {needed}"
        )
    return place(fields, points)


def _by_normal(fields: MarkupFields, points: Sequence[Array]) -> Place:
    """A point, and another one that the normal points to."""
    return points[0], _axes_for(fields.unit_of(points[1] - points[0], "the line between its points"))


def _by_three(fields: MarkupFields, points: Sequence[Array]) -> Place:
    """The first point, x to the second one, the third one on the side of y."""
    x = fields.unit_of(points[1] - points[0], "the line between its points")
    aside = points[2] - points[0]
    across = np.cross(x, aside)
    if np.linalg.norm(across) <= 1e-9 * np.linalg.norm(aside):
        raise FormatError(f"{fields.where} has its points on one line, which lies in many planes")
    z = across / np.linalg.norm(across)
    return points[0], np.column_stack([x, np.cross(z, x), z])


def _by_fit(fields: MarkupFields, points: Sequence[Array]) -> Place:
    """The plane of least squares through the mean of all points; the normal's largest part is positive."""
    middle = np.mean(points, axis=0)
    _, sizes, ways = np.linalg.svd(np.array(points) - middle, full_matrices=True)
    if sizes[1] <= 1e-9 * sizes[0] or not sizes[0] > 0:
        raise FormatError(f"{fields.where} has its points on one line, which lies in many planes")
    normal = ways[2] * (1 if ways[2][np.abs(ways[2]).argmax()] > 0 else -1)
    return middle, _axes_for(normal)


_DRAWN: dict[str, tuple[int, Callable[[MarkupFields, Sequence[Array]], Place]]] = {
    "pointnormal": (2, _by_normal),
    "threepoints": (3, _by_three),
    "3points": (3, _by_three),
    "planefit": (3, _by_fit),
}
"""By the type in small letters (the schema's examples and Slicer's files differ): points needed, and what they make."""


def _axes_for(normal: Array) -> Array:
    """Axes of a plane of which only the normal is known: x along the axis of the world that lies best in it."""
    x = np.zeros(3)
    x[np.abs(normal).argmin()] = 1.0
    x -= (x @ normal) * normal
    x /= np.linalg.norm(x)
    return np.column_stack([x, np.cross(normal, x), normal])


def _box(place: Place, low: Array, high: Array) -> Box:
    origin, axes = place
    x, y, z = map(triple_of, axes)
    return Box(triple_of(origin), (x, y, z), triple_of(low), triple_of(high))
