"""Writing NIfTI: nibabel and ITK read the same grid and values, and the bytes never depend on how they were made."""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings

import chunkvol
from chunkvol import execute, output
from chunkvol.errors import BudgetError, GeometryError, InputError
from chunkvol.flatfile import FlatJob
from chunkvol.formats.nifti import geometry_from_header, header_from_geometry, open_nifti, prepare_nifti
from chunkvol.formats.nifti.layout import LAYOUTS
from chunkvol.geometry import Geometry
from chunkvol.memory import MIB, Terms
from chunkvol.metadata import Metadata, Rescale
from chunkvol.progress import Silent
from chunkvol.volume import Volume
from tests.support.grids import GRIDS, grids, noise_volume, oblique_grid, ramp_values, ramp_volume, sheared_grid

KINDS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")
SHAPE = (7, 5, 3)
NAMES = ["x.nii", "x.nii.gz"]
FORMS = [(name, version) for name in NAMES for version in ("1", "2")]


def prepared(volume: Volume, target: Path, *, workers: int = 2, budget: int = 1 << 30, **options: Any) -> FlatJob:
    return prepare_nifti(volume, target, Terms(workers, budget, 0, "write"), **options)


def written(volume: Volume, target: Path, *, workers: int = 2, budget: int = 1 << 30, **options: Any) -> FlatJob:
    job = prepared(volume, target, workers=workers, budget=budget, **options)
    with execute.connected("threads", workers) as runner, output.staging(target, job.names) as folder:
        job.run(folder, runner, Silent())
    return job


def opened(path: Path) -> Volume:
    return open_nifti(path, Silent())


def bytes_of(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def single_precision(geometry: Geometry) -> float:
    """Voxels that rounding to float32 may move a corner."""
    far = np.abs(geometry.corners).max() + np.linalg.norm(np.ptp(geometry.corners, axis=0))
    return float(far * 2.0**-23 / min(geometry.spacing)) + 1e-7


# ---------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize(("name", "version"), FORMS)
@pytest.mark.parametrize("grid", GRIDS)
def test_a_ramp_comes_back_on_its_grid(tmp_path: Path, name: str, version: str, grid: str) -> None:
    volume = ramp_volume(GRIDS[grid](SHAPE))
    written(volume, tmp_path / name, nifti_version=version)
    found = opened(tmp_path / name)
    precision = single_precision(volume.geometry) if version == "1" else 1e-12
    assert found.geometry.is_close(volume.geometry, precision)
    assert np.allclose(found.read(), ramp_values(found.geometry), rtol=0, atol=1e-4 if version == "1" else 1e-9)
    assert found.metadata.problems == ()
    assert not found.metadata.assumed


@given(geometry=grids())
@settings(max_examples=60)
def test_every_grid_survives_both_versions_and_both_of_their_forms(geometry: Geometry) -> None:
    for version, exact in ((1, False), (2, True)):
        raw = header_from_geometry(geometry, np.dtype("uint8"), Metadata(), version)
        record = np.frombuffer(raw, LAYOUTS[version], 1)[0]
        fields = {name: record[name].tolist() for name in LAYOUTS[version].names or ()}
        precision = 1e-9 if exact else single_precision(geometry)
        epsilon = 2.0**-52 if exact else 2.0**-23
        by_sform = geometry_from_header(fields, geometry.shape, epsilon=epsilon)
        assert by_sform.problems == ()
        assert by_sform.geometry.is_close(geometry, precision)
        by_qform = geometry_from_header(fields | {"sform_code": 0}, geometry.shape).geometry
        # Near half a turn a quaternion of single precision keeps a tilt to 5e-4 rad.
        slack = 1e-7 if exact else 5e-4
        assert by_qform.is_close(
            geometry, precision + slack * max(geometry.shape) * max(geometry.spacing) / min(geometry.spacing)
        )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(70, 130, 150), (3, 700, 1100), (1, 1, 1), (900, 13, 11)])
