"""Where a NRRD header puts the voxels: its space fields as a Geometry, and back. LPS millimetres inside."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chunkvol.errors import GeometryError
from chunkvol.geometry import Geometry
from chunkvol.regions import Shape

Vectors = npt.NDArray[np.float64]

_SPACES = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
"""Signs that lead from each anatomical space to LPS."""

_OTHER_SPACES = ("", "scanner-xyz", "3d-right-handed", "3d-left-handed")
"""Spaces without anatomical meaning: their numbers are taken as LPS, as ITK does, and marked as assumed."""

_UNITS = {
    "mm": (1, 1),
    "millimeter": (1, 1),
    "millimetre": (1, 1),
    "um": (1, 1000),
    "µm": (1, 1000),  # micro sign
    "μm": (1, 1000),  # Greek mu
    "micron": (1, 1000),
    "micrometer": (1, 1000),
    "micrometre": (1, 1000),
    "nm": (1, 1_000_000),
    "cm": (10, 1),
    "m": (1000, 1),
    "meter": (1000, 1),
}
"""Millimetres in a unit, as a fraction: a division by 1000 is exactly rounded, a product with 0.001 is not."""

_UNSTATED = ("", "none", "???", "pixel", "voxel")
_COUNTS = {2: "two", 3: "three"}

__all__ = ["Placing", "geometry_fields", "geometry_from_header"]


@dataclass(frozen=True, slots=True)
class Placing:
    """A geometry, and how far the header stated it."""

    geometry: Geometry
    """Where the voxels lie."""
    assumed: bool
    """True when the header left something out."""
    problems: tuple[str, ...]
    """What was assumed or converted, a sentence each."""


def geometry_from_header(fields: Mapping[str, str], shape: Shape) -> Placing:
    """Where the fields (lower case, without spaces) put a volume of this shape, or a plane of two axes.

    Raises
    ------
    GeometryError
        A direction is missing, not finite or zero, or a unit or space is not known.
    """
    name = fields.get("space", "").lower()
    if name not in _SPACES and name not in _OTHER_SPACES:
        raise GeometryError(f"the space {name!r} is not known; the header's space must be {', '.join(_SPACES)}")
    problems = [] if name in _SPACES else _nowhere(name, fields)
    axes = 2 if fields.get("dimension") == "2" else 3
    origin = _origin(fields)
    if "spacedirections" in fields:
        steps = _directions(fields["spacedirections"], axes)
        unit, noted = _units(fields.get("spaceunits", ""), "space units")
    else:
        along = _along_axes(fields, shape, axes)
        steps = np.eye(axes, 3) * np.array(along.spacings)[:, None]
        unit, noted = _units(fields.get("units", ""), "units")
        problems.append(f"the header states no space directions: {along.said}, along the axes")
        if origin is None and along.first is not None:
            origin = np.array([*along.first, *[0.0] * (3 - axes)])
            problems.append("the header states no space origin: axis mins are used, as in ITK")
    if origin is None:
        problems.append("the header states no space origin: 0, 0, 0 is assumed")
    signs = np.array(_SPACES.get(name, (1, 1, 1)), float)
    start = (np.zeros(3) if origin is None else origin) * signs
    numerator, denominator = unit
    # Adding 0 turns -0 into 0.
    vectors = steps * signs * numerator / denominator + 0.0
    if axes == 2:
        problems.append("the header has two axes: one plane, to which 1 mm is assumed as the third spacing")
        vectors = np.vstack([vectors, _normal(vectors)])
    grid = Geometry.from_steps(shape, start * numerator / denominator + 0.0, vectors[::-1])
    return Placing(grid, bool(problems), (*problems, *noted))


def _normal(steps: Vectors) -> Vectors:
    """The unit vector at right angles to two steps, which makes them right-handed."""
    across = np.cross(*steps)
    length = float(np.linalg.norm(across))
    if not length > 0:
        raise GeometryError(f"the space directions are parallel or zero: {steps.tolist()}")
    return np.asarray(across / length, np.float64) + 0.0


def _nowhere(name: str, fields: Mapping[str, str]) -> list[str]:
    if not name and "spacedirections" not in fields:
        return ["the header states no space: left-posterior-superior is assumed"]
    return [f"the header's space ({name or 'no name'}) is not anatomical: left-posterior-superior is assumed"]


@dataclass(frozen=True, slots=True)
class _Along:
    """What the fields of single axes say of the grid, in the order i, j, k."""

    spacings: list[float]
    """Between samples."""
    said: str
    """Which field says so."""
    first: list[float] | None
    """The first sample, where axis mins tell it."""


def _along_axes(fields: Mapping[str, str], shape: Shape, axes: int) -> _Along:
    """Spacings, axis mins and axis maxs (the definition's section 6).

    Mins and maxs are the outer samples where these are nodes, else the outer faces of cells: cells are Teem's
    default, and ITK's.
    """
    mins, maxs = (_ends(fields.get(name, ""), name, axes) for name in ("axismins", "axismaxs"))
    centers = fields.get("centers", "").lower().split()
    node = [axis < len(centers) and centers[axis] == "node" for axis in range(axes)]
    if "spacings" in fields:
        spacings, said = _spacings(fields["spacings"], axes), "spacings are used"
    elif mins is not None and maxs is not None:
        counts = [max(1, n - is_node) for n, is_node in zip(shape[::-1], node, strict=False)]
        spacings = [(high - low) / n for low, high, n in zip(mins, maxs, counts, strict=True)]
        said = "the spacing of axis mins and maxs is used"
    else:
        return _Along([1.0] * axes, "a spacing of 1 mm is assumed", None)
    if mins is None:
        return _Along(spacings, said, None)
    half = [0.0 if is_node else step / 2 for step, is_node in zip(spacings, node, strict=True)]
    return _Along(spacings, said, [low + more for low, more in zip(mins, half, strict=True)])


def _ends(text: str, name: str, axes: int) -> list[float] | None:
    """Finite numbers, one an axis; None where the header leaves some out, which NaN says as well."""
    words = text.lower().split()
    if not words or "nan" in words:
        return None
    values = _finite(",".join(words))
    if len(values) != axes:
        raise GeometryError(f"{name.replace('axis', 'axis ')} must be {_COUNTS[axes]} finite numbers, found {text!r}")
    return values


def _directions(text: str, axes: int) -> Vectors:
    """Steps of the axes i, j, k, one a row."""
    if re.search(r"\bnone\b", text, re.IGNORECASE):
        raise GeometryError(f"an axis has no space direction ({text}); volumes of three spatial axes are read")
    vectors = [_vector(part, "space directions", axes) for part in re.findall(r"\(([^()]*)\)", text)]
    if len(vectors) != axes:
        raise GeometryError(f"space directions must be {_COUNTS[axes]} vectors, found {text!r}")
    return np.array(vectors)


def _vector(text: str, name: str, axes: int = 3) -> list[float]:
    """Three numbers; those of a plane in a space of two dimensions get a 0."""
    values = _finite(text)
    if axes == len(values) == 2:
        values.append(0.0)
    if len(values) != 3:
        raise GeometryError(f"{name} must hold three finite numbers in each vector, found ({text})")
    return values


def _finite(text: str) -> list[float]:
    """Numbers between commas; none where one is no finite number."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        return []
    return values if np.isfinite(values).all() else []


def _origin(fields: Mapping[str, str]) -> Vectors | None:
    text = fields.get("spaceorigin")
    axes = 2 if fields.get("dimension") == "2" else 3
    return None if text is None else np.array(_vector(text.strip().strip("()"), "space origin", axes))


def _spacings(text: str, axes: int) -> list[float]:
    """Spacing along i, j, k."""
    if not text:
        return [1.0] * axes
    values = _finite(",".join(text.split()))
    if len(values) != axes:
        raise GeometryError(f"spacings must be {_COUNTS[axes]} finite numbers, found {text!r}")
    return values


def _units(text: str, name: str) -> tuple[tuple[int, int], list[str]]:
    """Millimetres in the header's unit, and what to tell."""
    found = set(re.findall(r'"([^"]*)"', text)) if '"' in text else set(text.split())
    plain = {unit.strip().lower() for unit in found} - set(_UNSTATED)
    plain = {unit if unit in _UNITS else unit.removesuffix("s") for unit in plain}
    if not plain:
        return (1, 1), []
    unit = next(iter(plain))
    if len(plain) > 1 or unit not in _UNITS:
        raise GeometryError(f"{name} {text} are not known; all must be one of {', '.join(_UNITS)}")
    if _UNITS[unit] == (1, 1):
        return (1, 1), []
    return _UNITS[unit], [f"{name} are {unit}: converted to mm (programs built on ITK take the numbers as mm)"]


# ---------------------------------------------------------------------------------------------------- writing


def geometry_fields(geometry: Geometry) -> list[tuple[str, str]]:
    """The fields that place a volume, as ITK writes them: LPS, mm, every number to the last bit."""
    affine = geometry.affine
    return [
        ("space", "left-posterior-superior"),
        ("sizes", " ".join(str(n) for n in geometry.shape[::-1])),
        ("space directions", " ".join(_vector_text(affine[:3, axis]) for axis in (2, 1, 0))),
        ("space origin", _vector_text(affine[:3, 3])),
    ]


def _vector_text(values: npt.ArrayLike) -> str:
    return "(" + ",".join(_number(float(v)) for v in np.asarray(values)) + ")"


def _number(value: float) -> str:
    """The shortest text that reads back as the same double; no negative zero."""
    return repr(value + 0.0).removesuffix(".0")
