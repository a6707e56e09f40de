"""One output door: work goes to a hidden sibling folder, is made durable, and is published by renaming.

Nothing stands under the final name before it is whole; an existing output is replaced only at the end, or comes back;
an error or Ctrl-C removes the sibling.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from chunkvol import system
from chunkvol.errors import DiskError, InputError, OutputError
from chunkvol.memory import format_bytes

__all__ = ["check_disk", "check_replaceable", "check_target", "disk_errors", "staging"]


def check_target(names: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse, before any work, outputs that exist or cannot be created.

    Raises
    ------
    OutputError
        The folder is missing or cannot be written, or an output exists and `overwrite` is False.
    """
    for name in names:
        if name.name in ("", ".."):
            raise OutputError(f"{name} is a folder that others lie in; name the file or folder to be made in it")
    folder = names[0].parent
    if not folder.is_dir():
        raise OutputError(f"the output folder {folder} does not exist; create it first")
    for name in names:
        if name.exists() and not overwrite:
            raise OutputError(f"{name} exists; choose another name or allow --overwrite")
        if name.is_symlink() and not name.exists():
            raise OutputError(f"{name} is a link to nowhere; remove it first")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"the output folder {folder} cannot be written; choose another or change its permissions")


def check_replaceable(name: Path, kind: str, is_older: Callable[[Path], bool]) -> None:
    """Refuse to replace a folder of something else: ours is empty, or `is_older` knows it.

    Raises
    ------
    OutputError
        A folder bears the output's name and is no older output of this kind.
    """
    if not name.is_dir() or name.is_symlink() or not any(name.iterdir()):
        return
    if not is_older(name):
        raise OutputError(
            f"{name} is a folder that holds something else than finished {kind} of chunkvol's; nothing was "
            "overwritten: remove it, or choose another name"
        )


def check_disk(folder: Path, needed: int) -> None:
    """Refuse work that the disk cannot hold.

    Raises
    ------
    DiskError
        Less is free than `needed` bytes.
    """
    free = system.free_disk(folder)
    if free < needed:
        raise DiskError(
            f"the disk of {folder} has {format_bytes(free)} free and the work needs up to {format_bytes(needed)}; "
            "free some space, write elsewhere, or ask for fewer voxels"
        )


@contextlib.contextmanager
def staging(target: Path, names: Sequence[str], *, overwrite: bool = True) -> Iterator[Path]:
    """A fresh hidden folder beside `target`; on a clean exit its `names` are published beside `target`, or none is.

    Everything else in the folder is scratch. Without `overwrite`, what has appeared there meanwhile is left alone.
    """
    folder = target.parent / f".{target.name}.partial-{secrets.token_hex(4)}"
    try:
        _make(folder, target)
        with disk_errors(target):
            yield folder
            for name in names:
                _sync_tree(folder / name)
            check_target([target.parent / name for name in names], overwrite=overwrite)
            _publish(folder, names)
            system.sync_folder(target.parent)
    finally:
        _remove(folder)


@contextlib.contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Turn what the system refuses, a full disk above all, into one clear error."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskError(f"the disk was filled while writing {target}: {reason}; nothing was kept") from error
        where = "" if error.filename is None else f"{error.filename}: "
        raise InputError(f"while writing {target}: {where}{reason}; nothing was kept") from error


def _make(folder: Path, target: Path) -> None:
    try:
        folder.mkdir()
    except OSError as error:
        raise OutputError(f"cannot write beside {target}: {error.strerror}") from error


def _remove(folder: Path) -> None:
    """Remove the folder, also when the user is too impatient for that."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _sync_tree(path: Path) -> None:
    if path.is_dir():
        for child in path.iterdir():
            _sync_tree(child)
        system.sync_folder(path)
        return
    with system.opened(path, write=True) as fd:
        system.sync_file(fd)


def _publish(folder: Path, names: Sequence[str]) -> None:
    """Rename all `names` of `folder` to its parent, or none of them.

    A lone file replaces another in one step. In all other cases what stands there is first set aside in `folder`, the
    header before its data, and comes back when a step fails or is interrupted.
    """
    try:
        for name in reversed(names):
            new, final = folder / name, folder.parent / name
            if os.path.lexists(final) and (len(names) > 1 or new.is_dir() or final.is_dir()):
                final.replace(_aside(folder, name))
        for name in names:
            (folder / name).replace(folder.parent / name)
    except BaseException:
        if any(os.path.lexists(folder / name) for name in names):
            for name in names:
                _withdraw(folder, name)
        raise


def _withdraw(folder: Path, name: str) -> None:
    """Take back what was published, and put back what was set aside."""
    new, final, old = folder / name, folder.parent / name, _aside(folder, name)
    if not os.path.lexists(new):
        final.replace(new)
    if os.path.lexists(old):
        old.replace(final)


def _aside(folder: Path, name: str) -> Path:
    return folder / f"replaced-{name}"
