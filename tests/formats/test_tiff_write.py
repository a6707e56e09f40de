"""Writing TIFF files, ImageJ stacks and TIFF slices: other programs read the same voxels, spacing and unit."""

from __future__ import annotations

import json
import pickle
import time
import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from chunkvol.errors import BudgetError, InputError
from chunkvol.formats.sidecar import read_sidecar, sidecar_of
from chunkvol.formats.stack import open_stack
from chunkvol.formats.tiff import prepare_imagej, prepare_ome_tiff, prepare_tiff, prepare_tiff_slices
from chunkvol.formats.tiff.imagej import imagej_description
from chunkvol.formats.tiff.layout import CLASSIC_BYTES, Layout, one_strip
from chunkvol.formats.tiff.resolution import per_unit
from chunkvol.formats.tiff.slices import slice_name
from chunkvol.geometry import Geometry
from chunkvol.memory import MIB
from chunkvol.metadata import Metadata, Rescale
from chunkvol.progress import Silent
from chunkvol.volume import Volume
from tests.support.grids import GRIDS, noise_volume, oblique_grid
from tests.support.writing import planned, tree_bytes, written

SHAPE = (5, 7, 11)
TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
IMAGEJ_TYPES = ("uint8", "uint16", "int16", "float32")
FILES = {"tiff": prepare_tiff, "imagej": prepare_imagej}


def slices_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.tif"))


def sparse(path: Path, layout: Layout) -> Path:
    """A file of this layout with nothing but holes for voxels."""
    layout.begin(path)
    with open(path, "r+b") as file:
        file.truncate(layout.total_bytes)
    return path


def huge(shape: tuple[int, int, int], dtype: str = "uint16") -> Volume:
    return Volume(np.broadcast_to(np.zeros((), dtype), shape), oblique_grid(shape))


# ---------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("kind", FILES)
def test_voxels_and_the_whole_grid_are_kept(tmp_path: Path, kind: str, grid: str) -> None:
    volume = noise_volume(GRIDS[grid](SHAPE))
    written(FILES[kind], volume, tmp_path / "x.tif")
    assert np.array_equal(tifffile.imread(tmp_path / "x.tif"), volume.data)
    found = read_sidecar(sidecar_of(tmp_path / "x.tif"))
    assert found is not None
    assert found[0] == volume.geometry


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_a_folder_of_slices_keeps_voxels_and_the_whole_grid(tmp_path: Path, encoding: str) -> None:
    volume = noise_volume(oblique_grid(SHAPE))
    written(prepare_tiff_slices, volume, tmp_path / "scan", encoding=encoding)
    names = [path.name for path in slices_of(tmp_path / "scan")]
    assert names == [f"scan_000{k}.tif" for k in range(5)]
    assert np.array_equal([tifffile.imread(path) for path in slices_of(tmp_path / "scan")], volume.data)
    found = read_sidecar(sidecar_of(tmp_path / "scan"))
    assert found is not None
    assert found[0] == volume.geometry


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(("name", "prepare"), [("x.tif", prepare_tiff), ("x.ome.tif", prepare_ome_tiff)])
def test_what_is_written_is_read_back(tmp_path: Path, name: str, prepare: Any, kind: str) -> None:
    volume = noise_volume(oblique_grid((3, 600, 11), mirrored=True), kind)
    written(prepare, volume, tmp_path / name)
    found = open_stack(tmp_path / name, Silent())
    assert found.dtype == kind
    assert np.array_equal(found.read(), volume.data)
    assert found.geometry.is_close(volume.geometry, 1e-12)
    assert not found.metadata.assumed


