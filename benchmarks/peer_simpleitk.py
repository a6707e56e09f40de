"""SimpleITK: read a series, shrink it by block means, write NRRD. Arguments: folder, output, factor."""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any

from native import files, report


def main() -> None:
    """Sorted file names, not GDCM's own search for the series, which is slower."""
    sitk: Any = importlib.import_module("SimpleITK")  # its functions have no types
    folder, output, factor = sys.argv[1], sys.argv[2], int(sys.argv[3])
    started = time.perf_counter()
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(files(folder))
    image = sitk.BinShrink(reader.Execute(), [factor] * 3)
    sitk.WriteImage(image, output, useCompression=False)
    report(time.perf_counter() - started, size=image.GetSize())


if __name__ == "__main__":
    main()
