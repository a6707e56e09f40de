"""Downsampling: factors that are asked for, what is refused before work starts, and what a sceptic would try."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chunkvol import Geometry, Volume
from chunkvol.errors import InputError
from chunkvol.ops.downsample import downsample, resolve_factors
from tests.support.grids import noise_volume, oblique_grid

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
@pytest.mark.parametrize("dtype", ["int64", "uint64", "complex64", "bool"])
def test_types_without_a_mean_are_refused_before_anything_is_read(method: str, dtype: str) -> None:
    with pytest.raises(InputError, match=f"{method} of .* not supported"):
        downsample(zeros(dtype), 2, method=method)


@pytest.mark.parametrize("method", ["stride", "mode", "min", "max"])
def test_labels_of_64_bits_have_the_other_methods(method: str) -> None:
    block = np.array([[[2**63 - 1, 2**63 - 1], [-(2**63), 2**63 - 1]]] * 2)
    small = downsample(Volume(block, Geometry((2, 2, 2))), 2, method=method)
    assert small.read().item() == (-(2**63) if method == "min" else 2**63 - 1)
