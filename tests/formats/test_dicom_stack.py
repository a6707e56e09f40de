"""Images become a regular grid with every voxel in its place, as the caller decided, at any scale."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunkvol.errors import GeometryError, InputError
from chunkvol.formats.dicom.catalogue.groups import find_groups
from chunkvol.formats.dicom.catalogue.scan import read_folder
from chunkvol.formats.dicom.headers.header import Header
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.stacks.stack import Run, Stack, runs, stacked
from tests.support.grids import ramp_values
from tests.support.series import oblique
from tests.support.stacks import COLUMNS, PIXEL_SPACING, ROWS, headers, ramp_planes, result_of

SCALES = [0.005, 0.05, 1.0]
TILT = (-0.3, 0.0)
UNEVEN = [0, 1, 2, 3.4, 4, 5, 6.02, 7]
GAPS = [0, 1, 2, 3, 6, 7, 9, 10]


def made(images: Sequence[Header], run: int | None = None, **options: Any) -> Stack:
    return stacked(images, ReadOptions(**options), run)


def check_ramp(stack: Stack, share: float = 1.0) -> None:
    """Every voxel made from files holds the ramp at its world point; at least `share` of them are made so."""
    found, expected = result_of(stack, ramp_planes(stack.images)), ramp_values(stack.geometry)
    assert found.shape == stack.geometry.shape
    there = np.isfinite(found)
    assert there.mean() >= share
    assert np.abs(found - expected)[there].max() <= 1e-9 * max(1, np.abs(expected).max())


ACCEPTED: dict[str, tuple[list[float], tuple[float, float], dict[str, Any], tuple[int, int, int], float]] = {
    "regular": ([0, 1, 2, 3, 4], (0, 0), {}, (5, 4, 7), 1),
    "against the normal": ([4, 3, 2, 1, 0], (0, 0), {}, (5, 4, 7), 1),
    "in any order": ([3, 0, 4, 1, 2], (0, 0), {}, (5, 4, 7), 1),
    "a slight slant": ([0, 1, 2, 3, 4], (0.005, -0.006), {}, (5, 4, 7), 1),
    "every other plane": ([0, 2, 4, 6], (0, 0), {}, (4, 4, 7), 1),
    "gaps filled": (GAPS, (0, 0), {"gaps": "fill"}, (11, 4, 7), 1),
    "gaps filled with a value": (GAPS, (0, 0), {"gaps": "fill", "fill_value": -1000}, (11, 4, 7), 8 / 11),
    "gaps in a slant kept": (GAPS, TILT, {"gaps": "fill", "tilt": "keep"}, (11, 4, 7), 1),
    "gaps in a slant made upright": (GAPS, TILT, {"gaps": "fill", "tilt": "resample"}, (11, 8, 7), 0.3),
    "uneven made even": (UNEVEN, (0, 0), {"uneven": "resample"}, (8, 4, 7), 1),
    "uneven and slanted": (UNEVEN, TILT, {"uneven": "resample", "tilt": "keep"}, (8, 4, 7), 1),
    "uneven made even and upright": (UNEVEN, TILT, {"uneven": "resample", "tilt": "resample"}, (8, 7, 7), 0.4),
    "drift made even": (list(np.cumsum(np.linspace(0.9, 1.1, 30))), (0, 0), {"uneven": "resample"}, (30, 4, 7), 1),
    "slant kept": ([0, 1, 2, 3, 4], TILT, {"tilt": "keep"}, (5, 4, 7), 1),
    "slant along -j made upright": ([0, 1, 2, 3, 4], TILT, {"tilt": "resample"}, (5, 6, 7), 0.5),
    "slant along +j made upright": ([0, 1, 2, 3, 4], (0.3, 0), {"tilt": "resample"}, (5, 6, 7), 0.5),
    "slant along j and i made upright": ([0, 1, 2, 3], (0.3, -0.4), {"tilt": "resample"}, (4, 6, 10), 0.3),
    "whole pixels made upright": ([0, 1, 2, 3], (-0.75, 0.5), {"tilt": "resample"}, (4, 7, 10), 28 / 70),
    "two planes": ([0, 1], (0, 0), {"few": True}, (2, 4, 7), 1),
    "two slanted planes": ([1, 0], TILT, {"few": True, "tilt": "keep"}, (2, 4, 7), 1),
}  # fmt: skip  # one case a line reads as a table


@pytest.mark.parametrize("spacing", SCALES)
@pytest.mark.parametrize("case", ACCEPTED)
def test_each_voxel_holds_what_lies_at_its_place(case: str, spacing: float) -> None:
    along, aside, options, shape, share = ACCEPTED[case]
    stack = made(headers(along, spacing, aside), **options)
    assert stack.geometry.shape == shape
    assert not stack.assumed
    check_ramp(stack, share)
    assert stack.geometry.spacing[1:] == tuple(spacing * value for value in PIXEL_SPACING)


@given(
    along=st.lists(st.integers(0, 30), min_size=4, max_size=9, unique=True),
    aside=st.tuples(st.floats(-0.6, 0.6), st.floats(-0.6, 0.6)),
    jitter=st.floats(0, 0.3),
    tilt=st.sampled_from(["keep", "resample"]),
    spacing=st.floats(0.003, 5),
)
def test_the_law_holds_for_any_places(
    along: list[int], aside: tuple[float, float], jitter: float, tilt: str, spacing: float
) -> None:
    moved = [n + jitter * np.sin(7 * n) for n in along]
    stack = made(headers(moved, spacing, aside), gaps="fill", uneven="resample", tilt=tilt)
    if "jitter_mm" not in stack.record:  # else planes may be off their places, by the tolerance
        check_ramp(stack, 0)


def test_an_upright_grid_loses_no_voxel_and_is_no_larger_than_needed() -> None:
    images = headers(range(6), 1.0, (0.3, -0.4))
    stack = made(images, tilt="resample")
    assert stack.shift is not None
    low, high = stack.shift.offsets.min(axis=0), stack.shift.offsets.max(axis=0)
    assert (low >= 0).all()
    assert (low < 1).all()
    grown = np.array([stack.shift.rows - ROWS, stack.shift.columns - COLUMNS])
    assert (np.ceil(high) == grown).all()
    corners = np.array([ramp_planes([image])[0][-1, -1] for image in images])
    assert np.isfinite(corners).all()
    assert np.array_equal(stack.shift.offsets[0], [0, 4])  # plane 0 moves by whole pixels, it is not blurred
    direction = np.array(stack.geometry.direction)
    assert np.allclose(direction.T @ direction, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("digits", [3, 4, 5, 6])
def test_orientations_of_few_decimals_are_accepted_and_told(digits: int) -> None:
    worst = 0.0
    for seed in range(60):
        turned, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
        images = headers(range(4), orientation=tuple(np.round(turned[:, :2].T.ravel(), digits).tolist()))
        normal = np.cross(*turned[:, :2].T)
        images = [replace(image, position=tuple((k * normal).tolist())) for k, image in enumerate(images)]
        stack = made(images)
        told = [text for text in stack.problems if text.startswith("ImageOrientationPatient has few decimals")]
        assert len(told) <= (digits == 3)
        true = np.column_stack([normal, turned[:, 1], turned[:, 0]])
        worst = max(worst, float(np.abs(np.array(stack.geometry.direction) - true).max()))
    assert worst < 0.7 * 10**-digits


def test_one_more_in_the_fourth_decimal_of_a_plane_is_noise() -> None:
    def noisy(digit: float) -> list[Header]:
        images = headers(range(8))
        right = np.round(np.array(images[0].orientation), 4)
        offs = digit * np.array([[0, 1, 0, 0, 0, 1], [1, 0, 0, 1, 0, 0]])
        return [replace(image, orientation=tuple(np.round(right + offs[k % 2], 4))) for k, image in enumerate(images)]

    assert [len(group.images) for group in find_groups(noisy(1e-4))] == [8]
    assert made(noisy(1e-4)).geometry.shape == (8, ROWS, COLUMNS)
    with pytest.raises(GeometryError, match="mixed orientations"):
        made(noisy(2e-4))


@pytest.mark.parametrize(("decimals", "spacing"), [(3, 0.0253), (3, 0.0113), (4, 0.00517), (2, 0.2513)])
def test_positions_of_few_decimals_are_refused_with_the_right_way_out(decimals: int, spacing: float) -> None:
    true = headers(range(60), spacing)
    images = [replace(image, position=tuple(np.round(image.position or (), decimals).tolist())) for image in true]
    message = rf"uneven spacing, as rounding positions to {10.0**-decimals:g} mm makes of an even one: .*--uneven mean"
    with pytest.raises(GeometryError, match=message):
        made(images)
    # A table that starts at no round number adds that to all of them.
    begun = [replace(image, position=tuple(np.add(image.position or (), 0.0314159).tolist())) for image in images]
    with pytest.raises(GeometryError, match=message):
        made(begun)
    found, expected = made(images, uneven="mean").geometry, made(true).geometry
    for k in (0, 30, 59):
        apart = np.subtract(found.index_to_world((k, 0, 0)), expected.index_to_world((k, 0, 0)))
        assert np.linalg.norm(apart) < 10.0**-decimals
    moved = [*images[:20], replace(images[20], position=tuple(np.add(images[20].position or (), 0.4 * spacing)))]
    with pytest.raises(GeometryError) as refused:
        made([*moved, *images[21:]])
    assert "rounding" not in str(refused.value)


def test_a_spacing_against_the_normal_does_not_contradict_the_positions() -> None:
    assert made(headers(range(4), 2.5, spacing_between=-2.5)).problems == ()
    assert "SpacingBetweenSlices says -2 mm" in made(headers(range(4), 2.5, spacing_between=-2.0)).problems[0]


def test_six_decimals_are_enough_for_2000_planes_of_5_um() -> None:
    images = headers(range(2000), 0.005)
    images = [replace(image, position=tuple(np.round(image.position or (), 6).tolist())) for image in images]
    stack = made(images)
    assert stack.geometry.spacing[0] == pytest.approx(0.005, rel=1e-6)
    assert not stack.assumed


def test_an_axis_without_a_slant_is_left_alone() -> None:
    noise = 1e-7  # of decimal strings, in steps
    stack = made(headers(range(5), 1.0, (0.3, noise)), tilt="resample")
    assert stack.shift is not None
    assert (stack.shift.columns, stack.shift.offsets[:, 1].any()) == (COLUMNS, False)


def test_planes_that_are_on_the_even_grid_are_not_touched() -> None:
    stack = made(headers(UNEVEN), uneven="resample")
    assert stack.blend is not None
    assert stack.blend.lower.tolist() == [0, 1, 2, 2, 4, 5, 5, 7]
    assert np.flatnonzero(stack.blend.weight).tolist() == [3, 6]
    assert np.allclose(stack.blend.weight[[3, 6]], [1 / 1.4, 1 / 1.02])
    assert stack.record["interpolated_planes"] == 2
    assert stack.history == ("uneven resample: 8 planes to 8",)


def test_planes_filled_are_recorded() -> None:
    stack = made(headers(GAPS), gaps="fill")
    assert stack.blend is not None
    assert stack.blend.lower.tolist() == [0, 1, 2, 3, 3, 3, 4, 5, 5, 6, 7]
    assert np.allclose(stack.blend.weight, [0, 0, 0, 0, 1 / 3, 2 / 3, 0, 0, 1 / 2, 0, 0])
    assert stack.record["filled_planes"] == [4, 5, 8]
    assert stack.history == ("gaps fill by linear interpolation: planes 4 to 5, 8",)
    assert stack.problems == (
        "3 missing of 11 planes made by linear interpolation (--gaps fill): planes 4 to 5, 8, "
        "the first after IM0003.dcm",
    )
    constant = made(headers(GAPS), gaps="fill", fill_value=-1000)
    assert constant.blend is not None
    assert constant.blend.lower.tolist() == [0, 1, 2, 3, -1, -1, 4, 5, -1, 6, 7]
    assert not constant.blend.weight.any()
    assert constant.history == ("gaps fill with the value -1000: planes 4 to 5, 8",)
    assert all(";" not in step for step in (*stack.history, *constant.history))  # NRRD joins them with it


@pytest.mark.parametrize("spacing", SCALES)
def test_a_long_gap_is_counted_right_in_spite_of_jitter(spacing: float) -> None:
    rng = np.random.default_rng(3)
    along = np.append(np.arange(60), np.arange(260, 320)) + rng.uniform(-0.004, 0.004, 120)
    stack = made(headers(along.tolist(), spacing), gaps="fill")
    assert stack.geometry.shape[0] == 320
    assert np.isclose(stack.geometry.spacing[0], spacing, rtol=1e-4)
    assert stack.record["jitter_mm"] <= 0.02 * spacing
    assert "planes lie up to" in stack.problems[0]


@pytest.mark.parametrize("spacing", SCALES)
def test_the_mean_step_is_assumed_and_the_worst_place_is_told(spacing: float) -> None:
    stack = made(headers(UNEVEN, spacing), uneven="mean")
    assert stack.assumed
    assert stack.blend is None
    assert np.isclose(stack.geometry.spacing[0], spacing)
    assert np.isclose(stack.record["worst_displacement_mm"], 0.4 * spacing)
    assert "lie up to" in stack.problems[0]
    assert stack.problems[0].endswith("from where they belong (plane 3 (IM0003.dcm))")
    assert stack.history == ("uneven mean",)


def test_splitting_lists_its_runs_and_takes_the_one_that_is_asked_for() -> None:
    options = ReadOptions(gaps="split", few=True)
    assert runs(headers([*range(5), *range(8, 12), 40]), options) == (Run(0, 4), Run(5, 8), Run(9, 9))
    assert [part.count for part in runs(headers(GAPS), options)] == [4, 2, 2]
    with pytest.raises(
        InputError,
        match=r"--gaps split makes 3 volumes: 1 \(planes 0 to 3\), 2 \(planes 4 to 5\), 3 \(planes 6 to 7\); "
        r"choose one with --series ID\.1",
    ):
        stacked(headers(GAPS), options)
    first, last = stacked(headers(GAPS), options, 1), stacked(headers(GAPS), options, 3)
    assert first.geometry.shape == (4, 4, 7)
    assert [image.path[-8:] for image in last.images] == ["0006.dcm", "0007.dcm"]
    assert last.record == {"run": 3, "runs": 3, "few": True}
    assert last.history == ("gaps split: run 3 of 3, planes 6 to 7 of 8",)
    check_ramp(first)
    check_ramp(last)
    with pytest.raises(InputError, match=r"volume 4 of the series was asked for, there are 3; leave out \.4"):
        stacked(headers(GAPS), options, 4)
    with pytest.raises(GeometryError, match=r"the series has 2 planes; .*--few"):
        made(headers(GAPS), 2, gaps="split")


def test_a_series_without_gaps_is_one_run() -> None:
    images = headers(range(5))
    assert runs(images, ReadOptions(gaps="split")) == (Run(0, 4),) == runs(images, ReadOptions())
    for options in ({"gaps": "split"}, {}):
        assert made(images, 1, **options).history == made(images, **options).history == ()
        with pytest.raises(InputError, match="volume 2 of the series was asked for, there is one volume"):
            made(images, 2, **options)


def test_parts_at_any_distance_are_split() -> None:
    images = headers([0, 1, 2, 3, 7.37, 8.37, 9.37])
    with pytest.raises(GeometryError, match=r"uneven spacing; .* \(--gaps split makes volumes of its parts\)"):
        made(images)
    assert made(images, 2, gaps="split").geometry.shape[0] == 3


def placed_without_spacing() -> list[Header]:
    return headers(range(4), pixel_spacing=None)


def aside_by(n: int, share: float, spacing: float) -> list[Header]:
    """Regular planes, of which one lies beside the others."""
    images = headers(range(6), spacing)
    row = np.array(images[n].orientation)[:3]
    images[n] = replace(images[n], position=tuple(np.array(images[n].position) + share * spacing * row))
    return images


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "one plane missing": (
        lambda s: headers([0, 1, 2, 4, 5], s), {},
        r"plane 3 \(IM0003\.dcm\) lies {2} mm after plane 2, expected {1} mm: one plane may be missing; .* "
        r"--gaps fill \(made of their neighbours\) or --gaps split \(a volume of each run\)$"),
    "many planes missing": (
        lambda s: headers(GAPS, s), {},
        r"plane 4 \(IM0004\.dcm\) lies {3} mm .*: 2 planes may be missing \(3 in all, in 2 gaps\); .*--gaps fill"),
    "planes missing although uneven is decided": (
        lambda s: headers(GAPS, s), {"uneven": "mean", "tilt": "keep"}, r"2 planes may be missing.* or --gaps split"),
    "uneven": (
        lambda s: headers([0, 1, 2.25, 3, 4], s), {},
        r"plane 2 \(IM0002\.dcm\) lies {1.25} mm after plane 1, expected {1} mm: uneven spacing; "
        r"choose --uneven resample .* or --uneven mean"),
    "uneven although gaps are decided": (
        lambda s: headers([0, 1, 2.03, 3, 4], s), {"gaps": "fill"}, r"plane 2 .* uneven spacing; choose --uneven"),
    "uneven last plane": (
        lambda s: headers([0, 1, 2, 3, 4.1], s), {}, r"plane 4 \(IM0004\.dcm\) lies {1.1} mm after plane 3, .*uneven"),
    "half steps": (
        lambda s: headers([0, 1, 2, 2.5, 3, 4], s), {}, r"plane 3 .* lies {0.5} mm after plane 2, .* uneven spacing"),
    "slow drift": (
        lambda s: headers(np.cumsum(1 + 0.004 * np.linspace(-1, 1, 40)).tolist(), s), {},
        r"plane \d+ \(IM00\d\d\.dcm\) lies \S+ mm off the straight line .*, expected at most {0.01} mm \(1% of their "
        r"spacing of \S+ mm\): uneven spacing; choose --uneven"),
    "aside": (
        lambda s: aside_by(3, 0.5, s), {"uneven": "resample", "tilt": "resample", "gaps": "fill"},
        r"plane 3 \(IM0003\.dcm\) lies {0.5} mm aside of the straight line .*, expected at most {0.01} mm"),
    "tilt": (
        lambda s: headers(range(4), s, (0.25, 0)), {"gaps": "fill", "uneven": "mean"},
        r"slant of 14\.04 degrees: plane 1 \(IM0001\.dcm\) lies {0.25} mm aside of where plane 0 has it, expected at "
        r"most \S+ mm: tilted gantry; choose --tilt keep .*--tilt resample"),
    "tilt of two planes": (
        lambda s: headers(range(2), s, (0.25, 0)), {"few": True}, r"slant of 14\.04 degrees: plane 1 \(IM0001\.dcm\)"),
    "tilt and gaps": (
        lambda s: headers(GAPS, s, TILT), {"tilt": "keep"}, r"2 planes may be missing .* or --gaps split"),
    "gaps and tilt": (lambda s: headers(GAPS, s, TILT), {"gaps": "fill"}, r"slant of 16\.70 degrees: .*--tilt keep"),
    "uneven and tilt": (lambda s: headers(UNEVEN, s, TILT), {"uneven": "mean"}, r"slant of 16\.70 degrees"),
    "tilt and uneven": (lambda s: headers(UNEVEN, s, TILT), {"tilt": "resample"}, r"plane 3 .* uneven spacing"),
    "two planes": (
        lambda s: headers([0, 1], s), {},
        r"the series has 2 planes; a volume needs at least 3, .*\(first IM0000\.dcm\); name the folder .*--few"),
    "one plane": (lambda s: headers([0], s), {}, r"has 1 plane; .*\(first IM0000\.dcm\); name the folder .*--few"),
    "one plane of no thickness": (
        lambda s: headers([0], s), {"few": True},
        r"neither SliceThickness nor SpacingBetweenSlices .*, first IM0000\.dcm: state the spacing with --spacing "),
    "a giant": (
        lambda s: headers([0, 1, 2, 3e6], s), {"gaps": "fill"},
        r"plane 3 \(IM0003\.dcm\) lies .* would have 3000001 planes, .*take away what does not belong"),
    "an uneven giant": (
        lambda s: headers([0, 1, 2, 3.3, 3e6], s), {"uneven": "resample"}, r"plane 4 .* would have 3000001 planes"),
    "no pixel spacing": (
        lambda s: headers(range(4), s, pixel_spacing=None), {},
        r"no PixelSpacing in 4 of 4 images, first IM0000\.dcm: .*--spacing"),
    "some have no position": (
        lambda s: [*headers(range(3), s), *headers([3, 4], s, position=None, path="/scan/other.dcm")], {},
        r"no ImagePositionPatient in 2 of 5 images, first other\.dcm: the others state it"),
    "some have no orientation": (
        lambda s: [*headers(range(3), s), *headers([3], s, orientation=None)], {},
        r"no ImageOrientationPatient in 1 of 4 images, first IM0000\.dcm"),
    "two at one height": (
        lambda s: [*headers(range(5), s), *headers([2], s, (0.6, 0), path="/scan/beside.dcm", instance_number=9)],
        {"duplicates": "first"},
        r"IM0002\.dcm and beside\.dcm \(plane 2\) are at one height but lie {1.2} mm apart within their plane, "
        r"expected one position: several volumes"),
    "nowhere": (
        lambda s: [*headers(range(3), s), *headers([3], s, position=(0, 1e200, 0))], {},
        r"IM0000\.dcm has ImagePositionPatient \(0, 1e\+200, 0\), expected at most 1e\+09 mm"),
    "two orientations": (
        lambda s: [*headers(range(3), s), *headers([3], s, orientation=(1, 0, 0, 0, 1, 0))], {},
        r"mixed orientations: .* in IM0000\.dcm; separate them"),
    "two pixel spacings": (
        lambda s: [*headers(range(3), s), *headers([3], s, pixel_spacing=(s, s))], {}, r"mixed pixel spacings"),
}  # fmt: skip  # one case a line reads as a table


def with_lengths(message: str, spacing: float) -> str:
    """`{2} mm` in a message stands for two steps, to the digits that messages have."""

    def text(match: re.Match[str]) -> str:
        value = float(match[1]) * spacing
        return re.escape(f"{value:.2f}" if value >= 1 else f"{value:#.3g}")

    return re.sub(r"\{([\d.]+)\}(?= mm)", text, message)


def test_positions_rounded_along_a_leaning_table_are_refused_with_the_right_way_out() -> None:
    """Steps of 7 mm, leaning by 7.7 degrees: rounded to 0.1 mm before a place of more decimals was added."""
    normal = np.array([0, -0.134158, 0.99096])
    axes = (1.0, 0.0, 0.0, 0.0, 0.99096, 0.134158)
    steps = np.round(np.arange(20)[:, None] * 7 * normal, 1)
    places = np.char.mod("%.6g", np.add(steps, [-110.5, -78.3063, -72.7575])).astype(float)
    images = [
        replace(image, position=tuple(place), orientation=axes)
        for image, place in zip(headers(range(20)), places.tolist(), strict=True)
    ]
    with pytest.raises(GeometryError, match=r"uneven spacing, as rounding positions to 0\.1 mm makes .*--uneven mean"):
        made(images)
    stack = made(images, uneven="mean")
    assert stack.geometry.spacing[0] == pytest.approx(7, rel=1e-3)
    assert stack.record["worst_displacement_mm"] < 0.1
    assert stack.assumed


@pytest.mark.parametrize("spacing", SCALES)
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_regular_grid_is_refused_with_numbers_and_a_way_out(case: str, spacing: float) -> None:
    images, options, message = REFUSED[case]
    with pytest.raises(GeometryError, match=with_lengths(message, spacing)) as caught:
        made(images(spacing), **options)
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spacing", SCALES)
def test_jitter_below_one_per_cent_is_accepted_and_told(spacing: float) -> None:
    stack = made(headers([0, 1, 2.009, 3, 4], spacing))
    assert stack.blend is None
    assert stack.problems == (
        f"planes lie up to {0.009 * spacing:.2g} mm off an even grid of {spacing:.6g} mm (plane 2 (IM0002.dcm))",
    )
    assert np.isclose(stack.record["jitter_mm"], 0.009 * spacing)
    with pytest.raises(GeometryError):
        made(headers([0, 1, 2.011, 3, 4], spacing))


def test_what_headers_say_otherwise_is_told_not_used() -> None:
    images = headers(range(5), 2.5, slice_thickness=9.0, spacing_between=2.51)
    assert made(images).problems == ("SliceThickness says 9 mm, the positions say 2.5 mm: the positions are used",)
    along = [2, 0, 3, 1, 4]
    told = "InstanceNumber and file names run in another order than the positions: the positions are used"
    assert made(headers(along)).problems == (told,)
    numbered = [replace(image, instance_number=n) for image, n in zip(headers(range(5)), along, strict=True)]
    assert made(numbered).problems == (
        "InstanceNumber runs in another order than the positions: the positions are used",
    )
    assert made(headers([4, 3, 2, 1, 0])).problems == ()


@pytest.mark.parametrize("name", ["/a/1.2.840.99.7{:07}.dcm", "/a/{:c}-slice", "/a/one.dcm"])
def test_names_that_do_not_count_are_not_told_of(name: str) -> None:
    along = [2, 0, 3, 1, 4]
    images = [replace(image, path=name.format(97 + n)) for image, n in zip(headers(range(5)), along, strict=True)]
    assert made(images).problems == ()
    counted = [replace(image, path=f"/1.2/{n}_{7**n:012}") for image, n in zip(images, along, strict=True)]
    assert made(counted).problems == ("file names run in another order than the positions: the positions are used",)


def test_thickness_along_a_slant_or_along_the_normal_is_right() -> None:
    for thickness in (1.0, np.hypot(1, 0.3)):
        stack = made(headers(range(5), 1.0, (0.3, 0), slice_thickness=thickness), tilt="keep")
        assert len(stack.problems) == 1
        assert stack.record == {"tilt": "keep", "tilt_degrees": pytest.approx(np.degrees(np.arctan(0.3)))}


def test_spacing_that_files_state_is_not_overridden() -> None:
    images = headers(range(5))
    assert made(images, spacing=(1.001, 0.75, 0.5)).geometry == made(images).geometry
    for spacing in ((1.02, 0.75, 0.5), (1, 0.5, 0.75), (1, 0.75, 0.6)):
        with pytest.raises(
            InputError, match=r"the files state their spacing, 0\.5 x 0\.75 x 1 mm .*leave --spacing out"
        ):
            made(images, spacing=spacing)
    with pytest.raises(
        InputError, match=r"the planes lie 1 mm apart, --spacing says 0\.5 mm .* give --spacing 0.5,0.5,1"
    ):
        made(placed_without_spacing(), spacing=(0.5, 0.5, 0.5))
    stack = made(placed_without_spacing(), spacing=(1, 0.75, 0.5))
    assert stack.assumed
    assert stack.geometry == made(headers(range(4))).geometry
    assert "no PixelSpacing" in stack.problems[0]


def test_a_pixel_spacing_of_zero_states_none() -> None:
    images = [replace(image, pixel_spacing=(0.0, 0.0)) for image in headers(range(4))]
    with pytest.raises(GeometryError, match=r"above 0 mm: state the spacing, as in --spacing 50um, or export"):
        made(images)
    stack = made(images, spacing=(1, 0.75, 0.5))
    assert stack.assumed
    assert stack.geometry == made(headers(range(4))).geometry
    assert "the files state PixelSpacing of 0 mm: 0.75 x 0.5 mm (rows x columns) are from --spacing" in stack.problems
    with pytest.raises(GeometryError, match=r"above 0 mm: export the series with its geometry"):
        made([*headers([4]), *images], spacing=(1, 0.75, 0.5))


def test_the_spacing_of_one_plane_is_stated_beside_that_of_its_pixels() -> None:
    with pytest.raises(GeometryError, match=r"state the spacing with --spacing 0\.5,0\.75,Z with Z in mm"):
        made(headers([0]), few=True)
    with pytest.raises(
        InputError, match=r"pixels of 0\.5 x 0\.75 mm \(x, y\), --spacing says 3 x 3 mm; give --spacing 0\.5,0\.75,3"
    ):
        made(headers([0]), few=True, spacing=(3, 3, 3))
    assert made(headers([0]), few=True, spacing=(3, 0.75, 0.5)).geometry.spacing == (3, 0.75, 0.5)


@pytest.mark.parametrize(
    ("facts", "options", "expected", "source"),
    [
        ({"slice_thickness": 3.0, "spacing_between": 4.0}, {}, 3.0, "SliceThickness"),
        ({"slice_thickness": 0.0, "spacing_between": 4.0}, {}, 4.0, "SpacingBetweenSlices"),
        ({}, {"spacing": (5, 0.75, 0.5)}, 5.0, "--spacing"),
    ],
)
def test_one_plane_is_as_thick_as_its_file_says(
    facts: dict[str, float], options: dict[str, Any], expected: float, source: str
) -> None:
    stack = made(headers([0], **facts), few=True, **options)
    assert stack.geometry.is_close(oblique((1, ROWS, COLUMNS), (expected, 0.75, 0.5)))
    assert stack.problems == (
        "1 plane: the spacing between planes cannot be checked",
        f"one plane: its spacing of {expected:g} mm along the normal is from {source}",
    )
    assert stack.assumed == (source == "--spacing")


def test_real_series_become_what_the_caller_decides(visible: Path, expected: Any) -> None:
    bad = visible / "bad_series"
    images = read_folder(bad / "gantrytilting").images
    answer = expected["bad_series"]["gantrytilting"]["math"]
    kept = made(images, tilt="keep")
    steps = kept.geometry.affine[:3, :3][:, ::-1]
    assert np.abs(steps - np.array(answer["affine_lps"])[:3, :3]).max() <= 1e-6 * min(answer["spacing"])
    assert np.allclose(kept.geometry.origin, answer["origin"])
    assert kept.geometry.shape[::-1] == tuple(answer["size_ijk"])
    upright = made(images, tilt="resample").geometry  # as large as dcm2niix makes it
    assert upright.shape == (4, 521, 512)
    assert np.isclose(upright.spacing[0], answer["info"]["gap_mean"])
    full = made(read_folder(bad / "sliceincrement").images, gaps="fill")
    assert full.geometry.shape == (5, 512, 512)
    assert full.record["filled_planes"] == [3]
    two = made(read_folder(bad / "slicecount").images, few=True)
    answer = expected["bad_series"]["slicecount"]["math"]
    assert np.allclose(two.geometry.affine[:3, :3][:, ::-1], np.array(answer["affine_lps"])[:3, :3])
    assert np.allclose(two.geometry.origin, answer["origin"])


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("gantrytilting", r"slant of 14\.00 degrees: plane 1 .* lies 1\.21 mm aside .* tilted gantry; choose --tilt"),
        (
            "notavolume",
            r"4 planes share a position, first 001\.dcm and 002\.dcm .* or --duplicates last",
        ),
        ("slicecount", r"the series has 2 planes; a volume needs at least 3, .*--few"),
        ("sliceincrement", r"plane 3 .* lies 10\.00 mm after plane 2, expected 5\.00 mm: one plane may be missing"),
        ("sliceorientation", r"mixed orientations: .* separate them into folders"),
    ],
)
def test_real_series_that_are_no_volume_are_refused(visible: Path, part: str, message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        made(read_folder(visible / "bad_series" / part).images)


@pytest.mark.parametrize("options", [{}, {"gaps": "fill"}, {"uneven": "resample"}])
def test_twenty_thousand_planes_take_a_moment(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(1)
    along = np.arange(20_000) + (0 if not options else rng.choice([0, 0.3], 20_000) if "uneven" in options else 0)
    along = np.delete(along, [500, 7000]) if "gaps" in options else along
    images = headers(rng.permutation(along).tolist(), 0.005)
    start = time.process_time()
    stack = made(images, **options)
    assert time.process_time() - start < 2  # 0.3 s on an idle machine
    assert stack.geometry.shape[0] == 20_000
