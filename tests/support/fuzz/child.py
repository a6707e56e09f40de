"""A Python process at the other end of a pipe, which may crash or hang."""

from __future__ import annotations

import faulthandler
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

from tests.cli.commands import ROOT, environment

__all__ = ["Child", "CrashedError", "HungError", "serve"]


class CrashedError(Exception):
    """The process ended without an answer."""


class HungError(Exception):
    """The process gave no answer in time, and was killed."""


class Child:
    """Answers questions, one at a time, in a process of its own that is started again when it is gone."""

    def __init__(self, module: str, log: Path, *arguments: str) -> None:
        """Of a module whose `main` calls `serve`; what it prints goes to `log`."""
        self._command = [sys.executable, "-c", f"from {module} import main; main()"]
        self._arguments = arguments
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection[Any, Any]

    def ask(self, question: Any, seconds: float) -> Any:
        """The answer; CrashedError, HungError where there is none."""
        if self._process is None:
            self._start()
        try:
            self._pipe.send(question)
            if self._pipe.poll(seconds):
                return self._pipe.recv()
        except (EOFError, OSError):
            raise CrashedError(self._end()) from None
        raise HungError(f"no answer in {seconds:g} s; {self._end()}")

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._end()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with open(self._log, "wb") as log, theirs:
            self._process = _spawn([*self._command, str(theirs.fileno()), *self._arguments], theirs.fileno(), log)
        self._pipe = Connection(ours.detach())

    def _end(self) -> str:
        """How it ended, and the last it said."""
        assert self._process is not None  # asked before it was started
        self._pipe.close()
        try:
            code = self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process = None
        how = f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        words = self._log.read_text(errors="replace").strip()[-1500:]
        return f"{how}; {words}" if words else how


def _spawn(command: list[str], descriptor: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        pass_fds=[descriptor],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=ROOT,
        env=environment(PYTHONWARNINGS="ignore"),
    )


def serve(answer: Callable[[Any], Any]) -> None:
    """What the process does: answer what comes through the pipe named by its first argument, until it is closed."""
    faulthandler.enable()
    pipe = Connection(int(sys.argv[1]))
    while True:
        try:
            question = pipe.recv()
        except EOFError:
            return
        pipe.send(answer(question))
