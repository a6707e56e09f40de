"""What programs write into the description of a TIFF file: ImageJ's lines, tifffile's JSON, OME-XML."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any
from xml.etree import ElementTree

from chunkvol.errors import DamagedError, FormatError

_SPLIT = "split it first, as with Image > Hyperstacks > Make Subset in Fiji, and save one time and channel"

_COMPANION = re.compile(r"<(\w+:)?BinaryOnly\b")
"""OME-XML that only names the file in which the rest stands (OME-TIFF specification, "Companion file")."""

__all__ = ["Described", "described", "imagej_fields", "is_ome", "ome_pixels"]


@dataclass(frozen=True, slots=True)
class Described:
    """What a description says of the planes of its file."""

    planes: int | None = None
    """How many there are; None where it does not say."""
    follow: bool = False
    """Whether they may follow the first one's pixels without directories of their own."""
    order: tuple[int, ...] | None = None
    """Which directory holds each plane; None where they are in order."""
    elsewhere: bool = False
    """Whether further planes are in other files."""
    companion: bool = False
    """Whether all else that there is to say stands in another file."""


def described(text: str, name: str, samples: int) -> Described:
    """What a description says of the planes of the file of this name, whose pixels have so many samples.

    Raises
    ------
    FormatError
        There are several times or channels.
    """
    if text.startswith("ImageJ="):
        return _imagej(imagej_fields(text))
    if text.startswith("{") and '"shape"' in text[:200]:
        return _shaped(text, samples)
    if is_ome(text):
        return _ome(ome_pixels(text), name, _COMPANION.search(text) is not None)
    return Described()


def imagej_fields(text: str) -> dict[str, str]:
    """The lines `key=value` of ImageJ's description."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}


def _imagej(fields: Mapping[str, str]) -> Described:
    counts = {key: _count(fields.get(key, "1")) for key in ("channels", "frames", "images")}
    for key in ("channels", "frames"):
        if counts[key] == counts["images"] > 1:
            raise FormatError(
                f"holds {counts[key]} {key} of one slice; if they are slices, say so in Image > Properties of Fiji and "
                "save it again, or to tifffile with metadata={'axes': 'ZYX'}"
            )
        if counts[key] > 1:
            raise FormatError(f"is a hyperstack with {counts[key]} {key}; one of each is read: {_SPLIT}")
    return Described(counts["images"], follow=True)


def _count(text: str) -> int:
    return int(text) if text.isdecimal() else 1


def _shaped(text: str, samples: int) -> Described:
    """tifffile's own: `{"shape": [5, 7, 9]}`, with `"truncated": true` where the pages after the first are left out."""
    try:
        found = json.loads(text)
        lengths = [int(n) for n in found["shape"]]
    except (ValueError, TypeError, KeyError):
        return Described()
    outer = lengths[: -2 if samples == 1 else -3]
    if sum(n > 1 for n in outer) > 1:
        each = " x ".join(map(str, lengths))
        raise FormatError(f"holds {each} pixels; volumes of 3 dimensions are read: save one time and channel")
    return Described(prod(outer), follow=bool(found.get("truncated")))


def is_ome(text: str) -> bool:
    """Whether a description is OME-XML."""
    return text.lstrip()[:1] == "<" and "<OME" in text[:2000]


def ome_pixels(text: str) -> Any:
    """The Pixels element of the first image of OME-XML, names without their namespace; None where there is none."""
    try:
        root = ElementTree.fromstring(text.strip().encode())
    except ElementTree.ParseError as error:
        raise DamagedError(f"its OME-XML is broken ({error})") from None
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
    return root.find("Image/Pixels")


def _ome(pixels: Any, name: str, companion: bool) -> Described:
    """Where the Z planes of series 0 are (OME-TIFF specification, "The TiffData element")."""
    if pixels is None:
        return Described(companion=companion)
    sizes = {axis: _count(pixels.get(f"Size{axis}", "1")) for axis in "ZCT"}
    channels = pixels.findall("Channel")
    samples = max([_count(one.get("SamplesPerPixel", "1")) for one in channels], default=1)
    for axis, found, what in (("C", sizes["C"] // samples, "channels"), ("T", sizes["T"], "times")):
        if found > 1:
            raise FormatError(f"is OME-TIFF with {found} {what} (Size{axis}); one is read: {_SPLIT}")
    order: dict[int, int] = {}
    elsewhere = False
    for data in pixels.findall("TiffData"):
        uuid = data.find("UUID")
        file = None if uuid is None else uuid.get("FileName")
        if file not in (None, "", name):
            elsewhere = True
            continue
        first, ifd = _count(data.get("FirstZ", "0")), _count(data.get("IFD", "0"))
        planes = _count(data.get("PlaneCount", "1" if data.get("IFD") else str(sizes["Z"])))
        order |= {first + n: ifd + n for n in range(min(planes, sizes["Z"] - first))}
    found_order = tuple(order[z] for z in sorted(order))
    if not found_order or found_order == tuple(range(len(found_order))):
        return Described(None if elsewhere else sizes["Z"], elsewhere=elsewhere)
    return Described(None if elsewhere else sizes["Z"], order=found_order, elsewhere=elsewhere)
