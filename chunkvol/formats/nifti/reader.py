"""Opening a NIfTI file or pair: header, data file, and a source of its voxels; nothing is read but the ends."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from chunkvol.errors import DamagedError, GeometryError, InputError
from chunkvol.formats.nifti.header import NiftiHeader, parse_header
from chunkvol.formats.nifti.space import geometry_from_header
from chunkvol.metadata import Metadata
from chunkvol.packing.packed import PACKINGS, PackedSource
from chunkvol.progress import Progress
from chunkvol.sources import RawSource, Source
from chunkvol.volume import Volume

_ENDS = 1 << 16
_OWN = "chunkvol "
_ASSUMED = "; geometry assumed"
"""How our own `descrip` says that nobody stated the grid."""

__all__ = ["open_nifti"]


def open_nifti(path: Path, progress: Progress, *, time: int | None = None) -> Volume:
    """A lazy volume from `.nii`, `.nii.gz`, or a pair of `.hdr` and `.img` (either is given; either may be gzip).

    The first index of the file is the fastest: arrays are (k, j, i). Values are the stored ones, with `scl_slope` and
    `scl_inter` as the metadata's rescale.

    Parameters
    ----------
    path
        The file.
    progress
        Not told anything: only the header is read.
    time
        Which volume of a file of several, from 0.

    Raises
    ------
    FormatError
        The header is broken, is Analyze 7.5, or holds something that is not read.
    GeometryError
        The header's affine, quaternion or pixdim has no meaning.
    InputError
        The file holds several volumes and `time` does not say which, or the other file of a pair is missing.
    DamagedError
        There are fewer voxels than the header promises.
    """
    header = parse_header(path)
    number = _number(header, time)
    try:
        epsilon = float(np.finfo("f4" if header.version == 1 else "f8").eps)
        placing = geometry_from_header(header.fields, header.shape, epsilon=epsilon)
    except GeometryError as error:
        raise GeometryError(f"{header.path}: {error}") from error
    data = header.path if header.attached else _data_path(header, path)
    source, noted = _source(header, data, number, _fingerprint(header, data, number))
    rescale, unscaled = header.rescale
    ours, assumed = _own_words(header)
    metadata = Metadata(
        rescale=rescale,
        assumed=placing.assumed or assumed,
        source=source.fingerprint,
        history=() if header.times == 1 else (f"time {number}",),
        problems=(*placing.problems, *ours, *unscaled, *noted),
    )
    return Volume(source, placing.geometry, metadata)


def _number(header: NiftiHeader, time: int | None) -> int:
    count = header.times
    there = f"{header.path} holds {count} volume{'s' if count > 1 else ''}"
    if time is None and count > 1:
        raise InputError(f"{there} one after another; --time 0 to {count - 1} says which")
    if time is not None and not 0 <= time < count:
        raise InputError(f"{there}; --time must be 0{f' to {count - 1}' if count > 1 else ''}, found {time}")
    return time or 0


def _own_words(header: NiftiHeader) -> tuple[list[str], bool]:
    """What a `descrip` of ours says of the grid; those of others are left alone, since they may name a patient."""
    text = header.fields["descrip"].decode("latin-1")
    if not (text.startswith(_OWN) and _ASSUMED in text):
        return [], False
    return ["the header says that its geometry was assumed"], True


def _data_path(header: NiftiHeader, given: Path) -> Path:
    """The `.img` of a pair, plain or gzip."""
    if given != header.path:
        return given
    name = header.path.name
    stem = name[: -len(".gz")] if name.lower().endswith(".gz") else name
    stem = stem[: -len(".hdr")] if stem.lower().endswith(".hdr") else stem
    for end in (".img", ".img.gz", ".IMG", ".IMG.GZ"):
        data = header.path.with_name(stem + end)
        if data.is_file():
            return data
    raise InputError(f"{header.path} needs its voxels in {stem}.img or {stem}.img.gz beside it, which does not exist")


def _fingerprint(header: NiftiHeader, data: Path, number: int) -> str:
    """SHA-256 over the header, the volume's number, the file's size and its ends: cheap, and different for files
    that differ."""
    size = data.stat().st_size
    digest = hashlib.sha256(header.raw)
    digest.update(f"{number} {size}".encode())
    with open(data, "rb") as file:
        for start in (0, max(0, size - _ENDS)):
            file.seek(start)
            digest.update(file.read(_ENDS))
    return digest.hexdigest()


# ---------------------------------------------------------------------------------------------------- the source


def _source(header: NiftiHeader, data: Path, number: int, identity: str) -> tuple[Source, list[str]]:
    """The voxels, their number checked against the file before anything is allocated, and what to tell."""
    with open(data, "rb") as file:
        packed = file.read(2) == PACKINGS["gzip"].magic
    return (_packed if packed else _raw)(header, data, number, identity)


def _raw(header: NiftiHeader, data: Path, number: int, identity: str) -> tuple[Source, list[str]]:
    size, needed = data.stat().st_size, header.times * header.volume_bytes
    if header.offset > size:
        raise DamagedError(
            f"{data} has {size} bytes and its voxels would start at byte {header.offset} (vox_offset); "
            "it is cut short or the header is wrong: copy or export it again"
        )
    surplus = size - header.offset - needed
    if surplus < 0:
        raise _short(header, data, str(size - header.offset))
    offset = header.offset + number * header.volume_bytes
    return RawSource(data, header.shape, header.stored, offset, identity), [_unused(data, surplus)] * bool(surplus)


def _packed(header: NiftiHeader, data: Path, number: int, identity: str) -> tuple[Source, list[str]]:
    """One volume of the stream: those before it are skipped, those after it are not inflated."""
    most = data.stat().st_size * PACKINGS["gzip"].most_ratio
    if header.offset + header.times * header.volume_bytes > most:
        raise _short(header, data, f"at most {max(0, most - header.offset)}")
    lead = header.offset + number * header.volume_bytes
    source = PackedSource(data, header.shape, header.stored, "gzip", 0, lead, identity)
    if number < header.times - 1:
        return replace(source, surplus=-1), []
    surplus = _packed_surplus(data, lead + header.volume_bytes)
    if not surplus:
        return source, []
    return replace(source, surplus=surplus), [_unused(data, surplus)]


def _packed_surplus(data: Path, needed: int) -> int:
    """Bytes beyond the voxels, as far as the last four bytes of a gzip file tell.

    They hold the length of the last member modulo 2^32 (RFC 1952, 2.3.1); less than is needed is one of several.
    """
    with open(data, "rb") as file:
        file.seek(max(0, data.stat().st_size - 4))
        return max(0, int.from_bytes(file.read(4), "little") - needed % (1 << 32))


def _unused(data: Path, surplus: int) -> str:
    return f"{data.name} has {surplus} bytes more than its header says: they are not used"


def _short(header: NiftiHeader, data: Path, found: str) -> DamagedError:
    return DamagedError(
        f"{data} holds {found} bytes of voxels where its header promises {header.times * header.volume_bytes} "
        f"(dim {' x '.join(map(str, header.dims))}, {header.stored.name}); "
        "it is cut short or the header is wrong: copy or export it again"
    )
