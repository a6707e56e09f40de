"""Noise as a scanner makes it: correlated with its neighbours in the plane and along the stack, at little cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["NoiseBank", "noise_bank"]

_TILES = 8
_BLOCK = 512
"""Pixels of a plane that share one piece of a tile."""
_SHIFTS = 256
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class NoiseBank:
    """A few tiles of smoothed noise; every block of every plane takes a piece that a hash picks."""

    tiles: npt.NDArray[np.float32]
    """Shape (tiles, side, side); the side is a block and the largest shift."""
    seed: int
    """Goes into the hash."""

    def add(self, k: int, start: int, rows: npt.NDArray[np.float32]) -> None:
        """Add the noise of plane k to its rows from `start` on.

        Half of the variance is shared with the plane before and half with the one after, hence a correlation of
        one half between neighbouring planes.
        """
        height, width = rows.shape
        for top in range(start - start % _BLOCK, start + height, _BLOCK):
            for left in range(0, width, _BLOCK):
                here = rows[max(top - start, 0) : top + _BLOCK - start, left : left + _BLOCK]
                for plane in (k, k + 1):
                    here += self._piece(plane, top, left, max(start - top, 0), here.shape)

    def _piece(self, k: int, top: int, left: int, skip: int, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        pick = _hash(self.seed, k, top // _BLOCK, left // _BLOCK)
        down, right = (pick >> 8) % _SHIFTS + skip, (pick >> 24) % _SHIFTS
        return self.tiles[pick % _TILES, down : down + shape[0], right : right + shape[1]]


def noise_bank(seed: int, stream: int, deviation: float) -> NoiseBank:
    """Tiles for noise of this standard deviation.

    Uniform 16-bit numbers, smoothed by (1, 2, 1) along both axes in whole numbers: nearly Gaussian and the same on
    every machine.
    """
    side = _BLOCK + _SHIFTS + 2
    words = np.random.PCG64(np.random.SeedSequence([seed, stream])).random_raw(_TILES * side * side // 4 + 1)
    raw = np.asarray(words).astype("<u8").view("<u2")[: _TILES * side * side].reshape(_TILES, side, side)
    total = _smoothed(_smoothed(raw.astype(np.int32), 1), 2)
    # Deviation of a uniform 16-bit number, times the root of the kernel's sum of squares, 6 x 6; two tiles are added.
    unit = 65536 / 12**0.5 * 6 * 2**0.5
    centred = total.astype(np.float32) - np.float32(8 * 65535)
    return NoiseBank(centred * np.float32(deviation / unit), seed)


def _smoothed(values: npt.NDArray[np.int32], axis: int) -> npt.NDArray[np.int32]:
    along = np.moveaxis(values, axis, -1)
    return np.moveaxis(along[..., :-2] + 2 * along[..., 1:-1] + along[..., 2:], -1, axis)


def _hash(*numbers: int) -> int:
    """A 64-bit word in which every bit depends on all numbers (splitmix64)."""
    word = 0
    for number in numbers:
        word = (word + number + 0x9E3779B97F4A7C15) & _MASK
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _MASK
        word ^= word >> 31
    return word
