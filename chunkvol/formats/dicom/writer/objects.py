"""The kinds of image that are written, and what each says of the acquisition (PS3.3 A.3 CT, A.4 MR)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chunkvol.formats.dicom.writer.decimals import ds

Elements = dict[int, tuple[str, str]]
"""VR and text, by tag."""

__all__ = ["KINDS", "Elements", "Kind", "acquisition", "kind_of", "line"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One class of single-frame images."""

    modality: str
    """Modality."""
    sop_class: str
    """SOP Class UID."""
    fixed: Elements
    """What its module demands and chunkvol can say of any volume; empty where it may be (Type 2)."""
    known: Elements
    """VR and the name in the metadata of what is said where it is known."""
    rescaled: bool = True
    """Whether its module has a slope; where it has none, readers that look only there miss one that is not 1."""


KINDS = {
    row.modality: row
    for row in (
        Kind(
            "CT",
            "1.2.840.10008.5.1.4.1.1.2",
            {0x00080008: ("CS", r"DERIVED\SECONDARY\AXIAL"), 0x00180060: ("DS", ""), 0x00200012: ("IS", "")},
            {
                0x00180060: ("DS", "kvp"),
                0x00181151: ("IS", "tube_current"),
                0x00181152: ("IS", "exposure"),
                0x00181210: ("SH", "convolution_kernel"),
            },
        ),
        Kind(
            "MR",
            "1.2.840.10008.5.1.4.1.1.4",
            {
                0x00080008: ("CS", r"DERIVED\SECONDARY\OTHER"),
                0x00180020: ("CS", "RM"),  # research mode: the sequence is not known
                0x00180021: ("CS", "NONE"),
                0x00180022: ("CS", ""),
                0x00180023: ("CS", ""),
                0x00180080: ("DS", ""),
                0x00180081: ("DS", ""),
                0x00180091: ("IS", ""),
            },
            {
                0x00180024: ("SH", "sequence_name"),
                0x00180080: ("DS", "repetition_time"),
                0x00180081: ("DS", "echo_time"),
                0x00180087: ("DS", "magnetic_field_strength"),
                0x00181314: ("DS", "flip_angle"),
            },
            rescaled=False,
        ),
    )
}
"""By modality. PET and others have facts that must be stated and that no volume keeps (dates, decay, counts)."""

_BODY_PART = 0x00180015
_UNPAIRED = frozenset(
    (
        "ABDOMEN", "ABDOMENPELVIS", "AORTA", "BLADDER", "BRAIN", "CHEST", "CHESTABDOMEN", "CHESTABDPELVIS", "COCCYX",
        "COLON", "CSPINE", "CTSPINE", "DUODENUM", "ESOPHAGUS", "FACE", "GALLBLADDER", "HEAD", "HEADNECK", "HEART",
        "JAW", "LARYNX", "LIVER", "LSPINE", "LSSPINE", "MEDIASTINUM", "MOUTH", "NECK", "NECKCHEST", "NECKCHESTABDOMEN",
        "NECKCHESTABDPELV", "NOSE", "PANCREAS", "PELVIS", "PHARYNX", "PROSTATE", "RECTUM", "SKULL", "SPINE", "SPLEEN",
        "SSPINE", "STERNUM", "STOMACH", "THYMUS", "THYROID", "TLSPINE", "TONGUE", "TRACHEA", "TSPINE", "UTERUS",
        "WHOLEBODY",
    )
)  # fmt: skip  # a list to look in
"""Body parts that there is one of (PS3.16 annex L)."""
_ALL: Elements = {
    0x00080070: ("LO", "manufacturer"),
    0x0008103E: ("LO", "series_description"),
    0x00081090: ("LO", "manufacturer_model"),
    _BODY_PART: ("CS", "body_part"),
    0x00181030: ("LO", "protocol"),
    0x00185100: ("CS", "patient_position"),
}
_LONGEST = {"LO": 64, "SH": 16, "ST": 1024}
_CODE = re.compile(r"[A-Z0-9 _]{1,16}")


def kind_of(modality: str) -> tuple[Kind, list[str]]:
    """The kind of image for a modality, and what there is to say about it."""
    if modality in KINDS:
        return KINDS[modality], []
    if not modality:
        return KINDS["CT"], ["the input states no modality: the images are CT; --template SERIES takes another's"]
    return KINDS["CT"], [
        f"the images are CT: those of modality {line(modality, 16)} must state facts that volumes do not keep "
        f"({' and '.join(KINDS)} are written)"
    ]


def acquisition(kind: Kind, extra: Mapping[str, Any]) -> Elements:
    """What an image of this kind says of the acquisition, from the facts that a volume keeps of its source."""
    known = {tag: (vr, _value(vr, extra.get(name))) for tag, (vr, name) in (_ALL | kind.known).items()}
    must: Elements = {0x00080070: ("LO", ""), 0x00185100: ("CS", ""), **kind.fixed}
    if known[_BODY_PART][1] not in _UNPAIRED:
        must[0x00200060] = ("CS", "")  # Laterality: empty of what is paired or not known, absent of all else
    return must | {tag: said for tag, said in known.items() if said[1]}


def line(text: str, longest: int) -> str:
    """One line of printable text without backslashes, which would part values; `longest` counts bytes of UTF-8, as
    strict readers do."""
    printable = "".join(c if c.isprintable() and c != "\\" else " " for c in text)
    return " ".join(printable.split()).encode()[:longest].decode(errors="ignore").strip()


def _value(vr: str, fact: Any) -> str:
    """A fact as text of that VR; empty where it is none, or does not fit."""
    if fact is None or isinstance(fact, dict):
        return ""
    if vr in ("DS", "IS"):
        number = fact if isinstance(fact, int | float) else None
        return "" if number is None else ds(number) if vr == "DS" else str(round(number))
    text = " ".join(map(str, fact)) if isinstance(fact, list) else str(fact)
    if vr == "CS":
        code = line(text, 64).upper()
        return code if _CODE.fullmatch(code) else ""
    return line(text, _LONGEST[vr])
