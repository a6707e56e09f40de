"""Voxels without a header get the place of their scan: every axis order, every stacking order, every relation."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pydicom
import pytest
import tifffile

import chunkvol
from chunkvol import Geometry, Metadata, Volume, attach, open_volume, write_volume
from chunkvol.errors import GeometryError, InputError
from chunkvol.names import natural_parts
from chunkvol.ops.stacking import ORDERS
from chunkvol.system import resident_memory
from tests.support.enhanced import frames_of, write_enhanced
from tests.support.grids import COEFFICIENTS, GRIDS, noise_volume, oblique_grid, ramp_values
from tests.support.series import oblique, write_plane, write_series

SHAPE = (13, 6, 5)
"""More than ten planes, so that names sort in two ways."""
ALL_AXES = ["".join(letters) for letters in permutations("kji")]
SORTED: dict[str, Callable[[list[Path]], list[Path]]] = {
    "position": lambda paths: sorted(paths, key=height),
    "instance": lambda paths: sorted(paths, key=lambda path: int(pydicom.dcmread(path).InstanceNumber)),
    "filename": sorted,
    "natural": lambda paths: sorted(paths, key=lambda path: natural_parts(path.name)),
}
"""How a script stacks files, independently of what is tested."""


def height(path: Path) -> float:
    image = pydicom.dcmread(path)
    row, column = np.reshape(np.array(image.ImageOrientationPatient, float), (2, 3))
    return float(np.cross(row, column) @ np.array(image.ImagePositionPatient, float))


def place(path: Path) -> np.ndarray:
    """The ramp at the true world place of every pixel of a file, by PS3.3 C.7.6.2.1.1."""
    image = pydicom.dcmread(path)
    row, column = np.reshape(np.array(image.ImageOrientationPatient, float), (2, 3))
    down, across = map(float, image.PixelSpacing)
    j, i = np.ogrid[: image.Rows, : image.Columns]
    points = np.array(image.ImagePositionPatient, float) + i[..., None] * across * row + j[..., None] * down * column
    return np.asarray(points @ COEFFICIENTS)


def in_axes(array: np.ndarray, axes: str) -> np.ndarray:
    """An array (k, j, i) with its axes in another order."""
    return array.transpose(["kji".index(letter) for letter in axes])


def on_ramp(volume: Volume) -> bool:
    return bool(np.allclose(volume.read(), ramp_values(volume.geometry), rtol=0, atol=1e-6))


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An oblique series that runs downwards, whose names and numbers both disagree with the positions."""
    folder = tmp_path_factory.mktemp("scan")
    upwards = oblique(SHAPE)
    downwards = upwards.reordered((0, 1, 2), (True, False, False))
    numbers = np.random.default_rng(5).permutation(SHAPE[0])
    names = np.random.default_rng(6).permutation(SHAPE[0])

    def edit(k: int, image: Any) -> None:
        image.InstanceNumber = int(numbers[k]) + 1

    for k in range(SHAPE[0]):
        write_plane(folder / f"IM{names[k]}.dcm", np.zeros(SHAPE[1:], "u2"), downwards, k, edit=edit)
    return folder


@pytest.fixture(scope="module")
def scan(series: Path) -> Volume:
    return open_volume(series)


def stacked(series: Path, order: str) -> np.ndarray:
    return np.stack([place(path) for path in SORTED[order](list(series.iterdir()))])


