"""Loops that are compiled: places, the nearest voxel, and values between eight.

Plain Python on numbers, in the order of `places`, to which its bits are equal. Additions, multiplications and divisions
only, no functions of the processor's library: numpy's own sines differ in the last bit with the width of vectors, and
compiled ones from both.

The arguments of all samplers, for one tile of the target:

- `memory`: the voxels of the box, wherever they lie, as one line (any type);
- `layout`: where in it the box's first voxel is, and the steps along k, j and i (4 whole numbers);
- `limits`: for each axis the box's first source index, its voxels, and the source's voxels (3 x 3 whole numbers);
- `rows`: the mapping, for each source axis the steps along target k, j, i, and the offset (3 x 4 numbers);
- `corner`: target index of the tile's first voxel (3 whole numbers);
- `outside`: the value beyond the outer faces;
- `out`: the tile, axes (k, j, i).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

NEARLY = 1e-6
"""Voxels by which a place may miss a voxel and still be that voxel."""

_DEEP, _HIGH, _LONG = 16, 16, 128
"""Voxels made together, near to each other, so that what they need stays in cache."""

__all__ = [
    "HELPERS",
    "NEARLY",
    "all_within",
    "bounds_of",
    "held",
    "inner",
    "linear",
    "linear_whole",
    "nearest",
    "origin_of",
    "row_base",
    "settle",
]


def settle(place: float) -> tuple[int, float]:
    """The voxel at or before a place, and how far it is to the place; nearly at a voxel is at it."""
    before = math.floor(place + NEARLY)
    rest = place - before
    return before, rest if rest > NEARLY else 0.0


def within(place: float, length: int) -> bool:
    """Whether a place lies within the outer faces of an axis."""
    return place >= -0.5 - NEARLY and place <= length - 0.5 + NEARLY


def held(index: int, limits: Any, axis: int) -> int:
    """A source index in the box; what is not held counts nothing, so any voxel will do."""
    return max(0, min(index - limits[axis, 0], limits[axis, 1] - 1))  # type: ignore[no-any-return]  # one number


def inner(z: float, y: float, x: float, rows: Any, bounds: Any, first: int, count: int) -> tuple[int, int]:
    """The part of a row of the target whose places all lie at or above the low and below the high `bounds`.

    Places along a row rise or fall, even when rounded, so what holds at both ends holds between them.
    """
    begin, end = 0, count
    for axis in range(3):
        base = z if axis == 0 else (y if axis == 1 else x)
        step = rows[axis, 2]
        if step != 0.0:
            one, two = (bounds[axis, 0] - base) / step - first, (bounds[axis, 1] - base) / step - first
            begin = max(begin, math.ceil(min(max(min(one, two), -1.0), count + 1.0)))
            end = min(end, math.floor(min(max(max(one, two), -2.0), count + 1.0)) + 1)
    while begin < end and not bounded(z, y, x, rows, bounds, first + begin):
        begin += 1
    while begin < end and not bounded(z, y, x, rows, bounds, first + end - 1):
        end -= 1
    return begin, max(begin, end)


def bounded(z: float, y: float, x: float, rows: Any, bounds: Any, i: int) -> bool:
    """Whether one place lies at or above the low and below the high bounds."""
    z, y, x = z + rows[0, 2] * i, y + rows[1, 2] * i, x + rows[2, 2] * i
    low = z >= bounds[0, 0] and y >= bounds[1, 0] and x >= bounds[2, 0]
    return low and z < bounds[0, 1] and y < bounds[1, 1] and x < bounds[2, 1]  # type: ignore[no-any-return]  # yes or no


def bounds_of(limits: Any, before: int, after: int) -> Any:
    """Places at or above the low and below the high bounds have so many voxels before them and so many after.

    All in the box and in the source, even where `settle` moves on to the next voxel.
    """
    bounds = np.empty((3, 2))
    for axis in range(3):
        bounds[axis, 0] = max(0, limits[axis, 0]) + before
        bounds[axis, 1] = min(limits[axis, 2], limits[axis, 0] + limits[axis, 1]) - 1 - after
    return bounds


def row_base(rows: Any, k: int, j: int) -> tuple[float, float, float]:
    """What the places of a row of the target have in common."""
    return (
        (rows[0, 3] + rows[0, 0] * k) + rows[0, 1] * j,
        (rows[1, 3] + rows[1, 0] * k) + rows[1, 1] * j,
        (rows[2, 3] + rows[2, 0] * k) + rows[2, 1] * j,
    )


def all_within(z: float, y: float, x: float, limits: Any) -> bool:
    """Whether a place lies within the outer faces of the source."""
    return within(z, limits[0, 2]) and within(y, limits[1, 2]) and within(x, limits[2, 2])


def origin_of(layout: Any, limits: Any) -> int:
    """Where in memory the source's first voxel would be."""
    return layout[0] - layout[1] * limits[0, 0] - layout[2] * limits[1, 0] - layout[3] * limits[2, 0]  # type: ignore[no-any-return]  # one number


