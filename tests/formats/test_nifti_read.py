"""Reading NIfTI: real files as nibabel sees them, every form and byte order, places by the standard's three methods."""

from __future__ import annotations

import gzip
import itertools
import pickle
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import chunkvol
from chunkvol.errors import DamagedError, FormatError, GeometryError, InputError
from chunkvol.formats.nifti import geometry_from_header, is_nifti, open_nifti
from chunkvol.formats.nifti.layout import DATATYPES, LAYOUTS, PAIR, SINGLE
from chunkvol.formats.nifti.space import geometry_fields
from chunkvol.geometry import Geometry
from chunkvol.progress import Silent
from chunkvol.volume import Volume
from tests.support.grids import COEFFICIENTS, GRIDS, ramp_values, rotation

ARRAY = np.arange(1000, 1000 + 5 * 4 * 3, dtype="i2").reshape(5, 4, 3)
FULL: Any = tuple(slice(0, n) for n in ARRAY.shape)
SROW = (-2.0, 0, 0, 10, 0, -3, 0, 20, 0, 0, 4, 30)
SIZES = [("<", 1), (">", 1), ("<", 2), (">", 2)]


def header(version: int = 1, order: str = "<", attached: bool = True, **fields: Any) -> bytes:
    """A header of `ARRAY`, changed by the fields that are given."""
    layout = LAYOUTS[version]
    record = np.zeros((), layout.newbyteorder(order))  # type: ignore[call-overload]  # one of two literals
    plain = {
        "sizeof_hdr": layout.itemsize,
        "magic": (SINGLE if attached else PAIR)[version],
        "dim": [3, 3, 4, 5, 1, 1, 1, 1],
        "datatype": 4,
        "bitpix": 16,
        "pixdim": [1, 2, 3, 4, 0, 0, 0, 0],
        "xyzt_units": 2,
        "vox_offset": layout.itemsize + 4 if attached else 0,
        "sform_code": 1,
        "srow": SROW,
    }
    for name, value in (plain | fields).items():
        record[name] = value
    return record.tobytes() + bytes(4)


def single(folder: Path, data: bytes | None = None, name: str = "x.nii", **fields: Any) -> Path:
    """A file of one piece, gzip where its name says so."""
    order = fields.get("order", "<")
    data = ARRAY.astype(f"{order}i2").tobytes() if data is None else data
    content = header(**fields) + data
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def opened(path: Path, **options: Any) -> Volume:
    return open_nifti(path, Silent(), **options)