# ---------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("axes", ALL_AXES)
@pytest.mark.parametrize("order", ORDERS)
def test_every_axis_order_and_every_stacking_order_comes_to_its_true_place(
    series: Path, scan: Volume, tmp_path: Path, order: str, axes: str
) -> None:
    array = in_axes(stacked(series, order), axes)
    np.save(tmp_path / "c.npy", np.ascontiguousarray(array))
    np.save(tmp_path / "f.npy", np.asfortranarray(array))
    sources = [array, dask.array.from_array(array), *(open_volume(tmp_path / name) for name in ("c.npy", "f.npy"))]
    for pixels in sources:
        volume = attach(pixels, scan, order=order, axes=axes)
        assert volume.geometry == scan.geometry
        assert on_ramp(volume)
        assert on_ramp(volume[2:9, 1:5, 2:4])
        assert not volume.metadata.assumed
    write_volume(attach(sources[2], scan, order=order, axes=axes), tmp_path / "x.nrrd")
    assert on_ramp(open_volume(tmp_path / "x.nrrd"))


def test_the_series_disagrees_with_itself(series: Path) -> None:
    found = {order: tuple(sort(list(series.iterdir()))) for order, sort in SORTED.items()}
    assert len(set(found.values())) == len(ORDERS)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(
    ("relation", "make"),
    [
        ("stride:2", lambda array: array[::2, ::2, ::2]),
        ("stride:1,2,3", lambda array: array[::3, ::2]),
        ("flip:z+stride:2", lambda array: array[::-1][::2, ::2, ::2]),
        ("crop:1:5,:,2:-1", lambda array: array[2:-1, :, 1:5]),
        ("mean:2", lambda array: array[:6, :4, :4].reshape(3, 2, 2, 2, 2, 2).mean((1, 3, 5))),
        ("axes:zyx", lambda array: array.transpose(2, 1, 0)),
    ],
)
def test_what_was_made_from_the_scan_lies_where_its_voxels_came_from(grid: str, relation: str, make: Any) -> None:
    geometry = GRIDS[grid]((7, 5, 5) if relation.startswith("mean") else (7, 6, 5))
    values = ramp_values(geometry)
    volume = attach(make(values), geometry, relation=relation, axes="kji")
    assert np.allclose(volume.read(), ramp_values(volume.geometry), rtol=0, atol=1e-9)


def test_a_stack_that_runs_backwards_keeps_its_order_where_planes_were_left_out(tmp_path: Path) -> None:
    write_series(tmp_path, np.zeros((9, 4, 5), "u2"), oblique((9, 4, 5)), order="reversed")
    array = stacked(tmp_path, "filename")
    volume = attach(array[::2, ::3], open_volume(tmp_path), order="filename", relation="stride:1,3,2", axes="kji")
    assert on_ramp(volume)
    assert np.array_equal(volume.read(), array[::2, ::3])


def test_planes_in_any_order_may_have_been_made_smaller_within_themselves(series: Path, scan: Volume) -> None:
    array = stacked(series, "instance")
    assert on_ramp(attach(array[:, ::2, ::2], scan, order="instance", relation="stride:2,2,1", axes="kji"))
    with pytest.raises(InputError, match=r"by --order instance neighbouring planes of the array are not neighbours"):
        attach(array[::2], scan, order="instance", relation="stride:1,1,2", axes="kji")


def test_a_decimated_stack_of_images_gets_its_place(tmp_path: Path) -> None:
    geometry = oblique_grid((9, 8, 7))
    (tmp_path / "slices").mkdir()
    for k, plane in enumerate(ramp_values(geometry)[::2, ::2, ::2]):
        tifffile.imwrite(tmp_path / "slices" / f"s{k:03d}.tif", plane.astype("f4"), photometric="minisblack")
    stack = open_volume(tmp_path / "slices")
    assert stack.metadata.assumed
    volume = attach(stack, geometry, relation="stride:2")
    assert volume.dtype == np.float32
    assert np.allclose(volume.read(), ramp_values(volume.geometry), rtol=0, atol=1e-4)
    assert not any("assumed" in text for text in volume.metadata.problems)


