"""The command that takes points from one volume to another: map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chunkvol.cli.landmarks_options import (
    PointsRun,
    note_lost,
    opened,
    opening_options,
    points_options,
    read_points,
)
from chunkvol.cli.reading import deciding_options, shared_out
from chunkvol.cli.show import progress_for
from chunkvol.errors import InputError
from chunkvol.geometry.relation import Relation, parse_relation
from chunkvol.landmarks.mapping import map_landmarks
from chunkvol.landmarks.relating import Found, find_relation, infer_relation, verify_relation
from chunkvol.progress import Progress
from chunkvol.volume import Volume

_AUTO = "auto"

__all__ = ["map_"]


@click.command("map")
@click.argument("points", type=click.Path(path_type=Path))
@click.option("--from", "a", required=True, type=click.Path(path_type=Path), help="A: what they were placed on.")
@click.option("--to", "b", required=True, type=click.Path(path_type=Path), help="B: where they are wanted.")
@click.option("--relation", metavar="R", help="How A, which lost its header, was made from B; auto finds out.")
@click.option("--verify-pixels", is_flag=True, help="Compare some voxels of A with what the relation makes of B.")
@opening_options("from_", "A")
@opening_options("to_", "B")
@deciding_options
@points_options
def map_(
    run: PointsRun,
    points: Path,
    a: Path,
    b: Path,
    relation: str | None,
    verify_pixels: bool,
    from_opening: dict[str, Any],
    to_opening: dict[str, Any],
    decided: dict[str, Any],
) -> None:
    """Take POINTS from volume A to volume B, and say how sharp they are there.

    Where headers place A and B in one world, points stand still, and that is proved. Where A lost its header (slices
    of PNG or TIFF), say how it was made from B: stride:2,2,2 (every 2nd voxel), mean:2,2,2, resize, zoom, crop:A:B,:,:,
    flip:z, axes:yxz, joined by + in the order in which they were done; or auto. What is decided of an irregular series
    (--gaps and the like) holds for A and for B.

    \b
    Examples:
      chunkvol landmarks map points.mrk.json --from small.nrrd --to dicom/ -o full.mrk.json
      chunkvol landmarks map points.fcsv --from png/ --to dicom/ --relation stride:1,1,2+mean:2,2,1 -o full.fcsv
      chunkvol landmarks map points.fcsv --from png/ --to dicom/ --relation auto --verify-pixels -o full.fcsv
      chunkvol landmarks map Results.csv --frame fiji-pixels --from tif/ --to dicom/ --relation mean:2 -o full.csv
    """
    run.check()
    said = None if relation is None or relation.strip().lower() == _AUTO else parse_relation(relation)
    if verify_pixels and relation is None:
        raise InputError("--verify-pixels checks a relation: give --relation auto, or say how A was made from B")
    progress = progress_for(run.quiet)
    try:
        for_b, for_a = shared_out(decided, b, a)
        made = opened(a, from_opening | for_a, progress, "from-")
        source = opened(b, to_opening | for_b, progress, "to-")
        placed = read_points(run, points, made, "give --from-spacing", progress)
        found = None
        if relation is None:
            _check_world(made, source, (a, b), progress)
        else:
            found = _found(made, source, said, verify_pixels, progress)
        mapped = map_landmarks(placed, made.geometry, source.geometry, found.relation if found else said)
        note_lost(placed, mapped.index_from.inside, "A, on which they were placed", made, progress)
        note_lost(mapped.landmarks, mapped.index_to.inside, "B", source, progress)
        run.write(mapped.tabled if run.table else mapped.landmarks)
    finally:
        progress.close()
    report = {**mapped.to_json(), "found": found.to_json() if found else None} if run.as_json else {}
    run.tell(report, "\n".join([str(mapped), *([str(found)] if found else [])]))


def _found(made: Volume, source: Volume, said: Relation | None, verify: bool, progress: Progress) -> Found | None:
    """What sizes or voxels say of the relation; None where it is known and not to be verified."""
    if said is not None:
        return verify_relation(made, source, said, progress=progress) if verify else None
    return find_relation(made, source, progress=progress) if verify else infer_relation(made.shape, source.shape)


def _check_world(made: Volume, source: Volume, paths: tuple[Path, Path], progress: Progress) -> None:
    """Points stand still only where both volumes say where they lie."""
    for volume, path in zip((made, source), paths, strict=True):
        if volume.metadata.assumed:
            raise InputError(
                f"{path} does not say where its voxels lie, so that points cannot stand still: say with --relation how "
                "A was made from B (--relation auto finds out), or give the spacing with which it was shown"
            )
    frames = [volume.metadata.frame_of_reference for volume in (made, source)]
    if all(frames) and frames[0] != frames[1]:
        progress.say(
            f"{paths[0]} and {paths[1]} state different frames of reference: nobody says that they lie in one world"
        )
