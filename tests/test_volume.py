"""Volumes: what they refuse, how they are cut, read, handed to numpy and dask, and turned into real values."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chunkvol
from chunkvol import Geometry, Metadata, Rescale, Volume
from chunkvol.errors import InputError
from chunkvol.ops.downsample import downsample
from chunkvol.ops.reorient import reordered
from chunkvol.regions import region_shape, whole
from chunkvol.values import real_dtype
from tests.support.grids import minus_grid, noise_volume, oblique_grid, ramp_values, ramp_volume

SHAPE = (9, 10, 11)
KEYS = [
    np.s_[3],
    np.s_[2:7],
    np.s_[::2],
    np.s_[:, ::-1],
    np.s_[[1, 5]],
    np.s_[:, :, -1],
    np.s_[4, 1:9:3, -2],
    np.s_[..., None],
]


def stored_in(volume: Volume, folder: Path, name: str) -> Volume:
    chunkvol.write_volume(volume, folder / name)
    return chunkvol.open_volume(folder / name)


@pytest.fixture
def kinds(tmp_path: Path) -> dict[str, Volume]:
    """The same voxels in memory, in dask, on disk in both formats, and behind operations that change nothing."""
    import dask.array

    volume = noise_volume(oblique_grid(SHAPE))
    array = volume.read()
    padded = np.pad(array, ((1, 2), (3, 1), (2, 2)))
    return {
        "numpy": volume,
        "big endian": Volume(array.astype(">u2"), volume.geometry),
        "fortran order": Volume(np.asfortranarray(array), volume.geometry),
        "strided": Volume(padded[1:-2, 3:-1, 2:-2], volume.geometry),
        "dask": Volume(dask.array.from_array(array, chunks=(4, 3, 7)), volume.geometry),
        "store": stored_in(volume, tmp_path, "a.ome.zarr"),
        "nrrd": stored_in(volume, tmp_path, "a.nrrd"),
        "cropped": Volume(padded, oblique_grid(padded.shape))[1:-2, 3:-1, 2:-2],
        "twice turned": reordered(reordered(volume, (2, 0, 1), (True, False, True)), (1, 2, 0), (False, True, True)),
    }


# -------------------------------------------------------------------------------------------------------- reading


def test_every_kind_of_volume_reads_every_region_alike(kinds: dict[str, Volume]) -> None:
    full = kinds["numpy"].read()
    rng = np.random.default_rng(3)
    for _ in range(25):
        low = [int(rng.integers(0, n)) for n in SHAPE]
        region = tuple(slice(a, int(rng.integers(a + 1, n + 1))) for a, n in zip(low, SHAPE, strict=True))
        for name, volume in kinds.items():
            block = volume.read(region)
            assert block.dtype == np.dtype("uint16"), name
            assert block.dtype.isnative and block.flags.c_contiguous, name
            np.testing.assert_array_equal(block, full[region], err_msg=name)


def test_every_source_fills_a_block_with_gaps(kinds: dict[str, Volume]) -> None:
    full = kinds["numpy"].read()
    region = (slice(2, 7), slice(1, 9), slice(3, 10))
    for name, volume in kinds.items():
        wide = np.zeros((5, 8, 20), "u2")
        volume.source.read(region, wide[:, :, 4:11])
        np.testing.assert_array_equal(wide[:, :, 4:11], full[region], err_msg=name)
        assert not wide[:, :, :4].any() and not wide[:, :, 11:].any(), name


def test_what_is_read_is_the_callers_own(kinds: dict[str, Volume]) -> None:
    for name, volume in kinds.items():
        before = volume.read().copy()
        volume.read()[...] = 0
        np.array(volume)[...] = 0
        np.testing.assert_array_equal(volume.read(), before, err_msg=name)


def test_numpy_takes_a_volume_as_an_array(kinds: dict[str, Volume]) -> None:
    for volume in kinds.values():
        assert np.asarray(volume).dtype == volume.dtype
        assert np.asarray(volume, dtype="f4").dtype == np.dtype("f4")
        np.testing.assert_array_equal(np.asarray(volume), kinds["numpy"].read())
        assert np.mean(volume) == np.mean(kinds["numpy"].read())
        with pytest.raises(ValueError, match="copy"):
            np.asarray(volume, copy=False)


def test_volumes_can_be_sent_to_other_processes(kinds: dict[str, Volume]) -> None:
    for name, volume in kinds.items():
        sent = pickle.loads(pickle.dumps(volume))
        assert sent.geometry == volume.geometry
        np.testing.assert_array_equal(sent.read(), volume.read(), err_msg=name)


# ---------------------------------------------------------------------------------------------------------- dask


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_the_dask_array_is_cut_as_numpy_cuts(kinds: dict[str, Volume], key: Any) -> None:
    full = kinds["numpy"].read()
    for name, volume in kinds.items():
        part = volume.array[key].compute(scheduler="synchronous")
        np.testing.assert_array_equal(part, full[key], err_msg=name)


def test_the_chunks_of_the_dask_array_follow_the_file(tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid((70, 150, 300)))
    assert stored_in(volume, tmp_path, "a.ome.zarr").array.chunksize == (70, 128, 128)
    assert stored_in(volume, tmp_path, "a.nrrd").array.chunksize == (70, 150, 300)
    large = Volume(volume.array, volume.geometry)
    assert large.array.chunks == volume.array.chunks


def test_two_volumes_never_share_a_name_in_a_graph(tmp_path: Path) -> None:
    """One name stands for one array in dask: a shared one would silently give the one for the other."""
    grid = oblique_grid((20, 100, 100))
    masks = [np.zeros(grid.shape, "u1") for _ in range(2)]
    masks[0][10, 40:50] = masks[1][10, 50:60] = 1  # alike at both ends, which is what a fingerprint reads
    here = [Volume(mask, grid) for mask in masks]
    nrrd = [stored_in(volume, tmp_path, f"{n}.nrrd") for n, volume in enumerate(here)]
    store = [stored_in(volume, tmp_path, f"{n}.ome.zarr") for n, volume in enumerate(here)]
    wanted = masks[0].astype(int) - masks[1]
    for first, second in (nrrd, store, (nrrd[0], store[1])):
        np.testing.assert_array_equal((first.array.astype(int) - second.array).compute(), wanted)
    for first, second in (here, nrrd, store):
        low, high = downsample(first, 2, method="min").array, downsample(first, 2, method="max").array
        assert (high - low).compute().any()
        assert (high.astype(int) - downsample(second, 2, method="max").array).compute().any()


def test_a_name_in_a_graph_is_the_same_every_time(tmp_path: Path) -> None:
    stored_in(noise_volume(oblique_grid(SHAPE)), tmp_path, "a.nrrd")
    names = {downsample(chunkvol.open_volume(tmp_path / "a.nrrd")[1:], 2).array.name for _ in range(2)}
    assert len(names) == 1


def test_the_result_of_dask_operations_is_written_in_its_place(tmp_path: Path) -> None:
    volume = stored_in(noise_volume(oblique_grid((70, 130, 90))), tmp_path, "a.ome.zarr")
    root = Volume(np.sqrt(volume.array), volume.geometry)
    assert root.dtype == np.dtype("float32")
    for name in ("root.nrrd", "root.ome.zarr"):
        written = stored_in(root, tmp_path, name)
        np.testing.assert_array_equal(written.read(), np.sqrt(volume.read()))
        assert written.geometry.is_close(volume.geometry, 1e-9)
    halved = downsample(root, 2)
    np.testing.assert_array_equal(halved.read(), downsample(Volume(np.sqrt(volume.read()), volume.geometry), 2).read())


# ------------------------------------------------------------------------------------------------------- cutting


@settings(max_examples=40)
@given(data=st.data())
def test_cutting_moves_no_voxel(data: Any) -> None:
    grid = data.draw(st.sampled_from([oblique_grid(SHAPE), oblique_grid(SHAPE, mirrored=True), minus_grid(SHAPE)]))
    region = []
    for n in SHAPE:
        low = data.draw(st.integers(0, n - 1))
        region.append(slice(low, data.draw(st.integers(low + 1, n))))
    cut = ramp_volume(grid)[tuple(region)]
    assert cut.shape == region_shape(tuple(region))
    np.testing.assert_allclose(cut.read(), ramp_values(cut.geometry), rtol=1e-12, atol=1e-10)


def test_cuts_of_cuts_and_negative_bounds_are_those_of_numpy(kinds: dict[str, Volume]) -> None:
    full = kinds["numpy"].read()
    for volume in kinds.values():
        cut = volume[-7:-1][1:, ..., 2:][:, 3:-2]
        np.testing.assert_array_equal(cut.read(), full[-7:-1][1:, ..., 2:][:, 3:-2])
        np.testing.assert_allclose(cut.geometry.origin, volume.geometry.index_to_world((9 - 7 + 1, 3, 2)), rtol=1e-13)


def test_a_cut_remembers_itself_and_has_one_level() -> None:
    volume = ramp_volume(oblique_grid(SHAPE))
    assert volume[2:5].metadata.history == ("crop 2:5,0:10,0:11",)
    assert volume[:].metadata.history == ()
    assert len(volume[2:5].levels) == 1


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (3, "cut by slices"),
        (np.s_[::2], "downsample"),
        (np.s_[5:5], "^5:5 selects nothing of an axis of [0-9]+ voxels$"),
        (np.s_[:0], "^:0 selects nothing"),
        (np.s_[:, :, :, :], "3 axes"),
        (np.s_[::-1], "step 1"),
    ],
    ids=str,
)
def test_keys_that_would_lose_an_axis_or_the_grid_are_refused(key: Any, message: str) -> None:
    with pytest.raises(IndexError, match=message):
        ramp_volume(oblique_grid(SHAPE))[key]


@pytest.mark.parametrize("key", [np.s_[-3:], np.s_[2:30, -4:9, :], np.s_[..., 1:3], np.s_[4:5, 20 - 11 :]], ids=str)
def test_a_region_is_read_as_numpy_cuts_it(kinds: dict[str, Volume], key: Any) -> None:
    full = kinds["numpy"].read()
    for name, volume in kinds.items():
        np.testing.assert_array_equal(volume.read(key), full[key], err_msg=name)


@pytest.mark.parametrize("key", [np.s_[::2], np.s_[20:], 3, np.zeros(SHAPE, bool)], ids=["step", "far", "one", "mask"])
def test_what_is_no_region_is_not_read(kinds: dict[str, Volume], key: Any) -> None:
    for volume in kinds.values():
        with pytest.raises(IndexError, match=r"^[^\n]+$"):
            volume.read(key)


def test_a_volume_is_neither_iterated_nor_compared_with_numbers() -> None:
    """Both would find nothing, without a word: no plane, and no voxel of that value."""
    volume = noise_volume(oblique_grid(SHAPE))
    with pytest.raises(TypeError, match="not iterable"):
        list(volume)  # type: ignore[call-overload]  # what is refused
    with pytest.raises(TypeError, match="not iterable"):
        3 in volume  # type: ignore[operator]  # noqa: B015  # what is refused
    for number in (3, 2.5, np.uint8(3), True):
        with pytest.raises(TypeError, match=r"volume\.array"):
            volume == number  # noqa: B015  # as above
        with pytest.raises(TypeError, match=r"volume\.array"):
            volume != number  # noqa: B015  # as above
    assert volume == volume and volume != replace(volume) and volume in {volume}
    np.testing.assert_array_equal(np.asarray(volume) == 3, volume.read() == 3)


def test_a_volume_is_shown_in_one_short_line(tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid((4, 300, 600)))
    assert "levels" not in repr(volume) and "assumed" not in repr(volume)
    shown = repr(replace(stored_in(volume, tmp_path, "a.ome.zarr"), metadata=Metadata(assumed=True)))
    assert shown.startswith("<Volume: uint16 of shape (4, 300, 600), spacing (")
    assert shown.endswith(" levels; geometry assumed>") and len(shown) < 250 and "\n" not in shown


# ------------------------------------------------------------------------------------------------ arrays of the user's


@pytest.mark.parametrize(("kind", "held"), [("bool", "uint8"), ("float16", "float32")])
@pytest.mark.parametrize("lazy", [False, True])
def test_masks_and_half_floats_are_written_in_the_type_that_holds_them(
    tmp_path: Path, kind: str, held: str, lazy: bool
) -> None:
    import dask.array

    array = (np.arange(990).reshape(SHAPE) % 7 - 3).astype(kind)
    volume = Volume(dask.array.from_array(array, chunks=4) if lazy else array, oblique_grid(SHAPE))
    assert volume.dtype == volume.array.dtype == volume[1:].read().dtype == np.asarray(volume).dtype == np.dtype(held)
    for name in ("a.nrrd", "a.ome.zarr", "a.nii", "a.tif", "a.npy"):
        written = stored_in(volume, tmp_path, name)
        assert written.dtype == np.dtype(held), name
        np.testing.assert_array_equal(written.read(), array, err_msg=name)
    np.testing.assert_array_equal(downsample(volume, 2, method="max").read()[0, 0, 0], array[:2, :2, :2].max())


def test_arrays_of_zarr_have_blocks_of_their_chunks() -> None:
    import zarr

    array = zarr.create_array(store={}, shape=SHAPE, chunks=(2, 5, 4), dtype="i2")
    array[:] = np.arange(990).reshape(SHAPE)
    volume = Volume(array, oblique_grid(SHAPE))
    assert volume.source.grain == (2, 5, 4)
    np.testing.assert_array_equal(volume[3:, 1:, 2:].read(), array[3:, 1:, 2:])
    np.testing.assert_array_equal(volume.array.compute(scheduler="synchronous"), array[:])


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (lambda block: block / 2, "uint8", "promises uint8 and computes float64"),
        (lambda block: block.astype(int) + 250, "uint8", "promises uint8 and computes int64"),
        (lambda block: block * np.nan, "int16", "promises int16 and computes float64"),
        (lambda block: block[:1], "uint8", r"promises a block of shape \(9, 10, 11\) and computes one of"),
        (lambda block: np.ma.masked_equal(block, 3), "uint8", "would lose its mask"),
    ],
)
def test_blocks_that_are_not_what_dask_was_told_are_refused(function: Any, kind: str, message: str) -> None:
    import dask.array

    plain = dask.array.from_array((np.arange(990).reshape(SHAPE) % 200).astype("uint8"), chunks=(5, 10, 11))
    volume = Volume(plain.map_blocks(function, dtype=kind, meta=np.empty((0, 0, 0), kind)), oblique_grid(SHAPE))
    with pytest.raises(InputError, match=message):
        volume.read()


def test_blocks_of_another_type_are_taken_where_the_promised_one_holds_them() -> None:
    import dask.array

    array = (np.arange(990).reshape(SHAPE) % 200).astype("uint8")
    plain = dask.array.from_array(array, chunks=(5, 10, 11))
    counted = Volume(plain.map_blocks(lambda block: block.astype("i8"), dtype="u1"), oblique_grid(SHAPE))
    np.testing.assert_array_equal(counted.read(), array)
    halves = Volume(plain.map_blocks(lambda block: block / 3, dtype="f4"), oblique_grid(SHAPE))
    np.testing.assert_array_equal(halves.read(), (array / 3).astype("f4"))


@pytest.mark.parametrize("kind", ["complex64", "S3", "datetime64[s]", [("r", "u1"), ("g", "u1")]], ids=str)
def test_arrays_of_anything_but_real_numbers_are_refused(kind: Any) -> None:
    with pytest.raises(InputError, match="voxels are real numbers or truth values"):
        Volume(np.zeros(SHAPE, kind), oblique_grid(SHAPE))


def test_parts_of_a_volume_that_are_none_are_refused() -> None:
    volume = noise_volume(oblique_grid(SHAPE))
    wrong: Any = {"a": 1}
    with pytest.raises(InputError, match="a Geometry, not dict"):
        Volume(volume.data, wrong)
    with pytest.raises(InputError, match="a Metadata, not dict"):
        Volume(volume.data, volume.geometry, wrong)
    with pytest.raises(InputError, match=r"attach\(volume, geometry\)"):
        Volume(volume, volume.geometry)
    with pytest.raises(InputError, match=r"the other way round, give array\.T"):
        Volume(volume.read().T, volume.geometry)


@pytest.mark.parametrize("array", [np.zeros((4, 4)), np.zeros((4, 4, 5)), [[[1.0]]]], ids=["2d", "other", "list"])
def test_an_array_that_does_not_fit_its_grid_is_refused(array: Any) -> None:
    with pytest.raises(InputError, match=r"geometry \(4, 4, 4\)"):
        Volume(array, Geometry((4, 4, 4)))


# ------------------------------------------------------------------------------------------------- real values


@pytest.mark.parametrize(
    ("dtype", "rescale", "stored_range", "real"),
    [
        ("uint16", Rescale(1, -1024), (0, 4095), "int16"),
        ("uint16", Rescale(1, -1024), None, "int32"),
        ("int16", Rescale(1, -1024), (-2048, 2047), "int16"),
        ("uint16", Rescale(1, -(2**15)), None, "int16"),
        ("uint16", Rescale(1, -(2**15) - 1), None, "int32"),
        ("uint8", Rescale(257, 0), None, "uint16"),
        ("uint8", Rescale(257, 1), None, "int32"),
        ("int16", Rescale(2, 0), None, "int32"),
        ("uint8", Rescale(1, 1), None, "int16"),
        ("uint8", Rescale(-1, 0), None, "int16"),
        ("uint16", Rescale(2, -4096), (0, 4095), "int16"),
        ("uint16", Rescale(0.5, 0), (0, 4095), "float32"),
        ("uint16", Rescale(1, 0.5), (0, 4095), "float32"),
        ("uint32", Rescale(1, -1), None, "int64"),
        ("int64", Rescale(2, 0), None, "float32"),
        ("uint16", Rescale(1, 0, "HU"), None, "uint16"),
        ("float32", Rescale(2, 1), None, "float32"),
        ("float64", Rescale(0.5, 0), None, "float64"),
    ],
)
def test_real_values_take_the_smallest_sufficient_type(
    dtype: str, rescale: Rescale, stored_range: tuple[int, int] | None, real: str
) -> None:
    assert real_dtype(np.dtype(dtype), Metadata(rescale, stored_range=stored_range)) == np.dtype(real)


@pytest.mark.parametrize("rescale", [Rescale(1, -1024), Rescale(2, -4096), Rescale(0.1, -3.5), Rescale(-1, 7)])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
def test_real_values_are_slope_times_stored_plus_intercept(dtype: str, rescale: Rescale) -> None:
    plain = noise_volume(oblique_grid((5, 90, 700)), dtype)  # more than one tile
    volume = Volume(plain.data, plain.geometry, Metadata(rescale))
    real = volume.values
    exact = plain.read().astype("f8") * rescale.slope + rescale.intercept
    np.testing.assert_array_equal(real.read(), exact.astype(real.dtype))
    region = (slice(1, 3), slice(7, 60), slice(5, 333))
    np.testing.assert_array_equal(real.read(region), real.read()[region])
    assert real.values is real
    assert real.metadata.rescale.is_identity


@pytest.mark.parametrize("low", [0, -(2**31)])
def test_the_ends_of_the_stored_range_are_exact(low: int) -> None:
    dtype = "uint32" if low == 0 else "int32"
    array = np.array([low, low + 1, low + 2**32 - 1], dtype).reshape(1, 1, 3)
    real = Volume(array, Geometry(array.shape), Metadata(Rescale(3, -5))).values
    assert real.read().ravel().tolist() == [3 * v - 5 for v in (low, low + 1, low + 2**32 - 1)]


def test_real_values_never_wrap_round() -> None:
    """The range of the file's bits says nothing of voxels that were computed from them."""
    array = np.full(SHAPE, 60000, "u2")
    stale = Volume(array, oblique_grid(SHAPE), Metadata(Rescale(1, -1024), stored_range=(0, 4095)))
    with pytest.raises(InputError, match=r"58976 to 58976 do not fit int16.*leave stored_range out"):
        stale.values.read()
    computed = replace(stale, metadata=replace(stale.metadata, stored_range=None))
    assert computed.values.read().max() == 58976


