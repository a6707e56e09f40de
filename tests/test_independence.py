"""No cut, budget, worker or detour shows in the bytes: they come from the voxels alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkvol
from chunkvol import Metadata, Volume
from chunkvol.errors import BudgetError
from chunkvol.kernels import REDUCERS
from chunkvol.ops.downsample import downsample
from chunkvol.ops.reorient import reordered
from chunkvol.regions import Shape
from tests.support.grids import oblique_grid, wide_floats
from tests.support.series import write_series

NESTED = [name for name, row in REDUCERS.items() if row.nested]
MIB = 1 << 20


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Volume]:
    """The same voxels from everywhere, with nothing known of their origin."""
    import dask.array

    folder = tmp_path_factory.mktemp("kinds")
    grid = oblique_grid((67, 530, 23), spacing=(0.3, 0.3, 0.3))
    array = np.random.default_rng(9).integers(0, 4096, grid.shape, dtype="u2")
    volume = Volume(array, grid)
    for name in ("raw.nrrd", "a.ome.zarr"):
        chunkvol.write_volume(volume, folder / name)
    chunkvol.write_volume(volume, folder / "gzip.nrrd", encoding="gzip")
    write_series(folder / "plain", array, grid, order="shuffled")
    rle = "1.2.840.10008.1.2.5"
    write_series(folder / "rle", array, grid, order="reversed", transfer_syntax=rle)
    turned = reordered(volume, (1, 0, 2), (True, False, False))
    write_series(folder / "turned", turned.read(), turned.geometry, transfer_syntax=rle)
    opened = {path.name: chunkvol.open_volume(path) for path in folder.iterdir()}
    opened["turned"] = reordered(opened["turned"], (1, 0, 2), (False, True, False))
    opened["numpy"] = volume
    opened["dask"] = Volume(dask.array.from_array(array, chunks=(13, 129, 17)), grid)
    opened["cut"] = Volume(np.pad(array, 3), oblique_grid((73, 536, 29)))[3:-3, 3:-3, 3:-3]
    for name, other in opened.items():
        np.testing.assert_array_equal(other.read(), array, err_msg=name)
    return {name: Volume(other.data, grid, Metadata()) for name, other in opened.items()}


def digest(path: Path) -> str:
    """Of a file, or of everything in a folder."""
    out = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            out.update(str(file.relative_to(path)).encode() + file.read_bytes())
    return out.hexdigest()


def smallest(volume: Volume, target: Path, **options: Any) -> int:
    """Bytes of the smallest budget, where the process itself counts nothing."""
    with pytest.raises(BudgetError, match="smallest that fits is --memory") as caught:
        chunkvol.plan_write(volume, target, budget=1, **options)
    return int(str(caught.value).split()[-1].removesuffix("MiB")) * MIB


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands so low that a small volume has many."""
    monkeypatch.setattr("chunkvol.pipeline._baseline", lambda *given: 0)
    monkeypatch.setattr("chunkvol.slabs.BLOCK_BYTES", 20_000)
    monkeypatch.setattr("chunkvol.slabs.UNIT_BYTES", 50_000)
    monkeypatch.setattr("chunkvol.slabs.MIB", 50_000)  # the smallest unit
    monkeypatch.setattr("chunkvol.ops.downsample._STEP_BYTES", 30_000)


@pytest.mark.parametrize("suffix", [".nrrd", ".ome.zarr"])
@pytest.mark.parametrize("method", REDUCERS)
def test_the_bytes_of_a_small_volume_come_from_its_voxels_alone(
    tmp_path: Path, kinds: dict[str, Volume], method: str, suffix: str, request: pytest.FixtureRequest
) -> None:
    found = {}
    for name, volume in kinds.items():
        small = downsample(volume, (2, 3, 2), method=method)
        chunkvol.write_volume(small, tmp_path / f"{name}{suffix}")
        found[name] = digest(tmp_path / f"{name}{suffix}")
    request.getfixturevalue("small_blocks")
    for name, volume in kinds.items():
        small = downsample(volume, (2, 3, 2), method=method)
        target = tmp_path / f"{name}-narrow{suffix}"
        chunkvol.write_volume(small, target, budget=smallest(small, target), workers=3)
        found[f"{name}, smallest budget"] = digest(target)
    assert len(set(found.values())) == 1, found


