"""Places that files state by half are assumed from the rest, marked, and told; nothing contradicts them in silence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from chunkvol.errors import GeometryError
from chunkvol.formats.dicom.headers.header import Header
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.stacks.stack import Stack, runs, stacked
from tests.support.stacks import headers, plain

CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
STATED = {"pixel_spacing": (0.03, 0.02), "slice_thickness": 0.05}
LOCATIONS = [0.1, 0.25, 0.15, 0.2, 0.3]  # in another order than numbers and names


def made(images: Sequence[Header], **options: Any) -> Stack:
    return stacked(images, ReadOptions(**options))


def images(count: int = 5, **facts: Any) -> list[Header]:
    return [plain(path=f"/scan/{n}.dcm", instance_number=n, **STATED | facts) for n in range(count)]


def located(locations: Sequence[float], **facts: Any) -> list[Header]:
    return [
        replace(image, slice_location=at) for image, at in zip(images(len(locations), **facts), locations, strict=True)
    ]


# Slice Location


@pytest.mark.parametrize("facts", [{}, {"position": (0.0, 0.0, 0.0), "orientation": (1.0, 0, 0, 0, 1, 0)}])
def test_slice_location_stands_in_for_positions(facts: dict[str, Any]) -> None:
    stack = made(located(LOCATIONS, slice_thickness=0.07, **facts))
    assert [image.instance_number for image in stack.images] == [0, 2, 3, 1, 4]
    assert stack.assumed
    assert np.allclose(stack.geometry.spacing, (0.05, 0.03, 0.02))
    assert np.allclose(stack.geometry.origin, (0, 0, 0.1))
    assert stack.geometry.direction == ((0, 0, 1), (0, 1, 0), (1, 0, 0))
    assert "SliceLocation along the normal is assumed to be the place of each plane" in stack.problems[0]
    assert stack.record["order"] == "SliceLocation"
    assert any(text.startswith("SliceThickness says 0.07 mm") for text in stack.problems)


def test_slice_location_is_taken_along_the_normal_that_the_files_state() -> None:
    stack = made(located(LOCATIONS, orientation=CORONAL))
    assert np.allclose(stack.geometry.origin, (0, 0.1, 0))
    assert np.allclose(np.array(stack.geometry.direction)[:, 0], (0, 1, 0))


def test_positions_that_are_stated_are_never_replaced() -> None:
    planes = [replace(image, slice_location=-7.0 * n) for n, image in enumerate(headers(range(4)))]
    stack = made(planes)
    assert (stack.geometry, stack.assumed) == (made(headers(range(4))).geometry, False)


def test_planes_that_slice_location_shows_to_be_missing_are_refused_and_may_be_filled() -> None:
    found = located([0, 0.05, 0.1, 0.2, 0.25])
    message = (
        r"3\.dcm\) lies 0\.1.* expected 0\.05.* --gaps fill .*; the files state no position: SliceLocation .* --spacing"
    )
    with pytest.raises(GeometryError, match=message):
        made(found)
    assert made(found, gaps="fill").geometry.shape[0] == 6
    assert [run.count for run in runs(found, ReadOptions(gaps="split"))] == [3, 2]


@pytest.mark.parametrize(
    "locations", [LOCATIONS, [0, 0.05, 0.1, 0.2, 0.25], [0.2, 0.15, 0.1, 0.05, 0], [0, 1, 2, 3, 4]]
)
def test_a_spacing_that_is_given_leaves_slice_location_aside_with_a_word(locations: list[float]) -> None:
    stack = made(located(locations), spacing=(0.05, 0.03, 0.02))
    assert [image.instance_number for image in stack.images] == [0, 1, 2, 3, 4]
    assert stack.geometry.spacing == (0.05, 0.03, 0.02)
    assert stack.assumed
    assert any(text.startswith("SliceLocation goes from") for text in stack.problems)


@pytest.mark.parametrize("locations", [[0, 0, 0, 0, 0], [0, 0, 0.05, 0.1, 0.1], [None, 1, 2, 3, 4]])
def test_slice_location_that_does_not_tell_planes_apart_is_ignored(locations: list[Any]) -> None:
    stack = made(located(locations))
    assert stack.record["order"] == "InstanceNumber"
    assert len(stack.problems) == 1


# One position for all


def test_one_position_for_all_planes_is_left_aside_where_the_spacing_is_given() -> None:
    found = images(position=(-3.0, 4.0, 5.0), orientation=CORONAL)
    with pytest.raises(GeometryError, match=r"5 planes share a position, .*--duplicates first .*as in --spacing 50um"):
        made([replace(image, slope=1.0 + n) for n, image in enumerate(found)])
    stack = made(found, spacing=(0.05, 0.03, 0.02))
    assert stack.assumed
    assert stack.geometry.shape[0] == 5
    assert np.allclose(np.array(stack.geometry.direction)[:, 0], (0, 1, 0))
    assert "all 5 images state the same position, which is left aside (--spacing)" in stack.problems


def test_two_images_at_one_position_are_duplicates_whatever_the_spacing() -> None:
    found = [*images(2, position=(1.0, 2.0, 3.0), orientation=CORONAL)]
    found = [replace(image, slope=1.0 + n) for n, image in enumerate(found)]
    with pytest.raises(GeometryError, match="share a position"):
        made(found, spacing=(0.05, 0.03, 0.02), few=True)


# No orientation


def test_positions_along_z_without_orientations_are_those_of_axial_planes() -> None:
    heights = [0.3, 0.1, 0.2, 0.4]
    found = [replace(image, position=(7.0, -8.0, z)) for image, z in zip(images(4), heights, strict=True)]
    stack = made([replace(image, slice_thickness=0.5) for image in found])
    assert stack.assumed
    assert np.allclose(stack.geometry.origin, (7, -8, 0.1))
    assert np.allclose(stack.geometry.spacing, (0.1, 0.03, 0.02))
    assert stack.problems[0].startswith("the files state no orientation: axial planes")
    with pytest.raises(
        GeometryError, match=r"one plane may be missing.*; the files state no orientation: axial planes"
    ):
        made([*found, replace(found[0], position=(7.0, -8.0, 0.6))])


def test_positions_across_z_without_orientations_are_no_places() -> None:
    found = [replace(image, position=(7.0, 0.1 * n, 0.0)) for n, image in enumerate(images(4))]
    stack = made(found)
    assert stack.assumed
    assert stack.geometry.origin == (0, 0, 0)


@pytest.mark.parametrize(
    ("places", "told"),
    [
        ([0, 1, 2, 3], None),
        ([3, 2, 1, 0], None),  # nothing says on which side of the plane is up
        (
            [0, 1, 3, 4],
            r"ImagePositionPatient goes 0\.100 mm from 1\.dcm to 2\.dcm, .* lie 0\.0500 mm apart: it is left",
        ),
        ([0, 2, 1, 3], r"ImagePositionPatient goes 0\.100 mm from 0\.dcm to 1\.dcm"),
        ([0, 1, 0, 1], r"ImagePositionPatient goes back 0\.0500 mm from 1\.dcm to 2\.dcm"),
        ([0, 0, 0, 0], None),  # one for all, as some exports have
    ],
)
def test_positions_that_are_left_aside_and_say_something_else_are_told(places: list[int], told: str | None) -> None:
    step = np.array([0.03, -0.04, 0.0])
    found = [replace(image, position=tuple(n * step)) for n, image in zip(places, images(4), strict=True)]
    problems = made(found).problems
    assert len(problems) == 1 + (told is not None)
    assert told is None or re.match(told, problems[1])
