"""Writing MetaImage: ITK reads the same grid and voxels, and the bytes never depend on how they were made."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from chunkvol import execute, output
from chunkvol.errors import InputError
from chunkvol.flatfile import FlatJob
from chunkvol.formats.metaimage import metaimage_names, open_metaimage, parse_header, prepare_metaimage
from chunkvol.geometry import Geometry
from chunkvol.memory import MIB, Terms
from chunkvol.metadata import Metadata, Rescale
from chunkvol.progress import Silent
from chunkvol.volume import Volume
from tests.support.grids import GRIDS, grids, noise_volume, oblique_grid, ramp_values, ramp_volume

SHAPE = (7, 5, 3)
KINDS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")
FORMS = [("x.mha", "raw"), ("x.mha", "gzip"), ("x.mhd", "raw"), ("x.mhd", "gzip")]


def written(volume: Volume, target: Path, *, workers: int = 2, budget: int = 1 << 30, **options: Any) -> FlatJob:
    job = prepare_metaimage(volume, target, Terms(workers, budget, 0, "write"), **options)
    with (
        execute.connected("threads", workers) as runner,
        output.staging(target, job.names) as folder,
    ):
        job.run(folder, runner, Silent())
    return job


def opened(path: Path) -> Volume:
    return open_metaimage(path, Silent())


def by_itk(path: Path) -> tuple[Any, Any]:
    itk = pytest.importorskip("SimpleITK")
    image = itk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return itk.GetArrayFromImage(image), affine


# ---------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize(("name", "encoding"), FORMS)
@pytest.mark.parametrize("grid", GRIDS)
def test_a_ramp_comes_back_on_its_grid(tmp_path: Path, name: str, encoding: str, grid: str) -> None:
    volume = ramp_volume(GRIDS[grid](SHAPE))
    written(volume, tmp_path / name, encoding=encoding)
    found = opened(tmp_path / name)
    assert found.geometry == volume.geometry
    assert np.array_equal(found.read(), ramp_values(found.geometry))
    assert found.metadata.problems == ()
    assert not found.metadata.assumed


@given(geometry=grids())
@settings(max_examples=40)
def test_any_grid_comes_back_to_the_last_bit(tmp_path_factory: pytest.TempPathFactory, geometry: Geometry) -> None:
    target = tmp_path_factory.mktemp("g") / "x.mha"
    written(Volume(np.zeros(geometry.shape, "u1"), geometry), target)
    found = opened(target).geometry
    assert (found.origin, found.shape) == (geometry.origin, geometry.shape)
    assert np.allclose(found.affine, geometry.affine, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize("shape", [(70, 130, 150), (3, 700, 1100), (1, 1, 1), (900, 13, 11)])
def test_bytes_do_not_depend_on_workers_or_budget(tmp_path: Path, encoding: str, shape: tuple[int, int, int]) -> None:
    array = np.random.default_rng(1).normal(0, 30, shape).astype("int16")
    volume = Volume(array, oblique_grid(shape))
    results = set()
    for workers, budget in ((1, 1 << 30), (3, 60 * MIB), (1, 40 * MIB)):
        folder = tmp_path / f"{workers}-{budget}"
        folder.mkdir()
        job = written(volume, folder / "x.mhd", workers=workers, budget=budget, encoding=encoding)
        results.add(tuple((folder / name).read_bytes() for name in job.names))
    assert len(results) == 1
    assert np.array_equal(opened(folder / "x.mhd").read(), array)


# ------------------------------------------------------------------------------------------------------- oracles


@pytest.mark.parametrize(("name", "encoding"), FORMS)
@pytest.mark.parametrize("grid", GRIDS)
def test_itk_reads_the_same_grid(tmp_path: Path, name: str, encoding: str, grid: str) -> None:
    volume = noise_volume(GRIDS[grid](SHAPE))
    written(volume, tmp_path / name, encoding=encoding)
    array, affine = by_itk(tmp_path / name)
    assert np.array_equal(array, volume.data)
    assert np.array_equal(affine, volume.geometry.affine[:, [2, 1, 0, 3]])


@pytest.mark.parametrize(("name", "encoding"), FORMS[:3])
@pytest.mark.parametrize("kind", KINDS)
def test_itk_reads_every_type(tmp_path: Path, name: str, encoding: str, kind: str) -> None:
    volume = noise_volume(oblique_grid(SHAPE), kind)
    written(volume, tmp_path / name, encoding=encoding)
    array, _ = by_itk(tmp_path / name)
    assert array.dtype == kind
    assert np.array_equal(array, volume.data)
    assert np.array_equal(opened(tmp_path / name).read(), volume.data)


def test_itk_reads_a_stream_of_many_cells(tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid((40, 210, 190)), "uint8")
    written(volume, tmp_path / "x.mha", encoding="gzip")
    assert np.array_equal(by_itk(tmp_path / "x.mha")[0], volume.data)


@pytest.mark.parametrize("length", [388, 389, 390, 391, 392, 393, 1200])
def test_provenance_comes_back_and_itk_keeps_it(tmp_path: Path, length: int) -> None:
    itk = pytest.importorskip("SimpleITK")
    long = "resample " + ("a b " * 300)[:length] + "end"
    metadata = Metadata(Rescale(unit="µm"), assumed=True, source="abc", history=("crop 1:2, a=b: c", long))
    volume = replace(noise_volume(oblique_grid(SHAPE)), metadata=metadata)
    written(volume, tmp_path / "x.mha")
    found = opened(tmp_path / "x.mha")
    assert found.metadata == metadata
    image = itk.ReadImage(str(tmp_path / "x.mha"))
    assert image.GetMetaData("chunkvol_source") == "abc"
    assert (
        max(len(line) for line in (tmp_path / "x.mha").read_bytes().split(b"\nElementDataFile")[0].split(b"\n")) < 500
    )
    assert np.array_equal(itk.GetArrayFromImage(image), volume.data)


# -------------------------------------------------------------------------------------------------------- corners


def test_the_header_is_what_itk_writes(tmp_path: Path) -> None:
    volume = Volume(np.zeros((4, 3, 2), "uint16"), Geometry((4, 3, 2), (1.5, -2, 0.1), (3, 2, 1)))
    written(volume, tmp_path / "x.mhd", encoding="gzip")
    assert (tmp_path / "x.mhd").read_text().splitlines() == [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = True",
        f"CompressedDataSize = {(tmp_path / 'x.zraw').stat().st_size:020d}",
        "TransformMatrix = 1 0 0 0 1 0 0 0 1",
        "Offset = 1.5 -2 0.1",
        "CenterOfRotation = 0 0 0",
        "ElementSpacing = 1 2 3",
        "DimSize = 2 3 4",
        "ElementType = MET_USHORT",
        "chunkvol_version = 0.1.0",
        "chunkvol_geometry = stated",
        "ElementDataFile = x.zraw",
    ]


def test_the_length_of_the_stream_is_put_into_the_attached_header(tmp_path: Path) -> None:
    written(noise_volume(oblique_grid(SHAPE)), tmp_path / "x.mha", encoding="gzip")
    header = parse_header(tmp_path / "x.mha")
    assert header.integer("CompressedDataSize", least=0) == (tmp_path / "x.mha").stat().st_size - len(header.text)


@pytest.mark.parametrize(
    ("name", "encoding", "names"),
    [
        ("a.mha", "gzip", ("a.mha",)),
        ("a.b.mhd", "raw", ("a.b.raw", "a.b.mhd")),
        ("A.MHD", "gzip", ("A.zraw", "A.MHD")),
    ],
)
def test_data_lie_beside_a_detached_header(name: str, encoding: str, names: tuple[str, ...]) -> None:
    assert metaimage_names(Path(name), encoding) == names


def test_a_slope_is_applied_and_said(tmp_path: Path) -> None:
    volume = Volume(np.arange(105, dtype="u2").reshape(SHAPE), oblique_grid(SHAPE), Metadata(Rescale(0.5, -10, "HU")))
    job = written(volume, tmp_path / "x.mha")
    assert any("MetaImage has no slope" in note for note in job.plan.notes)
    assert np.array_equal(opened(tmp_path / "x.mha").read(), volume.data * 0.5 - 10)


def test_a_job_can_be_sent_to_a_worker(tmp_path: Path) -> None:
    job = prepare_metaimage(
        noise_volume(oblique_grid(SHAPE)), tmp_path / "x.mha", Terms(1, 1 << 30, 0, "write"), encoding="gzip"
    )
    assert pickle.loads(pickle.dumps(job.file)) == job.file


# -------------------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize("name", ["a%03d.mhd", "LIST.mhd", " a.mhd", "50%.mhd"])
def test_names_that_mean_something_else_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot name the data file"):
        written(noise_volume(oblique_grid(SHAPE)), tmp_path / name)


def test_types_and_encodings_without_a_place_are_refused(tmp_path: Path) -> None:
    grid = oblique_grid(SHAPE)
    with pytest.raises(InputError, match="not float128"):
        written(Volume(np.zeros(SHAPE, "longdouble"), grid), tmp_path / "x.mha")
    with pytest.raises(InputError, match="MetaImage is written with encoding raw or gzip, not 'bzip2'"):
        written(noise_volume(grid), tmp_path / "x.mha", encoding="bzip2")
