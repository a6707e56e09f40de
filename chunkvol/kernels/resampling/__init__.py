"""Kernels that find values between voxels: along each axis by itself, or anywhere."""

from chunkvol.kernels.resampling.compiled import load_kernels
from chunkvol.kernels.resampling.filters import filter_axis, filter_scratch
from chunkvol.kernels.resampling.places import is_inside, places
from chunkvol.kernels.resampling.sampling import METHODS, sample, sample_reach, sample_scratch
from chunkvol.kernels.resampling.taps import Taps, smoothing_taps, taps_for

__all__ = [
    "METHODS",
    "Taps",
    "filter_axis",
    "filter_scratch",
    "is_inside",
    "load_kernels",
    "places",
    "sample",
    "sample_reach",
    "sample_scratch",
    "smoothing_taps",
    "taps_for",
]
