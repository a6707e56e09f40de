"""Grids that hide no mistake (oblique, anisotropic, odd, of either handedness), and volumes that know their place."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from chunkvol import Geometry, Volume
from chunkvol.regions import Shape

COEFFICIENTS = np.array([3.0, -2.0, 5.0])
"""The ramp's slope along world x, y, z."""


def rotation(*degrees: float) -> npt.NDArray[np.float64]:
    """Rotation about x, then y, then z."""
    a, b, c = np.radians(degrees)
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return z @ y @ x


def oblique_grid(
    shape: Shape,
    *,
    spacing: tuple[float, float, float] = (0.7, 0.5, 0.3),
    degrees: tuple[float, float, float] = (17, -23, 40),
    mirrored: bool = False,
) -> Geometry:
    """A grid with three different spacings, turned about all axes."""
    columns = rotation(*degrees)[:, ::-1] * np.array([-1 if mirrored else 1, 1, 1])
    return Geometry(shape, (-11.5, 7.25, 101.125), spacing, tuple(map(tuple, columns)))


def minus_grid(shape: Shape) -> Geometry:
    """Cardinal, with minus signs, as the visible mouse skull has it."""
    columns = np.array([[0, 0, -1], [0, -1, 0], [1, 0, 0]])
    return Geometry(shape, (-3.05, -2.7, 3.2), (0.07, 0.06, 0.05), tuple(map(tuple, columns)))


def turned_grid(shape: Shape) -> Geometry:
    """Cardinal, with every axis along another one than its name says: k along -x, j along z, i along -y."""
    columns = np.array([[-1, 0, 0], [0, 0, -1], [0, 1, 0]])
    return Geometry(shape, (12.25, -40.5, 7.0), (0.4, 0.9, 0.25), tuple(map(tuple, columns)))


def sheared_grid(shape: Shape) -> Geometry:
    """The axes of a tilted gantry: k is not at right angles to j."""
    steps = [(0.0, -0.6, 2.4), (0.0, 0.5, 0.0), (0.75, 0.0, 0.0)]
    return Geometry.from_steps(shape, (-20.0, 33.0, -5.5), steps)


GRIDS = {
    "oblique": oblique_grid,
    "left-handed": lambda shape: oblique_grid(shape, mirrored=True),
    "anisotropic": lambda shape: oblique_grid(shape, spacing=(5.0, 0.31, 0.0123), degrees=(-71, 5, 133)),
    "minus signs": minus_grid,
    "turned": turned_grid,
    "sheared": sheared_grid,
}
"""Grids by name, each made for a shape."""


@st.composite
def grids(draw: Any, largest: int = 9) -> Geometry:
    """Any regular grid of at most `largest` voxels a side."""
    length = st.integers(1, largest)
    angle = st.floats(-180, 180).map(lambda degrees: round(degrees, 6))  # ITK inverts subnormal numbers to NaN
    return oblique_grid(
        draw(st.tuples(length, length, length)),
        spacing=draw(st.tuples(*[st.floats(0.005, 5)] * 3)),
        degrees=draw(st.tuples(angle, angle, angle)),
        mirrored=draw(st.booleans()),
    )


def ramp_values(geometry: Geometry) -> npt.NDArray[np.float64]:
    """A linear function of every voxel's own world position."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in geometry.shape], indexing="ij"), -1)
    return geometry.index_to_world(index) @ COEFFICIENTS


def ramp_volume(geometry: Geometry) -> Volume:
    """The ramp as a float64 volume."""
    return Volume(ramp_values(geometry), geometry)


def wide_floats(shape: Shape, dtype: str, seed: int = 0) -> npt.NDArray[Any]:
    """Floating-point numbers of so different sizes that the order of their sums shows in the last bits."""
    rng = np.random.default_rng(seed)
    return np.ldexp(rng.normal(size=shape), rng.integers(-30, 30, shape)).astype(dtype)


def noise_volume(geometry: Geometry, dtype: str = "uint16", seed: int = 0) -> Volume:
    """Random voxels over most of the type's range."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return Volume(rng.normal(0, 1000, geometry.shape).astype(kind), geometry)
    bounds = np.iinfo(kind)
    return Volume(rng.integers(bounds.min, bounds.max, geometry.shape, dtype=kind, endpoint=True), geometry)
