"""Writing a store in one pass over the source."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chunkvol import kernels
from chunkvol._version import __version__
from chunkvol.errors import InputError
from chunkvol.execute import Runner, Work
from chunkvol.formats.ome_zarr.chunks import load_codecs
from chunkvol.formats.ome_zarr.image import Image, Level
from chunkvol.formats.ome_zarr.layout import CODECS
from chunkvol.formats.ome_zarr.ngff import VERSIONS, documents
from chunkvol.formats.ome_zarr.promise import Workers, fitted, plan_for
from chunkvol.formats.ome_zarr.target import StoreTarget
from chunkvol.formats.ome_zarr.units import write_unit
from chunkvol.memory import Plan, Terms
from chunkvol.packing.unpack import unpacked
from chunkvol.progress import Progress
from chunkvol.pyramid import level_factors
from chunkvol.segments import method_for
from chunkvol.volume import Volume

__all__ = ["StoreJob", "is_older_store", "prepare_store"]

_STAGES = ("slabs", "levels")


@dataclass(frozen=True)
class StoreJob:
    """A store to be written; see `prepare_store`."""

    plan: Plan
    """The promise."""
    target: StoreTarget
    """What goes into it."""
    workers: Workers
    """Units at work in each of the two stages."""

    @property
    def names(self) -> tuple[str, ...]:
        """The store's folder."""
        return (self.target.name,)

    def run(self, folder: Path, runner: Runner, progress: Progress) -> None:
        """Stage what cannot be read in any order, then slabs, then coarser levels, then the metadata."""
        scratch = folder / "scratch"
        scratch.mkdir()
        source = unpacked(self.target.source, scratch, progress)
        target = replace(self.target, source=source, folder=folder)
        for level in range(1, len(target.image.levels)):
            raw = target.scratch(level)
            with open(raw.path, "wb") as file:
                file.truncate(raw.stored_bytes)
        for stage, name in enumerate(_STAGES):
            units = list(target.units(stage))
            total = sum(map(target.unit_bytes, units))
            if units:
                runner(Work(name, write_unit, target, units, total, self.workers[stage]), progress)
        _write_metadata(target)


def is_older_store(folder: Path) -> bool:
    """Whether a folder is a finished store, of any version that is written: metadata come last."""
    return any((folder / name).is_file() for name in ("zarr.json", ".zattrs"))


def _write_metadata(target: StoreTarget) -> None:
    """The arrays' metadata, the group's last."""
    store = target.folder / target.name
    for number, level in enumerate(target.image.levels):
        layout = target.layout(number)
        _write_json(store / level.path / layout.document, layout.to_json())
    for name, content in documents(target.image, target.ngff, __version__).items():
        _write_json(store / name, content)


def _write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(_json_text(data) + "\n")


def _json_text(value: Any, indent: str = "") -> str:
    """Objects a member a line, lists of numbers in one: a table of 20,000 planes must not become 60,000 lines."""
    inner = indent + " "
    if isinstance(value, dict) and value:
        members = (f"{inner}{json.dumps(key)}: {_json_text(member, inner)}" for key, member in value.items())
        return "{\n" + ",\n".join(members) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(member, dict) for member in value):
        members = (f"{inner}{_json_text(member, inner)}" for member in value)
        return "[\n" + ",\n".join(members) + f"\n{indent}]"
    return json.dumps(value)


def prepare_store(
    volume: Volume,
    target: Path,
    terms: Terms,
    *,
    method: str | None = None,
    codec: str | None = None,
    ngff_version: str = "0.5",
) -> StoreJob:
    """Plan an OME-Zarr store of stored values with all pyramid levels.

    Parameters
    ----------
    volume
        What becomes level 0.
    target
        The store's final place.
    method
        A nested method of `REDUCERS`: mean, stride, mode, min or max; when left out the volume's own, else mean;
        of a segmentation mode or stride alone, and mode when left out.
    codec
        Key of `CODECS`; when left out lz4, or zstd for 0.4, where it alone has checksums.
    ngff_version
        Of `VERSIONS`: 0.4 (zarr 2, a file a chunk), 0.5 or 0.6 (zarr 3, sharded).
    terms
        How the job is to be run.

    Raises
    ------
    InputError
        Unknown method, codec or version, a method that builds no pyramids, or one that computes with labels.
    BudgetError
        When even the smallest units do not fit; the message names the smallest budget that would do.
    """
    method = method_for(volume.metadata.extra, method or volume.metadata.pyramid, "mean")
    codec = codec or ("zstd" if ngff_version == "0.4" else "lz4")
    _check_options(method, codec, ngff_version)
    source = volume.source
    source.preload()
    load_codecs()
    levels = _levels(volume, method)
    image = Image(levels, replace(volume.metadata, problems=()), method if len(levels) > 1 else "")
    draft = StoreTarget(target.name, source, image, codec, ngff_version)
    ready, count = fitted(draft, terms)
    return StoreJob(plan_for(ready, count, terms), ready, count)


def _check_options(method: str, codec: str, ngff: str) -> None:
    nested = [name for name, row in kernels.REDUCERS.items() if row.nested]
    if method not in nested:
        raise InputError(f"pyramids are made by {', '.join(nested)}, not by {method!r}")
    if codec not in CODECS:
        raise InputError(f"unknown codec {codec!r}; use one of {', '.join(CODECS)}")
    if ngff not in VERSIONS:
        raise InputError(f"OME-Zarr {ngff!r} is not written; use one of {', '.join(VERSIONS)}")


def _levels(volume: Volume, method: str) -> tuple[Level, ...]:
    factors = level_factors(volume.geometry)
    anchor = kernels.REDUCERS[method].anchor
    return tuple(Level(str(n), volume.geometry.coarsened(f, anchor), f) for n, f in enumerate(factors))
