"""Frames of SlicerMorph's modules: axes by hand, landmarks on the same voxels, contradictions refused."""

from __future__ import annotations

import numpy as np
import pytest

from chunkvol import Geometry
from chunkvol.errors import InputError
from chunkvol.formats.place import Place
from chunkvol.formats.stack.frames import FRAMES, check_frame, framed
from tests.support.grids import oblique_grid

GRID = oblique_grid((7, 5, 4), spacing=(0.03, 0.02, 0.01))
RAS = np.diag([-1.0, -1.0, 1.0])
"""From RAS to LPS and back."""


def slicer(frame: str, spacing: tuple[float, float, float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """What the modules do, in Slicer's own terms: a 4 x 4 matrix from (i, j, k, 1) to RAS."""
    k, j, i = spacing
    matrix = np.diag([-i, -j, k, 1.0])
    swap = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])
    return swap @ matrix if frame == "skyscan" else matrix


def test_imagestacks_is_the_identity_at_the_origin() -> None:
    grid = framed(GRID, "imagestacks")
    assert grid == Geometry((7, 5, 4), (0, 0, 0), (0.03, 0.02, 0.01))
    np.testing.assert_allclose(grid.index_to_world([6, 4, 3]), [3 * 0.01, 4 * 0.02, 6 * 0.03])


def test_skyscan_lets_columns_grow_left_rows_down_and_slices_forward() -> None:
    grid = framed(GRID, "skyscan")
    assert (grid.shape, grid.origin, grid.spacing) == ((7, 5, 4), (0, 0, 0), (0.03, 0.02, 0.01))
    np.testing.assert_allclose(grid.index_to_world([0, 0, 1]), [0.01, 0, 0])  # L
    np.testing.assert_allclose(grid.index_to_world([0, 1, 0]), [0, 0, -0.02])  # I
    np.testing.assert_allclose(grid.index_to_world([1, 0, 0]), [0, -0.03, 0])  # A
    assert np.linalg.det(np.array(grid.direction)[:, ::-1]) == -1


@pytest.mark.parametrize("frame", FRAMES)
def test_a_landmark_placed_in_slicer_falls_on_the_same_voxel(frame: str) -> None:
    i, j, k = 2, 3, 5
    ras = slicer(frame, GRID.spacing) @ [i, j, k, 1]
    np.testing.assert_allclose(framed(GRID, frame).world_to_index(RAS @ ras[:3]), [k, j, i], atol=1e-12)


def test_an_unknown_frame_is_refused() -> None:
    with pytest.raises(InputError, match="no frame 'amira': choose one of imagestacks, skyscan"):
        framed(GRID, "amira")
    with pytest.raises(InputError, match="no frame 'amira'"):
        check_frame("amira", Place())


@pytest.mark.parametrize(
    ("place", "named"),
    [
        (Place(origin=(0, 0, 0)), "origin"),
        (Place(orientation="LPS"), "orientation"),
        (Place(geometry=GRID), "geometry"),
    ],
)
def test_a_frame_beside_another_place_is_refused(place: Place, named: str) -> None:
    with pytest.raises(InputError, match=f"--frame skyscan says where .* so does --{named}: leave out one"):
        check_frame("skyscan", place)


def test_a_frame_goes_with_a_spacing() -> None:
    check_frame("skyscan", Place(spacing=(1, 2, 3)))
    check_frame("", Place(orientation="RAI"))
