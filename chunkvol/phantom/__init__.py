"""A made-up micro-CT scan whose every voxel is known: a DICOM series with beads at recorded places."""

from chunkvol.phantom.beads import Beads, bead_positions
from chunkvol.phantom.model import DTYPES, Phantom
from chunkvol.phantom.syntaxes import TRANSFER_SYNTAXES
from chunkvol.phantom.tissue import Tissue
from chunkvol.phantom.writer import PhantomReport, write_phantom

__all__ = [
    "DTYPES",
    "TRANSFER_SYNTAXES",
    "Beads",
    "Phantom",
    "PhantomReport",
    "Tissue",
    "bead_positions",
    "write_phantom",
]
