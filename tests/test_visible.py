"""Real scans with answers that other programs computed: reading, downsampling, stores, and points that stay put."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import chunkvol
from chunkvol import Geometry, Volume
from chunkvol.errors import GeometryError, InputError
from chunkvol.geometry import cardinal_axes
from chunkvol.ops.downsample import downsample
from chunkvol.regions import Shape

SCANS = {
    "ct_head_93": ("dicom", "math"),
    "mr_sag_hfs": ("dicom", "math"),
    "mr_oblique_gap9": ("dicom", "math"),
    "mr_phase_slope2": ("dicom", "math"),
    "microct_nrrd_landmarks": ("A_J_.nrrd", "sitk"),
}
"""Folder, item in it, and whose answer to believe."""
FACTORS: list[Shape] = [(2, 2, 2), (3, 3, 3), (2, 4, 3)]

Matrix = npt.NDArray[np.float64]


@pytest.fixture(params=SCANS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def scan(visible: Path, name: str) -> Volume:
    return chunkvol.open_volume(visible / name / SCANS[name][0])


@pytest.fixture
def answer(expected: Any, name: str) -> Any:
    item, judge = SCANS[name]
    return expected[name][item][judge]


def itk_affine(geometry: Geometry) -> Matrix:
    """From (i, j, k, 1) to LPS, as the answers have it."""
    order = [2, 1, 0, 3]
    return geometry.affine[:, order]


def assert_affine(geometry: Geometry, wanted: Any) -> None:
    """To a millionth of the finest spacing, and of the distance from the world's origin."""
    wanted = np.array(wanted)
    finest = min(np.linalg.norm(wanted[:3, :3], axis=0))
    np.testing.assert_allclose(itk_affine(geometry)[:3, :3], wanted[:3, :3], rtol=0, atol=1e-6 * finest)
    np.testing.assert_allclose(geometry.origin, wanted[:3, 3], rtol=1e-6, atol=1e-9)


def block_means(array: npt.NDArray[Any], factors: Shape) -> Matrix:
    """Means of whole blocks in double precision, one axis after the other."""
    out = array.astype("f8")
    for axis, f in enumerate(factors):
        n = out.shape[axis] // f
        whole = np.take(out, range(n * f), axis)
        out = whole.reshape(*whole.shape[:axis], n, f, *whole.shape[axis + 1 :]).sum(axis + 1)
    return out / np.prod(factors)


def shifted(affine: Any, factors: Shape) -> Matrix:
    """The affine (i, j, k) of block centres: columns times f, origin moved by (f - 1) / 2 voxels."""
    out = np.array(affine)
    f = np.array(factors[::-1])
    out[:3, 3] += out[:3, :3] @ ((f - 1) / 2)
    out[:3, :3] *= f
    return out


# -------------------------------------------------------------------------------------------------------- reading


def test_real_scans_have_the_size_place_and_values_of_the_answers(scan: Volume, answer: Any) -> None:
    assert scan.shape == tuple(answer["values"]["shape_kji"])
    assert_affine(scan.geometry, answer["affine_lps"])
    real = np.asarray(scan.values)
    assert real.dtype.kind in "iu"
    assert (real.min(), real.max(), real.sum()) == tuple(answer["values"][n] for n in ("min", "max", "sum"))
    assert hashlib.sha256(real.astype("<f8").tobytes()).hexdigest() == answer["values"]["sha256_f64le_C"]