# ------------------------------------------------------------------------------------------ a value for each place


def nearest(memory: Any, layout: Any, limits: Any, rows: Any, corner: Any, outside: Any, out: Any) -> None:
    """The voxels nearest to places, as they are."""
    bounds, origin = bounds_of(limits, 0, 0), origin_of(layout, limits)
    for k in range(0, out.shape[0], _DEEP):
        for j in range(0, out.shape[1], _HIGH):
            for i in range(0, out.shape[2], _LONG):
                part = out[k : k + _DEEP, j : j + _HIGH, i : i + _LONG]
                first = corner[0] + k, corner[1] + j, corner[2] + i
                nearest_rows(memory, layout, limits, rows, first, outside, part, bounds, origin)


def nearest_rows(
    memory: Any, layout: Any, limits: Any, rows: Any, first: Any, outside: Any, out: Any, bounds: Any, origin: int
) -> None:
    """The same for a part whose places lie near to each other."""
    for k in range(out.shape[0]):
        for j in range(out.shape[1]):
            z, y, x = row_base(rows, first[0] + k, first[1] + j)
            begin, end = inner(z, y, x, rows, bounds, first[2], out.shape[2])
            for i in range(out.shape[2]):
                if begin <= i < end:
                    continue
                g = first[2] + i
                place = z + rows[0, 2] * g, y + rows[1, 2] * g, x + rows[2, 2] * g
                if all_within(place[0], place[1], place[2], limits):
                    out[k, j, i] = nearest_at(memory, layout, limits, place)
                else:
                    out[k, j, i] = outside
            copy_row(memory, layout, origin, rows, z, y, x, first[2] + begin, out[k, j, begin:end])


def nearest_at(memory: Any, layout: Any, limits: Any, place: Any) -> Any:
    """One voxel, near the ends of box or source."""
    half = 0.5 + NEARLY
    a = held(max(0, min(math.floor(place[0] + half), limits[0, 2] - 1)), limits, 0)
    b = held(max(0, min(math.floor(place[1] + half), limits[1, 2] - 1)), limits, 1)
    c = held(max(0, min(math.floor(place[2] + half), limits[2, 2] - 1)), limits, 2)
    return memory[np.uintp(layout[0] + a * layout[1] + b * layout[2] + c * layout[3])]


def copy_row(
    memory: Any, layout: Any, origin: int, rows: Any, z0: float, y0: float, x0: float, first: int, out: Any
) -> None:
    """The nearest voxels of a part of a row that lies within the box."""
    half = 0.5 + NEARLY
    dz, dy, dx = rows[0, 2], rows[1, 2], rows[2, 2]
    sk, sj, si = layout[1], layout[2], layout[3]
    for n in range(len(out)):
        g = first + n
        a, b, c = np.floor(z0 + dz * g + half), np.floor(y0 + dy * g + half), np.floor(x0 + dx * g + half)
        out[n] = memory[np.uintp(origin + np.int64(a) * sk + np.int64(b) * sj + np.int64(c) * si)]


