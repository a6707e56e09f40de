"""Stores as other programs make them: metadata as given, arrays by zarr-python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def counted(shape: Sequence[int], dtype: str = "uint16") -> Array:
    """Voxels that all differ, where the type has room for that."""
    return np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)


def made(path: Path, attributes: Mapping[str, Any], arrays: Mapping[str, Array], *, zarr_format: int = 2) -> Path:
    """A group with these attributes and arrays, in chunks of two voxels along each axis of space."""
    import zarr

    group = zarr.open_group(path, mode="w", zarr_format=2 if zarr_format == 2 else 3)
    for name, voxels in arrays.items():
        chunks = tuple(min(2, n) for n in voxels.shape)
        if isinstance(group.get(name), zarr.Array):
            continue
        group.create_array(name, data=voxels, chunks=chunks)
    group.attrs.update(attributes)
    return path


def axes(names: str, unit: str = "millimeter") -> list[dict[str, str]]:
    """Axes of 0.4 and later by their letters."""
    kinds = {"t": {"type": "time"}, "c": {"type": "channel"}}
    return [{"name": name, **kinds.get(name, {"type": "space", "unit": unit})} for name in names]


def dataset(path: str, scale: Sequence[float], translation: Sequence[float] | None = None) -> dict[str, Any]:
    """A level of 0.4 or 0.5."""
    steps: list[dict[str, Any]] = [{"type": "scale", "scale": list(scale)}]
    if translation is not None:
        steps.append({"type": "translation", "translation": list(translation)})
    return {"path": path, "coordinateTransformations": steps}


def image(version: str, **multiscale: Any) -> dict[str, Any]:
    """The attributes of a group with one image."""
    if version < "0.5":
        return {"multiscales": [{"version": version, **multiscale}]}
    return {"ome": {"version": version, "multiscales": [multiscale]}}


def systems(*transformations: dict[str, Any], **named: list[dict[str, Any]]) -> dict[str, Any]:
    """Coordinate systems of 0.6 and the transformations between them, for `image`."""
    out: dict[str, Any] = {
        "coordinateSystems": [{"name": name, "axes": known} for name, known in named.items()],
    }
    return {**out, "coordinateTransformations": list(transformations)} if transformations else out


def dataset_06(path: str, scale: Sequence[float], translation: Sequence[float] | None = None) -> dict[str, Any]:
    """A level of 0.6, which leads to the system "intrinsic"."""
    ends = {"input": {"path": path}, "output": {"name": "intrinsic"}}
    steps = dataset(path, scale, translation)["coordinateTransformations"]
    whole = steps[0] if len(steps) == 1 else {"type": "sequence", "transformations": steps}
    return {"path": path, "coordinateTransformations": [{**whole, **ends}]}


def onward(kind: str, target: str = "world", source: str = "intrinsic", **values: Any) -> dict[str, Any]:
    """A transformation between two named systems of 0.6."""
    return {"type": kind, "input": {"name": source}, "output": {"name": target}, **values}
