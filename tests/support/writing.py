"""Running what a format prepares, without the pipeline around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from chunkvol import execute, output
from chunkvol.memory import Terms
from chunkvol.progress import Silent
from chunkvol.volume import Volume

__all__ = ["planned", "tree_bytes", "written"]


def planned(prepare: Callable[..., Any], volume: Volume, target: Path, **options: Any) -> Any:
    """The job, with room for everything unless `options` say otherwise."""
    given: dict[str, Any] = {"workers": 2, "budget": 1 << 30, "baseline": 0, "action": "write"}
    terms = Terms(**{name: options.pop(name, value) for name, value in given.items()})
    return prepare(volume, target, terms, **options)


def written(prepare: Callable[..., Any], volume: Volume, target: Path, **options: Any) -> Any:
    """The job, done: its output stands at `target`, and nothing is left beside it."""
    job = planned(prepare, volume, target, **options)
    workers = options.get("workers", 2)
    with execute.connected("threads", workers) as runner, output.staging(target, job.names) as folder:
        job.run(folder, runner, Silent())
    assert not [path for path in target.parent.iterdir() if path.name.startswith(".")]
    return job


def tree_bytes(folder: Path) -> dict[str, bytes]:
    """All files under a folder, by their path in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