def test_every_level_has_its_real_values(tmp_path: Path) -> None:
    plain = noise_volume(oblique_grid((5, 6, 600)))
    volume = Volume(plain.data, plain.geometry, Metadata(Rescale(0.25, -7, "mm"), stored_range=(0, 4095)))
    opened = stored_in(volume, tmp_path, "a.ome.zarr")
    assert opened.metadata.rescale == Rescale(0.25, -7, "mm")
    assert len(opened.values.levels) == len(opened.levels) > 1
    for level, real in zip(opened.levels, opened.values.levels, strict=True):
        np.testing.assert_array_equal(real.read(), (level.read() * 0.25 - 7).astype("f4"))
        assert real.geometry == level.geometry


@pytest.mark.parametrize(
    ("rescale", "stored_range", "dtype"),
    [
        (Rescale(1, -1024, "HU"), (0, 4095), "int16"),
        (Rescale(1, -1024, "HU"), None, "int32"),
        (Rescale(0.5, 0), None, "float32"),
    ],
)
def test_nrrd_files_hold_real_values_in_the_type_the_plan_names(
    tmp_path: Path, rescale: Rescale, stored_range: tuple[int, int] | None, dtype: str
) -> None:
    array = np.random.default_rng(0).integers(0, 4096, SHAPE, dtype="u2")
    volume = Volume(array, oblique_grid(SHAPE), Metadata(rescale, stored_range=stored_range))
    plan = chunkvol.plan_write(volume, tmp_path / "a.nrrd")
    assert plan.result.dtype == dtype
    assert dtype in " ".join(plan.notes)
    opened = stored_in(volume, tmp_path, "a.nrrd")
    assert opened.dtype == np.dtype(dtype)
    assert opened.metadata.rescale.is_identity
    np.testing.assert_array_equal(opened.read(), array.astype("f8") * rescale.slope + rescale.intercept)