def linear(memory: Any, layout: Any, limits: Any, rows: Any, corner: Any, outside: Any, out: Any) -> None:
    """Values between eight voxels, as real numbers."""
    linear_rows(memory, layout, limits, rows, corner, outside, out, False)


def linear_whole(memory: Any, layout: Any, limits: Any, rows: Any, corner: Any, outside: Any, out: Any) -> None:
    """Values between eight voxels, rounded half to even; they lie between the voxels, so no integer can wrap."""
    linear_rows(memory, layout, limits, rows, corner, outside, out, True)


def linear_rows(
    memory: Any, layout: Any, limits: Any, rows: Any, corner: Any, outside: Any, out: Any, whole: bool
) -> None:
    """What both have in common: parts whose places lie near to each other."""
    bounds, origin = bounds_of(limits, 0, 1), origin_of(layout, limits)
    at, rests = np.empty(_LONG, np.int64), np.empty((3, _LONG))
    for k in range(0, out.shape[0], _DEEP):
        for j in range(0, out.shape[1], _HIGH):
            for i in range(0, out.shape[2], _LONG):
                part = out[k : k + _DEEP, j : j + _HIGH, i : i + _LONG]
                first = corner[0] + k, corner[1] + j, corner[2] + i
                linear_part(memory, layout, limits, rows, first, outside, part, whole, bounds, origin, at, rests)


def linear_part(
    memory: Any, layout: Any, limits: Any, rows: Any, first: Any, outside: Any, out: Any, whole: bool, bounds: Any,
    origin: int, at: Any, rests: Any,
) -> None:  # fmt: skip
    """Rows whose middle needs no look at the ends of the box."""
    for k in range(out.shape[0]):
        for j in range(out.shape[1]):
            z, y, x = row_base(rows, first[0] + k, first[1] + j)
            begin, end = inner(z, y, x, rows, bounds, first[2], out.shape[2])
            for i in range(out.shape[2]):
                if begin <= i < end:
                    continue
                g = first[2] + i
                place = z + rows[0, 2] * g, y + rows[1, 2] * g, x + rows[2, 2] * g
                if all_within(place[0], place[1], place[2], limits):
                    value = linear_at(memory, layout, limits, place)
                    out[k, j, i] = np.rint(value) if whole else value
                else:
                    out[k, j, i] = outside
            places_of_row(z, y, x, rows, first[2] + begin, end - begin, layout, origin, at, rests)
            mix_row(memory, layout, at, rests, whole, out[k, j, begin:end])


def places_of_row(
    z0: float, y0: float, x0: float, rows: Any, first: int, count: int, layout: Any, origin: int, at: Any, rests: Any
) -> None:
    """Where in memory the voxels at or before places lie, and how far it is to the places; loops from 0, which become
    vectors."""
    dz, dy, dx = rows[0, 2], rows[1, 2], rows[2, 2]
    sk, sj, si = layout[1], layout[2], layout[3]
    for i in range(count):
        g = first + i
        z, y, x = z0 + dz * g, y0 + dy * g, x0 + dx * g
        a, b, c = np.floor(z + NEARLY), np.floor(y + NEARLY), np.floor(x + NEARLY)
        wz, wy, wx = z - a, y - b, x - c
        rests[0, i] = wz if wz > NEARLY else 0.0
        rests[1, i] = wy if wy > NEARLY else 0.0
        rests[2, i] = wx if wx > NEARLY else 0.0
        at[i] = origin + np.int64(a) * sk + np.int64(b) * sj + np.int64(c) * si


