"""Where voxels lie: grids, their orientation."""

from chunkvol.geometry.grid import Geometry
from chunkvol.geometry.mapping import Affine, Mapping, mapping_between, moved
from chunkvol.geometry.orientation import axis_codes, canonical_order, cardinal_axes

__all__ = ["Affine", "Geometry", "Mapping", "axis_codes", "canonical_order", "cardinal_axes", "mapping_between", "moved"]
