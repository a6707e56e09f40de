"""How fast is a DICOM series halved into a NRRD file, beside SimpleITK, tensorstore and the disk?

The type, odd sizes and factor 3 must not fall off: their time per input byte is compared with that of uint16.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
from harness import Case, ours, peer
from phantoms import phantom, warm
from session import Measure, Session, parser

Size = tuple[int, int, int]


def main() -> int:
    """Peers first, then our own variants."""
    options = _options()
    session = Session(options)
    size = (options.side, options.side, options.slices)
    folder = phantom(session.data, size)
    own = _halve("chunkvol uint16", folder)
    _against_peers(session, folder, own, options.rounds)
    if options.other_python:
        other = _halve("chunkvol, other interpreter", folder, python=options.other_python)
        session.ratio("other interpreter / this one", session.pairs(other, own, options.rounds))
    if not options.peers_only:
        _variants(session, folder, size, options.rounds)
    return session.close()


def _options() -> argparse.Namespace:
    out = parser(__doc__, "downsample", slices=1000)
    out.add_argument("--peers-only", action="store_true", help="leave out other types, sizes and factors")
    out.add_argument("--other-python", default="", help="also run ours in this interpreter (another version, extras)")
    return out.parse_args()


def _halve(name: str, folder: Path, factor: int = 2, **more: str) -> Case:
    out = folder.parent / "small.nrrd"
    arguments = ("downsample", str(folder), "--factor", str(factor), "-o", str(out))
    return ours(name, *arguments, outputs=(out,), **more)


def _against_peers(session: Session, folder: Path, own: Case, rounds: int) -> None:
    warm(folder)
    itk = session.pairs(own, _simpleitk(folder), rounds)
    session.ratio("half-size mean / SimpleITK, warm", itk, gate=0.35, aim=0.25)
    best = session.fastest([_tensorstore(folder, kind) for kind in ("zarr", "raw")])
    session.ratio("half-size mean / tensorstore, warm", session.pairs(own, best, rounds), gate=0.35, aim=0.25)
    session.ratio("half-size mean / cat, warm", session.pairs(own, _cat(folder), rounds))
    cold = session.pairs(own, _cat(folder), rounds, cold=folder)
    session.ratio("half-size mean / cat, cold", cold, gate=1.3, aim=1.1)


def _simpleitk(folder: Path) -> Case:
    out = folder.parent / "peer.nrrd"
    return peer("SimpleITK BinShrink", "peer_simpleitk.py", str(folder), str(out), "2", outputs=(out,))


def _tensorstore(folder: Path, kind: str) -> Case:
    out = folder.parent / f"peer.{kind}"
    name = f"tensorstore downsample, to {kind}"
    return peer(name, "peer_tensorstore.py", "half", kind, str(folder), str(out), outputs=(out,))


def _cat(folder: Path) -> Case:
    return Case("cat", ("sh", "-c", 'cat "$0"/*.dcm > /dev/null', str(folder)))


def _variants(session: Session, folder: Path, size: Size, rounds: int) -> None:
    x, y, z = size
    odd = (x - 1, y - 3, z)
    rows = (
        ("uint8", size, "uint8", 2),
        ("float32", size, "float32", 2),
        (f"{odd[0]} x {odd[1]}", odd, "uint16", 2),
        ("factor 3", size, "uint16", 3),
    )
    own = _halve("chunkvol uint16", folder)
    for name, shape, dtype, factor in rows:
        other = phantom(session.data, shape, dtype=dtype)
        warm(folder)
        warm(other)
        pairs = session.pairs(_halve(f"chunkvol {name}", other, factor), own, rounds)
        of, against = _per_byte(shape, dtype), _per_byte(size, "uint16")
        session.ratio(f"time a byte: {name} / uint16", pairs, gate=1.5, of=of, against=against)


def _per_byte(size: Size, dtype: str) -> Measure:
    count = math.prod(size) * np.dtype(dtype).itemsize
    return lambda sample: sample.wall / count


if __name__ == "__main__":
    sys.exit(main())
