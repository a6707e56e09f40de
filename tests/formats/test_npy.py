"""Arrays of NumPy: placed by their sidecar, by the caller or not at all; and written as numpy reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chunkvol import execute, output
from chunkvol.errors import DamagedError, FormatError, GeometryError, InputError
from chunkvol.flatfile import FlatJob
from chunkvol.formats.npy import is_npy, open_npy, prepare_npy
from chunkvol.formats.sidecar import sidecar_of
from chunkvol.geometry import Geometry
from chunkvol.memory import MIB, Terms
from chunkvol.metadata import Metadata, Rescale
from chunkvol.progress import Silent
from chunkvol.volume import Volume
from tests.support.grids import GRIDS, noise_volume, oblique_grid, ramp_values, ramp_volume

SHAPE = (7, 5, 3)
KINDS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")
ARRAY = np.arange(105, dtype="<i2").reshape(SHAPE)


def written(volume: Volume, target: Path, *, workers: int = 2, budget: int = 1 << 30) -> FlatJob:
    job = prepare_npy(volume, target, Terms(workers, budget, 0, "write"))
    with (
        execute.connected("threads", workers) as runner,
        output.staging(target, job.names) as folder,
    ):
        job.run(folder, runner, Silent())
    return job


def opened(path: Path, **place: Any) -> Volume:
    return open_npy(path, Silent(), **place)


def saved(folder: Path, array: Any) -> Path:
    np.save(folder / "x.npy", array)
    return folder / "x.npy"


# ---------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("grid", GRIDS)
def test_a_ramp_comes_back_on_its_grid(tmp_path: Path, grid: str) -> None:
    volume = ramp_volume(GRIDS[grid](SHAPE))
    written(volume, tmp_path / "x.npy")
    found = opened(tmp_path / "x.npy")
    assert found.geometry == volume.geometry
    assert np.array_equal(found.read(), ramp_values(found.geometry))
    assert not found.metadata.assumed
    assert found.metadata.problems == ()


@pytest.mark.parametrize("shape", [(70, 130, 150), (3, 700, 1100), (1, 1, 1), (900, 13, 11)])
def test_bytes_do_not_depend_on_workers_or_budget(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    array = np.random.default_rng(1).normal(0, 30, shape).astype("int16")
    results = set()
    for workers, budget in ((1, 1 << 30), (3, 60 * MIB), (1, 40 * MIB)):
        folder = tmp_path / f"{workers}-{budget}"
        folder.mkdir()
        job = written(Volume(array, oblique_grid(shape)), folder / "x.npy", workers=workers, budget=budget)
        results.add(tuple((folder / name).read_bytes() for name in job.names))
    assert len(results) == 1
    assert np.array_equal(opened(folder / "x.npy").read(), array)


# -------------------------------------------------------------------------------------------------------- oracles


@pytest.mark.parametrize("kind", KINDS)
def test_numpy_reads_what_is_written(tmp_path: Path, kind: str) -> None:
    volume = noise_volume(oblique_grid(SHAPE), kind)
    written(volume, tmp_path / "x.npy")
    for mode in (None, "r"):
        found = np.load(tmp_path / "x.npy", mmap_mode=mode)
        assert found.dtype == kind
        assert np.array_equal(found, volume.data)
        assert found.flags.aligned
    del found


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_numpy_writes_is_read(tmp_path: Path, kind: str, order: str) -> None:
    array = noise_volume(oblique_grid(SHAPE), kind).data
    volume = opened(saved(tmp_path, array.astype(array.dtype.newbyteorder(order))))
    assert volume.dtype == kind
    assert np.array_equal(volume.read(), array)
    region = (slice(2, 5), slice(1, 4), slice(1, 3))
    assert np.array_equal(volume.read(region), array[region])


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_header_is_read(tmp_path: Path, version: tuple[int, int]) -> None:
    with open(tmp_path / "x.npy", "wb") as file:
        np.lib.format.write_array(file, ARRAY, version=version)
    assert np.array_equal(opened(tmp_path / "x.npy").read(), ARRAY)


# ---------------------------------------------------------------------------------------------------------- place


def test_an_array_alone_has_an_assumed_place(tmp_path: Path) -> None:
    volume = opened(saved(tmp_path, ARRAY))
    assert volume.geometry == Geometry(SHAPE)
    assert volume.metadata.assumed
    assert any("--spacing says what it is" in text for text in volume.metadata.problems)
    assert volume.metadata.source == volume.source.fingerprint


def test_a_caller_says_where_an_array_lies(tmp_path: Path) -> None:
    path = saved(tmp_path, ARRAY)
    volume = opened(path, spacing=(0.3, 0.2, 0.1), origin=(1, 2, 3), orientation="RAS")
    assert volume.geometry.spacing == (0.3, 0.2, 0.1)
    assert volume.geometry.origin == (1, 2, 3)
    assert np.array_equal(np.array(volume.geometry.direction)[:, ::-1], np.diag([-1, -1, 1]))
    assert not volume.metadata.assumed
    grid = oblique_grid(SHAPE)
    assert opened(path, geometry=grid).geometry == grid
    with pytest.raises(GeometryError, match="they must be the same"):
        opened(path, geometry=oblique_grid((7, 5, 4)))


def test_a_caller_overrules_the_sidecar(tmp_path: Path) -> None:
    grid = oblique_grid(SHAPE)
    written(Volume(ARRAY, grid, Metadata(assumed=True)), tmp_path / "x.npy")
    assert opened(tmp_path / "x.npy").metadata.assumed
    volume = opened(tmp_path / "x.npy", spacing=(3, 2, 1))
    assert volume.geometry.spacing == pytest.approx((3, 2, 1))
    assert volume.geometry.origin == grid.origin
    assert np.allclose(volume.geometry.direction, grid.direction, rtol=0, atol=1e-15)
    assert not volume.metadata.assumed
    assert any("x.npy.json says" in text for text in volume.metadata.problems)
    moved = opened(tmp_path / "x.npy", origin=(1, 2, 3))
    assert moved.geometry.origin == (1, 2, 3)
    assert moved.geometry.spacing == pytest.approx(grid.spacing)
    assert moved.metadata.assumed
    assert any("--origin is used" in text for text in moved.metadata.problems)
    turned = opened(tmp_path / "x.npy", orientation="RAI")
    assert any("x.npy.json says in which directions" in text for text in turned.metadata.problems)
    template = opened(tmp_path / "x.npy", geometry=Geometry(SHAPE))
    assert template.geometry == Geometry(SHAPE)
    assert not template.metadata.assumed
    assert any("x.npy.json says where the voxels lie: --geometry" in text for text in template.metadata.problems)
    assert not opened(tmp_path / "x.npy", geometry=grid).metadata.problems


def test_what_a_sidecar_knows_of_the_values_outlives_a_template(tmp_path: Path) -> None:
    written(Volume(ARRAY, oblique_grid(SHAPE), Metadata(modality="CT")), tmp_path / "x.npy")
    assert opened(tmp_path / "x.npy", geometry=Geometry(SHAPE)).metadata.modality == "CT"
    np.save(tmp_path / "x.npy", ARRAY[:-1])
    other = opened(tmp_path / "x.npy", geometry=Geometry(ARRAY[:-1].shape))
    assert other.metadata.modality == ""


def test_an_array_with_its_axes_the_other_way_round_is_told_so(tmp_path: Path) -> None:
    path = saved(tmp_path, np.ascontiguousarray(ARRAY.T))
    with pytest.raises(GeometryError, match=r"they must be the same; its axes may stand .*save array.T; else name"):
        opened(path, geometry=Geometry(SHAPE))
    with pytest.raises(GeometryError, match=r"they must be the same; name the volume"):
        opened(path, geometry=Geometry((2, 3, 4)))


def test_provenance_comes_back(tmp_path: Path) -> None:
    metadata = Metadata(Rescale(unit="HU"), source="abc", history=("crop 1:2",), modality="CT")
    written(Volume(ARRAY, oblique_grid(SHAPE), metadata), tmp_path / "x.npy")
    assert opened(tmp_path / "x.npy").metadata == metadata


def test_json_of_others_is_left_alone(tmp_path: Path) -> None:
    path = saved(tmp_path, ARRAY)
    sidecar_of(path).write_text('{"axes": "zyx"}')
    assert opened(path).metadata.assumed


def test_a_sidecar_of_another_array_is_refused(tmp_path: Path) -> None:
    written(Volume(ARRAY, oblique_grid(SHAPE)), tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", ARRAY[1:])
    with pytest.raises(GeometryError, match=r"x\.npy\.json is of an array of shape \(7, 5, 3\) and x\.npy has \(6, 5"):
        opened(tmp_path / "x.npy")


# -------------------------------------------------------------------------------------------------------- corners


def test_two_axes_are_one_plane(tmp_path: Path) -> None:
    assert np.array_equal(opened(saved(tmp_path, ARRAY[0])).read(), ARRAY[:1])


@pytest.mark.parametrize("shape", [SHAPE, (1, 5, 3), (7, 1, 3), (7, 5), (1, 4, 1)])
def test_fortran_order_is_read_as_numpy_shows_it(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype="<i2").reshape(shape)
    volume = opened(saved(tmp_path, np.asfortranarray(array)))
    assert np.array_equal(volume.read(), array.reshape(volume.shape))
    if array.ndim == 3 and 1 not in shape:
        region = (slice(2, 5), slice(1, 4), slice(1, 3))
        assert np.array_equal(volume.read(region), array[region])
    written(volume, tmp_path / "again.npy")
    assert np.array_equal(np.load(tmp_path / "again.npy"), array.reshape(volume.shape))


def test_truth_values_become_numbers_and_that_is_said(tmp_path: Path) -> None:
    volume = opened(saved(tmp_path, ARRAY > 50))
    assert volume.dtype == np.dtype("u1")
    assert np.array_equal(volume.read(), (ARRAY > 50).astype("u1"))
    assert any("truth values" in text for text in volume.metadata.problems)


def test_a_slope_is_applied_and_said(tmp_path: Path) -> None:
    volume = Volume(ARRAY, oblique_grid(SHAPE), Metadata(Rescale(0.5, -10)))
    job = written(volume, tmp_path / "x.npy")
    assert any(".npy has no slope" in note for note in job.plan.notes)
    assert any("it is in x.npy.json beside it" in note for note in job.plan.notes)
    found = opened(tmp_path / "x.npy")
    assert found.metadata.rescale.is_identity
    assert np.array_equal(found.read(), ARRAY * 0.5 - 10)


def test_files_are_known_by_their_first_bytes(tmp_path: Path) -> None:
    assert is_npy(saved(tmp_path, ARRAY))
    np.savez(tmp_path / "y.npz", ARRAY)
    assert not is_npy(tmp_path / "y.npz")
    assert not is_npy(tmp_path)


def test_the_fingerprint_follows_the_data(tmp_path: Path) -> None:
    prints = {opened(saved(tmp_path, array)).source.fingerprint for array in (ARRAY, ARRAY + 1, ARRAY[1:], ARRAY)}
    assert len(prints) == 3


# -------------------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (ARRAY.astype("f2"), "array of float16; .*astype"),
        (ARRAY.astype("c8"), "array of complex64"),
        (np.zeros(SHAPE, [("a", "u1"), ("b", "i2")]), "integers of 8 to 64 bits"),
        (np.zeros(SHAPE, object), "array of object"),
        (np.zeros(SHAPE, "U3"), "array of <U3"),
        (np.zeros(SHAPE, "M8[s]"), "array of datetime64"),
        (ARRAY.ravel(), r"array of shape \(105,\)"),
        (ARRAY[None], r"array of shape \(1, 7, 5, 3\)"),
        (ARRAY[:0], r"array of shape \(0, 5, 3\)"),
    ],
)
def test_arrays_that_are_no_volume_are_refused(tmp_path: Path, array: Any, message: str) -> None:
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(FormatError, match=message):
        opened(tmp_path / "x.npy")


def test_damage_is_said_by_name(tmp_path: Path) -> None:
    path = saved(tmp_path, ARRAY)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(DamagedError, match=r"x\.npy holds 209 bytes of voxels where its header promises 210"):
        opened(path)
    path.write_bytes(whole + b"abc")
    assert any("3 bytes more" in text for text in opened(path).metadata.problems)
    for broken in (
        whole[:7],
        whole[:50],
        whole.replace(b"'shape'", b"'shapo'"),
        whole.replace(b"(7, 5, 3)", b"(7, 5, -"),
    ):
        path.write_bytes(broken)
        with pytest.raises(DamagedError, match=r"x\.npy: its header is broken"):
            opened(path)
    path.write_bytes(whole.replace(b"NUMPY\x01", b"NUMPY\x09"))
    with pytest.raises(FormatError, match=r"version 9\.0"):
        opened(path)
    path.write_bytes(whole.replace(b"(7, 5, 3), }    ", b"(7, 5, 30000), }"))
    with pytest.raises(DamagedError, match="promises 2100000"):
        opened(path)


def test_types_that_are_not_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not float128"):
        written(Volume(np.zeros(SHAPE, "longdouble"), oblique_grid(SHAPE)), tmp_path / "x.npy")