def test_a_nrrd_of_a_real_scan_is_read_by_itk_in_its_place(tmp_path: Path, scan: Volume, answer: Any) -> None:
    sitk = pytest.importorskip("SimpleITK")
    chunkvol.write_volume(scan, tmp_path / "a.nrrd")
    image = sitk.ReadImage(tmp_path / "a.nrrd")
    values = sitk.GetArrayFromImage(image)
    assert hashlib.sha256(values.astype("<f8").tobytes()).hexdigest() == answer["values"]["sha256_f64le_C"]
    np.testing.assert_allclose(image.GetOrigin(), answer["origin"], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(image.GetSpacing(), answer["spacing"], rtol=1e-6)
    np.testing.assert_allclose(image.GetDirection(), answer["direction_rowmajor"], rtol=0, atol=1e-6)


# --------------------------------------------------------------------------------------------------- downsampling


@pytest.mark.parametrize("factors", FACTORS, ids=str)
def test_downsampled_scans_are_the_rounded_block_means_in_their_place(
    tmp_path: Path, scan: Volume, answer: Any, factors: Shape
) -> None:
    chunkvol.write_volume(downsample(scan, factors), tmp_path / "small.nrrd")
    small = chunkvol.open_volume(tmp_path / "small.nrrd")
    assert small.shape == tuple(n // f for n, f in zip(scan.shape, factors, strict=True))
    assert_affine(small.geometry, shifted(answer["affine_lps"], factors))
    stored = block_means(scan.read(), factors)
    scale = scan.metadata.rescale
    np.testing.assert_array_equal(small.read(), np.rint(stored) * scale.slope + scale.intercept)


def test_landmarks_stay_put_when_a_scan_shrinks(scan: Volume, answer: Any) -> None:
    affine = np.array(answer["affine_lps"])
    index = np.random.default_rng(8).uniform(0, np.array(scan.shape[::-1]) - 1, (20, 3))
    points = index @ affine[:3, :3].T + affine[:3, 3]
    np.testing.assert_allclose(scan.geometry.world_to_index(points), index[:, ::-1], atol=1e-6)
    for factors in FACTORS:
        f = np.array(factors)
        wanted = (index[:, ::-1] - (f - 1) / 2) / f
        np.testing.assert_allclose(downsample(scan, factors).geometry.world_to_index(points), wanted, atol=1e-6)
        first = downsample(scan, factors, method="stride").geometry.world_to_index(points)
        np.testing.assert_allclose(first, index[:, ::-1] / f, atol=1e-6)


@pytest.mark.parametrize("factor", [2, 3])
def test_the_phase_map_shrinks_as_itk_shrinks_it(tmp_path: Path, visible: Path, expected: Any, factor: int) -> None:
    answer = expected["mr_phase_slope2"]["dicom downsampled"][f"x{factor}"]
    full = chunkvol.open_volume(visible / "mr_phase_slope2" / "dicom")
    chunkvol.write_volume(downsample(full, factor), tmp_path / "small.nrrd")
    small = chunkvol.open_volume(tmp_path / "small.nrrd")
    assert small.shape[::-1] == tuple(answer["size_ijk"])
    assert_affine(small.geometry, answer["affine_lps"])
    assert_affine(small.geometry, answer["block_mean_affine_lps"])
    np.testing.assert_allclose(small.geometry.spacing[::-1], answer["spacing"], rtol=1e-6)
    np.testing.assert_allclose(
        np.array(small.geometry.direction)[:, ::-1].ravel(), answer["direction_rowmajor"], rtol=0, atol=1e-6
    )
    means = block_means(full.values.read(), (factor,) * 3)
    values = answer["block_mean_values"]
    np.testing.assert_allclose([means.min(), means.max()], [values["min"], values["max"]], atol=1e-6)
    assert means.sum() == pytest.approx(values["sum"], abs=1e-6 * means.size)
    slope = full.metadata.rescale.slope
    assert np.abs(small.read() - means).max() <= 0.5 * slope  # stored values are rounded, before the slope
    np.testing.assert_array_equal(small.read(), slope * np.rint((means + 4096) / slope) - 4096)
    for landmark in answer["landmarks"]:
        for geometry, key in ((small.geometry, "index_small"), (full.geometry, "index_full")):
            np.testing.assert_allclose(geometry.world_to_index(landmark["lps"])[::-1], landmark[key], atol=1e-6)


# --------------------------------------------------------------------------------------------------------- stores


@pytest.fixture
def store(tmp_path: Path, scan: Volume, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The scan as a store with several levels, though it is small."""
    monkeypatch.setattr("chunkvol.pyramid.level_factors.__defaults__", (60,))
    chunkvol.ingest(scan, tmp_path / "a.ome.zarr")
    return tmp_path / "a.ome.zarr"


def test_every_level_of_a_real_scan_lies_in_its_place(store: Path, scan: Volume, answer: Any) -> None:
    opened = chunkvol.open_volume(store)
    entries = json.loads((store / "zarr.json").read_text())["attributes"]["chunkvol"]["levels"]
    assert len(opened.levels) == len(entries) > 1
    np.testing.assert_array_equal(opened.read(), scan.read())
    assert opened.metadata.rescale == scan.metadata.rescale
    for level, entry in zip(opened.levels, entries, strict=True):
        factors = tuple(entry["factors"])
        assert_affine(level.geometry, shifted(answer["affine_lps"], factors))
        np.testing.assert_array_equal(level.read(), np.rint(block_means(scan.read(), factors)))


def test_the_validators_accept_the_stores_of_real_scans(store: Path) -> None:
    yaozarrs = pytest.importorskip("yaozarrs")
    models = pytest.importorskip("ome_zarr_models")
    ngff_zarr = pytest.importorskip("ngff_zarr")
    import zarr

    yaozarrs.validate_zarr_store(str(store))
    models.open_ome_zarr(zarr.open_group(store, mode="r"), version="0.5")
    ngff_zarr.validate(json.loads((store / "zarr.json").read_text())["attributes"], version="0.5", strict=True)


def test_ngff_zarr_reads_the_place_of_every_level(store: Path, answer: Any) -> None:
    ngff_zarr = pytest.importorskip("ngff_zarr")
    levels = chunkvol.open_volume(store).levels
    images = ngff_zarr.from_ngff_zarr(store).images
    if cardinal_axes(levels[0].geometry) is None:
        first = images[0]  # NGFF 0.5 holds no oblique direction: only the first level can be in its place
        np.testing.assert_allclose([first.translation[a] for a in "xyz"], answer["origin"], rtol=1e-6)
        return
    for image, level in zip(images, levels, strict=True):
        theirs = ngff_zarr.ngff_image_to_itk_image(image)
        assert tuple(theirs.origin) == level.geometry.origin
        assert tuple(theirs.spacing) == level.geometry.spacing[::-1]
        direction = np.array(level.geometry.direction)[:, ::-1]
        np.testing.assert_allclose(theirs.direction, direction, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["mr_sag_hfs", "microct_nrrd_landmarks"], indirect=True)
def test_canonical_stores_of_real_scans_are_itks_orientation_lps(tmp_path: Path, scan: Volume) -> None:
    sitk = pytest.importorskip("SimpleITK")
    chunkvol.write_volume(scan, tmp_path / "full.nrrd")
    theirs = sitk.DICOMOrient(sitk.ReadImage(tmp_path / "full.nrrd"), "LPS")
    ours = chunkvol.ingest(scan, tmp_path / "c.ome.zarr", canonical=True)
    np.testing.assert_array_equal(ours.read(), sitk.GetArrayFromImage(theirs))
    np.testing.assert_allclose(ours.geometry.origin, theirs.GetOrigin(), rtol=1e-12)
    np.testing.assert_allclose(ours.geometry.spacing[::-1], theirs.GetSpacing(), rtol=1e-12)
    assert theirs.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    np.testing.assert_array_equal(np.array(ours.geometry.direction)[:, ::-1], np.eye(3))


def test_a_landmark_in_the_mouse_skull_is_the_same_voxel_at_every_level(visible: Path, tmp_path: Path) -> None:
    scan = chunkvol.open_volume(visible / "microct_nrrd_landmarks" / "A_J_.nrrd")
    opened = chunkvol.ingest(scan, tmp_path / "skull.ome.zarr", method="max")
    array = scan.read()
    bright = np.argwhere(array == array.max())[:20]
    for level in opened.levels:
        index = np.rint(level.geometry.world_to_index(scan.geometry.index_to_world(bright)) - 1e-9).astype(int)
        assert (level.read()[tuple(index.T)] == array.max()).all()


# ---------------------------------------------------------------------------- series that need a decision or a decoder

SYNTAXES = (
    "anatomical_001",
    "anatomical_001_implicit",
    *(f"compressed_{n}_001" for n in ("j2k", "jpeg", "jpegls", "rle")),
)
ODD_SERIES = {
    "bad_series/gantrytilting": ({"tilt": "keep"}, r"slant of 14\.00 degrees.*--tilt keep"),
    "bad_series/slicecount": ({"few": True}, r"the series has 2 planes.*--few"),
    "bad_series/notavolume": (
        None,
        r"4 planes share a position, first 001\.dcm .*--duplicates first or --duplicates last",
    ),
    "bad_series/sliceincrement": (
        None,
        r"plane 3 \(IM-0001-0010.* lies 10\.00 mm after plane 2.*--gaps fill .* or --gaps split",
    ),
}
"""What is said of it, and the options under which it is the answer's grid."""


def assert_values(scan: Volume, answer: Any) -> None:
    assert scan.shape == tuple(answer["values"]["shape_kji"])
    real = np.asarray(scan.values)
    assert hashlib.sha256(real.astype("<f8").tobytes()).hexdigest() == answer["values"]["sha256_f64le_C"]


@pytest.mark.parametrize("name", SYNTAXES)
def test_the_same_scan_in_each_transfer_syntax_is_the_answer(visible: Path, expected: Any, name: str) -> None:
    answer = expected["mr_transfer_syntaxes"][name]["math"]
    scan = chunkvol.open_volume(visible / "mr_transfer_syntaxes" / name)
    assert_affine(scan.geometry, answer["affine_lps"])
    assert_values(scan, answer)


@pytest.mark.parametrize("item", ["ct_odd_size/image", "ct_odd_size/multiframe", "multiframe/hyperfine"])
def test_frames_of_one_file_and_odd_planes_are_the_answer(visible: Path, expected: Any, item: str) -> None:
    folder, name = item.split("/")
    answer = expected[folder][name]["math"]
    scan = chunkvol.open_volume(visible / item)
    assert_affine(scan.geometry, answer["affine_lps"])
    assert_values(scan, answer)


def test_frames_placed_by_private_elements_agree_with_those_who_know_them(visible: Path, expected: Any) -> None:
    answers = expected["multiframe"]["siemens"]
    scan = chunkvol.open_volume(visible / "multiframe" / "siemens")
    assert_values(scan, answers["upstream"][0])
    np.testing.assert_allclose(itk_affine(scan.geometry), answers["upstream"][0]["affine_lps"], atol=2e-5)


@pytest.mark.parametrize("item", ODD_SERIES)
def test_odd_series_are_refused_by_name(visible: Path, item: str) -> None:
    with pytest.raises(GeometryError, match=ODD_SERIES[item][1]):
        chunkvol.open_volume(visible / item)


@pytest.mark.parametrize("item", [item for item, (options, _) in ODD_SERIES.items() if options])
def test_odd_series_are_the_answer_once_decided(visible: Path, expected: Any, item: str) -> None:
    folder, name = item.split("/")
    answer = expected[folder][name]["math"]
    scan = chunkvol.open_volume(visible / item, **ODD_SERIES[item][0])
    assert_affine(scan.geometry, answer["affine_lps"])
    assert_values(scan, answer)


def test_an_upright_grid_keeps_a_tilted_scan_in_its_place(visible: Path) -> None:
    folder = visible / "bad_series" / "gantrytilting"
    tilted = chunkvol.open_volume(folder, tilt="keep")
    upright = chunkvol.open_volume(folder, tilt="resample")
    matrix = np.array(upright.geometry.direction)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-9)
    wanted, found = tilted.values.read().astype("f8"), upright.values.read().astype("f8")
    for k in range(len(wanted)):
        rows = np.array([tilted.geometry.index_to_world((k, row, 7)) for row in range(wanted.shape[1])])
        at = upright.geometry.world_to_index(rows)
        np.testing.assert_allclose(at[:, [0, 2]], [[k, 7]] * len(at), atol=1e-6)
        nearest = np.interp(at[5:-5, 1], np.arange(found.shape[1]), found[k, :, 7])
        smooth = np.abs(np.gradient(wanted[k, :, 7])).max() + 1
        assert np.abs(nearest - wanted[k, 5:-5, 7]).max() <= smooth


def test_a_missing_slice_is_filled_in_place(visible: Path) -> None:
    folder = visible / "bad_series" / "sliceincrement"
    scan = chunkvol.open_volume(folder, gaps="fill")
    assert scan.shape == (5, 512, 512)
    np.testing.assert_allclose(scan.geometry.spacing[0], 5, rtol=1e-6)
    voxels = scan.read().astype("f8")
    np.testing.assert_array_equal(voxels[3], np.rint((voxels[2] + voxels[4]) / 2))
    assert [scan.metadata.extra["filled_planes"]] == [[3]]
    first, second = _runs(folder)
    assert chunkvol.open_volume(folder, gaps="split", series=first).shape[0] == 3
    spacing = scan.geometry.spacing  # no file says how thick a plane is
    alone = chunkvol.open_volume(folder, gaps="split", series=second, few=True, spacing=spacing)
    np.testing.assert_allclose(alone.geometry.origin, scan.geometry.index_to_world((4, 0, 0)), atol=1e-9)


def _runs(folder: Path) -> list[str]:
    with pytest.raises(InputError, match="--gaps split makes 2 volumes") as caught:
        chunkvol.open_volume(folder, gaps="split")
    return re.findall(r"[0-9a-f]+\.\d(?= \()", str(caught.value))


def test_two_orientations_in_one_series_are_two_volumes(visible: Path, expected: Any) -> None:
    folder = visible / "bad_series" / "sliceorientation"
    with pytest.raises(InputError, match="choose one with --series") as caught:
        chunkvol.open_volume(folder)
    ids = re.findall(r"\b[0-9a-f]{6}\b", str(caught.value))
    assert len(ids) == 2
    answer = expected["bad_series"]["sliceorientation"]["math"]
    for one in ids:
        with pytest.raises(GeometryError, match="--few"):
            chunkvol.open_volume(folder, series=one)
    scans = [chunkvol.open_volume(folder, series=one, few=True) for one in ids]
    scan = next(scan for scan in scans if abs(scan.geometry.spacing[0] - 3.3) < 0.01)
    assert_affine(scan.geometry, answer["affine_lps"])


def test_a_segmentation_is_read_as_labels(visible: Path) -> None:
    labels = chunkvol.open_volume(visible / "ct_odd_size" / "seg")
    assert labels.metadata.extra["segmentation"]["segments"]
    assert labels.dtype.kind == "u"
