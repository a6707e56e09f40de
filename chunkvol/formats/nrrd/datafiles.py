"""Which files hold a NRRD's voxels: the header's own, another one, a list of them, or numbered ones.

Source: "Definition of NRRD File Format", section 3 and "data file" in section 5, teem.sourceforge.net/nrrd/format.html.
"""

from __future__ import annotations

import re

from chunkvol.errors import FormatError
from chunkvol.formats.nrrd.header import NrrdHeader
from chunkvol.regions import voxels

_NUMBERED = re.compile(r"(\S*%[0-9]*d\S*)\s+(-?[0-9]{1,9})\s+(-?[0-9]{1,9})\s+(-?[0-9]{1,9})(?:\s+([0-9]{1,2}))?")
"""A name with the place of a number; first number, last one, step; dimension of each file."""
_ONE_NUMBER = re.compile(r"(?:[^%]|%%)*%[0-9]{0,3}d(?:[^%]|%%)*")
_LIST = re.compile(r"LIST(?:\s+([0-9]{1,2}))?", re.IGNORECASE)

__all__ = ["data_names"]


def data_names(header: NrrdHeader) -> tuple[str, ...]:
    """Names of the data files as the header has them, in the order of their voxels; none where it holds them itself.

    Files have one dimension less than the array (a plane of a volume each) unless the header says another one; those
    of as many dimensions are slabs, and hold the same number of planes.

    Raises
    ------
    FormatError
        There are not as many files as the sizes need, or they would hold parts of planes.
    """
    field = header.data_file
    if not field:
        return ()
    listed = _LIST.fullmatch(field)
    if listed:
        _check_count(header, len(header.listed), listed[1])
        return header.listed
    if re.search(r"%[0-9]*d", field):
        return _numbered(header, field)
    return (field,)


def _numbered(header: NrrdHeader, field: str) -> tuple[str, ...]:
    match = _NUMBERED.fullmatch(field)
    if not match or not _ONE_NUMBER.fullmatch(match[1]) or int(match[4]) == 0:
        raise FormatError(
            f"{header.path}: numbered data files are written 'NAME%03d.raw FIRST LAST STEP', with one %d and a step "
            f"other than 0; found {field[:80]!r}"
        )
    first, last, step = int(match[2]), int(match[3]), int(match[4])
    numbers = range(first, last + (1 if step > 0 else -1), step)
    _check_count(header, len(numbers), match[5])
    return tuple(match[1] % number for number in numbers)


def _check_count(header: NrrdHeader, count: int, dimension: str | None) -> None:
    """Refuse another number of files than sizes and dimension need."""
    sizes = header.sizes or header.shape[::-1]
    each = len(sizes) - 1 if dimension is None else int(dimension)
    if not 1 <= each <= len(sizes):
        raise FormatError(f"{header.path}: data files of dimension {each} do not make an array of {len(sizes)} axes")
    planes = header.shape[0]
    if each == len(sizes):
        if not count or planes % count:
            raise FormatError(
                f"{header.path} names {count} data files for {planes} planes: each must hold as many whole planes as "
                "the others; correct the list or the sizes"
            )
        return
    needed = voxels(sizes[each:])
    if count != needed:
        raise FormatError(
            f"{header.path} names {count} data files where sizes {' '.join(map(str, sizes))} need {needed} of "
            f"{each} dimensions: a file is missing from the list, or the sizes are wrong"
        )
    if planes % count:
        raise FormatError(
            f"{header.path} has data files that hold parts of planes ({each} dimensions each); files of whole planes "
            "are read: join them with 'unu save -f nrrd -i IN.nhdr -o OUT.nrrd'"
        )
