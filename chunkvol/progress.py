"""Progress: what a long job tells while it runs."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Progress", "Silent"]


class Progress(Protocol):
    """Told about stages and bytes, from any thread."""

    def stage(self, name: str, total: int, unit: str = "B") -> None:
        """A new stage begins; `total` amounts of `unit` ("B" or a plural noun) lie ahead."""

    def advance(self, amount: int) -> None:
        """So much more of the stage is done."""

    def say(self, text: str) -> None:
        """A sentence that a user should see: a warning or a note."""

    def close(self) -> None:
        """The job has ended, well or not."""


class Silent:
    """Says nothing."""

    def stage(self, name: str, total: int, unit: str = "B") -> None:
        return

    def advance(self, amount: int) -> None:
        return

    def say(self, text: str) -> None:
        return

    def close(self) -> None:
        return
