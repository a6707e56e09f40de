"""Where voxels lie: grids, their orientation, boxes in the world."""

from chunkvol.geometry.box import Box
from chunkvol.geometry.grid import Geometry
from chunkvol.geometry.mapping import Affine, Mapping, mapping_between, moved
from chunkvol.geometry.orientation import axis_codes, canonical_order, cardinal_axes, nearest_axes, order_for

__all__ = [
    "Affine",
    "Box",
    "Geometry",
    "Mapping",
    "axis_codes",
    "canonical_order",
    "cardinal_axes",
    "mapping_between",
    "moved",
    "nearest_axes",
    "order_for",
]
