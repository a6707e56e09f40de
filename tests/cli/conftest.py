"""Fixtures of the command line: the command in this process, a small series, a folder that everybody may enter."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import chunkvol
from chunkvol.cli import main
from tests.cli.commands import Outcome, same_signals
from tests.support.series import oblique, write_series

SHAPE = (12, 11, 10)
"""Of the small series, (k, j, i)."""


def voxels() -> np.ndarray:
    """What the small series holds."""
    return np.random.default_rng(3).integers(0, 4000, SHAPE).astype(np.uint16)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """`command("info", folder)` runs the command line in this process."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        with same_signals(), pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Outcome(int(stop.value.code or 0), said.out, said.err)

    return run


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good series, oblique, with three different sizes and spacings; not to be changed."""
    folder = tmp_path_factory.mktemp("good") / "series"
    write_series(folder, voxels(), oblique(SHAPE), order="shuffled")
    return folder


@pytest.fixture(scope="session")
def store(series: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The series as a store; not to be changed."""
    path = tmp_path_factory.mktemp("stored") / "scan.ome.zarr"
    chunkvol.ingest(series, path)
    return path


@pytest.fixture(scope="session")
def nrrd(series: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The series as a NRRD file; not to be changed."""
    path = tmp_path_factory.mktemp("file") / "scan.nrrd"
    chunkvol.write_volume(chunkvol.open_volume(series), path)
    return path


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter and write; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="chunkvol-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)
