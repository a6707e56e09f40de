"""Slices through a volume: true values at true places, along axes bit for bit, as slabs, and of labels."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chunkvol
from chunkvol import Geometry, Metadata, Rescale, SlicePlane, Volume, reslice
from chunkvol.errors import ChunkvolError, GeometryError, InputError
from chunkvol.segments import KEY, Segment, Segmentation
from tests.support.grids import COEFFICIENTS, GRIDS, grids, noise_volume, oblique_grid, ramp_volume, sheared_grid

SHAPE = (7, 11, 5)
HAND = {
    "oblique": oblique_grid(SHAPE),
    "left-handed": oblique_grid(SHAPE, mirrored=True),
    "sheared": sheared_grid(SHAPE),
}
numbers = st.floats(-1, 1, allow_subnormal=False)
normals = st.tuples(numbers, numbers, numbers).filter(lambda n: np.linalg.norm(n) > 0.01)


def middle_of(grid: Geometry) -> npt.NDArray[Any]:
    return grid.index_to_world((np.array(grid.shape) - 1) / 2)


def places(grid: Geometry) -> npt.NDArray[Any]:
    """World points of all voxels, shape (k, j, i, 3)."""
    return grid.index_to_world(np.moveaxis(np.indices(grid.shape), 0, -1))


def along(grid: Geometry, axis: int, index: float) -> SlicePlane:
    """The plane at right angles to an axis of a grid, at an index of it."""
    matrix = np.array(grid.direction)
    one, other = (matrix[:, a] for a in {0, 1, 2} - {axis})
    place = np.zeros(3)
    place[axis] = index
    frame = np.eye(4)
    frame[:3] = np.column_stack([one, other, np.cross(one, other), grid.index_to_world(place)])
    return SlicePlane.framed(frame)


def voxels_under(cut: Volume, volume: Volume) -> npt.NDArray[Any]:
    """The values of the voxels that lie where the pixels of a slice do."""
    index = volume.geometry.world_to_index(places(cut.geometry))
    assert np.abs(index - np.rint(index)).max() < 1e-6
    k, j, i = np.moveaxis(np.rint(index).astype(int), -1, 0)
    found: npt.NDArray[Any] = volume.read()[k, j, i]
    return found


def segmentation(counts: tuple[int, ...] = (0,)) -> Volume:
    grid = oblique_grid(SHAPE)
    labels = np.random.default_rng(1).integers(0, 4, SHAPE).astype("u1")
    segments = tuple(Segment(f"s{n}", f"part {n}", n) for n in (1, 2, 3))
    return Volume(labels, grid, Metadata(extra={KEY: Segmentation(segments, counts).to_json()}))


# -------------------------------------------------------------------------------------------------------------- laws


@settings(max_examples=200, deadline=None)
@given(normals, grids())
def test_pixels_of_any_plane_have_the_value_of_their_own_place(normal: Any, grid: Geometry) -> None:
    plane, pixel = SlicePlane.facing(middle_of(grid), normal), np.linalg.norm(np.array(grid.shape) * grid.spacing) / 37
    cut = reslice(ramp_volume(grid), plane, spacing=float(pixel), outside=12345.0)
    points = places(cut.geometry)
    index = grid.world_to_index(points)
    last = np.array(grid.shape) - 1
    between = ((index >= -1e-7) & (index <= last + 1e-7)).all(axis=-1)
    beyond = ((index < -0.5 - 1e-5) | (index > last + 0.5 + 1e-5)).any(axis=-1)
    values, truth = cut.read(), points @ COEFFICIENTS
    size = np.abs(truth).max() + 1
    np.testing.assert_allclose(values[between], truth[between], atol=1e-6 * size)
    assert (values[beyond] == 12345).all()
    row, column, along_normal = np.array(cut.geometry.direction).T[::-1]
    assert np.linalg.det([row, column, along_normal]) > 0.999999


@pytest.mark.parametrize(
    ("name", "axis"), [(name, axis) for name in GRIDS for axis in range(3) if (name, axis) != ("sheared", 2)]
)
@pytest.mark.parametrize("kind", ["int16", "float32"])
def test_a_slice_through_voxels_along_axes_copies_them_bit_for_bit(kind: str, name: str, axis: int) -> None:
    volume = noise_volume(GRIDS[name](SHAPE), kind)
    for index in (0, 3, SHAPE[axis] - 1):
        cut = reslice(volume, along(volume.geometry, axis, index))
        np.testing.assert_array_equal(cut.read(), voxels_under(cut, volume))
        assert cut.read().size == np.prod(SHAPE) // SHAPE[axis]


def test_anatomical_slices_of_an_upright_volume_are_its_voxels_as_viewers_show_them() -> None:
    volume = noise_volume(Geometry(SHAPE, (-3.0, 2.0, 10.0), (2.0, 0.5, 0.25)))
    array = volume.read()
    for view, mm, shown in (
        ("axial", 14.0, array[2]),
        ("coronal", 3.5, array[::-1, 3]),
        ("sagittal", -2.75, array[::-1, :, 1]),
    ):
        np.testing.assert_array_equal(reslice(volume, SlicePlane.anatomical(view, mm)).read()[0], shown)


def test_a_slice_between_voxels_is_between_their_values() -> None:
    volume = noise_volume(Geometry(SHAPE, spacing=(2.0, 0.5, 0.25)), "float64")
    found = reslice(volume, SlicePlane.anatomical("axial", 5.0)).read()[0]
    np.testing.assert_allclose(found, (volume.read()[2] + volume.read()[3]) / 2)


def test_marks_at_three_places_are_where_they_were() -> None:
    """What a mirror would exchange: three voxels of different brightness."""
    grid = oblique_grid((40, 40, 40), spacing=(0.5, 0.5, 0.5))
    array = np.zeros(grid.shape, "f4")
    marks = {1.0: (10, 12, 14), 2.0: (30, 14, 16), 3.0: (14, 31, 22)}
    for value, index in marks.items():
        array[index] = value
    there = {value: grid.index_to_world(index) for value, index in marks.items()}
    cut = reslice(Volume(array, grid), SlicePlane.through(list(there.values())), spacing=0.05)
    image = cut.read()[0]
    for value, point in there.items():
        near = cut.geometry.world_to_index(point)
        assert abs(near[0]) < 1e-6
        j, i = np.rint(near[1:]).astype(int)
        window = image[j - 5 : j + 6, i - 5 : i + 6]
        assert window.max() == pytest.approx(value, rel=0.15)
        assert np.linalg.norm(np.array(np.unravel_index(window.argmax(), window.shape)) - 5) <= 2


@pytest.mark.parametrize("asked", [{}, {"slab": 3.1, "combine": "max"}])
def test_values_depend_on_neither_parts_nor_workers_nor_budget(tmp_path: Path, asked: Any) -> None:
    volume = noise_volume(oblique_grid((23, 40, 50)), "int16")
    cut = reslice(volume, SlicePlane.facing(middle_of(volume.geometry), (0.4, -0.3, 1)), **asked)
    whole = cut.read()
    _, rows, columns = cut.shape
    for j in range(0, rows, 7):
        part = (slice(0, 1), slice(j, min(j + 7, rows)), slice(3, columns - 2))
        np.testing.assert_array_equal(cut.source.read(part), whole[part])
    for name, workers in (("a", 1), ("b", 5)):
        chunkvol.write_volume(cut, tmp_path / f"{name}.nrrd", workers=workers)
    assert (tmp_path / "a.nrrd").read_bytes() == (tmp_path / "b.nrrd").read_bytes()
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(cut.source)).read(tuple(map(slice, (0, 0, 0), cut.shape))), whole
    )


# ----------------------------------------------------------------------------------------------------------- oracles


@settings(max_examples=25, deadline=None)
@given(normals, st.sampled_from(["linear", "nearest"]), st.sampled_from(sorted(HAND)))
def test_simpleitk_finds_the_same_values(normal: Any, method: str, name: str) -> None:
    itk = pytest.importorskip("SimpleITK")
    grid = HAND[name]
    volume = noise_volume(grid, "float64")
    cut = reslice(volume, SlicePlane.facing(middle_of(grid), normal), method=method, outside=0.0)
    image, reference = (as_itk(itk, one.geometry, one.read()) for one in (volume, cut))
    kind = itk.sitkLinear if method == "linear" else itk.sitkNearestNeighbor
    found = itk.GetArrayFromImage(itk.Resample(image, reference, itk.Transform(), kind, 0.0))
    index = grid.world_to_index(places(cut.geometry))
    far = 1e-4 if method == "linear" else 1e-6
    sure = ((index > far) & (index < np.array(grid.shape) - 1 - far)).all(axis=-1)
    if method == "nearest":
        sure &= (np.abs(index % 1 - 0.5) > 1e-6).all(axis=-1)
    np.testing.assert_allclose(cut.read()[sure], found[sure], rtol=1e-9, atol=1e-6)


def as_itk(itk: Any, grid: Geometry, values: npt.NDArray[Any]) -> Any:
    image = itk.GetImageFromArray(values)
    image.SetOrigin(grid.origin)
    image.SetSpacing(grid.spacing[::-1])
    image.SetDirection(np.array(grid.direction)[:, ::-1].ravel().tolist())
    return image


# ------------------------------------------------------------------------------------------------------------- slabs


@pytest.mark.parametrize(("combine", "function"), [("mean", np.mean), ("max", np.max), ("min", np.min)])
@pytest.mark.parametrize("slope", [1.0, -2.0])
def test_a_slab_combines_real_values_across_its_planes(combine: str, function: Any, slope: float) -> None:
    noise = noise_volume(Geometry(SHAPE, spacing=(2.0, 0.5, 0.25)), "int16")
    volume = replace(noise, metadata=Metadata(rescale=Rescale(slope, 7.0)))
    cut = reslice(volume, SlicePlane.anatomical("axial", 6.0), slab=6.0, combine=combine)
    wanted = function(volume.read()[2:5].astype(float) * slope + 7, axis=0)
    np.testing.assert_allclose(cut.values.read()[0], wanted, atol=abs(slope) / 2 + 1e-3)
    if combine != "mean":
        np.testing.assert_array_equal(cut.values.read()[0], wanted.astype("f4"))
    assert cut.geometry.spacing == (6.0, 0.5, 0.25)
    assert cut.geometry.origin == (0.0, 0.0, 6.0)


def test_the_mean_of_a_slab_of_a_ramp_is_the_ramp() -> None:
    grid = oblique_grid((20, 30, 40))
    cut = reslice(ramp_volume(grid), SlicePlane.facing(middle_of(grid), (0.2, 0.4, 1)), slab=1.7)
    points = places(cut.geometry)
    normal = np.array(cut.geometry.direction)[:, 0]
    ends = [grid.world_to_index(points + side * 0.85 * normal) for side in (-1, 1)]
    inside = np.all([(end >= 0) & (end <= np.array(grid.shape) - 1) for end in ends], axis=(0, -1))
    assert inside.mean() > 0.2
    np.testing.assert_allclose(cut.read()[inside], (points @ COEFFICIENTS)[inside], atol=1e-6)
    assert cut.geometry.spacing[0] == 1.7
    assert "slab of 1.7 mm, mean of" in cut.metadata.history[-1]


def test_a_thin_slab_is_one_plane_of_that_thickness() -> None:
    volume = noise_volume(Geometry(SHAPE, spacing=(2.0, 0.5, 0.25)))
    cut = reslice(volume, SlicePlane.anatomical("axial", 6.0), slab=0.5)
    np.testing.assert_array_equal(cut.read()[0], volume.read()[3])
    assert cut.geometry.spacing[0] == 0.5


# ------------------------------------------------------------------------------------------------------------ labels


def test_labels_are_chosen_and_never_mixed() -> None:
    volume = segmentation()
    plane = SlicePlane.facing(middle_of(volume.geometry), (0.3, 0.5, 1))
    thin = reslice(volume, plane, spacing=0.07)
    assert set(np.unique(thin.read())) <= set(np.unique(volume.read()))
    assert thin.metadata.extra[KEY] == volume.metadata.extra[KEY]
    thick = reslice(volume, plane, slab=2.0, combine="max").read()
    assert set(np.unique(thick)) <= set(np.unique(volume.read()))
    assert thick.mean() > reslice(volume, plane).read().mean()


@pytest.mark.parametrize("combine", ["mean", "min"])
def test_labels_are_not_averaged_across_a_slab(combine: str) -> None:
    volume = segmentation()
    with pytest.raises(InputError, match=rf"segmentation: the {combine} across a slab.*--combine max"):
        reslice(volume, SlicePlane.anatomical("axial", 101.0), slab=2.0, combine=combine)


def test_layers_of_labels_have_no_largest_one() -> None:
    with pytest.raises(InputError, match=r"layers that overlap.*--segment"):
        reslice(segmentation((2, 2)), SlicePlane.anatomical("axial", 101.0), slab=2.0, combine="max")


def test_a_filter_for_greys_is_refused_for_labels() -> None:
    with pytest.raises(InputError, match="segmentation: linear would make labels that mean nothing"):
        reslice(segmentation(), SlicePlane.anatomical("axial", 101.0), method="linear")


# ----------------------------------------------------------------------------------------------------- what is said


def test_what_is_known_of_the_volume_stays_known() -> None:
    metadata = Metadata(
        modality="MR", frame_of_reference="1.2.3", source="abc", rescale=Rescale(2, 1, "HU"), history=("before",)
    )
    volume = replace(noise_volume(oblique_grid(SHAPE)), metadata=metadata)
    cut = reslice(volume, SlicePlane.facing(middle_of(volume.geometry), (0, 0, -1)))
    found = cut.metadata
    assert (found.modality, found.frame_of_reference, found.source) == ("MR", "1.2.3", "abc")
    assert found.rescale == metadata.rescale
    assert found.history[0] == "before" and found.history[-1] == "slice axial"
    assert any("turned over" in problem for problem in found.problems)
    assert any("outside the field of view" in problem for problem in found.problems)
    assert cut.coarser == ()


def test_a_plane_within_the_last_voxel_is_inside() -> None:
    volume = noise_volume(Geometry(SHAPE, spacing=(2.0, 0.5, 0.25)))
    cut = reslice(volume, SlicePlane.anatomical("axial", 12.8))
    np.testing.assert_array_equal(cut.read()[0], volume.read()[-1])
    assert cut.metadata.problems == ()


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"combine": "median"}, "combined by mean, max, min, not 'median'"),
        ({"method": "sharp"}, "unknown method 'sharp'"),
        ({"outside": 70000.0}, "value outside, 70000, is no voxel of type uint16"),
        ({"slab": -2.0}, "slab of a slice must be above 0 mm"),
        ({"centre": (0, 0)}, "centre of a plane is three finite numbers"),
    ],
)
def test_settings_that_make_no_slice_are_refused(asked: Any, match: str) -> None:
    volume = noise_volume(oblique_grid(SHAPE))
    with pytest.raises(ChunkvolError, match=match):
        reslice(volume, SlicePlane.facing(middle_of(volume.geometry), (0, 0, 1)), **asked)


def test_a_plane_beside_the_volume_is_refused_before_any_work() -> None:
    with pytest.raises(GeometryError, match="the axial plane at z = 500 mm misses the volume"):
        reslice(noise_volume(oblique_grid(SHAPE)), SlicePlane.anatomical("axial", 500))


@pytest.mark.parametrize(("combine", "expected"), [("mean", 7), ("max", 8), ("min", 6)])
def test_planes_of_a_slab_beyond_the_volume_take_no_part(combine: str, expected: int) -> None:
    array = np.broadcast_to(np.arange(1, 9, dtype="int16")[:, None, None], (8, 5, 6)).copy()
    volume = Volume(array, Geometry((8, 5, 6), spacing=(1, 0.5, 0.25)))
    cut = reslice(volume, SlicePlane.anatomical("axial", 7.0), slab=6, combine=combine, outside=-99)  # 4 to 10
    assert np.unique(cut.read()).tolist() == [expected]
    assert "of the slab lies outside the field of view and takes no part" in cut.metadata.problems[-1]


def test_pixels_of_a_slab_without_any_plane_are_outside() -> None:
    volume = Volume(np.full((8, 5, 6), -7, "int16"), Geometry((8, 5, 6)))
    plane = SlicePlane.anatomical("axial", 3.0)
    cut = reslice(volume, plane, slab=3, combine="max", outside=-99, fov=(5, 10)).read()
    assert set(np.unique(cut)) == {-99, -7}
