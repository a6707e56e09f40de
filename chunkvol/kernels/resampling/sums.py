"""Loops that are compiled: sums of many voxels, for cubic, Lanczos and filters along an axis, and their weights.

As in `loops`, where the arguments are explained.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chunkvol.kernels.resampling.loops import all_within, bounds_of, held, inner, origin_of, row_base, settle

__all__ = ["HELPERS", "bspline", "cubic", "filter_lines", "lanczos", "lanczos_loop"]


def bspline(rest: Any) -> tuple[Any, Any, Any, Any]:
    """Cubic B-spline at -1, 0, 1 and 2 voxels from the one before a place; the last is 0 just where `rest` is.

    For arrays and for single numbers alike.
    """
    left = 1.0 - rest
    return (
        left * left * left / 6.0,
        (4.0 - 3.0 * rest * rest * (2.0 - rest)) / 6.0,
        (4.0 - 3.0 * left * left * (2.0 - left)) / 6.0,
        rest * rest * rest / 6.0,
    )


def lanczos(near: Any) -> tuple[Any, Any, Any, Any, Any, Any]:
    """Lanczos window of radius 3 at -2 .. 3 voxels from one that lies `near` before a place, 0 < near <= 0.5.

    But for a factor, which is lost when the weights are made to sum to 1: sin(pi x) is the same for all taps but for
    its sign. With sin and cos of pi near / 3 as series, to the last bit or two. Places nearer to the voxel after it
    take the same weights from the other end. For arrays and for single numbers alike.
    """
    a = 1.0471975511965976 * near
    q = a * a
    sine = 1.0 - q / 210.0 * (1.0 - q / 272.0)
    sine = 1.0 - q / 110.0 * (1.0 - q / 156.0 * sine)
    sine = a * (1.0 - q / 6.0 * (1.0 - q / 20.0 * (1.0 - q / 42.0 * (1.0 - q / 72.0 * sine))))
    cosine = 1.0 - q / 132.0 * (1.0 - q / 182.0 * (1.0 - q / 240.0))
    cosine = 1.0 - q / 30.0 * (1.0 - q / 56.0 * (1.0 - q / 90.0 * cosine))
    cosine = 1.0 - q / 2.0 * (1.0 - q / 12.0 * cosine)
    low = 0.5 * sine
    high = 0.8660254037844386 * cosine
    return (
        (high - low) / ((near + 2.0) * (near + 2.0)),
        -(high + low) / ((near + 1.0) * (near + 1.0)),
        sine / (near * near),
        (high - low) / ((near - 1.0) * (near - 1.0)),
        -(high + low) / ((near - 2.0) * (near - 2.0)),
        sine / ((near - 3.0) * (near - 3.0)),
    )


def cubic(memory: Any, layout: Any, limits: Any, rows: Any, corner: Any, outside: Any, out: Any) -> None:
    """Sums of 64 coefficients of B-splines."""
    bounds, origin = bounds_of(limits, 1, 2), origin_of(layout, limits)
    steps, weights = np.empty((3, 6), np.int64), np.zeros((3, 6))
    for k in range(out.shape[0]):
        for j in range(out.shape[1]):
            z0, y0, x0 = row_base(rows, corner[0] + k, corner[1] + j)
            begin, end = inner(z0, y0, x0, rows, bounds, corner[2], out.shape[2])
            for i in range(out.shape[2]):
                g = corner[2] + i
                z, y, x = z0 + rows[0, 2] * g, y0 + rows[1, 2] * g, x0 + rows[2, 2] * g
                (a, wz), (b, wy), (c, wx) = settle(z), settle(y), settle(x)
                if begin <= i < end and wz != 0.0 and wy != 0.0 and wx != 0.0:
                    at = origin + (a - 1) * layout[1] + (b - 1) * layout[2] + (c - 1) * layout[3]
                    out[k, j, i] = sum_of_64(memory, at, layout, bspline(wz), bspline(wy), bspline(wx))
                elif all_within(z, y, x, limits):
                    spline_row(a, wz, layout, limits, 0, steps, weights)
                    spline_row(b, wy, layout, limits, 1, steps, weights)
                    spline_row(c, wx, layout, limits, 2, steps, weights)
                    out[k, j, i] = sum_of(memory, layout[0], steps, weights, 4)
                else:
                    out[k, j, i] = outside


def sum_of_64(memory: Any, at: int, layout: Any, wz: Any, wy: Any, wx: Any) -> float:
    """What `sum_of` gives where no weight is 0."""
    i = np.uintp(layout[3])
    total = -0.0
    for a in range(4):
        plane = -0.0
        for b in range(4):
            p = np.uintp(at + a * layout[1] + b * layout[2])
            row = np.float64(memory[p]) * wx[0] + np.float64(memory[p + i]) * wx[1]
            row = (row + np.float64(memory[p + i + i]) * wx[2]) + np.float64(memory[p + i + i + i]) * wx[3]
            plane += row * wy[b]
        total += plane * wz[a]
    return total


def spline_row(before: int, rest: float, layout: Any, limits: Any, axis: int, steps: Any, weights: Any) -> None:
    """Where in memory the coefficients along an axis are, mirrored at its ends, and their weights."""
    four = bspline(rest)
    period = max(1, 2 * (limits[axis, 2] - 1))
    for tap in range(4):
        index = (before - 1 + tap) % period
        index = min(index, period - index) if limits[axis, 2] > 1 else 0
        steps[axis, tap] = held(index, limits, axis) * layout[axis + 1]
        weights[axis, tap] = four[tap]


def lanczos_loop(memory: Any, layout: Any, limits: Any, rows: Any, corner: Any, outside: Any, out: Any) -> None:
    """Sums of 216 voxels."""
    steps, weights = np.empty((3, 6), np.int64), np.zeros((3, 6))
    for k in range(out.shape[0]):
        for j in range(out.shape[1]):
            z0, y0, x0 = row_base(rows, corner[0] + k, corner[1] + j)
            for i in range(out.shape[2]):
                g = corner[2] + i
                z, y, x = z0 + rows[0, 2] * g, y0 + rows[1, 2] * g, x0 + rows[2, 2] * g
                if all_within(z, y, x, limits):
                    lanczos_row(z, layout, limits, 0, steps, weights)
                    lanczos_row(y, layout, limits, 1, steps, weights)
                    lanczos_row(x, layout, limits, 2, steps, weights)
                    out[k, j, i] = sum_of(memory, layout[0], steps, weights, 6)
                else:
                    out[k, j, i] = outside


def lanczos_row(place: float, layout: Any, limits: Any, axis: int, steps: Any, weights: Any) -> None:
    """Where in memory the voxels along an axis are, and their weights: 0 beyond the ends, in all 1."""
    before, rest = settle(place)
    six = lanczos(0.5 if rest == 0.0 else (1.0 - rest if rest > 0.5 else rest))
    total = 0.0
    for tap in range(6):
        index = before - 2 + tap
        weight = (1.0 if tap == 2 else 0.0) if rest == 0.0 else six[5 - tap if rest > 0.5 else tap]
        weights[axis, tap] = weight if 0 <= index < limits[axis, 2] else 0.0
        total += weights[axis, tap]
        steps[axis, tap] = held(index, limits, axis) * layout[axis + 1]
    for tap in range(6):
        weights[axis, tap] = weights[axis, tap] / total


def sum_of(memory: Any, at: int, steps: Any, weights: Any, taps: int) -> float:
    """Sums along i, then j, then k, each in order; a weight of 0 takes no part."""
    total = -0.0  # to which anything can be added without a change
    for a in range(taps):
        if weights[0, a] == 0.0:
            continue
        plane = -0.0
        for b in range(taps):
            if weights[1, b] == 0.0:
                continue
            row = -0.0
            for c in range(taps):
                if weights[2, c] != 0.0:
                    row += np.float64(memory[np.uintp(at + steps[0, a] + steps[1, b] + steps[2, c])]) * weights[2, c]
            plane += row * weights[1, b]
        total += plane * weights[0, a]
    return total


def filter_lines(lines: Any, first: Any, weights: Any, out: Any) -> None:
    """Filter lines that lie side by side, axes (voxel, line), as a table of taps has it."""
    for n in range(len(first)):
        total = out[n]
        total[:] = -0.0
        for tap in range(weights.shape[1]):
            weight = weights[n, tap]
            if weight != 0.0:
                voxels = lines[first[n] + tap]
                for line in range(len(total)):  # of two lines without an index between them: vectors of the processor
                    total[line] += voxels[line] * weight


HELPERS = (bspline, lanczos, sum_of_64, spline_row, lanczos_row, sum_of)
"""Functions that the loops here call, besides those of `loops`."""
