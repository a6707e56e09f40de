"""Images are told apart into the volumes that they were made for, by facts alone, and one of them is chosen."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunkvol.errors import InputError
from chunkvol.formats.dicom.catalogue.groups import Group, choose, find_groups
from chunkvol.formats.dicom.catalogue.repeats import median_step, split_repeats
from chunkvol.formats.dicom.headers.header import EXPLICIT_LITTLE, Header

ROW, COLUMN = (0.8, 0.6, 0.0), (0.0, 0.0, -1.0)
NORMAL = np.cross(ROW, COLUMN)
STEP = 2.5


def image(k: float = 0, **facts: Any) -> Header:
    """An oblique image, k steps along the normal."""
    known: dict[str, Any] = {
        "pixel_tag": 0x7FE00010,
        "series": "1.2.3",
        "study": "1.2",
        "modality": "MR",
        "image_type": ("ORIGINAL", "PRIMARY", "M"),
        "rows": 4,
        "columns": 7,
        "bits_allocated": 16,
        "bits_stored": 12,
        "pixel_representation": 0,
        "samples": 1,
        "photometric": "MONOCHROME2",
        "pixel_spacing": (0.75, 0.5),
        "position": tuple((np.array([3.0, -40.0, 7.0]) + k * STEP * NORMAL).tolist()),
        "orientation": (*ROW, *COLUMN),
        "series_number": 4,
    }
    return Header(facts.pop("path", f"/data/{k}.dcm"), 1000, EXPLICIT_LITTLE, **(known | facts))


def stack(planes: int = 5, **facts: Any) -> list[Header]:
    return [image(k, **facts) for k in range(planes)]


def split(*stacks: list[Header]) -> dict[str, list[Header]]:
    """The groups by label, checked to hold each image once."""
    images = [one for members in stacks for one in members]
    random.Random(5).shuffle(images)
    found = find_groups(images)
    assert sorted(map(id, images)) == sorted(id(one) for group in found for one in group.images)
    assert len({group.id for group in found}) == len({group.label for group in found}) == len(found)
    return {group.label: list(group.images) for group in found}


# Laws


@given(st.randoms(use_true_random=False))
def test_neither_order_nor_paths_nor_other_series_change_a_volume_or_its_id(shuffle: random.Random) -> None:
    images = [
        *stack(echo_number=1, echo_time=4.0),
        *stack(echo_number=2, echo_time=9.0),
        *stack(image_type=("DERIVED", "SECONDARY", "P")),
        *stack(orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 1e-5)),
        *[replace(one, instance_number=n, series="9.9") for n, one in enumerate(stack() * 3)],
    ]
    before = {group.id: {one.position for one in group.images} for group in find_groups(images)}
    assert len(before) == 7
    others = [replace(one, series="7.7", modality="CT") for one in stack(3)]
    moved = [replace(one, path=f"/elsewhere/{shuffle.random()}") for one in (*images, *others)]
    shuffle.shuffle(moved)
    after = {group.id: {one.position for one in group.images} for group in find_groups(moved)}
    assert before.items() <= after.items()
    assert len(after) == 8


@given(st.sets(st.sampled_from(["echo", "b", "time"]), min_size=1), st.integers(2, 4))
def test_any_product_of_facts_is_taken_apart_again(names: set[str], planes: int) -> None:
    """Echoes x weightings x times at the same positions: one volume for each combination, each position once."""
    fields = {"echo": "echo_time", "b": "b_value", "time": "temporal_position"}
    values = {"echo_time": (4.0, 9.5), "b_value": (0.0, 500.0, 1000.0), "temporal_position": (1, 2)}
    chosen = [fields[name] for name in sorted(names)]
    wanted = list(product(*(values[name] for name in chosen)))
    images = [image(k, **dict(zip(chosen, value, strict=True))) for value in wanted for k in range(planes)]
    found = split(images)
    assert len(found) == len(wanted)
    for members in found.values():
        assert len({one.position for one in members}) == len(members) == planes
        assert len({tuple(getattr(one, name) for name in chosen) for one in members}) == 1


# What always tells volumes apart

ALWAYS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "orientation": ({"orientation": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)}, {"sagittal", "axial"}),
    "orientations of one kind": (
        {"orientation": (0.8, 0.6, 0.0, 0.0, 0.01, -0.99995)},
        {"normal (-0.6, 0.8, 0), rows along (0.8, 0.6, 0)", "normal (-0.6, 0.8, 0.008), rows along (0.8, 0.6, 0)"},
    ),
    "size": ({"rows": 5}, {"7 x 4", "7 x 5"}),
    "image type": ({"image_type": ("ORIGINAL", "PRIMARY", "P")}, {"ORIGINAL/PRIMARY/M", "ORIGINAL/PRIMARY/P"}),
    "stack": ({"stack": "2"}, {"no stack", "stack 2"}),
    "pixel spacing": ({"pixel_spacing": (0.75, 0.6)}, {"pixels of 0.5 x 0.75 mm", "pixels of 0.6 x 0.75 mm"}),
    "bits": ({"bits_stored": 16}, {"unsigned 12 of 16 bits", "unsigned 16 of 16 bits"}),
    "sign": ({"pixel_representation": 1}, {"unsigned 12 of 16 bits", "signed 12 of 16 bits"}),
    "meaning": ({"photometric": "MONOCHROME1"}, {"unsigned 12 of 16 bits", "unsigned 12 of 16 bits, MONOCHROME1"}),
    "floating point": ({"pixel_tag": 0x7FE00008}, {"unsigned 12 of 16 bits", "float pixels"}),
}


@pytest.mark.parametrize("case", ALWAYS)
def test_images_of_different_kinds_are_never_in_one_volume(case: str) -> None:
    change, labels = ALWAYS[case]
    labels = {"coronal" if label == "sagittal" else label for label in labels}  # the plane of this oblique normal
    other = [replace(image(k + 10), **change) for k in range(4)]
    found = split(stack(), other)
    assert set(found) == labels
    assert sorted(map(len, found.values())) == [4, 5]


ELSEWHERE: dict[str, tuple[dict[str, Any], str]] = {
    "study": ({"study": "1.9.1234567890.2"}, "study ending 1234567890.2"),
    "frame of reference": ({"frame_of_reference": "1.7"}, "frame of reference ending 1.7"),
}


@pytest.mark.parametrize("case", ELSEWHERE)
@pytest.mark.parametrize("first", [0, 0.5, 5, 20])
def test_two_scans_with_one_series_uid_are_never_one_volume(case: str, first: float) -> None:
    """Anonymizers give several patients the same UID; next to or between each other they would look like one scan."""
    change, label = ELSEWHERE[case]
    other = [image(k + first, **{"frame_of_reference": "1.6"} | change) for k in range(5)]
    found = split(stack(frame_of_reference="1.6"), other)
    assert label in found
    assert [len(members) for members in found.values()] == [5, 5]


def test_an_image_that_does_not_say_its_frame_of_reference_stays_with_the_others() -> None:
    assert set(split([*stack(4, frame_of_reference="1.6"), image(4)])) == {""}


def test_a_second_study_does_not_change_the_ids_of_a_series_that_has_one() -> None:
    alone = {group.id for group in find_groups(stack())}
    assert alone < {group.id for group in find_groups([*stack(), *stack(study="9", series="1.2.4")])}


@pytest.mark.parametrize("field", ["series", "study", "frame_of_reference"])
def test_planes_with_uids_of_their_own_are_refused_with_the_reason(field: str) -> None:
    """A common mistake of anonymizers: a random UID for each file."""
    images = [image(k, **{field: f"7.{k}"}) for k in range(40)]
    with pytest.raises(InputError, match="40 images of one kind, each of a series, study or frame of reference of its"):
        choose(find_groups(images), "", "scans")


def test_noise_of_digits_tells_nothing_apart() -> None:
    noisy = [
        image(
            k,
            orientation=tuple(np.array([*ROW, *COLUMN]) + 1e-5 * (k % 3)),
            pixel_spacing=(0.75 + 1e-6 * k, 0.5),
            image_type=("original", "PRIMARY", "M", ""),
            photometric="" if k % 2 else "MONOCHROME2",
        )
        for k in range(6)
    ]
    assert set(split(noisy)) == {""}


def test_small_pixels_are_compared_as_strictly_as_large_ones() -> None:
    found = split(stack(pixel_spacing=(0.0012, 0.001)), stack(pixel_spacing=(0.0012, 0.0010005)))
    assert set(found) == {"pixels of 0.001 x 0.0012 mm", "pixels of 0.0010005 x 0.0012 mm"}


# What tells volumes apart where images share a position


def test_echoes_are_named_with_their_times() -> None:
    found = split(stack(echo_number=1, echo_time=4.92), stack(echo_number=2, echo_time=7.38))
    assert list(found) == ["echo 1 (4.92 ms)", "echo 2 (7.38 ms)"]
    assert set(split(stack(echo_time=4.92), stack(echo_time=7.38))) == {"echo time 4.92 ms", "echo time 7.38 ms"}


def test_directions_of_one_weighting_are_volumes_of_their_own() -> None:
    directions = [(1.0, 0.0, 0.0), (0.0, 0.6, 0.8)]
    images = [stack(b_value=1000.0, gradient=direction) for direction in directions]
    found = split(stack(b_value=0.0, gradient=(0.1, 0.2, 0.3)), *images)
    assert set(found) == {"b 0", "b 1000, direction (1, 0, 0)", "b 1000, direction (0, 0.6, 0.8)"}
    assert set(split(stack(b_value=0.0), stack(b_value=1000.0))) == {"b 0", "b 1000"}


def test_weightings_that_come_again_are_told_by_their_turn() -> None:
    series = [*stack(b_value=0.0), *stack(b_value=0.0), *stack(b_value=800.0, gradient=(1.0, 0.0, 0.0))]
    numbered = [replace(one, instance_number=n + 1) for n, one in enumerate(series)]
    assert set(split(numbered)) == {"b 0, time 1", "b 0, time 2", "b 800"}


@pytest.mark.parametrize("name", ["temporal_position", "trigger_time", "acquisition_number"])
def test_times_are_volumes(name: str) -> None:
    found = split(*(stack(**{name: 10 * turn}) for turn in (1, 2, 3)))
    assert [len(members) for members in found.values()] == [5, 5, 5]
    assert all(label.split()[1] in ("10", "20", "30") for label in found)


@pytest.mark.parametrize("by_plane", [False, True])
def test_functional_series_are_told_by_their_instance_numbers_alone(by_plane: bool) -> None:
    """All positions, then all again; or all times of a position, then of the next."""
    pairs = [(k, turn) for k in range(5) for turn in range(4)]
    pairs.sort(key=lambda pair: pair if by_plane else pair[::-1])
    images = [image(k, instance_number=100 + n, echo_number=turn) for n, (k, turn) in enumerate(pairs)]
    found = split([replace(one, echo_number=None) for one in images])
    assert set(found) == {"time 1", "time 2", "time 3", "time 4"}
    truth = {one.instance_number: one.echo_number for one in images}
    for label, members in found.items():
        assert {truth[one.instance_number] for one in members} == {int(label[-1]) - 1}


def test_frames_of_one_file_are_told_by_their_order() -> None:
    images = [image(n % 5, instance_number=1, frame=n) for n in range(15)]
    assert set(split(images)) == {"time 1", "time 2", "time 3"}


def test_an_aborted_last_time_is_a_short_volume() -> None:
    found = split(stack(temporal_position=1), stack(temporal_position=2), stack(2, temporal_position=3))
    assert {label: len(members) for label, members in found.items()} == {"time 1": 5, "time 2": 5, "time 3": 2}


def test_facts_that_vary_from_plane_to_plane_cut_no_volume_to_shreds() -> None:
    alone = [image(k, acquisition_number=k, trigger_time=13.7 * k, temporal_position=k, echo_time=k) for k in range(9)]
    assert set(split(alone)) == {""}
    again = [image(4, acquisition_number=99, trigger_time=7.1, temporal_position=77, echo_time=5.5)]
    assert set(split(alone, again)) == {""}


def test_neighbouring_scans_that_overlap_by_a_plane_stay_one_volume_with_a_duplicate() -> None:
    first = [image(k, acquisition_number=1) for k in range(6)]
    second = [image(k, acquisition_number=2) for k in range(5, 11)]
    assert set(split(first, second)) == {""}


def test_copies_stay_with_their_volume() -> None:
    assert set(split(stack(instance_number=3) * 2)) == {""}
    numbered = [replace(one, instance_number=n) for n, one in enumerate(stack())]
    assert set(split([*numbered, *[replace(one, path="/copy") for one in numbered]])) == {""}
    echoes = [*stack(echo_time=4.0), *stack(echo_time=9.0)]
    found = split([*echoes, *[replace(one, path="/copy") for one in echoes]])
    assert {label: len(members) for label, members in found.items()} == {"echo time 4 ms": 10, "echo time 9 ms": 10}


def test_a_position_means_the_same_within_one_per_cent_of_a_step() -> None:
    close = [image(k + 0.004, echo_number=2) for k in range(5)]
    apart = [image(k + 0.4, echo_number=2) for k in range(5)]
    assert len(split_repeats([*stack(echo_number=1), *close])) == 2
    assert len(split_repeats([*stack(echo_number=1), *apart])) == 1
    assert median_step(close) == pytest.approx(STEP)


def test_images_at_one_position_are_split_by_what_they_say_only() -> None:
    """Bolus tracking: twenty images of one plane are no twenty volumes."""
    watched = [image(0, instance_number=n, acquisition_number=n) for n in range(20)]
    assert len(split_repeats(watched)) == 1
    assert len(split_repeats([image(0, echo_number=1), image(0, echo_number=2)])) == 2
    assert median_step(watched) is None


def test_images_without_positions_stay_together() -> None:
    bare = [image(k, position=None, orientation=None, pixel_spacing=None, echo_number=k) for k in range(4)]
    assert set(split(bare)) == {""}
    lost = [*stack(echo_number=1), *stack(echo_number=2)]
    lost[3] = replace(lost[3], position=None)
    assert set(split(lost)) == {""}


def test_ids_are_lengthened_where_two_would_be_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [image(0, series=f"1.2.{n}") for n in range(40)]
    usual = [group.id for group in find_groups(images)]
    monkeypatch.setattr("chunkvol.formats.dicom.catalogue.groups._SHORTEST_ID", 1)  # forty of sixteen
    found = [group.id for group in find_groups(images)]
    assert len(set(found)) == 40
    length = len(found[0])
    assert 1 < length < 6
    assert [name[:length] for name in usual] == found
    assert len({name[: length - 1] for name in found}) < 40


def test_twenty_thousand_images_take_less_than_a_second() -> None:
    images = [
        image(k % 200, temporal_position=k // 200, instance_number=k, trigger_time=k * 1.7) for k in range(20_000)
    ]
    turned = [replace(one, orientation=(1.0, k * 1e-3, 0.0, 0.0, 0.0, 1.0)) for k, one in enumerate(images[:2000])]
    for case, count in ((images, 100), (images[:200] * 100, 1), (turned, 2000)):
        started = time.thread_time()
        assert len(find_groups(case)) == count
        assert time.thread_time() - started < 1


# Which one is meant


def chosen(*stacks: list[Header], wanted: str = "") -> tuple[Group, tuple[str, ...]]:
    return choose(find_groups([one for members in stacks for one in members]), wanted, "/data")


def other(planes: int, **facts: Any) -> list[Header]:
    """Another series."""
    return [replace(one, **({"series": "5.6", "series_number": 3} | facts)) for one in stack(planes)]


def test_a_lone_volume_is_taken_without_a_word() -> None:
    group, notes = chosen(stack())
    assert (len(group.images), group.label, group.left_out, notes) == (5, "", "", ())


LEFT_OUT: dict[str, tuple[dict[str, Any], str]] = {
    "localizer": ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, "localizer"),
    "scout": ({"image_type": ("DERIVED", "PRIMARY", "SCOUT")}, "localizer"),
    "mosaic": ({"image_type": ("ORIGINAL", "PRIMARY", "M", "MOSAIC")}, "mosaic"),
    "colour": ({"samples": 3, "photometric": "RGB"}, "colour"),
    "palette": ({"photometric": "PALETTE COLOR"}, "colour"),
    "segmentation": ({"modality": "SEG", "bits_allocated": 1}, "segmentation"),
    "dose": ({"modality": "RTDOSE"}, "dose grid"),
    "secondary capture": ({"modality": "OT", "position": None, "orientation": None}, "secondary capture"),
    "capture of a scanner": (
        {"sop_class": "1.2.840.10008.5.1.4.1.1.7", "position": None, "image_type": ("DERIVED", "SECONDARY")},
        "secondary capture",
    ),
}


@pytest.mark.parametrize("case", LEFT_OUT)
@pytest.mark.parametrize("series", ["1.2.3", "5.6"])
def test_what_is_no_volume_is_left_out_and_told(case: str, series: str) -> None:
    change, reason = LEFT_OUT[case]
    group, notes = chosen(other(4, **(change | {"series": series})), stack())
    assert len(group.images) == 5
    name = change.get("modality", "MR")
    (note,) = notes
    assert note.startswith(f"series 3 (4 images, {name}, id ")
    assert note.endswith(f"): {reason}, left out")


def test_one_or_two_images_of_another_series_are_no_reason_to_ask() -> None:
    group, notes = chosen(other(2), stack())
    assert len(group.images) == 5
    assert notes[0].startswith("series 3 (2 images, MR, id ")
    assert notes[0].endswith("): too few planes, left out")
    watched = [replace(one, position=image(0).position, series="7.8", series_number=None) for one in stack()]
    assert chosen(stack(), watched)[1][0].startswith("a series (5 images, MR, id ")


def test_a_localizer_in_three_directions_is_told_in_one_sentence() -> None:
    planes = [
        replace(image(0), orientation=(*a, *b), image_type=("LOCALIZER",), series="5.6", series_number=1)
        for a, b in (((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
    ]
    assert chosen(stack(), planes)[1] == ("series 1 (2 images, MR): localizer, left out",)


@pytest.mark.parametrize("change", [{"rows": 5}, {"orientation": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)}, {"samples": None}])
def test_nothing_of_the_same_series_is_dropped_silently(change: dict[str, Any]) -> None:
    """One slice that differs may belong to the volume, or be damaged: the user decides."""
    images = stack()
    images[2] = replace(images[2], **change)
    if change == {"samples": None}:  # which means one sample
        assert chosen(images)[1] == ()
        return
    with pytest.raises(InputError, match=r"/data holds 2 volumes: .*4 images of 7 x 4.*; .*: 1 image of 7 x "):
        chosen(images)


def test_several_volumes_are_listed_to_choose_from() -> None:
    stacks = stack(echo_number=1), stack(echo_number=2, echo_time=9.5), other(4, modality="CT")
    with pytest.raises(InputError) as caught:
        chosen(*stacks)
    one, two, three = (group.id for group in find_groups([image for members in stacks for image in members]))
    assert str(caught.value) == (
        f"/data holds 3 volumes: {one}: 5 images of 7 x 4, MR, echo 1; {two}: 5 images of 7 x 4, MR, "
        f"echo 2 (9.5 ms); {three}: 4 images of 7 x 4, CT; choose one with --series ID"
    )
    assert caught.value.exit_code == 2
    with pytest.raises(
        InputError,
        match=r"holds 15 volumes: (.*?; ){12}and 3 more, which chunkvol info lists; choose one with --series ID",
    ):
        chosen(*(stack(temporal_position=turn) for turn in range(15)))


def test_what_is_left_out_is_taken_where_nothing_else_is_there() -> None:
    scout = stack(image_type=("LOCALIZER",))
    assert chosen(scout)[0].left_out == "localizer"
    assert chosen(stack(samples=3, photometric="RGB"))[0].left_out == ""
    with pytest.raises(InputError, match=r"holds 2 groups of images, none of them a plain volume: .*, localizer; "):
        chosen(scout, other(4, image_type=("SCOUT",)))


def test_a_volume_is_chosen_by_its_id_or_the_uid_of_its_series() -> None:
    images = [*stack(echo_number=1), *stack(echo_number=2), *other(4, image_type=("LOCALIZER",)), *other(3)]
    groups = find_groups(images)
    for group in groups:
        assert choose(groups, group.id, "") == (group, ())
        assert choose(groups, group.id.upper()[:5], "") == (group, ())
    by_uid, notes = choose(groups, "5.6", "")
    assert (by_uid.left_out, len(by_uid.images)) == ("", 3)
    assert len(notes) == 1
    with pytest.raises(InputError, match=r"series 1\.2\.3 in /data holds 2 volumes: .*echo 1; .*echo 2; choose one"):
        choose(groups, "1.2.3", "/data")
    with pytest.raises(InputError, match=r"/data holds no series zzz: there is .*echo 1; .*; .*localizer"):
        choose(groups, "zzz", "/data")


def test_an_id_that_begins_several_is_refused_with_those() -> None:
    groups = find_groups([image(0, series=f"1.2.{n}") for n in range(40)])
    first = next(group.id[0] for group in groups if sum(one.id[0] == group.id[0] for one in groups) == 2)
    with pytest.raises(
        InputError, match=rf"/data holds 2 series that start with {first}: {first}\w+: .*; {first}\w+: "
    ):
        choose(groups, first, "/data")
