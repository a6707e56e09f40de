"""Where voxels lie: grids, their orientation."""

from chunkvol.geometry.grid import Geometry
from chunkvol.geometry.orientation import axis_codes, canonical_order, cardinal_axes

__all__ = ["Geometry", "axis_codes", "canonical_order", "cardinal_axes"]
