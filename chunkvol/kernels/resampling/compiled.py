"""The loops as machine code: compiled at their first use, kept on disk, and done without where there is no compiler."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import FunctionType
from typing import Any

import numpy as np

from chunkvol.kernels.resampling import loops, sums

Kernel = Callable[..., None]

_LOOPS: dict[str, Kernel] = {
    "nearest": loops.nearest,
    "linear": loops.linear,
    "linear_whole": loops.linear_whole,
    "cubic": sums.cubic,
    "lanczos": sums.lanczos_loop,
    "filter": sums.filter_lines,
}
_HELPERS: tuple[Callable[..., Any], ...] = (*loops.HELPERS, *sums.HELPERS)

_LOCK = threading.Lock()
_READY: dict[tuple[str, str], Kernel | None] = {}

__all__ = ["kernel_for", "load_kernels", "loop_for"]


def load_kernels(
    dtype: np.dtype[Any] | None = None, method: str | None = None, *, made: np.dtype[Any] | None = None
) -> None:
    """Compile what a job will use, or load it from disk, so that a plan measures the compiler's memory as well.

    Parameters
    ----------
    dtype, method
        Of the boxes that `sample` is given, and of `METHODS`; left out where only `filter_axis` is used.
    made
        Of what it fills, where that is another type than that of the boxes.
    """
    if method != "nearest":
        kernel_for("filter")
    if dtype is not None and method is not None:
        kernel_for(loop_for(method, dtype, made or dtype), dtype)


def loop_for(method: str, box: np.dtype[Any], made: np.dtype[Any]) -> str:
    """The loop that fills a type from boxes of a type: linear rounds where both are the same integers."""
    return "linear_whole" if method == "linear" and box == made and made.kind in "iu" else method


def kernel_for(name: str, dtype: np.dtype[Any] | None = None) -> Kernel | None:
    """The compiled loop for boxes of some type; None where it has to be done without."""
    kind = _kind(name, dtype)
    if kind is None:
        return None
    if (name, kind) not in _READY:
        with _LOCK:
            if (name, kind) not in _READY:
                _READY[name, kind] = _compile(name, kind)
    return _READY[name, kind]


def compiler() -> Any:
    """The module numba; None where it cannot be imported, or is told to compile nothing."""
    try:
        numba: Any = import_module("numba")
    except (ImportError, OSError):  # OSError: its library does not load
        return None
    return None if numba.config.DISABLE_JIT else numba


def _kind(name: str, dtype: np.dtype[Any] | None) -> str | None:
    """The type that a loop is compiled for; the nearest voxel is copied, whatever its bytes mean."""
    if dtype is None:
        return "float64"
    if name == "nearest":
        return f"uint{8 * dtype.itemsize}" if dtype.itemsize in (1, 2, 4, 8) else None
    return dtype.name if dtype.kind in "iu" or dtype.name in ("float32", "float64") else None


def _compile(name: str, kind: str) -> Kernel | None:
    numba = compiler()
    if numba is None:
        return None
    _introduce()
    signature, loop = _signature(numba, name, kind), _named(_LOOPS[name])
    try:
        made: Kernel = numba.njit(signature, nogil=True, cache=True)(loop)
    except Exception:  # no folder to write to, a full disk, a damaged file: what is kept on disk is not needed
        made = numba.njit(signature, nogil=True)(loop)
    return made


def _named(loop: Kernel) -> Kernel:
    """The loop under a name on disk that changes with all that it calls; numba looks only at the loop's own file."""
    codes = [one.__code__ for one in (*_LOOPS.values(), *_HELPERS)]
    digest = zlib.crc32(b"".join(code.co_code + repr((code.co_consts, code.co_names)).encode() for code in codes))
    copy = FunctionType(loop.__code__, loop.__globals__, loop.__name__)
    copy.__qualname__ = f"{loop.__name__}_{digest:08x}"
    return copy


@cache
def _introduce() -> None:
    """Let the compiler know the functions that the loops call."""
    register = import_module("numba.extending").register_jitable
    for helper in _HELPERS:
        register(helper)


def _signature(numba: Any, name: str, kind: str) -> Any:
    def array(of: Any, axes: int, **more: Any) -> Any:
        return numba.types.Array(of, axes, "C", **more)

    real, whole = numba.float64, numba.int64
    if name == "filter":
        return numba.void(array(real, 2), array(whole, 1), array(real, 2), array(real, 2))
    voxel = numba.from_dtype(np.dtype(kind))
    value = voxel if name == "nearest" else real
    made = voxel if name in ("nearest", "linear_whole") else real
    facts = (array(whole, 1), array(whole, 2), array(real, 2), array(whole, 1))
    out = numba.types.Array(made, 3, "A")
    return numba.void(array(voxel, 1, readonly=True), *facts, value, out)
