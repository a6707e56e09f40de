"""What is kept of how a series was acquired: every fact that is stated, and nothing of the patient."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from chunkvol.errors import DamagedError, InputError
from chunkvol.formats.dicom.headers import acquisition
from chunkvol.formats.dicom.headers.acquisition import ACQUISITION, PATIENT, facts_of
from tests.support.series import oblique, write_plane

Edit = Callable[[Dataset], None]

STATED: dict[str, Any] = {
    "Manufacturer": "Maker GmbH",
    "ManufacturerModelName": "Scan 7",
    "SeriesDescription": "chest  lung",
    "ProtocolName": "Thorax routine",
    "BodyPartExamined": "CHEST",
    "PatientPosition": "FFP",
    "SliceThickness": "0.625",
    "KVP": "120",
    "XRayTubeCurrent": "210",
    "Exposure": "84",
    "ConvolutionKernel": ["B60f", "3"],
    "SequenceName": "*tfl3d1",
    "RepetitionTime": "2530.5",
    "EchoTime": "1.64",
    "FlipAngle": "7",
    "MagneticFieldStrength": "2.89",
    "Units": "BQML",
    "DecayCorrection": "START",
}
KEPT = {
    "manufacturer": "Maker GmbH",
    "manufacturer_model": "Scan 7",
    "series_description": "chest lung",
    "protocol": "Thorax routine",
    "body_part": "CHEST",
    "patient_position": "FFP",
    "slice_thickness": 0.625,
    "kvp": 120.0,
    "tube_current": 210.0,
    "exposure": 84.0,
    "convolution_kernel": ["B60f", "3"],
    "sequence_name": "*tfl3d1",
    "repetition_time": 2530.5,
    "echo_time": 1.64,
    "flip_angle": 7.0,
    "magnetic_field_strength": 2.89,
    "units": "BQML",
    "decay_correction": "START",
}
WHO = {"name": "Somebody^Secret", "id": "ID-4711-X", "birth_date": "19600229", "sex": "F"}


def fill(dataset: Dataset, stated: dict[str, Any]) -> None:
    with disable_value_validation():
        for keyword, value in stated.items():
            if keyword in dataset:
                delattr(dataset, keyword)  # an element validates as it did when it was made
            setattr(dataset, keyword, value)


def identify(dataset: Dataset) -> None:
    dataset.PatientName, dataset.PatientID = WHO["name"], WHO["id"]
    dataset.PatientBirthDate, dataset.PatientSex = WHO["birth_date"], WHO["sex"]
    dataset.StudyDate = "20200102"


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., str]:
    """`written(edit)` is the path of one plane, changed by `edit`."""

    def write(edit: Edit = lambda dataset: None, transfer_syntax: str = "1.2.840.10008.1.2.1") -> str:
        def both(_k: int, dataset: Dataset) -> None:
            identify(dataset)
            edit(dataset)

        path = tmp_path / "IM0001.dcm"
        plane = np.arange(12, dtype="u2").reshape(3, 4)
        write_plane(path, plane, oblique((2, 3, 4)), 0, transfer_syntax=transfer_syntax, edit=both)
        return str(path)

    return write


# ---------------------------------------------------------------------------------------------------------- laws


def test_the_tags_are_those_of_their_keywords() -> None:
    for row in (*ACQUISITION, *PATIENT):
        for keyword, tag in row.elements.items():
            assert tag_for_keyword(keyword) == tag, keyword


@pytest.mark.parametrize(
    "syntax",
    ["1.2.840.10008.1.2.1", ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
)
def test_every_fact_that_is_stated_is_kept_in_any_encoding(written: Callable[..., str], syntax: str) -> None:
    path = written(lambda dataset: fill(dataset, STATED), syntax)
    assert facts_of(path, keep_phi=False) == KEPT
    assert facts_of(path, keep_phi=True) == {**KEPT, "study_date": "20200102", "patient": WHO}
    assert KEPT.keys() | {"radiopharmaceutical"} == {row.name for row in ACQUISITION}


def test_what_is_not_stated_or_empty_is_not_there(written: Callable[..., str]) -> None:
    def empty(dataset: Dataset) -> None:
        fill(dataset, dict.fromkeys(STATED))
        fill(dataset, dict.fromkeys(("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate"), ""))

    assert facts_of(written(empty), keep_phi=True) == {}


def test_the_walker_and_pydicom_say_the_same_of_real_files(visible: Path) -> None:
    folders = sorted({path.parent for path in visible.rglob("*.dcm")})
    assert len(folders) > 10
    for folder in folders:
        path = str(min(folder.glob("*.dcm")))
        facts = facts_of(path, keep_phi=True)
        texts = acquisition._read_with_pydicom(path)
        theirs = {
            **acquisition._collected(ACQUISITION, texts),
            **acquisition._collected((acquisition._STUDY_DATE,), texts),
            "patient": acquisition._collected(PATIENT, texts),
        }
        assert facts == theirs, folder
        assert facts["manufacturer"] == str(dcmread(path, stop_before_pixels=True).Manufacturer).strip()


def test_a_plain_slice_does_without_pydicom(written: Callable[..., str]) -> None:
    code = (
        "import sys; from chunkvol.formats.dicom.headers.acquisition import facts_of\n"
        f"print(facts_of({written()!r}, keep_phi=False), 'pydicom' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["{'series_description':", "'made", "for", "tests'}", "False"]


# ----------------------------------------------------------------------------------------------------- sequences


def test_the_radiopharmaceutical_of_pet_stands_in_a_sequence(written: Callable[..., str]) -> None:
    def pet(dataset: Dataset) -> None:
        drug = Dataset()
        drug.Radiopharmaceutical, drug.RadiopharmaceuticalStartTime = "Fluorodeoxyglucose", "101112"
        dataset.Modality, dataset.Units, dataset.DecayCorrection = "PT", "BQML", "ADMIN"
        dataset.RadiopharmaceuticalInformationSequence = [drug]

    facts = facts_of(written(pet), keep_phi=False)
    assert facts["radiopharmaceutical"] == "Fluorodeoxyglucose"
    assert (facts["units"], facts["decay_correction"]) == ("BQML", "ADMIN")
    assert "101112" not in json.dumps(facts)


def test_the_groups_that_all_frames_share_are_read(written: Callable[..., str]) -> None:
    def enhanced(dataset: Dataset) -> None:
        timing, echo, measures, current, kernel, shared = (Dataset() for _ in range(6))
        timing.RepetitionTime, timing.FlipAngle = "4000", "90"
        echo.EffectiveEchoTime = 194.5
        measures.SliceThickness = "5"
        current.XRayTubeCurrentInmA, current.ExposureInmAs = 150.25, 12.5
        kernel.ConvolutionKernel = "H30"
        shared.MRTimingAndRelatedParametersSequence, shared.MREchoSequence = [timing], [echo]
        shared.PixelMeasuresSequence, shared.CTExposureSequence = [measures], [current]
        shared.CTReconstructionSequence = [kernel]
        dataset.SharedFunctionalGroupsSequence = [shared]
        dataset.NumberOfFrames, dataset.PulseSequenceName = 2, "TSE"

    assert facts_of(written(enhanced), keep_phi=False) == {
        "series_description": "made for tests",
        "slice_thickness": 5.0,
        "tube_current": 150.25,
        "exposure": 12.5,
        "convolution_kernel": "H30",
        "sequence_name": "TSE",
        "repetition_time": 4000.0,
        "echo_time": 194.5,
        "flip_angle": 90.0,
    }


def test_the_shared_groups_of_real_files_are_read(visible: Path) -> None:
    facts = facts_of(str(min((visible / "multiframe" / "hyperfine").glob("*.dcm"))), keep_phi=False)
    assert (facts["repetition_time"], facts["echo_time"], facts["flip_angle"]) == (4000.0, 194.4, 90.0)


# ------------------------------------------------------------------------------------------------------- privacy


@pytest.mark.parametrize(
    "text",
    ["Secret", "head of MR. SECRET", "headSecret2", "born 1960-02-29", "29 19600229", "id-4711-x again", "somebody"],
)
@pytest.mark.parametrize("keyword", ["SeriesDescription", "ProtocolName", "BodyPartExamined", "ConvolutionKernel"])
def test_a_text_that_tells_of_the_patient_is_left_out(written: Callable[..., str], keyword: str, text: str) -> None:
    path = written(lambda dataset: fill(dataset, {**STATED, keyword: text}))
    name = next(row.name for row in ACQUISITION if keyword in row.elements)
    kept = dict(KEPT)
    del kept[name]
    assert facts_of(path, keep_phi=False) == kept
    assert facts_of(path, keep_phi=True)[name] == text


@pytest.mark.parametrize(
    ("name", "number", "text"),
    [
        ("Müller^Jörg", "7", "Muller knee"),
        ("Müller^Jörg", "7", "knee of MUELLER"),
        ("Mueller^Jörg", "7", "Müller"),
        ("Mu\u0308ller^Jo\u0308rg", "7", "Jörg"),
        ("Nový^Jiří", "7", "jiri"),
        ("Groß^Anna", "7", "GROSS"),
        ("Li^Wu", "ID-4711", "pat. 4711"),
        ("Li^Wu", "7", "born 29.02.1960"),
        ("Li^Wu", "7", "2/29/1960"),
        ("Li^Wu", "7", "*02/29/60"),
        ("Li^Wu", "7", "600229"),
    ],
)
def test_other_spellings_tell_as_well(written: Callable[..., str], name: str, number: str, text: str) -> None:
    def edit(dataset: Dataset) -> None:
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.PatientName, dataset.PatientID, dataset.SeriesDescription = name, number, text

    assert facts_of(written(edit), keep_phi=False) == {}


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_what_is_no_text_is_left_out(written: Callable[..., str], syntax: str) -> None:
    def edit(dataset: Dataset) -> None:
        dataset.add_new("BodyPartExamined", "SQ", [])
        dataset.add_new("ConvolutionKernel", "OB", b"\0\1")

    assert facts_of(written(edit, syntax), keep_phi=False) == {"series_description": "made for tests"}


def test_short_names_must_be_words_and_codes_are_no_texts(written: Callable[..., str]) -> None:
    def li(dataset: Dataset) -> None:
        fill(dataset, STATED)
        dataset.PatientName, dataset.PatientID = "Li^FFP^T", "7"
        dataset.SeriesDescription, dataset.ProtocolName = "limb T1 7", "for Li"

    facts = facts_of(written(li), keep_phi=False)
    assert facts["series_description"] == "limb T1 7"
    assert "protocol" not in facts
    assert facts["patient_position"] == "FFP"


TELLTALES: dict[str, tuple[str, ...]] = {
    "TELLTALE": (
        "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "DeviceSerialNumber",
        "AccessionNumber", "StudyID", "StudyDescription", "ReferringPhysicianName", "PerformingPhysicianName",
        "OperatorsName", "PatientComments", "ImageComments", "OtherPatientNames", "EthnicGroup", "Occupation",
        "PatientAddress", "AdditionalPatientHistory", "RequestingPhysician", "PhysiciansOfRecord",
        "PatientMotherBirthName", "MedicalRecordLocator", "AcquisitionComments",
    ),
    "20010203": (
        "AcquisitionDate", "SeriesDate", "ContentDate", "InstanceCreationDate", "DateOfLastCalibration",
    ),
    "040506": ("AcquisitionTime", "SeriesTime", "ContentTime", "StudyTime", "PatientBirthTime"),
    "041Y": ("PatientAge",),
    "71.5": ("PatientWeight",),
}  # fmt: skip  # one name a line would hide the list
"""Values that must not be found, and the elements that hold them: PS3.15 table E.1-1."""


def test_nothing_else_of_a_header_is_kept(written: Callable[..., str]) -> None:
    def crowded(dataset: Dataset) -> None:
        fill(dataset, STATED)
        for value, keywords in TELLTALES.items():
            fill(dataset, dict.fromkeys(keywords, value))
        dataset.private_block(0x0009, "MAKER 1.0", create=True).add_new(1, "LO", "TELLTALE")

    facts = facts_of(written(crowded), keep_phi=False)
    assert facts == KEPT
    kept = facts_of(written(crowded), keep_phi=True)
    assert not [value for value in TELLTALES if value in json.dumps(kept)]
    assert kept.keys() - KEPT.keys() == {"patient", "study_date"}
    assert kept["patient"].keys() == {"name", "id", "birth_date", "sex"}


# ---------------------------------------------------------------------------------------------- texts and nonsense


def test_names_in_other_scripts_are_read(written: Callable[..., str]) -> None:
    def japanese(dataset: Dataset) -> None:
        dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
        dataset.PatientName, dataset.SeriesDescription = "Yamada^Tarou=山田^太郎", "頭部 山田"
        dataset.ProtocolName = "頭部"

    path = written(japanese)
    assert facts_of(path, keep_phi=True)["patient"]["name"] == "Yamada^Tarou=山田^太郎"
    facts = facts_of(path, keep_phi=False)
    assert facts == {"protocol": "頭部"}


@pytest.mark.parametrize("characters", ["ISO_IR 100", "ISO_IR 192", None])
def test_latin_letters_are_read_as_the_file_says(written: Callable[..., str], characters: str | None) -> None:
    def german(dataset: Dataset) -> None:
        if characters:
            dataset.SpecificCharacterSet = characters
        dataset.PatientName, dataset.SeriesDescription = "Müller^Jörg", "Schädel" if characters else "Schaedel"
        dataset.ProtocolName = "für müller" if characters else "fuer"
        if not characters:
            dataset.PatientName = "Mueller"

    facts = facts_of(written(german), keep_phi=False)
    assert facts["series_description"] == ("Schädel" if characters else "Schaedel")
    assert facts.get("protocol", "") == ("" if characters else "fuer")


@pytest.mark.parametrize("raw", [b"", b"abc", b"nan", b"-inf", b"1e999", b"1\\2", b"1,5", b"\0\0"])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_number_that_is_none_is_left_out(written: Callable[..., str], raw: bytes, syntax: str) -> None:
    path = Path(written(lambda dataset: fill(dataset, {"KVP": "123456", "FlipAngle": "7"}), syntax))
    path.write_bytes(path.read_bytes().replace(b"123456", raw.ljust(6)))
    assert facts_of(str(path), keep_phi=False) == {"series_description": "made for tests", "flip_angle": 7.0}


def test_texts_are_one_line_of_bounded_length(written: Callable[..., str]) -> None:
    odd = {"Manufacturer": " a\x1b[31m\r\nb\t c\0 ", "SeriesDescription": "x" * 5000, "ConvolutionKernel": ["k"] * 500}
    facts = facts_of(written(lambda dataset: fill(dataset, odd), ImplicitVRLittleEndian), keep_phi=False)
    assert facts["manufacturer"] == "a [31m b c"
    assert facts["series_description"] == "x" * 256
    assert facts["convolution_kernel"] == ["k"] * 16
    json.dumps(facts, allow_nan=False)


# ------------------------------------------------------------------------------------------------------ refusals


def test_a_file_that_is_not_there_or_cut_short_is_refused_by_name(written: Callable[..., str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.dcm cannot be read: No such file"):
        facts_of(str(tmp_path / "none.dcm"), keep_phi=False)
    path = Path(written(lambda dataset: fill(dataset, STATED)))
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"Somebody") + 20])
    with pytest.raises(DamagedError, match=r"IM0001\.dcm is damaged: .*; copy or export it again"):
        facts_of(str(path), keep_phi=False)


def test_what_pydicom_cannot_read_is_refused_without_quoting_it(
    written: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def complaining(*_: Any, **__: Any) -> None:
        raise ValueError("could not understand Somebody^Secret")

    path = written(transfer_syntax=ExplicitVRBigEndian)
    monkeypatch.setattr("pydicom.dcmread", complaining)
    with pytest.raises(DamagedError, match=r"IM0001\.dcm is damaged: pydicom cannot read it either \(ValueError\)$"):
        facts_of(path, keep_phi=False)