def test_stores_hold_stored_values_and_say_what_they_mean(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 4096, SHAPE, dtype="u2")
    metadata = Metadata(Rescale(1, -1024, "HU"), stored_range=(0, 4095))
    opened = stored_in(Volume(array, oblique_grid(SHAPE), metadata), tmp_path, "a.ome.zarr")
    np.testing.assert_array_equal(opened.read(), array)
    assert opened.values.dtype == np.dtype("int16")
    np.testing.assert_array_equal(opened.values.read(), array.astype(int) - 1024)


def test_whole_regions_and_none_are_the_same() -> None:
    volume = noise_volume(oblique_grid(SHAPE))
    np.testing.assert_array_equal(volume.read(), volume.read(whole(SHAPE)))


def test_a_masked_array_is_refused_rather_than_unmasked() -> None:
    masked = np.ma.masked_equal(np.zeros((2, 3, 4), "u1"), 0)
    with pytest.raises(InputError, match="filled"):
        Volume(masked, Geometry((2, 3, 4)))


def test_volumes_are_compared_by_identity_and_can_be_keys() -> None:
    volume = Volume(np.zeros((2, 3, 4), "u1"), Geometry((2, 3, 4)))
    assert {volume: 1}[volume] == 1
    assert volume != Volume(volume.data, volume.geometry)


