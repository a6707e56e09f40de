"""Which images belong to one volume: series, and what tells several volumes within one series apart."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from chunkvol.errors import InputError
from chunkvol.formats.dicom.catalogue.facts import (
    ALWAYS,
    DERIVED_OBJECTS,
    LABELS,
    ONE_A_SERIES,
    TIME,
    WITHIN,
    Fact,
    is_colour,
    values_of,
)
from chunkvol.formats.dicom.catalogue.repeats import Part, count_planes, split_repeats
from chunkvol.formats.dicom.headers.acquisition import description_of
from chunkvol.formats.dicom.headers.header import Header

_SHORTEST_ID = 6
_LEAST_PLANES = 3
_LISTED = 12
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

__all__ = ["Group", "choose", "find_groups"]


@dataclass(frozen=True, slots=True)
class Group:
    """Images that are meant to be one volume."""

    id: str
    """Short name, the same on every machine: the start of a hash of the Series Instance UID and of what tells this
    group from others of its series."""
    images: tuple[Header, ...]
    """Its images, in the order of their paths and frames."""
    label: str = ""
    """What tells it from the other groups of its series, for people: "echo 2 (4.92 ms)"; empty where it is alone."""
    left_out: str = ""
    """Why it is not offered as a volume ("localizer", "colour"); empty where it is."""

    @property
    def series(self) -> str:
        """Series Instance UID."""
        return self.images[0].series


def find_groups(images: Sequence[Header]) -> tuple[Group, ...]:
    """The groups that these images make, in the order in which they appear.

    Images of one group share their series, orientation, size, image type, stack, pixel spacing, pixel format and
    modality; and study and frame of reference, where a series has several. Where several share a position, echo, time
    and diffusion weighting split them further, as far as these tell them apart (`split_repeats`). The ids depend on the
    headers of the series alone: not on paths, the order of the images or other series (they are lengthened where two
    would be the same).
    """
    series: dict[str, list[Header]] = {}
    for image in images:
        series.setdefault(image.series, []).append(image)
    groups = [group for members in series.values() for group in _groups_of_series(members)]
    placed = any(group.images[0].position for group in groups)
    groups = [replace(group, left_out=_why_left_out(group.images[0], len(groups) == 1, placed)) for group in groups]
    length = _SHORTEST_ID
    while len({group.id[:length] for group in groups}) < len(groups):
        length += 1
    return tuple(replace(group, id=group.id[:length]) for group in groups)


def _groups_of_series(images: Sequence[Header]) -> list[Group]:
    """The groups of one series, with their whole hash as id."""
    found: dict[tuple[Hashable, ...], list[Header]] = {}
    several = [fact for fact in ONE_A_SERIES if len({fact.of(image) for image in images} - {""}) > 1]
    facts = *ALWAYS, *several
    for image, *key in zip(images, *(values_of(fact, images) for fact in facts), strict=True):
        found.setdefault(tuple(key), []).append(image)
    parts = [
        Part(part.images, (*zip(facts, key, strict=True), *part.facts))
        for key, members in found.items()
        for part in split_repeats(members)
    ]
    labels = _labels(parts)
    return [Group(_digest(part), part.images, label) for part, label in zip(parts, labels, strict=True)]


def _digest(part: Part) -> str:
    facts = [(fact.name, value) for fact, value in part.facts]
    return hashlib.sha256(repr((part.images[0].series, facts)).encode()).hexdigest()


def _labels(parts: Sequence[Part]) -> list[str]:
    """Texts of as few facts as tell the parts apart, those that people look for first."""
    labels = [""] * len(parts)
    for fact in LABELS:
        texts = [_text(part, fact) for part in parts]
        longer = [", ".join(filter(None, pair)) for pair in zip(labels, texts, strict=True)]
        if len(set(longer)) > len(set(labels)):
            labels = longer
    return labels


def _text(part: Part, fact: Fact) -> str:
    """What a label says of a fact: nothing where it varies within the part."""
    known = {other.name: value for other, value in part.facts}
    if fact is TIME or fact in ONE_A_SERIES:
        return fact.text(known[fact.name]) if fact.name in known else ""
    values = set(values_of(fact, part.images)) if fact in WITHIN else {known[fact.name]}
    if len(values) > 1:
        return ""
    value = values.pop()
    times = {image.echo_time for image in part.images} if fact.name == "echo_number" and value is not None else set()
    return fact.text(value) + (f" ({times.pop():.5g} ms)" if len(times) == 1 and None not in times else "")


def _why_left_out(image: Header, alone: bool, placed: bool) -> str:
    """Why the group of an image is not offered as a volume, empty where it is; `placed`: others say where they lie."""
    kind = " ".join(image.image_type).upper()
    if image.modality in DERIVED_OBJECTS:
        return DERIVED_OBJECTS[image.modality]
    if "LOCALIZER" in kind or "SCOUT" in kind:
        return "localizer"
    if "MOSAIC" in kind:
        return "mosaic"
    if is_colour(image) and not alone:
        return "colour"
    captured = image.modality in ("OT", "SC") or image.sop_class.startswith(_SECONDARY_CAPTURE)
    return "secondary capture" if captured and placed and image.position is None else ""


def choose(groups: Sequence[Group], wanted: str, folder: str) -> tuple[Group, tuple[str, ...]]:
    """The one group that is meant, and what was left out, one sentence each.

    Parameters
    ----------
    groups
        All groups of a folder.
    wanted
        The start of a short id, or a Series Instance UID. Empty: the only group that is offered; groups of other
        series that lie in one or two planes are no reason to ask.
    folder
        For messages.

    Raises
    ------
    InputError
        When it is not clear which one is meant; the message lists what there is.
    """
    if wanted.strip():
        return _named(groups, wanted.strip(), folder)
    offered = [group for group in groups if not group.left_out]
    if len(groups) == 1:
        offered = list(groups)
    stacks = [group for group in offered if count_planes(group.images) >= _LEAST_PLANES]
    if len(stacks) == 1 and all(group is stacks[0] or group.series != stacks[0].series for group in offered):
        offered = stacks
    if _torn_apart(offered):
        raise InputError(
            f"{folder} holds {len(offered)} images of one kind, each of a series, study or frame of reference of its "
            "own (some anonymizers leave the planes of one volume so): give them the same UIDs, as dcmodify -m "
            "SeriesInstanceUID=UID of DCMTK does, or choose one image with --series ID"
        )
    if len(offered) != 1:
        what = f"{len(offered)} volumes" if offered else f"{len(groups)} groups of images, none of them a plain volume"
        raise InputError(f"{folder} holds {what}: {_listing(offered or groups)}; choose one with --series ID")
    return offered[0], _notes([group for group in groups if group is not offered[0]])


def _torn_apart(groups: Sequence[Group]) -> bool:
    """Whether these are single images that would be planes of one volume, were it not for their UIDs."""
    images = [group.images[0] for group in groups]
    if len(images) < _LEAST_PLANES or any(len(group.images) > 1 for group in groups):
        return False
    alike = all(len(set(values_of(fact, images))) == 1 for fact in ALWAYS)
    return alike and len({(image.series, image.study, image.frame_of_reference) for image in images}) == len(images)


def _named(groups: Sequence[Group], wanted: str, folder: str) -> tuple[Group, tuple[str, ...]]:
    members = [group for group in groups if group.series == wanted]
    if members:
        return choose(members, "", f"series {wanted} in {folder}")
    found = [group for group in groups if group.id.startswith(wanted.lower())]
    if not found:
        raise InputError(f"{folder} holds no series {wanted}: there is {_listing(groups)}")
    if len(found) > 1:
        raise InputError(f"{folder} holds {len(found)} series that start with {wanted}: {_listing(found)}")
    return found[0], ()


def _listing(groups: Sequence[Group]) -> str:
    lines = []
    for group in groups[:_LISTED]:
        first = group.images[0]
        size = f"{_count(group)} of {first.columns} x {first.rows}"
        texts = (size, _what(first), group.label, group.left_out)
        lines.append(f"{group.id}: {', '.join(filter(None, texts))}")
    return "; ".join(lines) + f"; and {len(groups) - _LISTED} more, which chunkvol info lists" * (len(groups) > _LISTED)


def _notes(groups: Sequence[Group]) -> tuple[str, ...]:
    """One sentence for each series and reason."""
    found: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        found.setdefault((group.series, group.left_out or "too few planes"), []).append(group)
    out = []
    for (_, reason), members in found.items():
        first = members[0].images[0]
        name = "a series" if first.series_number is None else f"series {first.series_number}"
        ids = f"id {members[0].id}" if len(members) == 1 else ""
        out.append(f"{name} ({', '.join(filter(None, (_count(*members), _what(first), ids)))}): {reason}, left out")
    return tuple(out)


def _what(image: Header) -> str:
    """Modality and description, as far as they are known."""
    description = description_of(image.path)
    return " ".join(filter(None, (image.modality, description and repr(description))))


def _count(*groups: Group) -> str:
    count = sum(len(group.images) for group in groups)
    return f"{count} image{'s' * (count > 1)}"
