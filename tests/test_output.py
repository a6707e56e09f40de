"""The output door: whole or not at all, and what stood there before stays until then."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkvol
from chunkvol import Volume, pipeline, system
from chunkvol.errors import DiskError, InputError, OutputError
from chunkvol.output import check_disk, check_target, disk_errors, staging
from chunkvol.regions import Region
from chunkvol.sources import Block, Source
from tests.cli.commands import listing
from tests.support.grids import noise_volume, oblique_grid

GRID = oblique_grid((9, 10, 11))
TARGETS = ["o.nrrd", "o.nhdr", "o.ome.zarr"]


@pytest.fixture
def new() -> Volume:
    return noise_volume(GRID, seed=1)


@pytest.fixture
def old() -> Volume:
    return noise_volume(GRID, seed=2)


def write_pair(folder: Path, text: str) -> None:
    (folder / "o.raw").write_text(f"data {text}")
    (folder / "o.nhdr").write_text(f"header {text}")


# ------------------------------------------------------------------------------------------------- whole or not


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_stands_under_the_name_before_it_is_whole(
    target: str, new: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    sync = system.sync_file

    def looking(fd: int) -> None:
        seen.append([path.name for path in tmp_path.iterdir()])
        sync(fd)

    monkeypatch.setattr(system, "sync_file", looking)
    chunkvol.write_volume(new, tmp_path / target)
    assert seen
    for names in seen:
        assert len(names) == 1
        assert names[0].startswith(f".{target}.partial-")


@pytest.mark.parametrize("target", TARGETS)
def test_every_file_and_folder_is_on_the_disk_before_it_gets_its_name(
    target: str, new: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fdatasync", lambda fd: events.append(f"file {os.fstat(fd).st_ino}"))
    monkeypatch.setattr(os, "fsync", lambda fd: events.append(f"folder {os.fstat(fd).st_ino}") or fsync(fd))  # type: ignore[func-returns-value]  # append gives None

    def named(self: Path, other: Path) -> Path:
        events.append("named")
        return replace(self, other)

    monkeypatch.setattr(Path, "replace", named)
    chunkvol.write_volume(new, tmp_path / target)
    published = events.index("named")
    for path in (path for name in tmp_path.iterdir() for path in [name, *name.rglob("*")]):
        kind = "folder" if path.is_dir() else "file"
        assert f"{kind} {path.stat().st_ino}" in events[:published], path
    assert events[-1] == f"folder {tmp_path.stat().st_ino}"


class BrokenError(Exception):
    """Something that nobody expects."""


@pytest.mark.parametrize("kind", [BrokenError, KeyboardInterrupt, SystemExit])
def test_an_error_removes_the_folder_and_passes_on(kind: type[BaseException], tmp_path: Path) -> None:
    (tmp_path / "o").write_text("old")
    with pytest.raises(kind), staging(tmp_path / "o", ["o"]) as folder:
        (folder / "o").write_text("new")
        (folder / "scratch").mkdir()
        (folder / "scratch" / "part").write_text("part")
        raise kind
    assert listing(tmp_path) == {"o": listing(tmp_path)["o"]}
    assert (tmp_path / "o").read_text() == "old"


def test_scratch_is_not_published(tmp_path: Path) -> None:
    with staging(tmp_path / "o", ["o"]) as folder:
        assert folder.parent == tmp_path
        (folder / "o").write_text("new")
        (folder / "scratch").write_text("scratch")
    assert [path.name for path in tmp_path.iterdir()] == ["o"]


def test_two_runs_do_not_meet(tmp_path: Path) -> None:
    with staging(tmp_path / "o", ["o"]) as one, staging(tmp_path / "o", ["o"]) as two:
        assert one != two
        (one / "o").write_text("one")
        (two / "o").write_text("two")
    assert (tmp_path / "o").read_text() == "one"


def test_an_interrupt_while_the_folder_is_removed_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gigabytes of scratch take a while, and people are impatient."""
    rmtree, calls = shutil.rmtree, list[Path]()

    def interrupted(folder: Path, **options: Any) -> None:
        calls.append(folder)
        if len(calls) == 1:
            (folder / "scratch").unlink()
            raise KeyboardInterrupt
        rmtree(folder, **options)

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt), staging(tmp_path / "o", ["o"]) as folder:
        (folder / "o").write_text("new")
        (folder / "scratch").write_text("scratch")
    assert [path.name for path in tmp_path.iterdir()] == ["o"]


