"""The verbs by name; each is imported when it is called, so that help and completion are quick."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

VERBS = {
    "downsample": ("write", "Make a scan smaller, in its place."),
    "ingest": ("write", "Put a scan with all pyramid levels into an OME-Zarr store."),
    "convert": ("write", "Write the same voxels in another format."),
    "resample": ("grids", "Put a scan on another grid: a spacing, a size, or that of another file."),
    "align": ("grids", "Put a scan or its labels on the grid of another one, both where they lie."),
    "slice": ("reslice", "Cut one plane, of any orientation, as one image."),
    "compare": ("compare", "Say whether two scans hold the same voxels in the same place."),
    "crop": ("cut", "Cut out a part: by voxels, a box in mm, or a region drawn in Slicer."),
    "reorient": ("cut", "Store the voxels in another axis order, each at its place."),
    "attach": ("repair", "Give voxels that lost their header the place of the scan they were made from."),
    "header": ("repair", "Put a NRRD header in front of DICOM files, with no copy of the pixels."),
    "landmarks": ("landmarks", "Take points from one volume to another; refine, measure and picture them."),
    "info": ("look", "Say what a scan is, where it lies, and what it would cost to load."),
    "formats": ("look", "List the formats, and what each can keep."),
    "phantom": ("make", "Make a realistic DICOM series with beads at known places."),
    "completion": ("shell", "Print the line that turns on shell completion."),
}
"""Module beside this one, and the line in the list of verbs."""

__all__ = ["VERBS", "Verbs"]


class Verbs(click.Group):
    """A group of the verbs in the table."""

    table = VERBS

    def list_commands(self, ctx: click.Context | None) -> list[str]:
        """The names, in the table's order."""
        return list(self.table)

    def get_command(self, ctx: click.Context | None, cmd_name: str) -> click.Command | None:
        """The verb, imported now; None where there is none of this name."""
        if cmd_name not in self.table:
            return None
        module = import_module(f"chunkvol.cli.{self.table[cmd_name][0]}")
        # Names of Python's own have an underscore behind them.
        verb: Any = getattr(module, cmd_name, None) or getattr(module, f"{cmd_name}_")
        return verb if isinstance(verb, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of verbs, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])
