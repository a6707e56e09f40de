"""Volumes that do not fit in memory: streamed, downsampled and converted with their place in the world.

Arrays, shapes, regions and factors are in array order (k, j, i); world points are LPS millimetres (x, y, z).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chunkvol._version import __version__

if TYPE_CHECKING:
    from chunkvol.errors import ChunkvolError
    from chunkvol.geometry import Box, Geometry
    from chunkvol.geometry.planes import SlicePlane
    from chunkvol.landmarks import Landmarks, read_landmarks, write_landmarks
    from chunkvol.markups import Markup, read_markups
    from chunkvol.memory import Plan
    from chunkvol.metadata import Metadata, Rescale
    from chunkvol.ops.align import align
    from chunkvol.ops.attach import attach
    from chunkvol.ops.compare import Comparison, compare
    from chunkvol.ops.crop import crop
    from chunkvol.ops.downsample import downsample
    from chunkvol.ops.quantise import quantise
    from chunkvol.ops.reorient import canonical, reorient
    from chunkvol.ops.resample import resample
    from chunkvol.ops.reslice import reslice
    from chunkvol.phantom import write_phantom
    from chunkvol.pipeline import Written, ingest, open_volume, plan_write, write_volume
    from chunkvol.transforms import read_transform
    from chunkvol.volume import Volume

_HOMES = {
    "Box": "geometry",
    "ChunkvolError": "errors",
    "Comparison": "ops.compare",
    "Geometry": "geometry",
    "Landmarks": "landmarks",
    "Markup": "markups",
    "Metadata": "metadata",
    "Plan": "memory",
    "Rescale": "metadata",
    "SlicePlane": "geometry.planes",
    "Volume": "volume",
    "Written": "pipeline",
    "align": "ops.align",
    "attach": "ops.attach",
    "canonical": "ops.reorient",
    "compare": "ops.compare",
    "crop": "ops.crop",
    "downsample": "ops.downsample",
    "ingest": "pipeline",
    "open_volume": "pipeline",
    "plan_write": "pipeline",
    "quantise": "ops.quantise",
    "read_landmarks": "landmarks",
    "read_markups": "markups",
    "read_transform": "transforms",
    "reorient": "ops.reorient",
    "resample": "ops.resample",
    "reslice": "ops.reslice",
    "write_landmarks": "landmarks",
    "write_phantom": "phantom",
    "write_volume": "pipeline",
}

__all__ = [
    "Box",
    "ChunkvolError",
    "Comparison",
    "Geometry",
    "Landmarks",
    "Markup",
    "Metadata",
    "Plan",
    "Rescale",
    "SlicePlane",
    "Volume",
    "Written",
    "__version__",
    "align",
    "attach",
    "canonical",
    "compare",
    "crop",
    "downsample",
    "ingest",
    "open_volume",
    "plan_write",
    "quantise",
    "read_landmarks",
    "read_markups",
    "read_transform",
    "reorient",
    "resample",
    "reslice",
    "write_landmarks",
    "write_phantom",
    "write_volume",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import chunkvol` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'chunkvol' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"chunkvol.{_HOMES[name]}"), name)