def test_bytes_do_not_depend_on_workers_or_budget(series: Path, scan: Volume, tmp_path: Path) -> None:
    array = np.random.default_rng(1).integers(0, 999, (*SHAPE[1:], SHAPE[0]), "i2")
    np.save(tmp_path / "x.npy", array)
    found, little = set(), resident_memory() + (300 << 20)
    for n, (workers, budget) in enumerate(((1, "8GiB"), (3, "8GiB"), (2, little))):
        volume = attach(open_volume(tmp_path / "x.npy"), scan, order="filename", axes="jik")
        write_volume(volume, tmp_path / f"{n}.nrrd", workers=workers, budget=budget)
        found.add((tmp_path / f"{n}.nrrd").read_bytes())
    assert len(found) == 1


def test_a_source_survives_pickling(series: Path, scan: Volume) -> None:
    volume = attach(stacked(series, "natural"), scan, order="natural", axes="kji")
    assert np.array_equal(
        pickle.loads(pickle.dumps(volume.source)).read((slice(0, 13), slice(0, 6), slice(0, 5))), volume
    )


# ------------------------------------------------------------------------------------------------- what is inferred


def test_the_only_axes_that_fit_are_taken_and_told(scan: Volume) -> None:
    for axes in ALL_AXES:
        volume = attach(np.zeros(in_axes(np.empty(SHAPE), axes).shape, "u1"), scan, order="position")
        assert [text for text in volume.metadata.problems if f"fits the scan with axes {axes} alone" in text]
        assert volume.shape == SHAPE


@pytest.mark.parametrize(
    ("shape", "ways"), [((4, 4, 4), "kji, kij, jki, jik, ikj, ijk"), ((7, 4, 4), "kji, kij"), ((4, 4, 7), "kji, jki")]
)
def test_axes_that_fit_in_several_ways_are_asked_for(shape: tuple[int, int, int], ways: str) -> None:
    grid = oblique_grid(shape)
    with pytest.raises(InputError, match=rf"fits the scan of .* with axes {ways}: say which with --axes"):
        attach(np.zeros(shape), grid)
    assert attach(np.zeros(shape), grid, axes="kji").geometry == grid


def test_axes_are_known_of_images_and_of_what_states_its_place(tmp_path: Path) -> None:
    grid = oblique_grid((7, 4, 4))
    (tmp_path / "slices").mkdir()
    for k in range(7):
        tifffile.imwrite(tmp_path / "slices" / f"s{k}.tif", np.zeros((4, 4), "u1"), photometric="minisblack")
    for pixels in (open_volume(tmp_path / "slices"), Volume(np.zeros((7, 4, 4)), grid)):
        assert attach(pixels, grid).geometry == grid


def test_the_order_that_nobody_stated_is_told_where_it_matters(series: Path, scan: Volume, tmp_path: Path) -> None:
    said = attach(np.zeros(SHAPE), scan).metadata.problems
    assert any("--order instance (asc" in text and "or --order natural (names" in text for text in said)
    assert not any(
        "order of their positions" in text for text in attach(np.zeros(SHAPE), scan, order="position").metadata.problems
    )
    geometry = oblique((4, 6, 5))

    def edit(k: int, image: Any) -> None:
        image.InstanceNumber = k

    write_series(tmp_path, np.zeros((4, 6, 5), "u2"), geometry, edit=edit)
    plain = attach(np.zeros((4, 6, 5)), open_volume(tmp_path)).metadata.problems
    assert not any("order" in text and "positions" in text for text in plain)


def test_a_plain_sort_that_is_not_how_people_count_is_told(series: Path, scan: Volume) -> None:
    said = attach(np.zeros(SHAPE), scan, order="filename").metadata.problems
    assert any(text.startswith("a plain sort of the names puts IM10.dcm at place 2, where counting") for text in said)


# --------------------------------------------------------------------------------------------------------- metadata


def test_values_stay_and_truth_values_become_numbers(scan: Volume) -> None:
    mask = np.random.default_rng(2).random(SHAPE) > 0.5
    for pixels in (mask, dask.array.from_array(mask)):
        volume = attach(pixels, scan, axes="kji", order="position")
        assert volume.dtype == np.uint8
        assert np.array_equal(volume.read(), mask)
    for kind in ("uint8", "int16", "float32", "uint64"):
        noise = noise_volume(oblique_grid(SHAPE), kind)
        assert attach(noise.data, scan, axes="kji").dtype == kind


