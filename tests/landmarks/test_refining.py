"""Points find the middle of what they lie on, on any grid, from small crops, or say why not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chunkvol
from chunkvol import Geometry, Volume
from chunkvol.errors import InputError
from chunkvol.landmarks import Landmarks
from chunkvol.landmarks.crops import read_crops
from chunkvol.landmarks.peaks import DRIFTS, FLAT, LEAVES, NO_NUMBER
from chunkvol.landmarks.refining import OUTSIDE, UNPLACED, refine, usual_radius
from chunkvol.metadata import Metadata, Rescale
from chunkvol.regions import Region, Shape, region_shape, voxels
from chunkvol.sources import Block, Source
from tests.support.grids import GRIDS, oblique_grid, sheared_grid

SHAPE = (37, 43, 61)
SPREAD = 2.0
"""Sigma of a bead, in voxels of the coarsest axis."""


def bead_values(grid: Geometry, centres: np.ndarray, sigma: Any, height: float = 40000, floor: float = 300) -> Any:
    """Gaussian beads at world points, each `sigma` mm wide, or so many voxels along each axis where it is a triple."""
    k, j, i = np.meshgrid(*map(np.arange, grid.shape), indexing="ij")
    index = np.stack([k, j, i], -1).astype(float)
    total = np.full(grid.shape, float(floor))
    for centre in centres:
        if np.ndim(sigma):
            offset = (index - grid.world_to_index(centre)) / sigma
        else:
            offset = (grid.index_to_world(index) - centre) / sigma
        total += height * np.exp(-0.5 * (offset**2).sum(-1))
    return total


def scan(grid: Geometry, index: Any, *, sigma: Any = None, dtype: str = "uint16", **how: float) -> Volume:
    """A noise-free volume of beads at fractional indices."""
    width = SPREAD * max(grid.spacing) if sigma is None else sigma
    values = bead_values(grid, grid.index_to_world(np.atleast_2d(index)), width, **how)
    return Volume(np.rint(values).astype(dtype) if np.dtype(dtype).kind in "iu" else values.astype(dtype), grid)


def landmarks(grid: Geometry, index: Any) -> Landmarks:
    points = grid.index_to_world(np.atleast_2d(index))
    return Landmarks(points, tuple(f"L{n}" for n in range(1, len(points) + 1)))


def off(found: Landmarks, grid: Geometry, truth: Any) -> float:
    """The largest error along any axis, in voxels."""
    return float(np.abs(grid.world_to_index(found.points) - np.atleast_2d(truth)).max())


@dataclass(frozen=True, eq=False)
class Counting(Source):
    """Voxels in chunks, or in rows, that says what was read of it."""

    array: np.ndarray
    """The voxels."""
    chunk: Shape | None = None
    """What is decoded at once."""
    regions: list[Region] = field(default_factory=list)
    """All that was read."""

    @property
    def shape(self) -> Shape:  # type: ignore[override]
        return self.array.shape  # type: ignore[return-value]

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]
        return self.array.dtype

    @property
    def grain(self) -> Shape:
        return self.chunk or (1, 1, self.shape[2])

    def read(self, region: Region, out: Block | None = None) -> Block:
        self.regions.append(region)
        return np.ascontiguousarray(self.array[region])

    @property
    def decoded(self) -> Counter[tuple[int, ...]]:
        """How often each chunk was."""
        counts: Counter[tuple[int, ...]] = Counter()
        for region in self.regions:
            ranges = [range(s.start // c, (s.stop - 1) // c + 1) for s, c in zip(region, self.grain, strict=True)]
            counts.update((k, j, i) for k in ranges[0] for j in ranges[1] for i in ranges[2])
        return counts


# ---------------------------------------------------------------------------------------------------------- accuracy


@pytest.mark.parametrize("sigma", [None, (2.0, 2.0, 2.0)], ids=["round in mm", "round in voxels"])
@pytest.mark.parametrize("name", ["oblique", "left-handed", "minus signs", "turned", "sheared"])
def test_a_centroid_finds_a_bead_that_is_one_and_a_half_voxels_away(name: str, sigma: Any) -> None:
    grid = GRIDS[name](SHAPE)
    rng = np.random.default_rng(5)
    for _ in range(4):
        truth = np.array(SHAPE) // 2 + rng.uniform(-0.5, 0.5, 3)
        start = truth + rng.permutation([1.5, -1.5, 0.6])
        found = refine(landmarks(grid, start), scan(grid, truth, sigma=sigma), radius=usual_radius(grid))
        assert found.why == ("",)
        assert off(found.landmarks, grid, truth) < 0.05


@pytest.mark.parametrize("name", ["oblique", "left-handed", "minus signs", "turned", "sheared"])
def test_an_extremum_finds_a_bead_that_is_one_and_a_half_voxels_away(name: str) -> None:
    grid = GRIDS[name](SHAPE)
    rng = np.random.default_rng(6)
    for _ in range(4):
        truth = np.array(SHAPE) // 2 + rng.uniform(-0.5, 0.5, 3)
        start = truth + rng.permutation([1.5, -1.5, 0.6])
        found = refine(landmarks(grid, start), scan(grid, truth), method="extremum")
        assert found.why == ("",)
        assert off(found.landmarks, grid, truth) < 0.1


def test_a_bead_on_a_slope_of_grey_is_found_as_well() -> None:
    grid = oblique_grid(SHAPE)
    truth = np.array([18.3, 21.1, 30.4])
    ramp = 40 * np.arange(SHAPE[0])[:, None, None] + 25 * np.arange(SHAPE[2])
    volume = Volume(scan(grid, truth).array.compute() + ramp.astype("uint16"), grid)
    found = refine(landmarks(grid, truth + 1), volume)
    assert off(found.landmarks, grid, truth) < 0.1


def test_a_hard_noisy_sphere_is_found_to_a_tenth_of_a_voxel() -> None:
    grid = oblique_grid(SHAPE, spacing=(0.5, 0.5, 0.5))
    truth = np.array([18.3, 21.1, 30.4])
    centre = grid.index_to_world(truth)
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    inside = np.linalg.norm(grid.index_to_world(index) - centre, axis=-1) < 2.0
    noise = np.random.default_rng(8).normal(0, 800, SHAPE)
    volume = Volume((5000 + 20000 * inside + noise).astype("uint16"), grid)
    found = refine(landmarks(grid, truth + np.array([1.5, -1, 0.7])), volume, radius=3.5)
    assert off(found.landmarks, grid, truth) < 0.1


@pytest.mark.parametrize("method", ["centroid", "extremum"])
def test_points_on_nothing_but_noise_stay_and_a_bead_in_the_same_noise_is_found(method: Any) -> None:
    grid = oblique_grid((60, 64, 68), spacing=(0.5, 0.4, 0.4))
    rng = np.random.default_rng(4)
    noise = rng.normal(0, 50, grid.shape)
    start = landmarks(grid, rng.uniform(12, np.array(grid.shape) - 12, (60, 3)))
    assert sum(not word for word in refine(start, Volume(noise, grid), method=method).why) <= 2
    truth = np.array([30.2, 31.4, 29.7])
    bead = bead_values(grid, grid.index_to_world([truth]), 1.0, height=400)
    found = refine(landmarks(grid, truth + 1), Volume(noise + bead, grid), method=method)
    assert found.why == ("",)
    assert off(found.landmarks, grid, truth) < (0.3 if method == "centroid" else 1.6)


@pytest.mark.parametrize("method", ["centroid", "extremum"])
def test_dark_spots_are_bright_ones_turned_over(method: Any) -> None:
    grid = oblique_grid(SHAPE)
    truth = (18.3, 21.1, 30.4)
    bright = scan(grid, truth, dtype="float64")
    dark = Volume(7.0 - bright.array.compute(), grid)
    start = landmarks(grid, np.add(truth, 1))
    one = refine(start, bright, method=method)
    other = refine(start, dark, method=method, bright=False)
    assert np.abs(one.landmarks.points - other.landmarks.points).max() < 1e-9
    assert refine(start, dark, method=method).why != ("",)


def test_real_values_decide_what_is_bright() -> None:
    grid = oblique_grid(SHAPE)
    truth = (18.3, 21.1, 30.4)
    stored = scan(grid, truth)
    turned = Volume(65000 - stored.array.compute(), grid, Metadata(rescale=Rescale(slope=-1.0, intercept=65000.0)))
    start = landmarks(grid, np.add(truth, 1))
    one, other = refine(start, stored), refine(start, turned)
    assert (one.landmarks.points == other.landmarks.points).all()


def test_the_largest_voxel_nearest_to_the_point_is_taken_of_equal_ones() -> None:
    grid = Geometry((21, 23, 25))
    array = np.zeros(grid.shape, "uint8")
    array[10, 11, 8] = array[10, 11, 14] = 200
    for start, there in (((10, 11, 9.4), 8), ((10, 11, 12.6), 14)):
        found = refine(landmarks(grid, start), Volume(array, grid), method="extremum", radius=5)
        assert np.abs(grid.world_to_index(found.landmarks.points) - (10, 11, there)).max() < 0.02


# ------------------------------------------------------------------------------------------------------ what it tells


def test_it_says_how_far_each_point_moved_and_why_others_did_not() -> None:
    grid = oblique_grid(SHAPE)
    truth = np.array([18.3, 21.1, 30.4])
    index = np.array([truth + np.array([0.5, 0, 0]), [1, 21, 30], [18, 21, 80], [0, 0, 0], [4, 36, 8]], float)
    points = grid.index_to_world(index)
    points[3] = np.nan
    given_ = Landmarks(points, tuple("abcde"), ("Semi", "", "", "", "x"), frame="RAS")
    flat = np.full(SHAPE, 300, "uint16")
    part = scan(grid, truth).array.compute()[8:29, 8:34, 14:47]
    flat[8:29, 8:34, 14:47] = part
    found = refine(given_, Volume(flat, grid), radius=2.1)
    assert found.why == ("", LEAVES, OUTSIDE, UNPLACED, FLAT)
    assert found.moved[0] == pytest.approx(0.5 * grid.spacing[0], abs=0.02)
    assert found.moved[[1, 2, 4]].tolist() == [0, 0, 0] and np.isnan(found.moved[3])
    kept = found.landmarks
    assert (kept.points[[1, 2, 4]] == given_.points[[1, 2, 4]]).all() and np.isnan(kept.points[3]).all()
    assert (kept.labels, kept.descriptions, kept.frame) == (given_.labels, given_.descriptions, "RAS")
    assert str(found).startswith("1 of 5 points moved, by 0.3") and "(a) at most; windows of 2.1 mm" in str(found)


@pytest.mark.parametrize("method", ["centroid", "extremum"])
def test_a_point_whose_peak_lies_beyond_its_window_stays(method: Any) -> None:
    grid = oblique_grid(SHAPE)
    truth = np.array([18.0, 21, 30])
    start = truth + np.array([0, 6, 0])  # 3 mm
    found = refine(landmarks(grid, start), scan(grid, truth), method=method, radius=1.5)
    assert found.why == (DRIFTS,)
    assert found.moved.tolist() == [0]


@pytest.mark.parametrize("method", ["centroid", "extremum"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_windows_with_values_that_are_no_numbers_say_so(method: Any, value: float) -> None:
    grid = oblique_grid(SHAPE)
    volume = scan(grid, (18, 21, 30), dtype="float32")
    array = volume.array.compute()
    array[19, 21, 30] = value
    assert refine(landmarks(grid, (18, 21, 30)), Volume(array, grid), method=method).why == (NO_NUMBER,)


@given(st.integers(0, 10**6))
def test_no_point_is_moved_by_more_than_the_radius(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = sheared_grid((19, 23, 17))
    volume = Volume(rng.normal(size=grid.shape), grid)
    start = landmarks(grid, rng.uniform(0, np.array(grid.shape) - 1, (5, 3)))
    for method in ("centroid", "extremum"):
        found = refine(start, volume, method=method, radius=2.6)  # type: ignore[arg-type]
        reach = 2.6 if method == "centroid" else 2.6 + 0.5 * sum(grid.spacing)  # a peak's top lies beside its voxel
        assert np.nanmax(found.moved) <= reach
        assert all((m == 0) == bool(w) for m, w in zip(found.moved, found.why, strict=True))


def test_no_points_are_no_problem() -> None:
    grid = Geometry((9, 8, 7))
    found = refine(Landmarks(np.zeros((0, 3)), ()), Volume(np.zeros(grid.shape), grid))
    assert len(found.landmarks) == 0 and str(found).startswith("0 of 0 points moved")


def test_the_usual_radius_holds_the_voxel_that_points_were_placed_on() -> None:
    grid = oblique_grid((64, 64, 64), spacing=(0.4, 0.3, 0.2))
    assert usual_radius(grid) == pytest.approx(1.2)
    assert usual_radius(grid, grid.coarsened((2, 2, 2))) == pytest.approx(1.2)
    assert usual_radius(grid, grid.coarsened((8, 8, 8))) == pytest.approx(4 * np.linalg.norm([0.4, 0.3, 0.2]))
    tilted = sheared_grid((64, 64, 64)).coarsened((8, 8, 8))
    assert usual_radius(sheared_grid((64, 64, 64)), tilted) == pytest.approx(
        4 * np.linalg.norm([0.75, 0.5 + 0.6, 2.4])  # j and k lean towards each other on one diagonal
    )


# -------------------------------------------------------------------------------------------------------- what it reads


def test_only_small_crops_are_read() -> None:
    grid = oblique_grid((64, 96, 128), spacing=(0.3, 0.3, 0.3))
    source = Counting(np.random.default_rng(1).integers(0, 9, grid.shape).astype("uint8"))
    index = np.array([[30.2, 40.1, 50.9], [12, 80, 100], [50, 20, 25]])
    found = refine(landmarks(grid, index), Volume(source, grid))
    assert found.radius == pytest.approx(0.9)
    assert len(source.regions) == 3
    assert max(voxels(region_shape(region)) for region in source.regions) <= 17**3


def test_many_points_decode_each_chunk_once() -> None:
    grid = oblique_grid((48, 64, 80), spacing=(0.3, 0.3, 0.3))
    source = Counting(np.random.default_rng(1).integers(0, 9, grid.shape).astype("uint8"), (16, 16, 16))
    rng = np.random.default_rng(2)
    index = rng.uniform(0, np.array(grid.shape) - 1, (300, 3))
    refine(landmarks(grid, index), Volume(source, grid))
    assert set(source.decoded.values()) == {1}


def test_points_are_refined_alike_however_the_volume_is_stored(tmp_path: Path) -> None:
    grid = oblique_grid(SHAPE)
    rng = np.random.default_rng(2)
    truth = rng.uniform(12, np.array(SHAPE) - 12, (6, 3))
    volume = scan(grid, truth, sigma=0.5)
    start = landmarks(grid, truth + rng.uniform(-1, 1, truth.shape))
    expected = refine(start, volume).landmarks.points
    for name, how in (
        ("a.nrrd", {}),
        ("b.nrrd", {"encoding": "gzip"}),
        ("c.ome.zarr", {}),
        ("d.tif", {}),
    ):
        chunkvol.write_volume(volume, tmp_path / name, **how)
        stored = chunkvol.open_volume(tmp_path / name)
        if name.endswith(".tif"):
            stored = Volume(stored.source, grid)
        assert np.abs(refine(start, stored).landmarks.points - expected).max() < 1e-9, name


@given(st.data())
def test_crops_are_those_of_the_array_whatever_the_chunks_and_the_room(data: Any) -> None:
    shape = (11, 13, 17)
    array = np.random.default_rng(0).integers(0, 1000, shape).astype("uint16")
    chunk = data.draw(st.sampled_from([None, (1, 13, 17), (4, 5, 6), (11, 13, 17), (16, 2, 3)]))
    source = Counting(array, chunk)
    ends = [st.tuples(st.integers(0, n - 1), st.integers(1, n)).map(lambda t: slice(t[0], t[0] + t[1])) for n in shape]
    drawn = data.draw(st.lists(st.tuples(*ends), max_size=12))
    boxes: list[Any] = [tuple(slice(s.start, min(s.stop, n)) for s, n in zip(box, shape, strict=True)) for box in drawn]
    found = dict(read_crops(source, boxes, held=data.draw(st.sampled_from([1, 500, 1 << 20]))))
    assert sorted(found) == list(range(len(boxes)))
    assert all((found[n] == array[box]).all() for n, box in enumerate(boxes))


def test_no_more_crops_are_held_than_fit() -> None:
    source = Counting(np.zeros((40, 40, 40), "uint8"), (8, 8, 8))
    boxes: list[Any] = [(slice(n, n + 10),) * 3 for n in range(30)]
    assert set(dict(read_crops(source, boxes))) == set(range(30))
    once = len(source.regions)
    source.regions.clear()
    list(read_crops(source, boxes, held=5000))
    assert once < len(source.regions) <= 6 * once


# ------------------------------------------------------------------------------------------------------------ messages


def test_what_cannot_be_refined_is_refused() -> None:
    grid = oblique_grid(SHAPE, spacing=(5.0, 0.5, 0.4))
    volume = Volume(np.zeros(SHAPE), grid)
    points = landmarks(grid, (18, 21, 30))
    with pytest.raises(InputError, match=r"1 mm covers 0.2 voxels along z .* at least 5 mm"):
        refine(points, volume, radius=1.0)
    with pytest.raises(InputError, match=r"above 0 mm, found nan"):
        refine(points, volume, radius=float("nan"))
    with pytest.raises(InputError, match=r"centroid or extremum, not 'mean'"):
        refine(points, volume, method="mean")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"at least 1 step, found 0"):
        refine(points, volume, iterations=0)
    with pytest.raises(InputError, match=r"a Plane of Slicer's, whose place is more than its points"):
        refine(Landmarks(points.points, ("a",), kind="Plane"), volume)
    with pytest.raises(InputError, match=r"voxel indices \(ijk\); place them"):
        refine(Landmarks(points.points, ("a",), frame="IJK"), volume)
    large = Geometry((4000, 4000, 4000))
    with pytest.raises(InputError, match=r"80 mm needs \d+ voxels around each point"):
        refine(
            Landmarks([[9, 9, 9]], ("a",)),
            Volume(Counting(np.broadcast_to(np.uint8(0), large.shape)), large),
            radius=80,
        )
