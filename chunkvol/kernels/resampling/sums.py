"""Loops that are compiled: sums of many voxels, for cubic, Lanczos and filters along an axis, and their weights.

As in `loops`, where the arguments are explained.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chunkvol.kernels.resampling.loops import NEARLY, all_within, bounds_of, held, inner, origin_of, row_base, settle

_SIXTH = 1.0 / 6.0
_LONG = 128
"""Places of a row that are found at once."""

__all__ = ["HELPERS", "bspline", "cubic", "filter_lines", "lanczos", "lanczos_loop"]


def bspline(rest: Any) -> tuple[Any, Any, Any, Any]:
    """Cubic B-spline at -1, 0, 1 and 2 voxels from the one before a place; the last is 0 just where `rest` is.

    For arrays and for single numbers alike.
    """
    left = 1.0 - rest
    return (
        left * left * left * _SIXTH,
        (4.0 - 3.0 * rest * rest * (2.0 - rest)) * _SIXTH,
        (4.0 - 3.0 * left * left * (2.0 - left)) * _SIXTH,
        rest * rest * rest * _SIXTH,
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
    steps, some = np.empty((3, 6), np.int64), np.zeros((3, 6))
    at, weights = np.empty(_LONG, np.int64), np.empty((12, _LONG))
    for k in range(out.shape[0]):
        for j in range(out.shape[1]):
            z, y, x = row_base(rows, corner[0] + k, corner[1] + j)
            for low in range(0, out.shape[2], _LONG):
                line = out[k, j, low : low + _LONG]
                begin, end = inner(z, y, x, rows, bounds, corner[2] + low, len(line))
                if layout[3] != 1:
                    begin, end = 0, 0
                spline_places(z, y, x, rows, corner[2] + low + begin, end - begin, layout, origin, at, weights)
                for i in range(len(line)):
                    n = i - begin
                    if begin <= i < end and weights[3, n] != 0.0 and weights[7, n] != 0.0 and weights[11, n] != 0.0:
                        line[i] = sum_of_64(memory, at[n], layout[1], layout[2], weights[:, n])
                        continue
                    g = corner[2] + low + i
                    place = z + rows[0, 2] * g, y + rows[1, 2] * g, x + rows[2, 2] * g
                    if all_within(place[0], place[1], place[2], limits):
                        line[i] = cubic_at(memory, layout, limits, place, steps, some)
                    else:
                        line[i] = outside


def spline_places(
    z0: float, y0: float, x0: float, rows: Any, first: int, count: int, layout: Any, origin: int, at: Any, weights: Any
) -> None:
    """Where in memory the first of the 64 coefficients of places lies, and their weights: 4 along k, 4 along j, 4 along
    i; by vectors of the processor."""
    dz, dy, dx = rows[0, 2], rows[1, 2], rows[2, 2]
    sk, sj, si = layout[1], layout[2], layout[3]
    start = origin - sk - sj - si
    for n in range(count):
        g = first + n
        z, y, x = z0 + dz * g, y0 + dy * g, x0 + dx * g
        a, b, c = np.floor(z + NEARLY), np.floor(y + NEARLY), np.floor(x + NEARLY)
        wz, wy, wx = z - a, y - b, x - c
        wz, wy, wx = wz if wz > NEARLY else 0.0, wy if wy > NEARLY else 0.0, wx if wx > NEARLY else 0.0
        at[n] = start + np.int64(a) * sk + np.int64(b) * sj + np.int64(c) * si
        weights[0, n], weights[1, n], weights[2, n], weights[3, n] = bspline(wz)
        weights[4, n], weights[5, n], weights[6, n], weights[7, n] = bspline(wy)
        weights[8, n], weights[9, n], weights[10, n], weights[11, n] = bspline(wx)


def sum_of_64(memory: Any, first: int, sk: int, sj: int, weights: Any) -> float:
    """What `cubic_at` gives where no weight is 0 and coefficients along i lie side by side."""
    a, b, c, d = -0.0, -0.0, -0.0, -0.0
    for k in range(4):
        for j in range(4):
            p = np.uintp(first + k * sk + j * sj)
            weight = weights[k] * weights[4 + j]
            a += np.float64(memory[p]) * weight
            b += np.float64(memory[p + np.uintp(1)]) * weight
            c += np.float64(memory[p + np.uintp(2)]) * weight
            d += np.float64(memory[p + np.uintp(3)]) * weight
    return ((a * weights[8] + b * weights[9]) + c * weights[10]) + d * weights[11]  # type: ignore[no-any-return]  # one number


def cubic_at(memory: Any, layout: Any, limits: Any, place: Any, steps: Any, weights: Any) -> float:
    """One value: sums over k and j for each i, then along i, each in order; a weight of 0 takes no part."""
    for axis in range(3):
        before, rest = settle(place[axis])
        spline_row(before, rest, layout, limits, axis, steps, weights)
    total = -0.0
    for c in range(4):
        if weights[2, c] == 0.0:
            continue
        column = -0.0
        for a in range(4):
            for b in range(4):
                weight = weights[0, a] * weights[1, b]
                if weight != 0.0:
                    column += np.float64(memory[np.uintp(layout[0] + steps[0, a] + steps[1, b] + steps[2, c])]) * weight
        total = total + column * weights[2, c]
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
    taps = weights.shape[1]
    for n in range(len(first)):
        total = out[n]
        total[:] = -0.0
        tap = 0
        while tap < taps:
            w, at = weights[n], first[n] + tap
            if tap + 4 <= taps and w[tap] != 0.0 and w[tap + 1] != 0.0 and w[tap + 2] != 0.0 and w[tap + 3] != 0.0:
                add_four(total, lines[at], lines[at + 1], lines[at + 2], lines[at + 3], w[tap : tap + 4])
                tap += 4
            else:
                if w[tap] != 0.0:
                    add_one(total, lines[at], w[tap])
                tap += 1


def add_four(total: Any, a: Any, b: Any, c: Any, d: Any, weights: Any) -> None:
    """Four taps in their order, with sums that stay in registers."""
    e, f, g, h = weights[0], weights[1], weights[2], weights[3]
    for n in range(len(total)):  # without an index between lines: vectors of the processor
        total[n] = (((total[n] + a[n] * e) + b[n] * f) + c[n] * g) + d[n] * h


def add_one(total: Any, line: Any, weight: Any) -> None:
    """One tap."""
    for n in range(len(total)):
        total[n] += line[n] * weight


HELPERS = (bspline, lanczos, sum_of_64, spline_places, cubic_at, spline_row, lanczos_row, sum_of, add_four, add_one)
"""Functions that the loops here call, besides those of `loops`."""
