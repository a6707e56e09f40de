"""Writing DICOM: whose images they are, what they say, and that the same volume makes the same bytes."""

from __future__ import annotations

import pickle
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

import chunkvol
from chunkvol import Volume
from chunkvol.errors import BudgetError, InputError, OutputError
from chunkvol.formats.dicom.catalogue.listing import find_volumes
from chunkvol.formats.dicom.writer import prepare_series
from chunkvol.formats.dicom.writer.coding import coding_of, range_of
from chunkvol.formats.dicom.writer.elements import uid_of
from chunkvol.formats.dicom.writer.images import images_of
from chunkvol.memory import Terms
from chunkvol.metadata import Metadata, Rescale
from tests.support.grids import noise_volume, oblique_grid, ramp_volume
from tests.support.series import write_series

SHAPE = (5, 7, 4)
GRID = oblique_grid(SHAPE)
PERSON = {
    "PatientName": "Müller^Jörg",
    "PatientID": "ID-4711",
    "PatientBirthDate": "19500102",
    "PatientSex": "M",
    "StudyDate": "20200304",
    "StudyTime": "101112",
    "StudyID": "S77",
    "StudyDescription": "Knie beidseits",
    "AccessionNumber": "ACC99",
    "ReferringPhysicianName": "Haus^Gregory",
}


def personal(folder: Path, modality: str = "CT", **facts: Any) -> Path:
    """A series that tells who was scanned."""

    def edit(k: int, dataset: Dataset) -> None:
        dataset.SpecificCharacterSet = "ISO_IR 100"
        dataset.Modality = modality
        for name, value in {**PERSON, "FrameOfReferenceUID": "1.2.3.4", "StudyInstanceUID": "1.2.3.5", **facts}.items():
            setattr(dataset, name, value)

    write_series(folder, noise_volume(GRID).read(), GRID, edit=edit)
    return folder


