"""Downsampling: factors that are asked for, what is refused before work starts, and what a sceptic would try."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkvol import Geometry, Metadata, Rescale, Volume
from chunkvol.errors import InputError
from chunkvol.kernels import REDUCERS
from chunkvol.ops.downsample import downsample
from chunkvol.ops.factors import fit_factors, resolve_factors
from chunkvol.sources import ArraySource
from tests.support.grids import grids, noise_volume, oblique_grid

SHAPE = (9, 10, 11)


def zeros(dtype: str) -> Volume:
    return Volume(np.zeros((4, 4, 4), dtype), Geometry((4, 4, 4)))


@pytest.mark.parametrize("factors", [2, 2.0, np.int64(2), (2, 2, 2), [2, 2, 2], np.array([2, 2, 2])], ids=repr)
def test_factors_may_be_any_whole_numbers(factors: Any) -> None:
    assert resolve_factors(SHAPE, factors) == (2, 2, 2)


@pytest.mark.parametrize("factors", [0, -1, 2.5, "2", (2, 2), (2, 2, 2, 2), (1, "a", 1), (1, 0, 1), None], ids=repr)
def test_other_factors_are_refused(factors: Any) -> None:
    with pytest.raises(InputError, match="factors are one or three whole numbers"):
        downsample(noise_volume(oblique_grid(SHAPE)), factors)


def test_unknown_methods_are_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'bicubic'.*mean, gaussian, stride"):
        downsample(noise_volume(oblique_grid(SHAPE)), 2, method="bicubic")


@pytest.mark.parametrize("method", ["mean", "gaussian"])
@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_types_without_a_mean_are_refused_before_anything_is_read(method: str, dtype: str) -> None:
    with pytest.raises(InputError, match=f"{method} of .* not supported"):
        downsample(zeros(dtype), 2, method=method)


@pytest.mark.parametrize("method", ["stride", "mode", "min", "max"])
def test_labels_of_64_bits_have_the_other_methods(method: str) -> None:
    block = np.array([[[2**63 - 1, 2**63 - 1], [-(2**63), 2**63 - 1]]] * 2)
    small = downsample(Volume(block, Geometry((2, 2, 2))), 2, method=method)
    assert small.read().item() == (-(2**63) if method == "min" else 2**63 - 1)


@pytest.mark.parametrize("method", REDUCERS)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_every_region_is_read_alike(method: str, dtype: str) -> None:
    small = downsample(noise_volume(oblique_grid((17, 31, 43)), dtype), (2, 3, 4), method=method)
    full = small.read()
    rng = np.random.default_rng(6)
    for _ in range(15):
        low = [int(rng.integers(0, n)) for n in small.shape]
        region = tuple(slice(a, int(rng.integers(a + 1, n + 1))) for a, n in zip(low, small.shape, strict=True))
        np.testing.assert_array_equal(small.read(region), full[region])


def test_an_axis_shorter_than_its_factor_becomes_one_voxel_at_its_centre() -> None:
    grid = oblique_grid((3, 10, 11))
    small = downsample(noise_volume(grid), 5)
    assert small.shape == (1, 2, 2)
    assert small.geometry == grid.coarsened((3, 5, 5))
    np.testing.assert_allclose(small.geometry.origin, grid.index_to_world((1, 2, 2)), rtol=1e-14)
    with pytest.raises(
        InputError, match=r"\(20, 20, 20\) are larger than the volume of \(11, 10, 3\) voxels \(x, y, z\)"
    ):
        downsample(noise_volume(grid), 20)


def test_rounding_is_once_and_to_even() -> None:
    block = np.array([[[0, 1], [2, 3]], [[0, 1], [2, 3]]], "u1")  # mean 1.5
    pair = np.array([[[0, 1]], [[2, 3]]], "i2") - 3  # mean -1.5
    assert downsample(Volume(block, Geometry((2, 2, 2))), 2).read().item() == 2
    assert downsample(Volume(block - np.uint8(0) + np.uint8(1), Geometry((2, 2, 2))), 2).read().item() == 2
    assert downsample(Volume(pair, Geometry((2, 1, 2))), (2, 1, 2)).read().item() == -2
    assert downsample(Volume(pair + np.int16(1), Geometry((2, 1, 2))), (2, 1, 2)).read().item() == 0  # -0.5
    steps = np.array([0, 1, 2, 2, 0, 0, 0, 0], "u1").reshape(1, 1, 8)
    assert downsample(Volume(steps, Geometry((1, 1, 8))), (1, 1, 4)).read().ravel().tolist() == [1, 0]  # not 0.5, 2


def test_slope_and_range_stay_with_the_stored_values() -> None:
    plain = noise_volume(oblique_grid(SHAPE))
    metadata = Metadata(Rescale(0.5, -1, "mm"), stored_range=(0, 4095), modality="CT")
    small = downsample(Volume(plain.data, plain.geometry, metadata), (1, 2, 3))
    assert small.metadata == replace(metadata.with_step("downsample 1,2,3 (k,j,i) mean"), pyramid="mean")
    assert small.dtype == plain.dtype
    assert len(small.levels) == 1


@pytest.mark.parametrize("method", ["min", "max"])
@pytest.mark.parametrize("slope", [2.0, -2.0])
def test_the_extremes_are_those_of_real_values(method: str, slope: float) -> None:
    plain = noise_volume(oblique_grid(SHAPE))
    volume = Volume(plain.data, plain.geometry, Metadata(Rescale(slope, 7)))
    small, real = downsample(volume, (3, 2, 5), method=method), downsample(volume.values, (3, 2, 5), method=method)
    np.testing.assert_array_equal(small.values.read(), real.read())
    assert small.metadata.history == real.metadata.history
    assert small.metadata.pyramid == method


# -------------------------------------------------------------------------------------------- factors that fit


@settings(max_examples=60)
@given(grid=grids(largest=300), limit=st.integers(1, 10**7))
def test_fitting_factors_are_the_first_that_fit(grid: Geometry, limit: int) -> None:
    volume = Volume(ArraySource(np.broadcast_to(np.uint16(0), grid.shape)), grid)

    def size(factors: tuple[int, int, int]) -> int:
        return 2 * int(np.prod([n // f for n, f in zip(grid.shape, factors, strict=True)]))

    if limit < 2:
        with pytest.raises(InputError, match="no whole factors"):
            fit_factors(volume, limit)
        return
    factors = fit_factors(volume, limit)
    assert size(factors) <= limit
    assert fit_factors(volume, size(factors)) == factors
    fewer = fit_factors(volume, max(2, limit // 2))
    assert all(a <= b for a, b in zip(factors, fewer, strict=True))
    coarse = grid.coarsened(factors).spacing
    free = [a for a in range(3) if 1 < factors[a] < grid.shape[a]]
    for a in free:
        for b in free:
            assert coarse[a] < 3 * coarse[b]  # 1.5 of a voxel is rounded to 1 or 2


def test_fitting_factors_make_voxels_isotropic() -> None:
    grid = oblique_grid((100, 200, 400), spacing=(0.4, 0.2, 0.1))
    volume = Volume(np.zeros(grid.shape, "u1"), grid)
    assert fit_factors(volume, 100 * 200 * 400) == (1, 1, 1)
    assert fit_factors(volume, 100 * 100 * 100) == (1, 2, 4)
    assert downsample(volume, fit_factors(volume, 100 * 100 * 100)).geometry.spacing == (0.4, 0.4, 0.4)
    with pytest.raises(InputError, match=r"no whole factors make \(400, 200, 100\) voxels \(x, y, z\) fit 0 bytes"):
        fit_factors(volume, 0)


def test_volumes_whose_pyramid_takes_the_most_frequent_voxel_are_reduced_so_unless_told_otherwise() -> None:
    volume = noise_volume(oblique_grid(SHAPE))
    labels = replace(volume, metadata=replace(volume.metadata, pyramid="mode"))
    assert np.array_equal(downsample(labels, 2).read(), downsample(volume, 2, method="mode").read())
    assert np.array_equal(downsample(labels, 2, method="mean").read(), downsample(volume, 2).read())
