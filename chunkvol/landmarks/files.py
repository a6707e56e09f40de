"""Files of points: which format a name or a content is, reading and writing."""

from __future__ import annotations

from pathlib import Path

from chunkvol.landmarks.points import Landmarks

__all__ = ["read_landmarks", "write_landmarks"]


def read_landmarks(path: str | Path, *, frame: str | None = None, units: str | None = None) -> Landmarks:
    """Points of a file: Slicer `.mrk.json` and `.fcsv`, CSV, TSV, MorphoJ's CSV, `.npy`.

    Parameters
    ----------
    path
        The content decides where the name does not.
    frame
        "lps", "ras" or "ijk" of files that do not say; "ijk" are indices along (i, j, k), which are not turned into
        places here: `points` holds them as they are, and `frame` is "IJK".
    units
        "mm", "um" or "voxel" of files that do not say.
    """
    raise NotImplementedError


def write_landmarks(landmarks: Landmarks, path: str | Path, *, frame: str | None = None) -> None:
    """Write points in the format of the name's suffix, in the frame of the file they come from unless asked."""
    raise NotImplementedError
