"""Resampling onto any grid: where each value comes from, what is averaged, and what is refused."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import chunkvol
from chunkvol import Geometry, Metadata, Rescale, Volume
from chunkvol.errors import GeometryError, InputError
from chunkvol.geometry import mapping_between, moved
from chunkvol.ops.coarsen import coarsened
from chunkvol.ops.downsample import downsample
from chunkvol.ops.resample import RESAMPLERS, resample
from chunkvol.segments import KEY, Segment, Segmentation
from tests.support.grids import COEFFICIENTS, GRIDS, noise_volume, oblique_grid, ramp_values, ramp_volume, rotation

sitk = pytest.importorskip("SimpleITK")
SHAPE = (18, 23, 20)
KINDS = st.sampled_from(sorted(GRIDS))


def inner_grid(geometry: Geometry, degrees: tuple[float, float, float], spacing: float) -> Geometry:
    """A grid turned about the middle of another one, small enough to lie inside it."""
    middle = geometry.index_to_world((np.array(geometry.shape) - 1) / 2)
    steps = rotation(*degrees).T * spacing
    shape = (7, 9, 8)
    return Geometry.from_steps(shape, (middle - (np.array(shape) - 1) / 2 @ steps).tolist(), steps)


def turned(geometry: Geometry, degrees: tuple[float, float, float], scale: float = 1.0) -> np.ndarray[Any, Any]:
    """A transform that turns about the middle of a grid."""
    middle = geometry.index_to_world((np.array(geometry.shape) - 1) / 2)
    out = np.eye(4)
    out[:3, :3] = rotation(*degrees) * scale
    out[:3, 3] = middle - out[:3, :3] @ middle
    return out


# ------------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("method", ["linear", "cubic"])
@pytest.mark.parametrize("kind", GRIDS)
def test_a_ramp_stays_the_ramp_on_any_grid(kind: str, method: str) -> None:
    source = ramp_volume(oblique_grid(SHAPE, spacing=(0.7, 0.5, 0.6)))
    target = replace(GRIDS[kind]((5, 6, 4)), origin=(0, 0, 0))
    # Into the middle of the source, whatever the grid.
    steps = np.array(target.direction).T * 0.31
    middle = source.geometry.index_to_world((np.array(SHAPE) - 1) / 2)
    target = Geometry.from_steps((5, 6, 4), (middle - np.array((2, 2.5, 1.5)) @ steps).tolist(), steps)
    found = np.asarray(resample(source, target, method=method))
    np.testing.assert_allclose(found, ramp_values(target), atol=2e-4)


@given(st.floats(1.05, 4), st.floats(1.05, 4), st.floats(1.05, 4))
@settings(max_examples=40)
def test_a_ramp_stays_the_ramp_at_any_coarser_spacing(k: float, j: float, i: float) -> None:
    source = ramp_volume(oblique_grid((24, 25, 26)))
    spacing = tuple(s * f for s, f in zip(source.geometry.spacing, (k, j, i), strict=True))
    made = resample(source, spacing=spacing)
    np.testing.assert_allclose(made.read(), ramp_values(made.geometry), atol=1e-6)


@pytest.mark.parametrize("method", RESAMPLERS)
@pytest.mark.parametrize("kind", GRIDS)
def test_a_volume_on_its_own_grid_is_itself(kind: str, method: str) -> None:
    volume = noise_volume(GRIDS[kind]((5, 6, 7)))
    assert_array_equal(resample(volume, volume.geometry, method=method).read(), volume.read())


def test_the_nearest_of_two_equally_near_voxels_is_the_same_from_whatever_corner_the_grid_is_stored() -> None:
    volume = noise_volume(oblique_grid((5, 6, 7)))
    between = replace(volume.geometry, origin=tuple(volume.geometry.index_to_world([0.5, 1.5, 0.5]).tolist()))
    found = resample(volume, between, method="nearest").read()
    assert_array_equal(found[:4, :4, :6], volume.read()[1:, 2:, 1:])  # halves go up
    for axes in itertools.permutations(range(3)):
        for flips in itertools.product((False, True), repeat=3):
            target = between.reordered(axes, flips)
            expected = found.transpose(axes)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
            assert_array_equal(resample(volume, target, method="nearest").read(), expected)


@pytest.mark.parametrize("method", RESAMPLERS)
def test_another_order_of_storage_moves_voxels_and_computes_none(method: str) -> None:
    volume = noise_volume(oblique_grid((5, 6, 7)))
    for axes, flips in (((2, 0, 1), (True, False, True)), ((1, 0, 2), (False, True, False))):
        target = volume.geometry.reordered(axes, flips)
        expected = volume.read().transpose(axes)[tuple(slice(None, None, -1 if f else 1) for f in flips)]
        assert_array_equal(resample(volume, target, method=method).read(), expected)


@pytest.mark.parametrize("factors", [(2, 3, 4), (1, 2, 1), (5, 5, 5)])
def test_whole_factors_are_block_means_but_for_ties(factors: tuple[int, int, int]) -> None:
    volume = noise_volume(oblique_grid((10, 12, 20)))
    spacing = tuple(s * f for s, f in zip(volume.geometry.spacing, factors, strict=True))
    made, mean = resample(volume, spacing=spacing), downsample(volume, factors)
    assert made.geometry.is_close(mean.geometry, 1e-9)
    assert np.abs(made.read().astype(int) - mean.read()).max() <= 1


@pytest.mark.parametrize("factors", [(2, 3, 4), (1, 2, 1), (5, 5, 5)])
def test_labels_of_whole_factors_are_the_most_frequent_ones(factors: tuple[int, int, int]) -> None:
    geometry = oblique_grid((10, 12, 20))
    volume = Volume(np.random.default_rng(3).integers(0, 4, geometry.shape).astype("uint8"), geometry)
    spacing = tuple(s * f for s, f in zip(geometry.spacing, factors, strict=True))
    made = resample(volume, spacing=spacing, method="label")
    assert_array_equal(made.read(), downsample(volume, factors, method="mode").read())


@given(KINDS, st.integers(0, 99))
@settings(max_examples=30)
def test_labels_on_a_turned_grid_are_votes_of_nearest_ones(kind: str, seed: int) -> None:
    geometry = GRIDS[kind]((12, 13, 14))
    volume = Volume(np.random.default_rng(seed).integers(0, 3, geometry.shape).astype("uint16"), geometry)
    target = moved(geometry.coarsened((3, 2, 2)), turned(geometry, (20, 10, -30)))
    k, j, i = (math.ceil(step - 1e-6) for step in mapping_between(target, geometry).strides)
    factors = (k, j, i)
    fine = resample(volume, target.refined(factors), method="nearest", outside=0)
    expected = downsample(Volume(fine.read(), fine.geometry), factors, method="mode").read()
    assert_array_equal(resample(volume, target, method="label", outside=0).read(), expected)


@pytest.mark.parametrize("method", RESAMPLERS)
def test_the_bytes_do_not_depend_on_the_part_that_is_read(method: str) -> None:
    volume = noise_volume(oblique_grid((20, 21, 22)))
    for target in (
        moved(volume.geometry, turned(volume.geometry, (20, 10, -30), 1.7)),
        volume.geometry.refined((1, 2, 1)).cropped((slice(3, 17), slice(5, 30), slice(2, 20))),
    ):
        made = resample(volume, target, method=method)
        whole = made.read()
        region = (slice(2, 9), slice(7, 13), slice(0, target.shape[2]))
        assert_array_equal(made.read(region), whole[region])


def test_transforms_are_those_of_points_of_the_output() -> None:
    volume = ramp_volume(oblique_grid(SHAPE))
    transform = turned(volume.geometry, (5, 0, 8), 0.6)
    made = resample(volume, transform=transform)
    points = made.world_coordinates().compute() @ transform[:3, :3].T + transform[:3, 3]
    inside = (slice(4, -4),) * 3
    offset = ramp_values(volume.geometry)[0, 0, 0] - np.array(volume.geometry.origin) @ COEFFICIENTS
    np.testing.assert_allclose(made.read()[inside], (points @ COEFFICIENTS + offset)[inside], atol=1e-6)


# ---------------------------------------------------------------------------------------------------------- oracles

_ITK = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor, "cubic": sitk.sitkBSpline3}


def itk_image(array: Any, geometry: Geometry) -> Any:
    image = sitk.GetImageFromArray(array)
    image.SetOrigin(geometry.origin)
    image.SetSpacing(geometry.spacing[::-1])
    image.SetDirection(np.array(geometry.direction)[:, ::-1].ravel().tolist())
    return image


@given(
    st.sampled_from(["linear", "nearest", "cubic"]),
    KINDS.filter(lambda kind: "shear" not in kind),
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.floats(0.4, 1.4),
    st.integers(0, 1000),
)
@settings(max_examples=250)
def test_itk_finds_the_same_values_on_oblique_pairs(
    method: str, kind: str, degrees: tuple[float, float, float], scale: float, seed: int
) -> None:
    """On floats, since ITK cuts integers off where chunkvol rounds them; and inside, since edges follow other rules."""
    source = GRIDS[kind](SHAPE)
    array = np.random.default_rng(seed).normal(0, 100, SHAPE)
    reach = min((n - 9) * s for n, s in zip(SHAPE, source.spacing, strict=True))
    target = inner_grid(source, degrees, scale * reach / 16)
    found = resample(Volume(array, source), target, method=method, antialias=False).read()
    image = itk_image(np.zeros(target.shape), target)
    expected = sitk.GetArrayFromImage(sitk.Resample(itk_image(array, source), image, sitk.Transform(), _ITK[method]))
    index = source.world_to_index(target.index_to_world(np.stack(np.indices(target.shape), -1)))
    rest = np.abs(index - np.floor(index) - 0.5).min(axis=-1)
    sure = (rest > 1e-5) if method == "nearest" else np.ones(target.shape, bool)
    # Places within 1e-6 of a voxel are taken to be at it, where neighbours differ by some hundreds.
    np.testing.assert_allclose(found[sure], expected[sure], atol={"cubic": 2e-3}.get(method, 1e-3))


# ---------------------------------------------------------------------------------------------------------- corners


def test_integers_are_rounded_where_others_cut_them_off() -> None:
    geometry = Geometry((1, 1, 2))
    volume = Volume(np.array([[[-3, -2]]], "int16"), geometry)
    made = resample(volume, replace(geometry, shape=(1, 1, 1), origin=(0.25, 0, 0)))
    assert made.read().item() == -3


@pytest.mark.parametrize("method", ["cubic", "lanczos"])
def test_integers_never_wrap(method: str) -> None:
    array = np.zeros((8, 8, 8), "uint8")
    array[4:] = 255
    made = resample(Volume(array, Geometry((8, 8, 8))), spacing=(0.3, 0.3, 0.3), method=method).read()
    assert made[:10].max() < 60
    assert made[-10:].min() > 200


def test_outside_is_air_where_values_are_hounsfield_units() -> None:
    metadata = Metadata(rescale=Rescale(1, -1024, "HU"))
    volume = Volume(np.full((4, 4, 4), 1124, "uint16"), Geometry((4, 4, 4)), metadata)
    made = resample(volume, Geometry((4, 4, 9)))
    assert made.values.read()[0, 0].tolist() == [100] * 4 + [-1000] * 5
    assert "55.6% of the grid lies outside" in made.metadata.problems[-1]
    assert resample(volume, Geometry((4, 4, 9)), outside=-1024).read()[0, 0, -1] == 0


def test_padding_is_what_lies_outside() -> None:
    volume = Volume(np.ones((4, 4, 4), "int16"), Geometry((4, 4, 4)), Metadata(extra={"padding": [-2000, -2000]}))
    assert resample(volume, Geometry((4, 4, 9))).read()[0, 0, -1] == -2000


def test_a_segmentation_is_resampled_by_labels_and_keeps_its_names() -> None:
    names = Segmentation((Segment("a", "bone", 1),)).to_json()
    volume = Volume(np.ones((4, 4, 4), "uint8"), Geometry((4, 4, 4)), Metadata(extra={KEY: names}))
    made = resample(volume, Geometry((8, 8, 8), spacing=(0.5, 0.5, 0.5)))
    assert made.metadata.extra[KEY] == names
    assert made.metadata.history == ("resample label outside 0",)
    with pytest.raises(InputError, match="linear would make labels that mean nothing; take nearest, or leave"):
        resample(volume, Geometry((8, 8, 8)), method="linear")


def test_the_history_says_all_that_determines_the_voxels() -> None:
    volume = noise_volume(oblique_grid((6, 7, 8)))
    through = resample(volume, antialias=False, transform=turned(volume.geometry, (1, 2, 3)))
    assert through.metadata.history[-1].startswith("resample linear without antialias outside 0 through [[")


def test_coarsening_takes_whole_factors_where_they_are_whole() -> None:
    volume = noise_volume(oblique_grid((10, 12, 20)))
    spacing = tuple(2 * s for s in volume.geometry.spacing)
    made = coarsened(volume, spacing=spacing)
    assert_array_equal(made.read(), downsample(volume, 2).read())
    assert made.metadata.history == downsample(volume, 2).metadata.history
    odd = coarsened(volume, size=(7, 7, 7))
    assert odd.shape == (7, 7, 7)
    np.testing.assert_allclose(odd.geometry.corners_of_faces, volume.geometry.corners_of_faces, atol=1e-9)


# --------------------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "magic"}, InputError, "unknown method 'magic'; use one of nearest, linear"),
        ({"outside": 70000}, InputError, "the value outside, 70000, is no voxel of type uint16"),
        ({"outside": -1}, InputError, "is no voxel of type uint16"),
        ({"outside": 0.5}, InputError, "is no voxel of type uint16"),
        ({"outside": float("nan")}, InputError, "is no voxel of type uint16"),
        ({"spacing": (0, 1, 1)}, InputError, "finite and above 0 mm"),
        ({"spacing": (1, 1, 1), "fit": 100}, InputError, "spacing and fit each choose the grid"),
        ({"transform": np.zeros((4, 4))}, GeometryError, "last row of a transform"),
        ({"transform": np.diag([1, 1, 0, 1])}, GeometryError, "the transform is singular"),
        ({"like": Geometry((3, 3, 3), (5000, 0, 0))}, GeometryError, "no point in common: the grid covers x 4999.5"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        resample(noise_volume(Geometry((6, 7, 8))), **options)


def test_labels_are_no_real_numbers() -> None:
    volume = Volume(np.zeros((3, 3, 3), "float32"), Geometry((3, 3, 3)))
    with pytest.raises(InputError, match="labels are integers, and the volume holds float32"):
        resample(volume, method="label")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spacing": (0.1, 0.5, 0.3)}, "finer than the input's spacing of 0.3 x 0.5 x 0.7|finer than the input"),
        ({"size": (7, 7, 7), "method": "median"}, "the method median needs whole factors"),
        ({"size": (7, 7, 7), "ignore": (0, 0)}, "leaving padding out needs whole factors"),
    ],
)
def test_coarsening_says_what_needs_whole_factors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        coarsened(noise_volume(oblique_grid((10, 12, 20))), **options)


# ------------------------------------------------------------------------------------------------------------ align


def test_aligned_volumes_have_the_same_voxels_at_the_same_places() -> None:
    fixed, moving = ramp_volume(oblique_grid((9, 8, 7))), ramp_volume(oblique_grid((30, 31, 32), degrees=(3, 9, 50)))
    made, same = chunkvol.align(moving, fixed, antialias=False)
    assert same.geometry == made.geometry == fixed.geometry
    inside = moving.geometry.world_to_index(fixed.world_coordinates().compute())
    sure = ((inside > 0) & (inside < np.array(moving.shape) - 1)).all(axis=-1)
    assert sure.any()
    np.testing.assert_allclose(np.asarray(made)[sure], np.asarray(fixed)[sure], atol=1e-6)


def test_align_refuses_what_nobody_placed() -> None:
    volume = noise_volume(Geometry((3, 3, 3)))
    lost = replace(volume, metadata=Metadata(assumed=True))
    with pytest.raises(GeometryError, match="nobody stated where the moving volume lies"):
        chunkvol.align(lost, volume)
    with pytest.raises(GeometryError, match="nobody stated where the fixed volume lies"):
        chunkvol.align(volume, lost)


def test_labels_are_chosen_when_two_volumes_are_aligned() -> None:
    mask = Volume(np.random.default_rng(0).integers(0, 2, (9, 9, 9)).astype("uint8") * 200, Geometry((9, 9, 9)))
    fixed = noise_volume(Geometry((5, 5, 5), (1.5, 1.5, 1.5), (1.3, 1.3, 1.3)))
    assert set(np.unique(chunkvol.align(mask, fixed, labels=True)[0])) <= {0, 200}
    assert len(np.unique(chunkvol.align(mask, fixed)[0])) > 2
