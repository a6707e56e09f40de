"""The images of a series as bytes: what they share is made once, what is each one's own is put in between."""

from __future__ import annotations

from dataclasses import dataclass

from chunkvol.formats.dicom.writer.coding import Coding, coding_of, range_of
from chunkvol.formats.dicom.writer.elements import element, file_head, pieces, pixel_head, uid_of
from chunkvol.formats.dicom.writer.facts import SeriesFacts
from chunkvol.formats.dicom.writer.place import Placement
from chunkvol.metadata import Rescale
from chunkvol.sources import Block

_INSTANCE, _NUMBER, _POSITION, _INTERCEPT, _SLOPE = 0x00080018, 0x00200013, 0x00200032, 0x00281052, 0x00281053
_CHARACTERS = 0x00080005
_DIGITS = 5

__all__ = ["SeriesImages", "images_of"]


@dataclass(frozen=True)
class SeriesImages:
    """The files of a series, one a plane."""

    placement: Placement
    """Where planes lie."""
    sop_class: str
    """SOP Class UID."""
    series: str
    """Series Instance UID, which instance UIDs are made of."""
    shared: tuple[bytes, ...]
    """Elements that all images have, cut where those of each have their places."""
    scale: Rescale
    """From the source's values to real ones."""
    coding: Coding | None = None
    """How all planes are stored; None where each has a slope of its own."""
    rescaled: bool = True
    """Whether slope and intercept are stated."""

    def name(self, k: int) -> str:
        """Name of the file of plane k: images are numbered along the normal of their planes."""
        digits = max(_DIGITS, len(str(self.placement.geometry.shape[0])))
        return f"IM{self.placement.number(k):0{digits}d}.dcm"

    def coded(self, k: int, plane: Block) -> Coding:
        """How plane k is stored."""
        return self.coding or coding_of(range_of(plane, f"plane {k}"), self.scale, alike=True)

    def encoded(self, k: int, plane: Block) -> bytes:
        """The whole file of plane k, from its voxels (rows, columns)."""
        return self.image(k, plane, self.coded(k, plane))

    def image(self, k: int, plane: Block, coding: Coding) -> bytes:
        """The whole file of plane k, stored as `coding` says."""
        number = self.placement.number(k)
        instance = uid_of("image", self.series, number)
        own = (
            element(_INSTANCE, "UI", instance),
            element(_NUMBER, "IS", str(number)),
            element(_POSITION, "DS", self.placement.position(k)),
            element(_INTERCEPT, "DS", coding.intercept) if self.rescaled else b"",
            element(_SLOPE, "DS", coding.slope) if self.rescaled else b"",
        )
        stored = coding.stored(plane)
        between = [part for pair in zip(self.shared, own, strict=False) for part in pair]
        head = (file_head(self.sop_class, instance), *between, self.shared[-1], pixel_head(stored.nbytes))
        return b"".join((*head, stored.reshape(-1).view("u1").data))


def images_of(facts: SeriesFacts, scale: Rescale, coding: Coding | None, values: str) -> SeriesImages:
    """The images of a series; `values` is a sentence about how they are stored, or empty."""
    texts = facts.elements(coding, values)
    if not all(text.isascii() for _, text in texts.values()):
        texts[_CHARACTERS] = ("CS", "ISO_IR 192")
    elements = {tag: element(tag, vr, int(text) if vr == "US" else text) for tag, (vr, text) in texts.items()}
    shared = pieces(elements, (_INSTANCE, _NUMBER, _POSITION, _INTERCEPT, _SLOPE))
    rescaled = facts.rescaled(coding)
    return SeriesImages(facts.placement, facts.kind.sop_class, facts.uid, shared, scale, coding, rescaled)