def mix_row(memory: Any, layout: Any, at: Any, rests: Any, whole: bool, out: Any) -> None:
    """The mixes of eight voxels each, of a part of a row."""
    sk, sj, si = np.uintp(layout[1]), np.uintp(layout[2]), np.uintp(layout[3])
    for i in range(len(out)):
        p, wz, wy, wx = np.uintp(at[i]), rests[0, i], rests[1, i], rests[2, i]
        q, one, two, three = p + sk, p + si, p + sj, p + sj + si
        near = np.float64(memory[p]), np.float64(memory[one]), np.float64(memory[two]), np.float64(memory[three])
        one, two, three = q + si, q + sj, q + sj + si
        far = np.float64(memory[q]), np.float64(memory[one]), np.float64(memory[two]), np.float64(memory[three])
        a, b = near[0] + wx * (near[1] - near[0]), near[2] + wx * (near[3] - near[2])
        c, d = far[0] + wx * (far[1] - far[0]), far[2] + wx * (far[3] - far[2])
        low, high = a + wy * (b - a), c + wy * (d - c)
        value = low + wz * (high - low)
        # Infinities, or a voxel of weight 0 that nobody filled; and a zero may have lost its sign.
        if value != value or (value == 0.0 and not whole):
            value = mix_of_8(near, far, (wz, wy, wx))
        out[i] = np.rint(value) if whole else value


def mix(low: float, high: float, rest: float) -> float:
    """A value between two; with `rest` 0 the first one, whatever the other is, and between infinities infinity."""
    if rest == 0.0 or (low == high and math.isinf(low)):
        return low
    return low + rest * (high - low)


def between(memory: Any, at: int, sk: int, sj: int, si: int, wz: float, wy: float, wx: float) -> float:
    """The mix of a voxel with those that lie so many steps further."""
    p, q, j, i = np.uintp(at), np.uintp(at + sk), np.uintp(sj), np.uintp(si)
    a, b, c, d = memory[p], memory[p + i], memory[p + j], memory[p + j + i]
    near = (np.float64(a), np.float64(b), np.float64(c), np.float64(d))
    a, b, c, d = memory[q], memory[q + i], memory[q + j], memory[q + j + i]
    far = (np.float64(a), np.float64(b), np.float64(c), np.float64(d))
    return mix_of_8(near, far, (wz, wy, wx))


def mix_of_8(near: Any, far: Any, rest: Any) -> float:
    """A value between eight, along i, then j, then k."""
    wz, wy, wx = rest
    low = mix(mix(near[0], near[1], wx), mix(near[2], near[3], wx), wy)
    high = mix(mix(far[0], far[1], wx), mix(far[2], far[3], wx), wy)
    return mix(low, high, wz)


def linear_at(memory: Any, layout: Any, limits: Any, place: Any) -> float:
    """One value, near the ends of box or source, where the next voxel may be the same one again."""
    a, wz = settle(min(max(place[0], 0.0), limits[0, 2] - 1.0))
    b, wy = settle(min(max(place[1], 0.0), limits[1, 2] - 1.0))
    c, wx = settle(min(max(place[2], 0.0), limits[2, 2] - 1.0))
    k, j, i = held(a, limits, 0), held(b, limits, 1), held(c, limits, 2)
    sk = (held(a + 1, limits, 0) - k) * layout[1]
    sj = (held(b + 1, limits, 1) - j) * layout[2]
    si = (held(c + 1, limits, 2) - i) * layout[3]
    return between(memory, layout[0] + k * layout[1] + j * layout[2] + i * layout[3], sk, sj, si, wz, wy, wx)


HELPERS = (
    settle, within, held, inner, bounded, bounds_of, row_base, all_within, origin_of, mix, between, mix_of_8, linear_at,
    linear_rows, linear_part, places_of_row, mix_row, nearest_rows, nearest_at, copy_row,
)  # fmt: skip
"""Functions that the loops here and in `sums` call."""
