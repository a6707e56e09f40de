"""Kernels: pure functions from numpy block to numpy block, without I/O."""

from chunkvol.kernels.gaussian import (
    GaussianPlanes,
    gaussian_planes_scratch,
    gaussian_region,
    gaussian_weights,
)
from chunkvol.kernels.planewise import PlaneReduction, plane_scratch
from chunkvol.kernels.reduce import REDUCERS, Reducer, cascade, cascade_scratch, reduce_steps, steps_scratch
from chunkvol.kernels.rounding import to_dtype, to_integer

__all__ = [
    "REDUCERS",
    "GaussianPlanes",
    "PlaneReduction",
    "Reducer",
    "cascade",
    "cascade_scratch",
    "gaussian_planes_scratch",
    "gaussian_region",
    "gaussian_weights",
    "plane_scratch",
    "reduce_steps",
    "steps_scratch",
    "to_dtype",
    "to_integer",
]
