"""Tables of what commands on points found."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chunkvol.output import staging

__all__ = ["csv_text", "save"]


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """Rows under the names of their columns, which all rows have."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def save(path: Path, text: str, *, overwrite: bool) -> None:
    """Write a text where nothing is yet, or where it may replace what is there."""
    with staging(path, [path.name], overwrite=overwrite) as folder:
        (folder / path.name).write_bytes(text.encode())
