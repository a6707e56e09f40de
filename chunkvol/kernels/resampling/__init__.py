"""Kernels that find values between voxels: along each axis by itself, or anywhere."""

from chunkvol.kernels.resampling.sampling import METHODS, sample, sample_reach
from chunkvol.kernels.resampling.taps import Taps, filter_axis, smoothing_taps, taps_for

__all__ = ["METHODS", "Taps", "filter_axis", "sample", "sample_reach", "smoothing_taps", "taps_for"]
