"""Stores of OME-Zarr 0.4 and 0.6: the same laws as of 0.5, what each says of a place, what is found of damage."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkvol
from chunkvol import Geometry, Metadata, Rescale, Volume, system
from chunkvol.errors import DamagedError, InputError
from chunkvol.memory import MIB
from chunkvol.ops.downsample import downsample
from tests.support.grids import GRIDS, minus_grid, noise_volume, oblique_grid, ramp_values, ramp_volume

VERSIONS = ["0.4", "0.6"]
CANONICAL = Geometry((9, 20, 300), (-20.5, 31.25, 7.0), (0.5, 0.4, 0.3))


def store(volume: Volume, folder: Path, version: str, name: str = "a.ome.zarr", **options: Any) -> Path:
    chunkvol.write_volume(volume, folder / name, ngff_version=version, **options)
    return folder / name


def tree_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()


def attributes_of(path: Path) -> Any:
    if (path / ".zattrs").exists():
        return json.loads((path / ".zattrs").read_text())
    return json.loads((path / "zarr.json").read_text())["attributes"]


def without_record(path: Path) -> Path:
    """The store as a program sees it that does not know our attribute."""
    file = path / (".zattrs" if (path / ".zattrs").exists() else "zarr.json")
    content = json.loads(file.read_text())
    del content.get("attributes", content)["chunkvol"]
    file.write_text(json.dumps(content))
    return path


# ------------------------------------------------------------------------------------------------------------ laws


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_the_ramp_law_holds_on_every_level(tmp_path: Path, grid: Any, version: str) -> None:
    made = grid((9, 20, 300))
    levels = chunkvol.open_volume(store(ramp_volume(made), tmp_path, version)).levels
    assert levels[0].geometry == made
    assert len(levels) > 1
    for level in levels:
        np.testing.assert_allclose(level.read(), ramp_values(level.geometry), rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("method", "dtype"), [("mean", "uint16"), ("mode", "uint8"), ("max", "float32")])
def test_each_level_equals_the_direct_reduction_of_level_0(
    tmp_path: Path, version: str, method: str, dtype: str
) -> None:
    volume = noise_volume(oblique_grid((67, 131, 517), spacing=(0.5, 0.5, 0.3)), dtype)
    path = store(volume, tmp_path, version, method=method)
    opened, entries = chunkvol.open_volume(path), attributes_of(path)["chunkvol"]["levels"]
    assert len(opened.levels) > 2
    np.testing.assert_array_equal(opened.read(), volume.read())
    for level, entry in zip(opened.levels[1:], entries[1:], strict=True):
        direct = downsample(volume, tuple(entry["factors"]), method=method)
        assert level.geometry == direct.geometry
        np.testing.assert_array_equal(level.read(), direct.read())


@pytest.mark.parametrize("codec", [None, "lz4"])
def test_the_bytes_are_the_same_for_any_budget_and_worker_count(tmp_path: Path, codec: str | None) -> None:
    volume = noise_volume(oblique_grid((130, 600, 140), spacing=(0.3, 0.3, 0.3)))
    one = store(volume, tmp_path, "0.4", "one.ome.zarr", workers=1, budget="4GiB", codec=codec)
    small = system.resident_memory() + 75 * MIB
    two = store(volume, tmp_path, "0.4", "two.ome.zarr", workers=3, budget=small, codec=codec)
    assert tree_hash(one) == tree_hash(two)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 127, 129), (63, 128, 5), (65, 1, 257), (3, 257, 128)])
def test_sizes_that_do_not_divide_come_back(tmp_path: Path, shape: Any) -> None:
    volume = noise_volume(oblique_grid(shape))
    np.testing.assert_array_equal(chunkvol.open_volume(store(volume, tmp_path, "0.4")).read(), volume.read())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("codec", ["lz4", "zstd", "none", None])
@pytest.mark.parametrize("dtype", ["int8", "uint64", "float64"])
def test_every_codec_round_trips(tmp_path: Path, version: str, codec: str | None, dtype: str) -> None:
    volume = noise_volume(oblique_grid((5, 70, 9)), dtype)
    opened = chunkvol.open_volume(store(volume, tmp_path, version, codec=codec))
    np.testing.assert_array_equal(opened.read(), volume.read())
    assert type(opened.data).__name__ == ("ChunkFileSource" if version == "0.4" else "ShardedSource")


@pytest.mark.parametrize("version", VERSIONS)
def test_metadata_come_back_exactly(tmp_path: Path, version: str) -> None:
    grid = oblique_grid((9, 8, 7))
    metadata = Metadata(
        rescale=Rescale(0.1, -3.5, "HU"), modality="CT", assumed=True, source="abc", extra={"kvp": 80.0}
    )
    opened = chunkvol.open_volume(store(Volume(np.zeros(grid.shape, "u1"), grid, metadata), tmp_path, version))
    assert opened.geometry == grid
    assert opened.metadata == metadata


def test_the_default_is_what_it_was(tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid((9, 8, 7)))
    chunkvol.write_volume(volume, tmp_path / "a.ome.zarr")
    assert tree_hash(store(volume, tmp_path, "0.5", "b.ome.zarr")) == tree_hash(tmp_path / "a.ome.zarr")


# --------------------------------------------------------------------------------------------------------- oracles


@pytest.mark.parametrize("codec", ["lz4", "zstd", "none"])
def test_zarr_and_tensorstore_read_every_level_of_0_4(tmp_path: Path, codec: str) -> None:
    tensorstore = pytest.importorskip("tensorstore")
    zarr = pytest.importorskip("zarr")
    path = store(noise_volume(oblique_grid((66, 530, 140))), tmp_path, "0.4", codec=codec)
    for number, level in enumerate(chunkvol.open_volume(path).levels):
        np.testing.assert_array_equal(zarr.open_array(path / str(number), mode="r")[:], level.read())
        spec = {"driver": "zarr", "kvstore": {"driver": "file", "path": str(path / str(number))}}
        np.testing.assert_array_equal(tensorstore.open(spec).result().read().result(), level.read())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_ngff_zarr_accepts_the_store_strictly(tmp_path: Path, grid: Any, version: str) -> None:
    ngff_zarr = pytest.importorskip("ngff_zarr")
    path = store(noise_volume(grid((3, 20, 300))), tmp_path, version)
    ngff_zarr.validate(attributes_of(path), version=version, strict=True)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_other_validators_accept_0_4(tmp_path: Path, grid: Any) -> None:
    yaozarrs = pytest.importorskip("yaozarrs")
    models = pytest.importorskip("ome_zarr_models")
    import zarr

    path = store(noise_volume(grid((3, 20, 300))), tmp_path, "0.4")
    yaozarrs.validate_zarr_store(str(path))
    models.open_ome_zarr(zarr.open_group(path, mode="r"), version="0.4")


def test_ome_zarr_models_accepts_0_6(tmp_path: Path) -> None:
    models = pytest.importorskip("ome_zarr_models")
    import zarr

    if not hasattr(models, "v06"):
        pytest.skip("the schema is absent: this ome-zarr-models knows no OME-Zarr 0.6")
    path = store(noise_volume(oblique_grid((3, 20, 300))), tmp_path, "0.6")
    models.open_ome_zarr(zarr.open_group(path, mode="r"), version="0.6")


@pytest.mark.parametrize("version", VERSIONS)
def test_ngff_zarr_finds_every_level_in_its_place(tmp_path: Path, version: str) -> None:
    ngff_zarr = pytest.importorskip("ngff_zarr")
    path = store(noise_volume(CANONICAL), tmp_path, version)
    levels = chunkvol.open_volume(path).levels
    images = ngff_zarr.from_ngff_zarr(path).images
    assert len(levels) > 1
    for image, level in zip(images, levels, strict=True):
        np.testing.assert_allclose([image.translation[a] for a in "xyz"], level.geometry.origin, rtol=1e-12)
        assert [image.scale[a] for a in "zyx"] == list(level.geometry.spacing)
        np.testing.assert_array_equal(np.asarray(image.data), level.read())


# --------------------------------------------------------------------- what the metadata of NGFF alone say of a place


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_0_6_says_where_every_level_lies_without_our_attribute(tmp_path: Path, grid: Any) -> None:
    made = grid((9, 20, 300))
    path = store(noise_volume(made), tmp_path, "0.6")
    ours = chunkvol.open_volume(path).levels
    theirs = chunkvol.open_volume(without_record(path)).levels
    assert len(ours) > 1
    for own, other in zip(ours, theirs, strict=True):
        assert other.geometry.is_close(own.geometry, 1e-9)
        assert not other.metadata.assumed
        assert other.metadata.problems == ()
        np.testing.assert_array_equal(other.read(), own.read())


def test_0_4_says_where_cardinal_axes_lie_without_our_attribute(tmp_path: Path) -> None:
    path = store(noise_volume(minus_grid((9, 20, 300))), tmp_path, "0.4")
    ours = chunkvol.open_volume(path).levels
    theirs = chunkvol.open_volume(without_record(path)).levels
    assert len(ours) > 1
    for own, other in zip(ours, theirs, strict=True):
        assert other.geometry.is_close(own.geometry, 1e-9)
        assert not other.metadata.assumed


def test_the_intrinsic_system_of_0_6_comes_last(tmp_path: Path) -> None:
    (multiscale,) = attributes_of(store(noise_volume(CANONICAL), tmp_path, "0.6"))["ome"]["multiscales"]
    assert [system["name"] for system in multiscale["coordinateSystems"]] == ["LPS", "intrinsic"]
    assert multiscale["coordinateTransformations"][0]["affine"] == np.eye(3, 4).tolist()


@pytest.mark.parametrize(
    ("version", "said"),
    [("0.4", "OME-Zarr 0.4 cannot hold"), ("0.5", "OME-Zarr 0.5 cannot hold"), ("0.6", "holds it as an affine")],
)
def test_a_plan_says_what_viewers_make_of_the_direction(tmp_path: Path, version: str, said: str) -> None:
    def notes(grid: Geometry) -> str:
        return " ".join(chunkvol.plan_write(noise_volume(grid), tmp_path / "a.ome.zarr", ngff_version=version).notes)

    assert said in notes(oblique_grid((4, 4, 4)))
    assert "--canonical" in notes(minus_grid((4, 4, 4)))
    assert notes(Geometry((4, 4, 4))) == ""


def test_a_plan_says_where_chunks_have_no_checksum(tmp_path: Path) -> None:
    volume = noise_volume(Geometry((4, 5, 6)))

    def notes(**options: Any) -> str:
        return " ".join(chunkvol.plan_write(volume, tmp_path / "a.ome.zarr", **options).notes)

    assert "--codec zstd" in notes(ngff_version="0.4", codec="lz4")
    assert notes(ngff_version="0.4") == notes(ngff_version="0.6", codec="none") == ""


def test_versions_that_are_not_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'0\.3' is not written; use one of 0\.4, 0\.5, 0\.6"):
        store(noise_volume(Geometry((4, 5, 6))), tmp_path, "0.3")


def test_stores_of_any_version_replace_each_other(tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid((9, 8, 7)))
    for version in ("0.4", "0.6", "0.4", "0.5", "0.4"):
        path = store(volume, tmp_path, version, overwrite=True)
        assert (path / ".zgroup").exists() == (version == "0.4") != (path / "zarr.json").exists()
        np.testing.assert_array_equal(chunkvol.open_volume(path).read(), volume.read())


# ---------------------------------------------------------------------------------------------------------- damage


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    return store(noise_volume(oblique_grid((65, 130, 70))), tmp_path, "0.4")


def test_every_flipped_bit_of_a_0_4_chunk_is_found(damaged: Path) -> None:
    rng = np.random.default_rng(1)
    chunk = damaged / "0" / "1" / "1" / "0"
    good = chunk.read_bytes()
    volume = chunkvol.open_volume(damaged)
    spots = [*range(12), *(len(good) - 1 - n for n in range(6)), *rng.integers(len(good), size=20)]
    for spot in spots:
        bad = bytearray(good)
        bad[spot] ^= 1 << int(rng.integers(8))
        chunk.write_bytes(bad)
        with pytest.raises(DamagedError, match="chunk 1/1/0"):
            volume.read()


@pytest.mark.parametrize("codec", ["lz4", "zstd", "none"])
def test_a_missing_or_short_or_long_chunk_is_damage_not_background(tmp_path: Path, codec: str) -> None:
    path = store(noise_volume(oblique_grid((65, 130, 70))), tmp_path, "0.4", codec=codec)
    volume, chunk = chunkvol.open_volume(path), path / "0" / "1" / "0" / "0"
    good = chunk.read_bytes()
    for bad in (good[:-5], b"", good + bytes(2**21)):
        chunk.write_bytes(bad)
        with pytest.raises(DamagedError, match="chunk 1/0/0"):
            volume.read()
    chunk.unlink()
    with pytest.raises(DamagedError, match=r"chunk 1/0/0 .* is missing"):
        volume.read()


def test_a_frame_that_promises_too_much_allocates_nothing(damaged: Path) -> None:
    volume, chunk = chunkvol.open_volume(damaged), damaged / "0" / "0" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    data[4:13] = bytes([0b1110_0100]) + (2**50).to_bytes(8, "little")
    chunk.write_bytes(data)
    with pytest.raises(DamagedError, match="is not a chunk of"):
        volume.read()


def test_an_unfinished_0_4_store_is_refused(damaged: Path) -> None:
    (damaged / "0" / ".zarray").unlink()
    with pytest.raises(DamagedError, match=r"0/\.zarray is missing"):
        chunkvol.open_volume(damaged)


def test_an_array_that_another_program_wrote_anew_is_read_by_zarr(damaged: Path) -> None:
    zarr = pytest.importorskip("zarr")
    values = chunkvol.open_volume(damaged).read()
    group = zarr.open_group(damaged, mode="r+")
    group.create_array("0", data=values, chunks=(10, 20, 30), overwrite=True)
    np.testing.assert_array_equal(chunkvol.open_volume(damaged).read(), values)


def test_an_array_of_0_4_is_cut_as_it_says(tmp_path: Path) -> None:
    path = store(noise_volume(oblique_grid((130, 300, 140))), tmp_path, "0.4")
    assert json.loads((path / "0" / ".zarray").read_text()) == {
        "zarr_format": 2,
        "shape": [130, 300, 140],
        "chunks": [64, 128, 128],
        "dtype": "<u2",
        "compressor": {"id": "zstd", "level": 3},
        "fill_value": 0,
        "order": "C",
        "filters": None,
        "dimension_separator": "/",
    }
    chunks = {str(file.relative_to(path / "0")) for file in (path / "0").rglob("*") if file.name.isdecimal()}
    files = {name for name in chunks if (path / "0" / name).is_file()}
    assert files == {f"{k}/{j}/{i}" for k in range(3) for j in range(3) for i in range(2)}
