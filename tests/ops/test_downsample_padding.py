"""Means without padding: the values of voxels that are there, wherever the blocks are cut."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from chunkvol import Geometry, Volume
from chunkvol.errors import InputError
from chunkvol.kernels import REDUCERS, masked_mean
from chunkvol.ops.downsample import downsample
from chunkvol.regions import Region, Shape, region_shape
from chunkvol.sources import ArraySource, Block
from tests.support.grids import noise_volume, oblique_grid, ramp_values, ramp_volume

SHAPE = (17, 31, 43)


@dataclass(frozen=True)
class WholePlanes(ArraySource):
    """An array whose planes are decoded whole, as those of compressed files."""

    @property
    def grain(self) -> Shape:
        return (1, *self.shape[1:])

    def scratch(self, shape: Shape) -> int:
        return 2 * self.shape[1] * self.shape[2] * self.dtype.itemsize

    def read(self, region: Region, out: Block | None = None) -> Block:
        whole = self.array[region[0]].copy()
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        block[...] = whole[:, region[1], region[2]]
        return block


def scanned(dtype: str = "int16", shape: Shape = SHAPE) -> Any:
    """Noise in a round field of view, padding around it."""
    array = noise_volume(oblique_grid(shape), dtype).read().copy()
    j, i = np.ogrid[: shape[1], : shape[2]]
    outside = ((j - shape[1] / 2) / shape[1]) ** 2 + ((i - shape[2] / 2) / shape[2]) ** 2 > 0.16
    array[:, outside] = 100 if dtype == "uint8" else -2000
    return array


def test_the_ramp_is_kept_where_padding_surrounds_it() -> None:
    ramp = ramp_volume(oblique_grid(SHAPE))
    array = ramp.read().copy()
    array[:, :6], array[:, :, 38:] = -99999, -99999
    small = downsample(Volume(array, ramp.geometry), (2, 3, 2), ignore=(-99999, -99999))
    assert small.geometry == ramp.geometry.coarsened((2, 3, 2))
    wanted = ramp_values(small.geometry)
    wanted[:, :2], wanted[:, :, 19:] = -99999, -99999
    np.testing.assert_allclose(small.read(), wanted, rtol=1e-12)


def test_at_the_edge_the_padding_has_no_weight() -> None:
    array = np.full((2, 2, 4), -2000, np.int16)
    array[0, 0, :3] = 40, 43, 7
    small = downsample(Volume(array, Geometry(array.shape)), 2, ignore=(-2000, -2000))
    assert small.read().ravel().tolist() == [42, 7]  # 41.5, to the even one
    assert downsample(Volume(array, Geometry(array.shape)), 2).read().ravel().tolist() == [-1490, -1749]


@pytest.mark.parametrize("source", [ArraySource, WholePlanes])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("factors", [(2, 2, 2), (4, 4, 4), (3, 1, 5)])
def test_every_region_of_every_source_is_read_alike(source: Any, dtype: str, factors: Shape) -> None:
    array = scanned(dtype)
    low = float(array.min()) if dtype != "uint8" else 100
    small = downsample(Volume(source(array), oblique_grid(SHAPE)), factors, ignore=(low, low))
    full = small.read()
    np.testing.assert_array_equal(full, masked_mean(array, factors, (low, low)))
    rng = np.random.default_rng(6)
    for _ in range(15):
        start = [int(rng.integers(0, n)) for n in small.shape]
        region = tuple(slice(a, int(rng.integers(a + 1, n + 1))) for a, n in zip(start, small.shape, strict=True))
        np.testing.assert_array_equal(small.read(region), full[region])


@pytest.mark.parametrize("source", [ArraySource, WholePlanes])
@pytest.mark.parametrize("factors", [(2, 2, 2), (8, 8, 8)])
def test_a_read_holds_no_more_than_its_promise(source: Any, factors: Shape) -> None:
    array = scanned("int16", (16, 700, 900))
    small = downsample(Volume(source(array), oblique_grid(array.shape)), factors, ignore=(-2000, -2000))
    region = tuple(slice(0, n) for n in small.shape)
    out = np.empty(small.shape, np.int16)
    tracemalloc.start()
    try:
        small.source.read(region, out)  # type: ignore[arg-type]  # three slices
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert held <= small.source.scratch(small.shape)


@pytest.mark.parametrize(
    ("ignore", "said"),
    [
        ((-2000, -2000), "ignoring -2000"),
        ((-2000.0, -1024.5), "ignoring -2000 to -1024.5"),
        ([0, 10**6], "ignoring 0 to 1000000"),
    ],
)
def test_the_history_says_what_was_left_out(ignore: Any, said: str) -> None:
    small = downsample(Volume(scanned(), oblique_grid(SHAPE)), 2, ignore=ignore)
    assert small.metadata.history == (f"downsample 2,2,2 (k,j,i) mean {said}",)


@pytest.mark.parametrize("method", [name for name in REDUCERS if name != "mean"])
def test_other_methods_do_not_leave_padding_out(method: str) -> None:
    with pytest.raises(InputError, match=f"padding is left out by the method mean, not by {method}"):
        downsample(noise_volume(oblique_grid(SHAPE)), 2, method=method, ignore=(0, 0))


@pytest.mark.parametrize("ignore", [5, (1,), (1, 2, 3), (0, "x"), (0, float("nan")), (float("-inf"), 0)], ids=repr)
def test_padding_that_is_no_range_is_refused(ignore: Any) -> None:
    with pytest.raises(InputError, match="padding to ignore is two finite numbers"):
        downsample(noise_volume(oblique_grid(SHAPE)), 2, ignore=ignore)


def test_a_range_that_runs_backwards_is_refused() -> None:
    with pytest.raises(InputError, match="begins at 5, above its end 3; turn them round"):
        downsample(noise_volume(oblique_grid(SHAPE)), 2, ignore=(5, 3))
