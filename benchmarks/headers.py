"""Read all headers of a series and time that alone. Arguments: `chunkvol|pydicom`, folder."""

from __future__ import annotations

import sys
import time

from native import files, report


def with_chunkvol(folder: str) -> int:
    """Find, read, check and order the slices; the volume is ready to be read."""
    from chunkvol.formats.dicom import open_dicom

    planes, _, _ = open_dicom(folder)
    return int(planes.shape[0])


def with_pydicom(folder: str) -> int:
    """Read up to the pixels, and take the two values that order slices."""
    import pydicom

    positions = []
    for path in files(folder):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        positions.append((header.ImagePositionPatient[2], header.ImageOrientationPatient[0]))
    return len(positions)


def main() -> None:
    """Warm up on the imports, then time the pass."""
    name, folder = sys.argv[1:]
    import pydicom  # noqa: F401  # imports are not the question

    import chunkvol.formats.dicom  # noqa: F401  # the same

    started = time.perf_counter()
    count = {"chunkvol": with_chunkvol, "pydicom": with_pydicom}[name](folder)
    report(time.perf_counter() - started, files=count)


if __name__ == "__main__":
    main()