def test_bytes_do_not_depend_on_workers_or_budget(tmp_path: Path, name: str, shape: tuple[int, int, int]) -> None:
    array = (np.random.default_rng(1).normal(0, 30, shape)).astype("int16")
    volume = Volume(array, oblique_grid(shape))
    results = set()
    for workers, budget in ((1, 1 << 30), (3, 60 * MIB), (1, 40 * MIB)):
        folder = tmp_path / f"{workers}-{budget}"
        folder.mkdir()
        written(volume, folder / name, workers=workers, budget=budget)
        results.add((folder / name).read_bytes())
    assert len(results) == 1
    assert np.array_equal(opened(folder / name).read(), array)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_is_written_again_to_the_same_bytes(tmp_path: Path, name: str) -> None:
    first = Volume(np.arange(105, dtype="u2").reshape(SHAPE), oblique_grid(SHAPE), Metadata(Rescale(0.5, -3)))
    written(first, tmp_path / name)
    again = chunkvol.open_volume(tmp_path / name)
    (tmp_path / "again").mkdir()
    written(again, tmp_path / "again" / name)
    # Of directions from rounded numbers the last bits may turn once more.
    assert bytes_of(tmp_path / name)[352:] == bytes_of(tmp_path / "again" / name)[352:]
    assert opened(tmp_path / "again" / name).geometry.is_close(again.geometry, 1e-5)


def test_a_packed_input_is_staged_cropped_and_given_back(tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid((20, 30, 40)))
    written(volume, tmp_path / "x.nii.gz")
    part = opened(tmp_path / "x.nii.gz")[2:9, 3:30, 5:6]
    job = written(part, tmp_path / "y.nii")
    assert [phase.name for phase in job.plan.phases] == ["unpack", "write"]
    found = opened(tmp_path / "y.nii")
    assert np.array_equal(found.read(), volume.data[2:9, 3:30, 5:6])
    assert found.geometry.is_close(part.geometry, 1e-4)


# ------------------------------------------------------------------------------------------------------- oracles


def affine_ijk(geometry: Geometry) -> npt.NDArray[np.float64]:
    """From (i, j, k, 1) to LPS."""
    return geometry.affine[:, [2, 1, 0, 3]]