# ------------------------------------------------------------------------------------- what notebooks hand over


@pytest.mark.parametrize(
    "function",
    [
        lambda given, volume: chunkvol.downsample(given, 2),
        lambda given, volume: chunkvol.resample(given, volume),
        lambda given, volume: chunkvol.align(given, volume),
        lambda given, volume: chunkvol.align(volume, given),
        lambda given, volume: chunkvol.crop(given, voxels=np.s_[1:2]),
        lambda given, volume: chunkvol.reorient(given, "RAS"),
        lambda given, volume: chunkvol.canonical(given),
        lambda given, volume: chunkvol.reslice(given, chunkvol.SlicePlane.anatomical("axial", 1)),
        lambda given, volume: chunkvol.quantise(given, "uint8"),
    ],
    ids=["downsample", "resample", "align", "align to", "crop", "reorient", "canonical", "reslice", "quantise"],
)
@pytest.mark.parametrize("given", [np.zeros(SHAPE), "scan.nrrd"], ids=["array", "path"])
def test_arrays_and_paths_are_no_volumes(function: Any, given: Any) -> None:
    volume = noise_volume(oblique_grid(SHAPE))
    with pytest.raises(
        InputError, match=r"not (ndarray|str): open_volume\(path\) opens a file, and Volume\(array, geo"
    ):
        function(given, volume)
    with pytest.raises(InputError, match=r"the grid is that of a Volume or a Geometry, not of (ndarray|str)"):
        chunkvol.resample(volume, given)


