"""A process that repeats what it hears, and crashes or hangs when told to."""

from __future__ import annotations

import os
import signal
import time

from tests.support.fuzz.child import serve


def main() -> None:
    """Answer until the pipe is closed."""
    serve(_answer)


def _answer(question: str) -> str:
    if question == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if question == "hang":
        time.sleep(60)
    return question