def images(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# --------------------------------------------------------------------------------------------------------- the bytes


@pytest.mark.parametrize("slope", ["volume", "per-slice"])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_bytes_depend_on_neither_workers_nor_budget(dtype: str, slope: str, tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid((23, 200, 300)), dtype)
    chunkvol.write_volume(volume, tmp_path / "a", workers=1, budget="4GiB", slope=slope)
    chunkvol.write_volume(volume, tmp_path / "b", workers=5, budget="4GiB", slope=slope)
    least = int(re.search(r"--memory (\d+)MiB", smallest(volume, tmp_path / "c", slope))[1])  # type: ignore[index]
    chunkvol.write_volume(volume, tmp_path / "c", workers=2, budget=f"{least + 1}MiB", slope=slope)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") == contents(tmp_path / "c")


def smallest(volume: Volume, target: Path, slope: str) -> str:
    with pytest.raises(BudgetError) as caught:
        chunkvol.plan_write(volume, target, budget="1MiB", slope=slope)
    return str(caught.value)


def test_files_are_named_by_their_number_and_hold_what_their_head_says(tmp_path: Path) -> None:
    chunkvol.write_volume(noise_volume(GRID), tmp_path / "out")
    assert list(contents(tmp_path / "out")) == [f"IM{n:05d}.dcm" for n in range(1, 6)]
    for content, image in zip(contents(tmp_path / "out").values(), images(tmp_path / "out"), strict=True):
        assert content[:132] == bytes(128) + b"DICM"
        assert image.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID
        assert image.file_meta.MediaStorageSOPClassUID == image.SOPClassUID == pydicom.uid.CTImageStorage
        assert image.file_meta.ImplementationClassUID == uid_of("chunkvol")
        assert list(image.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]


def test_a_file_is_what_pydicom_writes_of_it(tmp_path: Path) -> None:
    chunkvol.write_volume(ramp_volume(GRID), tmp_path / "out")
    path = tmp_path / "out" / "IM00003.dcm"
    dataset = pydicom.dcmread(path)
    assert [element.tag for element in dataset] == sorted(element.tag for element in dataset)
    for element in dataset:
        assert element.value is None or element.VR != "UN"
    dataset.save_as(tmp_path / "again.dcm")
    assert (tmp_path / "again.dcm").read_bytes() == path.read_bytes()


def test_uids_are_made_of_the_source_and_the_settings(tmp_path: Path) -> None:
    chunkvol.write_volume(ramp_volume(GRID), tmp_path / "a.nrrd")
    source = chunkvol.open_volume(tmp_path / "a.nrrd")
    shutil.copy(tmp_path / "a.nrrd", tmp_path / "renamed.nrrd")
    made = {
        "first": (source, {}),
        "copy": (chunkvol.open_volume(tmp_path / "renamed.nrrd"), {}),
        "slopes": (source, {"slope": "per-slice"}),
        "part": (source[1:], {}),
    }
    found = {}
    for name, (volume, options) in made.items():
        chunkvol.write_volume(volume, tmp_path / name, **options)
        found[name] = images(tmp_path / name)
    series = {name: one[0].SeriesInstanceUID for name, one in found.items()}
    assert series["first"] == series["copy"]
    assert len(set(series.values())) == 3
    # They are of one study, and lie in one space.
    assert len({one[0].StudyInstanceUID for one in found.values()}) == 1
    assert len({one[0].FrameOfReferenceUID for one in found.values()}) == 1
    instances = [image.SOPInstanceUID for name in ("first", "slopes", "part") for image in found[name]]
    assert len(set(instances)) == len(instances) == 14
    assert all(re.fullmatch(r"2\.25\.[1-9]\d{0,38}", uid) for uid in (*instances, *series.values()))


def test_arrays_in_memory_say_that_their_uids_are_not_their_own(tmp_path: Path) -> None:
    notes = chunkvol.plan_write(noise_volume(GRID), tmp_path / "out").notes
    assert any(note.startswith("the voxels are an array in memory, which has no fingerprint") for note in notes)


# ----------------------------------------------------------------------------------------------------------- privacy


def test_nothing_of_a_patient_is_written_by_itself(tmp_path: Path) -> None:
    volume = chunkvol.open_volume(personal(tmp_path / "in"))
    chunkvol.write_volume(volume, tmp_path / "out")
    for content in contents(tmp_path / "out").values():
        for value in PERSON.values():
            for encoding in ("utf-8", "latin-1"):
                for word in re.split(r"[\^ ]", value):
                    assert len(word) < 2 or word.encode(encoding) not in content, word
    image = images(tmp_path / "out")[0]
    # What links it with its study is no identity.
    assert (image.StudyInstanceUID, image.FrameOfReferenceUID) == ("1.2.3.5", "1.2.3.4")
    assert image.SeriesInstanceUID != volume.metadata.extra["series_uid"]


def test_a_patient_who_was_kept_at_reading_is_written(tmp_path: Path) -> None:
    volume = chunkvol.open_volume(personal(tmp_path / "in"), keep_phi=True)
    chunkvol.write_volume(volume, tmp_path / "out")
    image = images(tmp_path / "out")[0]
    for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate"):
        assert str(image[name].value) == PERSON[name]


# ---------------------------------------------------------------------------------------------------------- template


@pytest.mark.parametrize("alone", [False, True])
def test_a_template_gives_patient_study_and_frame_of_reference(alone: bool, tmp_path: Path) -> None:
    folder = personal(tmp_path / "in", "MR")
    template = folder / "IM0002.dcm" if alone else folder
    chunkvol.write_volume(ramp_volume(GRID), tmp_path / "out", template=template)
    for image in images(tmp_path / "out"):
        assert {name: str(image[name].value) for name in PERSON} == PERSON
        assert (image.StudyInstanceUID, image.FrameOfReferenceUID, image.Modality) == ("1.2.3.5", "1.2.3.4", "MR")
        assert image.SOPClassUID == pydicom.uid.MRImageStorage
        assert image.SeriesInstanceUID.startswith("2.25.")


def test_a_template_of_several_series_is_refused(tmp_path: Path) -> None:
    personal(tmp_path / "in" / "a", SeriesInstanceUID="1.2.3.6")
    personal(tmp_path / "in" / "b", SeriesInstanceUID="1.2.3.7")
    with pytest.raises(InputError, match=r"--template .* holds 2 series; name a file of the one"):
        chunkvol.plan_write(ramp_volume(GRID), tmp_path / "out", template=tmp_path / "in")


def test_a_template_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--template: .*none cannot be read as a folder"):
        chunkvol.plan_write(ramp_volume(GRID), tmp_path / "out", template=tmp_path / "none")


def test_a_template_that_is_no_image_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(InputError, match=r"--template: .*notes.txt holds no DICOM image"):
        chunkvol.plan_write(ramp_volume(GRID), tmp_path / "out", template=tmp_path / "notes.txt")


def test_a_study_that_is_kept_without_its_patient_is_told(tmp_path: Path) -> None:
    folder = personal(tmp_path / "in", "MR")
    volume, said = chunkvol.open_volume(folder), "name no patient, which archives may refuse"
    assert any(said in note for note in chunkvol.plan_write(volume, tmp_path / "out").notes)
    for kept, options in ((volume, {"template": folder}), (chunkvol.open_volume(folder, keep_phi=True), {})):
        assert not any(said in note for note in chunkvol.plan_write(kept, tmp_path / "out", **options).notes)


# ------------------------------------------------------------------------------------------------ what images say


@pytest.mark.parametrize(
    ("modality", "kind", "note"),
    [
        ("CT", "CT", ""),
        ("MR", "MR", ""),
        ("", "CT", "the input states no modality: the images are CT"),
        ("PT", "CT", r"those of modality PT must state facts that volumes do not keep \(CT and MR are written\)"),
    ],
)
def test_a_modality_is_kept_where_its_images_can_be_made(modality: str, kind: str, note: str, tmp_path: Path) -> None:
    volume = replace(noise_volume(GRID), metadata=Metadata(modality=modality))
    notes = [n for n in chunkvol.plan_write(volume, tmp_path / "out").notes if "fingerprint" not in n]
    assert len(notes) == bool(note) and all(re.search(note, one) for one in notes)
    chunkvol.write_volume(volume, tmp_path / "out")
    assert images(tmp_path / "out")[0].Modality == kind


def test_what_was_known_of_the_acquisition_is_said_again(tmp_path: Path) -> None:
    extra = {
        "manufacturer": "Maker",
        "manufacturer_model": "M\\1",
        "series_description": "T1 " + "x" * 80,
        "body_part": "Knee",
        "patient_position": "FFS",
        "repetition_time": 500.25,
        "echo_time": 4.6,
        "kvp": 120.0,
        "photometric": "MONOCHROME1",
    }
    volume = replace(noise_volume(GRID), metadata=Metadata(modality="MR", extra=extra))
    chunkvol.write_volume(volume, tmp_path / "out")
    image = images(tmp_path / "out")[0]
    assert (image.Manufacturer, image.ManufacturerModelName, image.BodyPartExamined) == ("Maker", "M 1", "KNEE")
    assert (image.RepetitionTime, image.EchoTime, image.PatientPosition) == (500.25, 4.6, "FFS")
    assert len(image.SeriesDescription) == 64 and "KVP" not in image
    assert image.PhotometricInterpretation == "MONOCHROME1"
    assert "RescaleSlope" not in image and "RescaleType" not in image
    back = chunkvol.open_volume(tmp_path / "out").metadata
    known = set(extra) - {"kvp", "series_description", "manufacturer_model", "body_part"}
    assert {name: back.extra[name] for name in known} == {name: extra[name] for name in known}


@pytest.mark.parametrize(("unit", "said"), [("HU", "HU"), ("", "US"), ("BQML", "BQML")])
def test_the_unit_is_stated_and_left_open_where_it_is_not_known(unit: str, said: str, tmp_path: Path) -> None:
    volume = replace(noise_volume(GRID), metadata=Metadata(Rescale(1, -1024, unit)))
    chunkvol.write_volume(volume, tmp_path / "out")
    assert images(tmp_path / "out")[0].RescaleType == said
    assert chunkvol.open_volume(tmp_path / "out").metadata.rescale == Rescale(1, -1024, unit)


def test_the_history_is_told_and_long_ones_are_shortened(tmp_path: Path) -> None:
    steps = tuple(f"step {n}: ünf" for n in range(400))
    volume = replace(ramp_volume(GRID), metadata=Metadata(history=steps, assumed=True))
    chunkvol.write_volume(volume, tmp_path / "out")
    told = images(tmp_path / "out")[0].DerivationDescription
    assert len(told) <= 1024 and len(told.encode()) <= 1100
    assert told.startswith("chunkvol ") and "step 0: ünf" in told and "step 399: ünf; the geometry is assumed" in told
    assert " ... " in told and re.search(r"no value is off by more than \S+$", told)


def test_what_is_written_is_listed_as_one_volume(tmp_path: Path) -> None:
    chunkvol.write_volume(ramp_volume(GRID), tmp_path / "out")
    assert len(find_volumes(tmp_path / "out").groups) == 1
    assert chunkvol.open_volume(tmp_path / "out").metadata.problems == ()


# ------------------------------------------------------------------------------------------------------ plan, refusals


def test_the_plan_counts_the_pass_that_measures(tmp_path: Path) -> None:
    plans = {
        name: chunkvol.plan_write(noise_volume(GRID, dtype), tmp_path / "out", **options)
        for name, dtype, options in (
            ("exact", "int16", {}),
            ("floats", "float32", {}),
            ("planes", "float32", {"slope": "per-slice"}),
        )
    }
    phases = {name: [phase.name for phase in plan.phases] for name, plan in plans.items()}
    assert phases == {"exact": ["write"], "floats": ["measure", "write"], "planes": ["write"]}
    assert {plan.result.bytes for plan in plans.values()} == {2 * 5 * 7 * 4}
    assert [plan.result.dtype for plan in plans.values()] == ["int16", "16-bit", "16-bit"]
    assert "exactly where all are integers within a span of 65535, else with a slope" in plans["floats"].notes[-1]


def test_packed_voxels_are_unpacked_once_and_then_measured(tmp_path: Path) -> None:
    volume = ramp_volume(oblique_grid((9, 40, 50)))
    chunkvol.write_volume(volume, tmp_path / "a.nrrd", encoding="gzip")
    chunkvol.write_volume(volume, tmp_path / "b.nrrd")
    for name in ("a", "b"):
        chunkvol.write_volume(chunkvol.open_volume(tmp_path / f"{name}.nrrd"), tmp_path / name)
    packed, raw = (np.stack([i.pixel_array for i in images(tmp_path / name)]) for name in ("a", "b"))
    np.testing.assert_array_equal(packed, raw)


@pytest.mark.parametrize("name", ["scratch", "errors", "out.scratch"])
def test_no_name_of_a_folder_is_in_the_way_of_the_work(name: str, tmp_path: Path) -> None:
    chunkvol.write_volume(ramp_volume(GRID), tmp_path / name, format="dicom")
    assert [path.name for path in tmp_path.iterdir()] == [name] and len(contents(tmp_path / name)) == 5


def test_workers_in_other_processes_get_all_they_need(tmp_path: Path) -> None:
    job = prepare_series(ramp_volume(GRID), tmp_path / "out", Terms(1, 1 << 30, 0, "write"))
    plane = ramp_volume(GRID).read()[2]
    for coding in (None, coding_of(range_of(plane, "plane 2"), job.scale)):
        images_ = images_of(job.facts, job.scale, coding, "")
        assert pickle.loads(pickle.dumps(images_)).encoded(2, plane) == images_.encoded(2, plane)


def test_a_folder_that_holds_something_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "IM00001.dcm").write_text("mine")
    with pytest.raises(OutputError, match="something else than finished DICOM series of chunkvol's; nothing was"):
        chunkvol.write_volume(noise_volume(GRID), tmp_path / "out", overwrite=True)
    assert contents(tmp_path / "out") == {"IM00001.dcm": b"mine"}


