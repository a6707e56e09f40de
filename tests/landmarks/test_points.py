"""Points with their labels: what they refuse to be made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chunkvol import Landmarks
from chunkvol.errors import InputError


@pytest.mark.parametrize("shape", [(3, 2), (3, 4), (2, 2), (6,), (2, 3, 2)], ids=str)
def test_points_whose_columns_are_no_x_y_z_are_not_mixed_up(shape: tuple[int, ...]) -> None:
    labels = tuple(str(n) for n in range(int(np.prod(shape)) // 3))
    with pytest.raises(InputError, match=r"x, y, z along their last axis, shape \(n, 3\); found \("):
        Landmarks(np.zeros(shape), labels)


def test_one_point_and_none_are_points() -> None:
    assert Landmarks(np.array([1.0, 2, 3]), ("a",)).points.tolist() == [[1, 2, 3]]
    assert Landmarks(np.empty(0), ()).points.shape == Landmarks(np.empty((0, 3)), ()).points.shape == (0, 3)


def test_a_frame_that_is_none_is_refused() -> None:
    wrong: Any
    for wrong in ("XYZ", "lps", "", None):
        with pytest.raises(InputError, match="points have frame LPS or RAS or IJK, not"):
            Landmarks(np.zeros((1, 3)), ("a",), frame=wrong)


def test_points_are_the_landmarks_own() -> None:
    given = np.zeros((1, 3))
    points = Landmarks(given, ("a",)).points
    given[:] = 7
    assert not points.any()
    with pytest.raises(ValueError, match="read-only"):
        points[:] = 7