def test_an_interrupt_just_after_the_folder_was_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = Path.mkdir

    def interrupted(self: Path, *arguments: Any, **options: Any) -> None:
        mkdir(self, *arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "mkdir", interrupted)
    with pytest.raises(KeyboardInterrupt), staging(tmp_path / "o", ["o"]):
        pass
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------------- replacing


@pytest.mark.parametrize("target", TARGETS)
def test_an_existing_output_stays_without_overwrite(target: str, new: Volume, old: Volume, tmp_path: Path) -> None:
    chunkvol.write_volume(old, tmp_path / target)
    before = listing(tmp_path)
    with pytest.raises(OutputError, match=r" exists; choose another name or allow --overwrite$"):
        chunkvol.write_volume(new, tmp_path / target)
    assert listing(tmp_path) == before


@pytest.mark.parametrize("target", TARGETS)
def test_an_output_that_appears_during_the_run_stays_too(
    target: str, new: Volume, old: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs that were given one name: the second to end must not undo the first."""
    run = pipeline._run

    def late(*arguments: Any) -> Any:
        monkeypatch.setattr(pipeline, "_run", run)
        chunkvol.write_volume(old, tmp_path / target)
        return run(*arguments)

    monkeypatch.setattr(pipeline, "_run", late)
    with pytest.raises(OutputError, match=r" exists; "):
        chunkvol.write_volume(new, tmp_path / target)
    names = [path.name for path in tmp_path.iterdir()]
    assert not [name for name in names if "partial" in name]
    np.testing.assert_array_equal(chunkvol.open_volume(tmp_path / target).read(), old.read())


@pytest.mark.parametrize("target", TARGETS)
def test_overwrite_replaces_all_of_the_old_output(target: str, new: Volume, old: Volume, tmp_path: Path) -> None:
    for name in ("expected", "place"):
        (tmp_path / name).mkdir()
    chunkvol.write_volume(new, tmp_path / "expected" / target)
    chunkvol.write_volume(noise_volume(oblique_grid((70, 80, 90))), tmp_path / "place" / target)
    chunkvol.write_volume(new, tmp_path / "place" / target, overwrite=True)
    assert listing(tmp_path / "place") == listing(tmp_path / "expected")


@pytest.mark.parametrize("target", TARGETS)
def test_overwrite_replaces_only_at_the_end(target: str, old: Volume, tmp_path: Path) -> None:
    chunkvol.write_volume(old, tmp_path / target)
    before = listing(tmp_path)

    class Fails(Source):
        shape = GRID.shape
        dtype = np.dtype("uint16")

        def read(self, region: Region, out: Block | None = None) -> Block:
            visible = {name: mark for name, mark in listing(tmp_path).items() if ".partial-" not in name}
            assert visible == before
            raise BrokenError

    with pytest.raises(BrokenError):
        chunkvol.write_volume(Volume(Fails(), GRID), tmp_path / target, overwrite=True)
    assert listing(tmp_path) == before


@pytest.mark.parametrize("target", TARGETS)
def test_an_output_may_replace_its_own_source(target: str, old: Volume, tmp_path: Path) -> None:
    chunkvol.write_volume(old, tmp_path / target)
    volume = chunkvol.open_volume(tmp_path / target)
    chunkvol.write_volume(chunkvol.downsample(volume, 2), tmp_path / target, overwrite=True)
    np.testing.assert_array_equal(chunkvol.open_volume(tmp_path / target).read(), chunkvol.downsample(old, 2).read())


def test_a_link_is_replaced_and_not_what_it_leads_to(new: Volume, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "o.nrrd").symlink_to(tmp_path / "precious")
    chunkvol.write_volume(new, tmp_path / "o.nrrd", overwrite=True)
    assert not (tmp_path / "o.nrrd").is_symlink()
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_file_and_a_folder_may_replace_one_another(tmp_path: Path) -> None:
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "inside").write_text("old")
    with staging(tmp_path / "o", ["o"]) as folder:
        (folder / "o").write_text("file")
    assert (tmp_path / "o").read_text() == "file"
    with staging(tmp_path / "o", ["o"]) as folder:
        (folder / "o").mkdir()
        (folder / "o" / "inside").write_text("new")
    assert [path.name for path in tmp_path.rglob("*")] == ["o", "inside"]


class Moves:
    """Renames of paths, one of which fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, broken: int, error: BaseException) -> None:
        self.made = 0
        replace = Path.replace

        def move(path: Path, other: Path) -> Path:
            self.made += 1
            if self.made == broken + 1:
                raise error
            return replace(path, other)

        monkeypatch.setattr(Path, "replace", move)


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()], ids=["error", "stop"]
)
@pytest.mark.parametrize("existing", [True, False], ids=["replacing", "new"])
@pytest.mark.parametrize("call", range(6))
def test_a_pair_is_replaced_together_or_not_at_all(
    call: int, existing: bool, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New voxels under an old header would be read without a word."""
    if existing:
        write_pair(tmp_path, "old")
    before = listing(tmp_path)
    moves = Moves(monkeypatch, call, error)
    try:
        with staging(tmp_path / "o.nhdr", ["o.raw", "o.nhdr"]) as folder:
            write_pair(folder, "new")
    except (InputError, KeyboardInterrupt):
        assert listing(tmp_path) == before
    else:
        assert moves.made <= call
        assert (tmp_path / "o.raw").read_text() == "data new"
        assert (tmp_path / "o.nhdr").read_text() == "header new"
        assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("call", [0, 1])
def test_a_folder_goes_back_when_the_new_one_cannot_take_its_place(
    call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "inside").write_text("old")
    before = listing(tmp_path)
    Moves(monkeypatch, call, PermissionError(errno.EACCES, "Permission denied"))
    with (
        pytest.raises(InputError, match="Permission denied; nothing was kept"),
        staging(tmp_path / "o", ["o"]) as folder,
    ):
        (folder / "o").mkdir()
        (folder / "o" / "inside").write_text("new")
    assert listing(tmp_path) == before


# ------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_one_clear_error(number: int) -> None:
    with (
        pytest.raises(DiskError, match=r"^the disk was filled while writing o.nrrd: .*; nothing was kept$"),
        disk_errors(Path("o.nrrd")),
    ):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize(("name", "said"), [("a.dcm", "a.dcm: Permission denied"), (None, "Permission denied")])
def test_another_refusal_names_its_file(name: str | None, said: str) -> None:
    with pytest.raises(InputError, match=rf"^while writing o: {said}; nothing was kept$"), disk_errors(Path("o")):
        raise PermissionError(errno.EACCES, "Permission denied", name)


def test_a_target_is_checked_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "here").write_text("here")
    check_target([tmp_path / "new"], overwrite=False)
    check_target([tmp_path / "here"], overwrite=True)
    with pytest.raises(OutputError, match="here exists; choose another name or allow --overwrite"):
        check_target([tmp_path / "new", tmp_path / "here"], overwrite=False)
    with pytest.raises(OutputError, match=r"the output folder .*gone does not exist; create it first"):
        check_target([tmp_path / "gone" / "a"], overwrite=True)
    with pytest.raises(OutputError, match=r"the output folder .*here does not exist"):
        check_target([tmp_path / "here" / "a"], overwrite=True)


def test_a_disk_is_checked_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "free_disk", lambda path: 1 << 20)
    check_disk(tmp_path, 1 << 20)
    with pytest.raises(DiskError, match=r"has 1.0 MiB free and the work needs up to 2.0 MiB; free some space"):
        check_disk(tmp_path, 2 << 20)