@pytest.mark.parametrize("options", [{}, {"encoding": "gzip"}], ids=["raw", "gzip"])
def test_the_bytes_of_a_converted_volume_come_from_its_voxels_alone(
    tmp_path: Path, kinds: dict[str, Volume], small_blocks: None, options: dict[str, Any]
) -> None:
    found = {}
    for name, volume in kinds.items():
        for workers, budget in [(1, "8GiB"), (3, "8GiB"), (2, None)]:
            target = tmp_path / f"{name}-{workers}.nrrd"
            room = budget or smallest(volume, target, **options)
            chunkvol.write_volume(volume, target, workers=workers, budget=room, **options)
            found[f"{name}, {workers}"] = digest(target)
    assert len(set(found.values())) == 1, found


@pytest.mark.parametrize("method", NESTED)
def test_the_bytes_of_a_pyramid_come_from_the_voxels_alone(
    tmp_path: Path, kinds: dict[str, Volume], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr("chunkvol.pipeline._baseline", lambda *given: 0)
    monkeypatch.setattr("chunkvol.pyramid.level_factors.__defaults__", (120,))
    found = {}
    for name, volume in kinds.items():
        for workers, budget in [(1, "8GiB"), (3, None)]:
            target = tmp_path / f"{name}-{workers}.ome.zarr"
            room = budget or smallest(volume, target, method=method)
            chunkvol.write_volume(volume, target, workers=workers, budget=room, method=method)
            found[f"{name}, {workers}"] = digest(target)
    assert len(chunkvol.open_volume(target).levels) == 4
    assert len(set(found.values())) == 1, found


SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-45, 3e38, 1.5], "f4")


@pytest.mark.parametrize("factors", [(4, 4, 4), (3, 3, 3), (2, 3, 2)], ids=str)
@pytest.mark.parametrize("values", ["wide", "special"])
@pytest.mark.parametrize("method", REDUCERS)
def test_floats_never_show_the_cut_in_a_single_bit(
    tmp_path: Path, small_blocks: None, method: str, values: str, factors: Shape
) -> None:
    import dask.array

    grid = oblique_grid((21, 67, 45), spacing=(0.3, 0.3, 0.3))
    array = wide_floats(grid.shape, "float64")
    if values == "special":
        array[:, ::2] = np.random.default_rng(1).choice(SPECIAL, array[:, ::2].shape)
        array[:9, :9, :9] = -0.0
    wanted = downsample(Volume(array, grid), factors, method=method).read()
    chunkvol.write_volume(Volume(array, grid), tmp_path / "z.nrrd", encoding="gzip")
    kinds = {
        "numpy": Volume(array, grid),
        "odd chunks": Volume(dask.array.from_array(array, chunks=(5, 13, 29)), grid),
        "whole planes": Volume(dask.array.from_array(array, chunks=(1, 67, 45)), grid),
        "slabs": Volume(dask.array.from_array(array, chunks=(7, 67, 45)), grid),
        "gzip": chunkvol.open_volume(tmp_path / "z.nrrd"),
    }
    for name, volume in kinds.items():
        target = tmp_path / f"{name}.nrrd"
        chunkvol.write_volume(downsample(volume, factors, method=method), target, workers=2)
        assert chunkvol.open_volume(target).read().tobytes() == wanted.tobytes(), name


def test_a_store_remembers_what_determined_it_and_nothing_else(tmp_path: Path, kinds: dict[str, Volume]) -> None:
    volume = replace(kinds["numpy"], metadata=Metadata(problems=("a complaint",)))
    chunkvol.write_volume(downsample(volume, 2), tmp_path / "a.ome.zarr", workers=1)
    text = (tmp_path / "a.ome.zarr" / "zarr.json").read_text()
    assert json.loads(text)["attributes"]["chunkvol"]["metadata"]["history"] == ["downsample 2,2,2 (k,j,i) mean"]
    for word in ("complaint", str(tmp_path), "workers", "budget"):
        assert word not in text
