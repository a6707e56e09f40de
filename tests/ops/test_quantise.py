"""Values in another type: exact where they fit, a stated window where not, never wrapped."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chunkvol
import chunkvol.ops.quantise as module
from chunkvol import Volume
from chunkvol.errors import InputError
from chunkvol.metadata import Metadata, Rescale
from chunkvol.ops.quantise import QUANTISED, find_window, quantise
from tests.support.grids import noise_volume, oblique_grid, ramp_volume

SHAPE = (7, 5, 3)


def volume_of(values: Any, **metadata: Any) -> Volume:
    array = np.resize(np.asarray(values), SHAPE)
    return Volume(array, oblique_grid(SHAPE), Metadata(**metadata))


# ------------------------------------------------------------------------------------------------------------ laws


@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-3, 1e6),
    st.lists(st.floats(allow_nan=False, width=64), min_size=1, max_size=40),
    st.sampled_from([name for name in QUANTISED if name != "float32"]),
)
def test_a_window_rounds_half_to_even_and_clamps(low: float, span: float, values: list[float], kind: str) -> None:
    high = low + span
    found = quantise(volume_of(values), kind, (low, high)).read()
    ends = np.iinfo(kind)
    inside = np.clip(np.resize(values, SHAPE), low, high)
    wanted = np.rint((inside - low) / (high - low) * (float(ends.max) - float(ends.min))) + float(ends.min)
    assert np.array_equal(found.astype(float), wanted)
    assert found.dtype == kind


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int16"])
def test_the_ends_of_the_window_are_the_ends_of_the_type(kind: str) -> None:
    volume = quantise(volume_of([-1e9, -1000.0, 3000.0, 1e9, np.nan, np.inf, -np.inf]), kind, (-1000, 3000))
    ends = np.iinfo(kind)
    assert [int(v) for v in volume.read().reshape(-1)[:7]] == [
        ends.min, ends.min, ends.max, ends.max, ends.min, ends.max, ends.min,
    ]  # fmt: skip


def test_a_windowed_ramp_is_a_ramp_on_the_same_grid() -> None:
    volume = ramp_volume(oblique_grid(SHAPE))
    values = volume.read()
    found = quantise(volume, "uint16", (float(values.min()), float(values.max())))
    assert found.geometry == volume.geometry
    back = found.read() / 65535 * (values.max() - values.min()) + values.min()
    assert np.abs(back - values).max() <= (values.max() - values.min()) / 65535 / 2 * 1.0001


@pytest.mark.parametrize("kind", QUANTISED)
def test_regions_are_parts_of_the_whole(kind: str) -> None:
    volume = noise_volume(oblique_grid((9, 7, 11)), "int16")
    made = quantise(volume, kind, None if kind == "float32" else (-50, 60))
    region = (slice(2, 9), slice(1, 6), slice(3, 10))
    assert np.array_equal(pickle.loads(pickle.dumps(made.source)).read(region), made.read()[region])


# --------------------------------------------------------------------------------------------------------- corners


def test_values_that_fit_are_kept_and_the_metadata_says_what_was_done() -> None:
    volume = volume_of(np.array([0, 4095], "uint16"), stored_range=(0, 4095), rescale=Rescale(unit="HU"))
    made = quantise(volume, "int16")
    assert np.array_equal(made.read(), volume.read())
    assert made.metadata.history == ("as int16",)
    assert made.metadata.rescale == Rescale(unit="HU")
    windowed = quantise(volume, "uint8", (0, 4095))
    assert windowed.metadata.history == ("window 0,4095 to uint8",)
    assert windowed.metadata.extra["window"] == [0.0, 4095.0]
    assert windowed.metadata.stored_range is None
    assert quantise(windowed, "uint8") is windowed


def test_a_window_is_of_real_values() -> None:
    volume = volume_of(np.array([0, 1024, 3048], "uint16"), rescale=Rescale(1, -1024, "HU"))
    found = quantise(volume, "uint8", (-1024, 2024)).read().reshape(-1)[:3]
    assert found.tolist() == [0, 86, 255]


def test_auto_takes_percentiles_of_a_sample_and_the_coarsest_level_that_will_do(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(100, 10, (40, 90, 80)).astype("float32")
    values[0, 0, 0] = 1e9
    volume = Volume(values, oblique_grid((40, 90, 80)))
    low, high = find_window(volume)
    assert 60 < low < 75
    assert 125 < high < 140
    chunkvol.write_volume(volume, tmp_path / "a.nrrd", encoding="gzip")
    assert find_window(chunkvol.open_volume(tmp_path / "a.nrrd")) == (low, high)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.nrrd"]


def test_the_sample_for_auto_is_thinned_planes_read_in_bands_and_small(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(70 * 530 * 300, dtype="int32").reshape(70, 530, 300)
    which = np.unique(np.linspace(0, 69, 32).round().astype(int))
    wanted = values[which][:, ::3, ::2]
    source = Volume(values, oblique_grid(values.shape)).source
    for most in (1 << 30, 1 << 16, 1):
        monkeypatch.setattr(module, "_READ_BYTES", most)
        np.testing.assert_array_equal(module._sample(source), wanted.reshape(-1))
    assert wanted.size <= 32 * 256 * 256


def test_auto_widens_for_few_values() -> None:
    values = np.zeros(SHAPE, "uint16")
    values[0, 0, 0] = 9
    assert find_window(Volume(values, oblique_grid(SHAPE))) in [
        (0.0, 9.0),
        find_window(Volume(values, oblique_grid(SHAPE))),
    ]


def test_labels_are_not_spread_unless_a_window_says_how() -> None:
    metadata = Metadata(extra={"segmentation": {}, "kept": 1})
    labels = Volume(np.array([[[0, 1, 1]]], "uint8"), oblique_grid((1, 1, 3)), metadata)
    with pytest.raises(InputError, match="--window auto is for greys, and these are labels"):
        quantise(labels, "uint8", "auto")
    assert quantise(labels, "uint16").metadata.extra == metadata.extra
    mask = quantise(labels, "uint8", (0, 1))
    assert mask.read().reshape(-1).tolist() == [0, 255, 255]
    assert mask.metadata.extra == {"kept": 1, "window": [0, 1]}


# -------------------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("values", "kind", "window", "message"),
    [
        ([1.5], "uint8", None, "float64 values are no uint8: --window LO,HI"),
        (np.array([1], "uint16"), "uint8", None, "between 0 and 65535, uint8 holds 0 to 255: --window LO,HI"),
        (np.array([1], "int16"), "uint16", None, "between -32768 and 32767, uint16 holds 0 to 65535"),
        ([1.5], "uint8", (3, 3), "two finite numbers, the lower first"),
        ([1.5], "uint8", (0, np.nan), "two finite numbers"),
        ([1.5], "uint8", "wide", "two finite numbers"),
        ([1.5], "float32", (0, 1), "ends of an integer type"),
        ([1.5], "uint64", (0, 1), "not 'uint64'"),
        ([np.nan], "uint8", "auto", "no finite value"),
        ([4.0], "uint8", "auto", "are 4; give LO,HI"),
    ],
)
def test_what_is_refused(values: Any, kind: str, window: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        quantise(volume_of(values), kind, window)


def test_a_stored_range_that_lies_is_found_at_reading() -> None:
    volume = volume_of(np.array([0, 300], "uint16"), stored_range=(0, 255))
    with pytest.raises(InputError, match="do not fit uint8, although"):
        quantise(volume, "uint8").read()
