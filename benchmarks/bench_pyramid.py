"""What does a full-resolution store with its pyramid cost, beside tensorstore and dask, and is its memory flat?

The codec is the same everywhere: 64^3 chunks, blosc with lz4 level 5 and bit shuffle. tensorstore may shard as we do or
not, whichever is faster for it. Dask runs on fewer slices, because its time is long and linear in them; we run on the
same few, where our start-up weighs more, so the ratio on the whole series would be smaller.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness import MIB, Case, ours, peer
from phantoms import first_slices, phantom, warm
from session import Session, parser
from verdicts import Verdict


def main() -> int:
    """Peers, then our peak on a half, the whole and the double series."""
    options = _options()
    session = Session(options)
    most = options.slices if options.peers_only else 2 * options.slices
    longest = phantom(session.data, (options.side, options.side, most))
    folder = first_slices(longest, options.slices)
    _against_tensorstore(session, folder, options.rounds)
    _against_dask(session, first_slices(longest, min(options.dask_slices, options.slices)), options.rounds)
    if not options.peers_only:
        _memory(session, [first_slices(longest, n) for n in (options.slices // 2, options.slices, most)])
    return session.close()


def _options() -> argparse.Namespace:
    out = parser(__doc__, "pyramid", slices=1000, rounds=3)
    out.add_argument("--dask-slices", type=int, default=250, help="slices for the comparison with dask")
    out.add_argument(
        "--peers-only", action="store_true", help="leave out the memory series, which needs twice the data"
    )
    return out.parse_args()


def _ingest(name: str, folder: Path) -> Case:
    out = folder.parent / "full.ome.zarr"
    return ours(name, "ingest", str(folder), "-o", str(out), "--codec", "lz4", outputs=(out,))


def _against_tensorstore(session: Session, folder: Path, rounds: int) -> None:
    warm(folder)
    best = session.fastest([_tensorstore(folder, kind) for kind in ("chunks", "shards")])
    pairs = session.pairs(_ingest("chunkvol ingest", folder), best, rounds)
    session.ratio(f"full resolution and pyramid / {best.name}", pairs, gate=0.65, aim=0.45)


def _tensorstore(folder: Path, kind: str) -> Case:
    out = folder.parent / "peer.zarr"
    return peer(f"tensorstore, {kind}", "peer_tensorstore.py", "pyramid", kind, str(folder), str(out), outputs=(out,))


def _against_dask(session: Session, folder: Path, rounds: int) -> None:
    count = sum(1 for _ in folder.iterdir())
    out = folder.parent / "peer.zarr"
    dask = peer(f"dask, {count} slices", "peer_dask.py", str(folder), str(out), outputs=(out,))
    warm(folder)
    pairs = session.pairs(_ingest(f"chunkvol ingest, {count} slices", folder), dask, rounds)
    session.ratio(f"full resolution and pyramid / dask, {count} slices", pairs, gate=0.25)


def _memory(session: Session, folders: list[Path]) -> None:
    """The peak must not grow with the number of slices."""
    counts = [sum(1 for _ in folder.iterdir()) for folder in folders]
    runs = [session.run(_ingest(f"memory: {n} slices", folder)) for n, folder in zip(counts, folders, strict=True)]
    peaks = [run.peak / MIB for run in runs if not run.error]
    spread = (max(peaks) - min(peaks),) if len(peaks) == len(runs) else ()
    session.answer(Verdict(f"growth of the peak over {', '.join(map(str, counts))} slices", spread, "MiB", gate=16))


if __name__ == "__main__":
    sys.exit(main())
