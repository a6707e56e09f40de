"""Every error that a user can cause, and the exit code of each.

ChunkvolError                1  unexpected
|-- InputError               2  usage, or an input that cannot be read
|   |-- FormatError          2  a file is not what its format promises
|   |-- DamagedError         2  a file is cut short, a chunk is missing or fails its checksum
|   |-- DecoderError         2  no decoder for a transfer syntax, or the decoder gave up
|   `-- OutputError          2  the output exists, or its folder cannot be written
|-- GeometryError            3  the voxels have no single regular grid
|-- CheckError               4  a check found a difference
|-- ResourceError            5
|   |-- BudgetError          5  the work does not fit the memory budget
|   `-- DiskError            5  the disk is too small, or was filled
|-- PartialError             8  some of the inputs failed
`-- StoppedError            75  stopped by a signal; can be run again
"""

from __future__ import annotations

__all__ = [
    "BudgetError",
    "CheckError",
    "ChunkvolError",
    "DamagedError",
    "DecoderError",
    "DiskError",
    "FormatError",
    "GeometryError",
    "InputError",
    "OutputError",
    "PartialError",
    "ResourceError",
    "StoppedError",
]


class ChunkvolError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns."""

    exit_code = 1


class InputError(ChunkvolError):
    """The request or an input cannot be used as it is."""

    exit_code = 2


class FormatError(InputError):
    """A file is not what its format promises."""


class DamagedError(InputError):
    """Data is missing, cut short or fails its checksum."""


class DecoderError(InputError):
    """Compressed pixels cannot be decoded here."""


class OutputError(InputError):
    """The output cannot be created where it was asked for."""


class GeometryError(ChunkvolError):
    """The voxels do not lie on one regular grid, or the grid has no meaning."""

    exit_code = 3


class CheckError(ChunkvolError):
    """A comparison or verification found a difference."""

    exit_code = 4


class ResourceError(ChunkvolError):
    """Not enough memory or disk."""

    exit_code = 5


class BudgetError(ResourceError):
    """The work does not fit the memory budget; the message names the smallest that does."""


class DiskError(ResourceError):
    """The disk does not hold what the work needs."""


class PartialError(ChunkvolError):
    """Some inputs failed, the others are done."""

    exit_code = 8


class StoppedError(ChunkvolError):
    """The run was stopped; nothing is left under the final name and it can be run again."""

    exit_code = 75