def by_nibabel(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Real values (k, j, i) and the affine from (i, j, k, 1) to LPS."""
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.load(path)
    return np.asarray(image.get_fdata()).T, np.diag([-1, -1, 1, 1]) @ image.affine


def real(volume: Volume) -> npt.NDArray[np.float64]:
    """Real values in double precision, as nibabel computes them."""
    scale = volume.metadata.rescale
    stored = volume.read().astype("f8")
    return stored if scale.is_identity else stored * scale.slope + scale.intercept


def affine_ijk(volume: Volume) -> npt.NDArray[np.float64]:
    return volume.geometry.affine[:, [2, 1, 0, 3]]


# ---------------------------------------------------------------------------------------------------- real files


@pytest.mark.parametrize(
    "name",
    [
        *(f"nifti_orient_8/{axes}.nii.gz" for axes in ["ASR", "IPL", "LAS", "LPS", "PIR", "RAS", "RPI", "SAL"]),
        "mr_transfer_syntaxes/compressed_jpegls_001_ref/001_ground_truth.nii.gz",
        "multiframe/siemens_ref/001_ground_truth.nii.gz",
        "nrrd_encodings/BallBinary30x30x30.nii.gz",
        "mr_phase_slope2/ref/me_FieldMap_GRE_3_e2_ph.nii",
    ],
)
def test_real_files_are_bit_for_bit_what_nibabel_reads(visible: Path, name: str) -> None:
    volume = opened(visible / name)
    values, affine = by_nibabel(visible / name)
    assert np.array_equal(real(volume), values)
    assert np.array_equal(affine_ijk(volume), affine)
    assert volume.metadata.problems == ()
    assert not volume.metadata.assumed


def test_eight_orders_of_one_brain_show_the_same_brain(visible: Path, expected: Any) -> None:
    found = set()
    for name, want in expected["nifti_orient_8"].items():
        if name.endswith(".nii.gz"):
            volume = chunkvol.open_volume(visible / "nifti_orient_8" / name)
            assert np.array_equal(affine_ijk(volume), want["nibabel"]["affine_lps"])
            found.add(chunkvol.canonical(volume).read().tobytes())
    assert len(found) == 1


# ----------------------------------------------------------------------------------------- what nibabel writes


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_all_48_orders_of_the_axes_put_every_voxel_in_its_place(tmp_path: Path, axes: tuple[int, int, int]) -> None:
    nibabel = pytest.importorskip("nibabel")
    for signs in itertools.product((1, -1), repeat=3):
        affine = np.eye(4)
        affine[:3, :3] = (np.diag([0.5, 0.75, 1.25]) @ np.diag(signs))[:, axes]
        affine[:3, 3] = (-10, 20.5, 3)
        index = np.stack(np.meshgrid(*map(np.arange, (3, 4, 5)), indexing="ij"), -1)
        lps = (index @ affine[:3, :3].T + affine[:3, 3]) * [-1, -1, 1]
        nibabel.save(nibabel.Nifti1Image(lps @ COEFFICIENTS, affine), tmp_path / "x.nii")
        volume = opened(tmp_path / "x.nii")
        assert np.allclose(volume.read(), ramp_values(volume.geometry), rtol=0, atol=1e-6)
        assert volume.metadata.problems == ()


FORMS = [(grid, form) for grid in GRIDS for form in ("sform", "qform") if (grid, form) != ("sheared", "qform")]
"""A quaternion holds no shear."""


@pytest.mark.parametrize(("grid", "form"), FORMS)
@pytest.mark.parametrize("kind", ["Nifti1Image", "Nifti2Image", "Nifti1Pair"])
def test_grids_that_nibabel_wrote_by_either_form_are_read(tmp_path: Path, grid: str, form: str, kind: str) -> None:
    nibabel = pytest.importorskip("nibabel")
    geometry = GRIDS[grid]((5, 4, 3))
    affine = np.diag([-1, -1, 1, 1]) @ geometry.affine[:, [2, 1, 0, 3]]
    image = getattr(nibabel, kind)(ramp_values(geometry).T, affine)
    image.set_sform(affine, 2 if form == "sform" else 0)
    image.set_qform(affine, 0 if form == "sform" else 1)
    path = tmp_path / ("x.hdr" if kind == "Nifti1Pair" else "x.nii")
    nibabel.save(image, path)
    volume = opened(path)
    precision = 1e-12 if kind == "Nifti2Image" else 5e-6
    assert volume.geometry.is_close(geometry, precision * max(1, 100 / min(geometry.spacing)))
    assert np.allclose(volume.read(), ramp_values(volume.geometry), rtol=0, atol=1e-3)


@pytest.mark.parametrize("kind", DATATYPES)
@pytest.mark.parametrize("scale", [(1, 0), (0.3, -1024.7), (-2, 5)])
def test_values_are_those_of_nibabel_to_the_last_bit(tmp_path: Path, kind: str, scale: tuple[float, float]) -> None:
    dtype = np.dtype(kind)
    rng = np.random.default_rng(0)
    if dtype.kind == "f":
        array = rng.normal(0, 1e5, ARRAY.shape).astype(dtype)
    else:
        array = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, ARRAY.shape, dtype, endpoint=True)
    path = single(
        tmp_path,
        array.tobytes(),
        datatype=DATATYPES[kind],
        bitpix=8 * dtype.itemsize,
        scl_slope=scale[0],
        scl_inter=scale[1],
    )
    volume = opened(path)
    assert volume.dtype == dtype
    assert np.array_equal(volume.read(), array)
    assert np.array_equal(real(volume), by_nibabel(path)[0])


# --------------------------------------------------------------------------------------------------------- forms


@pytest.mark.parametrize(("order", "version"), SIZES)
@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz", "anything"])
def test_both_versions_and_byte_orders_are_read_whatever_the_name(
    tmp_path: Path, order: str, version: int, name: str
) -> None:
    path = single(tmp_path, name=name, version=version, order=order, scl_slope=0.5, scl_inter=-3)
    assert is_nifti(path)
    volume = chunkvol.open_volume(path)
    assert volume.dtype == np.dtype("int16")
    assert np.array_equal(volume.read(), ARRAY)
    region = (slice(1, 4), slice(1, 3), slice(1, 3))
    assert np.array_equal(volume.read(region), ARRAY[region])
    assert (volume.metadata.rescale.slope, volume.metadata.rescale.intercept) == (0.5, -3)
    assert volume.geometry.origin == (-10, -20, 30)
    assert volume.geometry.spacing == (4, 3, 2)
    assert volume.geometry.direction == ((0, 0, 1), (0, 1, 0), (1, 0, 0))


@pytest.mark.parametrize(("order", "version"), SIZES)
@pytest.mark.parametrize(
    ("head", "body"), [("x.hdr", "x.img"), ("x.hdr.gz", "x.img.gz"), ("x.hdr", "x.img.gz"), ("X.HDR", "X.IMG")]
)
def test_pairs_are_read_by_either_name(tmp_path: Path, order: str, version: int, head: str, body: str) -> None:
    parts = {
        head: header(version, order, attached=False, vox_offset=16),
        body: bytes(16) + ARRAY.astype(f"{order}i2").tobytes(),
    }
    for name, content in parts.items():
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    prints = set()
    for name in (head, body):
        assert is_nifti(tmp_path / name)
        volume = chunkvol.open_volume(tmp_path / name)
        assert np.array_equal(volume.read(), ARRAY)
        prints.add(volume.source.fingerprint)
    assert len(prints) == 1


def test_extensions_are_skipped(tmp_path: Path) -> None:
    words = struct.pack("<ii", 32, 6) + b"<patient name=A^B/>".ljust(24)
    path = single(tmp_path, words + ARRAY.tobytes(), vox_offset=352 + 32)
    path.write_bytes(path.read_bytes()[:348] + b"\1\0\0\0" + path.read_bytes()[352:])
    volume = opened(path)
    assert np.array_equal(volume.read(), ARRAY)
    assert "A^B" not in repr(volume.metadata)


@pytest.mark.parametrize(
    ("dim", "shape"),
    [
        ([2, 3, 20, 9, 9, 9, 9, 9], (1, 20, 3)),
        ([3, 3, 20, 1, 9, 9, 9, 9], (1, 20, 3)),
        ([7, 3, 4, 5, 1, 1, 1, 1], (5, 4, 3)),
        ([4, 60, 1, 1, 1, 0, 0, 0], (1, 1, 60)),
    ],
)
def test_dimensions_of_length_one_are_dropped(tmp_path: Path, dim: list[int], shape: tuple[int, int, int]) -> None:
    volume = opened(single(tmp_path, dim=dim))
    assert np.array_equal(volume.read(), ARRAY.reshape(shape))


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_one_of_several_volumes_is_read(tmp_path: Path, name: str) -> None:
    series = np.stack([ARRAY, ARRAY + 100, ARRAY + 200])
    path = single(tmp_path, series.tobytes(), name, dim=[4, 3, 4, 5, 3, 1, 1, 1])
    prints = set()
    for number in range(3):
        volume = pickle.loads(pickle.dumps(chunkvol.open_volume(path, time=number)))
        assert np.array_equal(volume.read(), series[number])
        assert np.array_equal(
            volume.source.staged(tmp_path).read((slice(1, 3), slice(0, 4), slice(0, 3))), series[number][1:3]
        )
        assert volume.metadata.history == (f"time {number}",)
        prints.add(volume.source.fingerprint)
    assert len(prints) == 3
    with pytest.raises(InputError, match=r"holds 3 volumes one after another; --time 0 to 2 says which"):
        opened(path)
    with pytest.raises(InputError, match=r"--time must be 0 to 2, found 3"):
        opened(path, time=3)
    with pytest.raises(InputError, match=r"holds 1 volume; --time must be 0, found 1"):
        opened(single(tmp_path), time=1)


# --------------------------------------------------------------------------------------------------------- places


@pytest.mark.parametrize(
    ("code", "factor", "said"), [(0, 1, ""), (1, 1000, "in m"), (2, 1, ""), (3, 1e-3, "in um"), (5, 1, "code 5")]
)
@pytest.mark.parametrize("method", ["sform_code", "qform_code", "none"])
def test_units_of_length_become_millimetres(tmp_path: Path, code: int, factor: float, said: str, method: str) -> None:
    codes = {"sform_code": 0, "qform_code": 0} | ({} if method == "none" else {method: 1})
    volume = opened(single(tmp_path, xyzt_units=code | 8, qoffset=[10, 20, 30], **codes))
    assert volume.geometry.spacing == tuple(n * factor for n in (4, 3, 2))
    origin = (0, 0, 0) if method == "none" else (-10 * factor, -20 * factor, 30 * factor)
    assert np.allclose(volume.geometry.origin, origin, rtol=1e-15)
    problems = [text for text in volume.metadata.problems if "length" in text]
    assert (said in problems[0]) if said else not problems


def test_pixdim_alone_is_assumed_to_be_upright_as_itk_has_it(tmp_path: Path) -> None:
    path = single(tmp_path, sform_code=0, qform_code=0)
    volume = opened(path)
    assert volume.metadata.assumed
    assert volume.geometry.direction == ((0, 0, 1), (0, 1, 0), (1, 0, 0))
    assert (volume.geometry.origin, volume.geometry.spacing) == ((0, 0, 0), (4, 3, 2))
    assert any("pixdim alone: origin 0, 0, 0 and left-posterior-superior" in text for text in volume.metadata.problems)
    itk = pytest.importorskip("SimpleITK")
    image = itk.ReadImage(str(path))
    assert (image.GetOrigin(), image.GetSpacing()) == ((0, 0, 0), (2, 3, 4))
    assert image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)


@pytest.mark.parametrize("qfac", [-1, 0, 1])
def test_a_quaternion_is_read_as_nibabel_and_itk_read_it(tmp_path: Path, qfac: int) -> None:
    quatern = [0.1, -0.7, 0.4]
    pixdim = [qfac, 2, 3, 4, 0, 0, 0, 0]
    path = single(tmp_path, sform_code=0, qform_code=2, quatern=quatern, qoffset=[1, 2, 3], pixdim=pixdim)
    volume = opened(path)
    assert np.linalg.det(affine_ijk(volume)) * (1 if qfac >= 0 else -1) > 0
    if qfac:
        assert np.allclose(affine_ijk(volume), by_nibabel(path)[1], rtol=0, atol=1e-6)
    itk = pytest.importorskip("SimpleITK")
    image = itk.ReadImage(str(path))
    found = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    assert np.allclose(affine_ijk(volume)[:3, :3], found, rtol=0, atol=1e-6)
    assert np.allclose(volume.geometry.origin, image.GetOrigin())


def test_a_quaternion_longer_than_one_by_rounding_is_half_a_turn(tmp_path: Path) -> None:
    volume = opened(single(tmp_path, sform_code=0, qform_code=1, quatern=[0.6000001, 0.8000001, 0]))
    assert np.allclose(volume.geometry.spacing, (4, 3, 2), rtol=1e-12)


def test_half_a_turn_that_rounding_made_shorter_is_half_a_turn_still(tmp_path: Path) -> None:
    half = float(np.float32(np.sqrt(0.5)))
    path = single(tmp_path, sform_code=0, qform_code=1, quatern=[half, half, 0], pixdim=[1, 1, 1, 1, 0, 0, 0, 0])
    expected = [[0, -1, 0], [-1, 0, 0], [0, 0, -1]]
    assert np.allclose(affine_ijk(opened(path))[:3, :3], expected, rtol=0, atol=1e-12)
    itk = pytest.importorskip("SimpleITK")
    assert np.allclose(np.reshape(itk.ReadImage(str(path)).GetDirection(), (3, 3)), expected, rtol=0, atol=1e-12)


def test_forms_that_disagree_are_said_and_the_sform_is_used(tmp_path: Path) -> None:
    turned = {"qform_code": 1, "quatern": [0, 0, 1], "qoffset": [10, 20, 30]}
    agreed = opened(single(tmp_path, **turned))
    assert agreed.metadata.problems == ()
    moved = opened(single(tmp_path, **turned | {"qoffset": [10, 20, 31]}))
    assert moved.geometry == agreed.geometry
    assert moved.metadata.problems == ("sform and qform differ by up to 0.5 voxels at the corners: the sform is used",)
    other = opened(single(tmp_path, **turned | {"qoffset": [10, 20, 30.0021], "sform_code": 4}))
    assert any("built on ITK use the qform" in text for text in other.metadata.problems)
    broken = opened(single(tmp_path, **turned | {"quatern": [np.nan, 0, 1]}))
    assert any("qform is not usable (the quaternion" in text for text in broken.metadata.problems)
    stretched = opened(single(tmp_path, pixdim=[1, 2, 3, 5, 0, 0, 0, 0]))
    assert any("sform and pixdim differ by up to 2 voxels" in text for text in stretched.metadata.problems)


def test_a_pixdim_without_meaning_beside_an_sform_is_said(tmp_path: Path) -> None:
    volume = opened(single(tmp_path, pixdim=[1, -2, 3, 4, 0, 0, 0, 0]))
    assert volume.geometry.spacing == (4, 3, 2)
    assert len(volume.metadata.problems) == 1
    assert "pixdim is not usable (pixdim must hold finite lengths above 0" in volume.metadata.problems[0]


@pytest.mark.parametrize("tilt", [1e-5, 1e-4, 3e-4, 1e-3, 0.02, 0.1])
def test_rounding_near_half_a_turn_is_no_disagreement(tilt: float) -> None:
    shape = (400, 300, 500)
    steps = rotation(*np.degrees([0.3 * tilt, 0.2 * tilt, tilt]))[:, ::-1].T * [[0.03], [0.02], [0.01]]
    fields = geometry_fields(Geometry.from_steps(shape, (-11.5, 7.25, 101.125), steps)) | {"dim": [3]}
    rounded = {name: np.array(value, "f4").tolist() for name, value in fields.items() if np.ndim(value)}
    turn = np.sqrt(1 - np.square(np.array(rounded["quatern"], "f8")).sum().clip(0, 1))
    assert turn < 0.06
    assert geometry_from_header(fields | rounded, shape, epsilon=2.0**-23).problems == ()
    rounded["quatern"][0] += 1e-5
    assert "differ" in geometry_from_header(fields | rounded, shape, epsilon=2.0**-23).problems[0]


def test_a_flat_image_without_thickness_gets_one_and_says_so(tmp_path: Path) -> None:
    flat = {"dim": [2, 3, 20, 0, 0, 0, 0, 0], "pixdim": [1, 2, 3, 0, 0, 0, 0, 0]}
    for fields in (
        {"sform_code": 0},
        {"sform_code": 0, "qform_code": 1},
        {"srow": [2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0]},
    ):
        volume = opened(single(tmp_path, **flat | fields))
        assert volume.geometry.spacing == (1, 3, 2)
        assert volume.metadata.assumed
        assert any("states no thickness" in text for text in volume.metadata.problems)


# ------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("slope", [0, np.nan, np.inf, -np.inf])
def test_a_slope_of_zero_or_no_number_is_none(tmp_path: Path, slope: float) -> None:
    assert opened(single(tmp_path, scl_slope=slope, scl_inter=7)).metadata.rescale.is_identity


def test_an_intercept_that_is_no_number_is_zero_and_said(tmp_path: Path) -> None:
    volume = opened(single(tmp_path, scl_slope=2, scl_inter=np.nan))
    assert (volume.metadata.rescale.slope, volume.metadata.rescale.intercept) == (2, 0)
    assert any("scl_inter is nan" in text for text in volume.metadata.problems)


def test_the_fingerprint_follows_header_and_voxels(tmp_path: Path) -> None:
    prints = {
        opened(single(tmp_path, data, **fields)).source.fingerprint
        for data in (ARRAY.tobytes(), ARRAY[::-1].tobytes())
        for fields in ({}, {"xyzt_units": 1})
    }
    assert len(prints) == 4
    volume = opened(tmp_path / "x.nii")
    assert volume.metadata.source == volume.source.fingerprint


# ------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"datatype": 128}, FormatError, r"RGB colours \(datatype 128\)"),
        ({"datatype": 32}, FormatError, "complex numbers of 64 bits"),
        ({"datatype": 1536}, FormatError, "floats of 128 bits"),
        ({"datatype": 0}, FormatError, "an unknown type"),
        ({"dim": [0] * 8}, FormatError, r"dim\[0\] must be 1 to 7, found 0"),
        ({"dim": [-3, 3, 4, 5, 1, 1, 1, 1]}, FormatError, r"dim\[0\] must be 1 to 7, found -3"),
        ({"dim": [3, 3, -4, 5, 1, 1, 1, 1]}, FormatError, "at least 1, found 3 x -4 x 5"),
        ({"dim": [5, 3, 4, 5, 1, 3, 1, 1]}, FormatError, r"has 5 dimensions \(3 x 4 x 5 x 1 x 3\).* slicer"),
        ({"dim": [1, 3, 4, 5, 1, 3, 1, 1]}, FormatError, "has 1 dimensions"),
        ({"vox_offset": 0}, FormatError, "vox_offset must be a whole number of at least 348, found 0"),
        ({"vox_offset": 352.5}, FormatError, "found 352.5"),
        ({"vox_offset": np.nan}, FormatError, "found nan"),
        ({"vox_offset": 9999}, DamagedError, r"would start at byte 9999 \(vox_offset\)"),
        ({"vox_offset": 354}, DamagedError, "holds 118 bytes of voxels .* promises 120"),
        ({"sizeof_hdr": 349}, FormatError, "sizeof_hdr must be 348 .* 5d 01 00 00"),
        ({"srow": [np.nan, *SROW[1:]]}, GeometryError, r"x\.nii: srow must hold 12 finite"),
        ({"srow": [0] * 12}, GeometryError, r"x\.nii: the steps of the sform, .* set sform_code to 0"),
        ({"srow": [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]}, GeometryError, r"x\.nii: the steps .* are zero or parallel"),
        ({"sform_code": 0, "pixdim": [1, 2, 0, 4, 0, 0, 0, 0]}, GeometryError, r"x\.nii: pixdim must hold"),
        ({"sform_code": 0, "pixdim": [1, 2, np.nan, 4, 0, 0, 0, 0]}, GeometryError, "pixdim must hold"),
        ({"sform_code": 0, "qform_code": 1, "quatern": [1, 1, 1]}, GeometryError, "quaternion must be a rotation"),
        ({"sform_code": 0, "qform_code": 1, "qoffset": [0, np.inf, 0]}, GeometryError, "qoffset must hold"),
    ],
)
@pytest.mark.parametrize("name", ["x.nii"])
def test_a_header_without_meaning_is_refused_in_one_line(
    tmp_path: Path, name: str, fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    path = single(tmp_path, name=name, **fields)
    with pytest.raises(error, match=message) as raised:
        chunkvol.open_volume(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
@pytest.mark.parametrize(
    ("version", "dim"),
    [(1, [3, 32767, 32767, 32767, 1, 1, 1, 1]), (2, [4, 1 << 62, 1 << 62, 1 << 62, 1 << 62, 1, 1, 1])],
)
def test_absurd_sizes_are_refused_before_anything_is_allocated(
    tmp_path: Path, name: str, version: int, dim: list[int]
) -> None:
    options = {"time": 5} if dim[0] == 4 else {}
    with pytest.raises(DamagedError, match=r"holds .* bytes of voxels where its header promises \d+"):
        opened(single(tmp_path, name=name, version=version, dim=dim), **options)


def test_huge_numbers_of_nifti_2_are_refused_without_a_warning(tmp_path: Path) -> None:
    for srow in ([1e300, *SROW[1:]], [*SROW[:3], 1e308, *SROW[4:]]):
        with pytest.raises(GeometryError, match=r"x\.nii: .* finite"):
            opened(single(tmp_path, version=2, srow=srow, xyzt_units=1))


def test_any_cut_is_noticed(tmp_path: Path) -> None:
    for name in ("x.nii", "x.nii.gz"):
        whole = single(tmp_path, name=name).read_bytes()
        for length in range(0, len(whole), 3):
            (tmp_path / name).write_bytes(whole[:length])
            with pytest.raises((DamagedError, FormatError), match=r"x\.nii"):
                opened(tmp_path / name).read()


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
@pytest.mark.parametrize("surplus", [1, 3, 100_000])
def test_surplus_bytes_are_said(tmp_path: Path, name: str, surplus: int) -> None:
    volume = opened(single(tmp_path, ARRAY.tobytes() + bytes(surplus), name))
    said = f"{name} has {surplus} bytes more than its header says: they are not used"
    assert volume.metadata.problems == (said,)
    assert np.array_equal(volume.read(), ARRAY)
    assert np.array_equal(volume.source.staged(tmp_path).read(FULL), ARRAY)


def test_the_checksum_of_a_packed_file_with_surplus_bytes_is_verified(tmp_path: Path) -> None:
    path = single(tmp_path, ARRAY.tobytes() + bytes(999), "x.nii.gz")
    whole = bytearray(path.read_bytes())
    whole[-8] ^= 1  # of the CRC-32
    path.write_bytes(whole)
    with pytest.raises(DamagedError, match="incorrect data check"):
        opened(path).read()


def test_a_packed_file_of_several_members_has_no_surplus(tmp_path: Path) -> None:
    whole = single(tmp_path, name="x.nii").read_bytes()
    path = tmp_path / "x.nii.gz"
    for cut in (400, len(whole)):  # the last member may be empty, as bgzip ends its files
        path.write_bytes(gzip.compress(whole[:cut]) + gzip.compress(whole[cut:]))
        assert opened(path).metadata.problems == ()
        assert np.array_equal(opened(path).read(), ARRAY)


def test_volumes_after_the_one_that_is_read_are_not_inflated(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    series = rng.integers(-9999, 9999, (8, *ARRAY.shape)).astype(ARRAY.dtype)
    path = single(tmp_path, series.tobytes(), "x.nii.gz", dim=[4, 3, 4, 5, 8, 1, 1, 1])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))  # nothing but noise behind
    for number in (0, 2):
        source = opened(path, time=number).source
        assert source.staging_bytes == ARRAY.nbytes
        assert np.array_equal(source.staged(tmp_path).read(FULL), series[number])
        assert np.array_equal(source.read(FULL), series[number])
    with pytest.raises(DamagedError, match=r"x\.nii\.gz"):
        opened(path, time=7).read()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("given", ["x.hdr", "x.img"])
def test_an_analyze_header_is_refused_by_name(tmp_path: Path, order: str, given: str) -> None:
    (tmp_path / "x.hdr").write_bytes(header(order=order, magic=b"")[:348])
    (tmp_path / "x.img").write_bytes(ARRAY.tobytes())
    with pytest.raises(FormatError, match=r"x\.hdr is an Analyze 7\.5 header, .*left and right.*: convert it to NIfTI"):
        chunkvol.open_volume(tmp_path / given)


def test_what_is_said_of_an_analyze_header_opens_its_voxels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nibabel: Any = pytest.importorskip("nibabel")
    monkeypatch.chdir(tmp_path)
    nibabel.save(nibabel.AnalyzeImage(ARRAY.T[..., None], np.eye(4)), "x.hdr")
    with pytest.raises(FormatError, match="Analyze") as caught:
        chunkvol.open_volume("x.hdr")
    line = re.search(r"numpy\.save\(.*\.T\)", str(caught.value))
    assert line
    exec(line[0], {"numpy": np, "nibabel": nibabel})  # the very words of the message
    volume = chunkvol.open_volume("a.npy", spacing=(3.0, 2.0, 1.0), orientation="LAS")
    assert np.array_equal(np.asarray(volume), ARRAY)


def test_a_missing_half_of_a_pair_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.hdr").write_bytes(header(attached=False)[:348])
    with pytest.raises(InputError, match=r"x\.hdr needs its voxels in x\.img or x\.img\.gz"):
        opened(tmp_path / "x.hdr")


def test_a_copy_in_text_mode_is_told_apart(tmp_path: Path) -> None:
    path = single(tmp_path, version=2, magic=b"n+2\0\n\x1a\n\n")
    with pytest.raises(FormatError, match="line ends in its magic were changed"):
        opened(path)


def test_files_are_known_by_their_magic_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.nii"
    for content in (b"", b"\x1f\x8b", b"\x1f\x8b\x08broken", bytes(600), gzip.compress(bytes(600)), header()[:347]):
        path.write_bytes(content)
        assert not is_nifti(path)
    assert not is_nifti(tmp_path)
    assert not is_nifti(tmp_path / "absent.nii")
    with pytest.raises(FormatError, match=r"x\.nii has no NIfTI header"):
        opened(path)
