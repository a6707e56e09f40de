"""What happens with odd DICOM series? Ours beside SimpleITK, dcm2niix and highdicom, held against the truth.

Each series is made by code that knows every voxel's place and value; nothing in the table is written by hand.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.oddities import ODDITIES, Oddity  # the path comes first
from tests.support.readers import PEERS, Read, by_chunkvol, installed, verdict_on


def main() -> int:
    """Print the table; exit status 1 when ours is wrong unasked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="names of oddities")
    parser.add_argument("--words", type=int, default=60, help="longest reason of a refusal")
    options = parser.parse_args()
    peers = [name for name in PEERS if installed(name)]
    heads = ["what happens with", "chunkvol", "chunkvol, decided", *peers]
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    failed = False
    for oddity in ODDITIES:
        if options.only and oddity.name not in options.only:
            continue
        with tempfile.TemporaryDirectory() as name:
            cells = _cells(oddity, Path(name) / "series", peers, options.words)
        failed |= cells[1].startswith("wrong")
        print(f"| {' | '.join(cells)} |", flush=True)
    return int(failed)


def _cells(oddity: Oddity, folder: Path, peers: list[str], words: int) -> list[str]:
    truths = oddity.write(folder)

    def cell(read: Read) -> str:
        verdict, _ = verdict_on(read, folder, truths)
        text = str(verdict).replace(str(folder), "").replace("|", "/")
        return text if verdict.kind != "refused" or len(text) <= words else text[: words - 1] + "…"

    decided = []
    for options in oddity.options:
        name = ", ".join(f"{key}={value if key != 'spacing' else '...'}" for key, value in options.items())
        decided.append(f"`{name}`: {cell(functools.partial(by_chunkvol, **options))}")
    return [oddity.title, cell(by_chunkvol), "<br>".join(decided), *(cell(PEERS[name]) for name in peers)]


if __name__ == "__main__":
    sys.exit(main())
