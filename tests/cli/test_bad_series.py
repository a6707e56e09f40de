"""DICOM folders that cannot be used: one line that says why, the exit code, and nothing written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless

from chunkvol import pipeline
from tests.cli.commands import Outcome, as_nobody, spawn, untouched
from tests.support.series import Edit, oblique, write_series

Command = Callable[..., Outcome]
VERBS = [("info",), ("downsample", "--factor", "2", "-o", "out.nrrd"), ("ingest", "-o", "out.ome.zarr")]

CODECS = ("imagecodecs", "openjpeg", "pylibjpeg", "jpeg_ls", "rle", "gdcm", "_gdcm", "PIL", "libjpeg")
WITHOUT_CODECS = f"import sys\nsys.modules.update(dict.fromkeys({CODECS!r}))"
"""Importing these modules fails, as if they had never been installed."""


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Outputs are named without a folder: they would appear here."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def made(
    folder: Path, planes: int = 6, size: tuple[int, int] = (5, 4), edit: Edit | None = None, **options: Any
) -> Path:
    array = np.arange(planes * size[0] * size[1], dtype=np.uint16).reshape(planes, *size)
    write_series(folder, array, oblique(array.shape), edit=edit, **options)
    return folder


def empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def no_dicom(folder: Path) -> Path:
    empty(folder)
    (folder / "notes.txt").write_text("nothing to see")
    return folder


def truncated(folder: Path) -> Path:
    path = made(folder) / "IM0002.dcm"
    path.write_bytes(path.read_bytes()[:-11])
    return folder


def overlong(folder: Path) -> Path:
    def edit(k: int, dataset: Dataset) -> None:
        if k == 2:
            dataset.PixelData += bytes(6)

    return made(folder, edit=edit)


BAD: dict[str, tuple[Callable[[Path], Path], int, str]] = {
    "an empty folder": (empty, 2, "is an empty folder"),
    "a folder without DICOM": (no_dicom, 2, "holds no DICOM image .1 file not DICOM.; name another folder"),
    "one slice": (lambda f: made(f, planes=1), 3, "has 1 plane; a volume needs at least 3"),
    "two slices": (lambda f: made(f, planes=2), 3, "has 2 planes; a volume needs at least 3"),
    "a truncated slice": (truncated, 2, "IM0002.dcm is truncated: 29 bytes of pixel data, expected 40"),
    "over-long pixel data": (overlong, 2, "IM0002.dcm has over-long pixel data: 46 bytes, expected 40"),
    "a missing slice": (
        lambda f: (made(f) / "IM0003.dcm").unlink() or f,  # type: ignore[func-returns-value]  # unlink gives None
        3,
        r"plane 3 \(IM0004.dcm\) lies 5.00 mm after plane 2, expected 2.50 mm: one plane may be missing",
    ),
}


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_series_is_refused_by_every_verb(
    name: str, verb: tuple[str, ...], command: Command, tmp_path: Path
) -> None:
    make, code, match = BAD[name]
    folder = make(tmp_path / "series")
    with untouched(tmp_path):
        command(verb[0], folder, *verb[1:], "-q").refused(code, match)


@pytest.mark.parametrize("value", ["0\\0.5", "-0.5\\0.5", "nan\\0.5", "0.5\\inf", "0,5\\0,5", "0.5"])
def test_a_spacing_without_meaning_is_a_refused_geometry(value: str, command: Command, tmp_path: Path) -> None:
    folder = made(tmp_path / "series", edit=lambda k, dataset: setattr(dataset, "PixelSpacing", ["0.75", "0.50"]))
    for path in folder.iterdir():
        data = path.read_bytes()
        assert data.count(b"0.75\\0.50 ") == 1  # pydicom would not write the wrong ones
        path.write_bytes(data.replace(b"0.75\\0.50 ", value.encode().ljust(10)))
    with untouched(tmp_path):
        command("downsample", folder, "--factor", 2, "-o", "out.nrrd", "-q").refused(3, r"IM000\d.dcm.*PixelSpacing")


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=lambda uid: uid.name)
def test_a_missing_decoder_is_named_with_its_remedy(syntax: UID, tmp_path: Path) -> None:
    pytest.importorskip("pylibjpeg", reason="tool is missing: pylibjpeg")
    folder = made(tmp_path / "series", size=(32, 32), transfer_syntax=syntax)
    with untouched(tmp_path):
        done = spawn("downsample", folder, "--factor", 2, "-o", "out.nrrd", "-q", preamble=WITHOUT_CODECS)
        done.refused(2, r'no decoder for JPEG.* \(1\.2\.840.*\): pip install "chunkvol\[codecs\]"')


def test_the_decoder_is_what_was_missing(tmp_path: Path, command: Command) -> None:
    pytest.importorskip("openjpeg", reason="tool is missing: pylibjpeg-openjpeg")
    folder = made(tmp_path / "series", size=(32, 32), transfer_syntax=JPEG2000Lossless)
    command("downsample", folder, "--factor", 2, "-o", "out.nrrd", "-q").succeeded()


def test_an_unreadable_slice_is_named(command: Command, open_folder: Path) -> None:
    folder = made(open_folder / "series")
    command("info", folder).succeeded()  # imports everything while it can
    (folder / "IM0003.dcm").chmod(0)
    before = sorted(open_folder.rglob("*"))
    with as_nobody():
        command("convert", folder, "-o", open_folder / "o.nrrd", "-q").refused(
            2, "IM0003.dcm cannot be read: Permission"
        )
    assert sorted(open_folder.rglob("*")) == before


def test_an_unreadable_folder_is_named(command: Command, open_folder: Path) -> None:
    folder = made(open_folder / "series")
    command("info", folder).succeeded()
    folder.chmod(0)
    with as_nobody():
        command("info", folder, "-q").refused(2, "series.* is not readable")
    folder.chmod(0o755)


def test_a_slice_that_goes_away_during_the_run_is_named(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(tmp_path / "series")
    plan = pipeline._prepare

    def remove_first(*arguments: Any) -> Any:
        (folder / "IM0004.dcm").unlink(missing_ok=True)
        return plan(*arguments)

    monkeypatch.setattr(pipeline, "_prepare", remove_first)
    command("convert", folder, "-o", "out.nrrd", "-q").refused(
        2, r"IM0004.dcm \(plane 4\) cannot be read: No such file"
    )
    assert not list(Path.cwd().iterdir())


def test_real_bad_series_are_refused(command: Command, visible: Path, tmp_path: Path) -> None:
    for folder in sorted(p for p in (visible / "bad_series").iterdir() if p.is_dir()):
        done = command("downsample", folder, "--factor", 2, "-o", "out.nrrd", "-q")
        assert done.code in (2, 3), (folder, done)
        done.refused(done.code, ".")
    assert not list(Path.cwd().iterdir())


def test_a_bad_series_is_refused_in_a_process_of_its_own_too(tmp_path: Path) -> None:
    folder = truncated(tmp_path / "series")
    with untouched(tmp_path):
        spawn("ingest", folder, "-o", "out.ome.zarr", "-q", cwd=tmp_path).refused(2, "IM0002.dcm is truncated")


def test_good_copies_of_the_series_are_accepted(command: Command, tmp_path: Path, series: Path) -> None:
    """The refusals above are not for another reason."""
    command("info", made(tmp_path / "series")).succeeded()
    shutil.copytree(series, tmp_path / "copy")
    command("info", tmp_path / "copy").succeeded()