def test_the_result_is_in_the_scans_world_and_says_what_was_done(series: Path, scan: Volume) -> None:
    own = Metadata(modality="SEG", assumed=True, problems=("1 mm is assumed", "b"), extra={"instances": 1, "x": 2})
    pixels = Volume(np.zeros((6, 5, 13)), Geometry((6, 5, 13)), own)
    found = attach(pixels, scan, order="filename", axes="jik").metadata
    assert found.frame_of_reference == scan.metadata.frame_of_reference
    assert found.history == ("attach axes jik, order filename",)
    assert (found.modality, found.extra) == ("SEG", {"x": 2})
    assert found.problems[0] == "b"
    assert attach(np.zeros(SHAPE), scan).metadata.history == ("attach",)


def test_a_place_of_its_own_that_disagrees_is_told(scan: Volume) -> None:
    said = attach(Volume(np.zeros(SHAPE), Geometry(SHAPE)), scan).metadata.problems
    assert any(text.startswith("the pixels state a place of their own (spacing 1 x 1 x 1 mm") for text in said)
    assert not any("state a place" in text for text in attach(scan, scan, order="position").metadata.problems)


def test_one_plane_and_pyramids(scan: Volume, tmp_path: Path) -> None:
    grid = oblique_grid((1, 6, 5))
    assert attach(np.zeros((6, 5)), grid).geometry == grid
    chunkvol.ingest(noise_volume(oblique_grid((40, 30, 20))), tmp_path / "x.ome.zarr")
    store = open_volume(tmp_path / "x.ome.zarr")
    assert attach(store, oblique_grid((40, 30, 20))).coarser == ()


# --------------------------------------------------------------------------------------------------------- messages


def test_shapes_that_cannot_match_are_refused_with_numbers() -> None:
    grid = oblique_grid((140, 120, 100))
    for made, hint in (
        ((70, 60, 50), "--relation stride:2 or --relation mean:2 would fit"),
        ((70, 40, 100), "--relation stride:1,3,2 or --relation mean:1,3,2 would fit"),
        ((47, 40, 34), "--relation stride:3 or --relation mean:3 would fit"),
        ((139, 120, 100), r"--relation crop:\.\.\. or resize says"),
        ((280, 240, 200), r"--relation crop:\.\.\. or resize says"),
    ):
        size = " x ".join(map(str, made[::-1]))
        with pytest.raises(
            GeometryError, match=rf"the array has {size}, the scan has 100 x 120 x 140 \(x, y, z\): {hint}"
        ):
            attach(np.zeros(made, "u1"), grid)
    with pytest.raises(GeometryError, match="--axes jik would fit"):
        attach(np.zeros((120, 100, 140), "u1"), grid, axes="kji")
    with pytest.raises(InputError, match="become 50 x 60 x 70, but"):
        attach(np.zeros((70, 60, 51), "u1"), grid, relation="stride:2")


