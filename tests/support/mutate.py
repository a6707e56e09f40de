"""Damage DICOM files in every way that was thought of, the same way for the same seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.support.elements import parse
from tests.support.mutate_bytes import BYTE_MUTATORS
from tests.support.mutate_elements import ELEMENT_MUTATORS
from tests.support.mutate_frames import FRAME_MUTATORS

_SPARSE = 4 << 30
_RAW = {f.__name__: f for f in BYTE_MUTATORS}
_BY_ELEMENT = {f.__name__: f for f in (*ELEMENT_MUTATORS, *FRAME_MUTATORS)}
_WEIGHTS = (
    dict.fromkeys((*_RAW, *_BY_ELEMENT), 2)
    | {f.__name__: 5 for f in FRAME_MUTATORS}
    | {"no_mark": 1, "deep": 1, "flip_anywhere": 1, "flip_pixels": 6, "bomb": 4}
)
_FORMS = ("empty", "folder", "sparse", "sparse_tail")
_ODD = 0.02
_TIMES, _TIMES_WEIGHTS = (1, 2, 4), (80, 15, 5)
KINDS = (*_WEIGHTS, *_FORMS)
"""The names of all that can be done."""

__all__ = ["KINDS", "Mutant", "mutate"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """What is put in the place of a file."""

    kinds: tuple[str, ...]
    """What was done, in order."""
    data: bytes
    """The bytes of the file."""

    def write(self, path: Path) -> None:
        """Put it there; nothing may be there yet."""
        if "folder" in self.kinds:
            path.mkdir()
            return
        path.write_bytes(self.data)
        if "sparse" in self.kinds or "sparse_tail" in self.kinds:
            with open(path, "r+b") as file:
                file.truncate(_SPARSE)


def mutate(data: bytes, seed: int) -> Mutant:
    """One mutant of a DICOM file's bytes; equal seeds give equal mutants."""
    rng = Random(seed)
    if rng.random() < _ODD:
        form = rng.choice(_FORMS)
        return Mutant((form,), data if form == "sparse_tail" else b"")
    kinds: list[str] = []
    for _ in range(rng.choices(_TIMES, _TIMES_WEIGHTS)[0]):
        name, data = _once(data, rng)
        kinds.append(name)
    return Mutant(tuple(kinds), data)


def _once(data: bytes, rng: Random) -> tuple[str, bytes]:
    file = parse(data)
    while True:
        name = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        if name in _RAW:
            return name, _RAW[name](data, rng)
        changed = None if file is None else _BY_ELEMENT[name](file, rng)
        if changed is not None:
            return name, changed if isinstance(changed, bytes) else changed.encoded()
