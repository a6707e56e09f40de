"""The voxels of a phantom, a plane at a time: a bone with a shell, trabeculae, flesh around it, air, noise and beads.

Only additions, multiplications and divisions of single precision numbers, which IEEE 754 rounds the same everywhere:
the voxels do not depend on the machine, nor on which planes were made before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.phantom.beads import Spot, placed_beads, spots
from chunkvol.phantom.lattice import Lattice, random_lattice
from chunkvol.phantom.model import Phantom
from chunkvol.phantom.noise import noise_bank

__all__ = ["Tissue"]

Floats = npt.NDArray[np.float32]

_AIR, _FLESH, _BONE = 700.0, 800.0, 3300.0
"""Grey levels: of air, what flesh adds to it, and what bone adds to flesh."""
_NOISE = 110.0
"""Standard deviation, grey levels."""
_STRIP = 1 << 18
"""Pixels worked on at a time; with 1 MB an array, threads spend their time outside of the interpreter."""
_LIMITS = (0.0, 8191.0)
"""Thirteen bits."""


class Tissue:
    """Makes the planes of a phantom, in any order and from any thread."""

    def __init__(self, phantom: Phantom) -> None:
        """Draw the random numbers once, a few tens of megabytes; planes are computed from them."""
        self.phantom = phantom
        self.beads = placed_beads(phantom)
        self._fine = _drawn(phantom.seed, 2, side=64, cell=14.0) if phantom.structure else None
        self._coarse = _drawn(phantom.seed, 3, side=16, cell=90.0) if phantom.structure else None
        self._noise = noise_bank(phantom.seed, 4, _NOISE * phantom.noise) if phantom.noise else None

    def plane(self, k: int) -> npt.NDArray[Any]:
        """The stored values of plane k, shape (y, x)."""
        columns, rows, count = self.phantom.size
        if not 0 <= k < count:
            raise IndexError(f"plane {k} of a phantom of {count}")
        out = np.empty((rows, columns), self.phantom.grey.dtype)
        shown = list(spots(self.beads, self.phantom.spacing[::-1], k))
        bone = _Bone(self.phantom.size, k, self._fine, self._coarse) if self._fine and self._coarse else None
        height = max(1, _STRIP // columns)
        for start in range(0, rows, height):
            strip = out[start : start + height]
            grey = bone.grey(start, len(strip)) if bone else np.full(strip.shape, _AIR, np.float32)
            if self._noise:
                self._noise.add(k, start, grey)
            for spot in shown:
                _add_spot(spot, start, grey)
            self._store(grey, strip)
        return out

    def _store(self, grey: Floats, strip: npt.NDArray[Any]) -> None:
        row = self.phantom.grey
        np.clip(grey, *_LIMITS, out=grey)
        if row.scale != 1:
            grey *= np.float32(row.scale)
        if row.dtype.kind != "f":
            np.rint(grey, out=grey)
        if row.offset:
            grey += np.float32(row.offset)
        if row.dtype == np.uint8:
            np.minimum(grey, 255, out=grey)
        strip[...] = grey


def _drawn(seed: int, stream: int, *, side: int, cell: float) -> Lattice:
    words = np.random.PCG64(np.random.SeedSequence([seed, stream])).random_raw(side**3)
    return random_lattice(np.asarray(words), side=side, cell=cell)


def _add_spot(spot: Spot, start: int, grey: Floats) -> None:
    first, last = max(spot.top - start, 0), min(spot.top + len(spot.down) - start, len(grey))
    if first < last:
        down = spot.down[first + start - spot.top : last + start - spot.top]
        grey[first:last, spot.left : spot.left + len(spot.across)] += down[:, None] * spot.across


class _Bone:
    """One plane of the structure: an ellipse that drifts and swells along the stack, its outline warped."""

    def __init__(self, size: tuple[int, int, int], k: int, fine: Lattice, coarse: Lattice) -> None:
        columns, rows, count = size
        along = _centred(np.array([k]), count)[0]
        self._rows = rows
        self._across = _squared((_centred(np.arange(columns), columns) - 0.08 * along) / (0.74 - 0.14 * along**2))
        self._down = (0.05 * along, 0.62 + 0.10 * along)
        self._fine, self._coarse = fine.rows_of_plane(k, columns), coarse.rows_of_plane(k, columns)
        self._steepness = np.float32(max(1 / 0.15, min(columns, rows) / 12))  # borders about three voxels wide

    def grey(self, start: int, height: int) -> Floats:
        """Grey levels of some rows."""
        shift, radius = self._down
        down = _squared((_centred(np.arange(start, start + height), self._rows) - shift) / radius)
        scratch = np.empty((height, len(self._across)), np.float32)
        slow = self._coarse.filled(start, np.empty_like(scratch), scratch)
        radial = np.multiply(slow, np.float32(0.06))
        radial += down[:, None]
        radial += self._across
        marrow = self._inside(radial, 0.76, np.empty_like(scratch), scratch)
        marrow *= self._gaps(start, slow, scratch)
        bone = self._inside(radial, 1.0, slow, scratch)
        bone -= marrow
        bone *= np.float32(_BONE)
        flesh = self._inside(radial, 1.35, radial, scratch)
        flesh *= np.float32(_FLESH)
        bone += flesh
        bone += np.float32(_AIR)
        return bone

    def _gaps(self, start: int, slow: Floats, scratch: Floats) -> Floats:
        """1 between the trabeculae, 0 in them: plates around the zeros of a field, thicker where `slow` is high."""
        fast = self._fine.filled(start, np.empty_like(scratch), scratch)
        np.abs(fast, out=fast)
        np.multiply(slow, np.float32(0.12), out=scratch)
        fast -= scratch
        fast -= np.float32(0.38)
        fast *= np.float32(3.3)
        return _soft_step(fast, scratch)

    def _inside(self, radial: Floats, limit: float, out: Floats, scratch: Floats) -> Floats:
        """1 where `radial` lies below the limit, 0 above, with a smooth border."""
        np.subtract(np.float32(limit), radial, out=out)
        out *= self._steepness
        return _soft_step(out, scratch)


def _soft_step(values: Floats, scratch: Floats) -> Floats:
    """From 0 at -1/2 to 1 at +1/2 by 3 t^2 - 2 t^3, in place."""
    values += np.float32(0.5)
    np.clip(values, 0, 1, out=values)
    np.multiply(values, np.float32(-2), out=scratch)
    scratch += np.float32(3)
    values *= values
    values *= scratch
    return values


def _centred(at: npt.NDArray[np.int_], count: int) -> npt.NDArray[np.float64]:
    """Indices as numbers from about -1 to 1."""
    return np.asarray((2 * at + 1 - count) / count)


def _squared(values: npt.NDArray[np.float64]) -> Floats:
    return (values * values).astype(np.float32)
