"""A folder with several volumes: info lists them, jobs ask which one is meant, and take it by its id."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

import chunkvol
from tests.cli.commands import Outcome, untouched
from tests.support.series import oblique, write_series

Command = Callable[..., Outcome]
SHAPE = (5, 4, 7)
JOBS = [("downsample", "--factor", "2", "-o", "out.nrrd"), ("ingest", "-o", "out.ome.zarr")]


def made(folder: Path, planes: int = 5, **tags: Any) -> Path:
    """A series of so many planes, with these elements in each."""

    def edit(k: int, dataset: Dataset) -> None:
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)

    array = np.full((planes, *SHAPE[1:]), planes, np.uint16)
    write_series(folder, array, oblique(array.shape), edit=edit)
    return folder


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two volumes, a localizer and a file that is no image; the working folder is another one."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    folder = tmp_path / "scans"
    made(folder / "a", SeriesNumber=2)
    made(folder / "b", 4, SeriesInstanceUID="1.2.3", Modality="MR", SeriesDescription="T1", SeriesNumber=3)
    scout = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    made(folder / "c", 1, SeriesInstanceUID="1.2.4", ImageType=scout, SeriesNumber=1)
    (folder / "notes.txt").write_text("x")
    return folder


def test_info_lists_what_a_folder_holds_and_why_anything_was_left_out(command: Command, two: Path) -> None:
    facts = json.loads(command("info", two, "--json", "-q").succeeded().out)
    assert facts.keys() == {"series", "skipped"}
    assert facts["skipped"] == ["1 file skipped: not DICOM (notes.txt)"]
    told = [(row["modality"], row["images"], row["size"], row["bytes"], row["left_out"]) for row in facts["series"]]
    assert told == [
        ("CT", 5, [7, 4, 5], 280, ""),
        ("MR", 4, [7, 4, 4], 224, ""),
        ("CT", 1, [7, 4, 1], 56, "localizer"),
    ]
    np.testing.assert_allclose(facts["series"][1]["spacing"], [0.5, 0.75, 2.5], rtol=1e-9)
    text = command("info", two, "-q").succeeded().out
    for row in facts["series"]:
        assert any(line.startswith(f"{row['id']} ") and row["description"] in line for line in text.splitlines())
    assert "(localizer, left out)" in text
    assert "note  1 file skipped: not DICOM (notes.txt)" in text
    numbers = [line.split()[1] for line in text.splitlines()[1:4]]
    assert numbers == ["1", "2", "3"]  # a radiologist looks for these
    assert text.splitlines()[-1] == f"note  choose one by its id, as in --series {facts['series'][0]['id']}"


def test_a_chosen_series_is_described_like_any_volume(command: Command, two: Path) -> None:
    rows = json.loads(command("info", two, "--json", "-q").succeeded().out)["series"]
    for row in rows[:2]:
        for wanted in (row["id"], row["id"][:5].upper(), row["series_uid"]):
            facts = json.loads(command("info", two, "--series", wanted, "--json", "-q").succeeded().out)
            assert facts["size"] == row["size"]
            np.testing.assert_allclose(facts["spacing"], row["spacing"], rtol=1e-9)
            assert facts["modality"] == row["modality"]
            assert facts["series"] == [row]
    told = command("info", two, "--series", rows[1]["id"], "-q").succeeded().out
    assert f"series       {rows[1]['id']}, 4 images, T1\n" in told


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job[0])
def test_a_job_asks_which_volume_is_meant_and_takes_it_by_its_id(
    job: tuple[str, ...], command: Command, two: Path
) -> None:
    with untouched(two.parent):
        asked = r"scans holds 2 volumes: \w+: 5 images of 7 x 4, CT 'made for tests'; \w+: 4 images .* MR 'T1'; choose"
        command(job[0], two, *job[1:], "-q").refused(2, asked)
        command(job[0], two, *job[1:], "--series", "zz", "-q").refused(2, "holds no series zz: there is ")
    row = json.loads(command("info", two, "--json", "-q").succeeded().out)["series"][1]
    command(job[0], two, *job[1:], "--series", row["id"], "-q").succeeded()
    written = chunkvol.open_volume(job[-1])
    assert written.shape[0] == (2 if job[0] == "downsample" else 4)
    assert (np.asarray(written.values) == 2 * 4 - 1024).all()  # the volume of four planes holds fours


def test_a_slice_that_differs_makes_a_volume_of_its_own(command: Command, two: Path) -> None:
    """Whether it is damaged or another image is for the user to say."""
    folder = two.parent / "mixed"

    def edit(k: int, dataset: Dataset) -> None:
        if k == 3:
            dataset.Rows, dataset.PixelData = 3, dataset.PixelData[: 3 * 7 * 2]

    write_series(folder, np.zeros(SHAPE, np.uint16), oblique(SHAPE), edit=edit)
    rows = json.loads(command("info", folder, "--json").succeeded().out)["series"]
    assert [(row["label"], row["images"]) for row in rows] == [("7 x 4", 4), ("7 x 3", 1)]
    assert "one plane may be missing" in rows[0]["problems"][0]
    command("ingest", folder, "-o", "out.ome.zarr", "-q").refused(2, "holds 2 volumes")


def test_one_volume_beside_a_localizer_is_listed_and_described(command: Command, two: Path) -> None:
    for path in (two / "b").iterdir():
        path.unlink()
    facts = json.loads(command("info", two, "--json", "-q").succeeded().out)
    assert [row["left_out"] for row in facts["series"]] == ["", "localizer"]
    assert facts["size"] == [7, 4, 5]
    assert facts["problems"] == [
        "1 file skipped: not DICOM (notes.txt)",
        f"series 1 (1 image, CT 'made for tests', id {facts['series'][1]['id']}): localizer, left out",
    ]
    text = command("info", two, "-q").succeeded().out
    assert "(localizer, left out)" in text
    assert "size         7 x 4 x 5 voxels" in text


def test_the_ids_of_runs_are_those_that_info_prints(command: Command, two: Path) -> None:
    """A series of 40 planes without every third: 14 runs, of which a dozen are named."""
    folder = made(two.parent / "gaps", 40)
    for k in range(2, 40, 3):
        (folder / f"IM{k:04d}.dcm").unlink()
    refused = command("info", folder, "--gaps", "split", "-q")
    refused.refused(
        2, r"makes 14 volumes: \w+\.1 \(planes 0 to 1\); .*; and 2 more; choose one, as in --series \w+\.1$"
    )
    first = refused.err.split()[-1]
    command("info", folder, "--gaps", "split", "--series", first, "-q").refused(3, "has 2 planes")
    told = command("info", folder, "--gaps", "split", "--series", first, "--few", "-q").succeeded().out
    assert "run 1 of 14, planes 0 to 1 of 27 (--gaps split)" in told
    command("info", folder, "--series", first, "-q").refused(2, "names a run of planes: it needs --gaps split")


def test_a_lone_series_tells_its_id(command: Command, two: Path) -> None:
    (row,) = json.loads(command("info", two / "a", "--json", "-q").succeeded().out)["series"]
    assert f"series       {row['id']}, 5 images, made for tests\n" in command("info", two / "a", "-q").succeeded().out
    command("info", two / "a", "--series", row["id"], "-q").succeeded()


def test_a_damaged_file_among_several_volumes_is_told_beside_them(command: Command, two: Path) -> None:
    (two / "broken.dcm").write_bytes(b"no DICOM")
    done = command("info", two, "--json", "-q")
    assert done.code == 8
    facts = json.loads(done.out)
    assert len(facts["series"]) == 3
    assert "broken.dcm is named like DICOM" in facts["damaged"][0]
    assert "not all files could be read: " in done.err
    assert len(done.err.splitlines()) == 1
    volume = facts["series"][0]["id"]
    command("info", two, "--series", volume).refused(2, "broken.dcm is named like DICOM")
    for job in JOBS:
        command(job[0], two, "--series", volume, *job[1:]).refused(2, "broken.dcm is named like DICOM")