@pytest.mark.parametrize(
    ("name", "prepare"), [("x.tif", prepare_tiff), ("x.tif", prepare_imagej), ("x.ome.tif", prepare_ome_tiff)]
)
def test_the_spacing_is_read_back_without_the_sidecar(tmp_path: Path, name: str, prepare: Any) -> None:
    written(prepare, noise_volume(oblique_grid(SHAPE)), tmp_path / name)
    sidecar_of(tmp_path / name).unlink()
    found = open_stack(tmp_path / name, Silent())
    assert found.geometry.spacing == pytest.approx((0.7, 0.5, 0.3), rel=1e-12)
    assert not found.metadata.assumed


def chunked(array: Any, **chunks: Any) -> Any:
    import dask.array

    make: Any = dask.array.from_array  # untyped
    return make(array, **chunks)


@pytest.mark.parametrize("encoding", [None, "raw", "gzip"])
@pytest.mark.parametrize("shape", [(70, 130, 150), (3, 700, 1100), (1, 1, 1), (61, 13, 11)])
def test_bytes_do_not_depend_on_workers_budget_or_chunks(tmp_path: Path, encoding: str, shape: Any) -> None:
    array = np.random.default_rng(1).normal(0, 30, shape).astype("int16")
    found = []
    for number, source in enumerate((array, chunked(array, chunks=(32, 40, 50)))):
        for workers, budget in ((1, 1 << 30), (3, 60 * MIB)):
            folder = tmp_path / f"{number}-{workers}"
            folder.mkdir()
            prepare, options = (prepare_tiff, {}) if encoding is None else (prepare_tiff_slices, {"encoding": encoding})
            volume = Volume(source, oblique_grid(shape))
            written(prepare, volume, folder / "x", workers=workers, budget=budget, **options)
            found.append(tree_bytes(folder))
    assert all(one == found[0] for one in found[1:])


def test_no_date_and_no_path_stands_in_a_file(tmp_path: Path) -> None:
    written(prepare_tiff, noise_volume(oblique_grid(SHAPE)), tmp_path / "secret.tif")
    data = (tmp_path / "secret.tif").read_bytes() + (tmp_path / "secret.tif.json").read_bytes()
    assert b"secret" not in data
    with tifffile.TiffFile(tmp_path / "secret.tif") as file:
        assert "DateTime" not in file.pages[0].tags
        assert file.pages[0].tags["Software"].value.startswith("chunkvol ")


def test_a_job_can_be_sent_to_other_processes() -> None:
    for prepare in (prepare_tiff, prepare_imagej, prepare_tiff_slices):
        job = planned(prepare, noise_volume(oblique_grid(SHAPE)), Path("x.tif"))
        assert pickle.loads(pickle.dumps(job)).plan == job.plan


# ------------------------------------------------------------------------------------------------------- oracles


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("big", [False, True])
def test_tifffile_reads_every_page_and_type(tmp_path: Path, kind: str, big: bool) -> None:
    volume = noise_volume(oblique_grid(SHAPE), kind)
    layout = Layout(5, 5, (one_strip((7, 11), volume.dtype),), volume.dtype, (0.5, 0.3), "five planes", big=big)
    with open(sparse(tmp_path / "x.tif", layout), "r+b") as file:
        file.seek(layout.start)
        file.write(volume.data.tobytes())
    with tifffile.TiffFile(tmp_path / "x.tif") as found:
        assert found.is_bigtiff is big
        assert len(found.pages) == 5
        for k, page in enumerate(found.pages):
            assert page.dtype == kind
            assert np.array_equal(page.asarray(), volume.data[k])
            assert page.photometric == tifffile.PHOTOMETRIC.MINISBLACK
            assert page.samplesperpixel == 1
            assert ("ImageDescription" in page.tags) is (k == 0)


