"""A smooth random field: cubic B-splines over a small periodic lattice of random numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Lattice", "RowsOfPlane", "random_lattice"]

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Lattice:
    """Node values of a field that repeats itself after `len(nodes) * cell` voxels along each axis."""

    nodes: Floats
    """Values in array order, a cube."""
    cell: float
    """Voxels between nodes."""

    def rows_of_plane(self, k: int, columns: int) -> RowsOfPlane:
        """The field in plane k, interpolated along k and i: only the rows' axis is left to do."""
        at_k, along_k = self._taps(np.array([k]))
        plane = sum(np.float32(along_k[m, 0]) * self.nodes[at_k[m, 0]] for m in range(4))
        at_i, along_i = self._taps(np.arange(columns))
        rows = sum(along_i[m] * np.asarray(plane)[:, at_i[m]] for m in range(4))
        return RowsOfPlane(self, np.asarray(rows, dtype=np.float32))

    def _taps(self, at: npt.NDArray[np.int_]) -> tuple[Indices, Floats]:
        """The four nodes around each index and their B-spline weights, both (4, len(at))."""
        place = at / self.cell
        base = np.floor(place).astype(np.intp)
        t = place - base
        weights = [(1 - t) ** 3, (3 * t - 6) * t * t + 4, ((3 - 3 * t) * t + 3) * t + 1, t**3]
        nodes = np.stack([base - 1, base, base + 1, base + 2]) % len(self.nodes)
        return nodes, (np.stack(weights) / 6).astype(np.float32)


@dataclass(frozen=True, slots=True)
class RowsOfPlane:
    """A plane's lattice rows; full rows are mixed from four of them."""

    lattice: Lattice
    """Where the rows come from."""
    rows: Floats
    """One full-length row per node."""

    def filled(self, start: int, out: Floats, scratch: Floats) -> Floats:
        """The rows of the field from `start` on, written to `out`; `scratch` is of the same shape."""
        nodes, weights = self.lattice._taps(np.arange(start, start + len(out)))
        for m in range(4):
            into = scratch if m else out
            np.take(self.rows, nodes[m], axis=0, out=into, mode="clip")  # the other modes copy through a buffer
            into *= weights[m][:, None]
            if m:
                out += scratch
        return out


def random_lattice(words: npt.NDArray[np.uint64], *, side: int, cell: float) -> Lattice:
    """A field with mean 0 and variance about 1 from `side`^3 random words."""
    uniform = (words[: side**3] >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - np.float32(1)
    # Uniform in (-1, 1) has variance 1/3; the splines keep 0.479 of it along each axis.
    return Lattice(uniform.reshape(side, side, side) * np.float32((3 / 0.479**3) ** 0.5), cell)
