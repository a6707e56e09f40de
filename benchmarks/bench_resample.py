"""How fast is resampling onto a turned grid beside SimpleITK and scipy in memory, and does it keep its budget?"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from harness import HERE, MIB, Case, ours, peer
from phantoms import phantom
from session import Session, inner, parser
from turned import write_turn
from verdicts import Verdict

_PEERS = {"linear": "SimpleITK", "nearest": "SimpleITK", "cubic": "scipy"}
_GATE = 0.5
"""At least twice as fast for each processor, though the peer has all voxels in memory and writes nothing."""


def main() -> int:
    """Speed on one processor, then memory and bytes read of a large store."""
    options = _options()
    session = Session(options)
    _speed(session, options.side, options.rounds)
    if options.large:
        _large(session, options.large)
    _planning(session)
    return session.close()


def _options() -> argparse.Namespace:
    out = parser(__doc__, "resample", slices=512, side=512)
    out.add_argument("--large", type=int, default=1626, help="side of the large store, 0 to leave it out")
    return out.parse_args()


def _store(session: Session, side: int, *, sparse: bool = False) -> Path:
    """A cube in a chunked store, made once."""
    store = session.data / f"cube-{side}.ome.zarr"
    if not store.exists():
        series = phantom(session.data, (side, side, side), sparse=sparse)
        _run(ours("ingest", "ingest", str(series), "-o", str(store)))
    return store


def _run(case: Case) -> None:
    subprocess.run(case.command, env={**os.environ, **dict(case.environment)}, check=True, stdout=subprocess.DEVNULL)


def _turned(session: Session, store: Path, degrees: float) -> tuple[str, ...]:
    """Arguments of a resampling about the middle of the store."""
    from chunkvol import open_volume

    geometry = open_volume(store).geometry
    middle = geometry.index_to_world([(n - 1) / 2 for n in geometry.shape])
    file = write_turn(session.data / f"turn-{degrees:g}.txt", degrees, middle.tolist())
    return "resample", str(store), "--affine", str(file), "--affine-maps", "output-to-input"


def _speed(session: Session, side: int, rounds: int) -> None:
    store = _store(session, side)
    array = session.data / f"cube-{side}.npy"
    if not array.exists():
        _run(ours("npy", "convert", str(store), "-o", str(array)))
    arguments = _turned(session, store, 40)
    out = session.data / "turned.nrrd"
    for method, library in _PEERS.items():
        own = ours(f"{method}", *arguments, "--method", method, "-j", "1", "-o", str(out), outputs=(out,))
        session.run(own)  # compiles where nobody has yet
        other = peer(f"{method}, {library}", "peer_resample.py", str(array), method, library, "40")
        pairs = session.pairs(own, other, rounds if method != "cubic" else max(1, rounds // 2))
        name = f"{method}, one processor: chunkvol"
        session.ratio(
            f"{name} from store to synced file / {library}'s filter alone", pairs, gate=_GATE, of=inner, against=inner
        )
        session.ratio(f"{name}, start of Python and all / {library}'s filter alone", pairs, against=inner)


def _large(session: Session, side: int) -> None:
    """A budget of 1 GiB, and what is decoded for it."""
    store = _store(session, side, sparse=True)
    for suffix in ("nrrd", "ome.zarr"):
        out = session.data / f"large.{suffix}"
        arguments = (*_turned(session, store, 40), "--memory", "1GiB", "--overwrite", "-o", str(out))
        counted = Case(
            f"{side}^3 to {suffix}, counted",
            (sys.executable, str(HERE / "counted.py"), *arguments, "--json", "-q"),
            (("PYTHONPATH", str(HERE.parent)),),
            (out,),
        )
        run = session.run(counted)
        if run.error:
            session.answer(Verdict(f"peak of {suffix}, of 1 GiB", (), "MiB", gate=1024))
            continue
        session.answer(Verdict(f"peak of {suffix}, of 1 GiB", (run.peak / MIB,), "MiB", gate=1024))
        shown = run.facts["region_bytes"]
        session.answer(Verdict(f"decoded / shown, {suffix}", (run.facts["decoded_bytes"] / shown,), gate=2.5))
        told = next(phase["bytes_read"] for phase in run.facts["phases"] if phase["name"] != "unpack")
        session.answer(Verdict(f"decoded / planned, {suffix}", (run.facts["decoded_bytes"] / told,)))


def _planning(session: Session) -> None:
    """100,000 chunks of output."""
    store = _store(session, 512)
    arguments = _turned(session, store, 40)
    plan = ours("plan", *arguments, "--size", "2970", "--dry-run", "-o", str(session.data / "x.ome.zarr"))
    started = time.perf_counter()
    run = session.run(plan)
    seconds = time.perf_counter() - started if not run.error else 99.0
    session.answer(Verdict("seconds of a plan of 100,000 chunks", (seconds,), "s", gate=5))
    session.answer(Verdict("its peak", (run.peak / MIB,), "MiB", gate=400))


if __name__ == "__main__":
    sys.exit(main())
