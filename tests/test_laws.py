"""The laws: voxels never move without their geometry, and a level is what downsampling by its factors gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chunkvol
from chunkvol import Geometry, Volume
from chunkvol.kernels import REDUCERS, gaussian_weights
from chunkvol.ops.downsample import downsample
from chunkvol.ops.reorient import reordered
from chunkvol.pyramid import LARGEST, level_factors, steps_between, steps_to
from chunkvol.regions import Shape
from tests.support.grids import GRIDS, grids, noise_volume, oblique_grid, ramp_values, ramp_volume, wide_floats

LINEAR = ["stride", "mean", "median", "gaussian"]
NESTED = [name for name, row in REDUCERS.items() if row.nested]
FACTORS: list[int | Shape] = [2, 3, 4, (4, 3, 2), (1, 2, 2), (1, 5, 1)]
SUFFIXES = [".nrrd", ".nhdr", ".ome.zarr"]
ODD = (25, 23, 27)


def through(volume: Volume, target: Path, **options: Any) -> Volume:
    chunkvol.write_volume(volume, target, **options)
    return chunkvol.open_volume(target)


def inner(shape: Shape, factors: Shape) -> tuple[slice, ...]:
    """The outputs of a Gaussian whose taps all lie inside the volume."""
    out = []
    for n, f in zip(shape, factors, strict=True):
        first, weights = gaussian_weights(n, f)
        complete = np.flatnonzero((first >= 0) & (first + weights.shape[1] <= n))
        out.append(slice(int(complete[0]), int(complete[-1]) + 1))
    return tuple(out)


def assert_ramp(volume: Volume, where: tuple[slice, ...] = (slice(None),) * 3) -> None:
    wanted = ramp_values(volume.geometry)[where]
    assert wanted.size > 1
    np.testing.assert_allclose(volume.read()[where], wanted, rtol=1e-11, atol=1e-9)


# ----------------------------------------------------------------------------------------------------------- ramp


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("method", LINEAR)
@pytest.mark.parametrize("name", GRIDS)
def test_the_ramp_holds_after_downsampling_and_a_file(tmp_path: Path, name: str, method: str, suffix: str) -> None:
    volume = ramp_volume(GRIDS[name](ODD))
    for number, factors in enumerate(FACTORS):
        small = downsample(volume, factors, method=method)
        opened = through(small, tmp_path / f"{number}{suffix}")
        three = (factors,) * 3 if isinstance(factors, int) else factors
        assert opened.shape == tuple(n // f for n, f in zip(ODD, three, strict=True))
        assert opened.geometry.is_close(small.geometry, 1e-9)
        assert_ramp(opened, inner(ODD, three) if method == "gaussian" else (slice(None),) * 3)


@settings(max_examples=60)
@given(grid=grids(), data=st.data())
def test_the_ramp_holds_for_any_chain_of_operations(grid: Geometry, data: Any) -> None:
    volume = ramp_volume(grid)
    scale = np.abs(volume.read()).max() + 1
    for _ in range(3):
        step = data.draw(st.sampled_from(["downsample", "crop", "reorder"]))
        if step == "downsample":
            factors = data.draw(st.tuples(*[st.integers(1, n) for n in volume.shape]))
            volume = downsample(volume, factors, method=data.draw(st.sampled_from(["stride", "mean", "median"])))
        elif step == "crop":
            low = [data.draw(st.integers(0, n - 1)) for n in volume.shape]
            volume = volume[
                tuple(slice(a, data.draw(st.integers(a + 1, n))) for a, n in zip(low, volume.shape, strict=True))
            ]
        else:
            axes = data.draw(st.permutations(range(3)))
            volume = reordered(volume, axes, data.draw(st.tuples(*[st.booleans()] * 3)))
    np.testing.assert_allclose(volume.read(), ramp_values(volume.geometry), rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("method", ["mean", "stride"])
def test_the_ramp_holds_on_every_level_and_below_it(tmp_path: Path, name: str, method: str) -> None:
    opened = through(ramp_volume(GRIDS[name]((9, 41, 521))), tmp_path / "a.ome.zarr", method=method)
    assert len(opened.levels) > 1
    for number, level in enumerate(opened.levels):
        assert_ramp(level)
        assert_ramp(chunkvol.open_volume(tmp_path / "a.ome.zarr", level=number))
        assert_ramp(downsample(level, (1, 1, 3), method=method))
        assert_ramp(through(level, tmp_path / f"{number}.nrrd"))


@pytest.mark.parametrize("name", GRIDS)
def test_the_outer_corner_of_the_voxels_stays(name: str) -> None:
    """The near face of the first voxel is the one thing that a block method leaves in its place."""
    fine = GRIDS[name](ODD)
    for factors in [(2, 3, 4), (1, 2, 5)]:
        coarse = fine.coarsened(factors)
        near = fine.index_to_world((-0.5, -0.5, -0.5))
        np.testing.assert_allclose(coarse.index_to_world((-0.5, -0.5, -0.5)), near, atol=1e-12)
        ends = np.array(coarse.shape) * factors - 0.5
        far = coarse.index_to_world(np.array(coarse.shape) - 0.5)
        np.testing.assert_allclose(far, fine.index_to_world(ends), atol=1e-12)


def test_cutting_whole_blocks_and_downsampling_can_be_exchanged() -> None:
    volume = noise_volume(oblique_grid(ODD), "int16")
    for method in REDUCERS:
        if method == "gaussian":
            continue  # looks beyond the cut
        before = downsample(volume[4:20, 3:12, 2:26], (4, 3, 2), method=method)
        after = downsample(volume, (4, 3, 2), method=method)[1:5, 1:4, 1:13]
        assert before.geometry.is_close(after.geometry, 1e-12)
        np.testing.assert_array_equal(before.read(), after.read())


def test_factor_1_changes_nothing() -> None:
    volume = noise_volume(oblique_grid(ODD), "int16")
    for method in REDUCERS:
        same = downsample(volume, 1, method=method)
        assert same.geometry == volume.geometry
        np.testing.assert_array_equal(same.read(), volume.read())


@pytest.mark.parametrize("method", ["stride", "min", "max"])
def test_two_steps_are_one_where_the_method_chains(method: str) -> None:
    volume = noise_volume(oblique_grid((25, 38, 49)), "int16")
    one, two = downsample(volume, 6, method=method), downsample(downsample(volume, 2, method=method), 3, method=method)
    assert one.geometry.is_close(two.geometry, 1e-12)
    np.testing.assert_array_equal(one.read(), two.read())


# ------------------------------------------------------------------------------------------------- block oracles


def blocks_of(array: npt.NDArray[Any], factors: Shape) -> npt.NDArray[Any]:
    """Axes (k, j, i, voxel of the block)."""
    shape = [n // f for n, f in zip(array.shape, factors, strict=True)]
    whole = array[tuple(slice(0, n * f) for n, f in zip(shape, factors, strict=True))]
    split = whole.reshape(*[v for n, f in zip(shape, factors, strict=True) for v in (n, f)])
    return split.transpose(0, 2, 4, 1, 3, 5).reshape(*shape, -1)


def plain_mode(voxels: npt.NDArray[Any]) -> Any:
    values, counts = np.unique(voxels, return_counts=True)
    return values[np.argmax(counts)]


def plain_median(voxels: npt.NDArray[Any]) -> Any:
    middle = np.sort(voxels)[(len(voxels) - 1) // 2 : len(voxels) // 2 + 1].astype(float)
    return np.rint(middle.mean()) if voxels.dtype.kind in "iu" else middle.mean()


PLAIN: dict[str, Callable[[npt.NDArray[Any]], Any]] = {
    "min": np.min,
    "max": np.max,
    "mode": plain_mode,
    "median": plain_median,
    "stride": lambda voxels: voxels[0],
    "mean": lambda voxels: np.rint(voxels.astype(float).mean()),
}


@pytest.mark.parametrize("suffix", [".nrrd", ".ome.zarr"])
@pytest.mark.parametrize("dtype", ["uint8", "int16"])
@pytest.mark.parametrize("method", PLAIN)
def test_files_hold_what_plain_numpy_makes_of_each_block(tmp_path: Path, method: str, dtype: str, suffix: str) -> None:
    rng = np.random.default_rng(5)
    array = rng.integers(-3 if dtype == "int16" else 0, 5, ODD).astype(dtype)
    volume = Volume(array, GRIDS["minus signs"](ODD))
    for number, factors in enumerate([(2, 2, 2), (4, 3, 2), (1, 2, 2), (25, 1, 7)]):
        wanted = np.apply_along_axis(PLAIN[method], -1, blocks_of(array, factors))
        opened = through(downsample(volume, factors, method=method), tmp_path / f"{number}{suffix}")
        np.testing.assert_array_equal(opened.read(), wanted)
        anchor = "first" if method == "stride" else "centre"
        assert opened.geometry.is_close(volume.geometry.coarsened(factors, anchor), 1e-12)


# --------------------------------------------------------------------------------------------- level and factor


@pytest.mark.parametrize("method", NESTED)
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int32"])
def test_level_k_is_the_downsampling_by_2_to_the_k(tmp_path: Path, method: str, dtype: str) -> None:
    grid = oblique_grid((9, 19, 1031), spacing=(0.3, 0.3, 0.3))
    plain = wide_floats(grid.shape, dtype) if dtype.startswith("f") else noise_volume(grid, dtype).read()
    opened = through(Volume(plain, grid), tmp_path / "a.ome.zarr", method=method)
    chunkvol.write_volume(Volume(plain, grid), tmp_path / "full.nrrd")
    assert len(opened.levels) == 4
    for k, level in enumerate(opened.levels):
        for full in (Volume(plain, grid), opened, chunkvol.open_volume(tmp_path / "full.nrrd")):
            direct = downsample(full, 2**k, method=method)
            assert level.geometry.is_close(direct.geometry, 1e-12)
            assert level.read().tobytes() == direct.read().tobytes()
        written = through(downsample(opened, 2**k, method=method), tmp_path / f"{k}.nrrd", workers=1)
        np.testing.assert_array_equal(written.read(), level.read())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_anisotropic_levels_are_the_downsampling_by_their_factors(tmp_path: Path, dtype: str) -> None:
    grid = oblique_grid((6, 40, 2050), spacing=(0.9, 0.3, 0.07))
    volume = Volume(wide_floats(grid.shape, dtype), grid)
    opened = through(volume, tmp_path / "a.ome.zarr")
    factors = level_factors(grid)
    assert factors == ((1, 1, 1), (1, 1, 2), (1, 1, 4), (1, 2, 8))
    for level, wanted in zip(opened.levels, factors, strict=True):
        assert level.read().tobytes() == downsample(volume, wanted).read().tobytes()


@settings(max_examples=60)
@given(grid=grids(largest=4000), coarsest=st.integers(1, 300))
def test_pyramids_grow_isotropic_and_end_small(grid: Geometry, coarsest: int) -> None:
    levels = level_factors(grid, coarsest)
    assert levels[0] == (1, 1, 1)
    for number, factors in enumerate(levels):
        coarse = grid.coarsened(factors)
        ended = max(coarse.shape) <= coarsest or max(factors) >= LARGEST
        assert ended == (number == len(levels) - 1)
    for step in steps_between(levels):
        assert set(step) <= {1, 2} and 2 in step
    assert steps_to(grid, levels[-1]) == steps_between(levels) or levels[-1] == (1, 1, 1)