@pytest.mark.parametrize(
    ("pixels", "given", "message"),
    [
        (np.zeros(SHAPE), {"axes": "kjj"}, r"axes are the letters k, j and i .* found 'kjj'"),
        (np.zeros(SHAPE), {"order": "up"}, "no order 'up' of planes is known; choose one of position, instance"),
        (np.zeros(SHAPE), {"relation": "halved"}, "'halved' is no step"),
        (np.zeros(SHAPE[0]), {}, r"an array of three axes .* found \(13,\)"),
        ("mask.npy", {}, "not str: open files with open_volume"),
    ],
)
def test_what_cannot_be_asked_is_refused(scan: Volume, pixels: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        attach(pixels, scan, **given)


def test_a_scan_has_to_know_its_place_and_to_be_a_volume() -> None:
    with pytest.raises(GeometryError, match="the scan does not say where its voxels lie"):
        attach(np.zeros(SHAPE), Volume(np.zeros(SHAPE), Geometry(SHAPE), Metadata(assumed=True)))
    with pytest.raises(InputError, match="not of str: open files with open_volume"):
        attach(np.zeros(SHAPE), "dicom")  # type: ignore[arg-type]  # on purpose


def test_orders_of_files_need_files(scan: Volume, tmp_path: Path) -> None:
    write_volume(scan, tmp_path / "x.nrrd")
    for source in (scan.geometry, open_volume(tmp_path / "x.nrrd"), scan[1:]):
        shape = source.shape
        with pytest.raises(InputError, match="--order filename is about the files that hold the planes"):
            attach(np.zeros(shape), source, order="filename")


def _numbered(folder: Path, number: Callable[[int], int | None]) -> Volume:
    def edit(k: int, image: Any) -> None:
        image.InstanceNumber = number(k)

    write_series(folder, np.zeros((4, 6, 5), "u2"), oblique((4, 6, 5)), edit=edit)
    return open_volume(folder)


def test_numbers_have_to_be_there_and_to_differ(tmp_path: Path) -> None:
    array = np.zeros((4, 6, 5))
    with pytest.raises(InputError, match="needs an InstanceNumber in every file"):
        attach(array, _numbered(tmp_path / "a", lambda k: k or None), order="instance")
    with pytest.raises(InputError, match=r"IM0001\.dcm and IM0003\.dcm both have InstanceNumber 1; try"):
        attach(array, _numbered(tmp_path / "b", lambda k: k % 2 if k else 7), order="instance")


def test_planes_that_were_moved_or_made_are_not_those_of_files(tmp_path: Path) -> None:
    paths = write_series(tmp_path, np.zeros((6, 6, 5), "u2"), oblique((6, 6, 5)))
    paths[2].unlink()
    scan = open_volume(tmp_path, gaps="fill")
    assert attach(np.zeros((6, 6, 5)), scan, axes="kji").geometry == scan.geometry
    with pytest.raises(InputError, match="not read from DICOM files of one plane each"):
        attach(np.zeros((6, 6, 5)), scan, order="instance", axes="kji")


def test_slopes_by_plane_leave_the_files_as_they_are(tmp_path: Path) -> None:
    def edit(k: int, image: Any) -> None:
        image.RescaleSlope, image.InstanceNumber = str(k + 1), 9 - k

    write_series(tmp_path, np.zeros((4, 6, 5), "u2"), oblique((4, 6, 5)), edit=edit)
    array = np.arange(120.0).reshape(4, 6, 5)
    assert np.array_equal(attach(array, open_volume(tmp_path), order="instance").read(), array[::-1])


def test_files_that_were_left_out_forbid_orders_of_files(tmp_path: Path) -> None:
    write_series(tmp_path, np.zeros((4, 6, 5), "u2"), oblique((4, 6, 5)))
    write_plane(tmp_path / "copy.dcm", np.zeros((6, 5), "u2"), oblique((4, 6, 5)), 2)
    scan = open_volume(tmp_path)
    with pytest.raises(InputError, match="1 more file of the scan lie at positions"):
        attach(np.zeros((4, 6, 5)), scan, order="filename")


def test_frames_of_one_file_have_no_names(tmp_path: Path) -> None:
    geometry = oblique((4, 6, 5))
    write_enhanced(tmp_path / "x.dcm", frames_of(np.zeros((4, 6, 5), "u2"), geometry))
    scan = open_volume(tmp_path / "x.dcm")
    assert attach(np.zeros((4, 6, 5)), scan).geometry == scan.geometry
    with pytest.raises(InputError, match=r"--order filename needs one file a plane, and x\.dcm holds several planes"):
        attach(np.zeros((4, 6, 5)), scan, order="filename")
