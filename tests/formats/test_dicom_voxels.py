"""What voxels are worth: slopes of each plane, inversion, padding, and values that no file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_rescale

import chunkvol
from chunkvol.errors import FormatError, InputError
from tests.support.series import oblique, write_series

SHAPE = (5, 7, 11)
SLOPES = (0.4317268, 1.25e-5, 3.0, 0.1, 17.000001)
Edit = Any


def stored(dtype: str = "int16", low: int = -2000, high: int = 2000) -> np.ndarray:
    return np.random.default_rng(5).integers(low, high, SHAPE).astype(dtype)


def series(folder: Path, array: np.ndarray, *edits: Edit, **options: Any) -> list[Path]:
    def edit(k: int, dataset: pydicom.Dataset) -> None:
        for one in edits:
            one(k, dataset)

    return write_series(folder, array, oblique(array.shape), edit=edit, **options)


def pet(k: int, dataset: pydicom.Dataset) -> None:
    dataset.Modality, dataset.Units = "PT", "BQML"
    dataset.RescaleSlope, dataset.RescaleIntercept = str(SLOPES[k]), "0"


def padded(k: int, dataset: pydicom.Dataset) -> None:
    dataset.add_new("PixelPaddingValue", "SS", -2000)


def mono1(k: int, dataset: pydicom.Dataset) -> None:
    dataset.PhotometricInterpretation = "MONOCHROME1"


def without(*numbers: int) -> Any:
    """Planes that are then taken away."""

    def drop(paths: list[Path]) -> None:
        for number in numbers:
            paths[number].unlink()

    return drop


# ---------------------------------------------------------------------------------------------- slopes of each plane


def test_slopes_of_each_plane_give_what_pydicom_gives_bit_for_bit(tmp_path: Path) -> None:
    paths = series(tmp_path, stored(), pet)
    scan = chunkvol.open_volume(tmp_path)
    assert scan.dtype == np.float64
    assert scan.metadata.rescale.is_identity
    wanted = [apply_rescale(one.pixel_array, one) for one in map(pydicom.dcmread, paths)]
    np.testing.assert_array_equal(scan.read(), np.array(wanted))


def test_float32_rounds_once(tmp_path: Path) -> None:
    series(tmp_path, stored(), pet)
    exact = chunkvol.open_volume(tmp_path).read()
    scan = chunkvol.open_volume(tmp_path, float32=True)
    assert scan.dtype == np.float32
    np.testing.assert_array_equal(scan.read(), exact.astype(np.float32))


def test_the_table_of_slopes_is_kept_in_a_store(tmp_path: Path) -> None:
    series(tmp_path / "dicom", stored(), pet)
    scan = chunkvol.ingest(tmp_path / "dicom", tmp_path / "a.ome.zarr")
    assert scan.metadata.extra["slopes"] == [[slope, 0.0] for slope in SLOPES]
    assert scan.metadata.extra["units"] == "BQML"
    np.testing.assert_array_equal(scan.read(), chunkvol.open_volume(tmp_path / "dicom").read())


def test_one_slope_stays_beside_the_stored_values(tmp_path: Path) -> None:
    series(tmp_path, stored())
    scan = chunkvol.open_volume(tmp_path)
    assert (scan.metadata.rescale.slope, scan.metadata.rescale.intercept) == (2, -1024)
    assert "slopes" not in scan.metadata.extra
    np.testing.assert_array_equal(scan.read(), stored())


def test_a_unit_is_known_where_all_planes_agree(tmp_path: Path) -> None:
    def edit(k: int, dataset: pydicom.Dataset) -> None:
        dataset.RescaleType = "US" if k else "HU"

    series(tmp_path, stored(), edit)
    scan = chunkvol.open_volume(tmp_path)
    assert scan.metadata.rescale.unit == ""
    assert any("RescaleType is HU and US in planes of one series" in text for text in scan.metadata.problems)


def test_what_changes_is_said(tmp_path: Path) -> None:
    series(tmp_path, stored(), pet)
    text = " ".join(chunkvol.open_volume(tmp_path).metadata.problems)
    assert "slope changes from plane to plane (1.25e-05 to 17)" in text


def test_intercepts_that_change_are_named(tmp_path: Path) -> None:
    paths = series(tmp_path, stored(), sloped("1", "-3 0 7.5 2 1"))
    scan = chunkvol.open_volume(tmp_path)
    assert any("the intercept changes from plane to plane (-3 to 7.5)" in text for text in scan.metadata.problems)
    wanted = [apply_rescale(one.pixel_array, one) for one in map(pydicom.dcmread, paths)]
    np.testing.assert_array_equal(scan.read(), np.array(wanted))


def test_one_slope_in_different_words_is_one(tmp_path: Path) -> None:
    series(tmp_path, stored(), sloped("1 1.0 1E0 +1 01", "0 0.0 -0 0 0"))
    scan = chunkvol.open_volume(tmp_path)
    assert scan.dtype == np.int16
    assert scan.metadata.rescale.is_identity


def sloped(slopes: str, intercepts: str = "0") -> Edit:
    """Of each plane in turn; - for none."""
    numbers = slopes.split(), intercepts.split()

    def edit(k: int, dataset: pydicom.Dataset) -> None:
        for keyword, values in zip(("RescaleSlope", "RescaleIntercept"), numbers, strict=True):
            value = values[k % len(values)]
            if value == "-":
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)

    return edit


@pytest.mark.parametrize(("slopes", "intercepts", "missing"), [("2 -", "0", "Slope"), ("1", "5 0 -", "Intercept")])
def test_a_plane_without_the_slope_that_others_have_is_refused(
    tmp_path: Path, slopes: str, intercepts: str, missing: str
) -> None:
    series(tmp_path, stored(), sloped(slopes, intercepts))
    with pytest.raises(FormatError, match=rf"IM000\d.dcm has no Rescale{missing}, which other planes have"):
        chunkvol.open_volume(tmp_path)


def test_a_slope_that_is_left_out_and_one_of_1_are_the_same(tmp_path: Path) -> None:
    series(tmp_path, stored(), sloped("1 -", "0 -"))
    assert chunkvol.open_volume(tmp_path).metadata.rescale.is_identity


def test_real_values_beyond_floating_point_are_refused(tmp_path: Path) -> None:
    series(tmp_path, stored(), sloped("1e307"))
    with pytest.raises(FormatError, match=r"RescaleSlope .*1e\+?307"):
        chunkvol.open_volume(tmp_path)


@pytest.mark.parametrize("slopes", ["5e29 1", "1e-42 1"])
def test_real_values_that_single_precision_does_not_hold_are_not_put_there(tmp_path: Path, slopes: str) -> None:
    series(tmp_path, stored("uint32", 0), sloped(slopes))
    assert np.isfinite(chunkvol.open_volume(tmp_path).read()).all()
    with pytest.raises(InputError, match=r"--float32 does not hold the real values of .* leave it out"):
        chunkvol.open_volume(tmp_path, float32=True)


# ----------------------------------------------------------------------------------------------------------- inversion


@pytest.mark.parametrize(("dtype", "bits", "ends"), [("uint16", 12, (0, 4095)), ("int16", 12, (-2048, 2047))])
def test_monochrome1_is_turned_within_its_bits_on_request(
    tmp_path: Path, dtype: str, bits: int, ends: tuple[int, int]
) -> None:
    array = stored(dtype, *ends)
    series(tmp_path, array, mono1, bits_stored=bits)
    kept = chunkvol.open_volume(tmp_path)
    np.testing.assert_array_equal(kept.read(), array)
    assert any("MONOCHROME1" in text for text in kept.metadata.problems)
    turned = chunkvol.open_volume(tmp_path, invert=True)
    assert turned.dtype == array.dtype
    np.testing.assert_array_equal(turned.read(), sum(ends) - array.astype(int))
    assert "invert" in turned.metadata.history


def test_monochrome2_is_not_turned(tmp_path: Path) -> None:
    series(tmp_path, stored())
    with pytest.raises(InputError, match=r"--invert turns MONOCHROME1 of integer type; .* is MONOCHROME2 of int16"):
        chunkvol.open_volume(tmp_path, invert=True)


def test_equal_real_values_of_different_slopes_are_not_turned_into_different_ones(tmp_path: Path) -> None:
    series(tmp_path, stored(), pet, mono1)
    with pytest.raises(InputError, match=r"--invert turns stored values, and the slope of .*; leave it out"):
        chunkvol.open_volume(tmp_path, invert=True)


# ------------------------------------------------------------------------------------------------------------- padding


def test_padding_is_recorded_and_turned_with_the_values(tmp_path: Path) -> None:
    series(tmp_path, stored(), padded, mono1)
    assert chunkvol.open_volume(tmp_path).metadata.extra["padding"] == [-2000, -2000]
    assert chunkvol.open_volume(tmp_path, invert=True).metadata.extra["padding"] == [1999, 1999]


@pytest.mark.parametrize(
    ("dtype", "bits", "vr", "stated", "found"),
    [
        ("int16", 16, "US", 63536, -2000),
        ("uint16", 16, "SS", -2000, 63536),
        ("int16", 12, "US", 2096, -2000),
        ("int8", 8, "US", 255, -1),
        ("uint32", 32, "SS", -1, (1 << 32) - 1),
    ],
)
def test_padding_of_the_other_sign_is_that_of_the_pixels(
    tmp_path: Path, dtype: str, bits: int, vr: str, stated: int, found: int
) -> None:
    array = stored(dtype, 1, 100)
    array[:, 2:5, :6] = found
    paths = series(tmp_path, array, lambda k, one: one.add_new("PixelPaddingValue", vr, stated), bits_stored=bits)
    scan = chunkvol.open_volume(tmp_path)
    assert scan.metadata.extra["padding"] == [found, found]
    assert (scan.read() == found).sum() == 5 * 3 * 6
    assert not scan.metadata.problems
    without(2)(paths)
    assert chunkvol.open_volume(tmp_path, gaps="fill").read().shape == SHAPE


def test_padding_beyond_the_stored_bits_is_what_they_hold_of_it(tmp_path: Path) -> None:
    array = stored("uint16", 0, 2000)
    array[:, 2:5, :6] = 63536
    series(tmp_path, array, lambda k, one: one.add_new("PixelPaddingValue", "US", 63536), bits_stored=12)
    scan = chunkvol.open_volume(tmp_path)
    assert scan.metadata.extra["padding"] == [2096, 2096]
    assert (scan.read() == 2096).sum() == 5 * 3 * 6
    assert any("padding value 63536 has more than the 12 bits of a pixel" in text for text in scan.metadata.problems)


def test_means_without_padding(tmp_path: Path) -> None:
    array = stored()
    array[:, :4, :4] = -2000
    array[1, 1, 1] = 40
    series(tmp_path, array, padded)
    scan = chunkvol.open_volume(tmp_path)
    low, high = scan.metadata.extra["padding"]
    small = chunkvol.downsample(scan, 2, ignore=(low, high)).read()
    assert small[0, 0, 0] == 40
    assert small[1, 1, 1] == -2000


def test_mixtures_of_padding_are_told_of(tmp_path: Path) -> None:
    paths = series(tmp_path, stored(), padded)
    without(2)(paths)
    mixed = chunkvol.open_volume(tmp_path, gaps="fill")
    assert any("padding (-2000) is interpolated as any value" in text for text in mixed.metadata.problems)
    constant = chunkvol.open_volume(tmp_path, gaps="fill", fill_value=-1024)
    assert not any("interpolated" in text for text in constant.metadata.problems)


def test_padding_is_not_recorded_where_voxels_are_real_values(tmp_path: Path) -> None:
    series(tmp_path, stored(), pet, padded)
    assert "padding" not in chunkvol.open_volume(tmp_path).metadata.extra


# --------------------------------------------------------------------------------------------- what no file holds


def test_missing_planes_are_made_of_their_neighbours_real_values(tmp_path: Path) -> None:
    exact = np.array([stored()[k] * SLOPES[k] for k in range(5)])
    without(2)(series(tmp_path, stored(), pet))
    scan = chunkvol.open_volume(tmp_path, gaps="fill")
    assert scan.shape == SHAPE
    np.testing.assert_allclose(scan.read()[2], (exact[1] + exact[3]) / 2, rtol=1e-15)
    assert scan.metadata.extra["filled_planes"] == [2]


def test_the_fill_value_is_a_real_one(tmp_path: Path) -> None:
    without(2)(series(tmp_path, stored()))
    scan = chunkvol.open_volume(tmp_path, gaps="fill", fill_value=-500.0)
    assert (scan.read()[2] == (-500 + 1024) / 2).all()
    assert (scan.values.read()[2] == -500).all()


@pytest.mark.parametrize("value", [1e6, float("nan"), float("-inf")])
def test_a_fill_value_that_the_type_does_not_hold_is_refused(tmp_path: Path, value: float) -> None:
    without(2)(series(tmp_path, stored()))
    with pytest.raises(InputError, match=r"the fill value .* which int16 from -32768 to 32767 does not hold"):
        chunkvol.open_volume(tmp_path, gaps="fill", fill_value=value)


def test_real_values_may_be_filled_with_nan(tmp_path: Path) -> None:
    without(2)(series(tmp_path, stored(), pet))
    assert np.isnan(chunkvol.open_volume(tmp_path, gaps="fill", fill_value=float("nan")).read()[2]).all()


@pytest.mark.parametrize(("edits", "wanted"), [((), 0), ((padded,), -2000)], ids=["air", "padding"])
def test_what_an_upright_grid_adds_is_padding_or_air(tmp_path: Path, edits: Any, wanted: int) -> None:
    def slanted(k: int, dataset: pydicom.Dataset) -> None:
        step = np.array(dataset.ImageOrientationPatient[3:]) * 0.6 * k
        place = np.array(dataset.ImagePositionPatient, float) + step
        dataset.ImagePositionPatient = [f"{value:.12f}"[:16] for value in place]

    series(tmp_path, stored(), slanted, *edits)
    scan = chunkvol.open_volume(tmp_path, tilt="resample")
    assert scan.shape[1] > SHAPE[1]
    assert scan.read()[0, -1, 0] == wanted  # 2 * 0 - 1024 HU
    assert "outside" in " ".join(scan.metadata.history)
