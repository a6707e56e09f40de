"""The phantom's voxels, grid and beads: laws and oracles."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkvol.errors import GeometryError, InputError
from chunkvol.phantom import DTYPES, Phantom, Tissue, bead_positions
from chunkvol.phantom.beads import AMPLITUDE
from chunkvol.phantom.placement import decimal_string, placed

SPACING = (0.031, 0.017, 0.05)


def stack(phantom: Phantom) -> np.ndarray[Any, np.dtype[Any]]:
    tissue = Tissue(phantom)
    return np.stack([tissue.plane(k) for k in range(phantom.size[2])])


def test_a_plane_made_alone_equals_the_plane_made_in_order() -> None:
    phantom = Phantom((70, 61, 40), seed=3)
    whole = stack(phantom)
    for k in (39, 0, 17):
        np.testing.assert_array_equal(Tissue(phantom).plane(k), whole[k])


def test_the_work_strips_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    phantom = Phantom((70, 61, 30))
    whole = Tissue(phantom).plane(13)
    monkeypatch.setattr("chunkvol.phantom.tissue._STRIP", 70 * 7)
    np.testing.assert_array_equal(Tissue(phantom).plane(13), whole)


def test_noise_blocks_meet_in_planes_larger_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    phantom = Phantom((530, 520, 3), beads=0)
    whole = Tissue(phantom).plane(1)
    noise = whole.astype(float) - Tissue(Phantom((530, 520, 3), beads=0, noise=0)).plane(1)
    for corner in (noise[:512, :512], noise[512:, :512], noise[:512, 512:], noise[512:, 512:]):
        assert corner.std() == pytest.approx(110, rel=0.1)
    monkeypatch.setattr("chunkvol.phantom.tissue._STRIP", 530 * 100)
    np.testing.assert_array_equal(Tissue(phantom).plane(1), whole)


def test_noise_is_correlated_with_its_neighbours_along_every_axis() -> None:
    noise = stack(Phantom((200, 200, 20), structure=False, beads=0)).astype(float)
    noise -= noise.mean()
    variance = (noise**2).mean()
    assert (noise[1:] * noise[:-1]).mean() / variance == pytest.approx(0.5, abs=0.03)
    assert (noise[:, 1:] * noise[:, :-1]).mean() / variance == pytest.approx(2 / 3, abs=0.03)
    assert (noise[:, :, 1:] * noise[:, :, :-1]).mean() / variance == pytest.approx(2 / 3, abs=0.03)
    assert abs((noise[2:] * noise[:-2]).mean() / variance) < 0.1


def test_another_seed_is_another_specimen() -> None:
    assert not np.array_equal(stack(Phantom((40, 40, 25), seed=1)), stack(Phantom((40, 40, 25), seed=2)))


def test_these_voxels_are_pinned_on_every_machine() -> None:
    """A change here changes what equal settings mean: the recipe's number in the UIDs has to be counted up."""
    voxels = stack(Phantom((64, 48, 30), seed=5))
    digest = hashlib.sha256(voxels.astype("<u2").tobytes()).hexdigest()
    assert digest[:16] == "aa340cd9810afb13"


def test_values_keep_to_thirteen_bits_and_compress_like_a_scan() -> None:
    import numcodecs

    voxels = stack(Phantom((256, 256, 32)))
    assert voxels.min() > 0
    assert 4096 < voxels.max() < 8192
    coded = numcodecs.Blosc("lz4", 5, numcodecs.Blosc.BITSHUFFLE).encode(voxels)
    assert 1.2 < voxels.nbytes / len(coded) < 1.7


@pytest.mark.parametrize("name", DTYPES)
def test_every_type_stores_the_same_grey_levels(name: str) -> None:
    row = DTYPES[name]
    values = stack(Phantom((50, 40, 24), dtype=name))
    assert values.dtype == row.dtype
    grey = (values.astype(float) - row.offset) / row.scale
    reference = stack(Phantom((50, 40, 24), dtype="float32")).astype(float) * 1024
    assert np.abs(grey - reference).max() <= 0.5001 / min(row.scale, 1)


