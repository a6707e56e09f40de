"""What does the header of a file cost, beside pydicom's stop_before_pixels?

The series is sparse: headers as always, pixels as holes, so that thousands of files take no disk.
"""

from __future__ import annotations

import statistics
import sys

from harness import peer
from phantoms import phantom, warm
from session import Session, inner, parser


def main() -> int:
    """Compare the passes alone, without the start of the interpreter."""
    options = parser(__doc__, "headers", slices=4000, side=256).parse_args()
    session = Session(options)
    folder = phantom(session.data, (options.side, options.side, options.slices), sparse=True)
    warm(folder)
    own = peer("chunkvol open_dicom", "headers.py", "chunkvol", str(folder))
    other = peer("pydicom stop_before_pixels", "headers.py", "pydicom", str(folder))
    pairs = session.pairs(own, other, options.rounds)
    session.ratio("header pass / pydicom", pairs, gate=1 / 3, of=inner, against=inner)
    for samples in zip(*pairs, strict=True):
        cost = statistics.median(map(inner, samples)) / options.slices
        print(f"{samples[0].case}: {cost * 1e6:.0f} us a file")
    return session.close()


if __name__ == "__main__":
    sys.exit(main())
