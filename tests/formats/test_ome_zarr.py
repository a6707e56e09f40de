"""Stores: every level is the reduction of level 0 in its true place, read alike by us, zarr, tensorstore and ngff."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pytest

import chunkvol
from chunkvol import Geometry, Metadata, Rescale, Volume, system
from chunkvol.errors import BudgetError, DamagedError, FormatError, GeometryError
from chunkvol.memory import MIB
from chunkvol.ops.downsample import downsample
from chunkvol.regions import whole
from tests.support.grids import minus_grid, noise_volume, oblique_grid, ramp_values, ramp_volume

METHODS = ["mean", "stride", "mode", "min", "max"]


def tree_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()


def store(volume: Volume, folder: Path, name: str = "a.ome.zarr", **options: Any) -> Path:
    chunkvol.write_volume(volume, folder / name, **options)
    return folder / name


@pytest.mark.parametrize("grid", [oblique_grid((70, 300, 270)), minus_grid((65, 129, 520))], ids=["oblique", "minus"])
def test_the_ramp_law_holds_on_every_level(tmp_path: Path, grid: Geometry) -> None:
    levels = chunkvol.open_volume(store(ramp_volume(grid), tmp_path)).levels
    assert len(levels) >= 2
    for level in levels:
        np.testing.assert_allclose(level.read(), ramp_values(level.geometry), rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_each_level_equals_the_direct_reduction_of_level_0(tmp_path: Path, method: str, dtype: str) -> None:
    volume = noise_volume(oblique_grid((67, 131, 517), spacing=(0.5, 0.5, 0.3)), dtype)
    opened = chunkvol.open_volume(store(volume, tmp_path, method=method))
    attributes = json.loads((tmp_path / "a.ome.zarr" / "zarr.json").read_text())["attributes"]["chunkvol"]
    np.testing.assert_array_equal(opened.read(), volume.read())
    for level, entry in zip(opened.levels[1:], attributes["levels"][1:], strict=True):
        direct = downsample(volume, tuple(entry["factors"]), method=method)
        assert level.geometry == direct.geometry
        np.testing.assert_array_equal(level.read(), direct.read())


@pytest.mark.parametrize("method", ["min", "max"])
def test_levels_of_extremes_are_those_of_real_values(tmp_path: Path, method: str) -> None:
    noise = noise_volume(oblique_grid((67, 131, 517), spacing=(0.5, 0.5, 0.3)))
    volume = Volume(noise.data, noise.geometry, Metadata(Rescale(-1, 100)))
    opened = chunkvol.open_volume(store(volume, tmp_path, method=method))
    levels = json.loads((tmp_path / "a.ome.zarr" / "zarr.json").read_text())["attributes"]["chunkvol"]["levels"]
    assert len(opened.levels) > 2
    for level, entry in zip(opened.levels[1:], levels[1:], strict=True):
        assert level.metadata.pyramid == method
        real = downsample(volume.values, tuple(entry["factors"]), method=method)
        np.testing.assert_array_equal(level.values.read(), real.read())


def test_the_second_stage_has_no_more_workers_than_the_first_left_memory_of(tmp_path: Path) -> None:
    grid = oblique_grid((200, 512, 512), spacing=(0.5, 0.5, 0.5))
    volume = Volume(dask.array.zeros(grid.shape, chunks=(8, 512, 512)), grid)
    found = set()
    for mebibytes in range(0, 400, 20):
        budget = system.resident_memory() + mebibytes * MIB
        with contextlib.suppress(BudgetError):
            slabs, levels = chunkvol.plan_write(volume, tmp_path / "a.ome.zarr", budget=budget, workers=3).phases
            assert levels.workers <= slabs.workers
            found.add(slabs.workers)
    assert len(found) > 1


def test_the_bytes_are_the_same_for_any_budget_and_worker_count(tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid((130, 600, 90), spacing=(0.3, 0.3, 0.3)))
    one = store(volume, tmp_path, "one.ome.zarr", workers=1, budget="4GiB")
    two = store(volume, tmp_path, "two.ome.zarr", workers=3, budget=system.resident_memory() + 60 * MIB)
    assert tree_hash(one) == tree_hash(two)


def test_zarr_and_tensorstore_read_every_level(tmp_path: Path) -> None:
    tensorstore = pytest.importorskip("tensorstore")
    zarr = pytest.importorskip("zarr")
    path = store(noise_volume(oblique_grid((66, 530, 70))), tmp_path)
    for number, level in enumerate(chunkvol.open_volume(path).levels):
        np.testing.assert_array_equal(zarr.open_array(path / str(number), mode="r")[:], level.read())
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / str(number))}}
        np.testing.assert_array_equal(tensorstore.open(spec).result().read().result(), level.read())


@pytest.mark.parametrize("codec", ["lz4", "zstd", "none"])
def test_every_codec_round_trips(tmp_path: Path, codec: str) -> None:
    volume = noise_volume(oblique_grid((5, 70, 9)), "int16")
    np.testing.assert_array_equal(chunkvol.open_volume(store(volume, tmp_path, codec=codec)).read(), volume.read())


def test_metadata_and_geometry_come_back_exactly(tmp_path: Path) -> None:
    grid = oblique_grid((9, 8, 7))
    metadata = chunkvol.Metadata(rescale=chunkvol.Rescale(0.1, -3.5, "HU"), modality="CT", assumed=True, source="abc")
    volume = Volume(np.zeros(grid.shape, "u1"), grid, metadata)
    opened = chunkvol.open_volume(store(volume, tmp_path))
    assert opened.geometry == grid
    assert opened.metadata == metadata


def test_facts_of_the_acquisition_come_back_exactly(tmp_path: Path) -> None:
    extra = {
        "kvp": 120.0,
        "convolution_kernel": ["B60f", "3"],
        "protocol": 'Schädel "dünn" \\ 頭',
        "planes": {"filled": [3, 4], "runs": [[0, 3], [5, 9]], "nothing": [], "empty": {}},
        "padding": [-2000, -2000],
    }
    grid = oblique_grid((9, 8, 7))
    opened = chunkvol.open_volume(store(Volume(np.zeros(grid.shape, "u1"), grid, Metadata(extra=extra)), tmp_path))
    assert opened.metadata.extra == extra
    assert [level.metadata.extra for level in opened.levels] == [extra] * len(opened.levels)


def test_a_table_of_a_line_a_plane_stays_small_and_quick(tmp_path: Path) -> None:
    """20,000 planes, each with a slope of its own of as many digits as a DICOM file can hold."""
    slopes = [[float(f"{slope:.14g}"), 0.0] for slope in np.random.default_rng(1).uniform(0.1, 3, 20_000)]
    grid = oblique_grid((9, 8, 7))
    volume = Volume(np.zeros(grid.shape, "f8"), grid, Metadata(extra={"slopes": slopes, "kvp": 80.0}))
    path = store(volume, tmp_path) / "zarr.json"
    text = path.read_text()
    assert len(text) < 40 * len(slopes)
    assert text.count("\n") < 100
    assert json.loads(text)["attributes"]["chunkvol"]["metadata"]["extra"]["slopes"] == slopes
    started = time.process_time()
    assert chunkvol.open_volume(tmp_path / "a.ome.zarr").metadata.extra["slopes"] == slopes
    assert time.process_time() - started < 2


def test_people_can_read_the_metadata_too(tmp_path: Path) -> None:
    text = (store(noise_volume(oblique_grid((9, 8, 7))), tmp_path) / "zarr.json").read_text()
    assert '\n   "levels": [\n    {\n     "path": "0",\n     "shape": [9, 8, 7],\n' in text
    assert text.startswith('{\n "zarr_format": 3,\n') and text.endswith("}\n")


@pytest.mark.parametrize("grid", [oblique_grid((9, 300, 300)), minus_grid((9, 300, 280))], ids=["oblique", "minus"])
def test_the_validators_accept_the_store(tmp_path: Path, grid: Geometry) -> None:
    yaozarrs = pytest.importorskip("yaozarrs")
    models = pytest.importorskip("ome_zarr_models")
    ngff_zarr = pytest.importorskip("ngff_zarr")
    import zarr

    path = store(noise_volume(grid), tmp_path)
    yaozarrs.validate_zarr_store(str(path))
    models.open_ome_zarr(zarr.open_group(path, mode="r"), version="0.5")
    attributes = json.loads((path / "zarr.json").read_text())["attributes"]
    ngff_zarr.validate(attributes, version="0.5", strict=True)


def test_ngff_zarr_reads_origin_spacing_and_direction_of_every_level(tmp_path: Path) -> None:
    ngff_zarr = pytest.importorskip("ngff_zarr")
    path = store(noise_volume(minus_grid((80, 300, 280))), tmp_path)
    images = ngff_zarr.from_ngff_zarr(path).images
    for image, level in zip(images, chunkvol.open_volume(path).levels, strict=True):
        assert [image.translation[a] for a in "xyz"] == list(level.geometry.origin)
        assert [image.scale[a] for a in "zyx"] == list(level.geometry.spacing)


def test_canonical_storage_moves_no_voxel(tmp_path: Path) -> None:
    volume = ramp_volume(minus_grid((20, 30, 40)).reordered((2, 0, 1), (False, True, False)))
    opened = chunkvol.ingest(volume, tmp_path / "c.ome.zarr", canonical=True)
    np.testing.assert_array_equal(np.array(opened.geometry.direction), np.eye(3)[:, ::-1])
    np.testing.assert_allclose(opened.read(), ramp_values(opened.geometry), atol=1e-9)


def test_a_plan_warns_where_other_viewers_will_be_wrong(tmp_path: Path) -> None:
    def notes(grid: Geometry) -> str:
        return " ".join(chunkvol.plan_write(noise_volume(grid), tmp_path / "a.ome.zarr").notes)

    assert "unrotated" in notes(oblique_grid((4, 4, 4)))
    assert "--canonical" in notes(minus_grid((4, 4, 4)))
    assert notes(Geometry((4, 4, 4))) == ""


# ------------------------------------------------------------------------------------------------ foreign stores


def foreign(path: Path, **changes: Any) -> Path:
    import zarr

    group = zarr.open_group(path, mode="w", zarr_format=3)
    group.create_array("s0", data=np.arange(60, dtype="u2").reshape(3, 4, 5), chunks=(2, 2, 2))
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    transforms = [{"type": "scale", "scale": [30, 20, 10]}, {"type": "translation", "translation": [3, 2, 1]}]
    scale = {"axes": axes, "datasets": [{"path": "s0", "coordinateTransformations": transforms}], **changes}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [scale]}
    return path


def test_a_store_of_another_program_is_read_in_millimetres(tmp_path: Path) -> None:
    volume = chunkvol.open_volume(foreign(tmp_path / "f.zarr"))
    np.testing.assert_allclose(volume.geometry.spacing, (0.03, 0.02, 0.01))
    np.testing.assert_allclose(volume.geometry.origin, (0.001, 0.002, 0.003))
    assert volume.metadata.assumed
    np.testing.assert_array_equal(volume.read(), np.arange(60).reshape(3, 4, 5))


def test_channels_and_other_versions_are_refused_by_name(tmp_path: Path) -> None:
    path = foreign(tmp_path / "c.zarr", axes=[{"name": n, "type": "space"} for n in "cyx"])
    with pytest.raises(FormatError, match="axes c, y, x"):
        chunkvol.open_volume(path)
    (tmp_path / "old.zarr").mkdir()
    (tmp_path / "old.zarr" / ".zgroup").write_text("{}")
    with pytest.raises(FormatError, match="zarr version 2"):
        chunkvol.open_volume(tmp_path / "old.zarr")


# ------------------------------------------------------------------------------------------------------- damage


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    return store(noise_volume(oblique_grid((65, 130, 70))), tmp_path)


def test_every_flipped_bit_is_found(damaged: Path) -> None:
    rng = np.random.default_rng(1)
    shard = damaged / "0" / "c" / "0" / "0" / "0"
    good = shard.read_bytes()
    volume = chunkvol.open_volume(damaged)
    for _ in range(60):
        bad = bytearray(good)
        bad[rng.integers(len(bad))] ^= 1 << int(rng.integers(8))
        shard.write_bytes(bad)
        with pytest.raises(DamagedError):
            volume.read()


def test_a_missing_or_short_shard_is_damage_not_background(damaged: Path) -> None:
    volume = chunkvol.open_volume(damaged)
    shard = damaged / "0" / "c" / "1" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:-5])
    with pytest.raises(DamagedError, match="c/1/0/0"):
        volume.read()
    shard.unlink()
    with pytest.raises(DamagedError, match="is missing"):
        volume.read()


def test_an_absent_chunk_is_damage(damaged: Path) -> None:
    from chunkvol.formats.ome_zarr.shards import _crc

    shard = damaged / "0" / "c" / "0" / "0" / "0"
    data = bytearray(shard.read_bytes())
    slots = 3 * 2
    index = np.frombuffer(bytes(data[-16 * slots - 4 : -4]), "<u8").reshape(-1, 2).copy()
    index[1] = 2**64 - 1
    data[-16 * slots - 4 :] = index.tobytes() + _crc(index.tobytes())
    shard.write_bytes(data)
    with pytest.raises(DamagedError, match=r"chunk 0/0/1 .* is missing"):
        chunkvol.open_volume(damaged).read()


def test_an_unfinished_store_is_refused(damaged: Path) -> None:
    (damaged / "1" / "zarr.json").unlink(missing_ok=True)
    (damaged / "zarr.json").unlink()
    with pytest.raises((DamagedError, FormatError)):
        chunkvol.open_volume(damaged)


def test_attributes_that_contradict_the_arrays_are_refused(damaged: Path) -> None:
    group = json.loads((damaged / "zarr.json").read_text())
    group["attributes"]["chunkvol"]["levels"][0]["spacing"][0] = 0
    (damaged / "zarr.json").write_text(json.dumps(group))
    with pytest.raises(GeometryError, match="spacing"):
        chunkvol.open_volume(damaged)
    group["attributes"]["chunkvol"]["levels"][0]["spacing"][0] = 1
    group["attributes"]["chunkvol"]["levels"][0]["shape"][0] = 9
    (damaged / "zarr.json").write_text(json.dumps(group))
    with pytest.raises(DamagedError, match="has shape"):
        chunkvol.open_volume(damaged)


def test_regions_are_read_alike_wherever_they_lie(damaged: Path) -> None:
    volume = chunkvol.open_volume(damaged)
    full = volume.read(whole(volume.shape))
    rng = np.random.default_rng(2)
    for _ in range(20):
        low = [int(rng.integers(0, n)) for n in volume.shape]
        region = tuple(slice(a, int(rng.integers(a + 1, n + 1))) for a, n in zip(low, volume.shape, strict=True))
        np.testing.assert_array_equal(volume.read(region), full[region])
