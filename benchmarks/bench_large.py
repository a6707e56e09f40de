"""Does a series far larger than memory go through a limit that the operating system enforces?

40 GB are halved and 20 GB are ingested within 1 GiB, then slices of 4000 x 4000, uncompressed and JPEG-LS. Where the
disk is too small the pixels are holes (`--sparse`): the same bytes are read, they are zeros, and no disk is involved;
speed is then no measure of anything, and compressed output is small. Each series is deleted as soon as it was used.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from harness import MIB, Case, enforcement, limited, ours
from phantoms import phantom
from session import Session, parser
from verdicts import Verdict

WIDE = 4000
_SPARE = 1.3
"""Disk wanted per byte of a real series: itself, its output, and what others may need."""

Size = tuple[int, int, int]


def main() -> int:
    """One run each: the question is whether it fits, not how fast it is."""
    options = _options()
    session = Session(options, enforcement=enforcement())
    side, slices, limit = options.side, options.slices, options.limit
    _through(session, "downsample", (side, side, slices), limit, sparse=options.sparse)
    _through(session, "ingest", (side, side, slices // 2), limit, sparse=options.sparse)
    wide = min(WIDE, 2 * side), max(8, slices // 40)
    for syntax in ("explicit", "jpegls"):
        for verb in ("downsample", "ingest"):
            _through(session, verb, (wide[0], wide[0], wide[1]), limit, syntax=syntax)
    return session.close()


def _options() -> argparse.Namespace:
    out = parser(__doc__, "large", slices=4768, side=2048, rounds=1)
    out.add_argument("--limit", type=int, default=1 << 30, help="bytes")
    out.add_argument(
        "--sparse", action="store_true", help="holes instead of pixels, also where the disk is large enough"
    )
    return out.parse_args()


def _through(
    session: Session, verb: str, size: Size, limit: int, *, syntax: str = "explicit", sparse: bool = False
) -> None:
    """Make a series, run a verb on it under the limit, delete it, and hold the peak against the limit."""
    bytes_in = 2 * size[0] * size[1] * size[2]
    sparse = syntax == "explicit" and (sparse or bytes_in * _needed(verb) > shutil.disk_usage(session.data).free)
    label = f"{verb} {'x'.join(map(str, size))} {'sparse' if sparse else syntax}, {bytes_in / 1e9:.1f} GB"
    try:
        # In a folder of its own: what other scripts made there is not ours to delete.
        folder = phantom(session.data / "large", size, syntax=syntax, sparse=sparse)
    except subprocess.CalledProcessError:
        print(f"{label}: the series could not be made", file=sys.stderr)
        session.answer(Verdict(f"peak of {label}", (), "MiB", gate=limit / MIB))
        return
    try:
        run = session.run(_limited(verb, label, folder, limit))
    finally:
        shutil.rmtree(folder)
    peaks = () if run.error else (run.peak / MIB,)
    session.answer(Verdict(f"peak of {label}", peaks, "MiB", gate=limit / MIB))


def _needed(verb: str) -> float:
    """Disk a byte of input: halving adds an eighth, a store with its pyramid up to another 8 / 7."""
    return _SPARE + (0.125 if verb == "downsample" else 8 / 7)


def _limited(verb: str, label: str, folder: Path, limit: int) -> Case:
    out = folder.parent / ("large.nrrd" if verb == "downsample" else "large.ome.zarr")
    how = ("--factor", "2") if verb == "downsample" else ("--codec", "lz4")
    case = ours(label, verb, str(folder), *how, "-o", str(out), "--memory", str(limit), outputs=(out,))
    return replace(case, command=limited(case.command, limit))


if __name__ == "__main__":
    sys.exit(main())