def by_itk(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    itk = pytest.importorskip("SimpleITK")
    image = itk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return itk.GetArrayFromImage(image), affine


def by_nibabel(path: Path) -> Any:
    return pytest.importorskip("nibabel").load(path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("grid", [grid for grid in GRIDS if grid != "sheared"])
def test_itk_reads_the_same_place(tmp_path: Path, name: str, grid: str) -> None:
    volume = ramp_volume(GRIDS[grid](SHAPE))
    job = written(volume, tmp_path / name)
    array, affine = by_itk(tmp_path / name)
    assert np.array_equal(array, volume.data)
    assert np.allclose(affine, affine_ijk(volume.geometry), rtol=0, atol=1e-5)
    assert not any("ITK" in note for note in job.plan.notes)


@pytest.mark.parametrize(("name", "version"), FORMS)
@pytest.mark.parametrize("grid", GRIDS)
def test_nibabel_reads_the_same_place_by_either_form(tmp_path: Path, name: str, version: str, grid: str) -> None:
    volume = ramp_volume(GRIDS[grid](SHAPE))
    written(volume, tmp_path / name, nifti_version=version)
    image = by_nibabel(tmp_path / name)
    lps = np.diag([-1, -1, 1, 1])
    atol = 1e-5 if version == "1" else 1e-12
    assert np.array_equal(np.asarray(image.dataobj).T, volume.data)
    assert np.allclose(lps @ image.affine, affine_ijk(volume.geometry), rtol=0, atol=atol)
    assert np.allclose(image.header.get_zooms(), volume.geometry.spacing[::-1], rtol=1e-7)
    assert image.header.get_xyzt_units() == ("mm", "unknown")
    qform, code = image.get_qform(coded=True)
    assert code == (0 if grid == "sheared" else 1)
    if code:
        assert np.allclose(lps @ qform, affine_ijk(volume.geometry), rtol=0, atol=max(atol, 1e-6))
    assert image.header["magic"] == {"1": b"n+1", "2": b"n+2"}[version]
    assert not image.header.extensions


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [Rescale(), Rescale(1, -1024, "HU"), Rescale(-0.375, 1.5)])
def test_stored_values_and_their_slope_are_kept(tmp_path: Path, kind: str, scale: Rescale) -> None:
    volume = replace(noise_volume(oblique_grid(SHAPE), kind), metadata=Metadata(scale))
    job = written(volume, tmp_path / "x.nii")
    assert job.plan.notes == ()
    found = opened(tmp_path / "x.nii")
    assert found.dtype == np.dtype(kind)
    assert np.array_equal(found.read(), volume.data)
    assert found.metadata.rescale == replace(scale, unit="")
    image = by_nibabel(tmp_path / "x.nii")
    want = volume.data.astype("f8") * scale.slope + scale.intercept
    assert np.array_equal(image.get_fdata().T, want)
    by = by_itk(tmp_path / "x.nii")[0]
    if scale.is_identity:
        assert by.dtype == np.dtype(kind)
    assert np.allclose(by, want, rtol=1e-6, atol=1e-6 * np.abs(want).max())


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_slope_beyond_the_header_gives_real_values_and_says_so(tmp_path: Path, version: str) -> None:
    array = np.arange(105, dtype="uint16").reshape(SHAPE)
    volume = Volume(array, oblique_grid(SHAPE), Metadata(Rescale(0.1, -1000)))
    job = written(volume, tmp_path / "x.nii", nifti_version=version)
    found = opened(tmp_path / "x.nii")
    if version == "2":
        assert (found.dtype, found.metadata.rescale) == (np.dtype("uint16"), Rescale(0.1, -1000))
        return
    assert found.metadata.rescale.is_identity
    assert np.array_equal(found.read(), (array * 0.1 - 1000).astype("f4"))
    assert job.plan.notes == (
        "this NIfTI header cannot hold the slope and intercept exactly: real values (0.1 * stored - 1000) are written "
        "as float32, the input holds uint16",
    )


@pytest.mark.parametrize("slope", [0.1, -0.1, 1e-9, 1e20, 1 / 3])
def test_stored_values_and_slope_survive_the_decimal_text_of_dicom(tmp_path: Path, slope: float) -> None:
    scale = Rescale(float(np.float32(slope)), float(np.float32(-3.3)))
    array = np.arange(-50, 55, dtype="int16").reshape(SHAPE)
    chunkvol.write_volume(Volume(array, oblique_grid(SHAPE), Metadata(scale)), tmp_path / "series")
    back = chunkvol.open_volume(tmp_path / "series")
    assert back.metadata.rescale != scale
    job = written(back, tmp_path / "x.nii")
    assert "single precision that their decimal text was made of" in job.plan.notes[0]
    found = opened(tmp_path / "x.nii")
    assert (found.dtype, replace(found.metadata.rescale, unit="")) == (np.dtype("int16"), scale)
    assert np.array_equal(found.read(), array)


def test_a_slope_that_float32_takes_for_zero_is_not_left_to_mean_none(tmp_path: Path) -> None:
    volume = Volume(np.ones(SHAPE, "u1"), oblique_grid(SHAPE), Metadata(Rescale(1e-60, 7)))
    written(volume, tmp_path / "x.nii")
    assert (by_nibabel(tmp_path / "x.nii").get_fdata() == 7).all()


# ------------------------------------------------------------------------------------------------- the header


def test_the_header_is_plain(tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid(SHAPE))
    for name, version, start in (("x.nii", "1", 352), ("y.nii", "2", 544)):
        written(volume, tmp_path / name, nifti_version=version)
        content = (tmp_path / name).read_bytes()
        assert len(content) == start + 2 * 105
        assert content[start - 4 : start] == bytes(4)
        assert content[start:] == volume.data.astype("<u2").tobytes()
    whole = (tmp_path / "x.nii").read_bytes()
    assert struct.unpack_from("<i", whole) == (348,)
    assert struct.unpack_from("<8h", whole, 40) == (3, 3, 5, 7, 1, 1, 1, 1)
    assert struct.unpack_from("<fff", whole, 108) == (352, 1, 0)
    assert struct.unpack_from("<hh", whole, 252) == (1, 1)


def test_the_gzip_stream_is_one_ordinary_member(tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid((20, 300, 310)))
    written(volume, tmp_path / "x.nii")
    written(volume, tmp_path / "x.nii.gz")
    stream = (tmp_path / "x.nii.gz").read_bytes()
    engine = zlib.decompressobj(31)
    assert engine.decompress(stream) == (tmp_path / "x.nii").read_bytes()
    assert engine.eof
    assert engine.unused_data == b""
    assert stream[4:8] == bytes(4)


def test_the_description_says_what_was_done_as_far_as_it_fits(tmp_path: Path) -> None:
    plain = Metadata(history=("crop 0:7,0:5,0:3",))
    long = Metadata(history=tuple(f"crop {n}" for n in range(20)), assumed=True)
    for metadata, end in ((plain, b"; crop 0:7,0:5,0:3"), (long, b"...")):
        written(Volume(np.zeros(SHAPE, "u1"), oblique_grid(SHAPE), metadata), tmp_path / "x.nii")
        text = by_nibabel(tmp_path / "x.nii").header["descrip"].item()
        assert text.startswith(f"chunkvol {chunkvol.__version__}; ".encode())
        assert text.endswith(end)
        assert len(text) <= 79
        (tmp_path / "x.nii").unlink()


def test_an_assumed_grid_stays_assumed(tmp_path: Path) -> None:
    volume = replace(noise_volume(oblique_grid(SHAPE)), metadata=Metadata(assumed=True))
    written(volume, tmp_path / "x.nii")
    assert b"geometry assumed" in (tmp_path / "x.nii").read_bytes()[148:228]
    found = opened(tmp_path / "x.nii")
    assert found.metadata.assumed
    assert found.metadata.problems == ("the header says that its geometry was assumed",)


def test_nothing_of_the_patient_is_written(tmp_path: Path) -> None:
    metadata = Metadata(extra={"patient": {"name": "A^B"}, "study_date": "20240131"}, source="abc")
    written(Volume(np.zeros(SHAPE, "u1"), oblique_grid(SHAPE), metadata), tmp_path / "x.nii")
    content = (tmp_path / "x.nii").read_bytes()
    assert b"A^B" not in content
    assert b"20240131" not in content


# --------------------------------------------------------------------------------------------------------- notes


def test_axes_that_are_not_perpendicular_are_said_as_itk_judges_them(tmp_path: Path) -> None:
    itk = pytest.importorskip("SimpleITK")
    for number, shear in enumerate((0.0, 1e-6, 5e-5, 9e-5, 1.3e-4, 1e-3, 0.2)):
        steps = [(0.0, -2.4 * shear, 2.4), (0.0, 0.5, 0.0), (0.75, 0.0, 0.0)]
        path = tmp_path / f"{number}.nii"
        job = written(ramp_volume(Geometry.from_steps(SHAPE, (-20, 33, -5.5), steps)), path)
        said = [note for note in job.plan.notes if "perpendicular" in note]
        try:
            itk.ReadImage(str(path))
        except RuntimeError as error:
            assert "orthonormal" in str(error)
            assert "--tilt resample" in said[0]
        else:
            assert not said


def test_a_sheared_grid_has_an_sform_alone(tmp_path: Path) -> None:
    volume = ramp_volume(sheared_grid(SHAPE))
    written(volume, tmp_path / "x.nii")
    assert struct.unpack_from("<hh", (tmp_path / "x.nii").read_bytes(), 252) == (0, 1)
    assert opened(tmp_path / "x.nii").geometry.is_close(volume.geometry, 1e-5)


def test_rounding_to_single_precision_is_stated_where_it_shows(tmp_path: Path) -> None:
    near = oblique_grid((70, 50, 30))
    assert prepared(noise_volume(near), tmp_path / "x.nii").plan.notes == ()
    far = replace(near, origin=(-350.1234567, 512.7654321, 1001.2345678), spacing=(0.005, 0.006, 0.007))
    (note,) = prepared(noise_volume(far), tmp_path / "x.nii").plan.notes
    assert "single precision: corners move by up to" in note
    written(noise_volume(far), tmp_path / "x.nii")
    moved = np.linalg.norm(opened(tmp_path / "x.nii").geometry.corners - far.corners, axis=1).max()
    assert f"{moved:.2g} mm" in note
    double = prepared(noise_volume(far), tmp_path / "x.nii", nifti_version="2")
    assert double.plan.notes == ("NIfTI-2 is written, which ITK and Slicer do not read (nibabel does)",)


def test_a_long_axis_makes_it_nifti_2(tmp_path: Path) -> None:
    for length, version in ((32767, "1"), (32768, "2")):
        volume = Volume(np.zeros((1, 2, length), "u1"), oblique_grid((1, 2, length)))
        job = written(volume, tmp_path / f"{version}.nii")
        assert by_nibabel(tmp_path / f"{version}.nii").shape == (length, 2, 1)
        assert any("NIfTI-2 is written" in note for note in job.plan.notes) is (version == "2")
    with pytest.raises(InputError, match=r"has 32768 voxels and NIfTI-1 holds 32767; leave the version out, or say 2"):
        prepared(volume, tmp_path / "x.nii", nifti_version="1")


# ------------------------------------------------------------------------------------------------------ messages


@pytest.mark.parametrize(
    ("name", "kind", "options", "message"),
    [
        ("x.nii", "longdouble", {}, "not float128; convert the array first"),
        ("x.img", "uint8", {}, r"as \.nii or \.nii\.gz, not x\.img"),
        ("x.nii", "uint8", {"nifti_version": "3"}, "version must be 1 or 2, found '3'"),
    ],
)
def test_what_has_no_place_in_nifti_is_refused(
    tmp_path: Path, name: str, kind: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        prepared(Volume(np.zeros(SHAPE, kind), oblique_grid(SHAPE)), tmp_path / name, **options)


@pytest.mark.parametrize("change", [{"origin": (1e39, 0, 0)}, {"spacing": (1e-50, 1, 1)}, {"spacing": (1, 1e39, 1)}])
def test_numbers_beyond_single_precision_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    volume = Volume(np.zeros(SHAPE, "u1"), replace(oblique_grid(SHAPE), **change))
    with pytest.raises(GeometryError, match="leave the range of NIfTI-1's single precision"):
        prepared(volume, tmp_path / "x.nii")


@pytest.mark.parametrize("name", NAMES)
def test_a_budget_that_fits_nothing_names_the_smallest_that_does(tmp_path: Path, name: str) -> None:
    import dask.array

    volume = Volume(dask.array.zeros((20, 2000, 2000), "u2", chunks=(1, -1, -1)), oblique_grid((20, 2000, 2000)))  # type: ignore[attr-defined]  # untyped
    with pytest.raises(BudgetError, match=r"smallest that fits is --memory (\d+)MiB"):
        prepared(volume, tmp_path / name, budget=20 * MIB)


def test_the_table_writes_and_reads_it(tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid(SHAPE))
    for name in NAMES:
        chunkvol.write_volume(volume, tmp_path / name, nifti_version="1")
        assert np.array_equal(chunkvol.open_volume(tmp_path / name).read(), volume.data)
