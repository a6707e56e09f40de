"""Writing DICOM: the texts of numbers, and how values become integers of 16 bits."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.pixels import apply_rescale

import chunkvol
from chunkvol import Volume
from chunkvol.errors import InputError
from chunkvol.formats.dicom.writer.coding import Range, coding_of, range_of
from chunkvol.formats.dicom.writer.decimals import ds, ds_above, ds_below
from chunkvol.metadata import Metadata, Rescale
from tests.support.grids import noise_volume, oblique_grid, ramp_volume

SHAPE = (5, 7, 4)
GRID = oblique_grid(SHAPE)
REALS = st.floats(-1e12, 1e12) | st.floats(-1e300, 1e300)


# ------------------------------------------------------------------------------------------------------ decimal texts


def all_texts(value: float) -> set[str]:
    """What formats make of a number, as long as it is short: fixed, without a leading zero, scientific, whole."""
    texts = set()
    for decimals in range(40):
        fixed = f"{value:.{decimals}f}"
        mantissa, exponent = f"{value:.{decimals}e}".split("e")
        texts |= {fixed, re.sub(r"^(-?)0\.(?=\d)", r"\1.", fixed), f"{mantissa}e{int(exponent)}"}
    with localcontext(prec=1200):
        places = math.floor(math.log10(abs(value))) if value else 0
        texts |= {f"{round(Decimal(value).scaleb(-power))}e{power}" for power in range(places - 18, places + 2)}
    return {text for text in texts if len(text) <= 16}


@given(REALS)
@example(0.1)
@example(-1 / 3)
@example(2 / 3e5)
@example(-1.2345678901234567e-12)
@example(1.2345678901234567e21)
@example(5e-324)
@example(-1.7976931348623157e299)
@example(99999999999999.995)
def test_no_text_of_sixteen_characters_is_nearer(value: float) -> None:
    text = ds(value)
    assert re.fullmatch(r"-?(\d+|\d+\.\d+|\.\d+)(e-?\d+)?", text)
    assert len(text) <= 16
    with localcontext(prec=1200):
        error = abs(Decimal(float(text)) - Decimal(value))
        assert error <= min(abs(Decimal(float(other)) - Decimal(value)) for other in all_texts(value))


@given(REALS)
def test_texts_above_and_below_enclose_the_number(value: float) -> None:
    above, below = ds_above(value), ds_below(value)
    assert max(len(above), len(below)) <= 16
    assert float(below) <= value <= float(above)
    assert float(ds(value)) in (float(below), float(above))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-1024.0, "-1024"),
        (0.7, "0.7"),
        (1e-3, "0.001"),
        (1e300, "1e300"),
        (1009.5123, "1009.5123"),
        (1 / 3, ".333333333333333"),
        (-1 / 3, "-.33333333333333"),
    ],
)
def test_plain_numbers_have_plain_texts(value: float, text: str) -> None:
    assert ds(value) == text


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_has_no_text(value: float) -> None:
    with pytest.raises(InputError, match="DICOM has no decimal text for"):
        ds(value)


# ------------------------------------------------------------------------------------------------- codings of a range


@given(
    st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=20),
    st.booleans(),
)
@example([1e6, 1e6 + 1e-6], False)
@example([0.1, 0.1], False)
@example([-1e-300, 1e-300], True)
@example([1e9, -1e9, 0.5], False)
def test_no_value_is_further_off_than_stated_and_the_stated_is_half_a_step(values: list[float], alike: bool) -> None:
    plane = np.array([values])
    coding = coding_of(range_of(plane, "plane 0"), Rescale(), alike=alike)
    decoded = coding.stored(plane).astype(float) * float(coding.slope) + float(coding.intercept)
    assert np.abs(decoded - plane).max() <= coding.error
    largest = float(np.abs(plane).max())
    assert coding.error <= float(coding.slope) / 2 * (1 + 1e-6) + 4 * np.finfo(float).eps * largest
    assert coding.stored(plane).dtype == ("<i2" if coding.signed else "<u2")
    assert not alike or not (float(coding.slope).is_integer() and float(coding.intercept).is_integer())


@given(
    st.integers(-(1 << 31), 1 << 31),
    st.integers(0, 65535),
    st.sampled_from([1, -1, 2, -2, 7, 1 << 20, -(1 << 31), 0.25, 1 / 3]),
    st.sampled_from([0, -1024, 0.5]),
)
@example(0, 32767, 1, 0)
@example(0, 32768, 1, 0)
def test_one_coding_of_several_is_never_taken_for_integers(low: int, span: int, slope: float, intercept: float) -> None:
    plane, scale = np.array([[low, low + span, low + span // 3]]), Rescale(slope, intercept)
    coding = coding_of(range_of(plane, "plane 0"), scale, alike=True)
    assert not (float(coding.slope).is_integer() and float(coding.intercept).is_integer())
    decoded = coding.stored(plane).astype(float) * float(coding.slope) + float(coding.intercept)
    assert np.abs(decoded - (plane * slope + intercept)).max() <= coding.error
    assert coding.error <= 1e-7 * abs(slope) + 1e-12 * np.abs(plane * slope + intercept).max()
    if abs(slope) == 1 and float(intercept).is_integer() and span <= 32767:
        assert coding.error == 0


@given(st.lists(st.integers(-(1 << 15), 1 << 17), min_size=1, max_size=8), st.sampled_from(["f4", "f8", "i4", "i8"]))
def test_integers_within_sixteen_bits_are_exact_in_any_type(values: list[int], dtype: str) -> None:
    plane = np.array([values], dtype)
    coding = coding_of(range_of(plane, "plane 0"), Rescale())
    decoded = coding.stored(plane).astype(float) * float(coding.slope) + float(coding.intercept)
    if max(values) - min(values) <= 65535:
        assert (coding.slope, coding.error) == ("1", 0.0)
        np.testing.assert_array_equal(decoded, plane)
    else:
        assert np.abs(decoded - plane).max() <= coding.error <= float(coding.slope) / 2 * (1 + 1e-6)


@pytest.mark.parametrize(
    ("low", "high", "signed", "intercept"),
    [(0, 65535, False, "0"), (-1, 32767, True, "0"), (-32768, -5, True, "0"), (-1, 40000, False, "-1"),
     (1 << 40, (1 << 40) + 65535, False, str(1 << 40))],
)  # fmt: skip  # a row a case
def test_integers_are_shifted_only_where_they_must_be(low: int, high: int, signed: bool, intercept: str) -> None:
    coding = coding_of(Range(low, high, True), Rescale())
    assert (coding.signed, coding.slope, coding.intercept, coding.error) == (signed, "1", intercept, 0.0)


def test_int64_beyond_what_doubles_hold_is_shifted_exactly() -> None:
    low = (1 << 53) + 1
    plane = np.array([[low, low + 65535]])
    coding = coding_of(range_of(plane, "plane 0"), Rescale())
    np.testing.assert_array_equal(coding.stored(plane), [[0, 65535]])
    assert coding.error >= abs(float(coding.intercept) - low)


# ------------------------------------------------------------------------------------------------------ whole series


def write(volume: Volume, folder: Path, **options: Any) -> list[pydicom.Dataset]:
    """The images in their order."""
    chunkvol.write_volume(volume, folder, workers=2, **options)
    images = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    assert [image.InstanceNumber for image in images] == list(range(1, len(images) + 1))
    return images


def real_values(images: list[pydicom.Dataset]) -> Any:
    return np.stack([apply_rescale(image.pixel_array, image) for image in images])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
def test_integers_of_sixteen_bits_keep_their_bits_slope_and_intercept(dtype: str, tmp_path: Path) -> None:
    volume = replace(noise_volume(GRID, dtype), metadata=Metadata(Rescale(0.25, -1000.5, "HU"), modality="CT"))
    images = write(volume, tmp_path / "out")
    np.testing.assert_array_equal([image.pixel_array for image in images], volume.read())
    assert {(str(i.RescaleSlope), str(i.RescaleIntercept), i.RescaleType) for i in images} == {
        ("0.25", "-1000.5", "HU")
    }
    back = chunkvol.open_volume(tmp_path / "out")
    assert back.metadata.rescale == volume.metadata.rescale
    np.testing.assert_array_equal(back.read(), volume.read())


def test_a_slope_of_many_digits_keeps_the_bits_and_says_how_far_values_are_off(tmp_path: Path) -> None:
    scale = Rescale(float(np.float32(0.0123)), float(np.float32(-7.1)))
    volume = replace(noise_volume(GRID), metadata=Metadata(scale))
    notes = " ".join(chunkvol.plan_write(volume, tmp_path / "out").notes)
    images = write(volume, tmp_path / "out")
    stated = float(re.search(r"rounded to 16 characters: no value is off by more than (\S+)", notes)[1])  # type: ignore[index]
    np.testing.assert_array_equal([image.pixel_array for image in images], volume.read())
    wanted = volume.read() * scale.slope + scale.intercept
    assert 0 < np.abs(real_values(images) - wanted).max() <= stated < 1e-7 * scale.slope * 65535


class Said:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.stages: list[str] = []

    def stage(self, name: str, total: int, unit: str = "B") -> None:
        self.stages.append(name)

    def advance(self, amount: int) -> None:
        return

    def say(self, text: str) -> None:
        self.lines.append(text)

    def close(self) -> None:
        return


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_are_off_by_no_more_than_half_the_slope_as_is_told_and_stored(dtype: str, tmp_path: Path) -> None:
    told = Said()
    volume = noise_volume(GRID, dtype)
    images = write(volume, tmp_path / "out", progress=told)
    found = re.fullmatch(dtype + r" values .* with slope (\S+): no value is off by more than (\S+)", told.lines[0])
    assert found and told.lines[0] in str(images[0].DerivationDescription)
    assert told.stages[:2] == ["measuring", "writing"]
    slope, stated = float(found[1]), float(found[2])
    assert {float(image.RescaleSlope) for image in images} == {slope}
    assert slope >= np.ptp(volume.read().astype(float)) / 65535 * (1 - 1e-12)
    assert np.abs(real_values(images) - volume.read()).max() <= stated <= slope / 2 * (1 + 1e-6)


def test_a_slope_for_each_plane_is_finer_and_needs_no_first_pass(tmp_path: Path) -> None:
    told = Said()
    planes = np.random.default_rng(1).normal(size=SHAPE) * np.array([1e-3, 0, 1, 30, 1e5])[:, None, None]
    planes[1] = 2 / 3  # constant
    planes[3] = np.rint(planes[3])  # whole
    images = write(Volume(planes, GRID), tmp_path / "out", slope="per-slice", progress=told)
    assert told.stages[0] == "writing"
    off = np.abs(real_values(images) - planes).max(axis=(1, 2))
    assert (off <= np.array([float(image.RescaleSlope) for image in images]) / 2 * (1 + 1e-6)).all()
    assert off[3] == 0 and off[1] < 1e-14 and off[0] < 1e-7 < off[4]
    stated = float(re.search(r"with a slope for each image: no value is off by more than (\S+)", told.lines[0])[1])  # type: ignore[index]
    assert off.max() <= stated <= max(float(image.RescaleSlope) for image in images) / 2 * (1 + 1e-6)
    back = chunkvol.open_volume(tmp_path / "out")
    assert np.abs(back.read() - planes).max() <= stated


@pytest.mark.parametrize("first", [0.0, -70_000.0, 7.5])
@pytest.mark.parametrize("kind", ["float32", "int32"])
def test_itk_wraps_no_plane_whatever_the_first_one_holds(first: float, kind: str, tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    planes = np.random.default_rng(3).integers(-100_000, 100_000, SHAPE).astype(kind)
    planes[0], planes[1], planes[-1] = first, -5, 131_070
    planes[2:4] = np.random.default_rng(3).normal(size=planes[2:4].shape) * 1000
    planes[2, 0, :2] = 0, 131_070
    images = write(Volume(planes, GRID), tmp_path / "out", slope="per-slice")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "out")))
    found = sitk.GetArrayFromImage(reader.Execute())
    np.testing.assert_allclose(found, real_values(images), rtol=0, atol=1e-6)
    assert np.abs(found - planes).max() <= 2


@pytest.mark.parametrize("slope", ["volume", "per-slice"])
def test_integers_that_came_as_floats_are_stored_exactly(slope: str, tmp_path: Path) -> None:
    told = Said()
    values = np.random.default_rng(2).integers(-1024, 3071, SHAPE).astype("float32")
    images = write(Volume(values, GRID), tmp_path / "out", progress=told, slope=slope)
    assert told.lines == ["float32 values are integers within 16 bits, and are stored exactly"]
    assert {str(image.RescaleSlope) for image in images} == {"1" if slope == "volume" else "0.5"}
    np.testing.assert_array_equal(real_values(images), values)
    if slope == "volume":
        np.testing.assert_array_equal([image.pixel_array for image in images], values)


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64"])
def test_wide_integers_are_exact_where_their_range_is_narrow(dtype: str, tmp_path: Path) -> None:
    values = np.random.default_rng(2).integers(70_000, 130_000, SHAPE).astype(dtype)
    volume = Volume(values, GRID, Metadata(Rescale(0.5, 3.0)))
    np.testing.assert_array_equal(real_values(write(volume, tmp_path / "out")), values * 0.5 + 3)


def test_wide_integers_of_a_wide_range_are_rounded_as_floats_are(tmp_path: Path) -> None:
    told = Said()
    values = np.random.default_rng(2).integers(-(1 << 31), 1 << 31, SHAPE).astype("int32")
    images = write(Volume(values, GRID, Metadata(Rescale(-2.0, 1.0))), tmp_path / "out", progress=told)
    stated = float(told.lines[0].rsplit(" ", 1)[1])
    assert np.abs(real_values(images) - (values * -2.0 + 1)).max() <= stated < 1.0001 * 2 * 2**32 / 65535 / 2


def test_a_constant_volume_is_stored(tmp_path: Path) -> None:
    images = write(Volume(np.full(SHAPE, np.float32(0.1)), GRID), tmp_path / "out")
    np.testing.assert_allclose(real_values(images), np.float32(0.1), rtol=1e-12)


@pytest.mark.parametrize("slope", ["volume", "per-slice"])
@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (-np.inf, "infinite values")])
def test_what_is_not_finite_is_refused_by_its_plane_and_nothing_is_left(
    slope: str, value: float, word: str, tmp_path: Path
) -> None:
    values = ramp_volume(GRID).read()
    values[3, 2, 1] = value
    with pytest.raises(InputError, match=f"plane 3 holds {word}, which the integers of DICOM cannot say: write NRRD"):
        chunkvol.write_volume(Volume(values, GRID), tmp_path / "out", slope=slope)
    assert list(tmp_path.iterdir()) == []


def test_a_window_is_said_to_keep_no_real_values(tmp_path: Path) -> None:
    volume = chunkvol.quantise(noise_volume(GRID, "float32"), "uint16", (-3, 3))
    assert "values are steps of the window -3 to 3, and not the input's real ones any more" in (
        chunkvol.plan_write(volume, tmp_path / "out").notes
    )


def test_values_that_headers_cannot_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="real values from 0 to 1e\\+35 are larger than programs read"):
        chunkvol.write_volume(Volume(np.linspace(0, 1e35, 140).reshape(SHAPE), GRID), tmp_path / "out")


def test_types_without_a_place_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"DICOM images are made of integers and floating point .* not float128"):
        chunkvol.plan_write(Volume(np.zeros(SHAPE, "longdouble"), GRID), tmp_path / "out")


def test_a_slope_that_is_none_is_refused_and_one_without_use_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--slope is volume or per-slice, not 'plane'"):
        chunkvol.plan_write(noise_volume(GRID), tmp_path / "out", slope="plane")
    notes = chunkvol.plan_write(noise_volume(GRID), tmp_path / "out", slope="per-slice").notes
    assert "uint16 values are stored exactly: --slope per-slice changes nothing" in notes
