"""Writing NRRD: other programs read the same grid and voxels, and the bytes never depend on how they were made."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkvol import execute, output
from chunkvol.errors import BudgetError, InputError
from chunkvol.flatfile import FlatJob
from chunkvol.formats.nrrd import open_nrrd, prepare_nrrd
from chunkvol.geometry import Geometry
from chunkvol.memory import MIB, Terms
from chunkvol.metadata import Metadata, Rescale
from chunkvol.packing import deflate
from chunkvol.packing.checksums import crc32_combine
from chunkvol.progress import Silent
from chunkvol.volume import Volume
from tests.support.grids import minus_grid, noise_volume, oblique_grid, ramp_values, ramp_volume

KINDS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")
SHAPE = (7, 5, 3)


def written(volume: Volume, target: Path, *, workers: int = 2, budget: int = 1 << 30, **options: Any) -> FlatJob:
    job = prepare_nrrd(volume, target, Terms(workers, budget, 0, "write"), **options)
    with (
        execute.connected("threads", workers) as runner,
        output.staging(target, job.names) as folder,
    ):
        job.run(folder, runner, Silent())
    assert sorted(p.name for p in target.parent.iterdir() if p.name.startswith(".")) == []
    return job


def sheared_grid() -> Geometry:
    steps = np.array([[0.1, 0.2, 2.0], [0.0, 0.5, 0.0], [0.4, 0.0, 0.0]])
    return Geometry.from_steps(SHAPE, (1, 2, 3), steps)


GRIDS = {
    "oblique": oblique_grid(SHAPE),
    "left-handed": oblique_grid(SHAPE, mirrored=True),
    "minus": minus_grid(SHAPE),
    "sheared": sheared_grid(),
}
FORMS = [("x.nrrd", "raw"), ("x.nrrd", "gzip"), ("x.nhdr", "raw"), ("x.nhdr", "gzip")]


# ------------------------------------------------------------------------------------------------------- oracles


def affine_ijk(geometry: Geometry) -> Any:
    """From (i, j, k, 1) to LPS."""
    return geometry.affine[:, [2, 1, 0, 3]]


def by_itk(path: Path) -> tuple[Any, Any]:
    itk = pytest.importorskip("SimpleITK")
    image = itk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return itk.GetArrayFromImage(image), affine


def by_pynrrd(path: Path) -> tuple[Any, Any]:
    nrrd = pytest.importorskip("nrrd")
    array, header = nrrd.read(str(path), index_order="C")
    assert header["space"] == "left-posterior-superior"
    affine = np.eye(4)
    affine[:3, :3] = header["space directions"].T
    affine[:3, 3] = header["space origin"]
    return array, affine


def by_teem(path: Path) -> tuple[Any, Any]:
    unu = shutil.which("teem-unu")
    if unu is None:
        pytest.skip("teem-unu is not installed (Debian: teem-apps)")
    copy = path.with_name("teem.nrrd")
    subprocess.run([unu, "save", "-f", "nrrd", "-e", "raw", "-i", path, "-o", copy], check=True, capture_output=True)
    return by_pynrrd(copy)


@pytest.mark.parametrize("read", [by_itk, by_pynrrd, by_teem])
@pytest.mark.parametrize(("name", "encoding"), FORMS)
@pytest.mark.parametrize("grid", GRIDS)
def test_other_programs_read_the_same_grid(tmp_path: Path, read: Any, name: str, encoding: str, grid: str) -> None:
    volume = noise_volume(GRIDS[grid])
    written(volume, tmp_path / name, encoding=encoding)
    array, affine = read(tmp_path / name)
    assert np.array_equal(array, volume.data)
    assert np.allclose(affine, affine_ijk(volume.geometry), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("read", [by_itk, by_pynrrd, by_teem])
@pytest.mark.parametrize(("name", "encoding"), FORMS[1:3])
@pytest.mark.parametrize("kind", KINDS)
def test_other_programs_read_every_type(tmp_path: Path, read: Any, name: str, encoding: str, kind: str) -> None:
    volume = noise_volume(GRIDS["oblique"], kind)
    written(volume, tmp_path / name, encoding=encoding)
    array, _ = read(tmp_path / name)
    assert array.dtype == kind
    assert np.array_equal(array, volume.data)


# --------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize(("name", "encoding"), FORMS)
@pytest.mark.parametrize("grid", GRIDS)
def test_a_ramp_comes_back_on_its_grid(tmp_path: Path, name: str, encoding: str, grid: str) -> None:
    volume = ramp_volume(GRIDS[grid])
    written(volume, tmp_path / name, encoding=encoding)
    found = open_nrrd(tmp_path / name)
    assert np.allclose(found.read(), ramp_values(found.geometry), rtol=0, atol=1e-9)
    assert found.geometry.is_close(volume.geometry, 1e-12)
    assert found.metadata.problems == ()


def chunked(array: Any, **chunks: Any) -> Any:
    import dask.array

    make: Any = dask.array.from_array  # untyped
    return make(array, **chunks)


def bytes_of(job: FlatJob, folder: Path) -> bytes:
    return b"".join((folder / name).read_bytes() for name in job.names)


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize("shape", [(70, 130, 150), (3, 700, 1100), (1, 1, 1), (900, 13, 11)])
def test_bytes_do_not_depend_on_workers_budget_or_chunks(
    tmp_path: Path, encoding: str, shape: tuple[int, int, int]
) -> None:
    array = (np.random.default_rng(1).normal(0, 30, shape)).astype("int16")
    grid = oblique_grid(shape)
    sources = [
        array,
        chunked(array, chunks=(32, 40, 50)),
        chunked(array, chunks=(1, -1, -1)),
    ]
    results = set()
    for number, source in enumerate(sources):
        for workers, budget in ((1, 1 << 30), (3, 60 * MIB), (1, 40 * MIB)):
            folder = tmp_path / f"{number}-{workers}-{budget}"
            folder.mkdir()
            job = written(Volume(source, grid), folder / "x.nrrd", workers=workers, budget=budget, encoding=encoding)
            results.add(bytes_of(job, folder))
    assert len(results) == 1
    assert np.array_equal(open_nrrd(folder / "x.nrrd").read(), array)


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_a_unit_that_is_run_twice_changes_nothing(tmp_path: Path, encoding: str) -> None:
    volume = noise_volume(oblique_grid((64, 300, 300)))
    job = written(volume, tmp_path / "x.nrrd", encoding=encoding)
    whole = bytes_of(job, tmp_path)

    def twice(work: execute.Work, progress: Any) -> None:
        done = [work.run(work.job, unit) for unit in [*work.units, *reversed(work.units)]]
        assert sum(done) == 2 * work.total

    folder = tmp_path / "again"
    folder.mkdir()
    job.run(folder, twice, Silent())
    assert bytes_of(job, folder) == whole


@given(data=st.binary(max_size=300), cut=st.integers(0, 300))
@settings(max_examples=50)
def test_joined_checksums_are_those_of_the_joined_bytes(data: bytes, cut: int) -> None:
    a, b = data[:cut], data[cut:]
    assert crc32_combine(zlib.crc32(a), zlib.crc32(b), len(b)) == zlib.crc32(data)


def test_joined_checksums_hold_for_lengths_beyond_four_gibibytes() -> None:
    length = (1 << 32) + 5
    block = bytes(1 << 20)
    crc = zlib.crc32(b"abc")
    want = crc
    for _ in range(length >> 20):
        want = zlib.crc32(block, want)
    want = zlib.crc32(block[: length % (1 << 20)], want)
    zeros = zlib.crc32(b"")
    for _ in range(length >> 20):
        zeros = zlib.crc32(block, zeros)
    zeros = zlib.crc32(block[: length % (1 << 20)], zeros)
    assert crc32_combine(crc, zeros, length) == want


def test_the_gzip_stream_is_one_ordinary_member(tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid((20, 300, 310)), "uint16")
    written(volume, tmp_path / "x.nhdr", encoding="gzip")
    stream = (tmp_path / "x.raw.gz").read_bytes()
    engine = zlib.decompressobj(31)
    assert engine.decompress(stream) == volume.data.tobytes()
    assert engine.eof
    assert engine.unused_data == b""
    assert gzip.decompress(stream) == volume.data.tobytes()
    assert stream[4:8] == bytes(4)


def test_cells_are_contiguous_and_known_from_the_shape_alone() -> None:
    assert deflate.cell_extent((10, 2000, 2000), 2) == (1, 131)
    assert deflate.cell_extent((1000, 100, 100), 2) == (16, 100)
    assert deflate.cell_extent((3, 10, 10), 2) == (3, 10)
    assert deflate.cell_extent((3, 10, 1 << 20), 2) == (1, 1)


# ------------------------------------------------------------------------------------------- values and metadata


def test_real_values_are_written_and_the_type_is_said(tmp_path: Path) -> None:
    array = np.arange(105, dtype="uint16").reshape(SHAPE)
    metadata = Metadata(Rescale(1, -1024, "HU"), stored_range=(0, 4095), source="abc", history=("crop",))
    job = written(Volume(array, GRIDS["oblique"], metadata), tmp_path / "x.nrrd")
    found = open_nrrd(tmp_path / "x.nrrd")
    assert found.dtype == np.dtype("int16")
    assert np.array_equal(found.read(), array.astype(int) - 1024)
    assert found.metadata.rescale == Rescale(unit="HU")
    assert (found.metadata.source, found.metadata.history) == ("abc", ("crop",))
    assert any("int16" in note and "uint16" in note for note in job.plan.notes)


def test_a_plan_without_rescale_has_no_notes_and_states_the_result(tmp_path: Path) -> None:
    plan = prepare_nrrd(noise_volume(GRIDS["oblique"]), tmp_path / "x.nrrd", Terms(1, 1 << 30, 5, "write it")).plan
    assert plan.notes == ()
    assert plan.result.size == SHAPE[::-1]
    assert plan.result.spacing == GRIDS["oblique"].spacing[::-1]
    assert plan.bytes_written == 2 * 105
    assert "write it" in str(plan)


def test_a_packed_input_is_staged_cropped_and_given_back(tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid((20, 30, 40)))
    written(volume, tmp_path / "x.nrrd", encoding="gzip")
    part = open_nrrd(tmp_path / "x.nrrd")[2:9, 3:30, 5:6]
    job = written(part, tmp_path / "y.nrrd")
    assert [phase.name for phase in job.plan.phases] == ["unpack", "write"]
    assert job.plan.scratch == volume.data.nbytes
    found = open_nrrd(tmp_path / "y.nrrd")
    assert np.array_equal(found.read(), volume.data[2:9, 3:30, 5:6])
    assert found.geometry.is_close(part.geometry, 1e-12)


def test_an_assumed_grid_stays_assumed(tmp_path: Path) -> None:
    volume = replace(noise_volume(GRIDS["minus"]), metadata=Metadata(assumed=True))
    written(volume, tmp_path / "x.nrrd")
    assert open_nrrd(tmp_path / "x.nrrd").metadata.assumed


# ------------------------------------------------------------------------------------------------------ messages


@pytest.mark.parametrize(
    ("name", "kind", "options", "message"),
    [
        ("x.nrrd", "uint16", {"encoding": "bzip2"}, "raw or gzip, not 'bzip2'"),
        ("x.nrrd", "longdouble", {}, "not float128"),
        ("x%d.nhdr", "uint16", {}, "cannot name the data file"),
        ("list.nhdr", "uint16", {}, "cannot name the data file"),
    ],
)
def test_what_has_no_place_in_nrrd_is_refused(
    tmp_path: Path, name: str, kind: str, options: dict[str, str], message: str
) -> None:
    volume = Volume(np.zeros(SHAPE, kind), GRIDS["oblique"])
    with pytest.raises(InputError, match=message):
        prepare_nrrd(volume, tmp_path / name, Terms(1, 1 << 30, 0, ""), **options)


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_a_budget_that_fits_nothing_names_the_smallest_that_does(tmp_path: Path, encoding: str) -> None:
    array = chunked(np.zeros((1, 2000, 2000), "uint16").repeat(20, 0), chunks=(1, -1, -1))
    volume = Volume(array, oblique_grid(array.shape))
    with pytest.raises(BudgetError, match=r"smallest that fits is --memory (\d+)MiB") as error:
        prepare_nrrd(volume, tmp_path / "x.nrrd", Terms(2, 20 * MIB, 0, ""), encoding=encoding)
    smallest = int(str(error.value).split()[-1].removesuffix("MiB")) * MIB
    prepare_nrrd(volume, tmp_path / "x.nrrd", Terms(2, smallest, 0, ""), encoding=encoding)


# -------------------------------------------------------------------------------------------------------- memory

CHILD = """
import sys
from pathlib import Path
import dask.threaded
import numpy as np
from chunkvol import Geometry, Volume, execute, output, system
from chunkvol.formats.nrrd import open_nrrd, prepare_nrrd
from chunkvol.memory import Terms
from chunkvol.progress import Silent

