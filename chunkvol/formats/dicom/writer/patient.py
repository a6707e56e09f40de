"""Whose images they are: as a template says, else what the volume holds, which is a study but mostly no patient."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chunkvol.errors import ChunkvolError, InputError
from chunkvol.formats.dicom.catalogue.scan import read_folder
from chunkvol.formats.dicom.writer.elements import uid_of
from chunkvol.metadata import Metadata

_COPIED = {
    0x00080020: "DA",  # Study Date
    0x00080030: "TM",  # Study Time
    0x00080050: "SH",  # Accession Number
    0x00080090: "PN",  # Referring Physician's Name
    0x00100010: "PN",  # Patient's Name
    0x00100020: "LO",  # Patient ID
    0x00100030: "DA",  # Patient's Birth Date
    0x00100040: "CS",  # Patient's Sex
    0x00200010: "SH",  # Study ID
}
"""What every image has, empty where it is not known (Type 2)."""
_DESCRIPTION = 0x00081030
_STUDY, _FRAME, _MODALITY, _SERIES = 0x0020000D, 0x00200052, 0x00080060, 0x0020000E
_PATIENT = {"name": 0x00100010, "id": 0x00100020, "birth_date": 0x00100030, "sex": 0x00100040}

Texts = dict[int, str]

__all__ = ["Identity", "identity_of"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Patient, study and frame of reference of a series."""

    elements: dict[int, tuple[str, str]]
    """VR and text of the patient and study modules, by tag."""
    study: str
    """Study Instance UID."""
    frame_of_reference: str
    """Frame of Reference UID."""
    modality: str
    """Of the template, else of the input; empty where neither says."""


def identity_of(metadata: Metadata, seed: tuple[object, ...], template: Path | None) -> Identity:
    """The identity of a series.

    Parameters
    ----------
    metadata
        Of the volume: its study and frame of reference, which are no identity; and the patient, whom it holds only
        where somebody asked for that when it was read.
    seed
        What UIDs are made of that nobody states.
    template
        A DICOM file, or a folder with one series: its patient, study, frame of reference and modality are taken.

    Raises
    ------
    InputError
        The template cannot be read, or holds more than one series.
    """
    said = _kept(metadata) if template is None else _template(template)
    elements = {tag: (vr, said.get(tag, "")) for tag, vr in _COPIED.items()}
    if said.get(_DESCRIPTION):
        elements[_DESCRIPTION] = ("LO", said[_DESCRIPTION])
    study = said.get(_STUDY) or uid_of("study", *seed)
    return Identity(elements, study, said.get(_FRAME) or uid_of("frame", *seed), said.get(_MODALITY, ""))


def _kept(metadata: Metadata) -> Texts:
    """What the metadata hold."""
    said: Texts = {
        _STUDY: str(metadata.extra.get("study_uid", "")),
        _FRAME: metadata.frame_of_reference,
        _MODALITY: metadata.modality,
        0x00080020: str(metadata.extra.get("study_date", "")),
    }
    patient = metadata.extra.get("patient")
    if isinstance(patient, Mapping):
        said |= {tag: str(patient.get(name, "")) for name, tag in _PATIENT.items()}
    return said


def _template(path: Path) -> Texts:
    try:
        images = read_folder(path).images
    except ChunkvolError as error:
        raise InputError(f"--template: {error}") from error
    if len({image.series for image in images}) > 1:
        raise InputError(
            f"--template {path} holds {len({image.series for image in images})} series; name a file of the one whose "
            "patient and study are to be kept"
        )
    return _texts(Path(images[0].path))


def _texts(path: Path) -> Texts:
    import pydicom

    wanted = [*_COPIED, _DESCRIPTION, _STUDY, _FRAME, _MODALITY]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset: Any = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=wanted)
            return {tag: _text(dataset[tag].value) for tag in wanted if tag in dataset}
        except Exception as error:  # pydicom meets hostile bytes with many kinds; its text may quote a patient
            raise InputError(
                f"--template {path} cannot be read ({type(error).__name__}); name another image of that study"
            ) from None


def _text(value: Any) -> str:
    """One value as text; of several, as they stand in a file."""
    if value is None:
        return ""
    several = isinstance(value, list | tuple) or type(value).__name__ == "MultiValue"
    return "\\".join(map(str, value)) if several else str(value)
