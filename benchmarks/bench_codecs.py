"""How much do we add to the decoder's own time? JPEG-LS, JPEG 2000 and RLE series, halved.

The decoder's time is that of a child which decodes every frame on all cores with the same library and does nothing
else; threads or processes, whichever is faster here (a decoder that holds the interpreter's lock needs processes).
"""

from __future__ import annotations

import sys

from harness import ours, peer
from phantoms import phantom, warm
from session import Session, inner, parser

SYNTAXES = ("jpegls", "j2k", "rle")


def main() -> int:
    """Whole processes in turn; the ratio to the decoding loop alone, without start-up, is for the record."""
    options = parser(__doc__, "codecs", slices=500, rounds=3).parse_args()
    session = Session(options)
    for syntax in SYNTAXES:
        folder = phantom(session.data, (options.side, options.side, options.slices), syntax=syntax)
        warm(folder)
        out = session.data / "codecs.nrrd"
        arguments = ("downsample", str(folder), "--factor", "2", "-o", str(out))
        own = ours(f"chunkvol {syntax}", *arguments, outputs=(out,))
        pools = [
            peer(f"decode {syntax}, {kind}", "peer_decode.py", kind, str(folder)) for kind in ("threads", "processes")
        ]
        decoder = session.fastest(pools)
        pairs = session.pairs(own, decoder, options.rounds)
        session.ratio(f"{syntax}: downsample / decoder", pairs, gate=1.15)
        session.ratio(f"{syntax}: downsample / decoding loop alone", pairs, against=inner)
    return session.close()


if __name__ == "__main__":
    sys.exit(main())