@pytest.mark.parametrize("planes", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", FILES)
def test_three_or_four_planes_are_no_colours(tmp_path: Path, kind: str, planes: int) -> None:
    volume = noise_volume(oblique_grid((planes, 7, 11)), "uint8")
    written(FILES[kind], volume, tmp_path / "x.tif")
    with tifffile.TiffFile(tmp_path / "x.tif") as file:
        assert len(file.pages) == (1 if kind == "imagej" else planes)
        assert file.series[0].axes == ("YX" if planes == 1 else "ZYX")
        assert np.array_equal(file.asarray(), volume.data.squeeze())


def test_tifffile_finds_the_spacing_of_a_stack(tmp_path: Path) -> None:
    written(prepare_tiff, noise_volume(oblique_grid(SHAPE)), tmp_path / "x.tif")
    with tifffile.TiffFile(tmp_path / "x.tif") as file:
        assert file.is_imagej
        for page in file.pages:
            assert page.get_resolution("millimeter") == pytest.approx((1 / 0.3, 1 / 0.5), rel=1e-12)
        assert file.imagej_metadata["spacing"] == 700
        assert file.imagej_metadata["unit"] == "um"
        assert file.imagej_metadata["slices"] == 5


def test_tifffile_knows_an_imagej_stack(tmp_path: Path) -> None:
    written(prepare_imagej, noise_volume(oblique_grid(SHAPE)), tmp_path / "x.tif")
    with tifffile.TiffFile(tmp_path / "x.tif") as file:
        assert file.is_imagej
        assert file.series[0].kind == "imagej"
        assert file.imagej_metadata["spacing"] == 700
        assert file.imagej_metadata["unit"] == "micron"
        tags = file.pages[0].tags
        assert (tags["XResolution"].value, tags["YResolution"].value) == ((1, 300), (1, 500))
        assert tags["ResolutionUnit"].value == 1


def test_the_description_is_what_tifffile_writes_for_imagej() -> None:
    theirs = tifffile.imagej_description((5, 7, 11), axes="ZYX", spacing=300, unit="micron", loop=False)
    ours = tifffile.tifffile.imagej_description_metadata(imagej_description(5, 0.3, "micron"))
    assert ours == tifffile.tifffile.imagej_description_metadata(theirs)


@pytest.mark.parametrize("kind", TYPES[:-1])  # ITK reads no TIFF of 64 bits
def test_itk_reads_stacks_and_slices_with_the_spacing_of_planes(tmp_path: Path, kind: str) -> None:
    itk = pytest.importorskip("SimpleITK")
    volume = noise_volume(oblique_grid(SHAPE), kind)
    written(prepare_tiff, volume, tmp_path / "x.tif")
    image = itk.ReadImage(str(tmp_path / "x.tif"))
    assert np.array_equal(itk.GetArrayFromImage(image), volume.data)
    assert image.GetSpacing() == pytest.approx((0.3, 0.5, 1.0), rel=1e-6)
    for encoding in ("raw", "gzip"):
        written(prepare_tiff_slices, volume, tmp_path / encoding, encoding=encoding)
        one = itk.ReadImage(str(slices_of(tmp_path / encoding)[3]))
        assert np.array_equal(itk.GetArrayFromImage(one), volume.data[3])
        assert one.GetSpacing() == pytest.approx((0.3, 0.5), rel=1e-6)


@pytest.mark.parametrize("kind", IMAGEJ_TYPES)
def test_imagej_stacks_hold_its_types(tmp_path: Path, kind: str) -> None:
    volume = noise_volume(oblique_grid(SHAPE), kind)
    written(prepare_imagej, volume, tmp_path / "x.tif")
    assert np.array_equal(tifffile.imread(tmp_path / "x.tif"), volume.data)


@pytest.mark.parametrize("shape", [(2, 300, 1000), (2, 1, 200_001), (2, 200_001, 1)])
def test_deflated_slices_are_cut_into_strips(tmp_path: Path, shape: Any) -> None:
    volume = noise_volume(oblique_grid(shape), "float32")
    written(prepare_tiff_slices, volume, tmp_path / "x", encoding="gzip")
    for k, path in enumerate(slices_of(tmp_path / "x")):
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            assert page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
            assert len(page.dataoffsets) > 1 or shape[1] == 1
            assert all(offset % 2 == 0 for offset in page.dataoffsets)
            assert np.array_equal(page.asarray(), volume.data[k])


# ------------------------------------------------------------------------------------------------------- corners


@given(st.floats(1e-6, 1e6))
def test_a_resolution_is_as_near_as_32_bits_allow(spacing: float) -> None:
    for unit in (Fraction(10), Fraction(1, 1000)):
        top, bottom = per_unit(spacing, unit)
        assert 0 < top < 1 << 32
        assert 0 < bottom < 1 << 32
        assert abs(Fraction(top, bottom) * Fraction(spacing) / unit - 1) < 1e-8


def test_a_resolution_of_a_plain_decimal_is_exact() -> None:
    assert per_unit(0.3, Fraction(10)) == (100, 3)
    assert per_unit(0.0123, Fraction(10)) == (100000, 123)
    assert per_unit(2.5, Fraction(1, 1000)) == (1, 2500)


@pytest.mark.parametrize("big", [False, True])
def test_twenty_thousand_pages_take_no_time_and_no_memory(tmp_path: Path, big: bool) -> None:
    kind = np.dtype("uint16")
    layout = Layout(20_000, 20_000, (one_strip((37, 41), kind),), kind, (0.5, 0.3), "x", big=big)
    tracemalloc.start()
    begun = time.process_time()
    path = sparse(tmp_path / "x.tif", layout)
    spent, held = time.process_time() - begun, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < 16 * MIB
    assert spent < 5
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 20_000
        assert file.pages[19_999].dataoffsets == (layout.start + 19_999 * 37 * 41 * 2,)
        assert file.pages[1].dataoffsets == (layout.start + 37 * 41 * 2,)


def test_files_beyond_four_gibibytes_are_bigtiff(tmp_path: Path) -> None:
    planes = CLASSIC_BYTES // (2 << 20) + 1
    for shape, big in (((planes, 1024, 1024), True), ((planes - 1, 1024, 1024 - 1), False)):
        job = planned(prepare_tiff, huge(shape), tmp_path / "x.tif")
        assert any("BigTIFF" in note for note in job.plan.notes) is big
        layout = Layout(
            shape[0], shape[0], (one_strip(shape[1:], np.dtype("u2")),), np.dtype("u2"), (0.5, 0.3), "x"
        ).fitted()
        with tifffile.TiffFile(sparse(tmp_path / f"{big}.tif", layout)) as file:
            assert file.is_bigtiff is big
            last = file.pages[shape[0] - 1]
            assert last.dataoffsets[0] + last.databytecounts[0] == layout.total_bytes == file.filehandle.size


def test_a_single_plane_beyond_four_gibibytes_is_bigtiff(tmp_path: Path) -> None:
    kind = np.dtype("float32")
    layout = Layout(1, 1, (one_strip((40_000, 50_000), kind),), kind, (0.5, 0.3), "x").fitted()
    with tifffile.TiffFile(sparse(tmp_path / "x.tif", layout)) as file:
        assert file.pages[0].databytecounts == (8 * 10**9,)


def test_names_of_slices_sort_however_many_there_are() -> None:
    assert slice_name("x", 7, 10_000, ".tif") == "x_0007.tif"
    assert slice_name("x", 7, 10_001, ".tif") == "x_00007.tif"
    names = [slice_name("x", k, 12_345, ".png") for k in range(12_345)]
    assert names == sorted(names)


def test_real_values_are_written_and_the_type_is_said(tmp_path: Path) -> None:
    array = np.arange(385, dtype="uint16").reshape(SHAPE)
    volume = Volume(array, oblique_grid(SHAPE), Metadata(Rescale(1, -1024, "HU"), stored_range=(0, 4095)))
    for name, prepare in (("a.tif", prepare_tiff), ("b.tif", prepare_imagej), ("c", prepare_tiff_slices)):
        job = written(prepare, volume, tmp_path / name)
        assert any("int16" in note and "uint16" in note for note in job.plan.notes)
        paths = slices_of(tmp_path / name) if name == "c" else [tmp_path / name]
        found = np.array([tifffile.imread(path) for path in paths]).reshape(SHAPE)
        assert found.dtype == "int16"
        assert np.array_equal(found, array.astype(int) - 1024)
        content = json.loads(sidecar_of(tmp_path / name).read_text())["chunkvol"]
        assert content["metadata"]["rescale"] == {"slope": 1.0, "intercept": 0.0, "unit": "HU"}


def test_what_a_file_cannot_hold_is_said() -> None:
    plan = planned(prepare_tiff, noise_volume(oblique_grid(SHAPE)), Path("x.tif")).plan
    assert any("no origin and no direction" in note for note in plan.notes)
    plan = planned(prepare_tiff_slices, noise_volume(oblique_grid(SHAPE), "int8"), Path("x")).plan
    assert any("takes int8 for uint8" in note for note in plan.notes)


def test_a_plan_states_the_result() -> None:
    plan = planned(prepare_tiff, noise_volume(oblique_grid(SHAPE)), Path("x.tif"), action="write it").plan
    assert plan.result.size == (11, 7, 5)
    assert plan.result.spacing == (0.3, 0.5, 0.7)
    assert plan.bytes_written == 2 * 385
    assert "write it" in str(plan)


# ------------------------------------------------------------------------------------------------------ messages


@pytest.mark.parametrize("kind", ["int64", "uint64", "float128"])
@pytest.mark.parametrize("prepare", [prepare_tiff, prepare_tiff_slices, prepare_imagej])
def test_types_without_readers_are_refused(prepare: Any, kind: str) -> None:
    with pytest.raises(InputError, match=f"not {kind}: --dtype puts the values into another type"):
        planned(prepare, Volume(np.zeros(SHAPE, kind), oblique_grid(SHAPE)), Path("x"))


@pytest.mark.parametrize("kind", ["int8", "int32", "uint32", "float64"])
def test_imagej_is_refused_types_that_it_does_not_hold(kind: str) -> None:
    with pytest.raises(InputError, match=f"with uint8, uint16, int16 or float32, not {kind}: --dtype"):
        planned(prepare_imagej, noise_volume(oblique_grid(SHAPE), kind), Path("x.tif"))


def test_an_imagej_stack_ends_at_four_gibibytes() -> None:
    with pytest.raises(InputError, match=r"ends at 4 GiB and x.tif would have 4.2 GiB: --format tiff or ome-tiff"):
        planned(prepare_imagej, huge((1100, 2000, 1024)), Path("x.tif"))


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(InputError, match="TIFF is written with encoding raw or gzip, not 'lzw'"):
        planned(prepare_tiff_slices, noise_volume(oblique_grid(SHAPE)), Path("x"), encoding="lzw")


def test_a_spacing_beyond_tiff_is_refused() -> None:
    volume = Volume(np.zeros(SHAPE, "uint8"), Geometry(SHAPE, spacing=(1, 1e-12, 1)))
    with pytest.raises(InputError, match="a spacing of 1e-12 mm has no place in a TIFF file"):
        planned(prepare_tiff, volume, Path("x.tif"))


@pytest.mark.parametrize("prepare", [prepare_tiff, prepare_tiff_slices])
def test_a_budget_that_fits_nothing_names_the_smallest_that_does(prepare: Any) -> None:
    array = chunked(np.zeros((1, 2000, 2000), "uint16").repeat(20, 0), chunks=(1, -1, -1))
    volume = Volume(array, oblique_grid(array.shape))
    with pytest.raises(BudgetError, match=r"smallest that fits is --memory (\d+)MiB") as error:
        planned(prepare, volume, Path("x"), budget=20 * MIB)
    smallest = int(str(error.value).split()[-1].removesuffix("MiB")) * MIB
    planned(prepare, volume, Path("x"), budget=smallest)
