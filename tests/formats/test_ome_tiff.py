"""Writing OME-TIFF: other programs read planes, sizes and smaller images, which are those of downsample."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from chunkvol.errors import BudgetError, InputError
from chunkvol.formats.nrrd import open_nrrd, prepare_nrrd
from chunkvol.formats.sidecar import read_sidecar, sidecar_of
from chunkvol.formats.tiff import prepare_ome_tiff
from chunkvol.formats.tiff.layout import CLASSIC_BYTES
from chunkvol.formats.tiff.ome_levels import TILE, plane_levels
from chunkvol.formats.tiff.ome_xml import ome_xml
from chunkvol.memory import MIB
from chunkvol.metadata import Metadata, Rescale
from chunkvol.ops.downsample import downsample
from chunkvol.volume import Volume
from tests.support.grids import GRIDS, noise_volume, oblique_grid, wide_floats
from tests.support.writing import planned, tree_bytes, written

SHAPE = (5, 7, 11)
LARGE = (3, 1301, 1100)
TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
SHAPES = [(1, 1, 1), (3, 513, 512), (2, 1025, 5), (2, 3, 2049), (2, 1, 1100), (4, 600, 1537), LARGE]


def levels_of(path: Path) -> list[Any]:
    with tifffile.TiffFile(path) as file:
        return [np.atleast_3d(level.asarray()).reshape(-1, *level.keyframe.shape) for level in file.series[0].levels]


def expected(volume: Volume, method: str = "mean") -> list[Any]:
    """All levels by the slow plain way: each from the whole volume."""
    found = [volume.read()]
    for level in plane_levels(volume.shape[1:], volume.dtype)[1:]:
        found.append(downsample(volume, (1, *level.factors), method=method).read())
    return found


# ---------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("grid", GRIDS)
def test_voxels_and_the_whole_grid_are_kept(tmp_path: Path, grid: str) -> None:
    volume = noise_volume(GRIDS[grid](SHAPE))
    written(prepare_ome_tiff, volume, tmp_path / "x.ome.tif")
    assert np.array_equal(tifffile.imread(tmp_path / "x.ome.tif"), volume.data)
    found = read_sidecar(sidecar_of(tmp_path / "x.ome.tif"))
    assert found is not None
    assert found[0] == volume.geometry


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_every_level_is_the_downsampling_of_the_planes(tmp_path: Path, kind: str, shape: Any) -> None:
    array = noise_volume(oblique_grid(shape)).data if kind == "uint16" else wide_floats(shape, kind)
    volume = Volume(array, oblique_grid(shape))
    written(prepare_ome_tiff, volume, tmp_path / "x.ome.tif")
    found, wanted = levels_of(tmp_path / "x.ome.tif"), expected(volume)
    assert [level.shape for level in found] == [level.shape for level in wanted]
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert max(found[-1].shape[1:]) <= TILE
    assert all(level.shape[0] == shape[0] for level in found)


def test_levels_of_an_anisotropic_plane_are_the_downsampling_too(tmp_path: Path) -> None:
    shape = (2, 1300, 1100)
    volume = Volume(wide_floats(shape, "float64"), oblique_grid(shape, spacing=(9.0, 0.3, 0.3)))
    written(prepare_ome_tiff, volume, tmp_path / "x.ome.tif")
    for a, b in zip(levels_of(tmp_path / "x.ome.tif"), expected(volume), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("method", ["mode", "max"])
def test_levels_are_made_by_the_method_of_the_volume(tmp_path: Path, method: str) -> None:
    volume = noise_volume(oblique_grid((2, 600, 700)), "uint8")
    volume = Volume(volume.data % 5, volume.geometry, Metadata(pyramid=method))
    written(prepare_ome_tiff, volume, tmp_path / "x.ome.tif")
    for a, b in zip(levels_of(tmp_path / "x.ome.tif"), expected(volume, method), strict=True):
        assert np.array_equal(a, b)


def chunked(array: Any, **chunks: Any) -> Any:
    import dask.array

    make: Any = dask.array.from_array  # untyped
    return make(array, **chunks)


@pytest.mark.parametrize(("kind", "shape"), [("int16", LARGE), ("float32", (2, 2100, 700)), ("uint8", (700, 30, 40))])
def test_bytes_do_not_depend_on_workers_budget_or_chunks(tmp_path: Path, kind: str, shape: Any) -> None:
    array = noise_volume(oblique_grid(shape), kind).data
    results, cuts = [], set()
    for number, source in enumerate((array, chunked(array, chunks=(2, 400, 500)), chunked(array, chunks=(1, -1, -1)))):
        for workers, budget in ((1, 1 << 30), (3, 200 * MIB), (1, 100 * MIB)):
            folder = tmp_path / f"{number}-{workers}-{budget}"
            folder.mkdir()
            volume = Volume(source, oblique_grid(shape))
            job = written(prepare_ome_tiff, volume, folder / "x.ome.tif", workers=workers, budget=budget)
            results.append(tree_bytes(folder))
            cuts.add(job.work.cut)
    assert all(one == results[0] for one in results[1:])
    assert len(cuts) > 1 or kind == "uint8"
    assert np.array_equal(tifffile.imread(folder / "x.ome.tif"), array)


def test_a_job_can_be_sent_to_other_processes() -> None:
    job = planned(prepare_ome_tiff, noise_volume(oblique_grid(SHAPE)), Path("x.ome.tif"))
    assert pickle.loads(pickle.dumps(job)).plan == job.plan


# ------------------------------------------------------------------------------------------------------- oracles


@pytest.mark.parametrize("kind", TYPES)
def test_tifffile_reads_every_type_and_what_ome_says(tmp_path: Path, kind: str) -> None:
    volume = noise_volume(oblique_grid(SHAPE), kind)
    written(prepare_ome_tiff, volume, tmp_path / "x.ome.tif")
    with tifffile.TiffFile(tmp_path / "x.ome.tif") as file:
        assert file.is_ome
        assert file.series[0].kind == "ome"
        assert file.series[0].axes == "ZYX"
        assert file.series[0].dtype == kind
        assert np.array_equal(file.asarray(), volume.data)
        pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
    assert [pixels[f"Size{axis}"] for axis in "XYZCT"] == [11, 7, 5, 1, 1]
    assert [pixels[f"PhysicalSize{axis}"] for axis in "XYZ"] == [0.3, 0.5, 0.7]
    assert {pixels[f"PhysicalSize{axis}Unit"] for axis in "XYZ"} == {"mm"}
    assert pixels["BigEndian"] is False


@pytest.mark.parametrize("planes", [1, 3, 4])
def test_three_or_four_planes_are_no_colours(tmp_path: Path, planes: int) -> None:
    volume = noise_volume(oblique_grid((planes, 7, 11)), "uint8")
    written(prepare_ome_tiff, volume, tmp_path / "x.ome.tif")
    with tifffile.TiffFile(tmp_path / "x.ome.tif") as file:
        assert len(file.pages) == planes
        assert {page.photometric for page in file.pages} == {tifffile.PHOTOMETRIC.MINISBLACK}
        assert np.array_equal(file.asarray().reshape(volume.shape), volume.data)


def test_smaller_images_are_tiled_marked_and_placed(tmp_path: Path) -> None:
    written(prepare_ome_tiff, noise_volume(oblique_grid((2, 2100, 1100))), tmp_path / "x.ome.tif")
    with tifffile.TiffFile(tmp_path / "x.ome.tif") as file:
        for page in file.pages:
            assert not page.is_reduced
            assert (page.tilelength, page.tilewidth) == (432, 368)
            assert [sub.shape for sub in page.pages] == [(1050, 550), (525, 275), (262, 137)]
            assert all(sub.is_reduced for sub in page.pages)
            for number, sub in enumerate(page.pages, start=1):
                across, down = sub.get_resolution("millimeter")
                assert (across, down) == pytest.approx((1 / (0.3 * 2**number), 1 / (0.5 * 2**number)))


def test_itk_reads_the_planes(tmp_path: Path) -> None:
    itk = pytest.importorskip("SimpleITK")
    volume = noise_volume(oblique_grid((3, 70, 60)))
    written(prepare_ome_tiff, volume, tmp_path / "x.ome.tif")
    image = itk.ReadImage(str(tmp_path / "x.ome.tif"))
    assert np.array_equal(itk.GetArrayFromImage(image), volume.data)
    assert image.GetSpacing() == pytest.approx((0.3, 0.5, 1.0), rel=1e-6)


def test_the_xml_is_valid(tmp_path: Path) -> None:
    types = pytest.importorskip("ome_types", reason="OME's schema comes with ome-types")
    written(prepare_ome_tiff, noise_volume(oblique_grid(SHAPE)), tmp_path / "x.ome.tif")
    found = types.from_tiff(str(tmp_path / "x.ome.tif"), validate=True)
    assert found.images[0].pixels.physical_size_z == 0.7


def test_the_xml_is_ascii_and_says_no_more_than_the_volume() -> None:
    grid = oblique_grid(SHAPE, spacing=(1e-5, 12345.678, 0.1))
    text = ome_xml(grid, np.dtype("uint16"))
    assert text.isascii()
    assert 'PhysicalSizeZ="1e-05"' in text
    assert text == ome_xml(replace(grid, origin=(0, 0, 0)), np.dtype("uint16"))
    assert "UUID" not in text


# ------------------------------------------------------------------------------------------------------- corners


@pytest.mark.parametrize("size", [(1, 1), (512, 512), (513, 1), (1, 513), (1025, 3), (40_001, 30_011)])
def test_levels_end_at_a_tile_and_tiles_waste_little(size: tuple[int, int]) -> None:
    levels = plane_levels(size, np.dtype("uint16"))
    assert levels[0].size == size
    assert max(levels[-1].size) <= TILE
    assert all(max(level.size) > TILE for level in levels[:-1])
    for level in levels:
        assert level.size == tuple(n // f for n, f in zip(size, level.factors, strict=True))
        assert max(level.tile) <= TILE
        for rows, tiles, tile in zip(level.size, level.tiles, level.tile, strict=True):
            assert 0 <= tiles * tile - rows < 16 * tiles
    starts = [level.start for level in levels]
    assert starts == [sum(level.bytes for level in levels[:n]) for n in range(len(levels))]


def test_large_files_are_bigtiff_and_small_ones_classic(tmp_path: Path) -> None:
    for planes, big in ((1000, False), (3000, True)):
        volume = Volume(
            np.broadcast_to(np.zeros((), "uint8"), (planes, 1100, 1000)), oblique_grid((planes, 1100, 1000))
        )
        work = planned(prepare_ome_tiff, volume, tmp_path / "x.ome.tif").work
        assert work.layout.big is big
        assert (work.layout.total_bytes > CLASSIC_BYTES) is big
        work.layout.begin(tmp_path / "x.ome.tif")
        with open(tmp_path / "x.ome.tif", "r+b") as file:
            file.truncate(work.layout.total_bytes)
        with tifffile.TiffFile(tmp_path / "x.ome.tif") as found:
            assert found.is_bigtiff is big
            page = found.pages[planes - 1]
            last = page.pages[-1]
            assert last.shape == (275, 250)
            assert last.dataoffsets[-1] + last.databytecounts[-1] == work.layout.total_bytes


def test_real_values_are_written_and_the_type_is_said(tmp_path: Path) -> None:
    array = np.arange(385, dtype="uint16").reshape(SHAPE)
    volume = Volume(array, oblique_grid(SHAPE), Metadata(Rescale(1, -1024, "HU"), stored_range=(0, 4095)))
    job = written(prepare_ome_tiff, volume, tmp_path / "x.ome.tif")
    assert any("int16" in note and "uint16" in note for note in job.plan.notes)
    assert any("no origin and no direction" in note for note in job.plan.notes)
    assert np.array_equal(tifffile.imread(tmp_path / "x.ome.tif"), array.astype(int) - 1024)
    content = json.loads(sidecar_of(tmp_path / "x.ome.tif").read_text())["chunkvol"]
    assert content["metadata"]["rescale"] == {"slope": 1.0, "intercept": 0.0, "unit": "HU"}


def test_a_packed_input_is_staged_and_given_back(tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid(LARGE))
    written(prepare_nrrd, volume, tmp_path / "x.nrrd", encoding="gzip")
    job = written(prepare_ome_tiff, open_nrrd(tmp_path / "x.nrrd"), tmp_path / "x.ome.tif")
    assert [phase.name for phase in job.plan.phases] == ["unpack", "write"]
    assert job.plan.scratch == volume.data.nbytes
    assert np.array_equal(tifffile.imread(tmp_path / "x.ome.tif"), volume.data)


def test_a_plan_states_the_levels() -> None:
    plan = planned(prepare_ome_tiff, noise_volume(oblique_grid(LARGE)), Path("x.ome.tif")).plan
    assert plan.result.levels == 3
    assert plan.result.size == LARGE[::-1]
    assert plan.bytes_written == plan.result.bytes > 2 * np.prod(LARGE) * 1.3


@pytest.mark.parametrize("kind", ["int64", "uint64", "float128"])
def test_types_that_ome_does_not_know_are_refused(kind: str) -> None:
    with pytest.raises(InputError, match=f"OME-TIFF is written with uint8, .* or float64, not {kind}: --dtype"):
        planned(prepare_ome_tiff, Volume(np.zeros(SHAPE, kind), oblique_grid(SHAPE)), Path("x.ome.tif"))


def test_a_budget_that_fits_nothing_names_the_smallest_that_does() -> None:
    array = chunked(np.zeros((1, 2000, 2000), "uint16").repeat(20, 0), chunks=(1, -1, -1))
    volume = Volume(array, oblique_grid(array.shape))
    with pytest.raises(BudgetError, match=r"smallest that fits is --memory (\d+)MiB") as error:
        planned(prepare_ome_tiff, volume, Path("x.ome.tif"), budget=20 * MIB)
    smallest = int(str(error.value).split()[-1].removesuffix("MiB")) * MIB
    planned(prepare_ome_tiff, volume, Path("x.ome.tif"), budget=smallest)


# -------------------------------------------------------------------------------------------------------- memory

CHILD = """
import sys
from pathlib import Path
import dask.threaded
import numpy as np
from chunkvol import Volume, system
from chunkvol.formats.tiff import prepare_ome_tiff
from chunkvol.sources import RawSource
from tests.support.grids import oblique_grid
from tests.support.writing import written

kind, planes, room, raw = np.dtype(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
shape = (planes, 1100, 800)
volume = Volume(RawSource(raw, shape, kind), oblique_grid(shape))
baseline = system.resident_memory()
target = raw.with_name(f"{kind}-{planes}.ome.tif")
job = written(prepare_ome_tiff, volume, target, budget=baseline + room, baseline=baseline)
target.unlink()
print(job.plan.peak_bytes, system.peak_memory())
"""


@pytest.mark.memory
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_measured_memory_keeps_the_promise_and_is_flat(tmp_path: Path, kind: str) -> None:
    with open(tmp_path / "zeros.raw", "wb") as file:
        file.truncate(32 * 1100 * 800 * 4)
    peaks = []
    for planes in (8, 32):
        command = [sys.executable, "-c", CHILD, kind, str(planes), str(80 * MIB), str(tmp_path / "zeros.raw")]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
        promised, measured = map(int, done.stdout.split())
        print(f"{kind}, {planes} planes: promised {promised}, measured {measured}")
        assert measured <= promised <= 1.3 * measured + 64 * MIB
        peaks.append(measured)
    assert peaks[1] <= peaks[0] + 8 * MIB
