"""How much do we add to the decoder's own time? JPEG-LS, JPEG 2000 and RLE series, halved.

The decoder's time is that of a child which decodes every frame on all cores with the same library and does nothing
else; threads or processes, whichever is faster here (a decoder that holds the interpreter's lock needs processes).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harness import ours, peer
from phantoms import phantom, warm
from session import Session, inner, parser

SYNTAXES = ("jpegls", "j2k", "rle")


def main() -> int:
    """One syntax after the other; one whose series cannot be made does not keep the others from being measured."""
    options = parser(__doc__, "codecs", slices=500, rounds=3).parse_args()
    session = Session(options)
    for syntax in SYNTAXES:
        try:
            folder = phantom(session.data, (options.side, options.side, options.slices), syntax=syntax)
        except subprocess.CalledProcessError as error:
            print(f"{syntax}: the series could not be made: {error}", file=sys.stderr)
            session.ratio(f"{syntax}: downsample / decoder", (), gate=1.15)
        else:
            _beside_decoder(session, folder, syntax, options.rounds)
    return session.close()


def _beside_decoder(session: Session, folder: Path, syntax: str, rounds: int) -> None:
    """Whole processes in turn; the ratio to the decoding loop alone, without start-up, is for the record."""
    warm(folder)
    out = session.data / "codecs.nrrd"
    own = ours(f"chunkvol {syntax}", "downsample", str(folder), "--factor", "2", "-o", str(out), outputs=(out,))
    pools = ("threads", "processes")
    decoder = session.fastest([peer(f"decode {syntax}, {p}", "peer_decode.py", p, str(folder)) for p in pools])
    pairs = session.pairs(own, decoder, rounds)
    session.ratio(f"{syntax}: downsample / decoder", pairs, gate=1.15)
    session.ratio(f"{syntax}: downsample / decoding loop alone", pairs, against=inner)


if __name__ == "__main__":
    sys.exit(main())
