"""SimpleITK: read a volume and write it compressed. Arguments: input, output, level."""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any

from native import report


def main() -> None:
    """Reading is part of both sides' time."""
    sitk: Any = importlib.import_module("SimpleITK")  # its functions have no types
    source, output, level = sys.argv[1], sys.argv[2], int(sys.argv[3])
    started = time.perf_counter()
    sitk.WriteImage(sitk.ReadImage(source), output, useCompression=True, compressionLevel=level)
    report(time.perf_counter() - started)


if __name__ == "__main__":
    main()
