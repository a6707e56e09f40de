"""Cells that a region meets: never one too few, hardly one too many, and bounds that hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunkvol.geometry import Mapping, mapping_between
from chunkvol.geometry.overlap import Cells, Runs, count_cells, met, most_met, needed, overlap_voxels, source_box
from chunkvol.regions import Region, Shape, region_shape, whole
from tests.support.grids import GRIDS, grids, oblique_grid, rotation


def centred(name: str) -> Mapping:
    """From the middle of an oblique grid to the middle of a named one."""
    mapping = mapping_between(oblique_grid((9, 8, 7), degrees=(5, 60, -31)), GRIDS[name]((31, 40, 23)))
    k, j, i = (15.2, 19.3, 11.4) - np.array(mapping.matrix) @ (4, 3.5, 3)
    return Mapping(mapping.matrix, (float(k), float(j), float(i)))


def turned(degrees: float, step: float = 1.0, offset: tuple[float, float, float] = (0, 0, 0)) -> Mapping:
    """A rotation about (1, 1, 1)."""
    a = np.radians(degrees)
    axis = np.ones(3) / np.sqrt(3)
    cross = np.cross(np.eye(3), axis)
    matrix = step * (np.cos(a) * np.eye(3) + np.sin(a) * cross + (1 - np.cos(a)) * np.outer(axis, axis))
    return Mapping(tuple(map(tuple, matrix.tolist())), offset)


def places(mapping: Mapping, region: Region) -> np.ndarray:
    """Source indices of all voxels of a region."""
    index = np.stack(np.meshgrid(*[np.arange(s.start, s.stop) for s in region], indexing="ij"), -1)
    return mapping.indices(index.reshape(-1, 3))


def neighbours(mapping: Mapping, region: Region, shape: Shape, reach: int) -> set[tuple[int, ...]]:
    """Source voxels within reach of a voxel of the region that is inside the faces; mirrored at the end voxels."""
    found: set[tuple[int, ...]] = set()
    steps = np.stack(np.meshgrid(*[np.arange(-reach - 1, reach + 2)] * 3, indexing="ij"), -1).reshape(-1, 3)
    for place in places(mapping, region):
        if (place < -0.5).any() or (place > np.array(shape) - 0.5).any():
            continue
        around = np.floor(place).astype(int) + steps
        around = np.abs(around[(np.abs(around - place) <= reach).all(axis=1)])
        period = np.maximum(2 * (np.array(shape) - 1), 1)
        around = np.minimum(around % period, period - around % period) * (np.array(shape) > 1)
        found |= set(map(tuple, around.tolist()))
    return found


def listed(runs: Runs) -> set[tuple[int, ...]]:
    return {(k, j, i) for k, j, first, stop in runs.tolist() for i in range(first, stop)}


@given(grids(), grids(), st.integers(1, 3), st.tuples(*[st.integers(1, 4)] * 3), st.data())
def test_no_voxel_that_is_needed_lies_beyond_the_box_or_the_cells(target, source, reach, cell, data) -> None:  # type: ignore[no-untyped-def]
    mapping = mapping_between(target, source)
    before = tuple(data.draw(st.integers(0, c - 1)) for c in cell)
    cells = Cells(source.shape, cell, before)
    region = whole(target.shape)
    wanted = neighbours(mapping, region, source.shape, reach)
    box = source_box(mapping, region, source.shape, (reach,) * 3)
    if box is None:
        assert not wanted
        return
    found = listed(met(mapping, region, (reach,) * 3, cells, box))
    for voxel in wanted:
        assert all(part.start <= at < part.stop for at, part in zip(voxel, box, strict=True))
        assert tuple((at + b) // c for at, b, c in zip(voxel, before, cell, strict=True)) in found


@pytest.mark.parametrize("name", GRIDS)
def test_cells_that_no_place_comes_near_are_left_out(name: str) -> None:
    mapping = centred(name)
    shape, cells = (31, 40, 23), Cells((31, 40, 23), (3, 5, 2))
    region = (slice(1, 8), slice(0, 7), slice(2, 7))
    box = source_box(mapping, region, shape, (1, 1, 1))
    assert box is not None
    found = listed(met(mapping, region, (1, 1, 1), cells, box))
    fine = np.stack(np.meshgrid(*[np.linspace(s.start, s.stop - 1, 21) for s in region], indexing="ij"), -1)
    at = mapping.indices(fine.reshape(-1, 3))
    slack = np.abs(np.array(mapping.matrix)).sum(axis=1) * 0.3 + 0.1  # between the places that are tried
    for cell in found:
        middle = [c * (n + 0.5) - 0.5 for c, n in zip(cells.cell, cell, strict=True)]
        halves = [(c - 1) / 2 + 1.5 for c in cells.cell]
        assert (np.abs(at - middle) <= np.array(halves) + slack).all(axis=1).any(), cell


def test_voxels_of_cells_cover_the_volume_once() -> None:
    cells = Cells((10, 7, 5), (4, 3, 5), (3, 0, 2))
    assert cells.counts == (4, 3, 2)
    for axis in range(3):
        parts = [cells.span(axis, n, n + 1) for n in range(cells.counts[axis])]
        assert [v for part in parts for v in range(part.start, part.stop)] == list(range(cells.volume[axis]))
        for n, part in enumerate(parts):
            assert cells.holding(axis, part) == range(n, n + 1)


def test_a_region_beside_the_source_needs_nothing_although_its_bounding_box_meets_it() -> None:
    spin = rotation(45, 0, 0)
    j, i = 17 - spin[1:, 1:] @ (9.5, 9.5)
    mapping = Mapping(tuple(map(tuple, spin.tolist())), (-4.0, float(j), float(i)))
    region = whole((20, 20, 20))
    at = places(mapping, region)
    assert not ((at >= -0.5) & (at <= 9.5)).all(axis=1).any()
    low, high = mapping.bounds(region)
    assert all(b > -0.5 and a < 9.5 for a, b in zip(low, high, strict=True))
    assert source_box(mapping, region, (10, 10, 10), (1, 1, 1)) is None
    assert count_cells(needed(mapping, region, (10, 10, 10), (1, 1, 1), Cells((10, 10, 10), (4, 4, 4)))) == 0


@given(
    st.floats(-180, 180),
    st.tuples(*[st.integers(1, 40)] * 3),
    st.tuples(*[st.integers(1, 9)] * 3),
    st.integers(0, 9999),
)
def test_no_position_meets_more_cells_than_the_bound(degrees: float, shape: Shape, cell: Shape, seed: int) -> None:
    size = (400, 400, 400)
    rng = np.random.default_rng(seed)
    bound = most_met(turned(degrees), shape, (1.0, 1.0, 1.0), cell)
    for _ in range(3):
        k, j, i = rng.uniform(150, 250, 3)
        runs = needed(turned(degrees, offset=(k, j, i)), whole(shape), size, (1, 1, 1), Cells(size, cell))
        assert 0 < count_cells(runs) <= bound


@pytest.mark.parametrize("degrees", [0, 40, 77])
def test_the_bound_never_falls_as_a_region_grows(degrees: float) -> None:
    mapping = turned(degrees)
    for axis in range(3):
        bounds = []
        for size in (1, 5, 17, 64, 100, 200, 350, 700):
            shape = [30, 64, 50]
            shape[axis] = size
            bounds.append(most_met(mapping, (shape[0], shape[1], shape[2]), (1.0, 1.0, 1.0), (16, 12, 20)))
        assert bounds == sorted(bounds)


def test_the_bound_is_near_what_some_position_meets() -> None:
    big, cell, region = (2000, 2000, 2000), (64, 64, 64), (200, 200, 64)
    found = []
    for offset in np.random.default_rng(1).uniform(900, 1000, (40, 3)).tolist():
        found.append(
            count_cells(needed(turned(40, offset=tuple(offset)), whole(region), big, (1, 1, 1), Cells(big, cell)))
        )
    assert max(found) <= most_met(turned(40), region, (1.0, 1.0, 1.0), cell) <= 1.4 * max(found)


def test_the_overlap_is_the_volume_within_both_faces() -> None:
    source, target = (60, 61, 62), (30, 20, 25)
    inside = turned(40, offset=(18.0, 18.0, 18.0))
    at = places(inside, whole(target))
    assert at.min() > 1 and at.max() < 58
    assert overlap_voxels(inside, target, source) == pytest.approx(30 * 20 * 25, rel=1e-6)
    for mapping in (turned(33, 1.5, (-9.0, 20.0, 14.0)), turned(0, 2.0, (20.0, 10.0, -3.0))):
        fine = np.stack(np.meshgrid(*[(np.arange(4 * n) + 0.5) / 4 - 0.5 for n in target], indexing="ij"), -1)
        at = mapping.indices(fine.reshape(-1, 3))
        held = ((at >= -0.5) & (at <= np.array(source) - 0.5)).all(axis=1).mean()
        brute = held * np.prod(target) * abs(np.linalg.det(mapping.matrix))
        assert overlap_voxels(mapping, target, source) == pytest.approx(brute, rel=1e-2)
    assert overlap_voxels(turned(40, offset=(500.0, 0.0, 0.0)), target, source) == 0


def test_thousands_of_cells_are_found_at_once() -> None:
    shape = (3000, 3000, 3000)
    spin = rotation(20, 30, 40)
    mapping = Mapping(tuple(map(tuple, spin.tolist())), (800.0, -100.0, 300.0))
    runs = needed(mapping, whole((2000, 2000, 2000)), shape, (1, 1, 1), Cells(shape, (64, 64, 64)))
    assert len(runs) < 48 * 48
    box = region_shape(source_box(mapping, whole((2000, 2000, 2000)), shape, (1, 1, 1)))  # type: ignore[arg-type]
    assert count_cells(runs) * 64**3 < 0.9 * np.prod(box)
