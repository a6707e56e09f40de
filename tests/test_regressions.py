"""What sceptical readers have found: each stays found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import chunkvol
from chunkvol import Geometry, Volume
from chunkvol.errors import InputError, OutputError
from chunkvol.ops.downsample import downsample
from tests.support.grids import noise_volume, oblique_grid


def labels(shape: tuple[int, int, int] = (4, 300, 300)) -> Volume:
    values = np.random.default_rng(0).integers(0, 2, shape).astype("u1") * 100
    return Volume(values, Geometry(shape))


def test_a_folder_that_is_no_older_output_is_never_replaced(tmp_path: Path) -> None:
    for name in ("keep.nrrd", "all.zarr"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("mine")
        with pytest.raises(OutputError, match="is a folder"):
            chunkvol.write_volume(labels(), tmp_path / name, overwrite=True)
        assert (tmp_path / name / "notes.txt").read_text() == "mine"


def test_an_older_store_and_an_empty_folder_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.ome.zarr").mkdir()
    for _ in range(2):
        chunkvol.write_volume(labels(), tmp_path / "a.ome.zarr", overwrite=True)
    assert chunkvol.open_volume(tmp_path / "a.ome.zarr").shape == (4, 300, 300)


def test_the_way_in_which_levels_were_made_travels_with_the_volume(tmp_path: Path) -> None:
    first = chunkvol.ingest(labels(), tmp_path / "a.ome.zarr", method="mode")
    chunkvol.write_volume(first, tmp_path / "b.ome.zarr")
    chunkvol.write_volume(downsample(labels((4, 600, 600)), (1, 2, 2), method="mode"), tmp_path / "c.OME.ZARR")
    for name in ("a.ome.zarr", "b.ome.zarr", "c.OME.ZARR"):
        for level in chunkvol.open_volume(tmp_path / name).levels:
            assert set(np.unique(level.read())) <= {0, 100}, name


def test_no_level_is_too_coarse_for_its_bands(tmp_path: Path) -> None:
    volume = noise_volume(Geometry((4, 3000, 300), spacing=(2.0, 0.001, 2.0)))
    store = chunkvol.ingest(volume, tmp_path / "a.ome.zarr")
    assert store.levels[-1].shape[1] == 3000 // 512
    for number, level in enumerate(store.levels[1:], start=1):
        direct = downsample(volume, (1, 2**number, 1))
        np.testing.assert_array_equal(level.read(), direct.read())


def test_nothing_that_a_header_says_of_a_patient_goes_on(tmp_path: Path) -> None:
    chunkvol.write_volume(labels(), tmp_path / "a.nrrd")
    data = (tmp_path / "a.nrrd").read_bytes()
    (tmp_path / "b.nrrd").write_bytes(data.replace(b"\n\n", b"\nPatientName:=Doe^John\n\n", 1))
    chunkvol.ingest(tmp_path / "b.nrrd", tmp_path / "b.ome.zarr")
    assert "Doe" not in (tmp_path / "b.ome.zarr" / "zarr.json").read_text()


def test_stores_of_others_may_leave_empty_chunks_out(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec

    voxels = np.zeros((8, 8, 8), "u2")
    voxels[:4] = 7
    group = zarr.open_group(tmp_path / "f.zarr", mode="w", zarr_format=3)
    codec = ShardingCodec(chunk_shape=(4, 4, 4), codecs=[BytesCodec(), Crc32cCodec()])
    group.create_array(
        "0", shape=(8, 8, 8), dtype="u2", chunks=(8, 8, 8), serializer=codec, compressors=None, filters=None
    )
    group["0"][:] = voxels
    axes = [{"name": n, "type": "space", "unit": "millimeter"} for n in "zyx"]
    one = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 1]}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [one]}]}
    np.testing.assert_array_equal(chunkvol.open_volume(tmp_path / "f.zarr").read(), voxels)


def test_a_factor_longer_than_its_axis_is_told(tmp_path: Path) -> None:
    small = downsample(labels(), (100, 3, 3))
    assert small.shape == (1, 100, 100)
    assert "factor 100 along z became 4, the length of that axis" in small.metadata.problems
    with pytest.raises(InputError, match="whole numbers"):
        downsample(labels(), (float("inf"), 1, 1))  # type: ignore[arg-type]  # that is the point


def test_what_is_left_over_is_told_in_the_order_of_storage(tmp_path: Path) -> None:
    grid = oblique_grid((10, 9, 8), degrees=(0, 0, 0)).reordered((2, 0, 1), (False, True, False))
    small = chunkvol.canonical(downsample(noise_volume(grid), 3))
    plan = chunkvol.plan_write(small, tmp_path / "a.nrrd")
    assert sorted(plan.result.leftover) == sorted(n % 3 for n in grid.shape)


def test_the_peak_is_that_of_the_run_and_not_of_the_session(tmp_path: Path) -> None:
    big = np.ones(300 << 20, np.uint8)
    del big
    done = chunkvol.write_volume(labels(), tmp_path / "a.nrrd")
    assert 0 < done.peak_bytes <= done.plan.peak_bytes
