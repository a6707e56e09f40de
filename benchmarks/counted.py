"""Run chunkvol's command line in this process and count the bytes of the chunks that it decodes.

Prints chunkvol's own JSON with one member more, `decoded_bytes`. Arguments: those of chunkvol.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import threading
from typing import Any

from chunkvol.cli import main as chunkvol
from chunkvol.formats.ome_zarr.chunks import Chunks


def main() -> None:
    """Every chunk goes through one function."""
    plain, lock, counted = Chunks.decode, threading.Lock(), [0]

    def decode(self: Chunks, data: bytes, where: str) -> Any:
        with lock:
            counted[0] += self.size
        return plain(self, data, where)

    Chunks.decode = decode  # type: ignore[method-assign]  # to count
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        chunkvol()
    print(json.dumps({**json.loads(said.getvalue()), "decoded_bytes": counted[0]}))


if __name__ == "__main__":
    sys.argv[0] = "chunkvol"
    main()
