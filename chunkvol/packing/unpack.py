"""Unpacking what can only be read from its start, before a job reads it in any order."""

from __future__ import annotations

from pathlib import Path

from chunkvol.memory import Phase
from chunkvol.packing.packed import STREAM_BYTES
from chunkvol.progress import Progress
from chunkvol.sources import Source

SCRATCH = ".scratch"
"""Folder for it within a job's own; no output has such a name."""

UNPACK = "unpack"
"""What plans call it."""

__all__ = ["SCRATCH", "UNPACK", "unpack_phases", "unpacked"]


def unpacked(source: Source, folder: Path, progress: Progress) -> Source:
    """The source itself where it is read in any order, else its raw copy in `folder`, which is made where missing."""
    if not source.staging_bytes:
        return source
    folder.mkdir(exist_ok=True)
    progress.stage("unpacking", source.staging_bytes)
    staged = source.staged(folder)
    progress.advance(source.staging_bytes)
    return staged


def unpack_phases(source: Source) -> tuple[Phase, ...]:
    """What a plan says of it: nothing where there is nothing to unpack."""
    if not source.staging_bytes:
        return ()
    held = source.staging_scratch or STREAM_BYTES
    how = "a copy" if source.staging_note else "a stream"
    return (Phase(UNPACK, 1, 1, how, held, source.stored_bytes, source.staging_bytes),)
