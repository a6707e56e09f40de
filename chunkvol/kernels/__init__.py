"""Kernels: pure functions from numpy block to numpy block, without I/O."""

from chunkvol.kernels.gaussian import (
    GaussianPlanes,
    gaussian_planes_scratch,
    gaussian_region,
    gaussian_weights,
)
from chunkvol.kernels.linear import (
    NEARLY,
    blend,
    blend_scratch,
    check_interpolable,
    covered,
    interpolate_axis,
    interpolate_scratch,
    shift_axis,
    shift_plane,
    shift_scratch,
    split_offset,
)
from chunkvol.kernels.masked import MaskedPlanes, masked_mean, masked_scratch
from chunkvol.kernels.planewise import PlaneReduction, plane_scratch
from chunkvol.kernels.reduce import (
    REDUCERS,
    Reducer,
    cascade,
    cascade_scratch,
    for_stored,
    reduce_steps,
    steps_scratch,
)
from chunkvol.kernels.rounding import to_dtype, to_integer

__all__ = [
    "NEARLY",
    "REDUCERS",
    "GaussianPlanes",
    "MaskedPlanes",
    "PlaneReduction",
    "Reducer",
    "blend",
    "blend_scratch",
    "cascade",
    "cascade_scratch",
    "check_interpolable",
    "covered",
    "for_stored",
    "gaussian_planes_scratch",
    "gaussian_region",
    "gaussian_weights",
    "interpolate_axis",
    "interpolate_scratch",
    "masked_mean",
    "masked_scratch",
    "plane_scratch",
    "reduce_steps",
    "shift_axis",
    "shift_plane",
    "shift_scratch",
    "split_offset",
    "steps_scratch",
    "to_dtype",
    "to_integer",
]
