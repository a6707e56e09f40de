"""The text of a scanner's file: sections of `key = value` lines, and values that are read strictly.

SkyScan, Nikon, phoenix and VGStudio all write something like INI: `[Section]` lines, `key=value` lines, sections that
come twice, values that hold `=` or whole XML documents. VGStudio adds `{object}` lines above its sections.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from chunkvol.errors import FormatError

_LONGEST = 4 << 20
"""Bytes; a longer file is none of these."""
_MOST_VOXELS = 1 << 31
"""Along one axis."""
_NUMBER = re.compile(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)(e[-+]?\d+)?", re.IGNORECASE | re.ASCII)

Values = dict[str, list[str]]

__all__ = ["ScannerText", "read_text"]


@dataclass(frozen=True, slots=True)
class ScannerText:
    """A file's sections. Names of sections and keys are compared without regard to case and to white space."""

    path: Path
    """The file, for messages."""
    sections: dict[str, Values]
    """By name: "reconstruction", or "volume1/file1" where objects are above sections; all values of each key."""

    def has(self, section: str, *keys: str) -> bool:
        """True where the section has all of these keys."""
        return all(_plain(key) in self.sections.get(section, {}) for key in keys) and section in self.sections

    def value(self, section: str, key: str) -> str:
        """The value of a key, stripped; empty where there is none.

        Raises
        ------
        FormatError
            The key is there twice with different values.
        """
        found = self.sections.get(section, {}).get(_plain(key), [""])
        if len(set(found)) > 1:
            raise self.error(key, f"is given twice, as {found[0]!r} and as {found[-1]!r}")
        return found[0]

    def length(self, section: str, key: str) -> float | None:
        """A number above 0, with a decimal point or comma; None where the key is missing."""
        text = self.value(section, key)
        return None if not text else self.above_zero(key, text)

    def number(self, section: str, key: str) -> float | None:
        """A finite number; None where the key is missing or holds something else."""
        found = _number(self.value(section, key))
        return None if found is None or not math.isfinite(found) else found

    def count(self, section: str, key: str) -> int | None:
        """A whole number above 0; None where the key is missing."""
        text = self.value(section, key)
        return None if not text else self.whole(key, text)

    def above_zero(self, key: str, text: str) -> float:
        """The number that a text is, which must be above 0."""
        found = _number(text)
        if found is None or not 0 < found < math.inf:
            raise self.error(key, f"must be a number above 0, found {text[:40]!r}")
        return found

    def whole(self, key: str, text: str) -> int:
        """The whole number that a text is, which must be above 0."""
        found = _number(text)
        if found is None or not 0 < found < _MOST_VOXELS or found != int(found):
            raise self.error(key, f"must be a whole number above 0, found {text[:40]!r}")
        return int(found)

    def error(self, key: str, what: str) -> FormatError:
        """The error that a key deserves."""
        return FormatError(f"{self.path}: {key} {what}; correct the file, or take it away and give --spacing")


def read_text(path: Path) -> ScannerText | None:
    """The sections of a file; None where it is not text, too long, or has no section at all."""
    if not path.is_file() or path.stat().st_size > _LONGEST:
        return None
    text = _decoded(path.read_bytes())
    if "\0" in text:
        return None
    sections = _sections(text)
    return ScannerText(path, sections) if sections else None


def _decoded(data: bytes) -> str:
    """Old programs write in the code page of their machine, where micro is one byte; newer ones in UTF-8 or UTF-16."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _sections(text: str) -> dict[str, Values]:
    sections: dict[str, Values] = {}
    above, name = "", ""
    for line in map(str.strip, text.splitlines()):
        if re.fullmatch(r"\{[^{}]+\}", line):
            above, name = _plain(line[1:-1]) + "/", ""
        elif re.fullmatch(r"\[[^\[\]]+\]", line):
            name = above + _plain(line[1:-1])
            sections.setdefault(name, {})
        elif name and "=" in line:
            key, _, value = line.partition("=")
            sections[name].setdefault(_plain(key), []).append(value.strip())
    return sections


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def _number(text: str) -> float | None:
    """A number with a decimal point, or with a decimal comma as German and French systems write it."""
    text = text.strip()
    return float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else None