encoding, planes, room, source = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
volume = open_nrrd(Path(source))[:planes]
baseline = system.resident_memory()
target = Path(source).with_name(f"out-{encoding}-{planes}.nrrd")
job = prepare_nrrd(volume, target, Terms(2, baseline + room, baseline, "write"), encoding=encoding)
with execute.connected("threads", 2) as runner, output.staging(target, job.names) as folder:
    job.run(folder, runner, Silent())
target.unlink()
print(job.plan.peak_bytes, system.peak_memory(), baseline)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw file of 400 planes of half a MiB, most of them holes, and its gzip twin."""
    folder = tmp_path_factory.mktemp("large")
    fields = "NRRD0004\ntype: ushort\ndimension: 3\nsizes: 512 512 400\nendian: little\n"
    noise = np.random.default_rng(0).integers(0, 4000, 1 << 18, "uint16").tobytes()
    (folder / "x.nhdr").write_text(fields + "encoding: raw\ndata file: x.raw\n")
    (folder / "z.nhdr").write_text(fields + "encoding: gzip\ndata file: z.raw.gz\n")
    with open(folder / "x.raw", "wb") as file, gzip.open(folder / "z.raw.gz", "wb", compresslevel=1) as packed:
        file.truncate(400 << 19)
        for k in (0, 1, 2, 150, 399):
            file.seek(k << 19)
            file.write(noise)
        for k in range(400):
            packed.write(noise if k in (0, 1, 2, 150, 399) else bytes(1 << 19))
    return folder


@pytest.mark.memory
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
@pytest.mark.parametrize(("encoding", "source"), [("raw", "x.nhdr"), ("gzip", "x.nhdr"), ("raw", "z.nhdr")])
def test_measured_memory_keeps_the_promise_and_is_flat(large: Path, encoding: str, source: str) -> None:
    peaks = []
    for planes in (100, 400):
        command = [sys.executable, "-c", CHILD, encoding, str(planes), str(60 * MIB), str(large / source)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        promised, measured, baseline = map(int, done.stdout.split())
        print(f"{encoding} of {source}, {planes} planes: promised {promised}, measured {measured}, at start {baseline}")
        assert measured <= promised <= 1.3 * measured + 64 * MIB
        peaks.append(measured)
    assert peaks[1] <= peaks[0] + 8 * MIB
