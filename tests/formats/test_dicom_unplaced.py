"""Images without positions are ordered by number or name, on a grid that is marked as assumed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from chunkvol.errors import GeometryError, InputError
from chunkvol.formats.dicom.headers.header import Header
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.stacks import checks
from chunkvol.formats.dicom.stacks.stack import Stack, stacked
from chunkvol.formats.dicom.stacks.unplaced import natural_key
from tests.support.stacks import COLUMNS, ROWS, headers, plain

STATED = {"pixel_spacing": (0.03, 0.02), "spacing_between": 0.05, "slice_thickness": 0.07}


def images(numbers: list[Any], **facts: Any) -> list[Header]:
    """One image a number; names count down, so that they contradict."""
    names = [f"/scan/slice{len(numbers) - n}.dcm" for n in range(len(numbers))]
    return [plain(path=p, instance_number=n, **facts) for p, n in zip(names, numbers, strict=True)]


def made(found: list[Header], **options: Any) -> Stack:
    return stacked(found, ReadOptions(**options))


def numbers(stack: Stack) -> list[int | None]:
    return [image.instance_number for image in stack.images]


def test_numbers_give_the_order_and_the_grid_is_assumed() -> None:
    stack = made(images([3, 1, 12, 2, 11, 4, 5, 6, 7, 8, 9, 10], **STATED))
    assert numbers(stack) == list(range(1, 13))
    assert stack.assumed
    geometry = stack.geometry
    assert geometry.shape == (12, ROWS, COLUMNS)
    assert geometry.origin == (0, 0, 0)
    assert geometry.spacing == (0.05, 0.03, 0.02)
    assert geometry.direction == ((0, 0, 1), (0, 1, 0), (1, 0, 0))
    assert stack.problems == (
        "the files state no position: the geometry is assumed, origin 0, spacing 0.02 x 0.03 x 0.05 mm (x, y, z; "
        "from SpacingBetweenSlices), axes along those of the world (LPS)",
    )
    assert stack.history == ("order InstanceNumber",)


@pytest.mark.parametrize("found", [[None] * 12, [0] * 12, [*range(11), None]])
def test_names_give_the_order_where_numbers_do_not(found: list[Any]) -> None:
    stack = made(images(found, **STATED))
    assert [image.path for image in stack.images] == [f"/scan/slice{n}.dcm" for n in range(1, 13)]
    assert stack.record["order"] == "file names"


def test_names_are_ordered_as_people_count_and_frames_within_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "read_header", lambda path: plain(path=path))
    right = ["/a/2.dcm", "/a/10.dcm", "/a1/z", "/a1b", "/a02/x", "/a10/b", "/a-b/1.dcm"]
    assert sorted([*right[4:], *right[:4]], key=lambda path: natural_key(plain(path=path))) == right
    frames = [plain(path="/a.dcm", frames=11, frame=n, instance_number=1, **STATED) for n in (10, 2, 0, 1)]
    assert [image.frame for image in made(frames).images] == [0, 1, 2, 10]
    assert len(made(frames).problems) == 1


def test_a_number_left_out_or_repeated_is_told() -> None:
    told = made(images([1, 2, 3, 5, 6], **STATED)).problems
    assert told[1] == "InstanceNumber goes from 3 (slice3.dcm) to 5 (slice2.dcm): planes may be missing"
    told = made(images([1, 2, 3, 3, 4], **STATED)).problems
    assert told[1] == "InstanceNumber 3 repeats (slice2.dcm, slice3.dcm): the order is that of the names"
    assert len(made(images([2, 4, 6, 8], **STATED)).problems) == 1


def test_axes_are_those_of_the_files_where_they_state_them() -> None:
    turned = headers([0])[0]
    stack = made(images([1, 2, 3], orientation=turned.orientation, **STATED))
    expected = stacked([turned], ReadOptions(few=True, spacing=(1, 0.75, 0.5))).geometry.direction
    assert np.allclose(np.array(stack.geometry.direction), np.array(expected))
    assert "axes from ImageOrientationPatient" in stack.problems[0]
    assert stack.assumed


def test_positions_without_orientations_are_no_places() -> None:
    stack = made(images([2, 1, 3], position=(1.0, 2.0, 3.0), **STATED))
    assert stack.assumed
    assert stack.geometry.origin == (0, 0, 0)
    assert stack.problems[0].startswith("the files state no orientation: the geometry is assumed")


@pytest.mark.parametrize(
    ("facts", "options", "spacing", "source"),
    [
        (STATED | {"spacing_between": None}, {}, (0.07, 0.03, 0.02), "SliceThickness"),
        (STATED | {"spacing_between": 0.0}, {}, (0.07, 0.03, 0.02), "SliceThickness"),
        (STATED, {"spacing": (3, 2, 1)}, (3, 2, 1), "--spacing"),
        ({}, {"spacing": (3, 2, 1)}, (3, 2, 1), "--spacing"),
    ],
)
def test_spacing_is_as_stated_or_given(
    facts: dict[str, Any], options: dict[str, Any], spacing: tuple[float, float, float], source: str
) -> None:
    stack = made(images([1, 2, 3], **facts), **options)
    assert stack.geometry.spacing == spacing
    assert f"from {source})" in stack.problems[0]


def test_a_spacing_that_is_given_overrides_the_pixels_with_a_word() -> None:
    stack = made(images([1, 2, 3], **STATED), spacing=(0.05, 0.03, 0.04))
    assert stack.geometry.spacing == (0.05, 0.03, 0.04)
    assert "PixelSpacing says 0.02 x 0.03 mm, --spacing says 0.04 x 0.03 mm (x, y): --spacing is used" in stack.problems
    assert len(made(images([1, 2, 3], **STATED), spacing=(0.5, 0.03, 0.02)).problems) == 1


def test_spacing_at_the_detector_is_used_with_a_word() -> None:
    stack = made(images([1, 2, 3], **STATED | {"pixel_spacing": None, "imager_spacing": (0.1, 0.2)}))
    assert stack.geometry.spacing == (0.05, 0.1, 0.2)
    assert "at the detector" in stack.problems[1]
    mixed = images([1, 2, 3], **STATED | {"pixel_spacing": None, "imager_spacing": (0.1, 0.2)})
    mixed[2] = plain(path="/x", instance_number=3, **STATED | {"pixel_spacing": None, "imager_spacing": (0.1, 0.3)})
    with pytest.raises(GeometryError, match="mixed pixel spacings"):
        made(mixed)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"spacing_between": 1.0}, r"no PixelSpacing in 3 of 3 images, first slice3\.dcm: .*--spacing"),
        ({"pixel_spacing": (1.0, 2.0)}, r"states no positions, .*neither SpacingBetweenSlices nor .*--spacing"),
        ({"pixel_spacing": (1.0, 0.0), "spacing_between": 1.0}, r"slice3\.dcm has PixelSpacing \(1\.0, 0\.0\)"),
    ],
)
def test_spacing_that_is_stated_nowhere_has_to_be_given(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        made(images([1, 2, 3], **facts))


def test_frames_of_a_film_are_told_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "read_header", lambda _path: None)

    def told(**facts: Any) -> bool:
        found = [replace(image, path="film.dcm", frames=4, frame=n) for n, image in enumerate(images([7] * 4))]
        found = [replace(image, **{key: value[n] for key, value in facts.items()}) for n, image in enumerate(found)]
        stack = made(found, spacing=(1, 1, 1))
        assert stack.assumed
        return any(text.startswith("film.dcm, frame 1 and the frames after it follow") for text in stack.problems)

    assert told(temporal_position=[1, 2, 3, 4])
    assert not told(temporal_position=[1, 1, 1, 1])
    assert not told(temporal_position=[None] * 4)


def test_thickness_that_varies_is_no_spacing() -> None:
    varied = [plain(path=f"/{n}", instance_number=n, pixel_spacing=(1, 2), slice_thickness=1 + n / 9) for n in range(4)]
    with pytest.raises(GeometryError, match=r"the same for all.*--spacing"):
        made(varied)


def test_few_planes_and_runs_are_asked_for_as_elsewhere() -> None:
    with pytest.raises(
        GeometryError, match=r"the series has 2 planes; a volume needs at least 3, .*\(first slice2\.dcm\); .*--few"
    ):
        made(images([1, 2], **STATED))
    assert made(images([1], **STATED), few=True).geometry.shape[0] == 1
    with pytest.raises(InputError, match="volume 2 of the series was asked for, there is one"):
        stacked(images([1, 2, 3], **STATED), ReadOptions(), 2)