@pytest.mark.parametrize("size", [(1, 1, 1), (1, 7, 3), (7, 1, 2), (3, 2, 1)])
def test_the_smallest_phantoms_have_voxels(size: tuple[int, int, int]) -> None:
    assert stack(Phantom(size)).shape == size[::-1]


@pytest.mark.parametrize("name", ["uint16", "int16", "float32"])
def test_bead_centroids_lie_where_they_are_recorded(name: str) -> None:
    phantom = Phantom((90, 110, 64), SPACING, oblique=True, dtype=name, noise=0, structure=False, seed=7)
    beads = bead_positions(phantom.size, phantom.spacing, oblique=True, seed=7)
    assert len(beads) >= 2
    field = stack(phantom).astype(float)
    field -= field[0, 0, 0]
    reach = [5 * beads.sigma / s for s in phantom.spacing[::-1]]
    for point in beads.points:
        place = phantom.geometry.world_to_index(point)
        low = [int(np.ceil(c - r)) for c, r in zip(place, reach, strict=True)]
        box = field[tuple(slice(a, int(np.floor(c + r)) + 1) for a, c, r in zip(low, place, reach, strict=True))]
        grid = np.indices(box.shape).reshape(3, -1)
        measured = (grid * box.ravel()).sum(axis=1) / box.sum() + low
        assert np.abs(measured - place).max() < 0.02


def test_a_bead_adds_a_gaussian_to_what_lies_under_it() -> None:
    settings_ = {"size": (60, 70, 50), "dtype": "float32", "noise": 0, "seed": 2}
    phantom = Phantom(**settings_)  # type: ignore[arg-type]  # a plain dict of settings
    added = (stack(phantom) - stack(Phantom(**settings_, beads=0))) * 1024  # type: ignore[arg-type]  # as above
    beads = bead_positions(phantom.size, seed=2)
    far = np.full(added.shape, np.inf)
    for place in beads.indices:
        offsets = np.indices(added.shape) - np.array(place).reshape(3, 1, 1, 1)
        far = np.minimum(far, (offsets**2).sum(axis=0))
    np.testing.assert_allclose(added, AMPLITUDE * np.exp(-far / 8), atol=0.02)


def test_bead_boxes_stay_inside_and_apart() -> None:
    phantom = Phantom((120, 100, 90), SPACING, seed=11, beads=100)
    beads = bead_positions(phantom.size, phantom.spacing, seed=11, beads=100)
    widths = beads.sigma / np.array(phantom.spacing[::-1])
    assert widths.min() >= 2
    places = np.array(beads.indices)
    assert 1 < len(places) < 100
    assert (places >= 5 * widths).all()
    assert (places <= np.array(phantom.size[::-1]) - 1 - 5 * widths).all()
    gaps = np.abs(places[:, None] - places[None]) / widths
    assert (gaps.max(axis=2)[~np.eye(len(places), dtype=bool)] > 10).all()


def test_a_phantom_too_small_for_beads_has_none() -> None:
    assert len(bead_positions((20, 64, 64))) == 0


def test_positions_are_exactly_one_step_apart_as_they_are_written() -> None:
    from fractions import Fraction

    places = placed((9, 9, 5000), SPACING, (17.0, 11.0))
    texts = [places.position(k).split("\\") for k in range(5000)]
    assert max(len(t) for row in texts for t in row) <= 16
    exact = [[Fraction(t) for t in row] for row in texts]
    steps = {tuple(b - a for a, b in zip(p, q, strict=True)) for p, q in itertools.pairwise(exact)}
    assert len(steps) == 1