def test_bounds_and_types_are_taken_as_numpy_gives_them() -> None:
    volume = noise_volume(oblique_grid(SHAPE))
    corners = volume.geometry.corners
    bounds: Any = np.array([corners.min(axis=0), corners.max(axis=0)])
    assert chunkvol.crop(volume, bounds=bounds).shape == SHAPE
    wrong: Any
    for wrong in ((1, 2, 3), "all", ((0, 0), (1, 1)), np.zeros(6)):
        with pytest.raises(InputError, match=r"bounds are three smallest and three largest numbers, .* found"):
            chunkvol.crop(volume, bounds=wrong)
    windowed = chunkvol.quantise(volume, np.uint8, tuple(np.percentile(volume.read(), [1, 99])))
    ends: Any = np.percentile(volume.read(), [1, 99])
    assert windowed.dtype == chunkvol.quantise(volume, np.dtype(">u1"), ends).dtype == np.dtype("uint8")
    np.testing.assert_array_equal(chunkvol.quantise(volume, "u1", ends).read(), windowed.read())
    for wrong in ("grey", None, int, "f8", 5):
        with pytest.raises(InputError, match="values are put into uint8"):
            chunkvol.quantise(volume, wrong)


def test_planes_are_made_of_finite_numbers() -> None:
    wrong: Any
    for wrong in ((np.nan, 0, 0), (0, 0), "axial", None, 3):
        with pytest.raises(chunkvol.ChunkvolError, match="plane"):
            chunkvol.SlicePlane(wrong, (1, 0, 0), (0, 1, 0))
        with pytest.raises(chunkvol.ChunkvolError, match="plane"):
            chunkvol.SlicePlane((0, 0, 0), wrong, (0, 1, 0))
        with pytest.raises(chunkvol.ChunkvolError, match="plane"):
            chunkvol.SlicePlane.facing(wrong, (0, 0, 1))
        with pytest.raises(InputError, match=r"a SlicePlane, such as SlicePlane\.anatomical"):
            chunkvol.reslice(noise_volume(oblique_grid(SHAPE)), wrong)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"fov": 3}, "field of view of a slice"),
        ({"size": 5}, "two whole numbers"),
        ({"size": (5.5, 5)}, "two whole numbers"),
        ({"slab": "2mm"}, "slab of a slice"),
        ({"spacing": "1"}, "pixel spacing of a slice"),
    ],
)
def test_lengths_of_slices_are_numbers(option: dict[str, Any], message: str) -> None:
    volume = noise_volume(Geometry(SHAPE))
    plane = chunkvol.SlicePlane.anatomical("axial", 3)
    assert chunkvol.reslice(volume, plane, size=tuple(np.array([5, 6]))).shape == (1, 5, 6)
    with pytest.raises(InputError, match=message):
        chunkvol.reslice(volume, plane, **option)