def test_a_series_that_was_written_here_is_replaced_where_that_is_allowed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    chunkvol.write_volume(noise_volume(GRID), out)
    with pytest.raises(OutputError, match="exists"):
        chunkvol.write_volume(noise_volume(GRID)[:3], out)
    chunkvol.write_volume(noise_volume(GRID)[:3], out, overwrite=True)
    assert len(contents(out)) == 3
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="nothing was overwritten"):
        chunkvol.write_volume(noise_volume(GRID), out, overwrite=True)
    assert len(contents(out)) == 4


def test_an_image_of_a_scanner_is_not_replaced_whatever_it_is_called(tmp_path: Path) -> None:
    write_series(tmp_path / "out", noise_volume(GRID).read(), GRID)
    for n, path in enumerate(sorted((tmp_path / "out").iterdir())):
        path.rename(path.with_name(f"IM{n:05d}.dcm"))
    before = contents(tmp_path / "out")
    with pytest.raises(OutputError, match="nothing was overwritten"):
        chunkvol.write_volume(noise_volume(GRID), tmp_path / "out", overwrite=True)
    assert contents(tmp_path / "out") == before


def test_an_empty_folder_is_replaced_where_that_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    chunkvol.write_volume(noise_volume(GRID), tmp_path / "out", overwrite=True)
    assert len(contents(tmp_path / "out")) == 5


@pytest.mark.parametrize("shape", [SHAPE, (1, 7, 4)])
def test_a_place_that_was_assumed_is_still_assumed_in_the_images(shape: tuple[int, int, int], tmp_path: Path) -> None:
    name = "out" if shape[0] > 1 else "out.dcm"
    for assumed in (True, False):
        volume = replace(noise_volume(oblique_grid(shape)), metadata=Metadata(assumed=assumed, history=("crop 1", "2")))
        chunkvol.write_volume(volume, tmp_path / name, overwrite=True)
        found = chunkvol.open_volume(tmp_path / name).metadata
        assert found.assumed is assumed
        assert ("the images say that their geometry was assumed" in found.problems) is assumed
