"""Resample a NumPy array in memory, turned about its middle. Arguments: npy, method, library, degrees.

The clock runs around the filter alone: neither reading nor writing is counted.
"""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any

import numpy as np
from native import report
from turned import turn

_SITK = {"nearest": "sitkNearestNeighbor", "linear": "sitkLinear", "cubic": "sitkBSpline3"}
_ORDERS = {"nearest": 0, "linear": 1, "cubic": 3}


def main() -> None:
    """One thread, the grid of the input."""
    path, method, library, degrees = sys.argv[1:]
    volume, matrix = np.load(path), turn(float(degrees))
    seconds, out = {"SimpleITK": _simpleitk, "scipy": _scipy}[library](volume, matrix, method)
    report(seconds, library=library, checksum=int(out[:: max(1, len(out) // 8)].sum(dtype=np.int64)))


def _simpleitk(volume: Any, matrix: Any, method: str) -> tuple[float, Any]:
    sitk: Any = importlib.import_module("SimpleITK")  # its functions have no types
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    image = sitk.GetImageFromArray(volume)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix.ravel().tolist())
    transform.SetCenter(((np.array(image.GetSize()) - 1) / 2).tolist())
    started = time.perf_counter()
    out = sitk.Resample(image, image, transform, getattr(sitk, _SITK[method]), 0.0)
    return time.perf_counter() - started, sitk.GetArrayFromImage(out)


def _scipy(volume: Any, matrix: Any, method: str) -> tuple[float, Any]:
    ndimage: Any = importlib.import_module("scipy.ndimage")
    order = matrix[::-1, ::-1]  # its axes are (k, j, i)
    middle = (np.array(volume.shape) - 1) / 2
    started = time.perf_counter()
    out = ndimage.affine_transform(volume, order, middle - order @ middle, order=_ORDERS[method], mode="constant")
    return time.perf_counter() - started, out


if __name__ == "__main__":
    main()
