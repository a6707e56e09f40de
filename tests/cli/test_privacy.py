"""Who was scanned is in no output, no log line, no message and no name, unless somebody asks for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

import chunkvol
from chunkvol import Metadata, Volume
from chunkvol.metadata import IDENTITY
from tests.cli.commands import Outcome
from tests.support.grids import noise_volume, oblique_grid
from tests.support.series import oblique, write_series

Command = Callable[..., Outcome]
SHAPE = (12, 11, 10)
SECRETS = ("somebody", "secret", "id-4711", "19600229", "1960-02-29", "referrer", "st. elsewhere", "acc-99", "20200102")
PATIENT = {"name": "Somebody^Secret", "id": "ID-4711", "birth_date": "19600229", "sex": "F"}


def identify(k: int, dataset: Dataset) -> None:
    """Everything that tells who it is, even where it should not stand."""
    dataset.PatientName, dataset.PatientID = PATIENT["name"], PATIENT["id"]
    dataset.PatientBirthDate, dataset.PatientSex = PATIENT["birth_date"], PATIENT["sex"]
    dataset.ReferringPhysicianName, dataset.InstitutionName = "Referrer^Doctor", "St. Elsewhere"
    dataset.AccessionNumber, dataset.StudyDate = "ACC-99", "20200102"
    dataset.PatientComments = "Secret, born 1960-02-29"
    dataset.ProtocolName = "for Mrs. Secret"


def write_scan(folder: Path, edit: Callable[[int, Dataset], None] = lambda k, dataset: None, **options: Any) -> Path:
    def both(k: int, dataset: Dataset) -> None:
        identify(k, dataset)
        edit(k, dataset)

    array = np.random.default_rng(3).integers(0, 4000, SHAPE).astype("u2")
    write_series(folder, array, oblique(SHAPE), edit=both, **options)
    return folder


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return write_scan(tmp_path / "scan")


def clean(done: Outcome) -> Outcome:
    """The outcome, after a look at all that it says."""
    assert not [word for word in SECRETS if word in (done.out + done.err).casefold()], done
    return done


def check_files(folder: Path) -> None:
    """Every byte of every file below, and every name."""
    for path in folder.rglob("*"):
        said = str(path.relative_to(folder)).encode() + (path.read_bytes() if path.is_file() else b"")
        assert not [word for word in SECRETS if word.encode() in said.lower()], path


JOBS: tuple[tuple[str, ...], ...] = (
    ("downsample", "--factor", "2", "-o", "a.nrrd"),
    ("downsample", "--factor", "2", "-o", "b.nhdr"),
    ("downsample", "--factor", "2", "-o", "c.ome.zarr"),
    ("convert", "--encoding", "gzip", "-o", "d.nrrd"),
    ("convert", "-o", "e.ome.zarr"),
    ("ingest", "-o", "f.ome.zarr"),
)


def test_no_output_of_any_verb_tells(
    command: Command, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace = tmp_path / "work"
    workplace.mkdir()
    monkeypatch.chdir(workplace)
    for verb, *options in JOBS:
        clean(command(verb, scan, *options, "--dry-run").succeeded())
        clean(command(verb, scan, *options, "--dry-run", "--json").succeeded())
        clean(command(verb, scan, *options).succeeded())
        clean(command(verb, scan, *options, "--overwrite", "--json").succeeded())
        clean(command(verb, scan, *options)).refused(2, "exists")
    for output in (scan, *workplace.iterdir()):
        if output.suffix != ".raw":
            clean(command("info", output).succeeded())
            clean(command("info", output, "--json").succeeded())
    for again in ("a.nrrd", "f.ome.zarr"):
        clean(command("convert", again, "-o", f"again-{again}").succeeded())
    assert len(list(workplace.iterdir())) == len(JOBS) + 3
    check_files(workplace)


def test_an_output_that_cannot_keep_the_patient_says_so(command: Command, scan: Path, tmp_path: Path) -> None:
    for name, keeps in (("a.nrrd", False), ("a.npy", False), ("a.ome.zarr", True), ("series", True)):
        told = "tells nothing of the patient: --keep-phi changes nothing"
        assert (told in command("convert", scan, "--keep-phi", "-o", tmp_path / name).succeeded().err) is not keeps
        done = command("convert", scan, "-o", tmp_path / name, "--overwrite").succeeded()
        assert told not in done.err


def lose(folder: Path) -> None:
    sorted(folder.iterdir())[5].unlink()


def cut(folder: Path) -> None:
    path = sorted(folder.iterdir())[5]
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"Somebody") + 12])


def spoil(keyword: str, value: Any) -> Callable[[int, Dataset], None]:
    def edit(k: int, dataset: Dataset) -> None:
        if k == 5:
            setattr(dataset, keyword, value)

    return edit


BROKEN: dict[str, tuple[Callable[[int, Dataset], None], Callable[[Path], None]]] = {
    "a plane is missing": (lambda k, dataset: None, lose),
    "a header is cut short": (lambda k, dataset: None, cut),
    "two series": (spoil("SeriesInstanceUID", "1.2.3"), lambda folder: None),
    "another spacing": (spoil("PixelSpacing", [3, 3]), lambda folder: None),
    "another direction": (spoil("ImageOrientationPatient", [1, 0, 0, 0, 1, 0]), lambda folder: None),
    "no position": (spoil("ImagePositionPatient", None), lambda folder: None),
    "another kind of pixel": (spoil("PhotometricInterpretation", "MONOCHROME1"), lambda folder: None),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"])
def test_no_refusal_and_no_list_of_volumes_tells(name: str, syntax: str, command: Command, tmp_path: Path) -> None:
    edit, after = BROKEN[name]
    folder = write_scan(tmp_path / "scan", edit, transfer_syntax=syntax)
    after(folder)
    for arguments in (("info", folder), ("info", folder, "--json"), ("convert", folder, "-o", tmp_path / "a.nrrd")):
        done = clean(command(*arguments))
        assert done.out or "chunkvol: " in done.err
    shutil.rmtree(folder)
    check_files(tmp_path)


# ------------------------------------------------------------------------------------------- what was kept on request


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """A store that holds whom it shows."""
    volume = noise_volume(oblique_grid((9, 10, 11)))
    extra = {"patient": PATIENT, "study_date": "20200102", "kvp": 120.0, "padding": [0, 0]}
    assert set(IDENTITY) < extra.keys()
    path = tmp_path / "known.ome.zarr"
    chunkvol.write_volume(Volume(volume.read(), volume.geometry, Metadata(modality="CT", extra=extra)), path)
    return path


def test_what_a_store_was_told_to_keep_goes_on_only_where_asked_for_again(known: Path, tmp_path: Path) -> None:
    plain, kept = chunkvol.open_volume(known), chunkvol.open_volume(known, keep_phi=True)
    assert plain.metadata.extra == {"kvp": 120.0, "padding": [0, 0]}
    assert kept.metadata.extra == {**plain.metadata.extra, "patient": PATIENT, "study_date": "20200102"}
    assert plain.metadata == kept.metadata.deidentified()

    out = tmp_path / "out"
    out.mkdir()
    chunkvol.ingest(known, out / "a.ome.zarr")
    for name in ("a.nrrd", "b.nrrd"):  # NRRD has no place for it, whoever asks
        chunkvol.write_volume(kept if name == "b.nrrd" else plain, out / name)
    check_files(out)
    asked = chunkvol.ingest(known, tmp_path / "b.ome.zarr", keep_phi=True)
    assert asked.metadata.extra["patient"] == PATIENT
    assert asked.metadata == kept.metadata
    for level in chunkvol.open_volume(known, keep_phi=True).levels:
        assert level.metadata.extra["patient"] == PATIENT


def test_the_command_line_asks_for_it_in_the_same_way(
    command: Command, known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.chdir(out)
    clean(command("info", known, "--json").succeeded())
    clean(command("downsample", known, "--factor", "2", "-o", "a.ome.zarr").succeeded())
    clean(command("convert", known, "--keep-phi", "-o", "a.nrrd").succeeded())
    check_files(out)
    clean(command("convert", known, "--keep-phi", "-o", "b.ome.zarr").succeeded())
    group = json.loads((out / "b.ome.zarr" / "zarr.json").read_text())
    assert group["attributes"]["chunkvol"]["metadata"]["extra"]["patient"] == PATIENT
