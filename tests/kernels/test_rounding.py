"""Real numbers to integers: half to even, clipped."""

from __future__ import annotations

import numpy as np
import pytest

from chunkvol.kernels import to_dtype, to_integer

INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")


@pytest.mark.parametrize("dtype", INTEGERS)
def test_halves_go_to_the_even_neighbour(dtype: str) -> None:
    values = np.array([0.5, 1.5, 2.5, 3.5, 3.49999, 3.50001])
    assert to_integer(values, np.dtype(dtype)).tolist() == [0, 2, 2, 4, 3, 4]


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("real", ["float32", "float64"])
def test_values_out_of_range_are_clipped(dtype: str, real: str) -> None:
    limits = np.iinfo(dtype)
    values = np.array([-np.inf, -1e30, 1e30, np.inf, np.nan], real)
    low, less, more, high, unknown = to_integer(values, np.dtype(dtype)).tolist()
    assert low == less == limits.min
    # The largest integer that the real type can hold stands for one that it cannot.
    assert more == high <= limits.max
    assert high == limits.max or float(high) == np.nextafter(np.dtype(real).type(limits.max), 0)
    assert unknown == 0


def test_the_values_are_left_alone_and_the_result_goes_where_it_is_asked_for() -> None:
    values = np.array([300.5, -2.0])
    out = np.zeros(2, np.uint8)
    assert to_integer(values, out.dtype, out) is out
    assert out.tolist() == [255, 0]
    assert values.tolist() == [300.5, -2.0]


def test_floats_are_rounded_to_their_type_without_a_warning() -> None:
    assert to_dtype(np.array([1e300, 0.1]), np.dtype(np.float32)).tolist() == [np.inf, float(np.float32(0.1))]
    assert to_dtype(np.array([2.5]), np.dtype(np.int8)).tolist() == [2]
