"""The verb landmarks: commands on points, each in a module beside this one that is imported when it is called."""

from __future__ import annotations

import click

from chunkvol.cli.verbs import Verbs

COMMANDS = {
    "map": ("landmarks_map", "Take points from the volume they were placed on to another one."),
    "index": ("landmarks_index", "Say in which voxels of a volume points lie."),
    "world": ("landmarks_index", "Put points that are voxel indices at their places in the world."),
    "refine": ("landmarks_refine", "Put points on the middle of what they mark, on the full volume."),
    "measure": ("landmarks_measure", "Measure distances and angles between points, with their uncertainty."),
    "plot": ("landmarks_plot", "Picture three planes through each point, to see that it sits right."),
}
"""Module beside this one, and the line in the list of commands."""

__all__ = ["COMMANDS", "landmarks"]


class _Commands(Verbs):
    """The group of the commands in the table."""

    table = COMMANDS


@click.group(cls=_Commands)
def landmarks() -> None:
    """Points on volumes: where they lie, where they go, and how sharply they were placed.

    \b
    Examples:
      chunkvol landmarks map points.mrk.json --from small.nrrd --to dicom/ -o full.mrk.json
      chunkvol landmarks index points.fcsv --volume scan.ome.zarr --level 2 -o voxels.csv
    """
