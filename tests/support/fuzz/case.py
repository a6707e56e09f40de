"""One fuzz case: a sound series with a damaged file or several, and how it is to be read."""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import chunkvol
from tests.support.mutate import Mutant, mutate

_READING: tuple[dict[str, Any], ...] = (
    {"gaps": "fill"},
    {"uneven": "resample"},
    {"uneven": "mean"},
    {"duplicates": "first"},
    {"duplicates": "last"},
    {"tilt": "keep"},
    {"tilt": "resample"},
    {"few": True},
    {"spacing": (2.5, 0.75, 0.5), "few": True},
    {"invert": True},
)
_DECIDED, _ALL_PLANES, _WRITTEN, _ALONE = 0.3, 0.3, 0.2, 0.2

__all__ = ["Case", "make_case"]


@dataclass(frozen=True, slots=True)
class Case:
    """What is done to a series, and with it."""

    seed: int
    """It makes all the rest."""
    series: str
    """The sound series."""
    mutants: dict[str, Mutant]
    """What stands in the place of its files, by name."""
    reading: dict[str, Any]
    """Options of reading."""
    write: bool
    """Whether the volume is also written."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """What was done to the files."""
        return next(iter(self.mutants.values())).kinds

    @property
    def compared(self) -> bool:
        """Whether the planes that are read must be those of the files, unchanged."""
        return not {"gaps", "uneven", "tilt", "invert"} & set(self.reading)

    def put(self, corpus: Path, folder: Path) -> None:
        """Make the folder: sound files are linked, damaged ones written."""
        folder.mkdir()
        for path in sorted((corpus / self.series).iterdir()):
            mutant = self.mutants.get(path.name)
            if mutant is None:
                os.link(path, folder / path.name)
            else:
                mutant.write(folder / path.name)


def make_case(seed: int, corpus: Path) -> Case:
    """The case of a seed; its files are not yet there."""
    rng = Random(seed)
    every = sorted(path.name for path in corpus.iterdir())
    alone = [name for name in every if name.startswith("alone_")]
    series = rng.choice(alone) if rng.random() < _ALONE else rng.choice([n for n in every if n not in alone])
    files = sorted(path for path in (corpus / series).iterdir() if path.suffix == ".dcm")
    # The same lie in all planes passes the checks that planes agree.
    chosen = files if rng.random() < _ALL_PLANES else [rng.choice(files)]
    mutants = {path.name: mutate(path.read_bytes(), seed) for path in chosen}
    return Case(seed, series, mutants, _reading(rng), rng.random() < _WRITTEN)


def _reading(rng: Random) -> dict[str, Any]:
    options = rng.choice(_READING) if rng.random() < _DECIDED else {}
    return options if all(map(_is_known, options)) else {}


def _is_known(option: str) -> bool:
    parameters = inspect.signature(chunkvol.open_volume).parameters.values()
    return any(one.name == option or one.kind is one.VAR_KEYWORD for one in parameters)
