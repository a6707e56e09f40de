"""The header pass over the files of a stack: what each holds, and whether they fit together."""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from chunkvol import system
from chunkvol.errors import DamagedError, FormatError, InputError
from chunkvol.formats.stack.ifd import WINDOW, TiffBytes, starts_like_tiff
from chunkvol.formats.stack.layout import FilePlanes, Layout
from chunkvol.formats.stack.pictures import bmp_planes, jpeg_planes, picture_kind, png_planes
from chunkvol.formats.stack.tiff_pages import tiff_planes
from chunkvol.headerpass import examined
from chunkvol.progress import Progress

_PICTURES = {"PNG": png_planes, "BMP": bmp_planes, "JPEG": jpeg_planes}

__all__ = ["ImageFile", "check_alike", "common_layout", "read_files", "sniffed"]


@dataclass(frozen=True, slots=True)
class ImageFile:
    """What the header of one file says."""

    path: str
    """The file."""
    planes: FilePlanes | None
    """Its planes; None where it cannot be read."""
    mark: tuple[int, int] = (0, 0)
    """Its size, and a checksum of its first bytes."""
    error: InputError | None = None
    """Why it cannot be read."""

    @property
    def count(self) -> int:
        """Its planes; 1 where it cannot be read."""
        return len(self.planes.layouts) if self.planes else 1


def sniffed(path: str) -> bool:
    """Whether a file starts as an image does that is read; OSError when it cannot be opened."""
    with system.opened(path) as fd:
        head = system.pread(fd, 64, 0)
    return starts_like_tiff(head) or bool(picture_kind(head))


def read_files(paths: Sequence[str], progress: Progress) -> list[ImageFile]:
    """What the headers of the files say, in their order; what is wrong with one stands in its place."""
    progress.stage("headers", len(paths), "files")
    shared: dict[tuple[Layout, ...], tuple[Layout, ...]] = {}
    return [_sharing(file, shared) for file in examined(paths, _examine_batch, progress)]


def _sharing(file: ImageFile, shared: dict[tuple[Layout, ...], tuple[Layout, ...]]) -> ImageFile:
    """The same facts, with one layout for all planes that are stored alike: thousands would be held."""
    if file.planes is None:
        return file
    layouts = shared.setdefault(file.planes.layouts, file.planes.layouts)
    return replace(file, planes=replace(file.planes, layouts=layouts))


def _examine_batch(paths: Sequence[str]) -> list[ImageFile]:
    return [_examine(path) for path in paths]


def _examine(path: str) -> ImageFile:
    try:
        with system.opened(path) as fd:
            size = os.fstat(fd).st_size
            head = system.pread(fd, min(WINDOW, size), 0)
            return ImageFile(path, _planes(path, fd, size, head), (size, zlib.crc32(head)))
    except OSError as error:
        return ImageFile(path, None, error=InputError(f"{path} cannot be read: {error.strerror or error}"))
    except DamagedError as error:
        return ImageFile(path, None, error=DamagedError(f"{path} is damaged: {error}; copy or export it again"))
    except FormatError as error:
        return ImageFile(path, None, error=FormatError(f"{path} {error}"))


def _planes(path: str, fd: int, size: int, head: bytes) -> FilePlanes:
    if starts_like_tiff(head):
        if size < 16:
            raise DamagedError(f"it has {size} bytes")
        return tiff_planes(TiffBytes(fd, size, head), os.path.split(path)[1])
    kind = picture_kind(head)
    if not kind:
        found = f"starts with {head[:4].hex(' ')}" if head else "is empty"
        raise FormatError(f"is named like an image but {found}: it is no TIFF, PNG, BMP or JPEG; export it again")
    return _PICTURES[kind](fd, size, head)


def common_layout(files: Sequence[ImageFile]) -> Layout | None:
    """The size and type that most planes have; None where no file can be read."""
    counts: Counter[tuple[object, ...]] = Counter()
    first: dict[tuple[object, ...], Layout] = {}
    for file in files:
        if file.planes:
            for layout in file.planes.layouts:
                counts[layout.kind] += 1
                first.setdefault(layout.kind, layout)
    return first[counts.most_common(1)[0][0]] if counts else None


def check_alike(file: ImageFile, page: int, common: Layout | None) -> None:
    """Refuse a plane that cannot be read, or has another size or type than the others.

    Raises
    ------
    InputError
        As the header pass found it.
    FormatError
        It is of another kind.
    """
    if file.planes is None or common is None:
        raise file.error or InputError(f"{file.path} cannot be read")
    layout = file.planes.layouts[page]
    if layout.kind != common.kind:
        where = f"{file.path} (page {page})" if file.count > 1 else file.path
        raise FormatError(
            f"{where} is {layout.text} (columns x rows) where other slices are {common.text}: export it again, or "
            "--pattern or --slices says which slices are meant"
        )