@given(
    spacing=st.tuples(*[st.floats(1e-3, 5)] * 3),
    angles=st.tuples(*[st.floats(-180, 180)] * 2),
    size=st.tuples(*[st.integers(1, 4000)] * 3),
)
@settings(max_examples=60)
def test_the_grid_is_orthonormal_and_as_asked(
    spacing: tuple[float, float, float], angles: tuple[float, float], size: tuple[int, int, int]
) -> None:
    geometry = Phantom(size, spacing, angles).geometry
    direction = np.array(geometry.direction)
    np.testing.assert_allclose(direction.T @ direction, np.eye(3), atol=1e-8)
    np.testing.assert_allclose(geometry.spacing, spacing[::-1], rtol=1e-8)
    assert np.linalg.det(direction[:, ::-1]) > 0
    assert geometry.shape == size[::-1]


def test_the_default_grid_is_orthonormal_to_a_thousandth_of_a_millionth() -> None:
    direction = np.array(Phantom(oblique=True).geometry.direction)
    np.testing.assert_allclose(direction.T @ direction, np.eye(3), atol=1e-9)


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=200)
def test_decimal_strings_fit_and_come_back(value: float) -> None:
    text = decimal_string(value)
    assert len(text) <= 16
    assert float(text) == pytest.approx(value, rel=1e-8, abs=1e-300)


def test_decimal_strings_are_short_where_they_can_be() -> None:
    assert [decimal_string(v) for v in (0.02, -0.0, 1.0, 0.1 + 0.2)] == ["0.02", "0", "1", "0.3"]


def test_memory_does_not_grow_with_the_slices(tmp_path: Path) -> None:
    few, many = (_peak_of_writing(tmp_path / str(n), n) for n in (6, 90))
    if not few:
        pytest.skip("the system does not tell the peak memory")
    assert many - few < 6_000_000  # the 84 planes more are 44 MB


def _peak_of_writing(folder: Path, slices: int) -> int:
    code = (
        "import sys; from chunkvol.phantom import write_phantom; from chunkvol.system import peak_memory;"
        "write_phantom(sys.argv[1], size=(512, 512, int(sys.argv[2])), beads=3, workers=2); print(peak_memory())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(slices)], capture_output=True, text=True, check=True
    )
    return int(run.stdout)


@pytest.mark.parametrize("size", [(0, 5, 5), (5, 5), (5, 5, 2.5), (5, 5, float("nan")), (70000, 5, 5), (5, 5, 100000)])
def test_absurd_sizes_are_refused(size: Any) -> None:
    with pytest.raises(InputError, match=r"size is three whole numbers x, y, z from 1 to 65535, 65535, 99999, found"):
        Phantom(size)


@pytest.mark.parametrize("spacing", [(0, 1, 1), (1, float("nan"), 1), (1, 1, -2), (1, 1), (1, 1, float("inf"))])
def test_spacings_that_are_no_distance_are_refused(spacing: Any) -> None:
    with pytest.raises(GeometryError, match=r"spacing is three numbers x, y, z from 1e-06 to 1000 mm, found"):
        Phantom(spacing=spacing)


@pytest.mark.parametrize("oblique", [float("nan"), (1.0, 2.0, 3.0), 1000.0])
def test_angles_that_are_none_are_refused(oblique: Any) -> None:
    with pytest.raises(GeometryError, match="oblique is an angle, or two"):
        Phantom(oblique=oblique)


@pytest.mark.parametrize("dtype", ["float64", "int8", "complex", "nonsense"])
def test_an_unknown_type_is_refused_with_the_choices(dtype: str) -> None:
    with pytest.raises(InputError, match="choose uint8, uint16, int16, uint32, int32, float32"):
        Phantom(dtype=dtype)


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"beads": -1}, {"seed": 1.5}])
def test_seeds_and_beads_that_cannot_be_counted_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="seed and beads are whole numbers of 0 or more"):
        Phantom(**wrong)


@pytest.mark.parametrize("noise", [-1.0, float("nan"), 9.0])
def test_noise_that_is_no_factor_is_refused(noise: float) -> None:
    with pytest.raises(InputError, match="noise must be a number from 0 to 4"):
        Phantom(noise=noise)


def test_a_plane_beyond_the_stack_is_an_index_error() -> None:
    with pytest.raises(IndexError, match="plane 3 of a phantom of 3"):
        Tissue(Phantom((4, 4, 3))).plane(3)
